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
from itertools import chain

from batchnb.answers.lines import lines
from batchnb.answers.wire import result_in
from batchnb.api.client import Api
from batchnb.api.shapes import BatchInfo, times_of
from batchnb.errors import AmbiguousError, ApiError
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.read_batches import BatchRecord
from batchnb.protocol.absence import LISTINGS, Absence
from batchnb.protocol.giving_up import DECIDE, decision_on
from batchnb.protocol.listing import LISTED, LOOK_BACK, PAGE, Listing, earliest, read_back
from batchnb.protocol.settlement import Settlement
from batchnb.questions.bodies import digest_in
from batchnb.system.clock import Clock

__all__ = ["FINDING_OUT", "READ_AGAIN", "STRANGERS", "Settling"]

#: Batches that can hardly be the one that are read before it counts as never made, of each kind.
OTHERS = 20

#: Times the results of a batch are read again before what is not in them counts as missing.
READ_AGAIN = 3

#: Rows in the results of a batch, none of them ours, after which it is another's.
STRANGERS = 100

FINDING_OUT = "Whether the server took the batch is being found out; nothing is sent twice."


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
        self._absence = Absence(api, ledger, clock, grace=grace)

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
        controls = self._ledger.evidence.known(earliest(batch) or 0.0, without=batch.id)
        # Of an address that was hardly asked before, so that no cache on the way has an older answer.
        size = PAGE - random.randrange(PAGE // 10)  # noqa: S311
        listing = read_back(self._api.list_batches(page_size=size), earliest(batch))
        unknown = self._unknown(listing, known)
        fitting, others = self._sorted(batch, unknown, listing)
        candidates = fitting + [info for info in others if info.id in known.suspected]
        known.open = known.gone | {candidate.id for candidate in candidates}
        if self._adopted(batch, candidates, known) or self._set_aside(batch):
            return True
        known.open -= known.rejected
        if self._given_up(batch, known):
            return True
        if not self._absence.is_shown(batch, known, listing, controls):
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
        ours = set(self._ledger.batches.requests_of(batch.id).requests)
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
        since, now = earliest(batch), self._api.now()
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


def _is_since(info: BatchInfo, since: float | None) -> bool:
    return since is None or info.created_at is None or info.created_at.timestamp() >= since


_SEVERAL = (
    "The answer to sending these rows was lost, and no list shows them; but the answers to this key name different "
    "workspaces, as where a gateway shares calls out among several keys, so that they may be in another one."
)
