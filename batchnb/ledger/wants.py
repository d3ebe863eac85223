"""What jobs want to have sent: told for each job and request, since jobs share requests and are canceled one by one.

A job wants all that it asks, until it is canceled: then nothing. What is asked again of a canceled job, by a decision
or by running its cell, is kept request by request (``wanted``); ``retry()`` has it want everything again. So whatever
becomes of a batch, also by a decision about another job, what a canceled job asks goes out only if somebody wants it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from batchnb.ledger.fragments import LIVE, RUN, UNPAID_ANSWER, UNSENT, WAITING, wants

__all__ = ["cancel", "cancel_unsent", "give_up_unsent", "go_on", "want", "want_everything", "want_rest"]

_OF_JOBS = "SELECT r.request FROM jobs AS k CROSS JOIN job_requests AS r ON r.job = k.number WHERE"

#: Answer what waits to be sent, and nobody wants any more.
_CANCEL_UNSENT = f"""
    {UNPAID_ANSWER} SELECT id, NULL, 'canceled', 'canceled', CAST('{{"type":"canceled"}}' AS BLOB) FROM requests
    WHERE batch IS NULL AND id NOT IN (SELECT request FROM answers)
    AND id IN ({_OF_JOBS} k.canceled AND k.state <> 'ended')
    AND id NOT IN ({_OF_JOBS} k.state = 'open' AND {wants("r.request")})
"""

#: Answer what a job (:job) wants sent, and no other open job does.
_GIVE_UP_UNSENT = f"""
    {UNPAID_ANSWER} SELECT DISTINCT r.id, NULL, 'canceled', 'canceled', CAST('{{"type":"canceled"}}' AS BLOB) {UNSENT}
    AND r.id NOT IN ({_OF_JOBS} k.number <> :job AND k.state = 'open' AND {wants("r.request")})
"""

#: What a job (:job) asks that has no answer, unless a batch holds it that is being canceled.
_REST = f"""
    SELECT DISTINCT u.job, r.id FROM job_runs AS u CROSS JOIN requests AS r ON {RUN}
    LEFT JOIN batches AS b ON b.id = r.batch AND b.cancel_asked AND b.state IN {LIVE}
    WHERE u.job = :job AND b.id IS NULL AND NOT EXISTS (SELECT 1 FROM answers AS a WHERE a.request = r.id)
"""


def cancel(db: sqlite3.Connection, job: int) -> None:
    """Have an open job want nothing more."""
    done = db.execute("UPDATE jobs SET state = 'canceling', canceled = 1 WHERE number = ? AND state = 'open'", (job,))
    if done.rowcount:
        db.execute("DELETE FROM wanted WHERE job = ?", (job,))


def cancel_unsent(db: sqlite3.Connection) -> None:
    """Answer what waits to be sent, and only canceled jobs wanted."""
    if db.execute("SELECT 1 FROM jobs WHERE canceled AND state <> 'ended' LIMIT 1").fetchone() is not None:
        db.execute(_CANCEL_UNSENT)


def give_up_unsent(db: sqlite3.Connection, job: int) -> int:
    """Have a job want nothing more sent but what is in a batch, if that fails; tell how much was given up.

    That is answered as canceled, where no other open job wants it, and stays so until ``retry()``.
    """
    given_up = db.execute(_GIVE_UP_UNSENT, {"job": job}).rowcount
    db.execute("UPDATE jobs SET canceled = 1 WHERE number = ? AND NOT canceled", (job,))
    db.execute("DELETE FROM wanted WHERE job = ?", (job,))
    db.execute(f"INSERT OR IGNORE INTO wanted (job, request) {_REST} AND r.batch IS NOT NULL", {"job": job})
    return given_up


def go_on(db: sqlite3.Connection, which: str, *values: object) -> None:
    """Have jobs go on, those that a WHERE picks: open, or where they want nothing, until the server lets go of it."""
    db.execute(
        "UPDATE jobs SET ended_at = NULL, state = CASE WHEN canceled AND NOT EXISTS"
        f" (SELECT 1 FROM wanted WHERE job = jobs.number) THEN 'canceling' ELSE 'open' END WHERE {which}",
        values,
    )


def want(db: sqlite3.Connection, job: int, requests: Iterable[tuple[int]]) -> None:
    """Have a job want requests of its own again, where it was canceled."""
    db.executemany(
        "INSERT OR IGNORE INTO wanted (job, request) SELECT number, ? FROM jobs WHERE number = ? AND canceled",
        [(request, job) for (request,) in requests],
    )


def want_rest(db: sqlite3.Connection, job: int) -> None:
    """Have a job that was canceled, and whose cell runs again, want what is still to be answered.

    What was answered as canceled stays so until ``retry()``, and what is being canceled ends.
    """
    db.execute(f"INSERT OR IGNORE INTO wanted (job, request) {_REST}", {"job": job})
    go_on(db, "number = ? AND state = 'canceling'", job)


def want_everything(db: sqlite3.Connection, job: int) -> int:
    """Have a job want all that it asks, as if it had never been canceled; count what waits to be sent by that."""

    def count(waiting: str) -> int:
        return int(db.execute(f"SELECT COUNT(DISTINCT r.id) {waiting}", {"job": job}).fetchone()[0])

    unwanted = count(WAITING) - count(UNSENT)
    db.execute("UPDATE jobs SET canceled = 0 WHERE number = ?", (job,))
    db.execute("DELETE FROM wanted WHERE job = ?", (job,))
    go_on(db, "number = ? AND state = 'canceling'", job)
    return unwanted
