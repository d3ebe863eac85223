"""Reads a ``multipart/form-data`` body piece by piece: files go where they are told, small fields into memory.

Ours rather than the parser of python-multipart 0.0.34, on which Starlette relies and which was tried in its place: the
limits, the fields and the words of the refusals are two thirds of this file and would stay; it refuses text before the
first boundary, which RFC 2046 allows, and passes over ``filename*``, which older clients send; and its faults (eight
advisories since 2024, most of them ways to keep a server busy) would be those of everyone who installs batchnb.
Source: RFC 7578 and RFC 2046, section 5.1.
"""

from __future__ import annotations

from collections.abc import Callable
from email.message import Message
from typing import Protocol

from batchnb.sim.wire import ApiError, invalid

_MOST_HEADERS = 16_384  # bytes of one part's headers
_MOST_FIELD = 65_536  # bytes of one field that is no file
_MOST_PARTS = 20
_LONGEST_BOUNDARY = 70  # RFC 2046


class Sink(Protocol):
    """Where the bytes of a file go."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""


class Parser:
    """Parses one body.

    Parameters
    ----------
    content_type
        The request's ``content-type``, which names the boundary.
    sink
        Where the bytes of the file go.
    file
        The name of the field that holds the file.

    Attributes
    ----------
    fields : dict of str to str
        The other fields.
    filename, media_type : str or None
        What the file's part says of it; None where it says nothing.
    has_file : bool
        Whether the file's part has come.

    Raises
    ------
    ApiError
        400 where there is no boundary.
    """

    def __init__(self, content_type: str, sink: Sink, *, file: str = "file") -> None:
        declared = Message()
        declared["content-type"] = content_type
        boundary = declared.get_boundary() if declared.get_content_type() == "multipart/form-data" else None
        if not boundary or len(boundary) > _LONGEST_BOUNDARY:
            raise invalid("The request body must be multipart/form-data with a boundary.")
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.media_type: str | None = None
        self.has_file = False
        self._sink, self._file = sink, file
        self._delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
        self._held = bytearray(b"\r\n")  # so that the first delimiter looks like every other
        self._step: Callable[[], bool] = self._preamble
        self._field = ""
        self._value = bytearray()
        self._parts = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body.

        Raises
        ------
        ApiError
            400 for what is no multipart body.
        """
        self._held += data
        while self._step():
            pass

    def close(self) -> None:
        """Take the end of the body.

        Raises
        ------
        ApiError
            400 where it ends too early.
        """
        if self._step != self._epilogue:
            raise _broken("it ends before its last boundary")

    def _preamble(self) -> bool:
        return self._body(lambda _: None)

    def _boundary(self) -> bool:
        """Look whether the boundary just passed was the last."""
        if len(self._held) < 2:
            return False
        if self._held.startswith(b"--"):
            self._step = self._epilogue
            return True
        line, found, _ = self._held.partition(b"\r\n")
        if not found:
            if len(self._held) > _MOST_HEADERS:
                raise _broken("a boundary is not followed by a line break")
            return False
        if line.strip(b" \t"):
            raise _broken("a boundary is followed by other text")
        del self._held[: len(line)]  # the line break stays: without headers it is half of their end
        self._step = self._headers
        return True

    def _headers(self) -> bool:
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            if len(self._held) > _MOST_HEADERS:
                raise _broken("the headers of a part are too long")
            return False
        self._begin(_parsed(bytes(self._held[:end])))
        del self._held[: end + 4]
        self._step = self._part
        return True

    def _begin(self, headers: Message) -> None:
        name = headers.get_param("name", header="content-disposition")
        if headers.get_content_disposition() != "form-data" or not isinstance(name, str):
            raise _broken("a part has no name")
        self._field = _text(name)
        self._value.clear()
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _broken("it has too many parts")
        if self._field == self._file:
            if self.has_file:
                raise invalid(f"{self._file}: only one file may be given")
            self.has_file = True
            filename = headers.get_filename()
            self.filename = None if filename is None else _text(filename)
            self.media_type = headers.get_content_type() if headers["content-type"] else None

    def _part(self) -> bool:
        return self._body(self._take)

    def _take(self, data: bytes) -> None:
        if self._field == self._file:
            self._sink.write(data)
            return
        self._value += data
        if len(self._value) > _MOST_FIELD:
            raise _broken(f"the field '{self._field}' is too long")

    def _body(self, take: Callable[[bytes], None]) -> bool:
        """Pass on what cannot be a part of the next delimiter."""
        end = self._held.find(self._delimiter)
        if end < 0:
            ready = len(self._held) - len(self._delimiter) + 1
            if ready > 0:
                take(bytes(self._held[:ready]))
                del self._held[:ready]
            return False
        take(bytes(self._held[:end]))
        if self._step == self._part and self._field != self._file:
            self.fields[self._field] = self._value.decode("utf-8", "replace")
        del self._held[: end + len(self._delimiter)]
        self._step = self._boundary
        return True

    def _epilogue(self) -> bool:
        self._held.clear()
        return False


def _parsed(head: bytes) -> Message:
    headers = Message()
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            # Without surrogates, which the standard library takes for undecoded bytes.
            headers[name.decode("latin-1").strip().lower()] = value.decode("latin-1").strip()
    return headers


def _text(raw: str) -> str:
    """Return a name as its sender wrote it: browsers and clients send UTF-8, which was read as latin-1."""
    try:
        return raw.encode("latin-1").decode()
    except UnicodeError:
        return raw


def _broken(why: str) -> ApiError:
    return invalid(f"The request body is not valid multipart/form-data: {why}.")
