"""What every kind of reply can do; free text, and calls of tools. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from batchnb.questions.replies.fields import Field
from batchnb.questions.replies.numbers import beyond

__all__ = ["MisfitError", "Reply", "TextReply", "ToolCall", "ToolReply", "no_answer"]


class MisfitError(Exception):
    """A paid reply does not fit what was asked for; the row becomes ``invalid`` and keeps its text.

    Parameters
    ----------
    reason : str
        In words.
    kind : str
        Of failure, as :class:`batchnb.answers.judge.Answer` has it.
    """

    def __init__(self, reason: str, kind: str = "misfit") -> None:
        super().__init__(reason)
        self.kind = kind


class ToolCall(NamedTuple):
    """One call of a tool of the user's own, which the model asks for."""

    name: str
    input: Any


class Reply(Protocol):
    """What a job asks each row for.

    An answer is what `read` gives: text, a label, a list or a dict, always of the types of JSON. The columns are taken
    out of it by `fields`.
    """

    @property
    def suffix(self) -> str:
        """End of the default stem: ``<column>_<suffix>``; empty where the stem is the column's own name."""

    @property
    def max_tokens(self) -> int:
        """Default of ``max_tokens``."""

    @property
    def prefixed(self) -> bool:
        """Whether the stem leads the names of the columns; else only those of status and error have it."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """The columns of an answer, in their order."""

    @property
    def voted(self) -> tuple[str, ...]:
        """The part of an answer that several samples of one row are compared by, as `Field.path` says it."""

    def output_format(self) -> dict[str, Any] | None:
        """Return what goes into ``output_config.format``; None for free text."""

    def instructions(self) -> str | None:
        """Return what the system prompt has to say about the reply, for all rows alike; None for nothing."""

    def read(self, text: str) -> Any:
        """Turn the reply's text into the row's answer, or raise MisfitError."""

    def is_respelled(self, text: str) -> bool:
        """Tell whether a text that `read` takes spells a label, or a choice, otherwise than it was asked for."""

    def read_calls(self, text: str | None, calls: Sequence[ToolCall]) -> Any:
        """Turn a reply that calls tools, and the text beside them, into the row's answer, or raise MisfitError."""

    def partial(self, text: str | None) -> Any:
        """Return the answer of a reply that was cut or refused, as far as it goes; None where a part is none."""

    def spec(self) -> dict[str, Any]:
        """Describe this reply so that `reply_from_spec` can rebuild it."""


@dataclass(frozen=True, slots=True)
class TextReply:
    """Free text."""

    suffix: str = "reply"
    max_tokens: int = 1024
    prefixed: bool = True
    fields: tuple[Field, ...] = (Field("", "string"),)
    voted: tuple[str, ...] = ()

    def output_format(self) -> dict[str, Any] | None:
        """Ask for no format."""
        return None

    def instructions(self) -> str | None:
        """Say nothing."""
        return None

    def read(self, text: str) -> str:
        """Return the text as it is."""
        return text

    def is_respelled(self, text: str) -> bool:  # noqa: ARG002  # as all replies take it
        """Tell that it does not: any text is as it was asked for."""
        return False

    def read_calls(self, text: str | None, calls: Sequence[ToolCall]) -> str:
        """Return the text; where there is none, the calls as JSON: ``{"tool": input}``."""
        return text or json.dumps(_by_tool(calls), ensure_ascii=False)

    def partial(self, text: str | None) -> str | None:
        """Return the text as far as it goes: what there is of it is what was paid for."""
        return text

    def spec(self) -> dict[str, Any]:
        """Describe this reply."""
        return {"kind": "text"}


@dataclass(frozen=True, slots=True)
class ToolReply:
    """Text, calls of tools, or both: a column for the text, and one for each tool, with what it is called with.

    An answer is ``{"text": str or None, "calls": {tool: input}}``; of a tool called more than once, a list of inputs.

    Parameters
    ----------
    tools : tuple of str
        The names of the tools of the user's own, in their order. Those the server runs itself are none of them.
    """

    tools: tuple[str, ...]
    suffix: str = "reply"
    max_tokens: int = 1024
    prefixed: bool = True
    voted: tuple[str, ...] = ()

    @classmethod
    def of(cls, definitions: Iterable[Mapping[str, Any]]) -> ToolReply | None:
        """Make the reply for ``params["tools"]``; None where the server runs all of them itself.

        The user's own tools are those with an ``input_schema`` (anthropic 2.14.0, ``ToolParam``).
        """
        tools = tuple(str(one["name"]) for one in definitions if "input_schema" in one and "name" in one)
        return cls(tools) if tools else None

    @property
    def fields(self) -> tuple[Field, ...]:
        """The text, then each tool."""
        tools = (Field(tool, "object", ("calls", tool)) for tool in self.tools)
        return Field("", "string", ("text",)), *tools

    def output_format(self) -> dict[str, Any] | None:
        """Ask for no format."""
        return None

    def instructions(self) -> str | None:
        """Say nothing: the API tells the model about its tools."""
        return None

    def read(self, text: str) -> dict[str, Any]:
        """Return a reply that calls nothing."""
        return {"text": text, "calls": {}}

    def is_respelled(self, text: str) -> bool:  # noqa: ARG002  # as all replies take it
        """Tell that it does not: any text is as it was asked for."""
        return False

    def read_calls(self, text: str | None, calls: Sequence[ToolCall]) -> dict[str, Any]:
        """Sort the calls by tool."""
        for call in calls:
            if call.name not in self.tools:
                raise MisfitError(f"the model called {call.name[:60]!r}, which is none of the tools")
            if not isinstance(call.input, dict):
                raise MisfitError(f"the model called the tool {call.name!r} with no object as its input")
            if (number := beyond(call.input)) is not None:
                raise MisfitError(f"{call.name}: {number}")
        return {"text": text, "calls": _by_tool(calls)}

    def partial(self, text: str | None) -> dict[str, Any] | None:
        """Return the text as far as it goes, without the calls: one that was cut may lack a field."""
        return None if text is None else {"text": text, "calls": {}}

    def spec(self) -> dict[str, Any]:
        """Describe this reply."""
        return {"kind": "tools", "tools": list(self.tools)}


def no_answer(calls: Sequence[ToolCall]) -> MisfitError:
    """Say that the model called a tool where it was asked for something else."""
    return MisfitError(f"the model called the tool {calls[0].name[:60]!r} instead of answering", "tool_use")


def _by_tool(calls: Sequence[ToolCall]) -> dict[str, Any]:
    inputs: dict[str, list[Any]] = {}
    for call in calls:
        inputs.setdefault(call.name, []).append(call.input)
    return {name: given[0] if len(given) == 1 else given for name, given in inputs.items()}
