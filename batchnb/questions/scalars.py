"""Numbers and texts that callers give: as Python has them, whoever made them, and such as can be written. Pure."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from batchnb.errors import NOT_SENT, InputError
from batchnb.units import half_character

__all__ = ["check_texts", "check_whole", "plain_numbers", "whole"]


def whole(value: Any) -> int | None:
    """Return a whole number as an ``int``; None for anything else: floats and truth values too."""
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def check_whole(name: str, value: Any, least: int | None = None, note: str = NOT_SENT) -> int:
    """Return an argument as an ``int``.

    Parameters
    ----------
    name : str
        What the argument is called.
    value : object
        What was given for it.
    least : int, optional
        The smallest number it may be.
    note : str
        How the error ends.

    Raises
    ------
    InputError
        It is no whole number, or less than `least`.
    """
    number = whole(value)
    if number is None or (least is not None and number < least):
        wanted = "a whole number" if least is None else f"a whole number of at least {least}"
        raise InputError(f"{name} is {wanted}, not {value!r}. {note}".rstrip())
    return number


def plain_numbers(value: Any) -> Any:
    """Return params with others' numbers in them as Python's, which JSON and the ledger know."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        return value.item()
    if hasattr(value, "__index__") and not isinstance(value, int):
        return operator.index(value)
    if isinstance(value, Mapping):
        return {name: plain_numbers(one) for name, one in value.items()}
    return [plain_numbers(one) for one in value] if isinstance(value, list | tuple) else value


def check_texts(note: str = NOT_SENT, **given: Any) -> None:
    """Raise InputError where an argument, or what is in it, holds half a character, which nothing can be written with.

    Parameters
    ----------
    note : str
        How the error ends.
    **given
        The arguments by their names: texts, labels, and lists and mappings of them. Others are not looked at.
    """
    for name, value in given.items():
        half = next(filter(None, map(half_character, _texts_in(value))), None)
        if half is not None:
            raise InputError(f"{name}= holds {half}. {note}".rstrip())


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _texts_in(name)
            yield from _texts_in(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _texts_in(one)
