"""What a snapshot says of a real job: its cost to come, how long such jobs take, the last check, where errors stand."""

from __future__ import annotations

import threading
from datetime import timedelta

import pandas as pd
import pytest
from bench import PATIENCE, Bench, assert_echoed, texts
from hypothesis import given
from hypothesis import strategies as st
from independent import Status, errored, succeeded, text_of

from batchnb import Job
from batchnb.display.snapshot import ErrorKind, Snapshot, Usual

pytest_plugins = ["bench_fixtures"]


def until(job, condition) -> Snapshot:
    """Wait until a job's snapshot fulfils a condition."""
    told = threading.Event()
    seen: list[Snapshot] = []

    def look() -> None:
        snapshot = job.snapshot()
        if condition(snapshot):
            seen.append(snapshot)
            told.set()

    end = job.subscribe(look)
    look()
    assert told.wait(PATIENCE)
    end()
    return seen[0]


def took(bench: Bench, seconds: float) -> Job:
    """Have a job whose one batch took so long, as the server tells it."""
    bench.server.ends = False
    before = len(bench.server.batches)
    job = bench.submit([f"{seconds} {before}"])
    bench.server.wait_for(lambda: len(bench.server.batches) > before)
    batch = bench.server.batches[-1]
    with bench.server.lock:
        bench.server.end(batch)
        batch.ended_at = batch.created_at + timedelta(seconds=seconds)
    job.collect()
    assert_echoed(job)
    return job


def test_how_long_jobs_usually_take_is_learned_from_other_batches_of_the_same_model(bench: Bench):
    earlier = [took(bench, seconds) for seconds in (240, 600, 1_200)]
    assert earlier[-1].snapshot().usual is None, "its own does not count, and two say nothing"
    job = bench.submit(["new"])
    learned = job.snapshot().usual
    assert learned is not None
    assert (learned.low, learned.high, learned.batches) == (240.0, 1_200.0, 3)
    other = bench.submit(["another"], model="claude-opus-4-8")
    assert other.snapshot().usual is None


def test_a_canceled_batch_says_nothing_of_how_long_batches_take(bench: Bench):
    for _ in range(2):
        took(bench, 60)
    job = bench.submit(["never mind"])
    bench.server.wait_for(lambda: bench.server.batches[-1].status == "in_progress")
    job.cancel()
    bench.server.wait_for(lambda: bench.server.batches[-1].status == "canceling")
    bench.server.end()
    assert job.wait(PATIENCE)
    assert bench.submit(["new"]).snapshot().usual is None


@given(st.lists(st.floats(0, 1e6), max_size=60))
def test_the_usual_span_holds_eight_of_ten(durations):
    found = Usual.of(durations)
    if len(durations) < 3:
        assert found is None
        return
    assert isinstance(found, Usual)
    assert found.batches == len(durations)
    inside = sum(found.low <= seconds <= found.high for seconds in durations)
    assert inside >= 0.8 * len(durations)
    assert found.low in durations
    assert found.high in durations


def test_what_a_job_will_cost_is_told_from_what_its_answers_cost_so_far(bench: Bench):
    bench.server.ends = False
    job = bench.submit(texts(10), batch_size=5)
    assert job.snapshot().expected is None
    bench.server.wait_for(lambda: len(bench.server.batches) == 2)
    bench.server.end(bench.server.batches[0])
    job.collect()
    half = until(job, lambda snapshot: snapshot.batches_ended == 1 and snapshot.cost)
    assert half.expected == pytest.approx(2 * half.cost)
    bench.server.end()
    job.collect()
    assert_echoed(job)
    assert job.snapshot().expected is None


def test_errors_are_counted_by_kind_with_where_the_first_of_each_stands(bench: Bench):
    bad = {"text 3": "overloaded_error", "text 1": "invalid_request_error", "text 4": "invalid_request_error"}

    def result(params):
        kind = bad.get(text_of(params).removeprefix("Echo: "))
        return errored(kind) if kind else succeeded(params)

    bench.server.result = result
    job = bench.submit(texts(6), retries=0)
    job.wait(PATIENCE)
    snapshot = job.snapshot()
    assert snapshot.errors == (
        ErrorKind("invalid_request_error", 2, "row 1"), ErrorKind("overloaded_error", 1, "row 3"),
    )  # fmt: skip
    assert snapshot.retryable == 1
    frame = pd.DataFrame({"review": texts(6), "name": [f"key-{n}" for n in range(6)]})
    keyed = frame.batch.submit(
        "review", "Echo: {review}", key="name", into="echo", workspace=bench.workspace, progress=False, retries=0
    )
    assert [error.example for error in keyed.snapshot().errors] == ["key key-1", "key key-3"]


def test_collect_asks_the_server_at_once(bench: Bench):
    bench.server.ends = False
    job = bench.submit(texts(3), workspace=bench.open(max_poll=3600.0, home=bench.home / "patient"))
    until(job, lambda snapshot: snapshot.checked_at is not None)
    for batch in job._session.ledger.batches.of_job(job._number):
        job._session.watcher._turns._due[batch.id].at = 1e12  # as after hours of polling
    bench.server.end()
    job.collect()
    assert_echoed(job)
    job.collect()
    assert job.done(), "where there is nothing to collect, nothing happens"


def test_a_failing_check_is_told_beside_the_last_one_that_worked(bench: Bench):
    bench.server.ends = False
    job = bench.submit(texts(3))
    fine = until(job, lambda snapshot: snapshot.checked_at is not None)
    assert not fine.failing
    bench.server.always["retrieve"] = Status(500)
    failing = until(job, lambda snapshot: snapshot.failing)
    assert failing.checked_at is not None
    assert "tried again" in failing.note
    bench.server.always.clear()
    bench.server.end()
    assert_echoed(job)
    assert not job.snapshot().failing


def test_no_view_says_where_the_ledger_lies(bench: Bench):
    job = bench.submit(texts(3))
    job.wait(PATIENCE)
    ledger = job._session.ledger
    ledger.jobs.note(job._number, f"The ledger {ledger.path}: the disk is full. Look into {ledger.home}/locks.")
    assert str(bench.home) not in job.snapshot().note
    assert ledger.path.name in job.snapshot().note
