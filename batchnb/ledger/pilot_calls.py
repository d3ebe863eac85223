"""Requests that a pilot sends one by one through Messages, at the standard price.

Each has a row in ``batches`` of its own (``standard`` 1, and never a ``server_id``), so that a claim, a call and an
answer are recorded for one request at a time: whatever dies leaves no more in doubt than the calls in flight.
``created_at`` is when its call was made, NULL until then; ``ended_at`` when its answer came. Messages has no way to
look an answer up, so nothing here is ever settled by listing: a call without a usable answer is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from batchnb.answers.judge import Answer, answer_of
from batchnb.ledger.batches import Batches
from batchnb.ledger.fragments import POSITION, UNSENT
from batchnb.ledger.jobs import Jobs, NewJob
from batchnb.ledger.owners import Owner
from batchnb.ledger.read_batches import BatchRecord
from batchnb.ledger.read_jobs import JobRecord
from batchnb.ledger.store import Store
from batchnb.ledger.wants import cancel
from batchnb.questions.replies.reply import reply_from_spec
from batchnb.questions.rows import FEW, Row, in_parts

__all__ = ["Call", "Pilots"]

#: What to do about a call whose answer was lost.
LOST = (
    "Messages has no way to look an answer up: at most this one answer was paid for, and it is lost. "
    'job.resolve("send") asks the row again, job.resolve("drop") gives it up.'
)


class Call(NamedTuple):
    """What one call sends, as the ledger keeps it (see ``Batches.items``), and what reply it asks for."""

    item: tuple[str, bytes, bytes, bytes, bytes]
    betas: tuple[str, ...]
    reply: str

    def answer(self, result: bytes) -> Answer:
        """Judge the result of the call, in the form that batches give it."""
        return answer_of(self.item[1], result, reply_from_spec(msgspec.json.decode(self.reply)))


class Pilots:
    """Claims of single requests, and what becomes of them."""

    def __init__(self, store: Store, jobs: Jobs, batches: Batches, owner: Owner) -> None:
        self._store = store
        self._jobs = jobs
        self._batches = batches
        self._owner = owner
        self._carried: set[int] = set()

    def start(self, job: NewJob, rows: Iterable[Row], now: float) -> tuple[JobRecord, list[int]]:
        """Record a pilot and claim what it has to ask, each request for itself; return the claims in the rows' order.

        All in one durable transaction, before any byte is sent: no other process can send these requests, and at no
        time do they wait to be put into a batch. What a dead process had claimed is taken over; what a batch holds, or
        another process is asking, is left to it.
        """
        claims: list[int] = []
        self._store.require_in_place()
        self._owner.show()
        try:
            with self._store.transaction(durable=True) as db:
                record = self._jobs.create(job, in_parts(rows, FEW), now)
                for batch in self._batches.of_job(record.number):
                    if batch.standard and batch.state == "submitting":
                        self.look_after(batch, now)
                self._jobs.release(record.number, "run")
                claims += self._claim(record.number, now)
                self._carried.update(claims)  # before it is committed: nobody may find them abandoned
                if claims:  # also of a pilot that was stopped before its end
                    db.execute("UPDATE jobs SET state = 'open', ended_at = NULL WHERE number = ?", (record.number,))
        except BaseException:
            self._carried.difference_update(claims)
            raise
        return self._jobs.by_number(record.number), claims

    def _claim(self, job: int, now: float) -> list[int]:
        query = f"SELECT r.id, MIN({POSITION}) {UNSENT} GROUP BY r.id ORDER BY 2"
        claims = []
        with self._store.transaction(durable=True) as db:
            for request, _ in db.execute(query, {"job": job}).fetchall():
                number = db.execute(
                    "INSERT INTO batches (state, owner, requests, bytes, intended_at, processing, standard)"
                    " VALUES ('submitting', ?, 1, 0, ?, 1, 1)",
                    (self._owner.name, now),
                ).lastrowid
                assert number is not None  # noqa: S101  # SQLite gives every inserted row a number
                self._batches.hold(number, [(request, request)])
                claims.append(number)
        return claims

    def calling(self, number: int, now: float) -> Call | None:
        """Record that the call is about to be made, durably; None where it is not to be made any more."""
        with self._store.transaction(durable=True, rows=False) as db:
            done = db.execute(
                "UPDATE batches SET created_at = ? WHERE id = ? AND state = 'submitting' AND cancel_asked = 0",
                (now, number),
            )
            if done.rowcount != 1:
                return None
            *item, betas, reply = db.execute(
                "SELECT c.label, r.digest, e.head, c.content, e.tail, e.betas, e.reply FROM requests AS r"
                " JOIN contents AS c ON c.request = r.id JOIN envelopes AS e ON e.id = r.envelope WHERE r.batch = ?",
                (number,),
            ).fetchone()
        return Call(tuple(item), tuple(msgspec.json.decode(betas)), reply)

    def not_called(self, number: int) -> None:
        """Record that the server has refused the call for now: it was never made."""
        with self._store.transaction(durable=True, rows=False) as db:
            db.execute("UPDATE batches SET created_at = NULL WHERE id = ? AND state = 'submitting'", (number,))

    def answered(self, number: int, answer: Answer, now: float) -> None:
        """Record the answer: durably, since unlike those of a batch it cannot be read again."""
        with self._store.transaction(durable=True) as db:
            self._batches.record(number, [answer])
            db.execute(
                "UPDATE batches SET state = 'collected', processing = 0, succeeded = 1, ended_at = ?, note = NULL"
                " WHERE id = ? AND state IN ('submitting', 'lost')",
                (now, number),
            )
            self._carried.discard(number)

    def refused(self, number: int, *, error_type: str, message: str) -> None:
        """Give the request the server's refusal as its outcome: nothing was paid for."""
        self._batches.refuse(number, error_type=error_type, message=message)
        self._carried.discard(number)

    def lost(self, number: int, why: str) -> None:
        """Record that the call got no usable answer: its row waits for a decision."""
        self._batches.lose(number, f"{why} {LOST}", final=True)
        self._carried.discard(number)

    def leave(self, numbers: Iterable[int]) -> None:
        """Give up what is left of claims: requests never called go back, for others to send."""
        for number in numbers:
            if number in self._carried:
                self._carried.discard(number)
                self._abandon(number)

    def look_after(self, claim: BatchRecord, now: float) -> bool:
        """Give up a claim whose owner has died; tell whether it was. One of this process lives while it is carried."""
        acted_at = claim.created_at or claim.intended_at
        if claim.id in self._carried or (
            claim.owner != self._owner.name and self._owner.may_act(claim.owner, now - acted_at)
        ):
            return False
        self._abandon(claim.id)
        return True

    def _abandon(self, number: int) -> None:
        with self._store.transaction(durable=True) as db:
            found = db.execute(
                "SELECT created_at FROM batches WHERE id = ? AND state = 'submitting'", (number,)
            ).fetchone()
            if found is None:
                return
            if found[0] is not None:
                self.lost(number, "The call for this row was interrupted.")
                return
            # The pilot ends without it: what only it wanted must not be sent as a batch that nobody asked for.
            pilots = db.execute(
                "SELECT number FROM jobs WHERE state = 'open' AND json_extract(recipe, '$.pilot')"
                " AND number IN (SELECT job FROM job_batches WHERE batch = ?)",
                (number,),
            ).fetchall()
            for (pilot,) in pilots:
                cancel(db, pilot)
            self._batches.let_go(number, state="submitting")
