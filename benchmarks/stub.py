"""A server fast enough not to be what is measured: it takes batches, ends them at once, and answers every row alike.

Only what a client of batches calls is there, in the API's own shapes. Nothing is checked, and no request is kept but
for its custom_id: this is no simulator, which would cost more than the client does.

    python -m benchmarks.stub            prints its address and serves until it is stopped
"""

from __future__ import annotations

import datetime as dt
import json
import re
import socket
import socketserver
import sys
import threading

MODEL = "claude-haiku-4-5"

#: What every row is answered: the shape and the size of a real one-word reply.
MESSAGE = {
    "id": "msg_01Vq3kWfJmZ8yT5uRb6NcXaL",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": "positive"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 96,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 4,
        "service_tier": "batch",
    },
}

#: The same as one line of results holds it.
RESULT = json.dumps({"type": "succeeded", "message": MESSAGE}, separators=(",", ":")).encode()

_IDS = re.compile(rb'"custom_id": ?"([^"]+)"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_BATCH = re.compile(r"/v1/messages/batches/(msgbatch_\d+)(/results)?")

#: Bytes of results that are written at a time.
PIECE = 1 << 20


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.batches: dict[str, list[bytes]] = {}
        self.lock = threading.Lock()


class _Connection(socketserver.BaseRequestHandler):
    """One connection, kept alive: a request is read, answered, and the next one waited for."""

    server: _Server

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = bytearray()
        while (asked := self._read()) is not None:
            method, path, body = asked
            self._answer(method, path.partition("?")[0], body)

    def _read(self) -> tuple[str, str, bytes] | None:
        while (end := self.rest.find(b"\r\n\r\n")) < 0:
            if not self._more():
                return None
        head = bytes(self.rest[:end])
        del self.rest[: end + 4]
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        length = _LENGTH.search(head)
        body = self._chunks() if _CHUNKED.search(head) else self._exactly(int(length[1]) if length else 0)
        return method, path, body

    def _more(self) -> int:
        piece = self.request.recv(PIECE)
        self.rest += piece
        return len(piece)

    def _exactly(self, size: int) -> bytes:
        body = bytearray(size)
        have = min(size, len(self.rest))
        body[:have] = self.rest[:have]
        del self.rest[:have]
        view = memoryview(body)
        while have < size:
            got = self.request.recv_into(view[have:])
            if not got:
                raise ConnectionError("the body was cut")
            have += got
        return bytes(body) if size < PIECE else body  # type: ignore[return-value]  # reads alike, without a copy

    def _chunks(self) -> bytes:
        parts = []
        while True:
            while (end := self.rest.find(b"\r\n")) < 0:
                self._more()
            size = int(self.rest[:end], 16)
            del self.rest[: end + 2]
            parts.append(bytes(self._exactly(size)))
            self._exactly(2)
            if not size:
                return b"".join(parts)

    def _answer(self, method: str, path: str, body: bytes) -> None:
        if found := _BATCH.fullmatch(path):
            ids = self.server.batches.get(found[1])
            if ids is None:
                self._send({"type": "error", "error": {"type": "not_found_error", "message": "No such batch."}}, 404)
            elif found[2]:
                self._send_results(ids)
            else:
                self._send(_batch(found[1], len(ids), ended=True))
        elif path == "/v1/messages/batches" and method == "POST":
            ids = _IDS.findall(body)
            with self.server.lock:
                batch_id = f"msgbatch_{len(self.server.batches) + 1:024d}"
                self.server.batches[batch_id] = ids
            self._send(_batch(batch_id, len(ids), ended=False))
        elif path == "/v1/messages/batches":
            data = [_batch(name, len(ids), ended=True) for name, ids in reversed(self.server.batches.items())]
            self._send({"data": data, "has_more": False, "first_id": None, "last_id": None})
        elif path.startswith("/v1/models/"):
            self._send(
                {"type": "model", "id": path.rpartition("/")[2], "display_name": "A model", "created_at": _now()}
            )
        elif path == "/v1/messages/count_tokens":
            self._send({"input_tokens": 96})
        elif path == "/v1/messages":
            self._send(MESSAGE)
        else:
            self._send({"type": "error", "error": {"type": "not_found_error", "message": "Not here."}}, 404)

    def _send(self, answer: object, status: int = 200) -> None:
        body = json.dumps(answer).encode()
        self.request.sendall(_head("application/json", len(body), status) + body)

    def _send_results(self, ids: list[bytes]) -> None:
        before, after = b'{"custom_id":"', b'","result":' + RESULT + b"}\n"
        between = after + before
        size = sum(map(len, ids)) + len(ids) * len(between)
        self.request.sendall(_head("application/x-jsonl", size, 200))
        many = max(1, PIECE // (len(between) + 40))
        for start in range(0, len(ids), many):
            self.request.sendall(before + between.join(ids[start : start + many]) + after)


def _head(kind: str, size: int, status: int) -> bytes:
    return f"HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\n\r\n".encode()


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()


def _batch(batch_id: str, many: int, *, ended: bool) -> dict[str, object]:
    now, expires_at = _now(), (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
    return {
        "id": batch_id,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": {
            "processing": 0 if ended else many,
            "succeeded": many if ended else 0,
            "errored": 0,
            "canceled": 0,
            "expired": 0,
        },
        "created_at": now,
        "expires_at": expires_at,
        "ended_at": now if ended else None,
        "cancel_initiated_at": None,
        "archived_at": None,
        "results_url": f"/v1/messages/batches/{batch_id}/results" if ended else None,
    }


def main() -> None:
    with _Server() as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.exit(0)


if __name__ == "__main__":
    main()
