"""How single values are said: text that may be anything, times, amounts and numbers of things. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from decimal import Decimal

__all__ = [
    "ago",
    "clean",
    "clock_time",
    "count",
    "date_time",
    "duration",
    "exact_money",
    "half_character",
    "minutes",
    "money",
    "plural",
    "span",
]

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


def plural(noun: str) -> str:
    """Return the plural of a noun: ``"rows"``, ``"batches"``."""
    return f"{noun}es" if noun.endswith("ch") else f"{noun}s"


def count(number: int, noun: str) -> str:
    """Say a number of things: ``"1 row"``, ``"2,400 rows"``, ``"3 batches"``."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def money(dollars: float) -> str:
    """Say an amount so that it stays readable when small: ``"$12.40"``, ``"$0.0042"``, ``"under $0.0001"``."""
    if dollars >= 0.1 or dollars == 0:
        return f"${dollars:,.2f}"
    return f"${dollars:.4f}" if dollars >= 0.0001 else "under $0.0001"


def exact_money(dollars: Decimal) -> str:
    """Say a limit, and what counts towards it, to the cent, or as exactly as it takes to tell it from nothing."""
    return f"${dollars:,.2f}" if dollars == 0 or dollars >= Decimal("0.1") else f"${dollars:.2g}"


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


def half_character(text: str) -> str | None:
    """Say which half of a character a text holds, and how to mend it; None where it holds none.

    Python takes the halves (lone surrogates) into its texts, where bytes were read that are no text or an emoji was
    cut; UTF-8, in which requests and files are written, has no form for them.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])
        return f'half a character, {half}: text.encode("utf-8", "replace").decode() puts a question mark in its place'
    return None
