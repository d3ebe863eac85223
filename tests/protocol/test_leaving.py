"""Leaving: a script, a kernel and `collect` end in a bounded time, whatever the server does, and say what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from bench import KEY, Bench, assert_echoed, texts
from independent import Held
from stuck_server import Wire, Wires, head

from batchnb import Workspace
from batchnb.__main__ import main

pytest_plugins = ["bench_fixtures"]

pytestmark = pytest.mark.steady

#: Submits, and has nothing more to do.
SCRIPT = """
import dataclasses, sys
import pandas as pd
import batchnb
from batchnb.jobs.defaults import default_workspace
workspace = default_workspace()
workspace.session.timing = dataclasses.replace(workspace.session.timing, exit_patience=float(sys.argv[1]))
frame = pd.DataFrame({"review": [f"text {i}" for i in range(6)]})
frame.batch.submit("review", "Echo: {review}", into="echo", batch_size=3, progress=False)
print("submitted", flush=True)
"""


def script(url: str, home: object, patience: float = 1.0) -> subprocess.Popen[str]:
    env = os.environ | {
        "BATCHNB_HOME": str(home), "ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": url, "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(patience)], env=env, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def on_creates(stuck: Callable[[Wire], object]) -> Callable[[str, str, Wire], None]:
    """Do that on creates, and answer all else with an error."""

    def answer(method: str, path: str, wire: Wire) -> None:
        if method == "POST" and path.endswith("/batches"):
            stuck(wire)
        else:
            wire.write(head("404 Not Found", content_length=2) + b"{}")

    return answer


STUCK = {
    "hangs": Wire.hang,
    "hangs after the head": lambda wire: (wire.write(head(content_length=100)), wire.hang()),
    "drips its head": lambda wire: (wire.write(b"HTTP/1.1 200 OK\r\nx: "), wire.drip(b"y")),
    "drips its body": lambda wire: (wire.write(head(content_length=10**7)), wire.drip(b" ")),
}


@pytest.mark.parametrize("stuck", STUCK.values(), ids=STUCK)
def test_a_script_that_only_submits_ends_though_the_server_does_not_answer(stuck, tmp_path):
    with Wires(on_creates(stuck)) as server:
        process = script(server.url, tmp_path / "home")
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said == "submitted\n"
    assert "run the cell again to go on. Nothing is sent twice." in errors
    assert "Traceback" not in errors


def test_an_interrupt_while_leaving_ends_at_once_without_a_traceback(tmp_path):
    with Wires(on_creates(Wire.hang)) as server:
        process = script(server.url, tmp_path / "home", 600.0)
        assert process.stdout is not None
        assert process.stdout.readline() == "submitted\n"
        while not any(method == "POST" and path.endswith("/batches") for method, path in list(server.calls)):
            time.sleep(0.01)
        assert process.stderr is not None
        process.stderr.readline()  # that it is sending the last requests
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    assert "run the cell again to go on" in errors


@pytest.fixture
def user(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for name, value in {
        "BATCHNB_HOME": str(bench.home), "BATCHNB_MAX_POLL": "0.05", "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": bench.server.url,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return bench


@pytest.mark.parametrize("endpoint", ["retrieve", "results"])
def test_collect_ends_with_status_2_though_the_server_does_not_answer(user: Bench, endpoint, capsys):
    server = user.server
    server.ends = False
    place = Workspace()
    job = user.submit(texts(6), workspace=place)
    server.wait_for(lambda: server.called("GET", "batches/msgbatch"))
    place.close()
    server.end()
    fault = Held()
    server.always[endpoint] = fault
    assert main(["collect", "--give-up", "0.5"]) == 2
    assert job.id in capsys.readouterr().out
    fault.let_go.set()
    server.always.clear()
    assert main(["collect", "--wait", "60"]) == 0
    assert server.bought_once()


def test_closing_gives_up_what_is_asked_and_says_nothing_against_the_server(bench: Bench):
    """What a next process finds is a batch that is well: a decision does not touch it."""
    server = bench.server
    server.ends = False
    fault = Held()
    server.always["retrieve"] = fault
    place = bench.open()
    job = bench.submit(texts(3), workspace=place)
    server.wait_for(fault.reached.is_set)
    since = time.monotonic()
    place.close()
    assert time.monotonic() - since < 8
    (record,) = bench.workspace.session.ledger.batches.of_job(job._number)
    assert (record.state, record.failing_since) == ("in_progress", None)
    fault.let_go.set()
    server.always.clear()
    server.end()
    assert_echoed(bench.submit(texts(3)))
    assert server.bought_once()


def test_one_jobs_call_that_hangs_holds_up_no_other(bench: Bench):
    server = bench.server
    for endpoint in ("create", "retrieve", "results"):
        fault = Held()
        server.faults[endpoint] += [fault]
        slow = bench.submit(texts(3, f"slow {endpoint}"))
        server.wait_for(fault.reached.is_set)
        for number in range(3):
            assert_echoed(bench.submit(texts(3, f"{endpoint} {number}")))
        assert not slow.done()
        note = slow.snapshot().note
        assert note is not None
        assert "which has been at its answer for" in note
        fault.let_go.set()
        assert_echoed(slow)
    assert server.bought_once()
