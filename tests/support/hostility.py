"""Faults of the independent server that lie below the API: in its answers' form, in its connections, in its clock."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any


@dataclass
class Changed:
    """Answer with something else: `change` makes it of the true answer, as JSON-like or, as bytes, word by word.

    `accept`: a create makes its batch all the same; else there is no true answer, and `change` is given ``{}``.
    """

    change: Callable[[Any], Any]
    status: int = 200
    accept: bool = True
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Upload:
    """Stop reading the body of a create after so many bytes, until let go; then read on, or break the connection."""

    after: int
    breaks: bool
    reached: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)


def format_date(moment: datetime) -> str:
    """Write a time as HTTP has it."""
    return format_datetime(moment, usegmt=True)


@dataclass
class Listed:
    """How batches are listed.

    Attributes
    ----------
    order : callable
        Puts them in order; they come to it newest first.
    page : int
        The most on one page.
    shows : callable
        Tells whether one is shown.
    between : callable
        Called after each page.
    """

    order: Callable[[list[Any]], list[Any]] = list
    page: int = 100
    shows: Callable[[Any], object] = bool
    between: Callable[[], object] = bool


@dataclass
class Manner:
    """How every answer comes.

    Attributes
    ----------
    gzip, chunked : bool
        The body's encoding, and whether it comes in chunks rather than with a length.
    hangs_up : bool
        Every connection is closed after its answer, without a word.
    shift : timedelta
        How far the server's clock is ahead.
    date : callable or None
        Makes of the server's time what an answer says in its ``Date``; None: no such header.
    room : int or None
        The most requests that may wait in batches that have not ended: a create that goes beyond is refused with 429.
    listed : Listed
        How batches are listed.
    """

    gzip: bool = False
    chunked: bool = False
    hangs_up: bool = False
    shift: timedelta = timedelta()
    date: Callable[[datetime], str | None] = format_date
    room: int | None = None
    listed: Listed = field(default_factory=Listed)

    def encode(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """Return a body as it is sent, with the headers that say so."""
        headers = {}
        if self.gzip:
            body, headers["content-encoding"] = gzip.compress(body), "gzip"
        headers |= {"transfer-encoding": "chunked"} if self.chunked else {"content-length": str(len(body))}
        return body, headers

    def frame(self, body: bytes, size: int = 1000) -> bytes:
        """Put a body into chunks, if that is how answers come."""
        return chunks(body, size) if self.chunked else body


def chunks(body: bytes, size: int) -> bytes:
    """Write a body in chunks of that size, as HTTP/1.1 has it."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
