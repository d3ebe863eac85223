"""From a stream of bytes to its lines, in time that grows with the bytes and in bounded memory. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

from batchnb.answers.wire import OVERSIZED
from batchnb.api.bodies import readable
from batchnb.errors import AmbiguousError

__all__ = ["LONGEST", "lines"]

#: Bytes of one line at most: some thirty times the longest reply there is (300,000 tokens). Of a longer line, the rest
#: of its row is not kept.
LONGEST = 64_000_000

#: Bytes in a row that hold no line, at most.
MOST_EMPTY = 4_000_000_000

#: Seconds in which no line comes to its end, at most: of a line of ordinary length, next to nothing would move.
LONGEST_SECONDS = 600.0

#: Bytes of a line that is too long which are kept of its beginning, and of its end.
EDGE = 4_096

_ID = rb'"custom_id"\s*:\s*"([a-zA-Z0-9_-]{1,64})"\s*'
_AT_THE_BEGINNING = re.compile(rb"\s*\{\s*" + _ID + rb"[,}]")
_AT_THE_END = re.compile(rb",\s*" + _ID + rb"\}\s*\Z")


def lines(
    chunks: Iterable[bytes], longest: int = LONGEST, elapsed: Callable[[], float] = lambda: 0.0
) -> Iterator[list[bytes]]:
    """Cut a stream of bytes into lines, whatever the chunks: gives those that came together, one chunk's after another.

    Blank lines and CRLF are accepted. In the place of a line that is too long a short one is given, with its custom_id
    and a result of type "oversized", so that its row is told; nothing, where it has no custom_id at either end.

    Whole lines are given even when the stream breaks later. What an unframed body ends with in silence, too: where it
    ends within a line, it broke off, and says nothing of the rows it did not come to.

    Parameters
    ----------
    chunks : iterable of bytes
        Of any size.
    longest : int
        Bytes of a line at most.
    elapsed : callable
        Returns seconds by a clock that is never set; without it, a line may take any time.

    Raises
    ------
    AmbiguousError
        The stream ended within a line, or brings none.
    """
    begun, empty, since = _Begun(longest), 0, elapsed()
    for chunk in chunks:
        empty += len(chunk)
        first, newline, remainder = chunk.partition(b"\n")
        if newline:
            whole = remainder.split(b"\n")
            last = whole.pop()
            found = list(filter(None, map(bytes.strip, (begun.ended(first), *whole))))
            begun.add(last)
            if found:
                yield found
                empty, since = 0, elapsed()
        else:
            begun.add(chunk)
        if empty > MOST_EMPTY or elapsed() - since > LONGEST_SECONDS:
            raise AmbiguousError("The results hold next to no lines.")
    rest = begun.ended(b"", is_last=True).strip()
    if rest:
        yield [rest]


class _Begun:
    """A line that has begun, and not ended."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._parts: list[bytes] = []
        self._size = 0
        self._head = self._tail = b""

    def add(self, part: bytes) -> None:
        """Go on with it."""
        self._size += len(part)
        if self._size <= self._longest:
            self._parts.append(part)
            return
        if self._parts:
            kept = b"".join(self._parts)
            self._head, self._tail = kept[:EDGE], kept[-EDGE:]
            self._parts.clear()
        self._head = self._head or part[:EDGE]
        self._tail = (self._tail + part[-EDGE:])[-EDGE:]

    def ended(self, part: bytes, *, is_last: bool = False) -> bytes:
        """Return the line whose last part this is, and begin another. The last of a stream is looked at more closely.

        Raises
        ------
        AmbiguousError
            The stream ended within it.
        """
        if not self._size and len(part) <= self._longest:
            return part
        self.add(part)
        is_kept = self._size <= self._longest
        line = b"".join(self._parts) if is_kept else self._shortened()
        if is_last and not (_is_whole(line) if is_kept else self._tail.rstrip().endswith(b"}")):
            raise AmbiguousError("The results broke off within a line.")
        self._parts, self._size, self._head, self._tail = [], 0, b"", b""
        return line

    def _shortened(self) -> bytes:
        found = _AT_THE_BEGINNING.match(self._head) or _AT_THE_END.search(self._tail)
        return b'{"custom_id":"%b","result":%b}' % (found[1], OVERSIZED) if found else b""


def _is_whole(line: bytes) -> bool:
    """Tell whether a last line without a newline is one: JSON that is cut is none."""
    try:
        readable(line)
    except RecursionError:  # too deep to be told
        return True
    except msgspec.DecodeError:
        return not line.strip()
    return True
