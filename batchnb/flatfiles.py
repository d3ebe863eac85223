"""Lists and dicts of a job's columns as files of tables can hold them. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

import pandas as pd

from batchnb.frames import copy_of, name_of

__all__ = ["for_csv", "for_parquet"]


def for_csv(frame: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """Give the frame with lists and dicts in the columns `names` as JSON, which any reader of a CSV file can read."""
    return _with_json(frame, [one for one in _places(frame, names) if _is_of_objects(frame.dtypes.iloc[one])])


def for_parquet(frame: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """Give the frame with those of the columns `names` as JSON that Parquet cannot hold as they are.

    It cannot where one place holds a number in one row and text in another, a whole number of more than 64 bits, or
    an object without fields.
    """
    return _with_json(frame, [one for one in _places(frame, names) if not _fits_arrow(frame.iloc[:, one])])


def _places(frame: pd.DataFrame, names: Collection[str]) -> list[int]:
    return [place for place, name in enumerate(map(name_of, frame.columns)) if name in names]


def _is_of_objects(dtype: Any) -> bool:
    return bool(pd.api.types.is_object_dtype(dtype))


def _with_json(frame: pd.DataFrame, places: Iterable[int]) -> pd.DataFrame:
    out = copy_of(frame)
    for place in places:
        out.isetitem(place, pd.array(list(map(_json, _cells(frame.iloc[:, place]))), dtype="string"))
    return out


def _cells(values: pd.Series[Any]) -> list[Any]:
    return [None if gone else cell for cell, gone in zip(values.tolist(), values.isna().tolist(), strict=True)]


def _json(cell: Any) -> str | None:
    # A text that stands beside numbers is told from them, and one that is all digits, by its quotes.
    return None if cell is None else json.dumps(cell, ensure_ascii=False)


def _fits_arrow(values: pd.Series[Any]) -> bool:
    import pyarrow as pa

    objects = values.dtype.categories.dtype if isinstance(values.dtype, pd.CategoricalDtype) else values.dtype
    if not _is_of_objects(objects):
        return True
    try:
        return not _has_empty_struct(pa.array(_cells(values)).type)
    except (pa.ArrowException, OverflowError):
        return False


def _has_empty_struct(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        return kind.num_fields == 0 or any(_has_empty_struct(part.type) for part in kind)
    return types.is_list(kind) and _has_empty_struct(kind.value_type)
