"""Progress in a terminal: a real one, as programs see it, with its screen kept by an emulator."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import threading
from collections.abc import Callable, Iterator

import fake_job
import pyte
import pytest

from batchnb.display.job.text import TextProgress, line_text
from batchnb.display.terminal import bars_of

LONG = "a job with a name that is longer than the terminal is wide"


class Terminal:
    """A pseudo-terminal, and what stands on its screen."""

    def __init__(self, columns: int, rows: int = 24) -> None:
        self._master, slave = os.openpty()
        self.file = os.fdopen(slave, "w", encoding="utf-8")
        self.screen = pyte.HistoryScreen(columns, rows, history=1_000)
        self._stream = pyte.ByteStream(self.screen)
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int = 24) -> None:
        """Give the window another size."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def lines(self) -> list[str]:
        """Return the lines on the screen that are not empty."""
        self.file.flush()
        while select.select([self._master], [], [], 0)[0]:
            self._stream.feed(os.read(self._master, 65_536))
        assert not self.screen.history.top, "it has scrolled"
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def close(self) -> None:
        bars = bars_of(self.file)
        for owner in list(bars._shown):  # tqdm counts the bars of all terminals when it looks for a free line
            bars.end(owner)
        self.file.close()
        os.close(self._master)


@pytest.fixture
def terminal() -> Iterator[Callable[[int], Terminal]]:
    opened: list[Terminal] = []

    def open_one(columns: int) -> Terminal:
        opened.append(Terminal(columns))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
@pytest.mark.parametrize("name", ["n", LONG, "评论情感分类标注任务第一批" * 3, fake_job.HOSTILE])
@pytest.mark.parametrize("note", [None, "The server is busy " * 10])
def test_a_job_takes_one_line_however_wide_the_terminal_is(terminal, columns, name, note):
    window = terminal(columns)
    progress = TextProgress(window.file)
    for number in range(10):
        for second in range(10):
            progress.update(fake_job.running(number, name=name, note=note, now=2_000.0 + second, simulated=True))
            assert len(window.lines()) == 1
    (line,) = window.lines()
    assert line.startswith("[SIMULATED] "[:columns])
    if columns >= 40:
        assert "2700/3000" in line
    progress.close()
    assert window.lines() == []


@pytest.mark.parametrize(
    ("columns", "behind"), [(40, "900/3000"), (60, "900/3000, 3/10 batches"), (80, "3/10 batches, 4 min 05 s")]
)
def test_what_matters_least_goes_first_in_a_narrow_terminal(terminal, columns, behind):
    window = terminal(columns)
    TextProgress(window.file).update(fake_job.running(3, name=LONG))
    (line,) = window.lines()
    assert line.startswith("a job with")
    assert "… (" not in line
    assert line.endswith(behind)


def test_bars_follow_the_size_of_their_window(terminal):
    window = terminal(80)
    progress = TextProgress(window.file)
    other = TextProgress(window.file)
    for columns in (80, 120, 80, 40, 60, 30, 80):
        window.resize(columns)
        for second in range(5):
            progress.update(fake_job.running(3, now=2_000.0 + second))
            other.update(fake_job.running(4, now=2_000.0 + second))
        first, second = window.lines()
        assert max(len(first), len(second)) <= columns
        assert "900/3000" in first
        assert "1200/3000" in second
        assert ("batches" in first) == (columns > 40)


@pytest.mark.parametrize("ending", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_jobs_at_once_stand_below_each_other_and_a_last_line_tears_no_bar(terminal, ending):
    window = terminal(100)
    jobs = [TextProgress(window.file) for _ in range(3)]
    names = [f"job {number}" for number in range(3)]
    for number in range(5):
        for job, name in zip(jobs, names, strict=True):
            job.update(fake_job.running(number, name=name))
    assert [line[:5] for line in window.lines()] == names
    ended: list[str] = []
    for number in ending:
        jobs[number].update(fake_job.ended(name=names[number]))
        ended.append(line_text(fake_job.ended(name=names[number])))
        names_left = [name for other, name in enumerate(names) if f"{name}:" not in " ".join(ended)]
        for other, job in enumerate(jobs):
            job.update(fake_job.running(6, name=names[other], now=3_000.0 + number))
        lines = window.lines()
        said = "".join(line.ljust(100) for line in lines[: len(lines) - len(names_left)])
        for line in ended:
            assert line in said
        assert [line[:7] for line in lines[len(lines) - len(names_left) :]] == [f"{name}: " for name in names_left]
        assert all("60%" in line for line in lines[len(lines) - len(names_left) :])


def test_a_job_that_comes_later_is_drawn_below_and_one_that_only_ends_needs_no_bar(terminal):
    window = terminal(100)
    first, second, third = (TextProgress(window.file) for _ in range(3))
    first.update(fake_job.running(1, name="first"))
    second.update(fake_job.ended(name="second", rows=1, outcomes={"succeeded": 1}, batches=(), errors=()))
    third.update(fake_job.running(1, name="third"))
    lines = window.lines()
    assert lines[0].startswith("second: Ended")
    assert [line.partition(":")[0] for line in lines[-2:]] == ["first", "third"]


def test_jobs_drawn_by_several_threads_at_once_keep_their_lines(terminal):
    window = terminal(100)
    jobs = [TextProgress(window.file) for _ in range(4)]

    def play(number: int) -> None:
        for ended in range(10):
            jobs[number].update(fake_job.running(ended, name=f"job {number}"))

    threads = [threading.Thread(target=play, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = window.lines()
    assert sorted(line[:5] for line in lines) == [f"job {number}" for number in range(4)]
    assert all("2700/3000" in line for line in lines)


def test_nothing_is_written_while_nothing_changes(terminal):
    window = terminal(80)
    progress = TextProgress(window.file)
    progress.update(fake_job.running(3))
    window.lines()
    for _ in range(100):
        progress.update(fake_job.running(3))
    window.file.flush()
    assert not select.select([window._master], [], [], 0)[0]
