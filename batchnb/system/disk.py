"""The one place that makes, opens, replaces and removes files and folders.

What batchnb keeps for itself is private (folders 0700, files 0600; Windows has no such modes, there the folder's own
rights hold) and goes by names of batchnb's own. Nothing else is ever changed or removed: a folder that was there stays
as it is, and a link or a folder that another user made is not followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from batchnb.errors import LedgerError

__all__ = [
    "ELSEWHERE",
    "EXCLUSIVE",
    "folder_inside",
    "move",
    "name_once",
    "patiently",
    "private_file",
    "private_folder",
    "private_home",
    "remove",
    "sync",
    "sync_names",
    "write_private",
]

#: How an error ends that another folder helps against: a new one knows nothing of what was bought.
ELSEWHERE = (
    "Set BATCHNB_HOME to a folder you can write to if that is no way, and call batchnb.recover() there before anything "
    "else: it takes back what was bought from here."
)

#: Opens a file that nobody has made before: not by a link either. (Windows has no O_NOFOLLOW, nor others O_BINARY.)
EXCLUSIVE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

#: Whether a file that is open somewhere can be neither replaced nor removed; and seconds to wait until it is let go.
STUBBORN = os.name == "nt"
PATIENCE, PAUSE = 2.0, 0.02

#: What batchnb calls what it keeps. (A ledger's drafts, logs and those set aside begin with its own name.)
OURS = re.compile(
    r"ledgers|owners|files|known|simulator|[0-9a-f]{32}\.(lock|new)|[0-9a-f]{64}(\.[0-9a-f]{32})?"
    r"|.+-[0-9a-f]{8}(\.lock|\.sqlite([.-].*)?)?"
)


# Private folders


def private_home(named: Path) -> Path:
    """Return the folder that the ledgers are kept in: `named`, or one in it, where others may write to `named`.

    A folder that is missing is made, for its owner alone. One that is there is not changed. Where it is another user's,
    or others may write to it, ``batchnb-<user number>`` in it is used, unless ``ledgers`` of this user are in it
    already: then it goes on being used itself.

    Raises
    ------
    LedgerError
        It cannot be made or used.
    """
    if not os.path.lexists(named):
        with contextlib.suppress(FileExistsError):  # another process was first
            return _made(named)
    try:
        found = named.stat()
    except FileNotFoundError as error:
        raise LedgerError(f"{named} is a link to a folder that is not there. Mend it. {ELSEWHERE}") from error
    except OSError as error:
        raise LedgerError(f"The folder {named} cannot be used ({error.strerror}). Mend that. {ELSEWHERE}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise LedgerError(f"{named} is a file, where a folder is needed for the ledger. Move it away. {ELSEWHERE}")
    inside = folder_inside(named)
    if _is_own(named / "ledgers") or (_is_ours_alone(found) and not os.path.lexists(inside)):
        return named
    return private_folder(inside)


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can enter, and that a power cut does not forget; return it.

    One that is there must be this user's. It stays as it is, unless others may enter it and all that is in it has names
    of batchnb's: then they no longer may.

    Raises
    ------
    LedgerError
        It cannot be made, or is another user's.
    """
    with contextlib.suppress(FileExistsError):
        return _made(path)
    if not path.is_dir():
        raise LedgerError(f"{path} is no folder, where one is needed for the ledger. Move it away. {ELSEWHERE}")
    if not _is_own(path):
        raise LedgerError(
            f"{path} is another user's, or a link that another user made, so nothing is kept there. If it is yours, "
            f"make yourself its owner. {ELSEWHERE}"
        )
    with contextlib.suppress(OSError):  # a folder on a disk without modes, or one that may not be changed, serves too
        if path.stat().st_mode & 0o077 and _has_only_ours(path):
            path.chmod(0o700)
    sync_names(path.parent)  # whoever made it may have died before this
    return path


def _made(path: Path) -> Path:
    """Make a folder, and those above it; FileExistsError where something is there."""
    missing = [parent for parent in path.parents if not parent.exists()]
    try:
        path.mkdir(mode=0o700, parents=True)
        path.chmod(0o700)  # a strict umask may have shut out its owner, and a folder above it handed its bits down
    except FileExistsError:
        raise
    except OSError as error:
        raise LedgerError(f"The folder {path} cannot be made ({error.strerror}). Mend that. {ELSEWHERE}") from error
    for folder in (path, *missing):
        sync_names(folder.parent)
    return path


def _has_only_ours(folder: Path) -> bool:
    names = [path.name for path in folder.iterdir()]
    return bool(names) and all(map(OURS.fullmatch, names))


def folder_inside(named: Path) -> Path:
    """Return the private folder of this user in a folder that others may write to."""
    return named / f"batchnb-{os.geteuid() if hasattr(os, 'geteuid') else 'own'}"


def _is_trusted(owner: int) -> bool:
    """Tell whether what this user owns, or who may do all, is to be relied on."""
    return not hasattr(os, "geteuid") or owner in (os.geteuid(), 0)


def _is_ours_alone(found: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or (_is_trusted(found.st_uid) and not found.st_mode & 0o022)


def _is_own(path: Path) -> bool:
    """Tell whether a folder is there, and this user's; a link to it too."""
    try:
        link, found = path.lstat(), path.stat()
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode):
        return False
    return all(_is_trusted(one.st_uid) for one in (link, found)) or not _keeps_owners(path.parent)


def _keeps_owners(folder: Path) -> bool:
    """Tell whether the disk tells who owns what: some, such as shares, show all as one user's."""
    probe = folder / f".batchnb-{uuid.uuid4().hex}"
    try:
        probe.mkdir(mode=0o700)
    except OSError:
        return True
    try:
        return _is_trusted(probe.lstat().st_uid)
    finally:
        probe.rmdir()


# Private files


def private_file(path: Path) -> BinaryIO:
    """Make a file that only its owner can read, and open it for writing; FileExistsError where something is there."""
    opened = os.open(path, EXCLUSIVE, 0o600)
    try:
        path.chmod(0o600)  # whatever the umask
        return os.fdopen(opened, "wb")
    except BaseException:
        os.close(opened)
        raise


def write_private(path: Path, data: bytes) -> None:
    """Write a private file: there whole or not at all, and kept by the disk. What was there is replaced."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        with private_file(draft) as file:
            file.write(data)
            sync(file)
        move(draft, path)
    finally:
        remove(draft)
    sync_names(path.parent)


def name_once(draft: Path, path: Path) -> None:
    """Give a file its name, unless there is something of that name: FileExistsError then."""
    link = getattr(os, "link", None)
    if link is not None:
        try:
            link(draft, path)
        except FileExistsError:
            raise
        except (OSError, NotImplementedError):  # no such links on this disk, or in this system
            pass
        else:
            return
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    os.rename(draft, path)  # noqa: PTH104  # as Windows refuses to do where there is one of that name


# Any files


def patiently(action: Callable[[], object]) -> None:
    """Do what an open file may stand in the way of: again for two seconds, then its PermissionError is raised."""
    until = time.monotonic() + (PATIENCE if STUBBORN else 0.0)
    while True:
        try:
            action()
        except PermissionError:
            if time.monotonic() >= until:
                raise
            time.sleep(PAUSE)
        else:
            return


def move(old: Path, new: Path) -> None:
    """Rename a file, over one of that name."""
    patiently(lambda: old.replace(new))


def remove(path: Path) -> bool:
    """Remove a file of ours; tell whether it is gone, which it is not where another process keeps it open."""
    try:
        patiently(lambda: path.unlink(missing_ok=True))
    except OSError:
        return False
    return True


def sync(file: BinaryIO) -> None:
    """Have the disk keep what a file holds: on macOS ``fsync`` alone leaves it in the memory of the disk."""
    file.flush()
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):  # some disks do not know it
            fcntl.fcntl(file.fileno(), fcntl.F_FULLFSYNC)
            return
    os.fsync(file.fileno())


def sync_names(folder: Path) -> None:
    """Have the disk keep the names in a folder: SQLite syncs its files, and the names of no folder above its own."""
    with contextlib.suppress(OSError):  # Windows opens no folders, and some disks sync none
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
