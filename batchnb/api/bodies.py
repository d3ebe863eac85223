"""The bodies of answers: decoded in small steps, whatever their encoding makes of them, and read as JSON."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from batchnb.errors import AmbiguousError

__all__ = ["ENCODINGS", "MARK", "UNREADABLE", "decoded", "first_bytes", "json_in", "mended", "readable"]

#: What the server is asked for: other encodings would have to be decoded by what may make gigabytes of a kilobyte.
ENCODINGS = "gzip"

#: What reading JSON may raise, be it nested a thousand deep.
UNREADABLE = (msgspec.MsgspecError, RecursionError, ValueError)

#: Bytes that are decoded at once, at most.
STEP = 1_000_000

#: Bytes in a row that decode to nothing, at most: a few do, where an encoder was flushed, but none goes on like that.
MOST_EMPTY = 1_000_000

#: What some write before JSON, and JSON has not.
MARK = b"\xef\xbb\xbf"


def decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Decode a body.

    Parameters
    ----------
    chunks : iterable of bytes
        The body as it came.
    encoding : str
        What ``content-encoding`` says; empty where it says nothing.

    Raises
    ------
    AmbiguousError
        The encoding is none that was asked for, or is broken, ends early, or brings nothing.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        yield from chunks
    elif name in ("gzip", "x-gzip"):
        try:
            yield from _inflated(chunks)
        except zlib.error as error:
            raise AmbiguousError(f"The answer's {name} encoding is broken ({error}).") from error
    else:
        raise AmbiguousError(f"The answer is encoded as {name[:40]!r}, which was not asked for.")


def _inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    decoder, empty = zlib.decompressobj(31), 0  # 31: with gzip's header
    for chunk in chunks:
        empty += len(chunk)
        if empty > MOST_EMPTY + len(chunk):
            raise zlib.error("it brings nothing")
        rest, more = chunk, True
        while more:
            if decoder.eof:  # another follows
                decoder = zlib.decompressobj(31)
            piece = decoder.decompress(rest, STEP)
            if piece:
                empty = 0
                yield piece
            rest = decoder.unused_data or decoder.unconsumed_tail
            more = bool(rest) or len(piece) == STEP  # more may be to come of what was taken
    if not decoder.eof:
        raise zlib.error("it ends early")


def first_bytes(chunks: Iterable[bytes], most: int) -> bytes:
    """Read a body, no further than its first `most` bytes."""
    found: list[bytes] = []
    size = 0
    for chunk in chunks:
        found.append(chunk[: most - size])
        size += len(found[-1])
        if size >= most:
            break
    return b"".join(found)


def json_in(body: bytes) -> Any:
    """Read JSON; None where the body is something else."""
    try:
        return msgspec.json.decode(body.removeprefix(MARK))
    except UNREADABLE:
        return None


def readable(raw: bytes) -> bytes:
    """Return JSON as it came where it is JSON; else `mended`, which raises what that raises."""
    plain = raw.removeprefix(MARK)
    try:
        msgspec.json.decode(plain)
    except UNREADABLE:
        return mended(raw)
    return plain


def mended(raw: bytes) -> bytes:
    """Return as JSON what others take for JSON, as a server or a gateway that is written with them may send it.

    Half a character, as where a text was cut in an emoji, and bytes that are no UTF-8 become U+FFFD; NaN, and numbers
    beyond all bounds, become null; a line break within a text, or a mark before all, costs nothing.

    Raises
    ------
    msgspec.DecodeError, RecursionError
        It is not that either, as where it was cut; or it is nested too deep.
    """
    text = raw.decode("utf-8-sig", "replace")
    try:
        found = json.loads(text, strict=False, parse_constant=lambda _: None, parse_float=_number, parse_int=_number)
    except ValueError as error:
        raise msgspec.DecodeError(f"JSON is malformed: {type(error).__name__}") from None
    halves = json.dumps(found, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    return halves.decode("utf-16-le", "replace").encode()


def _number(digits: str) -> float | int | None:
    number = float(digits)
    if not math.isfinite(number):
        return None
    return int(digits) if digits.lstrip("-").isdecimal() else number
