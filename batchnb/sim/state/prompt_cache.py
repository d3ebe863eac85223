"""A simulated prompt cache, so that usage carries cache writes and reads where a request asks for caching.

Source: platform.claude.com documentation: ``cache_control``, minimum prefixes, the longest known prefix is read and the
rest up to the last breakpoint written, each use renews an entry's time, "30% to 98%" hits in batches. Which requests of
a batch hit is chance in the real thing; here it is decided by the request's seed. Minimum prefixes of models that the
documentation does not list are unverified.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from batchnb.sim.model.responder import count_tokens
from batchnb.sim.wire import Clock

_LARGEST = 10_000  # prefixes remembered; beyond it the cache starts again
_SECONDS = {"5m": 300.0, "1h": 3600.0}
_canonical = msgspec.json.Encoder(order="sorted")

# The shortest prefix, in tokens, that a model caches; the first match of the name's beginning counts.
_MINIMUM = (
    ("claude-opus-5", 512),
    ("claude-sonnet-5-5", 512),
    ("claude-haiku-5-5", 512),
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


class _Marked(NamedTuple):
    """The part of a request up to a breakpoint."""

    key: bytes
    tokens: int
    ttl: str


class Cache:
    """The prefixes seen so far. Lives in memory: a restarted simulator has an empty cache.

    Parameters
    ----------
    clock
        The time.
    speed
        By how much faster entries expire.
    hits
        The share of a batch's requests that find what the cache holds, from 0 to 1.
    """

    def __init__(self, clock: Clock, *, speed: float = 1.0, hits: float = 0.8) -> None:
        self._clock, self._speed, self._hits = clock, speed, hits
        self._until: dict[bytes, float] = {}
        self._lock = threading.Lock()

    def split(
        self, params: Mapping[str, Any], total: int, *, request_seed: float = 0.0, at: float | None = None
    ) -> Split:
        """Divide a request's input tokens by what the cache holds, and remember its prefixes.

        Parameters
        ----------
        params
            The request's parameters.
        total
            All input tokens of the request.
        request_seed
            A number in [0, 1); below the share of hits the request finds a prefix that the cache holds.
        at
            When the request was answered; by default now.
        """
        least = _minimum(str(params.get("model")))
        marked = [prefix for prefix in _prefixes(params, total) if prefix.tokens >= least]
        if not marked:
            return Split(total)
        now = self._clock.now() if at is None else at
        with self._lock:
            read = self._known(marked, now) if request_seed < self._hits else 0
            if len(self._until) >= _LARGEST:
                self._until.clear()
            for prefix in marked:
                until = now + _SECONDS[prefix.ttl] / self._speed
                self._until[prefix.key] = max(until, self._until.get(prefix.key, until))
        written = dict.fromkeys(_SECONDS, 0)
        reached = read
        for prefix in marked:
            written[prefix.ttl] += max(0, prefix.tokens - reached)
            reached = max(reached, prefix.tokens)
        return Split(total - reached, written["5m"], written["1h"], read)

    def _known(self, marked: list[_Marked], now: float) -> int:
        return max((prefix.tokens for prefix in marked if self._until.get(prefix.key, now) > now), default=0)


def _minimum(model: str) -> int:
    return next((least for start, least in _MINIMUM if model.startswith(start)), _OTHERS_MINIMUM)


def _prefixes(params: Mapping[str, Any], total: int) -> list[_Marked]:
    """Return the parts of a request up to each of its breakpoints, shortest first."""
    found = []
    for mark, prefix in _cuts(params):
        bare = {name: _bare(part) for name, part in prefix.items()}
        key = hashlib.sha256(_canonical.encode([params.get("model"), bare])).digest()
        found.append(_Marked(key, min(count_tokens(bare), total), "1h" if mark.get("ttl") == "1h" else "5m"))
    return found


def _cuts(params: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    """Yield each ``cache_control`` with the request up to it, in the order of the prompt: tools, system, messages."""
    prefix: dict[str, Any] = {}
    for name in ("tools", "system"):
        part: Any = params.get(name)
        for i, mark in _marks(part):
            yield mark, {**prefix, name: part[: i + 1], "messages": []}
        if part:
            prefix[name] = part
    messages = params["messages"]
    for i, message in enumerate(messages):
        content = message["content"]
        for j, mark in _marks(content):
            yield mark, {**prefix, "messages": [*messages[:i], {**message, "content": content[: j + 1]}]}
    if params.get("cache_control"):
        yield params["cache_control"], {**prefix, "messages": messages}


def _marks(part: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for i, block in enumerate(part if isinstance(part, list) else ()):
        if isinstance(block, dict) and block.get("cache_control"):
            yield i, block["cache_control"]


def _bare(part: Any) -> Any:
    """Return tools, system or messages without the marks, which are no part of what is cached."""
    if not isinstance(part, list):
        return part
    return [
        {name: _bare(value) if name == "content" else value for name, value in each.items() if name != "cache_control"}
        if isinstance(each, dict)
        else each
        for each in part
    ]
