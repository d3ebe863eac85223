"""One background thread for all jobs: it sends, polls, collects, cancels and settles, one step at a time.

Doing one thing at a time keeps the protocol simple: a batch is never polled while it is being sent, and a cancel that
comes during a create is carried out right after it. The thread lives while a watched job is open; a job can be watched
again at any time, by any process, since all that matters is in the ledger.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from batchnb.errors import ApiError, BatchnbError, LedgerError, NotFoundError, RefusedError
from batchnb.ledger import LIVE, BatchRecord, JobRecord, Ledger
from batchnb.schedule import backoff, poll_interval
from batchnb.submission import Settlement, Submission, times_of, waiting_helps

__all__ = ["Watcher"]

#: How often views are told to look again while a job is open, in seconds.
TICK = 1.0

#: How often to look whether a batch another process is sending has got its id, or lost its owner, in seconds.
OTHERS_INTERVAL = 2.0

#: Times the results of a batch are read again before rows that are not in them count as missing.
READ_AGAIN = 3

#: A batch the server has not known for this long, in seconds, is lost.
GONE_AFTER = 600.0

Callback = Callable[[], None]


@dataclass(slots=True)
class _Watch:
    """A watched job."""

    number: int
    ended: threading.Event = field(default_factory=threading.Event)
    send_at: float = 0.0
    refusals: int = 0
    may_send: bool = True


@dataclass(slots=True)
class _Due:
    """When to turn to a batch again, and what is known of it from earlier times."""

    at: float = 0.0
    checks: int = 0
    failures: int = 0
    reads: int = 0
    unknown_since: float | None = None
    settlement: Settlement = field(default_factory=Settlement)


class Watcher:
    """The background thread of a workspace.

    Parameters
    ----------
    submission, ledger
        What to do, and where it is kept.
    max_poll : float
        Longest time between two status checks of a batch, in seconds.
    clock : callable
        Gives the time in seconds since the epoch.
    """

    def __init__(
        self, submission: Submission, ledger: Ledger, *, max_poll: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._submission = submission
        self._ledger = ledger
        self._max_poll = max_poll
        self._clock = clock
        self._watches: dict[int, _Watch] = {}
        self._callbacks: dict[int, list[Callback]] = {}
        self._due: dict[int, _Due] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._changed = False
        self._foreign: int | None = None
        self.failure: BaseException | None = None

    # For other threads

    def watch(self, job: int) -> threading.Event:
        """See a job through to its end in the background; give the event that is set then. Returns at once."""
        with self._lock:
            watch = self._watches.get(job)
            if watch is None or watch.ended.is_set():
                watch = self._watches[job] = _Watch(job)
            watch.may_send = True
            watch.send_at = 0.0
            if self._thread is None or not self._thread.is_alive():
                self._stopping, self.failure = False, None
                self._thread = threading.Thread(target=self._run, name="batchnb", daemon=True)
                self._thread.start()
        self.wake()
        return watch.ended

    def subscribe(self, job: int, callback: Callback) -> Callback:
        """Have `callback` called about once a second while the job is open, and once when it ends.

        Returns the function that ends the subscription. The callback runs in the background thread.
        """
        callbacks = self._callbacks.setdefault(job, [])
        callbacks.append(callback)

        def unsubscribe() -> None:
            if callback in callbacks:
                callbacks.remove(callback)

        return unsubscribe

    def wake(self, batches: Iterable[BatchRecord] = ()) -> None:
        """Turn to these batches, and to whatever else is due, now."""
        for batch in batches:
            self._due.setdefault(batch.id, _Due()).at = 0.0
        self._changed = True
        self._wake.set()

    def stop(self) -> None:
        """End the thread after the step it is in."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def unsent(self) -> tuple[int, float]:
        """Count the requests still to be sent, and tell in how many seconds sending goes on."""
        watches = [watch for watch in self._watches.values() if watch.may_send and not watch.ended.is_set()]
        count = sum(self._ledger.jobs.count_unsent(watch.number) for watch in watches)
        return count, max((watch.send_at - self._clock() for watch in watches), default=0.0)

    @property
    def running(self) -> bool:
        """Whether the thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    # The thread

    def _run(self) -> None:
        try:
            while not self._stopping:
                pause = self._step_safely()
                if pause is None:
                    return
                self._wake.wait(pause)
                self._wake.clear()
        except BaseException as error:  # a defect of ours: whoever waits for a job must be told, not left hanging
            self.failure = error
            for watch in list(self._watches.values()):
                watch.ended.set()
                self._tell(watch)
            raise

    def _step_safely(self) -> float | None:
        try:
            return self.step()
        except LedgerError as error:
            # Nothing can be recorded, so nothing may be sent. The disk may have room again later.
            self.failure = error
            return TICK * 5

    def step(self) -> float | None:
        """Do what is due; give the seconds until something is due again, or None when no watched job is open."""
        now = self._clock()
        open_jobs = [self._ledger.jobs.by_number(watch.number) for watch in self._open_watches()]
        for job in open_jobs:
            self._send(job, now)
        if self._stopping:
            return 0.0
        batches = {batch.id: batch for job in open_jobs for batch in self._ledger.batches.of_job(job.number)}
        for batch in batches.values():
            if batch.state in LIVE and self._due.setdefault(batch.id, _Due()).at <= self._clock():
                self._turn_to(batch)
        self._settle_jobs()
        self.failure = None
        return self._pause(batches)

    def _open_watches(self) -> list[_Watch]:
        with self._lock:
            return [watch for watch in self._watches.values() if not watch.ended.is_set()]

    def _pause(self, batches: Iterable[int]) -> float | None:
        watches = self._open_watches()
        with self._lock:
            if not watches:
                self._thread = None  # under the lock, so that `watch` starts another rather than trust this one
                return None
        now = self._clock()
        dues = [self._due[batch].at for batch in batches if batch in self._due]
        sends = [watch.send_at for watch in watches if watch.may_send]
        return max(0.0, min([TICK, *(at - now for at in dues + sends if at > now)]))

    # Sending

    def _send(self, job: JobRecord, now: float) -> None:
        watch = self._watches[job.number]
        if job.state != "open" or not watch.may_send or watch.send_at > now:
            return
        sent = self._submission.send(job)
        self._changed = True
        if not sent.anything:
            watch.may_send = False
            self._note(job, None)
        elif sent.wait is None:
            watch.refusals = 0
            self._note(job, None)
            self._wake.set()  # there may be more: come back without a pause
        else:
            pause = backoff(watch.refusals, retry_after=sent.wait or None, jitter=random.random())  # noqa: S311
            watch.refusals += 1
            watch.send_at = now + pause
            self._note(job, sent.reason)

    def _note(self, job: JobRecord, note: str | None) -> None:
        if job.note != note:
            self._ledger.jobs.note(job.number, note)

    # Batches

    def _turn_to(self, batch: BatchRecord) -> None:
        due = self._due[batch.id]
        try:
            if batch.state == "submitting":
                self._look_after_other(batch, due)
            elif batch.state == "uncertain":
                self._settle_batch(batch, due)
            elif batch.state == "ended":
                self._collect(batch, due)
            else:
                self._check(batch, due)
        except NotFoundError as error:
            self._unknown(batch, due, error)
        except ApiError as error:
            self._failed(batch, due, error)
        else:
            due.failures = 0
            due.unknown_since = None

    def _look_after_other(self, batch: BatchRecord, due: _Due) -> None:
        """Wait for a batch that another process is sending, unless that process has died.

        One of our own in this state is not being sent either: the answer to its create could not be recorded.
        """
        due.at = self._clock() + OTHERS_INTERVAL
        owner = self._ledger.owner
        if batch.owner == owner.name or not owner.is_alive(batch.owner):
            note = "Sending it was interrupted. Whether the server took it is being found out; nothing is sent twice."
            self._ledger.batches.uncertain(batch.id, now=self._clock(), note=note)
            due.at = 0.0

    def _settle_batch(self, batch: BatchRecord, due: _Due) -> None:
        due.at = self._clock() + self._next_interval(due)
        if self._submission.settle(batch, due.settlement):
            due.at, due.checks = 0.0, 0
            for watch in self._open_watches():
                watch.may_send = True

    def _check(self, batch: BatchRecord, due: _Due) -> None:
        api = self._submission.api
        assert batch.server_id is not None  # noqa: S101  # every state past `uncertain` has one
        due.at = self._clock() + self._next_interval(due)
        if batch.cancel_asked and batch.state == "in_progress":
            try:
                info = api.cancel_batch(batch.server_id)
            except RefusedError as error:
                if waiting_helps(error):
                    raise
                info = api.retrieve_batch(batch.server_id)  # it has ended in the meantime
            due.at, due.checks = self._clock() + poll_interval(0, self._max_poll), 1
        else:
            info = api.retrieve_batch(batch.server_id)
        state = info.processing_status if info.processing_status in ("canceling", "ended") else "in_progress"
        self._ledger.batches.checked(
            batch.id, state=state, counts=info.request_counts, times=times_of(info), now=self._clock()
        )
        if state == "ended":
            due.at, due.checks = 0.0, 0
            self._collect(self._ledger.batches.get(batch.id), due)

    def _collect(self, batch: BatchRecord, due: _Due) -> None:
        complete = self._submission.collect(batch)
        due.reads += 1
        if complete or due.reads > READ_AGAIN:
            self._ledger.batches.collected(batch.id)
            self._changed = True
            del self._due[batch.id]
        else:
            due.at = self._clock() + backoff(due.reads, jitter=0.0)

    def _next_interval(self, due: _Due) -> float:
        due.checks += 1
        return poll_interval(due.checks - 1, self._max_poll)

    def _unknown(self, batch: BatchRecord, due: _Due, error: NotFoundError) -> None:
        """Doubt a 404: the server lags behind just after a create, and on results just after the end."""
        now = self._clock()
        due.unknown_since = due.unknown_since or now
        if now - due.unknown_since < GONE_AFTER:
            self._failed(batch, due, error)
            return
        self._changed = True
        self._ledger.batches.lose(
            batch.id,
            f"The server no longer knows batch {batch.server_id}, so its answers cannot be read. "
            'job.resolve("send") asks these rows again, job.resolve("drop") gives them up.',
        )

    def _failed(self, batch: BatchRecord, due: _Due, error: ApiError) -> None:
        due.failures += 1
        pause = backoff(due.failures - 1, retry_after=error.retry_after, jitter=random.random())  # noqa: S311
        due.at = self._clock() + min(pause, max(self._max_poll, error.retry_after or 0.0))
        self._ledger.batches.note(batch.id, f"The last check failed and is tried again: {error}")

    # Jobs

    def _settle_jobs(self) -> None:
        """End the jobs that have nothing left to wait for, and tell the views."""
        foreign = self._ledger.foreign_revision()
        changed = self._changed or foreign != self._foreign
        self._changed, self._foreign = False, foreign
        for watch in self._open_watches():
            if changed:
                self._settle_job(watch)
            self._tell(watch)

    def _settle_job(self, watch: _Watch) -> None:
        jobs = self._ledger.jobs
        if jobs.by_number(watch.number).state == "open" and jobs.release(watch.number, "auto"):
            watch.may_send = True
            self._wake.set()
        elif jobs.settle(watch.number, self._clock()):
            watch.ended.set()

    def _tell(self, watch: _Watch) -> None:
        for callback in list(self._callbacks.get(watch.number, ())):
            try:
                callback()
            except BatchnbError:
                # A view could not be drawn from the ledger; the next tick tries again, the job is not concerned.
                continue
