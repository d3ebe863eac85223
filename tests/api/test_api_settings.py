"""Settings of the environment that no client can be made with: told in the cell, by the name of the variable."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from leaks import KEY, Leaks, assert_nothing_leaked

import batchnb  # for its accessors
from batchnb.errors import BatchnbError, CredentialsError, InputError

PASSWORD = "pw-Zx81KqLmVb04NcRt5GhJ"
SECRET = f"someone:{PASSWORD}@"

SETTINGS = [
    ("SSL_CERT_FILE", "/nonexistent.pem", "'/nonexistent.pem', where no certificates can be read"),
    ("SSL_CERT_FILE", "{folder}", "where no certificates can be read"),
    ("SSL_CERT_FILE", "{folder}/empty", "where no certificates can be read"),
    ("SSL_CERT_FILE", "{folder}/garbage", "where no certificates can be read"),
    ("SSL_CERT_DIR", "/nonexistent", "where no certificates can be read"),
    ("ALL_PROXY", f"socks5://{SECRET}127.0.0.1:1", "names a SOCKS proxy, which needs the package socksio"),
    ("all_proxy", f"socks5h://{SECRET}127.0.0.1:1", "names a SOCKS proxy"),
    ("HTTPS_PROXY", f"socks4://{SECRET}127.0.0.1:1", "is not the address of a proxy"),
    ("HTTPS_PROXY", f"http://{SECRET}host:port", "is not the address of a proxy"),
    ("https_proxy", f"http://{SECRET}[::1", "is not the address of a proxy"),
    ("HTTPS_PROXY", "ftp://127.0.0.1", "is not the address of a proxy"),
    ("HTTPS_PROXY", "http://", "is not the address of a proxy"),
    *(
        ("ANTHROPIC_BASE_URL", url, "is not the address of a server")
        for url in ("", "garbage", "api.anthropic.com", "https://a b", "https://127.0.0.1:9\n", " https://127.0.0.1:9",
                    '"https://127.0.0.1:9"', "http://[::1", "http://127.0.0.1:99999", "http://x:abc", "http://", "//x",
                    "ftp://127.0.0.1", f"{SECRET}127.0.0.1:9", f"https://{SECRET}[::1", f"https:/{SECRET}x")
    ),
    ("ANTHROPIC_BASE_URL", "https://127.0.0.1:9/v1", "ends in /v1, which is added to it"),
    ("ANTHROPIC_BASE_URL", f"https://{SECRET}127.0.0.1:9/x/v1/", "ends in /v1, which is added to it"),
    ("ANTHROPIC_BASE_URL", "https://127.0.0.1:9/v1/messages/batches", "ends in /v1/messages/batches, which"),
]  # fmt: skip


def submit() -> None:
    pd.DataFrame({"text": ["a"]}).batch.submit("text", progress=False)


@pytest.mark.parametrize(("variable", "value", "said"), SETTINGS)
def test_a_setting_that_cannot_be_used_is_told_in_the_cell(monkeypatch, tmp_path, capfd, variable, value, said):
    (tmp_path / "empty").write_text("")
    (tmp_path / "garbage").write_text("garbage")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://127.0.0.1:9")
    monkeypatch.setenv(variable, value.replace("{folder}", str(tmp_path)))
    with pytest.raises(InputError) as caught:
        submit()
    assert f"{variable} " in str(caught.value)
    assert said in str(caught.value)
    assert "Nothing was sent." in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    said_beside = capfd.readouterr()
    assert (said_beside.out, said_beside.err) == ("", "")
    assert_nothing_leaked(Leaks(KEY, PASSWORD), paths=[tmp_path], exceptions=[caught.value])


@pytest.mark.filterwarnings("ignore:The first request could not be checked:UserWarning")
@pytest.mark.parametrize("value", ["[::1]", "localhost,[::1]:8080,127.0.0.1", "http://[::1", "a b,,:", "*"])
def test_hosts_without_a_proxy_are_taken_or_told_in_the_cell(monkeypatch, value):
    """Which of them the SDK takes is up to its version."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", value)
    try:
        batchnb.batches()
    except InputError as error:
        assert str(error).startswith("NO_PROXY holds what is no host")  # noqa: PT017
    except BatchnbError as error:
        assert "could not be reached" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("text", "said"),
    [(": a", "a name that no header may have"), ("x y: a", "a name that no header may have"),
     (f"x-a: {PASSWORD}é", "'x-a' holds a character"), (f"x-a: a\x00{PASSWORD}", "'x-a' holds a character")],
)  # fmt: skip
def test_headers_that_cannot_be_sent_are_told_in_the_cell(monkeypatch, text, said):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://127.0.0.1:9")
    if "\x00" in text:
        text = text.replace("\x00", "\x01")  # the environment itself takes no zero
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", text)
    with pytest.raises(CredentialsError, match=f"ANTHROPIC_CUSTOM_HEADERS cannot be sent: .*{said}") as caught:
        submit()
    assert_nothing_leaked(Leaks(KEY, PASSWORD), exceptions=[caught.value])


PROFILES = {
    "none": None, "no JSON": "{", "a list": "[]", "empty": "", "no authentication": "{}",
    "of an unknown type": json.dumps({"authentication": {"type": PASSWORD}}),
    "a number": json.dumps({"authentication": 7}),
}  # fmt: skip


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_profile_that_cannot_be_used_is_told_in_the_cell(monkeypatch, tmp_path: Path, profile):
    configs = tmp_path / "config" / "configs"
    configs.mkdir(parents=True)
    if profile is not None:
        (configs / "mine.json").write_text(profile)
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("ANTHROPIC_PROFILE", "mine")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://127.0.0.1:9")
    with pytest.raises(BatchnbError) as caught:
        submit()
    assert isinstance(caught.value, CredentialsError | InputError)
    assert "mine" in str(caught.value) or "ANTHROPIC_PROFILE" in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_without_any_key_both_ways_out_are_named(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://127.0.0.1:9")
    with pytest.raises(CredentialsError, match=r"ANTHROPIC_API_KEY.*batchnb\.simulate\(\)"):
        submit()
