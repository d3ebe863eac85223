"""Marks for the server's prompt cache, which are no part of what the rows ask. Pure.

The ledger keeps envelopes without marks. What all rows share is marked for the server's prompt cache only when the body
of a create call is put together: so turning the cache on, or off, asks nothing again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from batchnb.questions.envelope import encode

__all__ = ["MARK_BYTES", "Shared", "marked", "marked_items", "shared_of"]

#: Bytes that marking adds to a request at most: the mark and, where the last shared part is plain text, its block.
MARK_BYTES = 96

#: Blocks that take no mark: the SDK's types of them (anthropic 2.14.0) have no ``cache_control``.
_UNMARKABLE = frozenset({"thinking", "redacted_thinking", "mcp_tool_listing", "fallback"})

_MARK = b'"cache_control":'


@dataclass(frozen=True, slots=True)
class Shared:
    """What the requests of an envelope share before the row's own part.

    Parameters
    ----------
    counted : dict
        Params whose prompt is the shared part and the least a row can be: to have its tokens counted.
    least : dict
        Params whose prompt is only that least.
    text_bytes : int or None
        Bytes of the shared part as JSON, never fewer than its tokens; None where it is not text alone.
    """

    counted: dict[str, Any]
    least: dict[str, Any]
    text_bytes: int | None


def marked(head: bytes, tail: bytes, lifetime: str) -> tuple[bytes, bytes]:
    """Mark the end of the shared part for the server's prompt cache; the params are the same but for the mark.

    The mark comes to the last block before the row's own part that takes one: in the row's message, else of the turns
    before it, else of the system prompt, else the last tool (the order in which the API reads a prompt). Text becomes
    a block. Nothing is marked where nothing is shared, or where the user has marked something in the shared part.

    Parameters
    ----------
    head, tail : bytes
        The JSON before and after the row's part, see :class:`batchnb.questions.envelope.Envelope`.
    lifetime : {"5m", "1h"}
        How long the cache is to live.
    """
    if not head:
        return head, tail
    params, gap = _opened(head, tail)
    if _has_mark(params):
        return head, tail
    for holder, name in reversed(list(_places(params, gap))):
        blocks = _blocks(holder[name])
        last = next((place for place in reversed(range(len(blocks))) if _is_markable(blocks[place], gap)), None)
        if last is not None:
            blocks[last] = {**blocks[last], "cache_control": {"type": "ephemeral", "ttl": lifetime}}
            holder[name] = blocks
            before, _, after = encode(params).partition(encode(gap))
            return before, after
    return head, tail


def marked_items(
    items: Iterable[tuple[str, bytes, bytes, bytes, bytes]], lifetime: str
) -> Iterator[tuple[str, bytes, bytes, bytes, bytes]]:
    """Mark requests, each as (label, digest, head, content, tail); a row that brings marks of its own is left alone.

    The API takes four marks in a request, and none of a longer lifetime after one of a shorter.
    """
    known: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
    for label, digest, head, content, tail in items:
        if not content.startswith(b'"') and _MARK in content:
            yield label, digest, head, content, tail
            continue
        if (head, tail) not in known:
            known[head, tail] = marked(head, tail, lifetime)
        before, after = known[head, tail]
        yield label, digest, before, content, after


def shared_of(head: bytes, tail: bytes) -> Shared | str:
    """Describe what the requests of an envelope share, or say in words why nothing of it can be marked."""
    if not head:
        return "every row brings the whole of its params"
    params, gap = _opened(head, tail)
    if _has_mark(params):
        return "the request has cache_control marks of its own, which are left as they are"
    places = list(_places(params, gap))
    blocks = [block for holder, name in places for block in _blocks(holder[name]) if block != gap]
    if not any(_is_markable(block, gap) for block in blocks):
        return "the prompts share nothing that can be cached (the words of a template are part of each row)"
    least = {"model": params.get("model"), "messages": [{"role": "user", "content": "."}]}
    counted = least | {name: params[name] for name in ("system", "tools", "tool_choice") if name in params}
    if params["messages"] != gap:
        *turns, row = params["messages"]
        begun = [] if row["content"] == gap else row["content"][:-1]
        counted["messages"] = [*turns, {"role": "user", "content": [*begun, {"type": "text", "text": "."}]}]
    size = sum(len(encode(block)) for block in blocks)
    plain = not params.get("tools") and all(
        isinstance(block, Mapping) and block.get("type") == "text" for block in blocks
    )
    return Shared(counted, least, size if plain else None)


def _opened(head: bytes, tail: bytes) -> tuple[dict[str, Any], str]:
    """Decode the params with something in the place of the row's part that stands nowhere else in them."""
    gap = "the row"
    while encode(gap) in head or encode(gap) in tail:
        gap += "."
    params: dict[str, Any] = msgspec.json.decode(head + encode(gap) + tail)
    return params, gap


def _places(params: dict[str, Any], gap: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield where shared blocks stand, in the order in which the API reads a prompt: a holder and a name in it."""
    yield from ((params, name) for name in ("tools", "system") if _is_content(params.get(name)))
    if params["messages"] == gap:
        return
    *turns, row = params["messages"]
    yield from ((turn, "content") for turn in turns if _is_content(turn.get("content")))
    if row["content"] != gap:
        yield row, "content"


def _is_content(value: Any) -> bool:
    return isinstance(value, str | list) and bool(value)


def _blocks(value: Any) -> list[Any]:
    return [{"type": "text", "text": value}] if isinstance(value, str) else list(value)


def _is_markable(block: Any, gap: str) -> bool:
    if not isinstance(block, Mapping) or block.get("type") in _UNMARKABLE or block.get("defer_loading"):
        return False
    text = block.get("text", gap)
    return isinstance(text, str) and bool(text.strip())  # the API refuses a mark on an empty text


def _has_mark(value: Any) -> bool:
    """Tell whether the user has marked something; a tool's input may have a property of that name, which is none."""
    if isinstance(value, Mapping):
        mark = value.get("cache_control")
        return (isinstance(mark, Mapping) and mark.get("type") == "ephemeral") or any(map(_has_mark, value.values()))
    return isinstance(value, list) and any(map(_has_mark, value))
