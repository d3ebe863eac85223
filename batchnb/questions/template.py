"""Template and row to prompt.

A template fills ``{column name}`` from any column. Reading one brace group, the first rule that fits wins:

1. ``{name}``, the longest exact column name first: names may hold spaces and even braces.
2. ``{name:spec}``, where the name is a column and the format spec has no leading space (``{price:.2f}``).
3. ``{{...}}`` writes a literal ``{...}``.
4. What only looks like a column, or is a habit from f-strings, ``str.format`` or Jinja, is a
   :class:`~batchnb.errors.TemplateError` that shows the right form: sent as it stands it would bill the wrong text.
5. Anything else is literal text: above all groups with quotes or newlines in them, so that JSON examples need no
   escaping (columns inside them are still filled), and braces without a partner.

Substituted text is never scanned again.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat, starmap, tee
from typing import Any

from batchnb.errors import TemplateError
from batchnb.questions.cells import CellError, cell_text, spec_problem, spec_text

__all__ = ["CellError", "Field", "Template", "cell_text", "compile_template", "whole_column"]

_BRACE = re.compile(r"[{}]")
_LITERAL = re.compile(r"[\"'\n\r]")
_WORD = re.compile(r"\w[\w-]*")
_NAME = r"[^\W\d]\w*"
_KEYED = re.compile(rf"{_NAME}\[(['\"])[^\n]*\1\]")  # row["review"]: quotes, but no JSON
_EXPRESSION = re.compile(rf"{_NAME}(\.{_NAME})+|{_NAME}(\.{_NAME})*[\[(].*[\])]")  # row.review, words[0], len(review)
_SPECIFIED = re.compile(rf"({_NAME})(![rsa])?(:(?!\s)(.?[<>=^])?[-+ ]?z?#?0?\d*[,_]?(\.\d+)?[a-zA-Z%]?)?")
_NESTED = re.compile(r"(?!\s)(.?[<>=^])?[-+ ]?z?#?0?(\d*|\{[^{}]*\})[,_]?(\.(\d+|\{[^{}]*\}))?[a-zA-Z%]?(\{[^{}]*\})?")


@dataclass(frozen=True, slots=True)
class Field:
    """A place in a template that a column fills.

    Parameters
    ----------
    column : hashable
        The frame's own label.
    spec : str
        A format spec, such as ``.2f``; empty for the value's own text.
    """

    column: Hashable
    spec: str = ""

    def render(self, value: Any) -> str:
        """Return the text this field shows for `value`; raise `CellError` where there is none."""
        return spec_text(value, self.spec, self.column) if self.spec else cell_text(value, self.column)

    def rendered(self, values: Iterable[Any]) -> Iterable[str]:
        """Return what :meth:`render` does for many values, lazily; of a list of texts, as it mostly is, itself."""
        column, spec = self.column, self.spec
        if spec:
            return (spec_text(value, spec, column) for value in values)
        if isinstance(values, list) and set(map(type, values)) == {str}:
            return values
        return (value if type(value) is str else cell_text(value, column) for value in values)


@dataclass(frozen=True, slots=True)
class Template:
    """A template read against a frame's columns. Made by :func:`compile_template`.

    Parameters
    ----------
    text : str
        The template as written.
    parts : tuple of str and Field
        Literal text and fields, in order.
    columns : tuple of hashable
        The labels of the columns read, each once, in the order of their first appearance (derived).
    """

    text: str
    parts: tuple[str | Field, ...]
    columns: tuple[Hashable, ...] = field(init=False)
    # Each different field once, with the place of its column in `columns`, and a pattern for str.format over their
    # texts: one C call a row, whatever the number of parts.
    _fields: tuple[tuple[int, Field], ...] = field(init=False, repr=False, compare=False)
    _pattern: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # By their names, as the template has them: of labels, 0 and False are equal, and NA does not compare.
        fields = {(str(part.column), part.spec): part for part in self.parts if isinstance(part, Field)}
        columns = {name: one.column for (name, _), one in fields.items()}
        numbers, places = {named: number for number, named in enumerate(fields)}, list(columns)
        pattern = "".join(
            f"{{{numbers[str(part.column), part.spec]}}}"
            if isinstance(part, Field)
            else part.replace("{", "{{").replace("}", "}}")
            for part in self.parts
        )
        object.__setattr__(self, "columns", tuple(columns.values()))
        object.__setattr__(self, "_fields", tuple((places.index(name), one) for (name, _), one in fields.items()))
        object.__setattr__(self, "_pattern", pattern)

    def render(self, values: Sequence[Any]) -> str:
        """Return the prompt for one row.

        Parameters
        ----------
        values : sequence
            One value for each of :attr:`columns`, in that order.

        Raises
        ------
        CellError
            A value cannot be printed: bytes, or one its format spec does not fit.
        ValueError
            Not one value per column.
        """
        self._check_width(values)
        return self._pattern.format(*[one.render(values[place]) for place, one in self._fields])

    def render_rows(self, columns_values: Sequence[Iterable[Any]]) -> Iterator[str]:
        """Yield one prompt a row, lazily; equal to :meth:`render` on each row, at well under 1 us a row of text.

        Parameters
        ----------
        columns_values : sequence of iterables
            The values of each of :attr:`columns`, in that order, all equally long.

        Raises
        ------
        CellError
            At the row that cannot be printed: as many prompts were yielded as rows precede it. Nothing follows.
        ValueError
            Not one iterable per column, or iterables of different lengths.
        """
        self._check_width(columns_values)
        uses = [sum(place == column for place, _ in self._fields) for column in range(len(self.columns))]
        copies = [
            repeat(values) if isinstance(values, list) else iter(tee(values, count))
            for values, count in zip(columns_values, uses, strict=True)
        ]
        texts = [one.rendered(next(copies[place])) for place, one in self._fields]
        # A generator ends at its first error, where bare iterators would go on, out of step with each other.
        yield from texts[0] if self._pattern == "{0}" else starmap(self._pattern.format, zip(*texts, strict=True))

    def pieces(self, values: Sequence[Any]) -> list[tuple[str, bool]]:
        """Return one row's prompt in pieces, for a preview: each text, and whether a column filled it.

        The texts concatenate to ``render(values)``, and the same errors are raised.
        """
        self._check_width(values)
        row = {str(column): value for column, value in zip(self.columns, values, strict=True)}
        return [
            (part.render(row[str(part.column)]), True) if isinstance(part, Field) else (part, False)
            for part in self.parts
        ]

    def _check_width(self, values: Sequence[Any]) -> None:
        if len(values) != len(self.columns):
            message = f"This template reads {len(self.columns)} columns, {self.columns}; {len(values)} were given."
            raise ValueError(message)


def whole_column(column: Hashable) -> Template:
    """Return the template that sends one column's own text and nothing else."""
    return Template(f"{{{column}}}", (Field(column),))


def compile_template(template: str, columns: Sequence[Hashable], *, bare: bool = False) -> Template:
    """Read a template against the labels of a frame's columns.

    Parameters
    ----------
    template : str
        Text with ``{column name}`` in it; the module's docstring has the rules.
    columns : sequence of hashable
        The frame's labels. Those that are no strings are written as ``str(label)``.
    bare : bool
        Whether it may name no column: one message of several may, and one beside images that differ.

    Raises
    ------
    TemplateError
        A group that would send the wrong text, a name that two columns share, or a template that names no column.
    """
    if not isinstance(template, str):
        raise TemplateError(f"A template is a str such as 'Classify: {{review}}', not {type(template).__name__}.")
    parts = _Reader(template, columns).read()
    if not bare and not any(isinstance(part, Field) for part in parts):
        raise TemplateError(_no_column_message(template, [str(column) for column in columns]))
    return Template(template, tuple(parts))


def _no_column_message(template: str, names: list[str]) -> str:
    escaped = next((name for name in names if f"{{{{{name}}}}}" in template), None)
    if escaped is not None:
        return f"The template names no column: {{{{{escaped}}}}} writes a literal {{{escaped}}}. Write {{{escaped}}}."
    example = f"such as {{{names[0]}}}" if names else "but this frame has none"
    return (
        "The template names no column, so every row would send, and bill, the same prompt. Put text that is the same"
        f" for all rows in system=, and name a column in the template, {example}."
    )


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


class _Reader:
    """One pass over one template."""

    def __init__(self, text: str, columns: Sequence[Hashable]) -> None:
        self.text = text
        self.labels: dict[str, list[Hashable]] = {}
        for column in columns:
            self.labels.setdefault(str(column), []).append(column)
        self.longest = max(map(len, self.labels), default=0)
        self.partners = self._pair_braces()
        self.parts: list[str | Field] = []
        self.quoted_to = -1  # where the outermost literal group that holds quotes or newlines ends
        self.dropped: set[int] = set()  # second closing braces of {{...}}

    def read(self) -> list[str | Field]:
        at = 0
        while brace := _BRACE.search(self.text, at):
            self._write(self.text[at : brace.start()])
            at = self._read_brace(brace.start())
        self._write(self.text[at:])
        return self.parts

    def _pair_braces(self) -> dict[int, int]:
        partners, waiting = {}, []
        for brace in _BRACE.finditer(self.text):
            if brace[0] == "{":
                waiting.append(brace.start())
            elif waiting:
                partners[waiting.pop()] = brace.start()
        return partners

    def _write(self, literal: str) -> None:
        if literal and self.parts and isinstance(self.parts[-1], str):
            self.parts[-1] += literal
        elif literal:
            self.parts.append(literal)

    def _read_brace(self, start: int) -> int:
        """Read what begins with the brace at `start`; return where to go on."""
        text = self.text
        if text[start] == "}":
            self._write("" if start in self.dropped else "}")
            return start + 1
        found = self._find_field(text, start)
        if found is not None:
            name, spec, end = found
            if spec and (problem := spec_problem(spec)) is not None:
                raise TemplateError(f"{_shown(text[start:end])!r}: the format spec cannot be used, for {problem}.")
            self.parts.append(Field(self._label(name), spec))
            return end
        if text.startswith("{%", start):
            raise TemplateError(
                f"{_shown(text[start:])!r}: {{% %}} is Jinja, which is not run here. Make a column for what differs"
                " from row to row, or give a callable as the template."
            )
        close = self.partners.get(start)
        if close is not None:
            if self.partners.get(start + 1) == close - 1:
                self._check_doubled(text[start + 2 : close - 1])
                self.dropped.add(close)
                self._write("{")
                return start + 2
            self._check_group(text[start + 1 : close], inside=start < self.quoted_to)
            if _LITERAL.search(text, start, close):
                self.quoted_to = max(self.quoted_to, close)
        self._write("{")
        return start + 1

    def _find_field(self, text: str, start: int) -> tuple[str, str, int] | None:
        """Return the name, spec and end of the field that opens at `start`, the longest name first."""
        furthest = min(len(text) - 1, start + 1 + self.longest)
        for end in range(furthest, start, -1):
            if text[end] == "}" and text[start + 1 : end] in self.labels:
                return text[start + 1 : end], "", end + 1
        for colon in range(furthest, start, -1):
            if text[colon] == ":" and text[start + 1 : colon] in self.labels:
                end = text.find("}", colon)
                spec = text[colon + 1 : end] if end >= 0 else ""
                if spec and not spec[0].isspace() and "{" not in spec and not _LITERAL.search(spec):
                    return text[start + 1 : colon], spec, end + 1
        return None

    def _label(self, name: str) -> Hashable:
        labels = self.labels[name]
        if len(labels) > 1:
            raise TemplateError(
                f"{{{name}}} could mean any of {len(labels)} columns, {labels!r}. Rename them so that each has a name"
                " of its own."
            )
        return labels[0]

    def _check_doubled(self, content: str) -> None:
        """Check what stands in ``{{...}}``."""
        problem = self._problem(content)
        if problem is None and _LITERAL.search(content):
            raise TemplateError(
                f"{_shown('{{' + content + '}}')!r}: JSON examples need no doubled braces here; write"
                f" {_shown('{' + content + '}')!r}. (To send doubled braces, give a callable as the template.)"
            )
        if content != content.strip():
            bare = content.strip()
            form = f"{{{bare}}}" if bare in self.labels else "{column}"
            raise TemplateError(
                f"{_shown('{{' + content + '}}')!r} is Jinja's form. Write {form} to fill in a column. Doubled braces,"
                " without the spaces, write single ones."
            )

    def _check_group(self, content: str, *, inside: bool) -> None:
        """Raise where a group that is no field only looks like literal text."""
        if not content.strip():
            if not inside and not _LITERAL.search(content):  # in a JSON example it is an empty object
                raise TemplateError("{} names no column. Write {column}; {{}} writes a literal {}.")
            return
        problem = self._problem(content)
        if problem is not None:
            escape = f" (A literal {{{content}}} is written {{{{{content}}}}}.)"
            if content != content.strip() or len(content) > 40:
                escape = ""  # doubled braces round padded text are refused as Jinja's
            raise TemplateError(f"{_shown('{' + content + '}')!r}: {problem}{escape}")

    def _problem(self, content: str) -> str | None:
        """Say what is wrong with the content of a group; None for literal text."""
        bare = content.strip()
        padded = bare != content
        if padded and self._find_field(f"{{{bare}}}", 0) is not None:
            return f"no spaces go round a column's name. Write {{{bare}}}."
        name = self._name_before(bare, "!.[(") if "\n" not in bare else None
        if name is not None:
            return (
                f"only a format spec may follow a column's name, after a colon. Write {{{name}}}, or make a column of"
                " what you need and name that."
            )
        if _KEYED.fullmatch(bare):
            key = bare[bare.index("[") + 2 : -2]
            return f"columns go by their name alone. Write {{{key if key in self.labels else 'column'}}}."
        if _LITERAL.search(content):
            return None
        if _EXPRESSION.fullmatch(bare):
            return "Python is not run in a template. Make a column of it first, and write its name: {column}."
        name = self._name_before(bare, ":")
        if name is not None and "{" in bare and _NESTED.fullmatch(bare, len(name) + 1):
            return (
                f"a format spec is the same for all rows, with no braces in it: {{{name}}}, or such as {{{name}:>8}}."
            )
        if name == bare[:-1]:
            return f"the format spec after the colon is empty. Write {{{bare[:-1]}}}."
        return self._misspelt(bare, padded=padded)

    def _name_before(self, content: str, signs: str) -> str | None:
        """Return the longest column name that `content` begins with, where one of `signs` follows."""
        for end in range(min(len(content) - 1, self.longest), 0, -1):
            if content[end] in signs and content[:end] in self.labels:
                return content[:end]
        return None

    def _misspelt(self, content: str, *, padded: bool) -> str | None:
        """Say so where `content` seems to be meant as a column's name."""
        word = content
        if not padded and (specified := _SPECIFIED.fullmatch(content)):
            word = specified[1]
        is_word = _WORD.fullmatch(word) is not None and not padded
        nearest = self._nearest(word, 0.6 if is_word else 0.8)
        if nearest is not None:
            return f"there is no column {word!r}. Did you mean {{{nearest}}}?"
        if not is_word:
            return None
        names = ", ".join(f"{{{name}}}" for name in list(self.labels)[:8])
        more = ", ..." if len(self.labels) > 8 else ""
        return f"there is no column {word!r}. The columns are: {names}{more}." if names else "the frame has no columns."

    def _nearest(self, word: str, cutoff: float) -> str | None:
        # Groups inside this one speak for themselves; what is twice as long cannot be near, and difflib is slow.
        if "{" in word or "}" in word or len(word) > 2 * self.longest + 2:
            return None
        folded = {name.casefold(): name for name in reversed(self.labels)}
        near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=cutoff)
        return folded[near[0]] if near else None
