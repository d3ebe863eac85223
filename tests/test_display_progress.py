"""The widget without a browser, the choice of front end, and a whole notebook through nbclient."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import fake_job
import nbformat
import pytest
from nbclient import NotebookClient

from batchnb.display import JobView, TextProgress, progress, show

STATES = {
    "submitting": fake_job.running(0, 0, status="submitting"),
    "zero counts": fake_job.running(0),
    "half done": fake_job.running(6, note="The last check failed"),
    "canceling": fake_job.running(6, status="canceling"),
    "ended": fake_job.ended(),
    "canceled": fake_job.canceled(fake_job.running(6)),
}


def traits(widget: Any) -> object:
    """Everything a front end draws of a widget, its children and its layout."""
    drawn = {}
    for key, value in widget.get_state().items():
        if isinstance(value, str) and value.startswith("IPY_MODEL_"):
            drawn[key] = traits(getattr(widget, key))
        elif key == "children":
            drawn[key] = [traits(child) for child in widget.children]
        else:
            drawn[key] = value
    return drawn


def view_of(snapshot: object) -> JobView:
    return JobView(snapshot, lambda: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("first", STATES)
@pytest.mark.parametrize("second", STATES)
def test_updating_from_one_state_to_another_equals_creating_the_other(first, second):
    view = view_of(STATES[first])
    view.update(STATES[second])
    assert traits(view.widget) == traits(view_of(STATES[second]).widget)


def test_nothing_is_sent_when_nothing_changed():
    view = view_of(STATES["half done"])
    heard: list[object] = []
    for widget in (view.head, view.facts, view.details, view.button, view.button.layout, view.widget):
        widget.observe(heard.append)
    view.update(fake_job.running(6, note="The last check failed"))
    assert heard == []
    view.update(fake_job.running(6, note="The last check failed", now=1_246.0))
    assert [change["owner"] for change in heard] == [view.facts]


def test_cancel_asks_once_then_cancels_in_a_thread_of_its_own():
    called: list[str] = []
    done = threading.Event()

    def cancel() -> None:
        called.append(threading.current_thread().name)
        done.set()

    view = JobView(STATES["half done"], cancel)
    assert view.button.description == "Cancel"
    view.button.click()
    assert view.button.description == "Really cancel?"
    assert called == []
    view.button.click()
    assert done.wait(10)
    assert (view.button.description, view.button.disabled) == ("Canceling…", True)
    view.button.click()
    assert called == ["batchnb-cancel"]
    view.update(STATES["ended"])
    assert view.button.layout.display == "none"


def test_a_job_that_goes_on_after_its_end_asks_anew():
    view = view_of(STATES["half done"])
    view.button.click()
    view.update(STATES["ended"])
    view.update(STATES["half done"])
    assert traits(view.widget) == traits(view_of(STATES["half done"]).widget)


def test_a_question_left_unanswered_is_taken_back(monkeypatch):
    monkeypatch.setattr(progress, "CONFIRM_SECONDS", 0.01)
    view = view_of(STATES["half done"])
    asked = threading.Event()
    view.button.observe(lambda change: change["new"] == "Cancel" and asked.set(), "description")
    view.button.click()
    assert asked.wait(10)
    assert (view.button.description, view.button.button_style) == ("Cancel", "")


def test_a_cancel_that_fails_says_so_and_can_be_tried_again():
    said = threading.Event()

    def cancel() -> None:
        raise OSError("<b>disk full</b>")

    view = JobView(STATES["half done"], cancel)
    view.details.observe(lambda _: said.set(), "value")
    view.button.click()
    view.button.click()
    assert said.wait(10)
    assert "Cancel failed: OSError: &lt;b&gt;disk full&lt;/b&gt;" in view.details.value
    assert (view.button.description, view.button.disabled) == ("Cancel", False)


def test_a_view_can_be_updated_from_many_threads_at_once():
    view = view_of(STATES["zero counts"])
    threads = [threading.Thread(target=view.update, args=[fake_job.running(number)]) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert traits(view.widget) in [traits(view_of(fake_job.running(number)).widget) for number in range(10)]


def test_without_a_kernel_progress_is_text_and_ends_with_a_line(capsys):
    job = fake_job.FakeJob(fake_job.running(9), fake_job.ended())
    assert isinstance(show(job), TextProgress)
    job.advance()
    assert capsys.readouterr().err.splitlines()[-1].startswith("review → label: Ended, 15 rows failed")
    assert job.callbacks == []


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

    monkeypatch.setattr(progress, "_has_front_end", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    return made


def test_the_widget_is_published_with_html_and_text_beside_it_and_replaced_at_the_end(handle):
    job = fake_job.FakeJob(fake_job.running(9), fake_job.ended())
    assert isinstance(show(job), JobView)
    job.advance()
    live, final = handle.bundles
    assert {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"} <= set(live)
    assert "9 of 10 batches ended" in live["text/plain"]
    assert set(final) == {"text/html", "text/plain"}
    assert "Ended, 15 rows failed" in final["text/html"]


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
    assert job.callbacks == []


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
    assert progress._has_front_end()
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert not progress._has_front_end()


START = """\
import fake_job
from batchnb.display import show
job = fake_job.FakeJob(fake_job.running(0, simulated=True), fake_job.running(5, simulated=True),
                       fake_job.ended(simulated=True, name=fake_job.HOSTILE))
view = show(job)"""


def test_a_notebook_ends_with_a_static_summary_that_needs_no_kernel(tmp_path, monkeypatch):
    """The view moves while cells run, and what is saved is HTML and text, not a widget."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, Path(__file__).parents[:2])))
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
    (button,) = [state["state"] for state in states if state["model_name"] == "ButtonModel"]
    assert button["disabled"] is True
