"""What keeps the ledger right when it is written from several sides, or cannot be written at all."""

from __future__ import annotations

import errno
import stat
import subprocess
import sys
import threading

import filelock
import pytest
from bench import KEY, Bench, assert_echoed, outcomes, texts
from independent import Lost, Status

from batchnb.errors import BatchnbError, CredentialsError, LedgerError
from batchnb.protocol.settlement import Settlement

pytest_plugins = ["bench_fixtures"]
pytestmark = pytest.mark.steady


def uncertain_batch(bench: Bench, fault: object, name: str = "text"):
    """A job with one uncertain batch, and nobody at work on it."""
    workspace = bench.open()
    bench.server.faults["create"] += [fault]
    bench.server.always["list"] = Status(500)
    listings = bench.server.called("GET", "batches?limit")
    job = bench.submit(texts(10, name), workspace=workspace)
    bench.server.wait_for(lambda: bench.server.called("GET", "batches?limit") > listings)
    workspace.close()
    bench.server.always.clear()
    place = bench.open()
    (batch,) = place.session.ledger.batches.of_job(place.session.ledger.jobs.get(job.id).number)
    assert batch.state == "uncertain"
    return batch


# Two that have one file open


def test_a_ledger_opened_twice_here_keeps_its_file_when_another_process_leaves(bench: Bench):
    """Closing any handle of a file drops the locks a process has on it, and SQLite's among them."""
    place = bench.open()
    assert_echoed(bench.submit(texts(5), workspace=place))
    assert len(bench.open().jobs()) == 1
    path = place.session.ledger.path
    other = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); print(db.execute('SELECT id FROM jobs').fetchall())"
    )
    left = subprocess.run([sys.executable, "-c", f"{other}; db.close()", path], capture_output=True, text=True)
    assert "job_" in left.stdout, left.stderr
    assert path.with_name(f"{path.name}-wal").exists()
    assert_echoed(bench.submit(texts(6), workspace=place))
    assert bench.server.bought_once()


# Two that settle one batch


def test_a_batch_adopted_by_one_process_cannot_be_let_go_by_another(bench: Bench):
    batch = uncertain_batch(bench, Lost())
    one, two = (bench.open().session.watcher._submission for _ in range(2))
    assert one.settling.settle(batch, Settlement())
    two.settling.settle(batch, Settlement(empty_listings=5))  # it listed before, and goes by what it saw then
    found = bench.workspace.session.ledger.batches.get(batch.id)
    assert (found.state, found.server_id) == ("in_progress", "msgbatch_000001")
    assert_echoed(bench.submit(texts(10)))
    assert bench.server.bought_once()


def test_a_batch_let_go_by_one_process_cannot_be_adopted_by_another(bench: Bench):
    batch = uncertain_batch(bench, Lost(accept=False))
    batches = bench.workspace.session.ledger.batches
    assert batches.let_go(batch.id, state="uncertain")
    assert not batches.accepted(batch.id, "msgbatch_late", times={})
    assert not batches.let_go(batch.id, state="uncertain")
    batches.uncertain(batch.id, now=0.0, note="too late")
    batches.lose(batch.id, "too late")
    assert batches.get(batch.id).state == "refused"


def test_one_batch_of_the_server_never_stands_for_two_of_the_ledger(bench: Bench):
    first = uncertain_batch(bench, Lost())
    batches = bench.workspace.session.ledger.batches
    assert batches.accepted(first.id, "msgbatch_000001", times={})
    second = uncertain_batch(bench, Lost(accept=False), "another")
    assert not batches.accepted(second.id, "msgbatch_000001", times={})
    assert batches.get(second.id).state == "uncertain"


@pytest.mark.parametrize("fault", [Lost(), Lost(accept=False)], ids=["made", "never made"])
def test_both_processes_settling_at_once_buy_nothing_twice(bench: Bench, fault):
    uncertain_batch(bench, fault)
    jobs = []
    threads = [
        threading.Thread(target=lambda: jobs.append(bench.submit(texts(10), workspace=bench.open()))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs) == 2
    for job in jobs:
        assert_echoed(job)
    assert bench.server.bought_once()


def test_a_batch_of_a_process_that_lives_is_left_alone(bench: Bench):
    place = bench.open()
    owner = bench.open().session.ledger.owner
    assert place.session.ledger.owner.is_alive(owner.name)
    owner.release()
    assert not place.session.ledger.owner.is_alive(owner.name)
    assert not place.session.ledger.owner.is_alive("never-was")
    assert place.session.ledger.owner.is_alive(place.session.ledger.owner.name)


def test_a_folder_without_file_locks_is_an_error_that_names_the_way_out(bench: Bench, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(filelock, "lock_descriptor", refuse)
    with pytest.raises(LedgerError, match="BATCHNB_HOME"):
        bench.submit(texts(3))
    assert bench.server.batches == []


# A ledger that cannot be written


@pytest.mark.parametrize("step", ["accepted", "uncertain", "let_go", "checked", "record", "collected"])
def test_a_step_that_could_not_be_recorded_is_made_up_for(bench: Bench, monkeypatch, step):
    workspace = bench.workspace
    real, failures = getattr(workspace.session.ledger.batches, step), [2]

    def failing(*args: object, **kwargs: object) -> object:
        if failures[0]:
            failures[0] -= 1
            raise LedgerError("the disk is full")
        return real(*args, **kwargs)

    monkeypatch.setattr(workspace.session.ledger.batches, step, failing)
    bench.server.faults["create"] += [Status(429)] if step == "let_go" else [Lost()] if step == "uncertain" else []
    job = bench.submit(texts(20), batch_size=10)
    frame = job.result(30) if job.wait(30) else None
    assert outcomes(frame) == {"succeeded": 20}
    assert bench.server.bought_once()
    assert failures == [0]


def test_a_full_disk_is_a_clear_error_and_nothing_is_sent(bench: Bench):
    bench.submit(texts(3)).result(30)
    with bench.workspace.session.ledger._store.read() as db:
        pass
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerError, match="disk is full"):
        bench.submit(texts(3000))
    db.execute("PRAGMA max_page_count = 1000000")
    assert len(bench.server.batches) == 1
    assert_echoed(bench.submit(texts(3000)))
    assert bench.server.bought_once()


def test_a_disk_that_stays_full_reaches_whoever_waits(bench: Bench, monkeypatch):
    workspace = bench.keep_to(ledger_patience=0.1).workspace

    def full(*args: object, **kwargs: object) -> None:
        raise LedgerError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(workspace.session.ledger.batches, "accepted", full)
        patched.setattr(workspace.session.ledger.batches, "uncertain", full)
        job = bench.submit(texts(5))
        with pytest.raises(BatchnbError, match="disk is full"):
            job.result(30)
    assert_echoed(bench.submit(texts(5)))
    assert bench.server.bought_once()


def test_while_the_thread_tries_on_whoever_waits_is_not_told_that_it_stopped(bench: Bench, monkeypatch):
    workspace = bench.workspace

    def full(*args: object, **kwargs: object) -> None:
        raise LedgerError("the disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(workspace.session.ledger.batches, "accepted", full)
        patched.setattr(workspace.session.ledger.batches, "uncertain", full)
        job = bench.submit(texts(5))
        watcher = workspace.session.watcher
        bench.server.wait_for(lambda: watcher._ledger_failures or bench.server.called("POST", "batches"))
        assert job.wait(0.2) is False
    assert_echoed(job)
    assert bench.server.bought_once()


def test_a_key_that_is_gone_in_the_middle_stops_the_job_without_doubt_and_without_loss(bench: Bench, monkeypatch):
    workspace = bench.workspace
    bench.server.always["create"] = Status(429)
    job = bench.submit(texts(5))
    bench.server.wait_for(lambda: bench.server.called("POST", "batches"))
    with monkeypatch.context() as patched:

        def gone() -> None:
            raise CredentialsError("there is no key")

        patched.setattr(workspace.session.api, "require_credentials", gone)
        with pytest.raises(BatchnbError, match="there is no key"):
            job.result(30)
    assert bench.batch_states(job) == []
    bench.server.always.clear()
    assert_echoed(bench.submit(texts(5)))
    assert bench.server.called("GET", "batches?limit") == 0


# What is left on the disk


def test_files_are_private_and_hold_no_key(bench: Bench):
    bench.server.faults["create"] += [Lost(), Status(401)]
    bench.submit(texts(20), batch_size=10).result(30)
    found = list(bench.home.rglob("*"))
    assert any(path.suffix == ".sqlite" for path in found)
    for path in [bench.home, *found]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        if path.is_file():
            assert KEY.encode() not in path.read_bytes()


def test_a_closed_workspace_leaves_no_lock_behind(bench: Bench):
    workspace = bench.open()
    assert_echoed(bench.submit(texts(2), workspace=workspace))
    assert len(list((bench.home / "owners").iterdir())) == 1
    workspace.close()
    assert list((bench.home / "owners").iterdir()) == []
