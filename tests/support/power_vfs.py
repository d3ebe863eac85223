"""What SQLite does to its files, told to whoever wants to know.

Through ctypes a VFS is registered that is the default one but for three methods of its files, and the deletion of
files: those tell a `Listener` first. `power` is the one that listens.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Listener", "register"]

# SQLite's numbers (sqlite3.h)
IO_ERROR = 10
CREATE = 0x4
MAIN_DB, MAIN_JOURNAL, SUPER_JOURNAL, WAL = 0x100, 0x800, 0x4000, 0x80000
LASTING = MAIN_DB | MAIN_JOURNAL | SUPER_JOURNAL | WAL


class Listener(Protocol):
    """Is told what is about to be done."""

    def opening(self, path: Path) -> None:
        """A file is opened, and made if there is none."""

    def doing(self, op: str, path: Path, offset: int = 0, data: bytes = b"") -> None:
        """One of "write", "truncate" (to `offset`), "sync", "delete", and "sync folder"."""


_kept: list[Any] = []  # what SQLite points to must not be collected

_int64, _pointer = ctypes.c_int64, ctypes.c_void_p
_Open = ctypes.CFUNCTYPE(ctypes.c_int, _pointer, _pointer, _pointer, ctypes.c_int, _pointer)
_Delete = ctypes.CFUNCTYPE(ctypes.c_int, _pointer, _pointer, ctypes.c_int)
_Write = ctypes.CFUNCTYPE(ctypes.c_int, _pointer, _pointer, ctypes.c_int, _int64)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, _pointer, _int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, _pointer, ctypes.c_int)


def _pointers(names: str) -> list[tuple[str, Any]]:
    return [(name, _pointer) for name in names.split()]


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("iVersion", ctypes.c_int), ("szOsFile", ctypes.c_int), ("mxPathname", ctypes.c_int), ("pNext", _pointer),
        ("zName", ctypes.c_char_p), ("pAppData", _pointer), ("xOpen", _Open), ("xDelete", _Delete),
        *_pointers("xAccess xFullPathname xDlOpen xDlError xDlSym xDlClose xRandomness xSleep xCurrentTime"
                   " xGetLastError xCurrentTimeInt64 xSetSystemCall xGetSystemCall xNextSystemCall"),
    ]  # fmt: skip


class _Methods(ctypes.Structure):
    _fields_ = [
        ("iVersion", ctypes.c_int), *_pointers("xClose xRead"),
        ("xWrite", _Write), ("xTruncate", _Truncate), ("xSync", _Sync),
        *_pointers("xFileSize xLock xUnlock xCheckReservedLock xFileControl xSectorSize xDeviceCharacteristics"
                   " xShmMap xShmLock xShmBarrier xShmUnmap xFetch xUnfetch"),
    ]  # fmt: skip


def _callback(kind: Any, function: Callable[..., int]) -> Any:
    """Make a function that SQLite can call. Where it fails, so does SQLite: nothing may get lost in silence."""

    def guarded(*args: Any) -> int:
        try:
            return function(*args)
        except BaseException:  # noqa: BLE001  # there is no one above to catch it
            traceback.print_exc()
            return IO_ERROR

    made = kind(guarded)
    _kept.append(made)
    return made


def _path(address: int) -> Path:
    return Path(os.fsdecode(ctypes.string_at(address)))


def register(listener: Listener, *, shared_memory: bool) -> None:
    """Make the VFS the default one of this process.

    Parameters
    ----------
    listener : Listener
        Whom to tell.
    shared_memory : bool
        False: as on a disk where SQLite cannot share memory between processes, and so has no WAL.

    Raises
    ------
    RuntimeError
        This Python's SQLite cannot be reached.
    """
    library = _sqlite()
    original = library.sqlite3_vfs_find(None).contents
    files = _Files(listener, shared_memory=shared_memory)

    def open_file(_: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        if name is None or not flags & LASTING:  # temporary files need not outlive anything
            return original.xOpen(ctypes.addressof(original), name, file, flags, out)
        path = _path(name)
        if flags & CREATE or path.exists():
            listener.opening(path)
        result = original.xOpen(ctypes.addressof(original), name, file, flags, out)
        if result == 0:
            files.take(file, path, flags)
        return result

    def delete(_: int, name: int, sync_folder: int) -> int:
        path = _path(name)
        if path.exists():
            listener.doing("delete", path)
        result = original.xDelete(ctypes.addressof(original), name, sync_folder)
        if sync_folder:
            listener.doing("sync folder", path.parent)
        return result

    vfs = _Vfs.from_buffer_copy(original)
    vfs.zName = b"power"
    vfs.xOpen, vfs.xDelete = _callback(_Open, open_file), _callback(_Delete, delete)
    _kept.extend((vfs, files))
    if library.sqlite3_vfs_register(ctypes.byref(vfs), 1) != 0:
        raise RuntimeError("SQLite did not take the VFS.")


def _sqlite() -> ctypes.CDLL:
    """Find the library that the module sqlite3 runs on."""
    try:
        import _sqlite3

        library = ctypes.CDLL(_sqlite3.__file__)  # also knows the symbols of what it is linked to
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    except (ImportError, AttributeError, OSError):
        library = ctypes.CDLL(ctypes.util.find_library("sqlite3"))
    try:
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        library.sqlite3_vfs_register.argtypes = [ctypes.POINTER(_Vfs), ctypes.c_int]
    except AttributeError:
        raise RuntimeError("This Python's SQLite is built in; its file functions cannot be reached.") from None
    return library


class _Files:
    """The open files, and for each kind of file its methods, three of them replaced."""

    def __init__(self, listener: Listener, *, shared_memory: bool) -> None:
        self._listener = listener
        self._shared_memory = shared_memory
        self._paths: dict[int, Path] = {}
        self._new_names: set[int] = set()
        self._methods: dict[int, _Methods] = {}

    def take(self, file: int, path: Path, flags: int) -> None:
        """Have an open file use the replaced methods."""
        self._paths[file] = path
        self._new_names.discard(file)
        if flags & CREATE and not flags & MAIN_DB:
            self._new_names.add(file)  # SQLite syncs the folder with the first sync of such a file
        methods = _pointer.from_address(file)
        assert methods.value is not None
        if methods.value not in self._methods:
            self._methods[methods.value] = self._replaced(_Methods.from_address(methods.value))
        methods.value = ctypes.addressof(self._methods[methods.value])

    def _replaced(self, original: _Methods) -> _Methods:
        def write(file: int, data: int, size: int, offset: int) -> int:
            self._listener.doing("write", self._paths[file], offset, ctypes.string_at(data, size))
            return original.xWrite(file, data, size, offset)

        def truncate(file: int, size: int) -> int:
            self._listener.doing("truncate", self._paths[file], size)
            return original.xTruncate(file, size)

        def sync(file: int, flags: int) -> int:
            self._listener.doing("sync", self._paths[file])
            if file in self._new_names:
                self._new_names.remove(file)
                self._listener.doing("sync folder", self._paths[file].parent)
            return original.xSync(file, flags)

        replaced = _Methods.from_buffer_copy(original)
        if not self._shared_memory:
            replaced.iVersion = 1  # the version before there was a WAL
        replaced.xWrite, replaced.xTruncate = _callback(_Write, write), _callback(_Truncate, truncate)
        replaced.xSync = _callback(_Sync, sync)
        return replaced
