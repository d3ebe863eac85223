"""The rows of a job as they are read back: with what they asked, what came, and from where. Pure."""

from __future__ import annotations

from typing import NamedTuple

from batchnb.costs.prices import Usage

__all__ = ["TELLING", "Origin", "Results", "RowAnswer"]


class RowAnswer(NamedTuple):
    """A row of a job, or one of its samples, as it is read back. `result` is None while there is no answer.

    `position` is the row's in the frame; `question` is the digest of the first asking of what `digest` asks.
    """

    position: int
    digest: bytes | None
    question: bytes | None
    key: str | None
    note: str | None
    batch_state: str | None
    batch_note: str | None
    result: bytes | None


class Results(NamedTuple):
    """Results of rows that follow each other, or of their samples: None where there is none, for the reason in `notes`.

    `digests` are those of what the rows ask; None where they ask nothing. Where each row has its result, and nobody
    wants digests, `results` alone is filled.
    """

    digests: list[bytes | None]
    results: list[bytes | None]
    notes: list[str | None]


class Origin(NamedTuple):
    """Where the answer to a request is from, and what it used. Times are seconds since the epoch.

    Until there is an answer, only what is known of its batch; `model` is empty where no model answered.
    """

    batch_id: str | None
    ended_at: float | None
    standard: bool
    model: str
    geo: str | None
    usage: Usage
    result: bytes | None


#: States of a batch that say why its rows have no answer, where they have none.
TELLING = ("lost", "uncertain")
