"""What the ledger knows that a listing must show, before the absence of a batch from it tells anything."""

from __future__ import annotations

from typing import NamedTuple

from batchnb.api.heard import Place
from batchnb.ledger.fragments import ATTACHED, RECOVERED
from batchnb.ledger.store import Store

__all__ = ["Evidence", "KnownBatch"]

#: Batches that a listing is compared with, at most: the newest.
MOST = 100


class KnownBatch(NamedTuple):
    """A batch that the server has taken.

    Parameters
    ----------
    server_id : str
        Its id on the server.
    created_at : float
        When it was made, in seconds since the epoch by the server's clock.
    place : Place
        Where it was sent, as far as that is known.
    """

    server_id: str
    created_at: float
    place: Place


class Evidence:
    """What settling a batch rests on, beside the listing itself."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def known(self, since: float, *, without: int) -> list[KnownBatch]:
        """Return the newest batches that the server has, unless somebody else has deleted them there.

        Parameters
        ----------
        since : float
            Those made then or later, in seconds since the epoch by the server's clock.
        without : int
            The number of one that is left out.
        """
        query = f"""
            SELECT server_id, created_at, organization, workspace FROM batches
            WHERE server_id IS NOT NULL AND NOT deleted AND created_at >= ? AND id <> ? ORDER BY id DESC LIMIT {MOST}
        """
        with self._store.read() as db:
            found = db.execute(query, (since, without)).fetchall()
        return [KnownBatch(server_id, created_at, Place(*place)) for server_id, created_at, *place in found]

    def last_before(self, number: int) -> float | None:
        """Return when the last batch was made that was sent before one of that number, by the server's clock.

        In seconds since the epoch; None where there is none.
        """
        query = f"""
            SELECT MAX(created_at) FROM batches
            WHERE id < ? AND server_id IS NOT NULL AND owner NOT IN ('{ATTACHED}', '{RECOVERED}')
        """
        with self._store.read() as db:
            found: float | None = db.execute(query, (number,)).fetchone()[0]
            return found

    def sought(self, number: int, server_now: float) -> None:
        """Record when an uncertain batch was first looked for, by the server's clock, in seconds since the epoch."""
        with self._store.transaction(rows=False) as db:
            db.execute(
                "UPDATE batches SET sought_at = ? WHERE id = ? AND state = 'uncertain' AND sought_at IS NULL",
                (server_now, number),
            )

    def deleted(self, server_id: str) -> None:
        """Record that a batch was deleted on the server: from now on its absence tells nothing."""
        with self._store.transaction(rows=False) as db:
            db.execute("UPDATE batches SET deleted = 1 WHERE server_id = ?", (server_id,))
