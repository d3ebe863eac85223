"""A request's answer: from a responder's reply to the Message object of the API, whole or as a stream of events.

Sources: anthropic 2.12.0 (``Message``, ``Usage``, the stream events), platform.claude.com documentation (streaming,
minimum cacheable prefixes).
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from batchnb.sim.model.responder import Reply, count_tokens, respond, text_tokens
from batchnb.sim.model.thinking import Thinking, block_of, tokens_of
from batchnb.sim.state import prompt_cache
from batchnb.sim.wire import new_id

Responder = Callable[[Mapping[str, Any]], "str | dict[str, Any] | Reply"]

_REFUSAL = {"type": "refusal", "category": None, "explanation": None}
_TEXT_STEP = 24  # characters in one delta of a stream


class Answerer:
    """Makes the answers, with the built-in responder or one of the user's.

    Parameters
    ----------
    responder
        A callable that takes the request's params and returns a text, a dict (which becomes JSON text) or a `Reply`.
        None means the built-in one.
    seed
        With the request's own name (its custom_id) it decides everything random about an answer.
    noise
        How much the built-in responder's answers vary: 1 as a model's do, 0 not at all.
    """

    def __init__(self, responder: Responder | None, seed: int, noise: float = 1.0) -> None:
        self._responder = responder
        self._seed = seed
        self._noise = noise

    def reply(
        self, params: Mapping[str, Any], read: Mapping[str, Any], name: str, thinking: Thinking | None = None
    ) -> Reply:
        """Return the reply to a request: what the model thinks first, then what the responder gives in any form.

        Thinking counts towards ``max_tokens``: where it leaves no room, it is all there is. A `Reply` of a user's
        responder is the whole answer, as it is.

        Parameters
        ----------
        params
            The request as it was received, which a user's responder is given.
        read
            The request as `Validator.check` returns it, which the built-in one is given.
        name
            The request's own name (its custom_id).
        thinking
            How the model thinks about it; None where it does not.

        Raises
        ------
        Exception
            Whatever a user's responder raises; TypeError when it returns something else than it may.
        """
        if read.get("max_tokens") == 0:  # only fills the cache
            return Reply([], "max_tokens", count_tokens(read), 0)
        if thinking is None:
            return self._answer(params, read, name)
        spent = tokens_of(thinking, self._seed, name)
        room = read["max_tokens"] - spent
        if spent and room <= 0:
            most = read["max_tokens"]
            return Reply([block_of(thinking)], "max_tokens", count_tokens(read), most, thinking_tokens=most)
        reply = self._answer(params, {**read, "thinking": None, "max_tokens": room}, name)
        if not spent or reply.thinking_tokens is not None:
            return reply
        content = [block_of(thinking), *reply.content]
        return replace(reply, content=content, output_tokens=spent + reply.output_tokens, thinking_tokens=spent)

    def _answer(self, params: Mapping[str, Any], read: Mapping[str, Any], name: str) -> Reply:
        if self._responder is None:
            rng = random.Random(zlib.crc32(f"{self._seed}:{name}".encode()))  # noqa: S311 - answers
            return respond(read, rng, seed=self._seed, noise=self._noise)
        try:
            given = self._responder(params)
        except RecursionError as problem:  # the user's own: any other comes from a request that nests too deeply
            raise RuntimeError(f"RecursionError: {problem}") from problem
        if isinstance(given, dict):
            given = msgspec.json.encode(given).decode()
        if isinstance(given, str):
            content = [{"type": "text", "text": given}]
            # Never zero, as the API's own count never is.
            return Reply(content, "end_turn", count_tokens(read), max(1, text_tokens(given)))
        if isinstance(given, Reply):
            return given if given.thinking_tokens is not None else replace(given, thinking_tokens=0)
        raise TypeError(f"a responder returns str, dict or Reply, not {type(given).__name__}")


def message(
    reply: Reply, params: Mapping[str, Any], *, model: str, tier: str, split: prompt_cache.Split
) -> dict[str, Any]:
    """Return the API's Message object for a reply.

    Parameters
    ----------
    reply
        What the responder gave.
    params
        The request's parameters as `Validator.check` returns them.
    model
        The canonical id of the model.
    tier
        The ``service_tier`` to report: ``"batch"`` or ``"standard"``.
    split
        What `prompt_cache.Cache` makes of its input tokens.
    """
    content, stop_reason, stop_sequence = _stopped(reply, params.get("stop_sequences"))
    return {
        "id": new_id("msg"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
        "stop_details": _REFUSAL if stop_reason == "refusal" else None,
        "container": None,
        "usage": _usage(reply, params, tier, split),
    }


def _usage(reply: Reply, params: Mapping[str, Any], tier: str, split: prompt_cache.Split) -> dict[str, Any]:
    return {
        "input_tokens": split.uncached,
        "cache_creation_input_tokens": split.written_5m + split.written_1h,
        "cache_read_input_tokens": split.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": split.written_5m,
            "ephemeral_1h_input_tokens": split.written_1h,
        },
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"thinking_tokens": reply.thinking_tokens or 0},
        "service_tier": tier,
        "inference_geo": params.get("inference_geo") or "global",
    }


def _stopped(reply: Reply, sequences: object) -> tuple[list[dict[str, Any]], str, str | None]:
    """Cut a reply at the first stop sequence in its text, as the API does; a user's responder need not know them."""
    if reply.stop_sequence is not None:
        return reply.content, reply.stop_reason, reply.stop_sequence
    if isinstance(sequences, list) and reply.stop_reason == "end_turn":
        for i, block in enumerate(reply.content):
            text = block.get("text") if block.get("type") == "text" else None
            hits = [(text.find(each), each) for each in sequences if each in text] if text else []
            if hits and text:
                at, sequence = min(hits)
                return [*reply.content[:i], {**block, "text": text[:at]}], "stop_sequence", sequence
    return reply.content, reply.stop_reason, None


def events(whole: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield a message as the server-sent events of a streamed answer."""
    usage = whole["usage"]
    opening = {
        **whole,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {**usage, "output_tokens": 1},
    }
    yield _event("message_start", message=opening)
    yield _event("ping")
    for index, block in enumerate(whole["content"]):
        start, deltas = _deltas(block)
        yield _event("content_block_start", index=index, content_block=start)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    ending = {name: whole[name] for name in ("stop_reason", "stop_sequence", "stop_details", "container")}
    counted = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    yield _event("message_delta", delta=ending, usage={name: usage[name] for name in counted})
    yield _event("message_stop")


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode({"type": kind, **fields}) + b"\n\n"


def _deltas(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a block as it stands when its stream opens, and the deltas that complete it."""
    kind = block["type"]
    if kind == "text":
        deltas = [{"type": "text_delta", "text": part} for part in _parts(block["text"])]
        return {**block, "text": ""}, deltas
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": part} for part in _parts(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block.get("signature", "")})
        return {**block, "thinking": "", "signature": ""}, deltas
    if kind == "tool_use":
        whole = msgspec.json.encode(block["input"]).decode()
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in ("", *_parts(whole))]
        return {**block, "input": {}}, deltas
    return dict(block), []


def _parts(text: str) -> list[str]:
    return [text[at : at + _TEXT_STEP] for at in range(0, len(text), _TEXT_STEP)]
