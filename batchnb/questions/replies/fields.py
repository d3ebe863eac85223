"""The columns a reply gives: their names, what they hold, and where in an answer that stands. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Field", "Kind", "pick"]

#: What a column holds; `batchnb.answers.arrays` makes the pandas type of each.
Kind = Literal["string", "integer", "number", "boolean", "category", "moment", "date", "object"]


@dataclass(frozen=True, slots=True)
class Field:
    """One column of an answer.

    Parameters
    ----------
    name : str
        What its column's name adds to the stem; empty for the column that has the stem's own name.
    kind : str
        What it holds.
    path : tuple of str
        Where it stands in an answer; empty where it is the answer.
    categories : tuple
        Of kind ``category``: all values there can be, in the order given.
    """

    name: str
    kind: Kind
    path: tuple[str, ...] = ()
    categories: tuple[Any, ...] = ()


def pick(answer: Any, path: tuple[str, ...]) -> Any:
    """Return what stands at `path` in an answer; None where there is nothing."""
    for step in path:
        if answer is None:
            return None
        answer = answer.get(step)
    return answer
