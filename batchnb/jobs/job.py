"""A job: an id and a workspace, rebuildable anywhere; and, in the kernel that made it, its frame."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from collections.abc import Callable, Generator, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

from batchnb.answers.layout import copy_of
from batchnb.costs.prices import PriceTable, Usage
from batchnb.display.job.screen import show
from batchnb.display.kernel.shell import has_front_end
from batchnb.display.kernel.wait import async_wait, explained, wait
from batchnb.display.snapshot import Caching, Snapshot
from batchnb.errors import BatchnbError, InputError, JobStateError, ResultTimeoutError
from batchnb.jobs.job_results import Answered
from batchnb.jobs.status import Facts, batch_frame, facts_of, snapshot_of, status_of
from batchnb.planning.session import Session
from batchnb.system.handles import Handle

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.protocol.watcher import Watcher

__all__ = ["Job"]


class Job(Answered, Handle):
    """A job of a workspace.

    Nothing here blocks unless its docstring says so, and properties never touch the network: the background thread
    of the workspace does, and the ledger holds what it found.

    Parameters
    ----------
    id : str
        As ``batchnb.jobs()`` lists it.
    session : Session
        Where it is kept.
    frame : pandas.DataFrame, optional
        The frame it was made from, if this kernel made it.

    Attributes
    ----------
    details : bool
        Whether frames have the columns of ``result(details=True)`` when nothing else is said; it may be set. From
        ``submit(details=True)``, and else False.
    """

    def __init__(self, id: str, session: Session, frame: pd.DataFrame | None = None) -> None:
        self.details = False
        self._id = id
        self._session = session
        self._frame = None if frame is None else copy_of(frame)
        record = session.ledger.jobs.get(id)
        self._number, self._called = record.number, record.name
        self._counted: _Counted | None = None

    # State: read from the ledger

    @property
    def id(self) -> str:
        """The job's id, for ``batchnb.attach``."""
        return self._id

    @property
    def name(self) -> str:
        """The job's name."""
        return self._record.name

    @property
    def status(self) -> str:
        """``submitting``, ``in_progress``, ``canceling`` or ``ended``."""
        return status_of(self._record, self._session.ledger)

    @property
    def counts(self) -> dict[str, int]:
        """Rows by outcome; outcomes that no row has are absent."""
        return dict(self._facts().outcomes)

    @property
    def usage(self) -> Usage:
        """Tokens of the answers so far; an answer that serves several rows counts once."""
        return self._facts().usage

    @property
    def cost(self) -> float | None:
        """Dollars for the answers so far, at batch rates, a pilot's at the full price; None where one is unknown."""
        return self._facts().cost

    @property
    def caching(self) -> Caching:
        """What the prompt cache does for the job: its lifetime and why, hit rate, tokens, and dollars saved or lost."""
        return self._facts().caching

    @property
    def batches(self) -> pd.DataFrame:
        """The batches that carry the job's requests: id, state, the five request counts, cost, times (UTC), note.

        ``cost`` is in dollars, for the batch's answers to this job's rows; missing where a price is unknown.
        """
        return batch_frame(self._session.ledger, self._number, self._session.prices)

    def done(self) -> bool:
        """Tell whether the job has ended. Touches no network."""
        return self._record.state == "ended"

    def __repr__(self) -> str:
        rows = " · ".join(f"{count:,} {outcome}" for outcome, count in self.counts.items())
        badge = self._provenance.badge and f" [{self._provenance.badge}]"
        return f"<batchnb.Job {self._id} {self.name!r}: {self.status}, {rows}{badge}>"

    def _instead(self) -> str:
        return (
            f"Pass its id, and call batchnb.attach({self._id!r}) where it is needed: it is the same job there; "
            "or pass the frame that result() gives."
        )

    # Waiting

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job has ended, or for `timeout` seconds; tell whether it has ended.

        In a notebook the widgets stay alive meanwhile. Interrupting ends the wait, not the job.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most. Default: no limit.

        Raises
        ------
        BatchnbError
            The background thread had to give up; what is recorded is safe, and running the cell again goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with explained(self._goes_on()):
            while not self.done():
                watcher = self._session.watcher
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ended = wait(watcher.watch(self._number), left, meanwhile=watcher.keep_going)
                if not ended:
                    return False
                self._raise_failure(watcher)
        return True

    def result(
        self, timeout: float | None = None, *, partial: bool = False, details: bool | None = None
    ) -> pd.DataFrame:
        """Return the job's frame, in its order, plus the new columns. Blocks until the job has ended.

        Failed rows raise nothing: their status and error columns say what happened.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most. Default: no limit.
        partial : bool
            Do not wait: rows without an answer are ``pending``.
        details : bool, optional
            Further columns, as `to_frame` describes them. Default: as `submit` was told.

        Raises
        ------
        ResultTimeoutError
            The job had not ended in time; it goes on.
        """
        if not partial and not self.wait(timeout):
            why = self.snapshot().note
            raise ResultTimeoutError(
                f"Job {self._id} had not ended after {timeout} s. It goes on; result(partial=True) gives what there is."
                + (f" Why it waits: {why}" if why else "")
            )
        return self.to_frame(details=details)

    def __await__(self) -> Generator[Any, None, pd.DataFrame]:
        """Wait without blocking the event loop, and give ``result()``."""
        return self._awaited().__await__()

    async def _awaited(self) -> pd.DataFrame:
        with explained(self._goes_on()):
            while not self.done():
                watcher = self._session.watcher
                await async_wait(watcher.watch(self._number), None, meanwhile=watcher.keep_going)
                self._raise_failure(watcher)
        return await asyncio.to_thread(self.to_frame)  # a million rows take more than a second

    def _goes_on(self) -> str:
        name = self._called  # not read now: the ledger may be what takes its time
        shown = name if len(name) <= 80 else f"{name[:80]}…"
        return (
            f"Only the wait was interrupted: job {shown!r} goes on. Wait again with job.result(); after a restart run "
            f"the cell again, or batchnb.attach({self._id!r})."
        )

    def _raise_failure(self, watcher: Watcher) -> None:
        failure = watcher.failure
        if failure is not None and not watcher.running and not self.done():
            why = str(failure).rstrip(".") or type(failure).__name__
            raise BatchnbError(
                f"The background work of job {self._id} stopped: {why}. What is recorded is safe; "
                "running the cell again goes on where it stopped."
            ) from failure

    # Doing something about it

    def cancel(self) -> None:
        """Send nothing more of this job, and have its running batches canceled. Returns at once.

        What has finished is kept, and what is running may still succeed. A batch that another open job needs is spared.
        """
        self._session.ledger.decisions.cancel(self._number)
        self._session.watch(self._number)
        self._session.watcher.wake(self._session.ledger.batches.of_job(self._number))

    def collect(self) -> None:
        """Have the server asked now how the job's batches stand, and what has ended fetched. Returns at once.

        The background thread does that by itself every so often; this makes it now. A batch that was given up gets one
        more look.
        """
        self._session.go_on(self._number)
        self._session.watcher.wake(self._session.ledger.batches.of_job(self._number))

    def retry(self, *, all: bool = False) -> int:
        """Ask the failed rows of this job again, and tell how many requests that is.

        Returns at once; sending goes on in the background.

        Canceled, expired and missing rows and passing errors are asked again; paid replies never are.

        Parameters
        ----------
        all : bool
            Also rows that were refused as invalid_request_error.
        """
        self._session.api.require_credentials()
        released = self._session.ledger.jobs.release(self._number, "all" if all else "retry")
        if released:
            self._session.watch(self._number)
        return released

    def resolve(self, decision: str) -> int:
        """Decide about rows that do not move, and tell how many requests that concerns.

        Those are rows whose batch was given up; rows of a batch of which the server gives no answer that could be used;
        and rows that cannot be sent, since the server refuses, or is out of reach. Rows of a batch that the server is
        at work on are not touched. What is done is said in a line. Returns at once; what is to be sent is sent in the
        background.

        Parameters
        ----------
        decision : {"send", "drop"}
            Ask them again, which may buy them twice; or give them up: as ``missing``, those never sent as ``canceled``.

        Raises
        ------
        JobStateError
            All there is to be sent is held back by the job's ``max_cost``, or was asked elsewhere.
        """
        if decision not in ("send", "drop"):
            raise InputError(f'resolve() takes "send" or "drop", not {decision!r}.')
        ledger, send = self._session.ledger, decision == "send"
        record = self._record
        is_held_up = record.state == "ended" or self._session.watcher.is_held_up(record)
        # Before those of batches join them.
        unsent = ledger.rows.count_unsent(self._number) if is_held_up else 0
        sought = ledger.decisions.resolve(self._number, send=send)
        if unsent and not send:
            unsent = ledger.decisions.give_up_unsent(self._number)
        held_back = record.state == self._record.state == "ended" and record.delivery.max_cost is not None
        if unsent and send and held_back:
            raise JobStateError(
                f"{unsent:,} requests of job {self._id} are held back by its max_cost: {record.note or 'it is spent'}. "
                'Run the cell again with a higher max_cost to have them sent, or job.resolve("drop") gives them up.'
            )
        if sought or unsent or self._record.state != record.state:  # it goes on, also where all had been answered
            self._session.watch(self._number)
            self._session.watcher.send_now(self._number)
        if sought or unsent:
            print(f"batchnb: {_resolved(sought, unsent, send=send)}", file=sys.stderr)  # noqa: T201
        return sought + unsent

    def delete(self, *, remote: bool = False) -> None:
        """Remove the job from the ledger, with the answers that no other job has.

        Parameters
        ----------
        remote : bool
            Also delete its batches, with their results, from the server. Touches the network and blocks.

        Raises
        ------
        JobStateError
            The job has not ended: cancel it first.
        NotFoundError
            The key in use belongs to another workspace than a batch of it. Nothing was removed from the ledger.
        """
        if not self.done():
            raise JobStateError(f"Job {self._id} has not ended: cancel() it and wait for its end before deleting it.")
        if remote:
            for batch in self._session.ledger.batches.only_of_job(self._number):
                self._session.delete_batch(batch)
        self._session.ledger.jobs.delete(self._number)
        if (view := self.views.get(self._id)) is not None:
            view.tick()  # which finds the job gone

    # Views

    @property
    def views(self) -> MutableMapping[str, Any]:
        """The live views of the workspace's jobs, by job id."""
        return self._session.views

    def _ipython_display_(self) -> None:
        if has_front_end():
            show(self)
        else:
            print(repr(self))  # noqa: T201  # what a terminal shows of any other object

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called about once a second while the job is open and once when it ends.

        It runs in a background thread. Returns at once. Touches no network.

        Parameters
        ----------
        callback : callable
            Takes nothing; what it gives is not looked at.

        Returns
        -------
        callable
            Ends the subscription.
        """
        return self._session.watcher.subscribe(self._number, callback)

    def snapshot(self) -> Snapshot:
        """Return what a view may show of the job now. Touches no network."""
        ledger, watcher = self._session.ledger, self._session.watcher
        failing = watcher.is_failing(self._number)
        with ledger.consistently():  # or rows that are sent meanwhile would be neither unsent nor in a batch
            record = self._record
            facts = self._facts(patient=record.state != "ended")
            snapshot = snapshot_of(
                record, facts, ledger, now=self._session.now(), provenance=self._provenance, failing=failing,
                failure=watcher.failure, forecasts=self._session.forecasts,
            )  # fmt: skip
        if snapshot.note is None and record.state != "ended":
            snapshot = dataclasses.replace(snapshot, note=watcher.waiting_for(self._number))
        return snapshot

    def _facts(self, *, patient: bool = False) -> Facts:
        """Count what became of the rows, unless nothing can have changed since the last time.

        A view that moves is `patient`: on a large job it counts again only so often that counting takes a tenth of the
        time at most.
        """
        ledger = self._session.ledger
        started, prices = time.monotonic(), self._session.prices
        known = self._counted
        if known is not None and known.prices is prices and patient and started < known.good_until:
            return known.facts
        revision = ledger.revision()
        if self._counted is None or self._counted.revision != revision or self._counted.prices is not prices:
            facts = facts_of(ledger, self._number, prices)
            took = time.monotonic() - started
            self._counted = _Counted(revision, prices, facts, started + 10 * took)
        return self._counted.facts


def _resolved(sought: int, unsent: int, *, send: bool) -> str:
    """Say what was decided."""
    parts = []
    if sought:
        parts.append(
            f"{sought:,} requests of batches that gave no answer are " + ("sent again" if send else "given up")
        )
    if unsent:
        parts.append(f"{unsent:,} that were not sent yet are " + ("tried at once" if send else "not sent any more"))
    return "; ".join(parts) + "."


class _Counted(NamedTuple):
    revision: tuple[int, int]
    prices: PriceTable
    facts: Facts
    good_until: float
