"""Processes that fork while a job is live: real forks in real processes, which end in every way that processes end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import texts
from independent import Held, Server
from nursery import Nursery

pytestmark = [pytest.mark.steady, pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")]

CELL = """
import concurrent.futures, multiprocessing, sqlite3, subprocess, threading, time
import batchnb.ledger.connection
from batchnb.jobs import defaults
from batchnb.display.kernel.foreground import FOREGROUND

FORK = multiprocessing.get_context("fork")

def cell():
    global workspace, client
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    client = anthropic.Anthropic(api_key="test-key", base_url=given["url"])
    workspace = opened(client, given["home"], max_poll=0.1)
    globals()[given["what"]]()

def submit(texts, **options):
    frame = pd.DataFrame({"review": texts})
    return frame.batch.submit("review", "Echo: {review}", into="echo", workspace=workspace, progress=False, **options)

def is_right(job):
    frame = job.result(60)
    return frame["echo"].tolist() == frame["review"].tolist() and set(job.counts) == {"succeeded"}

def own(number):
    return is_right(submit([f"own of {number}, {i}" for i in range(5)]))

def forked(work):
    # The child goes on by itself, and ends as its work lets it.
    pid = os.fork()
    if pid == 0:
        given["name"] += " child"
        work()
        os._exit(99)
    return pid

def passed():
    with open(given["gate"]) as gate:
        gate.read()

def end():
    how = given["how"]
    if how == "by a signal":
        os.kill(os.getpid(), signal.SIGTERM)
    if how == "at once":
        os._exit(0)
    raise {"by sys.exit": SystemExit, "by an exception": ValueError, "by an interrupt": KeyboardInterrupt}[how]

# What the tests run

def child_ends_while_a_batch_is_sent():
    job = submit(given["texts"])
    passed()
    os.waitpid(forked(end), 0)
    say("forked", owner=workspace.session.ledger.owner.name)
    say("done", right=is_right(job))

def child_works_and_ends():
    job = submit(given["texts"], batch_size=10)
    def work():
        say("worked", right=is_right(job) and own(os.getpid()), jobs=len(workspace.jobs()))
        end()
    pid = forked(work)
    right = is_right(job)
    os.waitpid(pid, 0)
    say("done", right=right and own("the parent"))

def look():
    say("looked", alive=workspace.session.ledger.owner.is_alive(given["owner"]))

def see_through():
    say("done", right=is_right(submit(given["texts"])))

def grandchild_works():
    job = submit(given["texts"])
    def work():
        def more():
            say("worked", right=is_right(job) and own("a grandchild"))
            os._exit(0)
        right = is_right(job)
        os.waitpid(forked(more), 0)
        say("worked", right=right and own("a child"))
        os._exit(0)
    os.waitpid(forked(work), 0)
    say("done", right=is_right(job))

def a_pool_works():
    job = submit(given["texts"], batch_size=10)
    with FORK.Pool(3) as pool:
        right = pool.map(own, range(6))
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=FORK) as pool:
        right += pool.map(own, range(6, 10))
    say("done", right=all(right) and is_right(job))

def only_submits():
    submit(given["texts"][10:])

def a_process_only_submits():
    job = submit(given["texts"][:10])
    process = FORK.Process(target=only_submits)
    process.start()
    process.join()
    say("done", right=is_right(job), code=process.exitcode)

def parent_is_killed():
    job = submit(given["texts"])
    passed()
    def work():
        say("lives", owner=owner, parent=os.getppid())
        passed()
        say("worked", right=is_right(job))
        os._exit(0)
    owner = workspace.session.ledger.owner.name
    os.waitpid(forked(work), 0)

def locks_are_held():
    job = submit(given["texts"])
    is_right(job)
    held, let_go = threading.Event(), threading.Event()
    def hold():
        with workspace.session._making, defaults._guard, FOREGROUND._lock, workspace.session.watcher._lock:
            held.set()
            let_go.wait(60)
    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    held.wait(60)
    def work():
        defaults.default_workspace()
        say("worked", right=is_right(job) and own("a child"))
        sys.exit()
    pid = forked(work)
    let_go.set()
    os.waitpid(pid, 0)
    say("done", right=own("the parent"))

def ledger_is_being_written():
    batchnb.ledger.connection.FORK_PATIENCE = 0.05
    job = submit(given["texts"])
    is_right(job)
    held, let_go = threading.Event(), threading.Event()
    def hold():
        with workspace.session.ledger._store.transaction() as db:
            db.execute("UPDATE jobs SET name = 'renamed'")
            held.set()
            let_go.wait(60)
    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    held.wait(60)
    def work():
        try:
            job.result(60)
        except batchnb.LedgerError as error:
            say("worked", error=str(error))
        sys.exit()
    os.waitpid(forked(work), 0)
    let_go.set()
    holder.join()
    say("done", right=is_right(job) and own("the parent"), called=job.name)

def many_fork_while_the_ledger_is_written():
    job = submit(given["texts"])
    is_right(job)
    over, notes = threading.Event(), []
    def write():
        while not over.is_set():
            notes.append(str(len(notes)))
            workspace.session.ledger.jobs.note(job._number, notes[-1])
    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    codes = []
    def work():
        workspace.session.ledger.jobs.note(job._number, "of a child")
        raise SystemExit(0 if is_right(job) else 1)
    for _ in range(12):
        codes.append(os.waitpid(forked(work), 0)[1])
    over.set()
    for writer in writers:
        writer.join()
    with workspace.session.ledger._store.read() as db:
        whole = db.execute("PRAGMA integrity_check").fetchall()
    say("done", right=set(codes) == {0} and own("the parent"), whole=whole)

def spawns():
    job = submit(given["texts"])
    listing = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, preexec_fn=lambda: None)
    also = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True)
    say("done", right=is_right(job), open=listing.stdout + also.stdout)

def a_client_of_ones_own():
    global workspace
    workspace = opened(client_of(given["url"]), given["home"], max_poll=0.1)
    job = submit(given["texts"])
    def work():
        try:
            job.result(60)
        except batchnb.InputError as error:
            say("worked", error=str(error))
        os._exit(0)
    os.waitpid(forked(work), 0)
    say("done", right=is_right(job))

def simulated():
    global workspace
    os.environ["BATCHNB_HOME"] = given["home"]
    running = batchnb.simulate(delay=(0.1, 0.2))
    workspace = defaults.default_workspace()
    frame = pd.DataFrame({"review": given["texts"]})
    job = frame.batch.submit("review", labels=["a", "b"], progress=False)
    def work():
        same = batchnb.simulate(delay=(0.1, 0.2)) is running
        counts = dict(job.result(60)["review_label_status"].value_counts())
        more = frame.assign(review=frame["review"] + "!").batch.submit("review", labels=["a", "b"], progress=False)
        counts |= {"own": len(more.result(60))}
        say("worked", same=same, counts={name: int(count) for name, count in counts.items()})
        sys.exit()
    os.waitpid(forked(work), 0)
    counts = dict(job.result(60)["review_label_status"].value_counts())
    asked = [(one.batch_id, one.custom_id) for one in running.record()]
    say("done", counts={name: int(count) for name, count in counts.items()}, asked=len(asked),
        once=len({name for _, name in asked}) == len(asked), there=running.state.exists())
"""

WAYS = ["by sys.exit", "at once", "by an exception", "by an interrupt", "by a signal"]


class Processes:
    """Starts processes that run one of the functions above."""

    def __init__(self, server: Server, folder: Path, nursery: Nursery) -> None:
        self.server = server
        self._folder = folder
        self._nursery = nursery
        self.home = folder / "home"

    def start(self, name: str, what: str, **given: Any) -> None:
        given = {"texts": texts(30), "url": self.server.url, "home": str(self.home), "what": what, **given}
        self._nursery.start(name, **given, gate=str(self._gate(name)))

    def _gate(self, name: str) -> Path:
        gate = self._folder / f"{name} gate".replace(" ", "-")
        if not gate.exists():
            os.mkfifo(gate)
        return gate

    def open(self, name: str) -> None:
        """Let a process go on that waits."""
        self._gate(name).write_text("")

    def hear(self, name: str, event: str) -> dict[str, Any]:
        said = self._nursery.hear(name, event)
        assert said["event"] == event, said
        return said


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    running = Nursery(CELL)
    yield running
    running.close()


@pytest.fixture
def processes(server: Server, tmp_path: Path, nursery: Nursery) -> Processes:
    return Processes(server, tmp_path, nursery)


@pytest.mark.parametrize("how", WAYS)
def test_a_child_that_ends_while_a_batch_is_sent_leaves_its_parent_alive_for_others(processes: Processes, how):
    server, held = processes.server, Held()
    server.faults["create"].append(held)
    name = f"ends {how}"
    processes.start(name, "child_ends_while_a_batch_is_sent", how=how)
    assert held.reached.wait(60)
    processes.open(name)
    owner = processes.hear(name, "forked")["owner"]
    processes.start(f"{name} other", "look", owner=owner)
    assert processes.hear(f"{name} other", "looked")["alive"] is True
    processes.start(f"{name} second", "see_through")
    held.let_go.set()
    for one in (name, f"{name} second"):
        assert processes.hear(one, "done")["right"]
    assert server.bought_once()


@pytest.mark.parametrize("how", WAYS)
def test_a_child_waits_for_the_job_and_submits_its_own_and_so_does_its_parent(processes: Processes, how):
    name = f"works {how}"
    processes.start(name, "child_works_and_ends", how=how)
    assert processes.hear(f"{name} child", "worked")["right"]
    assert processes.hear(name, "done")["right"]
    assert processes.server.bought_once()
    assert len(processes.server.asked) == 40


def test_a_child_of_a_child_works_too(processes: Processes):
    processes.start("double", "grandchild_works")
    assert processes.hear("double child child", "worked")["right"]
    assert processes.hear("double child", "worked")["right"]
    assert processes.hear("double", "done")["right"]
    assert processes.server.bought_once()


def test_pools_of_processes_work_beside_a_live_job(processes: Processes):
    processes.start("pool", "a_pool_works")
    assert processes.hear("pool", "done")["right"]
    assert processes.server.bought_once()
    assert len(processes.server.asked) == 80


def test_what_a_process_of_multiprocessing_only_submits_is_sent_before_it_ends(processes: Processes):
    processes.start("submits", "a_process_only_submits")
    done = processes.hear("submits", "done")
    assert (done["right"], done["code"]) == (True, 0)
    assert len(processes.server.asked) == 30
    assert processes.server.bought_once()


def test_a_parent_that_was_killed_counts_as_dead_though_its_child_lives(processes: Processes):
    server, held = processes.server, Held()
    server.faults["create"].append(held)
    processes.start("killed", "parent_is_killed")
    assert held.reached.wait(60)
    processes.open("killed")
    lives = processes.hear("killed child", "lives")
    os.kill(lives["parent"], signal.SIGKILL)
    held.let_go.set()
    server.wait_for(lambda: server.busy == 0)
    processes.start("killed other", "look", owner=lives["owner"])
    assert processes.hear("killed other", "looked")["alive"] is False
    processes.open("killed")
    assert processes.hear("killed child", "worked")["right"]
    assert server.bought_once()


def test_locks_that_other_threads_hold_at_the_fork_hold_up_no_child(processes: Processes):
    processes.start("locks", "locks_are_held")
    assert processes.hear("locks child", "worked")["right"]
    assert processes.hear("locks", "done")["right"]
    assert processes.server.bought_once()


def test_a_ledger_that_is_being_written_at_the_fork_is_refused_in_the_child_and_stays_whole(processes: Processes):
    processes.start("writes", "ledger_is_being_written")
    assert "spawn" in processes.hear("writes child", "worked")["error"]
    done = processes.hear("writes", "done")
    assert (done["right"], done["called"]) == (True, "renamed")


def test_children_that_end_while_others_write_harm_no_ledger(processes: Processes):
    processes.start("many", "many_fork_while_the_ledger_is_written")
    done = processes.hear("many", "done")
    assert done["right"]
    assert done["whole"] == [["ok"]]


def test_programs_that_are_started_inherit_neither_lock_nor_ledger(processes: Processes):
    processes.start("spawns", "spawns")
    done = processes.hear("spawns", "done")
    assert done["right"]
    assert ".lock" not in done["open"]
    assert ".sqlite" not in done["open"]


def test_a_client_with_an_http_client_of_its_own_is_refused_in_a_child(processes: Processes):
    processes.start("client", "a_client_of_ones_own")
    assert "http_client" in processes.hear("client child", "worked")["error"]
    assert processes.hear("client", "done")["right"]


def test_a_child_is_a_client_of_its_parents_simulator_and_leaves_it_running(processes: Processes):
    processes.start("simulated", "simulated")
    worked, done = processes.hear("simulated child", "worked"), processes.hear("simulated", "done")
    assert worked["same"]
    assert worked["counts"] == {"succeeded": 30, "own": 30}
    assert done["counts"] == {"succeeded": 30}
    assert done["asked"] == 60
    assert done["once"]
    assert done["there"]
