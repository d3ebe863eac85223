"""The forms of the results that the API gives, as anthropic 2.12.0 has them, and their reading. Pure.

Of each form, no more is read than what is asked of it, since there may be a million of them. A result that is not of
its form costs its own row, not those after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from batchnb.api.bodies import mended
from batchnb.costs.prices import MOST_TOKENS

__all__ = [
    "OVERSIZED",
    "UNREADABLE",
    "CallBlock",
    "Error",
    "Message",
    "PlainMessage",
    "Result",
    "Said",
    "SaidMessage",
    "TokensUsed",
    "calls_in",
    "lenient_line_of",
    "line_of",
    "plain_lines",
    "plain_text",
    "result_in",
    "result_of",
    "said_in",
]

#: What msgspec raises for a line that was cut or is no result.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

#: The result that is kept of a line which is too long to be; it counts as paid, which it may be.
OVERSIZED = b'{"type":"oversized"}'

_R = TypeVar("_R")

#: A count of tokens, as :meth:`batchnb.costs.prices.Usage.from_message` takes it as it is.
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


class SaidMessage(msgspec.Struct, gc=False):
    """A message, without what it used."""

    content: list[Block] = []
    model: str = ""
    stop_reason: str | None = None
    stop_details: Any = None

    @property
    def category(self) -> str | None:
        """Of a refusal: why, in the API's word for it; None where it says none."""
        told = self.stop_details.get("category") if isinstance(self.stop_details, dict) else None
        return told if isinstance(told, str) else None

    @property
    def is_free(self) -> bool:
        """Whether it was refused before anything was written, which is not billed, whatever tokens it tells.

        (platform.claude.com documentation, "Handling stop reasons".)
        """
        return self.stop_reason == "refusal" and not self.content


class Message(SaidMessage, gc=False):
    """A message with its usage, whatever that is."""

    usage: Any = None


class _CountedMessage(Message, gc=False):
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


class _CountedResult(Result, gc=False):
    message: _CountedMessage | None = None


class _PlainBlock(msgspec.Struct, gc=False, tag="text"):
    text: str


class _NothingWritten(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: Literal[0] = 0
    ephemeral_1h_input_tokens: Literal[0] = 0


class _PlainUsage(msgspec.Struct, gc=False):
    input_tokens: _Tokens = 0
    output_tokens: _Tokens = 0
    cache_read_input_tokens: Literal[0, None] = 0
    cache_creation_input_tokens: Literal[0, None] = 0
    cache_creation: _NothingWritten | None = None
    inference_geo: str | None = None


class _PlainSaid(msgspec.Struct, gc=False):
    content: tuple[_PlainBlock]
    stop_reason: Literal["end_turn"]


class PlainMessage(_PlainSaid, gc=False):
    """A message as nearly all are: one text, which is complete; and nothing of its prompt was cached.

    That it is one is found out by reading it, at no cost.
    """

    model: Annotated[str, msgspec.Meta(min_length=1)]
    usage: _PlainUsage


class _PlainSaidResult(msgspec.Struct, gc=False, tag="succeeded"):
    message: _PlainSaid


class _PlainResult(msgspec.Struct, gc=False, tag="succeeded"):
    message: PlainMessage


class _Kind(msgspec.Struct, gc=False):
    type: str


class _RawLine(msgspec.Struct, gc=False):
    custom_id: str
    result: msgspec.Raw


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
_decode_result = msgspec.json.Decoder(Result).decode
_decode_counted = msgspec.json.Decoder(_CountedResult).decode
_decode_plain = msgspec.json.Decoder(_PlainResult).decode
_decode_plain_said = msgspec.json.Decoder(_PlainSaidResult).decode
_decode_said = msgspec.json.Decoder(Said).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_calls = msgspec.json.Decoder(_CallResult).decode


def plain_lines(lines: Iterable[bytes]) -> tuple[list[str], list[PlainMessage], list[bytes], list[bytes]]:
    """Read those result lines that hold plain messages.

    Gives their custom_ids, their messages, and their results as they came; and the other lines.
    """
    custom_ids, messages, results, others = list[str](), list[PlainMessage](), list[bytes](), list[bytes]()
    for line in lines:
        try:
            custom_id, raw = line_of(line)
            message = _decode_plain(raw).message
        except UNREADABLE:
            others.append(line)
            continue
        custom_ids.append(custom_id)
        messages.append(message)
        results.append(raw)
    return custom_ids, messages, results, others


def plain_text(raw: bytes) -> str | None:
    """Read the text of a result that is one text, which is complete, as nearly all are; None of any other."""
    try:
        return _decode_plain_said(raw).message.content[0].text
    except UNREADABLE:
        return None


def line_of(line: bytes) -> tuple[str, bytes]:
    """Read a result line as far as its custom_id; give that, and the result as it came.

    Raises
    ------
    msgspec.DecodeError
        The line is not a result line: it was cut, or is not JSON, or has no custom_id.
    """
    parsed = _decode_line(line)
    return parsed.custom_id, bytes(parsed.result)


def lenient_line_of(line: bytes) -> tuple[str, bytes]:
    """Read a result line as `line_of` does, also one that only others take for JSON (see `mended`): it may be paid for.

    Raises
    ------
    msgspec.DecodeError, RecursionError
        It is none: it was cut, is nested too deep, or has no custom_id.
    """
    try:
        msgspec.json.decode(line)  # all of it: what is skipped, as the result is here, is not looked at so closely
        return line_of(line)
    except UNREADABLE:
        return line_of(mended(line))


def result_of(raw: bytes) -> Result:
    """Read a result."""
    return _read(raw, _decode_counted)


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


def result_in(line: bytes) -> tuple[str, bytes] | None:
    """Read the custom_id and the result in a line; None where the line was cut or is none."""
    try:
        return lenient_line_of(line)
    except UNREADABLE:
        return None
