"""A ledger that was copied, or restored from a backup, while work was open: it must not send what its other half sends.

A file is told from its copy by its number on the disk (inode), which a rename keeps and a copy does not have.
"""

from __future__ import annotations

from batchnb.ledger.batches import Batches
from batchnb.ledger.store import Store
from batchnb.ledger.terms import UNSENT

__all__ = ["COPIED", "hold_back_copied"]

#: Why rows of a copied ledger wait.
COPIED = (
    "This ledger is a copy, or was restored from a backup: where the other one goes on, these rows may be sent there "
    'too. batchnb.recover() takes back what has been answered; then job.resolve("send") sends the rest from here, and '
    'job.resolve("drop") gives it up.'
)


def hold_back_copied(store: Store, batches: Batches) -> int:
    """If the file is a copy, have all that its other half may send too wait for a decision; count those requests.

    What waits to be sent is put into a lost batch, what is being sent is lost, and open jobs retry nothing by
    themselves.
    """
    number = str(store.path.stat().st_ino)
    with store.transaction(durable=True) as db:
        db.execute("INSERT OR IGNORE INTO meta VALUES ('file', ?)", (number,))
        if not db.execute(
            "UPDATE meta SET value = :file WHERE name = 'file' AND value <> :file", {"file": number}
        ).rowcount:
            return 0
        for job, created_at in db.execute("SELECT number, created_at FROM jobs WHERE state = 'open'").fetchall():
            put = db.execute(
                "INSERT INTO batches (state, owner, requests, bytes, intended_at, note)"
                f" SELECT 'submitting', '', COUNT(DISTINCT r.id), 0, :at, NULL {UNSENT} HAVING COUNT(r.id) > 0",
                {"job": job, "at": created_at},
            )
            if put.rowcount > 0:
                db.execute(
                    f"UPDATE requests SET batch = :batch WHERE id IN (SELECT r.id {UNSENT})",
                    {"batch": put.lastrowid, "job": job},
                )
        held = db.execute("SELECT id, requests FROM batches WHERE state IN ('submitting', 'uncertain')").fetchall()
        for batch, _ in held:
            batches.lose(batch, COPIED, final=True)
        db.execute(
            "INSERT OR IGNORE INTO job_batches SELECT DISTINCT j.job, r.batch FROM job_rows AS j"
            " JOIN requests AS r ON r.id = j.request JOIN batches AS b ON b.id = r.batch WHERE b.state = 'lost'"
        )
        db.execute("UPDATE jobs SET retries = 0 WHERE state = 'open'")
        return sum(requests for _, requests in held)
