"""Progress as text: a bar in a terminal, a few lines in a log."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import fake_job
import pytest

from batchnb.display.job import text
from batchnb.display.job.text import TextProgress, line_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


def test_a_log_gets_a_line_when_the_state_changes_or_a_tenth_is_finished_and_none_between(log):
    progress = TextProgress(log)
    start = fake_job.running(0)
    for second in range(100):
        progress.update(replace(start, now=start.now + second))
    for number in range(1, 10):
        progress.update(fake_job.running(number))
        progress.update(fake_job.running(number, now=2_000.0))
    progress.update(fake_job.running(9, status="canceling"))
    lines = log.getvalue().splitlines()
    assert len(lines) == 1 + 9 + 1
    assert lines[0] == line_text(start)
    assert "9 of 10 batches ended" in lines[-1]


def test_a_job_of_two_thousand_batches_does_not_flood_a_log(log):
    progress = TextProgress(log)
    batches = [fake_job.batch(number, ended=False, size=5) for number in range(2_000)]
    for number in range(2_000):
        batches[number] = fake_job.batch(number, ended=True, size=5)
        if number % 10 == 0:
            progress.update(fake_job.running(batches=tuple(batches), unsent=0))
    assert len(log.getvalue().splitlines()) == 10


def test_a_note_that_comes_and_goes_is_said_once_and_many_notes_only_so_often(log):
    progress = TextProgress(log)
    progress.update(fake_job.running(0))
    for second in range(100):
        progress.update(fake_job.running(0, note=f"The server is busy; trying again in {second} s"))
        progress.update(fake_job.running(0))
    assert [line.rpartition(" · ")[2] for line in log.getvalue().splitlines()[1:]] == [
        "The server is busy; trying again in 0 s"
    ]
    for number in range(1_000):
        progress.update(fake_job.running(0, note="a new one " + "x" * number))
    assert len(log.getvalue().splitlines()) == 1 + text.MOST_NOTES


def test_a_state_that_comes_and_goes_does_not_flood_a_log(log):
    progress = TextProgress(log)
    for _ in range(100):
        progress.update(fake_job.running(4, status="submitting"))
        progress.update(fake_job.running(3, status="in_progress"))
    assert len(log.getvalue().splitlines()) == 2


def test_the_last_line_comes_once_and_nothing_after_it(log):
    progress = TextProgress(log)
    progress.update(fake_job.running(9))
    for _ in range(3):
        progress.update(fake_job.ended())
    progress.update(fake_job.running(9))
    assert log.getvalue().splitlines()[1:] == [line_text(fake_job.ended())]


def test_a_terminal_gets_one_bar_that_moves_only_with_the_counts():
    terminal = Terminal()
    progress = TextProgress(terminal)
    progress.update(fake_job.running(0))
    progress.update(fake_job.running(0, now=5_000.0))
    assert "0/3000, 0/10 batches" in terminal.getvalue()
    assert " 0%" in terminal.getvalue()
    progress.update(fake_job.running(3))
    assert "900/3000, 3/10 batches" in terminal.getvalue()
    assert "30%" in terminal.getvalue()
    assert "\n" not in terminal.getvalue()
    progress.update(fake_job.ended())
    assert terminal.getvalue().endswith(line_text(fake_job.ended()) + "\n")
    assert terminal.getvalue().count("\n") == 1


def test_a_job_with_nothing_to_send_still_says_how_it_ended():
    terminal = Terminal()
    progress = TextProgress(terminal)
    progress.update(fake_job.running(0, 0, unsent=0, status="submitting"))
    progress.update(fake_job.ended(batches=(), unsent=0, outcomes={"succeeded": 3_000}, reused=3_000))
    assert "nothing was sent" in terminal.getvalue()


def test_no_text_of_a_job_can_steer_the_terminal():
    terminal = Terminal()
    progress = TextProgress(terminal)
    progress.update(fake_job.running(1, name=fake_job.HOSTILE, note=fake_job.HOSTILE))
    progress.update(fake_job.ended(name=fake_job.HOSTILE))
    assert "\x1b[31m" not in terminal.getvalue()
    assert "\u202e" not in terminal.getvalue()


def test_a_terminal_of_another_encoding_gets_what_it_can_show():
    raw = io.BytesIO()
    progress = TextProgress(io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    progress.update(fake_job.ended())
    assert b"review ? label: Ended" in raw.getvalue()


def test_without_a_stderr_progress_goes_nowhere(monkeypatch):
    """As under pythonw, or where it was closed before Python began."""
    monkeypatch.setattr(sys, "stderr", None)
    TextProgress().update(fake_job.running(3))
