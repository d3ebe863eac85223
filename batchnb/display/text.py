"""A job in plain text: for terminals, scripts, log files, and beside every HTML view."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from batchnb.display import words
from batchnb.display.preview import cut_pieces, facts_words

if TYPE_CHECKING:
    from batchnb.display.preview import Preview
    from batchnb.display.table import Table
    from batchnb.snapshot import Snapshot

__all__ = ["TextProgress", "line_text", "preview_text", "summary_text", "table_text"]


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
        f"{_lead(snapshot)} · {words.status_words(snapshot)} · {words.clean(snapshot.model, 80)}",
        words.counts_words(snapshot),
        " · ".join(words.facts_words(snapshot)),
        words.rows_words(snapshot),
    ]
    live = words.live_words(snapshot)
    if live:
        lines.append(" · ".join(live))
    errors = words.error_words(snapshot)
    if errors:
        lines.append("Errors: " + "; ".join(errors))
    if snapshot.note:
        lines.append("Note: " + words.clean(snapshot.note, 400))
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
    parts.append(words.duration(snapshot.elapsed))
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
    lead = f"[{words.badge(table)}] " if table.simulated else ""
    lines = []
    for line in table.lines:
        outcome = " · ".join(f"{number:,} {table.part_words[key]}" for key, number in line.parts) or "nothing sent"
        cost = "" if line.cost is None else f" · cost {line.cost}"
        note = f" · {words.clean(line.note, 200)}" if line.note else ""
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
    badge = words.badge(preview)
    lines = [(f"[{badge}] " if badge else "") + f"Preview · {words.clean(preview.model, 80)}", *facts_words(preview)]
    if preview.system:
        lines += ["", "System", _indent(words.clean(preview.system, 1_000, lines=True))]
    for row in preview.rows:
        lines += ["", f"Row {words.clean(row.label, 40)}"]
        if row.pieces is not None:
            pieces = (f"⟦{text}⟧" if filled else text for text, filled in cut_pieces(row.pieces))
            lines.append(_indent("".join(pieces)))
        if row.note:
            lines.append(_indent(f"({words.clean(row.note, 400)})"))
    return "\n".join(lines)


class TextProgress:
    """A progress bar in a terminal, or a few lines in a log file.

    In a terminal: one tqdm bar, whose total is the job's requests, and which moves only when the server's counts do.
    Elsewhere (a log file, a pipe): one line when the state changes or a batch ends, and none in between.
    Either way one last line says how the job ended. Not safe to call from two threads at once.

    Parameters
    ----------
    file : text stream, optional
        Where to write; ``sys.stderr`` at the time of creation by default.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file: TextIO = sys.stderr if file is None else file
        self._bar: Any = None
        self._said: tuple[object, ...] | None = None
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
            self.close()
            self._write(line_text(snapshot))
        elif self._file.isatty():
            self._draw(snapshot)
        else:
            self._log(snapshot)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, snapshot: Snapshot) -> None:
        done, total = words.finished(snapshot)
        if self._bar is None:
            from tqdm import tqdm

            # No rate and no remaining time: counts jump when a batch ends, so both would be invented.
            form = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
            self._bar = tqdm(file=self._file, leave=False, dynamic_ncols=True, bar_format=form, total=total)
        bar = self._bar
        bar.total, bar.n = total, done
        bar.set_description_str(_lead(snapshot, 30), refresh=False)
        batches = f"{snapshot.batches_ended}/{len(snapshot.batches)} batches"
        bar.set_postfix_str(f"{batches}, {words.duration(snapshot.elapsed)}", refresh=False)
        bar.refresh()

    def _log(self, snapshot: Snapshot) -> None:
        saying = (snapshot.status, snapshot.batches_ended, snapshot.note)
        if saying != self._said:
            self._said = saying
            self._write(line_text(snapshot) + (f" · {words.clean(snapshot.note, 400)}" if snapshot.note else ""))

    def _write(self, line: str) -> None:
        # A terminal of another encoding shows a question mark rather than failing.
        encoding = getattr(self._file, "encoding", None) or "utf-8"
        self._file.write(line.encode(encoding, "replace").decode(encoding) + "\n")
        self._file.flush()


def _lead(snapshot: Snapshot, limit: int = 80) -> str:
    badge = words.badge(snapshot)
    return (f"[{badge}] " if badge else "") + words.clean(snapshot.name, limit)


def _indent(text: str) -> str:
    return "\n".join("    " + line for line in text.split("\n"))
