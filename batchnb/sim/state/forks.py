"""What a forked child does with the state of a simulator that its parent runs: nothing, not even to let go of it.

SQLite must not be inside a call at the moment of the fork, whose locks nobody would give back in the child; and a
connection that is taken down there may undo what the parent is writing (sqlite.org/howtocorrupt.html, 2.6).
"""

# ruff: noqa: SLF001 (what is called at a fork belongs to the class)

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from typing import Any, NoReturn

_PATIENCE = 5.0  # seconds that a fork waits for a call to end


class Guarded:
    """A connection to a database behind a lock, both of which a subclass keeps as `_db` and `_lock`."""

    _db: Any
    _lock: threading.RLock

    def guard(self) -> None:
        """Keep forks from meeting a call in the middle. Called before the connection is made."""
        _guarded.add(self)
        self._waits = False


_guarded: weakref.WeakSet[Guarded] = weakref.WeakSet()
_kept: list[object] = []


class _Elsewhere:
    """Stands for a connection that is the parent's."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(
            "this process was forked from the one that runs the simulator: its server can be used from here, but its "
            "record can only be read there"
        )


def _before() -> None:
    for one in list(_guarded):
        one._waits = one._lock.acquire(timeout=_PATIENCE)


def _in_parent() -> None:
    for one in list(_guarded):
        if one._waits:
            one._waits = False
            one._lock.release()


def _in_child() -> None:
    for one in list(_guarded):
        inherited: Any = one.__dict__.get("_db")
        _kept.append(inherited)
        with suppress(ImportError):
            import ctypes

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
        elsewhere: Any = _Elsewhere()
        one._db, one._lock = elsewhere, threading.RLock()
    _guarded.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
