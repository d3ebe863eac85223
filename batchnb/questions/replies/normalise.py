"""A JSON schema in the two forms that are needed: without references, to check by, and as the API takes it. Pure.

What structured outputs take: an object at the top, every object with fixed fields and closed, no recursion, no ``$ref``
outside the schema (platform.claude.com documentation, "Structured outputs").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from batchnb.errors import InputError
from batchnb.questions.replies.patterns import problem

__all__ = ["branches", "place_in", "resolved", "sendable", "settled"]

TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")

#: What is read elsewhere (definitions), holds anyway (every object is closed), or is no use to the model.
_UNSENT = frozenset({"$defs", "definitions", "additionalProperties", "$schema", "$id", "$comment", "discriminator"})

#: Notes that a schema may add to what it refers to.
_NOTES = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}) | _UNSENT

#: Keywords that neither the API holds nor batchnb checks: to let them pass would be to promise what nobody keeps.
_UNKEPT = frozenset(
    {"not", "if", "then", "else", "dependentSchemas", "dependentRequired", "dependencies", "patternProperties",
     "propertyNames", "unevaluatedItems", "unevaluatedProperties", "contains", "minContains", "maxContains",
     "minProperties", "maxProperties", "additionalItems", "$dynamicRef", "$recursiveRef"}
)  # fmt: skip

_NUMBER, _COUNT = (int, float), (int,)

#: What the keywords that are read hold.
_HOLD: dict[str, tuple[type, ...]] = {
    "properties": (dict,), "required": (list,), "enum": (list,), "items": (dict,), "prefixItems": (list,),
    "anyOf": (list,), "oneOf": (list,), "allOf": (list,), "$ref": (str,), "pattern": (str,), "format": (str,),
    "minimum": _NUMBER, "maximum": _NUMBER, "exclusiveMinimum": _NUMBER, "exclusiveMaximum": _NUMBER,
    "multipleOf": _NUMBER, "minLength": _COUNT, "maxLength": _COUNT, "minItems": _COUNT, "maxItems": _COUNT,
    "uniqueItems": (bool,), "description": (str,), "additionalProperties": (dict, bool), "$defs": (dict,),
    "definitions": (dict,),
}  # fmt: skip

#: Which type a keyword gives away where none is stated.
_TELLING = {"properties": "object", "items": "array", "prefixItems": "array"}

#: More parts than this once references are followed is more than anybody wrote: references that multiply.
_MOST_PARTS = 5_000

_DEFINED = re.compile(r"#/\$defs/[^/~%]+")


def resolved(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with every reference, ``allOf`` and list of types written out, to check replies by.

    Raises
    ------
    InputError
        The API cannot take it, or batchnb cannot check it; the message names the place.
    """
    top = _Reader(schema).read(schema, "", ())
    if top.get("type") != "object":
        told = repr(top["type"]) if "type" in top else "a choice"
        raise InputError(
            f"schema=: its top level is {told}, and structured outputs need an object there, with a field for each "
            "column: put it into a field."
        )
    return top


def sendable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema, that `resolved` takes, as the SDK's ``transform_schema`` takes it and loses nothing of it.

    References to ``$defs`` stay, since every request pays for what is written out; but one with a description of its
    own, which the transform would drop, does not.
    """
    reader = _Reader(schema, keeping=True)
    top = reader.read(schema, "", ())
    defined: dict[str, Any] = {}
    while waiting := [reference for reference in reader.kept if reference not in defined]:
        for reference in waiting:
            defined[reference] = reader.read(_target(schema, reference, ""), reference, (reference,))
    names = {reference.removeprefix("#/$defs/"): part for reference, part in defined.items()}
    return {**top, "$defs": names} if names else top


def settled(sent: Any) -> Any:
    """Return a transformed schema as every version of the SDK would: a choice says its type by its values.

    What is sent is the question, and the ledger finds answers by it: it must not change when the SDK does.
    """
    if isinstance(sent, list):
        return [settled(part) for part in sent]
    if not isinstance(sent, dict):
        return sent
    known = {name: part for name, part in sent.items() if not (name == "type" and isinstance(sent.get("enum"), list))}
    return {name: settled(part) for name, part in known.items()}


class _Reader:
    """Reads a schema, from the top or from a definition, down to its leaves."""

    def __init__(self, root: Mapping[str, Any], *, keeping: bool = False) -> None:
        self.root = root
        self.keeping = keeping
        self.kept: dict[str, None] = {}
        self.parts = 0

    def read(self, node: Any, place: str, above: tuple[str, ...]) -> dict[str, Any]:
        """Read a part of the schema; `above` are the references that led here."""
        self.parts += 1
        if self.parts > _MOST_PARTS:
            raise InputError(f"schema=: it has more than {_MOST_PARTS:,} parts once its references are followed.")
        _check_keywords(node, place)
        node = {name: part for name, part in node.items() if name not in _UNSENT}
        if (
            len(node.get("allOf", ())) == 1
            and isinstance(node["allOf"][0], dict)
            and node["allOf"][0].keys() == {"$ref"}
        ):
            node |= node.pop("allOf")[0]  # Pydantic before 2.9 writes so what has notes beside a reference
        if "$ref" in node:
            return self._referred(node, place, above)
        if "allOf" in node:
            whole = _Reader(self.root)
            parts = [whole.read(part, place, above) for part in node.pop("allOf")]
            return self.read(_merged([*parts, node], place), place, above)
        if isinstance(node.get("type"), list):
            node = _by_type(node, place)
        if "type" not in node and (told := next((name for name in _TELLING if name in node), None)):
            node["type"] = _TELLING[told]
        _check_told(node, place)
        inner = {name: self._inner(name, part, place, above) for name, part in node.items()}
        if self.keeping and "prefixItems" in inner and "items" not in inner:
            # The API holds no positions: it is told of them, and holds what there can be at any.
            inner["items"] = {"anyOf": inner["prefixItems"]}
        return _by_choice(inner) if self.keeping else inner

    def _inner(self, name: str, part: Any, place: str, above: tuple[str, ...]) -> Any:
        if name == "properties":
            return {field: self.read(one, place_in(place, field), above) for field, one in part.items()}
        if name == "items":
            return self.read(part, f"{place}[]", above)
        if name == "prefixItems":
            return [self.read(one, f"{place}[{number}]", above) for number, one in enumerate(part)]
        if name in ("anyOf", "oneOf"):
            return [self.read(one, place, above) for one in part]
        # Pydantic writes a bound as 0 or as 0.0, by its version.
        return int(part) if isinstance(part, float) and part.is_integer() else part

    def _referred(self, node: dict[str, Any], place: str, above: tuple[str, ...]) -> dict[str, Any]:
        reference = node.pop("$ref")
        if reference in above or reference == "#":
            raise InputError(
                f"schema=: {_said(place)} contains itself ($ref {reference!r}); structured outputs take no recursion. "
                "Write out as many levels as there can be."
            )
        target = _target(self.root, reference, place)
        # At the top, and where a note of its own would be lost, what is referred to is written out.
        if self.keeping and place and not node.keys() - {"title", "default"} and _DEFINED.fullmatch(reference):
            self.kept[reference] = None
            return {"$ref": reference}
        whole = _Reader(self.root) if node else self
        return _merged([whole.read(target, place, (*above, reference)), node], place)


def _check_keywords(node: Any, place: str) -> None:
    if not isinstance(node, dict):
        raise InputError(f"schema=: {_said(place)} is {node!r}; a schema is a dict here, such as {{'type': 'string'}}.")
    for name, part in node.items():
        if name in _UNKEPT:
            raise InputError(
                f"schema=: {_said(place)} has the keyword {name!r}, which structured outputs do not hold and batchnb "
                "does not check. Leave it out, and check the column it is about afterwards."
            )
        held = _HOLD.get(name)
        wrong = held is not None and (not isinstance(part, held) or (isinstance(part, bool) and bool not in held))
        if wrong or (name in ("enum", "anyOf", "oneOf", "allOf") and not part):
            raise InputError(f"schema=: {_said(place)} has {name}: {str(part)[:60]!r}, which is no JSON schema.")
    if "" in node.get("properties", ()):
        raise InputError(f"schema=: {_said(place)} has a field without a name.")


def _check_told(node: Mapping[str, Any], place: str) -> None:
    """Refuse a part that does not say which values it takes, or that the API could not hold."""
    choices = [*node.get("enum", ()), *([node["const"]] if "const" in node else ())]
    if any(isinstance(choice, dict | list) for choice in choices):
        raise InputError(
            f"schema=: {_said(place)} chooses among lists or objects; structured outputs take plain values."
        )
    kind = node.get("type")
    if kind is None and not choices and not {"anyOf", "oneOf"} & node.keys():
        raise InputError(f"schema=: {_said(place)} takes any value; structured outputs need to know its type.")
    if kind is not None and kind not in TYPES:
        raise InputError(f"schema=: {_said(place)} has type {kind!r}; there are: {', '.join(TYPES)}.")
    if kind == "object" and not node.get("properties"):
        raise InputError(
            f"schema=: {_said(place)} is an object without fixed fields, such as a dict of any keys; structured "
            "outputs need its fields named. A list of objects with a key and a value says the same."
        )
    if kind == "array" and "items" not in node and "prefixItems" not in node:
        raise InputError(f"schema=: {_said(place)} is a list of anything; structured outputs need to know of what.")
    lost = [name for name in node.get("required", ()) if name not in node.get("properties", {})]
    if lost:
        raise InputError(f"schema=: {_said(place)} requires {lost[0]!r}, which is none of its properties.")
    if "pattern" in node and (why := problem(node["pattern"])) is not None:
        raise InputError(
            f"schema=: {_said(place)} has a pattern that is not taken: {why}. Write it without, or leave it out and "
            "check the column afterwards."
        )
    if node.get("multipleOf", 1) <= 0:
        raise InputError(f"schema=: {_said(place)} has multipleOf {node['multipleOf']}, which must be more than 0.")


def _by_type(node: dict[str, Any], place: str) -> dict[str, Any]:
    """Write a list of types as a choice of them: the SDK's transform takes no lists."""
    kinds = node.pop("type")
    if not kinds or not all(kind in TYPES for kind in kinds):
        raise InputError(f"schema=: {_said(place)} has type {kinds!r}; there are: {', '.join(TYPES)}.")
    if "enum" in node or "const" in node:
        return node
    if len(kinds) == 1:
        return {"type": kinds[0], **node}
    outer = {name: part for name, part in node.items() if name in _NOTES or name in ("anyOf", "oneOf")}
    inner = {name: part for name, part in node.items() if name not in outer}
    chosen = [{"type": kind, **inner} if kind != "null" else {"type": "null"} for kind in kinds]
    if "anyOf" in outer:
        raise InputError(f"schema=: {_said(place)} has both a list of types and anyOf: write the types into anyOf.")
    return {**outer, "anyOf": chosen}


def _by_choice(node: dict[str, Any]) -> dict[str, Any]:
    """Write a choice with its type, or one choice for each type: the transform of anthropic 2.0 takes no other."""
    if "const" in node:
        node = {**{name: part for name, part in node.items() if name != "const"}, "enum": [node["const"]]}
    if "enum" not in node:
        return node
    kinds: dict[str, list[Any]] = {}
    for option in node["enum"]:
        kinds.setdefault(_TYPE_NAMES[type(option)], []).append(option)
    choices = [{"type": kind} if kind == "null" else {"type": kind, "enum": options} for kind, options in kinds.items()]
    rest = {name: part for name, part in node.items() if name not in ("type", "enum")}
    return {**rest, **choices[0]} if len(choices) == 1 else {**rest, "anyOf": choices}


_TYPE_NAMES = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}


def _merged(parts: list[dict[str, Any]], place: str) -> dict[str, Any]:
    """Join what several schemas say of one value; of notes the last holds."""
    merged: dict[str, Any] = {}
    for part in parts:
        for name, said in part.items():
            if name == "properties":
                merged[name] = _merged([merged.get(name, {}), said], place)
            elif name == "required":
                merged[name] = list(dict.fromkeys([*merged.get(name, ()), *said]))
            elif name in merged and merged[name] != said and name not in _NOTES:
                raise InputError(f"schema=: {_said(place)} says twice, and differently, what {name!r} is. Join them.")
            else:
                merged[name] = said
    return merged


def _target(root: Mapping[str, Any], reference: str, place: str) -> dict[str, Any]:
    head, *steps = reference.split("/")
    found: Any = root
    for step in steps if head == "#" else ():
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    if head != "#" or not isinstance(found, dict):
        why = (
            "is not in the schema" if head == "#" else "leads out of the schema: structured outputs take none that does"
        )
        raise InputError(f"schema=: {_said(place)} refers to {reference!r}, which {why}.")
    return found


def branches(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the alternatives a resolved schema leaves, other than null; itself where there are none."""
    chosen = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    if not chosen:
        if node.get("type") != "null":
            yield node
        return
    for one in chosen:
        yield from branches(one)


def place_in(place: str, name: str) -> str:
    """Name a field within a place: ``address.city``."""
    return f"{place}.{name}" if place else name


def _said(place: str) -> str:
    return repr(place) if place else "the top level"
