"""``python -m batchnb collect``: what a dead kernel left is settled, sent, fetched; the exit status says the rest."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import anthropic
import pandas as pd
import pytest
from bench import KEY, Bench, assert_echoed, texts
from independent import Held, Lost, Server, Status
from pace import paced

import batchnb
from batchnb.__main__ import main
from batchnb.jobs.defaults import default_workspace

pytest_plugins = ["bench_fixtures"]

#: What a cell does in a kernel of its own; `extra` runs before the job is submitted.
CELL = """
import os, signal
import pandas as pd
import batchnb
from batchnb.api.client import Api
from batchnb.ledger.batches import Batches

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

{extra}
frame = pd.DataFrame({{"review": [f"text {{i}}" for i in range(30)]}})
frame.batch.submit("review", "Echo: {{review}}", into="echo", batch_size=10, progress=False).result(60)
"""


@pytest.fixture
def user(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench whose server, home and key are the environment's."""
    for name, value in {
        "BATCHNB_HOME": str(bench.home), "BATCHNB_MAX_POLL": "0.05", "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": bench.server.url, "PYTHONIOENCODING": "utf-8",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return bench


@contextlib.contextmanager
def kernel(user: Bench) -> Iterator[batchnb.Workspace]:
    """A workspace as the environment gives it; closed at the end, as if the kernel were shut down."""
    with anthropic.Anthropic() as client:
        workspace = batchnb.Workspace(client)
        try:
            yield workspace
        finally:
            workspace.close()


@contextlib.contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def leave(user: Bench, reached: object, count: int = 10, **options: object) -> str:
    """Submit a job and shut its kernel down when that was reached; give the job's id."""
    with kernel(user) as workspace:
        job = user.submit(texts(count), workspace=workspace, **options)
        user.server.wait_for(lambda: reached(job))
        return job.id


def in_progress(user: Bench, **options: object) -> str:
    user.server.ends = False
    return leave(user, lambda job: user.server.called("GET", "msgbatch"), **options)


def unsent(user: Bench) -> str:
    user.server.always["create"] = Status(429)
    return leave(user, lambda job: user.server.called("POST", "batches") >= 3)


def uncertain(user: Bench) -> str:
    user.server.faults["create"] += [Lost()]
    user.server.always["list"] = Status(500)
    found = leave(user, lambda job: user.server.called("GET", "batches?limit"))
    user.server.always.clear()
    return found


def assert_collected(user: Bench, rows: int = 10) -> None:
    """The cell, run again, must find everything here."""
    calls = user.server.called("POST", "batches")
    with kernel(user) as workspace:
        assert_echoed(user.submit(texts(rows), workspace=workspace, batch_size=10))
    assert user.server.called("POST", "batches") == calls
    assert user.server.bought_once(), user.server.asked


# The exit status


def test_where_nothing_is_open_it_says_so(user: Bench, capsys):
    assert main(["collect"]) == 0
    with kernel(user) as workspace:
        assert_echoed(user.submit(texts(3), workspace=workspace))
    assert main(["collect"]) == 0
    assert capsys.readouterr().out == "Nothing is open in this ledger.\n" * 2


def test_while_batches_are_in_progress_it_is_1_and_0_when_they_have_ended(user: Bench, capsys):
    job = in_progress(user)
    for _ in range(2):
        assert main(["collect"]) == 1
        said = capsys.readouterr().out
        assert job in said
        assert "in_progress, 10 pending" in said
    user.server.end()
    assert main(["collect"]) == 0
    assert "ended, 10 succeeded" in capsys.readouterr().out
    assert_collected(user)
    assert main(["collect"]) == 0
    assert capsys.readouterr().out == "Nothing is open in this ledger.\n"


def test_it_waits_as_long_as_it_is_told_to(user: Bench):
    in_progress(user)
    checks = user.server.called("GET", "msgbatch")
    ending = threading.Thread(
        target=lambda: (
            user.server.wait_for(lambda: user.server.called("GET", "msgbatch") >= checks + 3),
            user.server.end(),
        )
    )
    ending.start()
    assert main(["collect", "--wait", "60"]) == 0
    ending.join()
    assert_collected(user)


def test_what_waits_to_be_sent_is_sent(user: Bench):
    unsent(user)
    assert main(["collect"]) == 1  # the server limits what may be queued: come again
    assert not user.server.batches
    user.server.always.clear()
    assert main(["collect", "--wait", "60"]) == 0
    assert_collected(user)


def test_what_nobody_heard_the_answer_to_is_settled(user: Bench):
    uncertain(user)
    assert main(["collect", "--wait", "60"]) == 0
    assert_collected(user)


def test_where_only_time_can_settle_it_it_is_1(user: Bench):
    user.server.ends = False
    uncertain(user)
    assert main(["collect"]) == 1
    user.server.end()
    assert main(["collect", "--wait", "60"]) == 0
    assert_collected(user)


def test_where_rows_wait_for_a_decision_it_is_3_and_says_what_to_do(user: Bench, capsys):
    user.server.ends = False
    uncertain(user)
    assert main(["collect"]) == 1
    user.server.always["results"] = Status(500)
    user.server.end()
    user.server.always["results"] = None
    user.server.batches[0].results.clear()  # nothing in it says whose it is
    assert main(["collect", "--wait", "60"]) == 3
    said = capsys.readouterr().out
    assert "10 pending" in said
    assert 'job.resolve("send")' in said
    assert main(["collect"]) == 3
    with kernel(user) as workspace:
        job = workspace.attach(workspace.jobs().to_frame()["id"][0])
        assert job.resolve("drop") == 10
        job.wait(30)
    assert main(["collect"]) == 0


def test_a_batch_that_was_given_up_for_now_is_looked_at_each_time(user: Bench):
    in_progress(user)
    paced(default_workspace(), give_up_after=0.0)
    user.server.always["retrieve"] = Status(404)
    for _ in range(2):
        assert main(["collect"]) == 3
    user.server.always.clear()
    user.server.end()
    assert main(["collect"]) == 0
    assert_collected(user)


def test_without_a_key_it_is_2_and_says_how_to_get_one(user: Bench, monkeypatch, capsys):
    in_progress(user)
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert main(["collect"]) == 2
    said = capsys.readouterr().err
    assert "ANTHROPIC_API_KEY" in said
    assert "Traceback" not in said
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    user.server.end()
    assert main(["collect"]) == 0
    assert_collected(user)


@pytest.mark.parametrize("left", [in_progress, unsent, uncertain])
def test_where_the_server_is_down_it_is_2_and_nothing_is_lost(user: Bench, capsys, left):
    left(user)
    user.server.always.clear()
    address = user.server._http.server_address
    user.server._http.shutdown()
    user.server._http.server_close()
    assert main(["collect"]) == 2
    assert "could not be reached" in capsys.readouterr().out
    again = Server()
    again._http.server_close()
    again.url, again.batches, again.ends = user.server.url, user.server.batches, True
    again._http = type(again._http)(address, again._http.RequestHandlerClass)
    again._http.daemon_threads = True
    again._thread = threading.Thread(target=again._http.serve_forever, args=(0.02,), daemon=True)
    with again:
        again.end()
        assert main(["collect", "--wait", "60"]) == 0
        assert again.bought_once()


@pytest.mark.parametrize("status", [500, 401, 529])
def test_where_the_server_answers_with_errors_it_is_2(user: Bench, status):
    in_progress(user)
    user.server.always["retrieve"] = Status(status)
    assert main(["collect"]) == 2
    user.server.always.clear()
    user.server.end()
    assert main(["collect"]) == 0
    assert_collected(user)


def test_an_attached_batch_is_fetched_too(user: Bench):
    user.server.ends = False
    ask = {"model": "m", "messages": [{"role": "user", "content": "Echo: theirs"}]}
    batch = user.server.accept([{"custom_id": f"theirs-{i}", "params": ask} for i in range(3)])
    with kernel(user) as workspace:
        workspace.attach(batch.id)
    assert main(["collect"]) == 1
    user.server.end()
    assert main(["collect"]) == 0
    with kernel(user) as workspace:
        assert workspace.attach(batch.id).to_frame()["reply"].tolist() == ["theirs"] * 3
    assert user.server.called("POST", "batches") == 0


def test_on_a_copied_ledger_it_sends_nothing_and_is_3(user: Bench, monkeypatch):
    unsent(user)
    user.server.always.clear()
    copy = user.home.parent / "copy"
    subprocess.run(["cp", "-r", user.home, copy], check=True)
    monkeypatch.setenv("BATCHNB_HOME", str(copy))
    with pytest.warns(UserWarning, match="10 requests wait for a decision"):
        assert main(["collect"]) == 3
    assert main(["collect"]) == 3
    assert not user.server.batches
    monkeypatch.setenv("BATCHNB_HOME", str(user.home))
    assert main(["collect", "--wait", "60"]) == 0
    assert user.server.bought_once()


def test_a_damaged_ledger_is_2(user: Bench, capsys):
    in_progress(user)
    for path in (user.home / "ledgers").iterdir():
        path.write_bytes(b"not a ledger" * 1000)
    assert main(["collect"]) == 2
    assert "not a ledger" in capsys.readouterr().err


# After a kernel was killed, and beside one that lives; in processes of their own


def assert_collects_the_rest(user: Bench) -> None:
    user.server.ends = True
    user.server.end()
    assert main(["collect", "--wait", "60"]) == 0
    assert len(user.server.batches) == 3
    assert_collected(user, 30)


@pytest.mark.parametrize("extra", ["Api.create_batch = die", "Batches.accepted = die"])
def test_a_kernel_that_was_killed_is_finished(user: Bench, extra):
    with child("-c", CELL.format(extra=extra)) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert_collects_the_rest(user)


def test_a_kernel_that_was_killed_while_results_stream_is_finished(user: Bench):
    fault = Held()
    user.server.faults["results"] += [None, fault]
    with child("-c", CELL.format(extra="")) as process:
        user.server.wait_for(fault.reached.is_set)
        process.kill()
        process.wait()
        fault.let_go.set()
    assert_collects_the_rest(user)


def test_beside_a_kernel_that_lives_each_request_is_bought_once(user: Bench):
    fault = Held()
    user.server.faults["create"] += [fault]
    with kernel(user) as workspace:
        job = user.submit(texts(30), workspace=workspace, batch_size=10)
        user.server.wait_for(fault.reached.is_set)
        command = [sys.executable, "-m", "batchnb", "collect"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=100, env=os.environ)
        assert done.returncode == 1, done
        assert "submitting, 10 pending · 20 succeeded" in done.stdout
        assert done.stderr == ""
        assert user.server.called("GET", "batches?limit") == 0  # what a living kernel sends is not settled by another
        assert len(user.server.batches) == 3
        fault.let_go.set()
        assert_echoed(job)
    assert user.server.bought_once()


def test_the_help_says_what_the_exit_status_means(capsys):
    with pytest.raises(SystemExit) as left:
        main(["collect", "--help"])
    assert left.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for part in ("exit status: 0 every job has ended", "1 batches are still in progress", "2 an error", "3 rows wait"):
        assert part in said
    with pytest.raises(SystemExit) as left:
        main(["collect", "--wait", "soon"])
    assert left.value.code == 2
    assert isinstance(batchnb.jobs().to_frame(), pd.DataFrame)
