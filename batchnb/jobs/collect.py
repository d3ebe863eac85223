"""``python -m batchnb collect``: settle, send and fetch what the ledger has recorded, and say how it stands."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from batchnb.jobs.defaults import default_workspace

if TYPE_CHECKING:
    from batchnb.jobs.job import Job
    from batchnb.jobs.workspace import Workspace
    from batchnb.ledger.read_jobs import JobRecord

__all__ = ["add_arguments", "run"]

#: Exit statuses; an error, such as a key that is missing, is 2.
DONE, OPEN, FAILING, UNDECIDED = 0, 1, 2, 3

EPILOG = """\
exit status: 0 every job has ended; 1 batches are still in progress: come again; 2 an error, such as a server that
does not answer; 3 rows wait for your decision (job.resolve). Safe beside a live kernel, and to be run by cron: it ends
after --wait and what can be done without waiting, and at most --give-up seconds (and 20) after the server last brought
anything.
"""

#: Bytes that count as something brought.
LEAST_MOVED = 30_000

#: How often to look whether there is anything left to do, in seconds.
TICK = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS",
        help="how long to wait for batches in progress (default: 0, fetch what has ended)",
    )  # fmt: skip
    parser.add_argument(
        "--give-up", type=float, default=60.0, metavar="SECONDS",
        help="how long to wait, after that, for a server that does not answer (default: 60)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Have every open job of the ledger go on until only time can bring more; return the exit status. Prints."""
    workspace = default_workspace()
    try:
        records = [record for record in workspace.session.ledger.jobs.all() if _is_open(workspace, record)]
        if not records:
            print("Nothing is open in this ledger.")
            return DONE
        jobs = [workspace.attach(record.id) for record in records]
        rested = _see_through(workspace, jobs, time.monotonic() + args.wait, args.give_up)
        for job in jobs:
            note = job.snapshot().note
            print(f"{job!r}" + (f"\n    {note}" if note else ""))
        return _status(workspace, jobs, rested=rested)
    finally:
        workspace.close()  # what the server does not take now is for the next time, not to be waited for on leaving


def _is_open(workspace: Workspace, job: JobRecord) -> bool:
    """Tell whether a job has rows without an answer: it has not ended, or some were given up for now."""
    return job.state != "ended" or workspace.session.ledger.rows.is_undecided(job.number)


def _see_through(workspace: Workspace, jobs: list[Job], deadline: float, patience: float) -> bool:
    """Wait until all jobs have ended; or, past the deadline, until only time can bring more.

    Tells whether it came to that: not where the server has brought nothing for so many seconds of `patience`.
    """
    watcher = workspace.session.watcher
    brought, since = _brought(workspace, jobs), time.monotonic()
    for job in jobs:
        while not job.wait(TICK):
            now = time.monotonic()
            if now >= deadline and watcher.at_rest:
                if watcher.failure is not None and not watcher.running:
                    raise watcher.failure  # between two waits, so that neither has told of it
                return True
            before, brought = brought, _brought(workspace, jobs)
            if brought != before or now < deadline:
                since = now
            elif now - since >= patience:
                return False
    return True


def _brought(workspace: Workspace, jobs: list[Job]) -> object:
    """Return a value that differs when the server has brought something."""
    ledger, exchanges = workspace.session.ledger, workspace.session.api.exchanges
    checks = [batch.checked_at for job in jobs for batch in ledger.batches.of_job(ledger.jobs.get(job.id).number)]
    return checks, exchanges.sent // LEAST_MOVED, exchanges.received // LEAST_MOVED


def _status(workspace: Workspace, jobs: list[Job], *, rested: bool) -> int:
    records = [workspace.session.ledger.jobs.get(job.id) for job in jobs]
    open_jobs = [record.number for record in records if record.state != "ended"]
    if open_jobs:
        return OPEN if rested and not any(map(workspace.session.watcher.is_failing, open_jobs)) else FAILING
    return UNDECIDED if any(job.counts.get("pending") for job in jobs) else DONE
