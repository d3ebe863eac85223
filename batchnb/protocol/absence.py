"""Whether a batch that no listing shows was never made, so that its requests may be sent again.

What is not found may still be there. See :mod:`batchnb.protocol.reconcile` for the five conditions: those of time, of
the workspace, and of what else a listing must show are judged here.
"""

from __future__ import annotations

from collections.abc import Sequence

from batchnb.api.client import Api
from batchnb.errors import NotFoundError
from batchnb.ledger.evidence import KnownBatch
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.read_batches import BatchRecord
from batchnb.protocol.listing import LISTED, Listing
from batchnb.protocol.settlement import Settlement
from batchnb.system.clock import Clock

__all__ = ["LISTINGS", "Absence"]

#: Batches that a listing should show, and does not, that are asked for by their ids.
CONTROLS = 3

#: Listings that must agree before something counts as not there.
LISTINGS = 2

_OTHER_WORKSPACE = "Either it was deleted there, or the API key in use belongs to another workspace."


class Absence:
    """Judges what it means that a listing does not show a batch.

    Parameters
    ----------
    api, ledger
        Where to ask, and where to record.
    clock : Clock
        The time.
    grace : float
        Seconds after which a batch that no listing shows may count as never made.
    """

    def __init__(self, api: Api, ledger: Ledger, clock: Clock, *, grace: float) -> None:
        self._api = api
        self._ledger = ledger
        self._clock = clock
        self._grace = grace

    def is_shown(self, batch: BatchRecord, known: Settlement, listing: Listing, controls: Sequence[KnownBatch]) -> bool:
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

    def _unproven(self, batch: BatchRecord, listing: Listing, controls: Sequence[KnownBatch]) -> str | None:
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


def _absent(server_id: str) -> str:
    return f"The server's list of batches does not show {server_id}, which this ledger has sent or read."
