"""The exactly-once protocol: intent, create, record; and what to do when the answer to a create is lost.

1. The intent is in the ledger, durably, before a byte is sent (``Batches.claim``).
2. The create call is made once; the SDK's retries are off.
3. Answered: the server's id is recorded. Refused: nothing was made, so the requests are let go to be sent again where
   waiting helps, or carry the server's message. No usable answer: the batch is *uncertain*.
4. Uncertain is settled by listing: a batch of the same size that the ledger does not know is followed to its end, and
   adopted if it holds exactly our custom_ids. None, twice, after a grace period: it was never made. Nothing is bought
   again by itself.

No thread and no sleep in here: :mod:`batchnb.watcher` calls these steps when they are due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from batchnb import requests, results
from batchnb.api import Api, BatchInfo
from batchnb.errors import AmbiguousError, ApiError, NotFoundError, RefusedError
from batchnb.ledger import BatchRecord, JobRecord, Ledger

__all__ = ["Sent", "Settlement", "Submission"]

#: Created batches are looked for from this long before the intent, since clocks disagree; the custom_ids decide.
LOOK_BACK = 26 * 3600.0

#: Answers recorded in one transaction.
CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of trying to send.

    Parameters
    ----------
    anything : bool
        Whether there was something to send.
    wait : float or None
        Seconds the server asks to wait, 0 where it did not say; None where there is no need to wait.
    reason : str or None
        Why to wait, for people.
    """

    anything: bool
    wait: float | None = None
    reason: str | None = None


@dataclass(slots=True)
class Settlement:
    """What is known so far of an uncertain batch; kept in memory, since looking again costs little."""

    empty_listings: int = 0
    rejected: set[str] = field(default_factory=set)


class Submission:
    """The steps of the protocol.

    Parameters
    ----------
    api, ledger
        Where to send, and where to record.
    clock : callable
        Gives the time in seconds since the epoch.
    max_requests : int
        The API's limit of requests in a batch.
    grace : float
        Seconds after which a batch that no listing shows counts as never made.
    """

    def __init__(
        self, api: Api, ledger: Ledger, clock: Callable[[], float], *, max_requests: int, grace: float
    ) -> None:
        self.api = api
        self._ledger = ledger
        self._clock = clock
        self._max_requests = max_requests
        self._grace = grace

    # Sending

    def send(self, job: JobRecord) -> Sent:
        """Claim and send one batch of a job's unsent requests."""
        batch = self._ledger.batches.claim(
            job.number,
            owner=self._ledger.owner.name,
            now=self._clock(),
            max_requests=min(job.batch_size, self._max_requests),
            max_bytes=job.max_bytes,
        )
        if batch is None:
            return Sent(anything=False)
        try:
            body = requests.join_items(self._ledger.batches.items(batch.id))
            info = self.api.create_batch(body, self._ledger.batches.betas(batch.id))
        except RefusedError as error:
            return self._refused(job, batch, error)
        except BaseException as error:
            # Not only the lost answers: whatever interrupts the call leaves open whether the server has acted.
            self._ledger.batches.uncertain(batch.id, now=self._clock(), note=_uncertain_note(error))
            if isinstance(error, AmbiguousError):
                return Sent(anything=True)
            raise
        self._ledger.batches.accepted(batch.id, info.id, state="in_progress", times=times_of(info))
        return Sent(anything=True)

    def _refused(self, job: JobRecord, batch: BatchRecord, error: RefusedError) -> Sent:
        batches = self._ledger.batches
        if error.status == 413 and batch.requests > 1:
            batches.let_go(batch.id)
            self._ledger.jobs.limit_batches(job.number, max_bytes=batch.bytes // 2)
            return Sent(anything=True)
        if waiting_helps(error):
            batches.let_go(batch.id)
            return Sent(anything=True, wait=error.retry_after or 0.0, reason=_waiting_reason(error))
        batches.refuse(batch.id, error_type=error.type or f"http_{error.status}", message=str(error))
        return Sent(anything=True)

    # Settling

    def settle(self, batch: BatchRecord, known: Settlement) -> bool:
        """Look for an uncertain batch on the server; tell whether it is settled.

        Raises
        ------
        ApiError
            The server could not be asked; try again later.
        """
        waited = self._clock() - (batch.failed_at or batch.intended_at) >= self._grace
        ours = set(self._ledger.batches.replies(batch.id))
        candidates = self._candidates(batch, known)
        for candidate in candidates:
            if candidate.processing_status != "ended":
                continue  # its custom_ids are not to be seen before its end
            if self._custom_ids(candidate.id) == ours:
                self._ledger.batches.accepted(batch.id, candidate.id, state="in_progress", times=times_of(candidate))
                return True
            known.rejected.add(candidate.id)
        if any(candidate.id not in known.rejected for candidate in candidates):
            known.empty_listings = 0
        elif waited:
            known.empty_listings += 1
        if known.empty_listings < 2:
            return False
        self._ledger.batches.let_go(batch.id)
        return True

    def _candidates(self, batch: BatchRecord, known: Settlement) -> list[BatchInfo]:
        """List the batches that may be this one: of its size, unknown to the ledger, not much older than the intent."""
        ledger_knows = self._ledger.batches.known_server_ids()
        found = []
        for info in self.api.list_batches():
            if info.created_at is not None and info.created_at.timestamp() < batch.intended_at - LOOK_BACK:
                break
            if info.total == batch.requests and info.id not in ledger_knows and info.id not in known.rejected:
                found.append(info)
        return found

    def _custom_ids(self, batch_id: str) -> set[bytes | None]:
        with self.api.results(batch_id) as chunks:
            return {requests.digest_in(_custom_id_in(line)) for line in results.lines(chunks)}

    # Reading results

    def collect(self, batch: BatchRecord) -> bool:
        """Stream the results of an ended batch into the ledger; tell whether every request has its answer.

        Reading again, after a stream that broke or ended early, changes nothing that was recorded.

        Raises
        ------
        ApiError
            The results could not be opened.
        """
        server_id = _server_id(batch)
        replies = self._ledger.batches.replies(batch.id)
        with self.api.results(server_id) as chunks:
            answers: list[results.Answer] = []
            try:
                for line in results.lines(chunks):
                    answer = results.parse_line(line, replies)
                    if answer is not None:
                        answers.append(answer)
                    if len(answers) >= CHUNK:
                        self._ledger.batches.record(batch.id, answers)
                        answers = []
            except (AmbiguousError, msgspec.MsgspecError) as error:
                # What came whole is kept; the caller reads the rest again.
                self._ledger.batches.note(batch.id, f"Reading the results broke off and is tried again: {error}")
            self._ledger.batches.record(batch.id, answers)
        return self._ledger.batches.unanswered(batch.id) == 0


def waiting_helps(error: ApiError) -> bool:
    """Tell whether the same call may succeed later: rate and queue limits, overload, no connection, conflicts."""
    if error.type == "enforced_spend_limit_reached":  # a 429 that does not pass by itself
        return False
    return error.status in (409, 429, 529) or error.type == "unreachable"


def times_of(info: BatchInfo) -> dict[str, float | None]:
    """Give a batch's times in seconds since the epoch."""

    def seconds(moment: datetime | None) -> float | None:
        return None if moment is None else moment.timestamp()

    return {
        "created_at": seconds(info.created_at),
        "expires_at": seconds(info.expires_at),
        "ended_at": seconds(info.ended_at),
    }


def _waiting_reason(error: RefusedError) -> str:
    if error.status == 429:
        return f"The server limits how much may be queued or asked at once; sending goes on as room comes ({error})"
    return f"Sending waits: {error}"


def _uncertain_note(error: BaseException) -> str:
    what = str(error) if isinstance(error, ApiError) else f"Sending was interrupted ({type(error).__name__})."
    return f"{what} Whether the server took the batch is being found out; nothing is sent twice."


def _server_id(batch: BatchRecord) -> str:
    if batch.server_id is None:
        raise NotFoundError(f"Batch {batch.id} of the ledger has no id on the server yet.")
    return batch.server_id


class _Identified(msgspec.Struct):
    custom_id: str


def _custom_id_in(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=_Identified).custom_id
    except msgspec.MsgspecError as error:
        raise AmbiguousError(f"The results of a candidate batch could not be read: {error}") from error
