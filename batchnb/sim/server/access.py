"""Who is let in: callers on this machine that know the key, and no web page, whatever it makes a browser send.

A page reaches a server on loopback in two ways: as itself, and then the browser names its origin; or under a name of
its own that leads to 127.0.0.1 (DNS rebinding), and then the ``Host`` is that name. Both are refused before anything
else is looked at, and learn nothing about the simulator. The key, where there is one, keeps out other users.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING

from batchnb.sim.wire import ApiError

if TYPE_CHECKING:
    from starlette.datastructures import Headers

_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_OWN_SITES = ("same-origin", "none")  # of Fetch metadata: from a page of ours, or typed by a person


class Access:
    """Decides whether a call is let in.

    Parameters
    ----------
    port
        The server's.
    key
        What callers must bring; None where any key will do that is not empty.
    """

    def __init__(self, port: int, key: str | None) -> None:
        self._hosts = {f"{host}:{port}" for host in _HOSTS} | (set(_HOSTS) if port == 80 else set())
        self._origins = {f"http://{host}" for host in self._hosts}
        self._key = None if key is None else key.encode()

    def check_origin(self, headers: Headers) -> None:
        """Raise ApiError (403) where a call is not addressed to this machine, or comes from a web page."""
        hosts = [host.lower() for host in headers.getlist("host")]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            told = ", ".join(sorted(self._hosts))
            raise ApiError("permission_error", f"Calls are answered only where their Host is one of {told}.")
        for origin in headers.getlist("origin"):
            if origin.lower() not in self._origins:
                raise ApiError("permission_error", "Calls from web pages are not answered.")
        if any(site.lower() not in _OWN_SITES for site in headers.getlist("sec-fetch-site")):
            raise ApiError("permission_error", "Calls from web pages are not answered.")

    def check_key(self, headers: Headers) -> None:
        """Raise ApiError (401) where a call brings no key, or another one."""
        given = [*_bearers(headers.getlist("authorization")), *headers.getlist("x-api-key")]
        given = [key for each in given if (key := each.strip())]
        if not given:
            raise ApiError("authentication_error", "x-api-key header is required")
        if self._key is not None and not any(hmac.compare_digest(self._key, key.encode("latin-1")) for key in given):
            raise ApiError("authentication_error", "API key is invalid. (This simulator takes its own alone.)")


def _bearers(lines: Sequence[str]) -> list[str]:
    split = [line.partition(" ") for line in lines]
    return [token for scheme, _, token in split if scheme.lower() == "bearer"]
