"""Kernels on one ledger at the same moment: real processes, started together, suspended, killed and interrupted."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, assert_echoed, texts
from hostility import Upload
from independent import Held, Server
from nursery import Nursery

from batchnb.ledger.ledger import Ledger

pytest_plugins = ["bench_fixtures"]
pytestmark = pytest.mark.steady

CELL = """
import fcntl

def cell():
    workspace = opened(client_of(given["url"]), given["home"], max_poll=0.2)
    frame = pd.DataFrame({"review": given["texts"]})
    say("ready")
    with open(given["gate"]) as gate:  # all that wait here go on at the same moment
        fcntl.flock(gate, fcntl.LOCK_SH)
    job = frame.batch.submit("review", "Echo: {review}", into="echo", batch_size=given["batch_size"],
                             workspace=workspace, progress=False)
    say("submitted")
    try:
        frame = job.result()
    except KeyboardInterrupt:
        say("interrupted")
        frame = job.result()
    say("done", job=job.id, right=frame["echo"].tolist() == given["texts"], counts=job.counts)
"""


class Kernels:
    """Processes that run the cell."""

    def __init__(self, folder: Path) -> None:
        self._gate = folder / "gate"
        self._gate.touch()
        self._nursery = Nursery(CELL)
        self.close = self._nursery.close

    @contextmanager
    def together(self) -> Iterator[None]:
        """Kernels that are started within the block run their cells at the same moment, when it ends."""
        with self._gate.open() as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield

    def start(self, name: str, server: Server, home: Path, asked: list[str], batch_size: int = 10) -> None:
        """Start a kernel; it waits for the others."""
        given = {"url": server.url, "home": str(home), "texts": asked, "batch_size": batch_size}
        self._nursery.start(name, **given, gate=str(self._gate))
        self.hear(name, "ready")

    def hear(self, name: str, event: str) -> dict[str, Any]:
        """Wait until a kernel says that."""
        said = self._nursery.hear(name, event)
        assert said["event"] == event, str(said)
        return said

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.hear(name, "ready")["pid"], number)

    def finished(self, *names: str) -> None:
        """Each of these kernels ends with an answer for each of its rows."""
        for name in names:
            done = self.hear(name, "done")
            assert done["right"], done
            assert set(done["counts"]) == {"succeeded"}, done


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernels]:
    running = Kernels(tmp_path_factory.mktemp("kernels"))
    yield running
    running.close()


def owners(home: Path) -> set[str]:
    """Under which names batches were sent."""
    ledger = Ledger(home, "independent")
    with ledger._store.read() as db:
        found = {row[0] for row in db.execute("SELECT owner FROM batches WHERE state = 'collected'")}
    ledger.close()
    return found


# Started together


def test_two_kernels_that_run_the_same_cell_share_the_work_and_send_each_request_once(
    server: Server, kernels: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    accept = server.accept
    monkeypatch.setattr(server, "accept", lambda requests: (time.sleep(0.01), accept(requests))[1])
    shared = 0
    for number in range(8):
        home = tmp_path / str(number // 2)  # every other time, both make the ledger too
        names = [f"same {number} {one}" for one in "ab"]
        with kernels.together():
            for name in names:
                kernels.start(name, server, home, texts(60, f"round {number}"))
        kernels.finished(*names)
        assert server.bought_once(), number
        assert sum(server.asked.values()) == 60 * (number + 1)
        assert kernels.hear(names[0], "done")["job"] == kernels.hear(names[1], "done")["job"]
        shared += len(owners(home)) > 1
    assert shared


def test_kernels_with_frames_that_overlap_send_what_they_share_once(server: Server, kernels: Kernels, tmp_path: Path):
    chance = random.Random(1)
    for number in range(6):
        every = texts(60, f"overlap {number}")
        names = {f"overlap {number} {one}": chance.sample(every, 40) for one in "abc"}
        with kernels.together():
            for name, asked in names.items():
                kernels.start(name, server, tmp_path / "home", asked, batch_size=13)
        kernels.finished(*names)
        assert server.bought_once(), number


def test_kernels_that_share_a_lost_answer_buy_nothing_twice(server: Server, kernels: Kernels, tmp_path: Path):
    for number in range(4):
        server.faults["create"] += [Held(accept=bool(number % 2), lost=True)]
        server.faults["create"][-1].let_go.set()
        names = [f"lost {number} {one}" for one in "ab"]
        with kernels.together():
            for name in names:
                kernels.start(name, server, tmp_path / "home", texts(30, f"lost {number}"))
        kernels.finished(*names)
        assert server.bought_once(), number


# Suspended and killed


def long_texts(name: str) -> list[str]:
    """12 MB in all: more than the connection's buffers take, so that an upload of half of them can be held up."""
    return [f"{name} {number} " + "x" * 1_000_000 for number in range(12)]


def held_up_in_its_upload(server: Server, kernels: Kernels, home: Path, name: str) -> Upload:
    """A kernel in the middle of sending the first half of its rows."""
    fault = Upload(1_000_000, breaks=False)
    server.faults["create"] += [fault]
    with kernels.together():
        kernels.start(name, server, home, long_texts(name), batch_size=6)
    server.wait_for(fault.reached.is_set)
    return fault


def test_a_kernel_suspended_in_the_middle_of_an_upload_and_woken_later_changes_nothing(bench: Bench, kernels: Kernels):
    server = bench.server
    fault = held_up_in_its_upload(server, kernels, bench.home, "suspended")
    kernels.signal("suspended", signal.SIGSTOP)
    fault.let_go.set()
    job = bench.submit(long_texts("suspended"), batch_size=6)
    server.wait_for(lambda: len(server.batches) == 1)  # the other half is sent meanwhile
    assert not job.wait(0.5)
    assert server.called("GET", "batches?limit") == 0
    assert bench.batch_states(job)[0] == "submitting"
    kernels.signal("suspended", signal.SIGCONT)
    kernels.finished("suspended")
    assert_echoed(job)
    assert server.bought_once()
    assert server.called("POST", "batches") == len(server.batches) == 2


def test_when_one_kernel_is_killed_in_the_middle_of_an_upload_the_other_takes_its_claims_over(
    bench: Bench, kernels: Kernels
):
    server = bench.server
    fault = held_up_in_its_upload(server, kernels, bench.home, "killed")
    job = bench.submit(long_texts("killed"), batch_size=6)
    server.wait_for(lambda: len(server.batches) == 1)
    assert not job.wait(0.2)
    kernels.signal("killed", signal.SIGKILL)
    fault.let_go.set()
    assert_echoed(job)
    assert server.bought_once()
    assert len(server.batches) == 2


@pytest.mark.parametrize("accept", [True, False], ids=["made", "not made"])
def test_when_one_kernel_is_killed_before_it_hears_the_answer_the_other_finds_out(
    bench: Bench, kernels: Kernels, accept: bool
):
    server = bench.server
    fault, name = Held(accept=accept), f"unheard {accept}"
    server.faults["create"] += [fault]
    with kernels.together():
        kernels.start(name, server, bench.home, texts(30))
    server.wait_for(fault.reached.is_set)
    job = bench.submit(texts(30), batch_size=10)
    server.wait_for(lambda: len(server.batches) == 2 + accept)
    kernels.signal(name, signal.SIGKILL)
    fault.let_go.set()
    assert_echoed(job)
    assert server.bought_once()
    assert len(server.batches) == 3


def test_of_two_kernels_one_killed_at_any_moment_leaves_the_work_to_the_other(
    server: Server, kernels: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    accept = server.accept
    monkeypatch.setattr(server, "accept", lambda requests: (time.sleep(0.03), accept(requests))[1])
    chance = random.Random(7)
    for number in range(8):
        victim, other = (f"moment {number} {one}" for one in "ab")
        with kernels.together():
            for name in (victim, other):
                kernels.start(name, server, tmp_path / "home", texts(50, f"moment {number}"))
        time.sleep(chance.uniform(0.0, 0.25))
        with suppress(ProcessLookupError):  # it has done all, and gone
            kernels.signal(victim, signal.SIGKILL)
        kernels.finished(other)
        assert server.bought_once(), number
        assert sum(server.asked.values()) == 50 * (number + 1)


# Interrupted


def test_interrupting_a_kernel_stops_its_waiting_and_not_its_job(server: Server, kernels: Kernels, tmp_path: Path):
    server.ends = False
    server.manner.room = 20
    with kernels.together():
        kernels.start("interrupted", server, tmp_path / "home", texts(60))
    server.wait_for(lambda: len(server.batches) == 2 and server.called("GET", "msgbatch") >= 4)
    kernels.hear("interrupted", "submitted")
    kernels.signal("interrupted", signal.SIGINT)
    kernels.hear("interrupted", "interrupted")
    server.manner.room = None
    server.wait_for(lambda: len(server.batches) == 6)  # sending goes on, too
    server.end()
    kernels.finished("interrupted")
    assert server.called("POST", "/cancel") == 0
    assert server.bought_once()
