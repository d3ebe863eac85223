"""What a call of ``df.batch`` asks for: its arguments checked, and put together to a recipe."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from batchnb.answers.new_columns import check_into, detail_in_the_way
from batchnb.api.sdk import transform_schema
from batchnb.errors import NOT_SENT, InputError
from batchnb.planning.attachments import attachments_of
from batchnb.questions.columns import check_column, name_of
from batchnb.questions.envelope import content_of
from batchnb.questions.examples import example_turns
from batchnb.questions.media import Medium, shas_in
from batchnb.questions.messages import Message, opened
from batchnb.questions.model_defaults import given_in
from batchnb.questions.params import check_names, shared_params, split_betas, tools_of
from batchnb.questions.recipe import MediaReader, Recipe
from batchnb.questions.replies.base import Reply
from batchnb.questions.replies.reply import reply_of
from batchnb.questions.scalars import check_texts, whole

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.jobs.workspace import Workspace

__all__ = ["check_frame", "recipe_of"]

#: A tag of the user's own. What batchnb adds to tags has other characters: "#1" counts, "*2" is the second sample.
_TAG = re.compile(r"[\w .:/-]{1,64}")

#: Samples of one row, at most.
MOST_SAMPLES = 100


def check_frame(frame: pd.DataFrame, column: Hashable) -> None:
    """Raise InputError unless the frame has rows, and exactly one such column."""
    if len(frame) == 0:
        raise InputError(f"The frame has no rows, so there is nothing to ask. {NOT_SENT}")
    check_column(frame, column)


def recipe_of(
    workspace: Workspace,
    frame: pd.DataFrame,
    column: Hashable,
    template: str | Sequence[Message] | Callable[[Any], Any] | None,
    *,
    into: str | None = None,
    labels: Any = None,
    multiple: bool = False,
    other: str | None = None,
    explain: bool = False,
    schema: Any = None,
    flatten: bool = False,
    examples: Any = None,
    images: Any = None,
    documents: Any = None,
    files_from: Any = None,
    system: Any = None,
    model: str | None = None,
    max_tokens: int | None = None,
    thinking: Any = None,
    effort: str | None = None,
    params: Any = None,
    key: Hashable | None = None,
    missing: str = "skip",
    fresh: bool | str = False,
    samples: int = 1,
    overwrite: bool = False,
    details: bool = False,
) -> Recipe:
    """Check the arguments of ``df.batch.submit`` that say what is asked, and put them together.

    Touches no network.

    Raises
    ------
    InputError
        The frame or the arguments cannot be sent.
    """
    check_texts(
        column=column, template=template, into=into, labels=labels, other=other, schema=schema, system=system,
        model=model or workspace.model, params=params, key=key,
    )  # fmt: skip
    check_frame(frame, column)
    if key is not None:
        check_column(frame, key, "key")
    if missing not in ("skip", "raise", "send"):
        raise InputError(f'missing= takes "skip", "raise" or "send", not {missing!r}. {NOT_SENT}')
    samples = _checked_samples(samples)
    given, betas = ({}, ()) if callable(params) else split_betas(params or {})
    if model is not None and "model" in given:
        raise InputError(f"model is given twice: as model= and in params=. Keep one. {NOT_SENT}")
    fields = workspace.fields(betas)
    check_names(given, fields | {"messages"}, "params=")
    reply = reply_of(
        labels=labels, multiple=multiple, other=other, explain=explain, schema=schema, flatten=flatten,
        transform=transform_schema, prefixed=into is not None, tools=tools_of(given),
    )  # fmt: skip
    turns, own = _opened(template, frame)
    media = attachments_of(frame, images, documents, files_from)
    check_texts(images=media.images, documents=media.documents)  # the columns: names of files may hold anything
    recipe = Recipe(
        column=column,
        template=own,
        shared=shared_params(
            reply, model=model or workspace.model, max_tokens=max_tokens, system=system, params=given,
            thinking=thinking, effort=effort, betas=betas,
        ),
        betas=betas,
        reply=reply,
        into=_stem(column, reply) if into is None else into,
        key=key,
        missing=missing,
        fields=fields,
        replicate=_tag_of(fresh),
        given=given_in(given, thinking=thinking, effort=effort, max_tokens=max_tokens),
        samples=samples,
        turns=turns,
        vary=params if callable(params) else None,
        blocks=tuple(one.block for one in media.shared),
        files=tuple(one.medium for one in media.shared if one.medium is not None),
        documents=media.documents,
        images=media.images,
        reader=media.reader,
        files_from=() if media.reader is None else media.reader.folders.named,
    )  # fmt: skip
    if examples is not None:
        turns = (*turns, *example_turns(examples, recipe, frame))
        recipe = dataclasses.replace(recipe, turns=turns, files=(*recipe.files, *_files_in(turns, media.reader)))
    read = (column,) if callable(template) else recipe.compiled(frame).columns
    read = (*read, *media.documents, *media.images, *(() if key is None else (key,)))
    check_into(
        frame, recipe.into, read, overwrite=overwrite, samples=samples, reply=reply,
        earlier=lambda: workspace.ledger.jobs.for_column(str(column), recipe.into),
    )  # fmt: skip
    if details:
        taken = detail_in_the_way(frame, recipe.into, read, overwrite=overwrite, samples=samples, reply=reply)
        if taken is not None:
            raise InputError(f"{taken} {NOT_SENT}")
    if fresh is True:
        return dataclasses.replace(recipe, replicate=workspace.ledger.askings.fresh_tag(recipe.spec().asked_digest()))
    return recipe


def _stem(column: Hashable, reply: Reply) -> str:
    """Return the default stem: a schema's fields have names of their own."""
    name = name_of(column)
    return f"{name}_{reply.suffix}" if reply.suffix else name


def _opened(
    template: Any, frame: pd.DataFrame
) -> tuple[tuple[Message, ...], str | tuple[Message, ...] | Callable[[Any], Any] | None]:
    """Part a template into messages that all rows share, and what is each row's own."""
    if isinstance(template, list | tuple):
        return opened(template, list(frame.columns))
    if template is None or isinstance(template, str) or callable(template):
        return (), template
    kind = type(template).__name__
    raise InputError(f"template takes text, a list of messages, a function of a row, or None, not {kind}. {NOT_SENT}")


def _files_in(turns: Sequence[Message], reader: MediaReader | None) -> list[Medium]:
    """Return the files that messages before the rows' own name: those of examples."""
    if reader is None:
        return []
    found = [reader.medium(sha256) for sha256 in shas_in(content_of(list(turns)).sent)]
    return [medium for medium in found if medium is not None]


def _tag_of(fresh: Any) -> str:
    """Return the tag ``fresh=`` names: none for False and, since the ledger counts those, for True.

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


def _checked_samples(samples: Any) -> int:
    """Return `samples` as an int, or raise InputError unless it is a whole number of times that a row can be asked."""
    number = whole(samples)
    if number is None or not 1 <= number <= MOST_SAMPLES:
        raise InputError(f"samples is a whole number from 1 to {MOST_SAMPLES}, not {samples!r}. {NOT_SENT}")
    return number
