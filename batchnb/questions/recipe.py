"""A recipe and a frame to questions: what ``submit`` asks, what ``preview`` shows, what ``join`` looks up.

A recipe is everything about a question that is not the row. Read twice over the same frame it gives the same
questions, so none of them need be held in memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from batchnb.errors import NOT_SENT, InputError
from batchnb.questions.columns import bare, column_values, label_named, missing_places, row_name, rows_of, unique_keys
from batchnb.questions.envelope import Content, Envelope, blocks_of, content_of, label_of
from batchnb.questions.media import Attachment, Medium, check_together, is_nothing
from batchnb.questions.messages import Conversation, Message, compile_conversation
from batchnb.questions.model_defaults import as_sent, given_in
from batchnb.questions.params import check_names, checked_row, merged, unsent
from batchnb.questions.plain_text import text_digests, text_rows
from batchnb.questions.replies.base import Reply
from batchnb.questions.rows import CHUNK, Row, Rows, in_parts
from batchnb.questions.spec import RecipeSpec
from batchnb.questions.template import Template, compile_template, whole_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BLOCKS", "CONTENT", "MESSAGES", "PARAMS", "SLOTS", "MediaReader", "Question", "Recipe"]

#: What a row may give, in the order of a recipe's envelopes: see :class:`batchnb.questions.envelope.Envelope`.
SLOTS = ("content", "messages", "params", "blocks")
CONTENT, MESSAGES, PARAMS, BLOCKS = range(4)

RowFunction = Callable[[Any], Any]


class MediaReader(Protocol):
    """Reads what a cell of a column of images or documents holds: see :class:`batchnb.planning.attachments.Reader`."""

    def read(self, value: Any, kind: str) -> list[Attachment]:
        """Return the images or documents in a cell."""

    def medium(self, sha256: str) -> Medium | None:
        """Return what is known of a file that was read."""

    def bytes_of(self, sha256: str) -> bytes:
        """Return the bytes of a file that was read."""

    def tell(self, say: Callable[[str], object]) -> None:
        """Have said, once, how many files leave this machine, and from where."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one row asks; or, where `content` is None, the reason why it asks nothing."""

    content: Content | None
    envelope: int = 0
    note: str | None = None
    files: tuple[Medium, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything about a question that is not the row.

    Parameters
    ----------
    column : hashable
        What the rows are about.
    template : str, tuple of messages, callable or None
        Text with ``{column}`` in it, or several messages of such texts; a function of a row; None for the column's own
        text.
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
    vary : callable or None
        A function of a row that gives the params in which it differs from those shared.
    replicate : str
        The tag under which the rows are asked once more; empty for the first asking.
    turns : tuple of dict
        Messages before the row's own: examples, and what a template of several messages begins with.
    blocks : tuple of dict
        Content blocks before the row's own: documents and images that all rows share.
    files : tuple of Medium
        The files in them, and in the messages before.
    documents, images : tuple of hashable
        Columns that hold documents and images of each row, which stand before its text.
    reader : MediaReader or None
        Reads them.
    files_from : tuple of str
        The folders, besides the working folder, whose files cells may name.
    given : frozenset of str
        What of ``thinking``, ``effort`` and ``max_tokens`` the user has said: the rest is left to the model's defaults.
    samples : int
        How often each row is asked. The first sample is asked under the replicate itself, the second under ``*2`` after
        it: so a further sample buys no earlier one again.
    """

    column: Hashable
    template: str | tuple[Message, ...] | RowFunction | None
    shared: dict[str, Any]
    betas: tuple[str, ...]
    reply: Reply
    into: str
    key: Hashable | None = None
    missing: str = "skip"
    fields: frozenset[str] = frozenset()
    replicate: str = ""
    samples: int = 1
    given: frozenset[str] = frozenset()
    turns: tuple[dict[str, Any], ...] = ()
    blocks: tuple[dict[str, Any], ...] = ()
    vary: RowFunction | None = None
    files: tuple[Medium, ...] = ()
    documents: tuple[Hashable, ...] = ()
    images: tuple[Hashable, ...] = ()
    reader: MediaReader | None = None
    files_from: tuple[str, ...] = ()

    def spec(self, *, pilot: bool = False) -> RecipeSpec:
        """Describe the recipe, so that it can ask the same again; a callable cannot be described."""
        return RecipeSpec(
            column=str(self.column),
            template="<callable>" if callable(self.template) else self.template,
            callable=callable(self.template),
            shared=self.shared,
            betas=self.betas,
            reply_spec=self.reply.spec(),
            into=self.into,
            key=None if self.key is None else str(self.key),
            missing=self.missing,
            replicate=self.replicate,
            samples=self.samples,
            turns=self.turns,
            blocks=self.blocks,
            varies=self.vary is not None,
            documents=tuple(map(str, self.documents)),
            images=tuple(map(str, self.images)),
            files_from=self.files_from,
            pilot=pilot,
        )

    @classmethod
    def from_spec(
        cls,
        spec: RecipeSpec,
        frame: pd.DataFrame,
        template: RowFunction | None = None,
        *,
        params: RowFunction | None = None,
        fields: frozenset[str] = frozenset(),
        reader: MediaReader | None = None,
    ) -> Recipe:
        """Rebuild a recipe from its description, to look up what the rows of `frame` ask.

        Nothing is sent by it: so rows need no key, a missing value is no error, and a text template needs no more than
        the columns it reads. It asks for the first time, whatever the replicate was: that is the question by which
        later askings are found.

        Raises
        ------
        InputError
            The frame lacks a column, or the recipe had functions, and they are not given.
        """
        for name, was, function in (("template", spec.callable, template), ("params", spec.varies, params)):
            if was and function is None:
                raise InputError(
                    f"This job's {name} was a function, which the ledger cannot keep: pass it again as {name}=."
                )
        whole = spec.callable or spec.template is None
        return cls(
            column=label_named(frame, spec.column) if whole else spec.column,
            template=template if spec.callable else spec.template,
            shared=spec.shared,
            betas=spec.betas,
            reply=spec.reply,
            into=spec.into,
            missing="skip" if spec.missing == "raise" else spec.missing,
            fields=fields,
            samples=spec.samples,
            turns=spec.turns,
            blocks=spec.blocks,
            vary=params if spec.varies else None,
            documents=tuple(label_named(frame, name) for name in spec.documents),
            images=tuple(label_named(frame, name) for name in spec.images),
            reader=reader,
        )

    @property
    def model(self) -> str:
        """The model asked."""
        return str(self.shared["model"])

    @property
    def sent(self) -> dict[str, Any]:
        """The params all requests share as they are sent: with what the model needs said."""
        return self._as_sent(self.shared, self.given)

    def _as_sent(self, params: Mapping[str, Any], given: frozenset[str]) -> dict[str, Any]:
        return as_sent(params, given, typed=self.reply.output_format() is not None)

    @property
    def calls(self) -> bool:
        """Whether a function of the user's says what a row asks: it is called once for each row, and may be slow."""
        return callable(self.template) or self.vary is not None

    @property
    def _own_media(self) -> tuple[Hashable, ...]:
        return (*self.documents, *self.images)

    @property
    def _carries(self) -> bool:
        """Whether images or documents stand before what the rows say."""
        return bool(self.blocks or self.documents or self.images)

    def envelopes(self) -> tuple[Envelope, ...]:
        """Return the JSON around a row's part, one for each of ``SLOTS`` that this recipe can need."""
        return self._envelopes(self.replicate)

    def recorded(self, envelopes: Iterable[Envelope]) -> tuple[tuple[Envelope, tuple[str, ...], dict[str, Any]], ...]:
        """Return envelopes as a job is recorded with them: each with the beta headers, and with the reply asked for."""
        return tuple((envelope, self.betas, self.reply.spec()) for envelope in envelopes)

    def _envelopes(self, replicate: str) -> tuple[Envelope, ...]:
        single = isinstance(self.template, str) or self.template is None
        slots = SLOTS[:1] if single and not self._carries and self.vary is None else SLOTS
        sent = self.sent
        return tuple(
            Envelope.around(
                self.shared, slot, sent=sent, betas=self.betas, replicate=replicate, turns=self.turns,
                blocks=self.blocks,
            )
            for slot in slots
        )  # fmt: skip

    def compiled(self, frame: pd.DataFrame) -> Template | Conversation:
        """Read a template of text, or of messages, against the frame's columns."""
        if self.template is None:
            # An image is no text: where it is what the rows are about, nothing else is sent.
            return Template("", ()) if self.column in self._own_media else whole_column(self.column)
        assert not callable(self.template)  # noqa: S101  # callables never come here
        if isinstance(self.template, str):
            return compile_template(self.template, list(frame.columns), bare=bool(self._own_media))
        return compile_conversation(self.template, list(frame.columns))

    def questions(self, frame: pd.DataFrame) -> Iterator[Question]:
        """Return what each row of `frame` asks, in its order.

        Raises
        ------
        InputError
            A row cannot be asked; the message names it. With ``missing="raise"``, also for a missing value.
        """
        frame = bare(frame)
        if callable(self.template):
            return self._called(frame, self.template)
        return self._filled(frame, self.compiled(frame))

    def _filled(self, frame: pd.DataFrame, template: Template | Conversation) -> Iterator[Question]:
        columns = [column_values(frame, column) for column in template.columns]
        notes = self.notes(frame, list(template.columns), columns)
        kept = [[value for value, note in zip(values, notes, strict=True) if note is None] for values in columns]
        prompts: Iterator[Any] = template.render_rows(kept)
        if not columns:  # the rows differ in their images alone
            prompts = itertools.repeat("".join(text for text, _ in template.pieces([])))
        differing, attached = self._differing(frame, notes), self._attached(frame)
        plain = self.vary is None and isinstance(template, Template) and not self._carries
        for position, note in enumerate(notes):
            given = {} if plain else next(differing)
            try:
                if note is not None:
                    yield Question(None, note=note)
                elif plain:
                    yield Question(content_of(next(prompts)))
                else:
                    yield self._asked(next(prompts), given, attached(position))
            except InputError as error:
                raise InputError(f"{row_name(frame, position)}: {unsent(error)}") from error

    def _called(self, frame: pd.DataFrame, function: RowFunction) -> Iterator[Question]:
        notes = self.notes(frame, [self.column], [column_values(frame, self.column)])
        differing, attached = self._differing(frame, notes), self._attached(frame)
        for position, (row, note) in enumerate(zip(rows_of(frame), notes, strict=True)):
            given = next(differing)
            if note is not None:
                yield Question(None, note=note)
                continue
            value = _call(function, row, row_name(frame, position), "template")
            try:
                media = attached(position)
            except InputError as error:
                raise InputError(f"{row_name(frame, position)}: {unsent(error)}") from error
            try:
                yield self._question_of(value, given, media)
            except InputError as error:
                raise InputError(f"{row_name(frame, position)}: the template function: {unsent(error)}") from error

    def _differing(self, frame: pd.DataFrame, notes: Sequence[str | None]) -> Iterator[Mapping[str, Any]]:
        """Yield the params in which each row differs from the shared ones; none for rows that are skipped."""
        if self.vary is None:
            yield from itertools.repeat({}, len(notes))
            return
        for position, (row, note) in enumerate(zip(rows_of(frame), notes, strict=True)):
            given = _call(self.vary, row, row_name(frame, position), "params") if note is None else None
            try:
                yield checked_row(given, self.fields)
            except InputError as error:
                raise InputError(f"{row_name(frame, position)}: {unsent(error)}") from error

    def _attached(self, frame: pd.DataFrame) -> Callable[[int], list[Attachment]]:
        """Return what reads the documents and images of a row, by its position."""
        columns = [
            (kind, column_values(frame, column))
            for kind, labels in (("document", self.documents), ("image", self.images))
            for column in labels
        ]
        reader = self.reader
        if reader is None:
            if columns:
                raise InputError("This recipe's images and documents cannot be read here.")
            return lambda position: []  # noqa: ARG005
        return lambda position: [one for kind, cells in columns for one in reader.read(cells[position], kind)]

    def _question_of(self, value: Any, given: Mapping[str, Any], media: Sequence[Attachment]) -> Question:
        """Read what a template function returned: text, content blocks, messages or params."""
        if value is None or (isinstance(value, str) and not value.strip() and not media):
            return Question(None, note="the template function gave nothing to send")
        is_list = isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)
        if self._carries and (isinstance(value, dict) or (is_list and "role" in value[0])):
            raise InputError(
                "beside images= or documents= it may return text or content blocks; in messages and params, it puts "
                "them where they belong itself"
            )
        if isinstance(value, dict):
            check_names(value, self.fields | {"messages"}, "params")
            if not value.get("messages"):
                raise InputError('the params it returned have no "messages"')
            return self._whole({**given, **value}, value["messages"])
        if isinstance(value, str) or is_list:
            return self._asked(value, given, media)
        kind = type(value).__name__
        raise InputError(f"it returned {kind}; it may return text, content blocks, messages or a dict of params")

    def _asked(self, value: Any, given: Mapping[str, Any], media: Sequence[Attachment]) -> Question:
        """Put together what a row asks: its text, content blocks or messages, and the params given for it alone.

        Documents and images stand before its text; of several messages, in the last.
        """
        own = tuple(one.medium for one in media if one.medium is not None)
        files = (*self.files, *own)
        if self._carries:
            check_together(files, len(media) - len(own))
        blocks = [one.block for one in media]
        if isinstance(value, list) and "role" in value[0]:
            if self._carries:
                value = [*value[:-1], {**value[-1], "content": _beside([*self.blocks, *blocks], value[-1]["content"])}]
            if given:
                return self._whole(given, value, files)
            return Question(content_of([*self.turns, *value]), MESSAGES, files=files)
        if self._carries:
            value = _beside(blocks, value)
            if not value:
                return Question(None, note="blank: there is nothing to send")
        if given:
            content = [*self.blocks, *value] if self._carries else value
            return self._whole(given, [{"role": "user", "content": content}], files)
        return (
            Question(blocks_of(value), BLOCKS, files=files)
            if self._carries
            else Question(content_of(value), files=files)
        )

    def _whole(self, given: Mapping[str, Any], messages: Any, files: tuple[Medium, ...] | None = None) -> Question:
        """Write the whole params of a row that differs in them from the others."""
        if self.turns:
            messages = [*self.turns, *messages]
        params = merged(self.shared, given, self.reply, self.betas, "params")
        sent = self._as_sent(params, self.given | given_in(given))
        content = content_of({**params, "messages": messages}, sent={**sent, "messages": messages})
        return Question(content, PARAMS, files=self.files if files is None else files)

    def notes(self, frame: pd.DataFrame, columns: Sequence[Hashable], values: Sequence[list[Any]]) -> list[str | None]:
        """Say of each row why it is skipped; None for those that are sent."""
        notes: list[str | None] = [None] * len(frame)
        if self.missing == "send":
            return notes
        if not self._own_media:  # a row that has an image need not say anything
            for position in _blank(values):
                notes[position] = "blank: there is no text to send"
        missing = [(column, missing_places(cells)) for column, cells in zip(columns, values, strict=True)]
        for column in self._own_media:
            held = column_values(frame, column)
            missing.append((column, [position for position, cell in enumerate(held) if is_nothing(cell)]))
        for column, positions in missing:
            for position in positions:
                notes[position] = f"missing value in {str(column)!r}"
        if self.missing == "raise":
            first = next((position for position, note in enumerate(notes) if note is not None), None)
            if first is not None:
                raise InputError(
                    f'{row_name(frame, first)}: {notes[first]}. {NOT_SENT} missing="skip" leaves such rows out.'
                )
        return notes

    def digests(self, frame: pd.DataFrame) -> Iterator[bytes | None]:
        """Return the digest of what each sample of each row of `frame` asks; None where a row asks nothing.

        Raises
        ------
        InputError
            As `questions`.
        """
        frame, template = bare(frame), self._plain(frame)
        if template is not None:
            return text_digests(self, frame, template)
        return (row.digest for row in self.rows(frame))

    def parts(
        self, frame: pd.DataFrame, digests: Sequence[bytes | None], new: Collection[bytes] = frozenset()
    ) -> Iterator[Rows]:
        """Return the rows of `frame` as the ledger takes them, some at a time.

        Parameters
        ----------
        frame : DataFrame
            The rows.
        digests : sequence of bytes or None
            As `digests` gave them, of the same frame, so that they are not made once more.
        new : collection of bytes
            What is to be asked. Rows that ask other things may come without their content.
        """
        frame, template = bare(frame), self._plain(frame)
        if template is None:
            return in_parts(self.rows(frame), CHUNK)
        return text_rows(self, frame, template, digests, new)

    def _plain(self, frame: pd.DataFrame) -> Template | None:
        """Return the template that makes the rows' texts, where they ask nothing but text."""
        if self.vary is not None or self._carries or callable(self.template):
            return None
        template = self.compiled(frame)
        return template if isinstance(template, Template) and template.columns else None

    def sampled(self) -> list[tuple[Envelope, Envelope]]:
        """Return the envelope around the text of each sample of a row: as it is asked now, and as it first was.

        The same one twice where this is the first time.
        """
        return [(asking[CONTENT], first[CONTENT]) for asking, first in self._samples()]

    def _samples(self) -> list[tuple[tuple[Envelope, ...], tuple[Envelope, ...]]]:
        tags = [f"*{sample}" if sample > 1 else "" for sample in range(1, self.samples + 1)]
        firsts = [self._envelopes(tag) for tag in tags]
        askings = [self._envelopes(self.replicate + tag) for tag in tags] if self.replicate else firsts
        return list(zip(askings, firsts, strict=True))

    def rows(self, frame: pd.DataFrame) -> Iterator[Row]:
        """Yield the rows of `frame` one by one: each of them once for every sample."""
        samples = self._samples()
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
                yield Row(asking[slot].digest(content), content, slot, label, key, None, again, question.files)


def _blank(values: Sequence[list[Any]]) -> list[int]:
    """Find the rows whose cells are all blank texts."""
    if len(values) == 1:
        (cells,) = values
        return [place for place, cell in enumerate(cells) if isinstance(cell, str) and (not cell or cell.isspace())]
    return [place for place, cells in enumerate(zip(*values, strict=True)) if _are_blank(cells)]


def _are_blank(cells: Sequence[Any]) -> bool:
    for cell in cells:  # noqa: SIM110  # all() of a generator takes three times as long, and there are many rows
        if not isinstance(cell, str) or cell.strip():
            return False
    return True


def _beside(blocks: Sequence[dict[str, Any]], said: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put documents and images before what a row says; it need not say anything."""
    if isinstance(said, list):
        return [*blocks, *said]
    return [*blocks, {"type": "text", "text": said}] if said.strip() else list(blocks)


def _call(function: RowFunction, row: pd.Series[Any], name: str, what: str) -> Any:
    try:
        return function(row)
    except Exception as error:
        error.add_note(f"{name}: raised by the {what} function. {NOT_SENT}")
        raise
