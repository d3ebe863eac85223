"""Files written for the user: beside what is there, which is replaced only when the new one is whole."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from batchnb.errors import BatchnbError, InputError
from batchnb.system.disk import EXCLUSIVE, STUBBORN, move, remove, sync, sync_names
from batchnb.units import half_character

__all__ = ["as_path", "replacing"]

#: What cannot be renamed into its place, though it can be written to: a file that is mounted, on another disk than its
#: folder, or in a folder where only owners rename.
NOT_RENAMED = {errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES}

#: Links on the way to more than this are a circle.
MOST_LINKS = 40


def as_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file of the user's, with ``~`` for their own folder.

    Raises
    ------
    InputError
        It is no path.
    """
    try:
        named = os.fspath(path)
        if not isinstance(named, str) or not named or "\0" in named or half_character(Path(named).name):
            raise TypeError
        os.fsencode(named)
        return Path(named).expanduser()
    except Exception as error:  # half a character, no such user; and whatever a class of the user's raises
        raise InputError(f"{_shown(path)} is no path of a file. Nothing was written.") from error


def _shown(path: Any) -> str:
    try:
        return f"{path!r:.200}"
    except Exception:  # noqa: BLE001  # of a class of the user's
        return f"An object of type {type(path).__name__}"


@contextlib.contextmanager
def replacing(*paths: Path) -> Iterator[list[BinaryIO]]:
    """Open files for writing that take the places of what is there when all is written, in the order given.

    Until then, and where anything fails (also an interrupt, a full disk, or the end of this process), what was there
    stays as it was. The new file has the old one's permissions. A link stays, and what it leads to is replaced. What is
    no file, such as a pipe or ``/dev/stdout``, or cannot be renamed into its place, is written to when all is known.

    Raises
    ------
    InputError
        One is a folder, may not be written to, or its folder does not exist.
    BatchnbError
        One cannot be written, for want of room or otherwise.
    """
    drafts: list[_Draft] = []
    writing = paths[0]
    try:
        for writing in paths:
            drafts.append(_Draft(writing))  # noqa: PERF401  # those before one that fails are to be removed
        writing = paths[0]
        yield [draft.file for draft in drafts]
        for draft in drafts:
            writing = draft.path
            draft.finish()
        for draft in drafts:
            writing = draft.path
            draft.publish()
    except OSError as error:
        if isinstance(error, BatchnbError):  # of another's, such as one that is a TimeoutError too
            raise
        raise _told(writing, error) from error
    finally:
        for draft in drafts:
            draft.discard()


class _Draft:
    """A file that is being written, and what it is to replace."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.beside: Path | None = None
        self._target = path
        self._found = self._look()
        if self._found is None or (stat.S_ISREG(self._found.st_mode) and not _is_handed_down(path)):
            self._target = Path(os.path.realpath(path))
            beside = self._target.with_name(f".batchnb-{uuid.uuid4().hex}.part")
            try:
                # What is new gets the rights that open() would give it; what replaces a file gets those of that at the
                # end, and until then nobody else's.
                opened = os.open(beside, EXCLUSIVE, 0o666 if self._found is None else 0o600)
            except PermissionError:
                if self._found is None:
                    raise
            else:
                self.beside = beside
                self.file: BinaryIO = os.fdopen(opened, "wb")
                return
        self.file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `discard`

    def _look(self) -> os.stat_result | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self.path))
        if not os.access(self.path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.path))
        return found

    def finish(self) -> None:
        """Have the disk keep what was written, under the rights of what it replaces."""
        if self.beside is None:
            self.file.flush()
            return
        sync(self.file)
        self.file.close()  # before it is renamed: Windows renames no open file
        if self._found is not None:
            if hasattr(os, "chown"):
                with contextlib.suppress(OSError):
                    os.chown(self.beside, self._found.st_uid, self._found.st_gid)
            with contextlib.suppress(OSError):
                self.beside.chmod(stat.S_IMODE(self._found.st_mode))

    def publish(self) -> None:
        """Put the new file in its place."""
        if self.beside is None:
            self.file.seek(0)
            self._copy(self.file)
            return
        try:
            move(self.beside, self._target)
        except OSError as error:
            if STUBBORN or self._found is None or error.errno not in NOT_RENAMED:
                raise
            with self.beside.open("rb") as written:
                self._copy(written)
        else:
            self.beside = None
            sync_names(self._target.parent)

    def _copy(self, written: BinaryIO) -> None:
        # As long as there is an old file it is written over rather than cut first: it is cut to its length at the end.
        regular = self._found is not None and stat.S_ISREG(self._found.st_mode) and not _is_handed_down(self.path)
        with self._target.open("r+b" if regular else "wb") as place:
            shutil.copyfileobj(written, place, 1 << 20)
            if regular:
                place.truncate()

    def discard(self) -> None:
        """Remove what is not in its place."""
        with contextlib.suppress(OSError):  # what is left to be written may find no room
            self.file.close()
        if self.beside is not None:
            remove(self.beside)


def _is_handed_down(path: Path) -> bool:
    """Tell whether a path leads to a file that is open already, as ``/dev/stdout`` does: replacing it would miss that.

    Where a shell has sent the output into a file, that is one like any other, but for who has it open.
    """
    place = os.path.abspath(path)  # noqa: PTH100  # pathlib has none that leaves links alone
    for _ in range(MOST_LINKS):
        if place.startswith(("/dev/", "/proc/")) and not place.startswith("/dev/shm/"):  # noqa: S108
            return True
        try:
            place = os.path.join(os.path.dirname(place), os.readlink(place))  # noqa: PTH115, PTH118, PTH120
        except OSError:  # no link
            return False
    return False


def _told(path: Path, error: OSError) -> BatchnbError:
    why = error.strerror or str(error)
    if isinstance(error, IsADirectoryError):
        return InputError(f"{path} is a folder: name a file in it. Nothing was written.")
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        folder = Path(os.path.realpath(path)).parent
        return InputError(f"There is no folder {folder}: make it, or name another. Nothing was written.")
    if isinstance(error, PermissionError):
        return InputError(
            f"{path} may not be written to ({why}). Close it where it is open, make it writable, or name another file. "
            "What was there is as it was."
        )
    return BatchnbError(
        f"{path} could not be written ({why}). Make room, or name another file. What was there is as it was."
    )
