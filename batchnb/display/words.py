"""What is said of a job, in words and numbers: shared by every view, so that HTML and text cannot disagree.

Everything here is pure, and returns plain text without markup. Text that comes from outside (names, notes, error
kinds) must pass through :func:`clean` before it is shown anywhere.
"""

from __future__ import annotations

import re
from typing import Protocol

from batchnb.snapshot import Snapshot

__all__ = [
    "SEGMENTS",
    "badge",
    "batches_words",
    "clean",
    "cost_words",
    "counts_words",
    "duration",
    "error_words",
    "finished",
    "money",
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
    outcomes = snapshot.outcomes
    left = [
        (sum(outcomes.get(outcome, 0) for outcome in _FAILED), "failed"),
        (outcomes.get("canceled", 0), "canceled"),
        (outcomes.get("pending", 0), "pending"),
    ]
    return ", ".join([word, *(f"{_count(number, 'row')} {what}" for number, what in left if number)])


def batches_words(snapshot: Snapshot) -> str:
    """Say ``"3 of 10 batches ended"``, of the batches sent so far."""
    sent = len(snapshot.batches)
    if not sent:
        return "no batch sent" if snapshot.status == "ended" else "no batch sent yet"
    return f"{snapshot.batches_ended:,} of {_count(sent, 'batch', 'es')} ended"


def cost_words(snapshot: Snapshot) -> str:
    """Say what the answers cost, or would have cost had they been real; an unknown price is said to be unknown."""
    if snapshot.cost is None:
        return "unknown price"
    so_far = "" if snapshot.status == "ended" else " so far"
    return f"{'would have cost' if snapshot.simulated else 'cost'} {money(snapshot.cost)}{so_far}"


def rows_words(snapshot: Snapshot) -> str:
    """Say what became of the rows: while the job is open only what the counts do not say, at its end everything."""
    ended = snapshot.status == "ended"
    named = _OUTCOMES if ended else ("invalid", "missing", "skipped")
    parts = [
        f"{number:,} {outcome}" + (", nothing to send" if outcome == "skipped" else "")
        for outcome in named
        if (number := snapshot.outcomes.get(outcome, 0))
    ]
    said = _count(snapshot.rows, "row")
    if parts:
        said += ": " + " · ".join(parts)
    if snapshot.reused:
        said += f" ({snapshot.reused:,} reused, not bought again)"
    return said


def error_words(snapshot: Snapshot, limit: int = 8) -> list[str]:
    """List kinds of failure with their counts, most frequent first, at most `limit` of them."""
    said = [f"{number:,} × {clean(kind, 120)}" for kind, number in snapshot.errors[:limit]]
    rest = snapshot.errors[limit:]
    if rest:
        said.append(f"{sum(number for _, number in rest):,} of {_count(len(rest), 'other kind')}")
    return said


def badge(shown: _Simulable) -> str:
    """Return ``"SIMULATED"`` for simulated answers, else nothing."""
    return "SIMULATED" if shown.simulated else ""


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number:,} {noun}{'' if number == 1 else plural}"
