"""Labels and choices as a model has spelled them: "positive" for "Positive" is that label, and nothing else is. Pure.

The casing of an enum's value is not guaranteed (platform.claude.com documentation, "Structured outputs"). What equals
exactly one of the choices but for case, spaces and full-width forms is that one; what is merely like one is not.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from batchnb.questions.replies.normalise import branches

__all__ = ["chosen", "respelled"]


def chosen(said: Any, choices: Iterable[Any]) -> str | None:
    """Return the one text among the choices that a text stands for; None where it stands for none, or for several."""
    if not isinstance(said, str):
        return None
    folded = _folded(said)
    fitting = [choice for choice in choices if isinstance(choice, str) and _folded(choice) == folded]
    return fitting[0] if len(fitting) == 1 else None


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def respelled(value: Any, node: Mapping[str, Any]) -> Any:
    """Return a value with the choices in it spelled as its schema has them.

    Parameters
    ----------
    value
        As the model gave it; it is left as it is.
    node : mapping
        The schema, with its references written out.
    """
    open_to = list(branches(node))
    if isinstance(value, str):
        if any("enum" not in one and "const" not in one and one.get("type") == "string" for one in open_to):
            return value  # any text is allowed
        choices = list(dict.fromkeys(choice for one in open_to for choice in _choices(one)))
        spelled = None if value in choices else chosen(value, choices)
        return value if spelled is None else spelled
    if isinstance(value, dict):
        fields = _only(open_to, "object").get("properties", {})
        return {name: respelled(part, fields[name]) if name in fields else part for name, part in value.items()}
    if isinstance(value, list):
        items = _only(open_to, "array").get("items")
        return [respelled(part, items) for part in value] if isinstance(items, Mapping) else value
    return value


def _only(nodes: Iterable[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    """Return the only one of a type; an empty one where there are several, or none."""
    found = [node for node in nodes if node.get("type") == kind]
    return found[0] if len(found) == 1 else {}


def _choices(node: Mapping[str, Any]) -> list[Any]:
    found = [node["const"]] if "const" in node else node.get("enum", ())
    return [choice for choice in found if isinstance(choice, str)]
