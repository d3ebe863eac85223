r"""Patterns of a schema, run in time that grows with the text and no faster. Pure.

Python's own engine tries all ways to read a text: a reply of fifty characters can take it years, and nothing interrupts
it meanwhile. So patterns are run by Rust's regex crate, which Pydantic brings: it looks at a character once, and takes
no pattern that would need more (lookaround, backreferences). What it does for a character grows with the pattern,
counts written out, so that the two together are bounded here. (docs.rs/regex, "Untrusted input"; anthropic and batchnb
depend on Pydantic anyway.)
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable

__all__ = ["matcher", "problem"]

#: Parts of a pattern with its counts written out, at most: ``(.{1,100}){1,100}`` has 10,000, and takes seconds to read.
MOST_PARTS = 1_000

#: Characters of a text, times the parts of its pattern, at most: some seconds, during which nothing else runs.
MOST_STEPS = 20_000_000

_PIECES = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]?|(?P<open>\((?:\?(?:P?<\w+>|[a-zA-Z-]*:?))?)|(?P<close>\))"
    r"|(?P<count>\{(?P<least>\d*),?(?P<most>\d*)\})|(?P<sign>[*+?|^$])|.",
    re.DOTALL,
)

#: What Rust would read as something else.
_SPELLED = re.compile(r"\\.|\{\d*,?\d*\}|\{", re.DOTALL)
_SPELLINGS = {r"\Z": r"\z", r"\<": "<", r"\>": ">", "{": r"\{"}


@functools.lru_cache(maxsize=256)
def matcher(pattern: str) -> Callable[[str], bool] | None:
    """Return what tells whether a text has a match of the pattern somewhere; None where it cannot be run safely.

    Those of stored jobs may be such; nothing is known then of a reply to them. A text that is too long for its pattern
    has none.
    """
    try:
        matches = _compiled(pattern)
    except ValueError:
        return None
    longest = MOST_STEPS // max(1, _parts(pattern))
    return lambda text: len(text) <= longest and matches(text)


def problem(pattern: str) -> str | None:
    """Return why a pattern is not taken; None where it is."""
    try:
        with warnings.catch_warnings():
            # What one engine reads as a set within a set is characters to another.
            warnings.simplefilter("error", FutureWarning)
            re.compile(pattern)
        _compiled(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"Python cannot read it: {error}"
    except FutureWarning as error:
        return f'it can be read in two ways: {error}. A backslash before each of "[", "&", "~", "|", "-" in it helps'
    except ValueError as error:
        return str(error)
    return None


def _compiled(pattern: str) -> Callable[[str], bool]:
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    parts = _parts(pattern)
    if parts > MOST_PARTS:
        raise ValueError(f"with its counts written out it has {parts:,} parts, more than {MOST_PARTS:,}")
    if odd := _read_otherwise(pattern):
        raise ValueError(f"it can be read in two ways: {odd!r} means one thing to Python and another elsewhere")
    try:
        schema = core_schema.str_schema(pattern=_in_rust(pattern), regex_engine="rust-regex")
        return SchemaValidator(schema).isinstance_python
    except SchemaError as error:
        last = str(error).strip().splitlines()[-1].strip().removeprefix("error: ").removeprefix("SchemaError: ")
        raise ValueError(f"it cannot be checked in linear time ({last})") from None


def _parts(pattern: str) -> int:
    """Count the characters and sets of a pattern, those of what is counted as often as it may come."""
    parts, last = [0], 0
    for piece in _PIECES.finditer(pattern):
        if piece["open"]:
            parts.append(0)
        elif piece["close"] and len(parts) > 1:
            last = parts.pop()
            parts[-1] += last
        elif piece["count"]:
            times = max(1, int(piece["most"] or piece["least"] or 1))
            parts[-1] += last * (times - 1)
            last *= times
        elif not piece["sign"]:
            parts[-1] += 1
            last = 1
    return sum(parts)


def _in_rust(pattern: str) -> str:
    r"""Write as Rust reads it what the two spell differently, and would not refuse.

    Python's ``\Z`` is ``\z``; ``\<`` begins no word, but is a sign; and so is a brace that begins no count, as in
    ``{1, 3}`` and ``\b{start}``.
    """
    return _SPELLED.sub(lambda piece: _SPELLINGS.get(piece[0], piece[0]), pattern)


def _read_otherwise(pattern: str) -> str | None:
    """Return what Rust would read without a word as something else, and cannot be told; None where there is none.

    ``a*+`` gives nothing back in Python, and is ``(a*)+`` in Rust; in a verbose pattern they differ in spaces in sets.
    """
    before = ""
    for piece in _PIECES.finditer(pattern):
        if piece[0] == "+" and before:
            return f"{before}+"
        if piece["open"] and "<" not in piece[0] and "x" in piece[0]:
            return piece[0]
        before = piece[0] if piece["count"] or piece[0] in {"*", "+", "?"} else ""
    return None
