"""A ledger that was damaged, moved away or put back as an older one: following the advice buys nothing twice."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from bench import Bench, assert_echoed, texts
from independent import Status

import batchnb
from batchnb import Workspace
from batchnb.errors import LedgerError
from batchnb.ledger.ledger import Ledger
from batchnb.system.disk import ELSEWHERE

pytest_plugins = ["bench_fixtures"]
pytestmark = pytest.mark.steady

ROWS = 40


@pytest.fixture
def path(bench: Bench) -> Path:
    """The ledger's file, after a job has ended and all is closed."""
    assert_echoed(bench.submit(texts(ROWS), batch_size=20))
    bench.workspace.close()
    (found,) = (bench.home / "ledgers").glob("*.sqlite")
    return found


def assert_asks(bench: Bench, place: Workspace, rows: int = ROWS) -> str:
    """Run the cell: it must be told of `recover`, and send nothing."""
    sent = len(bench.server.batches)
    with pytest.raises(LedgerError, match=r"batchnb\.recover\(\)") as raised:
        bench.submit(texts(rows), workspace=place).result(30)
    assert len(bench.server.batches) == sent
    return str(raised.value)


def assert_recovers(bench: Bench, place: Workspace) -> None:
    """Follow that: what was bought is taken back, and the cell sends only what is new."""
    told = place.recover()
    assert told["recovered"].tolist() == [ROWS // 2] * 2
    assert_echoed(bench.submit(texts(ROWS), workspace=place))
    assert len(bench.server.batches) == 2
    assert_echoed(bench.submit(texts(ROWS + 3), workspace=place))
    assert bench.server.bought_once()


# Damaged


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def overwritten(path: Path) -> None:
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size // 4] + b"\xa5" * (size - size // 4))


def beheaded(path: Path) -> None:
    path.write_bytes(bytes(4096) + path.read_bytes()[4096:])


def another_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text TEXT)")
    db.close()


def emptied_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text TEXT)")
        db.execute("DROP TABLE notes")
    db.close()


DAMAGES = [half, empty, zeroed, overwritten, beheaded, another_database, emptied_database]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_names_recover_first_and_that_is_all_it_takes(bench: Bench, path: Path, damage, capsys):
    damage(path)
    content = path.read_bytes()
    place = bench.open()
    said = assert_asks(bench, place, ROWS + 1)
    assert str(path) in said
    assert said.index("batchnb.recover()") < said.index("move it away")
    assert_recovers(bench, place)
    (aside,) = path.parent.glob("*.damaged-*[0-9a-f]")
    assert aside.read_bytes() == content
    assert str(aside) in capsys.readouterr().err


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_that_is_moved_away_by_hand_asks_the_same(bench: Bench, path: Path, damage):
    damage(path)
    path.rename(path.with_name("away"))
    place = bench.open()
    assert_asks(bench, place)
    assert_recovers(bench, place)


def test_a_ledger_that_another_kernel_has_open_is_not_set_aside(bench: Bench, path: Path):
    other = bench.open()
    assert other.session.ledger.path == path
    empty(path)
    place = bench.open()
    with pytest.raises(LedgerError, match="another kernel or script"):
        place.recover()
    assert path.exists()
    other.close()
    assert_recovers(bench, place)


# Moved away


def renamed(path: Path) -> None:
    path.rename(f"{path}.old")


def deleted(path: Path) -> None:
    path.unlink()


def folder_renamed(path: Path) -> None:
    path.parent.rename(path.parent.with_name("ledgers.bak"))


def folder_deleted(path: Path) -> None:
    shutil.rmtree(path.parent)


MOVES: list[Callable[[Path], None]] = [renamed, deleted, folder_renamed, folder_deleted]


@pytest.mark.parametrize("move", MOVES)
def test_a_new_ledger_where_there_was_one_asks_before_it_sends(bench: Bench, path: Path, move):
    move(path)
    place = bench.open()
    said = assert_asks(bench, place)
    assert "forget=True" in said
    assert len(place.jobs()) == 0, "looking at it is no matter"
    with pytest.raises(LedgerError, match="recover"):
        pd.DataFrame({"review": texts(3)}).batch.pilot("review", "Echo: {review}", workspace=place)
    place.close()
    again = bench.open()
    assert_asks(bench, again)
    assert_recovers(bench, again)


@pytest.mark.parametrize("move", [renamed, folder_renamed])
def test_one_that_was_moved_before_anything_was_noted_of_it_is_found_by_its_name(bench: Bench, path: Path, move):
    move(path)
    shutil.rmtree(bench.home / "known")
    assert_asks(bench, bench.open())


def test_a_log_that_was_left_behind_is_neither_adopted_nor_lost(bench: Bench, path: Path):
    log = Path(f"{path}-wal")
    code = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("INSERT INTO meta VALUES ('mark', 'of the old one')")
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, path])
    left = log.read_bytes()
    assert left
    path.rename(path.with_name("away"))
    place = bench.open()
    assert_asks(bench, place)
    with place.session.ledger._store.read() as db:
        assert db.execute("SELECT 1 FROM meta WHERE name = 'mark'").fetchone() is None
    (kept,) = path.parent.glob("*.left-*-wal")
    assert kept.read_bytes() == left
    assert_recovers(bench, place)


def test_a_ledger_that_is_put_back_is_used_as_if_nothing_had_been(bench: Bench, path: Path):
    path.rename(path.with_name("away"))
    place = bench.open()
    assert_asks(bench, place)
    place.close()
    path.with_name("away").replace(path)
    place = bench.open()
    assert_echoed(bench.submit(texts(ROWS), workspace=place))
    assert_echoed(bench.submit(texts(ROWS + 1), workspace=place))
    assert bench.server.bought_once()


def test_one_can_go_on_without_what_was_known(bench: Bench, path: Path):
    path.unlink()
    place = bench.open()
    assert_asks(bench, place)
    calls = bench.server.count_calls()
    assert batchnb.recover(forget=True, workspace=place).empty
    assert bench.server.count_calls() == calls
    assert_echoed(bench.submit(texts(ROWS), workspace=place))
    assert len(bench.server.batches) == 3


def test_a_recovery_that_did_not_come_to_its_end_is_none(bench: Bench):
    bench.server.ends = False
    job = bench.submit(texts(ROWS), batch_size=20)
    bench.server.wait_for(lambda: len(bench.server.batches) == 2)
    path = job._session.ledger.path
    job._session.close()
    path.unlink()
    place = bench.open()
    assert place.recover(timeout=0)["note"].tolist() == ["still in progress"] * 2
    assert_asks(bench, place)
    bench.server.ends = True
    bench.server.end()
    assert_recovers(bench, place)


def test_a_link_to_a_ledger_that_is_not_there_is_no_new_ledger(bench: Bench, path: Path):
    away = bench.home.parent / "other-disk.sqlite"
    path.rename(away)
    path.symlink_to(away)
    assert_echoed(bench.submit(texts(ROWS), workspace=bench.open()))
    away.rename(bench.home.parent / "not-mounted")
    with pytest.raises(LedgerError, match="not mounted"):
        bench.submit(texts(ROWS), workspace=bench.open())
    assert path.is_symlink()
    assert len(bench.server.batches) == 2


# Older ones


@pytest.mark.parametrize("in_place", [False, True], ids=["in its place", "written into it"])
def test_a_backup_that_has_forgotten_what_was_bought_since_asks(bench: Bench, path: Path, in_place: bool):
    backup = path.read_bytes()
    place = bench.open()
    assert_echoed(bench.submit(texts(10, "since"), workspace=place))
    place.close()
    if not in_place:
        path.unlink()
    path.write_bytes(backup)
    place = bench.open()
    assert_echoed(bench.submit(texts(ROWS), workspace=place))  # what it knows needs nobody's leave
    with pytest.raises(LedgerError, match="it is a backup"):
        bench.submit(texts(10, "since"), workspace=place)
    assert place.recover()["recovered"].tolist() == [10]
    assert_echoed(bench.submit(texts(12, "since"), workspace=place))
    assert bench.server.bought_once()


def test_a_backup_of_before_a_batch_was_sent_does_not_send_it_by_itself(bench: Bench):
    bench.server.always["create"] = Status(429)
    job = bench.submit(texts(ROWS), batch_size=20)
    path = job._session.ledger.path
    bench.server.wait_for(lambda: bench.server.called("POST", "batches") >= 1)
    job._session.close()
    backup = path.read_bytes()
    bench.server.always.clear()
    place = bench.open()
    assert_echoed(bench.submit(texts(ROWS), batch_size=20, workspace=place))
    place.close()
    path.write_bytes(backup)  # into the file itself: neither its number nor its name tells
    place = bench.open()
    with pytest.warns(UserWarning, match="wait for a decision"):
        assert place.session.ledger.held_back == ROWS
    job = place.attach(job.id)
    assert job.counts == {"pending": ROWS}
    place.recover()
    assert_echoed(bench.submit(texts(ROWS), workspace=place))
    assert bench.server.bought_once()


# What is new, and needs no question


def test_kernels_that_begin_a_ledger_at_once_ask_nothing(tmp_path: Path):
    found: list[str | None] = []

    def begin(barrier: threading.Barrier, home: Path) -> None:
        barrier.wait()
        ledger = Ledger(home, "https://a.example")
        found.append(ledger._store.earlier())
        ledger.close()

    for number in range(5):
        barrier = threading.Barrier(6)
        threads = [threading.Thread(target=begin, args=(barrier, tmp_path / str(number))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert found == [None] * 30


def test_a_process_that_died_while_it_made_a_ledger_is_no_earlier_one(bench: Bench, tmp_path: Path):
    made = Ledger(tmp_path / "elsewhere", "independent")
    made.close()
    name = made.path.stem
    for folder in ("ledgers", "known"):
        (bench.home / folder).mkdir(parents=True)
    bench.home.chmod(0o700)
    (bench.home / "ledgers" / f"{name}.sqlite.{uuid.uuid4().hex}").write_bytes(b"x")
    (bench.home / "ledgers" / f"{name}.sqlite.{uuid.uuid4().hex}-journal").write_bytes(b"x")
    (bench.home / "known" / f"{name}.lock").touch()
    assert_echoed(bench.submit(texts(3)))


def test_a_ledger_of_the_last_version_has_no_note_and_asks_nothing(bench: Bench, path: Path):
    shutil.rmtree(bench.home / "known")
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM meta WHERE name IN ('changes', 'file')")
    db.close()
    place = bench.open()
    assert_echoed(bench.submit(texts(ROWS), workspace=place))
    assert_echoed(bench.submit(texts(ROWS + 1), workspace=place))
    place.close()
    path.unlink()
    assert_asks(bench, bench.open())


def test_another_home_is_told_of_by_every_error_that_names_one(bench: Bench, path: Path, tmp_path: Path):
    """Following it buys nothing again: a home that nothing is known of is asked for `recover` by the words alone."""
    assert "batchnb.recover() there before anything else" in ELSEWHERE
    place = bench.open(home=tmp_path / "elsewhere")
    assert_recovers(bench, place)


def test_the_simulator_asks_nothing(workspace, simulator):
    frame = pd.DataFrame({"review": ["a"]})
    frame.batch.submit("review", into="echo", workspace=workspace, progress=False).result(30)
    path = workspace.session.ledger.path
    workspace.close()
    path.unlink()
    frame.batch.submit("review", into="echo", workspace=workspace, progress=False).result(30)
