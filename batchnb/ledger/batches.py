"""Batches in the ledger: claims, intents, states, and the answers they bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import msgspec

from batchnb.answers.judge import Alike, Answer, refused_result
from batchnb.answers.request_counts import COUNTS
from batchnb.api.heard import NOWHERE, Place
from batchnb.errors import JobStateError, LedgerError
from batchnb.ledger.claims import Fits, Wish, taken
from batchnb.ledger.counts import Tallies
from batchnb.ledger.fragments import ATTACHED, LIVE, UNPAID_ANSWER, held, wants
from batchnb.ledger.store import Store
from batchnb.ledger.wants import cancel, cancel_unsent, give_up_unsent, go_on, want
from batchnb.ledger.write_answers import asked, write_answers
from batchnb.questions.cache_marks import MARK_BYTES
from batchnb.questions.replies.base import Reply
from batchnb.questions.replies.reply import reply_from_spec

__all__ = ["BatchRecord", "Batches", "Held"]


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch as the ledger knows it; see ``migrations.py`` for the states."""

    id: int
    server_id: str | None
    state: str
    owner: str
    requests: int
    bytes: int
    intended_at: float
    failed_at: float | None
    created_at: float | None
    expires_at: float | None
    ended_at: float | None
    checked_at: float | None
    processing: int
    succeeded: int
    errored: int
    canceled: int
    expired: int
    cancel_asked: int
    note: str | None
    given_up: int
    standard: int
    cache: str | None = None
    server_at: float | None = None
    skew: float | None = None
    sought_at: float | None = None
    organization: str | None = None
    workspace: str | None = None
    failing_since: float | None = None
    doubted_since: float | None = None
    doubts: int = 0

    @property
    def place(self) -> Place:
        """Where it was sent, as far as that is known."""
        return Place(self.organization, self.workspace)


class Held(NamedTuple):
    """The requests of a batch, by their digests: each with its number, and with the reply it was asked for."""

    requests: dict[bytes, int]
    replies: dict[bytes, Reply]


#: What is set where the server has answered.
WELL = "failing_since = NULL, doubted_since = NULL, doubts = 0"

_COLUMNS = ", ".join(field.name for field in fields(BatchRecord))


class Batches:
    """Batches and what they bring."""

    def __init__(self, store: Store, tallies: Tallies) -> None:
        self._store = store
        self._tallies = tallies

    # Reading

    def get(self, number: int) -> BatchRecord:
        """Return the batch of that number."""
        return self._select("WHERE id = ?", number)[0]

    def of_job(self, job: int) -> list[BatchRecord]:
        """Return the batches that carry a job's requests, oldest first; refused ones are left out."""
        clause = "WHERE id IN (SELECT batch FROM job_batches WHERE job = ?) AND state <> 'refused' ORDER BY id"
        return self._select(clause, job)

    def _select(self, clause: str, *values: object) -> list[BatchRecord]:
        with self._store.read() as db:
            found = db.execute(f"SELECT {_COLUMNS} FROM batches {clause}", values).fetchall()
        return [BatchRecord(*row) for row in found]

    def durations(self, model: str, *, without: int, most: int = 200) -> list[float]:
        """Return how long the newest batches took that ended by themselves, in seconds.

        Parameters
        ----------
        model : str
            Of jobs that ask this model.
        without : int
            A job whose own batches do not count: those of it that have ended are the fast ones.
        most : int
            How many at most.
        """
        query = """
            SELECT ended_at - created_at FROM batches
            WHERE state IN ('ended', 'collected') AND ended_at > created_at AND canceled = 0 AND cancel_asked = 0
            AND NOT standard
            AND id IN (SELECT batch FROM jobs JOIN job_batches ON job = number
                       WHERE json_extract(recipe, '$.shared.model') = :model)
            AND id NOT IN (SELECT batch FROM job_batches WHERE job = :without)
            ORDER BY id DESC LIMIT :most
        """
        with self._store.read() as db:
            found = db.execute(query, {"model": model, "without": without, "most": most})
            return [seconds for (seconds,) in found]

    def find(self, server_id: str) -> BatchRecord | None:
        """Return the batch of that id on the server, or None."""
        return next(iter(self._select("WHERE server_id = ?", server_id)), None)

    def job_of(self, server_id: str) -> tuple[str, str] | None:
        """Return the id and the name of the newest job that a batch of the server carries requests of, or None.

        A pilot, which sends none, may have found answers in it.
        """
        query = """
            SELECT j.id, j.name FROM batches AS b JOIN job_batches ON batch = b.id JOIN jobs AS j ON j.number = job
            WHERE b.server_id = ? ORDER BY json_extract(j.recipe, '$.pilot') IS NOT NULL, j.number DESC LIMIT 1
        """
        with self._store.read() as db:
            found: tuple[str, str] | None = db.execute(query, (server_id,)).fetchone()
            return found

    def known_server_ids(self) -> set[str]:
        """Return the ids of all batches the ledger knows."""
        with self._store.read() as db:
            return {row[0] for row in db.execute("SELECT server_id FROM batches WHERE server_id IS NOT NULL")}

    def are_claimed(self, owner: str) -> bool:
        """Tell whether an owner claims batches whose create call has no answer yet."""
        query = "SELECT 1 FROM batches WHERE owner = ? AND state = 'submitting' LIMIT 1"
        with self._store.read() as db:
            return db.execute(query, (owner,)).fetchone() is not None

    def items(self, number: int) -> Iterator[tuple[str, bytes, bytes, bytes, bytes]]:
        """Read the requests of a batch as (label, digest, head, content, tail)."""
        query = """
            SELECT c.label, r.digest, e.head, c.content, e.tail
            FROM requests AS r JOIN contents AS c ON c.request = r.id JOIN envelopes AS e ON e.id = r.envelope
            WHERE r.batch = ? ORDER BY r.id
        """
        with self._store.read() as db:
            yield from db.execute(query, (number,))

    def betas(self, number: int) -> tuple[str, ...]:
        """Return the beta headers the batch's requests were asked under."""
        with self._store.read() as db:
            found = db.execute(
                "SELECT e.betas FROM requests AS r JOIN envelopes AS e ON e.id = r.envelope WHERE r.batch = ? LIMIT 1",
                (number,),
            ).fetchone()
        return tuple(msgspec.json.decode(found[0])) if found else ()

    def held(self, number: int) -> Held:
        """Return what a batch holds."""
        used = "id IN (SELECT envelope FROM requests WHERE batch = ?)"
        with self._store.read() as db:
            requests = dict(db.execute("SELECT digest, id FROM requests WHERE batch = ?", (number,)))
            specs = db.execute(f"SELECT id, reply FROM envelopes WHERE {used}", (number,)).fetchall()
            replies = {envelope: reply_from_spec(msgspec.json.decode(spec)) for envelope, spec in specs}
            if len(replies) == 1:  # as mostly
                return Held(requests, dict.fromkeys(requests, *replies.values()))
            envelopes = db.execute("SELECT digest, envelope FROM requests WHERE batch = ?", (number,))
            return Held(requests, {digest: replies[envelope] for digest, envelope in envelopes})

    def unanswered(self, number: int) -> int:
        """Count the requests of a batch that have no answer."""
        query = """
            SELECT COUNT(*) FROM requests AS r WHERE r.batch = ?
            AND NOT EXISTS (SELECT 1 FROM answers AS a WHERE a.request = r.id)
        """
        with self._store.read() as db:
            first, last, requests = db.execute(
                "SELECT MIN(id), MAX(id), COUNT(*) FROM requests WHERE batch = ?", (number,)
            ).fetchone()
            if requests and last - first + 1 == requests:  # what lies together is counted sooner than looked at
                answered = "SELECT COUNT(*) FROM answers WHERE request BETWEEN ? AND ?"
                return int(requests - db.execute(answered, (first, last)).fetchone()[0])
            return int(db.execute(query, (number,)).fetchone()[0])

    # Writing

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
            ranges, requests, size = taken(db, job, wish)
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

        Unless that is `final`, `look_again` may bring it back.
        """
        with self._store.transaction(durable=True) as db:
            db.execute(
                f"UPDATE batches SET state = 'lost', note = ?, given_up = ? WHERE id = ? AND state IN {LIVE}",
                (note, 2 if final else 1, number),
            )

    def look_again(self, job: int) -> bool:
        """Bring back a job's lost batches for one more look, where the server may tell more now; tell if there are any.

        The wrong workspace's key, for one, makes every batch seem lost.
        """
        lost = (
            "SELECT id FROM batches WHERE state = 'lost' AND given_up = 1"
            " AND id IN (SELECT batch FROM job_batches WHERE job = ?)"
        )
        with self._store.transaction(durable=True) as db:
            # Whoever has rows in them waits again, also another job that had ended; a canceled one for their end alone.
            go_on(db, f"state = 'ended' AND number IN (SELECT job FROM job_batches WHERE batch IN ({lost}))", job)
            found = db.execute(
                # One that has brought answers had ended.
                "UPDATE batches SET state = CASE WHEN server_id IS NULL THEN 'uncertain' WHEN EXISTS (SELECT 1 FROM"
                " requests AS r JOIN answers AS a ON a.request = r.id WHERE r.batch = batches.id) THEN 'ended'"
                f" ELSE 'in_progress' END, note = NULL WHERE id IN ({lost})",
                (job,),
            )
            return found.rowcount > 0

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
            All requests that it held a moment ago, as `held` gave them, so that they need not be looked for.
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

    def resolve(self, job: int, *, send: bool) -> int:
        """Let a job's rows of lost batches be sent again, or give the batches up; count the requests concerned.

        Lost, too, are those of which the server gives no answer that could be used.
        """
        with self._store.transaction(durable=True) as db:
            # A decision also ends the look that attaching a job, or running its cell, takes at what was given up.
            db.execute(
                "UPDATE batches SET state = 'lost' WHERE (given_up = 1 OR failing_since IS NOT NULL)"
                f" AND state IN {LIVE}"
                " AND id IN (SELECT batch FROM job_batches WHERE job = ?)",
                (job,),
            )
            # Those that still hold rows of it. One that was attached may have shown none yet.
            lost = self._select(
                "WHERE state = 'lost' AND id IN (SELECT batch FROM job_batches WHERE job = ?)"
                " AND (owner = ? OR EXISTS (SELECT 1 FROM job_requests AS j JOIN requests AS r ON r.id = j.request"
                " WHERE j.job = ? AND r.batch = batches.id))",
                job, ATTACHED, job,
            )  # fmt: skip
            if send and any(batch.owner == ATTACHED for batch in lost):
                raise JobStateError(
                    "This batch was made elsewhere, and what it asked is not known here, so it cannot be sent again. "
                    'resolve("drop") gives its rows up.'
                )
            decided = 0
            for batch in lost:
                if send:
                    decided += self._send_again(batch.id, job)
                else:
                    self.collected(batch.id)
                    decided += batch.requests
            if lost:
                go_on(db, "number = ?", job)
            return decided

    def give_up_unsent(self, job: int) -> int:
        """Count what a job has not sent yet as canceled, unless another open one wants it; tell how much that is."""
        with self._store.transaction(durable=True) as db:
            return give_up_unsent(db, job)

    def _send_again(self, number: int, job: int) -> int:
        """Return back what a lost batch has not answered of a job's, and count it.

        Another job's rows wait for its own decision, or for a look that finds the batch: it still counts as one of as
        many requests as were sent.
        """
        with self._store.transaction(durable=True) as db:
            again = db.execute(
                "SELECT id FROM requests WHERE batch = ? AND id NOT IN (SELECT request FROM answers)"
                " AND id IN (SELECT request FROM job_requests WHERE job = ?)",
                (number, job),
            ).fetchall()
            want(db, job, again)
            db.executemany("UPDATE requests SET batch = NULL WHERE id = ?", again)
            if self.unanswered(number) == 0:
                # What was read of it before it was lost is final now.
                db.execute(
                    "UPDATE batches SET processing = 0, state = CASE WHEN EXISTS"
                    " (SELECT 1 FROM requests WHERE batch = :n) THEN 'collected' ELSE 'refused' END WHERE id = :n",
                    {"n": number},
                )
            return len(again)

    def only_of_job(self, job: int) -> list[str]:
        """Return the server's ids of the batches that carry requests of this job alone."""
        query = """
            SELECT server_id FROM batches WHERE server_id IS NOT NULL
            AND id IN (SELECT batch FROM job_batches WHERE job = :job)
            AND id NOT IN (SELECT batch FROM job_batches WHERE job <> :job)
        """
        with self._store.read() as db:
            return [row[0] for row in db.execute(query, {"job": job})]

    def cancel(self, job: int) -> None:
        """Cancel a job: nothing more of it is sent, and batches that no other open job needs are to be canceled."""
        with self._store.transaction(durable=True) as db:
            cancel(db, job)
            cancel_unsent(db)
            mine = db.execute(
                "SELECT b.id FROM job_batches JOIN batches AS b ON b.id = batch WHERE job = ?"
                " AND b.state IN ('submitting', 'uncertain', 'in_progress')",
                (job,),
            ).fetchall()
            open_too = (
                "SELECT 1 FROM job_batches JOIN jobs AS k ON k.number = job AND k.state = 'open'"
                f" WHERE batch = :batch AND EXISTS (SELECT 1 {held(job='k.number')} AND {wants('r.id')})"
            )
            for (batch,) in mine:
                if db.execute(open_too, {"batch": batch}).fetchone() is None:
                    db.execute("UPDATE batches SET cancel_asked = 1 WHERE id = ?", (batch,))
