"""How the files of a job travel: within its requests, or uploaded once and named. Decided before it is recorded."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from batchnb.errors import NOT_SENT, InputError
from batchnb.ledger.ledger import Ledger
from batchnb.questions.envelope import Content, Envelope
from batchnb.questions.media import Medium
from batchnb.questions.media_sources import INLINE_LIMIT, base64_size, inline_source, substituted
from batchnb.questions.recipe import MediaReader, Recipe
from batchnb.questions.rows import Row

__all__ = ["Shipment"]

#: Characters of base64 that one request holds at most, however small each of its files is.
MOST_INLINE = 4 * INLINE_LIMIT


class Shipment:
    """The files of a job that is about to be recorded.

    A file that one request alone needs travels in it, unless it is large, or there are many. One that several need, or
    that this ledger knows already, is uploaded, and named by what it holds.

    Parameters
    ----------
    ledger : Ledger
        Knows which files are on the server; keeps the bytes of the others until they are.
    recipe : Recipe
        With a reader.
    reader : MediaReader
        That reader.
    """

    def __init__(self, ledger: Ledger, recipe: Recipe, reader: MediaReader) -> None:
        self._ledger = ledger
        self._recipe = recipe
        self._reader = reader
        self._files: list[tuple[Medium, ...]] = []
        self._inline: set[str] = set()
        self._absent: set[str] = set()

    @classmethod
    def of(cls, ledger: Ledger, recipe: Recipe) -> Shipment | None:
        """Return the shipment of a recipe; None where it has no files."""
        return None if recipe.reader is None else cls(ledger, recipe, recipe.reader)

    def noted(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Note which files the rows name, as they are read for the first time."""
        for row in rows:
            self._files.append(row.files)
            yield row

    def plan(self, digests: Sequence[bytes | None], unsent: Collection[bytes], now: float) -> list[bytes]:
        """Decide how each file travels, and find out which the server does not have.

        Gives the questions that failed since the server no longer had a file of theirs: they are to be sent, too.

        Parameters
        ----------
        digests : sequence of bytes or None
            What each of the rows noted asks.
        unsent : collection of bytes
            Those of them that are to be sent.
        now : float
            Seconds since the epoch.
        """
        named = {digest: files for digest, files in zip(digests, self._files, strict=True) if digest is not None}
        uses = Counter(sha256 for files in named.values() for sha256 in {medium.sha256 for medium in files})
        sizes = {medium.sha256: medium.size for files in set(named.values()) for medium in files}
        known = self._ledger.files.known(uses)
        self._inline = {
            sha256
            for sha256, count in uses.items()
            if count == 1 and sha256 not in known and base64_size(sizes[sha256]) <= INLINE_LIMIT
        }
        for files in set(named.values()):
            own = {medium.sha256 for medium in files} & self._inline
            if sum(base64_size(sizes[sha256]) for sha256 in own) > MOST_INLINE:
                self._inline -= own
        waiting = set(unsent)
        missed = list(self._ledger.files.missed((digest for digest in named if digest not in waiting), now))
        needed = {medium.sha256 for digest in (*unsent, *missed) for medium in named[digest]}
        self._absent = self._ledger.files.absent(needed - self._inline, now)
        return missed

    def spool(self, now: float) -> None:
        """Keep the bytes of what is to be uploaded beside the ledger, so that they outlive this process.

        Parameters
        ----------
        now : float
            Seconds since the epoch.
        """
        spool = self._ledger.files.spool
        if self._absent:
            self._ledger.files.sweep(now)
        for sha256 in self._absent:
            if spool.path(sha256) is None:
                spool.put(sha256, self._reader.bytes_of(sha256))

    def delivered(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows, read for the second time, with the files in them that travel within their requests.

        Raises
        ------
        InputError
            A file has changed since they were read for the first time.
        """
        for row, files in zip(rows, self._files, strict=True):
            if row.files != files:
                raise InputError(f"A file has changed while the rows were read. Run the cell again. {NOT_SENT}")
            uploaded = tuple(medium for medium in files if medium.sha256 not in self._inline)
            if row.content is None or len(uploaded) == len(files):
                yield row
                continue
            content = Content(substituted(row.content.sent, self._source), row.content.asked)
            yield row._replace(content=content, files=uploaded)

    def envelopes(self) -> tuple[Envelope, ...]:
        """Return the recipe's envelopes, with the files in them that travel within the requests."""
        return tuple(
            dataclasses.replace(one, head=substituted(one.head, self._source)) for one in self._recipe.envelopes()
        )

    def _source(self, sha256: str, media_type: str) -> Mapping[str, Any] | None:
        return inline_source(self._reader.bytes_of(sha256), media_type) if sha256 in self._inline else None
