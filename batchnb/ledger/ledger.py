"""The ledger of one scope, put together from its parts.

One SQLite file per scope, so that answers of different servers, and simulated and real ones, cannot meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from contextlib import AbstractContextManager
from pathlib import Path

from batchnb.errors import LedgerError
from batchnb.ledger.batches import Batches
from batchnb.ledger.cache_filling import Warming
from batchnb.ledger.connection import LOCK_PATIENCE
from batchnb.ledger.copied import hold_back_copied
from batchnb.ledger.counts import Tallies
from batchnb.ledger.decisions import Decisions
from batchnb.ledger.earlier import RECOVER, set_aside
from batchnb.ledger.elsewhere import Foreign
from batchnb.ledger.evidence import Evidence
from batchnb.ledger.files import Files
from batchnb.ledger.jobs import Jobs
from batchnb.ledger.owners import LONGEST_CALL, Owner
from batchnb.ledger.pilot_calls import Pilots
from batchnb.ledger.read_rows import RowReader
from batchnb.ledger.replicates import Askings
from batchnb.ledger.spool import Spool
from batchnb.ledger.store import Store
from batchnb.system.disk import ELSEWHERE, private_home

__all__ = ["Ledger", "put_damaged_aside"]


class Ledger:
    """The ledger of one scope.

    Parameters
    ----------
    home : Path
        The folder that holds the ledgers (``BATCHNB_HOME``), or holds the one that does: see `batchnb.system.disk`.
    scope : str
        Whose answers these are: a base URL, ``simulator:<id>``, or a name of the user's own.
    longest_call : float
        Seconds after which a call that makes a batch has ended one way or another.
    lock_patience : float
        Seconds for which another process may have the file locked.

    Attributes
    ----------
    jobs : Jobs
    rows : RowReader
    tallies : Tallies
        What became of jobs' rows, counted.
    askings : Askings
    batches : Batches
    decisions : Decisions
        What a person decides of batches.
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

    def __init__(
        self, home: Path, scope: str, *, longest_call: float = LONGEST_CALL, lock_patience: float = LOCK_PATIENCE
    ) -> None:
        self.home, self.path = _place(home, scope)
        self.scope = scope
        self.owner = Owner(self.home, longest_call=longest_call)
        try:
            self._store = Store(self.path, {"scope": scope}, lock_patience=lock_patience)
        except BaseException:
            self.owner.release()
            raise
        self.tallies = Tallies(self._store)
        self.batches = Batches(self._store, self.tallies)
        self.decisions = Decisions(self._store, self.batches)
        self.evidence = Evidence(self._store)
        self.foreign = Foreign(self._store, self.batches)
        self.files = Files(self._store, Spool(self.home / "files" / self.path.stem))
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

    def ask_before_sending(self) -> None:
        """Raise LedgerError where this ledger was begun beside an earlier one, or is an older one, until `recover` ran.

        It does not know what that has bought. Simulated answers cost nothing, so nothing is asked of theirs.
        """
        earlier = None if self.scope.startswith("simulator:") else self._store.earlier()
        if earlier is not None:
            raise LedgerError(
                f"The ledger {self.path} does not know of all that was bought before: {earlier}. Nothing was sent. "
                f"{RECOVER}"
            )

    def forget_earlier(self) -> None:
        """Send from now on, whatever an earlier ledger has bought."""
        self._store.forget_earlier()

    def consistently(self) -> AbstractContextManager[None]:
        """Have all that is read meanwhile be of one moment, whatever other threads and processes write. Only reads."""
        return self._store.consistently()

    def foreign_revision(self) -> int:
        """Return a value that differs whenever another process has written since."""
        return self._store.foreign_revision()

    def revision(self) -> tuple[int, int]:
        """Return a value that differs whenever what became of rows may have changed since."""
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


def put_damaged_aside(home: Path, scope: str) -> Path | None:
    """Rename the ledger of a scope that cannot be used any more, so that a new one is begun; return its new name.

    Raises
    ------
    LedgerError
        Another process uses the home, so that it may have the file open; or the file cannot be renamed.
    """
    settled, path = _place(home, scope)
    owner = Owner(settled)
    try:
        if owner.others_are_alive():
            raise LedgerError(
                f"The ledger {path} is damaged, and another kernel or script that uses batchnb may have it open. Shut "
                "those down (and close() other workspaces of this one), and call batchnb.recover() again."
            )
        return set_aside(path, "damaged")
    except OSError as error:
        raise LedgerError(
            f"The ledger {path} cannot be set aside ({error.strerror}). Close what has it open, make its folder yours "
            "to write to, and call batchnb.recover() again."
        ) from error
    finally:
        owner.release()


def _place(home: Path, scope: str) -> tuple[Path, Path]:
    """Return the folder that a ledger is kept in, and its file."""
    settled, place = private_home(home), Path("ledgers", f"{_file_name(scope)}.sqlite")
    if settled != home and (home / place).exists():
        raise LedgerError(
            f"{home / place} is a ledger of {scope}, in a folder of another user's. It was left alone, and none is "
            "begun beside it, which would know nothing of what it has bought. Nothing was sent. If it is yours, make "
            f"yourself the owner of its folder and files. {ELSEWHERE}"
        )
    return settled, settled / place


def _file_name(scope: str) -> str:
    readable = re.sub(r"[^a-zA-Z0-9.-]+", "-", scope.removeprefix("https://")).strip("-")[:60]
    return f"{readable}-{hashlib.blake2b(scope.encode(), digest_size=4).hexdigest()}"
