"""The rows of a job, as the ledger gives them, to tables and files. Touches neither network nor ledger."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import msgspec
import pandas as pd

from batchnb.answers.details import Details
from batchnb.answers.judge import verdict_of
from batchnb.answers.layout import with_columns
from batchnb.answers.new_columns import (
    Columns,
    Earlier,
    column_in_the_way,
    detail_in_the_way,
    names_of,
    without_details,
)
from batchnb.answers.provenance import Provenance
from batchnb.answers.records import TELLING, Results, RowAnswer
from batchnb.errors import InputError
from batchnb.questions.bodies import custom_id, label_of
from batchnb.questions.cells import cell_text
from batchnb.questions.columns import check_column, column_values
from batchnb.questions.reading import read_digests, read_parts
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import Reply
from batchnb.questions.spec import RecipeSpec

__all__ = ["beside", "by_row", "columns", "custom_id_of", "failed", "merge", "merge_on", "names", "result_lines"]


def columns(parts: Iterable[Results], recipe: RecipeSpec, details: Details | None = None) -> dict[str, Any]:
    """Return a job's columns, in the order of its frame; with `details`, those too."""
    out = _columns(recipe)
    for part in parts:
        out.extend(part.results, part.notes, part.digests)
        if details is not None:
            details.extend(part.digests)
    return _arrays(out, details)


def beside(
    frame: pd.DataFrame, parts: Iterable[Results], recipe: RecipeSpec, details: Details | None = None, *,
    overwrite: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Return a job's frame plus its columns; `overwrite` is about those of details, the others were checked before.

    Raises
    ------
    InputError
        The frame has a column of its own where one of the details goes.
    """
    into = recipe.into
    if details is not None:
        taken = detail_in_the_way(frame, into, overwrite=overwrite, samples=recipe.samples, reply=recipe.reply)
        if taken is not None:
            raise InputError(taken)
    return with_columns(without_details(frame, into), columns(parts, recipe, details))


def _arrays(out: Columns, details: Details | None) -> dict[str, Any]:
    return out.arrays() | ({} if details is None else details.arrays())


def names(recipe: RecipeSpec) -> tuple[str, ...]:
    """Return the names of a job's columns."""
    return names_of(recipe.reply, recipe.into, recipe.samples)


def merge(
    frame: pd.DataFrame, recipe: Recipe, rows: Iterable[RowAnswer], *, overwrite: bool,
    details: Details | None = None, earlier: Earlier = tuple,
) -> pd.DataFrame:  # fmt: skip
    """Return `frame` plus a job's columns, matched by what its rows ask under the job's recipe.

    Raises
    ------
    InputError
        The frame has a column of its own where the new ones go.
    """
    _keep_free(frame, recipe.reply, recipe.into, recipe.samples, overwrite=overwrite, details=details, earlier=earlier)
    arrays = _columns_for(frame, recipe, rows, details)
    return with_columns(without_details(frame, recipe.into), arrays)


def merge_on(
    frame: pd.DataFrame, on: Hashable | None, rows: Iterable[RowAnswer], recipe: RecipeSpec, *, overwrite: bool,
    details: Details | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Return `frame` plus the columns of a batch made elsewhere, matched by the custom_ids in a column.

    Raises
    ------
    InputError
        Which column that is was not said, or there is none; or one of the frame's own stands where the new ones go.
    """
    if on is None:
        raise InputError("This batch was made elsewhere: say which column of the frame holds its custom_ids, on=...")
    check_column(frame, on, "on")
    _keep_free(frame, recipe.reply, recipe.into, overwrite=overwrite, details=details)
    named = {row.key: row for row in rows}
    out = _columns(recipe)
    for name in column_values(frame, on):
        # Missing ids give an empty text, which no custom_id is; whole floats lose their ".0".
        answer = named.get(cell_text(name, on))
        if answer is None:
            out.add_unknown()
        else:
            out.add(answer.result, _reason(answer), asked=True)
        if details is not None:
            details.add(answer and answer.digest)
    return with_columns(without_details(frame, recipe.into), _arrays(out, details))


def _keep_free(
    frame: pd.DataFrame, reply: Reply, into: str, samples: int = 1, *, overwrite: bool, details: Details | None,
    earlier: Earlier = tuple,
) -> None:  # fmt: skip
    replaced = None if overwrite else column_in_the_way(frame, into, samples, reply, earlier)
    if replaced is not None:
        raise InputError(
            f"The frame has a column {replaced!r}, which batchnb did not make. Rename it first; overwrite=True "
            "replaces it."
        )
    if details is not None:
        taken = detail_in_the_way(frame, into, overwrite=overwrite, samples=samples, reply=reply)
        if taken is not None:
            raise InputError(taken)


def _columns_for(
    frame: pd.DataFrame, recipe: Recipe, rows: Iterable[RowAnswer], details: Details | None
) -> dict[str, Any]:
    """Return a job's columns for the rows of any frame, matched by what they ask, whichever time the job asked it."""
    asked = {row.question: row for row in rows if row.question is not None}
    digests = list(read_digests(recipe, frame))
    notes = itertools.chain.from_iterable(part.notes for part in read_parts(recipe, frame, digests))
    out = _columns(recipe.spec())
    for digest, note in zip(digests, notes, strict=True):
        answer = None if digest is None else asked.get(digest)
        if digest is None:
            out.add(None, note, asked=False)
        elif answer is None:
            out.add_unknown()
        else:
            out.add(answer.result, _reason(answer), asked=True)
        if details is not None:
            details.add(answer and answer.digest)
    return _arrays(out, details)


def by_row(rows: Iterable[RowAnswer], recipe: RecipeSpec, details: Details | None = None) -> pd.DataFrame:
    """Return a job's columns as a frame of their own, by key, or by position where the job has no keys."""
    kept = list(rows)
    results = Results([row.digest for row in kept], [row.result for row in kept], [_reason(row) for row in kept])
    index = pd.Index([_name(row) for row in kept[:: recipe.samples]], name=recipe.key or "position")
    return with_columns(pd.DataFrame(index=index), columns([results], recipe, details))


def failed(rows: Iterable[RowAnswer], recipe: RecipeSpec, labels: pd.Index[Any] | None) -> pd.DataFrame:
    """List the rows that were asked and have no good answer, by their `labels`, or else by key or position.

    A row of several samples is there once, with the first that failed, as soon as none of them is waited for.
    """
    reply = recipe.reply
    found = []
    askable = not recipe.attached
    for samples in zip(*[iter(rows)] * recipe.samples, strict=True):
        row = samples[0]
        failures = [failure for failure in (_failure(one, reply) for one in samples) if failure is not None]
        if not failures or any(map(_is_waited_for, samples)):
            continue
        # One whose batch is lost is pending, and so is its row.
        outcome, kind, message, _, text, category = min(failures, key=lambda failure: failure[0] != "pending")
        retryable = askable and any(failure[3] for failure in failures)
        name = _name(row) if labels is None else labels[row.position]
        found.append((name, outcome, kind, message, retryable, text, category))
    return pd.DataFrame(found, columns=["row", "outcome", "type", "message", "retryable", "reply", "category"])


def _is_waited_for(row: RowAnswer) -> bool:
    return row.digest is not None and row.result is None and row.batch_state != "lost"


def _failure(row: RowAnswer, reply: Reply) -> tuple[str, str | None, str | None, bool, str | None, str | None] | None:
    if row.digest is None:
        return None
    if row.result is None:
        return ("pending", "lost", row.batch_note, False, None, None) if row.batch_state == "lost" else None
    outcome, kind, _, message, text, category = verdict_of(row.result, reply)
    if outcome == "succeeded":
        return None
    return outcome, kind, message, outcome != "invalid" and kind != "invalid_request_error", text, category


def result_lines(rows: Iterable[RowAnswer], recipe: RecipeSpec, provenance: Provenance) -> Iterator[bytes]:
    """Write one line per answered request, as the API does; simulated ones say so."""
    seen = set()
    for row in rows:
        if row.digest is None or row.result is None or row.digest in seen:
            continue
        seen.add(row.digest)
        line = {"custom_id": custom_id_of(row, recipe), "result": msgspec.Raw(row.result)}
        yield msgspec.json.encode(line | provenance.marks) + b"\n"


def custom_id_of(row: RowAnswer, recipe: RecipeSpec) -> str:
    """Return the custom_id of a row that asks something: with its name in this job, whichever job has sent it."""
    assert row.digest is not None  # noqa: S101  # it asks something
    return str(row.key) if recipe.attached else custom_id(label_of(_name(row)), row.digest)


def _columns(recipe: RecipeSpec) -> Columns:
    return Columns(recipe.reply, recipe.into, recipe.samples)


def _name(row: RowAnswer) -> int | str:
    return row.position if row.key is None else row.key


def _reason(row: RowAnswer) -> str | None:
    """Say why a row has no answer: why it was skipped, or what happened to its batch."""
    return row.note or (row.batch_note if row.batch_state in TELLING else None)
