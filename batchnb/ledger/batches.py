"""What becomes of a batch: the intent to send it, its states, and the answers it brings.

What a person decides of batches is in :mod:`batchnb.ledger.decisions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from batchnb.answers.judge import Alike, Answer, refused_result
from batchnb.answers.request_counts import COUNTS
from batchnb.api.heard import NOWHERE, Place
from batchnb.errors import LedgerError
from batchnb.ledger.claims import Fits, Wish, select
from batchnb.ledger.counts import Tallies
from batchnb.ledger.fragments import LIVE, UNPAID_ANSWER, held
from batchnb.ledger.read_batches import BatchReader, BatchRecord
from batchnb.ledger.store import Store
from batchnb.ledger.wants import cancel_unsent, go_on
from batchnb.ledger.write_answers import asked, write_answers
from batchnb.questions.cache_marks import MARK_BYTES

__all__ = ["Batches"]

#: What is set where the server has answered.
WELL = "failing_since = NULL, doubted_since = NULL, doubts = 0"


class Batches(BatchReader):
    """Reads batches, and writes what becomes of them."""

    def __init__(self, store: Store, tallies: Tallies) -> None:
        super().__init__(store)
        self._tallies = tallies

    def claim(
        self, job: int, *, owner: str, now: float, max_requests: int, max_bytes: int, cache: str | None = None,
        only: Sequence[int] = (), without: Sequence[int] = (), fits: Fits | None = None,
        server_at: float | None = None, place: Place = NOWHERE,
    ) -> BatchRecord | None:  # fmt: skip
        """Record the intent to send a batch of a job's unsent requests, before any byte is sent.

        In one durable transaction the batch is written (``submitting``) and takes its requests, so that no other
        process can take them. Fewer than `max_requests` are taken where the body would exceed `max_bytes`, but at
        least one; and no more than `fits` allows, be it none. None where nothing is unsent, or nothing fits.

        With a `cache`, room is left for the marks. `only` are the requests that may be taken, `without` the envelopes
        whose requests may not: see :class:`batchnb.ledger.cache_filling.Warming`. `server_at` is `now` by the
        server's clock, and `place` where the key in use belongs, where these are known.
        """
        with self._store.transaction(durable=True) as db:
            wish = Wish(max_requests, max_bytes, MARK_BYTES if cache else 0, only, without, fits)
            ranges, requests, size = select(db, job, wish)
            if not requests:
                return None
            number = db.execute(
                "INSERT INTO batches (state, owner, requests, bytes, intended_at, processing, cache, server_at,"
                " organization, workspace) VALUES ('submitting', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (owner, requests, size, now, requests, cache, server_at, *place),
            ).lastrowid
            assert number is not None  # noqa: S101  # SQLite gives every inserted row a number
            self.hold(number, ranges)
        return self.get(number)

    def hold(self, number: int, ranges: Sequence[tuple[int, int]]) -> None:
        """Have a batch that is being made hold requests that none does, first to last each; note for which jobs."""
        with self._store.transaction(durable=True) as db:
            held_now = sum(
                db.execute(
                    "UPDATE requests SET batch = ? WHERE id BETWEEN ? AND ? AND batch IS NULL", (number, first, last)
                ).rowcount
                for first, last in ranges
            )
            if held_now != sum(last - first + 1 for first, last in ranges):
                raise LedgerError(f"The ledger {self._store.path} changed inside a transaction. Nothing was sent.")
            db.execute(
                # Of all jobs: another one that asks the same, be it open or ended, has this batch from now on, too.
                "INSERT OR IGNORE INTO job_batches (job, batch) SELECT k.number, :batch FROM jobs AS k WHERE EXISTS"
                f" (SELECT 1 {held(job='k.number')})",
                {"batch": number},
            )

    def accepted(
        self, number: int, server_id: str, *, times: Mapping[str, float | None], place: Place = NOWHERE,
        skew: float | None = None,
    ) -> bool:  # fmt: skip
        """Record which batch of the server this one is, and where: durable, since it is a purchase.

        Tells whether it was recorded: not where another process has settled the batch in the meantime, nor where that
        batch of the server already stands for another one.
        """
        with self._store.transaction(durable=True) as db:
            done = db.execute(
                "UPDATE batches SET server_id = :server, state = 'in_progress', failed_at = NULL, note = NULL,"
                f" {WELL},"
                " given_up = 0, created_at = :created, expires_at = :expires, skew = COALESCE(:skew, skew),"
                " organization = COALESCE(:organization, organization), workspace = COALESCE(:workspace, workspace)"
                " WHERE id = :number AND state IN ('submitting', 'uncertain')"
                " AND NOT EXISTS (SELECT 1 FROM batches WHERE server_id = :server)",
                {"server": server_id, "created": times.get("created_at"), "expires": times.get("expires_at"),
                 "number": number, "skew": skew, **place._asdict()},
            )  # fmt: skip
            return done.rowcount == 1

    def uncertain(self, number: int, *, now: float, note: str, place: Place = NOWHERE) -> None:
        """Record that a create call got no usable answer, or that its owner died before one was recorded.

        `place` is where it was sent, as far as an answer that was no use, such as an error, told so.
        """
        with self._store.transaction(durable=True) as db:
            db.execute(
                "UPDATE batches SET state = 'uncertain', failed_at = ?, note = ?,"
                " organization = COALESCE(?, organization), workspace = COALESCE(?, workspace)"
                " WHERE id = ? AND state = 'submitting'",
                (now, note, *place, number),
            )

    def let_go(self, number: int, *, state: str) -> bool:
        """Return a batch's requests back, to be sent again: the server has made nothing of it.

        Only if the batch is still in the `state` in which that was found out; tells whether it was. What only canceled
        jobs wanted is not sent again.
        """
        with self._store.transaction(durable=True) as db:
            done = db.execute(
                "UPDATE batches SET state = 'refused', processing = 0 WHERE id = ? AND state = ?", (number, state)
            )
            if done.rowcount != 1:
                return False
            db.execute("UPDATE requests SET batch = NULL WHERE batch = ?", (number,))
            cancel_unsent(db)
            return True

    def refuse(self, number: int, *, error_type: str, message: str) -> None:
        """Give every request of a batch the server's refusal as its outcome; no batch holds them any more."""
        result = refused_result(error_type, message)
        with self._store.transaction(durable=True) as db:
            db.execute(
                f"{UNPAID_ANSWER} SELECT id, NULL, 'errored', ?, ? FROM requests WHERE batch = ?",
                (error_type, result, number),
            )
            self.let_go(number, state="submitting")

    def lose(self, number: int, note: str, *, final: bool = False) -> None:
        """Set a batch aside that can be neither found nor ruled out: its rows wait for a decision.

        Unless that is `final`, `Decisions.look_again` may bring it back.
        """
        with self._store.transaction(durable=True) as db:
            db.execute(
                f"UPDATE batches SET state = 'lost', note = ?, given_up = ? WHERE id = ? AND state IN {LIVE}",
                (note, 2 if final else 1, number),
            )

    def checked(
        self, number: int, *, state: str, counts: Mapping[str, int], times: Mapping[str, float | None], now: float,
        place: Place = NOWHERE, skew: float | None = None,
    ) -> None:  # fmt: skip
        """Record what the server says of a batch, and where that was.

        One that another process has set aside meanwhile, such as with another workspace's key, is not lost: who has
        rows in it waits again.
        """
        with self._store.transaction(rows=False) as db:
            go_on(
                db,
                "state = 'ended' AND number IN (SELECT k.job FROM job_batches AS k JOIN batches AS b ON b.id = k.batch"
                " WHERE b.id = ? AND b.state = 'lost')",
                number,
            )
            db.execute(
                f"UPDATE batches SET state = ?, {' = ?, '.join(COUNTS)} = ?,"
                " ended_at = ?, expires_at = COALESCE(?, expires_at), checked_at = ?, note = NULL, given_up = 0,"
                f" {WELL}, skew = COALESCE(?, skew), organization = COALESCE(?, organization),"
                " workspace = COALESCE(?, workspace)"
                " WHERE id = ? AND state IN ('in_progress', 'canceling', 'ended', 'lost')",
                (state, *(counts.get(name, 0) for name in COUNTS), times.get("ended_at"), times.get("expires_at"), now,
                 skew, *place, number),
            )  # fmt: skip

    def note(self, number: int, note: str | None) -> None:
        """Keep what a person should know of a batch now, such as a status check that failed."""
        with self._store.transaction(rows=False) as db:
            db.execute("UPDATE batches SET note = ? WHERE id = ?", (note, number))

    def failing(
        self, number: int, note: str, now: float, *, doubted: bool = False, server_now: float | None = None
    ) -> None:
        """Record that asking the server of a batch has failed, and whether waiting is of no help.

        Since when it is doubted goes by the server's clock, where that is known: processes compare it.
        """
        with self._store.transaction(rows=False) as db:
            db.execute(
                "UPDATE batches SET note = :note, failing_since = COALESCE(failing_since, :now),"
                " doubted_since = CASE WHEN :doubted THEN COALESCE(doubted_since, :server_now) END,"
                " doubts = CASE WHEN :doubted THEN doubts + 1 ELSE 0 END WHERE id = :number",
                {"note": note, "now": now, "doubted": doubted, "server_now": server_now, "number": number},
            )

    def well(self, number: int) -> None:
        """Record that asking the server of a batch has brought an answer."""
        with self._store.transaction(rows=False) as db:
            db.execute(f"UPDATE batches SET {WELL} WHERE id = ?", (number,))

    def record(
        self, number: int, answers: Sequence[Answer], requests: Mapping[bytes, int] | None = None,
        alike: Alike | None = None,
    ) -> int:  # fmt: skip
        """Write answers of a batch. Writing them again changes nothing; a paid answer is never overwritten.

        Parameters
        ----------
        number : int
            The batch.
        answers : sequence of Answer
            What it brought; an answer to none of its requests is left out.
        requests : mapping, optional
            All requests that it held a moment ago, as `requests_of` returned them, so that they need not be looked for.
        alike : Alike, optional
            More that it brought.

        Returns
        -------
        int
            Requests that had no answer before, and have one of `alike` now.
        """
        with self._store.transaction() as db:
            # It has ended, or there were no answers; when rows are counted, only such batches are looked at for them.
            db.execute(
                "UPDATE batches SET state = 'ended' WHERE id = ? AND state IN ('in_progress', 'canceling')", (number,)
            )
            # A batch loses requests, such as by a decision in another kernel, but gets no others.
            holds = db.execute("SELECT COUNT(*) FROM requests WHERE batch = ?", (number,)).fetchone()[0]
            alike = alike or Alike()
            if requests is None or len(requests) != holds:
                requests = asked(db, number, [*alike.digests, *(answer.digest for answer in answers)])
            return write_answers(db, number, alike, answers, requests)

    def collected(self, number: int, *, whole: bool = False) -> None:
        """Close a batch whose results have all been read, or are given up; requests without one are ``missing``.

        `whole` tells that there are none such, as `unanswered` has found: so that they are not looked for again. Not
        durable by itself, since what a power cut forgets of it is read again; the end of its job is.
        """
        with self._store.transaction() as db:
            done = db.execute(
                "UPDATE batches SET state = 'collected', note = NULL"
                " WHERE id = ? AND state IN ('in_progress', 'canceling', 'ended', 'lost')",
                (number,),
            )
            if done.rowcount == 1:
                if not whole and self.unanswered(number):
                    db.execute(
                        f"{UNPAID_ANSWER} SELECT id, batch, 'missing', 'missing', ? FROM requests"
                        " WHERE batch = ? AND id NOT IN (SELECT request FROM answers)",
                        (b'{"type":"missing"}', number),
                    )
                self._tallies.keep(number)
