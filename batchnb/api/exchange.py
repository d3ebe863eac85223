"""One call to the server, made in a thread of its own: nobody waits for it longer than something comes.

The timeouts of an HTTP client are for one read or write each: they end no call that brings a byte now and then, nor a
look-up of a name. So whoever waits for a call here counts what moves, be it of the request or of the answer, and gives
the call up once too little does. What the thread of a call that was given up still brings is dropped.
"""

from __future__ import annotations

import contextlib
import io
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchnb.errors import AmbiguousError, ApiError, BatchnbError, RefusedError

if TYPE_CHECKING:
    import httpx2

__all__ = ["Exchange", "Exchanges"]

#: Bytes a second below which a call counts as one that does not move: a tenth of what the slowest phone lines carry.
LEAST = 1_000

#: Bytes of an answer that may wait to be taken.
MOST_HELD = 4_000_000

#: Seconds between two looks at a call that is waited for: a longer wait cannot be interrupted on Windows.
STEP = 0.2

#: Calls given up whose threads have not ended: beyond this no more are made.
MOST_LEFT = 8


class _GivenUpError(Exception):
    """Nobody waits for the call any more: raised in its thread, so that it ends."""


class Exchanges:
    """The calls of one client that are being made.

    Parameters
    ----------
    failure_of : callable
        Returns our error for what a call raises. Called in its thread, so that of the frames of what it called, and of
        the keys in them, nothing comes to whoever waits.
    """

    def __init__(self, failure_of: Callable[[Exception], BatchnbError]) -> None:
        self._failure_of = failure_of
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[Exchange] = weakref.WeakSet()
        #: Why no more calls are made; None where they are.
        self.ended: str | None = None
        #: Bytes that were sent and received, by all calls.
        self.sent = self.received = 0

    def begin(
        self, make: Callable[[Exchange], httpx2.Response], *, seconds: float, name: str, has_body: bool = False,
        asks: bool = True, most: float = math.inf,
    ) -> Exchange:  # fmt: skip
        """Begin a call.

        Parameters
        ----------
        make : callable
            Makes it; gives the answer with its body unread.
        seconds : float
            For which too little may move.
        name : str
            What is called, for people.
        has_body : bool
            Whether the server can do nothing before it has the request's body.
        asks : bool
            Whether nothing is made by the call, so that it may be given up at any time.
        most : float
            Seconds after its head that the answer is waited for, however much of it comes.

        Raises
        ------
        RefusedError
            Calls that were given up before hang still, or no more are to be made: nothing was sent.
        """
        exchange = Exchange(
            make, seconds=seconds, name=name, begun=not has_body, asks=asks, most=most, told=self._told,
            failure_of=self._failure_of,
        )  # fmt: skip
        with self._lock:
            left = sum(one.is_left for one in self._open)
            if self.ended is None and left < MOST_LEFT:
                self._open.add(exchange)
        if self.ended is not None:
            raise RefusedError(f"{self.ended} Nothing was sent.", type="unreachable")
        if left >= MOST_LEFT:
            raise RefusedError(
                f"{left} calls that brought nothing hang still, so no more are made until one of them ends: {name}.",
                type="unreachable",
            )
        exchange.start()
        return exchange

    def _told(self, sent: int, received: int) -> None:
        with self._lock:
            self.sent += sent
            self.received += received

    def give_up(self, why: str, *, all: bool = True) -> None:
        """Give up the calls that are being made, and make no more.

        Parameters
        ----------
        why : str
            Reason, for people: a sentence.
        all : bool
            False: what may make something goes on, and more calls may be made.
        """
        if all:
            self.ended = why
        with self._lock:
            found = [one for one in self._open if all or one.asks]
        for one in found:
            one.give_up(why)


class Exchange:
    """A call and its answer; see :meth:`Exchanges.begin`."""

    def __init__(
        self, make: Callable[[Exchange], httpx2.Response], *, seconds: float, name: str, begun: bool, asks: bool,
        most: float, told: Callable[[int, int], None], failure_of: Callable[[Exception], BatchnbError],
    ) -> None:  # fmt: skip
        self._make = make
        self._seconds = seconds
        self._left = most
        self._name = name
        self._told = told
        self._failure_of = failure_of
        self._stack = contextlib.ExitStack()
        self.asks = asks
        self._changed = threading.Condition()
        self._response: httpx2.Response | None = None
        self._chunks: list[bytes] = []
        self._held = 0
        self._ended = False
        self._failure: BatchnbError | None = None
        self._given_up: ApiError | None = None
        self._most: float = MOST_HELD
        # What has moved; and since the last reckoning, how long was waited.
        self._moved = self._reckoned = 0
        self._waited = 0.0
        #: Whether what the server acts on may have left.
        self.begun = begun

    @property
    def is_left(self) -> bool:
        """Whether the call was given up, and has not ended."""
        return self._given_up is not None and not self._ended

    def start(self) -> None:
        """Begin. Where no thread can be started, as when Python is about to end, block until all of it has come."""
        try:
            threading.Thread(target=self._run, name="batchnb-call", daemon=True).start()
        except (RuntimeError, MemoryError):
            self._most = math.inf
            self._run()

    # Whoever waits

    def opened(self) -> httpx2.Response:
        """Wait for the head of the answer.

        Raises
        ------
        AmbiguousError
            The call was given up.
        RefusedError
            It was, before any of its body had left.
        BatchnbError
            It failed.
        """
        try:
            self._wait(lambda: self._response is not None)
        except BaseException:
            self.give_up("It was interrupted.")
            raise
        if self._response is None:
            raise self._failure or AssertionError
        return self._response

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes, undecoded; some at a time, whatever the server's pieces.

        Raises
        ------
        AmbiguousError
            The call was given up.
        BatchnbError
            It failed.
        """
        try:
            while True:
                self._wait(lambda: bool(self._chunks))
                with self._changed:
                    found, self._chunks, self._held = b"".join(self._chunks), [], 0
                    self._changed.notify_all()
                if not found:
                    break
                yield found
            if self._failure is not None:
                raise self._failure
        finally:
            self.close()

    def close(self) -> None:
        """Have what is left of the answer left unread."""
        self.give_up("Nobody reads it any more.")

    def give_up(self, why: str) -> None:
        """Have whoever waits told that no answer came; nothing that had not left by now leaves."""
        with self._changed:
            if self._given_up is None and not self._ended:
                # Before the first byte of a body has left, the server cannot have acted on it.
                kind, said = (AmbiguousError, "no_answer") if self.begun else (RefusedError, "unreachable")
                self._given_up = kind(f"{why} ({self._name})", type=said)
                self._changed.notify_all()

    def _wait(self, is_ready: Callable[[], bool]) -> None:
        """Wait until something is ready, or the call has ended, as long as enough moves."""
        with self._changed:
            while not (is_ready() or self._ended):
                if self._given_up is not None:
                    raise self._given_up
                if self._waited >= self._seconds:
                    if self._moved - self._reckoned < LEAST * self._seconds:
                        what = "No answer came, or next to nothing of it," if self.begun else "No connection came"
                        self.give_up(f"{what} within {self._seconds:g} s.")
                        continue
                    self._reckoned, self._waited = self._moved, 0.0
                if self._left <= 0.0:
                    self.give_up("The answer does not end.")
                    continue
                since = time.monotonic()
                self._changed.wait(min(STEP, self._left, self._seconds - self._waited))
                waited = time.monotonic() - since
                self._waited += waited
                self._left -= 0.0 if self._response is None else waited

    # The call's own thread

    def enter_context(self, context: contextlib.AbstractContextManager[object]) -> None:
        """Have a context entered until the call has ended."""
        self._stack.enter_context(context)

    def body(self, content: bytes) -> io.BytesIO:
        """Return a request's body such that what leaves of it is counted."""
        return _Bytes(content, self._leave)

    def file(self, path: Path) -> io.BufferedReader:
        """Open a file to be sent, such that what leaves of it is counted."""
        return _File(path, self._leave)

    def _leave(self, sent: int) -> None:
        """Count bytes that are about to leave."""
        with self._changed:
            if self._given_up is not None:
                raise _GivenUpError
            self.begun = True
            self._moved += sent
        self._told(sent, 0)

    def _run(self) -> None:
        try:
            response = self._make(self)
            try:
                with self._changed:
                    self._response, self.begun = response, True
                    self._changed.notify_all()
                for chunk in _body_of(response):
                    self._take(chunk)
            finally:
                response.close()
        except Exception as error:  # noqa: BLE001  # raised where the call is waited for
            # What comes of giving a call up is told as that, whoever is the first to see it.
            self._failure = self._given_up or self._failure_of(error)
        finally:
            self._stack.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _take(self, chunk: bytes) -> None:
        if not chunk:
            return
        with self._changed:
            while self._held >= self._most and self._given_up is None:
                self._changed.wait()
            if self._given_up is not None:
                raise _GivenUpError
            self._chunks.append(chunk)
            self._held += len(chunk)
            self._moved += len(chunk)
            self._changed.notify_all()
        self._told(0, len(chunk))


def _body_of(response: httpx2.Response) -> Iterator[bytes]:
    """Yield the bytes of a body as they come; of one that was read already, decoded, all at once."""
    if response.is_stream_consumed:
        response.headers.pop("content-encoding", None)
        yield response.content
    else:
        yield from response.iter_raw()


class _Bytes(io.BytesIO):
    """Bytes to be sent."""

    def __init__(self, content: bytes, leave: Callable[[int], None]) -> None:
        super().__init__(content)
        self._leave = leave

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._leave(len(found))
        return found


class _File(io.BufferedReader):
    """A file to be sent."""

    def __init__(self, path: Path, leave: Callable[[int], None]) -> None:
        raw: Any = path.open("rb", buffering=0)
        super().__init__(raw)
        self._leave = leave

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._leave(len(found))
        return found
