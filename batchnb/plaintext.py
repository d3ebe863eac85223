"""Rows that ask plain text, as nearly all do: read a few thousand at a time, at a cost that a million rows can bear.

The general way, :meth:`batchnb.recipes.Recipe.questions`, gives the same, row by row. What goes wrong here is left to
it, which names the row.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from itertools import compress, repeat
from typing import TYPE_CHECKING, NamedTuple

from batchnb.columns import column_values, unique_keys
from batchnb.errors import InputError
from batchnb.ledger import Row
from batchnb.requests import Content, encode, label_of

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.recipes import Recipe
    from batchnb.templates import Template

__all__ = ["text_digests", "text_rows"]

#: Rows of the frame read at a time.
CHUNK = 5_000


class _Part(NamedTuple):
    """Some rows that follow each other: where the first stands, why rows are skipped, and the texts of those that ask.

    `notes` is None where none is skipped. The texts are JSON.
    """

    start: int
    rows: int
    notes: list[str | None] | None
    texts: list[bytes]


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
) -> Iterator[Row]:
    """Give the rows as the ledger takes them; of those that ask nothing new, without what they ask."""
    samples = recipe.sampled()
    count = len(samples)
    firsts = [None if first is asking else first.hasher() for asking, first in samples]
    keys = None if recipe.key is None else unique_keys(frame, recipe.key)
    for part in _parts(recipe, frame, template, digests, new):
        if len(part.texts) == part.rows and keys is None and firsts == [None]:  # as mostly
            places = range(part.start, part.start + part.rows)
            contents = map(Content, part.texts, part.texts)
            yield from map(
                Row,
                digests[places.start : places.stop],
                contents,
                repeat(0),
                map(str, places),
                repeat(None),
                repeat(None),
            )
            continue
        texts = iter(part.texts)
        notes = part.notes or [None] * part.rows
        for position, note in enumerate(notes, part.start):
            key = None if keys is None else keys[position]
            asked = digests[position * count : (position + 1) * count]
            content, label = None, ""
            if note is None and any(digest in new for digest in asked):
                text = next(texts)
                content, label = Content(text, text), label_of(position if key is None else key)
            for digest, first in zip(asked, firsts, strict=True):
                again = None if first is None or content is None else first(content.sent)
                yield Row(digest, content, 0, label, key, note, again)


def _parts(
    recipe: Recipe, frame: pd.DataFrame, template: Template, digests: Sequence[bytes | None] | None = None,
    new: Container[bytes] = (),
) -> Iterator[_Part]:  # fmt: skip
    """Read the frame part by part; with `digests`, only the texts of those rows that ask something of what is `new`."""
    for start in range(0, len(frame), CHUNK):
        part = frame.iloc[start : start + CHUNK]
        try:
            cells = [column_values(part, column) for column in template.columns]
            notes = recipe.notes(part, template.columns, cells)
            asking = [note is None for note in notes]
            if digests is not None:
                asking = _asks_new(digests, new, start, len(part), recipe.samples)
            if not all(asking):
                cells = [list(compress(values, asking)) for values in cells]
            texts = list(map(encode, template.render_rows(cells)))
        except InputError:
            for _ in recipe.questions(frame):  # which names the row
                pass
            raise
        yield _Part(start, len(part), None if notes.count(None) == len(notes) else notes, texts)


def _asks_new(
    digests: Sequence[bytes | None], new: Container[bytes], start: int, rows: int, samples: int
) -> list[bool]:
    """Tell of each row whether one of its samples asks something new."""
    asks = [digest in new for digest in digests[start * samples : (start + rows) * samples]]
    return asks if samples == 1 else [any(asks[at : at + samples]) for at in range(0, len(asks), samples)]
