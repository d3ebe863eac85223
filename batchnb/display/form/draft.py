"""What a form has been filled in with, and the very same as code. Pure."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from batchnb.errors import InputError
from batchnb.units import clean

__all__ = ["LINE_WIDTH", "Draft", "labels_from", "labels_text"]

#: Columns of code up to which a call stays on one line.
LINE_WIDTH = 88


@dataclass(frozen=True, slots=True)
class Draft:
    """The arguments of ``submit`` that a form sets; None where it leaves the default.

    Parameters
    ----------
    column : hashable
        What the rows are about.
    template : str or None
        Text with ``{column name}`` in it; None for the column's own text.
    labels : tuple of str or int, or None
        What to choose from; None for text.
    model, system, into : str or None
        As ``submit`` takes them.
    max_tokens : int, str or None
        As ``submit`` takes it; what was typed where that is no number, which ``submit`` refuses.
    series : bool
        Whether the rows are a Series, which is the column itself.
    """

    column: Hashable
    template: str | None = None
    labels: tuple[str | int, ...] | None = None
    model: str | None = None
    system: str | None = None
    into: str | None = None
    max_tokens: int | str | None = None
    series: bool = False

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of ``submit`` that are not its defaults."""
        labels = None if self.labels is None else list(self.labels)
        options = {"labels": labels, "into": self.into, "system": self.system, "model": self.model,
                   "max_tokens": self.max_tokens}  # fmt: skip
        return {name: value for name, value in options.items() if value is not None}

    def call(self, frame_name: str, *, workspace: str | None = None, lead: str = "") -> str:
        r"""Write the call of ``submit`` that these arguments make.

        Parameters
        ----------
        frame_name : str
            What stands before ``.batch``.
        workspace : str, optional
            The name of the variable that holds the workspace, where it is not the default one.
        lead : str
            What stands before the call, such as ``"job = "``.

        Returns
        -------
        str
            On one line if it is short; else an argument a line, and a text of several lines a line of it a line.

        Raises
        ------
        InputError
            The column's label cannot be written as a literal.
        """
        arguments = [] if self.series else [[_label(self.column)]]
        arguments += [] if self.template is None else [_text(self.template)]
        arguments += [_named(name, value) for name, value in self.options().items()]
        arguments += [[f"workspace={workspace}"]] if workspace else []
        start = f"{lead}{frame_name}.batch.submit("
        if all(len(lines) == 1 for lines in arguments):
            line = start + ", ".join(lines[0] for lines in arguments) + ")"
            if len(line) <= LINE_WIDTH:
                return line
        body = ("\n".join(f"    {line}" for line in lines) + "," for lines in arguments)
        return "\n".join([start, *body, ")"])


def _label(label: Hashable) -> str:
    """Write a column's label as code, in one line.

    Raises
    ------
    InputError
        What its ``repr`` says is not the label when read back as a literal.
    """
    if isinstance(label, str):
        return _quoted(str.__str__(label))
    try:
        written = repr(label)
        same = bool(ast.literal_eval(written) == label) and "\n" not in written
    except Exception:  # noqa: BLE001  # a label is of any type, and may do anything when it is shown or compared
        written, same = f"a {type(label).__name__}", False
    if not same:
        raise InputError(
            f"This cannot be written as code: the column's label, {clean(written, 80)}, is no literal. In a call of "
            "your own, give the label itself as the first argument of submit."
        )
    return written


def _named(name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        lines = _text(value)
    elif isinstance(value, list):
        inner = ", ".join(_quoted(item) if isinstance(item, str) else repr(item) for item in value)
        lines = [f"[{inner}]"]
        if len(inner) > LINE_WIDTH - 20:
            lines = ["[", *(f"    {_quoted(item) if isinstance(item, str) else repr(item)}," for item in value), "]"]
    else:
        lines = [repr(value)]
    return [f"{name}={lines[0]}", *lines[1:]]


def _text(text: str) -> list[str]:
    r"""Write a text: one of several lines in as many pieces, which Python reads as one.

    Three quotes would read better, but what looks like a prompt (``>>> ``) in a cell's second line is stripped by
    IPython, and line ends other than ``\n`` do not survive.
    """
    pieces = text.split("\n")
    pieces = [f"{piece}\n" for piece in pieces[:-1]] + pieces[-1:]
    pieces = [piece for piece in pieces if piece]
    if len(pieces) <= 1:
        return [_quoted(text)]
    return ["(", *(f"    {_quoted(piece)}" for piece in pieces), ")"]


def _quoted(text: str) -> str:
    """Return the text's ``repr``, in double quotes where that costs no escapes."""
    # A single quote in it makes Python choose double ones; it comes off again.
    return repr(text) if '"' in text else '"' + repr("'" + text)[2:]


def labels_text(labels: Sequence[str | int]) -> str:
    """Write labels for a person to edit: on one line with commas, or a line each where one of them has a comma."""
    written = [str(label) for label in labels]
    return ("\n" if any("," in label for label in written) else ", ").join(written)


def labels_from(text: str, given: Sequence[str | int] = ()) -> tuple[str | int, ...]:
    """Read labels as a person wrote them: a line each, or with commas between them.

    Parameters
    ----------
    text : str
        What was written.
    given : sequence of str or int
        The labels it began with. Where it still says those, they are meant as they are; where they are all numbers,
        so are whole numbers written beside them.

    Returns
    -------
    tuple of str or int
        Without blank ones; neither counted nor checked.
    """
    if given and text == labels_text(given):
        return tuple(given)
    separator = "\n" if "\n" in text.strip() else ","
    labels = [label for part in text.split(separator) if (label := part.strip())]
    if given and all(isinstance(label, int) for label in given):
        return tuple(int(label) if label.removeprefix("-").isdecimal() else label for label in labels)
    return tuple(labels)
