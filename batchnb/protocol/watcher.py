"""One background thread for all jobs: it takes the steps of :mod:`batchnb.protocol.steps`, one after another.

The thread lives while a watched job is open; a job can be watched again at any time, by any process, since all that
matters is in the ledger.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable
from typing import Any

from batchnb.costs.cache import FIRST_REASON
from batchnb.display.kernel.foreground import FOREGROUND
from batchnb.errors import BatchnbError, LedgerError
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.read_batches import BatchRecord
from batchnb.ledger.read_jobs import JobRecord
from batchnb.protocol.steps import Steps
from batchnb.protocol.submission import Submission
from batchnb.protocol.subscribers import Callback
from batchnb.protocol.watches import Watch
from batchnb.system.worker import Worker

__all__ = ["Watcher"]

#: Why a job is not seen through any more.
CLOSED = "its workspace was closed"


class Watcher(Steps):
    """The background thread of a workspace.

    Parameters
    ----------
    submission, ledger
        What to do, and at what times; and where it is kept.
    **options
        As those of `Steps`.
    """

    def __init__(self, submission: Submission, ledger: Ledger, **options: Any) -> None:
        super().__init__(submission, ledger, **options)
        self._stepping = threading.Lock()
        self._worker = Worker(pause=self.timing.restart_pause, patience=self.timing.restart_patience)
        self._given_up: set[int] = set()

    def _at_end(self) -> None:
        self._worker.ends()

    # For other threads

    def watch(self, job: int) -> threading.Event:
        """See a job through to its end in the background; return the event that is set then. Returns at once."""
        with self._lock:
            watch = self._watches.get(job)
            if watch is None or watch.ended.is_set():
                watch = self._watches[job] = Watch(job)
            self._given_up.discard(job)
            watch.may_send = True
            if watch.filling:
                watch.send_at = 0.0  # how the job is delivered may have changed
            self._changed = True
            self._start()
        self._wake.set()
        return watch.ended

    def keep_going(self) -> None:
        """Start the thread again where it has died, or could not be started. Called now and then by whatever waits."""
        if self._worker.is_due:
            with self._lock:
                if self._open_watches() and not self._stopping:
                    self._start()

    def _start(self) -> None:
        if self._worker.running:
            return
        for number in self._given_up:  # last, so that one that brings every thread down holds up no other
            self._watches.pop(number, None)
            self._watches[number] = Watch(number)
        self._given_up.clear()
        self._stopping, self.failure, self._ledger_failures = False, None, 0
        self._turns.leaving = False
        self.failure = self._worker.start(self._run)
        if self.failure is None:
            return
        with contextlib.suppress(LedgerError):
            for watch in self._open_watches():
                job = self._job_of(watch)
                if job is not None:
                    self._note(job, str(self.failure))
        if self._worker.is_hopeless:
            self._give_up(self.failure)

    def subscribe(self, job: int | None, callback: Callback) -> Callback:
        """Have `callback` called about once a second while the job is open, and once when it ends.

        Without a job: while any is, and whenever one ends. Returns the function that ends the subscription. The
        callback runs in the background thread.
        """
        return self._subscribers.add(job, callback)

    def wake(self, batches: Iterable[BatchRecord] = ()) -> None:
        """Turn to these batches, and to whatever else is due, now."""
        self._turns.hurry(batch.id for batch in batches)
        with self._lock:
            self._changed = True
        self._wake.set()

    def send_now(self, job: int) -> None:
        """Try to send what is unsent of a job at once, however long the server was to be left alone."""
        watch = self._watches.get(job)
        if watch is not None:
            watch.may_send, watch.send_at = True, 0.0
        self.wake()

    def is_held_up(self, job: JobRecord) -> bool:
        """Tell whether the server has not let a job's unsent requests be sent; before it was tried, by its note."""
        watch = self._watches.get(job.number)
        if watch is None or not watch.tried:
            return job.note is not None and job.note != FIRST_REASON
        return watch.refusals > 0 or watch.held_back is not None

    def hurry(self) -> None:
        """Send what is unsent without waiting for a cache to be filled: nobody will be there to send it later."""
        self._patient = False
        self._end_fillings()
        self._wake.set()
        self.keep_going()

    def stop(self, patience: float | None = None) -> None:
        """End the thread after what it is doing; whoever waits for a job is told that nobody sees it through.

        What is being asked is given up at once, what is being sent after `patience` seconds (default:
        `Timing.close_patience`); the ledger keeps both in mind. Blocks for those seconds and `Timing.last_patience`.
        """
        patience, last = self.timing.close_patience if patience is None else patience, self.timing.last_patience
        self._stopping = self._turns.leaving = True
        self._wake.set()
        exchanges = self._submission.api.exchanges
        with FOREGROUND.waiting():
            exchanges.give_up("The workspace was closed.", all=False)
            deadline = time.monotonic() + patience
            self._worker.join(patience)
            if not self._beside.wait(deadline - time.monotonic()) or self._worker.running:
                exchanges.give_up("The workspace was closed.")
                self._worker.join(last)
                self._beside.wait(last)
        self._give_up(BatchnbError(CLOSED))  # where there was no thread to do so

    @property
    def sending(self) -> bool:
        """Whether a batch is being sent right now."""
        return self._submission.is_any_sent

    def unsent(self) -> tuple[int, float]:
        """Count the requests still to be sent, and tell how many seconds the server has sending held up, all in all."""
        count, holds = 0, [0.0]
        for watch in (*self._open_watches(), *map(Watch, self._given_up)):
            job = self._job_of(watch)
            unsent = self._ledger.rows.count_unsent(watch.number) if job and job.state == "open" else 0
            if unsent and watch.may_send:
                count += unsent
                holds.append(watch.send_at - watch.refused_since if watch.refusals else 0.0)
        return count, min(holds[1:], default=0.0)

    @property
    def at_rest(self) -> bool:
        """Whether only time can bring more: every batch has had its turns, and what is unsent waits for the server.

        Blocks until the thread is between two steps: within one, what a turn has brought is not all recorded.
        """
        with self._stepping:
            return self._beside.going_on() is None and self._is_at_rest()

    def _is_at_rest(self) -> bool:
        for watch in self._open_watches():
            job = self._job_of(watch)
            if job is None:
                continue
            if job.state == "open" and watch.may_send and not watch.refusals and not watch.filling:
                return False
            if not all(map(self._turns.is_patient, self._ledger.batches.of_job(job.number))):
                return False
        return True

    def is_failing(self, job: int) -> bool:
        """Tell whether the last call made for a job, be it to send or to ask, brought no answer that could be used."""
        watch = self._watches.get(job)
        if watch is not None and watch.unreachable:
            return True
        return any(map(self._turns.is_failing, self._ledger.batches.of_job(job)))

    def waiting_for(self, job: int) -> str | None:
        """Say what a job waits for right now that takes long, in a sentence; None where there is no such thing."""
        found = [("Sending", self._beside.going_on(("send", job)))]
        found += [
            (f"Batch {batch.server_id}" if batch.server_id else "A batch", self._beside.going_on(("turn", batch.id)))
            for batch in self._ledger.batches.of_job(job)
        ]
        name, seconds = max(found, key=lambda one: one[1] or 0.0)
        if seconds is None or seconds < self.timing.soon:
            return None
        return f"{name} waits for the server, which has been at its answer for {seconds:.0f} s."

    @property
    def running(self) -> bool:
        """Whether the thread is at work."""
        return self._worker.running

    # The thread

    def _run(self) -> None:
        while not self._stopping:
            with self._stepping:  # also while giving up: a thread that is about to end is not at rest
                pause = self._step_or_give_up()
            if pause is None:
                return
            self._wake.wait(pause)
            self._wake.clear()
        self._give_up(BatchnbError(CLOSED))

    def _step_or_give_up(self) -> float | None:
        try:
            return self._step_safely()
        except BatchnbError as error:
            self._give_up(error)
            return None
        except BaseException as error:  # a defect of ours: whoever waits for a job must be told, not left hanging
            self._give_up(error)
            raise

    def _give_up(self, error: BaseException) -> None:
        with self._lock:  # so that `watch` starts another thread rather than trust this one
            self._worker.ends()
            watches = self._open_watches()
            if watches:
                self.failure = error
            for watch in watches:
                watch.ended.set()
            if not self._stopping:
                self._given_up.update(watch.number for watch in watches)
        if not self._stopping:
            for watch in watches:
                self._tell(watch)

    def _step_safely(self) -> float | None:
        try:
            pause = self.step()
        except LedgerError as error:
            # Nothing can be recorded, so nothing may be sent. The disk may have room again later.
            self.failure = error
            self._ledger_failures += 1
            if self._ledger_failures * self.timing.ledger_pause > self.timing.ledger_patience:
                raise
            return self.timing.ledger_pause
        if self._beside.going_on() is None:  # else what goes on may be what waits for the ledger, and fails
            self._is_well()
        return pause
