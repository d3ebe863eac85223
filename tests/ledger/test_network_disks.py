"""A ledger on a network disk, where a write-ahead log would not hold."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import sys
import warnings
from pathlib import Path, PureWindowsPath

import pytest
from bench import Bench, assert_echoed, texts

from batchnb.ledger import network_disk as looked_at
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.network_disk import filesystem_of, on_network_disk

pytest_plugins = ["bench_fixtures"]

MOUNTS = r"""
21 27 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/a
30 21 0:45 / /home rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2
31 30 0:46 / /home/ann/my\040disk rw,relatime - ext4 /dev/sdb1 rw
32 21 0:47 / /mnt/lab rw - fuse.sshfs ann@lab:/ rw,user_id=0
33 21 0:48 / /mnt/twice rw - ext4 /dev/sdc1 rw
34 21 0:49 / /mnt/twice rw - cifs //server/share rw
""".strip()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/lib/x", "overlay"),
        ("/home", "nfs4"),
        ("/home/ann/.local/share/batchnb", "nfs4"),
        ("/home/ann/my disk/batchnb", "ext4"),
        ("/homestead", "overlay"),
        ("/mnt/lab/x", "fuse.sshfs"),
        ("/mnt/twice/x", "cifs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount_point(path, expected):
    assert filesystem_of(Path(path), MOUNTS) == expected


def test_a_temporary_folder_here_is_on_a_local_disk(tmp_path):
    assert not on_network_disk(tmp_path)
    assert on_network_disk(Path(r"\\server\share\ledger.sqlite"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (r"\\server\share\x", True),
        (r"\\?\UNC\server\share\x", True),
        (r"\\?\C:\long", False),
        (r"\\.\C:\x", False),
        (r"C:\x", False),
    ],
)
def test_a_share_on_windows_is_told_from_a_long_name(name, expected):
    assert looked_at.is_share(name) is expected


def test_a_mapped_drive_on_windows_is_a_network_disk():
    kinds = {"Z:\\": looked_at.DRIVE_REMOTE, "C:\\": 3}
    assert looked_at.is_mapped(PureWindowsPath(r"Z:\home\batchnb"), kinds.__getitem__)
    assert not looked_at.is_mapped(PureWindowsPath(r"C:\home\batchnb"), kinds.__getitem__)
    assert not looked_at.is_mapped(PureWindowsPath(r"home\batchnb"), kinds.__getitem__)


@pytest.mark.parametrize(("flags", "expected"), [(0x1000 | 0x4000, False), (0x4000, True)])
def test_a_home_on_macos_is_on_the_network_unless_its_disk_is_local(tmp_path, flags, expected):
    asked = []

    def statfs(path, found):
        asked.append(path)
        struct.pack_into("=I", found, 64, flags)
        return 0

    assert looked_at.is_mounted_from_elsewhere(tmp_path / "not" / "there", statfs) is expected
    assert asked == [os.fsencode(tmp_path)], "what is there of the path is asked for"
    assert not looked_at.is_mounted_from_elsewhere(tmp_path, lambda *_: -1), "where it cannot be told, it is local"


@pytest.mark.parametrize("system", ["win32", "darwin", "sunos5"])
def test_a_system_that_does_not_tell_is_taken_for_local(tmp_path, monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(looked_at, "MOUNTS", tmp_path / "gone")
    if system == "darwin":
        monkeypatch.setattr(looked_at, "_statfs", lambda: lambda *_: -1)
    assert not on_network_disk(tmp_path)


@pytest.fixture
def network_disk(tmp_path, monkeypatch):
    """Have the system say that the test's folder is on a network disk."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / {tmp_path.resolve()} rw - nfs4 server:/home rw\n")
    monkeypatch.setattr("batchnb.ledger.network_disk.MOUNTS", mounts)


def journal_mode(path: Path) -> str:
    with sqlite3.connect(path) as db:
        mode = db.execute("PRAGMA journal_mode").fetchone()[0]
    db.close()
    return str(mode)


def test_a_ledger_there_has_a_rollback_journal_and_says_so_once(tmp_path, network_disk):
    with pytest.warns(UserWarning, match="network disk"):
        ledger = Ledger(tmp_path / "home", "there")
    assert journal_mode(ledger.path) == "delete"
    ledger.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Ledger(tmp_path / "home", "there").close()


def test_a_ledger_elsewhere_has_a_write_ahead_log(tmp_path):
    ledger = Ledger(tmp_path / "home", "here")
    assert journal_mode(ledger.path) == "wal"
    ledger.close()


def test_a_ledger_that_was_moved_there_changes_its_journal(tmp_path, request):
    Ledger(tmp_path / "home", "moved").close()
    request.getfixturevalue("network_disk")
    ledger = Ledger(tmp_path / "home", "moved")
    assert journal_mode(ledger.path) == "delete"
    ledger.close()


@pytest.mark.filterwarnings("ignore:.*network disk")
def test_a_job_is_done_there_while_another_process_reads(bench: Bench, network_disk):
    job = bench.submit(texts(60), batch_size=10)
    code = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=30)
for _ in range(200):
    db.execute("SELECT COUNT(*) FROM answers").fetchone()
"""
    reader = subprocess.run([sys.executable, "-c", code, str(bench.workspace.session.ledger.path)], timeout=60)
    assert reader.returncode == 0
    assert_echoed(job)
    assert bench.server.bought_once()
