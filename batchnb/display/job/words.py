"""What is said of a job, in words and numbers: shared by every view, so that HTML and text cannot disagree.

Everything here is pure, and returns plain text without markup. Text that comes from outside (names, notes, error
kinds) must pass through :func:`batchnb.units.clean` before it is shown anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batchnb import units
from batchnb.display.snapshot import BatchLine, Snapshot

__all__ = [
    "SEGMENTS",
    "batch_segments",
    "batch_words",
    "batches_words",
    "cache_words",
    "cost_words",
    "counts_words",
    "error_words",
    "facts_words",
    "finished",
    "live_words",
    "open_words",
    "parts_words",
    "retry_words",
    "rows_words",
    "segments",
    "status_words",
]

#: The parts of a job's bar in the order shown, each with the word for it.
SEGMENTS = {
    "succeeded": "succeeded",
    "errored": "errored",
    "canceled": "canceled",
    "expired": "expired",
    "processing": "processing",
    "unsent": "not yet sent",
}

_STATUS = {
    "submitting": "Submitting",
    "in_progress": "In progress",
    "canceling": "Canceling",
    "ended": "Ended",
}
_OUTCOMES = ("succeeded", "errored", "invalid", "missing", "expired", "canceled", "pending", "skipped")
_FAILED = ("errored", "invalid", "missing", "expired")

#: Seconds before a running batch expires from which that is said: a quarter of the 24 hours that it has.
EXPIRY_SHOWN = 6 * 3600.0


def segments(snapshot: Snapshot) -> list[tuple[str, int]]:
    """List the parts of the bar that are not empty: ``(key of SEGMENTS, requests)``."""
    counts = snapshot.counts
    parts = ((key, snapshot.unsent if key == "unsent" else getattr(counts, key)) for key in SEGMENTS)
    return [(key, number) for key, number in parts if number]


def finished(snapshot: Snapshot) -> tuple[int, int]:
    """Count the requests with a final count, and all requests: as reported by the server, nothing interpolated."""
    counts = snapshot.counts
    return counts.total - counts.processing, counts.total + snapshot.unsent


def counts_words(snapshot: Snapshot) -> str:
    """Say the bar in words: ``"1,800 succeeded · 12 errored · 600 processing · 600 not yet sent"``."""
    parts = segments(snapshot)
    if not parts and snapshot.singly:
        return f"{units.count(snapshot.singly, 'row')} asked one by one"
    if not parts:
        return "nothing was sent" if snapshot.status == "ended" else "nothing sent yet"
    return parts_words(parts)


def parts_words(parts: Iterable[tuple[str, int]], named: Mapping[str, str] = SEGMENTS) -> str:
    """Say the parts of a bar, each with its number and its word: ``"20 succeeded · 4 errored"``."""
    return " · ".join(f"{number:,} {named[key]}" for key, number in parts)


def status_words(snapshot: Snapshot) -> str:
    """Say the state of the job; ended is not success, so an end says what it left open."""
    word = _STATUS.get(snapshot.status, units.clean(snapshot.status, 40))
    if snapshot.status != "ended":
        return word
    outcomes = snapshot.outcomes
    left = [
        (sum(outcomes.get(outcome, 0) for outcome in _FAILED), "failed"),
        (outcomes.get("canceled", 0), "canceled"),
        (outcomes.get("pending", 0), "pending"),
    ]
    return ", ".join([word, *(f"{units.count(number, 'row')} {what}" for number, what in left if number)])


def batches_words(snapshot: Snapshot) -> str:
    """Say ``"3 of 10 batches ended"``, of the batches sent so far."""
    sent = len(snapshot.batches)
    if not sent:
        return "no batch sent" if snapshot.status == "ended" else "no batch sent yet"
    return f"{snapshot.batches_ended:,} of {units.count(sent, 'batch')} ended"


def cost_words(snapshot: Snapshot) -> str:
    """Say what the answers cost, or would have cost had they been real; an unknown price is said to be unknown."""
    if snapshot.cost is None:
        return "unknown price"
    said = f"{'would have cost' if snapshot.provenance.is_free else 'cost'} {units.money(snapshot.cost)}"
    if snapshot.status == "ended":
        return said
    return f"{said} so far"


def cache_words(snapshot: Snapshot) -> list[str]:
    """Say what the prompt cache has brought, and why there is one, or none although much is shared."""
    caching = snapshot.caching
    said = []
    if caching.hit_rate is not None:
        parts = [f"cache: {caching.hit_rate:.0%} hits", f"{_tokens(caching.read)} tokens read"]
        if caching.saved is not None:
            what = "saved" if caching.saved >= 0 else "lost"
            would = "would have " if snapshot.provenance.is_free else ""
            parts.append(f"{would}{what} {units.money(abs(caching.saved))}")
        said.append(" · ".join(parts))
    if caching.why and (caching.lifetime is not None or caching.shared_tokens is not None):
        said.append(units.clean(caching.why, 400))
    return said


def _tokens(number: int) -> str:
    """Say a number of tokens: ``"4,210"``, ``"4.2 M"``."""
    return f"{number:,}" if number < 1_000_000 else f"{number / 1e6:,.1f} M"


def facts_words(snapshot: Snapshot) -> list[str]:
    """Say how far the job is, since when, and what it has cost and will."""
    said = [batches_words(snapshot), units.duration(snapshot.elapsed), cost_words(snapshot)]
    if snapshot.expected is not None:
        source = f", {snapshot.expected_from}" if snapshot.expected_from else ""
        said.append(f"about {units.money(snapshot.expected)} expected in all{source}")
    return said


def live_words(snapshot: Snapshot) -> list[str]:
    """Say what matters only while a job is open: how long such jobs usually take, when it expires, the last check."""
    if snapshot.status == "ended":
        return []
    said = []
    if snapshot.usual is not None and (usually := snapshot.usually) is not None:
        learned = f"from {units.count(snapshot.usual.batches, 'earlier batch')}"
        takes = units.span(*usually)
        late = snapshot.elapsed > usually[1]
        said.append(f"longer than usual ({takes}, {learned})" if late else f"usually {takes} in all, {learned}")
    if (left := snapshot.expires_in) is not None and 0 < left < EXPIRY_SHOWN:
        said.append(f"what is not answered in {units.minutes(left)} expires")
    checked = None if snapshot.checked_at is None else units.ago(max(0.0, snapshot.now - snapshot.checked_at))
    if snapshot.failing:
        said.append("last check failed" + (f", last answer {checked}" if checked else ""))
    elif checked:
        said.append(f"checked {checked}")
    return said


def open_words(snapshot: Snapshot) -> str | None:
    """Say of a job that is open how to see where it stands: for views that do not move."""
    if snapshot.status == "ended":
        return None
    return (
        f"As of {units.date_time(snapshot.now)}. The job goes on: run the cell again, or "
        f'batchnb.attach("{units.clean(snapshot.job_id, 80)}"), to see where it stands.'
    )


def batch_segments(batch: BatchLine) -> list[tuple[str, int]]:
    """List the parts of one batch's bar that are not empty: ``(key of SEGMENTS, requests)``."""
    parts = ((key, getattr(batch.counts, key)) for key in SEGMENTS if key != "unsent")
    return [(key, number) for key, number in parts if number]


def batch_words(batch: BatchLine) -> str:
    """Say what became of a batch's requests: ``"20 succeeded · 4 errored"``."""
    return parts_words(batch_segments(batch))


def rows_words(snapshot: Snapshot) -> str:
    """Say what became of the rows: while the job is open only what the counts do not say, at its end everything."""
    ended = snapshot.status == "ended"
    named = _OUTCOMES if ended else ("invalid", "missing", "skipped")
    parts = [
        f"{number:,} {outcome}" + (", nothing to send" if outcome == "skipped" else "")
        for outcome in named
        if (number := snapshot.outcomes.get(outcome, 0))
    ]
    said = units.count(snapshot.rows, "row")
    if parts:
        said += ": " + " · ".join(parts)
    if snapshot.reused:
        said += f" ({snapshot.reused:,} reused, not bought again)"
    return said


def error_words(snapshot: Snapshot, limit: int = 8) -> list[str]:
    """List kinds of failure with their counts, most frequent first, at most `limit` of them."""
    said = []
    for error in snapshot.errors[:limit]:
        where = f", such as {units.clean(error.example, 60)}" if error.example else ""
        said.append(f"{error.rows:,} × {units.clean(error.kind, 120)}{where}")
    rest = snapshot.errors[limit:]
    if rest:
        said.append(f"{sum(error.rows for error in rest):,} of {units.count(len(rest), 'other kind')}")
    return said


def retry_words(snapshot: Snapshot) -> str | None:
    """Say that failed rows can be asked again, where a view has no button for it."""
    if not snapshot.retryable or snapshot.status != "ended":
        return None
    return f"job.retry() asks {snapshot.retryable:,} of the failed again, and only those."
