"""How fast background work goes on: at full speed while somebody waits for it, or no cell runs; else part of the time.

In a process, Python runs one thread at a time. Work that goes on beside a cell that computes takes time from it, so it
keeps to a fifth of it; less where it is held up itself. In plain Python there are no cells: there, whoever does not
wait computes.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

from batchnb.system.forks import at_forks

__all__ = ["FOREGROUND", "Foreground", "Pace"]

#: The part of the time that background work takes at most while a cell computes.
SHARE = 0.2


class Foreground:
    """What the user's own code does, as far as that is known: whether it runs, and whether it waits for ours."""

    def __init__(self) -> None:
        self._listens = False
        self._runs = not hasattr(sys, "ps1")  # at a prompt of plain Python, nobody tells when something runs
        self._begin()
        at_forks(self, in_child=self._after_fork_in_child)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._waits = 0
        self._spares = threading.Event()
        self._tell()

    def _after_fork_in_child(self) -> None:
        """Nobody waits in the child but the thread that forked, if it does."""
        self._begin()

    def listen(self) -> None:
        """Be told by IPython when cells begin and end, where this is IPython. Called within a cell, as a rule."""
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        events = getattr(shell, "events", None)
        if events is None or self._listens:
            return
        self._listens = self._runs = True
        events.register("pre_run_cell", lambda *_: self.run(runs=True))
        events.register("post_run_cell", lambda *_: self.run(runs=False))
        self._tell()

    def run(self, *, runs: bool) -> None:
        """Note that a cell begins, or ends."""
        self._runs = runs
        self._tell()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Within the block, the foreground waits for background work."""
        with self._lock:
            self._waits += 1
        self._tell()
        try:
            yield
        finally:
            with self._lock:
                self._waits = max(0, self._waits - 1)  # the wait may have begun before a fork
            self._tell()

    def spares(self, timeout: float) -> bool:
        """Wait until the processor can be spared, so many seconds at most; tell whether it can."""
        return self._spares.wait(timeout)

    def _tell(self) -> None:
        with self._lock:
            if self._waits or not self._runs:
                self._spares.set()
            else:
                self._spares.clear()


#: That of this process.
FOREGROUND = Foreground()


class Pace:
    """The pace of background work, in one thread or several, which rest now and then.

    Parameters
    ----------
    spares : callable
        As :meth:`Foreground.spares`.
    clock, cpu : callable
        Give seconds: of time, and of what the calling thread has computed.
    """

    def __init__(
        self, spares: Callable[[float], bool] = FOREGROUND.spares, *, clock: Callable[[], float] = time.perf_counter,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:  # fmt: skip
        self._spares = spares
        self._clock = clock
        self._cpu = cpu
        self._lock = threading.Lock()
        self._counted = threading.local()
        self._counted.cpu = cpu()
        self._since, self._spent = clock(), 0.0

    def count(self) -> None:
        """Count what this thread has computed since it last did; a new one, in all its life."""
        cpu = self._cpu()
        with self._lock:
            self._spent += max(0.0, cpu - getattr(self._counted, "cpu", 0.0))
        self._counted.cpu = cpu

    def rest(self) -> None:
        """Rest as long as what was done since the last rest asks for; not at all, or no longer, once there is no need.

        No lock may be held that the foreground may want.
        """
        self.count()
        with self._lock:
            owed = self._spent / SHARE - (self._clock() - self._since)
        self._spares(max(0.0, owed))
        with self._lock:
            self._since, self._spent = self._clock(), 0.0
