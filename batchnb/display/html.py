"""A job as HTML: the only place that escapes. Pure: a snapshot in, a string out; no scripts, nothing loaded."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from batchnb.display import words
from batchnb.display.preview import cut_pieces, facts_words
from batchnb.display.style import CSS

if TYPE_CHECKING:
    from batchnb.display.preview import Preview, PreviewRow
    from batchnb.snapshot import Snapshot

__all__ = [
    "details_html",
    "escape",
    "facts_html",
    "head_html",
    "note_html",
    "preview_html",
    "style_html",
    "summary_html",
]

# Between the parts of a head: seen where a page takes the style away, which otherwise sets them apart.
_DOT = '<span class="batchnb-dot"> · </span>'


def escape(text: object, limit: int = 200, *, lines: bool = False) -> str:
    """Make text inert HTML, for an element's content or a quoted attribute.

    Parameters
    ----------
    text : object
        Anything; ``str()`` of it is shown.
    limit : int
        Characters kept; what was cut is said.
    lines : bool
        Whether line breaks and tabs stay. Otherwise they become spaces.

    Returns
    -------
    str
        Escaped, cut, and without control characters, direction marks or lone surrogates
        (see :func:`batchnb.display.words.clean`).
    """
    return html.escape(words.clean(text, limit, lines=lines), quote=True)


def summary_html(snapshot: Snapshot) -> str:
    """Draw the whole view of a job as one static piece of HTML.

    Parameters
    ----------
    snapshot : Snapshot
        The job's frozen state.

    Returns
    -------
    str
        One element. Its text makes sense without its style, which some pages remove from saved notebooks.
    """
    inner = head_html(snapshot) + facts_html(snapshot) + details_html(snapshot)
    label = escape(f"Batch job {words.clean(snapshot.name, 80)}")
    return f'<div class="batchnb-job" role="group" aria-label="{label}">{style_html()}{inner}</div>'


def style_html() -> str:
    """Return the style sheet as an element; its rules touch nothing but our own classes."""
    return f"<style>{CSS}</style>"


def head_html(snapshot: Snapshot) -> str:
    """Draw name, state, badge, model, the bar, and the bar in words: what changes only when the counts do."""
    name = escape(snapshot.name, 80)
    return (
        f'<div class="batchnb-head">{_badge(words.badge(snapshot))}<b class="batchnb-name"><bdi>{name}</bdi></b>{_DOT}'
        f'<span class="batchnb-status">{escape(words.status_words(snapshot))}</span>{_DOT}'
        f'<bdi class="batchnb-model batchnb-muted">{escape(snapshot.model, 80)}</bdi></div>'
        f"{_bar(snapshot)}{_legend(snapshot)}"
    )


def facts_html(snapshot: Snapshot) -> str:
    """Draw batches, time and cost in one line: what changes every second."""
    facts = (words.batches_words(snapshot), words.duration(snapshot.elapsed), words.cost_words(snapshot))
    return f'<div class="batchnb-facts">{" · ".join(f"<span>{escape(fact)}</span>" for fact in facts)}</div>'


def details_html(snapshot: Snapshot) -> str:
    """Draw what became of the rows, the kinds of errors, and the note."""
    parts = [f'<div class="batchnb-rows batchnb-muted">{escape(words.rows_words(snapshot))}</div>']
    errors = words.error_words(snapshot)
    if errors:
        items = "".join(f"<li><bdi>{escape(kind)}</bdi></li>" for kind in errors)
        parts.append(f'<ul class="batchnb-errors">{items}</ul>')
    if snapshot.note:
        parts.append(note_html(snapshot.note))
    return "".join(parts)


def note_html(note: str) -> str:
    """Draw a note that a person should read now."""
    return f'<div class="batchnb-note"><bdi>{escape(note, 400)}</bdi></div>'


def preview_html(preview: Preview) -> str:
    """Draw what would be sent: the prompts with their filled-in parts marked, and the first request as JSON.

    Parameters
    ----------
    preview : Preview
        What would be sent.

    Returns
    -------
    str
        One element.
    """
    facts = "".join(f"<div>{escape(line)}</div>" for line in facts_words(preview))
    system = ""
    if preview.system:
        system = _row("System", f'<pre class="batchnb-prompt">{escape(preview.system, 1_000, lines=True)}</pre>')
    rows = "".join(_preview_row(row) for row in preview.rows)
    request = escape(preview.request_json, 20_000, lines=True)
    return (
        f'<div class="batchnb-job batchnb-preview" role="group" aria-label="Preview of a batch job">{style_html()}'
        f'<div class="batchnb-head">{_badge(words.badge(preview))}<b class="batchnb-name">Preview</b>{_DOT}'
        f'<bdi class="batchnb-model batchnb-muted">{escape(preview.model, 80)}</bdi></div>{facts}'
        f'<div class="batchnb-prompts">{system}{rows}</div>'
        f'<details><summary>The first request as JSON</summary><pre class="batchnb-prompt">{request}</pre></details>'
        "</div>"
    )


def _preview_row(row: PreviewRow) -> str:
    shown = ""
    if row.pieces is not None:
        # The pieces are clean already; only the markup around them is ours.
        pieces = (
            f"<mark>{html.escape(text)}</mark>" if filled else html.escape(text)
            for text, filled in cut_pieces(row.pieces)
        )
        shown = f'<pre class="batchnb-prompt" dir="auto">{"".join(pieces)}</pre>'
    if row.note:
        shown += f'<div class="batchnb-muted"><bdi>{escape(row.note, 400)}</bdi></div>'
    return _row(f"Row <bdi>{escape(row.label, 40)}</bdi>", shown)


def _row(head: str, cell: str) -> str:
    # Not a table: pages have rules of their own for those.
    return f'<div class="batchnb-row"><div><b>{head}</b></div><div>{cell}</div></div>'


def _badge(badge: str) -> str:
    return f'<span class="batchnb-badge" title="Not answers of the real API">{badge}</span> ' if badge else ""


def _bar(snapshot: Snapshot) -> str:
    done, total = words.finished(snapshot)
    if not total:
        return ""
    parts = []
    for key, number in words.segments(snapshot):
        # Motion says only that the server works; no part grows by it. An ended job keeps still.
        active = " batchnb-active" if key == "processing" and snapshot.status != "ended" else ""
        label = f"{number:,} {words.SEGMENTS[key]}"
        parts.append(
            f'<span class="batchnb-part batchnb-{key}{active}" style="flex-grow:{number}" title="{label}"></span>'
        )
    said = escape(words.counts_words(snapshot))
    return (
        f'<div class="batchnb-bar" role="progressbar" aria-label="Requests finished" aria-valuemin="0" '
        f'aria-valuemax="{total}" aria-valuenow="{done}" aria-valuetext="{said}">{"".join(parts)}</div>'
    )


def _legend(snapshot: Snapshot) -> str:
    found = words.segments(snapshot)
    if not found:
        return f'<div class="batchnb-legend">{words.counts_words(snapshot)}</div>'
    items = (
        f'<span><span class="batchnb-swatch batchnb-{key}"></span>{number:,} {words.SEGMENTS[key]}</span>'
        for key, number in found
    )
    return f'<div class="batchnb-legend">{" · ".join(items)}</div>'
