"""Reading jobs: as the ledger knows them, and what of their questions would be sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from batchnb.costs.delivery import Delivery
from batchnb.errors import JobNotFoundError
from batchnb.ledger.bulk import EACH_DIGEST, digest_values
from batchnb.ledger.counts import Tallies
from batchnb.ledger.fragments import WAITING
from batchnb.ledger.retries import RELEASES
from batchnb.ledger.store import Store
from batchnb.ledger.write_rows import following
from batchnb.questions.rows import chunks
from batchnb.questions.spec import RecipeSpec

__all__ = ["JobReader", "JobRecord"]


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as the ledger knows it. `rows` are those of its frame, however many samples there are of each."""

    number: int
    id: str
    name: str
    state: str
    recipe: RecipeSpec
    delivery: Delivery
    rows: int
    reused: int
    batch_size: int
    max_bytes: int
    retries: int
    created_at: float
    ended_at: float | None
    note: str | None
    canceled: int = 0

    @property
    def rule(self) -> str:
        """Which failed answers may be asked again by running its cell: see :data:`batchnb.ledger.retries.RELEASES`."""
        return "canceled" if self.canceled else "run"


class JobReader:
    """Reads jobs."""

    def __init__(self, store: Store, tallies: Tallies) -> None:
        self._store = store
        self._tallies = tallies

    def get(self, job_id: str) -> JobRecord:
        """Return a job, or raise JobNotFoundError."""
        found = self.find(job_id)
        if found is None:
            raise JobNotFoundError(f"There is no job {job_id!r} in this ledger. batchnb.jobs() lists those there are.")
        return found

    def find(self, job_id: str) -> JobRecord | None:
        """Return a job, or None."""
        return next(self._select("WHERE id = ?", job_id), None)

    def by_number(self, number: int) -> JobRecord:
        """Return the job of that number, or raise JobNotFoundError."""
        found = next(self._select("WHERE number = ?", number), None)
        if found is None:
            raise JobNotFoundError(f"Job number {number} is no longer in this ledger: it was deleted.")
        return found

    def all(self) -> list[JobRecord]:
        """Return all jobs, newest first."""
        return list(self._select("ORDER BY number DESC"))

    def _select(self, clause: str, *values: object) -> Iterator[JobRecord]:
        columns = (
            "number, id, name, state, recipe, delivery, rows, reused, batch_size, max_bytes, retries, created_at,"
            " ended_at, note, canceled"
        )
        with self._store.read() as db:
            found = db.execute(f"SELECT {columns} FROM jobs {clause}", values).fetchall()
        for number, job_id, name, state, recipe, delivery, *rest in found:
            how = msgspec.json.decode(delivery, type=Delivery)
            yield JobRecord(number, job_id, name, state, RecipeSpec.read(recipe), how, *rest)

    def unsent(self, digests: Iterable[bytes], job: JobRecord | None = None) -> Iterator[bytes]:
        """Pick the questions that would be sent: nobody has asked them, or they may be asked again by running a cell.

        Parameters
        ----------
        digests : iterable of bytes
            The questions.
        job : JobRecord, optional
            The one that these are all of, where the same cell ran before; else they would be those of a new one.
        """
        if job is not None and self._has_all(job.number):
            return
        again = RELEASES["run" if job is None else job.rule]
        is_asked = f"""
            CASE WHEN r.batch IS NULL
                 THEN EXISTS (SELECT 1 FROM answers AS a WHERE a.request = r.id AND NOT ({again}))
                 -- What a batch holds is asked again only for an answer that none gave.
                 ELSE NOT EXISTS (SELECT 1 FROM answers AS a INDEXED BY answers_without_batch
                                  WHERE a.batch IS NULL AND a.request = r.id AND ({again})) END
        """
        known = f"{EACH_DIGEST} SELECT r.digest FROM given CROSS JOIN requests AS r ON r.digest = given.digest"
        searched = f"{known} WHERE {is_asked}"
        with self._store.read() as db:
            recovered = db.execute("SELECT 1 FROM recovered LIMIT 1").fetchone() is not None
        if recovered:
            searched += " UNION ALL SELECT r.digest FROM given CROSS JOIN recovered AS r ON r.digest = given.digest"
        near = f"SELECT r.digest FROM requests AS r WHERE r.id BETWEEN ? AND ? AND NOT {is_asked} ORDER BY r.id"
        for chunk in chunks(digests):
            with self._store.read() as db:
                together = range(0) if recovered else following(db, chunk)
                waiting = db.execute(near, (together.start, together.stop - 1)).fetchall()
                rest = chunk[len(together) :]
                asked = {digest for (digest,) in db.execute(searched, digest_values(rest))}
            yield from (digest for (digest,) in waiting)
            yield from (digest for digest in rest if digest not in asked) if asked else rest

    def _has_all(self, number: int) -> bool:
        """Tell whether all that a job asks is asked, and nothing failed: then there is no need to look at each row."""
        with self._store.read() as db:
            waits = db.execute(f"SELECT 1 {WAITING} LIMIT 1", {"job": number}).fetchone() is not None
        return not waits and not self._tallies.has_failed(number)

    def for_column(self, column: str, into: str, most: int = 10) -> list[JobRecord]:
        """Return the newest jobs about a column that gave the same new column, newest first."""
        clause = (
            "WHERE json_extract(recipe, '$.column') = ? AND json_extract(recipe, '$.into') = ?"
            " ORDER BY number DESC LIMIT ?"
        )
        return list(self._select(clause, column, into, most))
