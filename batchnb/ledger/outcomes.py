"""Answers as the ledger keeps them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from batchnb.ledger.terms import EACH_DIGEST, given
from batchnb.results import PAID, Answer

__all__ = ["asked", "write_answers"]

_ANSWER = (
    "request", "batch", "outcome", "error", "origin", "input_tokens", "output_tokens", "cache_read", "cache_write_5m",
    "cache_write_1h", "result",
)  # fmt: skip

#: Write one answer, unless a paid one stands there.
_WRITE = f"""
    INSERT INTO answers ({", ".join(_ANSWER)}) VALUES ({{}})
    ON CONFLICT (request) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _ANSWER[1:])}
    WHERE answers.outcome NOT IN {PAID}
"""
_ANY = _WRITE.format(", ".join("?" * len(_ANSWER)))

#: One that succeeded, and of whose prompt nothing was cached: what all of those have in common is not bound each time.
_PLAIN = _WRITE.format("?, {batch:d}, 'succeeded', NULL, {origin:d}, ?, ?, 0, 0, 0, ?")


def write_answers(db: sqlite3.Connection, batch: int, answers: Iterable[Answer], requests: Mapping[bytes, int]) -> None:
    """Write answers of a batch, those to none of its `requests` left out; they are read one by one."""
    others: list[Answer] = []
    answers = iter(answers)
    first = next((answer for answer in answers if answer.digest in requests), None)
    if first is None:
        return
    others.append(first)
    origin = _origin(db, first.model, first.geo)
    if origin is not None:
        alike = _alike(answers, first, requests, others)
        db.executemany(_PLAIN.format(batch=batch, origin=origin), alike)
    db.executemany(_ANY, _any(db, batch, [*others, *answers], requests))


def _alike(
    answers: Iterable[Answer], first: Answer, requests: Mapping[bytes, int], others: list[Answer]
) -> Iterator[tuple[int, int, int, bytes]]:
    """Give the values of ``_PLAIN`` for answers of the model, and the place, that gave the first; put by the others."""
    for answer in answers:
        cached = answer.cache_read or answer.cache_write_5m or answer.cache_write_1h
        if cached or answer.outcome != "succeeded" or answer.model != first.model or answer.geo != first.geo:
            others.append(answer)
            continue
        request = requests.get(answer.digest)
        if request is not None:
            yield request, answer.input_tokens, answer.output_tokens, answer.result


def _any(
    db: sqlite3.Connection, batch: int, answers: Iterable[Answer], requests: Mapping[bytes, int]
) -> Iterator[tuple[object, ...]]:
    """Give the values of ``_ANY``."""
    origins: dict[tuple[str, str | None], int | None] = {}
    for answer in answers:
        request, named = requests.get(answer.digest), (answer.model, answer.geo)
        if request is not None:
            if named not in origins:
                origins[named] = _origin(db, *named)
            _, outcome, error, _, _, *rest = msgspec.structs.astuple(answer)
            yield request, batch, outcome, error, origins[named], *rest


def asked(db: sqlite3.Connection, batch: int, answers: Sequence[Answer]) -> dict[bytes, int]:
    """Look up which requests of a batch these are the answers to."""
    query = f"""
        {EACH_DIGEST} SELECT r.digest, r.id FROM given CROSS JOIN requests AS r ON r.digest = given.digest
        WHERE r.batch = {batch:d}
    """
    return dict(db.execute(query, given([answer.digest for answer in answers])).fetchall())


def _origin(db: sqlite3.Connection, model: str, geo: str | None) -> int | None:
    """Give the number of a model and where it answered; None where no model did."""
    if not model:
        return None
    db.execute("INSERT OR IGNORE INTO origins (model, geo) VALUES (?, ?)", (model, geo))
    found = db.execute("SELECT id FROM origins WHERE model = ? AND geo IS ?", (model, geo)).fetchone()
    return int(found[0])
