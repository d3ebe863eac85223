"""A workspace: where jobs are sent, and where they are kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from batchnb.costs.prices import PriceTable
from batchnb.jobs.attach import attach
from batchnb.jobs.tables import BatchTable, JobTable
from batchnb.ledger.ledger import put_damaged_aside
from batchnb.ledger.store import DamagedLedgerError
from batchnb.planning.session import Session
from batchnb.protocol.recovery import Recovered, recover
from batchnb.protocol.timing import Timing
from batchnb.questions.scalars import check_whole
from batchnb.system.environment import home_folder, seconds, setting, whole_path
from batchnb.system.handles import Handle

if TYPE_CHECKING:
    import anthropic

    from batchnb.jobs.job import Job

__all__ = ["DEFAULT_MODEL", "Workspace"]

#: The guides' choice for labelling; its price and structured outputs are documented (platform.claude.com).
DEFAULT_MODEL = "claude-haiku-4-5"


class Workspace(Handle):
    """Where jobs are sent and kept.

    Making one touches nothing; the ledger is opened, and the client made, when first needed. Several workspaces, in one
    or several processes, may share a home.

    Parameters
    ----------
    client : anthropic.Anthropic, optional
        The client to use. Default: one made from the environment (``ANTHROPIC_API_KEY``, ``ANTHROPIC_BASE_URL``, ...).
    home : path, optional
        The folder of the ledger. Default: ``BATCHNB_HOME``, or the platform's user data folder.
    model : str, optional
        The model of jobs that name none. Default: ``BATCHNB_MODEL``, or ``claude-haiku-4-5``.
    scope : str, optional
        A name for whose answers the ledger keeps. Default: the base URL; for a simulator, its id.
    max_poll : float, optional
        Longest time between two status checks of a batch, in seconds. Default: ``BATCHNB_MAX_POLL``, or 60.
    max_batch_requests, max_batch_bytes : int
        The API's limits for one batch (platform.claude.com documentation; an older guide has 10,000 and 32 MB).
    """

    def __init__(
        self,
        client: anthropic.Anthropic | None = None,
        home: str | Path | None = None,
        model: str | None = None,
        scope: str | None = None,
        max_poll: float | None = None,
        *,
        max_batch_requests: int = 100_000,
        max_batch_bytes: int = 256_000_000,
    ) -> None:
        #: What its jobs share: for batchnb itself.
        self.session = Session(
            client,
            home_folder() if home is None else whole_path(home, "home"),
            model or setting("BATCHNB_MODEL") or DEFAULT_MODEL,
            scope,
            timing=Timing(
                max_poll=seconds("max_poll", max_poll, "BATCHNB_MAX_POLL", Timing.max_poll, least=0.001),
                grace=seconds("", None, "BATCHNB_RECONCILE_GRACE", Timing.grace),
            ),
            max_requests=check_whole("max_batch_requests", max_batch_requests, 1, note=""),
            max_bytes=check_whole("max_batch_bytes", max_batch_bytes, 1, note=""),
        )

    def _instead(self) -> str:
        return (
            f"Make another one where it is needed, batchnb.Workspace(home={str(self.home)!r}): it shares the ledger, "
            "and so the jobs and their answers."
        )

    @property
    def home(self) -> Path:
        """The folder of the ledger."""
        return self.session.home

    @property
    def model(self) -> str:
        """The model of jobs that name none."""
        return self.session.model

    @property
    def scope(self) -> str:
        """Whose answers the ledger keeps.

        The first time, an address on this machine is asked whether it is a simulator: one call, ten seconds at most.
        """
        return self.session.scope

    @property
    def simulated(self) -> bool:
        """Whether answers come from the simulator."""
        return self.session.simulated

    @property
    def prices(self) -> PriceTable:
        """The prices in use: those that come with batchnb, and those that ``batchnb.set_price`` has set since."""
        return self.session.prices

    def attach(self, id: str) -> Job:
        """Return a job of this ledger, by its id; one that is open goes on in the background. Returns at once.

        Parameters
        ----------
        id : str
            As `jobs` lists it; or that of a batch (``msgbatch_...``), whoever made it, which becomes a job of this
            ledger. Then, the first time, the server is asked for it.

        Raises
        ------
        JobNotFoundError
            The ledger has no such job.
        NotFoundError
            The server has no such batch, or keeps its results no more.
        """
        return attach(self.session, id)

    def recover(self, timeout: float | None = None, *, forget: bool = False) -> pd.DataFrame:
        """Take back what a lost ledger knew: answers on the server to questions whose digests our custom_ids carry.

        Lists the batches of the last 29 days, and reads those this ledger does not know. What was answered is not asked
        again by the cell that asked it. Touches the network; blocks, also until the batches in progress have ended,
        since theirs cannot be told before. Interrupting it keeps what has been taken back. Calling it again reads only
        what is new.

        A ledger that is damaged is set aside first, under another name, and a new one begun. One that was begun beside
        an earlier one, or is a backup, sends nothing before this has come to its end, with nothing left to read.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait, at most, for batches in progress. Default: no limit.
        forget : bool
            Take nothing back, and let the ledger send: what an earlier one has bought may be bought again. Touches no
            network.

        Returns
        -------
        DataFrame
            The batches that hold, or may hold, answers of ours: id, requests, rows that carry a digest, answers taken
            back, note.

        Raises
        ------
        ApiError
            The batches could not be listed.
        LedgerError
            The ledger is damaged, and another kernel may have it open.
        """
        if not forget:
            self.session.api.require_credentials()
        try:
            found = self._recover(timeout, forget=forget)
        except DamagedLedgerError:
            self._set_damaged_aside()
            found = self._recover(timeout, forget=forget)
        told = [one for one in found if one.ours or one.note]
        rows = [[one.batch.id, one.batch.total, one.ours, one.answers, one.note, self.simulated] for one in told]
        return pd.DataFrame(rows, columns=["id", "requests", "ours", "recovered", "note", "simulated"])

    def _recover(self, timeout: float | None, *, forget: bool) -> list[Recovered]:
        session, ledger = self.session, self.session.ledger
        found = [] if forget else recover(session.api, ledger, timing=session.timing, timeout=timeout)
        if not any(one.note for one in found):
            ledger.forget_earlier()
        return found

    def _set_damaged_aside(self) -> None:
        self.session.close()
        aside = put_damaged_aside(self.home, self.scope)
        print(f"batchnb: the damaged ledger is kept as {aside}; a new one is begun.", file=sys.stderr)  # noqa: T201

    def jobs(self) -> JobTable:
        """List the jobs of this ledger, as ``batchnb.jobs`` does. Touches no network."""
        return JobTable(self.session)

    def batches(self, limit: int = 100) -> BatchTable:
        """List the batches on the server, newest first, as ``batchnb.batches`` does. Touches the network; blocks.

        Parameters
        ----------
        limit : int
            How many at most.
        """
        return BatchTable(self.session, limit)

    def close(self) -> None:
        """End the background thread, and close the ledger and the connections.

        What is being sent is waited for, 10 s at most; what is being asked is given up. Blocks for 20 s at most. What
        was recorded stays; another workspace, or this cell run again, goes on with it.
        """
        self.session.close()
