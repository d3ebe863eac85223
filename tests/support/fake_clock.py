"""A clock for tests: it goes on only when it is told to, and the wall clock can be set apart from it."""

from __future__ import annotations

from dataclasses import dataclass

from batchnb.system.clock import Clock


@dataclass
class FakeClock(Clock):
    """Both clocks of a machine.

    Attributes
    ----------
    time : float
        Seconds that have really passed, since an epoch.
    shift : float
        How far the wall clock is ahead of that.
    """

    time: float = 1_800_000_000.0
    shift: float = 0.0

    def now(self) -> float:
        return self.time + self.shift

    def elapsed(self) -> float:
        return self.time
