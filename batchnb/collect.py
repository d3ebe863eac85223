"""``python -m batchnb collect``: settle, send and fetch what the ledger has recorded, and say how it stands."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from batchnb.current import default_workspace

if TYPE_CHECKING:
    from batchnb.job import Job
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
    jobs = [workspace.attach(record.id) for record in workspace.ledger.jobs.all() if _is_open(workspace, record.number)]
    if not jobs:
        print("Nothing is open in this ledger.")
        return DONE
    _see_through(workspace, jobs, time.monotonic() + args.wait)
    for job in jobs:
        note = job.snapshot().note
        print(f"{job!r}" + (f"\n    {note}" if note else ""))
    return _status(jobs)


def _is_open(workspace: Workspace, number: int) -> bool:
    """Tell whether a job has rows without an answer: it has not ended, or some were given up for now."""
    batches = workspace.ledger.batches.of_job(number)
    return workspace.ledger.jobs.by_number(number).state != "ended" or any(batch.state == "lost" for batch in batches)


def _see_through(workspace: Workspace, jobs: list[Job], deadline: float) -> None:
    """Wait until all jobs have ended; or, past the deadline, until only time can bring more."""
    for job in jobs:
        while not job.wait(TICK):
            if time.monotonic() >= deadline and workspace.watcher.at_rest:
                return


def _is_failing(job: Job) -> bool:
    """Tell whether the last look at one of a job's batches failed; the batch's note says how."""
    batches = job.batches
    return bool((batches["note"].notna() & batches["state"].isin(["in_progress", "canceling", "ended"])).any())


def _status(jobs: list[Job]) -> int:
    open_jobs = [job for job in jobs if not job.done()]
    if open_jobs:
        return FAILING if any(_is_failing(job) for job in open_jobs) else OPEN
    return UNDECIDED if any(job.counts.get("pending") for job in jobs) else DONE
