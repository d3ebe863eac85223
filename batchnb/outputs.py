"""How many tokens a reply has, where no earlier one tells: an assumption that is stated. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from batchnb.recipes import Recipe

__all__ = ["assumed_output"]

#: Without labels, the share of max_tokens that a reply is assumed to have; the bytes of a token of JSON, and what the
#: reply has beside them.
SHARE, BYTES, BESIDE = 0.25, 3, 4


def assumed_output(recipe: Recipe) -> tuple[float, str]:
    """Give the output tokens that a reply is assumed to have, and the assumption in words.

    Parameters
    ----------
    recipe : Recipe
        What is asked.
    """
    most = int(recipe.shared["max_tokens"])
    labels = _labels(recipe.reply.spec())
    if labels and (recipe.shared.get("thinking") or {}).get("type", "disabled") == "disabled":
        longest = max(len(msgspec.json.encode({"label": label})) for label in labels)
        tokens = min(most, math.ceil(longest / BYTES) + BESIDE)
        return tokens, f"assumed: {tokens} tokens a reply, for the longest label as JSON; no earlier answer tells more"
    tokens = max(1, round(SHARE * most))
    return tokens, f"assumed: {tokens:,} tokens a reply, a quarter of max_tokens; no earlier answer tells more"


def _labels(spec: dict[str, Any]) -> list[Any]:
    """Give the labels of a reply that is one of them and nothing else."""
    plain = spec.get("kind") == "labels" and not spec.get("multiple") and not spec.get("explain")
    return list(spec.get("labels", ())) if plain else []
