"""Endings that HTTP does not foresee: a reset, a close without an answer, a body that nobody framed.

ASGI has no word for these, so the protocol is passed along: see `batchnb.sim.server.connections`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any

from batchnb.sim.server.connections import connection_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

_NO_LINGER = struct.pack("ii", 1, 0)


def _transport(scope: Scope) -> asyncio.Transport:
    return connection_of(scope).transport


async def _gone(receive: Receive) -> None:
    """Wait until the server knows that the connection is closed, so that it does not answer by itself."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def reset(scope: Scope, receive: Receive) -> None:
    """Reset the connection (RST): the client gets "connection reset by peer"."""
    transport = _transport(scope)
    connection: Any = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
    await _gone(receive)


async def hang_up(scope: Scope, receive: Receive) -> None:
    """Send what was written and close the connection: the client gets an end where it expected more."""
    _transport(scope).close()
    await _gone(receive)


async def write_raw(scope: Scope, data: bytes) -> None:
    """Write bytes past the HTTP machinery, waiting while the connection is backed up."""
    transport = _transport(scope)
    transport.write(data)
    while transport.get_write_buffer_size() and not transport.is_closing():
        await asyncio.sleep(0.001)
