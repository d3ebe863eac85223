"""From result lines to outcomes, and from outcomes to values. Pure.

A result line is ``{"custom_id": ..., "result": {"type": "succeeded" | "errored" | "canceled" | "expired", ...}}``
(anthropic 2.12.0; see :mod:`batchnb.answers.wire`). The ledger keeps the ``result`` as it came; everything else here
is read from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from batchnb.answers.lines import LONGEST, lines
from batchnb.answers.wire import (
    OVERSIZED,
    UNREADABLE,
    Error,
    Said,
    SaidMessage,
    TokensUsed,
    calls_in,
    lenient_line_of,
    plain_lines,
    plain_text,
    result_of,
    said_in,
)
from batchnb.costs.prices import Usage
from batchnb.questions.bodies import digest_in, digests_in
from batchnb.questions.replies.base import MisfitError, Reply, ToolCall

__all__ = [
    "OUTCOMES",
    "PAID",
    "RETRYABLE_ERRORS",
    "UNPAID",
    "Alike",
    "Answer",
    "Verdict",
    "lines",
    "parse_line",
    "read_lines",
    "read_result",
    "read_values",
    "refused_result",
    "verdict_of",
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


class Answer(msgspec.Struct, frozen=True, gc=False):
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
        Tokens used, as :class:`batchnb.costs.prices.Usage` has them.
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


class Verdict(NamedTuple):
    """What a kept result comes to.

    Parameters
    ----------
    outcome : str
        As :class:`Answer` has it.
    error : str or None
        Kind of failure, as :class:`Answer` has it; None for a good one.
    value
        For the column; None where there is none.
    message : str or None
        What went wrong, in words.
    text : str or None
        The reply's.
    category : str or None
        Why the model refused, in the API's word; None of any other, and where the API says none.
    """

    outcome: str
    error: str | None
    value: Any
    message: str | None
    text: str | None
    category: str | None


@dataclass(slots=True)
class Alike:
    """Answers of a batch that succeeded, by one model in one place, and of whose prompts nothing was cached.

    Field by field, as :class:`Answer` has them: so they cost half of what those do.
    """

    model: str = ""
    geo: str | None = None
    digests: list[bytes] = field(default_factory=list)
    input_tokens: list[int] = field(default_factory=list)
    output_tokens: list[int] = field(default_factory=list)
    results: list[bytes] = field(default_factory=list)

    def one_by_one(self) -> Iterator[Answer]:
        """Yield them one by one."""
        fields = zip(self.digests, self.input_tokens, self.output_tokens, self.results, strict=True)
        for digest, said, replied, raw in fields:
            yield Answer(digest, "succeeded", None, self.model, self.geo, said, replied, 0, 0, 0, raw)


def read_lines(
    lines: Iterable[bytes], replies: Mapping[bytes, Reply], clean: Callable[[bytes], bytes] = bytes
) -> tuple[Alike, list[Answer]]:
    """Read result lines: those that became alike, as nearly all do, and the others.

    Those that cannot be read, and of requests that are none of the batch's, are left out.

    Parameters
    ----------
    lines : iterable of bytes
        Each the JSON of one result.
    replies : mapping
        Digest of each request of the batch, with the reply it was asked for.
    clean : callable
        Gives a result as it is to be kept: what a server says of an error may hold what nobody is to see.
    """
    alike, others = Alike(), list[Answer]()
    custom_ids, messages, raws, left = plain_lines(lines)
    for digest, message, raw in zip(digests_in(custom_ids), messages, raws, strict=True):
        reply = None if digest is None else replies.get(digest)
        if digest is None or reply is None:
            continue
        used, origin = message.usage, (message.model, message.usage.inference_geo)
        if not alike.digests:
            alike.model, alike.geo = origin
        if origin != (alike.model, alike.geo) or _judge_text(message.content[0].text, reply)[0] != "succeeded":
            others.append(answer_of(digest, raw, reply))
            continue
        alike.digests.append(digest)
        alike.input_tokens.append(used.input_tokens)
        alike.output_tokens.append(used.output_tokens)
        alike.results.append(raw)
    for line in left:
        try:
            answer = parse_line(line, replies, clean)
        except UNREADABLE:  # it was cut, or is no result line: that costs no other
            continue
        if answer is not None:
            others.append(answer)
    return alike, others


def parse_line(line: bytes, replies: Mapping[bytes, Reply], clean: Callable[[bytes], bytes] = bytes) -> Answer | None:
    """Read one result line.

    Parameters
    ----------
    line : bytes
        JSON of one result.
    replies : mapping
        Digest of each request of the batch, with the reply it was asked for.
    clean : callable
        Gives a result as it is to be kept.

    Returns
    -------
    Answer or None
        None for a custom_id that is none of the batch's requests.

    Raises
    ------
    msgspec.DecodeError
        The line is not a result line: it was cut, or is not JSON, or has no custom_id.
    """
    custom_id, raw = lenient_line_of(line)
    digest = digest_in(custom_id)
    reply = None if digest is None else replies.get(digest)
    return None if digest is None or reply is None else answer_of(digest, clean(raw), reply)


def answer_of(digest: bytes, raw: bytes, reply: Reply) -> Answer:
    """Judge a result by the reply that was asked for; `digest` is that of the request."""
    result = result_of(raw)
    outcome, error, _, _ = _judge(raw, result, reply)
    message = result.message
    if message is None:
        return Answer(digest, outcome, error, "", None, 0, 0, 0, 0, 0, raw)
    used = _used(message.usage)
    if message.is_free:
        used = (used[0], 0, 0, 0, 0, 0)
    return Answer(digest, outcome, error, message.model, *used, raw)


def _used(usage: Any) -> tuple[str | None, int, int, int, int, int]:
    """Return where an answer was computed, and the tokens it used."""
    if type(usage) is TokensUsed:
        split = usage.cache_creation
        write_5m, write_1h = (0, 0) if split is None else (
            split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens
        )  # fmt: skip
        written = usage.cache_creation_input_tokens or 0
        return (
            usage.inference_geo, usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens or 0,
            write_5m if write_5m >= written - write_1h else written - write_1h, write_1h,
        )  # fmt: skip
    usage = usage if isinstance(usage, dict) else {}
    geo, used = usage.get("inference_geo"), Usage.from_message(usage)
    return (
        geo if isinstance(geo, str) else None, used.input_tokens, used.output_tokens, used.cache_read,
        used.cache_write_5m, used.cache_write_1h,
    )  # fmt: skip


def is_paid(raw: bytes) -> bool:
    """Tell whether a result was paid for: only what succeeded on the server is."""
    return said_in(raw).type == "succeeded"


def verdict_of(raw: bytes, reply: Reply) -> Verdict:
    """Judge a kept result by the reply that was asked for."""
    result = said_in(raw)
    outcome, error, value, said = _judge(raw, result, reply)
    text, category = (_text_of(result.message), result.message.category) if result.message else (None, None)
    return Verdict(outcome, error, value, said if error else None, text, category)


def read_result(raw: bytes, reply: Reply) -> tuple[str, Any, str | None, str | None]:
    """Read a kept result for a frame.

    Returns
    -------
    tuple
        Outcome; value (None where there is none); what went wrong, in words, or None; the reply's text or None.
    """
    verdict = verdict_of(raw, reply)
    return verdict.outcome, verdict.value, verdict.message, verdict.text


def read_values(results: Iterable[bytes | None], reply: Reply) -> tuple[list[str], list[Any], list[str | None]]:
    """Read kept results for a column: their outcomes, their values, and what went wrong; each as `read_result` does."""
    outcomes: list[str] = []
    values: list[Any] = []
    errors: list[str | None] = []
    for raw in filter(None, results):
        text = plain_text(raw)
        outcome, error, value, said = _judge(raw, said_in(raw), reply) if text is None else _judge_text(text, reply)
        outcomes.append(outcome)
        values.append(value)
        errors.append(said if error else None)
    return outcomes, values, errors


def _judge(raw: bytes, result: Said, reply: Reply) -> tuple[str, str | None, Any, str | None]:
    """Return outcome, kind of failure, value, and the failure in words."""
    message = result.message
    if result.type == "succeeded" and message is not None:
        return _judge_message(raw, message, reply)
    if result.type == "errored":
        error = (result.error and result.error.error) or Error()
        return "errored", error.type, None, f"{error.type}: {error.message}" if error.message else error.type
    if result.type in ("canceled", "expired", "missing"):
        return result.type, result.type, None, WORDS[result.type]
    if raw == OVERSIZED:
        return "invalid", "oversized", None, f"its result is larger than {LONGEST // 1_000_000} MB, and was not kept"
    if result.type == "succeeded":
        return "invalid", "unreadable", None, "the result is not of the form the API documents; export() keeps it"
    return "errored", "unknown_result", None, f"the server gave a result of unknown type {result.type[:40]!r}"


def _judge_text(text: str, reply: Reply) -> tuple[str, str | None, Any, str | None]:
    try:
        return "succeeded", None, reply.read(text), None
    except MisfitError as misfit:
        return "invalid", misfit.kind, None, str(misfit)


WORDS = {
    "canceled": "canceled before it was answered",
    "expired": "not answered within the 24 hours a batch has",
    "missing": "the batch ended without a result for this row",
}


def _judge_message(raw: bytes, message: SaidMessage, reply: Reply) -> tuple[str, str | None, Any, str | None]:
    text = _text_of(message)
    unfinished = UNFINISHED.get(message.stop_reason or "")
    if unfinished:
        why = f"{unfinished} ({message.category})" if message.category else unfinished
        return "invalid", message.stop_reason, reply.partial(text), why
    try:
        if text is None or message.stop_reason == "tool_use":
            calls = _calls_of(raw)
            if calls:
                return "succeeded", None, reply.read_calls(text, calls), None
    except MisfitError as error:
        return "invalid", error.kind, None, str(error)
    if text is not None:
        return _judge_text(text, reply)
    kinds = ", ".join(sorted({block.type for block in message.content})) or "nothing"
    return "invalid", "no_text", None, f"the reply holds no text (it holds: {kinds})"


def _calls_of(raw: bytes) -> list[ToolCall]:
    """Return the calls of the user's own tools; those that the server runs itself have other types of block."""
    try:
        content = calls_in(raw)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise MisfitError(f"a call of a tool cannot be read: {error}") from error
    return [ToolCall(block.name, block.input) for block in content if block.type == "tool_use"]


def _text_of(message: SaidMessage) -> str | None:
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
