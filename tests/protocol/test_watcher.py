"""The background thread: when it looks, when it ends and starts again, and what becomes of what goes wrong in it."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass

import pytest
from bench import Bench, assert_echoed, texts
from fake_clock import FakeClock
from independent import Status

from batchnb.errors import AmbiguousError, BatchnbError, RefusedError
from batchnb.protocol.submission import Submission
from batchnb.protocol.timing import Timing
from batchnb.protocol.watcher import Watcher

pytest_plugins = ["bench_fixtures"]


@dataclass
class Stepped:
    """A watcher driven step by step, on a clock that jumps to when the next thing is due."""

    watcher: Watcher
    clock: FakeClock
    api: object
    job: int

    def looks(self, call: str, count: int) -> list[float]:
        """Step until the API was called so often; give the seconds between the calls."""
        times: list[float] = []
        real = getattr(self.api, call)

        def noting(*args: object) -> object:
            times.append(self.clock.time)
            return real(*args)

        setattr(self.api, call, noting)
        while len(times) < count:
            pause = self.watcher.step()
            assert pause is not None, "the job ended"
            self.clock.time += max(pause, 0.001)
        return [round(after - before, 1) for before, after in itertools.pairwise(times)]


@pytest.fixture
def stepped(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Give a function that makes a job and a watcher for it whose thread does not run."""

    def make(max_poll: float = 60.0, count: int = 10) -> Stepped:
        workspace = bench.open(max_poll=max_poll)
        clock = FakeClock()
        timing = Timing(max_poll=max_poll, backoff_jitter=0.0)
        submission = Submission(workspace.session.api, workspace.session.ledger, clock, max_requests=100, timing=timing)
        watcher = Watcher(submission, workspace.session.ledger, clock=clock)
        monkeypatch.setattr(watcher, "_run", lambda: None)
        workspace.session._parts["watcher"] = watcher
        job = bench.submit(texts(count), workspace=workspace)
        return Stepped(watcher, clock, workspace.session.api, job._number)

    return make


def test_checks_start_after_a_second_and_grow_by_half_up_to_the_longest(bench: Bench, stepped):
    bench.server.ends = False
    assert stepped(max_poll=10.0).looks("retrieve_batch", 9) == [1.0, 1.5, 2.2, 3.4, 5.1, 7.6, 10.0, 10.0]


def test_a_short_max_poll_is_kept_to(bench: Bench, stepped):
    bench.server.ends = False
    assert stepped(max_poll=0.5).looks("retrieve_batch", 5) == [0.5] * 4


def test_failed_checks_are_repeated_ever_more_slowly_up_to_the_longest(bench: Bench, stepped):
    bench.server.always["retrieve"] = Status(500)
    assert stepped(max_poll=10.0).looks("retrieve_batch", 7) == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_check_waits_as_long_as_the_server_asks(bench: Bench, stepped):
    bench.server.always["retrieve"] = Status(429, {"retry-after": "90"})
    assert stepped().looks("retrieve_batch", 3) == [90.0, 90.0]


def test_sending_waits_as_long_as_the_server_asks(bench: Bench, stepped):
    bench.server.always["create"] = Status(429, {"retry-after": "40"})
    assert stepped().looks("create_batch", 4) == [40.0, 40.0, 40.0]


def test_sending_waits_ever_longer_where_the_server_says_nothing(bench: Bench, stepped):
    bench.server.always["create"] = Status(529)
    assert stepped().looks("create_batch", 8) == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]


def test_asking_for_the_result_again_and_again_does_not_hurry_a_refused_create(bench: Bench, stepped):
    bench.server.always["create"] = Status(429, {"retry-after": "40"})
    under_test = stepped()
    under_test.looks("create_batch", 1)
    under_test.watcher.watch(under_test.job)
    under_test.watcher.step()
    assert bench.server.called("POST", "batches") == 1


def test_a_batch_that_was_never_made_is_sent_again_only_after_the_grace_period(bench: Bench, stepped):
    bench.server.ends = False
    bench.server.faults["create"] += [Status(500)]
    (waited,) = stepped().looks("create_batch", 2)
    assert waited >= 120
    assert bench.server.called("GET", "batches?limit") >= 3


def test_an_early_404_is_doubted_for_ten_minutes(bench: Bench, stepped):
    bench.server.always["retrieve"] = Status(404)
    under_test = stepped()
    start = under_test.clock.time
    while under_test.watcher.step() is not None:
        under_test.clock.time += 1.0
    assert 600 <= under_test.clock.time - start < 700
    assert [record.state for record in under_test.watcher._ledger.batches.of_job(under_test.job)] == ["lost"]


def test_the_first_interval_is_a_second():
    assert Timing().poll_interval(0) == 1.0


# The thread


def test_one_thread_serves_all_jobs_ends_with_the_last_and_starts_again(bench: Bench):
    bench.server.ends = False
    jobs = [bench.submit(texts(3, name)) for name in "abc"]
    threads = [thread for thread in threading.enumerate() if thread.name == "batchnb"]
    assert len(threads) == 1
    bench.server.wait_for(lambda: len(bench.server.batches) == 3)
    bench.server.ends = True
    bench.server.end()
    for job in jobs:
        assert_echoed(job)
    threads[0].join(30)
    assert not bench.workspace.session.watcher.running
    assert_echoed(bench.submit(texts(3, "d")))


def test_a_thread_that_is_about_to_end_does_not_forget_a_job_that_comes_just_then(bench: Bench):
    """`watch` is called again and again right when the thread finds nothing left to do."""
    for number in range(60):
        assert_echoed(bench.submit([f"number {number}"]))
    assert bench.server.bought_once()


def test_a_job_retried_at_the_very_moment_it_ends_is_not_forgotten(bench: Bench, monkeypatch):
    job = bench.submit(texts(3))
    assert_echoed(job)
    watcher, jobs = bench.workspace.session.watcher, bench.workspace.session.ledger.jobs
    settle, events, others = jobs.settle, [], []

    def settle_and_watch(number: int, now: float, **how: str | None) -> bool:
        ended = settle(number, now, **how)
        if ended and not events:
            events.append(None)
            others.append(threading.Thread(target=lambda: events.append(watcher.watch(number))))
            others[0].start()
            others[0].join(0.1)  # it must wait until the end of the job has been told
        return ended

    monkeypatch.setattr(jobs, "settle", settle_and_watch)
    jobs.reopen(job._number)
    first = watcher.watch(job._number)
    assert first.wait(30)
    others[0].join(30)
    assert events[1] is not first
    assert events[1].wait(30)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unexpected_error_in_the_thread_reaches_whoever_waits(bench: Bench, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(bench.workspace.session.watcher, "step", lambda: 1 / 0)
        job = bench.submit(texts(3))
        with pytest.raises(BatchnbError, match="division by zero"):
            job.result(30)
    assert_echoed(bench.submit(texts(3)))
    assert bench.workspace.session.watcher.failure is None


@pytest.mark.parametrize("call", ["create_batch", "retrieve_batch", "results"])
def test_a_defect_in_a_call_is_said_of_its_batch_stops_no_other_and_costs_nothing(bench: Bench, monkeypatch, call):
    """It is told by its kind and place, not by what it says, which may hold a row's text."""
    api, reached = bench.workspace.session.api, threading.Event()
    real = getattr(api, call)

    def broken(*args: object) -> object:
        if b"text 0" in args[0] if call == "create_batch" else args[0] == "msgbatch_000001":
            reached.set()
            raise ZeroDivisionError("text 0")
        return real(*args)

    with monkeypatch.context() as patched:
        patched.setattr(api, call, broken)
        job = bench.submit(texts(3))
        assert reached.wait(30)
        assert_echoed(bench.submit(texts(3, "other")))
        while (note := job.snapshot().note) is None:
            bench.server.wait_for(lambda: True)
        assert not job.done()
        if call != "create_batch":
            assert "ZeroDivisionError in " in note
        assert "text 0" not in note
    assert_echoed(job)
    assert bench.server.bought_once()


@pytest.mark.parametrize("error", [RefusedError("no", status=403), AmbiguousError("what?")])
def test_an_error_of_the_api_never_ends_the_thread(bench: Bench, monkeypatch, error):
    real, failures = bench.workspace.session.api.retrieve_batch, [5]

    def failing(batch_id: str) -> object:
        failures[0] -= 1
        if failures[0] >= 0:
            raise error
        return real(batch_id)

    monkeypatch.setattr(bench.workspace.session.api, "retrieve_batch", failing)
    assert_echoed(bench.submit(texts(3)))


def test_views_are_told_while_the_job_is_open_and_once_at_its_end(bench: Bench):
    bench.server.ends = False
    job = bench.submit(texts(3))
    told: list[str] = []
    enough = threading.Event()

    def callback() -> None:
        told.append(job.status)
        if len(told) >= 3:
            enough.set()

    job.subscribe(callback)
    assert enough.wait(30)
    bench.server.wait_for(lambda: bench.server.batches)
    bench.server.end()
    assert_echoed(job)
    bench.workspace.close()
    assert told.count("ended") == 1
    assert told[-1] == "ended"


def test_a_view_that_fails_costs_no_job(bench: Bench):
    job = bench.submit(texts(3))
    job.subscribe(lambda: 1 / 0)
    assert_echoed(job)
