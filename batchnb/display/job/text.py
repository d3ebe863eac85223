"""A job in plain text: for terminals, scripts, log files, and beside every HTML view."""

from __future__ import annotations

import io
import re
import sys
from functools import partial
from typing import TYPE_CHECKING, TextIO

from batchnb import units
from batchnb.display.job import words
from batchnb.display.shown.preview import cut_pieces, facts_lines
from batchnb.display.terminal import Bar, bars_of, cut, encodable, width

if TYPE_CHECKING:
    from batchnb.display.shown.preview import Preview
    from batchnb.display.snapshot import Snapshot
    from batchnb.display.tables.lines import Table

__all__ = ["TextProgress", "line_text", "preview_text", "summary_text", "table_text"]

#: How many different notes of a job are said in a log.
MOST_NOTES = 20


def summary_text(snapshot: Snapshot) -> str:
    """Say the job in a few lines of plain text, without control characters.

    Parameters
    ----------
    snapshot : Snapshot
        The job's frozen state.

    Returns
    -------
    str
        Lines without a trailing newline. Starts with ``[SIMULATED]`` if and only if the answers are simulated.
    """
    lines = [
        f"{_lead(snapshot)} · {words.status_words(snapshot)} · {units.clean(snapshot.model, 80)}",
        words.counts_words(snapshot),
        " · ".join(words.facts_words(snapshot)),
        words.rows_words(snapshot),
        *words.cache_words(snapshot),
    ]
    live = words.live_words(snapshot)
    if live:
        lines.append(" · ".join(live))
    errors = words.error_words(snapshot)
    if errors:
        lines.append("Errors: " + "; ".join(errors))
    if snapshot.note:
        lines.append("Note: " + units.clean(snapshot.note, 400))
    lines += filter(None, (words.retry_words(snapshot), words.open_words(snapshot)))
    return "\n".join(lines)


def line_text(snapshot: Snapshot) -> str:
    """Say the job in one line of plain text, for a log.

    Parameters
    ----------
    snapshot : Snapshot
        The job's frozen state.

    Returns
    -------
    str
        One line without a newline.
    """
    parts = [words.status_words(snapshot), words.counts_words(snapshot), words.batches_words(snapshot)]
    parts.append(units.duration(snapshot.elapsed))
    if snapshot.status == "ended":
        parts.append(words.cost_words(snapshot))
    return f"{_lead(snapshot)}: " + " · ".join(parts)


def table_text(table: Table) -> str:
    """Say a table of jobs or batches, one a line.

    Parameters
    ----------
    table : Table
        Its lines.

    Returns
    -------
    str
        Lines without a trailing newline.
    """
    if not table.lines:
        return table.empty
    lead = table.provenance.lead
    lines = []
    for line in table.lines:
        outcome = words.parts_words(line.parts, table.part_words) or "nothing sent"
        cost = "" if line.cost is None else f" · cost {line.cost}"
        note = f" · {units.clean(line.note, 200)}" if line.note else ""
        lines.append(f"{lead}{line.name}: {line.state} · {outcome}{cost} · {' · '.join(line.about)}{note}")
    left = table.total - len(table.lines)
    return "\n".join([*lines, f"and {left:,} more: {table.all_by} lists them all"] if left else lines)


def preview_text(preview: Preview) -> str:
    """Say what would be sent in plain text, with the filled-in parts between ``⟦`` and ``⟧``.

    Parameters
    ----------
    preview : Preview
        What would be sent.

    Returns
    -------
    str
        Lines without a trailing newline.
    """
    lines = [f"{preview.provenance.lead}Preview · {units.clean(preview.model, 80)}", *facts_lines(preview)]
    if preview.system:
        lines += ["", "System", _indent(units.clean(preview.system, 1_000, lines=True))]
    for row in preview.rows:
        lines += ["", f"Row {units.clean(row.label, 40)}"]
        if row.pieces is not None:
            pieces = (f"⟦{text}⟧" if filled else text for text, filled in cut_pieces(row.pieces))
            lines.append(_indent("".join(pieces)))
        if row.note:
            lines.append(_indent(f"({units.clean(row.note, 400)})"))
    return "\n".join(lines)


class TextProgress:
    """A progress bar in a terminal, or a few lines in a log file.

    In a terminal: one line, whose total is the job's requests, and which moves only when the server's counts do. The
    bars of several jobs stand below each other, and above them the last lines of those that have ended.
    Elsewhere (a log file, a pipe): a line when the state changes, when another tenth of the requests is finished, and
    for a note not said before; some dozens at most, however many batches there are and however long it takes.
    Either way one last line says how the job ended. Not safe to call from two threads at once.

    Parameters
    ----------
    file : text stream, optional
        Where to write; ``sys.stderr`` at the time of creation by default. Nowhere, where there is none.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        # There is no stderr where it was closed before Python began, and under pythonw.
        self._file: TextIO = file or sys.stderr or io.StringIO()
        self._bars = bars_of(self._file) if self._file.isatty() else None
        self._steps: set[tuple[str, int]] = set()
        self._notes: set[str] = set()
        self._ended = False

    def update(self, snapshot: Snapshot) -> None:
        """Show `snapshot`, if it says something new. After the end nothing is written.

        Parameters
        ----------
        snapshot : Snapshot
            The job's frozen state.
        """
        if self._ended:
            return
        if snapshot.status == "ended":
            self._ended = True
            # Why rows have no answer, although the job has ended, is said where it ends: nobody looks further.
            open_rows = snapshot.note if snapshot.outcomes.get("pending") else None
            self._write(line_text(snapshot) + (f" · {units.clean(open_rows, 400)}" if open_rows else ""))
        elif self._bars is not None:
            done, total = words.finished(snapshot)
            self._bars.show(self, Bar(done, total, partial(_bar_words, snapshot)))
        elif self._is_news(snapshot):
            self._write(line_text(snapshot) + (f" · {units.clean(snapshot.note, 400)}" if snapshot.note else ""))

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bars is not None:
            self._bars.end(self)

    def _is_news(self, snapshot: Snapshot) -> bool:
        done, total = words.finished(snapshot)
        step = (snapshot.status, 10 * done // total if total else 0)
        # Notes that differ in a number only (the seconds of a pause, say) are one.
        note = re.sub(r"\d+", "0", snapshot.note or "")
        new_note = bool(note) and note not in self._notes and len(self._notes) < MOST_NOTES
        news = step not in self._steps or new_note
        self._steps.add(step)
        if new_note:
            self._notes.add(note)
        return news

    def _write(self, line: str) -> None:
        line = encodable(line, self._file)
        if self._bars is not None:
            self._bars.end(self, line)
        else:
            self._file.write(line + "\n")
            self._file.flush()


def _bar_words(snapshot: Snapshot, columns: int) -> tuple[str, str]:
    """Return what stands before and behind a job's bar in a terminal of that width: what matters least goes first."""
    done, total = words.finished(snapshot)
    lead = snapshot.provenance.lead
    # Between them: ": 100%|", eight columns of bar, "| " and ", ".
    room = columns - len(lead) - 19 - len(f"{done}/{total}")
    if snapshot.note:
        tails = [cut(units.clean(snapshot.note), columns // 3)]
    else:
        batches = f"{snapshot.batches_ended}/{len(snapshot.batches)} batches"
        tails = [f"{batches}, {units.duration(snapshot.elapsed)}", batches]
    tail = next((tail for tail in tails if width(tail) + 12 <= room), "")
    name = cut(units.clean(snapshot.name, 10_000), max(1, min(30, room - width(tail))))
    return lead + name, tail


def _lead(snapshot: Snapshot, limit: int = 80) -> str:
    return snapshot.provenance.lead + units.clean(snapshot.name, limit)


def _indent(text: str) -> str:
    return "\n".join("    " + line for line in text.split("\n"))
