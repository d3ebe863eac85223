"""A job as HTML. Pure: a snapshot in, a string out.

The parts of :func:`summary_html` are drawn one by one too, by how often they change: the widget sends only those that
did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchnb import units
from batchnb.display.html import Html, head, join, model, note_html, tag, text, view
from batchnb.display.job import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchnb.display.snapshot import BatchLine, Snapshot

__all__ = [
    "BATCHES_SHOWN",
    "bar",
    "batches_html",
    "details_html",
    "facts_html",
    "fold_html",
    "head_html",
    "summary_html",
]

#: Batches listed at most: those that are at work or in trouble first.
BATCHES_SHOWN = 30


def summary_html(snapshot: Snapshot) -> Html:
    """Draw the whole view of a job as one static piece of HTML.

    Parameters
    ----------
    snapshot : Snapshot
        The job's frozen state.

    Returns
    -------
    Html
        One element. Its text makes sense without its style, which some pages remove from saved notebooks.
    """
    still = [words.retry_words(snapshot), words.open_words(snapshot)]
    ended = "" if snapshot.ended_at is None else f" · ended {units.date_time(snapshot.ended_at)}"
    return view(
        head_html(snapshot), facts_html(snapshot), details_html(snapshot),
        *(tag("div", line, class_="batchnb-hint") for line in still if line),
        tag("details", tag("summary", "Batches"), batches_html(snapshot)) if snapshot.batches else None,
        tag("div", text(snapshot.job_id, 80), ended, class_="batchnb-muted batchnb-small"),
        name="", label=f"Batch job {units.clean(snapshot.name, 80)}",
    )  # fmt: skip


def head_html(snapshot: Snapshot) -> Html:
    """Draw name, state, badge, model, the bar, and the bar in words: what changes only when the counts do."""
    status = tag("span", words.status_words(snapshot), class_="batchnb-status")
    name = tag("bdi", text(snapshot.name, 80))
    drawn_head = head(name, status, model(snapshot.model), provenance=snapshot.provenance)
    done, total = words.finished(snapshot)
    drawn = bar(words.segments(snapshot), done, total, moving=snapshot.status != "ended")
    return Html(drawn_head + drawn + _legend(snapshot))


def facts_html(snapshot: Snapshot) -> Html:
    """Draw batches, time and cost in one line, and in another what matters while the job is open."""
    lines = tag("div", _spans(words.facts_words(snapshot)), class_="batchnb-facts")
    live = words.live_words(snapshot)
    return Html(lines + tag("div", _spans(live), class_="batchnb-facts batchnb-muted")) if live else lines


def details_html(snapshot: Snapshot) -> Html:
    """Draw what became of the rows, what the cache did, the kinds of errors, and the note."""
    parts = [tag("div", words.rows_words(snapshot), class_="batchnb-rows batchnb-muted")]
    parts += [tag("div", tag("bdi", text(line, 400)), class_="batchnb-muted") for line in words.cache_words(snapshot)]
    errors = words.error_words(snapshot)
    if errors:
        items = (tag("li", tag("bdi", text(kind))) for kind in errors)
        parts.append(tag("ul", *items, class_="batchnb-errors", aria_label="Errors by kind"))
    if snapshot.note:
        parts.append(note_html(snapshot.note))
    return Html("".join(parts))


def fold_html() -> Html:
    """Draw what folds the list of batches that follows it: it never changes, so that it stays open when they do."""
    return tag("details", tag("summary", "Batches"))


def batches_html(snapshot: Snapshot) -> Html:
    """Draw the batches as a table: id, state, requests, when made, how long it took."""
    if not snapshot.batches:
        return Html()
    shown = _most_telling(snapshot.batches)
    heads = ("Batch", "State", "Requests", "Made (UTC)", "Took")
    rows = [_batch_row(batch, snapshot.started_at) for batch in shown]
    table = tag(
        "table", tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))), tag("tbody", *rows),
        class_="batchnb-table",
    )  # fmt: skip
    left = len(snapshot.batches) - len(shown)
    more = tag("div", f"and {units.count(left, 'more batch')}: job.batches lists them all") if left else ""
    return tag("div", table, more, class_="batchnb-scroll")


def _most_telling(batches: Sequence[BatchLine]) -> list[BatchLine]:
    """Pick the batches to list, in their order; where they are too many, the newest that ended come last."""
    if len(batches) <= BATCHES_SHOWN:
        return list(batches)
    ranks = {"lost": 0, "uncertain": 1, "ended": 3}
    chosen = sorted(range(len(batches)), key=lambda place: (ranks.get(batches[place].state, 2), -place))
    return [batches[place] for place in sorted(chosen[:BATCHES_SHOWN])]


def _batch_row(batch: BatchLine, started_at: float) -> Html:
    ended = batch.created_at is not None and batch.ended_at is not None
    took = units.duration(batch.ended_at - batch.created_at) if ended else "–"  # type: ignore[operator]
    return tag(
        "tr",
        tag("td", tag("code", text(batch.id or "not named yet", 80))),
        tag("td", units.clean(batch.state, 40).replace("_", " ")),
        tag("td", words.batch_words(batch)),
        tag("td", units.clock_time(batch.created_at, started_at)),
        tag("td", took),
    )


def bar(
    parts: Sequence[tuple[str, int]], done: int, total: int, *, moving: bool, label: str = "Requests",
    named: Mapping[str, str] = words.SEGMENTS,
) -> Html:  # fmt: skip
    """Draw a stacked bar.

    Parameters
    ----------
    parts : sequence of (str, int)
        The keys of ``words.SEGMENTS``, each with its number.
    done, total : int
        Of all there is, how much is finished.
    moving : bool
        Whether what is processing shows activity. No part grows by it; what has ended keeps still.
    label : str
        What the numbers count.
    named : mapping of str to str
        The word for each part.
    """
    if not total:
        return Html()
    drawn = []
    said = []
    for key, number in parts:
        active = " batchnb-active" if key == "processing" and moving else ""
        said.append(f"{number:,} {named[key]}")
        drawn.append(
            tag("span", class_=f"batchnb-part batchnb-{key}{active}", style=f"flex-grow:{number}", title=said[-1])
        )
    return tag(
        "div", *drawn, class_="batchnb-bar", role="progressbar", aria_label=f"{label} finished", aria_valuemin=0,
        aria_valuemax=total, aria_valuenow=done, aria_valuetext=" · ".join(said),
    )  # fmt: skip


def _legend(snapshot: Snapshot) -> Html:
    parts = words.segments(snapshot)
    if not parts:
        return tag("div", words.counts_words(snapshot), class_="batchnb-legend")
    items = (
        tag("span", tag("span", class_=f"batchnb-swatch batchnb-{key}"), f"{number:,} {words.SEGMENTS[key]}")
        for key, number in parts
    )
    return tag("div", join(" · ", items), class_="batchnb-legend")


def _spans(parts: Sequence[str]) -> Html:
    return join(" · ", (tag("span", part) for part in parts))
