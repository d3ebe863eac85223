"""Who is sending: one lock file per ledger in use, held for as long as its process lives.

The operating system lets go of the lock when a process dies, however it dies, and keeps it while a process is merely
suspended. So a batch is abandoned when its owner's lock is free, and never because a clock says so.
"""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

import filelock

from batchnb.errors import LedgerError
from batchnb.ledger.store import make_private_folder

__all__ = ["Owner"]


class Owner:
    """A name under which batches are claimed, with the lock that shows it is alive.

    Parameters
    ----------
    home : Path
        The folder the owners of all processes share.
    """

    def __init__(self, home: Path) -> None:
        self._folder = make_private_folder(home / "owners")
        self.name = uuid.uuid4().hex
        self._lock = self._lock_of(self.name)
        try:
            self._lock.acquire(timeout=0)
        except (OSError, NotImplementedError) as error:
            raise LedgerError(
                f"The folder {self._folder} takes no file locks ({error}), so other processes could not tell whether "
                "this one is still sending. Nothing was sent. Set BATCHNB_HOME to a folder on a local disk."
            ) from error

    def is_alive(self, name: str) -> bool:
        """Tell whether the owner of that name still lives. The file of a dead one is removed."""
        if name == self.name:
            return True
        path = self._folder / f"{name}.lock"
        if not path.exists():
            return False
        lock = self._lock_of(name)
        try:
            lock.acquire(timeout=0)
        except OSError:  # held (filelock.Timeout is one), or not to be told: then nothing may be taken from it
            return True
        self._remove(lock)
        return False

    def release(self) -> None:
        """Give up the name: whatever it still claims is abandoned."""
        self._remove(self._lock)

    def _lock_of(self, name: str) -> filelock.BaseFileLock:
        return filelock.FileLock(self._folder / f"{name}.lock", mode=0o600, thread_local=False)

    @staticmethod
    def _remove(lock: filelock.BaseFileLock) -> None:
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()
