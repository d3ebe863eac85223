"""Who is sending: one lock file per ledger in use, held for as long as its process lives.

The operating system lets go of the lock when a process dies, however it dies, and keeps it while a process is merely
suspended. So a batch is abandoned when its owner's lock is free, and never because a clock says so. A lock file that is
not there proves nothing, since anybody may have removed it: then an owner counts as alive for as long as a call that it
was making may take.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import time
import uuid
from pathlib import Path

import filelock

from batchnb.errors import LedgerError
from batchnb.ledger.network_disk import on_network_disk
from batchnb.system.disk import ELSEWHERE, private_folder
from batchnb.system.forks import at_forks

__all__ = ["LONGEST_CALL", "Owner"]

#: A lock file is never followed elsewhere, where the system can be told so.
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)

#: Seconds after which a call that makes a batch has ended one way or another: the SDK gives one ten minutes.
LONGEST_CALL = 660.0

#: Seconds after its owner's last claim for which a lock file that is free is kept. It spares others `LONGEST_CALL`.
KEPT = 6 * LONGEST_CALL


class Owner:
    """A name under which batches are claimed, with the lock that shows it is alive.

    Parameters
    ----------
    home : Path
        The folder the owners of all processes share.
    longest_call : float
        Seconds after which a call that makes a batch has ended one way or another.

    Raises
    ------
    LedgerError
        The folder takes no locks.
    """

    def __init__(self, home: Path, *, longest_call: float = LONGEST_CALL) -> None:
        self._longest_call = longest_call
        self._folder = private_folder(home / "owners")
        self._missing_since: dict[str, float] = {}
        self.name = uuid.uuid4().hex
        self._process = os.getpid()
        self._file: int | None = None
        # Told first: a fork of another thread may come at any moment.
        at_forks(self, in_child=self._after_fork_in_child)
        self._file = self._locked(self._path_of(self.name))
        self._sweep()

    # This one

    def show(self) -> None:
        """Make sure that others can see that this owner lives, and until when it last claimed something.

        Called before each claim: whoever cleans up folders of temporary files may have removed the lock file.

        Raises
        ------
        LedgerError
            The lock file was removed, and cannot be made again.
        """
        path = self._path_of(self.name)
        try:
            if self._file is not None and os.path.samestat(os.fstat(self._file), path.stat()):
                os.utime(path)
                return
        except OSError:
            pass  # not there, or no longer to be reached: what is made now tells why
        private_folder(self._folder)
        # Locked before it has its name: nobody may find it free.
        draft = path.with_suffix(".new")
        replaced, self._file = self._file, self._locked(draft)
        draft.replace(path)
        _let_go(replaced)

    def release(self, *, claims: bool = False) -> None:
        """Give up the name: whatever it still claims is abandoned. Does nothing in a child of the process that made it.

        Parameters
        ----------
        claims : bool
            Whether it claims anything still. Then its lock file stays, for others to see that nobody holds it.
        """
        if self._process != os.getpid():
            return
        file, self._file = self._file, None
        _let_go(file)  # before it is removed: Windows removes no open files
        if not claims:
            with contextlib.suppress(OSError):
                self._path_of(self.name).unlink()

    def _after_fork_in_child(self) -> None:
        """Close the lock file, and no more: to unlock it here would unlock it for the parent, whose lock it is."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    # Others

    def may_act(self, name: str, age: float) -> bool:
        """Tell whether the owner of that name may still carry out what it claimed.

        Parameters
        ----------
        name : str
            An owner.
        age : float
            How long ago it made the claim, or last acted on it, in seconds.

        Returns
        -------
        bool
            False where its lock is free; or where there is no lock file, and the claim is so old that no call is still
            being made for it.
        """
        alive = self.is_alive(name)
        if alive is not None:
            self._missing_since.pop(name, None)
            return alive
        first = self._missing_since.setdefault(name, time.monotonic())
        # Or by how long it was waited for here: a clock may have been set back since.
        return max(age, time.monotonic() - first) < self._longest_call

    def is_alive(self, name: str) -> bool | None:
        """Tell whether the owner of that name lives; None where nothing tells."""
        if name == self.name:
            return True
        return self._is_held(self._path_of(name))

    def others_are_alive(self) -> bool:
        """Tell whether another owner lives, be it in this process or another."""
        names = [path.stem for path in self._folder.glob("*.lock")]
        return any(self.is_alive(name) for name in names if name != self.name)

    def _is_held(self, path: Path) -> bool | None:
        try:
            file = os.open(path, os.O_RDWR | NO_LINKS)
        except OSError:  # it is not there, as a rule
            return None
        try:
            if not filelock.lock_descriptor(file, blocking=False):
                return True
            # A disk that several machines share may keep each one's locks to itself.
            return None if on_network_disk(self._folder) and _machine_in(file) != _machine() else False
        except OSError:
            return None
        finally:
            _let_go(file)

    def _sweep(self) -> None:
        """Remove what owners have left that died long ago: what they claimed is as old."""
        now = time.time()
        for path in self._folder.glob("*"):
            with contextlib.suppress(OSError):
                if now - path.stat().st_mtime > KEPT and not self._is_held(path):
                    path.unlink()

    def _path_of(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _locked(self, path: Path) -> int:
        file = None
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINKS, 0o600)
            if not filelock.lock_descriptor(file, blocking=False):
                raise BlockingIOError(errno.EAGAIN, "somebody else holds the lock")
            os.ftruncate(file, 0)
            os.write(file, b"\n" + _machine().encode(errors="surrogateescape"))
        except OSError as error:
            if file is not None:
                os.close(file)
            raise LedgerError(
                f"The folder {self._folder} takes no file locks ({error}), so other processes could not tell whether "
                f"this one is still sending. Nothing was sent. Make it yours to write to. {ELSEWHERE}"
            ) from error
        return file


def _let_go(file: int | None) -> None:
    """Unlock a file and close it: to close it alone would leave it to a child that was forked meanwhile."""
    if file is not None:
        with contextlib.suppress(OSError):
            filelock.unlock_descriptor(file)
        os.close(file)


def _machine() -> str:
    """Return the name of this machine, whose processes see each other's locks."""
    return platform.node()


def _machine_in(file: int) -> str:
    """Return the machine of an owner, from its lock file, which must be locked: Windows lets nobody else read it."""
    os.lseek(file, 1, os.SEEK_SET)  # the first byte is what is locked there
    return os.read(file, 1000).decode(errors="surrogateescape")
