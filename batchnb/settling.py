"""Settling a batch whose create call got no usable answer: found, never made, or past finding.

By listing: a batch of the same size that the ledger does not know is followed to its end, and adopted if it holds
exactly our custom_ids. None, twice, after a grace period, nor an ended one of another size: it was never made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from batchnb import requests
from batchnb.api import Api, BatchInfo
from batchnb.errors import AmbiguousError, ApiError
from batchnb.forms import UNREADABLE, line_of
from batchnb.ledger import BatchRecord, Ledger
from batchnb.results import lines

__all__ = ["DECIDE", "READ_AGAIN", "STRANGERS", "Settlement", "Settling", "result_in", "times_of"]

#: Created batches are looked for from this long before the intent, since clocks disagree; the custom_ids decide.
LOOK_BACK = 26 * 3600.0

#: Times the results of a batch are read again before what is not in them counts as missing.
READ_AGAIN = 3

#: Rows in the results of a batch, none of them ours, after which it is another's.
STRANGERS = 100

#: Listings that must agree before something counts as not there.
LISTINGS = 2

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
    """

    empty_listings: int = 0
    rejected: set[str] = field(default_factory=set)
    suspected: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)
    reads: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    vanished: int = 0


class Settling:
    """Finds out what became of batches.

    Parameters
    ----------
    api, ledger
        Where to look, and where to record.
    clock : callable
        Gives the time in seconds since the epoch.
    grace : float
        Seconds after which a batch that no listing shows counts as never made.
    """

    def __init__(self, api: Api, ledger: Ledger, clock: Callable[[], float], *, grace: float) -> None:
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
        unknown = self._unknown(batch, known)
        sizes = (batch.requests, 0)  # 0: the server does not say
        candidates = [info for info in unknown if info.total in sizes or info.id in known.suspected]
        known.open = known.gone | {candidate.id for candidate in candidates}
        if self._adopted(batch, candidates, known):
            return True
        known.open -= known.rejected
        if self._given_up(batch, known):
            return True
        if not self._is_unlisted(batch, known):
            return False
        # A server that miscounts must not hide a batch: before anything is sent again, those of other sizes are read.
        if self._adopted(batch, unknown, known):
            return True
        if any(info.id in known.suspected for info in unknown):
            return False
        self._ledger.batches.let_go(batch.id, state="uncertain")
        return True

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
                if self._is_ours(candidate, ours, known):
                    self._ledger.batches.accepted(batch.id, candidate.id, times=times_of(candidate))
                    return True
            except ApiError as error:  # this one cannot be read now; another may be the one
                failure = error
        if failure is not None:
            raise failure
        return False

    def _unknown(self, batch: BatchRecord, known: Settlement) -> list[BatchInfo]:
        """List the batches that are unknown to the ledger and not much older than the intent."""
        listed = []
        for info in self._api.list_batches():
            if info.created_at is not None and info.created_at.timestamp() < batch.intended_at - LOOK_BACK:
                break
            listed.append(info)
        # Asked after the listing: what another process has recorded in the meantime is no candidate.
        others = self._ledger.batches.known_server_ids() | known.rejected
        known.gone = known.open - {info.id for info in listed} - others
        known.vanished = known.vanished + 1 if known.gone else 0
        return [info for info in listed if info.id not in others]

    def _is_ours(self, candidate: BatchInfo, ours: set[bytes], known: Settlement) -> bool:
        """Tell by its custom_ids whether an ended candidate is our batch; reject it for good if it is another's.

        One that holds part of ours is read again, since a stream can end early. If that does not change, it is ours
        with rows missing, unless it holds other rows too: then it stays open, if it is of our size.
        """
        found, strangers = self._digests_in(candidate.id, ours)
        if found and found == ours:
            return True
        if strangers and (not found or candidate.total != len(ours)):
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
                for custom_id, _ in filter(None, map(result_in, chain.from_iterable(lines(chunks)))):
                    digest = requests.digest_in(custom_id)
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

    def _is_unlisted(self, batch: BatchRecord, known: Settlement) -> bool:
        """Tell whether no listing shows a batch that may be this one, twice, after the grace period."""
        if known.open:
            known.empty_listings = 0
        elif self._clock() - (batch.failed_at or batch.intended_at) >= self._grace:
            known.empty_listings += 1
        return known.empty_listings >= LISTINGS


def times_of(info: BatchInfo) -> dict[str, float | None]:
    """Give a batch's times in seconds since the epoch."""

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
        return line_of(line)
    except UNREADABLE:
        return None
