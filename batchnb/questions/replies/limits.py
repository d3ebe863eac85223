"""How much a schema, or tools, may leave open: structured outputs refuse more, in every row of a batch. Pure.

(platform.claude.com documentation, "Structured outputs": at most 24 optional parameters and 16 with union types, over
all that is strict in a request; at most 20 strict tools.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from batchnb.errors import NOT_SENT, InputError

__all__ = ["MOST_OPTIONAL", "MOST_STRICT", "MOST_UNIONS", "check_schema", "check_tools"]

MOST_OPTIONAL, MOST_UNIONS, MOST_STRICT = 24, 16, 20


def check_schema(schema: Mapping[str, Any]) -> None:
    """Refuse a schema, as it is sent, that leaves more open than the API takes.

    Raises
    ------
    InputError
        It does.
    """
    optional, unions = _left_open([schema])
    if optional > MOST_OPTIONAL:
        raise InputError(
            f"schema=: {optional} of its fields may be left out, and structured outputs take at most {MOST_OPTIONAL} "
            "such fields. Make some of them required, or ask for them in a job of their own."
        )
    if unions > MOST_UNIONS:
        raise InputError(
            f"schema=: {unions} of its fields are of one type or another (a choice with null is, too), and structured "
            f"outputs take at most {MOST_UNIONS} such fields. Give some of them one type, or ask for them in a job of "
            "their own."
        )


def check_tools(tools: Sequence[Mapping[str, Any]]) -> None:
    """Refuse strict tools that are more than the API takes, or leave more open.

    Raises
    ------
    InputError
        They are.
    """
    strict = [tool for tool in tools if tool.get("strict") is True]
    optional, unions = _left_open([tool.get("input_schema") for tool in strict])
    for number, most, what in (
        (len(strict), MOST_STRICT, "strict tools"),
        (optional, MOST_OPTIONAL, "fields of strict tools that may be left out"),
        (unions, MOST_UNIONS, "fields of strict tools that are of one type or another"),
    ):
        if number > most:
            raise InputError(f'params["tools"] has {number} {what}; the API takes at most {most}. {NOT_SENT}')


def _left_open(schemas: Sequence[Any]) -> tuple[int, int]:
    """Count the fields that may be left out, and the places that take several types."""
    parts = [part for schema in schemas for part in _parts(schema)]
    optional = sum(len(set(part.get("properties") or ()) - set(part.get("required") or ())) for part in parts)
    return optional, sum("anyOf" in part or "oneOf" in part or isinstance(part.get("type"), list) for part in parts)


def _parts(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and all schemas in it; definitions once, however often they are referred to."""
    if not isinstance(node, Mapping):
        return
    yield node
    for name in ("properties", "$defs", "definitions"):
        held = node.get(name)
        for part in held.values() if isinstance(held, Mapping) else ():
            yield from _parts(part)
    yield from _parts(node.get("items"))
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        held = node.get(name)
        for part in held if isinstance(held, list) else ():
            yield from _parts(part)
