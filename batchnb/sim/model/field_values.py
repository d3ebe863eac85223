"""Finds in a text what the name of a field asks for: who, where, which product, how much, how to write to them.

A few patterns for text in English and for addresses and numbers in any: enough that a form filled by the simulator
looks like one that was read, and is wrong often enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["asks_for_a_part", "find_amount", "find_part"]

_READ = 4_000  # characters
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SEPARATORS = re.compile(r"[\W_]+")


def _words(text: str) -> list[str]:
    return text.split()


_NAME = r"[A-Z][\w'’&-]*(?: (?:de |of |van )?[A-Z][\w'’&-]*)*"
_FIRM = r"(?:Corp|Inc|Ltd|LLC|GmbH|AG|Co|Group|Bank)"
_ADDRESSED = re.compile(rf"\b(?:name is|I am|I'm|signed,?|regards,?|Mrs?\.|Ms\.|Dr\.) ({_NAME})", re.IGNORECASE)
_TWO_NAMES = re.compile(rf"\b([A-Z][a-z'’]+ (?:de |van )?(?!{_FIRM}\b)[A-Z][a-z'’]+)\b")
_COMPANY = re.compile(rf"\b((?:[A-Z][\w&-]* )+{_FIRM})\b|\bwork(?:s|ing)? (?:at|for) ({_NAME})")
_PLACE = re.compile(
    rf"\b(?:in|near) (?:the (?:city|town) of )?({_NAME})|\b(?:to|at) (?!(?:[A-Z][\w&-]* )+{_FIRM}\b)({_NAME})"
)
_UNITS = r"(?:days?|weeks?|months?|years?|hours?|minutes?|times?|stars?|dollars?|euros?|pounds?|percent|people)\b"
_THING = re.compile(rf"\b(?:(?i:this|these|my|the|our|an?)|\d+) (?!{_UNITS})([a-z][a-z-]{{2,}})\b")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]*\w")
_PHONE = re.compile(r"(?<![\w-])(?:\+\d|0|\()[\d ()/-]{6,}\d")
_LINK = re.compile(r"https?://[^\s<>\"]*\w")
_SUM = r"(?<![\d,.])(\d{1,3}(?:,\d{3}){1,4}(?:\.\d+)?|\d{1,15}(?:[.,]\d+)?)(?!\d)"
_MONEY = re.compile(rf"[$€£¥₩]\s?{_SUM}|{_SUM}\s?(?:[$€£¥₩]|EUR\b|USD\b|GBP\b|dollars?\b|euros?\b|pounds?\b|원|元)")
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")
#: Openings of a sentence that look like a name.
_NO_NAMES = frozenset(
    _words(
        "I A An The This These That Those It He She We You They My Our Your His Her If But And So Not No Yes Very Great"
        " Good Bad Please Hello Hi Dear Thanks Thank When What Why How Two Three One Broken Terrible Horrible Never"
    )
)


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    for match in pattern.finditer(text):
        found = next((part for part in match.groups() if part), match[0])
        words = found.split()
        while words and words[0] in _NO_NAMES:
            del words[0]
        if words:
            return " ".join(words)
    return None


def _person(text: str) -> str | None:
    return _first(_ADDRESSED, text) or _first(_TWO_NAMES, text)


_FINDERS: list[tuple[re.Pattern[str], Callable[[str], str | None]]] = [
    (re.compile(r"\be ?mail\b"), lambda text: _first(_EMAIL, text)),
    (re.compile(r"\b(?:phone|telephone|mobile)\b"), lambda text: _first(_PHONE, text)),
    (re.compile(r"\b(?:url|link|website)\b"), lambda text: _first(_LINK, text)),
    (re.compile(r"\b(?:company|organi[sz]ation|employer|brand|vendor)\b"), lambda text: _first(_COMPANY, text)),
    (re.compile(r"\b(?:city|country|place|location|town|region)\b"), lambda text: _first(_PLACE, text)),
    (re.compile(r"\b(?:product|item|device|object)(?: name)?$"), lambda text: _first(_THING, text)),
    (re.compile(r"\b(?:person|customer|author|reviewer|client|sender|name)(?: name)?$"), _person),
]


def _finder(name: str) -> Callable[[str], str | None] | None:
    words = _SEPARATORS.sub(" ", _CAMEL.sub(" ", name)).strip().casefold()
    return next((find for pattern, find in _FINDERS if pattern.search(words)), None)


def asks_for_a_part(name: str) -> bool:
    """Whether a field's name asks for some part of a text, such as a city, that the text may not have."""
    return _finder(name) is not None


def find_part(name: str, text: str) -> str | None:
    """Return the part of a text that a field's name asks for; None where it asks for none, or the text has none."""
    find = _finder(name)
    return find(text[:_READ]) if find else None


def find_amount(text: str) -> float | None:
    """Return the first sum of money in a text; None where there is none."""
    match = _MONEY.search(text[:_READ])
    return float(_THOUSANDS.sub("", match[1] or match[2]).replace(",", ".")) if match else None
