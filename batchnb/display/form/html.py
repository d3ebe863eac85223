"""The parts of a composer that are HTML. Pure: values in, a string out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from batchnb import units
from batchnb.answers.provenance import Provenance
from batchnb.display.html import Html, head, note_html, tag, text, view
from batchnb.display.shown.preview_html import preview_html

if TYPE_CHECKING:
    from batchnb.display.shown.preview import Preview

__all__ = ["MADE", "answers_html", "code_html", "head_html", "made_html", "notes_html", "problem_html", "said_html",
           "static_html"]  # fmt: skip

#: What stands above the code that made a job.
MADE = "Submitted from a form, the same as this code"

#: Characters of code, and of a row's input and answer, that are shown.
CODE_LIMIT, INPUT_LIMIT, ANSWER_LIMIT = 20_000, 160, 300


def head_html(frame_name: str | None, rows: int, *, provenance: Provenance) -> Html:
    """Draw what the form is, and for which frame."""
    frame = Html() if frame_name is None else Html(f" of {tag('code', text(frame_name, 80))}")
    return head("Compose", tag("span", units.count(rows, "row"), frame, class_="batchnb-muted"), provenance=provenance)


def problem_html(problem: str) -> Html:
    """Draw why there is nothing to preview."""
    return tag("div", note_html(problem), class_="batchnb-problem")


def said_html(said: str) -> Html:
    """Draw a line that assistive technology reads out when it changes."""
    return tag("div", said, class_="batchnb-muted", role="status")


def notes_html(notes: Sequence[str]) -> Html:
    """Draw what a person should read now."""
    return Html("".join(note_html(note) for note in notes))


def code_html(code: str | None, problem: str, hint: Sequence[str] = (), *, title: str = "The same as code") -> Html:
    """Draw code to copy, or why there is none.

    Parameters
    ----------
    code : str or None
        The code.
    problem : str
        What is said where there is none.
    hint : sequence of str
        What is said below it; every second piece is code.
    title : str
        What is said above it.
    """
    pieces = (tag("code", piece) if place % 2 else text(piece, 400) for place, piece in enumerate(hint))
    return tag(
        "div", tag("div", tag("b", title)),
        note_html(problem) if code is None else tag(
            # The focus can go to it, so that a keyboard scrolls and selects it.
            "pre", text(code, CODE_LIMIT, lines=True), class_="batchnb-prompt batchnb-code", tabindex=0,
            role="region", aria_label="Code",
        ),
        tag("div", Html("".join(pieces)), class_="batchnb-muted batchnb-small") if hint and code else None,
        class_="batchnb-codebox",
    )  # fmt: skip


def answers_html(answers: Sequence[tuple[str, str, str]], column: str, into: str, *, provenance: Provenance) -> Html:
    """Draw a few rows with their answers as a table.

    Parameters
    ----------
    answers : sequence of (str, str, str)
        Each row's label, its text, and its answer or why it has none.
    column, into : str
        What stands above text and answer.
    provenance : Provenance
        Where the answers come from.
    """
    named = f"{into} ({provenance.word})" if provenance.badge else into
    heads = tag("tr", *(tag("th", text(head, 60), scope="col") for head in ("Row", column, named)))
    rows = (
        tag(
            "tr", tag("td", tag("bdi", text(label, 40))),
            *(tag("td", text(cell, limit), class_="batchnb-wide", dir="auto")
              for cell, limit in ((asked, INPUT_LIMIT), (answer, ANSWER_LIMIT))),
        )
        for label, asked, answer in answers
    )  # fmt: skip
    table = tag("table", tag("thead", heads), tag("tbody", *rows), class_="batchnb-table")
    return tag("div", table, class_="batchnb-scroll batchnb-answers")


def static_html(code: str | None, problem: str, said: str, preview: Preview | None) -> Html:
    """Draw a form nothing was submitted from, for pages without widgets: its code and its preview."""
    return _card(
        head("Compose", text(said), provenance=Provenance.API if preview is None else preview.provenance),
        code_html(code, problem), preview_html(preview) if preview else None,
    )  # fmt: skip


def made_html(code: str | None, problem: str, job: Html) -> Html:
    """Draw a job with the code that made it above it, for pages without widgets."""
    return _card(code_html(code, problem, title=MADE), job)


def _card(*parts: Html | None) -> Html:
    return view(*parts, name="compose", label="Composer")
