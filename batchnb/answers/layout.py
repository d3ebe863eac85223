"""A frame put together anew: columns exchanged or added, and what else it is kept. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from batchnb.questions.columns import bare, is_blank

__all__ = ["copy_of", "dressed", "own_column", "own_names", "rows_at", "with_columns", "without_places"]

#: Whether pandas copies only on write: then a frame is shared until one of its holders changes it.
COPIES_ON_WRITE = int(pd.__version__.split(".")[0]) >= 3


def copy_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Copy a frame so that later changes of one do not show in the other.

    pandas 3 copies on write, so there the copy costs nothing until then; pandas 2 copies now. What ``attrs`` hold is
    shared: pandas would copy that to its depth, whatever its size.
    """
    return dressed(_copied(frame), frame)


def _copied(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(bare(frame)).copy(deep=not COPIES_ON_WRITE)


def dressed(made: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame that was made of the rows of another one the class, the metadata, the flags and the attrs of that.

    As pandas' own methods do, except that they copy attrs to their depth.
    """
    if type(frame) is not pd.DataFrame:
        made = frame._constructor(made)  # type: ignore[operator]  # noqa: SLF001  # pandas documents it for subclasses
        for name in set(made._metadata) & set(frame._metadata):  # noqa: SLF001  # likewise
            object.__setattr__(made, name, getattr(frame, name, None))
    flags: Any = frame.flags
    if not flags.allows_duplicate_labels:
        made = made.set_flags(allows_duplicate_labels=False)
    made.attrs = frame.attrs  # a dict of its own, of the same values
    return made


def rows_at(frame: pd.DataFrame, positions: Sequence[int]) -> pd.DataFrame:
    """Return the rows that stand at some positions, as a frame of the same kind."""
    return dressed(bare(frame).iloc[list(positions)], frame)


def without_places(frame: pd.DataFrame, places: Collection[int]) -> pd.DataFrame:
    """Return `frame` without the columns that stand at some places."""
    return dressed(bare(frame).iloc[:, [one for one in range(frame.shape[1]) if one not in places]], frame)


def own_names(columns: pd.Index[Any]) -> list[str | None]:
    """Return the names by which batchnb would have written each label; None for those that it would never write.

    A name is text, and of several levels it is the first, with nothing in the others: an empty text, which a level of
    dates keeps as NaT. A zero is no such nothing.
    """
    return [_own_name(label, columns.nlevels) for label in columns]


def _own_name(label: Hashable, levels: int) -> str | None:
    if levels > 1 and isinstance(label, tuple):
        return label[0] if isinstance(label[0], str) and all(map(is_blank, label[1:])) else None
    return label if isinstance(label, str) else None


def own_column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return a column that batchnb has made, by its name."""
    return bare(frame).iloc[:, own_names(frame.columns).index(name)]


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return `frame` plus `columns`, row by row: arrays have no index, so none can misalign.

    They replace those of their names where they are; but where only some are there, all go to the end, so that they
    stand together and are known again.
    """
    names = own_names(frame.columns)
    there = [name for name in names if name in columns]
    made: dict[str, Any] = {
        # Text that is all there is as a Series of objects, or pandas makes it a column of text.
        name: pd.Series(values, dtype=object) if str(getattr(values, "dtype", "")) == "object" else values
        for name, values in columns.items()
    }
    if len(there) == len(columns) == len(set(there)):
        out = _copied(frame)
        index, out.index = out.index, pd.RangeIndex(len(out))
        for place, name in enumerate(names):
            if name in made:
                out.isetitem(place, made[name])
        out.index = index
        return dressed(out, frame)
    others = [place for place, name in enumerate(names) if name not in columns]
    old = pd.DataFrame(bare(frame)).iloc[:, others]
    # By position: labels that are equal, or do not compare, are no matter then.
    old.index = rows = pd.RangeIndex(len(frame))
    # All at once: one by one, pandas warns that it gets slow.
    out = pd.concat([old, pd.DataFrame(made, index=rows, copy=False)], axis=1, ignore_index=True)
    out.index = frame.index
    out.columns = _labels(frame.columns[others], list(columns))
    return dressed(out, frame)


def _labels(columns: pd.Index[Any], names: Sequence[str]) -> pd.Index[Any]:
    """Return labels plus new ones, as pandas writes those; but none is read as a date, as another column may be."""
    if isinstance(columns, pd.MultiIndex):
        first: Any = columns.levels[0]
        if _reads_text(first):
            columns = columns.set_levels(first.astype(object), level=0)
    elif _reads_text(columns):
        columns = columns.astype(object)
    below = ("",) * (columns.nlevels - 1)
    for name in names:
        columns = columns.insert(len(columns), (name, *below) if below else name)
    return columns


def _reads_text(labels: pd.Index[Any]) -> bool:
    return isinstance(labels, pd.DatetimeIndex | pd.TimedeltaIndex | pd.PeriodIndex)
