"""The connection to a ledger's file: one for the threads of a process, and none that is carried across a fork.

SQLite keeps in memory which locks a process has on a file. A forked child would believe in those of its parent, and
has none of them: whatever it then did with the file, even to close it, could destroy what others write
(sqlite.org/howtocorrupt.html, section 2.6). So the connection is closed before a fork, and made anew on either side
when it is next used.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from batchnb.errors import LedgerError
from batchnb.system.forks import at_forks, keep_untouched

__all__ = ["LOCK_PATIENCE", "Connection"]

#: Seconds for which another process may have a ledger locked.
LOCK_PATIENCE = 30.0

#: What is kept of the file in memory, in KiB: room for the index of a million questions, which is written all over.
CACHE_KIB = 32_000

#: The -wal file is cut to this when it is begun anew; else it would stay as large as the largest job.
LOG_BYTES = 16_000_000

#: How long a fork waits for another thread to be done with a file, in seconds.
FORK_PATIENCE = 5.0

#: Numbers the connections of this process, going on from those of its parent.
_numbers = itertools.count(1)

#: Files that were in use when this process was forked: what SQLite believes of their locks is not true here.
_inherited: set[Path] = set()


class Connection:
    """The one connection to a file, used by one thread at a time.

    Parameters
    ----------
    path : Path
        The file, which must be there when `open` is called.
    lock_patience : float
        Seconds for which another process may have it locked.

    Attributes
    ----------
    number : int
        Differs between any two connections that this process, or one that it was forked from, had.
    """

    def __init__(self, path: Path, lock_patience: float) -> None:
        self.path = path
        self._lock_patience = lock_patience
        self.number = 0
        self._lock = threading.RLock()
        self._uses = 0
        self._db: sqlite3.Connection | None = None
        self._known: int | None = None
        self._closed = False
        self._forking = False
        at_forks(
            self, before=self._before_fork, in_parent=self._after_fork_in_parent, in_child=self._after_fork_in_child
        )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other threads, and forks by them, waiting."""
        with self._lock:
            yield

    @contextlib.contextmanager
    def used(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection; another is made where there was a fork since it was last used.

        Raises
        ------
        LedgerError
            The file is not to be used any more: it was moved, or this process was forked while it was being written.
        """
        with self._lock:
            db = self._db or self._again()
            self._uses += 1
            try:
                yield db
            finally:
                self._uses -= 1

    def open(self, *, movable: bool) -> None:
        """Open the file for the first time.

        Parameters
        ----------
        movable : bool
            Whether nobody else tells when the file is moved or deleted: SQLite does with a rollback journal.
        """
        # Windows lets nobody move or delete a file that SQLite has open, and numbers of files may change there.
        self._known = self.path.stat().st_ino if movable and os.name == "posix" else None
        self._connect()

    def require_in_place(self) -> None:
        """Raise LedgerError where the file is no longer what was opened.

        What is written into a file that was moved or deleted is not found again by the cell that is run again.
        """
        try:
            found: int | None = self.path.stat().st_ino
        except OSError:
            found = None
        if found is None or self._known not in (None, found):
            what = "is not there any more" if found is None else "is another file now"
            raise LedgerError(
                f"The ledger {self.path} {what}: it was moved or deleted, or its disk was unmounted, while in use. "
                "Nothing was sent. Put it back, or restart the kernel, and run the cell again."
            )

    def _again(self) -> sqlite3.Connection:
        if self._closed:
            raise sqlite3.ProgrammingError("The ledger was closed.")
        self.require_in_place()
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        if self.path in _inherited:
            raise LedgerError(
                f"The ledger {self.path} was being written at the very moment this process was forked, so it cannot be "
                "used here. Nothing was sent. Use it in the parent, or start the process anew, as "
                'multiprocessing.get_context("spawn") does.'
            )
        self._db = db = sqlite3.connect(
            self.path, timeout=self._lock_patience, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        self.number = next(_numbers)
        try:
            _set_up(db)
        except BaseException:
            self._db = None
            db.close()
            raise
        return db

    def close(self) -> None:
        """Close the file. Further use is an error."""
        with self._lock:
            db, self._db, self._closed = self._db, None, True
            if db is not None:
                db.close()

    # Forks

    def _before_fork(self) -> None:
        """Close the connection, unless it is in use: by this very thread, or for long by another."""
        if not self._lock.acquire(timeout=FORK_PATIENCE):
            return
        self._forking = True  # the lock is held until after the fork
        if self._db is not None and not self._uses:
            db, self._db = self._db, None
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _after_fork_in_parent(self) -> None:
        """Let other threads go on."""
        if self._forking:
            self._forking = False
            self._lock.release()

    def _after_fork_in_child(self) -> None:
        """Begin without a connection; where the parent's could not be closed, leave the file alone for good."""
        if self._db is not None:
            keep_untouched(self._db)
            _inherited.add(self.path)
        self._db, self._lock, self._uses, self._forking = None, threading.RLock(), 0, False


def _set_up(db: sqlite3.Connection) -> None:
    """Set what every connection forgets."""
    # Off but where something is deleted: every row written would be looked up in the tables that it refers to.
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    db.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone does not reach the disk there
