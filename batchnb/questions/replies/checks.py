r"""Whether a JSON value fits a schema, and if not, where and why. Pure.

A schema is turned into functions once, and a value costs a few calls then: 100,000 replies are checked in seconds. Only
what `batchnb.questions.replies.normalise.resolved` gives is understood. Every object is closed, as it was sent, and
holds no field that it does not name.

Ours rather than jsonschema-rs 0.61, which was tried in its place: these reasons, formats and patterns would stay ours
beside it (its own formats refuse a time without a zone, its ``\w`` knows no letter but those of ASCII), it adds 15 MB,
and what judges a paid reply would stand on an interface that changes with every few of its releases.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from batchnb.questions.replies.formats import FORMATS
from batchnb.questions.replies.numbers import INT64, shown
from batchnb.questions.replies.patterns import matcher

__all__ = ["Misfit", "check_of"]


class Misfit(NamedTuple):
    """Where a value does not fit, such as ``address.city`` or ``tags[2]``, and why."""

    place: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.why}" if self.place else self.why

    def under(self, step: str) -> Misfit:
        """Say the same from one level further up."""
        joint = "." if self.place and not self.place.startswith("[") else ""
        return Misfit(f"{step}{joint}{self.place}", self.why)


#: Gives None for a value that fits.
Check = Callable[[Any], Misfit | None]


def check_of(schema: Mapping[str, Any]) -> Check:
    """Make the function that checks a value against a resolved schema."""
    checks: list[Check] = []
    if "enum" in schema or "const" in schema:
        checks.append(_choice(schema))
    if "type" in schema:
        checks.extend(_CHECKS[schema["type"]](schema))
    if "anyOf" in schema:
        checks.append(_any_of(schema["anyOf"]))
    if "oneOf" in schema:
        checks.append(_one_of(schema["oneOf"]))
    return _all(checks)


def _all(checks: Sequence[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def check(value: Any) -> Misfit | None:
        for one in checks:
            if (found := one(value)) is not None:
                return found
        return None

    return check


# Choices


def _choice(schema: Mapping[str, Any]) -> Check:
    options = [schema["const"]] if "const" in schema else schema["enum"]
    # In Python True is 1, in JSON it is not.
    known = {(isinstance(option, bool), option) for option in options}
    listed = ", ".join(map(shown, options[:5])) + (", …" if len(options) > 5 else "")

    def check(value: Any) -> Misfit | None:
        if isinstance(value, list | dict) or (isinstance(value, bool), value) not in known:
            return Misfit("", f"{shown(value)} is none of {listed}")
        return None

    return check


def _any_of(schemas: Sequence[Mapping[str, Any]]) -> Check:
    branches = [(one.get("type"), check_of(one)) for one in schemas]

    def check(value: Any) -> Misfit | None:
        kinds = _KINDS_OF[type(value)]
        for kind, one in branches:
            # Of an alternative of another type nothing is asked: saying why it does not fit takes longest.
            if (kind is None or kind in kinds) and one(value) is None:
                return None
        return _nearest(value, branches)

    return check


def _one_of(schemas: Sequence[Mapping[str, Any]]) -> Check:
    branches = [(one.get("type"), check_of(one)) for one in schemas]

    def check(value: Any) -> Misfit | None:
        kinds = _KINDS_OF[type(value)]
        fitting = sum((kind is None or kind in kinds) and one(value) is None for kind, one in branches)
        if fitting == 1:
            return None
        return (
            Misfit("", f"{shown(value)} fits more than one of the alternatives")
            if fitting
            else _nearest(value, branches)
        )

    return check


#: Which types of JSON Schema a value can be of.
_KINDS_OF: dict[type, tuple[str, ...]] = {
    str: ("string",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number", "integer"),
    list: ("array",),
    dict: ("object",),
    type(None): ("null",),
}


def _nearest(value: Any, branches: Sequence[tuple[str | None, Check]]) -> Misfit:
    """Say why a value fits no alternative, by the one it comes nearest: the only one of its type, or beside null."""
    told = _KINDS_OF[type(value)]
    own = [one for kind, one in branches if kind in told]
    beside = [one for kind, one in branches if kind != "null"]
    for helpful in (own, beside):
        if len(helpful) == 1 and (misfit := helpful[0](value)) is not None:
            return misfit
    return Misfit("", f"{shown(value)} fits none of the alternatives")


# Numbers


def _integer(schema: Mapping[str, Any]) -> list[Check]:
    least, greatest = INT64

    def check(value: Any) -> Misfit | None:
        if type(value) is not int and not (type(value) is float and value.is_integer()):
            return Misfit("", f"{shown(value)} is not a whole number")
        if not least <= value <= greatest:
            return Misfit("", f"{shown(value)} has more than 64 bits")
        return None

    return [check, *_bounds(schema)]


def _number(schema: Mapping[str, Any]) -> list[Check]:
    greatest = sys.float_info.max

    def check(value: Any) -> Misfit | None:
        if type(value) is not float and type(value) is not int:
            return Misfit("", f"{shown(value)} is not a number")
        if not -greatest <= value <= greatest:
            return Misfit("", f"{shown(value)} is beyond what a number can be")
        return None

    return [check, *_bounds(schema)]


def _bounds(schema: Mapping[str, Any]) -> list[Check]:
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    over, under = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)

    def within(value: float) -> Misfit | None:
        if value < low:
            return Misfit("", f"{shown(value)} is less than {low}")
        if value > high:
            return Misfit("", f"{shown(value)} is more than {high}")
        if value <= over:
            return Misfit("", f"{shown(value)} is not more than {over}")
        if value >= under:
            return Misfit("", f"{shown(value)} is not less than {under}")
        return None

    def multiple(value: float) -> Misfit | None:
        # By its decimal digits: as floats, 0.3 is no multiple of 0.1.
        if Fraction(str(value)) % step:
            return Misfit("", f"{shown(value)} is no multiple of {schema['multipleOf']}")
        return None

    step = Fraction(str(schema.get("multipleOf", 1)))
    bounded = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} & schema.keys()
    return [*([within] if bounded else []), *([multiple] if "multipleOf" in schema else [])]


# Text and the two constants


def _string(schema: Mapping[str, Any]) -> list[Check]:
    def check(value: Any) -> Misfit | None:
        return None if type(value) is str else Misfit("", f"{shown(value)} is not text")

    checks: list[Check] = [check]
    if "minLength" in schema or "maxLength" in schema:
        checks.append(_length(schema))
    if "pattern" in schema:
        checks.append(_pattern(schema["pattern"]))
    if schema.get("format") in FORMATS:
        checks.append(_format(schema["format"]))
    return checks


def _length(schema: Mapping[str, Any]) -> Check:
    fewest, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)

    def check(value: str) -> Misfit | None:
        length = len(value)
        if length < fewest:
            return Misfit("", f"its {length:,} characters are fewer than {fewest:,}")
        return Misfit("", f"its {length:,} characters are more than {most:,}") if length > most else None

    return check


def _pattern(pattern: str) -> Check:
    matches = matcher(pattern)

    def check(value: str) -> Misfit | None:
        return (
            None
            if matches is None or matches(value)
            else Misfit("", f"{shown(value)} does not fit the pattern {pattern[:60]}")
        )

    return check


def _format(name: str) -> Check:
    is_one, wanted = FORMATS[name]

    def check(value: str) -> Misfit | None:
        return None if is_one(value) else Misfit("", f"{shown(value)} is not {wanted}")

    return check


def _boolean(_schema: Mapping[str, Any]) -> list[Check]:
    def check(value: Any) -> Misfit | None:
        return None if type(value) is bool else Misfit("", f"{shown(value)} is not true or false")

    return [check]


def _null(_schema: Mapping[str, Any]) -> list[Check]:
    def check(value: Any) -> Misfit | None:
        return None if value is None else Misfit("", f"{shown(value)} is not null")

    return [check]


# Lists and objects


def _array(schema: Mapping[str, Any]) -> list[Check]:
    first = [check_of(one) for one in schema.get("prefixItems", ())]
    rest = check_of(schema["items"]) if "items" in schema else None
    fewest, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    unique = schema.get("uniqueItems", False)

    def check(value: Any) -> Misfit | None:
        if type(value) is not list:
            return Misfit("", f"{shown(value)} is not a list")
        if not fewest <= len(value) <= most:
            told, bound = ("fewer", fewest) if len(value) < fewest else ("more", most)
            return Misfit("", f"its {len(value):,} items are {told} than {bound:,}")
        for number, item in enumerate(value):
            one = first[number] if number < len(first) else rest
            if one is not None and (found := one(item)) is not None:
                return found.under(f"[{number}]")
        if unique and (twice := _twice(value)) is not None:
            return Misfit("", f"{shown(twice)} is there twice")
        return None

    return [check]


def _twice(items: Sequence[Any]) -> Any:
    """Return an item that a list has twice; None where each is there once."""
    seen = set()
    for item in items:
        name = json.dumps(item, sort_keys=True)
        if name in seen:
            return "null" if item is None else item
        seen.add(name)
    return None


def _object(schema: Mapping[str, Any]) -> list[Check]:
    fields = {name: check_of(one) for name, one in schema["properties"].items()}
    required = schema.get("required", ())

    def check(value: Any) -> Misfit | None:
        if type(value) is not dict:
            return Misfit("", f"{shown(value)} is not an object")
        for name, inner in value.items():
            one = fields.get(name)
            if one is None:
                return Misfit(name[:60], "no field of this name was asked for")
            if (found := one(inner)) is not None:
                return found.under(name)
        for name in required:
            if name not in value:
                return Misfit(name, "missing from the reply")
        return None

    return [check]


_CHECKS: dict[str, Callable[[Mapping[str, Any]], list[Check]]] = {
    "array": _array,
    "boolean": _boolean,
    "integer": _integer,
    "null": _null,
    "number": _number,
    "object": _object,
    "string": _string,
}
