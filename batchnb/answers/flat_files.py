"""Frames as files of tables can hold them: lists and dicts, labels, attrs, and what a spreadsheet would run. Pure."""

from __future__ import annotations

import itertools
import json
import numbers
import re
from collections.abc import Collection, Hashable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from batchnb.answers.layout import copy_of
from batchnb.questions.columns import name_of

__all__ = ["ends_of_lines", "for_csv", "for_parquet", "for_spreadsheets", "too_deep", "unfit_for_parquet"]

#: What a spreadsheet may leave out before a formula, or nobody sees there: spaces, and characters that are controls, of
#: format, or fill a place (all of Cc, Cf and Z, and what else Unicode calls "default ignorable").
_UNSEEN = (
    r"\s\x00-\x20\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5"
    r"\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
#: A text that a spreadsheet may take for a formula; the signs after the first four are the wide and the small ones of
#: Asian keyboards, and the sign of minus. (owasp.org, "CSV Injection".)
FORMULA = re.compile(rf"[{_UNSEEN}]*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212]|[\t\r\n]")

#: How deep lists and dicts of a cell may stand in each other: what reads them uses a level of the stack for each.
MOST_DEEP = 100


def for_csv(frame: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """Return the frame with lists and dicts in the columns `names` as JSON, which any reader of a CSV file can read."""
    return _with_json(frame, [one for one in _places(frame, names) if _is_of_objects(frame.dtypes.iloc[one])])


def too_deep(frame: pd.DataFrame) -> tuple[Hashable, int] | None:
    """Return the label and the row of the first cell that holds itself, or nests deeper than `MOST_DEEP`; else None."""
    for place, dtype in enumerate(frame.dtypes):
        if _is_of_objects(dtype):
            row = next((row for row, cell in enumerate(frame.iloc[:, place]) if _is_endless(cell)), None)
            if row is not None:
                return frame.columns[place], row
    return None


def _is_endless(cell: Any) -> bool:
    if isinstance(cell, str) or not _holds(cell):
        return False
    waiting = [iter((cell,))]
    while waiting:
        for one in waiting[-1]:
            if _holds(one):
                if len(waiting) > MOST_DEEP:
                    return True
                waiting.append(iter(one.values() if isinstance(one, dict) else one))
                break
        else:
            waiting.pop()
    return False


def _holds(value: Any) -> bool:
    if isinstance(value, list | tuple | dict):
        return True
    return isinstance(value, np.ndarray) and value.dtype.hasobject and value.ndim > 0


def ends_of_lines(frame: pd.DataFrame) -> str | None:
    """Return how the lines of a file of text are to end; None: as everywhere on this machine.

    Python quotes a carriage return only where lines end in one. Unquoted it begins a row, of which the rest of the cell
    is then the first one.
    """
    labels = [*frame.columns, *frame.columns.names, *frame.index.names]
    texts = [frame.iloc[:, place] for place, dtype in enumerate(frame.dtypes) if _may_be_text(dtype)]
    if isinstance(frame.index, pd.MultiIndex) or _may_be_text(frame.index.dtype):
        texts.append(pd.Series(list(frame.index), dtype=object))
    cells = itertools.chain(labels, *map(_cells, texts))
    return "\r\n" if any("\r" in _text(cell) for cell in cells) else None


def _text(cell: Any) -> str:
    if isinstance(cell, tuple):  # a label of several levels, whose text would show the sign's name
        return "".join(map(str, cell))
    return cell if isinstance(cell, str) else str(cell)


def for_parquet(frame: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """Return the frame with those of the columns `names` as JSON that Parquet cannot hold as they are.

    It cannot where one place holds a number in one row and text in another, a whole number of more than 64 bits, or
    an object without fields. Of ``attrs``, what JSON has no form for becomes text; and labels of several kinds become
    texts.
    """
    out = _with_json(frame, [one for one in _places(frame, names) if not _fits_arrow(frame.iloc[:, one])])
    if frame.attrs:
        out.attrs = _json_attrs(frame.attrs)
    out.columns = _one_kind(out.columns)
    return out


def unfit_for_parquet(frame: pd.DataFrame) -> list[str]:
    """Return the names of what Parquet cannot hold: columns, and ``the index``."""
    import pyarrow as pa

    found = [repr(label) for label in dict.fromkeys(frame.columns[frame.columns.duplicated()])]
    parts = [(repr(label), pd.DataFrame({"x": frame.iloc[:, place]})) for place, label in enumerate(frame.columns)]
    for name, part in [*parts, ("the index", frame.index.to_frame(index=False, name=_fresh_names(frame.index)))]:
        try:
            pa.Table.from_pandas(part, preserve_index=False)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            found.append(name)
    return found


def _fresh_names(index: pd.Index[Any]) -> Any:
    return [f"x{level}" for level in range(index.nlevels)] if index.nlevels > 1 else "x"


def _one_kind(labels: pd.Index[Any]) -> pd.Index[Any]:
    """Return labels as they are, but those of several kinds, or that Parquet does not know, as texts."""
    if isinstance(labels, pd.MultiIndex):
        return pd.MultiIndex.from_arrays([_one_kind(labels.get_level_values(level)) for level in range(labels.nlevels)])
    if isinstance(labels, pd.CategoricalIndex):
        labels = pd.Index(list(labels), name=labels.name)
    if not _is_of_objects(labels.dtype) or all(isinstance(label, str) for label in labels):
        return labels
    return pd.Index([str(label) for label in labels], name=labels.name, dtype=object)


def _json_attrs(attrs: dict[Any, Any]) -> dict[Any, Any]:
    """Return a frame's attrs as JSON can hold them: numbers of NumPy as numbers, anything else as its text."""

    def plain(value: Any) -> Any:
        return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 else str(value)

    kept = {}
    for key, value in attrs.items():
        name = key if isinstance(key, str) else str(key)
        try:
            kept[name] = json.loads(json.dumps(value, default=plain))
        except (TypeError, ValueError, RecursionError):  # keys that are no texts, and what holds itself
            kept[name] = str(value)
    return kept


def for_spreadsheets(frame: pd.DataFrame, *, index: bool) -> pd.DataFrame:
    """Return the frame with an apostrophe before each text that a spreadsheet might run as a formula: labels too.

    Numbers, dates and durations stay what they are. A text that looks like a number is a text.

    Parameters
    ----------
    index : bool
        Whether the index is written too.
    """
    out = copy_of(frame)
    for place, dtype in enumerate(frame.dtypes):
        if _may_be_text(dtype):
            cells = [None if cell is None else _harmless(cell) for cell in _cells(frame.iloc[:, place])]
            out.isetitem(place, pd.array(cells, dtype=object))
    out.columns = _harmless_labels(frame.columns)
    if index:
        out.index = _harmless_labels(frame.index)
    return out


def _may_be_text(dtype: Any) -> bool:
    types = pd.api.types
    return not (types.is_numeric_dtype(dtype) or types.is_datetime64_any_dtype(dtype) or dtype.kind == "m")


def _harmless(cell: Any) -> Any:
    if isinstance(cell, numbers.Number):
        return cell
    text = cell if isinstance(cell, str) else str(cell)
    return f"'{text}" if FORMULA.match(text) else cell


def _harmless_labels(labels: pd.Index[Any]) -> pd.Index[Any]:
    names = [None if name is None else _harmless(name) for name in labels.names]
    if isinstance(labels, pd.MultiIndex):
        return pd.MultiIndex.from_tuples([tuple(map(_harmless, label)) for label in labels], names=names)
    if not _may_be_text(labels.dtype):
        return labels.rename(names[0])
    return pd.Index([_harmless(label) for label in labels], name=names[0], dtype=object, tupleize_cols=False)


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
