"""The ledger's file: opening, permissions, migrations, transactions."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

from batchnb.errors import LedgerError
from batchnb.ledger.connection import LOCK_PATIENCE, Connection
from batchnb.ledger.earlier import Earlier, set_aside
from batchnb.ledger.migrations import STEPS
from batchnb.ledger.network_disk import on_network_disk
from batchnb.system.disk import ELSEWHERE, name_once, private_file, private_folder, remove, sync_names

__all__ = ["DamagedLedgerError", "Store"]

#: Of a new file: four times SQLite's default, since texts and results leave less of larger pages empty.
PAGE_BYTES = 16_384

#: Bytes that are worth writing the file anew for, and how many seconds to wait for others to let go of it.
LEAST_BYTES, GIVE_BACK_PATIENCE = 1_000_000, 2.0

SLOWLY = (
    "is on a network disk. It is kept with a rollback journal there, which is slower, and relies on that disk's locks. "
    "If there is a folder on a local disk that lasts, set BATCHNB_HOME to it now, before anything is sent. (This is "
    "said once.)"
)

#: What helps where the file is no ledger any more.
MEND = (
    "Call batchnb.recover(): it sets the file aside, where it is kept, begins a new ledger, and takes back from the "
    "server what was answered; then run the cell again. (If you move it away yourself, the new one asks for the same "
    "before it sends.)"
)


def _make(path: Path, earlier: str | None) -> None:
    """Make a ledger's file, whole or not at all; one that is empty was cut off later. Another process may be first."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    private_file(draft).close()  # SQLite gives its -wal and -shm files the mode of the database
    try:
        with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as db:
            db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            db.execute("BEGIN")
            _migrate(db, 0)
            if earlier is not None:
                db.execute("INSERT INTO meta VALUES ('earlier', ?)", (earlier,))
            db.execute("COMMIT")
            # Here, where nobody else can be: for a change of this SQLite does not wait until others let go of the file.
            db.execute(f"PRAGMA journal_mode = {_journal(path)}")
        # What another database has left behind would be taken for this one's, and written into it.
        set_aside(path, "left")
        with contextlib.suppress(FileExistsError):
            name_once(draft, path)
    finally:
        remove(draft)
    sync_names(path.parent)


def _journal(path: Path) -> str:
    """Tell which kind of journal a ledger keeps: a write-ahead log needs memory that all its users share."""
    return "DELETE" if on_network_disk(path) else "WAL"


def _migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring a database from a version of the schema to the newest, within a transaction."""
    for number, step in enumerate(STEPS[version:], version + 1):
        for statement in _statements(step):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number}")


def _check(path: Path) -> None:
    """Refuse a file that SQLite would open and should not. It is not opened here: closing it would drop SQLite's locks.

    (Those of this process, if it has the file open elsewhere too; and then another process, when it leaves, takes the
    -wal file away.)
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not os.access(path, os.R_OK | os.W_OK):
        # SQLite would open it for reading, and leave files beside it that nobody can write to.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    found = path.stat()
    if found.st_size == 0:
        raise DamagedLedgerError(
            f"The ledger {path} is empty: it was cut off, as by a copy that failed. {MEND} Nothing was sent."
        )
    if found.st_mode & 0o077:
        with contextlib.suppress(OSError):  # as on a disk without modes
            path.chmod(0o600)


def _identify(db: sqlite3.Connection, path: Path, identity: dict[str, str]) -> None:
    """Write what a database is for into it, or compare that with what it says of itself."""
    found = dict(db.execute("SELECT name, value FROM meta").fetchall())
    for name, value in identity.items():
        if found.setdefault(name, value) != value:
            raise LedgerError(
                f"The ledger {path} keeps answers of {found[name]!r}, not of {value!r}; it was left alone. "
                "Give this workspace a home of its own, Workspace(home=...), and call its recover() first: it takes "
                "back what was bought in that scope."
            )
    db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", identity.items())


class DamagedLedgerError(LedgerError):
    """The ledger's file is no ledger, or no longer one."""


class Store:
    """One SQLite file and the one connection to it, shared by this process's threads under a lock.

    Parameters
    ----------
    path : Path
        The file; made, with mode 0600, if it does not exist.
    identity : dict of str to str
        What the file must be for: compared with what it says of itself, or written into a new one.
    lock_patience : float
        Seconds for which another process may have it locked.

    Attributes
    ----------
    is_behind : bool
        Whether the file has forgotten what was recorded: it is an older one, such as a backup.
    """

    def __init__(self, path: Path, identity: dict[str, str], *, lock_patience: float = LOCK_PATIENCE) -> None:
        self.path = path
        self._lock_patience = lock_patience
        self._depth = 0
        self._changes = 0
        self.is_behind = False
        self._earlier = Earlier(path.parent.parent, path)
        self._connection = Connection(path, lock_patience)
        private_folder(path.parent)
        with self._connection.held(), self._errors():
            if path.is_symlink() and not path.exists():
                raise LedgerError(
                    f"The ledger {path} is a link to a file that is not there, as where its disk is not mounted. Mend "
                    "that; or remove the link: then a new ledger is begun, and asks for batchnb.recover() first."
                )
            self._is_new = not path.exists()
            if self._is_new:
                with self._earlier.making():
                    if not path.exists():
                        _make(path, self._earlier.traces())
            _check(path)
            journal = _journal(path)
            try:
                self._connection.open(movable=journal == "WAL")
                self._prepare(identity, journal)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, identity: dict[str, str], journal: str) -> None:
        with self.read() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:  # a new one is never seen without its tables
            raise DamagedLedgerError(f"The file {self.path} is a database, but no ledger. {MEND} Nothing was sent.")
        if version > len(STEPS):
            raise LedgerError(
                f"The ledger {self.path} was written by a newer batchnb (schema {version}, this one knows "
                f"{len(STEPS)}). Nothing was changed. Upgrade: pip install --upgrade batchnb"
            )
        with self.read() as db:
            db.execute(f"PRAGMA journal_mode = {journal}")
        if journal == "DELETE" and self._is_new:
            warnings.warn(f"The ledger {self.path} {SLOWLY}", stacklevel=8)  # the line that used it, more or less
        with self.transaction(durable=True, counts=False) as db:
            # Read again inside the transaction: another process may have migrated in the meantime.
            _migrate(db, db.execute("PRAGMA user_version").fetchone()[0])
            _identify(db, self.path, identity)
            self._compare(db)

    def _compare(self, db: sqlite3.Connection) -> None:
        """Find out whether the file has recorded less than was noted of it: then nothing may be sent unasked."""
        recorded, noted = _recorded(db), self._earlier.changes()
        if recorded < noted:
            self.is_behind = True
            db.execute("INSERT OR REPLACE INTO meta VALUES ('changes', ?)", (str(noted),))
            why = "it has forgotten what was recorded since: it is a backup, or has lost its log"
            db.execute("INSERT OR IGNORE INTO meta VALUES ('earlier', ?)", (why,))
        self._earlier.note(max(recorded, noted))

    def earlier(self) -> str | None:
        """Tell what says that a ledger before this one, or this one, knew of more; None where nothing does."""
        with self.read() as db:
            found = db.execute("SELECT value FROM meta WHERE name = 'earlier'").fetchone()
        return None if found is None else str(found[0])

    def forget_earlier(self) -> None:
        """Go on without what it knew."""
        with self.transaction(durable=True) as db:
            db.execute("DELETE FROM meta WHERE name = 'earlier'")

    @contextlib.contextmanager
    def transaction(
        self, *, durable: bool = False, rows: bool = True, cascade: bool = False, counts: bool = True
    ) -> Iterator[sqlite3.Connection]:
        """Run a write transaction; one inside another is part of it.

        Parameters
        ----------
        durable : bool
            Whether the commit must survive a power cut: intents and batch ids must, results may be read again.
            (``synchronous=EXTRA``, which is FULL for a write-ahead log, and with a rollback journal makes sure that it
            is gone.)
        rows : bool
            Whether it may change what became of rows; see `revision`.
        cascade : bool
            Whether what is deleted takes along what belongs to it. (Not for a transaction inside another.)
        counts : bool
            Whether what it changes durably is counted, so that an older file can be told.
        """
        with self.read() as db:
            if self._depth:
                yield db
                return
            try:
                db.execute(f"PRAGMA synchronous = {'EXTRA' if durable else 'NORMAL'}")
                if cascade:
                    db.execute("PRAGMA foreign_keys = ON")
                db.execute("BEGIN IMMEDIATE")
                self._depth += 1
                before, recorded = db.total_changes, 0
                yield db
                if durable and counts and db.total_changes != before:
                    recorded = _recorded(db) + 1
                    db.execute("INSERT OR REPLACE INTO meta VALUES ('changes', ?)", (str(recorded),))
                db.execute("COMMIT")
                self._changes += rows
                if recorded:
                    self._earlier.note(recorded)
                if durable:
                    # What must never be forgotten does not stay in the -wal file alone: SQLite leaves out, in silence,
                    # what follows the first damaged page of that.
                    with contextlib.suppress(sqlite3.DatabaseError):
                        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
            except BaseException:
                # Also where the commit itself failed, or an interrupt fell between two lines of this. On a full disk
                # SQLite has rolled back by itself.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0
                if cascade:
                    db.execute("PRAGMA foreign_keys = OFF")

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for reading."""
        with self._errors(), self._connection.used() as db:
            yield db

    @contextlib.contextmanager
    def consistently(self) -> Iterator[None]:
        """Have all that is read meanwhile be of one moment, whatever other threads and processes write. Only reads."""
        with self.read() as db:
            if db.in_transaction:
                yield
                return
            db.execute("BEGIN")
            try:
                yield
            finally:
                if db.in_transaction:
                    db.execute("COMMIT")

    def foreign_revision(self) -> int:
        """Return a value that differs whenever another process has written since."""
        with self.read() as db:
            # The version is one of the connection, so that those of two cannot be compared.
            return (self._connection.number << 32) + int(db.execute("PRAGMA data_version").fetchone()[0])

    def revision(self) -> tuple[int, int]:
        """Return a value that differs whenever what became of rows may have changed since."""
        return self._changes, self.foreign_revision()

    def give_back(self) -> None:
        """Give the space of what was deleted back to the disk: where it is worth it, and nobody else is in the way.

        The file is written anew, which takes as much room on the disk again until it is done. Whatever happens
        meanwhile, it is either the old one or the new one. What is not given back is used again.
        """
        with self.read() as db:
            free, pages, size = (
                db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count", "page_size")
            )
            if free * size < LEAST_BYTES or free * 5 < pages:
                return
            db.execute(f"PRAGMA busy_timeout = {GIVE_BACK_PATIENCE * 1000:.0f}")
            try:
                with contextlib.suppress(sqlite3.OperationalError):  # in use elsewhere, or no room: the next time
                    db.execute("VACUUM")
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                db.execute(f"PRAGMA busy_timeout = {self._lock_patience * 1000:.0f}")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            damaged = any(part in str(error) for part in ("malformed", "not a database"))
            kind = DamagedLedgerError if damaged else LedgerError
            raise kind(f"The ledger {self.path}: {_advice(error, self._lock_patience)}") from error
        except OSError as error:
            # The file itself, a draft of it, or what is set aside.
            if error.filename is not None and str(error.filename).startswith(str(self.path)):
                raise LedgerError(
                    f"The ledger {self.path} cannot be opened: {error.strerror}. Nothing was sent. Make it yours to "
                    f"read and write. {ELSEWHERE}"
                ) from error
            raise

    def close(self) -> None:
        """Close the file. Further use is an error."""
        self._connection.close()

    def require_in_place(self) -> None:
        """Raise LedgerError where the file was moved or deleted since it was opened, so that nothing is sent then."""
        self._connection.require_in_place()


def _recorded(db: sqlite3.Connection) -> int:
    """Read how many durable changes a ledger has recorded; one of before they were counted, none."""
    found = db.execute("SELECT value FROM meta WHERE name = 'changes'").fetchone()
    return 0 if found is None else int(found[0])


def _statements(script: str) -> Iterator[str]:
    """Cut a script into statements: ``executescript`` would commit the transaction it runs in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _advice(error: sqlite3.DatabaseError, lock_patience: float) -> str:
    text = str(error)
    for part, advice in (
        (
            "locked",
            f"another process has locked it for {lock_patience:.0f} s. Try again when that has finished.",
        ),
        (
            "disk is full",
            "the disk is full. What was not recorded was not sent; free space and run the cell again.",
        ),
        (
            "disk I/O error",
            "the disk fails, or a quota is used up. What was not recorded was not sent. Make room; run the cell again.",
        ),
        ("readonly", f"it cannot be written to. Make it and its folder writable. {ELSEWHERE}"),
        ("unable to open", f"it cannot be opened. Make it and its folder yours to read and write. {ELSEWHERE}"),
        ("malformed", f"the file is damaged. {MEND}"),
        ("not a database", f"the file is not a ledger, or is damaged. {MEND}"),
    ):
        if part in text:
            return advice
    return f"{text}. Nothing that could not be recorded was sent."
