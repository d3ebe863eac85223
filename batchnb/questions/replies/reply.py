"""What reply is asked for, how it is read back, and which columns it gives. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from batchnb.errors import InputError
from batchnb.questions.replies.base import MisfitError, Reply, TextReply, ToolCall, ToolReply
from batchnb.questions.replies.fields import Field, Kind, pick
from batchnb.questions.replies.labels import LabelReply
from batchnb.questions.replies.schema import SchemaReply, Transform

__all__ = [
    "Field",
    "Kind",
    "LabelReply",
    "MisfitError",
    "Reply",
    "SchemaReply",
    "TextReply",
    "ToolCall",
    "ToolReply",
    "Transform",
    "pick",
    "reply_from_spec",
    "reply_of",
]


def reply_of(
    *, labels: Any = None, schema: Any = None, multiple: bool = False, other: str | int | None = None,
    explain: bool = False, flatten: bool = False, transform: Transform | None = None, prefixed: bool = False,
    tools: Iterable[Mapping[str, Any]] = (),
) -> Reply:  # fmt: skip
    """Make the reply that the arguments of ``df.batch.submit`` ask for.

    Parameters
    ----------
    labels : sequence, mapping or Enum, optional
        As `LabelReply.of` takes them.
    schema : Pydantic model, dataclass, TypedDict or mapping, optional
        As `SchemaReply.of` takes it.
    multiple : bool
        Of labels: whether a row may have several.
    other : str or int, optional
        Of labels: one more, for what fits none of the others.
    explain : bool
        Of labels: whether the model says why.
    flatten : bool
        Of a schema: whether objects in it become columns of their own.
    transform : callable
        The SDK's ``transform_schema``; used with a schema only.
    prefixed : bool
        Of a schema: whether the columns' names begin with the stem, as they do where ``into=`` names one.
    tools : iterable of mapping
        ``params["tools"]``: with neither labels nor schema, what the model calls them with is kept beside the text.

    Raises
    ------
    InputError
        The arguments do not go together, or one of them asks for what the API cannot give. Nothing was sent.
    """
    try:
        if schema is not None:
            if labels is not None:
                raise InputError("labels= and schema= are two ways to ask: keep one, or make the label a field.")
            _only_for("labels=", multiple=multiple, other=other is not None, explain=explain)
            if transform is None:
                raise TypeError("a schema needs the SDK's transform")
            return SchemaReply.of(schema, transform, flatten=flatten, prefixed=prefixed)
        _only_for("schema=", flatten=flatten)
        if labels is not None:
            return LabelReply.of(labels, multiple=multiple, other=other, explain=explain)
        _only_for("labels=", multiple=multiple, other=other is not None, explain=explain)
    except InputError as error:
        raise InputError(f"{error} Nothing was sent.") from error
    return ToolReply.of(tools) or TextReply()


def _only_for(argument: str, **given: bool) -> None:
    for name, used in given.items():
        if used:
            raise InputError(f"{name}= goes with {argument} only.")


def reply_from_spec(spec: Mapping[str, Any]) -> Reply:
    """Rebuild a reply from what its ``spec()`` described."""
    kind = spec["kind"]
    if kind == "labels":
        return LabelReply.from_spec(spec)
    if kind == "schema":
        return SchemaReply(spec["schema"], spec["sent"], spec["flatten"], spec["prefixed"])
    return ToolReply(tuple(spec["tools"])) if kind == "tools" else TextReply()
