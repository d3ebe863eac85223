"""The one clock, passed in; and what moment it is, by this machine and by the server.

A wall clock is set back, jumps ahead, or is a year off. So intervals are measured by a clock that only goes forward,
and whatever depends on what the server does in time (a batch's age, its expiry, how long results are kept) is judged by
the server's own time, as its answers tell it. The wall clock is for what is written down.
"""

from __future__ import annotations

import time
from typing import NamedTuple

__all__ = ["Clock", "Moment"]


class Clock:
    """The time, in the two ways it is needed. Tests replace it by an object with the same methods."""

    def now(self) -> float:
        """Return the wall-clock time in seconds since the epoch: to be recorded, not to be counted with."""
        return time.time()

    def elapsed(self) -> float:
        """Return seconds since some moment, by a clock that is never set: for intervals within this process."""
        return time.monotonic()


class Moment(NamedTuple):
    """Now, in seconds since the epoch.

    Parameters
    ----------
    local : float
        By this machine's clock.
    server : float or None
        By the server's, where this process has heard from it.
    """

    local: float
    server: float | None = None

    def at_server(self, skew: float | None) -> float | None:
        """Return the time at the server; None where nothing tells it, since this machine's clock alone does not.

        Parameters
        ----------
        skew : float or None
            How far the server's clock was ahead of this machine's when it was last heard from, in seconds.
        """
        if self.server is not None:
            return self.server
        return None if skew is None else self.local + skew
