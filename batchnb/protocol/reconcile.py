"""Settling a batch whose create call got no usable answer: found, never made, or past finding.

By listing. A batch of the same size that the ledger does not know is followed to its end, and adopted if it holds
exactly our custom_ids: they decide, whatever any clock says. What is not found may still be there, so that it was never
made is concluded only where all of this holds, in two listings in a row:

1. **No candidate**: no unknown batch that has not ended and may be ours by its size, none whose results do not say so
   clearly, and none that was listed before and now is not. Nor an ended one of another size, since a server may
   miscount.
2. **Late enough**: a grace period has passed since the answer was lost, for listings lag behind. Within one process it
   is measured by a clock that is never set. Across processes, by the server's time at the first look and now; and not
   against this machine's clock, where that says less.
3. **Far enough back**: the list was read back to 26 hours before the intent by the server's clock (`server_at`, from
   the ``Date`` of an earlier answer and the seconds elapsed since; never from this machine's wall clock). Where that is
   not known it was read to its end. See :mod:`batchnb.protocol.listing` for what ends it sooner.
4. **The right workspace**: the listing's answer does not name another organization or workspace than the intent has.
   If it does, the key was changed: the batch is set aside at once with that reason, and looked for again when the cell
   is run with a key of the old workspace. Where answers to one key name several, what is not found is to be decided.
5. **A control**: the listing shows what else this ledger knows the server to have. Where both name the same workspace,
   one that is not shown is asked for by its id: it was deleted there, or the listing is not whole. Where the workspace
   is not known, one that is not shown may mean another workspace. Then nothing is concluded: after a while of doubt
   the batch is set aside with the reason.

Nothing is bought again by itself in any other case.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from batchnb.answers.lines import lines
from batchnb.answers.wire import UNREADABLE, lenient_line_of
from batchnb.api.client import Api
from batchnb.api.shapes import BatchInfo
from batchnb.errors import AmbiguousError, ApiError, NotFoundError
from batchnb.ledger.evidence import Taken
from batchnb.ledger.fragments import ATTACHED
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.read_batches import BatchRecord
from batchnb.protocol.listing import PAGE, Listing, read_back
from batchnb.questions.bodies import digest_in
from batchnb.system.clock import Clock

__all__ = ["FINDING_OUT", "READ_AGAIN", "STRANGERS", "Settlement", "Settling", "decision_on", "result_in", "times_of"]

#: Created batches are looked for from this long before the intent by the server's clock; the custom_ids decide.
LOOK_BACK = 26 * 3600.0

#: Batches older than this may no longer be listed, for all that is documented: results are kept a day longer.
LISTED = 28 * 86_400.0

#: Batches that a listing should show, and does not, that are asked for by their ids.
CONTROLS = 3

#: Batches that can hardly be the one that are read before it counts as never made, of each kind.
OTHERS = 20

#: Times the results of a batch are read again before what is not in them counts as missing.
READ_AGAIN = 3

#: Rows in the results of a batch, none of them ours, after which it is another's.
STRANGERS = 100

#: Listings that must agree before something counts as not there.
LISTINGS = 2

FINDING_OUT = "Whether the server took the batch is being found out; nothing is sent twice."

#: What to do about rows that wait for a decision.
DECIDE = 'job.resolve("send") asks these rows again, which may buy them twice; job.resolve("drop") gives them up.'


@dataclass(slots=True)
class Settlement:
    """What is known so far of an uncertain batch; kept in memory, since looking again costs little.

    Parameters
    ----------
    empty_listings : int
        Listings after the grace period, in a row, that showed no batch that may be this one.
    rejected : set of str
        Ids of batches of this size that turned out to be others.
    suspected : set of str
        Ids of ended batches, of whatever size, that may be this one by their results.
    open : set of str
        Ids of those that may be this one: not ended, not read whole, or listed once and then no more.
    reads : dict of str to int
        How often the results of each have been read without a decision.
    gone : set of str
        Those of the open ones that the last listing did not show.
    vanished : int
        Listings, in a row, in which one of the open ones was missing.
    since : float or None
        When it was first looked for in this process, in seconds by a clock that is never set.
    unproven : str or None
        Why the last listing, which did not show it, does not tell that it was never made.
    """

    empty_listings: int = 0
    rejected: set[str] = field(default_factory=set)
    suspected: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)
    reads: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    vanished: int = 0
    since: float | None = None
    unproven: str | None = None


class Settling:
    """Finds out what became of batches.

    Parameters
    ----------
    api, ledger
        Where to look, and where to record.
    clock : Clock
        The time.
    grace : float
        Seconds after which a batch that no listing shows counts as never made.
    """

    def __init__(self, api: Api, ledger: Ledger, clock: Clock, *, grace: float) -> None:
        self._api = api
        self._ledger = ledger
        self._clock = clock
        self._grace = grace

    def settle(self, batch: BatchRecord, known: Settlement) -> bool:
        """Look for an uncertain batch on the server; tell whether it is settled: found, never made, or past finding.

        Raises
        ------
        ApiError
            The server could not be asked; try again later.
        """
        if known.since is None:
            known.since = self._clock.elapsed()
        # Asked before the listing: what is recorded meanwhile need not be in it.
        controls = self._ledger.evidence.taken(self._since(batch) or 0.0, without=batch.id)
        # Of an address that was hardly asked before, so that no cache on the way has an older answer.
        size = PAGE - random.randrange(PAGE // 10)  # noqa: S311
        listing = read_back(self._api.list_batches(page_size=size), self._since(batch))
        unknown = self._unknown(listing, known)
        fitting, others = self._sorted(batch, unknown, listing)
        candidates = fitting + [info for info in others if info.id in known.suspected]
        known.open = known.gone | {candidate.id for candidate in candidates}
        if self._adopted(batch, candidates, known) or self._set_aside(batch):
            return True
        known.open -= known.rejected
        if self._given_up(batch, known):
            return True
        if not self._is_unlisted(batch, known, listing, controls):
            return False
        # A server that miscounts must not hide a batch: before anything is sent again, others are read too.
        if self._adopted(batch, others, known):
            return True
        if any(info.id in known.suspected for info in others):
            return False
        if self._api.heard.is_several:  # the list of one place does not show what is in another
            self._ledger.batches.lose(batch.id, f"{_SEVERAL} {DECIDE}", final=True)
        else:
            self._ledger.batches.let_go(batch.id, state="uncertain")
        return True

    def elsewhere(self, batch: BatchRecord) -> str | None:
        """Say that the key in use belongs to another workspace than a batch was sent in; None where that is unknown."""
        here = self._api.heard.place
        if not batch.place.differs_from(here):
            return None
        if None in (here.workspace, batch.workspace) or here.workspace == batch.workspace:
            kind, there, now = "organization", batch.organization, here.organization
        else:
            kind, there, now = "workspace", batch.workspace, here.workspace
        return (
            f"The API key in use belongs to another {kind} ({now}) than the one these rows were sent in ({there}). "
            "With a key of that one, run the cell again: it goes on, and nothing is sent twice. If there is none any "
            f"more: {decision_on(batch)}"
        )

    def _set_aside(self, batch: BatchRecord) -> bool:
        """Leave a batch to the key of another workspace, if it was sent with one."""
        elsewhere = self.elsewhere(batch)
        if elsewhere is not None:
            self._ledger.batches.lose(batch.id, elsewhere)
        return elsewhere is not None

    def _adopted(self, batch: BatchRecord, candidates: list[BatchInfo], known: Settlement) -> bool:
        """Adopt the one of these batches that is ours, if one is.

        Raises
        ------
        ApiError
            None was found, and some could not be read.
        """
        ours = set(self._ledger.batches.held(batch.id).requests)
        failure: ApiError | None = None
        for candidate in candidates:
            # Before its end there is no telling whose it is: its custom_ids are only to be seen in its results.
            if candidate.processing_status != "ended" or candidate.id in known.rejected:
                continue
            try:
                if self._is_ours(candidate, batch.requests, ours, known):
                    self._ledger.batches.accepted(
                        batch.id, candidate.id, times=times_of(candidate), place=self._api.heard.place,
                        skew=self._api.skew(),
                    )  # fmt: skip
                    return True
            except ApiError as error:  # this one cannot be read now; another may be the one
                failure = error
        if failure is not None:
            raise failure
        return False

    def _unknown(self, listing: Listing, known: Settlement) -> list[BatchInfo]:
        """Pick the batches that are unknown to the ledger; note which of the open ones are not listed any more."""
        listed = listing.batches
        # Asked after the listing: what another process has recorded in the meantime is no candidate.
        others = self._ledger.batches.known_server_ids() | known.rejected
        known.gone = known.open - {info.id for info in listed} - others
        known.vanished = known.vanished + 1 if known.gone else 0
        return [info for info in listed if info.id not in others]

    def _sorted(
        self, batch: BatchRecord, unknown: list[BatchInfo], listing: Listing
    ) -> tuple[list[BatchInfo], list[BatchInfo]]:
        """Sort unknown batches into those that may be the one by size and time, and others worth a look before the end.

        To read the results of each that was ever listed would take long, and those of old ones are gone. By time: made
        since the intent; or, where that does not go by the clock of `created_at`, since what was sent before it. Times
        may be nonsense, and sizes: so some others are read, the first that are listed.
        """
        since, now = self._since(batch), self._api.now()
        recent = since
        if not (since is not None and listing.has_recent):
            last = self._ledger.evidence.last_before(batch.id)
            recent = None if last is None else last - LOOK_BACK
        if now is not None and batch.server_at is not None and now - batch.server_at < LISTED:
            unknown = [info for info in unknown if info.archived_at is None]  # these are older than the intent
        of_size = [info for info in unknown if info.total in (batch.requests, 0)]  # 0: the server does not say
        fitting = [info for info in of_size if _is_since(info, recent)]
        seen = {info.id for info in fitting}
        others = [info for info in unknown if _is_since(info, since) and info.id not in seen]
        others = others if since is not None else others[:OTHERS]
        seen |= {info.id for info in others}
        return fitting, others + [info for info in of_size if info.id not in seen][:OTHERS]

    def _is_ours(self, candidate: BatchInfo, size: int, ours: set[bytes], known: Settlement) -> bool:
        """Tell by its custom_ids whether an ended candidate is our batch; reject it for good if it is another's.

        One that holds part of ours is read again, since a stream can end early. If that does not change, it is ours
        with rows missing, unless it holds other rows too: then it stays open, if it is of our size. That is as many as
        were sent: `ours` are fewer once another job has asked its rows of this batch again.
        """
        found, strangers = self._digests_in(candidate.id, ours)
        if found and found == ours:
            return True
        if strangers and (not found or candidate.total not in (size, 0)):
            known.rejected.add(candidate.id)
            return False
        known.suspected.add(candidate.id)
        known.reads[candidate.id] = known.reads.get(candidate.id, 0) + 1
        return known.reads[candidate.id] > READ_AGAIN and bool(found) and not strangers

    def _digests_in(self, batch_id: str, ours: set[bytes]) -> tuple[set[bytes], bool]:
        """Read which of our digests a batch's results hold, and whether they hold others."""
        found: set[bytes] = set()
        strangers = 0
        with self._api.results(batch_id) as chunks:
            try:
                read = chain.from_iterable(lines(chunks, elapsed=self._clock.elapsed))
                for custom_id, _ in filter(None, map(result_in, read)):
                    digest = digest_in(custom_id)
                    if digest in ours:
                        found.add(digest)
                    else:
                        strangers += 1
                        if strangers >= STRANGERS and not found:
                            break
            except AmbiguousError:
                if strangers or not found:
                    raise
        return found, strangers > 0

    def _given_up(self, batch: BatchRecord, known: Settlement) -> bool:
        """Leave a batch to be decided on, where asking the server again will not settle it."""
        unread = [candidate for candidate in known.open if known.reads.get(candidate, 0) > READ_AGAIN]
        if unread:
            why = f"Batch {unread[0]} on the server may be it, but its results do not say so clearly."
        elif known.vanished >= LISTINGS:
            why = "A batch on the server that may have been it is no longer listed."
        else:
            return False
        note = f"The answer to sending these rows was lost. {why} {DECIDE}"
        self._ledger.batches.lose(batch.id, note, final=True)
        return True

    # Absence

    @staticmethod
    def _since(batch: BatchRecord) -> float | None:
        """Return when a batch may have been made at the earliest, by the server's clock; None where nothing tells."""
        return None if batch.server_at is None else batch.server_at - LOOK_BACK

    def _is_unlisted(self, batch: BatchRecord, known: Settlement, listing: Listing, controls: Sequence[Taken]) -> bool:
        """Tell whether it was shown, twice, after the grace period, that the batch was never made."""
        is_late = self._is_late(batch, known)
        known.unproven = None if known.open else self._unproven(batch, listing, controls)
        if known.open or known.unproven is not None:
            known.empty_listings = 0
        elif is_late:
            known.empty_listings += 1
        return known.empty_listings >= LISTINGS

    def _is_late(self, batch: BatchRecord, known: Settlement) -> bool:
        """Tell whether the grace period is over, by clocks that cannot have been set meanwhile."""
        if known.since is not None and self._clock.elapsed() - known.since >= self._grace:
            return True
        now = self._api.now()
        if now is None:
            return False
        if batch.sought_at is None:
            self._ledger.evidence.sought(batch.id, now)
            return False
        # Of two processes, only the server's clock tells. This machine's may have been set, but if it says plainly that
        # less time has passed, then the server's has jumped.
        here = self._clock.now() - (batch.intended_at if batch.failed_at is None else batch.failed_at)
        return now - batch.sought_at >= self._grace and not 0 <= here < self._grace

    def _unproven(self, batch: BatchRecord, listing: Listing, controls: Sequence[Taken]) -> str | None:
        """Say why a listing without a batch does not show that it was never made; None where it does."""
        if not listing.reaches:
            return "The server's list of batches is too long to be read to its end."
        here, listed, since = self._api.heard.place, {info.id for info in listing.batches}, self._listed_since(listing)
        missing = [
            one for one in controls
            if one.created_at >= since and one.server_id not in listed and not one.place.differs_from(batch.place)
        ]  # fmt: skip
        if not batch.place.is_surely(here):
            return f"{_absent(missing[0].server_id)} {_OTHER_WORKSPACE}" if missing else None
        surely_here = [one.server_id for one in missing if one.place.is_surely(here)]
        there = next(filter(self._is_there, surely_here[:CONTROLS]), None)
        return None if there is None else f"{_absent(there)} It is there, though, so the list is not whole."

    def _listed_since(self, listing: Listing) -> float:
        """Return since when, by the server's clock, what is there must be listed."""
        made = [info.created_at.timestamp() for info in listing.batches if info.created_at is not None]
        return (self._api.now() or max(made, default=LISTED)) - LISTED

    def _is_there(self, server_id: str) -> bool:
        try:
            self._api.retrieve_batch(server_id)
        except NotFoundError:  # somebody has deleted it
            return False
        return True


def _is_since(info: BatchInfo, since: float | None) -> bool:
    return since is None or info.created_at is None or info.created_at.timestamp() >= since


_SEVERAL = (
    "The answer to sending these rows was lost, and no list shows them; but the answers to this key name different "
    "workspaces, as where a gateway shares calls out among several keys, so that they may be in another one."
)
_OTHER_WORKSPACE = "Either it was deleted there, or the API key in use belongs to another workspace."


def _absent(server_id: str) -> str:
    return f"The server's list of batches does not show {server_id}, which this ledger has sent or read."


def decision_on(batch: BatchRecord) -> str:
    """Say what can be decided of a batch that is not found.

    What one made elsewhere asked is not known here, so that it cannot be asked again.
    """
    return 'job.resolve("drop") gives its rows up.' if batch.owner == ATTACHED else DECIDE


def times_of(info: BatchInfo) -> dict[str, float | None]:
    """Return a batch's times in seconds since the epoch."""

    def seconds(moment: datetime | None) -> float | None:
        return None if moment is None else moment.timestamp()

    return {
        "created_at": seconds(info.created_at),
        "expires_at": seconds(info.expires_at),
        "ended_at": seconds(info.ended_at),
    }


def result_in(line: bytes) -> tuple[str, bytes] | None:
    """Read the custom_id and the result in a line; None where the line was cut or is none."""
    try:
        return lenient_line_of(line)
    except UNREADABLE:
        return None
