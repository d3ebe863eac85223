"""What each row of a frame asks under a recipe, row by row: the general way, whatever the template is.

Read twice over the same frame, a recipe gives the same questions, so none of them need be held in memory. Rows of plain
text alone have a faster way, :mod:`batchnb.questions.plain_text`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchnb.errors import NOT_SENT, InputError
from batchnb.questions.columns import bare, column_values, missing_places, row_name, rows_of
from batchnb.questions.envelope import Content, blocks_of, content_of
from batchnb.questions.media import Attachment, Medium, check_together, is_nothing
from batchnb.questions.messages import Conversation
from batchnb.questions.model_defaults import given_in
from batchnb.questions.params import check_names, checked_row, merged, unsent
from batchnb.questions.recipe import BLOCKS, CONTENT, MESSAGES, PARAMS, Recipe, RowFunction
from batchnb.questions.template import Template

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Question", "read_questions", "skip_notes"]


@dataclass(frozen=True, slots=True)
class Question:
    """What one row asks; or, where `content` is None, the reason why it asks nothing.

    Parameters
    ----------
    content : Content or None
        What varies from row to row.
    slot : int
        Where that goes: the place of its envelope among those of the recipe.
    note : str or None
        Why the row is skipped.
    files : tuple of Medium
        The files that its request names by their content.
    """

    content: Content | None
    slot: int = CONTENT
    note: str | None = None
    files: tuple[Medium, ...] = ()


def read_questions(recipe: Recipe, frame: pd.DataFrame) -> Iterator[Question]:
    """Return what each row of `frame` asks, in its order.

    Raises
    ------
    InputError
        A row cannot be asked; the message names it. With ``missing="raise"``, also for a missing value.
    """
    frame = bare(frame)
    if callable(recipe.template):
        return _of_function(recipe, frame, recipe.template)
    return _of_template(recipe, frame, recipe.compiled(frame))


def _of_template(recipe: Recipe, frame: pd.DataFrame, template: Template | Conversation) -> Iterator[Question]:
    columns = [column_values(frame, column) for column in template.columns]
    notes = skip_notes(recipe, frame, list(template.columns), columns)
    kept = [[value for value, note in zip(values, notes, strict=True) if note is None] for values in columns]
    prompts: Iterator[Any] = template.render_rows(kept)
    if not columns:  # the rows differ in their images alone
        prompts = itertools.repeat("".join(text for text, _ in template.pieces([])))
    own_params, media_at = _own_params(recipe, frame, notes), _media_at(recipe, frame)
    plain = recipe.vary is None and isinstance(template, Template) and not recipe.has_media
    for position, note in enumerate(notes):
        params = {} if plain else next(own_params)
        try:
            if note is not None:
                yield Question(None, note=note)
            elif plain:
                yield Question(content_of(next(prompts)))
            else:
                yield _asking(recipe, next(prompts), params, media_at(position))
        except InputError as error:
            raise InputError(f"{row_name(frame, position)}: {unsent(error)}") from error


def _of_function(recipe: Recipe, frame: pd.DataFrame, function: RowFunction) -> Iterator[Question]:
    notes = skip_notes(recipe, frame, [recipe.column], [column_values(frame, recipe.column)])
    own_params, media_at = _own_params(recipe, frame, notes), _media_at(recipe, frame)
    for position, (row, note) in enumerate(zip(rows_of(frame), notes, strict=True)):
        params = next(own_params)
        if note is not None:
            yield Question(None, note=note)
            continue
        prompt = _call(function, row, row_name(frame, position), "template")
        try:
            media = media_at(position)
        except InputError as error:
            raise InputError(f"{row_name(frame, position)}: {unsent(error)}") from error
        try:
            yield _returned(recipe, prompt, params, media)
        except InputError as error:
            raise InputError(f"{row_name(frame, position)}: the template function: {unsent(error)}") from error


def _own_params(recipe: Recipe, frame: pd.DataFrame, notes: Sequence[str | None]) -> Iterator[Mapping[str, Any]]:
    """Yield the params in which each row differs from the shared ones; none for rows that are skipped."""
    if recipe.vary is None:
        yield from itertools.repeat({}, len(notes))
        return
    for position, (row, note) in enumerate(zip(rows_of(frame), notes, strict=True)):
        params = _call(recipe.vary, row, row_name(frame, position), "params") if note is None else None
        try:
            yield checked_row(params, recipe.fields)
        except InputError as error:
            raise InputError(f"{row_name(frame, position)}: {unsent(error)}") from error


def _media_at(recipe: Recipe, frame: pd.DataFrame) -> Callable[[int], list[Attachment]]:
    """Return what reads the documents and images of a row, by its position."""
    columns = [
        (kind, column_values(frame, column))
        for kind, labels in (("document", recipe.documents), ("image", recipe.images))
        for column in labels
    ]
    reader = recipe.reader
    if reader is None:
        if columns:
            raise InputError("This recipe's images and documents cannot be read here.")
        return lambda position: []  # noqa: ARG005
    return lambda position: [medium for kind, cells in columns for medium in reader.read(cells[position], kind)]


def _returned(recipe: Recipe, prompt: Any, params: Mapping[str, Any], media: Sequence[Attachment]) -> Question:
    """Read what a template function returned: text, content blocks, messages or params."""
    if prompt is None or (isinstance(prompt, str) and not prompt.strip() and not media):
        return Question(None, note="the template function gave nothing to send")
    is_list = isinstance(prompt, list) and bool(prompt) and all(isinstance(one, dict) for one in prompt)
    if recipe.has_media and (isinstance(prompt, dict) or (is_list and "role" in prompt[0])):
        raise InputError(
            "beside images= or documents= it may return text or content blocks; in messages and params, it puts "
            "them where they belong itself"
        )
    if isinstance(prompt, dict):
        check_names(prompt, recipe.fields | {"messages"}, "params")
        if not prompt.get("messages"):
            raise InputError('the params it returned have no "messages"')
        return _with_params(recipe, {**params, **prompt}, prompt["messages"])
    if isinstance(prompt, str) or is_list:
        return _asking(recipe, prompt, params, media)
    kind = type(prompt).__name__
    raise InputError(f"it returned {kind}; it may return text, content blocks, messages or a dict of params")


def _asking(recipe: Recipe, prompt: Any, params: Mapping[str, Any], media: Sequence[Attachment]) -> Question:
    """Put together what a row asks: its text, content blocks or messages, and the params given for it alone.

    Documents and images stand before its text; of several messages, in the last.
    """
    own = tuple(one.medium for one in media if one.medium is not None)
    files = (*recipe.files, *own)
    if recipe.has_media:
        check_together(files, len(media) - len(own))
    blocks = [one.block for one in media]
    if isinstance(prompt, list) and "role" in prompt[0]:
        if recipe.has_media:
            last = {**prompt[-1], "content": _beside([*recipe.blocks, *blocks], prompt[-1]["content"])}
            prompt = [*prompt[:-1], last]
        if params:
            return _with_params(recipe, params, prompt, files)
        return Question(content_of([*recipe.turns, *prompt]), MESSAGES, files=files)
    if recipe.has_media:
        prompt = _beside(blocks, prompt)
        if not prompt:
            return Question(None, note="blank: there is nothing to send")
    if params:
        content = [*recipe.blocks, *prompt] if recipe.has_media else prompt
        return _with_params(recipe, params, [{"role": "user", "content": content}], files)
    if recipe.has_media:
        return Question(blocks_of(prompt), BLOCKS, files=files)
    return Question(content_of(prompt), files=files)


def _with_params(
    recipe: Recipe, params: Mapping[str, Any], messages: Any, files: tuple[Medium, ...] | None = None
) -> Question:
    """Write the whole params of a row that differs in them from the others."""
    if recipe.turns:
        messages = [*recipe.turns, *messages]
    whole = merged(recipe.shared, params, recipe.reply, recipe.betas, "params")
    sent = recipe.as_sent(whole, recipe.given | given_in(params))
    content = content_of({**whole, "messages": messages}, sent={**sent, "messages": messages})
    return Question(content, PARAMS, files=recipe.files if files is None else files)


def _beside(blocks: Sequence[dict[str, Any]], prompt: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put documents and images before what a row says; it need not say anything."""
    if isinstance(prompt, list):
        return [*blocks, *prompt]
    return [*blocks, {"type": "text", "text": prompt}] if prompt.strip() else list(blocks)


def _call(function: RowFunction, row: pd.Series[Any], name: str, what: str) -> Any:
    try:
        return function(row)
    except Exception as error:
        error.add_note(f"{name}: raised by the {what} function. {NOT_SENT}")
        raise


# Rows that are skipped


def skip_notes(
    recipe: Recipe, frame: pd.DataFrame, columns: Sequence[Hashable], values: Sequence[list[Any]]
) -> list[str | None]:
    """Say of each row why it is skipped; None for those that are sent.

    Parameters
    ----------
    recipe, frame
        What is asked, and the rows.
    columns : sequence of hashable
        The columns that the template reads.
    values : sequence of list
        The cells of each of them.

    Raises
    ------
    InputError
        A row would be skipped, and the recipe says ``missing="raise"``.
    """
    notes: list[str | None] = [None] * len(frame)
    if recipe.missing == "send":
        return notes
    if not recipe.own_media:  # a row that has an image need not say anything
        for position in _blank(values):
            notes[position] = "blank: there is no text to send"
    missing = [(column, missing_places(cells)) for column, cells in zip(columns, values, strict=True)]
    for column in recipe.own_media:
        cells = column_values(frame, column)
        missing.append((column, [position for position, cell in enumerate(cells) if is_nothing(cell)]))
    for column, positions in missing:
        for position in positions:
            notes[position] = f"missing value in {str(column)!r}"
    if recipe.missing == "raise":
        first = next((position for position, note in enumerate(notes) if note is not None), None)
        if first is not None:
            raise InputError(
                f'{row_name(frame, first)}: {notes[first]}. {NOT_SENT} missing="skip" leaves such rows out.'
            )
    return notes


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
