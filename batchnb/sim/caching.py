"""A simulated prompt cache, so that usage carries cache writes and reads where a request asks for caching.

Source: platform.claude.com documentation (``cache_control``, minimum prefixes, "30% to 98%" hits in batches). Which
requests of a batch hit is chance in the real thing; here it is decided by the request's seed.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from batchnb.sim.content import breakpoints
from batchnb.sim.responder import count_tokens

_HIT_SHARE = 0.8
_LARGEST = 10_000  # prefixes remembered; beyond it the cache starts again
_canonical = msgspec.json.Encoder(order="sorted")

# The shortest prefix, in tokens, that a model caches; the first match of the name's beginning counts.
_MINIMUM = (
    ("claude-opus-5", 512),
    ("claude-fable-5", 512),
    ("claude-mythos-5", 512),
    ("claude-opus-4-7", 2048),
    ("claude-opus-4-6", 4096),
    ("claude-opus-4-5", 4096),
    ("claude-haiku-4-5", 4096),
)
_OTHERS_MINIMUM = 1024


@dataclass(frozen=True)
class Split:
    """How a request's input tokens divide: uncached, written for five minutes or an hour, read."""

    uncached: int
    written_5m: int = 0
    written_1h: int = 0
    read: int = 0


class Cache:
    """The prefixes seen so far. Lives in memory: a restarted simulator has an empty cache."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._lock = threading.Lock()

    def split(self, params: Mapping[str, Any], total: int, request_seed: float) -> Split:
        """Divide a request's input tokens by what the cache holds, and remember its prefix.

        Parameters
        ----------
        params
            The request's parameters.
        total
            All input tokens of the request.
        request_seed
            A number in [0, 1); below 0.8 the request finds a prefix that the cache holds.
        """
        marked = _prefix(params)
        if marked is None:
            return Split(total)
        prefix, lasts_hour = marked
        tokens = min(count_tokens(prefix), total)
        if tokens < _minimum(str(params.get("model"))):
            return Split(total)
        key = hashlib.sha256(_canonical.encode([params.get("model"), prefix])).digest()
        with self._lock:
            known = key in self._seen
            if len(self._seen) >= _LARGEST:
                self._seen.clear()
            self._seen.add(key)
        if known and request_seed < _HIT_SHARE:
            return Split(total - tokens, read=tokens)
        return Split(total - tokens, **{"written_1h" if lasts_hour else "written_5m": tokens})


def _minimum(model: str) -> int:
    return next((least for start, least in _MINIMUM if model.startswith(start)), _OTHERS_MINIMUM)


def _prefix(params: Mapping[str, Any]) -> tuple[dict[str, Any], bool] | None:
    """Return the request up to its last breakpoint and whether that lasts an hour; None without a breakpoint."""
    marks = breakpoints(params)
    if not marks:
        return None
    lasts_hour = marks[-1].get("ttl") == "1h"
    prefix = {name: params[name] for name in ("tools", "system") if name in params}
    messages: list[Any] = []
    if params.get("cache_control"):
        messages = list(params["messages"])
    else:
        last = _last_marked(params["messages"])
        if last is None and not _marked(params.get("system")):
            prefix.pop("system", None)
        if last is not None:
            i, j = last
            cut = params["messages"][i]
            messages = [*params["messages"][:i], {**cut, "content": cut["content"][: j + 1]}]
    return {**prefix, "messages": messages}, lasts_hour


def _marked(part: object) -> bool:
    return isinstance(part, list) and any(isinstance(block, dict) and block.get("cache_control") for block in part)


def _last_marked(messages: list[Any]) -> tuple[int, int] | None:
    found = None
    for i, message in enumerate(messages):
        content = message.get("content")
        for j, block in enumerate(content if isinstance(content, list) else ()):
            if isinstance(block, dict) and block.get("cache_control"):
                found = i, j
    return found
