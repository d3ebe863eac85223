"""A small server of the Message Batches API that is not the simulator: what the real one is to batchnb."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anthropic

KEY = "sk-ant-recognisable-0123456789-secret"


class PlainServer:
    """Answers at once: a batch has ended when it is first asked for, and its results come in reverse order.

    Parameters
    ----------
    answer : callable
        Gives the reply to a request's params.
    """

    def __init__(self, answer: Callable[[dict[str, Any]], str]) -> None:
        self.answer = answer
        self.batches: list[list[dict[str, Any]]] = []
        self.calls: list[tuple[str, str]] = []
        self.counted: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        #: What count_tokens says instead of a count: a status and an error.
        self.refusal: tuple[int, dict[str, Any]] | None = None
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def client(self, key: str = KEY) -> Iterator[anthropic.Anthropic]:
        with anthropic.Anthropic(api_key=key, base_url=self.url) as client:
            yield client

    def described(self, number: int) -> dict[str, Any]:
        counts = dict.fromkeys(("processing", "errored", "canceled", "expired"), 0)
        return {
            "id": f"msgbatch_{number}", "type": "message_batch", "processing_status": "ended",
            "request_counts": counts | {"succeeded": len(self.batches[number])},
            "created_at": "2026-11-01T10:00:00.000000Z", "expires_at": "2026-11-02T10:00:00.000000Z",
            "ended_at": "2026-11-01T10:01:00.000000Z", "results_url": "http://127.0.0.1:9/elsewhere",
            "cancel_initiated_at": None, "archived_at": None,
        }  # fmt: skip

    def results(self, number: int) -> bytes:
        lines = []
        for request in reversed(self.batches[number]):
            message = {
                "id": "msg_1", "type": "message", "role": "assistant", "model": request["params"]["model"],
                "content": [{"type": "text", "text": self.answer(request["params"])}], "stop_reason": "end_turn",
                "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 5, "service_tier": "batch"},
            }  # fmt: skip
            result = {"type": "succeeded", "message": message}
            lines.append(json.dumps({"custom_id": request["custom_id"], "result": result}).encode() + b"\n")
        return b"".join(lines)


class _Handler(BaseHTTPRequestHandler):
    owner: PlainServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._note()
        path, owner = self.path.partition("?")[0], self.owner
        if path == "/v1/messages/batches":
            data = [owner.described(number) for number in reversed(range(len(owner.batches)))]
            self._send({"data": data, "has_more": False, "first_id": None, "last_id": None})
        elif path.endswith("/results"):
            self._send(owner.results(int(path.split("_")[1].partition("/")[0])))
        elif path.startswith("/v1/messages/batches/"):
            self._send(owner.described(int(path.split("_")[1])))
        else:
            self._send({"type": "error", "error": {"type": "not_found_error", "message": "Not found"}}, 404)

    def do_POST(self) -> None:
        self._note()
        owner = self.owner
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        if self.path.endswith("/count_tokens"):
            owner.counted.append(body)
            if owner.refusal is not None:
                status, error = owner.refusal
                self._send({"type": "error", "error": error}, status)
            else:
                self._send({"input_tokens": 10})
        else:
            owner.batches.append(body["requests"])
            self._send(owner.described(len(owner.batches) - 1) | {"processing_status": "in_progress"})

    def _note(self) -> None:
        self.owner.calls.append((self.command, self.path))
        authorization = self.headers.get("authorization", "").removeprefix("Bearer ")
        self.owner.keys.add(self.headers.get("x-api-key") or authorization or None)

    def _send(self, answer: dict[str, Any] | bytes, status: int = 200) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(body)
