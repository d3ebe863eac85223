"""Processes that die: killed at chosen points and run again, or ending without waiting for their answers."""

from __future__ import annotations

import signal
import subprocess

import pytest
from bench import Bench, assert_echoed, texts
from cell_process import cell
from independent import Held, Status, errored, succeeded

pytest_plugins = ["bench_fixtures"]
pytestmark = pytest.mark.steady


def assert_run_again_completes(bench: Bench) -> None:
    """Run the cell again, here: every row must be answered, and bought once."""
    bench.server.ends = True
    bench.server.end()
    job = bench.submit(texts(30), batch_size=10)
    assert_echoed(job)
    assert bench.server.bought_once(), bench.server.asked
    assert len(bench.server.batches) == 3


def killed(process: subprocess.Popen) -> bool:
    return process.wait(60) == -signal.SIGKILL


def test_killed_after_the_intent_and_before_the_create(bench: Bench):
    with cell(bench, extra="Api.create_batch = die") as process:
        assert killed(process)
    assert bench.server.batches == []
    assert_run_again_completes(bench)
    assert bench.server.called("GET", "batches?limit") >= 2  # nobody could know without looking


def test_killed_during_the_upload(bench: Bench):
    fault = Held(accept=False)
    bench.server.faults["create"] += [None, fault]
    with cell(bench) as process:
        bench.server.wait_for(fault.reached.is_set)
        process.kill()
        fault.let_go.set()
    assert_run_again_completes(bench)


def test_killed_after_the_server_accepted_and_before_it_was_heard(bench: Bench):
    fault = Held()
    bench.server.faults["create"] += [None, fault]
    with cell(bench) as process:
        bench.server.wait_for(fault.reached.is_set)
        process.kill()
        fault.let_go.set()
    assert len(bench.server.batches) == 2
    assert_run_again_completes(bench)


def test_killed_after_the_answer_and_before_it_was_recorded(bench: Bench):
    with cell(bench, extra="Batches.accepted = die") as process:
        assert killed(process)
    assert len(bench.server.batches) == 1
    assert_run_again_completes(bench)


def test_killed_inside_the_transaction_that_takes_the_answers(bench: Bench):
    extra = """
record = Batches.record
def in_the_middle(self, *args):
    with self._store.transaction():
        record(self, *args)
        die()
Batches.record = in_the_middle
"""
    with cell(bench, extra=extra) as process:
        assert killed(process)
    assert_run_again_completes(bench)


def test_killed_before_it_asked_failed_rows_again(bench: Bench):
    bench.server.result = lambda params: errored("overloaded_error")
    extra = """
from batchnb.ledger.jobs import Jobs
release = Jobs.release
def last_words(self, number, rule):
    if rule != "auto":
        return release(self, number, rule)
    return 0 if "pending" in self._tallies.of_job(number).outcomes else die()
Jobs.release = last_words
"""
    with cell(bench, extra=extra) as process:
        assert killed(process)
    bench.server.result = succeeded
    assert_echoed(bench.submit(texts(30), batch_size=10))
    assert set(bench.server.asked.values()) == {2}


def test_killed_while_polling(bench: Bench):
    bench.server.ends = False
    with cell(bench) as process:
        bench.server.wait_for(lambda: len(bench.server.batches) == 3 and bench.server.called("GET", "msgbatch") > 3)
        process.kill()
    assert_run_again_completes(bench)


def test_killed_while_results_stream(bench: Bench):
    fault = Held()
    bench.server.faults["results"] += [None, fault]
    with cell(bench) as process:
        bench.server.wait_for(fault.reached.is_set)
        process.kill()
        fault.let_go.set()
    assert_run_again_completes(bench)


def test_killed_again_and_again(bench: Bench):
    faults = [Held(), Held(accept=False)]
    for fault in faults:
        bench.server.faults["create"] = [fault]
        with cell(bench) as process:
            bench.server.wait_for(fault.reached.is_set)
            process.kill()
            fault.let_go.set()
    assert_run_again_completes(bench)


def test_a_suspended_process_keeps_its_claim(bench: Bench):
    """It is neither dead nor late: whoever waits for its batch goes on waiting until it wakes."""
    fault = Held()
    bench.server.faults["create"] += [fault]
    with cell(bench) as process:
        bench.server.wait_for(fault.reached.is_set)
        process.send_signal(signal.SIGSTOP)
        fault.let_go.set()
        job = bench.submit(texts(30), batch_size=10)
        bench.server.wait_for(lambda: len(bench.server.batches) == 3)  # the rest is sent meanwhile
        assert not job.wait(0.5)
        assert bench.server.called("GET", "batches?limit") == 0
        process.send_signal(signal.SIGCONT)
        assert_echoed(job)
        assert process.wait(60) == 0
    assert bench.server.bought_once()


def test_a_process_that_ends_without_waiting_finishes_its_sending_first(bench: Bench):
    bench.server.ends = False
    bench.server.faults["create"] += [None, Status(429, {"retry-after": "1"})]
    with cell(bench, last="pass") as process:
        assert process.wait(60) == 0
        assert "sending the last" in process.stderr.read()
    assert len(bench.server.batches) == 3
    calls = bench.server.called("POST", "batches")
    assert_run_again_completes(bench)
    assert bench.server.called("POST", "batches") == calls


def test_a_process_that_cannot_finish_its_sending_says_what_is_left(bench: Bench):
    bench.server.ends = False
    bench.server.faults["create"] += [None]
    bench.server.always["create"] = Status(429, {"retry-after": "600"})
    with cell(bench, last="pass") as process:
        assert process.wait(60) == 0
        assert "20 requests are recorded but not sent" in process.stderr.read()
    bench.server.always.clear()
    assert_run_again_completes(bench)


def test_a_process_that_fails_finishes_its_sending_too(bench: Bench):
    with cell(bench, last="raise SystemExit(3)") as process:
        assert process.wait(60) == 3
    assert len(bench.server.batches) == 3
    assert_run_again_completes(bench)
