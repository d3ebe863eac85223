"""The simulator under clients that mean no good: half-open calls, floods, large bodies and files."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from simulation import KEY, VERSION, call, created, params, raw_results, requests, run, sdk

from batchnb.sim import Limits, Simulator, cli
from batchnb.sim.server import connections
from batchnb.sim.server.connections import Quiet

pytestmark = pytest.mark.steady

ROOT = Path(__file__).parents[2]
NOW = (0.0, 0.0)
BATCHES = "/v1/messages/batches"
PATIENCE = 60.0  # seconds; used up by a failure alone


def address(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def head(url: str, method: str = "POST", path: str = "/v1/messages", key: str = KEY, **headers: object) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"host: {url[7:]}", f"x-api-key: {key}", f"anthropic-version: {VERSION}"]
    return "\r\n".join(
        [*lines, *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()), "", ""]
    ).encode()


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


# Many connections


@contextlib.contextmanager
def served(tmp_path: Path, descriptors: int) -> Iterator[tuple[str, str, Path, int]]:
    """The simulator in a process of its own with so many descriptors: its address, its key, its log and its process."""
    resource = pytest.importorskip("resource")
    mine, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < 2_000:
        pytest.skip("this process may not have so many connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(mine, 2_000), most))
    log = tmp_path / "log"
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, {descriptors}))\n"
        "from batchnb.sim.cli import main; raise SystemExit(main(['--delay', '0', '0']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as process,
    ):
        url, key = re.search(r"_URL=(\S+) ANTHROPIC_API_KEY=(\S+)", process.stdout.readline()).groups()
        yield url, key, log, process.pid
        process.terminate()
    resource.setrlimit(resource.RLIMIT_NOFILE, (mine, most))


HALVES = {
    "nothing": lambda url, key: b"",
    "half a head": lambda url, key: head(url)[:-4],
    "a head without its body": lambda url, key: head(url, key=key, content_length=1000),
    "half a body": lambda url, key: head(url, path=BATCHES, key=key, content_length=1000) + b'{"requests":',
    "an answered call": lambda url, key: head(url, "GET", "/v1/models", key="wrong"),
    "half an upload": lambda url, key: head(
        url, path="/v1/files", key=key, content_length=1000, content_type="multipart/form-data; boundary=x"
    ),
}


@pytest.mark.parametrize("kind", ["nothing", "half a head", "a head without its body", "an answered call"])
@pytest.mark.parametrize(("descriptors", "attackers"), [(1024, 1_100), (64, 150)])
def test_half_open_connections_do_not_stop_service_nor_fill_the_log(tmp_path, kind, descriptors, attackers):
    with served(tmp_path, descriptors) as (url, key, log, _), contextlib.ExitStack() as opened:
        half = HALVES[kind](url, "wrong")
        for _ in range(attackers):
            connection = opened.enter_context(socket.create_connection(address(url), timeout=PATIENCE))
            with contextlib.suppress(ConnectionError):
                connection.sendall(half)
        with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=PATIENCE) as client:
            assert run(client, requests(20)).request_counts.succeeded == 20
    assert log.stat().st_size < 20_000, log.read_text()[-2000:]


@pytest.mark.parametrize("kind", HALVES)
def test_a_connection_that_waits_makes_room_and_one_that_is_answered_does_not(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(connections, "most_connections", lambda: 6)
    monkeypatch.setattr(connections, "_GRACE", (0.0, 0.0, 0.0))
    begun, go = threading.Event(), threading.Event()

    def slow(asked):
        begun.set()
        go.wait(PATIENCE)
        return "answered"

    with Simulator(tmp_path, delay=NOW, responder=slow) as simulator, contextlib.ExitStack() as opened:
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(call(simulator, "POST", "/v1/messages", params())))
        asking.start()
        assert begun.wait(PATIENCE)
        for _ in range(30):
            connection = opened.enter_context(socket.create_connection(address(simulator.url), timeout=PATIENCE))
            with contextlib.suppress(ConnectionError):
                connection.sendall(HALVES[kind](simulator.url, KEY))
        assert call(simulator, "GET", "/v1/models").status == 200
        assert len(simulator._up()._server.server_state.connections) <= 6
        go.set()
        asking.join()
        assert answers[0].status == 200


def test_connections_that_are_all_answered_make_others_wait_and_lose_none(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "most_connections", lambda: 4)
    begun, go = threading.Semaphore(0), threading.Event()

    def slow(asked):
        begun.release()
        go.wait(PATIENCE)
        return "answered"

    with Simulator(tmp_path, delay=NOW, responder=slow) as simulator:
        answers: list[int] = []
        asking = [
            threading.Thread(target=lambda: answers.append(call(simulator, "POST", "/v1/messages", params()).status))
            for _ in range(12)
        ]
        for each in asking:
            each.start()
        for _ in range(4):
            assert begun.acquire(timeout=PATIENCE)
        go.set()
        for each in asking:
            each.join()
    assert answers == [200] * 12


def test_where_no_descriptor_is_left_calls_wait_and_the_log_stays_short(simulator, caplog):
    server = simulator._up()._server
    real, failures = server._listener, [500]

    class Full:
        """A listening socket of a process that has no descriptor left, for some time."""

        def accept(self) -> Any:
            if failures[0]:
                failures[0] -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return real.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    held = socket.create_connection(address(simulator.url))
    until(lambda: server.server_state.connections)
    failures[0] = 3
    server._listener = Full()
    assert call(simulator, "GET", "/v1/models").status == 200
    server._listener = real
    held.close()
    assert len([entry for entry in caplog.records if "cannot be accepted" in entry.getMessage()]) <= 3


# Patience


def closed(connection: socket.socket) -> bool:
    """Wait until the server closes a connection; whether it does."""
    connection.settimeout(PATIENCE)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("kind", HALVES)
def test_who_keeps_the_server_waiting_is_left(simulator, monkeypatch, kind):
    for name in ("_HEAD_PATIENCE", "_IDLE_PATIENCE", "_PIECE_PATIENCE"):
        monkeypatch.setattr(connections, name, 0.0)
    with socket.create_connection(address(simulator.url)) as connection:
        connection.sendall(HALVES[kind](simulator.url, KEY))
        assert closed(connection)
    until(lambda: not simulator._up()._server.server_state.connections)
    files = simulator.state / "files"
    until(lambda: not files.exists() or list(files.iterdir()) == [])


def test_a_body_that_drips_has_an_end_though_each_piece_comes_in_time(simulator, monkeypatch):
    monkeypatch.setattr(connections, "_BODY_PATIENCE", 0.5)
    with socket.create_connection(address(simulator.url)) as connection:
        connection.sendall(head(simulator.url, content_length=1_000_000))
        with contextlib.suppress(ConnectionError):
            until(lambda: connection.sendall(b" "))
            raise AssertionError("it took each piece")


def test_a_client_that_does_not_read_its_answer_is_left(simulator, monkeypatch):
    batch_id = created(
        simulator, [{"custom_id": str(i), "params": params(f"Echo: {'x' * 9000}", max_tokens=9000)} for i in range(900)]
    )
    raw_results(simulator, batch_id)
    monkeypatch.setattr(connections, "_READ_PATIENCE", 0.0)
    with socket.create_connection(address(simulator.url)) as connection:
        connection.sendall(head(simulator.url, "GET", f"{BATCHES}/{batch_id}/results"))
        assert connection.recv(10)
        until(lambda: not simulator._up()._server.server_state.connections)


# Sizes


@pytest.mark.parametrize("large", ["path", "header", "headers", "method"])
def test_a_head_that_is_too_long_is_refused_and_little_of_it_is_remembered(simulator, large):
    more = {"header": {"x-more": "y" * 70_000}, "headers": {f"x-{i}": "y" * 50 for i in range(2_000)}}.get(large, {})
    path = f"/v1/{'x' * 70_000}" if large == "path" else "/v1/models"
    with socket.create_connection(address(simulator.url), timeout=PATIENCE) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(head(simulator.url, "G" * 70_000 if large == "method" else "GET", path, **more))
        with contextlib.suppress(ConnectionError):
            assert re.match(rb"HTTP/1.1 4(00|31) ", connection.recv(100))
    call(simulator, "GET", f"/v1/{'x' * 10_000}")
    assert max(len(path) for _, path, _ in simulator.calls) <= 200


def test_a_flood_of_what_is_no_http_leaves_a_short_log(simulator, caplog):
    before = len(caplog.records)
    for data in (
        b"\x16\x03\x01 hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ):
        for _ in range(150):
            with socket.create_connection(address(simulator.url), timeout=PATIENCE) as connection:
                connection.sendall(data)
                assert connection.recv(100)
    assert len(caplog.records) - before <= 60, "ten of a kind in each minute"
    assert call(simulator, "GET", "/v1/models").status == 200


def test_a_log_is_told_ten_of_a_kind_a_minute_and_that_there_are_more():
    quiet = Quiet(most=3, seconds=1e9)

    def told(text: str) -> str | None:
        record = logging.LogRecord("x", logging.WARNING, "x", 1, text, (1,), None)
        return record.getMessage() if quiet.filter(record) else None

    assert [told("one %s") for _ in range(5)] == [
        "one 1",
        "one 1",
        "one 1 (more of these are left out for a minute)",
        None,
        None,
    ]
    assert told("another %s") == "another 1"
    assert Quiet(most=1, seconds=0.0).filter(logging.LogRecord("x", 1, "x", 1, "x", None, None))


def test_what_calls_hold_in_memory_is_bounded_and_given_back(simulator):
    room = simulator._up()._server.config.app._room
    room._left = 5_000
    large = {"requests": requests(200)}
    for _ in range(3):
        refused = call(simulator, "POST", BATCHES, large)
        assert (refused.status, refused.error[0]) == (529, "overloaded_error")
        assert refused.headers["x-should-retry"] == "true"
    assert created(simulator, requests(2))
    assert call(simulator, "POST", "/v1/messages", b"{").status == 400
    until(lambda: room._left == 5_000)


def test_a_call_takes_32_megabytes_and_a_batch_more(tmp_path):
    with Simulator(tmp_path, limits=Limits(bytes=50_000_000)) as simulator:
        for path, length in (
            ("/v1/messages", 32_000_001), ("/v1/messages/count_tokens", 40_000_000), (BATCHES, 50_000_001),
        ):  # fmt: skip
            assert call(simulator, "POST", path, b"{}", {"content-length": str(length)}).status == 413
        assert call(simulator, "POST", BATCHES, b" " * 33_000_000).status == 400, "it is read, and is no JSON"


def form(parts: Iterator[bytes] | list[bytes], **headers: str) -> dict[str, Any]:
    return {"headers": {"content-type": "multipart/form-data; boundary=x", **headers}, "body": b"".join(parts)}


def test_a_form_of_many_fields_or_much_beside_its_file_is_refused(tmp_path):
    field = b'--x\r\ncontent-disposition: form-data; name="f%d"\r\n\r\nvalue\r\n'
    with Simulator(tmp_path, limits=Limits(file_bytes=1000)) as simulator:
        many = call(simulator, "POST", "/v1/files", **form([field % i for i in range(50)]))
        assert (many.status, "too many parts" in many.error[1]) == (400, True)
        beside = call(simulator, "POST", "/v1/files", **form([b"preamble " * 300_000]))
        assert (beside.status, beside.error[0]) == (413, "request_too_large")
        assert list((tmp_path / "files").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells of a process's memory")
def test_large_texts_are_read_without_filling_the_memory(tmp_path):
    size = 30_000_000

    def pieces() -> Iterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n'
        yield b"content-type: text/plain\r\n\r\n"
        for _ in range(size // 1_000_000):
            yield b"a word " * 142_857 + b"."
        yield b"\r\n--x--\r\n"

    def peak(pid: int) -> int:
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024

    with served(tmp_path, 1024) as (url, key, _, pid):
        headers = {"x-api-key": key, "anthropic-version": VERSION}
        connection = http.client.HTTPConnection(*address(url), timeout=PATIENCE)
        connection.request("GET", "/v1/models", headers=headers)
        connection.getresponse().read()
        before = peak(pid)
        names = []
        for _ in range(6):
            form_headers = {"content-type": "multipart/form-data; boundary=x"}
            connection.request("POST", "/v1/files", pieces(), {**headers, **form_headers}, encode_chunked=True)
            names.append(json.loads(connection.getresponse().read())["id"])
        for name in names:
            block = {"type": "document", "source": {"type": "file", "file_id": name}}
            body = json.dumps({**params(), "messages": [{"role": "user", "content": [block]}]})
            connection.request("POST", "/v1/messages", body, headers)
            answer = connection.getresponse()
            assert answer.status == 400
            assert b"prompt is too long" in answer.read()
        connection.close()
        assert peak(pid) - before < 4 * size, "six times the size came in"


def test_a_prompt_longer_than_the_context_window_is_refused_where_the_api_refuses_it(simulator):
    long = params("a word " * 120_000)  # Haiku 4.5 reads 200,000 tokens
    answer = call(simulator, "POST", "/v1/messages", long)
    assert answer.status == 400
    assert re.fullmatch(r"prompt is too long: \d+ tokens > 200000 maximum", answer.error[1])
    with sdk(simulator) as client:
        batch = run(client, [{"custom_id": "long", "params": long}, *requests(1)])
        assert (batch.request_counts.errored, batch.request_counts.succeeded) == (1, 1)


# The command line


def test_the_command_line_waits_in_short_steps(monkeypatch, capsys):
    """On Windows a wait without an end does not see Ctrl-C."""
    waited = []

    class Event(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            assert timeout <= 1
            waited.append(timeout)
            if len(waited) == 3:
                self.set()
            return super().wait(0)

    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    monkeypatch.setattr(cli.threading, "Event", Event)
    # Only what the command line itself makes: the server's threads have events of their own.
    monkeypatch.setattr(cli, "Simulator", lambda *args, **options: Standing())
    assert cli.main([]) == 0
    assert len(waited) == 3
    assert "ANTHROPIC_API_KEY=k" in capsys.readouterr().out


class Standing(contextlib.AbstractContextManager["Standing"]):
    """In the place of a simulator that runs."""

    url, key = "http://127.0.0.1:1", "k"

    def start(self) -> Standing:
        return self

    def __exit__(self, *_: object) -> None:
        pass
