"""The columns and rows of a frame: found by their names, and named in messages. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterator
from typing import Any

import pandas as pd

from batchnb.errors import InputError
from batchnb.params import NOT_SENT

__all__ = ["check_column", "column_values", "label_named", "row_name", "rows_of", "the_column", "unique_keys"]


def unique_keys(frame: pd.DataFrame, key: Hashable) -> list[str]:
    """Give the rows' names as text, after checking that each row has one of its own."""
    values = the_column(frame, key)
    if values.isna().any():
        raise InputError(
            f"key={key!r}: {row_name(frame, int(values.isna().to_numpy().argmax()))} has no key. {NOT_SENT}"
        )
    keys = [str(value) for value in values.tolist()]
    if len(set(keys)) < len(keys):
        seen: set[str] = set()
        twice = next(name for name in keys if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError(f"key={key!r}: the key {twice[:60]!r} names more than one row; keys must differ. {NOT_SENT}")
    return keys


def check_column(frame: pd.DataFrame, column: Hashable, argument: str = "column") -> None:
    """Raise InputError, with the nearest name, unless the frame has exactly one such column."""
    found = sum(1 for label in frame.columns if label == column)
    if found == 1:
        return
    if found:
        raise InputError(f"The frame has {found} columns called {column!r}; rename all but one. {NOT_SENT}")
    names = [str(label) for label in frame.columns]
    near = difflib.get_close_matches(str(column), names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"It has: {', '.join(map(repr, names[:20]))}."
    raise InputError(f"{argument}: the frame has no column {column!r}. {hint} {NOT_SENT}")


def column_values(frame: pd.DataFrame, column: Hashable) -> list[Any]:
    """Give a column's cells as Python objects."""
    return the_column(frame, column).tolist()


def the_column(frame: pd.DataFrame, column: Hashable) -> pd.Series[Any]:
    """Give the column of exactly that label."""
    place = [label == column for label in frame.columns].index(True)
    return frame.iloc[:, place]


def label_named(frame: pd.DataFrame, name: str) -> Hashable:
    """Find the column whose label reads `name`, or raise InputError with the nearest name."""
    label: Hashable = next((label for label in frame.columns if str(label) == name), name)
    check_column(frame, label)
    return label


def row_name(frame: pd.DataFrame, position: int) -> str:
    """Say which row stands at `position`, for messages; a negative one stands for the whole frame."""
    if position < 0:
        return "The frame"
    label = frame.index[position]
    # As text, since a label may be one that does not compare, such as NA.
    return f"Row {position}" if str(label) == str(position) else f"Row {position} (index {str(label)[:60]!r})"


def rows_of(frame: pd.DataFrame) -> Iterator[pd.Series[Any]]:
    """Give each row as functions of a row get it: whole numbers of one column stay whole beside floats of another."""
    rows = zip(*(frame.iloc[:, place].tolist() for place in range(frame.shape[1])), strict=True)
    for label, values in zip(frame.index, rows, strict=True):
        yield pd.Series(values, index=frame.columns, name=label, dtype=object)
