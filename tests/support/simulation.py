"""What the simulator's tests share: clients, requests, and calls without any client."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import anthropic
from leaks import CORE

from batchnb.sim import Simulator

KEY = f"sk-ant-api03-not-a-real-key-{CORE}"
MODEL = "claude-haiku-4-5"
VERSION = "2026-10-21"


class Answered(NamedTuple):
    """A raw HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[str, str]:
        """The type and the message of an error in the API's envelope."""
        assert set(self.json) == {"type", "error", "request_id"}, self.json
        return self.json["error"]["type"], self.json["error"]["message"]


class ShiftedClock:
    """The time, plus as many seconds as a test likes."""

    def __init__(self) -> None:
        self.shift = 0.0

    def now(self) -> float:
        return time.time() + self.shift

    def elapsed(self) -> float:
        return time.monotonic() + self.shift


@contextmanager
def sdk(simulator: Simulator, **options: Any) -> Iterator[anthropic.Anthropic]:
    """The official client, which refuses answers of a wrong shape, and does not retry."""
    # Nothing here is encrypted, and reading the system's certificates takes longer than most tests.
    http = anthropic.DefaultHttpxClient(verify=False)
    options = {"max_retries": 0, "_strict_response_validation": True, "http_client": http, **options}
    with anthropic.Anthropic(base_url=simulator.url, api_key=KEY, **options) as client:
        yield client


def params(text: str = "Echo: hello", **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": text}], **more}


def requests(count: int) -> list[Any]:
    return [{"custom_id": f"row-{i}", "params": params(f"Echo: text {i}")} for i in range(count)]


def ended(client: anthropic.Anthropic, batch_id: str) -> Any:
    """Wait for the end of a batch."""
    for _ in range(2000):
        batch = client.messages.batches.retrieve(batch_id)
        if batch.processing_status == "ended":
            return batch
        time.sleep(0.01)
    raise AssertionError(f"{batch_id} does not end")


def run(client: anthropic.Anthropic, wanted: list[Any]) -> Any:
    """Create a batch and wait for its end."""
    return ended(client, client.messages.batches.create(requests=wanted).id)


def results(client: anthropic.Anthropic, batch_id: str) -> dict[str, Any]:
    return {row.custom_id: row.result for row in client.messages.batches.results(batch_id)}


def call(
    simulator: Simulator, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answered:
    """Call without a client; None as a header's value leaves the header out."""
    given = {"x-api-key": KEY, "anthropic-version": VERSION, "content-type": "application/json", **(headers or {})}
    connection = http.client.HTTPConnection(simulator.url.removeprefix("http://"), timeout=30)
    try:
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, sent, {name: value for name, value in given.items() if value is not None})
        response = connection.getresponse()
        return Answered(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def created(simulator: Simulator, wanted: list[Any], headers: dict[str, str] | None = None) -> str:
    answer = call(simulator, "POST", "/v1/messages/batches", {"requests": wanted}, headers)
    assert answer.status == 200, answer
    return str(answer.json["id"])


def raw_results(simulator: Simulator, batch_id: str) -> Answered:
    """Wait for a batch's end and return its results as they come over the wire."""
    for _ in range(2000):
        if call(simulator, "GET", f"/v1/messages/batches/{batch_id}").json["processing_status"] == "ended":
            return call(simulator, "GET", f"/v1/messages/batches/{batch_id}/results")
        time.sleep(0.01)
    raise AssertionError(f"{batch_id} does not end")
