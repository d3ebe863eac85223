"""Files that wait to be uploaded: their bytes, beside the ledger, until the server has them."""

from __future__ import annotations

import math
import re
from collections.abc import Container
from pathlib import Path

from batchnb.errors import LedgerError
from batchnb.system.disk import ELSEWHERE, private_folder, remove, write_private

__all__ = ["Spool"]

#: What is kept here: a SHA-256, or a draft of it. Nothing else in the folder is ours.
NAMES = re.compile(r"[0-9a-f]{64}(\.[0-9a-f]{32})?")


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
        """Return where the bytes of a file are, or None."""
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
        try:
            private_folder(self._folder.parent)
            private_folder(self._folder)
            write_private(self._folder / sha256, data)
        except OSError as error:
            if self.path(sha256) is not None:  # another process was first, and has it open: the same bytes
                return
            raise LedgerError(
                f"A file to be uploaded cannot be kept in {self._folder} ({error.strerror}). Nothing was sent. Free "
                f"space. {ELSEWHERE}"
            ) from error

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
            if NAMES.fullmatch(path.name) and path.name not in wanted and _came(path) < before:
                remove(path)

    def remove(self, sha256: str) -> None:
        """Let the bytes of a file go. Those that another process reads stay until `sweep` finds them."""
        remove(self._folder / sha256)


def _came(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:  # another process has removed it
        return math.inf
