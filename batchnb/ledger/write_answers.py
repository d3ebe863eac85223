"""Answers as the ledger keeps them."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from batchnb.answers.judge import PAID, Alike, Answer
from batchnb.ledger.bulk import EACH_DIGEST, digest_values, insert

__all__ = ["asked", "write_answers"]

_ANSWER = (
    "request", "batch", "outcome", "error", "origin", "input_tokens", "output_tokens", "cache_read", "cache_write_5m",
    "cache_write_1h", "result",
)  # fmt: skip

_INSERT = f"INSERT INTO answers ({', '.join(_ANSWER)}) VALUES"

#: Write one answer, unless a paid one stands there.
_ANY = f"""
    {_INSERT} ({", ".join("?" * len(_ANSWER))})
    ON CONFLICT (request) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _ANSWER[1:])}
    WHERE answers.outcome NOT IN {PAID}
"""

#: Write those that succeeded, and of whose prompts nothing was cached, where none stand yet: what all of those have in
#: common is not given for each.
_PLAIN = f"{_INSERT} {{rows}} ON CONFLICT (request) DO NOTHING"
_PLAIN_ROW = "(?, {batch:d}, 'succeeded', NULL, {origin:d}, ?, ?, 0, 0, 0, ?)"


def write_answers(
    db: sqlite3.Connection, batch: int, alike: Alike, answers: Iterable[Answer], requests: Mapping[bytes, int]
) -> int:
    """Write answers of a batch; those to none of its `requests` are left out. Count those of `alike` that came first.

    Each that is counted has an answer now and had none before; of the others some may, too.
    """
    numbers = list(map(requests.get, alike.digests))
    many = len(numbers) - numbers.count(None)
    inserted = 0
    if many:
        fields = zip(numbers, alike.input_tokens, alike.output_tokens, alike.results, strict=True)
        ours = fields if many == len(numbers) else (one for one in fields if one[0] is not None)
        row = _PLAIN_ROW.format(batch=batch, origin=_origin(db, alike.model, alike.geo))
        inserted = insert(db, _PLAIN, row, itertools.chain.from_iterable(ours))
        if inserted < many:
            # Some stood there: whether they stay is to be looked at.
            answers = itertools.chain(alike.one_by_one(), answers)
    db.executemany(_ANY, _any(db, batch, answers, requests))
    return inserted


def _any(
    db: sqlite3.Connection, batch: int, answers: Iterable[Answer], requests: Mapping[bytes, int]
) -> Iterator[tuple[object, ...]]:
    """Yield the values of ``_ANY``."""
    origins: dict[tuple[str, str | None], int | None] = {}
    for answer in answers:
        if answer.digest not in requests:
            continue
        named = answer.model, answer.geo
        if named not in origins:
            origins[named] = _origin(db, *named)
        _, outcome, error, _, _, *rest = msgspec.structs.astuple(answer)
        yield requests[answer.digest], batch, outcome, error, origins[named], *rest


def asked(db: sqlite3.Connection, batch: int, digests: Sequence[bytes]) -> dict[bytes, int]:
    """Look up which of these requests a batch holds."""
    query = f"""
        {EACH_DIGEST} SELECT r.digest, r.id FROM given CROSS JOIN requests AS r ON r.digest = given.digest
        WHERE r.batch = {batch:d}
    """
    return dict(db.execute(query, digest_values(digests)).fetchall())


def _origin(db: sqlite3.Connection, model: str, geo: str | None) -> int | None:
    """Return the number of a model and where it answered; None where no model did."""
    if not model:
        return None
    db.execute("INSERT OR IGNORE INTO origins (model, geo) VALUES (?, ?)", (model, geo))
    found = db.execute("SELECT id FROM origins WHERE model = ? AND geo IS ?", (model, geo)).fetchone()
    return int(found[0])
