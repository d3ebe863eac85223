"""A recipe and a frame to questions: what ``submit`` asks, what ``preview`` shows, what ``join`` looks up.

A recipe is everything about a question that is not the row. Read twice over the same frame it gives the same
questions, so none of them need be held in memory.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pandas as pd

from batchnb.errors import InputError
from batchnb.ledger import Row
from batchnb.params import NOT_SENT, check_names, unsent, with_format
from batchnb.requests import Content, Envelope, canonical, content_of, label_of
from batchnb.schemas import Reply, reply_from_spec
from batchnb.templates import Template, compile_template, whole_column

__all__ = ["Question", "Recipe", "check_column", "check_samples", "column_values", "tag_of", "unique_keys"]

#: What a row may give, in the order of a recipe's envelopes: see :class:`batchnb.requests.Envelope`.
SLOTS = ("content", "messages", "params", "blocks")

RowFunction = Callable[[Any], Any]

#: A tag of the user's own. What batchnb adds to tags has other characters: "#1" counts, "*2" is the second sample.
_TAG = re.compile(r"[\w .:/-]{1,64}")

#: Samples of one row, at most.
MOST_SAMPLES = 100


@dataclass(frozen=True, slots=True)
class Question:
    """What one row asks; or, where `content` is None, the reason why it asks nothing."""

    content: Content | None
    envelope: int = 0
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything about a question that is not the row.

    Parameters
    ----------
    column : hashable
        What the rows are about.
    template : str, callable or None
        Text with ``{column}`` in it; a function of a row; None for the column's own text.
    shared : dict
        Params all requests share.
    betas : tuple of str
        Beta headers.
    reply : Reply
        What is asked for.
    into : str
        The new column.
    key : hashable or None
        The column of unique row names.
    missing : {"skip", "raise", "send"}
        What to do with missing and blank values.
    fields : frozenset of str
        Names a callable's params may have.
    replicate : str
        The tag under which the rows are asked once more; empty for the first asking.
    turns : tuple of dict
        Messages before the row's own: examples, and what a template of several messages begins with.
    blocks : tuple of dict
        Content blocks before the row's own text: documents that all rows share.
    samples : int
        How often each row is asked. The first sample is asked under the replicate itself, the second under ``*2`` after
        it: so a further sample buys no earlier one again.
    """

    column: Hashable
    template: str | RowFunction | None
    shared: dict[str, Any]
    betas: tuple[str, ...]
    reply: Reply
    into: str
    key: Hashable | None = None
    missing: str = "skip"
    fields: frozenset[str] = frozenset()
    replicate: str = ""
    samples: int = 1
    turns: tuple[dict[str, Any], ...] = ()
    blocks: tuple[dict[str, Any], ...] = ()

    def spec(self) -> dict[str, Any]:
        """Describe the recipe as JSON, so that it can ask the same again; a callable cannot be described.

        What came later and is not used is not mentioned: the same job keeps its id.
        """
        spec = {
            "column": str(self.column),
            "template": "<callable>" if callable(self.template) else self.template,
            "callable": callable(self.template),
            "shared": self.shared,
            "betas": self.betas,
            "reply": self.reply.spec(),
            "into": self.into,
            "key": None if self.key is None else str(self.key),
            "missing": self.missing,
            "replicate": self.replicate,
        }
        later = {"samples": self.samples if self.samples > 1 else 0, "turns": self.turns, "blocks": self.blocks}
        return spec | {name: value for name, value in later.items() if value}

    @classmethod
    def from_spec(
        cls,
        spec: dict[str, Any],
        frame: pd.DataFrame,
        template: RowFunction | None = None,
        *,
        fields: frozenset[str] = frozenset(),
    ) -> Recipe:
        """Rebuild a recipe from its description, to look up what the rows of `frame` ask.

        Nothing is sent by it: so rows need no key, a missing value is no error, and a text template needs no more than
        the columns it reads. It asks for the first time, whatever the replicate was: that is the question by which
        later askings are found.

        Raises
        ------
        InputError
            The frame lacks a column, or the recipe had a callable template and none is given.
        """
        if spec["callable"] and template is None:
            raise InputError(
                "This job's template was a function, which the ledger cannot keep: pass it again as template=."
            )
        whole = spec["callable"] or spec["template"] is None
        return cls(
            column=_label(frame, spec["column"]) if whole else spec["column"],
            template=template if spec["callable"] else spec["template"],
            shared=spec["shared"],
            betas=tuple(spec["betas"]),
            reply=reply_from_spec(spec["reply"]),
            into=spec["into"],
            missing="skip" if spec["missing"] == "raise" else spec["missing"],
            fields=fields,
            samples=spec.get("samples", 1),
            turns=tuple(spec.get("turns", ())),
            blocks=tuple(spec.get("blocks", ())),
        )

    @property
    def model(self) -> str:
        """The model asked."""
        return str(self.shared["model"])

    def envelopes(self) -> tuple[Envelope, ...]:
        """Give the JSON around a row's part, one for each of ``SLOTS`` that this recipe can need."""
        return self._envelopes(self.replicate)

    def _envelopes(self, replicate: str) -> tuple[Envelope, ...]:
        slots = SLOTS if callable(self.template) or self.blocks else SLOTS[:1]
        return tuple(
            Envelope.around(
                self.shared, slot, betas=self.betas, replicate=replicate, turns=self.turns, blocks=self.blocks
            )
            for slot in slots
        )

    def asking(self) -> bytes:
        """Give a digest of what is asked of a row, whichever time it is asked: ``fresh=True`` counts by it."""
        spec = self.spec()
        asked = ("column", "template", "callable", "reply", "turns", "blocks")
        named = {name: spec[name] for name in asked if name in spec}
        named |= {"shared": canonical(self.shared), "betas": sorted(set(self.betas))}
        return hashlib.blake2b(msgspec.json.encode(named, order="sorted"), digest_size=16).digest()

    def compiled(self, frame: pd.DataFrame) -> Template:
        """Read a text template against the frame's columns."""
        if self.template is None:
            return whole_column(self.column)
        assert isinstance(self.template, str)  # noqa: S101  # callables never come here
        return compile_template(self.template, list(frame.columns))

    def questions(self, frame: pd.DataFrame) -> Iterator[Question]:
        """Give what each row of `frame` asks, in its order.

        Raises
        ------
        InputError
            A row cannot be asked; the message names it. With ``missing="raise"``, also for a missing value.
        """
        if callable(self.template):
            return self._called(frame, self.template)
        return self._filled(frame, self.compiled(frame))

    def _filled(self, frame: pd.DataFrame, template: Template) -> Iterator[Question]:
        columns = [column_values(frame, column) for column in template.columns]
        notes = self._notes(frame, list(template.columns), columns)
        kept = [[value for value, note in zip(values, notes, strict=True) if note is None] for values in columns]
        prompts = template.render_rows(kept)
        position = -1
        try:
            for position, note in enumerate(notes):  # noqa: B007  # the error below names the row
                yield Question(content_of(next(prompts))) if note is None else Question(None, note=note)
        except InputError as error:
            raise InputError(f"{_row(frame, position)}: {unsent(error)}") from error

    def _called(self, frame: pd.DataFrame, function: RowFunction) -> Iterator[Question]:
        notes = self._notes(frame, [self.column], [column_values(frame, self.column)])
        rows = zip(*(frame.iloc[:, place].tolist() for place in range(frame.shape[1])), strict=True)
        for position, (values, note) in enumerate(zip(rows, notes, strict=True)):
            if note is not None:
                yield Question(None, note=note)
                continue
            # dtype=object: whole numbers of one column must not become floats beside those of another.
            row = pd.Series(values, index=frame.columns, name=frame.index[position], dtype=object)
            try:
                value = function(row)
            except Exception as error:
                error.add_note(f"{_row(frame, position)}: raised by the template function. {NOT_SENT}")
                raise
            try:
                yield self._question_of(value)
            except InputError as error:
                raise InputError(f"{_row(frame, position)}: the template function: {unsent(error)}") from error

    def _question_of(self, value: Any) -> Question:
        """Read what a template function returned: text, content blocks, messages or params."""
        if value is None or (isinstance(value, str) and not value.strip()):
            return Question(None, note="the template function gave nothing to send")
        if isinstance(value, dict):
            check_names(value, self.fields | {"messages"}, "params")
            merged = {**self.shared, **value}
            wanted = self.reply.output_format()
            if wanted is not None:
                merged["output_config"] = with_format(merged["output_config"], wanted, "params")
            if not merged.get("messages"):
                raise InputError('the params it returned have no "messages"')
            return Question(content_of(merged), 2)
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            return Question(content_of(value), 1 if "role" in value[0] else 0)
        if isinstance(value, str):
            return Question(content_of(value))
        kind = type(value).__name__
        raise InputError(f"it returned {kind}; it may return text, content blocks, messages or a dict of params")

    def _notes(self, frame: pd.DataFrame, columns: Sequence[Hashable], values: Sequence[list[Any]]) -> list[str | None]:
        """Say of each row why it is skipped; None for those that are sent."""
        notes: list[str | None] = [None] * len(frame)
        if self.missing == "send":
            return notes
        blank = [
            all(isinstance(cell, str) and not cell.strip() for cell in cells) for cells in zip(*values, strict=True)
        ]
        for position, is_blank in enumerate(blank):
            if is_blank:
                notes[position] = "blank: there is no text to send"
        for column in columns:
            missing = _column(frame, column).isna().to_numpy()
            for position in missing.nonzero()[0].tolist():
                notes[position] = f"missing value in {str(column)!r}"
        if self.missing == "raise":
            for position, note in enumerate(notes):
                if note is not None:
                    raise InputError(
                        f'{_row(frame, position)}: {note}. {NOT_SENT} missing="skip" leaves such rows out.'
                    )
        return notes

    def rows(self, frame: pd.DataFrame) -> Iterator[Row]:
        """Give the rows of `frame` as the ledger takes them: each of them once for every sample."""
        tags = [f"*{sample}" if sample > 1 else "" for sample in range(1, self.samples + 1)]
        firsts = [self._envelopes(tag) for tag in tags]
        askings = [self._envelopes(self.replicate + tag) for tag in tags] if self.replicate else firsts
        samples = list(zip(askings, firsts, strict=True))
        keys = None if self.key is None else unique_keys(frame, self.key)
        for position, question in enumerate(self.questions(frame)):
            key = None if keys is None else keys[position]
            content = question.content
            if content is None:
                yield from itertools.repeat(Row(None, None, 0, "", key, question.note), self.samples)
                continue
            slot, label = question.envelope, label_of(position if key is None else key)
            for asking, first in samples:
                again = None if asking is first else first[slot].digest(content)
                yield Row(asking[slot].digest(content), content, slot, label, key, None, again)


def tag_of(fresh: Any) -> str:
    """Give the tag ``fresh=`` names: none for False and, since the ledger counts those, for True.

    Raises
    ------
    InputError
        It is no tag.
    """
    if isinstance(fresh, bool):
        return ""
    if not isinstance(fresh, str) or not _TAG.fullmatch(fresh):
        raise InputError(
            "fresh= takes True, which asks once more at every run, or a tag of 1 to 64 letters, digits, spaces and "
            f'_ . : / - such as fresh="second try", which asks once more per tag; not {str(fresh)[:80]!r}. {NOT_SENT}'
        )
    return str(fresh)


def check_samples(samples: Any) -> None:
    """Raise InputError unless `samples` is a whole number that a row can be asked for."""
    if isinstance(samples, bool) or not isinstance(samples, int) or not 1 <= samples <= MOST_SAMPLES:
        raise InputError(f"samples is a whole number from 1 to {MOST_SAMPLES}, not {samples!r}. {NOT_SENT}")


def unique_keys(frame: pd.DataFrame, key: Hashable) -> list[str]:
    """Give the rows' names as text, after checking that each row has one of its own."""
    values = _column(frame, key)
    if values.isna().any():
        raise InputError(f"key={key!r}: {_row(frame, int(values.isna().to_numpy().argmax()))} has no key. {NOT_SENT}")
    keys = [str(value) for value in values.tolist()]
    if len(set(keys)) < len(keys):
        seen: set[str] = set()
        twice = next(name for name in keys if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError(f"key={key!r}: the key {twice[:60]!r} names more than one row; keys must differ. {NOT_SENT}")
    return keys


def check_column(frame: pd.DataFrame, column: Hashable, argument: str = "column") -> None:
    """Raise InputError, with the nearest name, unless the frame has exactly one such column."""
    found = sum(1 for label in frame.columns if label == column)
    if found == 1:
        return
    if found:
        raise InputError(f"The frame has {found} columns called {column!r}; rename all but one. {NOT_SENT}")
    names = [str(label) for label in frame.columns]
    near = difflib.get_close_matches(str(column), names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"It has: {', '.join(map(repr, names[:20]))}."
    raise InputError(f"{argument}: the frame has no column {column!r}. {hint} {NOT_SENT}")


def column_values(frame: pd.DataFrame, column: Hashable) -> list[Any]:
    """Give a column's cells as Python objects."""
    return _column(frame, column).tolist()


def _column(frame: pd.DataFrame, column: Hashable) -> pd.Series[Any]:
    place = [label == column for label in frame.columns].index(True)
    return frame.iloc[:, place]


def _label(frame: pd.DataFrame, name: str) -> Hashable:
    """Find the column whose label reads `name`."""
    label: Hashable = next((label for label in frame.columns if str(label) == name), name)
    check_column(frame, label)
    return label


def _row(frame: pd.DataFrame, position: int) -> str:
    if position < 0:
        return "The frame"
    label = frame.index[position]
    # As text, since a label may be one that does not compare, such as NA.
    return f"Row {position}" if str(label) == str(position) else f"Row {position} (index {str(label)[:60]!r})"
