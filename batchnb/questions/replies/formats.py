"""Formats of text that structured outputs take, and whether a text is of one. Pure.

The names are those of JSON Schema, draft 2020-12, as far as anthropic 2.14.0 sends them (``SupportedStringFormats``);
others are notes to the model, and not checked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from batchnb.questions.replies.moments import read_date, read_moment, read_time

__all__ = ["FORMATS"]


def _read(reader: Callable[[str], Any]) -> Callable[[str], bool]:
    def is_one(text: str) -> bool:
        try:
            reader(text)
        except ValueError:
            return False
        return True

    return is_one


def _like(pattern: str) -> Callable[[str], bool]:
    match = re.compile(pattern).fullmatch
    return lambda text: match(text) is not None


_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HEX = "[0-9A-Fa-f]"
_AMOUNT = r"[0-9]+(?:\.[0-9]+)?"
_CLOCK = f"T(?=[0-9])(?:{_AMOUNT}H)?(?:{_AMOUNT}M)?(?:{_AMOUNT}S)?"
_DAYS = f"(?:{_AMOUNT}Y)?(?:{_AMOUNT}M)?(?:{_AMOUNT}D)?"

#: Whether a text is of a format, and what such a text is called.
FORMATS: dict[str, tuple[Callable[[str], bool], str]] = {
    "date": (_read(read_date), "a date such as 2026-01-31"),
    "date-time": (_read(read_moment), "a time such as 2026-01-31T09:30:00Z"),
    "time": (_read(read_time), "a time of day such as 09:30:00Z"),
    # Pydantic writes negative ones with a sign.
    "duration": (_like(f"[+-]?P(?:{_AMOUNT}W|(?=[0-9T]){_DAYS}(?:{_CLOCK})?)"), "a duration such as P1DT2H"),
    "email": (_like(r"[^@\s]+@[^@\s]+"), "an email address"),
    "hostname": (_like(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*"), "a host name"),
    "uri": (_like(r"[A-Za-z][A-Za-z0-9+.-]*:\S+"), "a URI"),
    "ipv4": (_read(ipaddress.IPv4Address), "an IPv4 address"),
    "ipv6": (_read(ipaddress.IPv6Address), "an IPv6 address"),
    "uuid": (_like(f"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"), "a UUID"),
}
