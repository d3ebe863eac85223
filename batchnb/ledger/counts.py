"""What became of a job's rows, counted: batch by batch, so that nothing is counted twice.

What a batch has brought is final once it is collected. From then on the ledger keeps what that came to for each job
(``job_batches.tally``); triggers drop it where an answer is changed or let go all the same. So a job's rows are counted
in as many steps as it has batches, and those of a thousand jobs in a few queries. What has no answer is what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from batchnb.answers.judge import UNPAID
from batchnb.costs.bills import UsageLine
from batchnb.costs.prices import LARGE_PROMPT, Usage
from batchnb.ledger.fragments import ATTACHED, HELD, POSITION, WITHOUT_BATCH
from batchnb.ledger.store import Store

__all__ = ["Kind", "Tallies", "Tally"]


class Kind(NamedTuple):
    """A kind of failure: how many rows have it, and the position of the first; of a sample, where there are several."""

    kind: str
    rows: int
    first: int


class _Share(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Rows of a job that have become the same. `requests` and the tokens count an answer for several rows once."""

    outcome: str
    error: str | None
    model: str
    geo: str | None
    rows: int
    first: int
    requests: int
    prompt_tokens: int
    input_tokens: int
    output_tokens: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int

    @property
    def usage(self) -> Usage:
        """The tokens."""
        return Usage(
            self.input_tokens, self.output_tokens, self.cache_read, self.cache_write_5m, self.cache_write_1h,
            self.requests,
        )  # fmt: skip


@dataclass(slots=True)
class Tally:
    """What became of a job's rows.

    Parameters
    ----------
    outcomes : dict of str to int
        Rows by outcome.
    kinds : list of Kind
        Kinds of failure.
    lines : list of UsageLine
        Tokens of the answers, by what decides their price; an answer for several rows counts once.
    of_batches : dict of int to list of UsageLine
        The same by the batch that brought them.
    failed : int
        Failed requests that may be asked again if their user says so.
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    kinds: list[Kind] = field(default_factory=list)
    lines: list[UsageLine] = field(default_factory=list)
    of_batches: dict[int, list[UsageLine]] = field(default_factory=dict)
    failed: int = 0


class _Part(NamedTuple):
    """What a batch, or none (`batch` None), has brought of a job."""

    batch: int | None
    state: str | None
    standard: bool
    attached: bool
    shares: list[_Share]


_PROMPT = "a.input_tokens + a.cache_read + a.cache_write_5m + a.cache_write_1h"

_decode = msgspec.json.Decoder(list[_Share]).decode

#: The requests of a part, each with the rows that ask it; {each} are those of HELD, or the like.
_ONCE = "SELECT r.id AS request, COUNT(*) AS rows, MIN({position}) AS first {each} GROUP BY r.id"
_ASKED = "SELECT r.id AS request, 1 AS rows, {position} AS first {each}"

_SHARES = f"""
    SELECT a.outcome, a.error, COALESCE(o.model, ''), o.geo, SUM(j.rows), MIN(j.first), COUNT(*), MAX({_PROMPT}),
           SUM(a.input_tokens), SUM(a.output_tokens), SUM(a.cache_read), SUM(a.cache_write_5m), SUM(a.cache_write_1h)
    FROM ({{asked}}) AS j CROSS JOIN answers AS a ON a.request = j.request LEFT JOIN origins AS o ON o.id = a.origin
    GROUP BY a.outcome, a.error, a.origin, {_PROMPT} > {LARGE_PROMPT}
"""

#: The same where rows that ask different requests all became alike, as mostly: in one group, which is sooner counted.
#: The first column tells whether they did.
_ALIKE = f"""
    WITH summed AS (
        SELECT COUNT(*) AS requests, MIN(outcome) AS outcome, MAX(origin) AS origin, MIN(position) AS first,
               MIN(outcome) = MAX(outcome) AND COUNT(error) = 0 AND COUNT(origin) = COUNT(*)
               AND MIN(origin) = MAX(origin) AND (MAX(prompt) <= {LARGE_PROMPT} OR MIN(prompt) > {LARGE_PROMPT})
               AS alike,
               MAX(prompt) AS prompt, SUM(input_tokens) AS input_tokens, SUM(output_tokens) AS output_tokens,
               SUM(cache_read) AS cache_read, SUM(cache_write_5m) AS write_5m, SUM(cache_write_1h) AS write_1h
        FROM (SELECT a.*, j.first AS position, {_PROMPT} AS prompt
              FROM ({_ASKED.format(position=POSITION, each=HELD)}) AS j
              CROSS JOIN answers AS a ON a.request = j.request))
    SELECT s.alike, s.outcome, NULL, o.model, o.geo, s.requests, s.first, s.requests, s.prompt, s.input_tokens,
           s.output_tokens, s.cache_read, s.write_5m, s.write_1h
    FROM summed AS s LEFT JOIN origins AS o ON o.id = s.origin
"""

#: What became of each row of a job with several samples (:samples): what the first sample that is pending, or else did
#: not succeed, became. SQLite gives the columns of the row that has the least.
_OF_SAMPLES = """
    SELECT position, outcome, error,
           MIN(CASE outcome WHEN 'pending' THEN 0 WHEN 'succeeded' THEN 2 ELSE 1 END * :samples + position % :samples)
    FROM (SELECT j.position, CASE WHEN j.request IS NULL THEN 'skipped' ELSE COALESCE(a.outcome, 'pending') END AS
                 outcome, a.error AS error
          FROM job_rows AS j LEFT JOIN answers AS a ON a.request = j.request WHERE j.job = :job)
    GROUP BY position / :samples
"""


class Tallies:
    """Counts of jobs' rows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_job(self, number: int) -> Tally:
        """Count what became of a job's rows."""
        query = """
            SELECT rows, COALESCE(json_extract(recipe, '$.samples'), 1),
                   (SELECT SUM(length) FROM job_runs WHERE job = number AND request IS NULL)
            FROM jobs WHERE number = ?
        """
        with self._store.read() as db:
            tally = _added(self._parts(number))
            rows, samples, skipped = db.execute(query, (number,)).fetchone() or (0, 1, 0)
            if samples > 1:  # what a row becomes is told by all of its samples, which may be in several batches
                self._combine(tally, number, samples)
            elif skipped:
                tally.outcomes["skipped"] = skipped
        waiting = rows - sum(tally.outcomes.values())
        if waiting > 0:
            tally.outcomes["pending"] = waiting
        tally.outcomes = dict(sorted(tally.outcomes.items()))
        return tally

    def key_at(self, number: int, position: int) -> str | None:
        """Return the key of a job's row, where the job has keys."""
        with self._store.read() as db:
            found = db.execute("SELECT key FROM job_keys WHERE job = ? AND position = ?", (number, position)).fetchone()
        return None if found is None else str(found[0])

    def keep(self, batch: int) -> None:
        """Keep what a batch that was collected has brought of the jobs whose requests it carries."""
        with self._store.transaction(rows=False) as db:
            jobs = db.execute(
                "SELECT k.number, k.repeats FROM job_batches JOIN jobs AS k ON k.number = job"
                " WHERE batch = ? AND tally IS NULL",
                (batch,),
            ).fetchall()
            for job, repeats in jobs:
                kept = msgspec.json.encode(self._shares(job, batch, repeats=repeats)).decode()
                db.execute("UPDATE job_batches SET tally = ? WHERE job = ? AND batch = ?", (kept, job, batch))

    def keep_all(self, job: int) -> None:
        """Keep what all collected batches of a job have brought."""
        query = """
            SELECT batch FROM job_batches JOIN batches AS b ON b.id = batch
            WHERE job = ? AND tally IS NULL AND b.state = 'collected'
        """
        with self._store.read() as db:
            missing = db.execute(query, (job,)).fetchall()
        for (batch,) in missing:
            self.keep(batch)

    def has_failed(self, number: int) -> bool:
        """Tell whether a job may have requests that failed and are not waited for."""
        return any(
            share.outcome in UNPAID
            for part in self._parts(number)
            if part.state in (None, "collected")
            for share in part.shares
        )

    def _parts(self, number: int) -> Iterator[_Part]:
        query = f"""
            SELECT b.id, b.state, b.standard, b.owner = '{ATTACHED}', j.tally, k.repeats FROM job_batches AS j
            JOIN batches AS b ON b.id = j.batch JOIN jobs AS k ON k.number = j.job
            WHERE j.job = ? AND b.state IN ('ended', 'collected', 'lost')
        """
        with self._store.read() as db:
            batches = db.execute(query, (number,)).fetchall()
        for batch, state, standard, attached, kept, repeats in batches:
            shares = self._shares(number, batch, repeats=repeats) if kept is None else _decode(kept)
            yield _Part(batch, state, bool(standard), bool(attached), shares)
        yield _Part(None, None, False, False, self._shares(number, None, repeats=True))

    def _shares(self, job: int, batch: int | None, *, repeats: bool) -> list[_Share]:
        if batch is not None and not repeats:
            with self._store.read() as db:
                alike = db.execute(_ALIKE, {"job": job, "batch": batch}).fetchone()
            if alike[0]:
                return [_Share(*alike[1:])]
        each = (_ONCE if repeats else _ASKED).format(position=POSITION, each=WITHOUT_BATCH if batch is None else HELD)
        with self._store.read() as db:
            found = db.execute(_SHARES.format(asked=each), {"job": job, "batch": batch}).fetchall()
        return [_Share(*row) for row in found]

    def _combine(self, tally: Tally, number: int, samples: int) -> None:
        query = f"SELECT outcome, error, COUNT(*), MIN(position) FROM ({_OF_SAMPLES}) GROUP BY outcome, error"
        tally.outcomes, kinds = {}, []
        with self._store.read() as db:
            found = db.execute(query, {"job": number, "samples": samples}).fetchall()
        for outcome, error, rows, first in found:
            if outcome != "pending":
                tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + rows
            if error is not None:
                kinds.append(Kind(error, rows, first))
        tally.kinds = _joined(kinds)


def _added(parts: Iterable[_Part]) -> Tally:
    """Add up what the batches of a job have brought."""
    tally = Tally()
    kinds: list[Kind] = []
    for part in parts:
        lines = []
        for share in part.shares:
            tally.outcomes[share.outcome] = tally.outcomes.get(share.outcome, 0) + share.rows
            if share.error is not None:
                kinds.append(Kind(share.error, share.rows, share.first))
            if share.model:
                line = UsageLine(share.model, share.geo, share.prompt_tokens, share.usage, batch=not part.standard)
                lines.append(line)
            may_again = share.outcome in UNPAID and share.error != "invalid_request_error" and not part.attached
            if may_again and part.state in (None, "collected"):
                tally.failed += share.requests
        if part.batch is not None and lines:
            tally.of_batches[part.batch] = _summed(lines)
        tally.lines += lines
    tally.lines, tally.kinds = _summed(tally.lines), _joined(kinds)
    return tally


def _joined(kinds: Iterable[Kind]) -> list[Kind]:
    """Put kinds of failure of several batches together, the most frequent first."""
    joined: dict[str, Kind] = {}
    for one in kinds:
        known = joined.get(one.kind, Kind(one.kind, 0, one.first))
        joined[one.kind] = Kind(one.kind, known.rows + one.rows, min(known.first, one.first))
    return sorted(joined.values(), key=lambda one: (-one.rows, one.kind))


def _summed(lines: Iterable[UsageLine]) -> list[UsageLine]:
    """Put lines together that are priced alike."""
    summed: dict[tuple[Any, ...], UsageLine] = {}
    for line in lines:
        alike = (line.model, line.geo, line.batch, line.prompt_tokens > LARGE_PROMPT)
        known = summed.get(alike)
        if known is not None:
            line = line._replace(  # noqa: PLW2901
                prompt_tokens=max(known.prompt_tokens, line.prompt_tokens), usage=known.usage + line.usage
            )
        summed[alike] = line
    return list(summed.values())
