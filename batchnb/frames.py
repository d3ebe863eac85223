"""Answers to columns, samples to one answer, and columns to frames. Touches neither network nor ledger."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pandas as pd

from batchnb.errors import InputError
from batchnb.params import NOT_SENT
from batchnb.results import OUTCOMES, read_result
from batchnb.schemas import LabelReply, Reply

__all__ = ["Columns", "check_into", "column_in_the_way", "copy_of", "with_columns"]

_T = TypeVar("_T")


@dataclass(slots=True)
class Columns:
    """The columns a job gives, row by row: three, and two more where it asked each row several times.

    Parameters
    ----------
    reply : Reply
        What was asked for.
    into : str
        The name of the first; ``<into>_status`` and ``<into>_error`` are the others, and, with several samples,
        ``<into>_samples`` and ``<into>_agreement``.
    samples : int
        How many rows added are one row of the frame.
    """

    reply: Reply
    into: str
    samples: int = 1
    values: list[Any] = field(default_factory=list)
    statuses: list[str | None] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)

    def add(self, result: bytes | None, note: str | None, *, asked: bool) -> None:
        """Add a row, or a sample of one.

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
        """Give the columns by name, with their pandas types.

        Of several samples, the value is the most frequent one, and the agreement the share it has among those that
        have a value; status and error are those of the first sample that is pending, or else did not succeed.
        """
        if self.samples == 1:
            return self._arrays(self.values, self.statuses, self.errors)
        sampled = _groups(self.values, self.samples)
        chosen = [_most_frequent(values) for values in sampled]
        statuses = _groups(self.statuses, self.samples)
        deciding = [row * self.samples + _deciding(samples) for row, samples in enumerate(statuses)]
        arrays = self._arrays(
            [value for value, _ in chosen],
            [self.statuses[place] for place in deciding],
            [self.errors[place] for place in deciding],
        )
        # A row that was never asked has no samples, rather than several without a value.
        known = [None if status[0] is None else values for values, status in zip(sampled, statuses, strict=True)]
        extra = (pd.Series(known, dtype=object).array, pd.array([share for _, share in chosen], dtype="Float64"))
        return arrays | dict(zip(_names(self.into, self.samples)[3:], extra, strict=True))

    def _arrays(self, values: list[Any], statuses: list[str | None], errors: list[str | None]) -> dict[str, Any]:
        value: Any
        if isinstance(self.reply, LabelReply):
            value = pd.Categorical(values, categories=list(self.reply.labels))
        else:
            value = pd.array(values, dtype="string")
        said = (pd.array(statuses, dtype="string"), pd.array(errors, dtype="string"))
        return dict(zip(_names(self.into), (value, *said), strict=True))


def _groups(items: list[_T], size: int) -> list[list[_T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _most_frequent(values: list[Any]) -> tuple[Any, float | None]:
    """Give the most frequent value, of equally frequent ones the first, and its share of the values there are."""
    there = [value for value in values if value is not None]
    if not there:
        return None, None
    chosen = max(there, key=there.count)
    return chosen, there.count(chosen) / len(there)


def _deciding(statuses: list[str | None]) -> int:
    """Tell which sample's status is the row's."""
    if "pending" in statuses:
        return statuses.index("pending")
    return next((place for place, status in enumerate(statuses) if status != "succeeded"), 0)


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


def check_into(frame: pd.DataFrame, into: str, read: Sequence[Hashable], *, overwrite: bool, samples: int = 1) -> None:
    """Refuse a new column that would replace one of the user's own.

    A column is replaced only when its status column stands beside it, as it does after an earlier run of the cell; the
    two columns of samples, only when both are there.

    Raises
    ------
    InputError
        The message proposes a name that is free.
    """
    if not isinstance(into, str) or not into:
        raise InputError(f"into= takes the name of the new column, not {into!r}. {NOT_SENT}")
    labels = set(map(_name_of, frame.columns))
    used = next((column for column in map(_name_of, read) if column in _names(into, samples)), None)
    if used is not None:
        raise InputError(
            f"into={into!r} would replace the column {used!r}, which the template or key= reads. "
            f"{_proposal(into, labels, samples)} {NOT_SENT}"
        )
    replaced = column_in_the_way(frame, into, samples)
    if overwrite or replaced is None:
        return
    raise InputError(
        f"The frame already has a column {replaced!r}, which batchnb did not make. "
        f"{_proposal(into, labels, samples)} "
        f"overwrite=True replaces it. {NOT_SENT}"
    )


def column_in_the_way(frame: pd.DataFrame, into: str, samples: int = 1) -> str | None:
    """Give the name of a column of the user's own that the new columns would replace, if there is one."""
    columns = {_name_of(label): place for place, label in enumerate(frame.columns)}
    names = _names(into, samples)
    taken = [name for name in names if name in columns]
    if into in columns and f"{into}_status" in columns:
        statuses = frame.iloc[:, columns[f"{into}_status"]].dropna().tolist()
        if all(isinstance(status, str) and status in OUTCOMES for status in statuses):
            of_samples = [name for name in taken if name in names[3:]]
            return of_samples[0] if len(of_samples) == 1 else None  # an earlier run of the cell made them
    return taken[0] if taken else None


def _name_of(label: Hashable) -> str:
    """Give a column's label as text; one of several levels, of which only the first says something, as that."""
    return str(label[0]) if isinstance(label, tuple) and label and not any(label[1:]) else str(label)


def _names(into: str, samples: int = 1) -> tuple[str, ...]:
    of_samples = (f"{into}_samples", f"{into}_agreement") if samples > 1 else ()
    return into, f"{into}_status", f"{into}_error", *of_samples


def _proposal(into: str, labels: Iterable[str], samples: int) -> str:
    taken = set(labels)
    candidates = (f"{into}_{suffix}" for suffix in ("new", *map(str, range(2, len(taken) + 4))))
    free = next(name for name in candidates if not taken.intersection(_names(name, samples)))
    return f"Use another name, such as into={free!r}."
