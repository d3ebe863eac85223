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
from batchnb.planning.cache_choice import check_cache
from batchnb.planning.limit import limit_of
from batchnb.planning.options import Options
from batchnb.planning.record import Wishes
from batchnb.planning.session import Session
from batchnb.questions.columns import check_column, name_of
from batchnb.questions.envelope import content_of
from batchnb.questions.examples import example_turns
from batchnb.questions.media import Medium
from batchnb.questions.media_sources import shas_in
from batchnb.questions.messages import Message, opened
from batchnb.questions.model_defaults import given_in
from batchnb.questions.params import check_names, shared_params, split_betas, tools_of
from batchnb.questions.recipe import MediaReader, Recipe
from batchnb.questions.replies.base import Reply
from batchnb.questions.replies.reply import reply_of
from batchnb.questions.scalars import check_texts, whole

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_frame", "recipe_of", "wishes_of"]

#: A tag of the user's own. What batchnb adds to tags has other characters: "#1" counts, "*2" is the second sample.
_TAG = re.compile(r"[\w .:/-]{1,64}")

#: Samples of one row, at most.
MOST_SAMPLES = 100


def check_frame(frame: pd.DataFrame, column: Hashable) -> None:
    """Raise InputError unless the frame has rows, and exactly one such column."""
    if len(frame) == 0:
        raise InputError(f"The frame has no rows, so there is nothing to ask. {NOT_SENT}")
    check_column(frame, column)


def wishes_of(options: Options) -> Wishes:
    """Check the options that say how a job is sent, and put them together. Touches no network.

    Raises
    ------
    InputError
        One of them makes no sense.
    """
    check_cache(options.cache)
    check_texts(name=options.name)
    retries = whole(options.retries)
    if retries is None or retries < 0:
        raise InputError(f"retries is a whole number from 0, not {options.retries!r}. {NOT_SENT}")
    limit = limit_of(options.max_cost, options.if_over)
    return Wishes(options.name, options.batch_size, retries, options.cache, limit)


def recipe_of(
    session: Session, frame: pd.DataFrame, column: Hashable,
    template: str | Sequence[Message] | Callable[[Any], Any] | None, options: Options,
) -> Recipe:  # fmt: skip
    """Check what is to be asked about a frame, and put it together.

    Touches no network.

    Raises
    ------
    InputError
        The frame or the options cannot be sent.
    """
    model = options.model or session.model
    _check(frame, column, template, model, options)
    recipe = _put_together(session, frame, column, template, model, options)
    if options.examples is not None:
        turns = (*recipe.turns, *example_turns(options.examples, recipe, frame))
        recipe = dataclasses.replace(recipe, turns=turns, files=(*recipe.files, *_files_in(turns, recipe.reader)))
    _check_new_columns(session, frame, recipe, options)
    if options.fresh is True:
        return dataclasses.replace(recipe, replicate=session.ledger.askings.fresh_tag(recipe.spec().asked_digest()))
    return recipe


def _put_together(
    session: Session, frame: pd.DataFrame, column: Hashable,
    template: str | Sequence[Message] | Callable[[Any], Any] | None, model: str, options: Options,
) -> Recipe:  # fmt: skip
    """Make a recipe of a call, but for its examples, which go through the template as rows do."""
    samples = _checked_samples(options.samples)
    vary, params = (options.params, {}) if callable(options.params) else (None, options.params or {})
    params, betas = split_betas(params)
    if options.model is not None and "model" in params:
        raise InputError(f"model is given twice: as model= and in params=. Keep one. {NOT_SENT}")
    fields = session.fields(betas)
    check_names(params, fields | {"messages"}, "params=")
    reply = reply_of(
        labels=options.labels, multiple=options.multiple, other=options.other, explain=options.explain,
        schema=options.schema, flatten=options.flatten, transform=transform_schema, prefixed=options.into is not None,
        tools=tools_of(params),
    )  # fmt: skip
    turns, own = _opened(template, frame)
    media = attachments_of(frame, options.images, options.documents, options.files_from)
    check_texts(images=media.images, documents=media.documents)  # the columns: names of files may hold anything
    return Recipe(
        column=column,
        template=own,
        shared=shared_params(
            reply, model=model, max_tokens=options.max_tokens, system=options.system, params=params,
            thinking=options.thinking, effort=options.effort, betas=betas,
        ),
        betas=betas,
        reply=reply,
        into=_stem(column, reply) if options.into is None else options.into,
        key=options.key,
        missing=options.missing,
        fields=fields,
        replicate=_tag_of(options.fresh),
        given=given_in(params, thinking=options.thinking, effort=options.effort, max_tokens=options.max_tokens),
        samples=samples,
        turns=turns,
        vary=vary,
        blocks=tuple(one.block for one in media.shared),
        files=tuple(one.medium for one in media.shared if one.medium is not None),
        documents=media.documents,
        images=media.images,
        reader=media.reader,
        files_from=() if media.reader is None else media.reader.folders.named,
    )  # fmt: skip


def _check(frame: pd.DataFrame, column: Hashable, template: object, model: str, options: Options) -> None:
    """Raise InputError for what can be told at once: texts, columns, and what to do where a value is missing."""
    check_texts(
        column=column, template=template, into=options.into, labels=options.labels, other=options.other,
        schema=options.schema, system=options.system, model=model, params=options.params, key=options.key,
    )  # fmt: skip
    check_frame(frame, column)
    if options.key is not None:
        check_column(frame, options.key, "key")
    if options.missing not in ("skip", "raise", "send"):
        raise InputError(f'missing= takes "skip", "raise" or "send", not {options.missing!r}. {NOT_SENT}')


def _check_new_columns(session: Session, frame: pd.DataFrame, recipe: Recipe, options: Options) -> None:
    """Raise InputError where a new column would replace one that batchnb did not make, or that is read."""
    read = (recipe.column,) if callable(recipe.template) else recipe.compiled(frame).columns
    read = (*read, *recipe.documents, *recipe.images, *(() if recipe.key is None else (recipe.key,)))
    check_into(
        frame, recipe.into, read, overwrite=options.overwrite, samples=recipe.samples, reply=recipe.reply,
        earlier=lambda: session.ledger.jobs.for_column(str(recipe.column), recipe.into),
    )  # fmt: skip
    if options.details:
        taken = detail_in_the_way(
            frame, recipe.into, read, overwrite=options.overwrite, samples=recipe.samples, reply=recipe.reply
        )
        if taken is not None:
            raise InputError(f"{taken} {NOT_SENT}")


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
