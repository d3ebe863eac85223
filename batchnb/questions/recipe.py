"""A recipe: everything about a question that is not the row. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from batchnb.errors import InputError
from batchnb.questions.columns import label_named
from batchnb.questions.envelope import Envelope
from batchnb.questions.media import Attachment, Medium
from batchnb.questions.messages import Conversation, Message, compile_conversation
from batchnb.questions.model_defaults import as_sent
from batchnb.questions.replies.base import Reply
from batchnb.questions.spec import RecipeSpec
from batchnb.questions.template import Template, compile_template, whole_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BLOCKS", "CONTENT", "MESSAGES", "PARAMS", "SLOTS", "MediaReader", "Recipe", "RowFunction"]

#: What a row may give, in the order of a recipe's envelopes: see :class:`batchnb.questions.envelope.Envelope`.
SLOTS = ("content", "messages", "params", "blocks")
CONTENT, MESSAGES, PARAMS, BLOCKS = range(4)

#: A function of a row, such as a template may be.
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
        return self.as_sent(self.shared, self.given)

    def as_sent(self, params: Mapping[str, Any], given: frozenset[str]) -> dict[str, Any]:
        """Return params as they are sent; of ``thinking``, ``effort`` and ``max_tokens``, the user has said `given`."""
        return as_sent(params, given, typed=self.reply.output_format() is not None)

    @property
    def calls(self) -> bool:
        """Whether a function of the user's says what a row asks: it is called once for each row, and may be slow."""
        return callable(self.template) or self.vary is not None

    @property
    def own_media(self) -> tuple[Hashable, ...]:
        """The columns that hold documents and images of each row."""
        return (*self.documents, *self.images)

    @property
    def has_media(self) -> bool:
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
        slots = SLOTS[:1] if single and not self.has_media and self.vary is None else SLOTS
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
            return Template("", ()) if self.column in self.own_media else whole_column(self.column)
        assert not callable(self.template)  # noqa: S101  # callables never come here
        if isinstance(self.template, str):
            return compile_template(self.template, list(frame.columns), bare=bool(self.own_media))
        return compile_conversation(self.template, list(frame.columns))

    def sample_envelopes(self) -> list[tuple[tuple[Envelope, ...], tuple[Envelope, ...]]]:
        """Return the `envelopes` of each sample of a row: as it is asked now, and as it was asked first.

        The same ones twice where this is the first time.
        """
        tags = [f"*{sample}" if sample > 1 else "" for sample in range(1, self.samples + 1)]
        firsts = [self._envelopes(tag) for tag in tags]
        now = [self._envelopes(self.replicate + tag) for tag in tags] if self.replicate else firsts
        return list(zip(now, firsts, strict=True))
