"""What a person decides: to cancel a job, to send what was lost again, to give it up, to have it looked for again."""

from __future__ import annotations

from batchnb.errors import JobStateError
from batchnb.ledger.batches import Batches
from batchnb.ledger.fragments import ATTACHED, LIVE, held, wants
from batchnb.ledger.store import Store
from batchnb.ledger.wants import cancel, cancel_unsent, give_up_unsent, go_on, want

__all__ = ["Decisions"]


class Decisions:
    """Records decisions about the batches of a job."""

    def __init__(self, store: Store, batches: Batches) -> None:
        self._store = store
        self._batches = batches

    def look_again(self, job: int) -> bool:
        """Bring back a job's lost batches for one more look, where the server may tell more now; tell if there are any.

        The wrong workspace's key, for one, makes every batch seem lost.
        """
        lost = (
            "SELECT id FROM batches WHERE state = 'lost' AND given_up = 1"
            " AND id IN (SELECT batch FROM job_batches WHERE job = ?)"
        )
        with self._store.transaction(durable=True) as db:
            # Whoever has rows in them waits again, also another job that had ended; a canceled one for their end alone.
            go_on(db, f"state = 'ended' AND number IN (SELECT job FROM job_batches WHERE batch IN ({lost}))", job)
            found = db.execute(
                # One that has brought answers had ended.
                "UPDATE batches SET state = CASE WHEN server_id IS NULL THEN 'uncertain' WHEN EXISTS (SELECT 1 FROM"
                " requests AS r JOIN answers AS a ON a.request = r.id WHERE r.batch = batches.id) THEN 'ended'"
                f" ELSE 'in_progress' END, note = NULL WHERE id IN ({lost})",
                (job,),
            )
            return found.rowcount > 0

    def resolve(self, job: int, *, send: bool) -> int:
        """Let a job's rows of lost batches be sent again, or give the batches up; count the requests concerned.

        Lost, too, are those of which the server gives no answer that could be used.
        """
        with self._store.transaction(durable=True) as db:
            # A decision also ends the look that attaching a job, or running its cell, takes at what was given up.
            db.execute(
                "UPDATE batches SET state = 'lost' WHERE (given_up = 1 OR failing_since IS NOT NULL)"
                f" AND state IN {LIVE}"
                " AND id IN (SELECT batch FROM job_batches WHERE job = ?)",
                (job,),
            )
            # Those that still hold rows of it. One that was attached may have shown none yet.
            lost = self._batches.select(
                "WHERE state = 'lost' AND id IN (SELECT batch FROM job_batches WHERE job = ?)"
                " AND (owner = ? OR EXISTS (SELECT 1 FROM job_requests AS j JOIN requests AS r ON r.id = j.request"
                " WHERE j.job = ? AND r.batch = batches.id))",
                job, ATTACHED, job,
            )  # fmt: skip
            if send and any(batch.owner == ATTACHED for batch in lost):
                raise JobStateError(
                    "This batch was made elsewhere, and what it asked is not known here, so it cannot be sent again. "
                    'resolve("drop") gives its rows up.'
                )
            decided = 0
            for batch in lost:
                if send:
                    decided += self._send_again(batch.id, job)
                else:
                    self._batches.collected(batch.id)
                    decided += batch.requests
            if lost:
                go_on(db, "number = ?", job)
            return decided

    def give_up_unsent(self, job: int) -> int:
        """Count what a job has not sent yet as canceled, unless another open one wants it; tell how much that is."""
        with self._store.transaction(durable=True) as db:
            return give_up_unsent(db, job)

    def _send_again(self, number: int, job: int) -> int:
        """Return back what a lost batch has not answered of a job's, and count it.

        Another job's rows wait for its own decision, or for a look that finds the batch: it still counts as one of as
        many requests as were sent.
        """
        with self._store.transaction(durable=True) as db:
            again = db.execute(
                "SELECT id FROM requests WHERE batch = ? AND id NOT IN (SELECT request FROM answers)"
                " AND id IN (SELECT request FROM job_requests WHERE job = ?)",
                (number, job),
            ).fetchall()
            want(db, job, again)
            db.executemany("UPDATE requests SET batch = NULL WHERE id = ?", again)
            if self._batches.unanswered(number) == 0:
                # What was read of it before it was lost is final now.
                db.execute(
                    "UPDATE batches SET processing = 0, state = CASE WHEN EXISTS"
                    " (SELECT 1 FROM requests WHERE batch = :n) THEN 'collected' ELSE 'refused' END WHERE id = :n",
                    {"n": number},
                )
            return len(again)

    def cancel(self, job: int) -> None:
        """Cancel a job: nothing more of it is sent, and batches that no other open job needs are to be canceled."""
        with self._store.transaction(durable=True) as db:
            cancel(db, job)
            cancel_unsent(db)
            mine = db.execute(
                "SELECT b.id FROM job_batches JOIN batches AS b ON b.id = batch WHERE job = ?"
                " AND b.state IN ('submitting', 'uncertain', 'in_progress')",
                (job,),
            ).fetchall()
            open_too = (
                "SELECT 1 FROM job_batches JOIN jobs AS k ON k.number = job AND k.state = 'open'"
                f" WHERE batch = :batch AND EXISTS (SELECT 1 {held(job='k.number')} AND {wants('r.id')})"
            )
            for (batch,) in mine:
                if db.execute(open_too, {"batch": batch}).fetchone() is None:
                    db.execute("UPDATE batches SET cancel_asked = 1 WHERE id = ?", (batch,))
