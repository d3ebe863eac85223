"""The bars of a terminal: a line for each open job, drawn with tqdm, and whole lines of text above them.

The bars are a pool that the jobs share rather than one each: when a job ends, the ones below it move up, so that no
empty line is left, and no bar is torn by what is written.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TextIO
from weakref import WeakKeyDictionary

from batchnb.system.forks import at_forks

__all__ = ["Bar", "Bars", "bars_of", "cut", "encodable", "width"]


#: Seconds that a fork waits for a drawing to end.
FORK_PATIENCE = 1.0

#: A bar is not drawn wider than this, nor up to the edge: a window that gets narrower wraps what stands in it.
MOST_COLUMNS = 100

#: Whether escape sequences can be written: older consoles of Windows would show them, rather than leave a torn line.
OBEYS_ANSI = os.name != "nt"


class Bar(NamedTuple):
    """What a bar says.

    Parameters
    ----------
    done, total : int
        How far it has come.
    words : callable
        Gives what stands before and behind it, for a line of so many columns.
    """

    done: int
    total: int
    words: Callable[[int], tuple[str, str]]


class Bars:
    """The bars of one terminal. Any thread may draw them.

    Parameters
    ----------
    file : text stream
        The terminal.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._shown: dict[Hashable, Bar] = {}
        self._lines: list[Any] = []
        self._drawn: list[object] = []
        self._columns = 0
        self._forking = False
        at_forks(
            self, before=self._before_fork, in_parent=self._after_fork_in_parent, in_child=self._after_fork_in_child
        )

    def _before_fork(self) -> None:
        """Be between two drawings, so that no lock of tqdm's is held; but wait for no terminal that is held up."""
        self._forking = self._lock.acquire(timeout=FORK_PATIENCE)

    def _after_fork_in_parent(self) -> None:
        if self._forking:
            self._forking = False
            self._lock.release()

    def _after_fork_in_child(self) -> None:
        """Begin without bars: those that stand there are the parent's, who goes on drawing them."""
        if self._lines and not self._forking:
            _tqdm().set_lock(threading.RLock())
        for line in self._lines:
            line.disable = True  # or it would be wiped out at the end of the child
            with contextlib.suppress(AttributeError, KeyError):
                type(line)._instances.remove(line)  # noqa: SLF001  # tqdm draws them all anew
        self._lock, self._forking = threading.RLock(), False
        self._shown, self._lines, self._drawn = {}, [], []

    def show(self, owner: Hashable, bar: Bar) -> None:
        """Draw the bar of `owner`: in its place, or below the others if it is new."""
        with self._lock:
            self._shown[owner] = bar
            self._draw()

    def end(self, owner: Hashable, line: str | None = None) -> None:
        """Take the bar of `owner` away, if it has one, and write `line` above the others."""
        with self._lock:
            if self._shown.pop(owner, None) is not None:
                self._lines.pop().close()
                self._drawn.pop()
            if line is not None:
                _tqdm().write(line, file=self._file)
            self._draw()

    def _draw(self) -> None:
        columns = min(_columns(self._file) - 1, MOST_COLUMNS)
        if columns < self._columns and self._lines and OBEYS_ANSI:
            # tqdm would blank what is left of its longer last lines with spaces, which now wrap.
            self._file.write("\r\x1b[J")
            for line in self._lines:
                line.sp = line.status_printer(line.fp)
        self._columns = columns
        for place, bar in enumerate(self._shown.values()):
            before, behind = (encodable(text, self._file) for text in bar.words(columns))
            looks = (columns, bar.done, bar.total, before, behind)
            if place == len(self._lines):
                self._lines.append(_new_line(self._file, desc=before, total=bar.total, ncols=columns))
                self._drawn.append(None)
            if looks == self._drawn[place]:
                continue
            self._drawn[place] = looks
            line = self._lines[place]
            line.total, line.n, line.ncols = bar.total, bar.done, columns
            line.desc, line.postfix = before, behind
            line.refresh()


_boards: WeakKeyDictionary[TextIO, Bars] = WeakKeyDictionary()


def bars_of(file: TextIO) -> Bars:
    """Return the bars of a terminal, which all that write to it share."""
    known = _boards.get(file)
    return _boards.setdefault(file, Bars(file)) if known is None else known


def encodable(text: str, file: TextIO) -> str:
    """Put question marks for what a stream cannot encode, rather than fail."""
    encoding = getattr(file, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def width(text: str) -> int:
    """Count the columns that a text takes in a terminal: two for each Chinese character."""
    from tqdm.utils import disp_len

    return int(disp_len(text))


def cut(text: str, columns: int) -> str:
    """Cut a text to so many columns, with an ellipsis."""
    from tqdm.utils import disp_trim

    return text if width(text) <= columns else f"{disp_trim(text, max(0, columns - 1))}…"


def _tqdm() -> Any:
    from tqdm import tqdm

    return tqdm


def _new_line(file: TextIO, **options: Any) -> Any:
    # No rate and no remaining time: counts jump when a batch ends, so both would be invented.
    form = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
    return _tqdm()(file=file, leave=False, bar_format=form, **options)


def _columns(file: TextIO) -> int:
    try:
        return os.get_terminal_size(file.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):  # no terminal after all
        return 80
