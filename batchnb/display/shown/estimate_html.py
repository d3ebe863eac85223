"""An estimate as HTML. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from batchnb.display.html import Html, tag, text, view
from batchnb.display.job.html import badge, dot, note_html

__all__ = ["facts_table"]


def facts_table(
    title: str, model: str, facts: Sequence[tuple[str, Sequence[str]]], notes: Iterable[str], mark: str
) -> Html:
    """Draw named facts one below the other, and below them what else is to be known.

    Parameters
    ----------
    title, model : str
        What this is, and the model it is about.
    facts : sequence of (str, sequence of str)
        Each with its name; the first line of it is what matters, the others explain it.
    notes : iterable of str
        What a person should know.
    mark : str
        The mark of what is simulated; empty where nothing is.
    """
    head = tag(
        "div", badge(mark), tag("b", title, class_="batchnb-name"), dot(),
        tag("bdi", text(model, 80), class_="batchnb-model batchnb-muted"), class_="batchnb-head",
    )  # fmt: skip
    shown = tag("div", *(_fact(*fact) for fact in facts), class_="batchnb-prompts")
    return view(head, shown, *map(note_html, notes), name="estimate", label=title)


def _fact(name: str, lines: Sequence[str]) -> Html:
    first, *rest = lines
    explained = (tag("div", text(line, 400), class_="batchnb-muted batchnb-small") for line in rest)
    return tag(
        "div", tag("div", tag("b", name)), tag("div", tag("div", text(first, 400)), *explained), class_="batchnb-row"
    )
