"""Files that requests name by their content: which there are, where the server has them, and which are still needed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from batchnb.answers.judge import PAID, refused_result
from batchnb.ledger.fragments import LIVE, UNPAID_ANSWER, UNSENT
from batchnb.ledger.spool import Spool
from batchnb.ledger.store import Store
from batchnb.questions.media import Medium

__all__ = ["FileRecord", "Files", "KnownFile", "NamedFile"]

#: Seconds before its end from which on a file counts as gone: a batch may take a day to read it.
SPARE = 25 * 3600.0

#: Files (f) that the server has for long enough (:soon).
_THERE = "f.server_id IS NOT NULL AND (f.expires_at IS NULL OR f.expires_at > :soon)"

#: Requests (r) that wait to be sent, or are in a batch that is not read to its end.
_NEEDY = f"""
    NOT EXISTS (SELECT 1 FROM answers AS a WHERE a.request = r.id)
    AND (r.batch IS NULL OR EXISTS (SELECT 1 FROM batches AS b WHERE b.id = r.batch AND b.state IN {(*LIVE, "lost")}))
"""


class FileRecord(NamedTuple):
    """A file that is to be uploaded."""

    id: int
    sha256: str
    media_type: str
    name: str
    bytes: int


class NamedFile(NamedTuple):
    """A file that a job's requests name; `server_id` is None where the server does not have it."""

    sha256: str
    media_type: str
    name: str
    bytes: int
    server_id: str | None


class KnownFile(NamedTuple):
    """A file of the server that this ledger knows: how many requests name it, and how many of them still need it."""

    server_id: str
    name: str
    requests: int
    needed: int


class Files:
    """Files and where they are.

    Parameters
    ----------
    store : Store
        The ledger's file.
    spool : Spool
        Where bytes wait to be uploaded.
    """

    def __init__(self, store: Store, spool: Spool) -> None:
        self._store = store
        self.spool = spool
        #: Held by the thread of this process that is uploading a file.
        self.uploading = threading.Lock()

    # What is named

    def are_named(self) -> bool:
        """Tell whether any request names a file at all: a ledger of plain text asks nothing more of this class."""
        with self._store.read() as db:
            return db.execute("SELECT 1 FROM request_files LIMIT 1").fetchone() is not None

    def known(self, sha256: Iterable[str]) -> set[str]:
        """Return those of the files that requests name already, or that the server has."""
        query = (
            "SELECT 1 FROM files AS f WHERE sha256 = ?"
            " AND (server_id IS NOT NULL OR EXISTS (SELECT 1 FROM request_files WHERE file = f.id))"
        )
        with self._store.read() as db:
            return {one for one in sha256 if db.execute(query, (one,)).fetchone() is not None}

    def absent(self, sha256: Iterable[str], now: float) -> set[str]:
        """Return those of the files that the server does not have for long enough."""
        query = f"SELECT 1 FROM files AS f WHERE f.sha256 = :sha256 AND {_THERE}"
        with self._store.read() as db:
            return {one for one in sha256 if db.execute(query, {"sha256": one, "soon": now + SPARE}).fetchone() is None}

    def is_there(self, file: int, now: float) -> bool:
        """Tell whether the server has a file for long enough."""
        query = f"SELECT 1 FROM files AS f WHERE f.id = :file AND {_THERE}"
        with self._store.read() as db:
            return db.execute(query, {"file": file, "soon": now + SPARE}).fetchone() is not None

    def link(self, named: Sequence[tuple[int, tuple[Medium, ...]]]) -> None:
        """Record the files that new requests name."""
        media = {medium.sha256: medium for _, files in named for medium in files}
        with self._store.transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO files (sha256, media_type, name, bytes) VALUES (?, ?, ?, ?)",
                [(one.sha256, one.media_type, one.name, one.size) for one in media.values()],
            )
            db.executemany(
                "INSERT OR IGNORE INTO request_files SELECT ?, id FROM files WHERE sha256 = ?",
                [(request, medium.sha256) for request, files in named for medium in files],
            )

    # Uploading

    def next_absent(self, job: int, now: float, requests: int) -> FileRecord | None:
        """Return the first file that the next unsent requests of a job need, and the server does not have.

        Parameters
        ----------
        job : int
            The job's number.
        now : float
            Seconds since the epoch.
        requests : int
            How many requests are looked at: those that the next batch may take.
        """
        # The requests are picked as Batches.claim picks them: what that takes has been looked at.
        query = f"""
            SELECT f.id, f.sha256, f.media_type, f.name, f.bytes
            FROM (SELECT DISTINCT r.id AS request {UNSENT} ORDER BY u.position, r.id LIMIT :requests) AS next
            JOIN request_files AS n ON n.request = next.request JOIN files AS f ON f.id = n.file
            WHERE NOT ({_THERE}) LIMIT 1
        """
        with self._store.read() as db:
            found = db.execute(query, {"job": job, "soon": now + SPARE, "requests": requests}).fetchone()
        return None if found is None else FileRecord(*found)

    def take(self, file: int, owner: str, instead_of: str | None) -> bool:
        """Take it upon oneself to upload a file, in place of nobody or of an owner that has died; tell if that held."""
        with self._store.transaction(rows=False) as db:
            taken = db.execute(
                "UPDATE files SET owner = ? WHERE id = ? AND (owner IS NULL OR owner = ? OR owner = ?)",
                (owner, file, owner, instead_of),
            )
            return taken.rowcount == 1

    def leave(self, file: int, owner: str) -> None:
        """Leave it to others to upload a file."""
        with self._store.transaction(rows=False) as db:
            db.execute("UPDATE files SET owner = NULL WHERE id = ? AND owner = ?", (file, owner))

    def owner_of(self, file: int) -> str | None:
        """Return who is uploading a file."""
        with self._store.read() as db:
            found = db.execute("SELECT owner FROM files WHERE id = ?", (file,)).fetchone()
        return None if found is None or found[0] is None else str(found[0])

    def uploaded(self, file: int, server_id: str, *, now: float, expires_at: float | None) -> None:
        """Record where the server has a file. Its bytes are needed no longer."""
        with self._store.transaction(durable=True, rows=False) as db:
            db.execute(
                "UPDATE files SET server_id = ?, uploaded_at = ?, expires_at = ?, owner = NULL WHERE id = ?",
                (server_id, now, expires_at, file),
            )
            (sha256,) = db.execute("SELECT sha256 FROM files WHERE id = ?", (file,)).fetchone()
        self.spool.remove(sha256)

    def refuse(self, file: int, *, error_type: str, message: str) -> None:
        """Give every unsent request that names a file the reason why it cannot be uploaded as its outcome."""
        with self._store.transaction(durable=True) as db:
            db.execute(
                f"{UNPAID_ANSWER} SELECT id, NULL, 'errored', ?, ? FROM requests"
                " WHERE batch IS NULL AND id IN (SELECT request FROM request_files WHERE file = ?)"
                " AND id NOT IN (SELECT request FROM answers)",
                (error_type, refused_result(error_type, message), file),
            )

    def of_batch(self, batch: int) -> dict[str, str | None]:
        """Return the server's ids of the files that a batch's requests name, by SHA-256; None where it has none."""
        query = """
            SELECT DISTINCT f.sha256, f.server_id FROM requests AS r
            JOIN request_files AS n ON n.request = r.id JOIN files AS f ON f.id = n.file
            WHERE r.batch = ?
        """
        with self._store.read() as db:
            return dict(db.execute(query, (batch,)).fetchall())

    def of_job(self, job: int) -> list[NamedFile]:
        """Return the files that a job's requests name."""
        query = """
            SELECT DISTINCT f.sha256, f.media_type, f.name, f.bytes, f.server_id FROM job_requests AS j
            JOIN request_files AS n ON n.request = j.request JOIN files AS f ON f.id = n.file
            WHERE j.job = ? ORDER BY f.id
        """
        with self._store.read() as db:
            return [NamedFile(*row) for row in db.execute(query, (job,)).fetchall()] if self.are_named() else []

    def missing_in(self, batch: int, now: float) -> FileRecord | None:
        """Return a file that a batch's requests name, and the server does not have for long enough."""
        query = f"""
            SELECT f.id, f.sha256, f.media_type, f.name, f.bytes FROM requests AS r
            JOIN request_files AS n ON n.request = r.id JOIN files AS f ON f.id = n.file
            WHERE r.batch = :batch AND NOT ({_THERE}) LIMIT 1
        """
        with self._store.read() as db:
            found = db.execute(query, {"batch": batch, "soon": now + SPARE}).fetchone()
        return None if found is None else FileRecord(*found)

    # Files that are gone

    def forget(self, server_ids: Iterable[str]) -> None:
        """Forget where the server had files: it has them no longer."""
        with self._store.transaction(durable=True, rows=False) as db:
            db.executemany(
                "UPDATE files SET server_id = NULL, uploaded_at = NULL, expires_at = NULL WHERE server_id = ?",
                [(one,) for one in server_ids],
            )

    def forget_missed(self, batch: int) -> None:
        """Forget the files that errors among a batch's answers name: somebody has deleted them on the server."""
        query = """
            SELECT DISTINCT f.server_id FROM requests AS r JOIN answers AS a ON a.request = r.id
            JOIN request_files AS n ON n.request = r.id JOIN files AS f ON f.id = n.file
            WHERE r.batch = ? AND a.outcome = 'errored' AND instr(a.result, CAST(f.server_id AS BLOB)) > 0
        """
        if not self.are_named():
            return
        with self._store.read() as db:
            gone = [server_id for (server_id,) in db.execute(query, (batch,)).fetchall()]
        if gone:
            self.forget(gone)

    def missed(self, digests: Iterable[bytes], now: float) -> Iterator[bytes]:
        """Pick the questions that failed, and name a file that the server has no longer: that may be why."""
        query = f"""
            SELECT 1 FROM requests AS r JOIN answers AS a ON a.request = r.id
            JOIN request_files AS n ON n.request = r.id JOIN files AS f ON f.id = n.file
            LEFT JOIN batches AS b ON b.id = a.batch
            WHERE r.digest = :digest AND a.outcome = 'errored' AND (b.id IS NULL OR b.state = 'collected')
            AND NOT (a.batch IS NULL AND a.error = 'invalid_request_error') AND NOT ({_THERE}) LIMIT 1
        """
        for digest in digests:
            with self._store.read() as db:
                found = db.execute(query, {"digest": digest, "soon": now + SPARE}).fetchone()
            if found is not None:
                yield digest

    def release(self, digests: Iterable[bytes]) -> None:
        """Let failed requests be sent again; paid answers are never among them."""
        with self._store.transaction(durable=True) as db:
            for digest in digests:
                done = db.execute(
                    "DELETE FROM answers WHERE request = (SELECT id FROM requests WHERE digest = ?)"
                    f" AND outcome NOT IN {PAID}",
                    (digest,),
                )
                if done.rowcount == 1:
                    db.execute("UPDATE requests SET batch = NULL WHERE digest = ?", (digest,))

    # Keeping house

    def on_server(self) -> list[KnownFile]:
        """Return the files of the server that this ledger knows."""
        query = f"""
            SELECT f.server_id, f.name, COUNT(r.id), COALESCE(SUM({_NEEDY}), 0)
            FROM files AS f LEFT JOIN request_files AS n ON n.file = f.id LEFT JOIN requests AS r ON r.id = n.request
            WHERE f.server_id IS NOT NULL GROUP BY f.id
        """
        with self._store.read() as db:
            return [KnownFile(*row) for row in db.execute(query).fetchall()]

    def sweep(self, now: float) -> None:
        """Remove bytes that have waited for a day, and no request that is recorded needs."""
        query = (
            "SELECT sha256 FROM files AS f WHERE (server_id IS NULL OR expires_at IS NOT NULL)"
            " AND EXISTS (SELECT 1 FROM request_files WHERE file = f.id)"
        )
        with self._store.read() as db:
            wanted = {sha256 for (sha256,) in db.execute(query).fetchall()}
        self.spool.sweep(wanted, now - 24 * 3600.0)

    def tidy(self) -> None:
        """Remove what no request names any more, unless the server has it, and bytes that nothing waits for."""
        unnamed = "NOT EXISTS (SELECT 1 FROM request_files WHERE file = f.id)"
        if not self.spool.exists():
            return
        with self._store.transaction(rows=False) as db:
            gone = db.execute(f"SELECT sha256 FROM files AS f WHERE {unnamed}").fetchall()
            db.execute(f"DELETE FROM files AS f WHERE server_id IS NULL AND {unnamed}")
        for (sha256,) in gone:
            self.spool.remove(sha256)
