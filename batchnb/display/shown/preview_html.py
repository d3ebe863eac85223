"""A preview as HTML: what would be sent, with the filled-in parts marked. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchnb.display.html import Html, head, model, tag, text, view
from batchnb.display.shown.preview import JSON_LIMIT, cut_pieces, facts_lines

if TYPE_CHECKING:
    from batchnb.display.shown.preview import Preview, PreviewRow

__all__ = ["preview_html"]


def preview_html(preview: Preview) -> Html:
    """Draw what would be sent: the prompts with their filled-in parts marked, and each request as JSON on demand.

    Parameters
    ----------
    preview : Preview
        What would be sent.

    Returns
    -------
    Html
        One element.
    """
    system = _row("System", _prompt(text(preview.system, 1_000, lines=True))) if preview.system else None
    return view(
        head("Preview", model(preview.model), provenance=preview.provenance),
        *(tag("div", line) for line in facts_lines(preview)),
        tag("div", system, *map(_preview_row, preview.rows), class_="batchnb-prompts"),
        name="preview", label="Preview of a batch job",
    )  # fmt: skip


def _preview_row(row: PreviewRow) -> Html:
    shown = []
    if row.pieces is not None:
        pieces = (
            tag("mark", text(piece, len(piece), lines=True)) if filled else text(piece, len(piece), lines=True)
            for piece, filled in cut_pieces(row.pieces)
        )
        shown.append(_prompt(Html("".join(pieces)), dir="auto"))
    if row.note:
        shown.append(tag("div", tag("bdi", text(row.note, 400)), class_="batchnb-muted"))
    if row.request_json:
        shown.append(
            tag("details", tag("summary", "Request as JSON"), _prompt(text(row.request_json, JSON_LIMIT, lines=True)))
        )
    return _row(Html(f"Row {tag('bdi', text(row.label, 40))}"), *shown)


def _prompt(shown: Html, **attributes: object) -> Html:
    return tag("pre", shown, class_="batchnb-prompt", **attributes)


def _row(head: str, *cell: Html) -> Html:
    # Not a table: pages have rules of their own for those.
    return tag("div", tag("div", tag("b", head)), tag("div", *cell), class_="batchnb-row")
