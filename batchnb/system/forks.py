"""What happens to objects of ours when the process forks: by ``multiprocessing``, ``os.fork``, ``!command`` in a cell.

A forked child has everything of its parent but the threads: connections that both would speak on, locks that nobody
will let go of, and files that are not its own to close or to remove. So whatever has one of these tells here, when it
is made, what it does before a fork, and after it on either side. In the child it makes itself anew; what it had is
kept, untouched, for as long as the child lives, since even to take it down would touch what is the parent's.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import sys
import weakref
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

__all__ = ["at_exit", "at_forks", "is_inherited", "keep_untouched", "once"]

_T = TypeVar("_T")


class _Told(NamedTuple):
    """What is to be called: before a fork, and after it on either side."""

    before: weakref.WeakMethod[Callable[[], object]] | None
    in_parent: weakref.WeakMethod[Callable[[], object]] | None
    in_child: weakref.WeakMethod[Callable[[], object]] | None


#: By number, oldest first: so that two threads that fork wait for the same locks in the same order.
_told: dict[int, _Told] = {}
_numbers = itertools.count()

#: What a child has from its parent, and never takes down.
_kept: list[object] = []


def at_forks(
    thing: object, *, in_child: Callable[[], object], before: Callable[[], object] | None = None,
    in_parent: Callable[[], object] | None = None,
) -> None:  # fmt: skip
    """Have methods of an object called at every fork, for as long as it lives, in the thread that forks.

    Parameters
    ----------
    thing : object
        Whose methods they are.
    in_child : callable
        Begins anew in the child, where that thread is the only one, before anything else runs there.
    before : callable, optional
        Gets ready. What blocks in it keeps the fork waiting.
    in_parent : callable, optional
        Goes on in the parent, also where the fork failed; perhaps without `before`, which an earlier call may have
        been too late for.
    """
    number = next(_numbers)
    _told[number] = _Told(*(method and weakref.WeakMethod(method) for method in (before, in_parent, in_child)))
    weakref.finalize(thing, _told.pop, number, None).atexit = False


def keep_untouched(*things: object) -> None:
    """Keep what a child has from its parent from ever being taken down, also when the child's interpreter ends."""
    _kept.extend(things)
    with contextlib.suppress(ImportError):  # without it they are taken down at the very end
        import ctypes

        for thing in things:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def is_inherited(kernel: Any) -> bool:
    """Tell whether a Jupyter kernel runs in the parent of this process: then it takes no messages from here."""
    pid = getattr(getattr(kernel, "session", None), "pid", None)  # as jupyter_client keeps it
    return pid is not None and pid != os.getpid()


def at_exit(function: Callable[[], object]) -> None:
    """Have a function called at a normal end of this process, perhaps twice; ``atexit.unregister`` takes that back.

    What multiprocessing has forked ends without calling what ``atexit`` knows: it has a list of its own.
    """
    atexit.register(function)
    parent = getattr(sys.modules.get("multiprocessing"), "parent_process", None)
    if parent is not None and parent() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, function, exitpriority=10)


def _call(which: str) -> None:
    for number in sorted(_told):
        told = _told.get(number)
        reference = getattr(told, which, None)
        method = reference and reference()
        if method is not None:
            method()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(
        before=functools.partial(_call, "before"),
        after_in_parent=functools.partial(_call, "in_parent"),
        after_in_child=functools.partial(_call, "in_child"),
    )


class once(Generic[_T]):  # noqa: N801  # named as what it stands in for
    """``functools.cached_property`` without a lock.

    That of Python 3.11 holds one for all objects of a class, which a forked child may find held for good.
    """

    def __init__(self, method: Callable[[Any], _T]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> _T:
        found = instance.__dict__[self._name] = self._method(instance)
        return found
