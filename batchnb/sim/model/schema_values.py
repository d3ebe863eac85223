"""Builds a value that fits a JSON schema, filled from the text that a request is about."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batchnb.sim.model.field_values import asks_for_a_part, find_amount, find_part
from batchnb.sim.model.free_text import field_text, keywords
from batchnb.sim.model.labels import FITS, choose, choose_all, script_language
from batchnb.sim.model.prompts import Question
from batchnb.sim.model.schema_bounds import bounds, clamped, fit_length, multiples
from batchnb.sim.model.schema_notes import matching, noted
from batchnb.sim.rules.schemas import resolve
from batchnb.sim.wire import invalid

__all__ = ["build"]

#: Deeper than this only what a schema insists on is built, so that a recursive one comes to an end.
_DEEP = 6
#: A schema that insists on endless depth has no value; stop before Python does.
_BOTTOM = 40
#: A schema whose parts refer to others many times over can have more values than there is time for.
_MOST_STEPS = 20_000
#: No reply has more: what a description notes may be any number.
_MOST_ITEMS = 1_000
_NUMBERS = 4  # of a text, of which one may be taken
_NAME_CHARS = 1_000  # of a field's name and description that are looked at

# With more digits it is an id, and may be more than a float holds.
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,15})?(?![\w.])")
_BOUND = r"(-?\d{1,15}(?:\.\d{1,15})?)"
_RANGE = re.compile(rf"{_BOUND}\s*(?:-|–|to|and|~|and up to|through|out of)\s*{_BOUND}")
_RATING = re.compile(r"rating|stars?\b|score|sentiment|polarity|satisfaction|stars|점수|별점|评分|星", re.IGNORECASE)
_POLARITY = re.compile(r"sentiment|polarity|valence", re.IGNORECASE)
_CERTAINTY = re.compile(r"confidence|probab|certainty|likelihood", re.IGNORECASE)
_MONEY = re.compile(r"price|cost|amount|total|paid|금액|가격|价格|金额", re.IGNORECASE)
_GOOD = re.compile(r"positiv|recommend|satisf|happy|like[sd]?\b|would_|favou?r|good", re.IGNORECASE)
_BAD = re.compile(r"negativ|complain|unhappy|angry|dissatisf|problem|refund|issue|urgent|bad", re.IGNORECASE)
_FORMATS: dict[str, tuple[re.Pattern[str], str]] = {
    "date": (re.compile(r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])\b"), "2026-01-15"),
    "date-time": (
        re.compile(r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T[01]\d:[0-5]\d:[0-5]\dZ"),
        "2026-01-15T09:30:00Z",
    ),
    "time": (re.compile(r"\b[01]\d:[0-5]\d:[0-5]\dZ"), "09:30:00Z"),
    "duration": (re.compile(r"\bP\d+D\b"), "P1D"),
    "email": (re.compile(r"\b[a-z0-9]+@[a-z0-9]+\.[a-z]{2,6}\b"), "reader@example.com"),
    "hostname": (re.compile(r"\b[a-z0-9]+\.(?:com|org|net)\b"), "example.com"),
    "ipv4": (re.compile(r"\b192\.0\.2\.\d\b"), "192.0.2.1"),
    "ipv6": (re.compile(r"\b2001:db8::\d\b"), "2001:db8::1"),
    "uri": (re.compile(r"\bhttps?://[a-z0-9.]+[a-z0-9](?:/[a-z0-9]+)*\b"), "https://example.com/"),
    "uuid": (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"), "00000000-0000-4000-8000-000000000000"),
}


def build(schema: Any, question: Question) -> Any:
    """Return a value that fits `schema`.

    Parameters
    ----------
    schema : mapping or bool
        A JSON schema. Understood: ``type`` (also a list), ``properties``, ``required``, ``enum``, ``const``, ``anyOf``,
        ``oneOf``, ``allOf``, ``items``, ``prefixItems``, ``$ref`` within the document, ``format``, and bounds on
        numbers and lengths, also as notes in descriptions; ``pattern`` where it is simple. Not understood, and
        ignored: ``not``, conditions.
    question : Question
        What the value is about: enums are chosen, numbers rated and strings cut from its passage.

    Raises
    ------
    ApiError
        400 for a schema that is too complex; whether the API draws the line there is unverified.
    """
    return _Builder(schema, question).value(schema, "", 0)


class _Builder:
    def __init__(self, root: Any, question: Question) -> None:
        self.root = root
        self.question = question
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise invalid("Schema is too complex.")

    def value(self, schema: Any, name: str, depth: int) -> Any:
        self.step()
        if not isinstance(schema, dict) or depth > _BOTTOM:
            return None
        if "$ref" in schema or "allOf" in schema:
            schema = self.flat(schema)
        if "const" in schema:
            return schema["const"]
        if told := self.options(schema):
            return self.pick(*told, schema)
        branches = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(branches, list) and branches:
            return self.branch(schema, branches, name, depth)
        return self.typed(schema, name, depth)

    def typed(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        schema = noted(schema)
        kind = schema.get("type")
        if isinstance(kind, list):
            if "null" in kind and self.unsaid({**schema, "type": [k for k in kind if k != "null"]}, name):
                return None
            kind = next((k for k in kind if k != "null"), "null")
        if kind is None:
            kind = next((k for key, k in _TELLING.items() if key in schema), "string")
        make = _MAKERS.get(kind)
        return make(self, schema, name, depth) if make else None

    def flat(self, schema: Mapping[str, Any], hops: int = 0) -> Mapping[str, Any]:
        """Return a schema with its reference followed and its ``allOf`` parts merged into it."""
        self.step()
        if hops > _BOTTOM:
            return {}
        parts: list[Mapping[str, Any]] = [part for part in schema.get("allOf", ()) if isinstance(part, dict)]
        if isinstance(reference := schema.get("$ref"), str):
            parts.append(resolve(reference, self.root) or {})
        merged = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        for part in parts:
            inner = self.flat(part, hops + 1) if "$ref" in part or "allOf" in part else part
            for key, value in inner.items():
                merged[key] = _both(key, merged[key], value) if key in merged else value
        return merged

    def options(self, schema: Mapping[str, Any]) -> tuple[list[Any], dict[str, str]] | None:
        """Return the values that a schema lists, by an enum or as constant alternatives, and what it says of each."""
        listed = schema.get("enum")
        if isinstance(listed, list) and listed:
            return listed, {}
        branches = schema.get("anyOf") or schema.get("oneOf")
        if not isinstance(branches, list) or not branches:
            return None
        told = [noted(self.flat(branch)) for branch in branches if isinstance(branch, dict)]
        if len(told) < len(branches) or not all("const" in branch for branch in told):
            return None
        described = {
            str(branch["const"]): f"{branch.get('title', '')} {branch.get('description', '')}" for branch in told
        }
        return [branch["const"] for branch in told], described

    def pick(self, options: Sequence[Any], described: Mapping[str, str], schema: Mapping[str, Any]) -> Any:
        usable = [option for option in options if _may_be(option, schema.get("type"))] or list(options)
        said = [option for option in usable if option is not None] or usable
        return said[choose(_names(said), self.question, described)]

    def picks(self, options: Sequence[Any], described: Mapping[str, str], fewest: int, most: int) -> list[Any]:
        """Return the options that fit, in their order: as many as fit, within the bounds on their number."""
        chosen = choose_all(_names(options), self.question, described)[:most]
        taken = set(chosen)
        more = [position for position in range(len(options)) if position not in taken][: max(0, fewest - len(chosen))]
        return [options[position] for position in sorted([*chosen, *more])]

    def branch(self, schema: Mapping[str, Any], branches: Sequence[Any], name: str, depth: int) -> Any:
        """Take the first alternative that says something; deep down the shallowest one, lest it never ends."""
        outer = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "$defs", "definitions")}
        told = [noted(self.flat(branch)) for branch in branches if isinstance(branch, dict)]
        if not told:
            return self.typed(outer, name, depth)
        if depth > _DEEP:
            chosen = min(told, key=_weight)
        elif any(branch.get("type") == "null" for branch in told) and all(
            branch.get("type") == "null" or self.unsaid({**outer, **branch}, name) for branch in told
        ):
            return None
        else:
            chosen = next((branch for branch in told if branch.get("type") != "null"), told[0])
        if outer:
            chosen = self.flat({**outer, "allOf": [chosen]})
        return self.value(chosen, name, depth + 1)

    def unsaid(self, schema: Mapping[str, Any], name: str) -> bool:
        """Whether the text holds nothing for a field that may be null: no number, no date, no address."""
        kind = schema.get("type")
        kinds = kind if isinstance(kind, list) else [kind]
        if "enum" in schema or "const" in schema:
            return False
        if set(kinds) <= {"integer", "number"}:
            about = _about(name, schema)
            if _CERTAINTY.search(about) or _RATING.search(about):
                return False
            return not _NUMBER.search(self.question.passage[:2000])
        if kinds != ["string"]:
            return False
        form = _FORMATS.get(str(schema.get("format")))
        if form is not None:
            return not form[0].search(self.question.passage)
        return asks_for_a_part(name) and find_part(name, self.question.passage) is None

    def object_(self, schema: Mapping[str, Any], _name: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        required = dict.fromkeys(key for key in schema.get("required", ()) if isinstance(key, str))
        # The order of structured outputs: what is required as the schema orders it, then the rest likewise.
        wanted = [key for key in properties if key in required]
        if depth <= _DEEP:
            wanted += [key for key in properties if key not in required]
        wanted += [key for key in required if key not in properties]
        extra = schema.get("additionalProperties")
        return {key: self.value(properties.get(key, extra), key, depth + 1) for key in wanted}

    def array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        first = [self.value(part, name, depth + 1) for part in schema.get("prefixItems", ())]
        items = schema.get("items", {})
        fewest = int(min(schema.get("minItems", 0), _MOST_ITEMS))
        most = int(min(schema.get("maxItems", max(fewest, 3)), _MOST_ITEMS))
        if items is False:
            return first
        flat = self.flat(items) if isinstance(items, dict) else {}
        told = self.options(flat)
        if told and fewest <= len(told[0]):
            rest = self.picks(
                *told, fewest - len(first), int(min(schema.get("maxItems", len(told[0])), len(told[0]))) - len(first)
            )
        elif flat.get("type") == "string" and not {"enum", "const", "format", "anyOf", "oneOf"} & flat.keys():
            rest = self.keywords(flat, max(fewest, min(most, 3)) - len(first), fewest - len(first))
        else:
            count = fewest if depth > _DEEP else max(fewest, min(most, 1))
            rest = [self.value(items, name, depth + 1) for _ in range(count - len(first))]
        if schema.get("uniqueItems") and len(rest) > 1:
            rest = self.distinct(flat, rest)
        return first + rest

    def keywords(self, schema: Mapping[str, Any], most: int, fewest: int) -> list[str]:
        """Return words of the passage; counted items where it has too few."""
        words = keywords(self.question, most)
        words += [f"item {number}" for number in range(len(words), fewest)]
        return [fit_length(word, schema) for word in words]

    def distinct(self, schema: Mapping[str, Any], values: list[Any]) -> list[Any]:
        """Make repeated values differ where that is simple: other members of an enum, counted numbers."""
        options = schema.get("enum")
        if isinstance(options, list):
            return [*values[:1], *[option for option in options if option != values[0]]][: len(values)]
        if schema.get("type") in ("integer", "number"):
            step = schema.get("multipleOf", 1)
            lowest = multiples(schema, step)[0]
            start = lowest * step if math.isfinite(lowest) else values[0]
            return [start + step * position for position in range(len(values))]
        if schema.get("type") == "string":
            return [value if value not in values[:at] else f"{value} {at}" for at, value in enumerate(values)]
        return values

    def string(self, schema: Mapping[str, Any], name: str, _depth: int) -> str:
        passage = self.question.passage
        form = schema.get("format")
        if isinstance(form, str) and form in _FORMATS:
            pattern, otherwise = _FORMATS[form]
            found = pattern.search(passage)
            return found[0] if found else otherwise
        words = name.casefold()
        if words in ("sentiment", "label", "polarity"):
            text = ("positive", "negative", "neutral")[choose(("positive", "negative", "neutral"), self.question)]
        elif words in ("language", "lang"):
            text = script_language(passage)
        else:
            text = field_text(name, self.question)
        if isinstance(wanted := schema.get("pattern"), str):
            text = matching(wanted, passage) or text
        return fit_length(text, schema)

    def number(self, schema: Mapping[str, Any], name: str, _depth: int) -> float:
        whole = schema.get("type") == "integer"
        about = _about(name, schema)
        value = self.measure(schema, about, whole)
        step = schema.get("multipleOf", 1 if whole else None)
        if step:
            multiple = clamped(round(value / step), *multiples(schema, step))
            return int(multiple * step) if whole else multiple * step
        # A round figure reads best, but must not leave the bounds.
        return clamped(round(value, 2), *bounds(schema, -math.inf, math.inf))

    def measure(self, schema: Mapping[str, Any], about: str, whole: bool) -> float:
        """Return a number for a field by its name: a rating, a certainty, or the first number in the text."""
        evidence = self.question.evidence
        if _CERTAINTY.search(about):
            share = 0.5 + 0.49 * abs(evidence.balance)
            low, high = bounds(schema, 0.0, 100.0 if whole else 1.0)
            return low + share * (high - low)
        if _RATING.search(about):
            told = _RANGE.search(about)
            usual = (-1.0, 1.0) if _POLARITY.search(about) and not whole else (1.0, 5.0)
            low, high = (float(told[1]), float(told[2])) if told else usual
            low, high = bounds(schema, low, high)
            return low + (evidence.balance + 1) / 2 * (high - low)
        if _MONEY.search(about) and (amount := find_amount(self.question.passage)) is not None:
            return amount
        found = _NUMBER.findall(self.question.passage[:2000])[:_NUMBERS]
        # Of several the first, mostly.
        fits = [self.question.noise.fit(1.0 - at, at) for at in range(len(found))]
        return float(found[fits.index(max(fits))]) if found else 0.0

    def boolean(self, schema: Mapping[str, Any], name: str, _depth: int) -> bool:
        about = _about(name, schema)
        difference = self.question.evidence.positive - self.question.evidence.negative
        if _BAD.search(about):
            return difference < 0
        if _GOOD.search(about):
            return difference > 0
        passage, named = self.question.passage.casefold(), name.casefold()
        found = sum(word in passage for word in re.split(r"[_\W]+", named) if len(word) > 3)
        return self.question.noise.fit(found, zlib.crc32(named.encode("utf-8", "surrogatepass"))) >= FITS

    def null(self, _schema: Mapping[str, Any], _name: str, _depth: int) -> None:
        return None


_MAKERS: dict[str, Callable[[_Builder, Mapping[str, Any], str, int], Any]] = {
    "object": _Builder.object_,
    "array": _Builder.array,
    "string": _Builder.string,
    "integer": _Builder.number,
    "number": _Builder.number,
    "boolean": _Builder.boolean,
    "null": _Builder.null,
}
#: The type that a keyword gives away where none is stated.
_TELLING = {
    "properties": "object",
    "required": "object",
    "items": "array",
    "prefixItems": "array",
    "minimum": "number",
    "maximum": "number",
}


def _about(name: str, schema: Mapping[str, Any]) -> str:
    return f"{name[:_NAME_CHARS]} {str(schema.get('description', ''))[:_NAME_CHARS]}"


def _names(options: Sequence[Any]) -> list[str]:
    return [option if isinstance(option, str) else str(option) for option in options]


def _both(key: str, first: Any, second: Any) -> Any:
    """Join what two merged schemas say under one keyword; where they cannot be joined the outer one holds."""
    if key in ("properties", "$defs", "definitions"):
        return {**second, **first}
    if key == "required":
        return [*dict.fromkeys([*first, *second])]
    if key == "enum":
        return [option for option in first if option in second] or first
    if key in ("minimum", "exclusiveMinimum", "minLength", "minItems"):
        return max(first, second)
    if key in ("maximum", "exclusiveMaximum", "maxLength", "maxItems"):
        return min(first, second)
    return first


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def _may_be(value: Any, kind: Any) -> bool:
    kinds = [kind] if isinstance(kind, str) else kind
    if not isinstance(kinds, list):
        return True
    if isinstance(value, bool):
        return "boolean" in kinds
    return any(isinstance(value, _TYPES.get(name, ())) for name in kinds)


def _weight(schema: Mapping[str, Any]) -> int:
    """Return how deep an alternative is likely to lead."""
    if "const" in schema or "enum" in schema:
        return 0
    return {"null": 0, "object": 3, "array": 2, None: 4}.get(schema.get("type"), 1)
