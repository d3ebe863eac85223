"""Requests asked one by one through Messages, a few at a time, each on record before it is made.

A call has no idempotency key and its answer cannot be looked up, so it is made once: what the server refuses for now is
made again later, what brings no usable answer waits for a decision.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from batchnb.answers.judge import Answer
from batchnb.api.client import Api
from batchnb.display.kernel.wait import wait
from batchnb.errors import AmbiguousError, ApiError, CredentialsError, LedgerError, RefusedError
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.pilot_calls import Call
from batchnb.protocol.submission import waiting_helps
from batchnb.protocol.timing import Timing
from batchnb.protocol.uploads import Uploads

__all__ = ["AT_ONCE", "Calls"]

#: Calls in flight at a time: enough that twenty do not take minutes, few enough for the smallest rate limit.
AT_ONCE = 4


class Calls:
    """The calls of one pilot.

    Parameters
    ----------
    api, ledger
        Where to ask, and where to record.
    claims : sequence of int
        What ``ledger.pilots.start`` has claimed.
    timing : Timing
        How long to wait for what.
    ended : callable
        Called when all is through, from a thread: that may be long after an interrupt.
    clock : callable
        Gives the time in seconds since the epoch.
    """

    def __init__(
        self, api: Api, ledger: Ledger, claims: Sequence[int], timing: Timing, *,
        ended: Callable[[], object] = lambda: None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._api = api
        self._pilots = ledger.pilots
        self._uploads = Uploads(api, ledger, clock)
        self._claims = tuple(claims)
        self._timing = timing
        self._clock = clock
        self._ended = ended
        self._lock = threading.Lock()
        self._waiting = iter(self._claims)
        self._stop = threading.Event()
        self._done = threading.Event()
        self._active = min(AT_ONCE, len(self._claims))
        self._failure: BaseException | None = None
        #: Whether threads see to the claims, or have.
        self.started = False
        #: Why not everything was asked, for people; None where it was.
        self.stopped: str | None = None

    def run(self, told: Callable[[], object] = lambda: None) -> None:
        """Make the calls, and block until they are through.

        In a notebook the widgets stay alive meanwhile. An interrupt makes no new calls, waits for those in flight, and
        keeps their answers; a second one only leaves the waiting to the background. What was not asked is let go.

        Parameters
        ----------
        told : callable
            Called from the threads whenever a call is through.

        Raises
        ------
        CredentialsError, LedgerError
            Nothing could be asked, or recorded, any more.
        """
        if not self._claims:
            return
        # Not daemons: an interpreter that ends waits for the answers that are being paid for.
        threads = [threading.Thread(target=self._work, args=(told,), name="batchnb-pilot") for _ in range(self._active)]
        self.started = True
        try:
            missing = self._start(threads)
            if missing == len(threads):
                self._leaves(missing - 1)
                self._work(told)
            wait(self._done)
        except BaseException:
            self._stop.set()
            self._leaves(sum(thread.ident is None for thread in threads))
            wait(self._done)
            raise
        if self._failure is not None:
            raise self._failure

    def _start(self, threads: list[threading.Thread]) -> int:
        """Start the threads; return how many could not be: the others do their work, or whoever calls."""
        for place, thread in enumerate(threads):
            try:
                thread.start()
            except (RuntimeError, MemoryError):
                if place:
                    self._leaves(len(threads) - place)
                return len(threads) - place
        return 0

    # The threads

    def _work(self, told: Callable[[], object]) -> None:
        try:
            while (number := self._next()) is not None:
                self._ask(number)
                told()
        except BaseException as error:  # noqa: BLE001  # passed on by `run`
            self._failure = self._failure or error
            self._stop.set()
        finally:
            self._leaves(1)

    def _next(self) -> int | None:
        with self._lock:
            return None if self._stop.is_set() else next(self._waiting, None)

    def _leaves(self, threads: int) -> None:
        """Count threads out; the last one lets go of what was not asked."""
        with self._lock:
            self._active -= threads
            if self._active or self._done.is_set():
                return
        try:
            self._pilots.leave(self._claims)
        except BaseException as error:  # noqa: BLE001  # passed on by `run`
            self._failure = self._failure or error
        finally:
            self._done.set()
            self._ended()

    def _ask(self, number: int) -> None:
        waited = 0.0
        for attempt in itertools.count():
            error = self._upload(number)
            if error is None:
                call = self._pilots.calling(number, self._clock())
                if call is None:  # canceled, here or by another process; or refused with its file
                    return
                error = self._call(number, call)
            if error is None:
                return
            pause = self._timing.backoff(attempt, retry_after=error.retry_after, jitter=random.random())  # noqa: S311
            waited += pause
            if waited > self._timing.pilot_patience:
                self.stopped = f"The server did not take more within {self._timing.pilot_patience:.0f} s ({error})."
                self._stop.set()
            if self._stop.wait(pause):
                return

    def _upload(self, number: int) -> ApiError | None:
        """Upload the files that a call names; return the failure after which it is worth trying again.

        Nothing of this is in doubt: a file whose upload is lost is uploaded again.
        """
        while (file := self._uploads.missing(number)) is not None:
            if not self._uploads.take(file):
                return ApiError(f"another process is uploading {file.name!r}", retry_after=self._timing.others_poll)
            try:
                self._uploads.upload(file)
            except RefusedError as error:
                if waiting_helps(error):
                    return error
                message = f"The file {file.name!r}: {error}"
                self._pilots.refused(number, error_type=error.type or f"http_{error.status}", message=message)
                return None
            except AmbiguousError as error:
                return error
        return None

    def _call(self, number: int, call: Call) -> RefusedError | None:
        """Make a call; return the refusal after which it is worth making again."""
        try:
            ((_, _, head, content, tail),) = self._uploads.resolved(number, [call.item])
            message = self._api.create_message(head + content + tail, call.betas)
        except CredentialsError:  # there was nothing to make the call with
            self._pilots.not_called(number)
            raise
        except RefusedError as error:
            if waiting_helps(error):
                self._pilots.not_called(number)
                return error
            self._uploads.forget_in(number, str(error))
            self._pilots.refused(number, error_type=error.type or f"http_{error.status}", message=str(error))
        except ApiError as error:
            self._pilots.lost(number, str(error))
        else:
            if b"\n" in message:  # as no result of a batch has, which is one line of a file
                message = msgspec.json.format(message, indent=-1)
            result = b'{"type":"succeeded","message":' + message + b"}"
            self._record(number, call.answer(result))
        return None

    def _record(self, number: int, answer: Answer) -> None:
        """Record an answer; again where the ledger cannot be written, since there is no other copy of it."""
        waited = 0.0
        for attempt in itertools.count():
            try:
                self._pilots.answered(number, answer, self._clock())
            except LedgerError:
                pause = self._timing.backoff(attempt)
                waited += pause
                if waited > self._timing.ledger_patience:
                    raise
                self.stopped = "An answer could not be recorded for a while."
                self._stop.set()  # nothing more is to be asked while that is so
                threading.Event().wait(pause)
            else:
                return
