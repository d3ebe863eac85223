"""One cell's value to the text a prompt shows for it."""

from __future__ import annotations

import json
from collections.abc import Hashable
from numbers import Number, Rational, Real
from typing import Any, NoReturn

from batchnb.errors import TemplateError

__all__ = ["CellError", "cell_text", "is_missing", "spec_text"]


class CellError(TemplateError):
    """A value that a template cannot print. Whoever knows the row adds it to the message.

    Parameters
    ----------
    message : str
        What is wrong with the value, and what to do.
    column : hashable, optional
        The label of the column the value stands in.
    """

    def __init__(self, message: str, *, column: Hashable = None) -> None:
        super().__init__(message)
        self.column = column


def cell_text(value: Any, column: Hashable = None) -> str:
    """Return the text a prompt shows for one value.

    Text is taken as it is. Whole floats lose their ``.0``, since one NaN turns a column of integers into floats and
    must not change every prompt. Missing values (None, NaN, NA, NaT) give an empty text, infinities ``inf``. Lists,
    tuples, dicts, sets (sorted) and arrays give compact JSON. All else is ``str(value)``: dates as pandas prints them,
    so midnight shows its ``00:00:00``; ``{date:%Y-%m-%d}`` in a template leaves it out.

    Parameters
    ----------
    value : object
        The cell.
    column : hashable, optional
        Its column's label, for messages.

    Raises
    ------
    CellError
        For bytes, whose ``str`` would be Python source rather than text, and for values that have no text.
    """
    if isinstance(value, str):
        return str.__str__(value)  # the characters, also where a subclass (an Enum) prints as something else
    if is_missing(value):
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        _refuse_bytes(value, column)
    try:
        if isinstance(value, list | tuple | dict | set | frozenset) or _is_array(value):
            return _json_text(value, column)
        return str(_whole(value))
    except CellError:
        raise
    except (ValueError, TypeError, RecursionError) as error:  # an integer of more than 4,300 digits, for one
        message = f"Column {column!r} holds a value of type {type(value).__name__} that cannot be printed: {error}"
        raise CellError(message, column=column) from error


def spec_text(value: Any, spec: str, column: Hashable = None) -> str:
    """Return ``format(value, spec)``, an empty text for a missing value.

    A whole float is formatted as the integer it was before a NaN made its column float, where the spec allows that.

    Raises
    ------
    CellError
        The spec does not fit the value.
    """
    if is_missing(value):
        return ""
    whole = _whole(value)
    try:
        if whole is not value:
            try:
                return format(whole, spec)
            except ValueError:
                pass  # a spec for floats only, such as ".3"
        return format(value, spec)
    except (ValueError, TypeError, OverflowError) as error:
        message = (
            f"{{{column}:{spec}}} does not fit a value of type {type(value).__name__} in column {column!r} ({error})."
            f" Write {{{column}}}, or convert the column first."
        )
        raise CellError(message, column=column) from error


def is_missing(value: Any) -> bool:
    """Tell whether a cell holds no value: None, NaN, NA or NaT."""
    if value is None:
        return True
    if isinstance(value, str | int | float):  # most cells, without the slow look at abstract classes
        return value != value
    # By name, since this module works without pandas and NumPy.
    kind = type(value).__name__
    if isinstance(value, Number) or kind in {"datetime64", "timedelta64"}:
        return bool(value != value)  # true of NaN and NaT alone
    return kind in {"NAType", "NaTType"}


def _is_array(value: Any) -> bool:
    dimensions = getattr(value, "ndim", 0)
    return isinstance(dimensions, int) and dimensions > 0 and hasattr(value, "tolist")


def _whole(value: Any) -> Any:
    """Return a float that holds a 64-bit integer as that integer, and anything else as it is."""
    if isinstance(value, str | int):
        return value
    if isinstance(value, float) or (isinstance(value, Real) and not isinstance(value, Rational)):
        number = float(value)
        if abs(number) < 2.0**63 and number == value and number.is_integer():
            return int(number)
    return value


def _json_text(value: Any, column: Hashable) -> str:
    def plain(inner: Any) -> Any:
        if isinstance(inner, bytes | bytearray | memoryview):
            _refuse_bytes(inner, column)
        if is_missing(inner):
            return None
        if isinstance(inner, set | frozenset):
            # The order of a set changes from one Python process to the next, and a changed prompt is bought again.
            return sorted(inner, key=lambda one: (type(one).__name__, str(one)))
        return inner.tolist() if hasattr(inner, "tolist") else str(inner)

    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=plain)
    except CellError:
        raise
    except (TypeError, ValueError):  # keys that JSON has no form for, or a list inside itself
        return str(value)


def _refuse_bytes(value: Any, column: Hashable) -> NoReturn:
    message = (
        f"Column {column!r} holds {type(value).__name__}, which is not text. Decode it first, as in"
        f" df[{column!r}].str.decode('utf-8'); to send images or files, give a callable as the template."
    )
    raise CellError(message, column=column)
