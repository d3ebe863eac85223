"""Answers to pandas arrays, by what a column holds. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from batchnb.questions.replies.fields import Field, Kind
from batchnb.questions.replies.moments import read_date, read_moment

__all__ = ["array_of", "utc"]


def array_of(field: Field, cells: Sequence[Any]) -> Any:
    """Return a column's array.

    ========  =========================================================================================
    string    ``string``; also for times of day and durations, which pandas has no fitting type for
    integer   ``Int64``
    number    ``Float64``
    boolean   ``boolean``
    category  ``category``, with all of the field's values in their order
    moment    ``datetime64[us, UTC]``
    date      ``datetime64[us]``
    object    ``object``: lists and dicts as Python has them
    ========  =========================================================================================

    Parameters
    ----------
    field : Field
        What the column holds.
    cells : sequence
        Its values as JSON has them, which fit the kind; None where there is none.
    """
    if field.kind == "category":
        return pd.Categorical(cells, categories=list(field.categories))
    return MAKERS[field.kind](cells)


def _integers(cells: Sequence[Any]) -> Any:
    # JSON knows no difference between 3 and 3.0.
    return pd.array([None if cell is None else int(cell) for cell in cells], dtype="Int64")


def _numbers(cells: Sequence[Any]) -> Any:
    return pd.array([None if cell is None else float(cell) for cell in cells], dtype="Float64")


def _moments(cells: Sequence[Any]) -> Any:
    return pd.DatetimeIndex(_times(cells, read_moment)).tz_localize(dt.UTC).array


def _dates(cells: Sequence[Any]) -> Any:
    return pd.DatetimeIndex(_times(cells, read_date)).array


def _times(cells: Sequence[Any], read: Callable[[str], dt.date]) -> Any:
    # Through NumPy, since pandas would choose the unit by what it finds, and nanoseconds end in 2262.
    return np.array([None if cell is None else read(cell) for cell in cells], dtype="datetime64[us]")


def _objects(cells: Sequence[Any]) -> Any:
    return pd.Series(cells, dtype=object).array


MAKERS: dict[Kind, Callable[[Sequence[Any]], Any]] = {
    "string": lambda cells: pd.array(cells, dtype="string"),
    "integer": _integers,
    "number": _numbers,
    "boolean": lambda cells: pd.array(cells, dtype="boolean"),
    "moment": _moments,
    "date": _dates,
    "object": _objects,
}


def utc(seconds: float | None) -> pd.Timestamp | None:
    """Return a time, in seconds since the epoch, as pandas has it."""
    # To the microsecond, as the API gives it: a float's further digits are noise.
    return None if seconds is None else pd.Timestamp(round(seconds * 1e6), unit="us", tz="UTC")
