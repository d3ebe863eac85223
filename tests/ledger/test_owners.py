"""Who is sending, and what shows it: a lock that is held, one that is free, and none at all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import Bench, texts

from batchnb.ledger import owners
from batchnb.ledger.owners import KEPT, LONGEST_CALL, Owner
from batchnb.protocol.turns import NO_TRACE

if TYPE_CHECKING:
    import pytest

pytest_plugins = ["bench_fixtures"]


def lock_of(owner: Owner, home: Path) -> Path:
    return home / "owners" / f"{owner.name}.lock"


def test_an_owner_lives_as_long_as_its_lock_is_held(tmp_path: Path):
    one, other = Owner(tmp_path), Owner(tmp_path)
    assert one.is_alive(other.name) is True
    other.release(claims=True)
    assert one.is_alive(other.name) is False
    assert lock_of(other, tmp_path).exists(), "what is free is proof, as long as it is there"
    assert not one.may_act(other.name, age=0.0)


def test_a_lock_that_is_not_there_proves_nothing_before_the_longest_call_is_over(tmp_path: Path, monkeypatch):
    one = Owner(tmp_path)
    assert one.is_alive("never-was") is None
    assert one.may_act("never-was", age=0.0)
    assert one.may_act("never-was", age=LONGEST_CALL - 1)
    assert not one.may_act("never-was", age=LONGEST_CALL)
    # Claimed before the clock was set back: then what was waited for here counts.
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + LONGEST_CALL + 1)
    assert not one.may_act("never-was", age=-1e6)


def test_an_owner_whose_lock_was_removed_shows_itself_again_before_it_claims(tmp_path: Path):
    one, other = Owner(tmp_path), Owner(tmp_path)
    lock_of(other, tmp_path).unlink()
    assert one.is_alive(other.name) is None
    other.show()
    assert one.is_alive(other.name) is True
    other.release()
    assert one.is_alive(other.name) is None
    assert list((tmp_path / "owners").iterdir()) == [lock_of(one, tmp_path)]


def test_a_folder_of_locks_that_was_removed_is_made_again(tmp_path: Path):
    one = Owner(tmp_path)
    lock_of(one, tmp_path).unlink()
    (tmp_path / "owners").rmdir()
    one.show()
    assert Owner(tmp_path).is_alive(one.name) is True


def test_what_died_long_ago_is_swept_and_what_lives_or_died_lately_is_not(tmp_path: Path):
    long_dead, lately_dead, living = Owner(tmp_path), Owner(tmp_path), Owner(tmp_path)
    long_dead.release(claims=True)
    lately_dead.release(claims=True)
    old = time.time() - KEPT - 60
    for one in (long_dead, living):
        os.utime(lock_of(one, tmp_path), (old, old))
    newest = Owner(tmp_path)
    assert not lock_of(long_dead, tmp_path).exists()
    assert newest.is_alive(lately_dead.name) is False
    assert newest.is_alive(living.name) is True


def test_a_lock_is_let_go_before_its_file_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As Windows wants it, which removes no file that is open."""
    one = Owner(tmp_path)
    unlink = Path.unlink

    def unlink_closed(path: Path, missing_ok: bool = False) -> None:
        if one._file is not None:
            raise PermissionError(13, "The process cannot access the file because it is being used", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_closed)
    one.release()
    assert list((tmp_path / "owners").iterdir()) == []


def test_a_disk_of_several_machines_proves_nothing_of_another_ones_owner(tmp_path: Path, monkeypatch):
    one, other = Owner(tmp_path), Owner(tmp_path)
    monkeypatch.setattr(owners, "on_network_disk", lambda _: True)
    other.release(claims=True)
    assert one.is_alive(other.name) is False
    monkeypatch.setattr(owners.platform, "node", lambda: "another machine")
    assert one.is_alive(other.name) is None


def test_a_killed_process_leaves_a_lock_that_is_free(tmp_path: Path):
    code = (
        "import os, signal, sys, pathlib; from batchnb.ledger.owners import Owner\n"
        "print(Owner(pathlib.Path(sys.argv[1])).name, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    one = Owner(tmp_path)
    assert one.is_alive(killed.stdout.strip()) is False


def test_a_workspace_that_is_closed_with_a_claim_open_leaves_its_lock_free(bench: Bench):
    workspace = bench.workspace
    job = bench.submit(texts(3))
    job.result(30)
    ledger = workspace.session.ledger
    with ledger._store.transaction() as db:
        db.execute("UPDATE batches SET state = 'submitting'")
    name = ledger.owner.name
    workspace.close()
    assert bench.open().session.ledger.owner.is_alive(name) is False


def test_a_batch_whose_owner_left_no_trace_waits_and_says_so(bench: Bench):
    job = bench.submit(texts(3))
    job.result(30)
    ledger = bench.workspace.session.ledger
    with ledger._store.transaction() as db:
        db.execute("UPDATE batches SET state = 'submitting', owner = 'gone', server_id = NULL, note = NULL")
        db.execute("DELETE FROM answers")
        db.execute("UPDATE jobs SET state = 'open'")
    bench.workspace.session.watch(job._number)
    while ledger.batches.of_job(job._number)[0].note != NO_TRACE:
        time.sleep(0.01)
    assert bench.batch_states(job) == ["submitting"]
    assert bench.keep_to(longest_call=0.0).submit(texts(3)).result(30)["echo"].tolist() == texts(3)
    assert bench.server.bought_once()
