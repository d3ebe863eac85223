"""Waiting without a kernel: plain waits, timeouts, interrupts, and that a patched loop is given back as it was."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
import traceback
from types import SimpleNamespace

import pytest

from batchnb.display.kernel import wait


def later(event: threading.Event, seconds: float = 0.05) -> None:
    timer = threading.Timer(seconds, event.set)
    timer.daemon = True
    timer.start()


def test_a_set_event_is_not_waited_for():
    event = threading.Event()
    event.set()
    assert wait.wait(event, 0) is True


def test_a_plain_wait_ends_with_the_event_or_with_its_time():
    event = threading.Event()
    assert wait.wait(event, 0.01) is False
    later(event)
    assert wait.wait(event, 60) is True
    other = threading.Event()
    later(other)
    assert wait.wait(other) is True


def test_await_leaves_the_loop_free_and_ends_with_the_event_or_with_its_time():
    async def main() -> tuple[bool, bool]:
        event = threading.Event()
        timed_out = await wait.async_wait(event, 0.01)
        asyncio.get_running_loop().call_later(0.01, event.set)
        return timed_out, await wait.async_wait(event)

    assert asyncio.run(main()) == (False, True)


def test_an_await_that_is_canceled_leaves_no_thread_behind():
    before = threading.active_count()

    async def main() -> None:
        await asyncio.wait_for(wait.async_wait(threading.Event()), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert threading.active_count() == before


def shown_by_python(error: BaseException) -> list[str]:
    return "".join(traceback.format_exception(error)).splitlines()


def test_an_interrupted_wait_says_one_line_whoever_shows_it():
    interrupt = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught, wait.explained("It goes on."):
        raise interrupt
    assert caught.value is interrupt
    assert shown_by_python(interrupt)[-2:] == ["KeyboardInterrupt", "It goes on."]
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    shown: list[list[str]] = []
    stand_in = SimpleNamespace(
        _get_exc_info=lambda _: (type(interrupt), interrupt, interrupt.__traceback__),
        _showtraceback=lambda _kind, _value, lines: shown.append(lines),
        call_pdb=False,
    )
    shell.showtraceback(stand_in)
    assert shown == [["It goes on."]]


def test_other_errors_of_a_wait_are_left_as_they_are():
    with pytest.raises(ZeroDivisionError) as caught, wait.explained("It goes on."):
        raise ZeroDivisionError
    assert not hasattr(caught.value, "__notes__")
    assert not hasattr(caught.value, "_render_traceback_")


def test_a_canceled_wait_stays_a_cancellation_with_the_line_in_it():
    async def explained_wait() -> None:
        with wait.explained("It goes on."):
            await wait.async_wait(threading.Event())

    async def main() -> None:
        task = asyncio.create_task(explained_wait())
        await asyncio.sleep(0)
        task.cancel("for a reason")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert task.cancelled()
        assert type(caught.value) is asyncio.CancelledError
        assert caught.value.args == ("for a reason",)
        assert caught.value.__notes__ == ["It goes on."]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await explained_wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(explained_wait(), 0.01)
        async with asyncio.TaskGroup() as group:
            group.create_task(explained_wait()).cancel()
        assert asyncio.current_task().cancelling() == 0

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads on this system")
def test_an_interrupt_ends_a_plain_wait():
    event = threading.Event()
    timer = threading.Timer(0.1, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        wait.wait(event, 60)
    timer.join()


@pytest.fixture
def in_kernel(monkeypatch):
    """Let the running loop pass for a kernel's."""
    monkeypatch.setattr(wait, "_kernel_loop", asyncio.get_running_loop)


def test_in_a_kernel_the_loop_runs_while_a_callback_blocks(in_kernel):
    """Even handles of a context that the blocking code has entered: ipykernel runs all its messages in one."""
    context = contextvars.copy_context()
    event = threading.Event()
    seen: list[object] = []

    def blocking() -> None:
        asyncio.get_running_loop().call_later(0.01, event.set, context=context)
        seen.append(wait.wait(event, 60))
        seen.append(asyncio.current_task())

    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = (type(loop), asyncio.Handle._run, signal.getsignal(signal.SIGINT), asyncio.Task, asyncio.run)

        async def step() -> None:
            blocking()

        task = loop.create_task(step(), context=context)
        await task
        assert seen == [True, task]
        after = (type(loop), asyncio.Handle._run, signal.getsignal(signal.SIGINT), asyncio.Task, asyncio.run)
        assert after == before

    asyncio.run(main())


def test_handles_that_were_ready_before_a_wait_do_not_break_the_loop_after_it(in_kernel):
    """The loop's own iteration counts its handles before running them; a wait within one runs the others."""
    ran: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        event = threading.Event()
        loop.call_soon(wait.wait, event, 60)
        for number in range(50):
            loop.call_soon(ran.append, number)
        loop.call_soon(event.set)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert ran == list(range(50))


def test_waits_can_stand_within_waits(in_kernel):
    """A button's callback may wait too."""
    ends: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        outer, inner = threading.Event(), threading.Event()

        def clicked() -> None:
            loop.call_later(0.01, inner.set)
            assert wait.wait(inner, 60)
            ends.append("inner")
            outer.set()

        loop.call_later(0.01, clicked)
        assert wait.wait(outer, 60)
        ends.append("outer")

    asyncio.run(main())
    assert ends == ["inner", "outer"]


def test_a_time_limit_and_an_interrupt_end_a_wait_in_a_kernel(in_kernel):
    async def main() -> None:
        loop = asyncio.get_running_loop()
        kind = type(loop)
        assert wait.wait(threading.Event(), 0.01) is False
        loop.call_later(0.01, signal.raise_signal, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            wait.wait(threading.Event(), 60)
        assert type(loop) is kind
        await asyncio.sleep(0)

    asyncio.run(main())


def test_an_interrupt_tears_no_callback_but_a_second_one_does(in_kernel):
    """The first ends the wait once the callback is over; one that is never over must not keep the kernel for ever."""
    finished: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        handler = signal.getsignal(signal.SIGINT)

        def clicked() -> None:
            signal.raise_signal(signal.SIGINT)
            finished.append("clicked")

        def stuck() -> None:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            finished.append("stuck")

        for callback in (clicked, stuck):
            loop.call_later(0.01, callback)
            with pytest.raises(KeyboardInterrupt):
                wait.wait(threading.Event(), 60)
        assert signal.getsignal(signal.SIGINT) is handler
        await asyncio.sleep(0)

    asyncio.run(main())
    assert finished == ["clicked"]


def test_a_loop_that_is_told_to_stop_is_not_held_up(in_kernel):
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, loop.stop)
        with pytest.raises(KeyboardInterrupt):
            wait.wait(threading.Event(), 60)
        loop._stopping = False

    asyncio.run(main())


def test_where_the_loop_cannot_be_nested_the_wait_is_plain(in_kernel, monkeypatch):
    def of_another_make(loop: object, task: object) -> None:
        raise AttributeError("_current_tasks")

    async def main() -> None:
        event = threading.Event()
        later(event)
        with monkeypatch.context() as patched:
            patched.setattr(wait, "_set_current_task", of_another_make)
            assert wait.wait(event, 60) is True
        await asyncio.sleep(0)

    asyncio.run(main())


def test_only_a_kernel_counts_as_one():
    async def main() -> object:
        return wait._kernel_loop()

    assert asyncio.run(main()) is None
