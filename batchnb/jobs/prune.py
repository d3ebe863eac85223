"""Making the ledger small again: jobs that ended long ago go, with the answers no other job has.

What is removed was paid for, so a wrong clock must not make it old. A job's age is measured twice, each time between
two times of one clock: this machine's (when the job ended, and now), and the server's (when its last batch ended, and
now). Only what is old by both is removed.
"""

from __future__ import annotations

import contextlib
import math
import re
from datetime import timedelta
from numbers import Real
from typing import TYPE_CHECKING

import pandas as pd

from batchnb.answers.arrays import utc
from batchnb.errors import BatchnbError, CredentialsError, InputError
from batchnb.jobs.status import counted, job_frame
from batchnb.planning.session import Session

if TYPE_CHECKING:
    from batchnb.ledger.ledger import Ledger
    from batchnb.ledger.read_jobs import JobRecord
    from batchnb.system.clock import Moment

__all__ = ["prune"]


def prune(session: Session, older_than: str | timedelta | float, *, dry_run: bool) -> pd.DataFrame:
    """Remove jobs by their age; see ``batchnb.prune``."""
    age = _seconds(older_than)
    ledger, now = session.ledger, session.now()
    jobs = ledger.jobs.all()
    old = [job for job in jobs if job.state == "ended" and job.ended_at is not None and job.ended_at <= now.local - age]
    if old and now.server is None:
        with contextlib.suppress(CredentialsError):  # then it goes by what the ledger knows
            session.api.listen()
        now = session.now()
        if now.server is None and len(old) == len(jobs) and age and not dry_run:
            raise BatchnbError(
                f"By this machine's clock ({utc(now.local):%Y-%m-%d}) all {len(jobs):,} jobs of this ledger ended "
                "longer ago, and the server could not be asked whether the clock is right. Nothing was removed. Try "
                "again when it can be reached; prune(..., dry_run=True) lists the jobs, and job.delete() removes one."
            )
    chosen = [job for job in old if _is_old(ledger, job, now, age) and "pending" not in counted(ledger, job).outcomes]
    listed = job_frame(ledger, chosen, session.prices, now=now, provenance=session.provenance)
    if chosen and not dry_run:
        ledger.jobs.delete(*(job.number for job in chosen))
    return listed


def _is_old(ledger: Ledger, job: JobRecord, now: Moment, age: float) -> bool:
    """Tell whether a job is old by the server's clock too, or that does not tell."""
    for batch in ledger.batches.of_job(job.number):
        server_now, last = now.at_server(batch.skew), batch.ended_at or batch.created_at
        if server_now is not None and last is not None and last > server_now - age:
            return False
    return True


def _seconds(age: str | timedelta | float) -> float:
    seconds = math.nan
    if isinstance(age, Real) and not isinstance(age, bool):  # NumPy's too
        seconds = 86_400.0 * float(age)
    elif isinstance(age, str | timedelta):
        with contextlib.suppress(ValueError):  # pandas has another meaning for a small d, or will have
            seconds = pd.Timedelta(re.sub(r"d\Z", "D", age) if isinstance(age, str) else age).total_seconds()
    if not math.isfinite(seconds) or seconds < 0:
        raise InputError(
            f"prune(older_than={age!r}): say how long ago a job must have ended to be removed: '90d', a timedelta, or "
            "a number of days. Nothing was removed."
        )
    return seconds
