"""Waits in a real kernel: a click is handled meanwhile, an interrupt ends the wait and nothing else."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import kernel
import pytest

#: Batches that do not end by themselves while a test runs.
SIMULATE = """\
import sys, threading, traceback
import pandas as pd, batchnb
def tell_when_waiting(file):
    "Make a file once the main thread is within the wait, where an interrupt is the wait's."
    main = threading.main_thread().ident
    while not any(frame.name == "_nested_wait" for frame in traceback.extract_stack(sys._current_frames()[main])):
        threading.Event().wait(0.01)
    open(file, "w").close()
batchnb.simulate(delay=(3_600, 3_600))
df = pd.DataFrame({"review": [f"text {i}" for i in range(6)]})
"""
SUBMIT = """job = df.batch.submit("review", "Echo: {review}", into="label", name="\\x1b[31mred")"""
# By a file, since ipykernel 6 shows what a thread prints at times below another cell.
WAITS = {
    "await": "open({file!r}, 'w').close()\nframe = await job",
    "result": "threading.Thread(target=tell_when_waiting, args=[{file!r}]).start()\nframe = job.result()",
}
STARTED = "[thread.name for thread in threading.enumerate()].count('batchnb')"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kernel.Kernel]:
    with kernel.running(tmp_path_factory.mktemp("kernel")) as started:
        assert started.run(SIMULATE).reply["status"] == "ok"
        yield started


@pytest.fixture
def button(running: kernel.Kernel) -> str:
    """Submit a job that is asked for anew, and give its Cancel button."""
    running.forget()
    cell = running.run(SUBMIT.replace("job =", "import uuid\njob =").replace(")", ", fresh=uuid.uuid4().hex)"))
    assert cell.reply["status"] == "ok", cell.text
    return running.widget(_model_name="ButtonModel", description="Cancel")


def started(running: kernel.Kernel, how: str, before: str = "") -> str:
    """Start a cell that waits for the job, and give its id once it does."""
    with tempfile.TemporaryDirectory() as folder:
        waits = Path(folder, "waits")
        cell = running.send(before + WAITS[how].format(file=str(waits)))
        deadline = time.monotonic() + kernel.PATIENCE
        while not waits.exists():
            assert time.monotonic() < deadline, "the cell does not wait"
            time.sleep(0.01)
    return cell


def interrupted(running: kernel.Kernel, how: str) -> kernel.Cell:
    cell = started(running, how)
    running.interrupt()
    return running.end_of(cell)


@pytest.mark.parametrize("how", WAITS)
def test_two_clicks_on_cancel_end_a_wait_with_the_frame(running, button, how):
    cell = started(running, how)
    running.click(button)
    running.until_widget(button, description="Really cancel?")
    running.click(button)
    ended = running.end_of(cell)
    assert ended.reply["status"] == "ok", ended.text
    assert running.statuses[-2:] == ["busy", "idle"], "handling a click must not show a running cell's kernel as idle"
    assert running.value("job.status") == "'ended'"
    assert running.value("len(frame)") == "6"
    assert running.value("set(frame['label_status']) <= {'canceled', 'succeeded'}") == "True"


def test_a_click_ends_a_wait_also_where_the_notebook_has_patched_asyncio(tmp_path):
    with kernel.running(tmp_path) as patched:
        assert patched.run(f"import nest_asyncio\nnest_asyncio.apply()\n{SIMULATE}").reply["status"] == "ok"
        assert patched.run(SUBMIT).reply["status"] == "ok"
        button = patched.widget(_model_name="ButtonModel", description="Cancel")
        cell = started(patched, "result")
        patched.click(button)
        patched.until_widget(button, description="Really cancel?")
        patched.click(button)
        ended = patched.end_of(cell)
        assert ended.reply["status"] == "ok", ended.text
        assert "already entered" not in ended.text
        assert patched.value("job.status") == "'ended'"


@pytest.mark.parametrize("how", WAITS)
def test_an_interrupt_ends_the_wait_with_one_line_and_the_job_goes_on(running, button, how):
    ended = interrupted(running, how)
    job = running.value("job.id")
    (error,) = ended.of_type("error")
    assert ended.reply["status"] == "error", "the cells after it must not run"
    assert ended.reply["traceback"] == error["traceback"]
    (line,) = error["traceback"]
    assert line == (
        r"Only the wait was interrupted: job '\x1b[31mred' goes on. Wait again with job.result(); after a restart run "
        f"the cell again, or batchnb.attach({job})."
    )
    assert ended.of_type("stream") == []
    assert running.value("job.status") == "'in_progress'"
    assert running.value(f"batchnb.attach({job}).status") == "'in_progress'"
    assert interrupted(running, "result").of_type("error") == [{**error, "ename": "KeyboardInterrupt"}]
    assert interrupted(running, "await").of_type("error") == [{**error, "ename": "CancelledError"}]


@pytest.mark.parametrize("how", WAITS)
def test_a_click_then_an_interrupt_then_one_while_idle_leave_the_kernel_as_it_was(running, button, how):
    """A click handled within a wait must leave nothing behind: least of all the wait's own handler of interrupts."""
    cell = started(running, how)
    running.click(button)
    running.until_widget(button, description="Really cancel?")
    running.interrupt()
    assert len(running.end_of(cell).of_type("error")) == 1
    running.interrupt()
    assert running.value("1 + 1") == "2"
    assert running.value("job.status") == "'in_progress'"
    other = running.run("raise KeyboardInterrupt")
    assert len(other.of_type("error")[0]["traceback"]) > 1, "other interrupts show what they always did"


@pytest.mark.parametrize("how", WAITS)
def test_cells_sent_during_a_wait_run_after_it_in_their_order(running, button, how):
    cell = started(running, how)
    later = [running.send(f"print('cell {number}')") for number in range(2)]
    running.click(button)
    running.until_widget(button, description="Really cancel?")
    running.click(button)
    assert running.end_of(cell).reply["status"] == "ok"
    assert [running.end_of(one).text.split() for one in later] == [["cell", "0"], ["cell", "1"]]


def test_the_submitting_cell_run_twice_makes_one_thread_and_one_batch(running):
    cell = SUBMIT.replace("Echo:", "Echo again:")
    assert running.run(cell).reply["status"] == "ok"
    first = running.value("job.id")
    running.run("import time\nwhile not len(job.batches): time.sleep(0.05)")
    batches = running.value("(list(job.batches['id']), len(batchnb.batches()))")
    for how in WAITS:
        assert running.run(cell).reply["status"] == "ok"
        assert running.value("job.id") == first
        assert running.value(STARTED) == "1"
        interrupted(running, how)
        assert running.value("(list(job.batches['id']), len(batchnb.batches()))") == batches
        assert running.value(STARTED) == "1"


def test_a_kernel_that_is_restarted_finds_the_job_that_was_waited_for(tmp_path: Path):
    """As the line says: running the cells again, or attaching, goes on with the same job and the same batch."""
    seen = []
    for _ in range(2):
        with kernel.running(tmp_path) as started_anew:
            for cell in (SIMULATE, SUBMIT):
                assert started_anew.run(cell).reply["status"] == "ok"
            started_anew.run("import time\nwhile not len(job.batches): time.sleep(0.05)")
            assert len(interrupted(started_anew, "result").of_type("error")) == 1
            seen.append(started_anew.value("(job.id, batchnb.attach(job.id).id, list(job.batches['id']))"))
    assert seen[0] == seen[1]


SPARES = "batchnb.display.kernel.foreground.FOREGROUND.spares(0)"
LOOKS = """\
import batchnb.display.kernel.foreground
between = threading.Event()
looks = lambda: batchnb.display.kernel.foreground.FOREGROUND.spares(60) and between.set()
threading.Thread(target=looks).start()
"""


def test_a_kernel_that_is_idle_lets_background_work_have_all_of_the_time(running, button):
    assert running.value(SPARES) == "False", "a cell runs"
    assert running.run(LOOKS).reply["status"] == "ok"
    # Told between that cell and this one, or the thread would still wait, since a cell runs again.
    assert running.value("between.wait(60)") == "True"
    assert running.value(SPARES) == "False", "a cell runs"


@pytest.mark.parametrize("how", WAITS)
def test_a_cell_that_waits_lets_background_work_have_all_of_the_time(running, button, how):
    assert running.run("import batchnb.display.kernel.foreground\nbetween = threading.Event()").reply["status"] == "ok"
    looks = (
        "threading.Thread(target=lambda: batchnb.display.kernel.foreground.FOREGROUND.spares(60) and between.set())"
        ".start()\n"
    )
    cell = started(running, how, looks)
    running.click(button)
    running.until_widget(button, description="Really cancel?")
    running.click(button)
    assert running.end_of(cell).reply["status"] == "ok"
    assert running.value("between.wait(60)") == "True"
