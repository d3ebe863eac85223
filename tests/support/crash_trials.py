"""What befalls a cell beside signals: a wall clock that is wrong, forks, and being led to another folder.

Imported before anything of batchnb, so that whatever takes ``time.time`` takes the clock that can be set.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

__all__ = ["child_of", "keep_alive", "leave", "real_time", "set_clock", "unlocked"]

#: Seconds for which a child outlives what its parent does.
LINGERS = 0.6

real_time = time.time


class _WallClock:
    """The time of a machine whose clock is `ahead` by so many seconds, and by another number some time later."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._then: float | None = None
        self._jumps_at = 0.0

    def set(self, ahead: float, then: float | None, after: float) -> None:
        self._ahead, self._then, self._jumps_at = ahead, then, time.monotonic() + after

    def __call__(self) -> float:
        has_jumped = self._then is not None and time.monotonic() >= self._jumps_at
        return real_time() + (self._then if has_jumped and self._then is not None else self._ahead)


_wall_clock = _WallClock()
time.time = _wall_clock


def set_clock(ahead: float, then: float | None, after: float) -> None:
    """Have the wall clock be wrong by so many seconds, and `after` some by as many as `then` says."""
    _wall_clock.set(ahead, then, after)


def keep_alive(path: Path) -> None:
    """Hold a lock for as long as this process, or one that it forks, lives: so that others can wait for all of them."""
    fcntl.flock(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_SH)


def leave() -> NoReturn:
    """End as an interpreter does, but for tearing down all that was loaded, which takes longer than most runs."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stderr.flush()
    os._exit(0)


def child_of(tell: Callable[..., None], kind: str, work: Callable[[], object]) -> NoReturn:
    """Be a forked child: do its `work`, if that is its kind, and end as that kind does."""
    try:
        if kind in ("job", "result"):
            work()
        elif kind == "outlive":
            time.sleep(LINGERS)
    except BaseException as error:  # noqa: BLE001  # what comes of it is told, and judged
        tell("child failed", error=f"{type(error).__name__}: {error}")
    tell("child ends", child=kind)
    if kind in ("_exit", "outlive"):
        os._exit(0)
    leave()


def unlocked(path: Path, seconds: float) -> bool:
    """Wait until nobody holds a lock that `keep_alive` took; tell whether that came."""
    if not path.exists():
        return True
    end = time.monotonic() + seconds
    with path.open() as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    return False
                time.sleep(0.005)
            else:
                return True
