"""What is said of a job, in words and numbers: shared by every view, so that HTML and text cannot disagree.

Everything here is pure, and returns plain text without markup. Text that comes from outside (names, notes, error
kinds) must pass through :func:`clean` before it is shown anywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from batchnb.snapshot import BatchLine, Snapshot

__all__ = [
    "SEGMENTS",
    "ago",
    "badge",
    "batch_words",
    "batches_words",
    "clean",
    "clock_time",
    "cost_words",
    "count",
    "counts_words",
    "date_time",
    "duration",
    "error_words",
    "facts_words",
    "finished",
    "left_open",
    "live_words",
    "minutes",
    "money",
    "open_words",
    "retry_words",
    "rows_words",
    "segments",
    "span",
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


class _Simulable(Protocol):
    @property
    def simulated(self) -> bool: ...


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

# C0 and C1 controls (ANSI escapes start with one), line separators, marks that turn the reading direction (they can
# make a text read as another), and lone surrogates (which no encoder takes).
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def clean(text: object, limit: int = 200, *, lines: bool = False) -> str:
    r"""Cut `text` to a sensible length and make its control characters harmless.

    Parameters
    ----------
    text : object
        Anything; ``str()`` of it is shown.
    limit : int
        Characters kept. What was cut is said: ``"abc… (5,000,000 characters)"``.
    lines : bool
        Whether line breaks and tabs stay. Otherwise they become spaces.

    Returns
    -------
    str
        Controls as their pictures (``\x1b`` as ``␛``); direction marks and lone surrogates as ``�``. Not HTML-escaped.
    """
    whole = str(text)
    kept = whole if len(whole) <= limit else whole[:limit]
    kept = kept.replace("\r\n", "\n")

    def harmless(match: re.Match[str]) -> str:
        char = match[0]
        if char in "\n\t\u2028\u2029":
            return ("\t" if char == "\t" else "\n") if lines else " "
        return chr(0x2400 + ord(char)) if char < " " else "�"

    kept = _UNSAFE.sub(harmless, kept)
    return kept if len(whole) <= limit else f"{kept}… ({len(whole):,} characters)"


def duration(seconds: float) -> str:
    """Say a span of time, in two units at most: ``"8 s"``, ``"4 min 05 s"``, ``"1 h 04 min"``, ``"2 d 03 h"``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02} h"


def money(dollars: float) -> str:
    """Say an amount so that it stays readable when small: ``"$12.40"``, ``"$0.0042"``, ``"under $0.0001"``."""
    if dollars >= 0.1 or dollars == 0:
        return f"${dollars:,.2f}"
    return f"${dollars:.4f}" if dollars >= 0.0001 else "under $0.0001"


def minutes(seconds: float) -> str:
    """Say a span of time in whole minutes, without seconds: ``"4 min"``, ``"1 h 04 min"``."""
    return duration(max(0.0, seconds) // 60 * 60).removesuffix(" 00 s")


def ago(seconds: float) -> str:
    """Say how long ago something was, in steps large enough to stay calm: ``"just now"``, ``"20 s ago"``."""
    if seconds < 10:
        return "just now"
    if seconds < 60:
        return f"{int(seconds) // 10 * 10} s ago"
    return f"{minutes(seconds)} ago"


def span(low: float, high: float) -> str:
    """Say a span of time in one unit, no narrower than it is: ``"4 to 20 min"``."""
    size, unit = next(((size, unit) for size, unit in ((1, "s"), (60, "min")) if high < 90 * size), (3600, "h"))
    first, last = math.floor(low / size), max(1, math.ceil(high / size))
    return f"{first:,} to {last:,} {unit}" if first else f"up to {last:,} {unit}"


def date_time(seconds: float) -> str:
    """Say a moment: ``"2026-11-25 14:02 UTC"``."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def clock_time(seconds: float | None, since: float) -> str:
    """Say a moment of a job (UTC), with the day where it is not the one on which the job began at `since`."""
    if seconds is None:
        return "–"
    moment = datetime.fromtimestamp(seconds, UTC)
    same_day = moment.date() == datetime.fromtimestamp(since, UTC).date()
    return f"{moment:%H:%M:%S}" if same_day else f"{moment:%m-%d %H:%M:%S}"


def segments(snapshot: Snapshot) -> list[tuple[str, int]]:
    """List the parts of the bar that are not empty: ``(key of SEGMENTS, requests)``."""
    counts = snapshot.counts
    found = ((key, snapshot.unsent if key == "unsent" else getattr(counts, key)) for key in SEGMENTS)
    return [(key, number) for key, number in found if number]


def finished(snapshot: Snapshot) -> tuple[int, int]:
    """Count the requests with a final count, and all requests: as reported by the server, nothing interpolated."""
    counts = snapshot.counts
    return counts.total - counts.processing, counts.total + snapshot.unsent


def counts_words(snapshot: Snapshot) -> str:
    """Say the bar in words: ``"1,800 succeeded · 12 errored · 600 processing · 600 not yet sent"``."""
    found = segments(snapshot)
    if not found:
        return "nothing was sent" if snapshot.status == "ended" else "nothing sent yet"
    return " · ".join(f"{number:,} {SEGMENTS[key]}" for key, number in found)


def status_words(snapshot: Snapshot) -> str:
    """Say the state of the job; ended is not success, so an end says what it left open."""
    word = _STATUS.get(snapshot.status, clean(snapshot.status, 40))
    if snapshot.status != "ended":
        return word
    return ", ".join([word, *(f"{count(number, 'row')} {what}" for what, number in left_open(snapshot.outcomes))])


def left_open(outcomes: Mapping[str, int]) -> list[tuple[str, int]]:
    """List what an ended job has no good answer for: ``(what, rows)``."""
    left = [
        ("failed", sum(outcomes.get(outcome, 0) for outcome in _FAILED)),
        ("canceled", outcomes.get("canceled", 0)),
        ("pending", outcomes.get("pending", 0)),
    ]
    return [(what, number) for what, number in left if number]


def batches_words(snapshot: Snapshot) -> str:
    """Say ``"3 of 10 batches ended"``, of the batches sent so far."""
    sent = len(snapshot.batches)
    if not sent:
        return "no batch sent" if snapshot.status == "ended" else "no batch sent yet"
    return f"{snapshot.batches_ended:,} of {count(sent, 'batch', 'es')} ended"


def cost_words(snapshot: Snapshot) -> str:
    """Say what the answers cost, or would have cost had they been real; an unknown price is said to be unknown."""
    if snapshot.cost is None:
        return "unknown price"
    said = f"{'would have cost' if snapshot.simulated else 'cost'} {money(snapshot.cost)}"
    if snapshot.status == "ended":
        return said
    return f"{said} so far"


def facts_words(snapshot: Snapshot) -> list[str]:
    """Say how far the job is, since when, and what it has cost and will."""
    said = [batches_words(snapshot), duration(snapshot.elapsed), cost_words(snapshot)]
    if snapshot.expected is not None:
        said.append(f"about {money(snapshot.expected)} expected in all")
    return said


def live_words(snapshot: Snapshot) -> list[str]:
    """Say what matters only while a job is open: how long such jobs usually take, when it expires, the last check."""
    if snapshot.status == "ended":
        return []
    said = []
    if snapshot.usual is not None and (usually := snapshot.usually) is not None:
        learned = f"from {count(snapshot.usual.batches, 'earlier batch', 'es')}"
        takes = span(*usually)
        late = snapshot.elapsed > usually[1]
        said.append(f"longer than usual ({takes}, {learned})" if late else f"usually {takes} in all, {learned}")
    if snapshot.expires_at is not None and 0 < (left := snapshot.expires_at - snapshot.now) < EXPIRY_SHOWN:
        said.append(f"what is not answered in {minutes(left)} expires")
    checked = None if snapshot.checked_at is None else ago(max(0.0, snapshot.now - snapshot.checked_at))
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
        f"As of {date_time(snapshot.now)}. The job goes on: run the cell again, or "
        f'batchnb.attach("{clean(snapshot.job_id, 80)}"), to see where it stands.'
    )


def batch_words(batch: BatchLine) -> str:
    """Say what became of a batch's requests: ``"20 succeeded · 4 errored"``."""
    found = ((key, getattr(batch.counts, key)) for key in SEGMENTS if key != "unsent")
    return " · ".join(f"{number:,} {SEGMENTS[key]}" for key, number in found if number)


def rows_words(snapshot: Snapshot) -> str:
    """Say what became of the rows: while the job is open only what the counts do not say, at its end everything."""
    ended = snapshot.status == "ended"
    named = _OUTCOMES if ended else ("invalid", "missing", "skipped")
    parts = [
        f"{number:,} {outcome}" + (", nothing to send" if outcome == "skipped" else "")
        for outcome in named
        if (number := snapshot.outcomes.get(outcome, 0))
    ]
    said = count(snapshot.rows, "row")
    if parts:
        said += ": " + " · ".join(parts)
    if snapshot.reused:
        said += f" ({snapshot.reused:,} reused, not bought again)"
    return said


def error_words(snapshot: Snapshot, limit: int = 8) -> list[str]:
    """List kinds of failure with their counts, most frequent first, at most `limit` of them."""
    said = []
    for error in snapshot.errors[:limit]:
        where = f", such as {clean(error.example, 60)}" if error.example else ""
        said.append(f"{error.rows:,} × {clean(error.kind, 120)}{where}")
    rest = snapshot.errors[limit:]
    if rest:
        said.append(f"{sum(error.rows for error in rest):,} of {count(len(rest), 'other kind')}")
    return said


def retry_words(snapshot: Snapshot) -> str | None:
    """Say that failed rows can be asked again, where a view has no button for it."""
    if not snapshot.retryable or snapshot.status != "ended":
        return None
    return f"job.retry() asks {snapshot.retryable:,} of the failed again, and only those."


def badge(shown: _Simulable) -> str:
    """Return ``"SIMULATED"`` for simulated answers, else nothing."""
    return "SIMULATED" if shown.simulated else ""


def count(number: int, noun: str, plural: str = "s") -> str:
    """Say a number of things: ``"1 row"``, ``"2,400 rows"``."""
    return f"{number:,} {noun}{'' if number == 1 else plural}"
