"""Jobs that share, cancel, retry and wait: what a user does, while the server does what it likes."""

from __future__ import annotations

import _thread
import threading
import time

import pytest
from bench import Bench, assert_echoed, outcomes, texts
from independent import Held, Lost, Server, Spoiled, Status, errored, succeeded, text_of

from batchnb.errors import BatchnbError, JobStateError, ResultTimeoutError

pytest_plugins = ["bench_fixtures"]


def sent(server: Server, count: int) -> None:
    server.wait_for(lambda: len(server.batches) >= count)


# The same questions again


def test_running_the_cell_again_sends_nothing_and_an_added_row_sends_one_request(bench: Bench):
    assert_echoed(bench.submit(texts(20)))
    calls = bench.server.count_calls()
    assert_echoed(bench.submit(texts(20)))
    assert bench.server.count_calls() == calls  # not even the check before sending
    assert_echoed(bench.submit([*reversed(texts(20)), "another"]))
    assert bench.server.bought_once()
    assert len(bench.server.batches[-1].requests) == 1


def test_rows_that_ask_the_same_are_sent_once(bench: Bench):
    assert_echoed(bench.submit(texts(5) * 4))
    assert sum(bench.server.asked.values()) == 5


def test_jobs_that_share_rows_wait_for_one_answer(bench: Bench):
    bench.server.ends = False
    first = bench.submit(texts(10))
    second = bench.submit(texts(15))
    sent(bench.server, 2)
    bench.server.end()
    assert_echoed(first)
    assert_echoed(second)
    assert bench.server.bought_once()


def test_two_workspaces_on_one_ledger_share_the_work(bench: Bench):
    workspaces = [bench.open() for _ in range(2)]
    jobs = [None, None]

    def run(number: int) -> None:
        jobs[number] = bench.submit(texts(200), workspace=workspaces[number], batch_size=5)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job in jobs:
        assert_echoed(job)
    assert bench.server.bought_once()
    assert len(bench.server.batches) == 40


def test_what_another_process_lets_go_is_sent_by_one_that_has_long_sent_everything(bench: Bench):
    server = bench.server
    server.ends = False
    job = bench.submit(texts(5))
    server.wait_for(lambda: server.called("GET", "msgbatch") >= 3)
    ledger = bench.open().session.ledger
    with ledger._store.transaction() as db:  # as if it had settled what it took for lost
        db.execute("UPDATE batches SET server_id = NULL, state = 'uncertain'")
    assert ledger.batches.let_go(1, state="uncertain")
    server.wait_for(lambda: len(server.batches) == 2)
    server.end()
    assert_echoed(job)


def test_what_one_process_lets_go_another_that_needs_it_sends(bench: Bench):
    server = bench.server
    server.ends = False
    first = bench.submit(["shared", "its own"])
    second_place = bench.open()
    server.faults["create"] += [Lost(accept=False)]
    other = bench.submit(["third", "fourth"])
    second = bench.submit(["third"], workspace=second_place)
    server.ends = True
    server.end()
    for job in (first, other, second):
        assert_echoed(job)
    assert server.bought_once()


def test_rows_that_another_job_let_go_and_never_sent_go_on_when_the_cell_is_run_again(bench: Bench):
    bench.server.result = failing("permission_error", 1)
    first = bench.submit(texts(5))
    assert outcomes(first.result(30)) == {"succeeded": 4, "errored": 1}
    place = bench.open()
    second = bench.submit(texts(6), workspace=place)
    second.result(30)
    place.close()
    second._session.ledger.jobs.release(second._number, "retry")  # and then its kernel died
    place.close()
    assert outcomes(first.result(30)) == {"succeeded": 4, "pending": 1}
    assert_echoed(bench.submit(texts(5)))


# Cancelling


def test_cancelling_keeps_what_had_finished(bench: Bench):
    server = bench.server
    server.ends = False
    job = bench.submit(texts(20), batch_size=10)
    sent(server, 2)
    server.end(server.batches[0])
    while not job.counts.get("succeeded"):
        time.sleep(0.01)
    job.cancel()
    assert job.status == "canceling"
    server.wait_for(lambda: server.called("POST", "/cancel"))
    server.end()
    assert outcomes(job.result(30)) == {"succeeded": 10, "canceled": 10}
    assert server.called("POST", "/cancel") == 1


def test_cancelling_while_batches_are_unsent_sends_no_more_of_them(bench: Bench):
    server = bench.server
    server.faults["create"] += [None]
    server.always["create"] = Status(429)
    server.ends = False
    job = bench.submit(texts(30), batch_size=10)
    server.wait_for(lambda: server.called("POST", "batches") >= 3)
    job.cancel()
    server.wait_for(lambda: server.called("POST", "/cancel"))
    server.always.clear()
    server.end()
    assert outcomes(job.result(30)) == {"canceled": 30}
    assert len(server.batches) == 1


@pytest.mark.parametrize("accept", [True, False])
def test_cancelling_while_a_create_is_under_way_ends_in_the_right_counts(bench: Bench, accept):
    server = bench.server
    server.ends = False
    fault = Held(accept=accept)
    server.faults["create"] += [fault]
    job = bench.submit(texts(20), batch_size=10)
    server.wait_for(fault.reached.is_set)
    job.cancel()
    fault.let_go.set()
    if accept:
        server.wait_for(lambda: server.called("POST", "/cancel"))
    server.end()
    assert outcomes(job.result(30)) == {"canceled": 20}
    assert len(server.batches) == int(accept)


def test_cancelling_while_a_batch_is_uncertain_settles_it_first_and_sends_nothing_again(bench: Bench):
    server = bench.server
    server.always["list"] = Status(500)
    server.faults["create"] += [Lost(accept=False)]
    job = bench.submit(texts(10))
    server.wait_for(lambda: server.called("GET", "batches?limit"))
    job.cancel()
    assert job.counts == {"pending": 10}
    server.always.clear()
    assert outcomes(job.result(30)) == {"canceled": 10}
    assert server.batches == []


def test_what_still_succeeds_after_a_cancel_is_kept(bench: Bench):
    server = bench.server
    server.ends = False
    job = bench.submit(texts(10))
    sent(server, 1)
    done = {request["custom_id"]: succeeded(request["params"]) for request in server.batches[0].requests[:4]}
    server.batches[0].results.update(done)
    server.faults["cancel"] += [Status(500), Status(429)]
    job.cancel()
    server.wait_for(lambda: server.called("POST", "/cancel") >= 3)
    server.end()
    assert outcomes(job.result(30)) == {"succeeded": 4, "canceled": 6}


def test_a_batch_that_ended_just_before_the_cancel_is_collected(bench: Bench):
    server = bench.server
    server.ends = False
    job = bench.submit(texts(10))
    sent(server, 1)
    server.faults["cancel"] += [Status(400)]
    job.cancel()
    server.wait_for(lambda: server.called("POST", "/cancel"))
    server.end()
    assert set(outcomes(job.result(30))) <= {"succeeded", "canceled"}


def test_a_batch_that_another_open_job_needs_is_spared(bench: Bench):
    server = bench.server
    server.ends = False
    first = bench.submit(texts(10), batch_size=5)
    sent(server, 2)
    second = bench.submit(texts(5))
    first.cancel()
    server.wait_for(lambda: server.called("POST", "/cancel"))
    server.end()
    assert_echoed(second)
    assert outcomes(first.result(30)) == {"succeeded": 5, "canceled": 5}
    assert server.called("POST", "/cancel") == 1
    second.cancel()  # it has ended: nothing happens
    assert second.status == "ended"


def test_a_canceled_job_does_not_wait_for_rows_that_only_another_job_will_send(bench: Bench):
    server = bench.server
    server.always["create"] = Status(429)
    first = bench.submit(texts(10))
    second = bench.submit(texts(12))
    server.wait_for(lambda: server.called("POST", "batches") >= 2)
    second.cancel()
    assert outcomes(second.result(30)) == {"pending": 10, "canceled": 2}
    server.always.clear()
    assert_echoed(first)
    assert outcomes(second.result(30)) == {"succeeded": 10, "canceled": 2}


def test_when_both_jobs_are_canceled_so_is_the_batch_they_share(bench: Bench):
    server = bench.server
    server.ends = False
    jobs = [bench.submit(texts(count)) for count in (10, 9, 8)]
    sent(server, 1)
    for job in jobs:
        job.cancel()
    server.wait_for(lambda: server.called("POST", "/cancel"))
    server.end()
    for job in jobs:
        assert set(outcomes(job.result(30))) == {"canceled"}


def test_rows_canceled_before_they_were_sent_are_sent_by_another_job_but_not_by_the_same_cell(bench: Bench):
    bench.server.always["create"] = Status(429)
    job = bench.submit(texts(3))
    job.cancel()
    assert outcomes(job.result(30)) == {"canceled": 3}
    bench.server.always.clear()
    assert outcomes(bench.submit(texts(3)).result(30)) == {"canceled": 3}
    assert not bench.server.batches
    assert_echoed(bench.submit(texts(4)))
    assert outcomes(job.result(30)) == {"succeeded": 3}


def test_canceled_rows_go_again_with_retry(bench: Bench):
    server = bench.server
    server.ends = False
    job = bench.submit(texts(10))
    sent(server, 1)
    job.cancel()
    server.wait_for(lambda: server.called("POST", "/cancel"))
    server.end()
    assert outcomes(job.result(30)) == {"canceled": 10}
    server.ends = True
    assert job.retry() == 10
    assert_echoed(job)


# Retrying


def failing(kind: str, times: int):
    """Make the rows about "text 1" fail so many times."""
    left = [times]

    def result(params):
        if text_of(params).endswith("text 1") and left[0] > 0:
            left[0] -= 1
            return {"type": "expired"} if kind == "expired" else errored(kind)
        return succeeded(params)

    return result


PASSING = ["api_error", "overloaded_error", "timeout_error", "rate_limit_error", "expired"]


@pytest.mark.parametrize("kind", PASSING)
def test_failures_that_pass_go_again_by_themselves(bench: Bench, kind):
    bench.server.result = failing(kind, 1)
    assert_echoed(bench.submit(texts(5)))
    assert bench.server.asked == {f"Echo: text {i}": 1 + (i == 1) for i in range(5)}


def test_only_so_many_times(bench: Bench):
    bench.server.result = failing("overloaded_error", 10)
    job = bench.submit(texts(5), retries=3)
    assert outcomes(job.result(30)) == {"succeeded": 4, "errored": 1}
    assert bench.server.asked["Echo: text 1"] == 4
    job = bench.submit(texts(5), retries=3)
    assert outcomes(job.result(30)) == {"succeeded": 4, "errored": 1}
    assert bench.server.asked["Echo: text 1"] == 4
    assert job.retry() == 1
    job.result(30)
    assert bench.server.asked["Echo: text 1"] == 5


def test_rows_with_a_lasting_failure_go_again_only_when_asked_to(bench: Bench):
    bench.server.result = failing("invalid_request_error", 1)
    job = bench.submit(texts(5))
    assert outcomes(job.result(30)) == {"succeeded": 4, "errored": 1}
    assert job.retry() == 0
    assert job.retry(all=True) == 1
    assert_echoed(job)
    assert job.retry(all=True) == 0  # a paid reply is never bought again


def test_rows_asked_again_after_the_cell_was_run_again_share_a_batch(bench: Bench):
    bench.server.result = lambda params: errored("api_error")
    bench.submit(texts(5), retries=0).result(30)
    job = bench.submit(texts(5), retries=0)
    bench.server.result = succeeded
    assert job.retry() == 5
    assert_echoed(job)
    assert [len(batch.requests) for batch in bench.server.batches] == [5, 5]


# Waiting


def test_interrupting_a_wait_does_not_cancel_the_job(bench: Bench):
    bench.server.ends = False
    job = bench.submit(texts(5))
    sent(bench.server, 1)
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        job.result()
    timer.join()
    with pytest.raises(ResultTimeoutError, match="goes on"):
        job.result(0.05)
    bench.server.end()
    assert_echoed(job)
    assert bench.server.called("POST", "/cancel") == 0


def test_closing_a_workspace_tells_whoever_waits_and_another_goes_on(bench: Bench):
    bench.server.ends = False
    workspace = bench.open()
    job = bench.submit(texts(5), workspace=workspace)
    sent(bench.server, 1)
    told: list[BaseException] = []

    def wait() -> None:
        try:
            job.result()
        except BatchnbError as error:
            told.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    bench.server.wait_for(lambda: bench.server.called("GET", "msgbatch") >= 2)
    workspace.close()
    waiting.join(30)
    assert "closed" in str(told[0])
    workspace.close()
    bench.server.end()
    assert_echoed(bench.submit(texts(5)))
    assert bench.server.bought_once()


def test_a_job_attached_elsewhere_goes_on_there(bench: Bench):
    bench.server.ends = False
    first = bench.open()
    job_id = bench.submit(texts(5), workspace=first).id
    sent(bench.server, 1)
    first.close()
    bench.server.end()
    frame = bench.open().attach(job_id).result(30)
    assert frame["echo"].tolist() == texts(5)


def test_a_deleted_job_leaves_its_watchers_alone(bench: Bench):
    bench.server.ends = False
    other = bench.open()
    job = bench.submit(texts(5))
    elsewhere = other.attach(job.id)
    lasting = bench.submit(texts(5, "lasting"), workspace=other)
    sent(bench.server, 2)
    with pytest.raises(JobStateError, match="not ended"):
        job.delete()
    with pytest.raises(JobStateError, match="goes on"):
        bench.workspace.session.ledger.jobs.delete(job._number)
    bench.server.end(bench.server.batches[0])
    job.result(30)
    job.delete()
    bench.server.end()
    assert_echoed(lasting)
    assert elsewhere._session.watcher.failure is None


def test_deleting_a_job_with_its_batches_spares_those_another_job_has(bench: Bench):
    first = bench.submit(texts(10), batch_size=5)
    assert_echoed(first)
    second = bench.submit(texts(5))
    bench.server.faults["delete"] += [Status(404)]
    first.delete(remote=True)
    assert bench.server.called("DELETE", "msgbatch") == 1
    assert_echoed(second)
    assert_echoed(bench.submit(texts(5)))
    assert bench.server.bought_once()


def test_an_answer_that_another_process_collected_is_seen_here(bench: Bench):
    """One of two that watch the same batch meets broken results; the other's reading serves both."""
    bench.keep_to(give_up_after=60.0)
    server = bench.server
    server.ends = False
    jobs = [bench.submit(texts(10), workspace=bench.open()) for _ in range(2)]
    sent(server, 1)
    server.faults["results"] += [Spoiled(cut=0.4)]
    server.end()
    for job in jobs:
        assert_echoed(job)
    assert server.bought_once()
