"""Filling the server's prompt cache by a first small batch, and what earlier caches have brought."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from batchnb.costs.cache import FEW, RECENT, Sending, readiness
from batchnb.ledger.fragments import POSITION, unsent
from batchnb.ledger.store import Store

if TYPE_CHECKING:
    from batchnb.ledger.read_batches import BatchRecord
    from batchnb.ledger.read_jobs import JobRecord

__all__ = ["Warming"]

#: Cached requests, and batches of them, from which a share of hits is learned: fewer say little, older ones less.
ENOUGH_REQUESTS, NEWEST_BATCHES = 50, 50

#: The batches that were sent with a cache and hold requests of an envelope.
_SENDINGS = """
    SELECT b.state, b.requests, b.cache, b.intended_at, b.ended_at - b.created_at, b.checked_at FROM batches AS b
    WHERE b.cache IS NOT NULL AND b.state <> 'refused' AND b.intended_at > :since
    AND EXISTS (SELECT 1 FROM requests AS r WHERE r.batch = b.id AND r.envelope = :envelope)
"""

#: Whether the server has refused requests of a job (:job) for good: it will refuse others just so, and one by one that
#: would take as many calls.
_REFUSED = """
    SELECT 1 FROM job_runs AS u CROSS JOIN answers AS a INDEXED BY answers_without_batch
    ON a.batch IS NULL AND a.request BETWEEN u.request AND u.request + u.length - 1
    WHERE u.job = :job AND a.outcome = 'errored' LIMIT 1
"""


class Warming:
    """Which requests may go before the cache is filled, decided by what the ledger says of earlier batches alone.

    So it holds after a restart, and for several processes at once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def claim(self, job: JobRecord, now: float, claim: Callable[..., BatchRecord | None]) -> BatchRecord | float | None:
        """Claim a batch of a job whose requests fill a cache first.

        Where a cache is not known to be filled, that is one request, which fills it. While that is on its way there is
        nothing to claim, and the time is given, in seconds since the epoch, until which to wait at most.

        Parameters
        ----------
        job : JobRecord
            The job.
        now : float
            Seconds since the epoch.
        claim : callable
            :meth:`Batches.claim` with all that it takes but `only` and `without`.
        """
        with self._store.transaction(durable=True):
            first, filling, until = self._first(job, now)
            claimed = claim(only=first, without=() if first else filling)
        return until if claimed is None else claimed

    def _first(self, job: JobRecord, now: float) -> tuple[list[int], list[int], float | None]:
        """Pick the requests that fill caches, or the envelopes whose caches are being filled, and until when."""
        query = f"""
            SELECT r.envelope, r.id, MIN({POSITION}), COUNT(*)
            {unsent("CROSS JOIN envelopes AS e ON e.id = r.envelope")} AND length(e.head) > 0
            GROUP BY r.envelope
        """
        first: list[int] = []
        filling: list[int] = []
        times: list[float] = []
        with self._store.read() as db:
            # SQLite gives the request of the row that has the least position.
            waiting = db.execute(query, {"job": job.number}).fetchall()
            for envelope, request, _, requests in waiting:
                found = db.execute(_SENDINGS, {"since": now - RECENT, "envelope": envelope}).fetchall()
                sendings = [
                    Sending(state, size, cache, intended_at, took, checked_at)
                    for state, size, cache, intended_at, took, checked_at in found
                ]
                ready = readiness(sendings, now)
                if ready == "cold" and requests > FEW and not db.execute(_REFUSED, {"job": job.number}).fetchone():
                    first.append(request)
                elif isinstance(ready, float):
                    filling.append(envelope)
                    times.append(ready)
        return first, filling, min(times, default=None)

    def hits(self, job: int) -> tuple[int, int]:
        """Count a job's answers that the cache was written or read for, and those of them that read it."""
        query = """
            SELECT COUNT(*), COALESCE(SUM(cache_read > 0), 0) FROM answers
            WHERE cache_read + cache_write_5m + cache_write_1h > 0
            AND request IN (SELECT request FROM job_requests WHERE job = ?)
        """
        with self._store.read() as db:
            requests, hits = db.execute(query, (job,)).fetchone()
        return int(requests), int(hits)

    def hit_rates(self, model: str) -> dict[str, float]:
        """Give, for each lifetime, the share of cached requests that read the cache, where enough of them tell.

        Of the newest batches of this model. The first small ones do not count: they are meant to write.
        """
        query = f"""
            SELECT COUNT(*), SUM(a.cache_read > 0) FROM (
                SELECT id FROM batches WHERE cache = :cache AND requests > {FEW} AND id IN (SELECT batch FROM jobs
                JOIN job_batches ON job = number WHERE json_extract(recipe, '$.shared.model') = :model)
                ORDER BY id DESC LIMIT {NEWEST_BATCHES}) AS b
            JOIN requests AS r ON r.batch = b.id JOIN answers AS a ON a.request = r.id AND a.batch = b.id
            WHERE a.cache_read + a.cache_write_5m + a.cache_write_1h > 0
        """
        rates = {}
        for lifetime in ("5m", "1h"):
            with self._store.read() as db:
                requests, hits = db.execute(query, {"cache": lifetime, "model": model}).fetchone()
            if requests >= ENOUGH_REQUESTS:
                rates[lifetime] = hits / requests
        return rates
