"""Where a job is shown, and what stays there: the choice of front end, and a whole notebook through nbclient."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import fake_job
import nbformat
import pytest
from nbclient import NotebookClient

from batchnb.display.job import screen
from batchnb.display.job.screen import show
from batchnb.display.job.text import TextProgress
from batchnb.display.job.widget import JobView
from batchnb.display.kernel import shell
from batchnb.errors import JobNotFoundError


def test_without_a_kernel_progress_is_text_and_ends_with_a_line(capsys):
    job = fake_job.FakeJob(fake_job.running(9), fake_job.ended())
    assert isinstance(show(job), TextProgress)
    job.advance()
    assert capsys.readouterr().err.splitlines()[-1].startswith("review → label: Ended, 15 rows failed")
    job.tell()
    assert capsys.readouterr().err == ""


def test_a_job_that_ended_before_it_is_shown_is_shown_ended(capsys):
    show(fake_job.FakeJob(fake_job.ended()))
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_progress_false_shows_nothing(capsys):
    job = fake_job.FakeJob(fake_job.running(9), fake_job.ended())
    assert show(job, progress=False) is None
    job.advance()
    assert capsys.readouterr() == ("", "")


class Handle:
    """What `display(..., display_id=True)` returns, as far as a view needs it."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, str]] = []

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        self.bundles.append(bundle)


@pytest.fixture
def handle(monkeypatch) -> Handle:
    """Pretend that a kernel runs this test, and keep what is published."""
    made = Handle()

    def display(bundle: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        made.update(bundle, raw=raw)
        return made

    monkeypatch.setattr(screen, "has_front_end", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    return made


def test_the_widget_is_published_with_html_and_text_beside_it_and_replaced_at_the_end(handle):
    job = fake_job.FakeJob(fake_job.running(9), fake_job.ended())
    assert isinstance(show(job), JobView)
    job.advance()
    live, final = handle.bundles
    assert {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"} <= set(live)
    assert "9 of 10 batches ended" in live["text/plain"]
    assert "batchnb.attach(&quot;job_1&quot;)" in live["text/html"]
    assert 'batchnb.attach("job_1")' in live["text/plain"]
    assert set(final) == {"text/html", "text/plain"}
    assert "Ended, 15 rows failed" in final["text/html"]
    job.tell()
    assert len(handle.bundles) == 2


def test_a_job_that_has_ended_is_published_as_a_summary_alone(handle):
    assert show(fake_job.FakeJob(fake_job.ended())) is None
    (bundle,) = handle.bundles
    assert set(bundle) == {"text/html", "text/plain"}


def test_a_job_that_is_retried_has_its_widget_back_where_it_was(handle):
    job = fake_job.FakeJob(fake_job.ended(), fake_job.running(9), fake_job.ended(retryable=0))
    show(job)
    job.advance()
    job.advance()
    assert ["application/vnd.jupyter.widget-view+json" in bundle for bundle in handle.bundles] == [False, True, False]


def test_a_job_has_one_view_wherever_it_is_shown_and_follows_it_once(handle):
    job = fake_job.FakeJob(fake_job.running(1), fake_job.ended())
    first, second = show(job), show(job)
    assert first is second
    assert len(job.callbacks) == 1
    models = [bundle["application/vnd.jupyter.widget-view+json"]["model_id"] for bundle in handle.bundles]
    assert models[0] == models[1]
    job.advance()
    assert ["application/vnd.jupyter.widget-view+json" in bundle for bundle in handle.bundles] == [True] * 2 + [
        False
    ] * 2


def test_a_cell_that_submits_a_job_and_ends_with_it_shows_it_once(handle, monkeypatch):
    cell = [7]
    monkeypatch.setattr(screen, "execution", lambda: cell[0])
    job = fake_job.FakeJob(fake_job.running(1))
    show(job)
    show(job)
    assert len(handle.bundles) == 1
    cell[0] = 8
    show(job)
    assert len(handle.bundles) == 2


def test_a_view_whose_kernel_or_workspace_ends_leaves_a_summary_that_says_the_job_goes_on(handle):
    job = fake_job.FakeJob(fake_job.running(1), fake_job.running(2))
    show(job)
    job.snapshots.pop(0)
    job.views["job_1"].freeze()
    last = handle.bundles[-1]
    assert set(last) == {"text/html", "text/plain"}
    assert "2 of 10 batches ended" in last["text/plain"]
    assert 'The job goes on: run the cell again, or batchnb.attach("job_1")' in last["text/plain"]
    assert job.callbacks == []


def test_the_view_of_a_job_that_is_deleted_says_so(handle, monkeypatch):
    def deleted() -> None:
        raise JobNotFoundError("gone")

    job = fake_job.FakeJob(fake_job.running(1))
    show(job)
    monkeypatch.setattr(job, "snapshot", deleted)
    job.tell()
    assert "This job was deleted." in handle.bundles[-1]["text/plain"]
    assert job.callbacks == []
    assert job.views == {}


def test_a_view_that_fails_is_reported_once_and_gives_way_to_text(handle, monkeypatch, caplog, capsys):
    job = fake_job.FakeJob(*map(fake_job.running, range(5)), fake_job.ended())
    view = show(job)
    monkeypatch.setattr(view, "update", lambda snapshot: 1 / 0)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            job.advance()
    assert [record.message.count("ZeroDivisionError") for record in caplog.records] == [1]
    assert "2 of 10 batches ended" in capsys.readouterr().err
    assert "Ended, 15 rows failed" in handle.bundles[-1]["text/plain"]


def test_a_state_that_cannot_be_read_is_reported_once_and_read_again_later(handle, monkeypatch, caplog):
    job = fake_job.FakeJob(fake_job.running(1), fake_job.running(2), fake_job.running(3))
    view = show(job)
    with monkeypatch.context() as broken, caplog.at_level(logging.WARNING):
        broken.setattr(job, "snapshot", lambda: 1 / 0)
        job.tell()
        job.tell()
    assert len(caplog.records) == 1
    job.tell()
    assert isinstance(view, JobView)
    job.snapshots.pop(0)
    job.tell()
    assert "2 of 10 batches ended" in view.facts.value


def test_without_ipywidgets_there_is_no_front_end(monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", type("Shell", (), {"kernel": object()}))
    assert shell.has_front_end()
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert not shell.has_front_end()


START = """\
import fake_job
from batchnb.display.job.screen import show
job = fake_job.FakeJob(fake_job.running(0, simulated=True), fake_job.running(5, simulated=True),
                       fake_job.ended(simulated=True, name=fake_job.HOSTILE))
view = show(job)"""


def test_a_notebook_ends_with_a_static_summary_that_needs_no_kernel(tmp_path, monkeypatch):
    """The view moves while cells run, and what is saved is HTML and text, not a widget."""
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), str(root / "tests" / "support")]))
    cells = [
        START,
        "job.advance()\nview.facts.value",
        "import threading\nthread = threading.Thread(target=job.advance)\nthread.start()\nthread.join()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "5 of 10 batches ended" in notebook.cells[1].outputs[0].data["text/plain"]
    (output,) = notebook.cells[0].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    assert "SIMULATED" in output.data["text/html"]
    assert "<script>" not in output.data["text/html"]
    assert "2,900 succeeded" in output.data["text/plain"]
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    drawn = [state["state"] for state in states if state["model_name"] == "HTMLModel"]
    assert any("Ended, 15 rows failed" in state["value"] for state in drawn)
