"""The rows of jobs with their answers, one by one, and what is still to come of them. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batchnb.answers.records import TELLING, Origin, Results, RowAnswer
from batchnb.costs.bills import UsageLine
from batchnb.costs.prices import LARGE_PROMPT, Usage
from batchnb.ledger.fragments import HELD, LIVE, RUN, UNSENT, WITHOUT_BATCH
from batchnb.ledger.store import Store
from batchnb.questions.rows import ROWS_AT_A_TIME
from batchnb.questions.spec import RecipeSpec

__all__ = ["RowReader"]


#: The tokens of an answer's prompt, and the sums that make a Usage.
_PROMPT = "a.input_tokens + a.cache_read + a.cache_write_5m + a.cache_write_1h"
_SUMS = (
    "SUM(a.input_tokens), SUM(a.output_tokens), SUM(a.cache_read), SUM(a.cache_write_5m), SUM(a.cache_write_1h),"
    " COUNT(*)"
)


class RowReader:
    """The rows of jobs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # What earlier answers tell, and what a job has spent

    def recipes(self, column: str, model: str, most: int = 100) -> list[tuple[int, RecipeSpec]]:
        """Return the numbers and recipes of the newest jobs that ask a model about a column of that name."""
        query = """
            SELECT number, recipe FROM jobs WHERE json_extract(recipe, '$.column') = ?
            AND json_extract(recipe, '$.shared.model') = ? ORDER BY number DESC LIMIT ?
        """
        with self._store.read() as db:
            found = db.execute(query, (column, model, most)).fetchall()
        return [(number, RecipeSpec.read(recipe)) for number, recipe in found]

    def history(self, numbers: Sequence[int]) -> tuple[list[UsageLine], int]:
        """Sum the tokens of the answers of jobs, each answer once; and the squares of their output tokens."""
        query = f"""
            SELECT o.model, o.geo, MAX({_PROMPT}), {_SUMS}, SUM(a.output_tokens * a.output_tokens)
            FROM answers AS a JOIN origins AS o ON o.id = a.origin
            WHERE a.request IN (SELECT request FROM job_requests WHERE job IN ({", ".join("?" * len(numbers))}))
            GROUP BY a.origin, {_PROMPT} > {LARGE_PROMPT}
        """
        with self._store.read() as db:
            found = db.execute(query, tuple(numbers)).fetchall()
        lines = [UsageLine(model, geo, largest, Usage(*sums)) for model, geo, largest, *sums, _ in found]
        return lines, sum(row[-1] for row in found)

    def bought(self, number: int) -> list[int]:
        """Return the batches that a job has bought itself; answers that were there before it cost it nothing.

        What another job buys of the same questions meanwhile counts for both: so neither spends more than it may.
        """
        query = """
            SELECT b.id FROM job_batches JOIN batches AS b ON b.id = batch JOIN jobs AS k ON k.number = job
            WHERE job = ? AND b.intended_at >= k.created_at
        """
        with self._store.read() as db:
            return [batch for (batch,) in db.execute(query, (number,)).fetchall()]

    def in_flight(self, number: int) -> tuple[int, int, int]:
        """Measure the requests of a job that a batch holds and that are not answered: how many, characters, bytes.

        Those of a batch that was given up count too, until there is a decision: it may have been bought. Those that are
        asked one by one, at twice the price, count twice.
        """
        query = f"""
            SELECT COUNT(*), COALESCE(SUM(length(CAST(c.content AS TEXT))), 0), COALESCE(SUM(length(c.content)), 0)
            FROM (SELECT DISTINCT r.id AS request {HELD} AND NOT EXISTS
                  (SELECT 1 FROM answers AS a WHERE a.request = r.id)) AS h
            CROSS JOIN contents AS c ON c.request = h.request
        """
        total = (0, 0, 0)
        with self._store.read() as db:
            held = db.execute(
                "SELECT b.id, 1 + b.standard FROM job_batches JOIN batches AS b ON b.id = batch"
                f" WHERE job = ? AND b.state IN {(*LIVE, 'lost')}",
                (number,),
            ).fetchall()
            for batch, price in held:
                found = db.execute(query, {"job": number, "batch": batch}).fetchone()
                total = tuple(so_far + price * more for so_far, more in zip(total, found, strict=True))
        return total

    def unsent(self, number: int) -> tuple[int, int, int]:
        """Measure the requests of a job that wait to be put into a batch: how many, their characters, their bytes."""
        query = f"""
            SELECT COUNT(*), COALESCE(SUM(length(CAST(content AS TEXT))), 0), COALESCE(SUM(length(content)), 0)
            FROM contents WHERE request IN (SELECT r.id {UNSENT})
        """
        with self._store.read() as db:
            requests, characters, size = db.execute(query, {"job": number}).fetchone()
        return requests, characters, size

    def count_unsent(self, number: int) -> int:
        """Count the requests of a job that wait to be put into a batch."""
        free = f"FROM job_runs AS u CROSS JOIN requests AS r INDEXED BY requests_batch ON r.batch IS NULL AND {RUN}"
        with self._store.read() as db:
            particular = db.execute("SELECT repeats OR canceled FROM jobs WHERE number = ?", (number,)).fetchone()
            if particular and particular[0]:
                counted = f"SELECT COUNT(DISTINCT r.id) {UNSENT}"
            else:  # so many are counted sooner than looked at
                counted = f"SELECT (SELECT COUNT(*) {free} WHERE u.job = :job) - (SELECT COUNT(*) {WITHOUT_BATCH})"
            return int(db.execute(counted, {"job": number}).fetchone()[0])

    def is_sending(self, number: int) -> bool:
        """Tell whether requests of a job wait to be put into a batch, or are in one that is being sent."""
        query = f"""
            SELECT 1 FROM job_batches JOIN batches AS b ON b.id = batch WHERE job = :job AND b.state = 'submitting'
            UNION ALL SELECT * FROM (SELECT 1 {UNSENT} LIMIT 1)
        """
        with self._store.read() as db:
            return db.execute(query, {"job": number}).fetchone() is not None

    def is_undecided(self, number: int) -> bool:
        """Tell whether a job has a batch that was given up, and waits for a decision."""
        query = "SELECT 1 FROM job_batches JOIN batches AS b ON b.id = batch WHERE job = ? AND b.state = 'lost'"
        with self._store.read() as db:
            return db.execute(query, (number,)).fetchone() is not None

    def answers(self, number: int) -> Iterator[RowAnswer]:
        """Read a job's rows with their answers, in the order of its frame, a chunk at a time.

        A row of several samples comes once for each of them, in their order.
        """
        # Skipped rows are joined to nothing; without keys, theirs are not looked for.
        query = f"""
            SELECT (u.position + COALESCE(r.id - u.request, 0)) / :samples, r.digest, COALESCE(r.question, r.digest),
                   {{key}},
                   CASE WHEN r.id IS NOT NULL AND r.batch IS NULL AND a.request IS NULL
                        THEN (SELECT note FROM jobs WHERE number = u.job) ELSE u.note END,
                   b.state, b.note, a.result
            FROM job_runs AS u LEFT JOIN requests AS r ON {RUN}
            LEFT JOIN batches AS b ON b.id = r.batch
            LEFT JOIN answers AS a ON a.request = r.id
            {{keys}}
            WHERE u.job = :job AND u.position BETWEEN :first AND :last ORDER BY u.position, r.id
        """
        keyed = "LEFT JOIN job_keys AS k ON k.job = u.job AND k.position = u.position + COALESCE(r.id - u.request, 0)"
        with self._store.read() as db:
            has_keys = db.execute("SELECT 1 FROM job_keys WHERE job = ? LIMIT 1", (number,)).fetchone() is not None
        query = query.format(key="k.key", keys=keyed) if has_keys else query.format(key="NULL", keys="")
        values = {"job": number, "samples": self._samples(number)}
        for first, last, _ in self._stretches(number):
            with self._store.read() as db:
                rows = db.execute(query, values | {"first": first, "last": last}).fetchall()
            yield from map(RowAnswer._make, rows)

    def results(self, number: int, *, digests: bool) -> Iterator[Results]:
        """Read a job's results as `answers` does, with nothing but what a column of the frame is made of."""
        alone = """
            SELECT a.result FROM job_runs AS u CROSS JOIN answers AS a
            ON a.request BETWEEN u.request AND u.request + u.length - 1
            WHERE u.job = ? AND u.position BETWEEN ? AND ? ORDER BY u.position, a.request
        """
        query = f"""
            SELECT r.digest, a.result, CASE WHEN a.request IS NULL THEN COALESCE(u.note,
                   CASE WHEN r.batch IS NULL THEN (SELECT note FROM jobs WHERE number = u.job)
                   ELSE (SELECT note FROM batches AS b WHERE b.id = r.batch AND b.state IN {TELLING}) END) END
            FROM job_runs AS u LEFT JOIN requests AS r ON {RUN} LEFT JOIN answers AS a ON a.request = r.id
            WHERE u.job = ? AND u.position BETWEEN ? AND ? ORDER BY u.position, r.id
        """
        for first, last, rows in self._stretches(number):
            read = Results([], [], [])
            with self._store.read() as db:
                if not digests:  # as mostly; and mostly all are there
                    read.results.extend(result for (result,) in db.execute(alone, (number, first, last)))
                if len(read.results) < rows:
                    read.results.clear()
                    for digest, result, note in db.execute(query, (number, first, last)):
                        read.digests.append(digest)
                        read.results.append(result)
                        read.notes.append(note)
            yield read

    def _stretches(self, number: int) -> Iterator[tuple[int, int, int]]:
        """Cut a job's runs into stretches of some `ROWS_AT_A_TIME` rows.

        Yield the positions of their first and last run, and their rows.
        """
        query = "SELECT position, length FROM job_runs WHERE job = ? AND position > ? ORDER BY position LIMIT ?"
        last, start, rows = -1, None, 0
        while True:
            with self._store.read() as db:
                runs = db.execute(query, (number, last, ROWS_AT_A_TIME)).fetchall()
            for last, length in runs:
                start, rows = last if start is None else start, rows + length
                if rows >= ROWS_AT_A_TIME:
                    yield start, last, rows
                    start, rows = None, 0
            if len(runs) < ROWS_AT_A_TIME:
                break
        if start is not None:
            yield start, last, rows

    def origins(self, number: int) -> Iterator[tuple[bytes, Origin]]:
        """Read where the answers to a job's requests are from, by the requests' digests."""
        query = f"""
            SELECT r.digest, b.server_id, b.ended_at, b.standard IS 1, COALESCE(o.model, ''), o.geo,
                   COALESCE(a.input_tokens, 0), COALESCE(a.output_tokens, 0), COALESCE(a.cache_read, 0),
                   COALESCE(a.cache_write_5m, 0), COALESCE(a.cache_write_1h, 0), a.request IS NOT NULL,
                   a.result
            FROM job_runs AS u CROSS JOIN requests AS r ON {RUN}
            LEFT JOIN answers AS a ON a.request = r.id
            LEFT JOIN origins AS o ON o.id = a.origin
            LEFT JOIN batches AS b ON b.id = CASE WHEN a.request IS NULL THEN r.batch ELSE a.batch END
            WHERE u.job = ? AND u.position BETWEEN ? AND ? ORDER BY u.position, r.id
        """
        for first, last, _ in self._stretches(number):
            with self._store.read() as db:
                rows = db.execute(query, (number, first, last)).fetchall()
            for digest, batch_id, ended_at, standard, model, geo, *tokens, result in rows:
                yield digest, Origin(batch_id, ended_at, bool(standard), model, geo, Usage(*tokens), result)

    def requests(self, number: int) -> Iterator[tuple[bytes, bytes]]:
        """Read what a job asks, each question once, as (digest, params as JSON); empty where that is not known."""
        query = """
            SELECT MIN(j.position) AS first, r.digest, e.head, c.content, e.tail
            FROM job_requests AS j JOIN requests AS r ON r.id = j.request JOIN contents AS c ON c.request = r.id
            JOIN envelopes AS e ON e.id = r.envelope
            WHERE j.job = ? GROUP BY r.id ORDER BY first
        """
        with self._store.read() as db:
            for _, digest, head, content, tail in db.execute(query, (number,)):
                yield digest, head + content + tail

    def _samples(self, number: int) -> int:
        """Return a job's samples of each row; 1 where it was deleted."""
        query = "SELECT COALESCE(json_extract(recipe, '$.samples'), 1) FROM jobs WHERE number = ?"
        with self._store.read() as db:
            return int((db.execute(query, (number,)).fetchone() or (1,))[0])
