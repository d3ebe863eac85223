"""Terms that the statements about jobs and about batches share.

Rows of jobs are kept run by run (see ``migrations.py``). Where the order of a join matters for its speed, as nearly
always here, ``CROSS JOIN`` has SQLite keep it, and ``INDEXED BY`` names what is meant to be used.
"""

from __future__ import annotations

__all__ = [
    "ATTACHED",
    "HELD",
    "LINK",
    "LIVE",
    "LONGEST",
    "POSITION",
    "RECOVERED",
    "RUN",
    "UNPAID_ANSWER",
    "UNSENT",
    "WAITING",
    "WITHOUT_BATCH",
    "held",
    "unsent",
    "wants",
]

#: States in which a batch may still bring answers, or may turn out to.
LIVE = ("submitting", "uncertain", "in_progress", "canceling", "ended")

#: The owner of batches that were made elsewhere: their questions are not known, so they cannot be sent again.
ATTACHED = "attached"

#: The owner of batches that answers were taken back from.
RECOVERED = "recovered"

#: Rows of one run at most: so that the run that holds a request is found near it.
LONGEST = 5_000

#: The requests (r) of a run (u), and where a row that asks one of them stands.
RUN = "r.id BETWEEN u.request AND u.request + u.length - 1"
POSITION = "u.position + r.id - u.request"


def wants(request: str) -> str:
    """Return what is true where a job (k) wants a request of its own to be sent; see :mod:`batchnb.ledger.wants`."""
    return f"(NOT k.canceled OR EXISTS (SELECT 1 FROM wanted AS w WHERE w.job = k.number AND w.request = {request}))"


def _waiting(joined: str = "") -> str:
    return f"""
        FROM job_runs AS u CROSS JOIN requests AS r INDEXED BY requests_batch ON r.batch IS NULL AND {RUN} {joined}
        WHERE u.job = :job AND NOT EXISTS (SELECT 1 FROM answers AS a INDEXED BY answers_without_batch
                                           WHERE a.batch IS NULL AND a.request = r.id)
    """


#: A job's (:job) requests (r) that wait to be put into a batch, whoever wants them.
WAITING = _waiting()


def unsent(joined: str = "") -> str:
    """Return the FROM and WHERE of a job's (:job) requests (r) that it wants put into a batch, in their order.

    A request that several rows ask comes several times. `joined` adds tables.
    """
    # Whether the job was canceled is asked once, not for each request.
    return f"""
        {_waiting(joined)} AND (NOT (SELECT canceled FROM jobs WHERE number = :job)
            OR EXISTS (SELECT 1 FROM wanted AS w WHERE w.job = :job AND w.request = r.id))
    """


UNSENT = unsent()


def held(job: str = ":job", batch: str = ":batch") -> str:
    """Return the FROM and WHERE of a job's requests (r) that a batch holds, by the runs near them.

    `job` and `batch` are what SQL calls their numbers.
    """
    return f"""
        FROM job_runs AS u INDEXED BY job_runs_request
        CROSS JOIN requests AS r INDEXED BY requests_batch ON r.batch = {batch} AND {RUN}
        WHERE u.job = {job} AND u.request BETWEEN (SELECT MIN(id) FROM requests WHERE batch = {batch}) - {LONGEST}
                                          AND (SELECT MAX(id) FROM requests WHERE batch = {batch})
    """


HELD = held()

#: A job's (:job) requests (r) that have an answer no batch gave.
WITHOUT_BATCH = """
    FROM job_runs AS u CROSS JOIN answers AS f INDEXED BY answers_without_batch
    ON f.batch IS NULL AND f.request BETWEEN u.request AND u.request + u.length - 1
    CROSS JOIN requests AS r ON r.id = f.request WHERE u.job = :job
"""

#: Note which batches carry which jobs' requests; of those u (job_runs), r (requests) and b (batches) a WHERE picks.
LINK = f"""
    INSERT OR IGNORE INTO job_batches (job, batch) SELECT DISTINCT u.job, b.id
    FROM job_runs AS u CROSS JOIN requests AS r ON {RUN} CROSS JOIN batches AS b ON b.id = r.batch
"""

#: Write an answer that no model gave; a SELECT of these follows.
UNPAID_ANSWER = "INSERT INTO answers (request, batch, outcome, error, result)"
