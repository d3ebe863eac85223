"""A second, independent server of the Message Batches API, with faults of its own.

Written from the API's documentation alone, on the standard library's ``http.server``: it shares no code with batchnb or
its simulator, and so none of their mistakes. It is the judge of the exactly-once tests: `asked` counts how often each
question was bought.

A fault is put into the queue of an endpoint, and used up by one call::

    server.faults["create"] += [Lost()]
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hostility import Changed, Manner, Upload, chunks

BATCHES = "/v1/messages/batches"
CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")
PATIENCE = 30  # seconds a test waits for something before it fails

#: The API's error type for each status, as documented.
TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 409: "conflict_error", 413: "request_too_large", 429: "rate_limit_error",
    500: "api_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


@dataclass
class Status:
    """Answer with an error (or a redirect); `accept`: after having made the batch all the same."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    accept: bool = False
    type: str | None = None
    details: dict[str, str] | None = None
    message: str | None = None


@dataclass
class Lost:
    """Close the connection without an answer; `accept`: after having made the batch."""

    accept: bool = True


@dataclass
class Held:
    """Make the batch, or send the first half of the results, and then neither go on nor hang up until let go.

    Other endpoints then hang up; so does a create if its answer is to be `lost`.
    """

    accept: bool = True
    lost: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)


@dataclass
class Spoiled:
    """Send other results than there are.

    `change` makes other lines of them; `cut` sends that part of the body only: without an error where it is `unframed`
    (no length was promised, the connection just ends), else as a connection that breaks. `pieces` sends it in chunks of
    so many bytes.
    """

    change: Callable[[list[bytes]], Iterable[bytes]] = list
    cut: float = 1.0
    unframed: bool = False
    newline: bytes = b"\n"
    pieces: int | None = None


@dataclass
class Batch:
    """A batch this server has accepted."""

    id: str
    requests: list[dict[str, Any]]
    created_at: datetime
    status: str = "in_progress"
    ended_at: datetime | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: What its description says instead of the truth.
    lies: dict[str, Any] = field(default_factory=dict)
    workspace: str | None = None


def stamp(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


def text_of(params: dict[str, Any]) -> str:
    content = params["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


def message(params: dict[str, Any], text: str) -> dict[str, Any]:
    usage = {"input_tokens": 10, "output_tokens": 5, "service_tier": "batch"}
    block = {"type": "text", "text": text}
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": params["model"], "content": [block],
            "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}  # fmt: skip


def reply(params: dict[str, Any]) -> str:
    """Echo what follows "Echo: "; for a JSON schema, its first label."""
    schema = params.get("output_config", {}).get("format", {}).get("schema")
    if schema:
        return json.dumps({name: part["enum"][0] for name, part in schema["properties"].items()})
    return text_of(params).removeprefix("Echo: ")


def succeeded(params: dict[str, Any]) -> dict[str, Any]:
    return {"type": "succeeded", "message": message(params, reply(params))}


def errored(type: str, text: str = "no") -> dict[str, Any]:
    return {"type": "errored", "error": {"type": "error", "error": {"type": type, "message": text}, "request_id": "r"}}


class Server:
    """The server, on a free port of 127.0.0.1.

    Attributes
    ----------
    batches : list of Batch
        Every batch that was accepted, oldest first.
    calls : list of (method, path, status)
        Every call, in the order they came; status 0 where no answer was given.
    faults : dict of list
        Faults to come, by endpoint: create, retrieve, list, results, cancel, delete, count_tokens.
    always : dict
        A fault that every call of an endpoint meets.
    result : callable
        Gives a request's result from its params.
    ends : bool
        Whether a batch ends at once; otherwise when `end` is called.
    workspaces, organizations : dict of str to str
        Whose each key is. A batch is seen from its workspace only.
    tells_place : bool
        Whether answers say so.
    most : int
        Requests above which a create is refused with 413.
    manner : Manner
        How every answer comes.
    """

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.calls: list[tuple[str, str, int]] = []
        self.busy = 0
        self.keys: set[str] = set()
        self.workspaces: dict[str, str] = {}
        self.organizations: dict[str, str] = {}
        self.tells_place = True
        self.faults: dict[str, list[Any]] = defaultdict(list)
        self.always: dict[str, Any] = {}
        self.result: Callable[[dict[str, Any]], dict[str, Any]] = succeeded
        self.ends = True
        self.most = 100_000
        self.counts_tokens = True
        self.results_host: str | None = None
        self.manner = Manner()
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"owner": self}))
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # a client that was killed is no news
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="independent", daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    # For the judge

    @property
    def asked(self) -> Counter[str]:
        """How often each question was accepted, by its text."""
        return Counter(text_of(request["params"]) for batch in self.batches for request in batch.requests)

    def bought_once(self) -> bool:
        return set(self.asked.values()) == {1}

    def called(self, method: str, part: str) -> int:
        return sum(method == known and part in path for known, path, _ in list(self.calls))

    def count_calls(self) -> int:
        """Count all calls, once none is being answered: a client has its answer before the call is on record."""
        self.wait_for(lambda: self.busy == 0)
        return len(self.calls)

    def wait_for(self, condition: Callable[[], Any]) -> None:
        """Wait until a call has made the condition true."""
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE), f"not within {PATIENCE} s; calls: {self.calls[-20:]}"

    @property
    def waiting(self) -> int:
        """How many requests are in batches that have not ended."""
        return sum(len(batch.requests) for batch in self.batches if batch.status in ("in_progress", "canceling"))

    def now(self) -> datetime:
        return datetime.now(UTC) + self.manner.shift

    # Batches

    def accept(self, requests: list[dict[str, Any]], created_at: datetime | None = None) -> Batch:
        with self.changed:
            number = len(self.batches) + 1
            batch = Batch(f"msgbatch_{number:06d}", requests, created_at or self.now())
            self.batches.append(batch)
            if self.ends:
                self.end(batch)
            self.changed.notify_all()
            return batch

    def end(self, *batches: Batch) -> None:
        """End batches, or all there are."""
        with self.lock:
            for batch in batches or tuple(self.batches):
                if batch.status == "ended":
                    continue
                for request in batch.requests:
                    done = {"type": "canceled"} if batch.status == "canceling" else self.result(request["params"])
                    batch.results.setdefault(request["custom_id"], done)
                batch.status, batch.ended_at = "ended", self.now()

    def vanish(self, *batches: Batch) -> None:
        """Forget batches: from now on they were never there. What was bought stays on record."""
        with self.lock:
            for batch in batches:
                batch.status = "vanished"

    def seen_from(self, workspace: str | None) -> list[Batch]:
        return [batch for batch in self.batches if batch.status != "vanished" and batch.workspace == workspace]

    def find(self, batch_id: str, workspace: str | None = None) -> Batch | None:
        return next((batch for batch in self.seen_from(workspace) if batch.id == batch_id), None)

    def described(self, batch: Batch) -> dict[str, Any]:
        counts = dict.fromkeys(COUNTS, 0)
        if batch.status == "ended":
            counts |= Counter(result["type"] for result in batch.results.values() if result["type"] in COUNTS)
        else:
            counts["processing"] = len(batch.requests)
        results = f"{self.results_host or self.url}{BATCHES}/{batch.id}/results" if batch.status == "ended" else None
        return {
            "id": batch.id, "type": "message_batch", "processing_status": batch.status, "request_counts": counts,
            "created_at": stamp(batch.created_at), "expires_at": stamp(batch.created_at + timedelta(hours=24)),
            "ended_at": stamp(batch.ended_at), "cancel_initiated_at": None, "archived_at": None,
            "results_url": results, **batch.lies,
        }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    owner: Server
    fault: Any
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are written apart

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def send_response(self, code: int, message: str | None = None) -> None:
        self.send_response_only(code, message)
        date = self.owner.manner.date(self.owner.now())
        if date is not None:
            self.send_header("date", date)
        if self.owner.tells_place:
            for name, names in (("organization", self.owner.organizations), ("workspace", self.owner.workspaces)):
                if self.key in names:
                    self.send_header(f"anthropic-{name}-id", names[self.key])

    @property
    def workspace(self) -> str | None:
        return self.owner.workspaces.get(self.key)

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        self.status, self.fault = 0, None
        with self.owner.changed:
            self.owner.busy += 1
        key = self.headers.get("authorization") or self.headers.get("x-api-key") or ""
        self.key = key.removeprefix("Bearer ")
        self.owner.keys.add(self.key)
        path = urlsplit(self.path).path
        try:
            body = self._body(method)
            if body is not None:
                self._answer(method, path, body, bool(key))
        except OSError:  # the client is gone
            self.close_connection = True
        if self.owner.manner.hangs_up:
            self._hang_up()
        with self.owner.changed:
            self.owner.calls.append((method, self.path, self.status))
            self.owner.busy -= 1
            self.owner.changed.notify_all()

    def _body(self, method: str) -> bytes | None:
        """Read what is sent; None where the connection was broken in the middle of it."""
        length = int(self.headers.get("content-length") or 0)
        queue = self.owner.faults["create"] if (method, self.path) == ("POST", BATCHES) else []
        if not (queue and isinstance(queue[0], Upload)):
            return self.rfile.read(length)
        fault = queue.pop(0)
        body = self.rfile.read(min(fault.after, length))
        self._hold(fault)
        if fault.breaks:
            self._reset()
            return None
        return body + self.rfile.read(length - len(body))

    def _answer(self, method: str, path: str, body: bytes, authorized: bool) -> None:
        found = re.fullmatch(f"{BATCHES}(?:/([^/]+))?(?:/(results|cancel))?", path)
        if not authorized:
            self._error(401)
        elif path == "/v1/messages/count_tokens" and self.owner.counts_tokens:
            self._unless("count_tokens", lambda: self._json(200, {"input_tokens": len(body) // 4}))
        elif not found:
            self._error(404)
        elif not found[1]:
            if method == "POST":
                self._create(body)
            else:
                self._unless("list", self._list)
        else:
            names = {("GET", None): "retrieve", ("DELETE", None): "delete"}
            name = found[2] or names[method, None]
            self._unless(name, lambda: self._one(name, found[1]))

    # Faults

    def _fault(self, endpoint: str) -> Any:
        with self.owner.lock:
            queue = self.owner.faults[endpoint]
            return queue.pop(0) if queue else self.owner.always.get(endpoint)

    def _unless(self, endpoint: str, serve: Callable[[], None]) -> None:
        """Serve, unless a fault is due."""
        self.fault = self._fault(endpoint)
        if isinstance(self.fault, Status):
            self._error(self.fault.status, self.fault)
        elif isinstance(self.fault, Lost):
            self._hang_up()
        elif isinstance(self.fault, Held) and endpoint != "results":
            self._hold(self.fault)
            self._hang_up()
        else:
            serve()

    def _hold(self, fault: Held | Upload) -> None:
        with self.owner.changed:
            fault.reached.set()
            self.owner.changed.notify_all()
        fault.let_go.wait(PATIENCE)

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):  # the client may have been first
            self.connection.shutdown(socket.SHUT_RDWR)

    def _reset(self) -> None:
        """Break the connection, so that the client's next write fails."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    # Endpoints

    def _create(self, body: bytes) -> None:
        fault = self._fault("create")
        requests = json.loads(body)["requests"]
        identifiers = [request["custom_id"] for request in requests]
        if isinstance(fault, Status) and not fault.accept:
            self._error(fault.status, fault)
        elif len(requests) > self.owner.most:
            self._error(413)
        elif self.owner.manner.room is not None and self.owner.waiting + len(requests) > self.owner.manner.room:
            self._error(429)
        elif not requests or len(set(identifiers)) < len(identifiers) or not all(map(CUSTOM_ID.fullmatch, identifiers)):
            self._error(400)
        elif fault is None or fault.accept:
            with self.owner.lock:
                batch = self.owner.accept(requests)
                batch.workspace = self.workspace
            self._made(batch, fault)
        else:
            self._not_made(fault)

    def _made(self, batch: Batch, fault: Any) -> None:
        if isinstance(fault, Status):
            self._error(fault.status, fault)
        elif isinstance(fault, Lost):
            self._hang_up()
        else:
            if isinstance(fault, Held):
                self._hold(fault)
                if fault.lost:
                    self._hang_up()
                    return
            self.fault = fault
            self._json(200, self.owner.described(batch))

    def _not_made(self, fault: Any) -> None:
        if isinstance(fault, Changed):
            self.fault = fault
            self._json(200, {})
            return
        if isinstance(fault, Held):
            self._hold(fault)
        self._hang_up()

    def _list(self) -> None:
        query, listed = parse_qs(urlsplit(self.path).query), self.owner.manner.listed
        with self.owner.lock:
            ordered = listed.order(self.owner.seen_from(self.workspace)[::-1])
            known = [batch.id for batch in ordered]
            start = known.index(query["after_id"][0]) + 1 if "after_id" in query else 0
            page = ordered[start : start + min(int(query.get("limit", ["20"])[0]), listed.page)]
            ids = [batch.id for batch in page] or [None]
            data = [self.owner.described(batch) for batch in page if listed.shows(batch)]
            more = start + len(page) < len(ordered)
            listed.between()
        self._json(200, {"data": data, "has_more": more, "first_id": ids[0], "last_id": ids[-1]})

    def _one(self, name: str, batch_id: str) -> None:
        batch = self.owner.find(batch_id, self.workspace)
        if batch is None:
            self._error(404)
        elif name == "results":
            self._results(batch)
        elif name == "delete":
            self._json(200, {"id": batch.id, "type": "message_batch_deleted"})
        else:
            if name == "cancel" and batch.status == "in_progress":
                batch.status = "canceling"
            self._json(200, self.owner.described(batch))

    def _results(self, batch: Batch) -> None:
        if batch.status != "ended":
            self._error(404)
            return
        spoiled = self.fault if isinstance(self.fault, Spoiled) else Spoiled()
        pairs = reversed(batch.results.items())  # any order is allowed; theirs is seldom ours
        rows = [json.dumps({"custom_id": name, "result": result}).encode() for name, result in pairs]
        body = b"".join(row + spoiled.newline for row in spoiled.change(rows))
        if isinstance(self.fault, Changed):
            self._json(200, body)
            return
        body, headers = self.owner.manner.encode(body)
        body = self.owner.manner.frame(body)
        if spoiled.unframed:
            headers = {}
        elif spoiled.pieces:
            body, headers = chunks(body, spoiled.pieces), {"transfer-encoding": "chunked"}
        self._head(200, {"content-type": "application/x-jsonl", **headers})
        sent = int(len(body) * (0.5 if isinstance(self.fault, Held) else spoiled.cut))
        self.wfile.write(body[:sent])
        if isinstance(self.fault, Held):
            self._hold(self.fault)
        if sent < len(body) or spoiled.unframed:
            self._hang_up()

    # Answers

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        fault, kind = self.fault, "application/json"
        if isinstance(fault, Changed):
            value, status, headers = fault.change(value), fault.status, fault.headers
        if isinstance(value, bytes):
            kind = "text/html"
        body, sent = self.owner.manner.encode(value if isinstance(value, bytes) else json.dumps(value).encode())
        self._head(status, {"content-type": kind, **sent, **(headers or {})})
        self.wfile.write(self.owner.manner.frame(body))

    def _error(self, status: int, fault: Status | None = None) -> None:
        if 300 <= status < 400:
            self._json(status, "Moved", fault.headers if fault else None)
            return
        kind = (fault and fault.type) or TYPES.get(status, "api_error")
        said = (fault and fault.message) or f"independent: {status}"
        error = {"type": kind, "message": said, "details": fault.details if fault else None}
        self._json(status, {"type": "error", "error": error, "request_id": "req_1"}, fault.headers if fault else None)
