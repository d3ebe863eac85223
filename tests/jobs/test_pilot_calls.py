"""A pilot's calls when things go wrong: at most the calls in flight are ever in doubt, and none is made twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pace import QUICK, paced

import batchnb
from batchnb import LedgerError, Workspace
from batchnb.protocol.calls import AT_ONCE
from batchnb.sim import Fault, Simulator

SECONDS = 30
TEXTS = [f"text {i:02}" for i in range(12)]


class Responder:
    """Repeats texts; holds up, or interrupts, what a test wants."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Semaphore(0)
        self.interrupt_after: int | None = None
        self._lock = threading.Lock()

    def __call__(self, params: dict[str, Any]) -> str:
        text = params["messages"][-1]["content"]
        with self._lock:  # several are asked at once, and each count is reached by one of them
            self.asked[text] += 1
            asked = self.asked.total()
        self.reached.release()
        if self.interrupt_after == asked:
            os.kill(os.getpid(), signal.SIGINT)
        self.open.wait(SECONDS)
        return text

    def wait_for(self, calls: int) -> None:
        for _ in range(calls):
            assert self.reached.acquire(timeout=SECONDS)


@pytest.fixture
def responder() -> Responder:
    return Responder()


@pytest.fixture
def simulator(tmp_path: Path, responder: Responder):
    with Simulator(tmp_path / "simulator", delay=(0.01, 0.02), responder=responder, seed=1) as running:
        yield running
        responder.open.set()


@pytest.fixture
def workspace(workspace: Workspace) -> Workspace:
    return paced(workspace, **QUICK)


FRAME = pd.DataFrame({"text": TEXTS})


def pilot(workspace: Workspace, n: int = 12, **options: Any):
    return FRAME.batch.pilot("text", "{text}", n, into="echo", workspace=workspace, **options)


def submit(workspace: Workspace):
    return FRAME.batch.submit("text", "{text}", into="echo", workspace=workspace, progress=False)


def statuses(taken: Any) -> dict[str, int]:
    return taken.to_frame()["echo_status"].value_counts().to_dict()


@pytest.mark.parametrize("kind", ["rate_limited", "overloaded"])
def test_what_the_server_refuses_for_now_is_asked_again(workspace, simulator, responder, kind):
    simulator.inject(Fault(kind, on="messages", times=5, retry_after=1 if kind == "rate_limited" else None))
    assert statuses(pilot(workspace)) == {"succeeded": 12}
    assert set(responder.asked.values()) == {1}


def test_a_server_that_takes_no_more_ends_the_pilot_and_the_rest_can_be_asked_later(workspace, simulator):
    paced(workspace, pilot_patience=0.0)
    simulator.inject(Fault("rate_limited", on="messages", after=3, times=-1))
    taken = pilot(workspace)
    assert statuses(taken) == {"succeeded": 3, "canceled": 9}
    assert "The server did not take more within" in repr(taken)
    simulator.faults.clear()
    assert statuses(pilot(workspace)) == {"succeeded": 12}


def test_a_refused_row_carries_the_servers_message(workspace, simulator):
    simulator.inject(Fault("error", on="messages", error_type="permission_error", times=2))
    taken = pilot(workspace)
    assert statuses(taken) == {"succeeded": 10, "errored": 2}
    assert taken.job.errors()["type"].tolist() == ["permission_error"] * 2
    assert taken.job.done()
    assert statuses(pilot(workspace)) == {"succeeded": 12}  # nothing was made of those


@pytest.mark.parametrize("kind", ["lost_answer", "reset", "api_error", "timeout_after"])
def test_a_lost_answer_waits_for_a_decision_and_is_not_bought_again_by_itself(workspace, simulator, responder, kind):
    simulator.inject(Fault(kind, on="messages", times=1, after=2))
    taken = pilot(workspace)
    assert statuses(taken) == {"succeeded": 11, "pending": 1}
    assert taken.job.done()
    frame = taken.to_frame()
    assert "at most this one answer was paid for" in frame.loc[frame["echo_status"] == "pending", "echo_error"].item()
    assert "at most this one answer" in repr(taken)
    assert statuses(pilot(workspace)) == {"succeeded": 11, "pending": 1}
    job = submit(workspace)
    assert job.result(SECONDS)["echo_status"].value_counts().to_dict() == {"succeeded": 11, "pending": 1}
    assert not any(call.path == "/v1/messages/batches" for call in simulator.calls)
    assert job.resolve("send") == 1
    assert job.result(SECONDS)["echo"].tolist() == TEXTS
    assert statuses(taken) == {"succeeded": 11, "pending": 1}  # as it was taken
    assert statuses(pilot(workspace)) == {"succeeded": 12}
    assert sorted(responder.asked.values())[:-1] == [1] * 11


def test_a_lost_row_can_be_given_up(workspace, simulator):
    simulator.inject(Fault("lost_answer", on="messages"))
    taken = pilot(workspace)
    assert taken.job.resolve("drop") == 1
    assert taken.job.result(SECONDS)["echo_status"].value_counts().to_dict() == {"succeeded": 11, "missing": 1}


def test_an_answer_that_is_none_is_not_taken_for_one(workspace, simulator, monkeypatch):
    real = workspace.session.api._call

    def spoiled(method: str, path: str, **options: Any):
        response = real(method, path, **options)
        if path == "/v1/messages":
            response.content = b"<html>"
        return response

    monkeypatch.setattr(workspace.session.api, "_call", spoiled)
    assert statuses(pilot(workspace, 3)) == {"pending": 3}


def test_an_answer_that_cannot_be_recorded_at_once_is_kept_and_nothing_more_is_asked(workspace, responder, monkeypatch):
    pilots, failures = workspace.session.ledger.pilots, iter([True] * 3)
    record = pilots.answered

    def answered(*args: Any) -> None:
        if next(failures, False):
            raise LedgerError("the disk is full")
        record(*args)

    monkeypatch.setattr(pilots, "answered", answered)
    counts = statuses(pilot(workspace))
    assert set(counts) <= {"succeeded", "canceled"}
    assert counts["succeeded"] == responder.asked.total()
    assert statuses(pilot(workspace)) == {"succeeded": 12}
    assert set(responder.asked.values()) == {1}


def test_an_interrupt_waits_for_the_calls_in_flight_and_keeps_their_answers(workspace, simulator, responder):
    responder.interrupt_after = 6
    with pytest.raises(KeyboardInterrupt) as raised:
        pilot(workspace)
    assert "the answers that came are kept" in raised.value.__notes__[0]
    asked = responder.asked.total()
    assert 6 <= asked <= 6 + AT_ONCE
    taken = workspace.attach(workspace.jobs().to_frame()["id"].item())
    assert taken.done()
    assert taken.counts == {"succeeded": asked, "canceled": 12 - asked} if asked < 12 else {"succeeded": 12}
    assert statuses(pilot(workspace)) == {"succeeded": 12}
    assert set(responder.asked.values()) == {1}


def test_a_pilot_left_with_calls_in_flight_ends_when_they_have_been_answered(workspace, responder, monkeypatch):
    responder.open.clear()

    def interrupted(event: threading.Event) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(batchnb.protocol.calls, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pilot(workspace)
    job = workspace.attach(workspace.jobs().to_frame()["id"].item())
    seen = threading.Event()
    workspace.session.watcher.subscribe(job._number, seen.set)
    assert seen.wait(SECONDS)
    responder.open.set()
    assert job.wait(SECONDS)
    assert set(job.counts) <= {"succeeded", "canceled"}


CELL = """
import json, sys
import pandas as pd
import batchnb
from batchnb.api.addresses import simulator_client

url, home, texts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
workspace = batchnb.Workspace(simulator_client(url), home=home)
pd.DataFrame({"text": texts}).batch.pilot("text", "{text}", 12, into="echo", workspace=workspace)
"""


@pytest.fixture
def killed(simulator: Simulator, responder: Responder, tmp_path: Path) -> None:
    """A pilot whose process was killed with its calls in flight, after two answers."""
    responder.open.clear()
    arguments = [sys.executable, "-c", CELL, simulator.url, str(tmp_path / "home"), json.dumps(TEXTS)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE) as process:
        responder.wait_for(AT_ONCE)
        process.kill()
    responder.open.set()


def test_a_killed_pilot_leaves_only_the_calls_in_flight_in_doubt(killed, workspace, responder):
    job = submit(workspace)
    counts = job.result(SECONDS)["echo_status"].value_counts().to_dict()
    assert counts == {"succeeded": 12 - AT_ONCE, "pending": AT_ONCE}
    assert set(responder.asked.values()) == {1}
    assert job.resolve("send") == AT_ONCE
    assert job.result(SECONDS)["echo"].tolist() == TEXTS
    assert max(responder.asked.values()) == 2


def test_a_killed_pilot_taken_again_asks_what_was_never_asked(killed, workspace, responder):
    assert statuses(pilot(workspace)) == {"succeeded": 12 - AT_ONCE, "pending": AT_ONCE}
    assert set(responder.asked.values()) == {1}


def test_a_killed_pilot_is_not_sent_as_a_batch_by_who_looks_after_the_ledger(killed, workspace, simulator, responder):
    job = workspace.attach(workspace.jobs().to_frame()["id"].item())
    assert job.wait(SECONDS)
    assert job.counts == {"canceled": 12 - AT_ONCE, "pending": AT_ONCE}
    assert not any(call.path == "/v1/messages/batches" for call in simulator.calls)
    assert set(responder.asked.values()) == {1}


def test_what_a_pilot_is_asking_another_kernel_does_not_send(
    workspace, simulator, responder, open_workspace: Callable[..., Workspace]
):
    responder.open.clear()
    taken: list[Any] = []
    thread = threading.Thread(target=lambda: taken.append(pilot(workspace)))
    thread.start()
    responder.wait_for(AT_ONCE)
    other = submit(open_workspace(simulator))
    own = submit(workspace)  # the background thread of this process leaves the calls alone, too
    assert other.status == own.status == "submitting"
    responder.open.set()
    thread.join(SECONDS)
    assert other.result(SECONDS)["echo"].tolist() == own.result(SECONDS)["echo"].tolist() == TEXTS
    assert statuses(taken[0]) == {"succeeded": 12}
    assert set(responder.asked.values()) == {1}
    assert not any(call.path == "/v1/messages/batches" for call in simulator.calls)


def test_canceling_a_pilot_from_elsewhere_stops_it(workspace, simulator, responder, open_workspace):
    responder.open.clear()
    taken: list[Any] = []
    thread = threading.Thread(target=lambda: taken.append(pilot(workspace)))
    thread.start()
    responder.wait_for(AT_ONCE)
    other = open_workspace(simulator)
    other.attach(other.jobs().to_frame()["id"].item()).cancel()
    responder.open.set()
    thread.join(SECONDS)
    assert statuses(taken[0]) == {"succeeded": AT_ONCE, "canceled": 12 - AT_ONCE}
    assert responder.asked.total() == AT_ONCE
