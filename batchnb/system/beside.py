"""Things that are done one after another as long as each is soon done; what takes longer goes on beside the next.

So a server that does not answer one call holds up no other job, and where it answers, all is in one order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Beside", "Key"]

#: Things that may go on at a time: of one group, so that no job takes the room of others; and in all.
MOST_OF_ONE, MOST = 2, 32

#: What is done, and of what: "send" and the number of a job, or "turn" and that of a batch.
Key = tuple[str, int]


class _Task(NamedTuple):
    group: int
    began: float
    then: Callable[[Any], None]
    done: threading.Event
    #: Holds its result, or what it raised.
    came: list[tuple[Any, BaseException | None]]


class Beside:
    """What one thread has done, by threads of their own.

    Parameters
    ----------
    wake : callable
        Called, from another thread, when something that took long is done: it is time to call `finish`.
    soon : float
        Seconds that a thing may take before the next is begun.
    count : callable
        Called at the end of each thing, in its thread.
    """

    def __init__(self, wake: Callable[[], None], *, soon: float, count: Callable[[], None] = lambda: None) -> None:
        self._wake = wake
        self._soon = soon
        self._count = count
        self._lock = threading.Lock()
        self._tasks: dict[Key, _Task] = {}

    def has_room(self, key: Key, group: int) -> bool:
        """Tell whether a thing may be begun: it is not being done, and not too many others of its group are."""
        with self._lock:
            others = sum(task.group == group for other, task in self._tasks.items() if other[0] == key[0])
            return key not in self._tasks and others < MOST_OF_ONE and len(self._tasks) < MOST

    def do(self, key: Key, group: int, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do a thing, and have its result taken by `then`: soon, or else in `finish`. Blocks for `soon` at most.

        What it raises is raised here, or there. Where no thread can be started, it is done in this one.
        """
        task = _Task(group, time.monotonic(), then, threading.Event(), [])
        with self._lock:
            self._tasks[key] = task

        def run() -> None:
            came: tuple[Any, BaseException | None]
            try:
                came = work(), None
                self._count()
            except BaseException as error:  # noqa: BLE001  # raised where its result would be taken
                came = None, error
            task.came.append(came)
            task.done.set()
            if time.monotonic() - task.began >= self._soon:
                self._wake()

        try:
            threading.Thread(target=run, name="batchnb-beside", daemon=True).start()
        except (RuntimeError, MemoryError):
            run()
        if task.done.wait(self._soon):
            self._take(key)

    def finish(self) -> None:
        """Take the results of what is done now."""
        with self._lock:
            done = [key for key, task in self._tasks.items() if task.done.is_set()]
        for key in done:
            self._take(key)

    def _take(self, key: Key) -> None:
        with self._lock:
            task = self._tasks.pop(key)
        result, error = task.came[0]
        if error is not None:
            raise error
        task.then(result)

    def going_on(self, key: Key | None = None) -> float | None:
        """Return for how many seconds something, or anything, has been going on; None where nothing is."""
        with self._lock:
            found = [task.began for other, task in self._tasks.items() if key in (None, other)]
        return time.monotonic() - min(found) if found else None

    def wait(self, seconds: float) -> bool:
        """Wait until nothing goes on any more, so many seconds at most; tell whether it is so."""
        deadline = time.monotonic() + seconds
        with self._lock:
            tasks = list(self._tasks.values())
        return all(task.done.wait(max(0.0, deadline - time.monotonic())) for task in tasks)
