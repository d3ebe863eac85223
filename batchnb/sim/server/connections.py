"""The server's connections: how many there may be, how long one may keep it waiting, and which one makes room.

A connection that waits for its client (for a request, for the rest of one, for an answer to be read) is closed after a
time, and sooner where another one needs its place, those first that have asked nothing yet, and of these the oldest.
One whose call is being answered is left alone; where there are only such, others wait in the system's queue.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import Scope

_log = logging.getLogger(__name__)

# Seconds.
_LAST_ANSWERS = 1.0  # for what is being answered when the server stops
_TICK = 1.0  # between two looks at what is overdue
_HEAD_PATIENCE = 30.0  # for a new connection's first request
_IDLE_PATIENCE = 150.0  # for the next one: longer than clients keep an idle connection
_PIECE_PATIENCE = 60.0  # for the next piece of a body
_BODY_PATIENCE = 600.0  # for the whole of it
_READ_PATIENCE = 600.0  # for a client that does not read its answer
_RETRY = 0.1  # until connections are accepted again, where there was no room for another
#: How long one is left alone at least, by how dispensable it is: see `Protocol.waits`.
_GRACE = (0.25, 1.0, 5.0)

_MOST = 500
_SHARE = 4  # of the descriptors that this process may have, a fourth
_FEWEST = 16
_KEY = "batchnb_connection"


class Quiet(logging.Filter):
    """Lets so many messages of a kind through in each minute: a stranger must not fill a disk with them."""

    def __init__(self, most: int = 10, seconds: float = 60.0) -> None:
        super().__init__()
        self._most, self._seconds = most, seconds
        self._since: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is let through; the last one of a minute says that others are left out."""
        kind, now = str(record.msg)[:100], time.monotonic()
        began, count = self._since.get(kind, (now, 0))
        if now - began >= self._seconds:
            began, count = now, 0
        if len(self._since) > 100:
            self._since.clear()
        self._since[kind] = began, count + 1
        if count == self._most - 1:
            record.msg = f"{record.msg} (more of these are left out for a minute)"
        return count < self._most


_log.addFilter(Quiet())


def most_connections() -> int:
    """Return how many connections a server may have: the descriptors are also the notebook's around it."""
    if sys.platform == "win32":
        return 128  # of the 512 sockets that its select() takes
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if limit == resource.RLIM_INFINITY else max(_FEWEST, min(_MOST, limit // _SHARE))


class Protocol(H11Protocol):
    """uvicorn's HTTP protocol, which knows since when it waits for its client.

    It is passed along in ``scope["state"]``, where servers may leave things for applications: see `connection_of`.

    Attributes
    ----------
    is_strange : bool
        Whether its last call was not let in: it is as dispensable as one that never asked anything.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _log
        self.is_strange = False
        self._since = self._heard = self._unread_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """Begin to wait."""
        self.app_state = {**self.app_state, _KEY: self}
        self._since = self._heard = self.loop.time()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        self._heard = self.loop.time()
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._since, self.is_strange = self._heard, False

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        self._unread_since = self.loop.time()
        super().pause_writing()

    def waits(self) -> tuple[int, float] | None:
        """Return how dispensable this connection is (0 first) and since when it waits; None while it is answered."""
        if self.cycle is None:
            return 0, self._since
        if self.cycle.response_complete:
            return 0 if self.is_strange else 1, self._since
        if self.flow.write_paused:
            return 2, self._unread_since
        return (2, self._since) if self.cycle.more_body else None

    def is_overdue(self, now: float) -> bool:
        """Whether the client has kept the server waiting for too long."""
        if self.cycle is None:
            return now - self._since > _HEAD_PATIENCE
        if self.cycle.response_complete:
            return now - self._since > (_HEAD_PATIENCE if self.is_strange else _IDLE_PATIENCE)
        if self.flow.write_paused:
            return now - self._unread_since > _READ_PATIENCE
        stalled = now - self._heard > _PIECE_PATIENCE and not self.flow.read_paused
        return self.cycle.more_body and (stalled or now - self._since > _BODY_PATIENCE)

    def has_unread(self) -> bool:
        """Whether bytes have come that the loop has not looked at yet."""
        handle = self.transport.get_extra_info("socket").fileno()
        if handle < 0 or not hasattr(select, "poll"):
            return False
        looked = select.poll()
        looked.register(handle, select.POLLIN)
        return bool(looked.poll(0))

    def drop(self) -> None:
        """Close the connection without another word."""
        if not self.transport.is_closing():
            self.transport.abort()


class Server(uvicorn.Server):
    """uvicorn's server with an end to patience, and without its clock: it neither wakes nor waits ten times a second.

    It accepts connections itself, because asyncio, where no descriptor is left for another one, fills the log and the
    processor.

    Parameters
    ----------
    config
        As uvicorn's.
    listener
        The listening socket, which does not block.
    """

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config)
        self._listener = listener
        self._most = most_connections()
        self._running: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()
        self._accepting = False
        self._joining: set[asyncio.Task[Any]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - as uvicorn's own
        """Begin to accept connections."""
        self.servers = []
        self._running = loop = asyncio.get_running_loop()
        loop.set_exception_handler(_report)
        self._accept_again()
        self.started = True

    async def main_loop(self) -> None:
        """Serve until told to stop."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), _TICK)
            now = asyncio.get_running_loop().time()
            for connection in self._connections():
                if connection.is_overdue(now):
                    connection.drop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - as uvicorn's own
        """Close what is idle and give what is being answered a second."""
        self._pause()
        self._listener.close()
        for connection in self._connections():
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_ANSWERS):
                while self.server_state.connections:
                    await asyncio.sleep(0.002)
        for connection in self._connections():
            connection.drop()
        if tasks := set(self.server_state.tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_LAST_ANSWERS)

    def tell_to_stop(self) -> None:
        """Stop soon. Called from another thread."""
        self.should_exit = True
        if self._running is not None and not self._running.is_closed():
            self._running.call_soon_threadsafe(self._told.set)

    def _connections(self) -> list[Protocol]:
        return [connection for connection in self.server_state.connections if isinstance(connection, Protocol)]

    def _accept_again(self) -> None:
        if self._running is not None and not self._accepting and not self.should_exit and self._listener.fileno() >= 0:
            self._accepting = True
            self._running.add_reader(self._listener.fileno(), self._accept)

    def _pause(self) -> None:
        if self._running is not None and self._accepting:
            self._accepting = False
            self._running.remove_reader(self._listener.fileno())

    def _accept(self) -> None:
        """Take one connection from the system's queue, where there is room or can be made; called while any waits."""
        assert self._running is not None  # noqa: S101 - it calls this
        if len(self.server_state.connections) + len(self._joining) >= self._most:
            self._make_room()
            return
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return
        except OSError as problem:  # no descriptor is left in this process, or in the system
            _log.warning("a connection cannot be accepted now: %s", problem.strerror)
            self._make_room()
            return
        connection.setblocking(False)
        joining = self._running.create_task(self._join(connection))
        self._joining.add(joining)
        joining.add_done_callback(self._joining.discard)

    async def _join(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        except OSError:  # its client has left
            connection.close()

    def _protocol(self) -> Protocol:
        return Protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _make_room(self) -> None:
        """Close the connection that is most dispensable; where there is none, accept no other for a moment."""
        assert self._running is not None  # noqa: S101 - it calls what calls this
        now = self._running.time()
        waiting = [(*waits, id(each), each) for each in self._connections() if (waits := each.waits()) is not None]
        for kind, since, _, connection in sorted(waiting):
            if now - since >= _GRACE[kind] and not connection.has_unread():
                connection.drop()
                return
        self._pause()
        self._running.call_later(_RETRY, self._accept_again)


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody caught; the loop's own way has no end where it happens again and again."""
    _log.error("%s", context.get("message"), exc_info=context.get("exception"))


def connection_of(scope: Scope) -> Protocol:
    """Return the connection of a call: ASGI has no word for what is done with it."""
    connection: Protocol = scope["state"][_KEY]
    return connection
