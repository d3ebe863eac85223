"""The exactly-once protocol: intent, create, record; and what to do when the answer to a create is lost.

1. The intent is in the ledger, durably, before a byte is sent (``Batches.claim``).
2. The create call is made once; the SDK's retries are off.
3. Answered: the server's id is recorded. Refused: nothing was made, so the requests are let go to be sent again where
   waiting helps, or carry the server's message. No usable answer: the batch is *uncertain*.
4. Uncertain is settled by listing (:mod:`batchnb.protocol.reconcile`). Nothing is bought again by itself.

No thread and no sleep in here: :mod:`batchnb.protocol.steps` calls these steps when they are due, those of several
jobs at a time where one takes long.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass

from batchnb.answers import judge
from batchnb.answers.wire import result_in
from batchnb.api.client import Api
from batchnb.api.failures import is_of_account
from batchnb.api.shapes import times_of
from batchnb.costs.allowance import Allowance, held_back
from batchnb.costs.cache import FIRST_REASON
from batchnb.costs.prices import PriceTable, load_prices
from batchnb.errors import UNREACHED, AmbiguousError, ApiError, CredentialsError, NotFoundError, RefusedError
from batchnb.ledger.claims import Fits
from batchnb.ledger.files import FileRecord
from batchnb.ledger.fragments import ATTACHED
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.read_batches import BatchRecord
from batchnb.ledger.read_jobs import JobRecord
from batchnb.protocol.reconcile import FINDING_OUT, Settling
from batchnb.protocol.spent import allowance_of
from batchnb.protocol.timing import Timing
from batchnb.protocol.uploads import Uploads
from batchnb.questions.bodies import join_items
from batchnb.questions.cache_marks import marked_items
from batchnb.system.clock import Clock

__all__ = ["Reading", "SendOutcome", "Submission"]

#: Answers recorded in one transaction, and their bytes, at most.
CHUNK, CHUNK_BYTES = 2_500, 4_000_000

#: Lines that the results of a batch hold at most, and as many more for each request; beyond that they do not end.
LINES, LINES_EACH = 10_000, 10

#: Why reading results that came to their end is no reading of them.
NO_RESULT = "What came holds no result of this batch."


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """What came of trying to send.

    Parameters
    ----------
    anything : bool
        Whether there was something to send.
    wait : float or None
        Seconds the server asks to wait, 0 where it did not say; None where there is no need to wait.
    reason : str or None
        Why to wait, for people; or what is being done meanwhile; or, with nothing sent, why what is unsent is held
        back.
    unreachable : bool
        Whether the server could not even be asked.
    filling : bool
        Whether a first batch that fills the cache is waited for: its end may come sooner than `wait` says.
    """

    anything: bool
    wait: float | None = None
    reason: str | None = None
    unreachable: bool = False
    filling: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading the results of a batch.

    Parameters
    ----------
    left : int
        Requests that have no answer yet.
    broken : str or None
        Why the reading broke off; None where the results came to their end.
    """

    left: int
    broken: str | None


class Submission:
    """The steps of the protocol.

    Parameters
    ----------
    api, ledger
        Where to send, and where to record.
    clock : Clock
        The time.
    max_requests : int
        The API's limit of requests in a batch.
    timing : Timing
        How long to wait for what.
    prices : callable
        Gives the prices in use.
    rest : callable
        Called now and then while results are read: see :class:`batchnb.display.kernel.foreground.Pace`.

    Attributes
    ----------
    settling : Settling
        Finds out what became of a batch that was sent and not answered.
    uploads : Uploads
        Uploads the files that requests name, and puts the server's ids in their places.
    """

    def __init__(
        self, api: Api, ledger: Ledger, clock: Clock, *, max_requests: int, timing: Timing,
        prices: Callable[[], PriceTable] = load_prices, rest: Callable[[], object] = lambda: None,
    ) -> None:  # fmt: skip
        self.api = api
        self.timing = timing
        self._ledger = ledger
        self._clock = clock
        self._max_requests = max_requests
        self._prices = prices
        self._rest = rest
        self._claiming = threading.Lock()
        self._sending: set[int] = set()
        self.settling = Settling(api, ledger, clock, grace=timing.grace)
        self.uploads = Uploads(api, ledger, clock.now)

    # Sending

    def upload(self, job: JobRecord) -> SendOutcome | None:
        """Upload one file that the next batch of a job needs; None where the server has them all."""
        file = self.uploads.next(job.number, min(job.batch_size, self._max_requests))
        return None if file is None else self._upload(file)

    def _upload(self, file: FileRecord) -> SendOutcome:
        if not self.uploads.take(file):
            reason = f"Another process is uploading {file.name!r}; sending goes on when it has."
            return SendOutcome(anything=True, wait=self.timing.others_poll, reason=reason)
        try:
            self.uploads.upload(file)
        except RefusedError as error:
            if waiting_helps(error):
                return _held_up(error)
            self.uploads.refuse(file, error.type or f"http_{error.status}", str(error))
        except AmbiguousError as error:
            reason = f"Uploading {file.name!r} is tried again: {error}"
            return SendOutcome(anything=True, wait=error.retry_after or 0.0, reason=reason)
        return SendOutcome(anything=True, reason=f"Files are uploaded before sending; the last one was {file.name!r}.")

    @property
    def is_any_sent(self) -> bool:
        """Whether a thread of this process is sending any batch."""
        with self._claiming:
            return bool(self._sending)

    def is_sending(self, batch: int) -> bool:
        """Tell whether a thread of this process is sending a batch, by its number in the ledger."""
        with self._claiming:
            return batch in self._sending

    def send(self, job: JobRecord, *, patient: bool = True) -> SendOutcome:
        """Claim and send one batch of a job's unsent requests; or upload one file that they need, before.

        Unless `patient`, without waiting for a cache.
        """
        uploaded = self.upload(job)
        if uploaded is not None:
            return uploaded
        if not self.api.heard.answers and self._ledger.rows.count_unsent(job.number):
            # So that the intent has the server's time, and whose key it is, before anything can be lost.
            self.api.listen()
        with self._claiming:  # so that nobody finds it claimed, and nobody sending it
            batch = self._claim(job, patient=patient)
            if isinstance(batch, BatchRecord):
                self._sending.add(batch.id)
        if batch is None:
            return self._held_back(job)
        if isinstance(batch, float):
            return SendOutcome(
                anything=True, wait=max(0.0, batch - self._clock.now()), reason=FIRST_REASON, filling=True
            )
        try:
            return self._send(job, batch)
        finally:
            with self._claiming:
                self._sending.discard(batch.id)

    def _send(self, job: JobRecord, batch: BatchRecord) -> SendOutcome:
        missing = self.uploads.missing(batch.id)
        if missing is not None:  # it was forgotten a moment ago, or the claim took others than were looked at
            self._ledger.batches.let_go(batch.id, state="submitting")
            return self._upload(missing)
        try:
            items = self.uploads.resolved(batch.id, self._ledger.batches.items(batch.id))
            body = join_items(items if batch.cache is None else marked_items(items, batch.cache))
            info = self.api.create_batch(body, self._ledger.batches.betas(batch.id))
        except RefusedError as error:
            return self._refused(job, batch, error)
        except CredentialsError:
            # There was nothing to send it with: the call was not made.
            self._ledger.batches.let_go(batch.id, state="submitting")
            raise
        except BaseException as error:
            # Not only the lost answers: whatever interrupts the call leaves open whether the server has acted.
            self._ledger.batches.uncertain(
                batch.id, now=self._clock.now(), note=_uncertain_note(error), place=self.api.heard.place
            )
            if isinstance(error, AmbiguousError):
                return SendOutcome(anything=True)
            raise
        self._ledger.batches.accepted(
            batch.id, info.id, times=times_of(info), place=self.api.heard.place, skew=self.api.skew()
        )
        return SendOutcome(anything=True)

    def _claim(self, job: JobRecord, *, patient: bool) -> BatchRecord | float | None:
        """Claim a batch; or return the time until which to wait for a cache, in seconds since the epoch."""
        self._ledger.ready_to_claim()
        now = self._clock.now()
        claim = functools.partial(
            self._ledger.batches.claim, job.number, owner=self._ledger.owner.name, now=now,
            max_requests=min(job.batch_size, self._max_requests), max_bytes=job.max_bytes, cache=job.delivery.cache,
            fits=self._fits(job), server_at=self.api.now(), place=self.api.heard.place,
        )  # fmt: skip
        return self._ledger.warming.claim(job, now, claim) if patient and job.delivery.fills else claim()

    def _fits(self, job: JobRecord) -> Fits | None:
        """Return what tells, within the claim, how many requests a job can still pay for; None without a limit."""
        if job.delivery.max_cost is None:
            return None
        # Asked for within the claim's transaction, so that two kernels cannot both spend what is left.
        found: list[Allowance | None] = []

        def fits(requests: int, characters: int, size: int) -> bool:
            if not found:
                found.append(allowance_of(self._ledger, job, self._prices()))
            return found[0] is not None and found[0].fits(requests, characters, size)

        return fits

    def _held_back(self, job: JobRecord) -> SendOutcome:
        """Tell why nothing was claimed: nothing is unsent, or the job may not spend more."""
        unsent = self._ledger.rows.count_unsent(job.number) if job.delivery.max_cost is not None else 0
        if not unsent:
            return SendOutcome(anything=False)
        return SendOutcome(anything=False, reason=held_back(allowance_of(self._ledger, job, self._prices()), unsent))

    def _refused(self, job: JobRecord, batch: BatchRecord, error: RefusedError) -> SendOutcome:
        batches = self._ledger.batches
        if error.status == 413 and batch.requests > 1:
            batches.let_go(batch.id, state="submitting")
            self._ledger.jobs.limit_batches(job.number, max_bytes=batch.bytes // 2)
            return SendOutcome(anything=True)
        if waiting_helps(error):
            batches.let_go(batch.id, state="submitting")
            return _held_up(error)
        batches.refuse(batch.id, error_type=error.type or f"http_{error.status}", message=str(error))
        return SendOutcome(anything=True)

    # Reading results

    def collect(self, batch: BatchRecord) -> Reading:
        """Stream the results of an ended batch into the ledger.

        Reading again, after a stream that broke or ended early, changes nothing that was recorded. A line that cannot
        be read costs no other.

        Raises
        ------
        ApiError
            The results could not be opened.
        """
        batches = self._ledger.batches
        if batch.owner == ATTACHED:
            broken = self._read(
                batch, lambda lines: self._ledger.foreign.admit(batch, list(filter(None, map(self._stranger, lines))))
            )
            absent = self._ledger.foreign.absent(batch)
            return Reading(absent, broken or (NO_RESULT if absent >= batch.requests > 0 else None))
        held = batches.requests_of(batch.id)
        answered = 0

        def write(lines: list[bytes]) -> None:
            nonlocal answered
            alike, others = judge.read_lines(lines, held.replies, self.api.redactor.result)
            answered += batches.record(batch.id, others, held.requests, alike)

        broken = self._read(batch, write)
        # As mostly: then there is no need to look.
        left = 0 if answered == len(held.requests) else batches.unanswered(batch.id)
        # No row is missing for that the server, or what stands before it, gave something else than results.
        return Reading(left, broken or (NO_RESULT if left and left == len(held.requests) else None))

    def _stranger(self, line: bytes) -> tuple[str, bytes] | None:
        """Read a line of a batch made elsewhere as `result_in` does; None, too, where its name holds a credential."""
        found, redactor = result_in(line), self.api.redactor
        if found is None or redactor.is_named(found[0]):
            return None
        return found[0], redactor.result(found[1])

    def _read(self, batch: BatchRecord, write: Callable[[list[bytes]], object]) -> str | None:
        """Write the lines of a batch's results, some at a time; tell why it broke off."""
        broken = None
        lines: list[bytes] = []
        size, left = 0, LINES + LINES_EACH * batch.requests
        with self.api.results(_server_id(batch)) as chunks:
            try:
                for some in judge.lines(chunks, elapsed=self._clock.elapsed):
                    lines += some
                    size += sum(map(len, some))
                    left -= len(some)
                    if len(lines) >= CHUNK or size >= CHUNK_BYTES:
                        write(lines)
                        lines, size = [], 0
                        self._rest()
                    if left < 0:
                        broken = "The results do not end: they hold many more lines than the batch has requests."
                        break
            except AmbiguousError as error:
                broken = str(error)
        if lines:
            write(lines)
        return broken


def waiting_helps(error: ApiError) -> bool:
    """Tell whether the same call may succeed later.

    After rate and queue limits, overload, no connection, conflicts; and once somebody has seen to an account that is
    held up, whose rows are as good as they were.
    """
    if (error.type or "").endswith("spend_limit_reached"):  # a 429 that does not pass by itself
        return False
    return error.status in (409, 429, 529) or error.type in UNREACHED or is_of_account(error)


def _held_up(error: RefusedError) -> SendOutcome:
    reason, unreachable = _waiting_reason(error), error.type in UNREACHED
    return SendOutcome(anything=True, wait=error.retry_after or 0.0, reason=reason, unreachable=unreachable)


def _waiting_reason(error: RefusedError) -> str:
    asked = f" It asks to wait {error.retry_after:.0f} s." if error.retry_after else ""
    if error.status == 429:
        said = "The server limits how much may be queued or asked at once; sending goes on as room comes"
        return f"{said} ({error}).{asked}"
    if is_of_account(error):
        return f"The account is held up, and so is sending, which goes on when that has passed: {error}{asked}"
    return f"Sending waits: {error}{asked}"


def _uncertain_note(error: BaseException) -> str:
    what = str(error) if isinstance(error, ApiError) else f"Sending was interrupted ({type(error).__name__})."
    return f"{what} {FINDING_OUT}"


def _server_id(batch: BatchRecord) -> str:
    if batch.server_id is None:
        raise NotFoundError(f"Batch {batch.id} of the ledger has no id on the server yet.")
    return batch.server_id
