"""One cell's value to the text a prompt shows for it.

The same value gives the same text however it is stored, since an answer is found again by the text it was asked with.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
from collections.abc import Hashable
from datetime import date, datetime, time
from decimal import Decimal
from numbers import Number, Rational, Real
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from batchnb.errors import TemplateError

__all__ = [
    "ARROW_FLOATS",
    "OWN",
    "CellError",
    "cell_text",
    "is_missing",
    "own_value",
    "shortest",
    "spec_problem",
    "spec_text",
]

#: Narrow floats of NumPy, and by the names that Arrow has for them.
_NARROW = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(np.complex64))
ARROW_FLOATS = {"float": np.float32, "halffloat": np.float16}

#: Units in which NumPy counts days and what is longer.
_OF_DAYS = {"Y", "M", "W", "D", "generic"}

#: Types whose values are what they are, and wrap no other.
OWN = frozenset({
    str, int, float, bool, type(None), list, tuple, dict, Decimal, datetime, date, time, pd.Timestamp, pd.Timedelta,
    pd.Period, type(pd.NaT), type(pd.NA),
})  # fmt: skip

#: Characters that a format spec may fill a value up to, and digits it may give a number: more fills memory alone.
MOST_WIDE = 10_000

_SPEC = re.compile(r"(?:.?[<>=^])?[-+ ]?z?#?0?(\d*)[,_]?(?:\.(\d+))?[,_]?([a-zA-Z%]?)", re.DOTALL)
_OF_TIMES = re.compile(r"%[-_0^#+]*(\d+)")  # a directive's own width, as the C library of Linux knows it


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
    must not change every prompt; a float of 16 or 32 bits has the few digits that tell it, ``19.99``, as the same
    number of 64 bits. Missing values (None, NaN, NA, NaT) give an empty text, infinities ``inf``. Lists, tuples, dicts,
    sets (sorted), arrays and dataclasses without a ``__str__`` of their own give compact JSON, with ``null`` for what
    is missing. All else is ``str(value)``: dates as pandas prints them, so midnight shows its ``00:00:00``;
    ``{date:%Y-%m-%d}`` in a template leaves it out.

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
    value = own_value(value)
    if isinstance(value, str):
        return str.__str__(value)  # the characters, also where a subclass (an Enum) prints as something else
    if is_missing(value):
        return ""
    try:
        if isinstance(value, int | float):  # before the slow looks at what else there is
            return str(_whole(value))
        if _is_bytes(value):
            _refuse_bytes(value, column)
        if isinstance(value, list | tuple | dict | set | frozenset) or _is_array(value) or _is_record(value):
            return _json_text(value, column)
        return _lasting(str(_whole(value)), value, column)
    except CellError:
        raise
    except RecursionError as error:
        message = (
            f"Column {column!r} holds a {type(value).__name__} that holds itself, or nests too deeply to be written. "
            "Make a column of what is to be sent."
        )
        raise CellError(message, column=column) from error
    except Exception as error:  # an integer of more than 4,300 digits; whatever a class of the user's raises
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
    value = own_value(value)
    if is_missing(value):
        return ""
    whole = _whole(value)
    try:
        if len(spec) > 5 and not isinstance(value, str) and _digits_asked(spec) > MOST_WIDE:
            # Of a text it is where that is cut, which takes nothing; a number would get as many digits.
            raise ValueError(f"more than {MOST_WIDE:,} digits")
        if whole is not value:
            try:
                return format(whole, spec)
            except ValueError:
                pass  # a spec for floats only, such as ".3"
        return format(value, spec)
    except Exception as error:  # whatever a class of the user's raises
        message = (
            f"{{{column}:{spec}}} does not fit a value of type {type(value).__name__} in column {column!r} ({error})."
            f" Write {{{column}}}, or convert the column first."
        )
        raise CellError(message, column=column) from error


def spec_problem(spec: str) -> str | None:
    """Say what no value could be formatted with, before one is; None for any other format spec.

    A width, or a number's digits, beyond `MOST_WIDE`. A precision without a type may be of text, which it only cuts.
    """
    widths, found = _OF_TIMES.findall(spec.replace("%%", "")), _SPEC.fullmatch(spec)
    if found:
        widths += [found[1], found[2] if found[2] and found[3] not in ("", "s") else ""]
    if all(_number(width) <= MOST_WIDE for width in widths):
        return None
    return f"it asks for more than {MOST_WIDE:,} characters"


@functools.cache
def _digits_asked(spec: str) -> int:
    found = _SPEC.fullmatch(spec)
    return _number(found[2]) if found and found[2] else 0


def _number(digits: str) -> int:
    return int(digits[-6:] or 0) if not digits[:-6].strip("0") else MOST_WIDE + 1


def is_missing(value: Any) -> bool:
    """Tell whether a cell holds no value: None, NA, NaT, or the NaN of any type of numbers."""
    if isinstance(value, str | int | float):  # most cells, without the slow look at abstract classes
        return value != value
    if value is None or value is pd.NA or value is pd.NaT or value is np.ma.masked:
        return True
    own = own_value(value)
    if own is not value:
        return is_missing(own)
    if isinstance(value, Decimal):
        return value.is_nan()  # since a signaling NaN cannot be compared
    return isinstance(value, Number) and bool(value != value)


def own_value(value: Any) -> Any:
    """Return what NumPy or Arrow wraps, or stores in a way of its own, as Python or pandas has it; else `value` itself.

    A float of 16 or 32 bits becomes the shortest number that tells it: 19.99 as float32 is 19.989999771118164 in 64
    bits, which nobody has written. Times become those of pandas; days without a time of day stay.
    """
    if type(value) in OWN:
        return value
    if isinstance(value, np.generic):
        return _own_scalar(value)
    if isinstance(value, np.ndarray):
        return value if value.ndim or value is np.ma.masked else own_value(value[()])
    if hasattr(value, "as_py"):  # a scalar of Arrow
        narrow = ARROW_FLOATS.get(str(value.type))
        return value.as_py() if narrow is None or not value.is_valid else shortest(value.as_py(), narrow)
    return value


def shortest(number: Any, narrow: Any) -> float:
    """Return the number of fewest digits that is `number` in the narrower type, ``np.float32`` or ``np.float16``."""
    return float(np.format_float_scientific(narrow(number)))  # whatever NumPy's print options say


def _own_scalar(value: np.generic) -> Any:
    if isinstance(value, np.float32 | np.float16):
        return shortest(value, type(value))
    if isinstance(value, np.complex64):
        return complex(shortest(value.real, np.float32), shortest(value.imag, np.float32))
    if isinstance(value, np.datetime64 | np.timedelta64):
        if np.isnat(value):
            return pd.NaT
        if isinstance(value, np.datetime64) and np.datetime_data(value)[0] in _OF_DAYS:
            return value
        try:
            return pd.Timestamp(value) if isinstance(value, np.datetime64) else pd.Timedelta(value)
        except ValueError:  # of a unit that pandas has not
            return value
    return value


def _lasting(text: str, value: Any, column: Hashable) -> str:
    """Refuse the text of an object that has none of its own: its place in memory is another one in each process."""
    if text[:1] == "<" and " at 0x" in text:
        message = (
            f"Column {column!r} holds an object of type {type(value).__name__} that has no text but its place in memory"
            f" ({text[:60]}), which no later run would find again. Make a column of what it holds."
        )
        raise CellError(message, column=column)
    return text


def _is_bytes(value: Any) -> bool:
    return isinstance(value, bytes | bytearray | memoryview) or (isinstance(value, np.void) and not value.dtype.names)


def _is_array(value: Any) -> bool:
    dimensions = getattr(value, "ndim", 0)
    return isinstance(dimensions, int) and dimensions > 0 and hasattr(value, "tolist")


def _is_record(value: Any) -> bool:
    """Tell whether this is a dataclass's object that prints as Python source."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type) and type(value).__str__ is object.__str__


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
    """Write a value as JSON, as any reader of JSON takes it."""
    inner = functools.partial(_json_value, column=column)
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=inner)
    except CellError:
        raise
    except (TypeError, ValueError):  # NaN among floats, or keys that are no text
        return _written(value, column)


def _json_value(value: Any, column: Hashable) -> Any:
    """Return what the JSON encoder does not know as something nearer to what it knows."""
    if _is_bytes(value):
        _refuse_bytes(value, column)
    if is_missing(value):
        return None
    if isinstance(value, set | frozenset):
        # The order of a set changes from one Python process to the next, and a changed prompt is bought again.
        return sorted(value, key=lambda one: (type(one).__name__, str(one)))
    if _is_array(value):
        # In NumPy's own list, times are numbers, and narrow floats have digits that nobody has written.
        by_itself = isinstance(value, np.ndarray) and (value.dtype.kind in "mM" or value.dtype in _NARROW)
        return list(value) if by_itself else value.tolist()
    if _is_record(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    own = own_value(value)
    if isinstance(own, np.generic):
        own = float(own) if isinstance(own, np.floating) else own.item()
    return own if isinstance(own, str | int | float | list | dict) else _lasting(str(own), own, column)


def _written(value: Any, column: Hashable) -> str:
    """Write a value as JSON bit by bit, with null for NaN, and texts for keys of any kind and for infinities."""
    if isinstance(value, dict):
        inner = (f"{_quoted(_key(key, column))}:{_written(one, column)}" for key, one in value.items())
        return f"{{{','.join(inner)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join([_written(one, column) for one in value])}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "null" if value != value else _quoted(str(value))
    if value is None or isinstance(value, str | int | float):
        return _quoted(value)
    return _written(_json_value(value, column), column)


def _key(key: Any, column: Hashable) -> str:
    """Return the text of a dict's key: that which the JSON encoder gives, where it knows the key."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, int | float):
        return json.dumps(key)
    return "null" if is_missing(key) else cell_text(key, column)


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _refuse_bytes(value: Any, column: Hashable) -> NoReturn:
    message = (
        f"Column {column!r} holds {type(value).__name__}, which is not text. Decode it first, as in"
        f" df[{column!r}].str.decode('utf-8'); to send images or files, give a callable as the template."
    )
    raise CellError(message, column=column)
