"""A server that hangs, drips and talks nonsense: a few lines on plain sockets, for one script of answers each.

What follows a request is decided by the test: `script` is given the method and the path, and the connection, and writes
to it whatever it likes. Every connection has a thread of its own, which ends with the server.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

__all__ = ["Wire", "Wires", "head"]

#: Between two bytes of a drip, in seconds.
DRIP = 0.02


def head(status: str = "200 OK", **headers: object) -> bytes:
    """Write the head of an answer; underscores in names become hyphens."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


class Wire:
    """One connection."""

    def __init__(self, server: Wires, connection: socket.socket) -> None:
        self._server = server
        self._connection = connection

    def read(self, least: int = 1) -> bytes:
        return self._connection.recv(max(least, 65_536))

    def write(self, data: bytes) -> None:
        self._connection.sendall(data)

    def hang(self) -> None:
        """Do nothing until the server is ended, or the client has hung up."""
        self._connection.settimeout(0.02)
        while not self._server.ended.is_set():
            try:
                if not self._connection.recv(65_536):
                    return
            except TimeoutError:
                continue

    def drip(self, data: bytes) -> None:
        """Write a byte at a time, in all eternity."""
        while True:
            for position in range(len(data)):
                self.write(data[position : position + 1])
                if self._server.ended.wait(DRIP):
                    return


class Wires:
    """The server. `calls` are the methods and paths that came."""

    def __init__(self, script: Callable[[str, str, Wire], object]) -> None:
        self.script = script
        self.calls: list[tuple[str, str]] = []
        self.ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.05)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._listen, daemon=True)]

    def _listen(self) -> None:
        while not self.ended.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                connection, _ = self._listening.accept()
                connection.settimeout(None)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            for method, path in self._requests(connection):
                self.calls.append((method, path))
                self.script(method, path, Wire(self, connection))
                return  # one answer a connection

    @staticmethod
    def _requests(connection: socket.socket) -> Iterator[tuple[str, str]]:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65_536)
            if not more:
                return
            data += more
        method, path, _ = data.split(b"\r\n")[0].decode().split(" ")
        yield method, path

    def __enter__(self) -> Wires:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._listening.close()
        for thread in self._threads:
            thread.join(5)
