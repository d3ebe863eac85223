"""The HTTP face of the simulator: authentication, headers, bodies, and the faults that strike calls.

Sources: platform.claude.com documentation (headers, errors), anthropic 2.12.0 (what clients send). The rate-limit
headers are plausible and constant. The key is compared with the simulator's own, or only seen to be there: it is never
kept or written. What calls take in memory is bounded, all together.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from batchnb.sim.server import transport
from batchnb.sim.server.access import Access
from batchnb.sim.server.connections import Quiet, connection_of
from batchnb.sim.server.faults import Fault, FaultPlan
from batchnb.sim.server.routes import Ask, Service, Stream, match
from batchnb.sim.wire import ApiError, Clock, envelope, invalid, new_id, rfc3339

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_ORGANIZATION = "00000000-0000-4000-8000-000000000000"
_WORKSPACE = "wrkspc_01SimulatedSimulatedSimu"
_RATE_LIMIT = 4000
_MOST_CALLS = 200_000  # remembered: a simulator may run for weeks
_LONGEST_PATH, _LONGEST_METHOD = 200, 20  # remembered of each
_LARGEST_HEAD = 32_768  # bytes of a call's first line and headers
_LARGEST_CALL = 32_000_000  # bytes of a body, but that of a batch (platform.claude.com documentation)
_FORM = 1_000_000  # bytes of an upload beside the file itself
#: The names under which faults strike calls of their kind.
_FAULT_ROUTES = {"model": "models", "file": "files", "delete_file": "files", "download": "files"}
_log = logging.getLogger(__name__)
_log.addFilter(Quiet())


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
    access
        Who is let in.
    plan
        The faults to come.
    identity
        The simulator's id, told in every response to a call that was meant for it.
    max_bytes
        The largest body of a call. Twice as much, or 600 MB, may be held of all calls together.
    clock
        The time.
    calls
        Where each call is noted.
    """

    def __init__(
        self,
        service: Service,
        access: Access,
        plan: FaultPlan,
        identity: str,
        *,
        max_bytes: int,
        clock: Clock,
        calls: list[Call],
    ) -> None:
        self._service = service
        self._access = access
        self._plan = plan
        self._identity = identity
        self._max_bytes = max_bytes
        self._room = _Room(max(600_000_000, 2 * max_bytes))
        self._clock = clock
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            _check_head(scope)
            self._access.check_origin(request.headers)
        except ApiError as refusal:  # a stranger learns nothing else
            connection_of(scope).is_strange = True
            await _Exchange(request, send, {}, self._calls).refuse(refusal)
            return
        exchange = _Exchange(request, send, self._headers(), self._calls)
        try:
            await self._respond(exchange)
        except ApiError as refusal:
            connection_of(scope).is_strange = refusal.status == 401
            await exchange.refuse(refusal)
        except ClientDisconnect:
            exchange.note(None)
        except asyncio.CancelledError:  # the server stops
            exchange.note(None)
            await transport.hang_up(scope, receive)
        except Exception:
            if exchange.has_begun:
                raise
            _log.exception("the simulator failed to answer a call")
            await exchange.refuse(ApiError("api_error"))

    async def _respond(self, exchange: _Exchange) -> None:
        request = exchange.request
        self._access.check_key(request.headers)
        version = _version(request)
        route, item = match(request.method, request.url.path)
        struck = await self._struck(route, item)
        ask = Ask(
            route,
            item,
            query={name: request.query_params.getlist(name) for name in request.query_params},
            version=version,
            beta="anthropic-beta" in request.headers or request.query_params.get("beta") == "true",
            betas=tuple(beta.strip() for line in request.headers.getlist("anthropic-beta") for beta in line.split(",")),
            origin=f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}",
            faults=struck,
        )
        if route == "upload":
            await self._receive(ask, exchange)
            return
        with self._room.share() as share:
            most = self._max_bytes if route == "create" else min(self._max_bytes, _LARGEST_CALL)
            body = await _body(request, most, share)
            await self._carry_out(replace(ask, body=body), exchange)

    async def _receive(self, ask: Ask, exchange: _Exchange) -> None:
        """Answer an upload: its file goes to disk as it comes."""
        request = exchange.request
        upload = await run_in_threadpool(self._service.receive, request.headers.get("content-type", ""))
        length = 0
        try:
            # On disk piece by piece, and in this thread: a page cache takes 64 kB faster than a thread is changed.
            async for piece in request.stream():
                length += len(piece)
                if length > upload.most + _FORM:
                    raise _too_large()
                upload.form.feed(piece)
            upload.finish()
            await self._carry_out(replace(ask, upload=upload), exchange)
        finally:
            upload.discard()

    async def _carry_out(self, ask: Ask, exchange: _Exchange) -> None:
        """Answer a call whose body has come, unless a fault strikes."""
        request = exchange.request
        for fault in ask.faults:
            if fault.stage == "before" and await self._struck_before(fault, exchange):
                return
        answer = await run_in_threadpool(self._answer, ask)
        for fault in ask.faults:
            if fault.stage == "after":
                if fault.error:
                    raise _refusal(fault)
                exchange.note(None)
                await transport.hang_up(request.scope, request.receive)
                return
        await (exchange.send_stream(answer) if isinstance(answer, Stream) else exchange.send_json(answer))

    async def _struck(self, route: str, item: str) -> list[Fault]:
        if not self._plan:
            return []
        # In a thread, because the age of a batch is looked up on disk.
        name = _FAULT_ROUTES.get(route, route)
        return await run_in_threadpool(self._plan.take, name, lambda: self._service.age(route, item))

    def _answer(self, ask: Ask) -> bytes | Stream:
        try:
            answer = self._service.answer(ask)
            return answer if isinstance(answer, Stream) else msgspec.json.encode(answer)
        except ApiError:
            raise
        except RecursionError:
            raise invalid("The request body nests too deeply.") from None
        except Exception as problem:
            _log.exception("the simulator failed to answer %s", ask.route)
            raise ApiError("api_error") from problem

    async def _struck_before(self, fault: Fault, exchange: _Exchange) -> bool:
        """Carry out a fault that comes before a call; return whether the call ends with it."""
        request = exchange.request
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
            return False
        if fault.kind == "redirect":
            await exchange.send_json(b"{}", 307, {"location": f"{fault.url}{request.url.path}"})
        elif fault.kind == "reset":
            exchange.note(None)
            await transport.reset(request.scope, request.receive)
        else:
            raise _refusal(fault)
        return True

    def _headers(self) -> dict[str, str]:
        return {
            "batchnb-simulator": self._identity,
            "request-id": new_id("req"),
            # By the clock of the batches' times; uvicorn's own would be by another.
            "date": formatdate(self._clock.now(), usegmt=True),
            "anthropic-organization-id": _ORGANIZATION,
            "anthropic-workspace-id": _WORKSPACE,
            "anthropic-ratelimit-requests-limit": str(_RATE_LIMIT),
            "anthropic-ratelimit-requests-remaining": str(_RATE_LIMIT - 1),
            "anthropic-ratelimit-requests-reset": rfc3339(self._clock.now()),
        }


class _Exchange:
    """One call and the sending of its answer.

    The call is noted just before its first byte is sent, so that a client that has its answer finds it in the log.
    """

    def __init__(self, request: Request, send: Send, headers: dict[str, str], calls: list[Call]) -> None:
        self.request, self.headers = request, headers
        self._raw_send, self._calls = send, calls
        self._noted = False

    def note(self, status: int | None) -> None:
        if not self._noted:
            self._noted = True
            if len(self._calls) >= _MOST_CALLS:
                del self._calls[: _MOST_CALLS // 2]
            path = str(self.request.scope["path"])
            self._calls.append(Call(self.request.method[:_LONGEST_METHOD], path[:_LONGEST_PATH], status))

    @property
    def has_begun(self) -> bool:
        """Whether a part of the answer was sent, or the call was given up."""
        return self._noted

    async def refuse(self, refusal: ApiError) -> None:
        """Send an error in the API's envelope."""
        body = msgspec.json.encode(envelope(refusal, self.headers.get("request-id")))
        retry = {"x-should-retry": _retryable(refusal.status)}
        await self.send_json(body, refusal.status, refusal.headers | retry)

    async def send_json(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.note(status)
        response = Response(body, status, self.headers | (headers or {}), "application/json")
        await response(self.request.scope, self.request.receive, self._raw_send)

    async def send_stream(self, stream: Stream) -> None:
        headers = self.headers | {"content-type": stream.media_type, "cache-control": "no-cache"}
        self.note(200)
        if not stream.framed:
            await _send_unframed(stream.pieces, headers, self.request)
            return
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self._raw_send({"type": "http.response.start", "status": 200, "headers": raw})
        async for piece in iterate_in_threadpool(stream.pieces):
            await self._raw_send({"type": "http.response.body", "body": piece, "more_body": True})
        if not stream.complete:
            await transport.hang_up(self.request.scope, self.request.receive)
            return
        await self._raw_send({"type": "http.response.body", "body": b"", "more_body": False})


class _Room:
    """The bytes of bodies that all calls together may hold in memory."""

    def __init__(self, most: int) -> None:
        self._left = most

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that takes so many bytes of it, until the end of the block.

        It raises ApiError (529) where there are not so many left: nothing was done, and waiting helps.
        """
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if count > self._left:
                raise ApiError("overloaded_error", headers={"connection": "close"})
            self._left -= count
            taken += count

        try:
            yield take
        finally:
            self._left += taken


async def _body(request: Request, most: int, take: Callable[[int], None]) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:  # h11 has seen that it has at most 20 digits
        raise _too_large()
    pieces, length = [], 0
    async for piece in request.stream():
        take(len(piece))
        pieces.append(piece)
        length += len(piece)
        if length > most:
            raise _too_large()
    return b"".join(pieces)


def _check_head(scope: Scope) -> None:
    """Raise ApiError for a head that is too large; h11 bounds only one that comes in pieces."""
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    if size + len(scope["raw_path"]) + len(scope["query_string"]) + len(scope["method"]) > _LARGEST_HEAD:
        raise ApiError("invalid_request_error", "Request header fields too large", status=431)


def _too_large() -> ApiError:
    return ApiError("request_too_large", headers={"connection": "close"})


def _version(request: Request) -> str:
    version = request.headers.get("anthropic-version", "")
    if not version:
        raise ApiError("invalid_request_error", "anthropic-version: header is required")
    return version


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
