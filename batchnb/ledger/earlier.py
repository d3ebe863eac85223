"""What is known, beside a ledger's file, of ledgers of its scope that have been there: so that none begins unasked.

A ledger that was moved away, deleted, or replaced by an older backup no longer knows what it has bought. A note in a
folder of its own (``known``) says that there was one, and how much it had recorded; and what was left lying about the
folder says so too.
"""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import filelock

from batchnb.errors import LedgerError
from batchnb.system.disk import folder_inside, move, private_file, private_folder

__all__ = ["LOGS", "RECOVER", "Earlier", "set_aside"]

#: What SQLite keeps beside a database, by their endings. A new database must not find another's.
LOGS = ("-wal", "-shm", "-journal")

#: How to go on without what an earlier ledger knew.
RECOVER = (
    "batchnb.recover() takes back from the server what was answered: call it, and run the cell again. (Where there is "
    "nothing to take back, or it cannot be: batchnb.recover(forget=True), after which rows may be bought again.)"
)

#: Seconds to wait for another process that makes the same ledger.
PATIENCE = 30.0

#: A ledger that is being made, or was when its process died.
DRAFT = re.compile(r"\.sqlite\.[0-9a-f]{32}(-wal|-shm|-journal)?")


class Earlier:
    """What is known of the ledgers of one scope that have been in a home.

    Parameters
    ----------
    home : Path
        The folder that holds the folders of ledgers.
    path : Path
        The ledger's file.
    """

    def __init__(self, home: Path, path: Path) -> None:
        self._home = home
        self._path = path
        self._note = home / "known" / path.stem

    def traces(self) -> str | None:
        """Tell what says that there was a ledger, where its file is not there; None where nothing does."""
        found = self._lying_about()
        if found:
            return f"{found[0]} is of one"
        try:
            since = datetime.fromtimestamp(self._note.stat().st_mtime, UTC)
        except OSError:
            return None
        return f"{self._note} tells of one that was used on {since:%Y-%m-%d}"

    def _lying_about(self) -> list[Path]:
        stem = self._path.stem
        folders = [self._path.parent, *self._home.glob("ledgers?*"), *folder_inside(self._home).glob("ledgers*")]
        found = [path for folder in folders for path in sorted(folder.glob(f"{stem}*")) if path != self._path]
        found += [path for path in (self._home / "files" / stem,) if path.exists()]
        return [path for path in found if not DRAFT.fullmatch(path.name.removeprefix(stem))]

    def changes(self) -> int:
        """Return how many changes the ledger had recorded at least, when it was last used."""
        try:
            with self._note.open("rb") as file:
                return int(file.readline())
        except (OSError, ValueError):
            return 0

    def note(self, changes: int) -> None:
        """Note how many changes the ledger has recorded. Where that fails, this protects from less, and that is all."""
        text = f"{changes:020d}\nHow much {self._path.name} has recorded. batchnb asks before it begins another.\n"
        with contextlib.suppress(OSError, LedgerError):
            if not self._note.exists():
                private_folder(self._note.parent)
                with contextlib.suppress(FileExistsError), private_file(self._note) as new:
                    new.write(text.encode())
                    return
            # Written over in place, since this comes with every batch: it is shorter than what a disk writes at once.
            flags = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            with os.fdopen(os.open(self._note, flags), "wb") as file:
                file.write(text.encode())

    @contextlib.contextmanager
    def making(self) -> Iterator[None]:
        """Hold the lock under which one process makes a ledger's file, while others wait."""
        private_folder(self._note.parent)
        try:
            with filelock.FileLock(f"{self._note}.lock", mode=0o600, timeout=PATIENCE):
                yield
        except filelock.Timeout as error:
            raise LedgerError(
                f"Another process has been making the ledger {self._path} for {PATIENCE:.0f} s. Nothing was sent. Try "
                "again when that has finished."
            ) from error


def set_aside(path: Path, why: str) -> Path | None:
    """Rename a ledger's file, and those that SQLite keeps beside it, so that all can be opened as they were.

    Parameters
    ----------
    path : Path
        The ledger's file; it may be gone, with its logs left behind.
    why : str
        A word for the new name.

    Returns
    -------
    Path or None
        What it is called now; None where there was nothing.
    """
    aside = path.with_name(f"{path.name}.{why}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:4]}")
    found = [ending for ending in ("", *LOGS) if os.path.lexists(f"{path}{ending}")]
    for ending in found:
        move(Path(f"{path}{ending}"), Path(f"{aside}{ending}"))
    return aside if found else None
