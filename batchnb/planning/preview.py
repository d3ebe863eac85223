"""What ``submit`` would send, put together for showing. Sends nothing that costs money."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from batchnb.display.job.text import preview_text
from batchnb.display.shown.preview import Preview, PreviewRow
from batchnb.display.shown.preview_html import preview_html
from batchnb.errors import ApiError, CredentialsError
from batchnb.planning.attachments import for_check
from batchnb.planning.count import plan_of
from batchnb.planning.estimate import estimate_of
from batchnb.planning.session import Session
from batchnb.questions.columns import bare, column_values
from batchnb.questions.media import shown
from batchnb.questions.media_sources import file_source, with_sources
from batchnb.questions.question import read_questions
from batchnb.questions.reading import read_rows
from batchnb.questions.recipe import BLOCKS, CONTENT, MESSAGES, PARAMS
from batchnb.questions.scalars import check_whole

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.questions.question import Question
    from batchnb.questions.recipe import Recipe

__all__ = ["ShownPreview", "first_rows", "glance", "preview"]

#: Requests whose tokens are counted, spread over their lengths.
COUNTED = 12
#: Messages before a row's own that are shown, and characters of each.
MOST_TURNS, TURN_LIMIT = 6, 200
#: The slots of which a row gives the content of a message.
WITHIN = (CONTENT, BLOCKS)


class ShownPreview:
    """A preview as a notebook or a terminal shows it.

    Attributes
    ----------
    preview : Preview
        What it shows.
    """

    def __init__(self, preview: Preview) -> None:
        self.preview = preview

    def __repr__(self) -> str:
        return preview_text(self.preview)

    def _repr_html_(self) -> str:
        return str(preview_html(self.preview))


def preview(session: Session, frame: pd.DataFrame, recipe: Recipe, positions: Sequence[int]) -> ShownPreview:
    """Fill in the rows at `positions`, and count what all rows would send. See ``df.batch.preview``."""
    frame = bare(frame)
    rows = list(read_rows(recipe, frame)) if recipe.calls else None
    plan = plan_of(session.ledger, frame, recipe, rows)
    try:
        told = estimate_of(session, frame, recipe, plan, rows, n=COUNTED)
    except (ApiError, CredentialsError):
        told = None
    reused = _reused(plan.digests, recipe.samples, set(plan.unsent))
    part = frame.iloc[list(positions)]
    questions = list(read_questions(recipe, part))
    filled = _rows(part, recipe, positions, questions, _requests(recipe, questions), reused)
    tokens, cost = (told.input_tokens, told.cost) if told else (None, None)
    return ShownPreview(dataclasses.replace(
        _preview(session, frame, recipe, filled),
        to_send=len(plan.unsent),
        reused=len(reused),
        skipped=plan.skipped,
        input_tokens=round(tokens.expected) if tokens else None if plan.unsent else 0,
        cost=told.worst if told else None,
        expected=cost.expected if cost else None,
        expected_from=told.output_source if told and plan.unsent else "",
    ))  # fmt: skip


def glance(session: Session, frame: pd.DataFrame, recipe: Recipe, positions: Sequence[int]) -> Preview:
    """Fill in the rows at `positions`, and look at no others: quick on any frame. Touches no network."""
    part = bare(frame).iloc[list(positions)]
    questions = list(read_questions(recipe, part))
    filled = _rows(part, recipe, positions, questions, _requests(recipe, questions), {})
    return _preview(session, frame, recipe, filled)


def _requests(recipe: Recipe, questions: Sequence[Question]) -> list[dict[str, Any] | None]:
    envelopes = recipe.envelopes()
    return [envelopes[one.slot].params(one.content) if one.content is not None else None for one in questions]


def _rows(
    part: pd.DataFrame, recipe: Recipe, positions: Sequence[int], questions: Sequence[Question],
    requests: Sequence[dict[str, Any] | None], reused: dict[int, str],
) -> tuple[PreviewRow, ...]:  # fmt: skip
    return tuple(
        _row(part, recipe, question, request, (place, position), reused.get(position))
        for place, (position, question, request) in enumerate(zip(positions, questions, requests, strict=True))
    )


def _preview(session: Session, frame: pd.DataFrame, recipe: Recipe, filled: tuple[PreviewRow, ...]) -> Preview:
    """Return a preview of which nobody has counted yet what would be sent."""
    system = recipe.shared.get("system")
    return Preview(
        rows=filled,
        total_rows=len(frame),
        to_send=None,
        reused=0,
        skipped=0,
        model=recipe.model,
        system=system if isinstance(system, str) or system is None else json.dumps(system, ensure_ascii=False),
        input_tokens=None,
        cost=None,
        provenance=session.provenance,
    )


def first_rows(frame: pd.DataFrame, n: Any) -> range:
    """Return the positions of the first `n` rows, or raise InputError."""
    return range(min(check_whole("n", n, 1), len(frame)))


def _reused(digests: list[bytes | None], samples: int, unsent: set[bytes]) -> dict[int, str]:
    """Find the rows that ask nothing new, and say why: an earlier job, or an equal row before them, asks all of it."""
    found, left = {}, set(unsent)
    for position, start in enumerate(range(0, len(digests), samples)):
        row = set(digests[start : start + samples])
        if None not in row and left.isdisjoint(row):
            before = unsent.isdisjoint(row)
            found[position] = "asked before: not bought again" if before else "equal to a row above it: asked once"
        left -= row
    return found


def _row(
    part: pd.DataFrame, recipe: Recipe, question: Question, request: dict[str, Any] | None, places: tuple[int, int],
    reused: str | None,
) -> PreviewRow:  # fmt: skip
    """Draw the row that stands at the first of `places` in `part`, and at the second in the frame."""
    place, position = places
    label = str(part.index[place])
    if question.content is None:
        return PreviewRow(position, label, None, f"skipped: {question.note}")
    named = with_sources(request, lambda sha256, media_type: file_source(_named(recipe, sha256, media_type)))
    pieces = (*_before(recipe, question, first=place == 0), *_pieces(part, recipe, question, place, named))
    too_large = [shown(medium) for medium in for_check(recipe.reader, request or {})[1]]
    uncounted = f"too large to be counted, so estimated: {', '.join(too_large)}" if too_large else None
    note = "; ".join(filter(None, (reused, uncounted))) or None
    return PreviewRow(position, label, pieces, note, json.dumps(named, indent=2, ensure_ascii=False))


def _pieces(
    part: pd.DataFrame, recipe: Recipe, question: Question, place: int, named: dict[str, Any]
) -> list[tuple[str, bool]]:
    """Return what a row itself says, and which parts of it its columns filled in; `named` is its request."""
    if callable(recipe.template):
        assert question.content is not None  # noqa: S101  # skipped rows never come here
        sent = named["messages"][-1]["content"] if question.slot in WITHIN else json.loads(question.content.sent)
        return [(sent if isinstance(sent, str) else json.dumps(sent, indent=2, ensure_ascii=False), True)]
    template = recipe.compiled(part)
    filled = template.pieces([column_values(part.iloc[place : place + 1], column)[0] for column in template.columns])
    return [*_media_pieces(recipe, named), *filled]


def _named(recipe: Recipe, sha256: str, media_type: str) -> str:
    """Return what stands for a file where people see its request."""
    medium = recipe.reader.medium(sha256) if recipe.reader else None
    if medium is None:
        return f"[a file of type {media_type}]"
    return f"[{medium.kind} {shown(medium)}]"


def _media_pieces(recipe: Recipe, request: dict[str, Any]) -> list[tuple[str, bool]]:
    """Name the images and documents of a row, each on a line of its own, with whether it is the row's own."""
    content = request["messages"][-1]["content"]
    if isinstance(content, str):
        return []
    sources = [block["source"] for block in content if block["type"] in ("image", "document")]
    names = [source.get("file_id") or f"[{source.get('url')}]" for source in sources]
    return [(f"{name}\n", place >= len(recipe.blocks)) for place, name in enumerate(names)]


def _before(recipe: Recipe, question: Question, *, first: bool) -> list[tuple[str, bool]]:
    """Return the messages before a row's own, for the first row shown: they are the same for all.

    Long ones are cut, and of many the last are left out, so that the row itself is seen; its request has them all.
    """
    if not recipe.turns or (
        callable(recipe.template) and question.slot in (MESSAGES, PARAMS)
    ):  # which hold them already
        return []
    said = f"[the same {len(recipe.turns)} messages as above]\n"
    if first:
        said = "".join(f"{turn['role']}: {_cut(turn['content'])}\n" for turn in recipe.turns[:MOST_TURNS])
        left = len(recipe.turns) - MOST_TURNS
        said += f"[{left} more messages]\n" if left > 0 else ""
    return [(said if isinstance(recipe.template, tuple) else f"{said}user: ", False)]


def _cut(content: Any) -> str:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return text if len(text) <= TURN_LIMIT else f"{text[:TURN_LIMIT]}…"
