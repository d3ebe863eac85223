"""The simulator's state on disk: what it keeps, what it forgets, and how it ends."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from simulation import ShiftedClock, call, created, ended, raw_results, requests, sdk

from batchnb.sim import Simulator, StateError, StateInUseError

pytestmark = pytest.mark.steady

ROOT = Path(__file__).parents[2]
FAST = (0.02, 0.04)
NOW = (0.0, 0.0)
BATCHES = "/v1/messages/batches"


def test_a_simulator_started_again_on_its_folder_finds_its_batches_ended_in_the_meantime(tmp_path):
    clock = ShiftedClock()
    with Simulator(tmp_path / "state", delay=(60.0, 60.0), clock=clock) as simulator:
        batch_id, identity = created(simulator, requests(4)), simulator.id
    clock.shift = 61
    with Simulator(tmp_path / "state", clock=clock) as simulator, sdk(simulator) as client:
        assert simulator.id == identity
        batch = client.messages.batches.retrieve(batch_id)
        assert batch.processing_status == "ended"
        assert (batch.ended_at - batch.created_at).total_seconds() == pytest.approx(60)
        first = raw_results(simulator, batch_id)
    with Simulator(tmp_path / "state", clock=clock) as simulator:
        again = raw_results(simulator, batch_id)
    assert sorted(first.body.splitlines()) == sorted(again.body.splitlines()), "answers are made once"


def test_a_temporary_state_folder_is_removed_and_a_given_one_stays(tmp_path):
    simulator = Simulator().start()
    temporary = simulator.state
    assert temporary.is_dir()
    simulator.stop()
    assert not temporary.exists()
    with Simulator(tmp_path / "mine") as simulator:
        assert simulator.state == tmp_path / "mine"
    assert (tmp_path / "mine" / "simulator.db").exists()


def test_the_state_is_for_its_owner_alone(tmp_path):
    with Simulator(tmp_path / "deep" / "state", delay=FAST) as simulator:
        created(simulator, requests(3))
        files = list(simulator.state.iterdir())
        assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
        assert {oct(path.stat().st_mode & 0o777) for path in (simulator.state, simulator.state.parent)} == {"0o700"}


def test_a_second_simulator_on_the_same_folder_is_refused_and_harms_nothing(tmp_path):
    with Simulator(tmp_path, delay=FAST) as simulator, sdk(simulator) as client:
        batch_id = created(simulator, requests(2))
        with pytest.raises(StateInUseError, match="another simulator is using"):
            Simulator(tmp_path).start()
        assert ended(client, batch_id).request_counts.succeeded == 2
    with Simulator(tmp_path):
        pass


def test_a_folder_that_holds_something_else_is_refused_by_name(tmp_path):
    (tmp_path / "simulator.db").write_bytes(b"these are not the pages of a database" * 100)
    with pytest.raises(StateError, match=f"{tmp_path}.*name another state folder"):
        Simulator(tmp_path).start()


def test_requests_and_results_of_archived_batches_are_forgotten_at_the_next_start(tmp_path):
    clock = ShiftedClock()
    with Simulator(tmp_path, delay=NOW, clock=clock) as simulator:
        old = created(simulator, requests(200))
        raw_results(simulator, old)
        clock.shift = 20 * 86_400
        young = created(simulator, requests(3))
        raw_results(simulator, young)
    clock.shift = 29 * 86_400 + 60
    with Simulator(tmp_path, delay=NOW, clock=clock) as simulator, sdk(simulator) as client:
        assert {row.batch_id for row in simulator.record()} == {young}
        listed = {batch.id: batch for batch in client.messages.batches.list()}
        assert set(listed) == {old, young}
        assert listed[old].archived_at is not None
        assert listed[old].request_counts.succeeded == 200
        assert call(simulator, "GET", f"{BATCHES}/{old}/results").status == 404
        assert len(raw_results(simulator, young).body.splitlines()) == 3


def test_a_full_disk_refuses_a_batch_and_is_forgotten_when_there_is_room_again(tmp_path, caplog):
    with Simulator(tmp_path, delay=NOW) as simulator:
        before = created(simulator, requests(1))
        db = simulator._up().batches._store._db
        (used,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {used + 2}")
        refused = call(simulator, "POST", BATCHES, {"requests": requests(2000)})
        assert (refused.status, refused.error[0]) == (500, "api_error")
        assert "full" in caplog.text
        assert {row.batch_id for row in simulator.record()} == {before}
        db.execute("PRAGMA max_page_count = 1000000")
        after = created(simulator, requests(2000))
        assert len(raw_results(simulator, after).body.splitlines()) == 2000


@pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be removed there")
def test_a_state_folder_that_vanishes_takes_nothing_along_until_the_simulator_stops(tmp_path):
    with Simulator(tmp_path / "state", delay=NOW) as simulator:
        batch_id = created(simulator, requests(2))
        for path in simulator.state.iterdir():
            path.unlink()
        simulator.state.rmdir()
        assert len(raw_results(simulator, batch_id).body.splitlines()) == 2
    with Simulator(tmp_path / "state") as simulator:
        assert simulator.record() == []


def test_a_stop_waits_for_one_row_of_a_slow_responder_and_the_rest_is_answered_later(tmp_path):
    asked, begun, closing = [], threading.Event(), threading.Event()

    def slow(request):
        asked.append(request["messages"][0]["content"])
        begun.set()
        closing.wait(20)
        return "answered"

    with Simulator(tmp_path, delay=NOW, responder=slow) as simulator:
        batch_id = created(simulator, requests(100))
        call(simulator, "GET", f"{BATCHES}/{batch_id}")
        assert begun.wait(20)
        batches = simulator._up().batches
        stop = threading.Thread(target=simulator.stop)
        stop.start()
        while not batches._closing:
            time.sleep(0.001)
        closing.set()
        stop.join()
    assert len(asked) == 1
    with Simulator(tmp_path, delay=NOW, responder=slow) as simulator, sdk(simulator) as client:
        assert ended(client, batch_id).request_counts.succeeded == 100
    assert sorted(asked) == sorted(f"Echo: text {i}" for i in range(100)), "each row is asked once"


def in_another_process(code, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_the_interpreter_does_not_wait_for_the_rows_that_are_left():
    code = """
import time, urllib.request, json
from batchnb.sim import Simulator
simulator = Simulator(delay=(0, 0), responder=lambda asked: time.sleep(0.05) or "late").start()
def call(path, body=None):
    headers = {"x-api-key": "k", "anthropic-version": "2026-10-21", "content-type": "application/json"}
    asked = urllib.request.Request(simulator.url + path, json.dumps(body).encode() if body else None, headers)
    return json.load(urllib.request.urlopen(asked))
params = {"model": "claude-opus-4-8", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
made = call("/v1/messages/batches", {"requests": [{"custom_id": str(i), "params": params} for i in range(2000)]})
print(call("/v1/messages/batches/" + made["id"])["processing_status"], simulator.state)
"""
    started = time.monotonic()
    done = in_another_process(code)
    assert time.monotonic() - started < 50, "a hundred seconds of rows were left"
    assert (done.returncode, done.stderr) == (0, "")
    status, state = done.stdout.split()
    assert status == "in_progress"
    assert not Path(state).exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_that_ends_leaves_the_simulator_to_its_parent():
    code = """
import os, sys, urllib.request
from batchnb.sim import Simulator, StateInUseError
simulator = Simulator().start()
child = os.fork()
if child == 0:
    simulator.stop()
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
try:
    Simulator(simulator.state).start()
except StateInUseError:
    headers = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
    asked = urllib.request.Request(simulator.url + "/v1/messages/batches", headers=headers)
    print(urllib.request.urlopen(asked).status, simulator.state.exists())
"""
    done = in_another_process(code)
    assert (done.returncode, done.stdout.split()) == (0, ["200", "True"]), done.stderr
