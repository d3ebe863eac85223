"""How many tokens a reply is expected to have: as earlier ones, or by an assumption that is stated. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from batchnb.questions.model_defaults import WITHOUT_THINKING, thinks_anyway

if TYPE_CHECKING:
    from batchnb.planning.history import Earlier
    from batchnb.questions.recipe import Recipe

__all__ = ["expected_output"]

#: Without labels, the share of max_tokens that a reply is assumed to have; the bytes of a token of JSON, and what the
#: reply has beside them.
SHARE, BYTES, BESIDE = 0.25, 3, 4


def expected_output(recipe: Recipe, before: Earlier | None) -> tuple[float, str]:
    """Return the output tokens to expect of a reply, and where they are from, in words.

    Parameters
    ----------
    recipe : Recipe
        What is asked.
    before : Earlier or None
        What earlier answers of it tell.
    """
    if before is None:
        return _assumed_output(recipe)
    function = ", with a function that is taken to be this one" if recipe.calls else ""
    return before.output, f"{before.words} ({before.output:,.1f} tokens on average){function}"


def _assumed_output(recipe: Recipe) -> tuple[float, str]:
    sent = recipe.sent
    most = int(sent["max_tokens"])
    labels = _labels(recipe.reply.spec())
    thinks = thinks_anyway(sent) or (sent.get("thinking") or {}).get("type", "disabled") not in WITHOUT_THINKING
    if labels and not thinks:
        longest = max(len(msgspec.json.encode({"label": label})) for label in labels)
        tokens = min(most, math.ceil(longest / BYTES) + BESIDE)
        return tokens, f"assumed: {tokens} tokens a reply, for the longest label as JSON; no earlier answer tells more"
    tokens = max(1, round(SHARE * most))
    also = " (the model thinks first, which counts as well)" if thinks else ""
    return tokens, f"assumed: {tokens:,} tokens a reply, a quarter of max_tokens{also}; no earlier answer tells more"


def _labels(spec: dict[str, Any]) -> list[Any]:
    """Return the labels of a reply that is one of them and nothing else."""
    plain = spec.get("kind") == "labels" and not spec.get("multiple") and not spec.get("explain")
    return list(spec.get("labels", ())) if plain else []
