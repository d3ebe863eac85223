"""Two workspaces on one simulator, told apart by the key: each sees its own batches, as of the real API."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from leaks import CORE

from batchnb.sim import Simulator
from batchnb.sim.wire import ApiError

__all__ = ["KEYS", "Places"]

#: A key of each.
KEYS = (f"sk-ant-api03-not-a-real-key-{CORE}", f"sk-ant-api03-of-another-workspace-{CORE}")

_NAMES = ("wrkspc_01OneOneOneOneOneOneOneOne", "wrkspc_01TwoTwoTwoTwoTwoTwoTwoTwo")

#: Which workspace the call belongs to that is being answered.
_place: ContextVar[int] = ContextVar("place", default=0)


def _as_the_api_has_them(headers: dict[str, str]) -> dict[str, str]:
    """Name the workspace of the call, and no simulator: of a ledger whose answers cost nothing less care is taken."""
    del headers["batchnb-simulator"]
    return headers | {"anthropic-workspace-id": _NAMES[_place.get()]}


class Places:
    """Puts itself between a running simulator and its clients.

    Attributes
    ----------
    of : dict of str to int
        Which workspace each batch is in.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.of: dict[str, int] = {}
        config = simulator._running._server.config
        self._app = config.loaded_app
        config.loaded_app = self  # for connections that are to come
        headers = config.app._headers
        config.app._headers = lambda: _as_the_api_has_them(headers())
        handlers = config.app._service._handlers
        handlers |= {"create": self._created(handlers["create"]), "list": self._listed(handlers["list"])}
        for name in ("retrieve", "cancel", "results", "delete"):
            handlers[name] = self._one(handlers[name])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a call for the workspace of its key."""
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            key = headers.get(b"authorization", b"").removeprefix(b"Bearer ") or headers.get(b"x-api-key", b"")
            _place.set(int(key.decode() == KEYS[1]))
        await self._app(scope, receive, send)

    def _created(self, create: Any) -> Any:
        def created(ask: Any) -> Any:
            made = create(ask)
            self.of[made["id"]] = _place.get()
            return made

        return created

    def _listed(self, page: Any) -> Any:
        def listed(ask: Any) -> Any:
            given = page(ask)
            data = [one for one in given["data"] if self.of.get(one["id"], 0) == _place.get()]
            ids = [one["id"] for one in data] or [None]
            last = given["last_id"] if given["has_more"] else ids[-1]  # where the next page begins
            return {**given, "data": data, "first_id": ids[0], "last_id": last}

        return listed

    def _one(self, answer: Any) -> Any:
        def one(ask: Any) -> Any:
            if self.of.get(ask.id, 0) != _place.get():
                raise ApiError("not_found_error", f"Message Batch {ask.id} not found.")
            return answer(ask)

        return one
