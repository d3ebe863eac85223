"""How a model thinks before it answers: whether it does, how much, and what is shown of it.

Sources: platform.claude.com documentation (who thinks unless told not to, default efforts, thinking counts towards
``max_tokens``, newer models show a signature and no text unless asked for a summary, less effort may skip it) and
anthropic 2.14.0 (``output_tokens_details``). How many tokens a thought takes is made up: a few hundred, more with more
effort, never the same twice.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from batchnb.sim.state.catalogue import Model

_SIGNATURE = "c2ltdWxhdGVkLW5vdC1hLXJlYWwtc2lnbmF0dXJl"
_SUMMARY = "(simulated thinking) Weigh the words of the text, then answer."
#: Tokens, least and most, by effort.
_TOKENS = {"low": (20, 100), "medium": (60, 400), "high": (100, 800), "xhigh": (200, 1600), "max": (400, 3200)}
_SKIPPED = {"low": 0.4, "medium": 0.1}  # the share of requests that are too simple to think about


class Thinking(NamedTuple):
    """How a request is thought about.

    Parameters
    ----------
    effort
        The level of effort, which decides how long.
    shown
        Whether a summary is shown.
    most
        The most tokens, where the request bounds them.
    optional
        Whether the model may leave it.
    """

    effort: str
    shown: bool
    most: int | None = None
    optional: bool = True


def thinking_of(params: Mapping[str, Any], model: Model) -> Thinking | None:
    """Return how a model thinks about a request that it takes; None where it does not think."""
    setting = params.get("thinking") or {}
    kind = setting.get("type", "adaptive" if model.thinks else "disabled")
    if kind in ("disabled", "between_tools"):
        return None
    config = params.get("output_config") or {}
    effort = config.get("effort") or model.effort
    display = setting.get("display") or ("summarized" if model.sampling else "omitted")
    return Thinking(effort, display == "summarized", setting.get("budget_tokens"), kind == "adaptive")


def tokens_of(thinking: Thinking, seed: int, name: str) -> int:
    """Return how many tokens a request is thought about: the same for the same seed and name; 0 where it is not."""
    rng = random.Random(zlib.crc32(f"{seed}:{name}:thinking".encode()))  # noqa: S311 - a simulation
    if thinking.optional and rng.random() < _SKIPPED.get(thinking.effort, 0):
        return 0
    least, most = _TOKENS[thinking.effort]
    return min(int(least * (most / least) ** rng.random()), thinking.most or most)


def block_of(thinking: Thinking) -> dict[str, Any]:
    """Return the content block with which the answer opens."""
    return {"type": "thinking", "thinking": _SUMMARY if thinking.shown else "", "signature": _SIGNATURE}
