"""The frozen state that every view draws from.

A view never touches the network or the ledger: whoever shows a job takes a :class:`Snapshot` and hands it over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from batchnb.answers.provenance import Provenance
from batchnb.answers.request_counts import COUNTS, RequestCounts

__all__ = ["BatchLine", "Caching", "ErrorKind", "Snapshot", "Usual"]

#: Fewer earlier batches than these say nothing about the next one.
FEWEST_EARLIER = 3


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One batch of a job.

    Parameters
    ----------
    id : str or None
        The server's ``msgbatch_...``; None while the create call has not been answered.
    state : str
        ``submitting``, ``uncertain``, ``in_progress``, ``canceling``, ``ended`` or ``lost``.
    counts : RequestCounts
        As last reported by the server (all ``processing`` before the first report).
    created_at, ended_at, expires_at : float or None
        Seconds since the epoch, by the server's clock.
    """

    id: str | None
    state: str
    counts: RequestCounts
    created_at: float | None = None
    ended_at: float | None = None
    expires_at: float | None = None

    @property
    def running(self) -> bool:
        """Whether the server is at work on it."""
        return self.state in ("in_progress", "canceling")


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One kind of failure among a job's rows.

    Parameters
    ----------
    kind : str
        The error's type, as the API names it, or what is wrong with a reply.
    rows : int
        How many rows failed so.
    example : str or None
        Where to find one: ``row 17`` (its position, from 0) or ``key a-17``. Never its text.
    """

    kind: str
    rows: int
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Usual:
    """How long earlier batches took, from being made to their end.

    Parameters
    ----------
    low, high : float
        Seconds; one in ten was faster than `low`, one in ten slower than `high`.
    batches : int
        How many batches that was learned from.
    """

    low: float
    high: float
    batches: int

    @classmethod
    def of(cls, durations: Iterable[float]) -> Usual | None:
        """Return the span from the 10th to the 90th percentile; None where fewer than `FEWEST_EARLIER` are known.

        Parameters
        ----------
        durations : iterable of float
            What earlier batches took, in seconds, in any order.
        """
        ordered = sorted(durations)
        if len(ordered) < FEWEST_EARLIER:
            return None
        tenth = (len(ordered) - 1) // 10
        return cls(ordered[tenth], ordered[-1 - tenth], len(ordered))


@dataclass(frozen=True, slots=True)
class Caching:
    """What the server's prompt cache does for a job.

    Parameters
    ----------
    lifetime : {"5m", "1h"} or None
        How long the cache is to live after it was last used; None: there is none.
    why : str
        Why there is a cache, or none, in words.
    shared_tokens : int or None
        Tokens of what all prompts share, as the server counted them; None where they were not counted.
    requests : int
        Answered requests that the cache was read or written for; an answer that serves several rows counts once.
    hits : int
        Those of them that read it.
    read, written_5m, written_1h : int
        Tokens read from the cache, and written to one that lives 5 minutes, or an hour.
    saved : float or None
        Dollars that the same tokens would have cost more without a cache; negative where it has cost more than it
        saved. None where the price of a model is unknown.
    """

    lifetime: str | None = None
    why: str = ""
    shared_tokens: int | None = None
    requests: int = 0
    hits: int = 0
    read: int = 0
    written_5m: int = 0
    written_1h: int = 0
    saved: float | None = 0.0

    @property
    def hit_rate(self) -> float | None:
        """The share of `requests` that read the cache, from 0 to 1; None before there are any."""
        return self.hits / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a view may show of a job, at one instant.

    Parameters
    ----------
    job_id, name, model : str
        The job, its name, and the model asked.
    status : str
        ``submitting``, ``in_progress``, ``canceling`` or ``ended``.
    rows : int
        Rows of the frame.
    outcomes : mapping of str to int
        Rows by outcome: ``succeeded``, ``errored``, ``canceled``, ``expired``, ``missing``, ``invalid``, ``skipped``,
        ``pending``. Sums to `rows`; outcomes with no row are absent.
    unsent : int
        Requests no batch holds yet.
    reused : int
        Rows whose answer an earlier job, or an equal row, had already bought.
    retryable : int
        Failed requests that ``job.retry()`` would ask again.
    batches : tuple of BatchLine
        The batches that carry this job's requests, oldest first.
    singly : int
        Rows that a pilot asked one by one, in no batch.
    started_at, ended_at, now : float
        Seconds since the epoch, by this machine's clock; `ended_at` is None while the job is open.
    skew : float or None
        How far the server's clock, by which the batches' times are, is ahead of it, in seconds; None where nothing
        tells.
    checked_at : float or None
        When the server last told how a batch stands, in seconds since the epoch, by this machine's clock.
    failing : bool
        Whether the last call to the server brought no answer that could be used.
    usual : Usual or None
        How long earlier batches of the ledger took; None where there are too few to tell.
    cost : float or None
        Dollars spent on the answers so far; None where the model's price is unknown.
    expected : float or None
        Dollars for all of them, if the open ones cost what the answered ones did; before the first answer, what earlier
        answers of the recipe cost, or what was estimated in this process. None where nothing tells.
    expected_from : str or None
        What `expected` is learned from, in words, where it is not the job's own answers.
    provenance : Provenance
        Where the answers come from.
    note : str or None
        What a person should know now: the last failed check, or what submitting waits for.
    errors : tuple of ErrorKind
        Kinds of failure among the rows, most frequent first.
    caching : Caching
        What the server's prompt cache does for the job.
    """

    job_id: str
    name: str
    model: str
    status: str
    rows: int
    started_at: float
    now: float
    skew: float | None = 0.0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    unsent: int = 0
    reused: int = 0
    retryable: int = 0
    batches: tuple[BatchLine, ...] = ()
    singly: int = 0
    ended_at: float | None = None
    checked_at: float | None = None
    failing: bool = False
    usual: Usual | None = None
    cost: float | None = None
    expected: float | None = None
    expected_from: str | None = None
    provenance: Provenance = Provenance.API
    note: str | None = None
    errors: tuple[ErrorKind, ...] = ()
    caching: Caching = field(default_factory=Caching)

    @property
    def simulated(self) -> bool:
        """Whether the answers come from the simulator."""
        return self.provenance.simulated

    @property
    def counts(self) -> RequestCounts:
        """The five request counts over all batches sent."""
        return RequestCounts(*(sum(getattr(batch.counts, name) for batch in self.batches) for name in COUNTS))

    @property
    def batches_ended(self) -> int:
        """How many of the batches have ended."""
        return sum(batch.state == "ended" for batch in self.batches)

    @property
    def elapsed(self) -> float:
        """Seconds from the start to the end, or to now."""
        return max(0.0, (self.now if self.ended_at is None else self.ended_at) - self.started_at)

    @property
    def expires_in(self) -> float | None:
        """Seconds until the first of the running batches expires; None where the server's time is not known."""
        times = [batch.expires_at for batch in self.batches if batch.running and batch.expires_at is not None]
        return min(times) - self.now - self.skew if times and self.skew is not None else None

    @property
    def usually(self) -> tuple[float, float] | None:
        """Between which times after its start, in seconds, a job such as this usually ends; None if that is unknown.

        It ends with its last batch: so the latest of its running batches decides, or one that were made now where
        requests are still to be sent.
        """
        running = [batch.created_at for batch in self.batches if batch.running and batch.created_at is not None]
        made = [created_at - (self.skew or 0.0) for created_at in running]
        if self.unsent:
            made.append(self.now)
        if self.usual is None or not made:
            return None
        since = max(0.0, max(made) - self.started_at)
        return since + self.usual.low, since + self.usual.high
