"""Making the ledger small again: jobs that ended long ago go, with the answers no other job has."""

from __future__ import annotations

import contextlib
import math
import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pandas as pd

from batchnb.errors import InputError
from batchnb.state import counted, job_frame

if TYPE_CHECKING:
    from batchnb.workspace import Workspace

__all__ = ["prune"]


def prune(workspace: Workspace, older_than: str | timedelta | float, *, dry_run: bool) -> pd.DataFrame:
    """Remove jobs by their age; see ``batchnb.prune``."""
    before = time.time() - _seconds(older_than)
    ledger = workspace.ledger
    chosen = [
        job
        for job in ledger.jobs.all()
        if job.state == "ended" and job.ended_at is not None and job.ended_at <= before
        and "pending" not in counted(ledger, job).outcomes
    ]  # fmt: skip
    listed = job_frame(ledger, chosen, workspace.prices, simulated=workspace.simulated)
    if chosen and not dry_run:
        ledger.jobs.delete(*(job.number for job in chosen))
    return listed


def _seconds(age: str | timedelta | float) -> float:
    seconds = math.nan
    if isinstance(age, int | float) and not isinstance(age, bool):
        seconds = 86_400.0 * age
    elif isinstance(age, str | timedelta):
        with contextlib.suppress(ValueError):  # pandas has another meaning for a small d, or will have
            seconds = pd.Timedelta(re.sub(r"d\Z", "D", age) if isinstance(age, str) else age).total_seconds()
    if not math.isfinite(seconds) or seconds < 0:
        raise InputError(
            f"prune(older_than={age!r}): say how long ago a job must have ended to be removed: '90d', a timedelta, or "
            "a number of days. Nothing was removed."
        )
    return seconds
