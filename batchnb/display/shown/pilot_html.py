"""A pilot as HTML: what it tells, and its rows as a table. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchnb import units
from batchnb.display.html import Html, head, model, note_html, tag, text, view
from batchnb.display.shown.pilot import ANSWER_LIMIT, NOTE_LIMIT, PROMPT_LIMIT, facts_lines

if TYPE_CHECKING:
    from batchnb.display.shown.pilot import PilotRow, PilotView

__all__ = ["pilot_html"]


def pilot_html(pilot: PilotView) -> Html:
    """Draw a pilot: its figures, and a table of the rows with their answers.

    Parameters
    ----------
    pilot : PilotView
        The pilot.

    Returns
    -------
    Html
        One element. Its text makes sense without its style.
    """
    top = head(tag("bdi", text(pilot.name, 80)), model(pilot.model), provenance=pilot.provenance)
    note = note_html(pilot.note) if pilot.note else None
    facts = (tag("div", tag("bdi", text(line, 2_000))) for line in facts_lines(pilot))
    heads = ("Row", "About", "Answer", *(("Gold", "Agrees") if pilot.with_gold else ()))
    table = tag(
        "table", tag("thead", tag("tr", *(tag("th", name, scope="col") for name in heads))),
        tag("tbody", *(_row(row, with_gold=pilot.with_gold) for row in pilot.rows)),
        class_="batchnb-table",
    )  # fmt: skip
    shown = tag("div", table, class_="batchnb-scroll")
    return view(top, *facts, note, shown, name="pilot", label="Pilot of a batch job")


def _row(row: PilotRow, *, with_gold: bool) -> Html:
    cells = [
        tag("td", tag("bdi", text(row.label, 40))),
        tag("td", tag("bdi", text(row.prompt, PROMPT_LIMIT)), class_="batchnb-wide"),
        tag("td", *_answer(row), class_="batchnb-wide"),
    ]
    if with_gold:
        gold = None if row.gold is None else tag("bdi", text(row.gold, ANSWER_LIMIT))
        cells += [tag("td", gold, class_="batchnb-wide"), tag("td", _agrees(row))]
    return tag("tr", *cells)


def _answer(row: PilotRow) -> list[Html | None]:
    shown = [None if row.answer is None else tag("bdi", text(row.answer, ANSWER_LIMIT))]
    if row.status != "succeeded":
        why = f": {units.clean(row.note, NOTE_LIMIT)}" if row.note else ""
        shown.append(tag("div", tag("bdi", text(row.status + why, 2 * NOTE_LIMIT)), class_="batchnb-muted"))
    return shown


def _agrees(row: PilotRow) -> Html | None:
    if row.agrees is None:
        return None
    return Html("yes") if row.agrees else tag("b", "no")
