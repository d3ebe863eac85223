"""Where the ledgers are kept, however that is named, and wherever the process goes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import anthropic
import pandas as pd
import pytest
from bench import KEY
from independent import Status

import batchnb
from batchnb import InputError, LedgerError, Workspace
from batchnb.sim import Simulator
from batchnb.system.environment import home_folder

pytestmark = pytest.mark.steady


def test_a_relative_home_leads_from_where_it_was_first_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATCHNB_HOME", "kept here")
    assert home_folder() == tmp_path / "kept here"
    named = Workspace(home="state")
    monkeypatch.chdir("sub")
    assert home_folder() == tmp_path / "kept here"
    assert Workspace().home == tmp_path / "kept here"
    assert named.home == tmp_path / "state"
    assert Workspace(home="state").home == tmp_path / "sub" / "state"


def test_a_relative_home_is_seen_when_batchnb_is_imported(tmp_path: Path):
    code = "import os, batchnb; os.mkdir('sub'); os.chdir('sub'); print(batchnb.Workspace().home)"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"BATCHNB_HOME": "state"}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == str(tmp_path / "state")


@pytest.mark.parametrize("around", ["{} ", "{}\n", " {}", "{}\r\n"])
def test_space_around_the_variable_is_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, around):
    monkeypatch.setenv("BATCHNB_HOME", around.format(tmp_path / "home"))
    assert home_folder() == tmp_path / "home"


@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch, empty):
    monkeypatch.delenv("BATCHNB_HOME")
    default = home_folder()
    monkeypatch.setenv("BATCHNB_HOME", empty)
    assert home_folder() == default
    assert default.is_absolute()


def test_the_users_own_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("BATCHNB_HOME", "~/one of a test")
    assert home_folder() == tmp_path / "one of a test"
    assert Workspace(home="~/other").home == tmp_path / "other"


@pytest.mark.parametrize("home", ["", " ", "a\0b", b"bytes", 3, "~nobody-of-that-name/x"])
def test_what_is_no_path_is_refused(home):
    with pytest.raises(InputError, match="home"):
        Workspace(home=home)


@pytest.mark.skipif(os.name != "posix", reason="a folder in use is not removed there")
def test_a_relative_home_without_a_working_folder_is_an_error_that_says_so(tmp_path: Path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(InputError, match="was removed"):
        Workspace(home="state")
    monkeypatch.setenv("BATCHNB_HOME", "not seen before")
    with pytest.raises(InputError, match="was removed"):
        home_folder()
    assert Workspace(home=tmp_path / "home").home == tmp_path / "home"
    monkeypatch.chdir(tmp_path)


def test_files_wait_where_the_ledger_is_though_the_process_goes_elsewhere(
    tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATCHNB_HOME", "state of files")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", simulator.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", getattr(simulator, "key", KEY))
    for number in range(3):
        Path(f"{number}.txt").write_text(f"document {number} " * 40_000)
    frame = pd.DataFrame({"doc": [f"{number}.txt" for number in range(3)]})
    job = frame.batch.submit("doc", "What is it?", documents="doc", into="a", progress=False)
    monkeypatch.chdir("sub")
    assert job.result(60)["a_status"].tolist() == ["succeeded"] * 3
    again = frame.assign(more="x").batch.submit("more", into="b", progress=False)
    assert again.result(60)["b_status"].tolist() == ["succeeded"] * 3
    assert len(batchnb.jobs().to_frame()) == 2
    assert not any((tmp_path / "sub").iterdir())
    assert (tmp_path / "state of files" / "ledgers").is_dir()


@pytest.mark.skipif(os.name != "posix", reason="an open ledger is not moved there")
@pytest.mark.parametrize("what", ["home", "home/ledgers"])
def test_nothing_is_sent_once_the_ledger_was_moved_away(tmp_path: Path, server, what):
    with anthropic.Anthropic(api_key=KEY, base_url=server.url) as client:
        workspace = Workspace(client, home=tmp_path / "home", scope="independent", max_poll=0.1)

        def ask(text: str) -> pd.DataFrame:
            asked = pd.DataFrame({"review": [text]})
            return asked.batch.submit("review", into="b", workspace=workspace, progress=False).result(60)

        assert ask("a")["b_status"].tolist() == ["succeeded"]
        (tmp_path / what).rename(tmp_path / "aside")
        with pytest.raises(LedgerError, match="moved or deleted"):
            ask("other")
        assert not (tmp_path / what).exists()
        assert list(server.asked) == ["a"]
        (tmp_path / "aside").rename(tmp_path / what)
        assert ask("other")["b_status"].tolist() == ["succeeded"]
        workspace.close()
    assert server.bought_once()


@pytest.mark.skipif(os.name != "posix", reason="an open ledger is not moved there")
def test_what_was_recorded_before_the_ledger_was_moved_away_is_not_sent(tmp_path: Path, server):
    server.always["create"] = Status(429, {"retry-after": "1"})
    with anthropic.Anthropic(api_key=KEY, base_url=server.url) as client:
        workspace = Workspace(client, home=tmp_path / "home", scope="independent", max_poll=0.1)
        frame = pd.DataFrame({"review": ["a"]})
        job = frame.batch.submit("review", into="b", workspace=workspace, progress=False)
        server.wait_for(lambda: server.called("POST", "/batches"))
        (tmp_path / "home" / "ledgers").rename(tmp_path / "aside")
        server.always.clear()
        while "moved or deleted" not in str(workspace.session.watcher.failure):
            time.sleep(0.01)
        assert not server.batches
        (tmp_path / "aside").rename(tmp_path / "home" / "ledgers")
        assert job.result(60)["b_status"].tolist() == ["succeeded"]
        workspace.close()
    assert server.bought_once()
