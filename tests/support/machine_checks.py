"""What must hold of the ledger's file, whatever has happened; read from the file itself, by a connection of its own."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batchnb.costs.prices import Usage
from batchnb.ledger.counts import Tallies
from batchnb.questions.bodies import custom_id

if TYPE_CHECKING:
    import pandas as pd
    from machine_process import Process
    from machine_server import Server

#: Every row, with what became of it.
COLUMNS = """
    SELECT k.id AS job, k.number, k.state, j.position, r.digest, a.outcome, b.state AS batch_state,
           b.state IS 'lost' AS lost,
           b.state IS 'lost' OR (b.given_up = 1 OR b.failing_since IS NOT NULL) AND b.state NOT IN
           ('refused', 'collected') AS undecided, r.batch
"""
FROM = """
    FROM jobs AS k JOIN job_rows AS j ON j.job = k.number LEFT JOIN requests AS r ON r.id = j.request
    LEFT JOIN answers AS a ON a.request = r.id LEFT JOIN batches AS b ON b.id = r.batch
"""
ROWS = COLUMNS + FROM

#: Jobs with what they ask: what has no answer and is not being canceled, and what has failed.
REST = f"""
    SELECT k.id, r.digest {FROM} WHERE r.id IS NOT NULL AND a.request IS NULL
    AND NOT (b.cancel_asked IS 1 AND b.state <> 'lost')"""
FAILED = f"SELECT k.id, r.digest {FROM} WHERE a.outcome NOT IN ('succeeded', 'invalid')"

UNSENT = f"SELECT r.digest {FROM} WHERE k.id = ? AND r.id IS NOT NULL AND a.request IS NULL AND b.id IS NULL"
CANCELED = f"SELECT r.digest {FROM} WHERE a.outcome = 'canceled' AND a.batch IS NULL"
IS_CANCELED = "SELECT 1 FROM jobs WHERE id = ? AND canceled"

#: What there must be none of: why, and the query that finds it.
NEVER = {
    "a row has neither a question nor a reason": """
        SELECT job, position FROM job_rows WHERE request IS NULL AND note IS NULL""",
    "a job has lost rows": """
        SELECT id FROM jobs AS k WHERE rows <> (SELECT COUNT(*) FROM job_rows WHERE job = k.number)""",
    "a collected batch lacks an answer": """
        SELECT b.id, r.id FROM batches AS b JOIN requests AS r ON r.batch = b.id
        WHERE b.state = 'collected' AND r.id NOT IN (SELECT request FROM answers)""",
    "a refused batch holds a request": """
        SELECT b.id, r.id FROM batches AS b JOIN requests AS r ON r.batch = b.id WHERE b.state = 'refused'""",
    "a request is in no batch that is there": """
        SELECT id FROM requests WHERE batch IS NOT NULL AND batch NOT IN (SELECT id FROM batches)""",
    "an answer is of another batch than its request": """
        SELECT a.request FROM answers AS a JOIN requests AS r ON r.id = a.request WHERE a.batch IS NOT r.batch""",
    "an answer that no batch gave is paid, or none of a request's own": """
        SELECT request, outcome FROM answers WHERE batch IS NULL AND outcome NOT IN ('errored', 'canceled')""",
    # But for one that is looked for once more after some job has asked its rows again.
    "a batch being sent has an answer, or not the requests it was claimed for": """
        SELECT b.id FROM batches AS b WHERE b.state IN ('submitting', 'uncertain') AND (
            CASE WHEN b.state = 'uncertain' AND b.given_up = 1
                 THEN (SELECT COUNT(*) FROM requests WHERE batch = b.id) NOT BETWEEN 1 AND b.requests
                 ELSE (SELECT COUNT(*) FROM requests WHERE batch = b.id) <> b.requests END
            OR EXISTS (SELECT 1 FROM answers WHERE batch = b.id))""",
    "a batch that runs has no id on the server": """
        SELECT id FROM batches WHERE state IN ('in_progress', 'canceling', 'ended') AND server_id IS NULL""",
    "a request belongs to no job": """
        SELECT id FROM requests WHERE id NOT IN (SELECT request FROM job_rows WHERE request IS NOT NULL)""",
    "a defect was met, and survived": """
        SELECT id, note FROM batches WHERE note LIKE '%unexpected error%'
        UNION ALL SELECT id, note FROM jobs WHERE note LIKE '%unexpected error%'""",
    "what nobody wants waits to be sent": """
        SELECT id FROM requests WHERE batch IS NULL AND id NOT IN (SELECT request FROM answers)
        AND id NOT IN (SELECT j.request FROM jobs AS k JOIN job_rows AS j ON j.job = k.number
                       WHERE k.state = 'open' AND j.request IS NOT NULL AND (NOT k.canceled
                       OR EXISTS (SELECT 1 FROM wanted AS w WHERE w.job = k.number AND w.request = j.request)))""",
    "a job wants again what it never asked, or was not canceled": """
        SELECT job, request FROM wanted AS w WHERE job NOT IN (SELECT number FROM jobs WHERE canceled)
        OR NOT EXISTS (SELECT 1 FROM job_rows AS j WHERE j.job = w.job AND j.request = w.request)""",
    "an ended job has a row that waits, and no open job answers it": """
        SELECT k.id, j.position FROM jobs AS k JOIN job_rows AS j ON j.job = k.number
        JOIN requests AS r ON r.id = j.request LEFT JOIN batches AS b ON b.id = r.batch
        WHERE k.state = 'ended' AND b.state IS NOT 'lost' AND r.id NOT IN (SELECT request FROM answers)
        AND r.id NOT IN (SELECT o.request FROM jobs AS l JOIN job_rows AS o ON o.job = l.number
                         WHERE l.state <> 'ended' AND o.request IS NOT NULL)""",
}  # fmt: skip

ROWS_BY_OUTCOME = """
    SELECT CASE WHEN j.request IS NULL THEN 'skipped' ELSE COALESCE(a.outcome, 'pending') END, a.error, COUNT(*)
    FROM job_rows AS j LEFT JOIN answers AS a ON a.request = j.request WHERE j.job = ? GROUP BY 1, 2"""

TOKENS = """
    SELECT COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0), COUNT(*) FROM answers
    WHERE origin IS NOT NULL AND request IN (SELECT request FROM job_rows WHERE job = ?)"""

#: Jobs with which something can be done.
JOBS = {
    "any": "1",
    "open": "state = 'open'",
    "ended": "state = 'ended'",
    "failed": f"id IN (SELECT job FROM ({ROWS}) WHERE outcome NOT IN ('succeeded', 'invalid'))",
    "lost": f"id IN (SELECT job FROM ({ROWS}) WHERE lost)",
}


class _Reader:
    """A connection as the ledger's parts take it, for reading."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        yield self._db


class Checks:
    """The checks, and what must be remembered for them.

    Parameters
    ----------
    db : sqlite3.Connection
        On the ledger's file.
    server : Server
        Which keeps the account of what was asked.
    """

    def __init__(self, db: sqlite3.Connection, server: Server) -> None:
        self._db = db
        self._server = server
        self._paid: dict[bytes, tuple[str, bytes]] = {}
        self._unwanted: set[tuple[str, bytes]] = set()  # jobs that were canceled, and what they ask
        self._dropped: set[bytes] = set()
        self.texts: dict[str, Sequence[str | None]] = {}

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self._db.execute(query, values).fetchall()

    def _digests(self, query: str, *values: object) -> set[bytes]:
        return {row[0] for row in self._all(query, *values)}

    # For the machine

    def job_ids(self, kind: str = "any") -> list[str]:
        return [row[0] for row in self._all(f"SELECT id FROM jobs AS k WHERE {JOBS[kind]} ORDER BY number")]

    def readable_batches(self) -> list[int]:
        states = "('ended', 'collected', 'lost')"
        query = f"SELECT id FROM batches WHERE state IN {states} AND server_id IS NOT NULL ORDER BY id"
        return [row[0] for row in self._all(query)]

    def is_uncertain(self) -> bool:
        return bool(self._all("SELECT 1 FROM batches WHERE state = 'uncertain'"))

    def last_claim(self) -> dict[str, str]:
        """Return the custom_ids and texts of the newest batch that still has its requests."""
        found = self._all(
            "SELECT digest, content FROM requests JOIN contents ON request = id"
            " WHERE batch = (SELECT MAX(batch) FROM requests) ORDER BY id"
        )
        return {custom_id("7", digest): json.loads(content) for digest, content in found}

    def forgettable(self) -> list[str]:
        known = {row[0] for row in self._all("SELECT server_id FROM batches WHERE state <> 'refused'")}
        return [made.id for made in self._server.batches.values() if not made.ours or made.id in known]

    def is_wanted(self, digest: bytes) -> bool:
        """Tell whether an open job asks a question that it was not canceled with, or that was asked again since."""
        asking = self._all(
            "SELECT k.id FROM requests AS r JOIN job_rows AS j ON j.request = r.id JOIN jobs AS k ON k.number = j.job"
            " WHERE r.digest = ? AND k.state = 'open'",
            digest,
        )
        return any((job, digest) not in self._unwanted for (job,) in asking)

    # What people do changes what may be asked

    def _state(self, job: str) -> str | None:
        found = self._all("SELECT state FROM jobs WHERE id = ?", job)
        return found[0][0] if found else None

    @contextlib.contextmanager
    def canceling(self, job: str) -> Iterator[None]:
        was_open = self._state(job) == "open"
        try:
            yield
        finally:
            if was_open and self._state(job) != "open":
                self._unwanted |= {
                    (job, digest) for digest in self._digests(f"SELECT digest FROM ({ROWS}) WHERE job = ?", job)
                }

    @contextlib.contextmanager
    def running(self, process: Process) -> Iterator[None]:
        """A cell runs: its job wants again what is still to be answered, but for what is being canceled."""
        rest, failed = set(self._all(REST)), set(self._all(FAILED))
        process.created = None
        try:
            yield
        finally:
            again = rest | {(job, digest) for job, digest in failed if digest in self._unanswered()}
            self._unwanted -= {(job, digest) for job, digest in again if job == process.created}

    @contextlib.contextmanager
    def retrying(self, job: str, *, everything: bool) -> Iterator[None]:
        failed = self._digests(
            "SELECT r.digest FROM jobs AS k JOIN job_rows AS j ON j.job = k.number"
            " JOIN requests AS r ON r.id = j.request JOIN answers AS a ON a.request = r.id"
            " WHERE k.id = ? AND a.outcome NOT IN ('succeeded', 'invalid')"
            " AND (? OR a.error <> 'invalid_request_error')",
            job, everything,
        )  # fmt: skip
        try:
            yield
        finally:
            if not self._all(IS_CANCELED, job):  # unless its process died before
                self._unwanted = {(one, digest) for one, digest in self._unwanted if one != job}
            for digest in failed & self._unanswered():
                for asking in self._server.asked[digest]:
                    asking.retried |= asking.fate != "processing"
                    asking.excused |= digest in self._dropped
                self._dropped.discard(digest)

    @contextlib.contextmanager
    def resolving(self, job: str, decision: str) -> Iterator[None]:
        query = f"SELECT digest FROM ({ROWS}) WHERE undecided"
        before = self._digests(query)  # a batch is given up as a whole, with other jobs' rows
        mine = self._digests(f"{query} AND job = ?", job)
        unsent, was_canceled = self._digests(UNSENT, job), bool(self._all(IS_CANCELED, job))
        try:
            yield
            assert not self._digests(f"{query} AND job = ?", job), "rows wait for a decision that was taken"
        finally:
            # What cannot be sent may have been given up, too.
            given_up = unsent & self._digests(CANCELED) or bool(self._all(IS_CANCELED, job)) > was_canceled
            if decision == "drop" and given_up:
                asked = self._digests(f"SELECT digest FROM ({ROWS}) WHERE job = ?", job)
                held = self._digests(f"SELECT digest FROM ({ROWS}) WHERE job = ? AND batch IS NOT NULL", job)
                self._unwanted |= {(job, digest) for digest in asked - (held & self._unanswered())}
            for digest in before - self._digests(query):
                if decision == "drop":
                    self._dropped.add(digest)
                    continue
                if digest in mine:
                    self._unwanted.discard((job, digest))
                for asking in self._server.asked[digest]:
                    asking.excused = True

    @contextlib.contextmanager
    def deleting(self, job: str) -> Iterator[None]:
        had_ended = self._state(job) == "ended"
        before = self._digests("SELECT digest FROM requests")
        alone = self._digests(
            "SELECT digest FROM requests WHERE id IN (SELECT j.request FROM job_rows AS j JOIN jobs AS k ON"
            " k.number = j.job GROUP BY j.request HAVING MIN(k.id) = ? AND MAX(k.id) = ?)", job, job,
        )  # fmt: skip
        try:
            yield
        finally:
            gone = before - self._digests("SELECT digest FROM requests")
            assert gone in (alone, set()), "deleting a job took what another has, or left what none has"
            assert had_ended or self._state(job) is not None, "a job that had not ended was deleted"
            if self._state(job) is None:
                self._unwanted = {(one, digest) for one, digest in self._unwanted if one != job}
            for digest in gone:
                self._paid.pop(digest, None)
                self._dropped.discard(digest)
                for asking in self._server.asked[digest]:
                    asking.excused = True

    def _unanswered(self) -> set[bytes]:
        return self._digests("SELECT digest FROM requests WHERE id NOT IN (SELECT request FROM answers)")

    # What holds after every step

    def check(self) -> None:
        assert not self._server.violations, self._server.violations
        self._db.execute("BEGIN")  # one state of the file
        try:
            for why, query in NEVER.items():
                found = self._all(query)
                assert not found, f"{why}: {found}"
            self._check_paid()
            self._check_counts()
        finally:
            self._db.execute("ROLLBACK")

    def _check_counts(self) -> None:
        """Rows are counted, batch by batch, as counting all of them gives."""
        tallies = Tallies(_Reader(self._db))
        for number, recipe in self._all("SELECT number, recipe FROM jobs"):
            tally = tallies.of_job(number)
            if json.loads(recipe).get("attached"):
                continue  # not all of its rows are known yet
            outcomes, errors = Counter(), Counter()
            for outcome, error, rows in self._all(ROWS_BY_OUTCOME, number):
                outcomes[outcome] += rows
                errors[error] += rows
            assert tally.outcomes == outcomes
            del errors[None]
            assert {kind.kind: kind.rows for kind in tally.kinds} == errors
            used = self._all(TOKENS, number)[0]
            total = sum((line.usage for line in tally.lines), Usage())
            assert (total.input_tokens, total.output_tokens, total.requests) == used

    def _check_paid(self) -> None:
        """A paid answer neither changes nor goes, was bought for that question, and is the echo of it."""
        answers = {
            digest: (outcome, result, content)
            for digest, outcome, result, content in self._all(
                "SELECT r.digest, a.outcome, a.result, c.content FROM answers AS a"
                " JOIN requests AS r ON r.id = a.request JOIN contents AS c ON c.request = r.id"
                " WHERE a.outcome IN ('succeeded', 'invalid')"
            )
        }
        for digest, (outcome, result, content) in answers.items():
            if outcome == "succeeded":
                reply = json.loads(result)["message"]["content"][0]["text"]
                text, _, batch = reply.rpartition(" by ")
                assert json.loads(content) == text, f"{content!r} was answered with {reply!r}"
                asked = [asking for asking in self._server.asked[digest] if asking.batch == batch]
                assert not self._server.batches[batch].ours or [asking.fate for asking in asked] == ["paid"], reply
        for digest, kept in self._paid.items():
            found = answers.get(digest)
            assert found is not None, f"the paid answer {kept} is gone"
            assert found[:2] == kept, f"the paid answer {kept} was changed to {found}"
        self._paid.update({digest: answer[:2] for digest, answer in answers.items()})

    def check_ending(self, number: int) -> None:
        """A job that has just ended has no row that waits, but for a decision; canceled, none that it could answer."""
        for job, _, _, position, digest, outcome, batch, *_ in self._all(f"{ROWS} WHERE k.number = ?", number):
            if digest is not None and outcome is None and batch != "lost":
                left = (job, digest) in self._unwanted and batch is None  # to another job, that is still to send it
                assert left, f"{job} ended, but its row {position} waits ({batch})"

    def check_frame(self, job: str, frame: pd.DataFrame, counts: Mapping[str, int]) -> None:
        """A job's frame has the rows that were asked, in their order, each with its own answer and an outcome."""
        texts = self.texts.get(job)
        column = next(name for name in frame.columns if name in ("x", "y"))
        assert Counter(frame[f"{column}_status"]) == Counter(counts)
        if texts is None:  # its process died before it gave the job
            return
        assert sum(counts.values()) == len(frame) == len(texts)
        for text, reply, status in zip(texts, frame[column], frame[f"{column}_status"], strict=True):
            assert (text is None) == (status == "skipped")
            assert status != "succeeded" or str(reply).startswith(f"{text} by "), (text, reply)

    def check_end(self, *, resolved: bool = False) -> None:
        """Every job has ended, and rows are pending only where a batch is lost."""
        for job, _, state, position, digest, outcome, batch, *_ in self._all(ROWS):
            assert state == "ended", f"{job} does not end"
            if digest is not None and outcome is None:
                assert (batch, resolved) == ("lost", False), f"row {position} of {job} is left pending ({batch})"
            if digest is not None and resolved:
                assert outcome in ("succeeded", "invalid"), f"row {position} of {job} stays {outcome}"
