"""The bounds that a schema sets to numbers and lengths."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["bounds", "clamped", "fit_length", "multiples"]

#: No reply is longer: what a description notes may be any number.
_MOST_CHARS = 20_000


def bounds(schema: Mapping[str, Any], low: float, high: float) -> tuple[float, float]:
    """Return the lowest and the highest number allowed, where a schema says so, else the usual ones."""
    low, high = schema.get("minimum", low), schema.get("maximum", high)
    if "exclusiveMinimum" in schema:
        low = max(schema.get("minimum", -math.inf), math.nextafter(schema["exclusiveMinimum"], math.inf))
    if "exclusiveMaximum" in schema:
        high = min(schema.get("maximum", math.inf), math.nextafter(schema["exclusiveMaximum"], -math.inf))
    # One bound beyond the usual other one ("at least 10" for a rating of 1 to 5) moves that one.
    if low > high:
        return (low, low) if "minimum" in schema or "exclusiveMinimum" in schema else (high, high)
    return low, high


def multiples(schema: Mapping[str, Any], step: float) -> tuple[float, float]:
    """Return the lowest and the highest multiple of a step within a schema's bounds."""
    low = math.ceil(schema["minimum"] / step) if "minimum" in schema else -math.inf
    high = math.floor(schema["maximum"] / step) if "maximum" in schema else math.inf
    if "exclusiveMinimum" in schema:
        low = max(low, math.floor(schema["exclusiveMinimum"] / step) + 1)
    if "exclusiveMaximum" in schema:
        high = min(high, math.ceil(schema["exclusiveMaximum"] / step) - 1)
    return low, high


def clamped(value: float, low: float, high: float) -> float:
    """Return the number within the bounds that is nearest to a value."""
    return max(low, min(value, high))


def fit_length(text: str, schema: Mapping[str, Any]) -> str:
    """Return a text made longer or cut as a schema's bounds on its length say."""
    fewest, most = schema.get("minLength"), schema.get("maxLength")
    fewest = min(fewest, _MOST_CHARS) if isinstance(fewest, int) else 0
    if len(text) < fewest:
        text += "." * (fewest - len(text))
    return text[:most] if isinstance(most, int) else text
