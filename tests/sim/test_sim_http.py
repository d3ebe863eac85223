"""The simulator as a server: headers, keys, secrets, the socket, and the command line."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from email.utils import parsedate_to_datetime
from pathlib import Path

import anthropic
import pytest
from anthropic.types import ContentBlockParam, beta, message_create_params
from anthropic.types import message_count_tokens_params as count_params
from simulation import KEY, call, created, params, raw_results, requests, sdk

from batchnb.sim import Simulator
from batchnb.sim.rules import parameters
from batchnb.sim.rules.content import BLOCK_TYPES
from batchnb.sim.state.folder import make_private

ROOT = Path(__file__).parents[2]


pytestmark = pytest.mark.simulator(shared=True)


ROUTES = [
    ("GET", "/v1/messages/batches"),
    ("GET", "/v1/messages/batches/msgbatch_01nobody"),
    ("POST", "/v1/messages"),
    ("GET", "/v1/models/claude-x"),
    ("GET", "/nowhere"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_answer_says_that_it_is_simulated_and_names_its_request(simulator, method, path):
    answer = call(simulator, method, path, {} if method == "POST" else None)
    assert answer.headers["batchnb-simulator"] == simulator.id
    assert re.fullmatch(r"req_01\w{22}", answer.headers["request-id"])
    assert answer.headers["anthropic-organization-id"]
    assert answer.headers["anthropic-workspace-id"].startswith("wrkspc_")
    assert abs(parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time()) < 5
    assert answer.headers["anthropic-ratelimit-requests-limit"]
    if answer.status != 200:
        assert answer.json["request_id"] == answer.headers["request-id"]
        assert answer.json["type"] == "error"


def test_an_unknown_id_path_or_method_is_an_error_in_the_envelope(simulator):
    for path in (
        "/v1/messages/batches/msgbatch_01x",
        "/v1/messages/batches/msgbatch_01x/results",
        "/v1/files/file_01x",
        "/",
    ):
        assert call(simulator, "GET", path).error[0] == "not_found_error"
    assert call(simulator, "PUT", "/v1/messages").status == 405
    assert call(simulator, "GET", "/v1/messages/count_tokens").status == 405


@pytest.mark.parametrize(
    "headers",
    [{"x-api-key": None}, {"x-api-key": ""}, {"x-api-key": None, "authorization": "Bearer "}],
)
def test_without_a_key_nothing_is_answered(simulator, headers):
    for method, path in ROUTES:
        answer = call(simulator, method, path, {} if method == "POST" else None, headers)
        assert (answer.status, answer.error[0]) == (401, "authentication_error")


@pytest.mark.parametrize("headers", [{"x-api-key": "k"}, {"x-api-key": None, "authorization": "Bearer k"}])
def test_any_key_is_accepted_in_either_header(simulator, headers):
    assert call(simulator, "GET", "/v1/models", headers=headers).status == 200


def test_a_call_without_a_version_is_refused(simulator):
    answer = call(simulator, "GET", "/v1/models", headers={"anthropic-version": None})
    assert (answer.status, answer.error[1]) == (400, "anthropic-version: header is required")


def test_the_key_is_kept_nowhere(tmp_path, caplog):
    caplog.set_level("DEBUG")
    with Simulator(tmp_path, delay=(0.0, 0.0)) as simulator, sdk(simulator) as client:
        client.messages.create(**params())
        bad = call(simulator, "GET", "/v1/models/claude-x", headers={"authorization": f"Bearer {KEY}"})
        raw_results(simulator, created(simulator, requests(2)))
        record, calls = simulator.record(), simulator.calls
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    ours = [entry.getMessage() for entry in caplog.records if entry.name.startswith(("batchnb", "uvicorn"))]
    for part in (KEY, KEY[:16], KEY[-10:]):
        assert part.encode() not in kept
        assert part not in f"{bad} {record} {calls} {ours}"


def test_the_server_listens_on_loopback_alone(simulator):
    port = int(simulator.url.rpartition(":")[2])
    assert simulator.url == f"http://127.0.0.1:{port}"
    with socket.socket() as other:
        other.settimeout(2)
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_behind(simulator, tmp_path):
    port = int(simulator.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        Simulator(tmp_path, port=port).start()
    with Simulator(tmp_path):
        pass


def test_a_simulator_that_does_not_run_says_so():
    idle = Simulator()
    idle.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = idle.url


@pytest.mark.parametrize("bad", [{"delay": (2.0, 1.0)}, {"delay": (-1.0, 1.0)}, {"speed": 0}])
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValueError, match=r"delay|speed"):
        Simulator(**bad)


def test_a_simulator_can_be_stopped_and_started_again(tmp_path):
    simulator = Simulator(tmp_path, delay=(0.0, 0.0))
    for expected in (1, 2):
        with simulator:
            assert simulator.start() is simulator
            created(simulator, requests(1))
            assert len(simulator.record()) == expected


def test_a_body_that_is_declared_too_large_is_refused_before_it_is_read(simulator):
    headers = {"content-length": "300000000"}
    answer = call(simulator, "POST", "/v1/messages", b"{}", headers)
    assert (answer.status, answer.error[0]) == (413, "request_too_large")


def test_a_client_that_leaves_in_the_middle_does_no_harm(simulator):
    address = simulator.url.removeprefix("http://")
    host, port = address.split(":")
    head = (
        b"POST /v1/messages HTTP/1.1\r\nhost: %s\r\nx-api-key: k\r\nanthropic-version: 2026-10-21\r\n"
        % address.encode()
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{head}content-length: 100\r\n\r\n{{".encode())
    assert call(simulator, "GET", "/v1/models").status == 200


def test_the_server_starts_where_asyncio_was_patched_by_a_notebook():
    code = (
        "import nest_asyncio, asyncio; asyncio.set_event_loop(asyncio.new_event_loop()); nest_asyncio.apply()\n"
        "from batchnb.sim import Simulator; import json, urllib.request\n"
        "simulator = Simulator().start()\n"
        "headers = {'x-api-key': 'k', 'anthropic-version': '2026-10-21'}\n"
        "asked = urllib.request.Request(simulator.url + '/v1/models', headers=headers)\n"
        "print(len(json.load(urllib.request.urlopen(asked))['data']))\n"
        "print(simulator.state)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    count, state = done.stdout.split()
    assert int(count) > 10
    assert not Path(state).exists(), "a temporary folder goes when the process ends"


def test_the_latest_calls_are_remembered_and_not_all_for_ever(monkeypatch):
    monkeypatch.setattr("batchnb.sim.server.app._MOST_CALLS", 10)
    with Simulator() as simulator:
        for _ in range(25):
            call(simulator, "GET", "/v1/models")
        call(simulator, "GET", "/v1/nowhere")
        assert 5 <= len(simulator.calls) <= 10
        assert simulator.calls[-1] == ("GET", "/v1/nowhere", 404)


def test_many_clients_are_served_at_once(simulator):
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: created(simulator, requests(20)), range(32)))
        counts = list(pool.map(lambda name: len(raw_results(simulator, name).body.splitlines()), made))
    assert len(set(made)) == 32
    assert set(counts) == {20}


def test_the_parameters_are_those_of_the_sdk():
    def names(kind):
        return set(kind.__annotations__) - parameters.HEADER_PARAMETERS

    whole = names(message_create_params.MessageCreateParamsNonStreaming)
    counting = names(count_params.MessageCountTokensParams)
    # An older SDK knows fewer; a newer one that knows more must be followed.
    assert whole <= parameters.MESSAGE
    assert counting <= parameters.COUNT_TOKENS
    assert names(beta.message_create_params.MessageCreateParamsNonStreaming) - whole <= parameters.BETA_MESSAGE
    beta_counting = names(beta.message_count_tokens_params.MessageCountTokensParams)
    assert beta_counting - counting <= parameters.BETA_COUNT_TOKENS


def test_the_content_blocks_are_those_of_the_sdk():
    from typing import Annotated, get_args, get_origin

    def flatten(kind):
        if get_origin(kind) is Annotated:
            yield from flatten(get_args(kind)[0])
        elif get_args(kind):
            for part in get_args(kind):
                yield from flatten(part)
        elif isinstance(kind, type) and "type" in kind.__annotations__:
            yield from re.findall(r"""Literal\[['"](\w+)""", str(kind.__annotations__["type"]))

    assert "image" in set(flatten(ContentBlockParam))
    assert set(flatten(ContentBlockParam)) | set(flatten(beta.BetaContentBlockParam)) <= BLOCK_TYPES


def test_missing_folders_are_made_private(tmp_path):
    make_private(tmp_path / "a" / "b")
    assert [oct(path.stat().st_mode & 0o777) for path in (tmp_path / "a", tmp_path / "a" / "b")] == ["0o700"] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line_serves_until_it_is_told_to_stop(tmp_path, number):
    command = [sys.executable, "-m", "batchnb.sim", "--state", str(tmp_path), "--delay", "0", "0", "--seed", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        line = process.stdout.readline()
        url, key = re.search(r"ANTHROPIC_BASE_URL=(http://127\.0\.0\.1:\d+) ANTHROPIC_API_KEY=(\S+)", line).groups()
        with anthropic.Anthropic(base_url=url, api_key=key) as client:
            assert client.messages.create(**params("Echo: hi")).content[0].text == "hi"
        process.send_signal(number)
        assert process.wait(timeout=20) == 0


def test_the_command_line_says_why_it_cannot_start(simulator):
    port = simulator.url.rpartition(":")[2]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "batchnb.sim", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("the simulator cannot start: ")


def test_unknown_ids_exist_only_in_the_mode_for_the_tests_of_the_sdk(simulator):
    path = "/v1/messages/batches/message_batch_id"
    assert call(simulator, "GET", path).status == 404
    with Simulator(sdk_tests=True) as permissive:
        assert call(permissive, "GET", path).json["id"] == "message_batch_id"
        with urllib.request.urlopen(
            urllib.request.Request(
                f"{permissive.url}{path}",
                headers={"x-api-key": "k", "anthropic-version": "2026-10-21"},
                method="DELETE",
            )
        ) as answer:
            assert answer.status == 200
