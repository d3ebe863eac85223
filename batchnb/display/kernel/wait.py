"""Waiting for a job, without taking the notebook's buttons away.

A cell that blocks also blocks the kernel's event loop, and with it every click. So a blocking wait on the kernel's
main thread runs that loop from within the cell, round by round, until the event is set. What is patched for this is one
method, for as long as the wait lasts. (nest_asyncio, which patches asyncio for good, is not enough: it prints that a
context is already entered, and handles no click; but a kernel in which it was applied waits like any other.) And where
the kernel keeps clicks behind the running cell (ipykernel 6 does), a wait handles them itself.
"""

# ruff: noqa: SLF001 (asyncio has no public way to run a loop from within itself)

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from batchnb.display.kernel.foreground import FOREGROUND
from batchnb.display.kernel.shell import ipython
from batchnb.system.forks import is_inherited

__all__ = ["async_wait", "explained", "wait"]

#: Seconds between two looks at the event: small enough to feel immediate, large enough to cost nothing.
_STEP = 0.05

_OF_WIDGETS = ("comm_open", "comm_msg", "comm_close")


def wait(
    event: threading.Event, timeout: float | None = None, *, meanwhile: Callable[[], object] = lambda: None
) -> bool:
    """Block until `event` is set.

    On the main thread of a Jupyter kernel, widgets stay alive meanwhile: their callbacks run inside this call. Where
    that is not possible (another kernel, another event loop) it is a plain wait. Touches no network.

    Parameters
    ----------
    event : threading.Event
        Set by another thread.
    timeout : float or None
        Seconds to wait at most; None waits for ever.
    meanwhile : callable
        Called several times a second.

    Returns
    -------
    bool
        Whether the event is set.

    Raises
    ------
    KeyboardInterrupt
        When the kernel is interrupted, or stopped. Only the wait ends.
    """
    if event.is_set():
        return True
    with FOREGROUND.waiting():
        return _wait(event, timeout, meanwhile)


def _wait(event: threading.Event, timeout: float | None, meanwhile: Callable[[], object]) -> bool:
    deadline = None if timeout is None else time.monotonic() + timeout
    loop = _kernel_loop()
    if loop is not None:
        with _collected_interrupts() as interrupts, _reentrant(loop) as holds:
            if holds:
                _nested_wait(loop, lambda: event.is_set() or bool(interrupts), timeout, meanwhile)
        if interrupts:
            raise KeyboardInterrupt
        if holds:
            return event.is_set()
    return _plain_wait(event, deadline, meanwhile)


async def async_wait(
    event: threading.Event, timeout: float | None = None, *, meanwhile: Callable[[], object] = lambda: None
) -> bool:
    """Wait until `event` is set, leaving the event loop free. Touches no network.

    Parameters
    ----------
    event : threading.Event
        Set by another thread.
    timeout : float or None
        Seconds to wait at most; None waits for ever.
    meanwhile : callable
        Called several times a second.

    Returns
    -------
    bool
        Whether the event is set.
    """
    with FOREGROUND.waiting():
        await _until(event.is_set, timeout, meanwhile)
    return event.is_set()


@contextmanager
def explained(line: str) -> Iterator[None]:
    """Have an interrupt, or a cancellation, of a wait within the block say `line`, and nothing else in a notebook.

    The exception that leaves the block is the very one that came, since asyncio tells its own cancellations by that;
    IPython shows `line` in place of a traceback, and plain Python below one.

    Parameters
    ----------
    line : str
        What goes on, and how to come back to it. Without control characters.
    """
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        error.add_note(line)
        error._render_traceback_ = lambda: [line]  # type: ignore[union-attr]
        raise


async def _until(holds: Callable[[], bool], timeout: float | None, meanwhile: Callable[[], object]) -> None:
    # Looking now and then, rather than being woken: a threading.Event wakes no loop, and a helper thread for each
    # wait would outlive one that is cancelled.
    deadline = None if timeout is None else time.monotonic() + timeout
    kernel = _kernel_that_queues_clicks()
    while not holds():
        meanwhile()
        left = _STEP if deadline is None else min(_STEP, deadline - time.monotonic())
        if left <= 0:
            break
        if kernel is not None:
            _handle_clicks(kernel)
        await asyncio.sleep(left)


def _plain_wait(event: threading.Event, deadline: float | None, meanwhile: Callable[[], object]) -> bool:
    # In short steps, since a long wait for a lock cannot be interrupted on Windows.
    while True:
        meanwhile()
        left = 0.2 if deadline is None else min(0.2, deadline - time.monotonic())
        if event.wait(max(0.0, left)) or left <= 0:
            return event.is_set()


def _kernel() -> Any:
    """Return the kernel, if this is the main thread of one."""
    if threading.current_thread() is not threading.main_thread():
        return None
    kernel = getattr(ipython(), "kernel", None)
    return None if is_inherited(kernel) else kernel


def _kernel_loop() -> asyncio.BaseEventLoop | None:
    """Return the running event loop, if this is the main thread of a Jupyter kernel and its loop can be nested."""
    if _kernel() is None:
        return None
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop if isinstance(loop, asyncio.BaseEventLoop) else None


def _nested_wait(loop: Any, holds: Callable[[], bool], timeout: float | None, meanwhile: Callable[[], object]) -> None:
    """Run the loop from within the cell that it runs, one round at a time, until the wait is over."""
    task = loop.create_task(_until(holds, timeout, meanwhile))
    try:
        while not task.done():
            loop._run_once()
            if loop._stopping:  # the kernel is told to stop: its loop is not to be held up by a wait
                raise KeyboardInterrupt
        task.result()
    finally:
        task.cancel()


def _kernel_that_queues_clicks() -> Any:
    """Return the kernel, if it runs this loop and takes no message before the running cell has ended: ipykernel 6."""
    kernel = _kernel()
    queue = getattr(getattr(kernel, "msg_queue", None), "_queue", None)
    loop = getattr(getattr(kernel, "io_loop", None), "asyncio_loop", None)
    return kernel if queue is not None and loop is asyncio.get_running_loop() else None


def _handle_clicks(kernel: Any) -> None:
    """Handle the widgets' messages in the kernel's queue; cells and all else keep their order, and wait their turn."""
    queue = kernel.msg_queue._queue
    for item in list(queue):
        try:
            _, dispatch, (parts,) = item
            identities, frames = kernel.session.feed_identities(parts, copy=False)
            kind = kernel.session.unpack(frames[1].bytes)["msg_type"]
            if dispatch != kernel.dispatch_shell or kind not in _OF_WIDGETS or item not in queue:
                continue
            message = kernel.session.deserialize(frames, copy=False)
        except Exception:  # noqa: BLE001, S112 (not a message, or none of ours: the kernel will see to it)
            continue
        queue.remove(item)
        # A page sends a widget's next value when it has heard that the kernel is done with the last one; and then it
        # must hear that the cell is still running.
        kernel._publish_status("busy", "shell", parent=message)
        kernel.shell_handlers[kind](kernel.shell_stream, identities, message)
        kernel._publish_status("idle", "shell", parent=message)
        kernel._publish_status("busy", "shell")


@contextmanager
def _reentrant(loop: Any) -> Iterator[bool]:
    """Make one running loop reentrant within the block; yields whether that worked, and undoes everything after."""
    current = asyncio.current_task(loop)
    try:
        ready = len(loop._ready)
        reentrant = callable(loop._run_once) and isinstance(loop._stopping, bool)
        _set_current_task(loop, None)
    except AttributeError:  # an asyncio of another make: the plain wait is always there
        reentrant = False
    if not reentrant:
        yield False
        return
    try:
        with _copying_entered_contexts(loop):
            yield True
    finally:
        _set_current_task(loop, current)
        # The iteration of the loop that started this cell counted its handles before; the wait has run some of them,
        # and popping more than are left would end the kernel.
        while len(loop._ready) < ready:
            loop.call_soon(_nothing)


def _set_current_task(loop: asyncio.AbstractEventLoop, task: Any) -> None:
    """Set the loop's current task, if it is another: a task cannot be entered while another is."""
    if asyncio.current_task(loop) is task:
        return
    tasks: Any = asyncio.tasks
    if sys.version_info >= (3, 12):
        tasks._swap_current_task(loop, task)
    elif task is None:
        del tasks._current_tasks[loop]
    else:
        tasks._current_tasks[loop] = task


@contextmanager
def _copying_entered_contexts(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Within the block, run a handle whose context the waiting cell has already entered in a copy of that context.

    ipykernel runs all its messages in one context, and a context cannot be entered twice.
    """
    handle_class: Any = asyncio.Handle
    run = handle_class._run

    def run_in_copy(handle: Any) -> None:
        if handle._loop is loop:
            try:
                handle._context.run(_nothing)
            except RuntimeError:
                handle._context = handle._context.copy()
        run(handle)

    handle_class._run = run_in_copy
    try:
        yield
    finally:
        handle_class._run = run


@contextmanager
def _collected_interrupts() -> Iterator[list[int]]:
    """Within the block, collect the first interrupt rather than raise it; whoever waits has to look for it.

    Raised at once it could come anywhere in the loop: in the middle of a click, or while the loop is given back. A
    second one is raised at once, as a callback that does not return can be ended in no other way. (And the handler of
    a cell that awaits would only note the interrupt for after the wait.)
    """
    interrupts: list[int] = []

    def collect(number: int, frame: Any) -> None:
        interrupts.append(number)
        if len(interrupts) > 1:
            signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, collect)
    try:
        yield interrupts
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _nothing() -> None:
    """Do nothing."""
