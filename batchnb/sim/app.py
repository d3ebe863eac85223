"""The HTTP face of the simulator: authentication, headers, bodies, and the faults that strike calls.

Sources: platform.claude.com documentation (headers, errors), anthropic 2.12.0 (what clients send). The rate-limit
headers are plausible and constant. The key is looked at only to see that there is one: it is never kept or written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from batchnb.sim import transport
from batchnb.sim.faults import Fault, FaultPlan
from batchnb.sim.routes import Ask, Service, Stream, match
from batchnb.sim.wire import ApiError, Clock, envelope, new_id, rfc3339

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_ORGANIZATION = "00000000-0000-4000-8000-000000000000"
_RATE_LIMIT = 4000
_log = logging.getLogger(__name__)


class Call(NamedTuple):
    """One HTTP call: its method, its path without the query, and the status it got (None: no answer was sent)."""

    method: str
    path: str
    status: int | None


class App:
    """The ASGI application.

    Parameters
    ----------
    service
        What answers the calls.
    plan
        The faults to come.
    identity
        The simulator's id, told in every response.
    max_bytes
        The largest body of a call.
    clock
        The time.
    calls
        Where each call is noted.
    """

    def __init__(
        self, service: Service, plan: FaultPlan, identity: str, *, max_bytes: int, clock: Clock, calls: list[Call]
    ) -> None:
        self._service = service
        self._plan = plan
        self._identity = identity
        self._max_bytes = max_bytes
        self._clock = clock
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http":
            return
        request_id = new_id("req")
        status: int | None = None
        try:
            status = await self._respond(Request(scope, receive), send, request_id)
        except ApiError as refusal:
            status = refusal.status
            body = msgspec.json.encode(envelope(refusal, request_id))
            headers = self._headers(request_id) | refusal.headers | {"x-should-retry": _retryable(refusal.status)}
            await Response(body, refusal.status, headers, "application/json")(scope, receive, send)
        except ClientDisconnect:
            pass
        finally:
            self._calls.append(Call(scope["method"], scope["path"], status))

    async def _respond(self, request: Request, send: Send, request_id: str) -> int | None:
        _authenticate(request)
        version = _version(request)
        route, item = match(request.method, request.url.path)
        struck = self._plan.take(_fault_route(route), lambda: self._service.age(route, item))
        before = [fault for fault in struck if fault.stage == "before"]
        if before and (done := await self._before(before, request, send, request_id)):
            return done if done > 0 else None
        ask = Ask(
            route,
            item,
            query={name: request.query_params.getlist(name) for name in request.query_params},
            body=await self._body(request),
            version=version,
            beta="anthropic-beta" in request.headers or request.query_params.get("beta") == "true",
            origin=f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}",
            faults=struck,
        )
        answer = await run_in_threadpool(self._answer, ask)
        for fault in struck:
            if fault.stage == "after":
                if fault.error:
                    raise _refusal(fault)
                await transport.hang_up(request.scope, request.receive)
                return None
        return await self._send(answer, request, send, request_id)

    def _answer(self, ask: Ask) -> dict[str, Any] | Stream:
        try:
            return self._service.answer(ask)
        except ApiError:
            raise
        except Exception as problem:
            _log.exception("the simulator failed to answer %s", ask.route)
            raise ApiError("api_error") from problem

    async def _before(self, faults: list[Fault], request: Request, send: Send, request_id: str) -> int:
        """Carry out faults that come before a call; return a status, -1 for no answer, 0 to go on."""
        for fault in faults:
            if fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
            elif fault.kind == "redirect":
                headers = self._headers(request_id) | {"location": f"{fault.url}{request.url.path}"}
                await Response(None, 307, headers)(request.scope, request.receive, send)
                return 307
            elif fault.kind == "reset":
                await self._body(request)
                await transport.reset(request.scope, request.receive)
                return -1
            else:
                await self._body(request)
                raise _refusal(fault)
        return 0

    async def _body(self, request: Request) -> bytes:
        too_large = ApiError("request_too_large", headers={"connection": "close"})
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise too_large
        pieces, length = [], 0
        async for piece in request.stream():
            pieces.append(piece)
            length += len(piece)
            if length > self._max_bytes:
                raise too_large
        return b"".join(pieces)

    async def _send(self, answer: dict[str, Any] | Stream, request: Request, send: Send, request_id: str) -> int | None:
        headers = self._headers(request_id)
        if not isinstance(answer, Stream):
            body = await run_in_threadpool(msgspec.json.encode, answer)
            await Response(body, 200, headers, "application/json")(request.scope, request.receive, send)
            return 200
        headers |= {"content-type": answer.media_type, "cache-control": "no-cache"}
        if not answer.framed:
            await _send_unframed(answer.pieces, headers, request)
            return 200
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        async for piece in iterate_in_threadpool(answer.pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if not answer.complete:
            await transport.hang_up(request.scope, request.receive)
            return 200
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return 200

    def _headers(self, request_id: str) -> dict[str, str]:
        return {
            "batchnb-simulator": self._identity,
            "request-id": request_id,
            "anthropic-organization-id": _ORGANIZATION,
            "anthropic-ratelimit-requests-limit": str(_RATE_LIMIT),
            "anthropic-ratelimit-requests-remaining": str(_RATE_LIMIT - 1),
            "anthropic-ratelimit-requests-reset": rfc3339(self._clock.now()),
        }


def _authenticate(request: Request) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if request.headers.get("x-api-key", "").strip() or (scheme.lower() == "bearer" and token.strip()):
        return
    raise ApiError("authentication_error", "x-api-key header is required")


def _version(request: Request) -> str:
    version = request.headers.get("anthropic-version", "")
    if not version:
        raise ApiError("invalid_request_error", "anthropic-version: header is required")
    return version


def _fault_route(route: str) -> str:
    return "models" if route == "model" else route


def _refusal(fault: Fault) -> ApiError:
    headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
    return ApiError(fault.error, headers=headers, code=fault.error_code)


def _retryable(status: int) -> str:
    return "true" if status in (408, 409, 429) or status >= 500 else "false"


async def _send_unframed(pieces: Iterator[bytes], headers: dict[str, str], request: Request) -> None:
    """Send a body whose end only the closing of the connection tells, as HTTP/1.0 servers and some proxies do."""
    lines = [f"{name}: {value}" for name, value in {**headers, "connection": "close"}.items()]
    head = "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""])
    await transport.write_raw(request.scope, head.encode("latin-1"))
    async for piece in iterate_in_threadpool(pieces):
        await transport.write_raw(request.scope, piece)
    with suppress(ClientDisconnect):
        await transport.hang_up(request.scope, request.receive)
