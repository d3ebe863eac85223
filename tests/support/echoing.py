"""A server, or a gateway before one, that writes back whatever it was sent: in errors, headers, ids and pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import independent
from leaks import echoes

#: How an endpoint is called, by its method and the last part of its path.
ENDPOINTS = {
    ("POST", "count_tokens"): "count_tokens", ("POST", "messages"): "message", ("POST", "batches"): "create",
    ("GET", "batches"): "list", ("POST", "cancel"): "cancel", ("GET", "results"): "results",
    ("GET", "models"): "models", ("POST", "files"): "upload", ("GET", "files"): "files",
}  # fmt: skip


def envelope(echo: str) -> Any:
    inner = {"type": f"{echo}", "message": f"invalid x-api-key: {echo}", echo: [echo], "details": {"error_code": echo}}
    return {"type": "error", "error": inner, "request_id": echo, echo: {"a": echo}}


#: What the body of an answer is, by how it is called.
BODIES: dict[str, Callable[[str], Any]] = {
    "envelope": envelope,
    "page": lambda echo: f"<html><title>{echo}</title>\n{echo}</html>".encode(),
    "text": lambda echo: f"denied: {echo}\n{echo}".encode(),
    "json of another form": lambda echo: {"error": echo, "errors": [{"message": echo}], "message": echo},
    "message that is none": lambda echo: {"type": "error", "error": {"type": {echo: 1}, "message": {"text": [echo]}}},
    "ids": lambda echo: {
        "id": echo, "type": "message_batch", "processing_status": echo, "request_counts": {echo: 1},
        "input_tokens": echo,
        "data": [{"id": echo, "filename": echo, "display_name": echo, "mime_type": echo, "processing_status": echo}],
        "has_more": True, "last_id": echo, "next_page": echo, "filename": echo, "created_at": echo,
    },
}  # fmt: skip


class Echo(independent.Server):
    """The independent server, some of whose endpoints write back the credentials of each call.

    Attributes
    ----------
    hostile : dict of str to tuple of (int, str, str)
        Status, body and form of the echo, by endpoint; that of ``*`` stands for all others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hostile: dict[str, tuple[int, str, str]] = {}
        self._http.RequestHandlerClass = type("Bound", (_Handler,), {"owner": self})


class _Handler(independent.Handler):
    owner: Echo

    def _answer(self, method: str, path: str, body: bytes, authorized: bool) -> None:
        last = path.rpartition("/")[2]
        endpoint = ENDPOINTS.get((method, last)) or {"GET": "retrieve", "DELETE": "delete"}.get(method, "other")
        found = self.owner.hostile.get(endpoint) or self.owner.hostile.get("*")
        if found is None:
            super()._answer(method, path, body, authorized)
            return
        status, form, how = found
        key = (self.headers.get("authorization") or self.headers.get("x-api-key") or "").rpartition(" ")[2]
        echo = echoes(key)[how]
        value = BODIES[form](echo)
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        names = (
            "request-id",
            "anthropic-organization-id",
            "anthropic-workspace-id",
            "x-echo",
            "retry-after",
            "set-cookie",
        )
        kind = {"content-type": "text/html" if isinstance(value, bytes) else "application/json"}
        self._head(status, dict.fromkeys((*names, "set-cookie"), echo) | kind | {"content-length": str(len(content))})
        self.wfile.write(content)
