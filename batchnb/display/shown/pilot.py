"""A pilot, frozen for showing: drawn by :func:`batchnb.display.shown.pilot_html.pilot_html` and here as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from batchnb import units
from batchnb.answers.provenance import Provenance

__all__ = ["FULL_PRICE", "PilotRow", "PilotView", "facts_lines", "pilot_text"]

FULL_PRICE = "asked one by one now, at the full price, not the half price of batches"

#: Characters shown of a prompt, of an answer, and of what went wrong.
PROMPT_LIMIT, ANSWER_LIMIT, NOTE_LIMIT = 90, 120, 90


@dataclass(frozen=True, slots=True)
class PilotRow:
    """One row of a pilot.

    Parameters
    ----------
    label : str
        Its label in the frame's index, as text.
    prompt : str
        The text it is about.
    answer : str or None
        Its answer, as text; None where it has none.
    status : str
        Its outcome.
    note : str or None
        What went wrong.
    gold : str or None
        The answer that was wanted; None where none was given.
    agrees : bool or None
        Whether the two are equal; None where one of them is missing.
    """

    label: str
    prompt: str
    answer: str | None
    status: str
    note: str | None = None
    gold: str | None = None
    agrees: bool | None = None


@dataclass(frozen=True, slots=True)
class PilotView:
    """Everything that is shown of a pilot.

    Parameters
    ----------
    name, model : str
        What it is called, and the model asked.
    rows : tuple of PilotRow
        The rows of the sample, in the order of their frame.
    total : int
        Rows of the frame.
    asked : int
        Requests that were asked now; the other rows had their answers already.
    mix : mapping of str to int
        How often each label was given; empty where answers are not labels.
    agreement : tuple of (int, int), or None
        Answers that are equal to the gold ones, of how many; None without gold.
    input_tokens, output_tokens : int
        That the sample's answers used, prompts with what was cached of them.
    cost : float or None
        Dollars for the sample's answers; None where the price is unknown.
    rest : int
        Requests of the whole frame still to be sent.
    projected : tuple of (float, float or None, float or None), or None
        Dollars for those at batch prices: expected, low, high; these two None where the sample is too small to say.
        None where that is unknown.
    with_gold : bool
        Whether gold answers were given.
    note : str or None
        What a person should know: why rows were not asked.
    provenance : Provenance
        Where the answers come from.
    """

    name: str
    model: str
    rows: tuple[PilotRow, ...]
    total: int
    asked: int
    mix: Mapping[str, int]
    agreement: tuple[int, int] | None
    input_tokens: int
    output_tokens: int
    cost: float | None
    rest: int
    projected: tuple[float, float | None, float | None] | None
    with_gold: bool
    note: str | None
    provenance: Provenance


def facts_lines(pilot: PilotView) -> list[str]:
    """List what the pilot tells, a line each: the rows, the answers, the tokens and cost, and the rest."""
    answered = sum(row.status in ("succeeded", "invalid") for row in pilot.rows)
    before = len(pilot.rows) - pilot.asked
    rows = f"{answered:,} of {units.count(len(pilot.rows), 'row')} answered, of {pilot.total:,} in the frame"
    rows += f" · {pilot.asked:,} {FULL_PRICE}" if pilot.asked else " · nothing was asked now"
    lines = [rows + (f" · {before:,} were asked before" if before and pilot.asked else "")]
    if pilot.mix:
        lines.append(" · ".join(f"{count:,} {units.clean(label, 60)}" for label, count in pilot.mix.items()))
    if pilot.agreement is not None:
        equal, compared = pilot.agreement
        share = f" ({equal / compared:.0%})" if compared else ""
        lines.append(f"{equal:,} of {compared:,} agree with the gold answers{share}")
    would = "would cost " if pilot.provenance.is_free else ""
    cost = "cost unknown" if pilot.cost is None else f"{would}{units.money(pilot.cost)}"
    lines.append(f"{pilot.input_tokens:,} input and {pilot.output_tokens:,} output tokens · {cost}")
    lines.append(_rest(pilot))
    return lines


def _rest(pilot: PilotView) -> str:
    if not pilot.rest:
        return "Nothing is left to send: submit() gives all rows their answers."
    said = f"The other {units.count(pilot.rest, 'request')}, as batches: "
    if pilot.projected is None:
        return f"{said}cost unknown"
    expected, low, high = pilot.projected
    if units.money(expected if high is None else high).startswith("under"):  # too little to say anything finer of
        return said + units.money(expected)
    if low is None or high is None:
        return f"{said}about {units.money(expected)}; the sample is too small to say how surely"
    return f"{said}about {units.money(expected)} (95% interval {units.money(low)} to {units.money(high)})"


def pilot_text(pilot: PilotView) -> str:
    """Say what a pilot tells, and its rows, in plain text.

    Parameters
    ----------
    pilot : PilotView
        The pilot.

    Returns
    -------
    str
        Lines without a trailing newline.
    """
    head = f"{pilot.provenance.lead}Pilot · {units.clean(pilot.name, 80)} · {units.clean(pilot.model, 80)}"
    lines = [head, *facts_lines(pilot)]
    if pilot.note:
        lines.append(units.clean(pilot.note, 400))
    lines.append("")
    for row in pilot.rows:
        said = f"  {units.clean(row.label, 20)}: {units.clean(row.prompt, PROMPT_LIMIT)} → {_said(row)}"
        if row.gold is not None:
            said += f" (gold: {units.clean(row.gold, ANSWER_LIMIT)}{'' if row.agrees else ', differs'})"
        lines.append(said)
    return "\n".join(lines)


def _said(row: PilotRow) -> str:
    answer = units.clean(row.answer, ANSWER_LIMIT) if row.answer is not None else ""
    if row.status == "succeeded":
        return answer
    why = units.clean(row.note, NOTE_LIMIT) if row.note else ""
    return f"{answer}{' ' if answer else ''}[{row.status}{': ' if why else ''}{why}]"
