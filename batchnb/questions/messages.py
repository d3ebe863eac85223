"""Templates of several messages: what all rows share of them, and what each row fills in. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat, tee
from typing import Any

from batchnb.errors import NOT_SENT, InputError, TemplateError
from batchnb.questions.template import Template, compile_template

__all__ = ["Conversation", "Message", "compile_conversation", "opened"]

#: One message as a template has it: ``{"role": "user" | "assistant", "content": text}``.
Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages of a row, read against a frame's columns; as :class:`~batchnb.questions.template.Template` is for text.

    Parameters
    ----------
    messages : tuple of (str, Template)
        Role and text of each. At least one text reads a column; the last is the user's.
    columns : tuple of hashable
        The labels of the columns read, each once, in the order of their first appearance (derived).
    """

    messages: tuple[tuple[str, Template], ...]
    columns: tuple[Hashable, ...] = field(init=False)

    def __post_init__(self) -> None:
        columns = {str(column): column for _, text in self.messages for column in text.columns}
        object.__setattr__(self, "columns", tuple(columns.values()))

    def render_rows(self, columns_values: Sequence[Iterable[Any]]) -> Iterator[list[Message]]:
        """Yield the messages of one row after the other, lazily.

        Parameters
        ----------
        columns_values : sequence of iterables
            The values of each of :attr:`columns`, in that order, all equally long.

        Raises
        ------
        CellError
            At the row that cannot be printed. Nothing follows.
        """
        uses = Counter(str(column) for _, text in self.messages for column in text.columns)
        copies = {
            str(column): iter(tee(values, uses[str(column)]))
            for column, values in zip(self.columns, columns_values, strict=True)
        }
        texts: list[Iterator[str]] = [
            text.render_rows([next(copies[str(column)]) for column in text.columns])
            if text.columns
            else repeat(_plain(text))
            for _, text in self.messages
        ]
        roles = [role for role, _ in self.messages]
        for row in zip(*texts, strict=False):  # what reads no column never ends
            yield [{"role": role, "content": text} for role, text in zip(roles, row, strict=True)]

    def pieces(self, values: Sequence[Any]) -> list[tuple[str, bool]]:
        """Return one row's messages in pieces, for a preview: each text, and whether a column filled it.

        Parameters
        ----------
        values : sequence
            One value for each of :attr:`columns`, in that order.
        """
        row = {str(column): value for column, value in zip(self.columns, values, strict=True)}
        shown: list[tuple[str, bool]] = []
        for number, (role, text) in enumerate(self.messages):
            shown.append((f"{chr(10) if number else ''}{role}: ", False))
            shown += text.pieces([row[str(column)] for column in text.columns])
        return shown


def compile_conversation(messages: Sequence[Message], columns: Sequence[Hashable]) -> Conversation:
    """Read a template of several messages against the labels of a frame's columns.

    Raises
    ------
    TemplateError
        As for a template of one text; or no message reads a column.
    """
    _check_messages(messages)
    read = tuple((one["role"], _read(one, number, columns)) for number, one in enumerate(messages, 1))
    if not any(text.columns for _, text in read):
        raise TemplateError(
            "The template's messages name no column, so every row would send, and bill, the same ones. Name one in the "
            f"text of a message: {{column}}. {NOT_SENT}"
        )
    return Conversation(read)


def opened(
    messages: Sequence[Message], columns: Sequence[Hashable]
) -> tuple[tuple[Message, ...], str | tuple[Message, ...]]:
    """Part a template of several messages into those that all rows share, at its beginning, and the rows' own.

    Returns
    -------
    tuple of (tuple of messages) and (str or tuple of messages)
        The first filled in; the second as templates: a text where it is one message of the user's.

    Raises
    ------
    TemplateError
        As `compile_conversation` does.
    """
    texts = [text for _, text in compile_conversation(messages, columns).messages]
    first = next(number for number, text in enumerate(texts) if text.columns)
    shared = tuple(
        {"role": one["role"], "content": _plain(text)} for one, text in zip(messages[:first], texts, strict=False)
    )
    own = tuple({"role": one["role"], "content": one["content"]} for one in messages[first:])
    return shared, own[0]["content"] if len(own) == 1 else own


def _plain(text: Template) -> str:
    return "".join(piece for piece, _ in text.pieces([]))


def _read(message: Message, number: int, columns: Sequence[Hashable]) -> Template:
    try:
        return compile_template(message["content"], columns, bare=True)
    except TemplateError as error:
        raise TemplateError(f"Message {number} of the template: {error}") from error


def _check_messages(messages: Sequence[Any]) -> None:
    if not messages:
        raise InputError(f"The template is a list without messages. {NOT_SENT}")
    for number, one in enumerate(messages, 1):
        where = f"Message {number} of the template"
        if not isinstance(one, dict) or set(one) != {"role", "content"}:
            raise InputError(
                f'{where} is not of the form {{"role": "user", "content": "text with {{column}}"}}. {NOT_SENT}'
            )
        if one["role"] == "system":
            raise InputError(f"{where} is the system's: give what it says as system=. {NOT_SENT}")
        if one["role"] not in ("user", "assistant"):
            raise InputError(f'{where}: a role is "user" or "assistant", not {one["role"]!r}. {NOT_SENT}')
        if not isinstance(one["content"], str):
            kind = type(one["content"]).__name__
            raise InputError(
                f"{where}: its content is text with {{column}} in it, not {kind}; for content blocks, give a function "
                f"of a row as the template. {NOT_SENT}"
            )
        if not one["content"].strip():
            raise InputError(f"{where} is empty. {NOT_SENT}")
    if messages[-1]["role"] != "user":
        raise InputError(
            "The template's last message must be the user's: new models do not go on with words put into their mouth "
            f'(prefill). End with {{"role": "user", ...}}; labels= or schema= fix the form of the reply. {NOT_SENT}'
        )
