"""What is due for the watched jobs, done one thing at a time: sending, turning to batches, ending, telling views.

Doing one thing at a time keeps the protocol simple: a batch is never polled while it is being sent, and a cancel that
comes during a create is carried out right after it. What takes long, as with a server that does not answer, goes on
beside the rest (:mod:`batchnb.system.beside`), still one thing at a time of each batch, and of each job that sends.
No thread in here, but for what goes on beside: :mod:`batchnb.protocol.watcher` has the one that takes the steps.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable

from batchnb.errors import BatchnbError, JobNotFoundError
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.read_batches import BatchRecord
from batchnb.ledger.read_jobs import JobRecord
from batchnb.protocol.submission import SendOutcome, Submission
from batchnb.protocol.subscribers import Subscribers
from batchnb.protocol.turns import TurnOutcome, Turns, unexpected
from batchnb.protocol.watches import Watch
from batchnb.system.beside import Beside
from batchnb.system.clock import Clock

__all__ = ["Steps"]


class Steps:
    """The steps of one workspace's watched jobs.

    Parameters
    ----------
    submission, ledger
        What to do, and at what times; and where it is kept.
    clock : Clock
        The time.
    rest, count : callable
        Called between two things that are done, and at the end of each: see
        :class:`batchnb.display.kernel.foreground.Pace`.

    Attributes
    ----------
    failure : Exception or None
        Why no step can be taken right now.
    """

    def __init__(
        self, submission: Submission, ledger: Ledger, *, clock: Clock | None = None,
        rest: Callable[[], object] = lambda: None, count: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._submission = submission
        self.timing = submission.timing
        self._ledger = ledger
        self._clock = clock or Clock()
        self._rest = rest
        self._watches: dict[int, Watch] = {}
        self._subscribers = Subscribers()
        self._told_at = -math.inf
        self._turns = Turns(submission, ledger, self._clock)
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._beside = Beside(self._wake.set, soon=self.timing.soon, count=count)
        self._stopping = False
        self._patient = True
        self._changed = False
        self._foreign: int | None = None
        self._ledger_failures = 0
        self.failure: BaseException | None = None

    def _at_end(self) -> None:
        """Do what is to be done when no watched job is open any more. Called under the lock."""

    def step(self) -> float | None:
        """Do what is due; return the seconds until something is due again, or None when no watched job is open."""
        self._beside.finish()
        now = self._clock.elapsed()
        open_jobs = []
        for watch in self._open_watches():
            if self._stopping:
                return 0.0
            job = self._job_of(watch)
            if job is not None:
                open_jobs.append(job)
                self._send(job, watch, now)
                self._rest()
        batches: dict[int, tuple[BatchRecord, int]] = {}
        for job in open_jobs:
            batches |= {batch.id: (batch, job.number) for batch in self._ledger.batches.of_job(job.number)}
        for batch in self._turns.due(batch for batch, _ in batches.values()):
            if self._stopping:
                return 0.0
            self._turn_to(batch, batches[batch.id][1])
            self._rest()
        self._settle_jobs()
        return self._pause(batches)

    def _is_well(self) -> None:
        self.failure, self._ledger_failures = None, 0

    def _open_watches(self) -> list[Watch]:
        with self._lock:
            return [watch for watch in self._watches.values() if not watch.ended.is_set()]

    def _job_of(self, watch: Watch) -> JobRecord | None:
        try:
            return self._ledger.jobs.by_number(watch.number)
        except JobNotFoundError:  # deleted, here or by another process
            watch.ended.set()
            return None

    def _pause(self, batches: Iterable[int]) -> float | None:
        with self._lock:
            watches = self._open_watches()
            if not watches:
                self._at_end()  # under the lock, so that `watch` starts another thread rather than trust this one
                return None
        now = self._clock.elapsed()
        dues = self._turns.times(batches)
        sends = [watch.send_at for watch in watches if watch.may_send]
        return max(0.0, min([self.timing.tick, *(at - now for at in dues + sends if at > now)]))

    # Sending

    def _send(self, job: JobRecord, watch: Watch, now: float) -> None:
        if watch.filling and job.state != "open":  # canceled: there is nothing to wait for any more
            watch.filling = False
            self._note(job, None)
        if job.state != "open" or not watch.may_send or watch.send_at > now:
            return
        if self._beside.has_room(("send", job.number), job.number):
            self._beside.do(
                ("send", job.number), job.number, lambda: self._sent_of(job), lambda sent: self._sent(job, watch, sent)
            )

    def _sent_of(self, job: JobRecord) -> SendOutcome:
        try:
            return self._submission.send(job, patient=self._patient)
        except BatchnbError:
            raise
        except Exception as error:  # noqa: BLE001  # a defect of ours must not stop the other jobs
            return SendOutcome(
                anything=True, wait=0.0, reason=f"Sending failed and is tried again: {unexpected(error)}"
            )

    def _sent(self, job: JobRecord, watch: Watch, sent: SendOutcome) -> None:
        self._is_well()
        self._changed = True
        limit = job.delivery.max_cost
        if watch.take(sent, self._clock.elapsed(), self.timing, patient=self._patient, limit=limit):
            self._wake.set()
        self._note(job, sent.reason)

    def _note(self, job: JobRecord, note: str | None) -> None:
        if job.note != note:
            self._ledger.jobs.note(job.number, note)

    def _end_fillings(self) -> None:
        """Look again whether caches are filled: a batch has ended, or another process has written."""
        for watch in self._open_watches():
            if watch.filling:
                watch.send_at = 0.0
                self._wake.set()

    def _turn_to(self, batch: BatchRecord, job: int) -> None:
        if self._beside.has_room(("turn", batch.id), job):
            self._beside.do(("turn", batch.id), job, lambda: self._turns.take(batch), self._turned)

    def _turned(self, turned: TurnOutcome) -> None:
        self._is_well()
        if turned.changed:
            self._changed = True
            self._end_fillings()
        for watch in self._open_watches():
            # What is held back may be sent once what was under way has cost less than it might have.
            if turned.let_go or (turned.changed and watch.held_back):
                watch.may_send = True
                self._wake.set()
        if turned.again:
            self._wake.set()

    # Jobs

    def _settle_jobs(self) -> None:
        """End the jobs that have nothing left to wait for, and tell the views."""
        foreign = self._ledger.foreign_revision()
        if foreign != self._foreign:
            self._end_fillings()
        with self._lock:  # cleared before the ledger is read, so that no change falls between the two
            changed, self._changed = self._changed or foreign != self._foreign, False
        for watch in self._open_watches():
            if foreign != self._foreign:
                watch.may_send = True  # another process may have let requests go
            if changed:
                self._settle_job(watch)
            if not watch.ended.is_set() and self._clock.elapsed() - watch.told_at >= self.timing.calm:
                self._tell(watch)
        if self._clock.elapsed() - self._told_at >= self.timing.calm:
            self._tell_all()
        self._foreign = foreign

    def _settle_job(self, watch: Watch) -> None:
        jobs = self._ledger.jobs
        with self._lock:  # so that `watch` trusts no event that is about to be set
            job = self._job_of(watch)
            if job is None:
                return
            if job.state == "ended" or jobs.settle(
                job.number, self._clock.now(), held_back=None if watch.may_send else watch.held_back
            ):
                self._tell(watch)  # first, so that a script that waits for the end does not leave before its last line
                watch.ended.set()
                self._tell_all()
            elif job.state == "open" and jobs.release(job.number, "auto"):
                watch.may_send = True
                self._wake.set()

    def _tell(self, watch: Watch) -> None:
        watch.told_at = self._clock.elapsed()
        self._subscribers.tell(watch.number)

    def _tell_all(self) -> None:
        self._told_at = self._clock.elapsed()
        self._subscribers.tell(None)
