"""Answers to columns, and columns to frames. Touches neither network nor ledger."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from batchnb.errors import InputError
from batchnb.params import NOT_SENT
from batchnb.results import read_result
from batchnb.schemas import LabelReply, Reply

__all__ = ["Columns", "check_into", "copy_of", "with_columns"]


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
        value: Any = pd.array(self.values, dtype="string") if not isinstance(self.reply, LabelReply) else None
        if isinstance(self.reply, LabelReply):
            value = pd.Categorical(self.values, categories=list(self.reply.labels))
        return {
            self.into: value,
            f"{self.into}_status": pd.array(self.statuses, dtype="string"),
            f"{self.into}_error": pd.array(self.errors, dtype="string"),
        }


def copy_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Copy a frame so that later changes of one do not show in the other.

    pandas 3 copies on write, so there the copy costs nothing until then; pandas 2 copies now.
    """
    return frame.copy(deep=int(pd.__version__.split(".")[0]) < 3)


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Give `frame` plus `columns`, row by row: arrays have no index, so none can misalign."""
    out = copy_of(frame)
    for name, values in columns.items():
        out[name] = values
    return out


def check_into(frame: pd.DataFrame, into: str, read: Sequence[Hashable], *, overwrite: bool) -> None:
    """Refuse a new column that would replace one of the user's own.

    A column is replaced only when its status column stands beside it, as it does after an earlier run of the cell.

    Raises
    ------
    InputError
        The message proposes a name that is free.
    """
    names = (into, f"{into}_status", f"{into}_error")
    labels = {str(label) for label in frame.columns}
    used = next((str(column) for column in read if str(column) in names), None)
    if used is not None:
        raise InputError(
            f"into={into!r} would replace the column {used!r}, which the template reads. "
            f"{_proposal(into, labels)} {NOT_SENT}"
        )
    if overwrite or into not in labels or names[1] in labels:
        return
    raise InputError(
        f"The frame already has a column {into!r}, which batchnb did not make. {_proposal(into, labels)} "
        f"overwrite=True replaces it. {NOT_SENT}"
    )


def _proposal(into: str, labels: Iterable[str]) -> str:
    taken = set(labels)
    candidates = (f"{into}_{suffix}" for suffix in ("new", *map(str, range(2, len(taken) + 4))))
    free = next(name for name in candidates if not {name, f"{name}_status"} & taken)
    return f"Use another name, such as into={free!r}."
