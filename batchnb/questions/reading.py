"""The rows of a frame under a recipe, by the faster of two ways: their digests, then what the ledger takes of them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from batchnb.questions.bodies import label_of
from batchnb.questions.columns import bare, unique_keys
from batchnb.questions.plain_text import text_digests, text_rows
from batchnb.questions.question import read_questions
from batchnb.questions.rows import ROWS_AT_A_TIME, Row, Rows, in_parts
from batchnb.questions.template import Template

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.questions.recipe import Recipe

__all__ = ["read_digests", "read_parts", "read_rows"]


def read_digests(recipe: Recipe, frame: pd.DataFrame) -> Iterator[bytes | None]:
    """Return the digest of what each sample of each row of `frame` asks; None where a row asks nothing.

    Raises
    ------
    InputError
        A row cannot be asked; the message names it. With ``missing="raise"``, also for a missing value.
    """
    frame, template = bare(frame), _plain_text(recipe, frame)
    if template is not None:
        return text_digests(recipe, frame, template)
    return (row.digest for row in read_rows(recipe, frame))


def read_parts(
    recipe: Recipe, frame: pd.DataFrame, digests: Sequence[bytes | None], new: Collection[bytes] = frozenset()
) -> Iterator[Rows]:
    """Return the rows of `frame` as the ledger takes them, some at a time.

    Parameters
    ----------
    recipe : Recipe
        What is asked of them.
    frame : DataFrame
        The rows.
    digests : sequence of bytes or None
        As `read_digests` gave them, of the same frame, so that they are not made once more.
    new : collection of bytes
        What is to be asked. Rows that ask other things may come without their content.
    """
    frame, template = bare(frame), _plain_text(recipe, frame)
    if template is None:
        return in_parts(read_rows(recipe, frame), ROWS_AT_A_TIME)
    return text_rows(recipe, frame, template, digests, new)


def read_rows(recipe: Recipe, frame: pd.DataFrame) -> Iterator[Row]:
    """Yield the rows of `frame` one by one: each of them once for every sample."""
    samples = recipe.sample_envelopes()
    keys = None if recipe.key is None else unique_keys(frame, recipe.key)
    for position, question in enumerate(read_questions(recipe, frame)):
        key = None if keys is None else keys[position]
        content, slot = question.content, question.slot
        if content is None:
            yield from itertools.repeat(Row(None, None, 0, "", key, question.note), recipe.samples)
            continue
        label = label_of(position if key is None else key)
        for now, first in samples:
            original = None if now is first else first[slot].digest(content)
            yield Row(now[slot].digest(content), content, slot, label, key, None, original, question.files)


def _plain_text(recipe: Recipe, frame: pd.DataFrame) -> Template | None:
    """Return the template that makes the rows' texts, where they ask nothing but text."""
    if recipe.calls or recipe.has_media:
        return None
    template = recipe.compiled(frame)
    return template if isinstance(template, Template) and template.columns else None
