"""The life of the background thread: where none can be started, where it dies, and where it is asked for again."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pandas as pd
import pytest
from bench import Bench, assert_echoed, texts

from batchnb import BatchnbError

pytestmark = pytest.mark.steady

pytest_plugins = ["bench_fixtures"]


@contextlib.contextmanager
def no_threads() -> Iterator[Callable[[], None]]:
    """Let the system refuse every new thread, as at a limit: their stacks are to be larger than any memory."""
    threading.stack_size(1 << 46)
    try:
        yield lambda: threading.stack_size(0) and None
    finally:
        threading.stack_size(0)


@pytest.fixture
def ready(bench: Bench, request: pytest.FixtureRequest) -> Bench:
    """A bench whose workspace has loaded all it needs, and tries often to start a thread, for this many seconds."""
    bench.keep_to(restart_pause=0.01, restart_patience=getattr(request, "param", 60.0))
    assert_echoed(bench.submit(["first"]))
    while bench.workspace.session.watcher.running:
        time.sleep(0.01)
    return bench


def test_a_thread_that_cannot_start_is_said_and_a_later_call_starts_it(ready: Bench, caplog):
    with no_threads():
        job = ready.submit(texts(3))
        assert "could not be started" in (job.snapshot().note or "")
        assert ready.workspace.session.watcher.unsent()[0] == 3
    assert "could not be started" in caplog.text
    assert ready.server.called("POST", "/batches") == 1
    assert_echoed(job)
    assert job.snapshot().note is None
    assert ready.server.bought_once()


def test_what_waits_tries_again_by_itself(ready: Bench):
    """Also where the limit is lifted in the middle of the wait."""
    watcher, tried = ready.workspace.session.watcher, threading.Event()
    start = watcher._worker.start

    def counting(run: Callable[[], object]) -> BatchnbError | None:
        failure = start(run)
        if waits.is_set():
            tried.set()
        return failure

    watcher._worker.start = counting
    waits = threading.Event()

    def lift() -> None:
        tried.wait(30)
        threading.stack_size(0)

    lifter = threading.Thread(target=lift)
    lifter.start()
    with no_threads():
        job = ready.submit(texts(3))
        waits.set()
        assert_echoed(job)
    lifter.join()
    assert ready.server.bought_once()


@pytest.mark.parametrize("ready", [0.1], indirect=True)
def test_a_wait_for_a_thread_that_never_starts_ends_with_the_reason_and_a_way_out(ready: Bench):
    with no_threads():
        job = ready.submit(texts(3))
        with pytest.raises(BatchnbError, match=r"could not be started.*ulimit"):
            job.result()
    assert_echoed(job)
    assert ready.server.bought_once()


def test_no_thread_at_the_end_of_the_process_is_said(ready: Bench, capsys):
    with no_threads():
        ready.submit(texts(3))
        ready.workspace.session._at_exit()
    assert "3 requests are recorded but not sent yet" in capsys.readouterr().err
    assert_echoed(ready.submit(texts(3)))
    assert ready.server.bought_once()


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, KeyboardInterrupt])
def test_a_view_that_leaves_costs_no_job(ready: Bench, error):
    def leave() -> None:
        raise error

    job = ready.submit(texts(3))
    job.subscribe(leave)
    assert_echoed(job)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, MemoryError])
def test_a_thread_that_dies_while_a_job_is_waited_for_is_followed_by_another(bench: Bench, error):
    bench.keep_to(restart_pause=0.01)
    bench.server.ends = False
    job = bench.submit(texts(3))
    bench.server.wait_for(lambda: bench.server.batches)
    (thread,) = (one for one in threading.enumerate() if one.name == "batchnb")
    while thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error))
        bench.workspace.session.watcher.wake()
        thread.join(5)  # another, while it is dying of this one, would hit what reports that
    bench.server.ends = True
    bench.server.end()
    assert_echoed(bench.submit(texts(2, "more")))
    with contextlib.suppress(BatchnbError):  # said to whoever waits first, where it was told before it died
        job.result(30)
    assert_echoed(job)
    assert bench.server.bought_once()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_jobs_of_a_thread_that_died_are_seen_through_by_the_next_one(bench: Bench, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(bench.workspace.session.watcher, "step", sys.exit)
        left = bench.submit(texts(3))
        with pytest.raises(BatchnbError, match="SystemExit"):
            left.result(30)
    assert_echoed(bench.submit(texts(3, "other")))
    while not left.done():
        time.sleep(0.01)
    assert_echoed(left)
    assert bench.server.bought_once()


def test_a_workspace_that_was_closed_can_be_used_again(bench: Bench):
    job = bench.submit(texts(3))
    bench.workspace.close()
    assert_echoed(job)
    watcher = bench.workspace.session.watcher
    watcher.stop()
    assert watcher.watch(bench.submit(texts(3, "more"))._number).wait(30)
    assert bench.server.bought_once()


def test_a_pilot_makes_its_calls_where_no_thread_can_be_started(simulator, workspace):
    frame = pd.DataFrame({"text": [f"good {number}" for number in range(5)]})
    assert frame.batch.pilot("text", labels=["a", "b"], n=1, workspace=workspace) is not None
    with no_threads():
        piloted = frame.batch.pilot("text", labels=["a", "b"], n=5, workspace=workspace)
    assert piloted.to_frame()["text_label_status"].tolist() == ["succeeded"] * 5


def test_tokens_are_counted_where_no_thread_can_be_started(simulator, workspace):
    frame = pd.DataFrame({"text": ["good " * number for number in range(1, 9)]})
    estimate = frame.batch.estimate("text", labels=["a", "b"], workspace=workspace)
    with no_threads():
        again = frame.batch.estimate("text", labels=["a", "b"], workspace=workspace)
    assert repr(again) == repr(estimate)
