"""The rows of a frame, or their samples, as the ledger takes them: one by one, or thousands field by field. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from batchnb.questions.envelope import Content
from batchnb.questions.media import Medium

__all__ = ["FEW", "ROWS_AT_A_TIME", "Row", "Rows", "chunks", "in_parts"]

_T = TypeVar("_T")

#: Rows (several of them for a row of many samples) written or read at a time, so that no step holds them all.
ROWS_AT_A_TIME = 5_000

#: Rows written at a time where each may hold files of a quarter of a megabyte.
FEW = 100


class Row(NamedTuple):
    """A row of a frame, or one of its samples, as it enters the ledger: a question, or the reason why there is none.

    `slot` is the place of its envelope among those of the recipe. `question` is the digest under which it was asked for
    the first time, where `digest` is a later asking. `files` are those that the request names by their content, its own
    and those that all rows share. `content` may be left out of a question that the ledger has.
    """

    digest: bytes | None
    content: Content | None
    slot: int
    label: str
    key: str | None
    note: str | None
    question: bytes | None = None
    files: tuple[Medium, ...] = ()

    def under(self, digest: bytes | None) -> Row:
        """Return the row as it asks under the digest that was chosen for it: its own, or that of a later asking."""
        return self if digest == self.digest else self._replace(digest=digest, question=self.digest)


class Rows(NamedTuple):
    """Rows that follow each other, field by field, as :class:`Row` has them; `contents` are as they are sent.

    Thousands of rows one by one would be thousands of objects for Python's collector of garbage to look through, which
    takes it longer than all that is done with them here.
    """

    digests: Sequence[bytes | None]
    contents: Sequence[bytes | None]
    slots: Sequence[int]
    labels: Sequence[str]
    keys: Sequence[str | None]
    notes: Sequence[str | None]
    questions: Sequence[bytes | None]
    files: Sequence[tuple[Medium, ...]]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Rows:
        """Put rows together."""
        digests, contents, *others = zip(*rows, strict=True)
        return cls(digests, [content and content.sent for content in contents], *others)

    def under(self, digests: Sequence[bytes | None]) -> Rows:
        """Return the rows under the digests that were chosen for them: their own, or those of later askings."""
        each = zip(self.digests, digests, self.questions, strict=True)
        return self._replace(
            digests=digests, questions=[asked if own == chosen else own for own, chosen, asked in each]
        )  # fmt: skip


def in_parts(rows: Iterable[Row], size: int) -> Iterator[Rows]:
    """Put rows together, `size` at a time."""
    return map(Rows.of, chunks(rows, size))


def chunks(items: Iterable[_T], size: int = ROWS_AT_A_TIME) -> Iterator[list[_T]]:
    """Yield the items in lists of at most `size`."""
    items = iter(items)
    while chunk := list(itertools.islice(items, size)):
        yield chunk
