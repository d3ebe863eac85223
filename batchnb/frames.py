"""Answers to columns, and columns to frames. Touches neither network nor ledger."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from batchnb.errors import InputError
from batchnb.params import NOT_SENT
from batchnb.results import OUTCOMES, read_result
from batchnb.schemas import LabelReply, Reply

__all__ = ["Columns", "check_into", "column_in_the_way", "copy_of", "with_columns"]


@dataclass(slots=True)
class Columns:
    """The three columns a job gives, row by row.

    Parameters
    ----------
    reply : Reply
        What was asked for.
    into : str
        The name of the first; ``<into>_status`` and ``<into>_error`` are the others.
    """

    reply: Reply
    into: str
    values: list[Any] = field(default_factory=list)
    statuses: list[str | None] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)

    def add(self, result: bytes | None, note: str | None, *, asked: bool) -> None:
        """Add a row.

        Parameters
        ----------
        result : bytes or None
            Its kept result; None where there is none.
        note : str or None
            Why there is none.
        asked : bool
            Whether the row asks anything.
        """
        if result is None:
            self.values.append(None)
            self.statuses.append("pending" if asked else "skipped")
            self.errors.append(note)
            return
        outcome, value, error, _ = read_result(result, self.reply)
        self.values.append(value)
        self.statuses.append(outcome)
        self.errors.append(error)

    def add_unknown(self) -> None:
        """Add a row that the job never asked."""
        self.values.append(None)
        self.statuses.append(None)
        self.errors.append(None)

    def arrays(self) -> dict[str, Any]:
        """Give the columns by name, with their pandas types."""
        value: Any
        if isinstance(self.reply, LabelReply):
            value = pd.Categorical(self.values, categories=list(self.reply.labels))
        else:
            value = pd.array(self.values, dtype="string")
        statuses, errors = pd.array(self.statuses, dtype="string"), pd.array(self.errors, dtype="string")
        return dict(zip(_names(self.into), (value, statuses, errors), strict=True))


def copy_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Copy a frame so that later changes of one do not show in the other.

    pandas 3 copies on write, so there the copy costs nothing until then; pandas 2 copies now.
    """
    return frame.copy(deep=int(pd.__version__.split(".")[0]) < 3)


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Give `frame` plus `columns`, row by row: arrays have no index, so none can misalign."""
    out = copy_of(frame)
    below = ("",) * (frame.columns.nlevels - 1)
    for name, values in columns.items():
        out[(name, *below) if below else name] = values
    return out


def check_into(frame: pd.DataFrame, into: str, read: Sequence[Hashable], *, overwrite: bool) -> None:
    """Refuse a new column that would replace one of the user's own.

    A column is replaced only when its status column stands beside it, as it does after an earlier run of the cell.

    Raises
    ------
    InputError
        The message proposes a name that is free.
    """
    if not isinstance(into, str) or not into:
        raise InputError(f"into= takes the name of the new column, not {into!r}. {NOT_SENT}")
    labels = set(map(_name_of, frame.columns))
    used = next((column for column in map(_name_of, read) if column in _names(into)), None)
    if used is not None:
        raise InputError(
            f"into={into!r} would replace the column {used!r}, which the template or key= reads. "
            f"{_proposal(into, labels)} {NOT_SENT}"
        )
    replaced = column_in_the_way(frame, into)
    if overwrite or replaced is None:
        return
    raise InputError(
        f"The frame already has a column {replaced!r}, which batchnb did not make. {_proposal(into, labels)} "
        f"overwrite=True replaces it. {NOT_SENT}"
    )


def column_in_the_way(frame: pd.DataFrame, into: str) -> str | None:
    """Give the name of a column of the user's own that the new columns would replace, if there is one."""
    columns = {_name_of(label): place for place, label in enumerate(frame.columns)}
    taken = [name for name in _names(into) if name in columns]
    if into in columns and f"{into}_status" in columns:
        statuses = frame.iloc[:, columns[f"{into}_status"]].dropna().tolist()
        if all(isinstance(status, str) and status in OUTCOMES for status in statuses):
            return None  # an earlier run of the cell made them
    return taken[0] if taken else None


def _name_of(label: Hashable) -> str:
    """Give a column's label as text; one of several levels, of which only the first says something, as that."""
    return str(label[0]) if isinstance(label, tuple) and label and not any(label[1:]) else str(label)


def _names(into: str) -> tuple[str, str, str]:
    return into, f"{into}_status", f"{into}_error"


def _proposal(into: str, labels: Iterable[str]) -> str:
    taken = set(labels)
    candidates = (f"{into}_{suffix}" for suffix in ("new", *map(str, range(2, len(taken) + 4))))
    free = next(name for name in candidates if not taken.intersection(_names(name)))
    return f"Use another name, such as into={free!r}."
