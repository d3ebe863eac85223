"""Batches made elsewhere: attached whole, or searched for the answers a lost ledger knew. Both block meanwhile."""

from __future__ import annotations

import itertools
import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from batchnb.answers import judge
from batchnb.answers.wire import result_in
from batchnb.api.client import Api
from batchnb.api.shapes import RESULTS_KEPT, BatchInfo, state_of, times_of
from batchnb.errors import AmbiguousError, ApiError, NotFoundError, RefusedError
from batchnb.ledger.elsewhere import ForeignBatch
from batchnb.ledger.ledger import Ledger
from batchnb.protocol.listing import PAGE, read_back
from batchnb.protocol.reconcile import READ_AGAIN, STRANGERS
from batchnb.protocol.submission import CHUNK, waiting_helps
from batchnb.protocol.timing import Timing
from batchnb.questions.bodies import digest_in
from batchnb.questions.spec import RecipeSpec

__all__ = ["Recovered", "attach_batch", "is_batch_id", "recover"]

#: Times a call that may succeed later is made before its failure is passed on.
TRIES = 6

#: Times a batch that the server does not know is asked for again.
DOUBTS = 2

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was taken back from one batch.

    Parameters
    ----------
    batch : BatchInfo
        As the server describes it.
    ours : int
        Rows whose custom_ids carry a digest.
    answers : int
        Those among them that were answered, and were not here before.
    note : str or None
        Why there may be more.
    """

    batch: BatchInfo
    ours: int = 0
    answers: int = 0
    note: str | None = None


def is_batch_id(id: str) -> bool:
    """Tell whether this may be the server's id of a batch; what else is put into an address asks for something else."""
    return re.fullmatch(r"msgbatch_[a-zA-Z0-9_-]+", id) is not None


def attach_batch(api: Api, ledger: Ledger, batch_id: str, now: float, timing: Timing) -> str:
    """Have the ledger keep a batch made elsewhere; return the id of the job that stands for it.

    The job that has sent the batch, where this ledger has.

    Raises
    ------
    NotFoundError
        The server does not know the batch, or does not keep its results any more.
    """
    job = ledger.foreign.job_of(batch_id)
    if job is not None:
        return job
    try:
        info = _patiently(lambda: api.retrieve_batch(batch_id), timing)
    except NotFoundError as error:
        raise NotFoundError(
            f"The server knows no batch {batch_id!r} in the workspace of this key ({error}). batchnb.batches() lists "
            "those there are.",
            status=error.status,
            type=error.type,
        ) from error
    if info.archived_at is not None:
        raise NotFoundError(
            f"Batch {batch_id} was made on {info.created_at:%Y-%m-%d}; the server keeps results for 29 days, so they "
            "are gone."
        )
    return ledger.foreign.attach(_described(api, info), RecipeSpec.of_attached(), now)


def recover(api: Api, ledger: Ledger, *, timing: Timing, timeout: float | None) -> list[Recovered]:
    """Search the batches of the last 29 days, that the ledger does not know, for answers to questions of ours.

    Those still in progress are waited for, `timeout` seconds at most: whose they are is only to be seen at their end.

    Raises
    ------
    ApiError
        The batches could not be listed, or may not be read with this key.
    """
    found: dict[str, Recovered] = {}
    started = time.monotonic()
    for check in itertools.count():
        latest = {one.batch.id: one for one in _pass(api, ledger, timing)}
        # Of those in progress only the latest listing counts: one may be gone, or be known for our own by now.
        found = {name: one for name, one in found.items() if one.batch.processing_status == "ended"} | latest
        running = [one for one in latest.values() if one.batch.processing_status != "ended"]
        left = math.inf if timeout is None else timeout - (time.monotonic() - started)
        if not running or left <= 0:
            break
        if check == 0:
            requests = sum(one.batch.total for one in running)
            print(  # noqa: T201
                f"batchnb: {len(running):,} batches ({requests:,} requests) are still in progress and may hold answers "
                "of yours: waiting for their end. Interrupt to go on without.",
                file=sys.stderr,
            )
        time.sleep(min(left, timing.poll_interval(check)))
    return list(found.values())


def _pass(api: Api, ledger: Ledger, timing: Timing) -> Iterator[Recovered]:
    """Search what has ended and was not searched before; what is in progress is given too, unread."""
    try:
        for info in _patiently(lambda: _recent(api), timing):
            if ledger.foreign.has_read(info.id) or info.archived_at is not None:
                continue
            if info.processing_status == "ended":
                yield _taken_back(api, ledger, info, timing)
            else:
                yield Recovered(info, note="still in progress")
    finally:
        ledger.foreign.use_recovered()


def _recent(api: Api) -> list[BatchInfo]:
    """List the batches whose results the server may still keep.

    By its own clock; and where that says of all of them that they are too old, its times do not go together.
    """
    api.listen()
    now = api.now()
    listed = read_back(api.list_batches(page_size=PAGE), None if now is None else now - RESULTS_KEPT).batches
    newest = max((info.created_at.timestamp() for info in listed if info.created_at is not None), default=math.inf)
    since = min(newest, math.inf if now is None else now) - RESULTS_KEPT
    return [info for info in listed if info.created_at is None or info.created_at.timestamp() >= since]


def _taken_back(api: Api, ledger: Ledger, info: BatchInfo, timing: Timing) -> Recovered:
    """Take the answers back from one batch; read it again where it broke off or ended early."""
    batch, findings = _described(api, info), _Findings()
    for attempt in range(READ_AGAIN + 1):
        if attempt:
            time.sleep(timing.backoff(attempt - 1))
        try:
            _patiently(lambda: _search(api, ledger, batch, findings), timing)
        except ApiError as error:
            if isinstance(error, RefusedError) and not (isinstance(error, NotFoundError) or waiting_helps(error)):
                raise
            findings.broken = str(error)
            break
        if findings.broken is None and findings.is_all(batch):
            break
    if findings.broken is None and (findings.digests or findings.lines >= min(STRANGERS, batch.requests)):
        ledger.foreign.mark_read(batch)
        return Recovered(info, len(findings.digests), findings.new)
    why = findings.broken or "its results hold fewer rows than they should"
    note = f"not all of it could be read, recover() again reads the rest: {why}"
    return Recovered(info, len(findings.digests), findings.new, note)


@dataclass(slots=True)
class _Findings:
    """What the readings of one batch have brought together; `lines` and `broken` are of the last one."""

    lines: int = 0
    digests: set[bytes] = field(default_factory=set)
    paid: set[bytes] = field(default_factory=set)
    new: int = 0
    broken: str | None = None

    def is_all(self, batch: ForeignBatch) -> bool:
        """Tell whether there is nothing more to be found: it is another's, or every paid answer was seen."""
        if not self.digests:
            return self.lines >= min(STRANGERS, batch.requests)
        return len(self.paid) >= batch.counts.get("succeeded", 0)


def _search(api: Api, ledger: Ledger, batch: ForeignBatch, findings: _Findings) -> None:
    """Keep the paid answers in the results of a batch, also those that came before they broke off."""
    chunk: list[tuple[bytes, bytes]] = []
    findings.lines, findings.broken = 0, None
    with api.results(batch.server_id) as chunks:
        try:
            for line in itertools.chain.from_iterable(judge.lines(chunks)):
                findings.lines += 1
                if (ours := _ours_in(line)) is not None:
                    findings.digests.add(ours[0])
                    if judge.is_paid(ours[1]):
                        chunk.append(ours)
                elif findings.lines >= STRANGERS and not findings.digests:
                    break
                if len(chunk) >= CHUNK:
                    _keep(ledger, batch, chunk, findings)
        except AmbiguousError as error:
            findings.broken = str(error)
        finally:  # also when it is interrupted
            _keep(ledger, batch, chunk, findings)


def _keep(ledger: Ledger, batch: ForeignBatch, chunk: list[tuple[bytes, bytes]], findings: _Findings) -> None:
    if chunk:
        findings.new += ledger.foreign.keep(batch, chunk)
        findings.paid.update(digest for digest, _ in chunk)
        chunk.clear()


def _ours_in(line: bytes) -> tuple[bytes, bytes] | None:
    """Read the digest and the result in a line; None where it carries none of ours, or cannot be read."""
    found = result_in(line)
    digest = None if found is None else digest_in(found[0])
    return None if found is None or digest is None else (digest, found[1])


def _patiently(call: Callable[[], _T], timing: Timing) -> _T:
    """Make a call that asks only, again where waiting helps or its answer was lost."""
    for attempt in range(TRIES - 1):
        try:
            return call()
        except ApiError as error:
            if isinstance(error, NotFoundError):  # a server that lags behind does not say so for long
                lasting = attempt >= DOUBTS
            else:
                lasting = isinstance(error, RefusedError) and not waiting_helps(error)
            if lasting:
                raise
            # Somebody waits for this, without a word of why: so not for the hour that a server may ask for.
            asked = min(error.retry_after or 0.0, timing.longest_wait_in_recover)
            time.sleep(timing.backoff(attempt, retry_after=asked))
    return call()


def _described(api: Api, info: BatchInfo) -> ForeignBatch:
    return ForeignBatch(info.id, state_of(info), info.request_counts, **times_of(info), place=api.heard.place)
