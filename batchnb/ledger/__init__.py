"""The ledger: what was asked, what was sent, what came back. The only package that knows SQL.

One SQLite file per scope, so that answers of different servers, and simulated and real ones, cannot meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from contextlib import AbstractContextManager
from pathlib import Path

from batchnb.errors import LedgerError
from batchnb.ledger.askings import CHUNK, Askings
from batchnb.ledger.batches import Batches, BatchRecord
from batchnb.ledger.claims import Fits
from batchnb.ledger.copies import COPIED, hold_back_copied
from batchnb.ledger.evidence import Evidence, Taken
from batchnb.ledger.files import FileRecord, Files, KnownFile
from batchnb.ledger.foreign import Foreign, ForeignBatch
from batchnb.ledger.jobs import JobRecord, Jobs, NewJob
from batchnb.ledger.owners import Owner
from batchnb.ledger.pilots import Call, Pilots
from batchnb.ledger.questions import FEW, ForgottenError, Row, Rows, in_parts
from batchnb.ledger.rows import TELLING, Origin, Results, RowAnswer, RowReader
from batchnb.ledger.spool import Spool
from batchnb.ledger.store import Store, make_private_folder
from batchnb.ledger.tallies import Kind, Tallies, Tally, UsageLine
from batchnb.ledger.terms import ATTACHED, LIVE
from batchnb.ledger.warming import Warming

__all__ = [
    "ATTACHED",
    "CHUNK",
    "COPIED",
    "FEW",
    "LIVE",
    "TELLING",
    "BatchRecord",
    "Call",
    "FileRecord",
    "Fits",
    "ForeignBatch",
    "ForgottenError",
    "JobRecord",
    "Jobs",
    "Kind",
    "KnownFile",
    "Ledger",
    "NewJob",
    "Origin",
    "Results",
    "Row",
    "RowAnswer",
    "Rows",
    "Taken",
    "Tally",
    "UsageLine",
    "in_parts",
]


class Ledger:
    """The ledger of one scope.

    Parameters
    ----------
    home : Path
        The folder that holds the ledgers (``BATCHNB_HOME``).
    scope : str
        Whose answers these are: a base URL, ``simulator:<id>``, or a name of the user's own.

    Attributes
    ----------
    jobs : Jobs
    rows : RowReader
    tallies : Tallies
        What became of jobs' rows, counted.
    askings : Askings
    batches : Batches
    evidence : Evidence
        What is known for settling a batch whose answer was lost.
    foreign : Foreign
        Batches that this ledger did not send.
    files : Files
        Images and documents that requests name by their content.
    warming : Warming
        How the server's prompt cache is filled.
    pilots : Pilots
        Requests sent one by one.
    held_back : int
        Requests that are not sent before somebody decides, since opening the ledger showed that it is a copy.
    owner : Owner
        The name under which batches are claimed, by which other processes can tell whether this one lives.
    """

    def __init__(self, home: Path, scope: str) -> None:
        self.home = make_private_folder(home)
        self.scope = scope
        self.path = home / "ledgers" / f"{_file_name(scope)}.sqlite"
        self.owner = Owner(home)
        try:
            self._store = Store(self.path, {"scope": scope})
        except BaseException:
            self.owner.release()
            raise
        self.tallies = Tallies(self._store)
        self.batches = Batches(self._store, self.tallies)
        self.evidence = Evidence(self._store)
        self.foreign = Foreign(self._store, self.batches)
        self.files = Files(self._store, Spool(home / "files" / self.path.stem))
        self.jobs = Jobs(self._store, self.foreign, self.files, self.tallies)
        self.rows = RowReader(self._store)
        self.askings = Askings(self._store)
        self.warming = Warming(self._store)
        self.pilots = Pilots(self._store, self.jobs, self.batches, self.owner)
        try:
            self.held_back = hold_back_copied(self._store, self.batches)
        except BaseException:
            self.close()
            raise

    def consistently(self) -> AbstractContextManager[None]:
        """Have all that is read meanwhile be of one moment, whatever other threads and processes write. Only reads."""
        return self._store.consistently()

    def foreign_revision(self) -> int:
        """Give a value that differs whenever another process has written since."""
        return self._store.foreign_revision()

    def revision(self) -> tuple[int, int]:
        """Give a value that differs whenever what became of rows may have changed since."""
        return self._store.revision()

    def ready_to_claim(self) -> None:
        """Make sure, before requests are claimed to be sent, that what is recorded is kept, and who claims is seen.

        Raises
        ------
        LedgerError
            The ledger was moved or deleted while in use, or the lock file was and cannot be made again.
        """
        self._store.require_in_place()
        self.owner.show()

    def close(self) -> None:
        """Close the file and give up what is still claimed."""
        claims = True
        with contextlib.suppress(LedgerError):
            claims = self.batches.are_claimed(self.owner.name)
        self._store.close()
        self.owner.release(claims=claims)


def _file_name(scope: str) -> str:
    readable = re.sub(r"[^a-zA-Z0-9.-]+", "-", scope.removeprefix("https://")).strip("-")[:60]
    return f"{readable}-{hashlib.blake2b(scope.encode(), digest_size=4).hexdigest()}"
