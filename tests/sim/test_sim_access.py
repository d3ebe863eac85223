"""Who the simulator lets in: callers on this machine that know its key, no web page, and nobody by another name."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import anthropic
import pandas as pd
import pytest
from simulation import KEY, VERSION, call, created, params, requests

import batchnb
from batchnb.api.addresses import scope_of
from batchnb.sim import Simulator

pytestmark = pytest.mark.steady

ROOT = Path(__file__).parents[2]
NOW = (0.0, 0.0)
BATCHES = "/v1/messages/batches"


def port_of(simulator: Simulator) -> str:
    return simulator.url.rpartition(":")[2]


def tells_nothing(answer) -> bool:
    names = {"batchnb-simulator", "anthropic-organization-id", "request-id", "access-control-allow-origin"}
    return not names & answer.headers.keys() and not any("ratelimit" in name for name in answer.headers)


STRANGE_HOSTS = [
    "evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "localhost.evil.example:{port}",
    "127.0.0.1", "localhost", "127.0.0.1:1", "localhost.:{port}", "[::2]:{port}", "0.0.0.0:{port}", "127.1:{port}",
    "2130706433:{port}", "user@127.0.0.1:{port}", "127.0.0.1:{port}@evil.example", "127.0.0.2:{port}",
    "127.0.0.1:0{port}", "evil.example#:{port}",
]  # fmt: skip
METHODS = ["GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH", "TRACE"]


@pytest.mark.parametrize("host", STRANGE_HOSTS)
def test_a_call_by_another_name_is_refused_and_learns_nothing(simulator, host):
    answer = call(simulator, "GET", BATCHES, headers={"host": host.format(port=port_of(simulator))})
    assert (answer.status, answer.json["error"]["type"]) == (403, "permission_error")
    assert tells_nothing(answer)
    assert "evil" not in answer.body.decode()


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}", "[::1]:{port}"])
def test_the_names_of_this_machine_are_good(simulator, host):
    assert call(simulator, "GET", BATCHES, headers={"host": host.format(port=port_of(simulator))}).status == 200


STRANGE_ORIGINS = ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1", "https://127.0.0.1:{port}",
                   "http://127.0.0.1:{port}.evil.example", "file://", "", "chrome-extension://abc", "*"]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("origin", STRANGE_ORIGINS)
def test_a_web_page_is_refused_whatever_it_makes_the_browser_send(simulator, method, origin):
    headers = {"origin": origin.format(port=port_of(simulator)), "access-control-request-method": "POST"}
    answer = call(simulator, method, BATCHES, headers=headers)
    assert answer.status == 403
    assert tells_nothing(answer)


@pytest.mark.parametrize("method", METHODS)
def test_no_method_comes_in_by_another_name(simulator, method):
    answer = call(simulator, method, BATCHES, headers={"host": "evil.example"})
    assert answer.status == 403
    assert tells_nothing(answer)


def test_a_page_that_hides_its_origin_is_known_by_what_the_browser_tells_of_the_call(simulator):
    for site in ("cross-site", "same-site", "Cross-Site"):
        assert call(simulator, "GET", "/v1/models", headers={"sec-fetch-site": site}).status == 403
    for site in ("none", "same-origin"):
        assert call(simulator, "GET", "/v1/models", headers={"sec-fetch-site": site}).status == 200


def test_the_own_address_as_origin_is_good(simulator):
    for host in ("127.0.0.1", "localhost"):
        headers = {"origin": f"http://{host}:{port_of(simulator)}"}
        assert call(simulator, "GET", "/v1/models", headers=headers).status == 200


def test_a_web_socket_of_a_page_is_refused_and_one_of_a_program_is_no_endpoint(simulator):
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "a" * 24,
    }
    page = call(simulator, "GET", "/", headers={**upgrade, "origin": "https://evil.example"})
    assert page.status == 403
    assert tells_nothing(page)
    assert call(simulator, "GET", "/", headers={**upgrade, "host": "evil.example"}).status == 403
    assert call(simulator, "GET", "/", headers=upgrade).status == 404


def raw(simulator: Simulator, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", int(port_of(simulator))), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "head",
    [
        "GET {batches} HTTP/1.0\r\n{good}",
        "GET {batches} HTTP/1.1\r\nhost: evil.example\r\nhost: {own}\r\n{good}",
        "GET {batches} HTTP/1.0\r\nhost: {own}\r\nhost: evil.example\r\n{good}",
        "GET {batches} HTTP/1.1\r\nhost:\r\n{good}",
        "GET http://evil.example{batches} HTTP/1.1\r\nhost: evil.example\r\n{good}",
    ],
)
def test_no_host_two_hosts_and_an_empty_one_are_refused(simulator, head):
    good = f"x-api-key: k\r\nanthropic-version: {VERSION}\r\n\r\n"
    answer = raw(simulator, head.format(batches=BATCHES, own=simulator.url[7:], good=good).encode())
    assert re.match(rb"HTTP/1\.1 40[03] ", answer), answer
    assert b"batchnb-simulator" not in answer
    assert b'"data"' not in answer


def test_a_refused_call_changes_nothing(simulator):
    batch_id = created(simulator, requests(2))
    for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
        assert call(simulator, "DELETE", f"{BATCHES}/{batch_id}", headers=headers).status == 403
        assert call(simulator, "POST", BATCHES, {"requests": requests(1)}, headers).status == 403
        assert call(simulator, "POST", f"{BATCHES}/{batch_id}/cancel", headers=headers).status == 403
    assert {row.batch_id for row in simulator.record()} == {batch_id}


# The key


@pytest.fixture
def locked(tmp_path):
    with Simulator(tmp_path / "locked", delay=NOW, own_key=True) as running:
        yield running


def test_a_state_with_a_key_answers_to_it_alone(locked):
    assert re.fullmatch(r"simulated-[0-9a-f]{32}", locked.key)
    for headers in ({"x-api-key": locked.key}, {"x-api-key": None, "authorization": f"Bearer {locked.key}"}):
        assert call(locked, "GET", BATCHES, headers=headers).status == 200
    wrong = [KEY, "simulated", locked.key[:-1], locked.key.upper(), f"{locked.key}x", "é"]
    for key in wrong:
        for headers in ({"x-api-key": key}, {"x-api-key": None, "authorization": f"Bearer {key}"}):
            for method, path in (("GET", BATCHES), ("POST", "/v1/messages"), ("POST", "/v1/files"), ("GET", "/")):
                answer = call(locked, method, path, headers=headers)
                assert (answer.status, answer.error[0]) == (401, "authentication_error")
                assert locked.key not in f"{answer.headers}{answer.body}"
    assert (
        call(locked, "GET", BATCHES, headers={"x-api-key": locked.key, "authorization": "Bearer other"}).status == 200
    )
    assert call(locked, "GET", BATCHES, headers={"x-api-key": locked.key, "host": "evil.example"}).status == 403


def test_the_key_lasts_as_long_as_the_state_and_each_has_its_own(tmp_path):
    keys = []
    for folder in ("one", "two", "one"):
        with Simulator(tmp_path / folder, own_key=True) as running:
            keys.append(running.key)
            assert anthropic.Anthropic(base_url=running.url, api_key=running.key).models.list(limit=1).data
    assert keys[0] == keys[2] != keys[1]


def test_a_simulator_is_recognised_by_the_probe_with_a_key_and_without_one(simulator, locked):
    for running in (simulator, locked):
        for url in (running.url, running.url.replace("127.0.0.1", "localhost")):
            assert scope_of(url) == (f"simulator:{running.id}", running.id)


def test_the_mode_for_the_tests_of_the_sdk_takes_any_key():
    with Simulator(sdk_tests=True, own_key=True) as permissive:
        assert call(permissive, "GET", "/v1/models").status == 200


def test_simulate_takes_its_own_key_alone_and_other_clients_get_it_from_the_simulator(tmp_path):
    simulator = batchnb.simulate(tmp_path / "state", delay=(0.01, 0.02))
    frame = pd.DataFrame({"text": ["a", "b"]})
    assert frame.batch.submit("text", "Echo: {text}", into="said").result(60)["said"].tolist() == ["a", "b"]
    assert call(simulator, "GET", BATCHES).status == 401
    with anthropic.Anthropic(base_url=simulator.url, api_key=simulator.key) as client:
        assert len(client.messages.batches.list().data) == 1
    assert simulator.key not in repr(simulator)


def test_what_keeps_the_key_is_for_its_owner_alone(tmp_path):
    os.umask(os.umask(0))
    with Simulator(tmp_path / "state", own_key=True) as running:
        key = running.key.encode()
        holding = [path for path in running.state.iterdir() if key in path.read_bytes()]
        assert holding
        assert {oct(path.stat().st_mode & 0o777) for path in running.state.iterdir()} == {"0o600"}


@pytest.fixture
def served(tmp_path):
    """The simulator on the command line: what it prints of its address and key."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BATCHNB_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "batchnb", "simulate", "--name", "lesson-2", "--delay", "0", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        line = process.stdout.readline()
        found = re.search(r"ANTHROPIC_BASE_URL=(\S+) ANTHROPIC_API_KEY=(\S+)", line)
        yield found.groups()
        process.terminate()


def test_other_clients_work_with_the_address_and_the_key_that_are_printed(served, tmp_path):
    url, key = served
    assert (tmp_path / "home" / "simulator" / "lesson-2" / "simulator.db").is_file()
    with anthropic.Anthropic(base_url=url, api_key=key) as client:
        assert client.messages.create(**params("Echo: hi")).content[0].text == "hi"
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=url, api_key="simulated").models.list()
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.request("GET", "/v1/models", headers={"x-api-key": key, "anthropic-version": VERSION})
    assert connection.getresponse().status == 200
    connection.close()
    if curl := shutil.which("curl"):
        command = [curl, "-sS", "--noproxy", "*", "-o", os.devnull, "-w", "%{http_code}", f"{url}/v1/models"]
        headers = ["-H", f"x-api-key: {key}", "-H", f"anthropic-version: {VERSION}"]
        assert subprocess.run([*command, *headers], capture_output=True, text=True, timeout=60).stdout == "200"
        assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout == "401"
