"""What a batch takes of what a job has to send: as much as there is room for, in the order of its rows."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple

from batchnb.ledger.terms import unsent
from batchnb.requests import BODY_END, BODY_START, item_size

__all__ = ["Fits", "filled", "ranges", "wanted"]

#: Tells whether so many requests, of so many characters and bytes, may be sent.
Fits = Callable[[int, int, int], bool]


class Wanted(NamedTuple):
    """A request that waits to be sent: the lengths of its label, its params, and the row's part of those, in bytes.

    The row's part in characters, too, where that was asked for; else 0.
    """

    request: int
    label: int
    params: int
    content: int
    characters: int


def wanted(
    db: sqlite3.Connection, job: int, only: Sequence[int], without: Sequence[int], *, characters: bool
) -> Generator[Wanted, None, None]:
    """Give a job's unsent requests in their order: of `only` these, and of no envelope in `without`."""
    chosen = f" AND r.id IN ({', '.join(map(str, only))})" if only else ""
    chosen += f" AND r.envelope NOT IN ({', '.join(map(str, without))})" if without else ""
    counted = "length(CAST(c.content AS TEXT))" if characters else "0"
    joined = "CROSS JOIN contents AS c ON c.request = r.id"
    shared = dict(db.execute("SELECT id, length(head) + length(tail) FROM envelopes").fetchall())
    seen: set[int] = set()
    for request, envelope, label, content, said in db.execute(
        f"SELECT r.id, r.envelope, length(c.label), length(c.content), {counted} {unsent(joined)} {chosen}"
        " ORDER BY u.position, r.id",
        {"job": job},
    ):
        if request not in seen:  # asked by several rows
            seen.add(request)
            yield Wanted(request, label, shared[envelope] + content, content, said)


def filled(
    waiting: Iterable[Wanted], max_requests: int, max_bytes: int, mark: int, fits: Fits | None
) -> tuple[list[int], int]:
    """Take requests as long as there is room for them, at least one; give them, and the body's bytes."""
    size = len(BODY_START) + len(BODY_END)
    taken: list[int] = []
    said = bytes_said = 0
    for request, label, params, content, characters in itertools.islice(waiting, max_requests):
        added = item_size(label, params + mark)
        if taken and size + added > max_bytes:
            break
        said, bytes_said = said + characters, bytes_said + content
        if fits is not None and not fits(len(taken) + 1, said, bytes_said):
            break
        taken.append(request)
        size += added
    return taken, size


def ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Put numbers that follow each other together: give the first and the last of each range."""
    for _, together in itertools.groupby(enumerate(numbers), lambda placed: placed[1] - placed[0]):
        found = [number for _, number in together]
        yield found[0], found[-1]
