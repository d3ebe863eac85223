"""Answers as the ledger keeps them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

from batchnb.ledger.askings import marks
from batchnb.results import PAID, Answer

__all__ = ["RECORD", "asked", "written"]

_ANSWER = (
    "request", "batch", "outcome", "error", "origin", "input_tokens", "output_tokens", "cache_read", "cache_write_5m",
    "cache_write_1h", "result",
)  # fmt: skip

#: Write one answer, unless a paid one stands there.
RECORD = f"""
    INSERT INTO answers ({", ".join(_ANSWER)}) VALUES ({", ".join("?" * len(_ANSWER))})
    ON CONFLICT (request) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _ANSWER[1:])}
    WHERE answers.outcome NOT IN {PAID}
"""


def written(
    db: sqlite3.Connection, batch: int, answers: Iterable[Answer], requests: Mapping[bytes, int]
) -> Iterator[tuple[object, ...]]:
    """Give the values of ``RECORD`` for answers of a batch, those to none of its `requests` left out."""
    origins: dict[tuple[str, str | None], int | None] = {}
    for answer in answers:
        request, named = requests.get(answer.digest), (answer.model, answer.geo)
        if request is not None:
            if named not in origins:
                origins[named] = _origin(db, *named)
            yield request, batch, answer.outcome, answer.error, origins[named], *answer[5:]


def asked(db: sqlite3.Connection, batch: int, answers: Sequence[Answer]) -> dict[bytes, int]:
    """Look up which requests of a batch these are the answers to."""
    query = f"SELECT digest, id FROM requests WHERE digest IN ({marks(len(answers))}) AND batch = {batch:d}"
    return dict(db.execute(query, [answer.digest for answer in answers]).fetchall())


def _origin(db: sqlite3.Connection, model: str, geo: str | None) -> int | None:
    """Give the number of a model and where it answered; None where no model did."""
    if not model:
        return None
    db.execute("INSERT OR IGNORE INTO origins (model, geo) VALUES (?, ?)", (model, geo))
    found = db.execute("SELECT id FROM origins WHERE model = ? AND geo IS ?", (model, geo)).fetchone()
    return int(found[0])
