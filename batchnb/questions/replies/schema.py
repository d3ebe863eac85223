"""A reply that fits a schema: a column for each of its fields. Pure; the SDK's transform of schemas is passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from batchnb.errors import InputError
from batchnb.questions.replies.base import MisfitError, ToolCall, no_answer
from batchnb.questions.replies.checks import Check, check_of
from batchnb.questions.replies.fields import Field, Kind
from batchnb.questions.replies.limits import check_schema
from batchnb.questions.replies.normalise import branches, resolved, sendable, settled
from batchnb.questions.replies.sources import json_schema_of
from batchnb.questions.replies.spelling import respelled

__all__ = ["SchemaReply", "Transform"]

Transform = Callable[[dict[str, Any]], dict[str, Any]]

#: What the columns hold of text whose format has a type of its own.
_FORMATTED: dict[str, Kind] = {"date-time": "moment", "date": "date"}
_KINDS: dict[str, Kind] = {"integer": "integer", "number": "number", "boolean": "boolean"}


@dataclass(frozen=True, slots=True)
class SchemaReply:
    """An object that fits a JSON schema.

    An answer is that object, as JSON has it; where a field was left out that the schema has a default for, with that.

    Parameters
    ----------
    schema : str
        The schema that was given, as JSON text, by which replies are checked. Text keeps the order of its fields
        whoever writes it down.
    sent : str
        What the API is given of it, as JSON text.
    flatten : bool
        Whether objects in it become columns of their own, such as ``address.city``.
    prefixed : bool
        Whether the columns' names begin with the stem.
    """

    schema: str
    sent: str
    flatten: bool = False
    prefixed: bool = False
    suffix: str = ""
    max_tokens: int = 4096
    voted: tuple[str, ...] = ()

    @classmethod
    def of(cls, schema: Any, transform: Transform, *, flatten: bool = False, prefixed: bool = False) -> SchemaReply:
        """Check `schema` and make the reply.

        Parameters
        ----------
        schema : Pydantic model, dataclass, TypedDict or mapping
            A mapping is a JSON schema. Bounds, lengths, patterns and formats, which the API does not hold, are told to
            the model and checked when the reply comes. Of a Pydantic model, validators and other Python code are not
            run: only what its JSON schema says can be kept, and is checked.
        transform : callable
            The SDK's ``transform_schema``.
        flatten, prefixed
            As the class takes them.

        Raises
        ------
        InputError
            It is no schema, or none that the API takes; the message names the place.
        """
        made = json_schema_of(schema)
        try:
            resolved(made)
            sent = settled(transform(sendable(made)))
        except InputError:
            raise
        except (ValueError, TypeError, AssertionError, AttributeError, KeyError, RecursionError) as error:
            raise InputError(f"schema=: it cannot be written as the API takes it: {error}.") from error
        check_schema(sent)
        return cls(_text(made), _text(sent), flatten, prefixed)

    @property
    def fields(self) -> tuple[Field, ...]:
        """A column for each field, or, flattened, for each that is no object."""
        return _plan(self.schema, self.flatten).fields

    def output_format(self) -> dict[str, Any] | None:
        """Ask for what was made of the schema."""
        return {"type": "json_schema", "schema": msgspec.json.decode(self.sent)}

    def instructions(self) -> str | None:
        """Say nothing: the descriptions are in the schema."""
        return None

    def read(self, text: str) -> Any:
        """Check the reply against the schema."""
        if not text.strip():
            raise MisfitError("the reply is empty")
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise MisfitError(f"the reply is not JSON: {error}") from error
        plan = _plan(self.schema, self.flatten)
        if (misfit := plan.check(value)) is not None:
            value = respelled(value, plan.top)
            if plan.check(value) is not None:
                raise MisfitError(str(misfit))
        for name, default in plan.defaults:
            value.setdefault(name, default)
        return value

    def is_respelled(self, text: str) -> bool:
        """Tell whether a choice in it is written otherwise than in the schema."""
        return _plan(self.schema, self.flatten).check(msgspec.json.decode(text)) is not None

    def read_calls(self, text: str | None, calls: Sequence[ToolCall]) -> Any:  # noqa: ARG002  # as all replies take it
        """Refuse a reply that calls tools, whatever text is beside them: it goes on after their results."""
        raise no_answer(calls)

    def partial(self, text: str | None) -> None:
        """Give nothing: half an object has no columns."""

    def spec(self) -> dict[str, Any]:
        """Describe this reply."""
        return {
            "kind": "schema",
            "schema": self.schema,
            "sent": self.sent,
            "flatten": self.flatten,
            "prefixed": self.prefixed,
        }


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a schema was made into, to read many replies by."""

    top: Mapping[str, Any]
    check: Check
    fields: tuple[Field, ...]
    defaults: tuple[tuple[str, Any], ...]


@lru_cache(maxsize=64)
def _plan(schema: str, flatten: bool) -> _Plan:
    top = resolved(msgspec.json.decode(schema))
    named = top["properties"].items()
    # A default that does not fit its own field is a note like any other.
    defaults = tuple(
        (name, one["default"]) for name, one in named if "default" in one and check_of(one)(one["default"]) is None
    )
    return _Plan(top, check_of(top), tuple(_fields(top, (), flatten)), defaults)


def _fields(node: Mapping[str, Any], above: tuple[str, ...], flatten: bool) -> Iterator[Field]:
    for name, one in node["properties"].items():
        path = (*above, name)
        inner = _only_object(one) if flatten else None
        if inner is not None:
            yield from _fields(inner, path, flatten)
            continue
        kind, categories = _kind(one)
        yield Field(".".join(path), kind, path, categories)


def _only_object(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the object that a field holds when it holds anything."""
    found = list(branches(node))
    return found[0] if len(found) == 1 and found[0].get("type") == "object" else None


def _kind(node: Mapping[str, Any]) -> tuple[Kind, tuple[Any, ...]]:
    """Tell what a field's column holds, and of categories, which there are."""
    found = [_kind_of_one(one) for one in branches(node)]
    kinds = {kind for kind, _ in found}
    values = tuple(dict.fromkeys(value for _, categories in found for value in categories))
    if len(kinds) == 1:
        return found[0][0], values
    if kinds == {"integer", "number"}:
        return "number", ()
    if kinds <= {"string", "moment", "date", "category"} and all(isinstance(value, str) for value in values):
        return "string", ()
    return "object", ()


def _kind_of_one(node: Mapping[str, Any]) -> tuple[Kind, tuple[Any, ...]]:
    if "enum" in node or "const" in node:
        options = [node["const"]] if "const" in node else node["enum"]
        values = tuple(dict.fromkeys(option for option in options if option is not None))
        booleans = [value for value in values if isinstance(value, bool)]
        if booleans:  # which pandas could not tell from 0 and 1
            return ("boolean" if len(booleans) == len(values) else "object"), ()
        return ("category", values) if values else ("object", ())
    kind = node.get("type", "")
    if kind == "string":
        return _FORMATTED.get(node.get("format", ""), "string"), ()
    return _KINDS.get(kind, "object"), ()


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
