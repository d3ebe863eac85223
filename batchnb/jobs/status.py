"""How a job stands, from what the ledger has of it: for its properties, and frozen for its views."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd

from batchnb.answers.arrays import utc
from batchnb.answers.provenance import Provenance
from batchnb.answers.request_counts import COUNTS, RequestCounts
from batchnb.api.shapes import RESULTS_KEPT
from batchnb.costs.bills import UsageLine, costs_of, sum_of
from batchnb.costs.prices import PriceTable, Usage
from batchnb.display.snapshot import BatchLine, Caching, ErrorKind, Snapshot, Usual
from batchnb.ledger.counts import Kind, Tally
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.read_batches import BatchRecord
from batchnb.ledger.read_jobs import JobRecord
from batchnb.planning.history import Earlier, earlier
from batchnb.system.clock import Moment

if TYPE_CHECKING:
    from batchnb.api.shapes import BatchInfo

__all__ = [
    "Facts",
    "batch_frame",
    "deadline",
    "facts_of",
    "job_frame",
    "server_frame",
    "snapshot_of",
    "status_of",
]

#: How long before it happens to warn, in seconds: a batch expires 24 hours after it was made (platform.claude.com
#: documentation), and the server drops its results in the end.
EXPIRES_SOON, LAPSES_SOON = 2 * 3600.0, 3 * 86_400.0

#: Seconds by which two clocks have come apart when one of them was set; less is what an answer took to come.
SET = 60.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What became of a job's rows, counted over all of them: worth keeping until something changes.

    Parameters
    ----------
    outcomes : mapping of str to int
        Rows by outcome.
    usage : Usage
        Tokens of the answers.
    cost : float or None
        Dollars for them; None where a price is unknown.
    errors : tuple of ErrorKind
        Kinds of failure with their counts.
    retryable : int
        Failed requests that ``retry()`` would ask again.
    usual : Usual or None
        How long earlier batches of the same model took; None for a job that has ended.
    caching : Caching
        What the prompt cache does for the job.
    each : float or None
        Dollars for one answer on average, were all of them asked in batches; None without any.
    before : Earlier or None
        What earlier answers of the recipe tell, as long as the job has none itself.
    """

    outcomes: Mapping[str, int]
    usage: Usage
    cost: float | None
    errors: tuple[ErrorKind, ...]
    retryable: int
    usual: Usual | None
    caching: Caching = field(default_factory=Caching)
    each: float | None = None
    before: Earlier | None = None


def facts_of(ledger: Ledger, number: int, prices: PriceTable) -> Facts:
    """Count what became of a job's rows."""
    record = ledger.jobs.by_number(number)
    tally = counted(ledger, record)
    outcomes, lines = tally.outcomes, tally.lines
    usage = sum((line.usage for line in lines), Usage())
    cost = sum_of(costs_of(lines, prices))
    in_batches = sum_of(costs_of([line._replace(batch=True) for line in lines], prices))
    return Facts(
        outcomes=outcomes,
        usage=usage,
        cost=None if cost is None else float(cost),
        errors=tuple(_error(ledger, record, kind) for kind in tally.kinds),
        retryable=tally.failed,
        usual=None if record.state == "ended" else _usual(ledger, record),
        caching=_caching(ledger, record, lines, prices),
        each=None if in_batches is None or not usage.requests else float(in_batches / usage.requests),
        before=None if record.state == "ended" or lines else earlier(ledger, record.recipe, prices, without=number),
    )


def counted(ledger: Ledger, job: JobRecord) -> Tally:
    """Count a job's rows, also those that are known by their results only: of a batch made elsewhere."""
    tally = ledger.tallies.of_job(job.number)
    seen_whole = job.recipe.attached and job.state == "ended"
    if seen_whole and "pending" in tally.outcomes and not ledger.rows.is_undecided(job.number):
        unseen = tally.outcomes.pop("pending")
        tally.outcomes["missing"] = tally.outcomes.get("missing", 0) + unseen
    return tally


def job_frame(
    ledger: Ledger, jobs: Iterable[JobRecord], prices: PriceTable, *, now: Moment, provenance: Provenance
) -> pd.DataFrame:
    """List jobs of a ledger as ``batchnb.jobs().to_frame()`` describes it.

    The cost is in dollars, and missing where a price is unknown; times are UTC.
    """
    rows: list[list[object]] = []
    for job in jobs:
        tally = counted(ledger, job)
        cost = sum_of(costs_of(tally.lines, prices))
        # What has ended, with all its answers, has no batch that there is something to say of.
        is_done = job.state == "ended" and "pending" not in tally.outcomes
        rows.append([
            job.id, job.name, utc(job.created_at), job.recipe.model, job.rows,
            tally.outcomes.get("succeeded", 0), status_of(job, ledger), None if cost is None else float(cost),
            provenance.simulated, job.note if is_done else _note(job, ledger.batches.of_job(job.number), now),
        ])  # fmt: skip
    columns = ["id", "name", "created", "model", "rows", "succeeded", "status", "cost", "simulated", "note"]
    return pd.DataFrame(rows, columns=columns)


def _error(ledger: Ledger, job: JobRecord, kind: Kind) -> ErrorKind:
    key = ledger.tallies.key_at(job.number, kind.first)
    row = kind.first // job.recipe.samples
    return ErrorKind(kind.kind, kind.rows, f"row {row}" if key is None else f"key {key}")


def _caching(ledger: Ledger, job: JobRecord, lines: Sequence[UsageLine], prices: PriceTable) -> Caching:
    """Tell what the prompt cache did for the answers whose tokens `lines` sum up."""
    usage = sum((line.usage for line in lines), Usage())
    is_used = usage.prompt_tokens > usage.input_tokens
    requests, hits = ledger.warming.hits(job.number) if is_used else (0, 0)
    saved = sum_of([_saved(line, prices) for line in lines if line.usage.prompt_tokens > line.usage.input_tokens])
    return Caching(
        lifetime=job.delivery.cache,
        why=job.delivery.cache_why,
        shared_tokens=job.delivery.shared_tokens,
        requests=requests,
        hits=hits,
        read=usage.cache_read,
        written_5m=usage.cache_write_5m,
        written_1h=usage.cache_write_1h,
        saved=None if saved is None else float(saved),
    )


def _saved(line: UsageLine, prices: PriceTable) -> Decimal | None:
    """Return what these tokens would have cost more, had all of the prompts been plain input."""
    price, usage = prices.price(line.model), line.usage
    if price is None:
        return None
    plain = Usage(usage.prompt_tokens, usage.output_tokens, requests=usage.requests)
    without = price.cost(plain, batch=line.batch, geo=line.geo, prompt_tokens=line.prompt_tokens)
    cost = price.cost(usage, batch=line.batch, geo=line.geo, prompt_tokens=line.prompt_tokens)
    return None if without is None or cost is None else without - cost


def _usual(ledger: Ledger, job: JobRecord) -> Usual | None:
    return Usual.of(ledger.batches.durations(job.recipe.model, without=job.number))


def snapshot_of(
    job: JobRecord, facts: Facts, ledger: Ledger, *, now: Moment, provenance: Provenance, failing: bool,
    failure: BaseException | None, forecasts: Mapping[bytes, float] = MappingProxyType({}),
) -> Snapshot:  # fmt: skip
    """Freeze how a job stands now, for its views.

    `forecasts` has the dollars that a request is expected to cost, by recipe, as estimated in this process.
    """
    batches = ledger.batches.of_job(job.number)
    lines = tuple(_line(batch) for batch in batches if not batch.standard)
    waiting = job.state == "open" or "pending" in facts.outcomes  # held back, where the job has ended
    unsent = ledger.rows.count_unsent(job.number) if waiting else 0
    note = str(failure) if failure else _note(job, batches, now)
    expected, source = _expected(job, facts, unsent + sum(line.counts.processing for line in lines), forecasts)
    return Snapshot(
        job_id=job.id,
        name=job.name,
        model=job.recipe.model,
        status=status_of(job, ledger),
        rows=job.rows,
        started_at=_started(job, batches, now),
        now=now.local,
        skew=_skew(batches, now),
        outcomes=facts.outcomes,
        unsent=unsent,
        reused=job.reused,
        retryable=facts.retryable,
        batches=lines,
        singly=len(batches) - len(lines),
        ended_at=job.ended_at,
        checked_at=max((batch.checked_at for batch in batches if batch.checked_at is not None), default=None),
        failing=failing,
        usual=facts.usual,
        cost=facts.cost,
        expected=expected,
        expected_from=source,
        provenance=provenance,
        # A view may be saved and published: where the ledger lies is nobody's business there.
        note=note and note.replace(str(ledger.path), ledger.path.name).replace(str(ledger.home), "BATCHNB_HOME"),
        errors=facts.errors,
        caching=facts.caching,
    )


def _expected(
    job: JobRecord, facts: Facts, still_open: int, forecasts: Mapping[bytes, float]
) -> tuple[float | None, str | None]:
    """Return what all answers will cost, and what that is learned from where it is not the job's own answers."""
    if not still_open or facts.cost is None or job.state == "ended":
        return None, None
    if facts.each is not None:
        # Those of the open requests will cost what the others did, or would have in a batch; unless they are held back.
        limit = job.delivery.max_cost
        most = math.inf if limit is None else max(facts.cost, float(limit))
        return min(most, facts.cost + facts.each * still_open), None
    if facts.before is not None and facts.before.cost is not None:
        return facts.before.cost * still_open, facts.before.words
    each = forecasts.get(job.recipe.history_digest()) if forecasts else None
    return (None, None) if each is None else (each * still_open, "as estimated")


def _started(job: JobRecord, batches: Sequence[BatchRecord], now: Moment) -> float:
    """Return when a job began, by this machine's clock as it goes now: for an open one, whose time is still counted.

    The clock may have been set since. How much is told by the server's, which the first batch sent for it goes by too.
    """
    own = (batch for batch in batches if batch.server_at is not None and batch.intended_at >= job.created_at)
    first = next(own, None)
    if job.state == "ended" or now.server is None or first is None or first.server_at is None:
        return job.created_at
    was_set = (now.local - now.server) - (first.intended_at - first.server_at)
    return job.created_at + (was_set if abs(was_set) > SET else 0.0)


def _skew(batches: Sequence[BatchRecord], now: Moment) -> float | None:
    """Return how far the server's clock is ahead of this machine's, in seconds; None where nothing tells."""
    if now.server is not None:
        return now.server - now.local
    return next((batch.skew for batch in reversed(batches) if batch.skew is not None), None)


def _note(job: JobRecord, batches: Sequence[BatchRecord], now: Moment) -> str | None:
    warnings = (deadline(batch, now.at_server(batch.skew)) for batch in batches)
    notes = [*filter(None, warnings), job.note, *(batch.note for batch in batches)]
    return next(filter(None, notes), None)


def deadline(batch: BatchRecord, now: float | None) -> str | None:
    """Warn of a batch that is about to expire, or whose results the server is about to drop, or has dropped.

    `now` is the server's time, in seconds since the epoch: this machine's clock alone says nothing of either.
    """
    if batch.standard or now is None:
        return None
    running = batch.state in ("in_progress", "canceling")
    if running and batch.expires_at is not None and now < batch.expires_at < now + EXPIRES_SOON:
        return (
            f"Batch {batch.server_id} expires at {utc(batch.expires_at):%H:%M} UTC: rows that are not answered by then "
            "come back as expired."
        )
    if not (running or batch.state in ("ended", "lost")) or batch.created_at is None:
        return None
    lapse = batch.created_at + RESULTS_KEPT
    kept = f"The server keeps the results of batch {batch.server_id} until {utc(lapse):%Y-%m-%d}"
    if now >= lapse:
        return f"{kept}: it is too late to read what is missing here."
    if now > lapse - LAPSES_SOON:
        return f"{kept}, and they are not all here yet: attach the job, or run python -m batchnb collect."
    return None


BATCH_COLUMNS = ["id", "state", "requests", *COUNTS, "cost", "created_at", "ended_at", "expires_at", "note"]


def batch_frame(ledger: Ledger, number: int, prices: PriceTable) -> pd.DataFrame:
    """List a job's batches: id, state, the five request counts, cost in dollars, times (UTC), note.

    The cost is that of a batch's answers to the job's own rows: over all batches they add up to what the job's answers
    cost, but for those that came one by one, which are in no batch. It is missing where a price is unknown.
    """
    used = ledger.tallies.of_job(number).of_batches
    rows = [
        _row(batch, sum_of(costs_of(used.get(batch.id, ()), prices)))
        for batch in ledger.batches.of_job(number)
        if not batch.standard
    ]
    return pd.DataFrame(rows, columns=BATCH_COLUMNS).astype({"cost": float})


SERVER_COLUMNS = ["id", "status", "requests", *COUNTS, "created_at", "ended_at", "expires_at", "simulated"]


def server_frame(infos: Iterable[BatchInfo], provenance: Provenance) -> pd.DataFrame:
    """List batches as the server has them: id, status, requests, the five request counts, times (UTC), simulated."""
    rows: list[list[object]] = []
    for info in infos:
        times = [info.created_at, info.ended_at, info.expires_at]
        counts = [info.request_counts.get(name, 0) for name in COUNTS]
        rows.append([info.id, info.processing_status, info.total, *counts, *times, provenance.simulated])
    return pd.DataFrame(rows, columns=SERVER_COLUMNS)


def _row(record: BatchRecord, cost: Decimal | None) -> list[Any]:
    times = [utc(moment) for moment in (record.created_at, record.ended_at, record.expires_at)]
    return [record.server_id, _state(record), record.requests, *_counts(record), cost, *times, record.note]


def _counts(record: BatchRecord) -> list[int]:
    return [getattr(record, name) for name in COUNTS]


def status_of(job: JobRecord, ledger: Ledger) -> str:
    """Return a job's status in the words of the API: ``submitting``, ``in_progress``, ``canceling`` or ``ended``."""
    if job.state != "open":
        return job.state
    return "submitting" if ledger.rows.is_sending(job.number) else "in_progress"


def _state(record: BatchRecord) -> str:
    """Return the state as the API has it: that all results have been read is the ledger's own affair."""
    return "ended" if record.state == "collected" else record.state


def _line(record: BatchRecord) -> BatchLine:
    counts = RequestCounts(*_counts(record))
    return BatchLine(record.server_id, _state(record), counts, record.created_at, record.ended_at, record.expires_at)
