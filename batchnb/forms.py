"""The forms of the results that the API gives, as anthropic 2.12.0 has them, and their reading. Pure.

Of each form, no more is read than what is asked of it, since there may be a million of them. A result that is not of
its form costs its own row, not those after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec

from batchnb.pricing import MOST_TOKENS

__all__ = [
    "UNREADABLE",
    "CallBlock",
    "Error",
    "Message",
    "Result",
    "Said",
    "SaidMessage",
    "TokensUsed",
    "calls_in",
    "line_of",
    "plain_line",
    "result_of",
    "said_in",
]

#: What msgspec raises for a line that was cut or is no result.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_R = TypeVar("_R")

#: A count of tokens, as :meth:`batchnb.pricing.Usage.from_message` takes it as it is.
_Tokens = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]


class Block(msgspec.Struct, gc=False):
    """A block of a message's content."""

    type: str = ""
    text: str | None = None


class CacheWritten(msgspec.Struct, gc=False):
    """Tokens written to the cache, by how long they stay there."""

    ephemeral_5m_input_tokens: _Tokens = 0
    ephemeral_1h_input_tokens: _Tokens = 0


class TokensUsed(msgspec.Struct, gc=False):
    """The usage of a message."""

    input_tokens: _Tokens = 0
    output_tokens: _Tokens = 0
    cache_read_input_tokens: _Tokens | None = 0
    cache_creation_input_tokens: _Tokens | None = 0
    cache_creation: CacheWritten | None = None
    inference_geo: str | None = None

    def cached(self) -> bool:
        """Tell whether any of the prompt was read from the cache, or written to it."""
        if self.cache_read_input_tokens or self.cache_creation_input_tokens:
            return True
        split = self.cache_creation
        return split is not None and bool(split.ephemeral_5m_input_tokens or split.ephemeral_1h_input_tokens)


class SaidMessage(msgspec.Struct, gc=False):
    """A message, without what it used."""

    content: list[Block] = []
    model: str = ""
    stop_reason: str | None = None


class Message(SaidMessage, gc=False):
    """A message with its usage, whatever that is."""

    usage: Any = None


class _PlainMessage(Message, gc=False):
    """As nearly all are: its usage is read faster by its fields."""

    usage: TokensUsed | None = None


class Error(msgspec.Struct, gc=False):
    """What went wrong with a request."""

    type: str = "unknown_error"
    message: str = ""


class _ErrorEnvelope(msgspec.Struct, gc=False):
    error: Error | None = None


class Said(msgspec.Struct, gc=False):
    """What a frame shows of a result, and nothing else."""

    type: str
    message: SaidMessage | None = None
    error: _ErrorEnvelope | None = None


class Result(Said, gc=False):
    """A result."""

    message: Message | None = None


class _PlainResult(Result, gc=False):
    message: _PlainMessage | None = None


class _Kind(msgspec.Struct, gc=False):
    type: str


class _RawLine(msgspec.Struct, gc=False):
    custom_id: str
    result: msgspec.Raw


class _PlainLine(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    custom_id: str
    result: _PlainResult


class CallBlock(msgspec.Struct, gc=False):
    """A block of a message's content that may be a call."""

    type: str = ""
    name: str = ""
    input: Any = None


class _CallMessage(msgspec.Struct, gc=False):
    content: list[CallBlock]


class _CallResult(msgspec.Struct, gc=False):
    message: _CallMessage


_decode_line = msgspec.json.Decoder(_RawLine).decode
_decode_plain_line = msgspec.json.Decoder(_PlainLine).decode
_decode_result = msgspec.json.Decoder(Result).decode
_decode_plain = msgspec.json.Decoder(_PlainResult).decode
_decode_said = msgspec.json.Decoder(Said).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_calls = msgspec.json.Decoder(_CallResult).decode

#: A line as it is written without spaces, and with them: this, the custom_id, that, the result, and a brace; and the
#: lengths of what stands before that, and before the result, but for the custom_id.
_WAYS = tuple(
    (start, middle, len(start), len(start + middle))
    for start, middle in ((b'{"custom_id":"', b'","result":'), (b'{"custom_id": "', b'", "result": '))
)


def plain_line(line: bytes) -> tuple[str, bytes, Result] | None:
    """Read a result line at once where it is written as nearly all are; None where it needs more care.

    Gives the custom_id, the result as it came, and what that says.
    """
    try:
        parsed = _decode_plain_line(line)
    except UNREADABLE:
        return None
    custom_id = parsed.custom_id
    for start, middle, first, further in _WAYS:
        if line.startswith(middle, first + len(custom_id)) and line.startswith(start):
            return custom_id, line[further + len(custom_id) : -1], parsed.result
    return None  # in another order, or with escapes


def line_of(line: bytes) -> tuple[str, bytes]:
    """Read a result line as far as its custom_id; give that, and the result as it came.

    Raises
    ------
    msgspec.DecodeError
        The line is not a result line: it was cut, or is not JSON, or has no custom_id.
    """
    parsed = _decode_line(line)
    return parsed.custom_id, bytes(parsed.result)


def result_of(raw: bytes) -> Result:
    """Read a result."""
    return _read(raw, _decode_plain)


def said_in(raw: bytes) -> Said:
    """Read what a frame shows of a result."""
    return _read(raw, _decode_said)


def calls_in(raw: bytes) -> list[CallBlock]:
    """Read the content of a message for its calls: only where there are any, so that text costs nothing more.

    Raises
    ------
    msgspec.DecodeError, RecursionError, ValueError
        They are not of the form the API documents.
    """
    return _decode_calls(raw).message.content


def _read(raw: bytes, decode: Callable[[bytes], _R]) -> _R | Result:
    try:
        return decode(raw)
    except msgspec.DecodeError:
        pass
    try:
        return _decode_result(raw)
    except msgspec.DecodeError:
        pass
    try:
        return Result(_decode_kind(raw).type)
    except msgspec.DecodeError:
        return Result("succeeded")  # it may have been paid for
