"""The simulator's state on disk: batches, their requests and results, in one SQLite file.

The only module that knows SQL. One connection behind one lock: short transactions, and readers of results take them
in chunks, so that no caller holds the lock for long.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from batchnb.sim.state.folder import StateError
from batchnb.sim.state.forks import Guarded

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of creation
    id TEXT NOT NULL UNIQUE,
    total INTEGER NOT NULL,
    version TEXT NOT NULL,                  -- the anthropic-version of the create call
    beta INTEGER NOT NULL,
    created_at REAL NOT NULL,               -- seconds since the epoch, as every time here
    due_at REAL NOT NULL,                   -- when processing ends
    planned REAL NOT NULL,                  -- the seconds that processing would take undisturbed
    expires INTEGER NOT NULL,               -- whether it ends by expiring
    vanished INTEGER NOT NULL,
    cancel_at REAL,
    ended_at REAL,
    deleted_at REAL,
    succeeded INTEGER NOT NULL DEFAULT 0,
    errored INTEGER NOT NULL DEFAULT 0,
    canceled INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0,
    betas TEXT NOT NULL DEFAULT ''          -- the values of the create call's anthropic-beta header
);
CREATE TABLE IF NOT EXISTS request (
    batch INTEGER NOT NULL,                 -- batch.seq
    row INTEGER NOT NULL,                   -- position in the create call
    custom_id TEXT NOT NULL,
    params BLOB NOT NULL,                   -- JSON as it was received
    fate TEXT,                              -- what a fault has in store for it
    outcome TEXT,                           -- succeeded, errored, canceled or expired
    result BLOB,                            -- the `result` object as JSON
    PRIMARY KEY (batch, row)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of upload
    id TEXT NOT NULL UNIQUE,                -- also the name of the file that holds its bytes
    filename TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    size INTEGER NOT NULL,                  -- in bytes
    created_at REAL NOT NULL,
    expires_at REAL
);
"""


@dataclass(frozen=True)
class BatchRow:
    """A batch as it is stored; see the schema for the meaning of the fields."""

    seq: int
    id: str
    total: int
    version: str
    beta: bool
    created_at: float
    due_at: float
    planned: float
    expires: bool
    vanished: bool
    cancel_at: float | None
    ended_at: float | None
    deleted_at: float | None
    succeeded: int
    errored: int
    canceled: int
    expired: int
    betas: str


@dataclass(frozen=True)
class RequestRow:
    """A request to be executed: its position, custom_id, params as JSON, and what a fault has in store for it."""

    row: int
    custom_id: str
    params: bytes
    fate: str | None


@dataclass(frozen=True)
class FileRow:
    """An uploaded file as it is stored; see the schema for the meaning of the fields."""

    seq: int
    id: str
    filename: str
    mime_type: str
    size: int
    created_at: float
    expires_at: float | None


_COLUMNS = ", ".join(field.name for field in fields(BatchRow))
_FILE_COLUMNS = ", ".join(field.name for field in fields(FileRow))


class Store(Guarded):
    """The state of one simulator.

    Parameters
    ----------
    path
        The file, which exists, though it may be empty.

    Raises
    ------
    StateError
        When the file is not SQLite's, or cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self.guard()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            if "betas" not in [column[1] for column in self._db.execute("PRAGMA table_info(batch)")]:
                self._db.execute("ALTER TABLE batch ADD COLUMN betas TEXT NOT NULL DEFAULT ''")
        except sqlite3.DatabaseError as problem:
            self._db.close()
            raise StateError(f"{path} cannot be used ({problem}); name another state folder") from problem

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def remember(self, name: str, default: str) -> str:
        """Return a named value of this state, storing the default when there is none.

        Raises
        ------
        StateError
            When it cannot be stored.
        """
        try:
            with self._transaction():
                self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, default))
                value = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0]
        except sqlite3.Error as problem:
            raise StateError(
                f"the simulator's state cannot be written ({problem}); name another state folder"
            ) from None
        return str(value)

    def add_batch(
        self,
        batch_id: str,
        requests: Sequence[tuple[str, bytes]],
        fates: dict[int, str],
        *,
        version: str,
        beta: bool,
        betas: str,
        created_at: float,
        due_at: float,
        planned: float,
        expires: bool,
        vanished: bool,
    ) -> BatchRow:
        """Store a batch with its requests, given as (custom_id, params), and return it."""
        with self._transaction():
            seq = self._db.execute(
                "INSERT INTO batch (id, total, version, beta, betas, created_at, due_at, planned, expires, vanished)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (batch_id, len(requests), version, beta, betas, created_at, due_at, planned, expires, vanished),
            ).lastrowid
            self._db.executemany(
                "INSERT INTO request (batch, row, custom_id, params, fate) VALUES (?, ?, ?, ?, ?)",
                ((seq, i, custom_id, params, fates.get(i)) for i, (custom_id, params) in enumerate(requests)),
            )
        batch = self.batch(batch_id)
        assert batch is not None  # noqa: S101 - it was stored in this very call
        return batch

    def batch(self, batch_id: str) -> BatchRow | None:
        """Return a batch, deleted ones included."""
        with self._lock:
            row = self._db.execute(f"SELECT {_COLUMNS} FROM batch WHERE id = ?", (batch_id,)).fetchone()  # noqa: S608 - a constant
        return _batch(row) if row else None

    def count(self) -> int:
        """Return how many batches were ever accepted."""
        with self._lock:
            return int(self._db.execute("SELECT COUNT(*) FROM batch").fetchone()[0])

    def queued(self) -> int:
        """Return how many requests stand in batches that have not ended."""
        with self._lock:
            return int(self._db.execute("SELECT TOTAL(total) FROM batch WHERE ended_at IS NULL").fetchone()[0])

    def due(self, now: float) -> list[BatchRow]:
        """Return the batches whose time has come and that have not ended."""
        query = f"SELECT {_COLUMNS} FROM batch WHERE ended_at IS NULL AND due_at <= ?"  # noqa: S608 - a constant
        with self._lock:
            return [_batch(row) for row in self._db.execute(query, (now,)).fetchall()]

    def page(self, limit: int, *, older_than: int | None = None, newer_than: int | None = None) -> list[BatchRow]:
        """Return visible batches, newest first: the newest, those right below a seq, or those right above one."""
        visible = f"SELECT {_COLUMNS} FROM batch WHERE deleted_at IS NULL AND NOT vanished"  # noqa: S608 - a constant
        with self._lock:
            if newer_than is not None:
                query = f"{visible} AND seq > ? ORDER BY seq LIMIT ?"
                return [_batch(row) for row in self._db.execute(query, (newer_than, limit)).fetchall()][::-1]
            bound = 2**62 if older_than is None else older_than
            query = f"{visible} AND seq < ? ORDER BY seq DESC LIMIT ?"
            return [_batch(row) for row in self._db.execute(query, (bound, limit)).fetchall()]

    def cancel(self, seq: int, cancel_at: float, due_at: float) -> None:
        """Note that a batch is to be canceled, and when that will be done. Does nothing to one that has ended."""
        query = "UPDATE batch SET cancel_at = ?, due_at = ? WHERE seq = ? AND ended_at IS NULL"
        with self._transaction():
            self._db.execute(query, (cancel_at, due_at, seq))

    def delete(self, seq: int, deleted_at: float) -> None:
        """Hide a batch and forget its results; its requests stay, for they were accepted."""
        with self._transaction():
            self._db.execute("UPDATE batch SET deleted_at = ? WHERE seq = ?", (deleted_at, seq))
            self._db.execute("UPDATE request SET result = NULL WHERE batch = ?", (seq,))

    def forget(self, created_until: float) -> None:
        """Forget the requests and results of batches so old that have ended; the batches themselves stay listed."""
        old = "SELECT seq FROM batch WHERE created_at <= ? AND ended_at IS NOT NULL"
        with self._transaction():
            self._db.execute(f"DELETE FROM request WHERE batch IN ({old})", (created_until,))  # noqa: S608 - a constant

    def requests(self, seq: int, *, chunk: int = 250) -> Iterator[list[RequestRow]]:
        """Yield the requests of a batch that have no outcome yet, in chunks and in order."""
        last = -1
        query = (
            "SELECT row, custom_id, params, fate FROM request"
            " WHERE batch = ? AND row > ? AND outcome IS NULL ORDER BY row LIMIT ?"
        )
        while True:
            with self._lock:
                rows = self._db.execute(query, (seq, last, chunk)).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield [RequestRow(*row) for row in rows]

    def save_results(self, seq: int, results: Iterable[tuple[int, str, bytes]]) -> None:
        """Store outcomes, given as (row, outcome, result as JSON), in one transaction."""
        with self._transaction():
            self._db.executemany(
                "UPDATE request SET outcome = ?, result = ? WHERE batch = ? AND row = ? AND outcome IS NULL",
                ((outcome, result, seq, row) for row, outcome, result in results),
            )

    def end(self, seq: int) -> None:
        """Let a batch have ended when it was due, with the counts of its outcomes."""
        with self._transaction():
            tally = dict(
                self._db.execute("SELECT outcome, COUNT(*) FROM request WHERE batch = ? GROUP BY outcome", (seq,))
            )
            # A cancel that came while the rows were being answered came before the end.
            self._db.execute(
                "UPDATE batch SET ended_at = MAX(due_at, COALESCE(cancel_at, due_at)),"
                " succeeded = ?, errored = ?, canceled = ?, expired = ? WHERE seq = ?",
                (*(tally.get(name, 0) for name in ("succeeded", "errored", "canceled", "expired")), seq),
            )

    def results(self, seq: int, rows: Sequence[int], *, chunk: int = 500) -> Iterator[list[tuple[str, bytes]]]:
        """Yield (custom_id, result as JSON) of these rows of a batch, in their order, in chunks."""
        for start in range(0, len(rows), chunk):
            wanted = rows[start : start + chunk]
            marks = ",".join("?" * len(wanted))
            query = f"SELECT row, custom_id, result FROM request WHERE batch = ? AND row IN ({marks})"  # noqa: S608 - marks
            with self._lock:
                found = {row: (name, result) for row, name, result in self._db.execute(query, (seq, *wanted))}
            yield [found[row] for row in wanted if row in found and found[row][1] is not None]

    def record(self, *, chunk: int = 5000) -> Iterator[tuple[str, float, str, str | None, bytes]]:
        """Yield (batch id, created_at, custom_id, outcome, params) of every accepted request, in order."""
        query = (
            "SELECT b.seq, r.row, b.id, b.created_at, r.custom_id, r.outcome, r.params FROM request r"
            " JOIN batch b ON b.seq = r.batch WHERE (r.batch, r.row) > (?, ?) ORDER BY r.batch, r.row LIMIT ?"
        )
        last = (-1, -1)
        while True:
            with self._lock:
                rows = self._db.execute(query, (*last, chunk)).fetchall()
            if not rows:
                return
            last = rows[-1][:2]
            for row in rows:
                yield row[2:]

    def add_file(
        self, file_id: str, *, filename: str, mime_type: str, size: int, created_at: float, expires_at: float | None
    ) -> FileRow:
        """Store what is known of a file, and return it."""
        values = (file_id, filename, mime_type, size, created_at, expires_at)
        with self._transaction():
            seq = self._db.execute(
                "INSERT INTO file (id, filename, mime_type, size, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
                values,
            ).lastrowid
        return FileRow(seq or 0, *values)

    def file(self, file_id: str) -> FileRow | None:
        """Return a file, expired ones included."""
        query = f"SELECT {_FILE_COLUMNS} FROM file WHERE id = ?"  # noqa: S608 - a constant
        with self._lock:
            row = self._db.execute(query, (file_id,)).fetchone()
        return FileRow(*row) if row else None

    def files(self, limit: int, *, now: float, older_than: int | None = None) -> list[FileRow]:
        """Return files that have not expired, newest first: the newest, or those right below a seq."""
        query = (
            f"SELECT {_FILE_COLUMNS} FROM file WHERE (expires_at IS NULL OR expires_at > ?)"  # noqa: S608 - a constant
            " AND seq < ? ORDER BY seq DESC LIMIT ?"
        )
        with self._lock:
            found = self._db.execute(query, (now, 2**62 if older_than is None else older_than, limit)).fetchall()
        return [FileRow(*row) for row in found]

    def file_ids(self) -> set[str]:
        """Return the ids of all files."""
        with self._lock:
            return {file_id for (file_id,) in self._db.execute("SELECT id FROM file")}

    def file_bytes(self) -> int:
        """Return how many bytes all files take together."""
        with self._lock:
            return int(self._db.execute("SELECT TOTAL(size) FROM file").fetchone()[0])

    def delete_file(self, file_id: str) -> None:
        """Forget a file."""
        with self._transaction():
            self._db.execute("DELETE FROM file WHERE id = ?", (file_id,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it
                    self._db.execute("ROLLBACK")
                raise


def new_identity() -> str:
    """Return a random id for a new state."""
    return f"sim-{secrets.token_hex(8)}"


def _batch(row: Sequence[object]) -> BatchRow:
    values = dict(zip((field.name for field in fields(BatchRow)), row, strict=True))
    for name in ("beta", "expires", "vanished"):
        values[name] = bool(values[name])
    return BatchRow(**values)  # type: ignore[arg-type] # the columns are the fields, by construction
