"""What a simulator is made with, checked before anything is opened: errors say what was given and what is taken."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")


def number(name: str, value: Any, takes: str, *, least: float = 0.0, most: float = math.inf) -> float:
    """Return a number as a float.

    Parameters
    ----------
    name
        What the argument is called.
    value
        What was given for it.
    takes
        What it takes, for the error.
    least, most
        Between which it is.

    Raises
    ------
    ValueError
        It is no number, none that is finite, or not between these.
    """
    try:
        if isinstance(value, bool) or not hasattr(value, "__float__"):  # float() would read text too
            raise TypeError
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not (math.isfinite(found) and least <= found <= most):
        raise ValueError(f"{name} is {takes}, not {_shown(value)}")
    return found


def whole(name: str, value: Any, takes: str, *, least: float = -math.inf, most: float = math.inf) -> int:
    """Return a whole number as an int; raise ValueError where it is none, or not between `least` and `most`."""
    try:
        if isinstance(value, bool):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} is {takes}, not {_shown(value)}") from None
    if not least <= found <= most:
        raise ValueError(f"{name} is {takes}, not {_shown(value)}")
    return found


def span(name: str, value: Any) -> tuple[float, float]:
    """Return a shortest and a longest time in seconds; raise ValueError where these are not given."""
    takes = "(shortest, longest) in seconds, such as (1.0, 5.0)"
    try:
        if isinstance(value, str | bytes | dict | set | frozenset):
            raise TypeError
        shortest, longest = (number(name, one, takes) for one in value)
        if shortest > longest:
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {takes}, not {_shown(value)}") from None
    return shortest, longest


def folder(name: str, value: Any) -> str | None:
    """Return the path of a folder as text, None where none was given; raise ValueError where it is no path."""
    if value is None:
        return None
    try:
        path = os.fspath(value)
    except Exception as error:  # whatever a class of the user's raises
        raise ValueError(f"{name} is the path of a folder, not {_shown(value)}") from error
    if not isinstance(path, str) or not path:
        raise ValueError(f"{name} is the path of a folder, not {_shown(value)}")
    return path


def one_of(name: str, value: Any, kind: type[_T], takes: str) -> _T:
    """Return `value`; raise ValueError where it is not of that kind."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {takes}, not {_shown(value)}")  # noqa: TRY004  # as for any other argument
    return value


def all_of(name: str, values: Any, kind: type[_T], takes: str) -> tuple[_T, ...]:
    """Return several of a kind; raise ValueError where `values` are not such."""
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise ValueError(f"{name} is {takes}, not {_shown(values)}")  # noqa: TRY004  # likewise
    return tuple(one_of(f"each of {name}", value, kind, f"a {kind.__name__}") for value in values)


def function(name: str, value: Any) -> None:
    """Raise ValueError where `value` is neither None nor can be called."""
    if value is not None and not callable(value):
        raise ValueError(f"{name} is a function of a request's params, not {_shown(value)}")


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # of a class of the user's, or of an integer of more than 4,300 digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."
