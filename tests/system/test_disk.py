"""The folder of the ledgers: whatever there is already stays as it is, and what is kept in it is the user's alone."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench, assert_echoed, texts

import batchnb.system.disk
from batchnb.errors import LedgerError
from batchnb.ledger.ledger import Ledger
from batchnb.system.disk import private_folder, private_home

pytest_plugins = ["bench_fixtures"]

pytestmark = pytest.mark.steady

SCOPE = "https://a.example"
NOBODY = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives folders away, which only root may")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def made(path: Path, mode: int = 0o700) -> Path:
    path.mkdir(parents=True)
    path.chmod(mode)
    return path


def open_in(home: Path) -> Path:
    """Open a ledger, and give the folder that it is in fact kept in."""
    ledger = Ledger(home, SCOPE)
    ledger.close()
    inside = ledger.home
    for path in (inside / "ledgers", inside / "owners", inside / "known"):
        assert mode_of(path) == 0o700, path
        assert all(mode_of(one) == 0o600 for one in path.iterdir())
    return inside


# What is there stays as it is


@pytest.mark.parametrize("mode", [0o1777, 0o2775, 0o777, 0o775, 0o770, 0o757])
@pytest.mark.parametrize("linked", [False, True], ids=["folder", "link"])
def test_a_folder_that_others_may_write_to_is_left_alone_and_a_private_one_in_it_is_used(
    bench: Bench, mode: int, linked: bool
):
    folder = made(bench.home.parent / "shared", mode)
    (folder / "files").mkdir()
    (folder / "files").chmod(0o755)
    (folder / "files" / "mine.txt").write_text("mine")
    if linked:
        bench.home.symlink_to(folder)
    else:
        folder.rename(bench.home)
        folder = bench.home
    before = folder.stat()
    assert_echoed(bench.submit(texts(5)))
    assert (mode_of(folder), folder.stat().st_uid) == (mode, before.st_uid)
    inside = bench.workspace.session.ledger.home
    assert inside.resolve().parent == folder.resolve()
    assert {path.name for path in folder.iterdir()} == {inside.name, "files"}
    for path in [inside, *inside.rglob("*")]:
        assert mode_of(path) == (0o700 if path.is_dir() else 0o600), path
    assert mode_of(folder / "files") == 0o755
    assert (folder / "files" / "mine.txt").read_text() == "mine"
    assert_echoed(bench.submit(texts(5), workspace=bench.open()))
    assert bench.server.bought_once()


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750, 0o500 if os.geteuid() == 0 else 0o700])
def test_a_folder_of_the_users_own_is_used_itself_and_left_as_it_is(tmp_path: Path, mode: int):
    home = made(tmp_path / "home", mode)
    (home / "files").mkdir()
    (home / "files").chmod(0o755)
    (home / "files" / "mine.txt").write_text("mine")
    assert open_in(home) == home
    assert mode_of(home) == mode
    assert mode_of(home / "files") == 0o755


def test_one_that_is_missing_is_made_for_its_owner_alone(tmp_path: Path):
    old = os.umask(0o000)
    try:
        assert open_in(tmp_path / "a" / "home") == tmp_path / "a" / "home"
    finally:
        os.umask(old)
    assert mode_of(tmp_path / "a" / "home") == 0o700
    shared = made(tmp_path / "shared", 0o2775)
    assert mode_of(private_folder(shared / "x")) == 0o700, "no bits are handed down from above"


@pytest.mark.parametrize("mode", [0o1777, 0o2775, 0o755, 0o700])
def test_ledgers_of_the_last_version_are_found_whatever_became_of_their_home(bench: Bench, mode: int):
    assert_echoed(bench.submit(texts(5)))
    assert bench.workspace.session.ledger.home == bench.home
    bench.workspace.close()
    shutil.rmtree(bench.home / "known")
    bench.home.chmod(mode)
    place = bench.open()
    assert_echoed(bench.submit(texts(5), workspace=place))
    assert len(bench.server.batches) == 1
    assert place.session.ledger.home == bench.home
    assert mode_of(bench.home) == mode


@pytest.mark.parametrize(("first", "then"), [(0o1777, 0o700), (0o755, 0o775)])
def test_a_ledger_stays_where_it_is_when_its_home_is_opened_or_shut(tmp_path: Path, first: int, then: int):
    home = made(tmp_path / "home", first)
    inside = open_in(home)
    home.chmod(then)
    assert open_in(home) == inside


def test_loosened_folders_of_ours_are_shut_again_and_others_are_not(tmp_path: Path):
    home = tmp_path / "home"
    open_in(home)
    (home / "ledgers").chmod(0o755)
    open_in(home)
    assert mode_of(home / "ledgers") == 0o700
    (home / "ledgers" / "notes.txt").write_text("mine")
    (home / "ledgers").chmod(0o755)
    Ledger(home, SCOPE).close()
    assert mode_of(home / "ledgers") == 0o755


def test_what_is_swept_from_the_uploads_has_names_of_ours(tmp_path: Path):
    ledger = Ledger(tmp_path / "home", SCOPE)
    spool = ledger.files.spool
    spool.put("a" * 64, b"x")
    folder = spool.path("a" * 64).parent
    (folder / "mine.txt").write_text("mine")
    (folder / ("b" * 64)).mkdir()
    spool.sweep(set(), 4e9)
    assert {path.name for path in folder.iterdir()} == {"mine.txt", "b" * 64}
    ledger.close()


# What others have made is not used


@only_root
@pytest.mark.parametrize("mode", [0o755, 0o777, 0o1777])
def test_a_home_of_another_users_is_left_alone(tmp_path: Path, mode: int):
    home = made(tmp_path / "home", mode)
    os.chown(home, NOBODY, NOBODY)
    assert open_in(home).parent == home
    assert (mode_of(home), home.stat().st_uid) == (mode, NOBODY)


@only_root
@pytest.mark.parametrize("plant", ["folder", "link"])
@pytest.mark.parametrize("mode", [0o1777, 0o2775])
def test_a_folder_that_another_user_has_planted_is_not_used(tmp_path: Path, plant: str, mode: int):
    home, theirs = made(tmp_path / "home", mode), made(tmp_path / "theirs", 0o777)
    for name in ("ledgers", "owners", "files", "known"):
        if plant == "folder":
            made(home / name, 0o777)
        else:
            (home / name).symlink_to(theirs)
        os.chown(home / name, NOBODY, NOBODY, follow_symlinks=False)
    inside = open_in(home)
    assert inside.parent == home
    assert list(theirs.iterdir()) == []
    assert all(list((home / name).iterdir()) == [] for name in ("ledgers", "owners", "files", "known"))


@only_root
@pytest.mark.parametrize("plant", ["folder", "link", "file"])
def test_a_planted_private_folder_is_a_clear_error(tmp_path: Path, plant: str):
    home, theirs = made(tmp_path / "home", 0o1777), made(tmp_path / "theirs", 0o777)
    place = home / f"batchnb-{os.geteuid()}"
    if plant == "folder":
        made(place, 0o777)
    elif plant == "link":
        place.symlink_to(theirs)
    else:
        place.touch()
    os.chown(place, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(LedgerError, match=r"another user|no folder") as raised:
        Ledger(home, SCOPE)
    assert str(place) in str(raised.value)
    assert list(theirs.iterdir()) == []


@only_root
def test_a_ledger_in_a_folder_of_another_users_is_neither_used_nor_passed_over(tmp_path: Path):
    home = made(tmp_path / "home", 0o755)
    ledger = Ledger(home, SCOPE)
    ledger.close()
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    with pytest.raises(LedgerError, match="in a folder of another user's"):
        Ledger(home, SCOPE)
    os.chown(home / "ledgers", 0, 0)
    with pytest.raises(LedgerError, match="another user's"):
        Ledger(home, SCOPE)
    for path in (home, *home.rglob("*")):
        os.chown(path, 0, 0)
    assert open_in(home) == home


@only_root
def test_a_disk_that_does_not_tell_owners_is_used_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As a share, which shows all as its mounter's."""
    home = made(tmp_path / "home")
    ledger = Ledger(home, SCOPE)
    ledger.close()
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    mkdir = Path.mkdir

    def shown(self: Path, *args: int, **options: int) -> None:
        mkdir(self, *args, **options)
        os.chown(self, NOBODY, NOBODY)

    monkeypatch.setattr(Path, "mkdir", shown)
    ledger = Ledger(home, SCOPE)
    ledger.close()
    assert ledger.home == home


def test_links_of_the_users_own_are_followed(tmp_path: Path):
    """As where the ledgers were moved to a larger disk."""
    home, large = tmp_path / "home", tmp_path / "large"
    open_in(home)
    (home / "ledgers").rename(large)
    (home / "ledgers").symlink_to(large)
    assert open_in(home) == home
    assert len(list(large.glob("*.sqlite"))) == 1


# Unusable ones


def test_a_file_is_no_home(tmp_path: Path):
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(LedgerError, match=r"is a file.*Set BATCHNB_HOME"):
        private_home(tmp_path / "home")
    with pytest.raises(LedgerError, match="Set BATCHNB_HOME"):
        private_home(tmp_path / "home" / "below")
    with pytest.raises(LedgerError, match="Set BATCHNB_HOME"):
        private_home(Path("/dev/null"))


def test_a_link_to_nothing_is_no_home(tmp_path: Path):
    (tmp_path / "home").symlink_to(tmp_path / "gone")
    with pytest.raises(LedgerError, match="a link to a folder that is not there"):
        private_home(tmp_path / "home")
    assert not (tmp_path / "gone").exists()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(LedgerError, match="cannot be used"):
        private_home(tmp_path / "circle")


def test_a_disk_that_is_read_only_is_a_clear_error(tmp_path: Path):
    disk = made(tmp_path / "disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("nothing may be mounted here")
    try:
        for home in (disk, disk / "home"):
            with pytest.raises(LedgerError, match=r"Read-only file system.*Set BATCHNB_HOME"):
                Ledger(home, SCOPE)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# Systems that lack something


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder where another process may work, whoever runs it."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


def test_a_ledger_is_kept_where_the_system_has_neither_links_nor_owners_nor_modes(elsewhere: Path):
    """A process without ``os.link``, ``geteuid``, ``fork``, ``O_NOFOLLOW``, ``O_DIRECTORY``; ``chmod`` does nothing."""
    code = """
import os, pathlib, sys
for name in ("link", "geteuid", "fork", "O_NOFOLLOW", "O_DIRECTORY", "chown"):
    if hasattr(os, name):
        delattr(os, name)
sys.modules["fcntl"] = sys.modules["fcntl"]  # filelock has chosen its kind of lock; ours asks for nothing else
pathlib.Path.chmod = lambda self, mode, **options: None
from pathlib import Path
from batchnb.ledger.ledger import Ledger

for _ in range(2):
    ledger = Ledger(Path(sys.argv[1]), "https://a.example")
    ledger.files.spool.put("a" * 64, b"x")
    assert ledger.files.spool.path("a" * 64).read_bytes() == b"x"
    ledger.files.spool.remove("a" * 64)
    print(ledger.home == Path(sys.argv[1]), ledger._store.earlier())
    ledger.close()
"""
    code = code.replace('sys.modules["fcntl"] = sys.modules["fcntl"]', "import filelock")
    done = subprocess.run([sys.executable, "-c", code, elsewhere / "home"], capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["True None"] * 2, done.stderr


@pytest.mark.parametrize("error", [NotImplementedError, PermissionError, OSError])
def test_a_name_is_given_once_also_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error):
    def refused(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "link", refused)
    draft, path = tmp_path / "draft", tmp_path / "path"
    draft.write_text("a")
    batchnb.system.disk.name_once(draft, path)
    assert path.read_text() == "a"
    draft.write_text("b")
    with pytest.raises(FileExistsError):
        batchnb.system.disk.name_once(draft, path)
    assert path.read_text() == "a"


def test_an_upload_that_another_process_reads_is_left_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As on Windows, where a file that is open can be neither replaced nor removed."""
    ledger = Ledger(tmp_path / "home", SCOPE)
    spool = ledger.files.spool
    spool.put("a" * 64, b"x")
    monkeypatch.setattr(batchnb.system.disk, "STUBBORN", True)
    monkeypatch.setattr(batchnb.system.disk, "PATIENCE", 0.05)

    def held(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "The process cannot access the file", str(self))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", held)
        spool.remove("a" * 64)
        spool.sweep(set(), 4e9)
    assert spool.path("a" * 64) is not None
    spool.sweep(set(), 4e9)
    assert spool.path("a" * 64) is None
    ledger.close()


def test_on_macos_the_disk_itself_is_asked_to_keep_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import fcntl

    asked: list[int] = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda _, command: asked.append(command))
    batchnb.system.disk.write_private(tmp_path / "x", b"x")
    assert asked == [51]

    def refused(*_: object) -> None:
        raise OSError(45, "Operation not supported")

    monkeypatch.setattr(fcntl, "fcntl", refused)
    batchnb.system.disk.write_private(tmp_path / "x", b"y")
    assert (tmp_path / "x").read_bytes() == b"y"
