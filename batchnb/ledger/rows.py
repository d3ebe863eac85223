"""What became of the rows of jobs: their answers, counted and one by one. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from batchnb.ledger.askings import CHUNK
from batchnb.ledger.store import Store
from batchnb.ledger.terms import UNSENT
from batchnb.pricing import LARGE_PROMPT, Usage
from batchnb.snapshot import ErrorKind

__all__ = ["Origin", "RowAnswer", "Rows", "UsageLine"]

#: What became of each sample of each row of a job (:job).
_SAMPLES = """
    SELECT j.position, j.key, CASE WHEN j.request IS NULL THEN 'skipped' ELSE COALESCE(a.outcome, 'pending') END AS
           outcome, a.error AS error
    FROM job_rows AS j LEFT JOIN answers AS a ON a.request = j.request WHERE j.job = :job
"""

#: What became of each row of a job with several (:samples): what the first sample that is pending, or else did not
#: succeed, became. SQLite gives the columns of the row that has the least.
_ROWS = f"""
    SELECT position, key, outcome, error,
           MIN(CASE outcome WHEN 'pending' THEN 0 WHEN 'succeeded' THEN 2 ELSE 1 END * :samples + position % :samples)
    FROM ({_SAMPLES}) GROUP BY position / :samples
"""


class RowAnswer(NamedTuple):
    """A row of a job, or one of its samples, as it is read back. `result` is None while there is no answer.

    `position` is the row's in the frame; `question` is the digest of the first asking of what `digest` asks.
    """

    position: int
    digest: bytes | None
    question: bytes | None
    key: str | None
    note: str | None
    batch_state: str | None
    batch_note: str | None
    result: bytes | None


class Origin(NamedTuple):
    """Where the answer to a request is from, and what it used. Times are seconds since the epoch.

    Until there is an answer, only what is known of its batch; `model` is empty where no model answered.
    """

    batch_id: str | None
    ended_at: float | None
    standard: bool
    model: str
    geo: str | None
    usage: Usage
    result: bytes | None


class UsageLine(NamedTuple):
    """Tokens of answers that are priced alike. `prompt_tokens` is the size of the largest single prompt.

    `batch` is False for those that came one by one, at the standard price.
    """

    model: str
    geo: str | None
    prompt_tokens: int
    usage: Usage
    batch: bool = True


#: The tokens of an answer's prompt, and the sums that make a Usage.
_PROMPT = "input_tokens + cache_read + cache_write_5m + cache_write_1h"
_SUMS = "SUM(input_tokens), SUM(output_tokens), SUM(cache_read), SUM(cache_write_5m), SUM(cache_write_1h), COUNT(*)"


class Rows:
    """The rows of jobs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def outcomes(self, number: int) -> dict[str, int]:
        """Count a job's rows by outcome."""
        return dict(self._of_rows(number, "SELECT outcome, COUNT(*) FROM ({rows}) GROUP BY 1"))

    def errors(self, number: int) -> list[ErrorKind]:
        """Count a job's failed rows by kind, most frequent first; each with where its first row stands."""
        # SQLite gives the key of the row that has the least position.
        query = """
            SELECT error, COUNT(*), MIN(position / :samples), key FROM ({rows})
            WHERE error IS NOT NULL GROUP BY error ORDER BY 2 DESC, 1
        """
        return [
            ErrorKind(kind, rows, f"row {position}" if key is None else f"key {key}")
            for kind, rows, position, key in self._of_rows(number, query)
        ]

    def usage(self, number: int) -> list[UsageLine]:
        """Sum the tokens of a job's answers by what decides their price; an answer for several rows counts once."""
        query = f"""
            SELECT a.model, a.geo, MAX({_PROMPT}), {_SUMS}, b.standard IS 1 AS standard
            FROM answers AS a LEFT JOIN batches AS b ON b.id = a.batch
            WHERE a.model <> '' AND a.request IN (SELECT request FROM job_rows WHERE job = ?)
            GROUP BY a.model, a.geo, standard, {_PROMPT} > {LARGE_PROMPT}
        """
        with self._store.read() as db:
            found = db.execute(query, (number,)).fetchall()
        return [
            UsageLine(model, geo, largest, Usage(*sums), batch=not standard)
            for model, geo, largest, *sums, standard in found
        ]

    def usage_of_batches(self, number: int) -> dict[int, list[UsageLine]]:
        """Sum the tokens of a job's answers as `usage` does, for each batch that brought them, by its number."""
        query = f"""
            SELECT batch, model, geo, MAX({_PROMPT}), {_SUMS} FROM answers
            WHERE model <> '' AND batch IS NOT NULL AND request IN (SELECT request FROM job_rows WHERE job = ?)
            GROUP BY batch, model, geo, {_PROMPT} > {LARGE_PROMPT}
        """
        found: dict[int, list[UsageLine]] = {}
        with self._store.read() as db:
            for batch, model, geo, largest, *sums in db.execute(query, (number,)):
                found.setdefault(batch, []).append(UsageLine(model, geo, largest, Usage(*sums)))
        return found

    # What earlier answers tell, and what a job has spent

    def recipes(self, column: str, model: str, most: int = 100) -> list[tuple[int, dict[str, Any]]]:
        """Give the numbers and recipes of the newest jobs that ask a model about a column of that name."""
        query = """
            SELECT number, recipe FROM jobs WHERE json_extract(recipe, '$.column') = ?
            AND json_extract(recipe, '$.shared.model') = ? ORDER BY number DESC LIMIT ?
        """
        with self._store.read() as db:
            found = db.execute(query, (column, model, most)).fetchall()
        return [(number, msgspec.json.decode(recipe)) for number, recipe in found]

    def history(self, numbers: Sequence[int]) -> tuple[list[UsageLine], int]:
        """Sum the tokens of the answers of jobs, each answer once; and the squares of their output tokens."""
        query = f"""
            SELECT model, geo, MAX({_PROMPT}), {_SUMS}, SUM(output_tokens * output_tokens) FROM answers
            WHERE model <> '' AND request IN
            (SELECT request FROM job_rows WHERE job IN ({", ".join("?" * len(numbers))}))
            GROUP BY model, geo, {_PROMPT} > {LARGE_PROMPT}
        """
        with self._store.read() as db:
            found = db.execute(query, tuple(numbers)).fetchall()
        lines = [UsageLine(model, geo, largest, Usage(*sums)) for model, geo, largest, *sums, _ in found]
        return lines, sum(row[-1] for row in found)

    def spent(self, number: int) -> list[UsageLine]:
        """Sum the tokens of what a job has bought itself; answers that were there before it cost it nothing.

        What another job buys of the same questions meanwhile counts for both: so neither spends more than it may.
        """
        query = f"""
            SELECT a.model, a.geo, MAX({_PROMPT}), {_SUMS}, b.standard
            FROM answers AS a JOIN batches AS b ON b.id = a.batch
            WHERE a.model <> '' AND b.intended_at >= (SELECT created_at FROM jobs WHERE number = :job)
            AND a.request IN (SELECT request FROM job_rows WHERE job = :job)
            GROUP BY a.model, a.geo, b.standard, {_PROMPT} > {LARGE_PROMPT}
        """
        with self._store.read() as db:
            found = db.execute(query, {"job": number}).fetchall()
        return [
            UsageLine(model, geo, largest, Usage(*sums), batch=not standard)
            for model, geo, largest, *sums, standard in found
        ]

    def in_flight(self, number: int) -> tuple[int, int, int]:
        """Measure the requests of a job that a batch holds and that are not answered: how many, characters, bytes.

        Those of a batch that was given up count too, until there is a decision: it may have been bought. Those that are
        asked one by one, at twice the price, count twice.
        """
        query = """
            SELECT COALESCE(SUM(1 + b.standard), 0),
                   COALESCE(SUM((1 + b.standard) * length(CAST(r.content AS TEXT))), 0),
                   COALESCE(SUM((1 + b.standard) * length(r.content)), 0)
            FROM requests AS r JOIN batches AS b ON b.id = r.batch
            WHERE r.id IN (SELECT request FROM job_rows WHERE job = ?)
            AND NOT EXISTS (SELECT 1 FROM answers AS a WHERE a.request = r.id)
        """
        with self._store.read() as db:
            requests, characters, size = db.execute(query, (number,)).fetchone()
        return requests, characters, size

    def unsent(self, number: int) -> tuple[int, int, int]:
        """Measure the requests of a job that wait to be put into a batch: how many, their characters, their bytes."""
        query = f"""
            SELECT COUNT(*), COALESCE(SUM(length(CAST(content AS TEXT))), 0), COALESCE(SUM(length(content)), 0)
            FROM requests WHERE id IN (SELECT r.id {UNSENT})
        """
        with self._store.read() as db:
            requests, characters, size = db.execute(query, {"job": number}).fetchone()
        return requests, characters, size

    def count_unsent(self, number: int) -> int:
        """Count the requests of a job that wait to be put into a batch."""
        with self._store.read() as db:
            found = db.execute(f"SELECT COUNT(DISTINCT r.id) {UNSENT}", {"job": number})
            return int(found.fetchone()[0])

    def is_sending(self, number: int) -> bool:
        """Tell whether requests of a job wait to be put into a batch, or are in one that is being sent."""
        query = """
            SELECT 1 FROM job_rows AS j JOIN requests AS r ON r.id = j.request LEFT JOIN batches AS b ON b.id = r.batch
            WHERE j.job = ? AND (b.id IS NULL OR b.state = 'submitting')
            AND NOT EXISTS (SELECT 1 FROM answers AS a WHERE a.request = r.id) LIMIT 1
        """
        with self._store.read() as db:
            return db.execute(query, (number,)).fetchone() is not None

    def is_undecided(self, number: int) -> bool:
        """Tell whether a job has a batch that was given up, and waits for a decision."""
        query = "SELECT 1 FROM job_batches JOIN batches AS b ON b.id = batch WHERE job = ? AND b.state = 'lost'"
        with self._store.read() as db:
            return db.execute(query, (number,)).fetchone() is not None

    def answers(self, number: int) -> Iterator[RowAnswer]:
        """Read a job's rows with their answers, in the order of its frame, a chunk at a time.

        A row of several samples comes once for each of them, in their order.
        """
        query = """
            SELECT j.position / ?, r.digest, COALESCE(r.question, r.digest), j.key,
                   CASE WHEN j.request IS NOT NULL AND r.batch IS NULL AND a.request IS NULL
                        THEN (SELECT note FROM jobs WHERE number = j.job) ELSE j.note END,
                   b.state, b.note, a.result
            FROM job_rows AS j
            LEFT JOIN requests AS r ON r.id = j.request
            LEFT JOIN batches AS b ON b.id = r.batch
            LEFT JOIN answers AS a ON a.request = j.request
            WHERE j.job = ? AND j.position >= ? ORDER BY j.position LIMIT ?
        """
        start, samples = 0, self._samples(number)
        while True:
            with self._store.read() as db:
                rows = db.execute(query, (samples, number, start, CHUNK)).fetchall()
            yield from map(RowAnswer._make, rows)
            if len(rows) < CHUNK:
                return
            start += CHUNK

    def origins(self, number: int) -> Iterator[tuple[bytes, Origin]]:
        """Read where the answers to a job's requests are from, by the requests' digests."""
        query = """
            SELECT j.position, r.digest, b.server_id, b.ended_at, b.standard IS 1, COALESCE(a.model, ''), a.geo,
                   COALESCE(a.input_tokens, 0), COALESCE(a.output_tokens, 0), COALESCE(a.cache_read, 0),
                   COALESCE(a.cache_write_5m, 0), COALESCE(a.cache_write_1h, 0), a.request IS NOT NULL,
                   a.result
            FROM job_rows AS j JOIN requests AS r ON r.id = j.request
            LEFT JOIN answers AS a ON a.request = r.id
            LEFT JOIN batches AS b ON b.id = CASE WHEN a.request IS NULL THEN r.batch ELSE a.batch END
            WHERE j.job = ? AND j.position > ? ORDER BY j.position LIMIT ?
        """
        last = -1
        while True:
            with self._store.read() as db:
                rows = db.execute(query, (number, last, CHUNK)).fetchall()
            for last, digest, batch_id, ended_at, standard, model, geo, *tokens, result in rows:  # noqa: B007
                yield digest, Origin(batch_id, ended_at, bool(standard), model, geo, Usage(*tokens), result)
            if len(rows) < CHUNK:
                return

    def requests(self, number: int) -> Iterator[tuple[bytes, bytes]]:
        """Read what a job asks, each question once, as (digest, params as JSON); empty where that is not known."""
        query = """
            SELECT MIN(j.position) AS first, r.digest, e.head, r.content, e.tail
            FROM job_rows AS j JOIN requests AS r ON r.id = j.request JOIN envelopes AS e ON e.id = r.envelope
            WHERE j.job = ? GROUP BY r.id ORDER BY first
        """
        with self._store.read() as db:
            for _, digest, head, content, tail in db.execute(query, (number,)):
                yield digest, head + content + tail

    def _of_rows(self, number: int, query: str) -> list[Any]:
        samples = self._samples(number)
        query = query.format(rows=_SAMPLES if samples == 1 else _ROWS)
        with self._store.read() as db:
            return db.execute(query, {"job": number, "samples": samples}).fetchall()

    def _samples(self, number: int) -> int:
        """Give a job's samples of each row; 1 where it was deleted."""
        query = "SELECT COALESCE(json_extract(recipe, '$.samples'), 1) FROM jobs WHERE number = ?"
        with self._store.read() as db:
            return int((db.execute(query, (number,)).fetchone() or (1,))[0])
