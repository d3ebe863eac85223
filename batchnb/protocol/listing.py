"""How far back the server's list of batches must be read, so that what is not in what was read is not there.

The list is documented as newest first, with `created_at` by the server's clock. Nothing here relies on that alone: one
entry that is too old proves nothing, for a list may be unordered, times may be missing, and an answer's ``Date`` may
come from another clock than `created_at`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from batchnb.api.shapes import BatchInfo
from batchnb.ledger.read_batches import BatchRecord

__all__ = ["LISTED", "LOOK_BACK", "PAGE", "Listing", "earliest", "read_back"]

#: Created batches are looked for from this long before the intent by the server's clock; the custom_ids decide.
LOOK_BACK = 26 * 3600.0

#: Batches older than this may no longer be listed, for all that is documented: results are kept a day longer.
LISTED = 28 * 86_400.0

#: Batches asked for at once: the most that the API gives.
PAGE = 1_000

#: Batches in a row, made before what is looked for, after which the rest of an ordered list is taken to be older too.
OLD = 500

#: A batch may be listed behind one that is older by so many seconds in a list that counts as ordered.
DISORDER = 3_600.0

#: Entries after which reading stops in any case, however many more there are.
MOST = 200_000


@dataclass(frozen=True, slots=True)
class Listing:
    """What was read of the server's list of batches.

    Parameters
    ----------
    batches : list of BatchInfo
        Each once, in the order in which they came.
    reaches : bool
        Whether all that were made since the time in question, and are listed at all, are among them.
    has_recent : bool
        Whether one of them was made since, so that `created_at` seems to go by the same clock.
    """

    batches: list[BatchInfo]
    reaches: bool
    has_recent: bool


def earliest(batch: BatchRecord) -> float | None:
    """Return when a batch may have been made at the earliest, by the server's clock; None where nothing tells."""
    return None if batch.server_at is None else batch.server_at - LOOK_BACK


def read_back(infos: Iterable[BatchInfo], since: float | None) -> Listing:
    """Read the list of batches as far back as needed.

    It is read to its end, unless it is in order, has shown a batch made `since` (so that the two go by the same clock),
    and then many in a row that are older.

    Parameters
    ----------
    infos : iterable of BatchInfo
        As the server lists them. Reading may touch the network.
    since : float or None
        Seconds since the epoch by the server's clock; None: not known.
    """
    found: dict[str, BatchInfo] = {}
    oldest, old, has_recent, is_ordered = math.inf, 0, False, True
    for count, info in enumerate(infos):
        if count >= MOST:
            return Listing(list(found.values()), reaches=False, has_recent=has_recent)
        found[info.id] = info
        made = info.created_at
        if since is None or made is None:
            old = 0
            continue
        seconds = made.timestamp()
        is_ordered = is_ordered and seconds <= oldest + DISORDER
        oldest = min(oldest, seconds)
        has_recent = has_recent or seconds >= since
        old = old + 1 if seconds < since else 0
        if old >= OLD and has_recent and is_ordered:
            break
    return Listing(list(found.values()), reaches=True, has_recent=has_recent)
