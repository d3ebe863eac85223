"""The tables of jobs and of the server's batches: what they show, and what can be done with each line."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import anthropic
import fake_job
import pandas as pd
import pytest
from page import TAGS, Page
from widget_traits import traits

import batchnb
from batchnb.answers.provenance import Provenance
from batchnb.display.job.text import table_text
from batchnb.display.tables.html import lines_html, table_html
from batchnb.display.tables.lines import ROW_WORDS, Table, batch_line, job_line
from batchnb.display.tables.widget import TableView
from batchnb.sim import Simulator

SECONDS = 30.0


def table_of(*snapshots: Any, **fields: Any) -> Table:
    common = {"noun": "job", "counted": "Rows", "part_words": ROW_WORDS, "now": 2_000.0, "provenance": Provenance.API,
              "all_by": "batchnb.jobs().to_frame()", "empty": "There are no jobs."}  # fmt: skip
    lines = tuple(map(job_line, snapshots))
    return Table(**{**common, "lines": lines, "total": len(lines), **fields})  # type: ignore[arg-type]


ENDED = fake_job.ended(job_id="job_a")
OPEN = fake_job.running(3, job_id="job_b", name="second")
HOSTILE = fake_job.ended(
    job_id=fake_job.HOSTILE, name=fake_job.HOSTILE, model=fake_job.HOSTILE, note=fake_job.HOSTILE
)  # fmt: skip
TABLES = {
    "empty": table_of(),
    "ended": table_of(ENDED),
    "two": table_of(OPEN, ENDED),
    "more": table_of(OPEN, ENDED, total=1_200),
    "simulated": table_of(replace(OPEN, provenance=Provenance.SIMULATOR), provenance=Provenance.SIMULATOR),
    "hostile": table_of(HOSTILE, OPEN),
}


class Recorder:
    """A source whose table a test sets, and which notes what was done."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.did: list[tuple[str, str]] = []
        self.limit = 20
        self.on_request = False
        self.error: Exception | None = None
        self.job = fake_job.FakeJob(OPEN)

    def read(self) -> Table:
        return self.table

    def refresh(self) -> None:
        if self.error:
            raise self.error

    def open(self, id: str) -> Any:
        self.did.append(("open", id))
        return self.job

    def cancel(self, id: str) -> None:
        self.did.append(("cancel", id))

    def delete(self, id: str) -> None:
        self.did.append(("delete", id))
        self.table = TABLES["empty"]

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


def view_of(table: Table) -> TableView:
    return TableView(Recorder(table), table)


def click(view: TableView, name: str, times: int = 1) -> None:
    """Click a button so often, and wait until what it does is done."""
    action = getattr(view, name)
    done = threading.Event()
    action.widget.observe(lambda change: change["old"] and not change["new"] and done.set(), "disabled")
    finished = action._finished
    action._finished = lambda failure: (finished(failure), done.set())
    for _ in range(times):
        action.widget.click()
    assert done.wait(SECONDS)
    action._finished = finished


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_well_formed_and_holds_only_our_own_elements(name):
    page = Page(table_html(TABLES[name]))
    assert page.open == []
    assert set(page.tags) <= TAGS
    assert not [key for key, _ in page.attributes if key.startswith("on") or key in ("src", "href")]
    text = table_text(TABLES[name])
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert ("SIMULATED" in page.text) == ("SIMULATED" in text) == (name == "simulated")


def test_a_table_says_of_each_job_what_it_is_what_came_of_it_what_it_cost_and_how_it_stands():
    page = Page(table_html(TABLES["two"])).text
    for part in ("second", "review → label", "1970-01-01 00:16 UTC", "claude-haiku-4-5", "job_a", "3,000",
                 "2,900 succeeded · 15 failed", "3,000 pending", "$2.10", "In progress", "Ended"):  # fmt: skip
        assert part in page, part
    first, second = table_text(TABLES["two"]).splitlines()
    assert first.startswith("second: In progress · 3,000 pending · cost $0.63 · 1970-01-01 00:16 UTC")
    assert "2,900 succeeded · 15 failed" in second
    assert "batchnb.jobs().to_frame() lists them all" in table_text(TABLES["more"])
    assert "the newest 2 shown" in Page(lines_html(TABLES["more"])).text
    assert "There are no jobs." in Page(table_html(TABLES["empty"])).text


def test_a_batch_says_when_it_was_made_for_whom_and_until_when_it_can_run():
    running = batch_line(fake_job.batch(0, ended=False), "review → label", 1_000.0)
    assert running.about == ("1970-01-01 00:16 UTC", "review → label", "expires in 1 d 00 h")
    ended = batch_line(fake_job.batch(1, ended=True, errored=12), None, 1_000.0)
    assert ended.about == ("1970-01-01 00:16 UTC", "made elsewhere", "took 1 min 48 s")
    assert (ended.rows, ended.parts, ended.open) == (300, (("succeeded", 288), ("errored", 12)), False)


@pytest.mark.parametrize("first", TABLES)
@pytest.mark.parametrize("second", TABLES)
def test_updating_from_one_table_to_another_equals_creating_the_other(first, second):
    view = view_of(TABLES[first])
    view.update(TABLES[second])
    other = view_of(TABLES[second])
    other.chosen.value = view.chosen.value  # who was chosen stays so
    assert traits(view.widget) == traits(other.widget)


def test_nothing_is_sent_when_nothing_changed():
    view = view_of(TABLES["two"])
    heard: list[object] = []
    for widget in (view.lines, view.note, view.chosen, view.place, view.widget):
        widget.observe(heard.append)
    view.update(table_of(OPEN, ENDED))
    assert heard == []


def test_what_is_under_way_can_be_canceled_and_what_has_ended_deleted():
    view = view_of(TABLES["two"])
    assert [label for label, _ in view.chosen.options] == ["1 · second", "2 · review → label"]
    assert (view.cancel.widget.disabled, view.delete.widget.disabled) == (False, True)
    view.chosen.value = "job_a"
    assert (view.cancel.widget.disabled, view.delete.widget.disabled) == (True, False)
    assert view.refresh.widget.layout.display == view.more.widget.layout.display == "none"


def test_cancel_and_delete_ask_once_and_mean_the_one_that_was_chosen():
    view = view_of(table_of(OPEN, replace(OPEN, job_id="job_c"), ENDED))
    source = view._source
    view.cancel.widget.click()
    assert view.cancel.widget.description == "Really cancel?"
    view.chosen.value = "job_c"
    assert view.cancel.widget.description == "Cancel"
    click(view, "cancel", 2)
    view.chosen.value = "job_a"
    click(view, "delete", 2)
    assert source.did == [("cancel", "job_c"), ("delete", "job_a")]
    assert "There are no jobs." in view.lines.value
    assert view.open.widget.layout.display == "none"


def test_open_shows_the_job_below_and_close_folds_it_in():
    view = view_of(TABLES["two"])
    click(view, "open")
    (opened,) = view.place.children
    assert "batchnb-job" in opened._dom_classes
    assert view.open.widget.description == "Close"
    view.chosen.value = "job_a"
    assert view.open.widget.description == "Open"
    view.chosen.value = "job_b"
    click(view, "open")
    assert view.place.children == ()
    click(view, "open")
    view._source.table = table_of(ENDED)
    view.tick()
    assert view.place.children == (), "the job is gone, and so is its view"


def test_what_fails_is_said_until_the_next_click():
    view = view_of(TABLES["two"])
    view._source.error = OSError("<b>no network</b>")
    click(view, "open")
    assert "Refreshing failed: OSError: &lt;b&gt;no network&lt;/b&gt;" in view.note.value
    view.tick()
    assert "Refreshing failed" in view.note.value
    view._source.error = None
    click(view, "open")
    assert view.note.value == ""


# On real jobs


@pytest.fixture
def in_notebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Pretend that a kernel runs this test, and keep what is published."""
    published: list[Any] = []

    class Handle:
        def update(self, bundle: Any, *, raw: bool) -> None:
            published.append(bundle)

    def display(bundle: Any, *, raw: bool, display_id: bool) -> Handle:
        published.append(bundle)
        return Handle()

    shell = type("Shell", (), {"kernel": object(), "execution_count": 1})
    monkeypatch.setattr("IPython.get_ipython", shell)
    monkeypatch.setattr("IPython.display.display", display)
    return published


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"review": [f"text {number}" for number in range(4)]})


def submit(frame: pd.DataFrame, workspace: Any, template: str = "Echo: {review}", **options: Any) -> batchnb.Job:
    options = {"progress": False, "name": template[:4], **options}
    return frame.batch.submit("review", template, workspace=workspace, **options)


def await_batch(workspace: Any) -> None:
    """Wait until the server has a batch."""
    while not len(workspace.batches()):
        threading.Event().wait(0.01)


def test_jobs_shows_itself_as_text_and_gives_a_plain_frame(frame, workspace):
    assert "There are no jobs in this ledger yet" in repr(batchnb.jobs(workspace))
    job = submit(frame, workspace, name=fake_job.HOSTILE)
    job.wait(SECONDS)
    table = batchnb.jobs(workspace)
    assert "Ended · 4 succeeded" in repr(table)
    assert "\x1b" not in repr(table)
    assert len(table) == 1
    assert table.to_frame()["id"].tolist() == [job.id]


def test_the_table_of_jobs_is_live_also_for_jobs_that_are_made_after_it(frame, workspace, in_notebook):
    batchnb.jobs(workspace)._ipython_display_()
    (view,) = workspace.session.views.values()
    assert "There are no jobs in this ledger yet" in view.lines.value
    ended = threading.Event()
    view.lines.observe(lambda change: "4 succeeded" in change["new"] and ended.set(), "value")
    submit(frame, workspace)
    assert ended.wait(SECONDS)
    assert {"text/html", "text/plain"} < set(in_notebook[0])


def test_a_table_of_real_jobs_opens_cancels_and_deletes_them(frame, tmp_path, open_workspace, in_notebook):
    with Simulator(tmp_path / "slow", delay=(600, 600), seed=1) as simulator:
        workspace = open_workspace(simulator)
        job = submit(frame, workspace)
        await_batch(workspace)
        batchnb.jobs(workspace)._ipython_display_()
        view = workspace.session.views["JobTable"]
        click(view, "open")
        (opened,) = view.place.children
        assert "Echo" in opened.children[1].value
        click(view, "cancel", 2)
        assert job.wait(SECONDS)
        view.tick()
        assert " canceled" in view.lines.value
        click(view, "delete", 2)
        assert len(workspace.jobs()) == 0
        assert view.place.children == ()


def test_an_earlier_table_and_one_left_alone_become_static(frame, workspace, in_notebook, monkeypatch):
    batchnb.jobs(workspace)._ipython_display_()
    batchnb.jobs(workspace)._ipython_display_()
    live, frozen, second = in_notebook
    assert "application/vnd.jupyter.widget-view+json" in live
    assert "application/vnd.jupyter.widget-view+json" in second
    assert set(frozen) == {"text/html", "text/plain"}
    assert "Run the cell again" in frozen["text/html"]
    monkeypatch.setattr("batchnb.display.tables.widget.QUIET_SECONDS", 0.0)
    batchnb.jobs(workspace)._ipython_display_()
    for _ in range(3000):
        if len(in_notebook) == 6:
            break
        threading.Event().wait(0.01)
    assert set(in_notebook[5]) == {"text/html", "text/plain"}


def test_closing_a_workspace_leaves_its_views_as_summaries(frame, tmp_path, open_workspace, in_notebook):
    with Simulator(tmp_path / "slow", delay=(600, 600), seed=1) as simulator:
        workspace = open_workspace(simulator)
        submit(frame, workspace, progress=True)
        batchnb.jobs(workspace)._ipython_display_()
        workspace.close()
    assert len(in_notebook) == 4
    for bundle in in_notebook[2:]:
        assert set(bundle) == {"text/html", "text/plain"}
    assert any("The job goes on" in bundle["text/plain"] for bundle in in_notebook[2:])


@pytest.fixture
def elsewhere(simulator: Simulator) -> Iterator[str]:
    """A batch that another script made."""
    with anthropic.Anthropic(api_key="k", base_url=simulator.url) as client:
        params = {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": "Echo: hi"}]}
        yield client.messages.batches.create(requests=[{"custom_id": "theirs", "params": params}]).id  # type: ignore[list-item]


def test_the_servers_batches_are_listed_whoever_made_them(frame, workspace, elsewhere):
    job = submit(frame, workspace)
    job.wait(SECONDS)
    table = batchnb.batches(workspace=workspace)
    assert len(table) == 2
    assert table.to_frame()["requests"].tolist() == [4, 1]
    first, second = repr(table).splitlines()
    assert "Echo · took" in first
    assert "made elsewhere" in second
    assert len(batchnb.batches(1, workspace=workspace)) == 1


def test_a_batch_made_elsewhere_is_opened_by_attaching_it_and_can_be_deleted(workspace, elsewhere, in_notebook):
    batchnb.batches(workspace=workspace)._ipython_display_()
    view = workspace.session.views["BatchTable"]
    click(view, "open")
    assert workspace.jobs().to_frame()["id"].tolist() == [elsewhere]
    assert workspace.attach(elsewhere).wait(SECONDS)
    click(view, "refresh")
    assert "1 succeeded" in view.lines.value
    click(view, "delete", 2)
    assert "There are no batches on the server" in view.lines.value
    assert len(workspace.batches()) == 0


def test_a_batch_whose_results_are_not_all_here_is_not_deleted(frame, workspace, in_notebook):
    job = submit(frame, workspace)
    job.wait(SECONDS)
    (record,) = workspace.session.ledger.batches.of_job(job._number)
    batchnb.batches(workspace=workspace)._ipython_display_()
    view = workspace.session.views["BatchTable"]
    with workspace.session.ledger._store.transaction() as db:
        db.execute("UPDATE batches SET state = 'ended' WHERE id = ?", (record.id,))
    click(view, "delete", 2)
    assert "its results are not all here yet" in view.note.value
    assert len(workspace.batches()) == 1


def test_a_batch_of_the_server_is_canceled(frame, tmp_path, open_workspace, in_notebook):
    with Simulator(tmp_path / "slow", delay=(600, 600), seed=1) as simulator:
        workspace = open_workspace(simulator)
        job = submit(frame, workspace)
        await_batch(workspace)
        batchnb.batches(workspace=workspace)._ipython_display_()
        view = workspace.session.views["BatchTable"]
        click(view, "cancel", 2)
        assert job.wait(SECONDS)
        assert job.counts["canceled"]
        assert view.note.value == ""
