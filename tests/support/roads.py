"""What may lie between a client and a server: proxies that do not let pass, and connections that are not secure."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

CONFIG = """
[ca]
default_ca = own
[own]
new_certs_dir = {folder}
database = {folder}/index.txt
serial = {folder}/serial
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = {names}
basicConstraints = CA:TRUE
"""


def certificate(folder: Path, names: str, ends: str = "20600101000000Z") -> tuple[Path, Path]:
    """Make a certificate that vouches for itself, and its key; skips the test where there is no openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make certificates with")
    folder.mkdir(parents=True)
    config, key, request, made = (folder / name for name in ("openssl.cnf", "key.pem", "request.pem", "made.pem"))
    config.write_text(CONFIG.format(folder=folder, names=names))
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01\n")
    new = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-keyout", key, "-out", request]
    sign = ["ca", "-batch", "-selfsign", "-config", config, "-keyfile", key, "-in", request, "-out", made, "-notext",
            "-startdate", "20200101000000Z", "-enddate", ends]  # fmt: skip
    for command in (new, sign):
        subprocess.run([openssl, *map(str, command)], check=True, capture_output=True)
    return made, key


def secured(listener: socket.socket, made: Path, key: Path) -> socket.socket:
    """Have a listening socket speak TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context.wrap_socket(listener, server_side=True)


class Road:
    """Listens on a port of 127.0.0.1, and does one thing with each connection.

    Attributes
    ----------
    url : str
        Its address, as that of a proxy.
    seen : list of bytes
        What the connections began with.
    """

    def __init__(self, answer: Callable[[socket.socket], object]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self._ended = False
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.seen: list[bytes] = []
        self._thread = threading.Thread(target=self._run, name="road", daemon=True)

    def __enter__(self) -> Road:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while not self._ended:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(5)
                try:
                    self.seen.append(connection.recv(65_536))
                    self._answer(connection)
                except OSError:
                    continue


def says(text: str) -> Callable[[socket.socket], object]:
    """An answer in these words, after which the connection is closed."""
    return lambda connection: connection.sendall(text.encode("latin-1"))


#: A fatal alert: no version of TLS that both sides take.
OLD_TLS = b"\x15\x03\x01\x00\x02\x02\x46".decode("latin-1")
