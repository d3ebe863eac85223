"""A job's widget without a browser: a snapshot in, traits out; and what its buttons do."""

from __future__ import annotations

import threading
from typing import Any

import fake_job
import pytest
from widget_traits import traits

from batchnb.display.job.widget import JobView
from batchnb.display.snapshot import ErrorKind

STATES = {
    "submitting": fake_job.running(0, 0, status="submitting"),
    "zero counts": fake_job.running(0),
    "half done": fake_job.running(6, note="The last check failed"),
    "canceling": fake_job.running(6, status="canceling"),
    "ended": fake_job.ended(),
    "canceled": fake_job.canceled(fake_job.running(6)),
    "failing": fake_job.running(6, failing=True, retryable=2, errors=(ErrorKind("api_error", 2, "row 7"),)),
    "many batches": fake_job.running(3, 60, rows=20_000, unsent=0),
}


def view_of(snapshot: Any) -> JobView:
    return JobView(fake_job.FakeJob(snapshot), snapshot)


class Slow(fake_job.FakeJob):
    """A job whose cancel waits until it is let go, and then fails if it is told to."""

    def __init__(self, *snapshots: Any, error: Exception | None = None) -> None:
        super().__init__(*snapshots)
        self.threads: list[str] = []
        self.let_go = threading.Event()
        self.error = error

    def cancel(self) -> None:
        self.threads.append(threading.current_thread().name)
        assert self.let_go.wait(30)
        if self.error:
            raise self.error
        self.snapshots = [fake_job.running(6, status="canceling")]


def becomes(widget: Any, trait: str, value: object) -> threading.Event:
    """Return an event that is set when a trait has that value."""
    event = threading.Event()
    widget.observe(lambda change: change["new"] == value and event.set(), trait)
    return event


@pytest.mark.parametrize("first", STATES)
@pytest.mark.parametrize("second", STATES)
def test_updating_from_one_state_to_another_equals_creating_the_other(first, second):
    view = view_of(STATES[first])
    view.update(STATES[second])
    assert traits(view.widget) == traits(view_of(STATES[second]).widget)


def parts(view: JobView) -> list[Any]:
    buttons = [action.widget for action in (view.collect, view.retry, view.cancel)]
    shown = [view.head, view.facts, view.details, view.fold, view.batches, view.widget, *buttons]
    return shown + [widget.layout for widget in shown]


def test_nothing_is_sent_when_nothing_changed():
    view = view_of(STATES["half done"])
    heard: list[Any] = []
    for widget in parts(view):
        widget.observe(heard.append)
    view.update(fake_job.running(6, note="The last check failed"))
    assert heard == []
    view.update(fake_job.running(6, note="The last check failed", now=1_246.0))
    assert [change["owner"] for change in heard] == [view.facts]


def test_cancel_asks_once_then_cancels_in_a_thread_of_its_own():
    job = Slow(STATES["half done"])
    view = JobView(job, job.snapshot())
    button = view.cancel.widget
    assert button.description == "Cancel"
    button.click()
    assert (button.description, button.button_style) == ("Really cancel?", "warning")
    assert job.threads == []
    button.click()
    assert (button.description, button.disabled) == ("Canceling…", True)
    button.click()
    done = becomes(button, "description", "Cancel")
    job.let_go.set()
    while "Canceling" not in view.head.value:
        assert not done.is_set()
    assert job.threads == ["batchnb-cancel"]
    assert (button.description, button.disabled) == ("Canceling…", True)
    view.update(STATES["ended"])
    assert button.layout.display == "none"


def test_a_job_that_goes_on_after_its_end_asks_anew():
    view = view_of(STATES["half done"])
    view.cancel.widget.click()
    view.update(STATES["ended"])
    view.update(STATES["half done"])
    assert traits(view.widget) == traits(view_of(STATES["half done"]).widget)


def test_a_question_left_unanswered_is_taken_back(monkeypatch):
    monkeypatch.setattr("batchnb.display.button.CONFIRM_SECONDS", 0.01)
    view = view_of(STATES["half done"])
    button = view.cancel.widget
    back = becomes(button, "description", "Cancel")
    button.click()
    assert back.wait(10)
    assert traits(view.widget) == traits(view_of(STATES["half done"]).widget)


def test_a_cancel_that_fails_says_so_until_the_next_click_and_can_be_tried_again():
    job = Slow(STATES["half done"], error=OSError("<b>disk full</b>"))
    view = JobView(job, job.snapshot())
    button = view.cancel.widget
    button.click()
    button.click()
    again = becomes(button, "disabled", False)
    job.let_go.set()
    assert again.wait(10)
    assert "Cancel failed: OSError: &lt;b&gt;disk full&lt;/b&gt;" in view.details.value
    assert (button.description, button.disabled) == ("Cancel", False)
    view.update(fake_job.running(7))
    assert "Cancel failed" in view.details.value
    done = becomes(view.collect.widget, "disabled", False)
    view.collect.widget.click()
    assert done.wait(10)
    assert "Cancel failed" not in view.details.value
    assert job.asked == ["collect"]


def test_retry_is_there_when_failed_rows_can_be_asked_again_and_does_that():
    assert view_of(STATES["half done"]).retry.widget.layout.display == "none"
    job = fake_job.FakeJob(fake_job.ended(retryable=1_200))
    view = JobView(job, job.snapshot())
    button = view.retry.widget
    assert (button.description, button.layout.display) == ("Retry 1,200 failed", None)
    done = becomes(button, "disabled", False)
    button.click()
    assert done.wait(10)
    assert job.asked == ["retry"]


def test_collect_is_there_while_the_server_is_at_work_or_a_batch_is_lost():
    def shown(snapshot: Any) -> bool:
        return view_of(snapshot).collect.widget.layout.display is None

    assert shown(STATES["half done"])
    assert not shown(STATES["submitting"])
    assert not shown(STATES["ended"])
    lost = fake_job.replace(fake_job.batch(0, ended=False), state="lost")
    assert shown(fake_job.ended(batches=(lost,)))


def test_every_button_says_in_words_what_it_does():
    view = view_of(fake_job.running(6, retryable=3))
    for action in (view.collect, view.retry, view.cancel):
        assert action.widget.description
        assert len(action.widget.tooltip) > 20


def test_a_view_can_be_updated_from_many_threads_at_once():
    view = view_of(STATES["zero counts"])
    threads = [threading.Thread(target=view.update, args=[fake_job.running(number)]) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert traits(view.widget) in [traits(view_of(fake_job.running(number)).widget) for number in range(10)]
