"""Which JSON schemas the API takes at all, and which of them structured outputs take.

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
_TYPE_NAMES = ("array", "boolean", "integer", "null", "number", "object", "string")
# What the keywords that are read here and by the built-in responder hold.
_KEYWORDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("properties", "$defs", "definitions"), (dict,)),
    **dict.fromkeys(("required", "enum", "anyOf", "allOf", "oneOf", "prefixItems"), (list,)),
    **dict.fromkeys(("items", "additionalProperties"), (dict, bool)),
    **dict.fromkeys(_BOUNDS["number"], (int, float)),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), (int,)),
    **dict.fromkeys(("$ref", "format", "description"), (str,)),
}


def malformed(schema: Mapping[str, Any]) -> str | None:
    """Return why a schema is none at all, or None when it is one."""
    if all(_well_formed(key, value) for node in _walk(schema) for key, value in node.items()):
        return None
    return "JSON schema is invalid. It must match JSON Schema draft 2020-12 (https://json-schema.org/draft/2020-12)."


def _well_formed(key: str, value: object) -> bool:
    if key == "type":
        kinds = value if isinstance(value, list) else [value]
        return all(kind in _TYPE_NAMES for kind in kinds)
    if key == "required" and isinstance(value, list):
        return all(isinstance(name, str) for name in value)
    if key == "multipleOf" and isinstance(value, int | float) and value <= 0:
        return False
    return key not in _KEYWORDS or type(value) in _KEYWORDS[key]


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
    if isinstance(reference, str) and resolve(reference, root) is None:
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


def resolve(reference: str, root: Any) -> Mapping[str, Any] | None:
    """Follow a reference within a schema (``#``, ``#/$defs/Name``); None where it leads to no schema in it."""
    head, *steps = reference.split("/")
    if head != "#":
        return None
    target = root
    for step in steps:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(target, dict):
            target = target.get(key)
        elif isinstance(target, list) and key.isdecimal() and int(key) < len(target):
            target = target[int(key)]
        else:
            return None
    return target if isinstance(target, dict) else None


def _recursion(root: Mapping[str, Any]) -> str | None:
    """Return a complaint when a schema reaches itself through ``$ref``."""
    done: set[int] = set()

    def reaches_itself(node: Mapping[str, Any], above: frozenset[int]) -> bool:
        if id(node) in above:
            return True
        if id(node) in done:
            return False
        inside = above | {id(node)}
        target = resolve(node["$ref"], root) if isinstance(node.get("$ref"), str) else None
        below = [*_children(node), *([target] if target is not None else [])]
        if any(reaches_itself(child, inside) for child in below):
            return True
        done.add(id(node))
        return False

    return "Recursive schemas are not supported" if reaches_itself(root, frozenset()) else None
