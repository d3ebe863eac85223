"""What is known so far of a batch whose create call got no usable answer."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Settlement"]


@dataclass(slots=True)
class Settlement:
    """What is known so far of an uncertain batch; kept in memory, since looking again costs little.

    Parameters
    ----------
    empty_listings : int
        Listings after the grace period, in a row, that showed no batch that may be this one.
    rejected : set of str
        Ids of batches of this size that turned out to be others.
    suspected : set of str
        Ids of ended batches, of whatever size, that may be this one by their results.
    open : set of str
        Ids of those that may be this one: not ended, not read whole, or listed once and then no more.
    reads : dict of str to int
        How often the results of each have been read without a decision.
    gone : set of str
        Those of the open ones that the last listing did not show.
    vanished : int
        Listings, in a row, in which one of the open ones was missing.
    since : float or None
        When it was first looked for in this process, in seconds by a clock that is never set.
    unproven : str or None
        Why the last listing, which did not show it, does not tell that it was never made.
    """

    empty_listings: int = 0
    rejected: set[str] = field(default_factory=set)
    suspected: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)
    reads: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    vanished: int = 0
    since: float | None = None
    unproven: str | None = None
