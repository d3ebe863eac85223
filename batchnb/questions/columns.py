"""The columns and rows of a frame: found by their labels, read as Python objects, and named in messages. Pure."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from batchnb.errors import NOT_SENT, InputError
from batchnb.questions.cells import ARROW_FLOATS, OWN, is_missing, own_value, shortest
from batchnb.units import half_character

__all__ = [
    "OWN_MARKS",
    "bare",
    "check_column",
    "column_values",
    "has_narrow_floats",
    "is_blank",
    "label_named",
    "missing_places",
    "name_of",
    "places_of",
    "row_name",
    "rows_of",
    "the_column",
    "unique_keys",
]

#: Cells that are what they are, and of which none is missing.
_THERE = frozenset({str, int, bool})


#: The name under which batchnb notes in a frame's attrs what it has made.
OWN_MARKS = "batchnb"


def bare(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the same rows and columns, to be read: a plain frame, without the user's attrs.

    Every step that pandas takes of a frame, down to each slice of it, copies its attrs to their depth.
    """
    if type(frame) is pd.DataFrame and frame.attrs.keys() <= {OWN_MARKS}:
        return frame
    plain = pd.DataFrame(frame)
    plain.attrs = {name: marks for name, marks in frame.attrs.items() if name == OWN_MARKS}
    return plain


# Labels


def places_of(labels: Iterable[Hashable], label: Hashable) -> list[int]:
    """Tell where `label` stands among `labels`: as a value of its own type, or else as an equal one of another.

    So 0, False and "0" are three labels where all are there, and any missing value is found by one of its kind.
    """
    there = list(labels)
    own = [place for place, one in enumerate(there) if type(one) is type(label) and _are_equal(one, label)]
    return own or [place for place, one in enumerate(there) if _are_equal(one, label)]


def _are_equal(one: Hashable, other: Hashable) -> bool:
    if isinstance(one, str) and isinstance(other, str):  # as mostly
        return one == other
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_are_equal, one, other))
    if is_missing(one) or is_missing(other):  # none of them is equal to itself, and NA has no truth value
        return is_missing(one) and is_missing(other) and type(one) is type(other)
    try:
        return bool(one == other)
    except (TypeError, ValueError):  # labels that do not compare
        return False


def check_column(frame: pd.DataFrame, column: Hashable, argument: str = "column") -> None:
    """Raise InputError, with the nearest name, unless the frame has exactly one such column."""
    found = len(places_of(frame.columns, column))
    if found == 1:
        return
    if found:
        raise InputError(f"The frame has {found} columns called {column!r}; rename all but one. {NOT_SENT}")
    named = {str(label): label for label in reversed(list(frame.columns))}
    near = difflib.get_close_matches(str(column), named, n=1)
    there = ", ".join(map(repr, list(frame.columns)[:20]))
    hint = f"Did you mean {named[near[0]]!r}?" if near else f"It has: {there}."
    raise InputError(f"{argument}: the frame has no column {column!r}. {hint} {NOT_SENT}")


def the_column(frame: pd.DataFrame, column: Hashable) -> pd.Series[Any]:
    """Return the column of exactly that label."""
    return bare(frame).iloc[:, places_of(frame.columns, column)[0]]


def label_named(frame: pd.DataFrame, name: str) -> Hashable:
    """Find the column whose label reads `name`, or raise InputError with the nearest name."""
    label: Hashable = next((label for label in frame.columns if str(label) == name), name)
    check_column(frame, label)
    return label


# Cells


def column_values(frame: pd.DataFrame, column: Hashable) -> list[Any]:
    """Return a column's cells as Python objects, the same however the column stores them."""
    return _cells(the_column(frame, column))


def _cells(column: pd.Series[Any]) -> list[Any]:
    cells: list[Any] = column.tolist()
    dtype: Any = column.dtype
    shortened = _shortening(dtype)
    if shortened is not None:
        return [cell if is_missing(cell) else shortened(cell) for cell in cells]
    if isinstance(dtype, pd.StringDtype) or getattr(dtype, "hasobject", True) is False:
        return cells
    return cells if OWN.issuperset(map(type, cells)) else list(map(own_value, cells))  # the first mostly


def has_narrow_floats(column: pd.Series[Any]) -> bool:
    """Tell whether a column stores floats of 16 or 32 bits."""
    return _shortening(column.dtype) is not None


def _shortening(dtype: Any) -> Callable[[Any], Any] | None:
    """Return what writes a value of a dtype with the fewest digits; None where all its digits are its own.

    A float of 32 bits comes as one of 64, with digits that nobody has written.
    """
    if isinstance(dtype, pd.CategoricalDtype):
        return None if dtype.categories is None else _shortening(dtype.categories.dtype)
    if isinstance(dtype, pd.IntervalDtype):
        bound = _shortening(dtype.subtype)
        return bound and (lambda cell: pd.Interval(bound(cell.left), bound(cell.right), cell.closed))
    if isinstance(dtype, pd.ArrowDtype):
        return _shortening_of_arrow(dtype.pyarrow_dtype)
    if isinstance(dtype, pd.SparseDtype):
        dtype = dtype.subtype
    kind = getattr(dtype, "numpy_dtype", dtype)  # of nullable numbers
    if kind == np.complex64:
        return lambda cell: own_value(np.complex64(cell))
    narrow = next((one for one in (np.float32, np.float16) if kind == one), None)
    return narrow and functools.partial(shortest, narrow=narrow)


def _shortening_of_arrow(kind: Any) -> Callable[[Any], Any] | None:
    import pyarrow.types  # which is there where a column is of it

    if (narrow := ARROW_FLOATS.get(str(kind))) is not None:
        return functools.partial(shortest, narrow=narrow)
    if pyarrow.types.is_struct(kind):
        fields = {one.name: _shortening_of_arrow(one.type) for one in map(kind.field, range(kind.num_fields))}
        if not any(fields.values()):
            return None
        return lambda cell: {name: _applied(fields.get(name), one) for name, one in cell.items()}
    if pyarrow.types.is_map(kind):
        key, item = _shortening_of_arrow(kind.key_type), _shortening_of_arrow(kind.item_type)
        return (key or item) and (lambda cell: [(_applied(key, name), _applied(item, one)) for name, one in cell])
    inner = _shortening_of_arrow(kind.value_type) if hasattr(kind, "value_type") else None
    if inner is None or pyarrow.types.is_dictionary(kind):
        return inner
    return lambda cell: [_applied(inner, one) for one in cell]


def _applied(shortened: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if shortened is None or is_missing(value) else shortened(value)


def missing_places(cells: Sequence[Any]) -> list[int]:
    """Tell where cells hold no value: the one meaning of it, whatever the column's own is."""
    kinds = set(map(type, cells))
    if kinds <= _THERE:  # as mostly
        return []
    if kinds == {float}:
        return [place for place, cell in enumerate(cells) if cell != cell]
    return [place for place, cell in enumerate(cells) if type(cell) is not str and is_missing(cell)]


def unique_keys(frame: pd.DataFrame, key: Hashable) -> list[str]:
    """Return the rows' names as text, after checking that each row has one of its own."""
    values = column_values(frame, key)
    missing = missing_places(values)
    if missing:
        raise InputError(f"key={key!r}: {row_name(frame, missing[0])} has no key. {NOT_SENT}")
    try:
        keys = [str(value) for value in values]
    except RecursionError:
        raise InputError(f"key={key!r}: the column holds lists that nest too deeply for a name. {NOT_SENT}") from None
    for position, name in enumerate(keys):
        if not name.isascii() and (half := half_character(name)) is not None:
            raise InputError(f"key={key!r}: {row_name(frame, position)}: its key holds {half}. {NOT_SENT}")
    if len(set(keys)) < len(keys):
        seen: set[str] = set()
        twice = next(name for name in keys if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError(f"key={key!r}: the key {twice[:60]!r} names more than one row; keys must differ. {NOT_SENT}")
    return keys


# Rows


def row_name(frame: pd.DataFrame, position: int) -> str:
    """Say which row stands at `position`, for messages; a negative one stands for the whole frame."""
    if position < 0:
        return "The frame"
    label = frame.index[position]
    # As text, since a label may be one that does not compare, such as NA.
    return f"Row {position}" if str(label) == str(position) else f"Row {position} (index {str(label)[:60]!r})"


def rows_of(frame: pd.DataFrame) -> Iterator[pd.Series[Any]]:
    """Yield each row as functions of a row get it: whole numbers of one column stay whole beside floats of another."""
    frame = bare(frame)
    rows = zip(*(_cells(frame.iloc[:, place]) for place in range(frame.shape[1])), strict=True)
    for label, values in zip(frame.index, rows, strict=True):
        yield pd.Series(values, index=frame.columns, name=label, dtype=object)


def name_of(label: Hashable) -> str:
    """Return a column's label as text; one of several levels, of which only the first says something, as that."""
    return str(label[0]) if isinstance(label, tuple) and label and all(map(is_blank, label[1:])) else str(label)


def is_blank(level: Hashable) -> bool:
    """Tell whether a level of a label says nothing."""
    return level == "" if isinstance(level, str) else is_missing(level)
