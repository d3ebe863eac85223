"""Gold: the answers wanted, in columns of the frame, and how those of a pilot compare with them. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from batchnb.answers.judge import PAID
from batchnb.answers.new_columns import names_of, remembered
from batchnb.errors import NOT_SENT, InputError
from batchnb.questions.cells import cell_text, is_missing
from batchnb.questions.columns import check_column, column_values, name_of, row_name

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.questions.recipe import Recipe

__all__ = ["agreement", "agreement_column", "check_agreement_columns", "gold_columns", "value_columns"]


def gold_columns(frame: pd.DataFrame, recipe: Recipe, gold: Any) -> dict[str, Hashable]:
    """Return the columns of wanted answers by the names of the new columns they are compared with."""
    if gold is None:
        return {}
    names = value_columns(recipe)
    if not isinstance(gold, Mapping):
        main = recipe.into if recipe.into in names else names[0]  # a reason beside the label is not compared
        if len(names) > 1 and main != recipe.into:
            raise InputError(
                f"gold= names one column, but the answers have several ({', '.join(names)}): give a dict of those "
                f"to compare, such as gold={{{names[0]!r}: {gold!r}}}. {NOT_SENT}"
            )
        gold = {main: gold}
    for name, column in gold.items():
        if name not in names:
            raise InputError(f"gold=: the answers have no column {name!r}, but {', '.join(names)}. {NOT_SENT}")
        check_column(frame, column, "gold")
        _check_golds(frame, column)
    return dict(gold)


def check_agreement_columns(
    frame: pd.DataFrame, recipe: Recipe, gold: Mapping[str, Hashable], *, overwrite: bool
) -> None:
    """Raise InputError where what says whether an answer agrees would replace another column: see `check_into`."""
    there, own = set(map(name_of, frame.columns)), remembered(frame).get(recipe.into, ())
    kept = {*names_of(recipe.reply, recipe.into, recipe.samples), *map(name_of, (recipe.column, *gold.values()))}
    for name in map(agreement_column, gold):
        if name in kept:
            raise InputError(
                f"gold=: whether the answers agree goes into a column {name!r}, which the answers, the gold ones "
                f"or what is asked about have already. Give the other one another name. {NOT_SENT}"
            )
        if name in there and name not in own and not overwrite:
            raise InputError(
                f"gold=: the frame already has a column {name!r}, which batchnb did not make. Rename it, or use "
                f"another into=; overwrite=True replaces it. {NOT_SENT}"
            )


def agreement_column(name: str) -> str:
    """Return the name of the column that tells whether answers are equal to the gold ones."""
    return f"{name}_agrees"


def _check_golds(frame: pd.DataFrame, column: Hashable) -> None:
    """Raise InputError where a wanted answer has no text to compare: before the answers are paid for."""
    for place, cell in enumerate(column_values(frame, column)):
        try:
            _text(cell, column)
        except InputError as error:
            raise InputError(f"gold=: {row_name(frame, place)}: {error} {NOT_SENT}") from error


def value_columns(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the new columns that hold answers, one for each field of the reply."""
    return names_of(recipe.reply, recipe.into)[: len(recipe.reply.fields)]


def agreement(values: list[Any], golds: list[Any], statuses: list[str], column: Hashable) -> list[bool | None]:
    """Compare answers with the gold ones; None where one of the two is missing."""
    return [
        None if status not in PAID or is_missing(gold) else _text(value, column) == _text(gold, column)
        for value, gold, status in zip(values, golds, statuses, strict=True)
    ]


def _text(value: Any, column: Hashable) -> Any:
    """Return a cell as it is written into prompts, so that 1 and 1.0 are equal; of several labels, in no order."""
    if isinstance(value, list | tuple | set):
        return sorted(cell_text(item, column) for item in value)
    return None if is_missing(value) else cell_text(value, column)
