"""Batches that this ledger did not send: attached whole, or searched for answers to questions of our own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from batchnb.answers.judge import PAID, Answer, answer_of
from batchnb.answers.request_counts import COUNTS
from batchnb.api.heard import NOWHERE, Place
from batchnb.errors import JobStateError
from batchnb.ledger.batches import Batches
from batchnb.ledger.fragments import ATTACHED, LINK, RECOVERED
from batchnb.ledger.read_batches import BatchRecord
from batchnb.ledger.store import Store
from batchnb.ledger.write_rows import runs_of
from batchnb.questions.bodies import attached_digest
from batchnb.questions.replies.base import TextReply
from batchnb.questions.replies.reply import reply_from_spec
from batchnb.questions.spec import RecipeSpec

__all__ = ["Foreign", "ForeignBatch"]

#: Answers written in one go.
CHUNK = 2_000

#: Answers taken back whose question a job of this ledger asks, and which nothing else is going to answer.
WANTED = f"""
    SELECT r.id, r.digest, e.reply, v.result, v.server_id
    FROM recovered AS v JOIN requests AS r ON r.digest = v.digest JOIN envelopes AS e ON e.id = r.envelope
    LEFT JOIN batches AS b ON b.id = r.batch
    WHERE (b.id IS NULL OR b.state IN ('lost', 'collected'))
    AND NOT EXISTS (SELECT 1 FROM answers AS a WHERE a.request = r.id AND a.outcome IN {PAID})
    LIMIT {CHUNK}
"""

#: Forget what was taken back and has come in another way since, such as by a batch that was being settled.
ANSWERED = f"""
    DELETE FROM recovered WHERE EXISTS (SELECT 1 FROM requests AS r JOIN answers AS a ON a.request = r.id
                                        WHERE r.digest = recovered.digest AND a.outcome IN {PAID})
"""


@dataclass(frozen=True, slots=True)
class ForeignBatch:
    """A batch as the server describes it, and where that was. Times are seconds since the epoch."""

    server_id: str
    state: str
    counts: Mapping[str, int]
    created_at: float | None
    expires_at: float | None
    ended_at: float | None
    place: Place = NOWHERE

    @property
    def requests(self) -> int:
        """How many requests it holds, in whatever state."""
        return sum(self.counts.values())


class Foreign:
    """What the ledger keeps of batches it did not send."""

    def __init__(self, store: Store, batches: Batches) -> None:
        self._store = store
        self._batches = batches

    # Attaching

    def job_of(self, server_id: str) -> str | None:
        """Return the id of the job that sent, or took on, a batch of the server; the oldest where several share it.

        None where the ledger does not know the batch.
        """
        query = """
            SELECT j.id FROM batches AS b JOIN job_batches AS k ON k.batch = b.id JOIN jobs AS j ON j.number = k.job
            WHERE b.server_id = ? ORDER BY j.number LIMIT 1
        """
        with self._store.read() as db:
            found = db.execute(query, (server_id,)).fetchone()
        return found and str(found[0])

    def attach(self, batch: ForeignBatch, recipe: RecipeSpec, now: float) -> str:
        """Record a job for a batch made elsewhere, and give its id: the batch's own.

        Its rows are not known before its results are: `admit` adds them.

        Raises
        ------
        JobStateError
            It may be one of ours whose answer was lost: that is being found out first.
        """
        with self._store.transaction(durable=True) as db:
            known = self.job_of(batch.server_id)
            if known is not None:
                return known
            if db.execute(
                # One that was given up for now is looked for again when its cell is run again.
                "SELECT 1 FROM batches WHERE requests = ? AND NOT standard AND (state IN ('submitting', 'uncertain')"
                " OR state = 'lost' AND given_up = 1 AND server_id IS NULL)",
                (batch.requests,),
            ).fetchone():
                raise JobStateError(
                    f"Batch {batch.server_id} may be one that this ledger is sending: the answer to sending one of "
                    f"{batch.requests:,} requests has not come yet, or was lost. Nothing was changed; run the cell "
                    "that sends it again, and attach this one when that job says so no longer."
                )
            number = self._insert(batch, ATTACHED, batch.state)
            job = db.execute(
                "INSERT INTO jobs (id, name, state, recipe, rows, reused, batch_size, max_bytes, retries, created_at)"
                " VALUES (?, ?, 'open', ?, ?, 0, 1, 0, 0, ?)",
                (batch.server_id, f"batch {batch.server_id}", recipe.json, batch.requests,
                 batch.created_at or now),
            ).lastrowid  # fmt: skip
            db.execute("INSERT INTO job_batches (job, batch) VALUES (?, ?)", (job, number))
        return batch.server_id

    def admit(self, batch: BatchRecord, results: Sequence[tuple[str, bytes]]) -> None:
        """Write results of an attached batch, as (custom_id, result); writing them again changes nothing."""
        assert batch.server_id is not None  # noqa: S101  # an attached batch has one from the start
        reply = TextReply()
        named = {custom_id: attached_digest(batch.server_id, custom_id) for custom_id, _ in results}
        with self._store.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO envelopes (digest, head, tail, betas, reply) VALUES (?, x'', x'', '[]', ?)",
                (ATTACHED.encode(), msgspec.json.encode(reply.spec()).decode()),
            )
            found = db.execute(
                "SELECT number, (SELECT COALESCE(MAX(position + length), 0) FROM job_runs WHERE job = number) FROM jobs"
                " WHERE id = ?",
                (batch.server_id,),
            ).fetchone()
            if found is None:
                return  # another process has read it to its end, and then the job was deleted
            job, known = found
            new = []
            for custom_id, digest in named.items():
                added = db.execute(
                    "INSERT OR IGNORE INTO requests (digest, envelope, batch)"
                    " SELECT ?, id, ? FROM envelopes WHERE digest = ?",
                    (digest, batch.id, ATTACHED.encode()),
                )
                if added.rowcount:
                    new.append((added.lastrowid, custom_id))
            requests = [request for request, _ in new]
            db.executemany("INSERT INTO contents VALUES (?, '', x'')", [(request,) for request in requests])
            db.executemany(
                "INSERT INTO job_runs VALUES (?, ?, ?, ?, ?)",
                [(job, *run) for run in runs_of(requests, [None] * len(new), known)],
            )
            db.executemany(
                "INSERT INTO job_keys VALUES (?, ?, ?)",
                [(job, place, custom_id) for place, (_, custom_id) in enumerate(new, known)],
            )
            self._batches.record(batch.id, [answer_of(named[custom_id], raw, reply) for custom_id, raw in results])

    def absent(self, batch: BatchRecord) -> int:
        """Count the requests of an attached batch whose results have not been seen."""
        with self._store.read() as db:
            seen = db.execute(
                "SELECT COALESCE(SUM(length), 0) FROM job_runs JOIN jobs ON number = job WHERE id = ?",
                (batch.server_id,),
            ).fetchone()[0]
        return max(0, batch.requests - int(seen))

    # Recovering

    def has_read(self, server_id: str) -> bool:
        """Tell whether this ledger has sent a batch of the server, or has searched it for answers to its end.

        One that is only attached, or only gave part of its answers, or whose job was deleted, may hold more of ours.
        """
        query = """
            SELECT 1 FROM batches AS b WHERE server_id = :id AND owner NOT IN (:attached, :recovered)
            AND EXISTS (SELECT 1 FROM requests AS r WHERE r.batch = b.id) UNION ALL
            SELECT 1 FROM read_batches WHERE server_id = :id AND complete
        """
        values = {"id": server_id, "attached": ATTACHED, "recovered": RECOVERED}
        with self._store.read() as db:
            return db.execute(query, values).fetchone() is not None

    def keep(self, batch: ForeignBatch, results: Iterable[tuple[bytes, bytes]]) -> int:
        """Keep paid answers of a batch as (digest, result), and count those that were not here before."""
        with self._store.transaction() as db:
            self._read(batch)
            return db.executemany(
                "INSERT OR IGNORE INTO recovered SELECT :digest, :server, :result WHERE NOT EXISTS (SELECT 1 FROM"
                " requests AS r JOIN answers AS a ON a.request = r.id"
                f" WHERE r.digest = :digest AND a.outcome IN {PAID})",
                [{"digest": digest, "server": batch.server_id, "result": result} for digest, result in results],
            ).rowcount

    def mark_read(self, batch: ForeignBatch) -> None:
        """Record that a batch has been searched to its end."""
        with self._store.transaction(durable=True) as db:
            self._read(batch)
            db.execute("UPDATE read_batches SET complete = 1 WHERE server_id = ?", (batch.server_id,))

    def _read(self, batch: ForeignBatch) -> None:
        counts = [batch.counts.get(name, 0) for name in COUNTS[1:]]
        with self._store.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO read_batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                (batch.server_id, batch.requests, *counts, batch.created_at, batch.expires_at, batch.ended_at),
            )

    def use_recovered(self) -> int:
        """Return the questions of this ledger the answers that were taken back, and count them.

        Only those that no batch is going to answer: neither sent, nor being settled.
        """
        used = 0
        with self._store.transaction(durable=True) as db:
            while found := db.execute(WANTED).fetchall():
                batches = {server_id: self._recovered_batch(server_id) for *_, server_id in found}
                for request, digest, reply, result, server_id in found:
                    number = batches[server_id]
                    db.execute("UPDATE requests SET batch = ? WHERE id = ?", (number, request))
                    self._batches.record(number, [_judged(digest, result, reply)])
                    db.execute("DELETE FROM recovered WHERE digest = ?", (digest,))
                used += len(found)
            if used:
                recovered = "b.server_id IN (SELECT server_id FROM read_batches)"
                db.execute(f"{LINK} WHERE {recovered}")
                # Such a batch is collected, and yet may bring more.
                db.execute(
                    "UPDATE job_batches SET tally = NULL"
                    f" WHERE batch IN (SELECT id FROM batches AS b WHERE {recovered})"
                )
            db.execute(ANSWERED)
            db.execute(
                "UPDATE batches SET state = 'refused', processing = 0 WHERE state = 'lost' AND owner <> ?"
                " AND NOT EXISTS (SELECT 1 FROM requests AS r WHERE r.batch = batches.id)",
                (ATTACHED,),
            )
        return used

    def _recovered_batch(self, server_id: str) -> int:
        """Return the number of the batch that an answer was found in, which becomes one of this ledger's own."""
        with self._store.transaction() as db:
            found = db.execute("SELECT id FROM batches WHERE server_id = ?", (server_id,)).fetchone()
            if found:
                return int(found[0])
            counts, times = ", ".join(COUNTS[1:]), "created_at, expires_at, ended_at"
            row = db.execute(f"SELECT {counts}, {times} FROM read_batches WHERE server_id = ?", (server_id,)).fetchone()
            known = dict(zip(COUNTS[1:], row, strict=False))
            return self._insert(ForeignBatch(server_id, "ended", known, *row[-3:]), RECOVERED, "collected")

    def _insert(self, batch: ForeignBatch, owner: str, state: str) -> int:
        """Write a batch, over what is left of it where its job was deleted; return its number."""
        names = ("server_id", "state", "owner", "requests", "created_at", "expires_at", "ended_at", *Place._fields,
                 *COUNTS)  # fmt: skip
        values = (batch.server_id, state, owner, batch.requests, batch.created_at, batch.expires_at, batch.ended_at,
                  *batch.place, *(batch.counts.get(name, 0) for name in COUNTS))  # fmt: skip
        with self._store.transaction() as db:
            db.execute(
                f"INSERT INTO batches ({', '.join(names)}, bytes, intended_at) VALUES ({'?, ' * len(names)} 0, ?)"
                f" ON CONFLICT (server_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names)}",
                (*values, batch.created_at or 0.0),
            )
            return int(db.execute("SELECT id FROM batches WHERE server_id = ?", (batch.server_id,)).fetchone()[0])


def _judged(digest: bytes, result: bytes, reply: str) -> Answer:
    return answer_of(digest, result, reply_from_spec(msgspec.json.decode(reply)))
