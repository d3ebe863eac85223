"""An estimate as HTML. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from batchnb.answers.provenance import Provenance
from batchnb.display.html import Html, head, model, note_html, tag, text, view

__all__ = ["facts_table"]


def facts_table(
    title: str, model_name: str, facts: Sequence[tuple[str, Sequence[str]]], notes: Iterable[str],
    provenance: Provenance,
) -> Html:  # fmt: skip
    """Draw named facts one below the other, and below them what else is to be known.

    Parameters
    ----------
    title, model_name : str
        What this is, and the model it is about.
    facts : sequence of (str, sequence of str)
        Each with its name; the first line of it is what matters, the others explain it.
    notes : iterable of str
        What a person should know.
    provenance : Provenance
        Whether the simulator would answer.
    """
    top = head(title, model(model_name), provenance=provenance)
    shown = tag("div", *(_fact(*fact) for fact in facts), class_="batchnb-prompts")
    return view(top, shown, *map(note_html, notes), name="estimate", label=title)


def _fact(name: str, lines: Sequence[str]) -> Html:
    first, *rest = lines
    explained = (tag("div", text(line, 400), class_="batchnb-muted batchnb-small") for line in rest)
    return tag(
        "div", tag("div", tag("b", name)), tag("div", tag("div", text(first, 400)), *explained), class_="batchnb-row"
    )
