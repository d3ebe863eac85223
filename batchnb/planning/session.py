"""What the jobs of a workspace share: connection, ledger, the thread that looks after them, prices and views."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import threading
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from batchnb.answers.provenance import Provenance
from batchnb.api.addresses import own_client, scope_of
from batchnb.api.client import Api
from batchnb.api.sdk import message_fields
from batchnb.api.shapes import BatchInfo
from batchnb.costs.price_list import prices_in_use
from batchnb.costs.prices import PriceTable
from batchnb.display.kernel.foreground import FOREGROUND, Pace
from batchnb.errors import NotFoundError
from batchnb.ledger.copied import COPIED
from batchnb.ledger.ledger import Ledger
from batchnb.planning.check import stacklevel_of_user
from batchnb.protocol.leaving import finish_sending, say_what_is_left
from batchnb.protocol.submission import Submission
from batchnb.protocol.timing import Timing
from batchnb.protocol.watcher import Watcher
from batchnb.questions.scalars import check_whole
from batchnb.system.clock import Clock, Moment
from batchnb.system.forks import at_exit, at_forks, keep_untouched, once

if TYPE_CHECKING:
    import anthropic

__all__ = ["Session"]

_Part = TypeVar("_Part")


class Session:
    """What the jobs of a workspace share. Making one touches nothing: its parts are made when first needed.

    Parameters
    ----------
    client : anthropic.Anthropic or None
        The client to use; None makes one from the environment.
    home : Path
        The folder of the ledger.
    model : str
        The model of jobs that name none.
    scope : str or None
        A name for whose answers the ledger keeps; None: the base URL, or a simulator's id.
    timing : Timing
        Pauses and patiences, for all that is made.
    max_requests, max_bytes : int
        The API's limits for one batch.
    """

    def __init__(
        self,
        client: anthropic.Anthropic | None,
        home: Path,
        model: str,
        scope: str | None,
        *,
        timing: Timing,
        max_requests: int,
        max_bytes: int,
    ) -> None:
        self._client = client
        self.home = home
        self.model = model
        self._scope = scope
        self.timing = timing
        self.max_requests = max_requests
        self.max_bytes = max_bytes
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
        """The ledger of this session's scope."""
        return self._part("ledger", self._open_ledger)

    def _open_ledger(self) -> Ledger:
        ledger = Ledger(
            self.home, self.scope, longest_call=self.timing.longest_call, lock_patience=self.timing.lock_patience
        )
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
            max_requests=self.max_requests,
            timing=self.timing,
            prices=prices_in_use,
            rest=pace.rest,
        )
        at_exit(self._at_exit)
        return Watcher(submission, self.ledger, clock=self.clock, rest=pace.rest, count=pace.count)

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
        return self.provenance.simulated

    @property
    def provenance(self) -> Provenance:
        """Where answers come from."""
        return Provenance.of(self._simulator)

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

    def go_on(self, number: int) -> None:
        """See a job through, if it has anything to wait for; a batch that was given up gets one more look.

        Returns at once.

        Parameters
        ----------
        number : int
            The job's number in the ledger.
        """
        jobs = self.ledger.jobs
        self.ledger.decisions.look_again(number)
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

    # Batches on the server

    def list_batches(self, limit: int) -> list[BatchInfo]:
        """Return the batches on the server as the API describes them, newest first. Touches the network; blocks.

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
