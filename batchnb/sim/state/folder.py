"""The folder of a simulator's state: the one place that makes, marks, opens and removes its files and folders.

A folder is used where it is missing, empty or ours, and refused where it holds anything else. Ours is one that has the
marker, or the database of a simulator from before there was one. Only files whose names have the form of ours are ever
removed. No symbolic link is followed from the folder itself on; those above it are the user's own affair.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NoReturn, Self

from filelock import FileLock, Timeout

_MARKER, _LOCK, _HOLDER, _FILES = "batchnb-simulator.txt", "simulator.lock", "simulator.holder", "files"
_DATABASE = "simulator.db"
_DATABASES = (_DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm", f"{_DATABASE}-journal")
_OF_A_START = {_MARKER, _LOCK, _DATABASE}
_SIGNATURE = b"batchnb simulator state\n"
_MARK = _SIGNATURE + (
    b"This folder keeps the batches of batchnb's simulator of the Message Batches API, none of which is real.\n"
    b"It may be deleted while no simulator runs on it. Keep nothing else here.\n"
)
#: What stands in the database of every version, in the text of its tables: how one without a marker is recognised.
_TABLES = (b"CREATE TABLE batch (", b"CREATE TABLE request (", b"custom_id TEXT NOT NULL")
_READ_FOR_TABLES = 1 << 20

_FILE_ID = re.compile(r"file_01[a-zA-Z0-9]{22}")
_PART = re.compile(r"[0-9a-f]{16}\.part")
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


class StateError(RuntimeError):
    """The state folder cannot be used: it holds something else, or cannot be written to."""


class StateInUseError(StateError):
    """Another simulator, in this process or another, is using the state folder."""


class Folder:
    """A state folder. Making the object touches nothing; `claim` opens the folder.

    Parameters
    ----------
    path
        Where it is, or will be; None for a temporary one, which `discard` removes.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._temporary = path is None
        self.path = Path() if path is None else _absolute(path)
        self._lock: FileLock | None = None

    def claim(self) -> Self:
        """Make the folder where it is missing, refuse it where it is not ours, and mark and lock it.

        Raises
        ------
        StateInUseError
            When another simulator uses it.
        StateError
            When it holds something else, or cannot be made or written to.
        """
        try:
            if self._temporary:
                self.path = Path(tempfile.mkdtemp(prefix="batchnb-sim-"))
            self._refuse_what_is_no_folder()
            make_private(self.path)
            self._refuse_what_is_not_ours()
            self._hold()
            self._mark()
        except OSError as problem:
            self.release()
            self._refuse(f"cannot be used ({problem.strerror or problem})")
        except (ValueError, NotImplementedError) as problem:  # a null character; a disk that knows no locks
            self.release()
            self._refuse(f"cannot be used ({problem})")
        return self

    def release(self) -> None:
        """Let go of the folder, for another simulator."""
        lock, self._lock = self._lock, None
        if lock is not None:
            with suppress(OSError):
                (self.path / _HOLDER).unlink(missing_ok=True)
            lock.release()

    def discard(self) -> None:
        """Remove a temporary folder with all that we made in it; what else is in it stays, and the folder with it."""
        if not self._temporary:
            return
        with suppress(OSError, StateError):
            files = self._files()
            self.tidy(set())
            files.rmdir()
        for name in (*_DATABASES, _HOLDER, _LOCK, _MARKER):
            with suppress(OSError):
                (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    def tell_holder(self, url: str) -> None:
        """Write down who uses the folder, for the error that another simulator gets.

        Raises
        ------
        StateError
            When nothing can be written there.
        """
        try:
            self._write(_HOLDER, json.dumps({"pid": os.getpid(), "url": url}).encode())
        except OSError as problem:
            self._refuse(f"cannot be used ({_HOLDER}: {problem.strerror or problem})")

    def database(self) -> Path:
        """Return the path of the database, made with mode 0600 where it is missing.

        Raises
        ------
        StateError
            When it cannot be made or opened.
        """
        path = self.path / _DATABASE
        try:
            # Made before SQLite opens it, which would let the umask decide; its -wal and -shm copy the mode.
            os.close(_made(path, os.O_RDWR))
        except OSError as problem:
            self._refuse(f"cannot be used ({_DATABASE}: {problem.strerror or problem})")
        return path

    # Uploaded files

    def new_part(self) -> tuple[Path, BinaryIO]:
        """Make a file for an upload that is being received."""
        make_private(self.path / _FILES)
        path = self._files() / f"{secrets.token_hex(8)}.part"
        return path, os.fdopen(_made(path, os.O_EXCL | os.O_WRONLY), "wb")

    def keep(self, part: Path, file_id: str) -> None:
        """Give a file that was received its name."""
        part.replace(self._file(file_id))

    def read(self, file_id: str, most: int) -> bytes:
        """Return the first bytes of an uploaded file, at most so many.

        Raises
        ------
        FileNotFoundError
            Where there is none.
        """
        path = self._file(file_id)
        if not stat.S_ISREG(path.lstat().st_mode):
            raise FileNotFoundError(path)
        with os.fdopen(os.open(path, os.O_RDONLY | _NO_FOLLOW), "rb") as file:
            return file.read(most)

    def remove(self, file_id: str) -> None:
        """Remove an uploaded file; one that is open elsewhere, where that forbids it, goes at the next start."""
        with suppress(FileNotFoundError, PermissionError):
            self._file(file_id).unlink()

    def tidy(self, known: set[str]) -> None:
        """Remove uploaded files that are not known, and parts of some: what interrupted uploads and deletions left."""
        folder = self._files()
        if not folder.is_dir():
            return
        for path in list(folder.iterdir()):
            is_ours = _FILE_ID.fullmatch(path.name) or _PART.fullmatch(path.name)
            if is_ours and path.name not in known and stat.S_ISREG(path.lstat().st_mode):
                with suppress(FileNotFoundError, PermissionError):
                    path.unlink()

    def _files(self) -> Path:
        path = self.path / _FILES
        if problem := _why_no_folder(path):
            self._refuse(f"cannot be used, for {_FILES} in it {problem}")
        return path

    def _file(self, file_id: str) -> Path:
        if not _FILE_ID.fullmatch(file_id):
            raise FileNotFoundError(file_id)
        return self._files() / file_id

    # Whether the folder may be used

    def _refuse(self, why: str) -> NoReturn:
        raise StateError(f"the state folder {self.path} {why}; name another state folder") from None

    def _refuse_what_is_no_folder(self) -> None:
        if problem := _why_no_folder(self.path):
            self._refuse(problem)

    def _refuse_what_is_not_ours(self) -> None:
        names = sorted(path.name for path in self.path.iterdir())
        if not self._is_ours(names):
            shown = ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            self._refuse(f"holds {shown} and was not made by a simulator. Nothing in it was touched")
        for name in names:
            if name in (_MARKER, _LOCK, _HOLDER, *_DATABASES) and (problem := _why_not_plain(self.path / name)):
                self._refuse(f"cannot be used, for {name} in it {problem}")
        self._files()

    def _is_ours(self, names: list[str]) -> bool:
        if self._is_marked():
            return True
        found = b"".join(self._begins(name, _READ_FOR_TABLES) for name in _DATABASES[:2])
        # Without a database: nothing at all, or what a start leaves that was broken off.
        if found:
            return all(table in found for table in _TABLES)
        return set(names) <= _OF_A_START and all(map(self._is_begun, names))

    def _is_begun(self, name: str) -> bool:
        """Tell whether a file is as a start leaves it that was broken off: empty, or the marker half written."""
        if (self.path / name).lstat().st_size == 0:
            return True
        written = self._begins(name, len(_MARK) + 1)
        return name == _MARKER and bool(written) and _MARK.startswith(written)

    def _is_marked(self) -> bool:
        return self._begins(_MARKER, len(_SIGNATURE)) == _SIGNATURE

    def _begins(self, name: str, length: int) -> bytes:
        """Return the first bytes of a file of ours, none where it is missing or no plain file."""
        path = self.path / name
        if _why_not_plain(path):
            return b""
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | _NO_FOLLOW), "rb") as file:
                return file.read(length)
        except FileNotFoundError:
            return b""

    def _mark(self) -> None:
        if not self._is_marked():
            self._write(_MARKER, _MARK)

    def _write(self, name: str, data: bytes) -> None:
        with os.fdopen(_made(self.path / name, os.O_WRONLY | os.O_TRUNC), "wb") as file:
            file.write(data)

    def _hold(self) -> None:
        lock = FileLock(self.path / _LOCK, mode=0o600, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise StateInUseError(
                f"another simulator is using {self.path}{self._holder()}; stop it first, or give this one another state"
            ) from None
        self._lock = lock

    def _holder(self) -> str:
        """Say who uses the folder, as far as it is known."""
        try:
            told = json.loads(self._begins(_HOLDER, 1000))
            return f" (process {int(told['pid'])}, at {str(told['url'])[:100]})"
        except (OSError, ValueError, TypeError, LookupError):
            return ""


def _absolute(path: str | Path) -> Path:
    """Return a path that holds when the process changes its working folder. Not resolved: a link is to be seen."""
    try:
        return Path(path).expanduser().absolute()
    except (RuntimeError, OSError) as problem:  # no such user; a working folder that is gone
        raise StateError(f"the state folder {path} cannot be used ({problem}); name another state folder") from None


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, with mode 0700; one that exists is left as it is."""
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)  # whatever the umask


def _why_no_folder(path: Path) -> str | None:
    """Return why a path cannot be a folder of ours; None where it is one, or is missing."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):  # of the latter the making tells
        return None
    if _is_link(found):
        return f"is a symbolic link; the folder that it leads to ({os.path.realpath(path)}) may be named itself"
    return None if stat.S_ISDIR(found.st_mode) else "is a file, not a folder"


def _why_not_plain(path: Path) -> str | None:
    """Return why a path cannot be a file of ours; None where it is one, or is missing."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if _is_link(found):
        return "is a symbolic link"
    if not stat.S_ISREG(found.st_mode):
        return "is no plain file"
    return "has another name elsewhere (a hard link), and would be changed there too" if found.st_nlink > 1 else None


def _is_link(found: os.stat_result) -> bool:
    junction = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", None)  # Windows' other kind of link
    return stat.S_ISLNK(found.st_mode) or (junction is not None and getattr(found, "st_reparse_tag", 0) == junction)


def _made(path: Path, flags: int) -> int:
    """Open a file of ours, made where it is missing, for its owner alone whatever the umask; return its descriptor."""
    handle = os.open(path, os.O_CREAT | flags | _NO_FOLLOW, 0o600)
    if os.name == "posix":  # elsewhere modes mean nothing
        try:
            os.fchmod(handle, 0o600)
        except BaseException:
            os.close(handle)
            raise
    return handle
