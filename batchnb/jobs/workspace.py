"""A workspace: where jobs are sent, where they are kept, and the thread that looks after them."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from batchnb.api.addresses import own_client, scope_of
from batchnb.api.client import Api
from batchnb.api.sdk import message_fields
from batchnb.api.shapes import BatchInfo
from batchnb.costs.price_list import prices_in_use
from batchnb.costs.prices import PriceTable
from batchnb.display.kernel.foreground import FOREGROUND, Pace
from batchnb.errors import NotFoundError
from batchnb.jobs.job import Job
from batchnb.jobs.leaving import finish_sending, say_what_is_left
from batchnb.jobs.status import job_frame, server_frame
from batchnb.ledger.copied import COPIED
from batchnb.ledger.ledger import Ledger, put_damaged_aside
from batchnb.ledger.store import DamagedLedgerError
from batchnb.planning.check import stacklevel_of_user
from batchnb.planning.record import Wishes, record_job
from batchnb.protocol.recovery import Recovered, attach_batch, is_batch_id, recover
from batchnb.protocol.submission import Submission
from batchnb.protocol.watcher import Watcher
from batchnb.questions.columns import bare
from batchnb.questions.reading import read_rows
from batchnb.questions.recipe import Recipe
from batchnb.questions.scalars import check_texts, check_whole
from batchnb.system.clock import Clock, Moment
from batchnb.system.environment import home_folder, seconds, whole_path
from batchnb.system.forks import at_exit, at_forks, keep_untouched, once
from batchnb.system.handles import Handle

if TYPE_CHECKING:
    from collections.abc import Iterable

    import anthropic

_Part = TypeVar("_Part")

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
        self._client = client
        self.home = home_folder() if home is None else whole_path(home, "home")
        self.model = model or os.environ.get("BATCHNB_MODEL") or DEFAULT_MODEL
        self._scope = scope
        self._max_poll = seconds("max_poll", max_poll, "BATCHNB_MAX_POLL", 60.0, least=0.001)
        self._grace = seconds("", None, "BATCHNB_RECONCILE_GRACE", 120.0)
        self._max_requests = check_whole("max_batch_requests", max_batch_requests, 1, note="")
        self._max_bytes = check_whole("max_batch_bytes", max_batch_bytes, 1, note="")
        FOREGROUND.listen()
        #: The time, for all that is made below.
        self.clock = Clock()
        self._making = threading.RLock()
        self._parts: dict[str, Any] = {}
        #: The live views of jobs, by job id; see ``batchnb.display.show``.
        self.views: dict[str, Any] = {}
        #: Dollars that a request is expected to cost, by recipe, as estimated in this process.
        self.forecasts: dict[bytes, float] = {}
        self._process = os.getpid()
        at_forks(self, in_child=self._after_fork_in_child)

    def _after_fork_in_child(self) -> None:
        """Begin anew: what was made so far is the parent's. It has a thread, a lock file and connections of its own."""
        atexit.unregister(self._at_exit)
        keep_untouched(self._parts, self.views, self._client)
        self._making, self._parts, self.views = threading.RLock(), {}, {}

    def _instead(self) -> str:
        return (
            f"Make another one where it is needed, batchnb.Workspace(home={str(self.home)!r}): it shares the ledger, "
            "and so the jobs and their answers."
        )

    # Parts, made when first needed

    def _part(self, name: str, make: Callable[[], _Part]) -> _Part:
        """Make a part once, whichever thread asks first: two watchers on one ledger would take each other for dead."""
        with self._making:
            if name not in self._parts:
                self._parts[name] = make()
            part: _Part = self._parts[name]
            return part

    @property
    def api(self) -> Api:
        """The connection to the API."""
        simulator = self._simulator
        return self._part("api", lambda: Api(self._own_client(), simulator=simulator, clock=self.clock))

    def _own_client(self) -> anthropic.Anthropic | None:
        """Return the client that was given; one like it in a child of the process that it was given in."""
        if self._client is not None and self._process != os.getpid():
            self._client = own_client(self._client)
        self._process = os.getpid()
        return self._client

    def now(self) -> Moment:
        """Return what time it is, here and, where that has been heard from, at the server. Touches no network."""
        return Moment(self.clock.now(), self.api.now())

    @property
    def ledger(self) -> Ledger:
        """The ledger of this workspace's scope."""
        return self._part("ledger", self._open_ledger)

    def _open_ledger(self) -> Ledger:
        ledger = Ledger(self.home, self.scope)
        if ledger.held_back:
            message = f"{ledger.path}: {ledger.held_back:,} requests wait for a decision. {COPIED}"
            try:
                warnings.warn(message, stacklevel=stacklevel_of_user())
            except UserWarning:  # where warnings are errors
                ledger.close()
                raise
        return ledger

    @property
    def watcher(self) -> Watcher:
        """The background thread."""
        return self._part("watcher", self._new_watcher)

    def _new_watcher(self) -> Watcher:
        pace = Pace()
        submission = Submission(
            self.api,
            self.ledger,
            self.clock,
            max_requests=self._max_requests,
            grace=self._grace,
            prices=prices_in_use,
            rest=pace.rest,
        )
        at_exit(self._at_exit)
        return Watcher(
            submission, self.ledger, max_poll=self._max_poll, clock=self.clock, rest=pace.rest, count=pace.count
        )

    @once
    def _found_scope(self) -> tuple[str, str | None]:
        with self._making:
            if "_found_scope" not in self.__dict__:  # nor has another thread found it
                # The SDK's clients take long to make, so the one that tells the address is the one that is used.
                api = self._parts["api"] = Api(self._own_client(), clock=self.clock)
                found, api.simulator = scope_of(api.base_url, api.redactor)
                if api.simulator is None and self._scope is not None:
                    found = self._scope
                self.__dict__["_found_scope"] = found, api.simulator
            known: tuple[str, str | None] = self.__dict__["_found_scope"]
            return known

    @property
    def scope(self) -> str:
        """Whose answers the ledger keeps.

        The first time, an address on this machine is asked whether it is a simulator: one call, ten seconds at most.
        """
        return self._found_scope[0]

    @property
    def _simulator(self) -> str | None:
        return self._found_scope[1]

    @property
    def simulated(self) -> bool:
        """Whether answers come from the simulator."""
        return self._simulator is not None

    @property
    def prices(self) -> PriceTable:
        """The prices in use: those that come with batchnb, and those that ``batchnb.set_price`` has set since."""
        return prices_in_use()

    # Jobs

    def fields(self, betas: Iterable[str] = ()) -> frozenset[str]:
        """Return the names that params may have, from the SDK's own types. Touches no network.

        Parameters
        ----------
        betas : iterable of str
            Beta headers; with any of them, the names of the beta namespace.
        """
        return message_fields(beta=bool(tuple(betas)))

    def submit(self, frame: pd.DataFrame, recipe: Recipe, wishes: Wishes) -> Job:
        """Record a job and have it sent in the background.

        Only if something is about to be sent, the network is touched: the first such request is checked with the free
        count_tokens endpoint, and what its model can do is asked, once a model; each blocks for 10 s at most. Questions
        that were asked before, in this job or another, are not sent again. Before rows are asked again because the
        recipe has changed, a RecipeChangedWarning says so. To decide about a cache, and to keep to a limit, tokens are
        counted too.

        Parameters
        ----------
        frame : DataFrame
            The rows.
        recipe : Recipe
            What each of them asks.
        wishes : Wishes
            How it is to be sent.

        Raises
        ------
        InputError
            A row cannot be asked, the server refuses the request's shape or model, or the job may cost more than its
            limit. Nothing was sent.
        CredentialsError
            There is no key, or the server refuses it. Nothing was sent.
        """
        # First, since a function of the user's may fail: then nothing is opened.
        rows = list(read_rows(recipe, frame)) if recipe.calls else None
        job = record_job(
            self.api, self.ledger, self.prices, bare(frame), recipe, wishes, rows=rows,
            max_requests=self._max_requests, max_bytes=self._max_bytes,
        )  # fmt: skip
        self.go_on(job.number)
        return Job(job.id, self, frame)

    def go_on(self, number: int) -> None:
        """See a job through, if it has anything to wait for; a batch that was given up gets one more look.

        Returns at once.

        Parameters
        ----------
        number : int
            The job's number in the ledger.
        """
        jobs = self.ledger.jobs
        self.ledger.batches.look_again(number)
        if jobs.by_number(number).state == "open":
            jobs.release(number, "auto")  # whoever sent these rows may have died before it could ask failed ones again
        if not jobs.settle(number, self.clock.now()):
            jobs.reopen(number)
            self.watch(number)

    def watch(self, number: int) -> threading.Event:
        """See a job through to its end in the background; give the event that is set then. Returns at once.

        Parameters
        ----------
        number : int
            The job's number in the ledger.
        """
        return self.watcher.watch(number)

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
        check_texts(note="", id=id)
        job = Job(attach_batch(self.api, self.ledger, id, self.clock.now()) if is_batch_id(id) else id, self)
        self.go_on(self.ledger.jobs.get(job.id).number)
        return job

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
            self.api.require_credentials()
        try:
            found = self._recover(timeout, forget=forget)
        except DamagedLedgerError:
            self._set_damaged_aside()
            found = self._recover(timeout, forget=forget)
        told = [one for one in found if one.ours or one.note]
        rows = [[one.batch.id, one.batch.total, one.ours, one.answers, one.note, self.simulated] for one in told]
        return pd.DataFrame(rows, columns=["id", "requests", "ours", "recovered", "note", "simulated"])

    def _recover(self, timeout: float | None, *, forget: bool) -> list[Recovered]:
        ledger = self.ledger
        found = [] if forget else recover(self.api, ledger, max_poll=self._max_poll, timeout=timeout)
        if not any(one.note for one in found):
            ledger.forget_earlier()
        return found

    def _set_damaged_aside(self) -> None:
        self.close()
        aside = put_damaged_aside(self.home, self.scope)
        print(f"batchnb: the damaged ledger is kept as {aside}; a new one is begun.", file=sys.stderr)  # noqa: T201

    def jobs(self) -> pd.DataFrame:
        """List the jobs of this ledger, newest first. Touches no network."""
        return job_frame(self.ledger, self.ledger.jobs.all(), self.prices, now=self.now(), simulated=self.simulated)

    def batches(self, limit: int = 100) -> pd.DataFrame:
        """List the workspace's batches on the server, newest first, whoever made them. Touches the network; blocks.

        Parameters
        ----------
        limit : int
            How many at most.
        """
        return server_frame(self.list_batches(limit), simulated=self.simulated)

    def list_batches(self, limit: int) -> list[BatchInfo]:
        """Return what `batches` lists as the API describes it. Touches the network; blocks.

        Parameters
        ----------
        limit : int
            How many at most.
        """
        limit = check_whole("limit", limit, 1, note="")
        return list(itertools.islice(self.api.list_batches(page_size=min(limit, 1000)), limit))

    def delete_batch(self, id: str) -> None:
        """Delete a batch from the server, if it is there, and keep that in mind. Touches the network; blocks.

        Parameters
        ----------
        id : str
            The server's.

        Raises
        ------
        NotFoundError
            The key in use belongs to another workspace than the batch.
        """
        known = self.ledger.batches.find(id)
        try:
            self.api.delete_batch(id)
        except NotFoundError as error:  # deleted there before, or not to be seen from here
            if known is not None and known.place.differs_from(self.api.heard.place):
                raise NotFoundError(
                    f"Batch {id} was made in another workspace ({known.place}) than that of the key in use "
                    f"({self.api.heard.place}), so it was not deleted: use a key of that one.",
                    status=error.status, type=error.type,
                ) from error  # fmt: skip
            if known is None:
                raise
        self.ledger.evidence.deleted(id)

    # Ending

    def close(self) -> None:
        """End the background thread, and close the ledger and the connections.

        What is being sent is waited for, 10 s at most; what is being asked is given up. Blocks for 20 s at most. What
        was recorded stays; another workspace, or this cell run again, goes on with it.
        """
        self._close()

    def _close(self, *patience: float) -> None:
        self._freeze_views()
        with self._making:
            parts, self._parts = self._parts, {}
        if "watcher" in parts:
            atexit.unregister(self._at_exit)
            parts["watcher"].stop(*patience)
        if "ledger" in parts:
            parts["ledger"].close()
        if "api" in parts:
            parts["api"].close()

    def _freeze_views(self) -> None:
        """Leave summaries where live views are."""
        while self.views:
            self.views.popitem()[1].freeze()

    def _at_exit(self) -> None:
        """Finish sending before the interpreter goes, and say so; waiting for answers is not needed.

        An interrupt ends it at once; so does another one the little that is left to do then.
        """
        self._freeze_views()  # first: a kernel that is shut down has seconds to leave its views readable
        if "watcher" not in self._parts:  # it has been closed
            return
        with contextlib.suppress(KeyboardInterrupt):
            try:
                with contextlib.suppress(KeyboardInterrupt):
                    finish_sending(self.watcher, self.api.exchanges)
                say_what_is_left(self.watcher)
            finally:
                self._close(0.0)
