"""Work that takes a while and is soon out of date: only the newest is shown."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PAUSE", "Newest"]

#: Seconds without a further wish after which the last one is worked on: about the time between two words.
PAUSE = 0.4

#: Seconds to wait for work that is no longer wanted: a kernel that is shut down has only a few.
PATIENCE = 1.0

_T = TypeVar("_T")


class Newest(Generic[_T]):
    """Works on what was asked for last, a moment after the asking stops, in a thread of its own.

    Asking returns at once. What is no longer the newest when it is done is not drawn, so nothing is drawn out of order.
    Quick work waits for nothing. Slow work follows it, one at a time, and not at all if it is out of date by then.

    Parameters
    ----------
    draw : callable
        Takes what the newest work gives, first the quick, then the slow; called with `lock` held.
    lock : threading.RLock
        The lock of whoever draws.
    """

    def __init__(self, draw: Callable[[_T], object], lock: threading.RLock) -> None:
        self._draw = draw
        self._lock = lock
        self._turn = threading.Lock()
        self._number = 0
        self._stopped = False
        self._threads: set[threading.Thread] = set()

    def ask(self, quick: Callable[[], _T], slow: Callable[[], _T], pause: float | None = None) -> None:
        """Have both done, unless something else is asked for within `pause` seconds (default: ``PAUSE``)."""
        with self._lock:
            self._forget()
            if self._stopped:
                return
            timer = threading.Timer(PAUSE if pause is None else pause, self._run, [self._number, quick, slow])
            timer.daemon = True
            timer.name = "batchnb-newest"
            self._threads.add(timer)
            timer.start()

    def stop(self) -> None:
        """Draw nothing more, and wait a moment for the work that goes on; not to be called with the lock held."""
        with self._lock:
            self._stopped = True
            self._forget()
            threads = list(self._threads)
        for thread in threads:
            thread.join(PATIENCE)

    def _forget(self) -> None:
        self._number += 1
        for thread in self._threads:
            if isinstance(thread, threading.Timer):
                thread.cancel()  # one that is at work goes on
        self._threads = {thread for thread in self._threads if thread.is_alive()}

    def _run(self, number: int, quick: Callable[[], _T], slow: Callable[[], _T]) -> None:
        self._show(number, quick)
        with self._turn:
            self._show(number, slow)

    def _show(self, number: int, work: Callable[[], _T]) -> None:
        if number != self._number:
            return
        done = work()
        with self._lock:
            if number == self._number:
                self._draw(done)
