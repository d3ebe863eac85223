"""Reads the bounds that the official SDK's ``transform_schema`` writes into descriptions, as a model might follow them.

It moves what structured outputs do not hold to the end of the description, such as ``{maxLength: 50}`` after an empty
line (anthropic 2.14.0).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["matching", "noted"]

_BOUND = re.compile(
    r"(?:^\{|, )(minimum|maximum|exclusiveMinimum|exclusiveMaximum|multipleOf|minLength|maxLength|minItems|maxItems): "
    r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?=, \w+: |\}$)"
)
_PATTERN = re.compile(r"(?:^\{|, )pattern: (.+?)(?=, [a-zA-Z]+: |\}$)")

#: One piece of a simple pattern, and how often it is there.
_PIECE = re.compile(r"(\[[^\[\]^\\]+\]|\\[dw]|[\w@#/ :-]|\\[.+*?()|/-])(?:\{(\d+)(?:,\d*)?\}|([+*?]))?")
_LETTERS = {r"\d": "1", r"\w": "a"}


def noted(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema with the bounds that its description notes; what it says itself holds."""
    description = schema.get("description")
    if not isinstance(description, str) or not description.endswith("}"):
        return schema
    return {**_notes(description), **schema}


@functools.lru_cache(maxsize=1_000)
def _notes(description: str) -> dict[str, Any]:
    start = 0 if description.startswith("{") else description.rfind("\n\n{") + 2
    if start == 1:
        return {}
    note = description[start:]
    found: dict[str, Any] = {
        name: float(value) if re.search(r"[.e]", value) else int(value) for name, value in _BOUND.findall(note)
    }
    if re.search(r"(?:^\{|, )uniqueItems: True(?=, |\}$)", note):
        found["uniqueItems"] = True
    if pattern := _PATTERN.search(note):
        found["pattern"] = pattern[1]
    return found


def matching(pattern: str, passage: str) -> str | None:
    """Return what fits a pattern: the first such text in the passage, or one made up where the pattern is simple."""
    try:
        within = re.search(pattern.removeprefix("^").removesuffix("$"), passage[:2000])
        if within and within[0] and re.search(pattern, within[0]):
            return within[0]
        text = _made_up(pattern)
        return text if text is not None and re.search(pattern, text) else None
    except re.error:
        return None


def _made_up(pattern: str) -> str | None:
    text, position = "", 0
    body = pattern.removeprefix("^").removesuffix("$")
    while position < len(body):
        piece = _PIECE.match(body, position)
        if piece is None:
            return None
        one = piece[1]
        letter = one[1] if one.startswith("[") else _LETTERS.get(one, one[-1])
        times = int(piece[2]) if piece[2] else 0 if piece[3] in ("*", "?") else 1
        text += letter * min(times, 100)
        position = piece.end()
    return text
