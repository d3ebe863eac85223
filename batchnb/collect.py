"""``python -m batchnb collect``: settle, send and fetch what the ledger has recorded, and say how it stands."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from batchnb.current import default_workspace

if TYPE_CHECKING:
    from batchnb.job import Job
    from batchnb.ledger import JobRecord
    from batchnb.workspace import Workspace

__all__ = ["add_arguments", "run"]

#: Exit statuses; an error, such as a key that is missing, is 2.
DONE, OPEN, FAILING, UNDECIDED = 0, 1, 2, 3

EPILOG = """\
exit status: 0 every job has ended; 1 batches are still in progress: come again; 2 an error, such as a server that
does not answer; 3 rows wait for your decision (job.resolve). Safe beside a live kernel, and to be run by cron.
"""

#: How often to look whether there is anything left to do, in seconds.
TICK = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS",
        help="how long to wait for batches in progress (default: 0, fetch what has ended)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Have every open job of the ledger go on until only time can bring more; return the exit status. Prints."""
    workspace = default_workspace()
    try:
        records = [record for record in workspace.ledger.jobs.all() if _is_open(workspace, record)]
        if not records:
            print("Nothing is open in this ledger.")
            return DONE
        jobs = [workspace.attach(record.id) for record in records]
        _see_through(workspace, jobs, time.monotonic() + args.wait)
        for job in jobs:
            note = job.snapshot().note
            print(f"{job!r}" + (f"\n    {note}" if note else ""))
        return _status(workspace, jobs)
    finally:
        workspace.close()  # what the server does not take now is for the next time, not to be waited for on leaving


def _is_open(workspace: Workspace, job: JobRecord) -> bool:
    """Tell whether a job has rows without an answer: it has not ended, or some were given up for now."""
    return job.state != "ended" or workspace.ledger.rows.is_undecided(job.number)


def _see_through(workspace: Workspace, jobs: list[Job], deadline: float) -> None:
    """Wait until all jobs have ended; or, past the deadline, until only time can bring more."""
    watcher = workspace.watcher
    for job in jobs:
        while not job.wait(TICK):
            if time.monotonic() >= deadline and watcher.at_rest:
                if watcher.failure is not None and not watcher.running:
                    raise watcher.failure  # between two waits, so that neither has told of it
                return


def _status(workspace: Workspace, jobs: list[Job]) -> int:
    records = [workspace.ledger.jobs.get(job.id) for job in jobs]
    open_jobs = [record.number for record in records if record.state != "ended"]
    if open_jobs:
        return FAILING if any(map(workspace.watcher.is_failing, open_jobs)) else OPEN
    return UNDECIDED if any(job.counts.get("pending") for job in jobs) else DONE
