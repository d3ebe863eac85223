"""Writing what a job's rows ask: the questions that are new, and the rows themselves, run by run."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from batchnb.ledger.bulk import EACH_DIGEST, digest_values, insert
from batchnb.ledger.files import Files
from batchnb.ledger.fragments import LONGEST
from batchnb.ledger.store import Store
from batchnb.questions.rows import Rows

__all__ = ["ForgottenError", "Written", "following", "runs_of", "write_rows"]


_T = TypeVar("_T")


class ForgottenError(Exception):
    """A row comes without its content, and the ledger no longer has the question: its job was deleted meanwhile."""


@dataclass(slots=True)
class Written:
    """What was written of a job's rows.

    Parameters
    ----------
    rows : int
        Rows, or samples of them.
    asked : int
        Those of them that ask something.
    fresh : int
        Rows of the frame that are the first to ask something.
    known : int
        The number of the last question that was there before.
    old : bool
        Whether some ask what was known before.
    repeats : bool
        Whether two may ask the same.
    """

    rows: int = 0
    asked: int = 0
    fresh: int = 0
    known: int = 0
    old: bool = False
    repeats: bool = False


def write_rows(
    store: Store, files: Files, job: int, parts: Iterable[Rows], envelopes: Sequence[int], *, samples: int
) -> Written:
    """Write a job's rows, part by part, and the questions that nobody has asked yet.

    Parameters
    ----------
    store, files
        Where to.
    job : int
        The job's number.
    parts : iterable of Rows
        What they ask; each row comes once for every sample.
    envelopes : sequence of int
        The ledger's numbers of the envelopes that `Row.envelope` counts.
    samples : int
        How often each row is asked.

    Raises
    ------
    ForgottenError
        A question is to be written whose content was left out.
    """
    written = Written()
    highest, last_fresh = 0, -1
    with store.transaction() as db:
        last = written.known = db.execute("SELECT COALESCE(MAX(id), 0) FROM requests").fetchone()[0]
        for chunk in parts:
            ids, new = _write_new(store, files, chunk, envelopes, last)
            if new:
                last = ids[chunk.digests[new[-1]] or b""]
            requests = list(map(ids.get, chunk.digests))
            runs = list(runs_of(requests, chunk.notes, written.rows))
            db.executemany("INSERT INTO job_runs VALUES (?, ?, ?, ?, ?)", [(job, *run) for run in runs])
            if any(key is not None for key in chunk.keys):
                keys = [(job, place, key) for place, key in enumerate(chunk.keys, written.rows) if key is not None]
                db.executemany("INSERT INTO job_keys VALUES (?, ?, ?)", keys)
            fresh = dict.fromkeys((written.rows + place) // samples for place in new)
            written.fresh += len(fresh) - (last_fresh in fresh)  # the samples of one row may lie in two chunks
            last_fresh = max(fresh, default=last_fresh)
            written.rows += len(requests)
            written.asked += len(requests) - requests.count(None)
            for _, length, request, _ in runs:
                if request is not None:
                    written.old |= request <= written.known
                    written.repeats |= request <= highest
                    highest = max(highest, request + length - 1)
    return written


def _write_new(
    store: Store, files: Files, rows: Rows, envelopes: Sequence[int], last: int
) -> tuple[dict[bytes | None, int], Sequence[int]]:
    """Write the questions that are new, under the numbers after `last`.

    Returns
    -------
    tuple
        The number of each question of the rows; and the places of the rows that are the first to ask a new one, in
        their order.
    """
    every = range(len(rows.digests))
    offered: dict[bytes | None, int] = dict(zip(rows.digests, every, strict=True))
    if len(offered) < len(every) or None in rows.contents:
        offered = {}
        for place, (digest, content) in enumerate(zip(rows.digests, rows.contents, strict=True)):
            if content is not None:
                offered.setdefault(digest, place)
    places: Sequence[int] = every if len(offered) == len(every) else list(offered.values())
    ids = dict(zip(offered, range(last + 1, last + 1 + len(places)), strict=True))
    with store.transaction() as db:
        # Mostly all of them are new. Writing them finds that out: it looks into the same index as a question would.
        taken = _write_requests(store, rows, places, envelopes, last + 1)
        if taken < len(places) or len(places) < len(rows.digests):
            known = _known(store, list(filter(None, dict.fromkeys(rows.digests))))
            places = [place for place in places if known[rows.digests[place]] == ids[rows.digests[place]]]
            ids = known
        numbers = map(ids.__getitem__, _at(places, rows.digests))
        contents = zip(numbers, _at(places, rows.labels), _at(places, rows.contents), strict=True)
        insert(db, "INSERT INTO contents VALUES {rows}", "(?, ?, ?)", itertools.chain.from_iterable(contents))
        if any(rows.questions):
            later = [each for each in zip(rows.questions, rows.digests, strict=True) if each[0]]
            db.executemany("UPDATE requests SET question = ? WHERE digest = ? AND question IS NULL", later)
    if any(rows.files):
        files.link([(ids[rows.digests[place]], rows.files[place]) for place in places if rows.files[place]])
    return ids, places


def _at(places: Sequence[int], values: Sequence[_T]) -> Sequence[_T]:
    """Return the values at places that ascend."""
    return values if len(places) == len(values) else [values[place] for place in places]


#: As `executemany` would, from the digests one after the other: at half the cost.
_WRITE_ALIKE = f"""
    INSERT INTO requests (id, digest, envelope)
    {EACH_DIGEST} SELECT :first + n, digest, :envelope FROM given WHERE TRUE
    ON CONFLICT (digest) DO NOTHING
"""


def _write_requests(store: Store, rows: Rows, places: Sequence[int], envelopes: Sequence[int], first: int) -> int:
    """Write requests under the numbers from `first`, but for those that are there; count them."""
    digests, slots = _at(places, rows.digests), _at(places, rows.slots)
    with store.transaction() as db:
        if len(set(slots)) == 1:
            values = digest_values(list(filter(None, digests))) | {"first": first, "envelope": envelopes[slots[0]]}
            return db.execute(_WRITE_ALIKE, values).rowcount
        return db.executemany(
            "INSERT INTO requests (id, digest, envelope) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING",
            zip(itertools.count(first), digests, (envelopes[slot] for slot in slots), strict=False),
        ).rowcount


def _known(store: Store, digests: Sequence[bytes]) -> dict[bytes | None, int]:
    """Look up under which numbers the ledger has questions."""
    with store.read() as db:
        found = list(following(db, digests))
        query = f"{EACH_DIGEST} SELECT r.id FROM given CROSS JOIN requests AS r ON r.digest = given.digest ORDER BY n"
        found += [number for (number,) in db.execute(query, digest_values(digests[len(found) :]))]
    if len(found) < len(digests):
        raise ForgottenError
    return dict(zip(digests, found, strict=True))


def following(db: sqlite3.Connection, digests: Sequence[bytes]) -> range:
    """Return the numbers of the first questions of these: as many as the ledger has one after the other in this order.

    So it has those of a frame that was asked before; then none but the first needs to be searched for.
    """
    found = db.execute("SELECT id FROM requests WHERE digest = ?", (digests[0],)).fetchone() if digests else None
    if found is None:
        return range(0)
    first, many = int(found[0]), 0
    query = "SELECT id, digest FROM requests WHERE id BETWEEN ? AND ? ORDER BY id"
    for number, digest in db.execute(query, (first, first + len(digests) - 1)):
        if number != first + many or digest != digests[many]:
            break
        many += 1
    return range(first, first + many)


def runs_of(
    requests: Sequence[int | None], notes: Sequence[str | None], start: int
) -> Iterator[tuple[int, int, int | None, str | None]]:
    """Put rows that follow each other, and ask requests that follow each other, together.

    Parameters
    ----------
    requests : sequence of int or None
        What each row asks.
    notes : sequence of str or None
        Why it asks nothing.
    start : int
        The position of the first.

    Yields
    ------
    tuple
        Position, length, request and note of a run, as in ``job_runs``.
    """
    place, many = 0, len(requests)
    while place < many:
        request = requests[place]
        if request is None:
            yield start + place, 1, None, notes[place]
            place += 1
            continue
        whole = min(LONGEST, many - place)
        # Mostly all of them: then there is no need to look at each.
        length = whole if requests[place : place + whole] == list(range(request, request + whole)) else 1
        if length < whole:
            while length < whole and requests[place + length] == request + length:
                length += 1
        yield start + place, length, request, None
        place += length
