"""Calls that never came to a server: told as such, with what to do, and nothing of them is in doubt."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import anthropic
import independent
import pandas as pd
import pytest
from leaks import KEY, Leaks, assert_nothing_leaked
from pace import QUICK, paced
from roads import OLD_TLS, Road, certificate, says, secured

import batchnb  # noqa: F401  # for its accessors
from batchnb import Workspace
from batchnb.api.client import Api
from batchnb.errors import AmbiguousError, CredentialsError, RefusedError

PASSWORD = "pw-Zx81KqLmVb04NcRt5GhJ"
FAR = "https://api.example.invalid"
SECONDS = 20


@pytest.fixture
def server() -> Iterator[independent.Server]:
    with independent.Server() as running:
        yield running


def created(api: Api) -> Exception:
    with pytest.raises((RefusedError, AmbiguousError, CredentialsError)) as caught:
        api.create_batch(b'{"requests": []}')
    return caught.value


def submit() -> pd.DataFrame:
    frame = pd.DataFrame({"text": ["a", "b"]})
    return frame.batch.submit("text", "Echo: {text}", progress=False).result(timeout=SECONDS)


# Keys


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
@pytest.mark.parametrize(
    ("key", "said"),
    [(f"{KEY}\n", "ends in a line break"), (f"{KEY}\r\n", "ends in a line break"), (f" {KEY}", "begins or ends with"),
     (f"{KEY} ", "begins or ends with"), (f'"{KEY}"', "quotation mark"), (f"{KEY}é", "a character that no header"),
     (f"{KEY[:20]}\u200b{KEY[20:]}", "a character that no header"), (f"{KEY}\n{KEY}", "holds a line break"),
     (f"Bearer {KEY}", "holds a space"), ("\n", "ends in a line break")],
)  # fmt: skip
def test_a_key_that_cannot_be_sent_is_told_in_the_cell_and_its_mended_form_goes_on_at_once(
    server, monkeypatch, tmp_path, variable, key, said
):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv(variable, key)
    with pytest.raises(CredentialsError, match=f"{variable} .*{said}") as caught:
        submit()
    assert_nothing_leaked(Leaks(KEY), paths=[tmp_path], exceptions=[caught.value])
    monkeypatch.setenv(variable, KEY)
    assert submit()["text_reply"].tolist() == ["a", "b"]
    assert server.bought_once()
    assert server.keys == {KEY, "probe"} or server.keys == {KEY}


def test_a_client_whose_key_cannot_be_sent_is_told_without_the_key(server, tmp_path):
    with anthropic.Anthropic(api_key=f"{KEY}\n", base_url=server.url) as client:
        error = created(Api(client))
        assert "The client's api_key ends in a line break" in str(error)
    with anthropic.Anthropic(api_key=KEY, base_url=server.url, default_headers={"x-a": f"{KEY}\n"}) as client:
        error = created(Api(client))
        assert isinstance(error, CredentialsError)
        assert "'x-a' ends in a line break" in str(error)
    assert_nothing_leaked(Leaks(KEY), exceptions=[error])
    assert server.calls == []


# Certificates


@pytest.fixture
def secure(server, tmp_path, monkeypatch) -> independent.Server:
    made, key = certificate(tmp_path / "good", "DNS:localhost")
    speak_tls(server, made, key)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    return server


def speak_tls(server: independent.Server, made: Path, key: Path) -> None:
    server._http.socket = secured(server._http.socket, made, key)
    server.url = f"https://localhost:{server._http.server_address[1]}"


def test_a_certificate_that_is_not_trusted_is_told_in_the_cell_and_once_it_is_the_cell_goes_on(
    secure, tmp_path, monkeypatch
):
    with pytest.raises(RefusedError, match=r"certificate is not accepted \(self.signed.*set SSL_CERT_FILE") as caught:
        submit()
    assert caught.value.type == "tls"
    assert caught.value.__cause__ is None
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "good" / "made.pem"))
    assert submit()["text_reply"].tolist() == ["a", "b"]
    assert secure.bought_once()


def test_an_issuer_that_is_missing_among_those_that_are_named_is_told_so(secure, tmp_path, monkeypatch):
    other, _ = certificate(tmp_path / "other", "DNS:example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    with pytest.raises(RefusedError, match="SSL_CERT_FILE is set, so that only what it names is trusted"):
        submit()


@pytest.mark.parametrize(
    ("names", "ends", "said"),
    [("DNS:localhost", "20200601000000Z", "expired.*clock"), ("DNS:example.com", "20600101000000Z", "must be the one")],
    ids=["expired", "another name"],
)
def test_a_certificate_that_does_not_fit_is_told_so(server, tmp_path, monkeypatch, names, ends, said):
    made, key = certificate(tmp_path / "bad", names, ends)
    speak_tls(server, made, key)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    with pytest.raises(RefusedError, match=said) as caught:
        submit()
    assert caught.value.type == "tls"


@pytest.mark.parametrize(
    "words", ["HTTP/1.1 400 Bad Request\r\n\r\n", OLD_TLS], ids=["no TLS at all", "an old version"]
)
def test_a_server_that_speaks_no_tls_that_we_take_is_told_in_the_cell(monkeypatch, words):
    with Road(says(words)) as road:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", f"https://127.0.0.1:{road.port}")
        with pytest.raises(RefusedError, match="no secure connection can be made") as caught:
            submit()
        assert caught.value.type == "tls"


# Proxies


@pytest.mark.parametrize(
    ("words", "type", "said"),
    [
        (f"HTTP/1.1 407 {PASSWORD}\r\n\r\n", "proxy", r"answered 407\. They stand in its address \(HTTPS_PROXY\)"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "proxy", "answered 403"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "unreachable", "answered 502"),
        ("HTTP/1.1 503 No\r\nproxy-agent: x\r\n\r\n", "unreachable", "answered 503"),
        ("HTTP/1.1 504 Gateway Timeout\r\n\r\n", "unreachable", "answered 504"),
        ("", "unreachable", "could not be reached through the proxy"),
        ("garbage\r\n\r\n", "unreachable", "could not be reached through the proxy"),
        ("HTTP/1.1 200 OK\r\n\r\n", "unreachable", "could not be reached through the proxy"),
    ],
)
def test_what_a_proxy_did_not_let_through_is_not_in_doubt(monkeypatch, words, type, said):
    with Road(says(words)) as road:
        address = road.url.replace("://", f"://someone:{PASSWORD}@")
        monkeypatch.setenv("HTTPS_PROXY", address)
        with anthropic.Anthropic(api_key=KEY, base_url=FAR) as client:
            error = created(Api(client))
        assert road.seen[0].startswith(b"CONNECT api.example.invalid:443")
        basic = base64.b64encode(f"someone:{PASSWORD}".encode())
        assert basic in road.seen[0], "the proxy is told who asks"
    assert isinstance(error, RefusedError)
    assert error.type == type
    assert re.search(said, str(error))
    assert_nothing_leaked(Leaks(KEY, PASSWORD, basic.decode()), exceptions=[error])


def test_a_proxy_that_asks_who_is_there_is_told_in_the_cell(monkeypatch):
    with Road(says("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")) as road:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("HTTPS_PROXY", road.url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", FAR)
        with pytest.raises(RefusedError, match=r"127\.0\.0\.1:\d+ \(HTTPS_PROXY\) answered 407.*name:password@host"):
            submit()


def test_a_proxy_of_plain_http_that_asks_who_is_there_has_passed_nothing_on(monkeypatch):
    with Road(says(f"HTTP/1.1 407 Who\r\ncontent-length: {len(KEY)}\r\n\r\n{KEY}")) as road:
        monkeypatch.setenv("http_proxy", road.url)
        with anthropic.Anthropic(api_key=KEY, base_url="http://api.example.invalid") as client:
            error = created(Api(client))
    assert isinstance(error, RefusedError)
    assert error.type == "proxy"
    assert_nothing_leaked(Leaks(KEY), exceptions=[error])


# No way at all


def test_a_name_that_nobody_knows_a_port_that_nobody_listens_on_and_a_proxy_that_is_not_there(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    for base_url, proxy, said in (
        (FAR, None, "no such name is known"),
        (f"http://127.0.0.1:{closed}", None, "refused"),
        (FAR, f"http://127.0.0.1:{closed}", f"through the proxy http://127.0.0.1:{closed} (HTTPS_PROXY)"),
        (FAR, "http://nowhere.invalid:1", "no such name is known"),
    ):
        if proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy)
        with anthropic.Anthropic(api_key=KEY, base_url=base_url) as client:
            error = created(Api(client))
        assert isinstance(error, RefusedError)
        assert error.type == "unreachable"
        assert said in str(error)


def test_a_connection_that_is_closed_in_the_handshake_is_waited_for():
    with (
        Road(lambda connection: None) as road,
        anthropic.Anthropic(api_key=KEY, base_url=f"https://127.0.0.1:{road.port}") as client,
    ):
        error = created(Api(client))
    assert isinstance(error, RefusedError)
    assert error.type == "unreachable"


def test_a_closed_client_sends_nothing(server):
    client = anthropic.Anthropic(api_key=KEY, base_url=server.url)
    client.close()
    error = created(Api(client))
    assert isinstance(error, RefusedError)
    assert "is closed" in str(error)


def test_a_call_that_has_left_stays_in_doubt():
    with Road(lambda connection: None) as road, anthropic.Anthropic(api_key=KEY, base_url=road.url) as client:
        assert isinstance(created(Api(client)), AmbiguousError)


@pytest.mark.filterwarnings("ignore:The first request could not be checked:UserWarning")
def test_a_job_behind_a_proxy_that_is_down_is_sent_at_once_when_there_is_a_way(server, tmp_path, monkeypatch):
    answers = iter([*["HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"] * 4])

    def answer(connection: socket.socket) -> None:
        connection.sendall(next(answers, "HTTP/1.1 502 Bad\r\n\r\n").encode())

    with Road(answer) as road:
        monkeypatch.setenv("HTTPS_PROXY", road.url)
        with anthropic.Anthropic(api_key=KEY, base_url=FAR) as client:
            workspace = Workspace(client, home=tmp_path / "home", scope="independent", max_poll=0.05)
            paced(workspace, **QUICK)
            frame = pd.DataFrame({"text": ["a", "b"]})
            job = frame.batch.submit("text", "Echo: {text}", workspace=workspace, progress=False)
            assert not job.wait(0.5)
            records = workspace.session.ledger.batches.of_job(job._number)
            assert {record.state for record in records} <= {"submitting"}
            workspace.close()
    monkeypatch.delenv("HTTPS_PROXY")
    with anthropic.Anthropic(api_key=KEY, base_url=server.url) as client:
        workspace = Workspace(client, home=tmp_path / "home", scope="independent", max_poll=0.05)
        job = workspace.attach(job.id)
        assert job.wait(SECONDS)
        workspace.close()
    assert server.bought_once()
