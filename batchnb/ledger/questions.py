"""Writing what a job's rows ask: the questions that are new, and the rows themselves, run by run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from batchnb.ledger.askings import chunks, marks
from batchnb.ledger.files import Files
from batchnb.ledger.store import Store
from batchnb.ledger.terms import LONGEST
from batchnb.media import Medium
from batchnb.requests import Content

__all__ = ["ForgottenError", "Row", "Written", "runs_of", "write_rows"]


class Row(NamedTuple):
    """A row of a frame, or one of its samples, as it enters the ledger: a question, or the reason why there is none.

    `question` is the digest under which it was asked for the first time, where `digest` is a later asking. `files` are
    those that the request names by their content, its own and those that all rows share. `content` may be left out of a
    question that the ledger has.
    """

    digest: bytes | None
    content: Content | None
    envelope: int
    label: str
    key: str | None
    note: str | None
    question: bytes | None = None
    files: tuple[Medium, ...] = ()

    def under(self, digest: bytes | None) -> Row:
        """Give the row as it asks under the digest that was chosen for it: its own, or that of a later asking."""
        return self if digest == self.digest else self._replace(digest=digest, question=self.digest)


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
    old : bool
        Whether some ask what was known before.
    repeats : bool
        Whether two may ask the same.
    """

    rows: int = 0
    asked: int = 0
    fresh: int = 0
    old: bool = False
    repeats: bool = False


def write_rows(
    store: Store, files: Files, job: int, rows: Iterable[Row], envelopes: Sequence[int], *, samples: int, size: int
) -> Written:
    """Write a job's rows, `size` at a time, and the questions that nobody has asked yet.

    Parameters
    ----------
    store, files
        Where to.
    job : int
        The job's number.
    rows : iterable of Row
        What they ask; each comes once for every sample.
    envelopes : sequence of int
        The ledger's numbers of the envelopes that `Row.envelope` counts.
    samples : int
        How often each row is asked.
    size : int
        How many are written at a time.

    Raises
    ------
    ForgottenError
        A question is to be written whose content was left out.
    """
    written = Written()
    highest, last_fresh = 0, -1
    with store.transaction() as db:
        start = last = db.execute("SELECT COALESCE(MAX(id), 0) FROM requests").fetchone()[0]
        for chunk in chunks(rows, size):
            ids, new = _write_new(store, files, chunk, envelopes, last)
            last = max([last, *(ids[chunk[place].digest or b""] for place in new[-1:])])
            _write_askings(store, chunk)
            requests = [None if row.digest is None else ids[row.digest] for row in chunk]
            runs = list(runs_of(requests, [row.note for row in chunk], written.rows))
            db.executemany("INSERT INTO job_runs VALUES (?, ?, ?, ?, ?)", [(job, *run) for run in runs])
            keys = [(job, place, row.key) for place, row in enumerate(chunk, written.rows) if row.key is not None]
            db.executemany("INSERT INTO job_keys VALUES (?, ?, ?)", keys)
            fresh = dict.fromkeys((written.rows + place) // samples for place in new)
            written.fresh += len(fresh) - (last_fresh in fresh)  # the samples of one row may lie in two chunks
            last_fresh = max(fresh, default=last_fresh)
            written.rows += len(chunk)
            written.asked += len(chunk) - requests.count(None)
            for _, length, request, _ in runs:
                if request is not None:
                    written.old |= request <= start
                    written.repeats |= request <= highest
                    highest = max(highest, request + length - 1)
    return written


def _write_new(
    store: Store, files: Files, rows: Sequence[Row], envelopes: Sequence[int], last: int
) -> tuple[dict[bytes, int], list[int]]:
    """Write the questions that are new, under the numbers after `last`.

    Returns
    -------
    tuple
        The number of each question of the rows; and the places of the rows that are the first to ask a new one, in
        their order.
    """
    offered: dict[bytes, int] = {}
    for place, row in enumerate(rows):
        if row.content is not None and row.digest is not None:
            offered.setdefault(row.digest, place)
    numbered = [(number, rows[place]) for number, place in enumerate(offered.values(), last + 1)]
    with store.transaction() as db:
        # Mostly all of them are new. Writing them finds that out: it looks into the same index as a question would.
        taken = db.executemany(
            "INSERT INTO requests (id, digest, envelope, question) VALUES (?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING",
            [(number, row.digest, envelopes[row.envelope], row.question) for number, row in numbered],
        ).rowcount
        ids = {digest: number for number, digest in enumerate(offered, last + 1)}
        if taken < len(offered) or len(offered) < len(rows):
            known = _known(store, {row.digest for row in rows if row.digest is not None})
            numbered = [(number, row) for number, row in numbered if row.digest and known[row.digest] == number]
            ids = known
        db.executemany(
            "INSERT INTO contents VALUES (?, ?, ?)",
            [(number, row.label, row.content.sent) for number, row in numbered if row.content is not None],
        )
    named = [(number, row.files) for number, row in numbered if row.files]
    if named:
        files.link(named)
    return ids, [offered[row.digest] for _, row in numbered if row.digest is not None]


def _known(store: Store, digests: Set[bytes]) -> dict[bytes, int]:
    """Look up under which numbers the ledger has questions."""
    with store.read() as db:
        query = f"SELECT digest, id FROM requests WHERE digest IN ({marks(len(digests))})"
        found: dict[bytes, int] = dict(db.execute(query, list(digests)).fetchall())
    if len(found) < len(digests):
        raise ForgottenError
    return found


def _write_askings(store: Store, rows: Sequence[Row]) -> None:
    """Note of questions that were known which asking of another one they are."""
    later = [(row.question, row.digest) for row in rows if row.question is not None]
    if later:
        with store.transaction() as db:
            db.executemany("UPDATE requests SET question = ? WHERE digest = ? AND question IS NULL", later)


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
