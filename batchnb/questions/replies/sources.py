"""What ``schema=`` takes, as a JSON schema: a Pydantic model, a dataclass, a TypedDict, or one already. Pure.

Pydantic comes with the SDK (anthropic 2.14.0 depends on it), and is loaded when there is something to turn, not before.
"""

from __future__ import annotations

import functools
import operator
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

import msgspec

from batchnb.errors import InputError

__all__ = ["json_schema_of"]

TAKES = "schema= takes a Pydantic model, a dataclass, a TypedDict or a JSON schema (a dict)"


def json_schema_of(schema: Any) -> dict[str, Any]:
    """Return a JSON schema, as plain JSON has it and in the order given.

    Of a Pydantic model, what its JSON schema says is kept, by which replies are checked; validators and whatever else
    of it is Python code are not, since the ledger keeps no code.

    Raises
    ------
    InputError
        It is none of these, or Pydantic cannot turn it into a JSON schema.
    """
    if isinstance(schema, Mapping):
        made = dict(schema)
    elif isinstance(schema, type) or typing.get_origin(schema) is not None:
        made = _from_type(schema)
    else:
        class_hint = ": give the class, not one of its objects" if hasattr(schema, "__dict__") else ""
        raise InputError(f"{TAKES}, not {type(schema).__name__}{class_hint}.")
    try:
        plain = msgspec.json.decode(msgspec.json.encode(made))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise InputError(f"schema= cannot be written as JSON: {error}.") from error
    return plain  # type: ignore[no-any-return]  # a dict comes back as one


def _from_type(given: Any) -> dict[str, Any]:
    import pydantic

    name = getattr(given, "__name__", str(given))
    try:
        return pydantic.TypeAdapter(_with_known_typed_dicts(given)).json_schema()
    except (pydantic.PydanticUserError, TypeError, NameError, ValueError, RecursionError) as error:
        told = str(error).partition("\n")[0]
        raise InputError(f"{TAKES}; Pydantic makes no JSON schema of {name}: {told}") from error


def _with_known_typed_dicts(given: Any) -> Any:
    """Return the same type with every ``typing.TypedDict`` in it as one of ``typing_extensions``.

    Before Python 3.12, Pydantic takes only those. Inside models and dataclasses they stay, and Pydantic says so.
    """
    if sys.version_info >= (3, 12):
        return given
    if typing.is_typeddict(given):
        import typing_extensions

        hints = typing.get_type_hints(given, include_extras=True)
        fields = {name: _with_known_typed_dicts(_plain(hint)) for name, hint in hints.items()}
        asked = {
            name: hint if name in given.__required_keys__ else typing_extensions.NotRequired[hint]
            for name, hint in fields.items()
        }
        make: Any = typing_extensions.TypedDict
        made = make(given.__name__, asked)
        made.__doc__, made.__module__ = given.__doc__, given.__module__
        return made
    arguments = typing.get_args(given)
    if not arguments or typing.get_origin(given) is typing.Literal:
        return given
    changed = tuple(_with_known_typed_dicts(argument) for argument in arguments)
    if all(new is old for new, old in zip(changed, arguments, strict=True)):
        return given
    if isinstance(given, types.UnionType):
        return functools.reduce(operator.or_, changed)
    if hasattr(given, "__metadata__"):
        return typing.Annotated[(changed[0], *given.__metadata__)]
    return given.copy_with(changed) if hasattr(given, "copy_with") else typing.get_origin(given)[changed]


def _plain(hint: Any) -> Any:
    """Take a hint out of ``Required`` and ``NotRequired``, which the dict's own sets of keys say too."""
    import typing_extensions

    marks = {typing.Required, typing.NotRequired, typing_extensions.Required, typing_extensions.NotRequired}
    while typing.get_origin(hint) in marks:
        hint = typing.get_args(hint)[0]
    return hint
