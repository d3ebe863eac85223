"""What a batch takes of what a job has to send: as much as there is room for, in the order of its rows."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple

from batchnb.ledger.fragments import unsent
from batchnb.questions.bodies import BODY_END, BODY_START, item_size

__all__ = ["Fits", "Selection", "Wish", "ranges", "select"]

#: Tells whether so many requests, of so many characters and bytes, may be sent.
Fits = Callable[[int, int, int], bool]

_EMPTY = len(BODY_START) + len(BODY_END)

_CONTENTS = "CROSS JOIN contents AS c ON c.request = r.id"


class Wish(NamedTuple):
    """What a batch may take: requests and bytes at most, of `only` these, and of no envelope in `without`.

    `mark` are the bytes that each request may grow by when it is sent.
    """

    max_requests: int
    max_bytes: int
    mark: int = 0
    only: Sequence[int] = ()
    without: Sequence[int] = ()
    fits: Fits | None = None


class Selection(NamedTuple):
    """What a batch takes, be it nothing: first and last number of requests that follow each other; how many; bytes."""

    ranges: list[tuple[int, int]]
    requests: int
    size: int


def select(db: sqlite3.Connection, job: int, wish: Wish) -> Selection:
    """Take of a job's unsent requests what there is room for: at least one, unless `wish.fits` allows none."""
    found = None if wish.only or wish.fits else _together(db, job, wish)
    return _one_by_one(db, job, wish) if found is None else found


def _together(db: sqlite3.Connection, job: int, wish: Wish) -> Selection | None:
    """Take as many as there may be where those follow each other and have room: then none need be looked at by itself.

    As of most jobs. None where it is otherwise, several rows ask the same, or rows share different things.
    """
    query = f"""
        SELECT MIN(id), MAX(id), COUNT(*), SUM(own), MIN(envelope), MAX(envelope) FROM (
            SELECT r.id AS id, r.envelope AS envelope, length(c.label) + length(c.content) AS own
            {unsent(_CONTENTS)} {_without(wish)} ORDER BY u.position, r.id LIMIT :most)
    """
    if db.execute("SELECT repeats FROM jobs WHERE number = ?", (job,)).fetchone() != (0,):
        return None
    values = {"job": job, "most": wish.max_requests}
    first, last, requests, own, envelope, other = db.execute(query, values).fetchone()
    if not requests:
        return Selection([], 0, 0)
    size = _EMPTY + item_size(0, _shared(db)[envelope] + wish.mark) * requests + own
    if last - first + 1 > requests or envelope != other or size > wish.max_bytes:
        return None
    return Selection([(first, last)], requests, size)


def _one_by_one(db: sqlite3.Connection, job: int, wish: Wish) -> Selection:
    size, said, bytes_said = _EMPTY, 0, 0
    requests: list[int] = []
    with contextlib.closing(_waiting(db, job, wish)) as waiting:  # what it reads is about to be written
        for request, label, params, content, characters in itertools.islice(waiting, wish.max_requests):
            added = item_size(label, params + wish.mark)
            if requests and size + added > wish.max_bytes:
                break
            said, bytes_said = said + characters, bytes_said + content
            if wish.fits is not None and not wish.fits(len(requests) + 1, said, bytes_said):
                break
            requests.append(request)
            size += added
    return Selection(list(ranges(requests)), len(requests), size)


def _waiting(db: sqlite3.Connection, job: int, wish: Wish) -> Generator[tuple[int, int, int, int, int], None, None]:
    """Yield the requests that wait, in their order, with the lengths of their labels, params, and contents, in bytes.

    That of the contents in characters, too, where it is asked for; else 0.
    """
    chosen = f" AND r.id IN ({', '.join(map(str, wish.only))})" if wish.only else ""
    counted = "length(CAST(c.content AS TEXT))" if wish.fits else "0"
    shared = _shared(db)
    seen: set[int] = set()
    found = db.execute(
        f"SELECT r.id, r.envelope, length(c.label), length(c.content), {counted} {unsent(_CONTENTS)}"
        f" {_without(wish)} {chosen} ORDER BY u.position, r.id",
        {"job": job},
    )
    for request, envelope, label, content, characters in found:
        if request not in seen:  # asked by several rows
            seen.add(request)
            yield request, label, shared[envelope] + content, content, characters


def _shared(db: sqlite3.Connection) -> dict[int, int]:
    """Return the bytes that rows share, by the envelope."""
    return dict(db.execute("SELECT id, length(head) + length(tail) FROM envelopes").fetchall())


def _without(wish: Wish) -> str:
    return f" AND r.envelope NOT IN ({', '.join(map(str, wish.without))})" if wish.without else ""


def ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Put numbers that follow each other together: yield the first and the last of each range."""
    for _, together in itertools.groupby(enumerate(numbers), lambda placed: placed[1] - placed[0]):
        found = [number for _, number in together]
        yield found[0], found[-1]
