"""The simulator's state folder: what is refused, what is ours, and that nothing else is ever touched."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import sys
from pathlib import Path

import pytest
from sim_samples import png
from simulation import call, created, requests, sdk

import batchnb
from batchnb.sim import Simulator, StateError, StateInUseError
from batchnb.sim.state.folder import Folder

pytestmark = pytest.mark.steady

NOW = (0.0, 0.0)
LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder below one, with its mode and its bytes."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        data = path.read_bytes() if path.is_file() else str(path.readlink()).encode() if path.is_symlink() else b""
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, data)
    return found


def photos(folder: Path) -> None:
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "holiday.jpg").write_bytes(b"a photo")
    (folder / "files" / f"{'ab' * 8}.part").write_bytes(b"half of something")


def dot_files(folder: Path) -> None:
    folder.mkdir()
    (folder / ".profile").write_text("export A=1")


def another_database(folder: Path) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "simulator.db") as db:
        db.execute("CREATE TABLE batch (id INTEGER)")
    db.close()


def a_marker_that_is_none(folder: Path) -> None:
    folder.mkdir()
    (folder / "batchnb-simulator.txt").write_text("notes on the simulator")
    (folder / "thesis.txt").write_text("years of work")


def odd_case(folder: Path) -> None:
    folder.mkdir()
    (folder / "BATCHNB-Simulator.TXT").write_text("mine")


FOREIGN = [photos, dot_files, another_database, a_marker_that_is_none, odd_case]


@pytest.mark.parametrize("make", FOREIGN)
@pytest.mark.parametrize("start", [lambda path: Simulator(path).start(), lambda path: batchnb.simulate(state=path)])
def test_a_folder_with_anything_else_in_it_is_refused_and_left_as_it_was(tmp_path, make, start):
    make(tmp_path / "mine")
    before = everything(tmp_path / "mine")
    with pytest.raises((StateError, batchnb.LedgerError), match=r"name another state folder") as refused:
        start(tmp_path / "mine")
    assert "Nothing in it was touched" in str(refused.value)
    assert everything(tmp_path / "mine") == before


def test_the_users_home_is_refused(tmp_path, monkeypatch):
    dot_files(tmp_path / "home")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    with pytest.raises(StateError, match=r"\.profile"):
        Simulator("~").start()
    with pytest.raises(StateError, match="name another state folder"):
        Simulator("~nobody-of-that-name/x").start()


def test_a_file_is_no_state_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StateError, match="is a file, not a folder"):
        Simulator(tmp_path / "notes.txt").start()
    with pytest.raises(StateError, match="cannot be used"):
        Simulator(tmp_path / "notes.txt" / "below").start()
    with pytest.raises(StateError, match="cannot be used"):
        Simulator(f"{tmp_path}/a\0b").start()
    assert (tmp_path / "notes.txt").read_text() == "mine"


@LINKS
def test_a_symbolic_link_to_a_folder_is_refused_even_to_an_empty_one(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(StateError, match=r"is a symbolic link; the folder that it leads to \(.*real\)"):
        Simulator(tmp_path / "link").start()
    (tmp_path / "loose").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StateError, match="is a symbolic link"):
        Simulator(tmp_path / "loose").start()
    assert list((tmp_path / "real").iterdir()) == []
    with Simulator(tmp_path / "link" / "below") as simulator:  # what is above it is the user's own affair
        assert simulator.state.is_dir()


def used(folder: Path) -> str:
    """Use a state folder once; return the id of a file in it."""
    with Simulator(folder, delay=NOW) as simulator, sdk(simulator) as client:
        created(simulator, requests(2))
        return client.files.upload(file=("a.png", png(), "image/png")).id


@LINKS
def test_a_link_in_place_of_the_folder_of_files_is_refused_and_what_it_leads_to_is_safe(tmp_path):
    used(tmp_path / "state")
    photos(tmp_path / "user")
    before = everything(tmp_path / "user")
    shutil.rmtree(tmp_path / "state" / "files")
    (tmp_path / "state" / "files").symlink_to(tmp_path / "user" / "files")
    with pytest.raises(StateError, match="files in it is a symbolic link"):
        Simulator(tmp_path / "state").start()
    assert everything(tmp_path / "user") == before


@LINKS
def test_a_link_that_comes_while_the_simulator_runs_is_not_followed_either(tmp_path):
    photos(tmp_path / "user")
    before = everything(tmp_path / "user")
    with Simulator(tmp_path / "state", delay=NOW) as simulator, sdk(simulator) as client:
        name = client.files.upload(file=("a.png", png(), "image/png")).id
        (tmp_path / "state" / "files").rename(tmp_path / "state" / "moved")
        (tmp_path / "state" / "files").symlink_to(tmp_path / "user" / "files")
        for ask in (lambda: client.files.upload(file=("b.png", png(), "image/png")), lambda: client.files.delete(name)):
            with pytest.raises(Exception, match="Internal server error"):
                ask()
    assert everything(tmp_path / "user") == before


@LINKS
@pytest.mark.parametrize("name", ["simulator.db", "simulator.lock", "batchnb-simulator.txt", "simulator.db-wal"])
@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_a_file_of_ours_that_is_a_link_is_refused_and_what_it_leads_to_is_safe(tmp_path, name, link):
    used(tmp_path / "state")
    (tmp_path / "thesis.txt").write_text("years of work")
    ours = tmp_path / "state" / name
    ours.unlink(missing_ok=True)
    if link == "symbolic":
        ours.symlink_to(tmp_path / "thesis.txt")
    else:
        ours.hardlink_to(tmp_path / "thesis.txt")
    mode = (tmp_path / "thesis.txt").stat().st_mode
    with pytest.raises(StateError, match="name another state folder"):
        Simulator(tmp_path / "state").start()
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert (tmp_path / "thesis.txt").stat().st_mode == mode


@LINKS
def test_an_uploaded_file_that_became_a_link_is_neither_read_nor_followed_when_removed(tmp_path):
    name = used(tmp_path / "state")
    (tmp_path / "secret.txt").write_text("a secret")
    path = tmp_path / "state" / "files" / name
    path.unlink()
    path.symlink_to(tmp_path / "secret.txt")
    source = {"type": "file", "file_id": name}
    asked = {
        "model": "claude-haiku-4-5",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "image", "source": source}]}],
    }
    with Simulator(tmp_path / "state", delay=NOW) as simulator:
        assert call(simulator, "POST", "/v1/messages", asked).status == 404
        assert call(simulator, "DELETE", f"/v1/files/{name}").status == 200
    assert (tmp_path / "secret.txt").read_text() == "a secret"


def test_what_a_user_puts_into_a_state_folder_stays_there(tmp_path):
    name = used(tmp_path / "state")
    left = ["holiday.jpg", "file_01short", f"{name}.bak", "notes.part", "0123.part", "ABCDEF0123456789.part"]
    for each in left:
        (tmp_path / "state" / "files" / each).write_text("mine")
    lost = [f"{'0a' * 8}.part", "file_01" + "Z" * 22]
    for each in lost:
        (tmp_path / "state" / "files" / each).write_text("half")
    (tmp_path / "state" / "files" / f"{'0b' * 8}.part").mkdir()
    (tmp_path / "state" / "thesis.txt").write_text("years of work")
    with Simulator(tmp_path / "state") as simulator:
        assert simulator.state == tmp_path / "state"
    assert {path.name for path in (tmp_path / "state" / "files").iterdir()} == {name, *left, f"{'0b' * 8}.part"}
    assert (tmp_path / "state" / "thesis.txt").read_text() == "years of work"


def test_a_temporary_folder_goes_with_what_is_ours_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Simulator(delay=NOW) as simulator, sdk(simulator) as client:
        client.files.upload(file=("a.png", png(), "image/png"))
        created(simulator, requests(2))
        gone = simulator.state
    assert not gone.exists()
    with Simulator() as simulator:
        kept = simulator.state
        (kept / "mine.txt").write_text("mine")
    assert [path.name for path in kept.iterdir()] == ["mine.txt"]


def as_the_last_version_left_it(folder: Path) -> str:
    """A state folder without what this version adds to it."""
    name = used(folder)
    for added in ("batchnb-simulator.txt", "simulator.holder"):
        (folder / added).unlink(missing_ok=True)
    return name


def test_a_state_of_the_last_version_opens_and_is_marked(tmp_path):
    name = as_the_last_version_left_it(tmp_path / "state")
    (tmp_path / "state" / "notes.txt").write_text("mine")
    for _ in range(2):
        with Simulator(tmp_path / "state", delay=NOW) as simulator, sdk(simulator) as client:
            assert len(simulator.record()) == 2
            assert client.files.retrieve_metadata(name).id == name
    assert (tmp_path / "state" / "batchnb-simulator.txt").read_text().startswith("batchnb simulator state")


def test_a_state_of_the_last_version_that_was_killed_opens_too(tmp_path):
    """What SQLite had not yet brought into the database stands in the file beside it."""
    with Simulator(tmp_path / "state", delay=NOW) as simulator:
        created(simulator, requests(3))
        shutil.copytree(tmp_path / "state", tmp_path / "killed")
    (tmp_path / "killed" / "batchnb-simulator.txt").unlink()
    with Simulator(tmp_path / "killed", delay=NOW) as simulator:
        assert len(simulator.record()) == 3


@pytest.mark.parametrize("left", [[], ["simulator.lock"], ["simulator.lock", "batchnb-simulator.txt", "simulator.db"]])
def test_a_start_that_was_broken_off_is_begun_again(tmp_path, left):
    for name in left:
        (tmp_path / name).touch()
    with Simulator(tmp_path, delay=NOW) as simulator:
        created(simulator, requests(1))


def test_who_has_a_state_is_said_and_only_while_it_has_it(tmp_path):
    with (
        Simulator(tmp_path) as simulator,
        pytest.raises(StateInUseError, match=rf"process {os.getpid()}, at {simulator.url}"),
    ):
        Simulator(tmp_path).start()
    assert not (tmp_path / "simulator.holder").exists()
    with Simulator(tmp_path):
        pass


def test_a_state_folder_named_relative_to_the_working_folder_holds_when_that_changes(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    simulator = Simulator("state", delay=NOW)
    monkeypatch.chdir(tmp_path / "sub")
    with simulator, sdk(simulator) as client:
        monkeypatch.chdir(tmp_path)
        client.files.upload(file=("a.png", png(), "image/png"))
        assert simulator.state == tmp_path / "state"
    assert list((tmp_path / "sub").iterdir()) == []


def test_only_names_of_ours_are_looked_for_in_the_folder_of_files(tmp_path):
    (tmp_path / "secret").write_text("a secret")
    folder = Folder(tmp_path / "state").claim()
    try:
        for name in ("../../secret", "..", "", "x", "file_01" + "/" * 22):
            with pytest.raises(FileNotFoundError):
                folder.read(name, 10)
            folder.remove(name)
    finally:
        folder.release()
    assert (tmp_path / "secret").exists()


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no such sockets")
def test_what_is_no_plain_file_under_a_name_of_ours_is_refused(tmp_path):
    used(tmp_path / "state")
    (tmp_path / "state" / "simulator.lock").unlink()
    os.mkfifo(tmp_path / "state" / "simulator.lock")
    with pytest.raises(StateError, match=r"simulator\.lock in it is no plain file"):
        Simulator(tmp_path / "state").start()


@pytest.mark.parametrize("home", ["/dev/null", "/proc/nowhere", "a file"])
def test_a_home_that_cannot_be_used_is_told_as_the_ledger_tells_it(tmp_path, monkeypatch, home):
    if home == "a file":
        home = str(tmp_path / "file")
        Path(home).write_text("mine")
    elif sys.platform != "linux":
        pytest.skip("there are no such paths")
    monkeypatch.setenv("BATCHNB_HOME", home)
    with pytest.raises(batchnb.LedgerError, match="et BATCHNB_HOME to a folder you can write to") as told:
        batchnb.simulate()
    assert home in str(told.value)
    # What was to be simulated does not go to the real API instead.
    with pytest.raises(batchnb.LedgerError, match=r"did not start.*Nothing was sent"):
        batchnb.jobs()


def test_after_a_simulator_that_did_not_start_another_can(tmp_path):
    photos(tmp_path / "mine")
    with pytest.raises(batchnb.LedgerError):
        batchnb.simulate(tmp_path / "mine")
    assert batchnb.simulate(tmp_path / "state").state == tmp_path / "state"
    assert len(batchnb.jobs().to_frame()) == 0
    with pytest.raises(batchnb.InputError, match="delay is"):
        batchnb.simulate(tmp_path / "state", delay=(2, 1))
    assert batchnb.simulate(tmp_path / "state", delay=(1, 2)).state == tmp_path / "state"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no modes there")
@pytest.mark.parametrize("umask", [0, 0o277, 0o777])
def test_files_are_for_their_owner_alone_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        for _ in range(2):
            used(tmp_path / "state")
    finally:
        os.umask(before)
    found = {path.stat().st_mode & 0o777 for path in (tmp_path / "state").rglob("*") if path.is_file()}
    assert found == {0o600}


@pytest.mark.parametrize("name", ["batchnb-simulator.txt", "simulator.holder", "simulator.lock"])
def test_a_users_file_of_a_name_of_ours_is_left_as_it_was(tmp_path, name):
    (tmp_path / name).write_text("my notes")
    with pytest.raises(StateError, match="was not made by a simulator"), Simulator(tmp_path):
        pass
    assert (tmp_path / name).read_text() == "my notes"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_start_that_was_broken_off_in_the_marker_is_taken_up(tmp_path):
    (tmp_path / "simulator.lock").touch()
    (tmp_path / "batchnb-simulator.txt").write_text("batchnb sim")
    with Simulator(tmp_path):
        pass
