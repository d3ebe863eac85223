"""Reads the bounds that the official SDK's ``transform_schema`` writes into descriptions, as a model might follow them.

It moves what structured outputs do not hold to the end of the description, such as ``{maxLength: 50}`` after an empty
line (anthropic 2.14.0).
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
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

_LONGEST_NOTE = 2_000  # characters: longer ones are not read
_LONGEST_PATTERN, _MOST_COPIES = 1_000, 1_000
_COUNTS = re.compile(r"\{(\d{1,9}),?(\d{0,9})\}")
_READ, _MOST_WORDS = 2_000, 200  # characters and words of a passage
_AROUND = ".,;:!?()[]{}<>\"'“”‘’「」…"


def noted(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema with the bounds that its description notes; what it says itself holds."""
    description = schema.get("description")
    if not isinstance(description, str) or not description.endswith("}"):
        return schema
    return {**_notes(description), **schema}


@functools.lru_cache(maxsize=1_000)
def _notes(description: str) -> dict[str, Any]:
    start = 0 if description.startswith("{") else description.rfind("\n\n{") + 2
    if start == 1 or len(description) - start > _LONGEST_NOTE:
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
    """Return what fits a pattern: a word or a few of the passage, or one made up where the pattern is simple.

    None too where the pattern cannot be run in time that grows with the text and no faster.
    """
    body = pattern.removeprefix("^").removesuffix("$")
    fits, fits_whole = _matcher(pattern), _matcher(f"^(?:{body})$")
    if fits is None or fits_whole is None:
        return None
    for found in _pieces(passage):
        if fits_whole(found) and fits(found):
            return found
    text = _made_up(pattern)
    return text if text is not None and fits(text) else None


def _pieces(passage: str) -> Iterator[str]:
    """Yield the words of a passage, with and without the punctuation around them, and two and three of them."""
    words = passage[:_READ].split()[:_MOST_WORDS]
    for start in range(len(words)):
        for count in range(1, 4):
            found = " ".join(words[start : start + count])
            yield found
            if (bare := found.strip(_AROUND)) != found:
                yield bare


@functools.lru_cache(maxsize=256)
def _matcher(pattern: str) -> Callable[[str], bool] | None:
    """Return what tells whether a text has a match; None for a pattern that Rust's engine does not take.

    Python's own engine tries all ways to read a text, which can take it years while nothing else runs. Rust's looks at
    each character once, and takes no pattern that would need more (docs.rs/regex, "Untrusted input").
    """
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    # A counted part is written out so often, and each of those within it again.
    copies = math.prod(max(1, int(most or least)) for least, most in _COUNTS.findall(pattern))
    if len(pattern) > _LONGEST_PATTERN or copies > _MOST_COPIES:
        return None
    try:
        schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
        return SchemaValidator(schema).isinstance_python
    except (SchemaError, ValueError):
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
