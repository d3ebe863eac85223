"""What would be sent, frozen for showing: drawn by :func:`batchnb.display.html.preview_html` and as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from batchnb import units
from batchnb.answers.provenance import Provenance

__all__ = ["JSON_LIMIT", "PROMPT_LIMIT", "Preview", "PreviewRow", "cut_pieces", "facts_lines"]

#: Characters that are shown of one row's prompt, and of its request as JSON.
PROMPT_LIMIT, JSON_LIMIT = 2_000, 10_000


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One row of a preview.

    Parameters
    ----------
    position : int
        The row's place in the frame, from 0.
    label : str
        Its label in the frame's index, as text.
    pieces : tuple of (str, bool), or None
        The prompt in order, each piece with whether a column filled it in; None where there is no prompt to show.
    note : str or None
        Why nothing is sent for this row, or what else is to be known of it.
    request_json : str
        Its request's params, as indented JSON; empty where there is none.
    """

    position: int
    label: str
    pieces: tuple[tuple[str, bool], ...] | None
    note: str | None = None
    request_json: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be sent for a frame, with its first rows filled in.

    Parameters
    ----------
    rows : tuple of PreviewRow
        The rows shown.
    total_rows, to_send, reused, skipped : int
        All rows of the frame; requests that would be sent, None where nobody has counted yet; rows whose answer is
        there already; rows with nothing to send.
    model : str
        The model that would be asked.
    system : str or None
        The system prompt as text.
    input_tokens : int or None
        Input tokens of everything that would be sent, as far as counted; None where they were not.
    cost : float or None
        Dollars that everything would cost at most, with every reply as long as it may be; None where that is unknown.
    provenance : Provenance
        Where the answers come from.
    expected : float or None
        Dollars that everything is expected to cost; None where that is unknown.
    expected_from : str
        Where the length of the replies is from that is expected, in words.
    """

    rows: tuple[PreviewRow, ...]
    total_rows: int
    to_send: int | None
    reused: int
    skipped: int
    model: str
    system: str | None
    input_tokens: int | None
    cost: float | None
    provenance: Provenance
    expected: float | None = None
    expected_from: str = ""


def cut_pieces(pieces: tuple[tuple[str, bool], ...], limit: int = PROMPT_LIMIT) -> Iterator[tuple[str, bool]]:
    """Cut a prompt to `limit` characters in all, and make its control characters harmless.

    Parameters
    ----------
    pieces : tuple of (str, bool)
        As in :class:`PreviewRow`.
    limit : int
        Characters kept over all pieces.

    Yields
    ------
    (str, bool)
        The pieces that fit, clean; the last one says what was cut.
    """
    left = limit
    for text, filled in pieces:
        if left <= 0:
            yield "…", False
            return
        yield units.clean(text, left, lines=True), filled
        left -= len(text)


def facts_lines(preview: Preview) -> list[str]:
    """List what a person should know before sending: the rows, tokens and cost, and what the cost supposes."""
    if preview.to_send is None:
        return [f"{preview.total_rows:,} rows: what would be sent is not counted yet", "nothing was sent"]
    rows = [f"{preview.total_rows:,} rows: {preview.to_send:,} to send"]
    if preview.reused:
        rows.append(f"{preview.reused:,} reused, not bought again")
    if preview.skipped:
        rows.append(f"{preview.skipped:,} skipped, nothing to send")
    spend = [] if preview.input_tokens is None else [f"about {preview.input_tokens:,} input tokens"]
    if preview.cost is None:
        spend.append("cost unknown")
    else:
        would = "would cost " if preview.provenance.is_free else ""
        about = "" if preview.expected is None else f"about {units.money(preview.expected)} expected, "
        spend.append(f"{would}{about}at most {units.money(preview.cost)}")
    lines = [" · ".join(rows), " · ".join([*spend, "nothing was sent"])]
    if preview.expected:
        lines.append(f"replies: {preview.expected_from}")
    return lines
