"""Rows that ask plain text, as nearly all do: read a few thousand at a time, at a cost that a million rows can bear.

The general way, :mod:`batchnb.questions.question`, gives the same, row by row. What goes wrong here
is left to it, which names the row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from batchnb.errors import InputError
from batchnb.questions.bodies import label_of
from batchnb.questions.columns import column_values, unique_keys
from batchnb.questions.envelope import encode_texts
from batchnb.questions.question import read_questions, skip_notes
from batchnb.questions.recipe import CONTENT
from batchnb.questions.rows import ROWS_AT_A_TIME, Rows

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.questions.recipe import Recipe
    from batchnb.questions.template import Template

__all__ = ["text_digests", "text_rows"]

_T = TypeVar("_T")


class _Part(NamedTuple):
    """Some rows that follow each other: where the first stands, why rows are skipped, and what rows ask, as JSON.

    `texts` are None where a row is skipped, or asks nothing new.
    """

    start: int
    notes: list[str | None]
    texts: Sequence[bytes | None]


def text_digests(recipe: Recipe, frame: pd.DataFrame, template: Template) -> Iterator[bytes | None]:
    """Yield the digest of what each sample of each row asks; None where a row asks nothing."""
    samples = [now[CONTENT].hasher() for now, _ in recipe.sample_envelopes()]
    for part in _parts(recipe, frame, template):
        if len(samples) == 1 and None not in part.texts:  # as mostly
            yield from map(samples[0], part.texts)  # type: ignore[arg-type]
        else:
            yield from (None if text is None else digest(text) for text in part.texts for digest in samples)


def text_rows(
    recipe: Recipe, frame: pd.DataFrame, template: Template, digests: Sequence[bytes | None], new: Collection[bytes]
) -> Iterator[Rows]:
    """Yield the rows as the ledger takes them; of those that ask nothing of what is `new`, without what they ask."""
    samples = recipe.sample_envelopes()
    count = len(samples)
    firsts = [None if first is now else first[CONTENT].hasher() for now, first in samples]
    keys = None if recipe.key is None else unique_keys(frame, recipe.key)
    for part in _parts(recipe, frame, template, digests, new):
        places = range(part.start, part.start + len(part.notes))
        many = len(places) * count
        asked = digests[part.start * count : part.start * count + many]
        named: list[str | None] = [None] * len(places)
        labels = list(map(str, places))  # as label_of makes them of positions
        if keys is not None:
            named[:] = keys[places.start : places.stop]
            labels = list(map(label_of, named))
        questions: list[bytes | None] = [None] * many
        if firsts != [None] * count:
            questions = [
                None if first is None or text is None else first(text) for text in part.texts for first in firsts
            ]
        yield Rows(
            asked, _each(part.texts, count), [0] * many, _each(labels, count), _each(named, count),
            _each(part.notes, count), questions, [()] * many,
        )  # fmt: skip


def _each(values: Sequence[_T], times: int) -> Sequence[_T]:
    """Return every value so many times."""
    return values if times == 1 else [value for value in values for _ in range(times)]


def _parts(
    recipe: Recipe, frame: pd.DataFrame, template: Template, digests: Sequence[bytes | None] | None = None,
    new: Collection[bytes] = (),
) -> Iterator[_Part]:  # fmt: skip
    """Read the frame part by part; with `digests`, only the texts of those rows that ask something of what is `new`."""
    size = max(1, ROWS_AT_A_TIME // recipe.samples)
    # Mostly all are new: then there is no need to look.
    looked_at = None if digests is None or len(new) >= len(digests) else digests
    for start in range(0, len(frame), size):
        part = frame.iloc[start : start + size]
        try:
            cells = [column_values(part, column) for column in template.columns]
            notes: list[str | None] = [None] * len(part)
            if digests is None or None in digests[start * recipe.samples : (start + size) * recipe.samples]:
                notes = skip_notes(recipe, part, template.columns, cells)
            asking = [note is None for note in notes]
            if looked_at is not None:
                first, count = start * recipe.samples, len(part) * recipe.samples
                asking = _asks_new(looked_at[first : first + count], new, recipe.samples)
            if not all(asking):
                cells = [list(compress(values, asking)) for values in cells]
            texts: Sequence[bytes | None] = encode_texts(template.render_rows(cells))
        except InputError:
            for _ in read_questions(recipe, frame):  # which names the row
                pass
            raise
        if len(texts) < len(part):
            rendered = iter(texts)
            texts = [next(rendered) if asks else None for asks in asking]
        yield _Part(start, notes, texts)


def _asks_new(digests: Sequence[bytes | None], new: Collection[bytes], samples: int) -> list[bool]:
    """Tell of each row whether one of its samples asks something new."""
    asks = [digest in new for digest in digests]
    return asks if samples == 1 else [any(asks[at : at + samples]) for at in range(0, len(asks), samples)]
