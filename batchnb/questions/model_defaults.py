"""What a request says for its model where nobody has said anything: how much it thinks, and what room that takes. Pure.

Newer models think unless they are told not to. It counts towards ``max_tokens`` and is paid for, so that a label's 256
tokens would be spent before the label. What is said here is part of how a question is delivered, not of the question:
the params that a digest is made of stay as they were asked, and a job keeps its id and its answers when a model's facts
become known, or change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from batchnb.model_table import ModelFacts, facts_of
from batchnb.questions.thinking import THINKING_ROOM

__all__ = ["WITHOUT_THINKING", "as_sent", "given_in", "thinks_anyway"]

#: Kinds of thinking by which nothing is thought before a reply, the least first (platform.claude.com documentation,
#: "Extended thinking").
WITHOUT_THINKING = ("disabled", "between_tools")


def given_in(params: Mapping[str, Any], **arguments: Any) -> frozenset[str]:
    """Return which of ``thinking``, ``effort`` and ``max_tokens`` a user has said, by params or by arguments."""
    config = params.get("output_config")
    said = {"effort": config.get("effort") if isinstance(config, Mapping) else None, **params}
    names = ("thinking", "effort", "max_tokens")
    return frozenset(name for name in names if said.get(name) is not None or arguments.get(name) is not None)


def as_sent(params: Mapping[str, Any], given: Collection[str], *, typed: bool) -> dict[str, Any]:
    """Return params as they are sent: with what their model needs said.

    For labels and schemas the model thinks as little as it can: not at all where it takes that, else with low effort.
    Where it thinks all the same, a default of ``max_tokens`` leaves it room.

    Parameters
    ----------
    params : mapping
        A request's, with or without messages.
    given : collection of str
        Those of ``"thinking"``, ``"effort"`` and ``"max_tokens"`` that the user has said, and that stay as they are.
    typed : bool
        Whether the reply is a label, or of a schema.
    """
    sent = dict(params)
    facts = facts_of(params.get("model"))
    if facts is None or not facts.thinks or "thinking" in sent or "thinking" in given:
        return sent
    if typed and "effort" not in given:
        least = next((kind for kind in WITHOUT_THINKING if kind in (facts.thinking or ())), None)
        if least is not None:
            sent["thinking"] = {"type": least}
            return sent
        config = sent.get("output_config")
        if config is None or isinstance(config, Mapping):
            sent["output_config"] = {"effort": "low", **(config or {})}
    if "max_tokens" not in given and isinstance(sent.get("max_tokens"), int):
        room = sent["max_tokens"] + THINKING_ROOM
        sent["max_tokens"] = min(room, max(facts.output or room, sent["max_tokens"]))
    return sent


def thinks_anyway(params: Mapping[str, Any]) -> ModelFacts | None:
    """Return the facts of a model that will think of its own accord, given params as they are sent; None of others."""
    facts = facts_of(params.get("model"))
    return facts if facts is not None and facts.thinks and "thinking" not in params else None
