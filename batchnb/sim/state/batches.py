"""The life of a batch: created, in progress, perhaps canceling, ended, deleted. No HTTP here.

Nothing runs while nobody looks: a batch whose time has come is settled (validated, answered, counted) when a call
first asks for it, in a thread beside it, so that a simulator that was down in the meantime finds everything as if it
had been up. A row's answer is made once and stored.

Sources: platform.claude.com documentation and anthropic 2.12.0 (counts are zero until the whole batch has ended;
results in any order; 24 hours; 29 days). Unverified: what canceling an ended batch, deleting one in progress, reading
results too early and an unknown cursor are answered with. They are chosen here to be 400, 400, 404 and 400; a deleted
batch still serves as a cursor, for people delete what they list.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from itertools import takewhile
from threading import Lock, Semaphore, Thread
from typing import Any, Literal, NamedTuple

from batchnb.sim.server import settings
from batchnb.sim.server.faults import Fault, row_faults
from batchnb.sim.state.create import parse
from batchnb.sim.state.execute import Executor
from batchnb.sim.state.store import BatchRow, Store
from batchnb.sim.wire import ApiError, Clock, invalid, new_id, rfc3339

_CANCEL_SECONDS = 0.3
_SETTLE_WAIT = 0.5  # how long a call waits for batches to be settled before it says "in progress"
_SETTLED_AT_ONCE = 2
_CLOSE_WAIT = 5.0  # how long a close waits for a responder to return
_BILLED = ("succeeded",)
OUTCOMES = ("succeeded", "errored", "canceled", "expired")


@dataclass(frozen=True)
class Limits:
    """The limits of the API, settable so that tests can reach them.

    Parameters
    ----------
    requests
        The most requests in a batch.
    bytes
        The largest body of a call, in bytes.
    queued
        The most requests in batches that have not ended; None for no limit. Beyond it a create is a 429.
    expires_after, archives_after
        Seconds after its creation when a batch expires, and when its results are gone.
    file_bytes, storage_bytes
        The largest file that may be uploaded, and the most that all files together may take (None for no limit).
    image_bytes
        The largest image in a request: of its base64 text where it is sent inline, else of the file.
    """

    requests: int = 100_000
    bytes: int = 256_000_000
    queued: int | None = None
    expires_after: float = 24 * 3600.0
    archives_after: float = 29 * 24 * 3600.0
    file_bytes: int = 500_000_000
    storage_bytes: int | None = None
    image_bytes: int = 5 * 1024 * 1024

    def __post_init__(self) -> None:
        for name in ("requests", "bytes", "file_bytes", "image_bytes"):
            settings.whole(name, getattr(self, name), "a whole number of at least 0", least=0)
        for name in ("queued", "storage_bytes"):
            if getattr(self, name) is not None:
                settings.whole(name, getattr(self, name), "a whole number of at least 0, or None for no limit", least=0)
        for name in ("expires_after", "archives_after"):
            settings.number(name, getattr(self, name), "a time in seconds")


class Recorded(NamedTuple):
    """One request that the server accepted: what a judge of "sent once" needs.

    `executed` says whether a model answered it (which is what is billed); `outcome` is None until the batch has ended.
    `digest` is the SHA-256 of its params as they were received, so equal questions can be told under any custom_id.
    """

    batch_id: str
    custom_id: str
    executed: bool
    outcome: str | None
    digest: str
    created_at: float


class Batches:
    """All batches of one simulator.

    Parameters
    ----------
    store
        Where they are kept.
    executor
        What validates and answers their rows.
    clock
        The time.
    delay
        The shortest and the longest time, in seconds, that a batch takes.
    speed
        By how much faster time passes: a batch takes its delay divided by this.
    limits
        The API's limits.
    seed
        Decides the delays and which rows a fault strikes.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        *,
        clock: Clock,
        delay: tuple[float, float],
        speed: float,
        limits: Limits,
        seed: int,
    ) -> None:
        self._store = store
        self._executor = executor
        self._clock = clock
        self._delay = delay
        self._speed = speed
        self._limits = limits
        self._seed = seed
        self._settling: dict[int, Future[None]] = {}
        self._lock = Lock()
        self._turns = Semaphore(_SETTLED_AT_ONCE)
        self._closing = False
        store.forget(clock.now() - limits.archives_after)

    def close(self) -> None:
        """Stop settling. What is left of a batch is settled after the next start; answered rows stay as they are."""
        self._closing = True
        with self._lock:
            unfinished = list(self._settling.values())
        wait(unfinished, _CLOSE_WAIT)

    def create(
        self, body: bytes, *, version: str, beta: bool, betas: Sequence[str] = (), faults: Iterable[Fault] = ()
    ) -> BatchRow:
        """Accept a batch, or refuse it whole.

        Parameters
        ----------
        body
            The body of the call as it was received.
        version, beta, betas
            The API version, whether the beta namespace was used, and the values of the ``anthropic-beta`` header: they
            decide how params are validated.
        faults
            Faults of the stage ``"batch"``.

        Raises
        ------
        ApiError
            400, 413, or 429 when the queue is full.
        """
        requests = parse(body, self._limits.requests)
        queue = self._limits.queued
        if queue is not None:
            self.settle_due()
            if self._store.queued() + len(requests) > queue:
                raise ApiError(
                    "rate_limit_error",
                    f"This request would exceed your limit of {queue} batch requests in the processing queue.",
                )
        now = self._clock.now()
        rng = random.Random(f"{self._seed}:{self._store.count()}")  # noqa: S311 - a simulation
        chosen = list(faults)
        slower = sum(fault.seconds for fault in chosen if fault.kind == "slow_batch")
        takes = (rng.uniform(*self._delay) + slower) / self._speed
        fates = row_faults(chosen, len(requests), rng)
        return self._store.add_batch(
            new_id("msgbatch"),
            requests,
            fates,
            version=version,
            beta=beta,
            betas=",".join(betas),
            created_at=now,
            due_at=now + min(takes, self._limits.expires_after),
            planned=takes,
            expires=takes >= self._limits.expires_after,
            vanished=any(fault.kind == "vanish" for fault in chosen),
        )

    def retrieve(self, batch_id: str) -> BatchRow:
        """Return a batch as it is now, settling it when its time has come.

        Raises
        ------
        ApiError
            404 when there is none.
        """
        batch = self._store.batch(batch_id)
        if batch is None or batch.deleted_at is not None or batch.vanished:
            raise ApiError("not_found_error", f"Message Batch {batch_id} not found.")
        return self._settled([batch], _SETTLE_WAIT)[0]

    def page(self, limit: int, after_id: str | None, before_id: str | None) -> tuple[list[BatchRow], bool]:
        """Return one page of batches, newest first, and whether there are more in its direction.

        Raises
        ------
        ApiError
            400 for an unknown cursor, or for both at once.
        """
        if after_id is not None and before_id is not None:
            raise invalid("Only one of after_id and before_id may be given.")
        older = self._seq("after_id", after_id)
        newer = self._seq("before_id", before_id)
        found = self._store.page(limit + 1, older_than=older, newer_than=newer)
        more = len(found) > limit
        found = found[-limit:] if newer is not None else found[:limit]
        return self._settled(found, _SETTLE_WAIT), more

    def cancel(self, batch_id: str) -> BatchRow:
        """Begin to cancel a batch: it is ``canceling`` for a moment, then ends with a part of its results.

        Raises
        ------
        ApiError
            404 when there is none, 400 when it has ended.
        """
        batch = self.retrieve(batch_id)
        if batch.ended_at is not None:
            raise invalid(f"Message Batch {batch_id} cannot be canceled because it has already ended.")
        if batch.cancel_at is None:
            now = self._clock.now()
            self._store.cancel(batch.seq, now, min(batch.due_at, now + _CANCEL_SECONDS / self._speed))
        return self.retrieve(batch_id)

    def delete(self, batch_id: str) -> None:
        """Delete a batch that has ended.

        Raises
        ------
        ApiError
            404 when there is none, 400 when it has not ended.
        """
        batch = self.retrieve(batch_id)
        if batch.ended_at is None:
            raise invalid("In progress batches cannot be deleted. Consider canceling the batch instead.")
        self._store.delete(batch.seq, self._clock.now())

    def results(self, batch_id: str) -> tuple[int, Iterator[bytes]]:
        """Return the number of results of a batch and its lines, in a new random order each time.

        The lines are read from disk as they are taken, in chunks.

        Raises
        ------
        ApiError
            404 when there is no such batch, when it has not ended, and when its results are archived.
        """
        batch = self.retrieve(batch_id)
        if batch.ended_at is None:
            raise ApiError("not_found_error", f"Message Batch {batch_id} has no available results.")
        if self._archived_at(batch) is not None:
            raise ApiError("not_found_error", f"The results of Message Batch {batch_id} are no longer available.")
        order = list(range(batch.total))
        random.shuffle(order)
        lines = (
            b'{"custom_id":"%s","result":%s}\n' % (custom_id.encode(), result)
            for chunk in self._store.results(batch.seq, order)
            for custom_id, result in chunk
        )
        return batch.total, lines

    def describe(self, batch: BatchRow, origin: str) -> dict[str, Any]:
        """Return a batch as the API's MessageBatch object.

        Parameters
        ----------
        batch
            The batch.
        origin
            Scheme and host as the client calls them, for ``results_url``.
        """
        ended = batch.ended_at is not None
        archived = self._archived_at(batch)
        counts = {name: getattr(batch, name) if ended else 0 for name in OUTCOMES}
        status: Literal["ended", "canceling", "in_progress"]
        status = "ended" if ended else "canceling" if batch.cancel_at is not None else "in_progress"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": status,
            "request_counts": {"processing": 0 if ended else batch.total, **counts},
            "ended_at": _time(batch.ended_at),
            "created_at": rfc3339(batch.created_at),
            "expires_at": rfc3339(batch.created_at + self._limits.expires_after),
            "archived_at": _time(archived),
            "cancel_initiated_at": _time(batch.cancel_at),
            "results_url": f"{origin}/v1/messages/batches/{batch.id}/results" if ended and archived is None else None,
        }

    def age(self, batch_id: str, *, since_end: bool) -> float | None:
        """Return the seconds since a batch was created or has ended; None where there is no such moment."""
        batch = self._store.batch(batch_id)
        moment = None if batch is None else batch.ended_at if since_end else batch.created_at
        return None if moment is None else self._clock.now() - moment

    def settle_due(self) -> None:
        """Settle every batch whose time has come, and wait for it."""
        self._settled(self._store.due(self._clock.now()), None)

    def record(self) -> list[Recorded]:
        """Return every accepted request in order, of deleted and vanished batches too, but not of archived ones."""
        self.settle_due()
        return [
            Recorded(batch_id, custom_id, outcome in _BILLED, outcome, hashlib.sha256(params).hexdigest(), created_at)
            for batch_id, created_at, custom_id, outcome, params in self._store.record()
        ]

    def _settled(self, batches: Sequence[BatchRow], seconds: float | None) -> list[BatchRow]:
        """Return batches as they are now; those that are due are settled first, waiting so long in all (None: ever)."""
        now = self._clock.now()
        begun = {batch.seq: self._begun(batch) for batch in batches if batch.ended_at is None and batch.due_at <= now}
        for finished in wait(begun.values(), seconds).done:
            finished.result()
        return [(self._store.batch(batch.id) or batch) if batch.seq in begun else batch for batch in batches]

    def _begun(self, batch: BatchRow) -> Future[None]:
        with self._lock:
            if batch.seq not in self._settling:
                future = self._settling[batch.seq] = Future[None]()
                # A daemon: the interpreter must not wait at its exit for a responder that takes its time.
                Thread(target=self._settle, args=(batch, future), name="batchnb-sim-settle", daemon=True).start()
            return self._settling[batch.seq]

    def _settle(self, batch: BatchRow, future: Future[None]) -> None:
        try:
            with self._turns:
                self._answer_rows(batch.id)
        except BaseException as problem:  # noqa: BLE001 - whoever waits for the future gets it
            future.set_exception(problem)
        else:
            future.set_result(None)
        finally:
            with self._lock:
                del self._settling[batch.seq]

    def _answer_rows(self, batch_id: str) -> None:
        batch = self._store.batch(batch_id)
        if batch is None or batch.ended_at is not None:
            return
        for chunk in self._store.requests(batch.seq):
            asked = takewhile(lambda _: not self._closing, chunk)
            self._store.save_results(batch.seq, [self._executor.run(batch, request) for request in asked])
            if self._closing:
                return
        self._store.end(batch.seq)

    def _seq(self, name: str, batch_id: str | None) -> int | None:
        if batch_id is None:
            return None
        batch = self._store.batch(batch_id)
        if batch is None or batch.vanished:
            raise invalid(f"{name}: Message Batch {batch_id} not found.")
        return batch.seq

    def _archived_at(self, batch: BatchRow) -> float | None:
        moment = batch.created_at + self._limits.archives_after
        return moment if batch.ended_at is not None and moment <= self._clock.now() else None


def _time(moment: float | None) -> str | None:
    return None if moment is None else rfc3339(moment)
