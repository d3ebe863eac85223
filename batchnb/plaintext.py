"""Rows that ask plain text, as nearly all do: read a few thousand at a time, at a cost that a million rows can bear.

The general way, :meth:`batchnb.recipes.Recipe.questions`, gives the same, row by row. What goes wrong here is left to
it, which names the row.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from batchnb.columns import column_values, unique_keys
from batchnb.errors import InputError
from batchnb.ledger import Rows
from batchnb.requests import encode, label_of

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.recipes import Recipe
    from batchnb.templates import Template

__all__ = ["text_digests", "text_rows"]

_T = TypeVar("_T")

#: Rows of the frame read at a time, each of their samples counted.
CHUNK = 5_000


class _Part(NamedTuple):
    """Some rows that follow each other: where the first stands, why rows are skipped, and the texts of those that ask.

    `notes` is None where none is skipped. The texts are JSON.
    """

    start: int
    rows: int
    notes: list[str | None] | None
    texts: list[bytes]

    def spread(self, digests: Sequence[bytes | None], new: Container[bytes], samples: int) -> list[bytes | None]:
        """Give the text of each row, or None."""
        texts = iter(self.texts)
        return [next(texts) if asks else None for asks in _asks_new(digests, new, samples)]


def text_digests(recipe: Recipe, frame: pd.DataFrame, template: Template) -> Iterator[bytes | None]:
    """Give the digest of what each sample of each row asks; None where a row asks nothing."""
    samples = [envelope.hasher() for envelope, _ in recipe.sampled()]
    for part in _parts(recipe, frame, template):
        if part.notes is None and len(samples) == 1:
            yield from map(samples[0], part.texts)
            continue
        texts = iter(part.texts)
        for note in part.notes or [None] * part.rows:
            text = None if note is not None else next(texts)
            for digest in samples:
                yield None if text is None else digest(text)


def text_rows(
    recipe: Recipe, frame: pd.DataFrame, template: Template, digests: Sequence[bytes | None], new: Container[bytes]
) -> Iterator[Rows]:
    """Give the rows as the ledger takes them; of those that ask nothing new, without what they ask."""
    samples = recipe.sampled()
    count = len(samples)
    firsts = [None if first is asking else first.hasher() for asking, first in samples]
    keys = None if recipe.key is None else unique_keys(frame, recipe.key)
    for part in _parts(recipe, frame, template, digests, new):
        many = part.rows * count
        asked = digests[part.start * count : part.start * count + many]
        places = range(part.start, part.start + part.rows)
        named: list[str | None] = [None] * part.rows
        labels = list(map(label_of, places))
        if keys is not None:
            named = [*keys[places.start : places.stop]]
            labels = list(map(label_of, named))
        notes = part.notes or [None] * part.rows
        contents = [*part.texts] if len(part.texts) == part.rows else part.spread(asked, new, count)
        questions: list[bytes | None] = [None] * many
        if firsts != [None] * count:
            questions = [
                None if first is None or content is None else first(content) for content in contents for first in firsts
            ]
        yield Rows(
            asked, _each(contents, count), [0] * many, _each(labels, count), _each(named, count), _each(notes, count),
            questions, [()] * many,
        )  # fmt: skip


def _each(values: Sequence[_T], times: int) -> Sequence[_T]:
    """Give every value so many times."""
    return values if times == 1 else [value for value in values for _ in range(times)]


def _parts(
    recipe: Recipe, frame: pd.DataFrame, template: Template, digests: Sequence[bytes | None] | None = None,
    new: Container[bytes] = (),
) -> Iterator[_Part]:  # fmt: skip
    """Read the frame part by part; with `digests`, only the texts of those rows that ask something of what is `new`."""
    size = max(1, CHUNK // recipe.samples)
    for start in range(0, len(frame), size):
        part = frame.iloc[start : start + size]
        try:
            cells = [column_values(part, column) for column in template.columns]
            notes = recipe.notes(part, template.columns, cells)
            asking = [note is None for note in notes]
            if digests is not None:
                first, count = start * recipe.samples, len(part) * recipe.samples
                asking = _asks_new(digests[first : first + count], new, recipe.samples)
            if not all(asking):
                cells = [list(compress(values, asking)) for values in cells]
            texts = list(map(encode, template.render_rows(cells)))
        except InputError:
            for _ in recipe.questions(frame):  # which names the row
                pass
            raise
        yield _Part(start, len(part), None if notes.count(None) == len(notes) else notes, texts)


def _asks_new(digests: Sequence[bytes | None], new: Container[bytes], samples: int) -> list[bool]:
    """Tell of each row whether one of its samples asks something new."""
    asks = [digest in new for digest in digests]
    return asks if samples == 1 else [any(asks[at : at + samples]) for at in range(0, len(asks), samples)]
