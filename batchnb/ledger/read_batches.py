"""Reading batches: as the ledger knows them, what they hold, and what of it has no answer yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import msgspec

from batchnb.api.heard import Place
from batchnb.ledger.store import Store
from batchnb.questions.replies.base import Reply
from batchnb.questions.replies.reply import reply_from_spec

__all__ = ["BatchReader", "BatchRecord", "BatchRequests"]


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch as the ledger knows it; see ``migrations.py`` for the states."""

    id: int
    server_id: str | None
    state: str
    owner: str
    requests: int
    bytes: int
    intended_at: float
    failed_at: float | None
    created_at: float | None
    expires_at: float | None
    ended_at: float | None
    checked_at: float | None
    processing: int
    succeeded: int
    errored: int
    canceled: int
    expired: int
    cancel_asked: int
    note: str | None
    given_up: int
    standard: int
    cache: str | None = None
    server_at: float | None = None
    skew: float | None = None
    sought_at: float | None = None
    organization: str | None = None
    workspace: str | None = None
    failing_since: float | None = None
    doubted_since: float | None = None
    doubts: int = 0

    @property
    def place(self) -> Place:
        """Where it was sent, as far as that is known."""
        return Place(self.organization, self.workspace)


class BatchRequests(NamedTuple):
    """The requests of a batch, by their digests: each with its number, and with the reply it was asked for."""

    requests: dict[bytes, int]
    replies: dict[bytes, Reply]


_COLUMNS = ", ".join(field.name for field in fields(BatchRecord))


class BatchReader:
    """Reads batches."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, number: int) -> BatchRecord:
        """Return the batch of that number."""
        return self.select("WHERE id = ?", number)[0]

    def of_job(self, job: int) -> list[BatchRecord]:
        """Return the batches that carry a job's requests, oldest first; refused ones are left out."""
        clause = "WHERE id IN (SELECT batch FROM job_batches WHERE job = ?) AND state <> 'refused' ORDER BY id"
        return self.select(clause, job)

    def select(self, clause: str, *values: object) -> list[BatchRecord]:
        """Return the batches that an SQL clause picks."""
        with self._store.read() as db:
            found = db.execute(f"SELECT {_COLUMNS} FROM batches {clause}", values).fetchall()
        return [BatchRecord(*row) for row in found]

    def durations(self, model: str, *, without: int, most: int = 200) -> list[float]:
        """Return how long the newest batches took that ended by themselves, in seconds.

        Parameters
        ----------
        model : str
            Of jobs that ask this model.
        without : int
            A job whose own batches do not count: those of it that have ended are the fast ones.
        most : int
            How many at most.
        """
        query = """
            SELECT ended_at - created_at FROM batches
            WHERE state IN ('ended', 'collected') AND ended_at > created_at AND canceled = 0 AND cancel_asked = 0
            AND NOT standard
            AND id IN (SELECT batch FROM jobs JOIN job_batches ON job = number
                       WHERE json_extract(recipe, '$.shared.model') = :model)
            AND id NOT IN (SELECT batch FROM job_batches WHERE job = :without)
            ORDER BY id DESC LIMIT :most
        """
        with self._store.read() as db:
            found = db.execute(query, {"model": model, "without": without, "most": most})
            return [seconds for (seconds,) in found]

    def find(self, server_id: str) -> BatchRecord | None:
        """Return the batch of that id on the server, or None."""
        return next(iter(self.select("WHERE server_id = ?", server_id)), None)

    def job_of(self, server_id: str) -> tuple[str, str] | None:
        """Return the id and the name of the newest job that a batch of the server carries requests of, or None.

        A pilot, which sends none, may have found answers in it.
        """
        query = """
            SELECT j.id, j.name FROM batches AS b JOIN job_batches ON batch = b.id JOIN jobs AS j ON j.number = job
            WHERE b.server_id = ? ORDER BY json_extract(j.recipe, '$.pilot') IS NOT NULL, j.number DESC LIMIT 1
        """
        with self._store.read() as db:
            found: tuple[str, str] | None = db.execute(query, (server_id,)).fetchone()
            return found

    def known_server_ids(self) -> set[str]:
        """Return the ids of all batches the ledger knows."""
        with self._store.read() as db:
            return {row[0] for row in db.execute("SELECT server_id FROM batches WHERE server_id IS NOT NULL")}

    def are_claimed(self, owner: str) -> bool:
        """Tell whether an owner claims batches whose create call has no answer yet."""
        query = "SELECT 1 FROM batches WHERE owner = ? AND state = 'submitting' LIMIT 1"
        with self._store.read() as db:
            return db.execute(query, (owner,)).fetchone() is not None

    def items(self, number: int) -> Iterator[tuple[str, bytes, bytes, bytes, bytes]]:
        """Read the requests of a batch as (label, digest, head, content, tail)."""
        query = """
            SELECT c.label, r.digest, e.head, c.content, e.tail
            FROM requests AS r JOIN contents AS c ON c.request = r.id JOIN envelopes AS e ON e.id = r.envelope
            WHERE r.batch = ? ORDER BY r.id
        """
        with self._store.read() as db:
            yield from db.execute(query, (number,))

    def betas(self, number: int) -> tuple[str, ...]:
        """Return the beta headers the batch's requests were asked under."""
        with self._store.read() as db:
            found = db.execute(
                "SELECT e.betas FROM requests AS r JOIN envelopes AS e ON e.id = r.envelope WHERE r.batch = ? LIMIT 1",
                (number,),
            ).fetchone()
        return tuple(msgspec.json.decode(found[0])) if found else ()

    def requests_of(self, number: int) -> BatchRequests:
        """Return what a batch holds."""
        used = "id IN (SELECT envelope FROM requests WHERE batch = ?)"
        with self._store.read() as db:
            requests = dict(db.execute("SELECT digest, id FROM requests WHERE batch = ?", (number,)))
            specs = db.execute(f"SELECT id, reply FROM envelopes WHERE {used}", (number,)).fetchall()
            replies = {envelope: reply_from_spec(msgspec.json.decode(spec)) for envelope, spec in specs}
            if len(replies) == 1:  # as mostly
                return BatchRequests(requests, dict.fromkeys(requests, *replies.values()))
            envelopes = db.execute("SELECT digest, envelope FROM requests WHERE batch = ?", (number,))
            return BatchRequests(requests, {digest: replies[envelope] for digest, envelope in envelopes})

    def unanswered(self, number: int) -> int:
        """Count the requests of a batch that have no answer."""
        query = """
            SELECT COUNT(*) FROM requests AS r WHERE r.batch = ?
            AND NOT EXISTS (SELECT 1 FROM answers AS a WHERE a.request = r.id)
        """
        with self._store.read() as db:
            first, last, requests = db.execute(
                "SELECT MIN(id), MAX(id), COUNT(*) FROM requests WHERE batch = ?", (number,)
            ).fetchone()
            if requests and last - first + 1 == requests:  # what lies together is counted sooner than looked at
                answered = "SELECT COUNT(*) FROM answers WHERE request BETWEEN ? AND ?"
                return int(requests - db.execute(answered, (first, last)).fetchone()[0])
            return int(db.execute(query, (number,)).fetchone()[0])

    def only_of_job(self, job: int) -> list[str]:
        """Return the server's ids of the batches that carry requests of this job alone."""
        query = """
            SELECT server_id FROM batches WHERE server_id IS NOT NULL
            AND id IN (SELECT batch FROM job_batches WHERE job = :job)
            AND id NOT IN (SELECT batch FROM job_batches WHERE job <> :job)
        """
        with self._store.read() as db:
            return [row[0] for row in db.execute(query, {"job": job})]
