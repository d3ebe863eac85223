"""A power cut: what was written but not synced is forgotten, whole or in part.

A killed process loses nothing that it wrote, since the operating system still has it; a power cut does. `install` logs
what SQLite does to its files, and which folders are made and synced; `rebuild` makes of that log the files as they
would be found after the cut.

What is kept is what POSIX promises and no more: the content of a file as of its last fsync, and a new, or deleted, name
as of the last fsync of its folder. Of everything later each part may have reached the disk or not, in any order.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import power_vfs

__all__ = ["Record", "events", "install", "keep_identities", "kill_before", "read", "rebuild"]

SECTOR = 512


class Record(NamedTuple):
    """One thing done to the disk.

    Parameters
    ----------
    op : {"found", "create", "write", "truncate", "sync", "delete", "mkdir", "sync folder"}
        found: a file that was there before the log began, with its content.
    path : Path
        Of what.
    offset : int
        Where it was written; for truncate the new size.
    data : bytes
        What was written.
    """

    op: str
    path: Path
    offset: int = 0
    data: bytes = b""


# The log


def read(log: Path) -> list[Record]:
    """Read the records; one whose writing was itself cut short is none."""
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    found = (json.loads(line) for line in lines)
    return [Record(op, Path(path), offset, bytes.fromhex(data)) for op, path, offset, data in found]


def events(log: Path) -> int:
    """Count the records: the power can be cut after any number of them."""
    return log.read_bytes().count(b"\n") if log.exists() else 0


class _Recorder:
    """Appends records; kills this process instead of letting the one it is set to happen."""

    def __init__(self) -> None:
        self.count = 0
        self.kill_at: int | None = None
        self.kill_before: str | None = None
        self._known: set[Path] = set()
        self._lock = threading.Lock()
        self._file: int | None = None

    def start(self, log: Path, kill_at: int | None) -> None:
        """Write to `log` from now on."""
        self.count, self.kill_at = events(log), kill_at
        self._known = {record.path for record in read(log)}
        self._file = os.open(log, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        os.ftruncate(self._file, log.read_bytes().rfind(b"\n") + 1)

    def doing(self, op: str, path: Path, offset: int = 0, data: bytes = b"") -> None:
        """Log what is about to be carried out."""
        with self._lock:
            if self._file is not None:
                if self.count == self.kill_at or op == self.kill_before:
                    os.kill(os.getpid(), signal.SIGKILL)
                os.write(self._file, json.dumps([op, str(path), offset, data.hex()]).encode() + b"\n")
            self.count += 1

    def opening(self, path: Path) -> None:
        """Log a file at its first opening: as new, or with what it held before."""
        if path not in self._known:
            self._known.add(path)
            content = path.read_bytes() if path.exists() else b""
            # An empty file may have been made just before, by whoever opens it: that is no more lasting.
            self.doing("found" if content else "create", path, data=content)
        elif not path.exists():
            self.doing("create", path)


_recorder = _Recorder()


def install(log: Path, kill_at: int | None = None, *, shared_memory: bool = True) -> None:
    """Log from now on what this process's SQLite does to its files. Call once, before any database is opened.

    A log that exists is continued, as by a process that runs where another was killed and the power stayed on. One
    process at a time can write to a log.

    Parameters
    ----------
    log : Path
        Where to; outside the home that is to be rebuilt.
    kill_at : int, optional
        Kill this process just before that record (counted from 0) is carried out, so that the log ends with as many.
    shared_memory : bool
        False: as on a disk where SQLite cannot share memory between processes, and so has no WAL.

    Raises
    ------
    RuntimeError
        This Python's SQLite cannot be reached, or this is not Linux.
    """
    if sys.platform != "linux":
        raise RuntimeError("It is Linux that tells which folder is synced, by /proc.")
    power_vfs.register(_recorder, shared_memory=shared_memory)
    with tempfile.TemporaryDirectory() as folder:
        trial = sqlite3.connect(Path(folder) / "trial.sqlite", isolation_level=None)
        trial.execute("CREATE TABLE trial (a)")
        trial.close()
    if not _recorder.count:
        raise RuntimeError("The SQLite library that was found is not the one that the module sqlite3 uses.")
    _recorder.start(log, kill_at)
    _watch_folders()


def kill_before(op: str) -> None:
    """Kill this process just before the next record of that kind."""
    _recorder.kill_before = op


def _watch_folders() -> None:
    """Log which folders Python makes and syncs."""
    mkdir, fsync = os.mkdir, os.fsync

    def logged_mkdir(path: Any, *args: Any, **options: Any) -> None:
        if not Path(path).exists():
            _recorder.doing("mkdir", Path(path).resolve())
        mkdir(path, *args, **options)

    def logged_fsync(file: Any) -> None:
        path = Path(f"/proc/self/fd/{file if isinstance(file, int) else file.fileno()}").readlink()
        if path.is_dir():
            _recorder.doing("sync folder", path)
        fsync(file)

    os.mkdir, os.fsync = logged_mkdir, logged_fsync


# After the cut


class _File:
    """A file: what is on the disk for certain, and what was done to it since."""

    def __init__(self, content: bytes = b"") -> None:
        self._synced = content
        self._since: list[Record] = []

    def do(self, record: Record) -> None:
        self._since.append(record)

    def sync(self) -> None:
        self._synced = _applied(self._synced, self._since)
        self._since = []

    def after_cut(self, chance: random.Random | None) -> bytes:
        return _applied(self._synced, _some(self._since, chance) if chance else ())


def _applied(content: bytes, records: Any) -> bytes:
    changed = bytearray(content)
    for record in records:
        end = record.offset + len(record.data)
        changed.extend(bytes(max(0, end - len(changed))))
        if record.op == "truncate":
            del changed[record.offset :]
        else:
            changed[record.offset : end] = record.data
    return bytes(changed)


def _some(records: list[Record], chance: random.Random) -> Iterator[Record]:
    """Pick what reached the disk by chance: in any order, and of each write all, nothing, or some of its sectors."""
    for record in chance.sample(records, len(records)):
        fate = chance.choice(("all", "part", "nothing"))
        if fate == "all":
            yield record
        elif fate == "part" and record.op == "write":
            yield from (sector for sector in _sectors(record) if chance.random() < 0.5)


def _sectors(record: Record) -> Iterator[Record]:
    start, end = record.offset, record.offset + len(record.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield record._replace(offset=start, data=record.data[start - record.offset : stop - record.offset])
        start = stop


class _Disk:
    """Names, each with what it stood for at the last sync of its folder, and since: a file, a folder, nothing."""

    FOLDER = "folder"

    def __init__(self, records: list[Record]) -> None:
        self.names: dict[Path, list[_File | str | None]] = {}
        for record in records:
            self._do(record)

    def _do(self, record: Record) -> None:
        if record.op == "sync folder":
            for path, known in self.names.items():
                if path.parent == record.path:
                    del known[:-1]
            return
        if record.op == "found":
            self.names.setdefault(record.path, [_File(record.data)])
        stands_for = self.names.setdefault(record.path, [None])
        now = stands_for[-1]
        if record.op == "create":
            stands_for.append(_File())
        elif record.op == "mkdir":
            stands_for.append(self.FOLDER)
        elif record.op == "delete":
            stands_for.append(None)
        elif isinstance(now, _File) and record.op == "sync":
            now.sync()
        elif isinstance(now, _File) and record.op in ("write", "truncate"):
            now.do(record)

    def after_cut(self, chance: random.Random | None) -> Iterator[tuple[Path, bytes | str | None]]:
        """Yield every name with what it stands for after the cut: the content of a file, a folder, nothing."""
        for path, stands_for in self.names.items():
            found = chance.choice(stands_for) if chance else stands_for[0]
            yield path, found.after_cut(chance) if isinstance(found, _File) else found


def rebuild(
    log: Path, home: Path, into: Path, *, seed: int | None = None, at: int | None = None, keep_identity: bool = True
) -> None:
    """Make a copy of a home as it would be found after a power cut.

    Parameters
    ----------
    log : Path
        What `install` wrote.
    home : Path
        The home as the process left it. What the log does not know, such as lock files, is copied as it is, but for
        the notes in ``known``.
    into : Path
        The copy; must not exist yet. It still does not, where nobody had synced the name of the home.
    seed : int, optional
        Decides what of the unsynced reached the disk. None: nothing did.
    at : int, optional
        How many records had been carried out when the power was cut. None: all.
    keep_identity : bool
        Whether to call `keep_identities`; else nothing but what was on the disk is in `into`.
    """
    # A seed alone would make the same choices at every cut.
    chance = None if seed is None else random.Random(f"{seed} {at}")
    home = home.resolve()
    records = read(log)
    found: dict[Path, bytes | str | None] = {r.path: None for r in records if r.op != "sync folder"}
    found.update(_Disk(records[:at]).after_cut(chance))
    lost = {path for path, content in found.items() if content is None}
    files = {path for path, content in found.items() if isinstance(content, bytes)}

    def left_out(folder: str, names: list[str]) -> set[str]:
        # Notes of what a ledger has recorded are never synced: as they were at the end, they would be ahead of it.
        unsynced = {"known"} if Path(folder) == home else set()
        return unsynced | {name for name in names if name.endswith("-shm") or Path(folder, name) in lost | files}

    if lost.intersection((home, *home.parents)):
        return
    shutil.copytree(home, into, ignore=left_out, dirs_exist_ok=True)
    for path in files:
        if home in path.parents and not lost.intersection(path.parents):
            _write(into / path.relative_to(home), found[path])
    if keep_identity:
        keep_identities(into)


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)


def keep_identities(home: Path) -> None:
    """A power cut does not make copies of ledgers, as `rebuild` does: let them not be taken for that."""
    for ledger in home.glob("ledgers/*.sqlite"):
        with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(ledger)) as db, db:
            db.execute("UPDATE meta SET value = ? WHERE name = 'file'", (str(ledger.stat().st_ino),))
