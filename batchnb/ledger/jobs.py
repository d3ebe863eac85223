"""What becomes of a job: recorded with its rows, ended, opened again for what is to be asked again, deleted."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from batchnb.costs.delivery import Delivery
from batchnb.errors import JobStateError
from batchnb.ledger.counts import Tallies
from batchnb.ledger.elsewhere import Foreign
from batchnb.ledger.files import Files
from batchnb.ledger.fragments import ATTACHED, LINK, LIVE, UNSENT, held
from batchnb.ledger.read_jobs import JobReader, JobRecord
from batchnb.ledger.retries import RELEASES
from batchnb.ledger.store import Store
from batchnb.ledger.wants import go_on, want, want_everything, want_rest
from batchnb.ledger.write_rows import write_rows
from batchnb.questions.envelope import Envelope
from batchnb.questions.rows import Rows
from batchnb.questions.spec import RecipeSpec

__all__ = ["Jobs", "NewJob"]


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job about to be recorded. `recipe` tells all that is needed to ask the same again.

    `asking` is the digest of what it asks, where it asks once more by ``fresh=True``.
    """

    id: str
    name: str
    recipe: RecipeSpec
    envelopes: tuple[tuple[Envelope, tuple[str, ...], dict[str, Any]], ...]
    batch_size: int
    max_bytes: int
    retries: int
    asking: bytes | None = None
    delivery: Delivery = field(default_factory=Delivery)


class Jobs(JobReader):
    """Reads jobs, records them, and says when they end."""

    def __init__(self, store: Store, foreign: Foreign, files: Files, tallies: Tallies) -> None:
        super().__init__(store, tallies)
        self._foreign = foreign
        self._files = files

    def create(self, job: NewJob, rows: Iterable[Rows], now: float) -> JobRecord:
        """Record a job, its rows, and the questions nobody has asked yet, in one durable transaction.

        A job of the same id is given back, with its name, batch size, retries and delivery as they are now: two
        kernels running one cell share it. If it was canceled, it wants again what is still to be answered.

        Raises
        ------
        LedgerError
            It cannot be recorded, or would not be found again: the ledger was moved or deleted while in use.
        """
        self._store.require_in_place()
        with self._store.transaction(durable=True) as db:
            found = self.find(job.id)
            delivery = msgspec.json.encode(job.delivery).decode()
            if found is not None:
                db.execute(
                    "UPDATE jobs SET name = ?, batch_size = ?, retries = ?, delivery = ? WHERE number = ?",
                    (job.name, job.batch_size, job.retries, delivery, found.number),
                )
                if found.canceled:
                    want_rest(db, found.number)
                return self.by_number(found.number)
            number = db.execute(
                "INSERT INTO jobs (id, name, state, recipe, rows, reused, batch_size, max_bytes, retries, created_at,"
                " delivery) VALUES (?, ?, 'open', ?, 0, 0, ?, ?, ?, ?, ?)",
                (job.id, job.name, job.recipe.json, job.batch_size, job.max_bytes,
                 job.retries, now, delivery),
            ).lastrowid  # fmt: skip
            assert number is not None  # noqa: S101  # SQLite gives every inserted row a number
            if job.asking is not None:
                tag = int(job.recipe.replicate.removeprefix("#"))
                db.execute("INSERT INTO fresh VALUES (?, ?, ?)", (job.asking, tag, number))
            envelopes = [self._envelope(*envelope) for envelope in job.envelopes]
            samples = job.recipe.samples
            written = write_rows(self._store, self._files, number, rows, envelopes, samples=samples)
            # The row that is the first to ask something new is not reused; an equal one after it is.
            new = written.fresh
            if self._foreign.use_recovered():
                new = db.execute(
                    "SELECT COUNT(DISTINCT first) FROM (SELECT MIN(position) / ? AS first FROM job_requests"
                    " WHERE job = ? AND request > ? AND request NOT IN (SELECT request FROM answers) GROUP BY request)",
                    (samples, number, written.known),
                ).fetchone()[0]
            db.execute(
                "UPDATE jobs SET rows = ?, reused = ?, repeats = ? WHERE number = ?",
                (written.rows // samples, written.asked // samples - new, written.repeats, number),
            )
            if written.old or new < written.fresh:
                db.execute(f"{LINK} WHERE u.job = ?", (number,))
                self._tallies.keep_all(number)
        return self.by_number(number)

    def _envelope(self, envelope: Envelope, betas: tuple[str, ...], reply: dict[str, Any]) -> int:
        parts = (envelope.head, envelope.tail, msgspec.json.encode(betas), msgspec.json.encode(reply))
        digest = hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).digest()
        with self._store.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO envelopes (digest, head, tail, betas, reply) VALUES (?, ?, ?, ?, ?)",
                (digest, parts[0], parts[1], parts[2].decode(), parts[3].decode()),
            )
            return int(db.execute("SELECT id FROM envelopes WHERE digest = ?", (digest,)).fetchone()[0])

    def settle(self, number: int, now: float, *, held_back: str | None = None) -> bool:
        """End a job that has no row left to wait for; tell whether it has ended.

        It does not wait for what is not sent yet where only another job wants that; nor where its rows are `held_back`
        by its ``max_cost``, given as it was when that was found out.
        Rows of a lost batch stay ``pending`` but are not waited for: they need a decision. Nor does it end while some
        of its failed rows are to be asked again by themselves: `release` is to come first.
        """
        unsent = f"""
            SELECT 1 FROM jobs WHERE number = :job
            AND (:held_back IS NULL OR json_extract(delivery, '$.max_cost') IS NOT :held_back)
            AND EXISTS (SELECT 1 {UNSENT})
        """
        live = f"""
            SELECT b.id FROM job_batches AS k JOIN batches AS b ON b.id = k.batch
            WHERE k.job = :job AND b.state IN {LIVE} AND (EXISTS (
                SELECT 1 {held(batch="b.id")} AND NOT EXISTS
                (SELECT 1 FROM answers AS a WHERE a.request = r.id)
            ) OR b.owner = '{ATTACHED}' AND b.server_id = (SELECT id FROM jobs WHERE number = :job)) LIMIT 1
        """
        values = {"job": number, "held_back": held_back}

        def waits(db: sqlite3.Connection) -> bool:
            return any(db.execute(query, values).fetchone() for query in (live, unsent))

        with self._store.read() as db:
            if waits(db):  # as mostly
                return False
        # Durable, so that all that a job has brought is on the disk when it shows as ended.
        with self._store.transaction(durable=True) as db:
            if waits(db):
                return False
            _collect_answered(db, "state = 'ended' AND id IN (SELECT batch FROM job_batches WHERE job = ?)", number)
            if self.by_number(number).state == "open" and self._releasable(db, number, "auto"):
                return False
            ended = db.execute(
                "UPDATE jobs SET state = 'ended', ended_at = ? WHERE number = ? AND state <> 'ended'", (now, number)
            )
            if ended.rowcount:
                self._tallies.keep_all(number)
            return True

    def reopen(self, number: int) -> None:
        """Have an ended job go on: rows it shares with another job were let go to be asked again, and still wait."""
        with self._store.transaction(durable=True) as db:
            go_on(db, "number = ? AND state = 'ended'", number)

    def release(self, number: int, rule: str) -> int:
        """Let failed requests of a job be sent again, and count them.

        Parameters
        ----------
        rule : {"auto", "canceled", "run", "retry", "all"}
            Which, see ``RELEASES``. Paid answers are never among them. By the last two, what a canceled job no longer
            wanted is sent again, too, and counts.
        """
        of_all = rule in ("retry", "all")
        if not (self._tallies.has_failed(number) or (of_all and self.by_number(number).canceled)):
            return 0  # as mostly: then there is no need to look at each row
        with self._store.transaction(durable=True) as db:
            chosen = self._releasable(db, number, rule)
            unwanted = want_everything(db, number) if of_all else 0
            if chosen:
                want(db, number, chosen)
                db.executemany("DELETE FROM answers WHERE request = ?", chosen)
                # Only what is asked again by itself uses up the job's retries.
                attempts = "attempts + 1" if rule == "auto" else "attempts"
                db.executemany(f"UPDATE requests SET batch = NULL, attempts = {attempts} WHERE id = ?", chosen)
            if chosen or unwanted:
                db.execute(
                    "UPDATE jobs SET state = 'open', ended_at = NULL, note = NULL WHERE number = ?",
                    (number,),
                )
            return len(chosen) + unwanted

    def _releasable(self, db: sqlite3.Connection, number: int, rule: str) -> list[tuple[int]]:
        values = {"job": number, "retries": self.by_number(number).retries}
        return db.execute(
            "SELECT DISTINCT r.id FROM jobs AS k CROSS JOIN job_requests AS j ON j.job = k.number"
            " JOIN requests AS r ON r.id = j.request"
            " JOIN answers AS a ON a.request = r.id LEFT JOIN batches AS b ON b.id = a.batch"
            # While a batch's results are still being read, its answers are not final.
            " WHERE k.number = :job AND (b.id IS NULL OR b.state = 'collected')"
            f" AND b.owner IS NOT '{ATTACHED}' AND ({RELEASES[rule]})",
            values if rule == "auto" else {"job": number},
        ).fetchall()

    def note(self, number: int, note: str | None) -> None:
        """Keep what a person should know of a job now."""
        with self._store.transaction(rows=False) as db:
            db.execute("UPDATE jobs SET note = ? WHERE number = ?", (note, number))

    def limit_batches(self, number: int, *, max_bytes: int) -> None:
        """Make a job's further batches smaller: the server has refused one for its size."""
        with self._store.transaction() as db:
            db.execute("UPDATE jobs SET max_bytes = ? WHERE number = ?", (max_bytes, number))

    def delete(self, *numbers: int) -> None:
        """Remove jobs, and the requests and answers no other job has; their space is given back to the disk.

        Raises
        ------
        JobStateError
            One of them has not ended. Nothing is deleted.
        """
        with self._store.transaction(durable=True, cascade=True) as db:
            if any(self.by_number(number).state != "ended" for number in numbers):
                raise JobStateError(
                    "The job goes on again: it was retried, or its cell run again. Nothing was deleted."
                )
            db.executemany("DELETE FROM jobs WHERE number = ?", [(number,) for number in numbers])
            # In a table, since there may be a million.
            db.execute(
                "CREATE TEMP TABLE orphans AS SELECT id, digest FROM requests"
                " WHERE id NOT IN (SELECT request FROM job_requests)"
            )
            db.execute("DELETE FROM answers WHERE request IN (SELECT id FROM orphans)")
            db.execute("DELETE FROM recovered WHERE digest IN (SELECT digest FROM orphans)")
            db.execute("DELETE FROM contents WHERE request IN (SELECT id FROM orphans)")
            db.execute("DELETE FROM requests WHERE id IN (SELECT id FROM orphans)")
            db.execute("DROP TABLE orphans")
            # What was waited for of a lost batch may have gone with the job.
            _collect_answered(db, "state = 'lost'")
            self._files.tidy()
            # One that the server has stays known, empty as it is: when the same is asked again and the answer to the
            # create is lost, it must not be taken for the new one.
            db.execute("DELETE FROM batches WHERE server_id IS NULL AND id NOT IN (SELECT batch FROM job_batches)"
                       " AND id NOT IN (SELECT batch FROM requests WHERE batch IS NOT NULL) AND id NOT IN"
                       " (SELECT batch FROM answers WHERE batch IS NOT NULL)")  # fmt: skip
        self._store.give_back()


def _collect_answered(db: sqlite3.Connection, which: str, *values: object) -> None:
    """Close the batches, of those that a WHERE picks, of which each request has its answer.

    Who read the last one may have been killed before it closed the batch; and what failed is asked again only of those
    that are closed. Not of those made elsewhere, whose requests are known as they are read.
    """
    db.execute(
        f"UPDATE batches SET state = 'collected', processing = 0, note = NULL WHERE {which} AND owner <> '{ATTACHED}'"
        " AND EXISTS (SELECT 1 FROM answers WHERE batch = batches.id) AND NOT EXISTS (SELECT 1 FROM requests"
        " AS r WHERE r.batch = batches.id AND r.id NOT IN (SELECT request FROM answers))",
        values,
    )
