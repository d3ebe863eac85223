"""A server that writes back what it was sent: nothing of that is in anything that is raised, logged, kept or shown."""

from __future__ import annotations

import gc
import io
import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import independent
import pandas as pd
import pytest
from echoing import BODIES, Echo
from leaks import KEY, Leaks, assert_nothing_leaked, echoes
from pace import QUICK, paced

import batchnb
from batchnb import Workspace
from batchnb.api.client import Api
from batchnb.api.failures import from_status
from batchnb.api.redaction import Redactor
from batchnb.errors import BatchnbError

pytestmark = pytest.mark.steady

LOGGERS = ("httpx2", "httpcore2", "anthropic")


@pytest.fixture
def leaks() -> Leaks:
    return Leaks(KEY)


@pytest.fixture
def server() -> Iterator[Echo]:
    with Echo() as running:
        yield running


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that is logged, by whoever, with the SDK's loggers asked for everything."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    logging.root.addHandler(handler)
    before = logging.root.level
    logging.root.setLevel(logging.DEBUG)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield text
    logging.root.removeHandler(handler)
    logging.root.setLevel(before)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


CALLS: dict[str, Callable[[Api, Path], Any]] = {
    "create": lambda api, path: api.create_batch(b'{"requests": []}'),
    "retrieve": lambda api, path: api.retrieve_batch("msgbatch_1"),
    "list": lambda api, path: list(api.list_batches()),
    "cancel": lambda api, path: api.cancel_batch("msgbatch_1"),
    "delete": lambda api, path: api.delete_batch("msgbatch_1"),
    "results": lambda api, path: read(api),
    "upload": lambda api, path: api.upload_file(path, "a.txt", "text/plain"),
    "files": lambda api, path: list(api.list_files()),
    "delete a file": lambda api, path: api.delete_file("file_1"),
    "message": lambda api, path: api.create_message(b"{}"),
    "count_tokens": lambda api, path: api.count_tokens({"model": "m", "messages": []}),
    "model": lambda api, path: api.model("m"),
    "models": lambda api, path: api.models(),
}


def read(api: Api) -> list[bytes]:
    with api.results("msgbatch_1") as chunks:
        return list(chunks)


@pytest.mark.parametrize("form", BODIES)
@pytest.mark.parametrize("call", CALLS)
def test_no_call_gives_or_raises_what_a_server_echoes(server, leaks, logged, tmp_path, capfd, call, form):
    path = tmp_path / "a.txt"
    path.write_text("text")
    found: list[BaseException] = []
    texts: list[str] = []
    with anthropic.Anthropic(api_key=KEY, base_url=server.url) as client:
        statuses = dict.fromkeys(echoes(KEY), 400)
        for how, status in [*statuses.items(), *(("as it is", other) for other in (200, 302, 401, 404, 407, 429, 500))]:
            server.hostile["*"] = (status, form, how)
            api = Api(client)
            try:
                given = CALLS[call](api, path)
            except BatchnbError as error:
                found.append(error)
            else:
                # The raw bytes of results are a model's own words as far as is known there.
                texts.append("" if call == "results" else repr(given))
            texts.append(repr(vars(api)))
    assert found or call.startswith("model")
    assert not any(error.__cause__ or error.__context__ or len(str(error)) > 2000 for error in found)
    texts += [logged.getvalue(), *capfd.readouterr()]
    assert "HTTP Request" in logged.getvalue()
    assert_nothing_leaked(leaks, texts=texts, exceptions=found)


# A whole job


SILENT = pytest.mark.filterwarnings("ignore::UserWarning")


def errored(echo: str) -> dict[str, Any]:
    result = independent.errored(echo, f"invalid x-api-key: {echo}")
    result["error"]["request_id"] = echo
    result["error"][echo] = {echo: [echo]}
    return result


@pytest.fixture
def bench(server: Echo, tmp_path: Path) -> Iterator[Workspace]:
    with anthropic.Anthropic(api_key=KEY, base_url=server.url) as client:
        workspace = paced(Workspace(client, home=tmp_path / "home", max_poll=0.02), **QUICK, grace=0.0)
        yield workspace
        workspace.close()


def drive(workspace: Workspace, frame: pd.DataFrame, folder: Path) -> tuple[list[str], list[BaseException]]:
    """Call all that a user may call; what they say and show, and what they raise."""
    texts: list[str] = []
    raised: list[BaseException] = []

    def attempt(call: Callable[[], Any]) -> Any:
        try:
            value = call()
        except BatchnbError as error:
            raised.append(error)
            return None
        texts.extend([repr(value), getattr(value, "_repr_html_", str)() or "", repr(getattr(value, "__dict__", ""))])
        if isinstance(value, pd.DataFrame):
            texts.append(value.to_csv())
        return value

    asking = {"column": "text", "template": "Echo: {text}", "workspace": workspace}
    attempt(lambda: frame.batch.preview(**asking))
    attempt(lambda: frame.batch.estimate(**asking))
    attempt(lambda: frame.batch.pilot(**asking, n=1))
    job = attempt(lambda: frame.batch.submit(**asking, progress=False, retries=0))
    if job is not None:
        attempt(lambda: job.result(timeout=1))
        attempt(lambda: job.result(timeout=0.1, partial=True))
        attempt(job.snapshot)
        attempt(job.errors)
        attempt(job.to_frame)
        attempt(lambda: job.export(folder / "answers.jsonl"))
        attempt(lambda: job.export(folder / "answers.csv"))
        attempt(lambda: job.resolve("drop"))
        attempt(job.cancel)
        attempt(lambda: frame.batch.join(job))
        attempt(lambda: job.delete(remote=True))
    attempt(workspace.batches)
    attempt(workspace.jobs)
    attempt(lambda: workspace.recover(timeout=0.1))
    attempt(lambda: workspace.attach("msgbatch_000001"))
    for part in (workspace, workspace.session, workspace.session.api):
        texts.extend([repr(part), repr(vars(part))])
    return texts, raised


def whole(server: Echo, workspace: Workspace, folder: Path) -> tuple[list[str], list[BaseException]]:
    folder.mkdir()
    frame = pd.DataFrame({"text": [f"{folder.name} {i}" for i in range(3)]})
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        texts, raised = drive(workspace, frame, folder)
    return texts + [str(one.message) for one in warned], raised


@pytest.mark.parametrize("endpoint", ["count_tokens", "create", "list", "retrieve", "results", "cancel", "delete", "*"])
def test_a_whole_job_keeps_and_shows_nothing_that_is_echoed(server, bench, leaks, logged, tmp_path, capfd, endpoint):
    texts: list[str] = []
    raised: list[BaseException] = []
    for number, (status, form, how) in enumerate(
        [(400, "envelope", "as it is"), (404, "page", "upper"), (500, "text", "base64"), (200, "ids", "first half")]
    ):
        server.hostile = {endpoint: (status, form, how)}
        said, errors = whole(server, bench, tmp_path / f"{number}")
        texts, raised = texts + said, raised + errors
    bench.close()
    texts += [logged.getvalue(), *capfd.readouterr()]
    assert_nothing_leaked(leaks, paths=[tmp_path], texts=texts, exceptions=raised)


def test_rows_whose_error_echoes_the_key_are_kept_without_it(server, bench, leaks, logged, tmp_path, capfd):
    ways = list(echoes(KEY).values())
    texts = list(map(str, range(len(ways))))
    server.result = lambda params: errored(ways[int(independent.text_of(params).rpartition(" ")[2])])
    frame = pd.DataFrame({"text": texts})
    job = frame.batch.submit("text", "Echo: {text}", workspace=bench, progress=False, retries=0)
    done = job.result(timeout=30)
    assert set(done["text_reply_status"]) == {"errored"}
    assert done["text_reply_error"].str.contains("invalid x-api-key").all()
    errors = job.errors()
    job.export(tmp_path / "a.jsonl")
    strangers = bench.attach(independent_batch(server, ways)).to_frame()
    shown = [done.to_csv(), errors.to_csv(), strangers.to_csv(), repr(job.snapshot()), logged.getvalue()]
    bench.close()
    assert_nothing_leaked(leaks, paths=[tmp_path], texts=[*shown, *capfd.readouterr()])


@pytest.mark.parametrize("between", ["\0", "\u200b", "\u2060", "\xad"], ids=ascii)
def test_signs_that_nobody_sees_hide_no_secret(between):
    redactor = Redactor()
    redactor.learn([KEY])
    assert redactor.text(f"denied: {between.join(KEY)}!") == "denied: [redacted]!"
    assert redactor.text(f"a{between}b") == f"a{between}b"
    hidden = json.dumps({"message": between.join(KEY)}).encode()
    assert json.loads(redactor.json(hidden)) == {"message": "[redacted]"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_an_error_in_another_encoding_shows_no_secret(encoding):
    redactor = Redactor()
    redactor.learn([KEY])
    error = from_status(400, {}, json.dumps({"error": {"message": f"bad {KEY}"}}).encode(encoding), redactor)
    assert KEY[:8] not in str(error).replace("\u2400", "").replace("\0", "")


def test_a_list_of_batches_that_is_refused_can_be_shown_beside_its_traceback(server, bench):
    server.always["list"] = independent.Status(403)
    with pytest.raises(BatchnbError) as raised:
        batchnb.batches(workspace=bench)
    own = [each for frame, _ in traceback.walk_tb(raised.value.__traceback__) for each in frame.f_locals.values()]
    assert all(isinstance(repr(each), str) for each in own)


WRITTEN = {
    "bytes that are no UTF-8": b'"\xff ' + KEY.encode() + b'"',
    "half a character": b'"\\ud800 ' + KEY.encode() + b'"',
    "beyond all bounds": b'"","also":1e999,"and":"' + KEY.encode() + b'"',
    "too many digits": b'"","also":' + b"9" * 5_000 + b',"and":"' + KEY.encode() + b'"',
    "some characters as numbers": b'"%b"'
    % "".join(f"\\u{ord(sign):04x}" if at % 5 == 0 else sign for at, sign in enumerate(KEY)).encode(),
}


def test_results_that_not_everybody_takes_for_json_are_kept_without_what_they_echo(server, bench, leaks, tmp_path):
    results = [
        b'{"type":"%b","message":%b,"error":{"error":{"type":"api_error","message":%b}}}' % (kind, written, written)
        for kind in (b"errored", b"another", b"succeeded")
        for written in WRITTEN.values()
    ]

    def spoil(rows: list[bytes]) -> list[bytes]:
        names = [json.loads(row)["custom_id"].encode() for row in rows]
        return [b'{"custom_id":"%b","result":%b}' % each for each in zip(names, results, strict=True)]

    server.always["results"] = independent.Spoiled(change=spoil)
    frame = pd.DataFrame({"text": list(map(str, range(len(results))))})
    job = frame.batch.submit("text", "Echo: {text}", workspace=bench, progress=False, retries=0)
    done = job.result(timeout=30)
    assert not done["text_reply_status"].isin(["missing", "pending", "succeeded"]).any()
    job.export(tmp_path / "answers.jsonl")
    shown = [done.to_csv(), job.errors().to_csv()]
    shown += [str(json.loads(row)) for row in (tmp_path / "answers.jsonl").read_text().splitlines()]
    bench.close()
    assert_nothing_leaked(leaks, paths=[tmp_path], texts=shown)


def independent_batch(server: Echo, ways: list[str]) -> str:
    """A batch that another has made, whose custom_ids and errors hold the key."""
    ids = {f"row-{i}": way for i, way in enumerate(ways)} | {KEY[:64]: KEY, KEY[:40].upper(): KEY}
    message = {"messages": [{"role": "user", "content": "0"}], "model": "m"}
    batch = server.accept([{"custom_id": name, "params": message} for name in ids])
    for name, way in ids.items():
        batch.results[name] = errored(way)
    return batch.id


@pytest.mark.holds_key("the user has asked the model about it")
def test_the_words_of_a_model_are_kept_as_they_came(server, bench):
    """They hold the key only where the user has sent it."""
    frame = pd.DataFrame({"text": [f"what is {KEY}?"]})
    job = frame.batch.submit("text", "Echo: {text}", workspace=bench, progress=False)
    assert job.result(timeout=30)["text_reply"].tolist() == [f"what is {KEY}?"]


def test_a_long_error_is_cut_in_rows_and_in_messages(server, bench):
    server.result = lambda params: independent.errored("invalid_request_error", "x" * 100_000)
    frame = pd.DataFrame({"text": ["a"]})
    job = frame.batch.submit("text", "Echo: {text}", workspace=bench, progress=False, retries=0)
    assert job.result(timeout=30)["text_reply_error"].str.len().tolist()[0] < 1_100


# What is logged


def test_nothing_is_logged_of_our_calls_unless_it_is_asked_for(server, bench, caplog):
    gc.collect()  # what earlier tests left may say that it closes its connections
    caplog.set_level(logging.DEBUG)
    bench.batches()
    said = [record.getMessage() for record in caplog.records if record.name.startswith(LOGGERS)]
    assert [line for line in said if not line.startswith("close.")] == []
    with anthropic.Anthropic(api_key="another", base_url=server.url) as client:
        list(client.messages.batches.list())
    assert any(record.name == "httpx2" for record in caplog.records), "calls of others are left alone"


def test_a_user_who_sets_a_level_has_the_lines_of_our_calls(server, bench, caplog):
    caplog.set_level(logging.INFO, "httpx2")
    bench.batches()
    assert [record.getMessage() for record in caplog.records if record.name == "httpx2"]


def test_anthropic_log_has_the_lines_come(server, tmp_path, leaks):
    import os
    import subprocess

    script = "import batchnb; batchnb.batches()"
    environment = os.environ | {"ANTHROPIC_LOG": "debug", "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.url}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "HTTP Request: GET" in done.stderr
    assert leaks.in_text(done.stderr + done.stdout) == []


# Addresses that hold secrets

PASSWORD = "pw-Zx81KqLmVb04NcRt5GhJ"
QUERY = "qt-Wm27PzYkUe93DsXo6LfA"


@pytest.mark.parametrize("given", [True, False], ids=["given", "environment"])
def test_user_info_and_query_of_the_address_are_sent_and_stand_nowhere(
    server, tmp_path, monkeypatch, logged, capfd, given
):
    seen: list[tuple[str, str]] = []
    answer = independent.Handler._answer

    def note(self: Any, method: str, path: str, body: bytes, authorized: bool) -> None:
        seen.append((self.headers.get("authorization") or "", self.path))
        answer(self, method, path, body, authorized)

    monkeypatch.setattr(independent.Handler, "_answer", note)
    address = f"{server.url.replace('://', f'://gateway-user:{PASSWORD}@')}?token={QUERY}"
    monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    client = anthropic.Anthropic(base_url=address, api_key=KEY) if given else None
    workspace = Workspace(client, home=tmp_path / "home", max_poll=0.02)
    frame = pd.DataFrame({"text": ["a", "b"]})
    job = frame.batch.submit("text", "Echo: {text}", workspace=workspace, progress=False)
    assert job.result(timeout=30)["text_reply"].tolist() == ["a", "b"]
    calls = [one for one in seen if "probe" not in one[0] and one[0]]
    import base64

    basic = base64.b64encode(f"gateway-user:{PASSWORD}".encode()).decode()
    assert {authorization for authorization, _ in calls} == {f"Basic {basic}"}
    assert all(f"token={QUERY}" in path for _, path in calls)
    assert workspace.scope == server.url
    server.hostile["*"] = (400, "envelope", "base64")
    with pytest.raises(BatchnbError) as caught:
        workspace.batches()
    workspace.close()
    assert "HTTP Request" in logged.getvalue()
    secrets = Leaks(KEY, PASSWORD, QUERY, f"gateway-user:{PASSWORD}", basic)
    shown = [logged.getvalue(), *capfd.readouterr(), repr(workspace), repr(vars(workspace))]
    assert_nothing_leaked(secrets, paths=[tmp_path], texts=shown, exceptions=[caught.value])
    if client is not None:
        client.close()


def test_headers_that_a_client_was_given_are_known_too(server, monkeypatch):
    other = "gw-Kp55VnTqZe80RwXy7MbD"
    leaks = Leaks(KEY, other)
    headers = {"x-gateway-token": other}
    with anthropic.Anthropic(api_key=KEY, base_url=server.url, default_headers=headers) as client:
        api = Api(client)
        body = json.dumps({"type": "error", "error": {"type": "api_error", "message": f"bad {other} {other.upper()}"}})
        monkeypatch.setitem(BODIES, "other", lambda echo: body.encode())
        server.hostile["*"] = (400, "other", "as it is")
        with pytest.raises(BatchnbError) as caught:
            api.retrieve_batch("msgbatch_1")
        assert "bad [redacted]" in str(caught.value)
        assert_nothing_leaked(leaks, exceptions=[caught.value])


def test_known_messages_stay_as_they_are():
    from batchnb.api.redaction import Redactor

    redactor = Redactor()
    redactor.learn([KEY, "user", "ab"])
    for said in (
        "max_tokens: must be greater than or equal to 1", "Message Batch msgbatch_01AbCdEfGhIjKlMnOpQrStUv not found.",
        "Bearer authentication is required", "users of the superuser", "https://docs.claude.com/en/api/errors",
        "custom_id's must be unique within a batch. Duplicate custom_id found: dup", "me@example.com", "basic auth",
    ):  # fmt: skip
        assert redactor.text(said) == said
    assert repr(redactor).count(KEY[:8]) == 0


@pytest.mark.parametrize("header", ["content-encoding", "content-type", "batchnb-simulator", "location", "date"])
@pytest.mark.parametrize("status", [200, 302, 400])
def test_headers_that_echo_are_in_no_error(server, bench, leaks, logged, tmp_path, monkeypatch, header, status):
    def answer(self: Any, method: str, path: str, body: bytes, authorized: bool) -> None:
        self._json(status, {"data": []}, {header: KEY})

    monkeypatch.setattr(independent.Handler, "_answer", answer)
    raised = []
    for call in (bench.batches, lambda: bench.attach("msgbatch_1"), bench.jobs, bench.recover):
        try:
            call()
        except BatchnbError as error:
            raised.append(error)
    bench.close()
    assert_nothing_leaked(leaks, paths=[tmp_path], texts=[logged.getvalue()], exceptions=raised)


@pytest.mark.parametrize("key", ["none", "anthropic", "dummy", "EMPTY", "placeholder"])
def test_a_key_that_is_a_word_since_none_is_needed_spoils_no_names(server, key):
    with anthropic.Anthropic(api_key=key, base_url=server.url) as client:
        api = Api(client)
        api.require_credentials()
        said = f"models/{key}/claude: {key} of them is there"
        assert api.redactor.text(said) == said


@pytest.mark.usefixtures("logged")
def test_no_tool_that_shows_values_beside_a_traceback_shows_what_a_server_echoed(server, bench, leaks):
    from test_secrets import shown

    server.hostile["*"] = (400, "envelope", "as it is")
    with pytest.raises(BatchnbError) as caught:
        batchnb.batches(workspace=bench)
    assert_nothing_leaked(leaks, texts=shown(caught.value), exceptions=[caught.value])


NOTEBOOK = """
import logging, pandas as pd, batchnb
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("httpx2").setLevel(logging.DEBUG)
%xmode Verbose
frame = pd.DataFrame({"text": ["a", "b"]})
---
frame.batch.preview("text", "Echo: {text}")
---
frame.batch.estimate("text", "Echo: {text}")
---
job = frame.batch.submit("text", "Echo: {text}", retries=0)
job.result(timeout=30)
---
job.errors()
---
batchnb.batches()
---
batchnb.jobs()
---
batchnb.attach("msgbatch_none")
---
import os
os.environ["BATCHNB_MAX_POLL"] = "3o"
frame.batch.submit("text", "Echo: {text}")
"""


@pytest.mark.parametrize("endpoint", ["rows", "create", "*"])
def test_an_executed_notebook_holds_nothing_that_is_echoed(server, leaks, tmp_path, monkeypatch, endpoint):
    import nbclient
    import nbformat

    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("BATCHNB_HOME", str(tmp_path / "home"))
    if endpoint == "rows":
        server.result = lambda params: errored(KEY)
    else:
        server.hostile = {endpoint: (400, "envelope", "as it is"), "list": (403, "page", "bearer")}
    cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in NOTEBOOK.split("---")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True).execute()
    text = nbformat.writes(notebook)
    assert "[redacted]" in text
    assert "InputError" in text
    assert_nothing_leaked(leaks, paths=[tmp_path], texts=[text])


def test_a_piece_of_a_key_that_is_in_an_id_by_chance_spoils_no_id():
    from batchnb.api.redaction import Redactor

    redactor = Redactor()
    redactor.learn(["test-key-0123456789"])
    body = b'{"id": "msgbatch_0123456789abc"}'
    assert redactor.names(body) == body
    assert not redactor.is_named("row-0123456789abcdef0123456789abcdef")
    assert redactor.is_named("row-test-key-0123456789")
    assert redactor.text("no test-key-0123 there") == "no [redacted] there"
