"""Which JSON schemas structured outputs take.

Source: platform.claude.com documentation: every object closed by ``additionalProperties: false``, no recursion, no
``$ref`` outside the schema, no bounds on numbers, lengths or (beyond 0 and 1) array sizes. The wording is unverified.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_BOUNDS = {
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "string": ("minLength", "maxLength"),
    "array": ("maxItems", "uniqueItems"),
}
_BOUNDS["integer"] = _BOUNDS["number"]
_MAX_MIN_ITEMS = 1


def complaint(schema: Mapping[str, Any]) -> str | None:
    """Return the first reason to refuse a schema, or None when structured outputs would take it."""
    for node in _walk(schema):
        if found := _own_complaint(node, schema):
            return found
    return _recursion(schema)


def _own_complaint(node: Mapping[str, Any], root: Mapping[str, Any]) -> str | None:
    for kind in _types(node):
        if kind == "object" and node.get("additionalProperties") is not False:
            return "For 'object' type, 'additionalProperties' must be explicitly set to false"
        for bound in _BOUNDS.get(kind, ()):
            if bound in node:
                return f"For '{kind}' type, property '{bound}' is not supported"
    least = node.get("minItems")
    if isinstance(least, int) and least > _MAX_MIN_ITEMS:
        return f"For 'array' type, 'minItems' values other than 0 or 1 are not supported (got: {least})"
    reference = node.get("$ref")
    if isinstance(reference, str) and _resolve(reference, root) is None:
        if not reference.startswith("#"):
            return "External $ref is not supported"
        return f"Unable to resolve $ref '{reference}'"
    return None


def _types(node: Mapping[str, Any]) -> list[str]:
    kind = node.get("type")
    if isinstance(kind, list):
        return [each for each in kind if isinstance(each, str)]
    if isinstance(kind, str):
        return [kind]
    return ["object"] if "properties" in node else []


def _children(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the schemas written inside a schema; property names and enum values are not schemas."""
    for key, value in node.items():
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            yield from (each for each in value.values() if isinstance(each, dict))
        elif key in ("items", "not", "additionalProperties") and isinstance(value, dict):
            yield value
        elif key in ("anyOf", "allOf", "oneOf", "prefixItems") and isinstance(value, list):
            yield from (each for each in value if isinstance(each, dict))


def _walk(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    stack = [schema]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(_children(node))


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if not reference.startswith("#"):
        return None
    node: Any = root
    for part in reference.lstrip("#").strip("/").split("/"):
        if not part:
            continue
        node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None


def _recursion(root: Mapping[str, Any]) -> str | None:
    """Return a complaint when a schema reaches itself through ``$ref``."""
    done: set[int] = set()

    def reaches_itself(node: Mapping[str, Any], above: frozenset[int]) -> bool:
        if id(node) in above:
            return True
        if id(node) in done:
            return False
        inside = above | {id(node)}
        target = _resolve(node["$ref"], root) if isinstance(node.get("$ref"), str) else None
        below = [*_children(node), *([target] if target is not None else [])]
        if any(reaches_itself(child, inside) for child in below):
            return True
        done.add(id(node))
        return False

    return "Recursive schemas are not supported" if reaches_itself(root, frozenset()) else None
