"""Never stuck: what a server answers for ever, in place of an answer, ends in rows that somebody can decide about."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from bench import Bench, assert_echoed, outcomes, texts
from hostility import Changed
from independent import Held, Lost, Server, Status, succeeded

import batchnb
from batchnb.errors import JobStateError
from batchnb.protocol.giving_up import DOUBTS

pytestmark = pytest.mark.steady

pytest_plugins = ["bench_fixtures"]

PAGE = b"<html>A proxy says hello.</html>"

#: Answers that no waiting makes better.
USELESS = {
    "400": Status(400), "403": Status(403), "405": Status(405), "410": Status(410), "418": Status(418),
    "451": Status(451), "501": Status(501), "511": Status(511), "600": Status(600),
    "301": Status(301, {"location": "/elsewhere"}), "307": Status(307), "308": Status(308),
    "HTML": Changed(lambda answer: PAGE), "204": Changed(lambda answer: b"", 204),
    "nothing": Changed(lambda answer: b""),
    "null": Changed(lambda answer: None), "a list": Changed(lambda answer: []), "no id": Changed(lambda answer: {}),
    "a deep one": Changed(lambda answer: b"[" * 200_000),
    "an id that is none": Changed(lambda answer: {"id": "../../x"} if isinstance(answer, dict) else b"\xff"),
}  # fmt: skip

#: Failures that pass by themselves, or with another key.
PASSING = {"401": Status(401), "429": Status(429), "500": Status(500), "503": Status(503), "529": Status(529),
           "no answer": Lost(False)}  # fmt: skip


@pytest.fixture
def impatient(bench: Bench) -> Bench:
    """A bench that gives a batch up soon."""
    bench.keep_to(give_up_after=0.1)
    return bench


def stuck(bench: Bench, endpoint: str, fault: object) -> batchnb.Job:
    """A job whose every call of an endpoint is answered so."""
    bench.server.always[endpoint] = fault
    if endpoint == "list":
        bench.server.faults["create"] += [Lost()]
    job = bench.submit(texts(6), batch_size=6)
    bench.server.wait_for(lambda: bench.server.batches)
    return job


@pytest.mark.parametrize("useless", USELESS.values(), ids=USELESS)
@pytest.mark.parametrize("endpoint", ["retrieve", "results", "list"])
def test_a_useless_answer_for_ever_is_doubted_then_pending_and_the_next_run_looks_again(impatient, endpoint, useless):
    job = stuck(impatient, endpoint, useless)
    frame = job.result(30)
    assert outcomes(frame) == {"pending": 6}
    assert 'job.resolve("send")' in frame["echo_error"][0]
    assert impatient.server.bought_once()
    impatient.server.always.clear()
    assert_echoed(impatient.submit(texts(6), batch_size=6))
    assert impatient.server.bought_once()


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("endpoint", ["retrieve", "results", "list"])
def test_what_passes_is_waited_for_as_long_as_it_takes(impatient, endpoint, failure):
    if endpoint == "list" and failure is PASSING["401"]:
        pytest.skip("a listing that is refused settles nothing")
    job = stuck(impatient, endpoint, failure)
    server = impatient.server
    calls = {"retrieve": "batches/msgbatch", "results": "/results", "list": "batches?limit"}[endpoint]
    server.wait_for(lambda: server.called("GET", calls) >= 8)
    assert not job.done()
    assert "tried again" in job.snapshot().note
    server.always.clear()
    assert_echoed(job)
    assert server.bought_once()


@pytest.mark.parametrize("decision", ["send", "drop"])
@pytest.mark.parametrize("failure", [Status(500), Status(403), Changed(lambda _: PAGE)], ids=["500", "403", "HTML"])
@pytest.mark.parametrize("endpoint", ["retrieve", "results", "list"])
def test_a_decision_moves_rows_that_wait_for_an_answer_that_does_not_come(bench, endpoint, failure, decision, capsys):
    """Before they are given up, and when they never would be."""
    job = stuck(bench, endpoint, failure)
    while not bench.workspace.session.watcher.is_failing(job._number):
        bench.server.wait_for(lambda: True)
    bench.server.wait_for(lambda: bench.server.busy == 0)
    while not (found := job.resolve(decision)):
        bench.server.wait_for(lambda: True)
    assert found == 6
    assert "6 requests of batches that gave no answer" in capsys.readouterr().err
    bench.server.always.clear()
    frame = job.result(30)
    if decision == "drop":
        assert outcomes(frame) == {"missing": 6}
        assert bench.server.bought_once()
    else:
        assert outcomes(frame) == {"succeeded": 6}
        assert set(bench.server.asked.values()) == {2}
    assert job.resolve(decision) == 0


@pytest.mark.parametrize("decision", ["send", "drop"])
@pytest.mark.parametrize("failure", [Status(429, {"retry-after": "1e9"}), Status(529)], ids=["429", "529"])
def test_a_decision_moves_rows_that_cannot_be_sent(bench: Bench, failure, decision, capsys):
    bench.server.always["create"] = failure
    job = bench.submit(texts(6))
    bench.server.wait_for(lambda: bench.server.called("POST", "batches"))
    while job.snapshot().note is None:
        bench.server.wait_for(lambda: True)
    if failure.headers:
        assert "3600 s" in job.snapshot().note
    if decision == "send":
        bench.server.always.clear()
    assert job.resolve(decision) == 6
    assert "6 that were not sent yet" in capsys.readouterr().err
    assert outcomes(job.result(30)) == ({"canceled": 6} if decision == "drop" else {"succeeded": 6})
    assert bench.server.asked.total() == (0 if decision == "drop" else 6)


def test_rows_held_back_by_a_limit_can_be_given_up_and_it_is_said_why_they_are_not_sent(bench: Bench):
    def dear(params: dict) -> dict:
        answer = succeeded(params)
        answer["message"]["usage"] |= {"output_tokens": 1024}
        return answer

    bench.server.result = dear
    job = bench.submit(texts(40), batch_size=20, max_cost=0.05, if_over="stop", model="claude-haiku-4-5")
    found = outcomes(job.result(30))
    assert found["pending"]
    with pytest.raises(JobStateError, match="max_cost"):
        job.resolve("send")
    assert job.resolve("drop") == found["pending"]
    assert outcomes(job.result(30)) == found | {"canceled": found.pop("pending")}


def test_a_decision_touches_no_batch_that_the_server_is_at_work_on(bench: Bench):
    server = bench.server
    server.ends = False
    jobs = [bench.submit(texts(5, name)) for name in ("well", "ill")]
    server.wait_for(lambda: len(server.batches) == 2)
    server.vanish(server.batches[1])
    while not bench.workspace.session.watcher.is_failing(jobs[1]._number):
        server.wait_for(lambda: True)
    assert jobs[0].resolve("drop") == 0
    while not jobs[1].resolve("drop"):
        server.wait_for(lambda: True)
    assert outcomes(jobs[1].result(30)) == {"missing": 5}
    server.end()
    assert_echoed(jobs[0])


@pytest.mark.parametrize("fault", [Status(500), Status(403), Status(307), Held()], ids=["500", "403", "307", "held"])
def test_a_cancel_that_never_works_does_not_keep_a_batch_from_its_end(bench: Bench, fault):
    server = bench.server
    server.ends = False
    job = bench.submit(texts(5))
    server.wait_for(lambda: server.called("GET", "msgbatch"))
    if isinstance(fault, Held):
        fault.let_go.set()
    server.always["cancel"] = fault
    job.cancel()
    server.wait_for(lambda: server.called("POST", "/cancel") >= 2)
    server.end()
    assert outcomes(job.result(30)) == {"succeeded": 5}


def test_a_script_that_looks_once_an_hour_gives_a_batch_up_too(bench: Bench):
    """What was doubted is known to the next process: no one process has to doubt it for long."""
    server = bench.server
    server.ends = False
    server.always["retrieve"] = Status(410)
    job = bench.submit(texts(5))
    server.wait_for(lambda: server.called("GET", "batches/msgbatch") >= DOUBTS)
    bench.workspace.close()
    hour = bench.open(max_poll=30.0)
    hour.session.clock.now = lambda: time.time() + 3600
    server.manner = replace(server.manner, shift=server.manner.shift + timedelta(hours=1))
    again = hour.attach(job.id)
    assert again.wait(30)
    assert again.counts == {"pending": 5}


def test_two_servers_in_one_kernel_hold_up_nothing_of_each_other(bench: Bench):
    with Server() as other:
        fault = Held()
        bench.server.always["retrieve"] = fault
        slow = bench.submit(texts(3))
        bench.server.wait_for(fault.reached.is_set)
        place = bench.open(url=other.url, home=bench.home / "other")
        assert_echoed(bench.submit(texts(3), workspace=place))
        bench.server.always.clear()
        fault.let_go.set()
        assert_echoed(slow)
