"""From result lines to outcomes, and from outcomes to values. Pure.

A result line is ``{"custom_id": ..., "result": {"type": "succeeded" | "errored" | "canceled" | "expired", ...}}``
(anthropic 2.12.0). The ledger keeps the ``result`` as it came; everything else here is read from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from batchnb.pricing import MOST_TOKENS, Usage
from batchnb.requests import digest_in
from batchnb.schemas import MisfitError, Reply, ToolCall

__all__ = [
    "OUTCOMES",
    "PAID",
    "RETRYABLE_ERRORS",
    "UNPAID",
    "UNREADABLE",
    "Answer",
    "answers_in",
    "error_of",
    "lines",
    "parse_line",
    "read_result",
    "read_values",
    "refused_result",
]

#: Every row has exactly one of these.
OUTCOMES = ("succeeded", "errored", "canceled", "expired", "missing", "invalid", "skipped", "pending")

#: Outcomes that were paid for: never asked again by themselves, never overwritten.
PAID = ("succeeded", "invalid")

#: Outcomes of rows that were asked, and cost nothing.
UNPAID = frozenset({"errored", "canceled", "expired", "missing"})

#: Inner error types that pass, so that asking again makes sense.
RETRYABLE_ERRORS = frozenset({"api_error", "overloaded_error", "timeout_error", "rate_limit_error"})

#: Why a succeeded message is not an answer all the same (stop reasons of anthropic 2.12.0).
UNFINISHED = {
    "refusal": "the model refused to answer",
    "max_tokens": "the reply was cut at max_tokens",
    "model_context_window_exceeded": "the reply was cut at the end of the model's context window",
    "pause_turn": "the model paused its turn and did not finish",
}


_R = TypeVar("_R")


class _Line(msgspec.Struct, gc=False):
    custom_id: str
    result: msgspec.Raw


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None


#: A count of tokens, as :meth:`Usage.from_message` takes it as it is.
_Tokens = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]


class _Written(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: _Tokens = 0
    ephemeral_1h_input_tokens: _Tokens = 0


class _Usage(msgspec.Struct, gc=False):
    input_tokens: _Tokens = 0
    output_tokens: _Tokens = 0
    cache_read_input_tokens: _Tokens | None = 0
    cache_creation_input_tokens: _Tokens | None = 0
    cache_creation: _Written | None = None
    inference_geo: str | None = None


class _Message(msgspec.Struct, gc=False):
    content: list[_Block] = []
    model: str = ""
    stop_reason: str | None = None
    usage: Any = None


class _PlainMessage(_Message, gc=False):
    usage: _Usage | None = None


class _Error(msgspec.Struct, gc=False):
    type: str = "unknown_error"
    message: str = ""


class _ErrorEnvelope(msgspec.Struct, gc=False):
    error: _Error | None = None


class _Result(msgspec.Struct, gc=False):
    type: str
    message: _Message | None = None
    error: _ErrorEnvelope | None = None


class _PlainResult(_Result, gc=False):
    message: _PlainMessage | None = None


class _SaidMessage(msgspec.Struct, gc=False):
    content: list[_Block] = []
    model: str = ""
    stop_reason: str | None = None


class _Said(msgspec.Struct, gc=False):
    type: str
    message: _SaidMessage | None = None
    error: _ErrorEnvelope | None = None


class _Kind(msgspec.Struct, gc=False):
    type: str


class _CallBlock(msgspec.Struct, gc=False):
    type: str = ""
    name: str = ""
    input: Any = None


class _CallMessage(msgspec.Struct, gc=False):
    content: list[_CallBlock]


class _CallResult(msgspec.Struct, gc=False):
    message: _CallMessage


#: What msgspec raises for a line that was cut or is no result.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_decode_line = msgspec.json.Decoder(_Line).decode
_decode_result = msgspec.json.Decoder(_Result).decode

#: As nearly all results are: their usage is read faster by its fields.
_decode_plain = msgspec.json.Decoder(_PlainResult).decode

#: What a frame shows of a result, and nothing else.
_decode_said = msgspec.json.Decoder(_Said).decode

_decode_kind = msgspec.json.Decoder(_Kind).decode

#: Read only where there are calls, so that text costs nothing more.
_decode_calls = msgspec.json.Decoder(_CallResult).decode


def _read(raw: bytes, decode: Callable[[bytes], _R]) -> _R | _Result:
    """Read a result; one that is not of the form the API documents costs its own row, not those after it."""
    try:
        return decode(raw)
    except msgspec.DecodeError:
        pass
    try:
        return _decode_result(raw)
    except msgspec.DecodeError:
        pass
    try:
        return _Result(_decode_kind(raw).type)
    except msgspec.DecodeError:
        return _Result("succeeded")  # it may have been paid for


class Answer(NamedTuple):
    """One request's outcome, as the ledger keeps it.

    Parameters
    ----------
    digest : bytes
        Of the request that was asked.
    outcome : str
        ``succeeded``, ``invalid``, ``errored``, ``canceled``, ``expired`` or ``missing``.
    error : str or None
        Kind of failure: the API's inner error type, a stop reason, ``misfit``, ``no_text`` or ``unreadable``.
    model : str
        That answered.
    geo : str or None
        Where it was computed, which may change its price.
    input_tokens, output_tokens, cache_read, cache_write_5m, cache_write_1h : int
        Tokens used, as :class:`batchnb.pricing.Usage` has them.
    result : bytes
        The result as it came, in the API's own JSON.
    """

    digest: bytes
    outcome: str
    error: str | None
    model: str
    geo: str | None
    input_tokens: int
    output_tokens: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    result: bytes


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a stream of bytes into lines, whatever the chunks; blank lines and CRLF are accepted.

    Whole lines are given even when the stream breaks later; an unfinished last line is given too and will not parse.
    """
    rest = b""
    for chunk in chunks:
        first, newline, remainder = chunk.partition(b"\n")
        if not newline:
            rest += chunk
            continue
        yield from filter(None, [(rest + first).strip()])
        *whole, rest = remainder.split(b"\n")
        yield from filter(None, (line.strip() for line in whole))
    if rest.strip():
        yield rest.strip()


def answers_in(lines: Iterable[bytes], replies: Mapping[bytes, Reply]) -> Iterator[Answer]:
    """Read result lines; those that cannot be read, and of requests that are none of the batch's, are left out.

    Parameters
    ----------
    lines : iterable of bytes
        Each the JSON of one result.
    replies : mapping
        Digest of each request of the batch, with the reply it was asked for.
    """
    for line in lines:
        try:
            answer = parse_line(line, replies)
        except UNREADABLE:  # it was cut, or is no result line: that costs no other
            continue
        if answer is not None:
            yield answer


def parse_line(line: bytes, replies: Mapping[bytes, Reply]) -> Answer | None:
    """Read one result line.

    Parameters
    ----------
    line : bytes
        JSON of one result.
    replies : mapping
        Digest of each request of the batch, with the reply it was asked for.

    Returns
    -------
    Answer or None
        None for a custom_id that is none of the batch's requests.

    Raises
    ------
    msgspec.DecodeError
        The line is not a result line: it was cut, or is not JSON, or has no custom_id.
    """
    custom_id, raw = identified(line)
    digest = digest_in(custom_id)
    reply = None if digest is None else replies.get(digest)
    return None if digest is None or reply is None else answer_of(digest, raw, reply)


def identified(line: bytes) -> tuple[str, bytes]:
    """Read a result line as far as its custom_id; give that, and the result as it came.

    Raises
    ------
    msgspec.DecodeError
        The line is not a result line: it was cut, or is not JSON, or has no custom_id.
    """
    parsed = _decode_line(line)
    return parsed.custom_id, bytes(parsed.result)


def answer_of(digest: bytes, raw: bytes, reply: Reply) -> Answer:
    """Judge a result by the reply that was asked for; `digest` is that of the request."""
    result = _read(raw, _decode_plain)
    outcome, error, _, _ = _judge(raw, result, reply)
    message = result.message
    if message is None:
        return Answer(digest, outcome, error, "", None, 0, 0, 0, 0, 0, raw)
    return Answer(digest, outcome, error, message.model, *_used(message.usage), raw)


def _used(usage: Any) -> tuple[str | None, int, int, int, int, int]:
    """Give where an answer was computed, and the tokens it used."""
    if type(usage) is _Usage:
        split = usage.cache_creation
        write_5m, write_1h = (0, 0) if split is None else (
            split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens
        )  # fmt: skip
        written = usage.cache_creation_input_tokens or 0
        return (
            usage.inference_geo, usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens or 0,
            max(write_5m, written - write_1h), write_1h,
        )  # fmt: skip
    usage = usage if isinstance(usage, dict) else {}
    geo, used = usage.get("inference_geo"), Usage.from_message(usage)
    return (
        geo if isinstance(geo, str) else None, used.input_tokens, used.output_tokens, used.cache_read,
        used.cache_write_5m, used.cache_write_1h,
    )  # fmt: skip


def is_paid(raw: bytes) -> bool:
    """Tell whether a result was paid for: only what succeeded on the server is."""
    return _read(raw, _decode_said).type == "succeeded"


def read_result(raw: bytes, reply: Reply) -> tuple[str, Any, str | None, str | None]:
    """Read a kept result for a frame.

    Returns
    -------
    tuple
        Outcome; value (None where there is none); what went wrong, in words, or None; the reply's text or None.
    """
    result = _read(raw, _decode_said)
    outcome, error, value, said = _judge(raw, result, reply)
    text = _text_of(result.message) if result.message else None
    return outcome, value, said if error else None, text


def read_values(results: Iterable[bytes | None], reply: Reply) -> Iterator[tuple[str, Any, str | None]]:
    """Read kept results for a column: of each its outcome, its value, and what went wrong; as `read_result` does."""
    for raw in filter(None, results):
        outcome, error, value, said = _judge(raw, _read(raw, _decode_said), reply)
        yield outcome, value, said if error else None


def error_of(raw: bytes, reply: Reply) -> str | None:
    """Give the kind of failure of a kept result, as :class:`Answer` has it; None for a good one."""
    return _judge(raw, _read(raw, _decode_said), reply)[1]


def _judge(raw: bytes, result: _Result | _Said, reply: Reply) -> tuple[str, str | None, Any, str | None]:
    """Give outcome, kind of failure, value, and the failure in words."""
    message = result.message
    if result.type == "succeeded" and message is not None:
        # As nearly all are: one text, which is complete. Whatever else it may be is told apart with more care.
        if message.stop_reason == "end_turn" and len(message.content) == 1:
            block = message.content[0]
            if block.type == "text" and block.text is not None:
                try:
                    return "succeeded", None, reply.read(block.text), None
                except MisfitError as misfit:
                    return "invalid", misfit.kind, None, str(misfit)
        return _judge_message(raw, message, reply)
    if result.type == "errored":
        error = (result.error and result.error.error) or _Error()
        return "errored", error.type, None, f"{error.type}: {error.message}" if error.message else error.type
    if result.type in ("canceled", "expired", "missing"):
        return result.type, result.type, None, WORDS[result.type]
    if result.type == "succeeded":
        return "invalid", "unreadable", None, "the result is not of the form the API documents; export() keeps it"
    return "errored", "unknown_result", None, f"the server gave a result of unknown type {result.type[:40]!r}"


WORDS = {
    "canceled": "canceled before it was answered",
    "expired": "not answered within the 24 hours a batch has",
    "missing": "the batch ended without a result for this row",
}


def _judge_message(
    raw: bytes, message: _Message | _SaidMessage, reply: Reply
) -> tuple[str, str | None, Any, str | None]:
    text = _text_of(message)
    unfinished = UNFINISHED.get(message.stop_reason or "")
    if unfinished:
        return "invalid", message.stop_reason, reply.partial(text), unfinished
    try:
        if text is None or message.stop_reason == "tool_use":
            calls = _calls_of(raw)
            if calls:
                return "succeeded", None, reply.read_calls(text, calls), None
        if text is not None:
            return "succeeded", None, reply.read(text), None
    except MisfitError as error:
        return "invalid", error.kind, None, str(error)
    kinds = ", ".join(sorted({block.type for block in message.content})) or "nothing"
    return "invalid", "no_text", None, f"the reply holds no text (it holds: {kinds})"


def _calls_of(raw: bytes) -> list[ToolCall]:
    """Give the calls of the user's own tools; those that the server runs itself have other types of block."""
    try:
        content = _decode_calls(raw).message.content
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise MisfitError(f"a call of a tool cannot be read: {error}") from error
    return [ToolCall(block.name, block.input) for block in content if block.type == "tool_use"]


def _text_of(message: _Message | _SaidMessage) -> str | None:
    """Join the text blocks; thinking and tool blocks may stand before, between and after them."""
    if len(message.content) == 1:  # as of most
        block = message.content[0]
        return block.text if block.type == "text" else None
    texts = [block.text for block in message.content if block.type == "text" and block.text is not None]
    return "".join(texts) if texts else None


def refused_result(error_type: str, message: str) -> bytes:
    """Write a result, in the API's own form, for a request the server refused together with its batch."""
    inner = {"type": error_type, "message": message}
    return msgspec.json.encode({"type": "errored", "error": {"type": "error", "error": inner}})
