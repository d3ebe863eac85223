"""Files that wait to be uploaded: their bytes, beside the ledger, until the server has them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Container
from pathlib import Path

from batchnb.errors import LedgerError
from batchnb.ledger.store import make_private_folder, sync_names

__all__ = ["Spool"]


class Spool:
    """A folder of files by their SHA-256: each there whole or not at all, and only for its owner to read.

    Parameters
    ----------
    folder : Path
        Made when the first file comes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def exists(self) -> bool:
        """Tell whether a file ever came."""
        return self._folder.exists()

    def path(self, sha256: str) -> Path | None:
        """Give where the bytes of a file are, or None."""
        path = self._folder / sha256
        return path if path.exists() else None

    def put(self, sha256: str, data: bytes) -> None:
        """Keep the bytes of a file, so that a power cut does not take them.

        Raises
        ------
        LedgerError
            They cannot be written.
        """
        if self.path(sha256) is not None:
            return
        make_private_folder(self._folder.parent)
        make_private_folder(self._folder)
        draft = self._folder / f"{sha256}.{uuid.uuid4().hex}"
        try:
            try:
                with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(self._folder / sha256)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise LedgerError(
                f"A file to be uploaded cannot be kept in {self._folder} ({error.strerror}). Free space, or set "
                "BATCHNB_HOME to a folder you can write to. Nothing was sent."
            ) from error
        sync_names(self._folder)

    def sweep(self, wanted: Container[str], before: float) -> None:
        """Remove what a process left that died before it could record what it is for.

        Parameters
        ----------
        wanted : container of str
            The SHA-256 of files whose bytes stay.
        before : float
            Seconds since the epoch: what came later stays too, since it may be recorded yet.
        """
        for path in self._folder.glob("*"):
            if path.name not in wanted and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)

    def remove(self, sha256: str) -> None:
        """Let the bytes of a file go."""
        (self._folder / sha256).unlink(missing_ok=True)
