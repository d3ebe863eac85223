"""Uploading the files that requests name by their content, and putting the server's ids in their places.

No thread and no sleep in here: :mod:`batchnb.protocol.submission` calls these steps before it claims a batch. A file
is uploaded once, whichever jobs and kernels need it; the bytes wait beside the ledger until then. An answer that is
lost costs nothing: the file is uploaded again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from batchnb.api.client import Api
from batchnb.errors import RefusedError
from batchnb.ledger.files import FileRecord
from batchnb.ledger.ledger import Ledger
from batchnb.questions.media_sources import file_source, substituted

__all__ = ["Item", "Uploads", "with_ids"]

#: A request as the ledger keeps it: label, digest, and the JSON before, of and after the row's own part.
Item = tuple[str, bytes, bytes, bytes, bytes]

#: The error of a request that names a file which is neither on the server nor here.
NOT_HERE = "file_missing"
NOT_HERE_MESSAGE = (
    "It is not on the server (any more), and its bytes are not at hand. Run the cell that submitted the job again."
)


class Uploads:
    """The steps of uploading.

    Parameters
    ----------
    api, ledger
        Where to, and where it is recorded.
    clock : callable
        Gives the time in seconds since the epoch.
    """

    def __init__(self, api: Api, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._api = api
        self._ledger = ledger
        self._clock = clock

    def _now(self) -> float:
        """Return the time by the server's clock, since it is the server that drops files; or else by this machine's."""
        now = self._api.now()
        return self._clock() if now is None else now

    def next(self, job: int, requests: int) -> FileRecord | None:
        """Return the first file that the next `requests` unsent requests of a job need and the server does not have."""
        files = self._ledger.files
        return files.next_absent(job, self._now(), requests) if files.are_named() else None

    def take(self, file: FileRecord) -> bool:
        """Take it upon oneself to upload a file; not where another process that lives is doing so."""
        files, owner = self._ledger.files, self._ledger.owner
        other = files.owner_of(file.id)
        if other is not None and other != owner.name and owner.is_alive(other):
            return False
        return files.take(file.id, owner.name, instead_of=other)

    def upload(self, file: FileRecord) -> None:
        """Upload a file, and record where the server has it; nothing is done where another thread has just done so.

        Raises
        ------
        ApiError
            The server did not take it, its answer was lost, or the bytes are not here.
        """
        files = self._ledger.files
        with files.uploading:  # a pilot and a job of this process may need the same
            if files.is_there(file.id, self._now()):
                return
            try:
                path = files.spool.path(file.sha256)
                if path is None:
                    raise RefusedError(NOT_HERE_MESSAGE, type=NOT_HERE)
                info = self._api.upload_file(path, file.name, file.media_type)
            except BaseException:
                files.leave(file.id, self._ledger.owner.name)  # others need not wait for what may never be tried again
                raise
            expires_at = None if info.expires_at is None else info.expires_at.timestamp()
            files.uploaded(file.id, info.id, now=self._now(), expires_at=expires_at)

    def refuse(self, file: FileRecord, error_type: str, message: str) -> None:
        """Give the requests that need a file the server's refusal as their outcome."""
        self._ledger.files.refuse(file.id, error_type=error_type, message=f"The file {file.name!r}: {message}")

    def forget_in(self, batch: int, message: str) -> None:
        """Forget the files of a claimed batch that a refusal names: somebody has deleted them on the server."""
        files = self._ledger.files
        ids = files.of_batch(batch).values() if files.are_named() else []
        gone = [one for one in ids if one is not None and one in message]
        if gone:
            files.forget(gone)

    def missing(self, batch: int) -> FileRecord | None:
        """Return a file that the requests of a claimed batch name, and the server does not have."""
        files = self._ledger.files
        return files.missing_in(batch, self._now()) if files.are_named() else None

    def resolved(self, batch: int, items: Iterable[Item]) -> Iterable[Item]:
        """Return the requests of a claimed batch as they are sent, with the server's ids of the files that they name.

        Costs one look at the ledger where no request names a file.

        Parameters
        ----------
        batch : int
            The batch's number in the ledger.
        items : iterable of Item
            Its requests, as the ledger keeps them.
        """
        files = self._ledger.files
        ids = files.of_batch(batch) if files.are_named() else {}
        return with_ids(items, ids) if ids else items


def with_ids(items: Iterable[Item], ids: Mapping[str, str | None]) -> Iterator[Item]:
    """Put the server's ids where requests name files by their content.

    Parameters
    ----------
    items : iterable of Item
        Requests as the ledger keeps them.
    ids : mapping
        The server's ids by the files' SHA-256.

    Raises
    ------
    RefusedError
        Another thread or process has just found that the server has one of them no longer. Waiting helps.
    """

    def source(sha256: str, media_type: str) -> Mapping[str, Any] | None:  # noqa: ARG001  # the server knows its type
        if sha256 not in ids:
            return None
        file_id = ids[sha256]
        if file_id is None:
            raise RefusedError("A file was deleted on the server meanwhile.", status=409, type="conflict_error")
        return file_source(file_id)

    shared = functools.lru_cache(maxsize=16)(lambda head: substituted(head, source))  # few envelopes, many requests
    for label, digest, head, content, tail in items:
        yield label, digest, shared(head), substituted(content, source), tail
