"""Which files a cell may name: a table may be a stranger's, and what its cells name leaves this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from media_samples import pdf, png

from batchnb import InputError, Workspace
from batchnb.planning.attachments import Reader
from batchnb.planning.folders import Folders, folders_of
from batchnb.sim import Simulator

pytestmark = pytest.mark.steady


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with files in it, others beside it, and a home that nobody should read."""
    home, work = tmp_path / "home", tmp_path / "home" / "work"
    for file in (".ssh/id_rsa", ".netrc", "secret.txt", "elsewhere/a.png", "work/.env", "work/.git/config",
                 "work/a.png", "work/photos/b.png", "work/odd..name.png"):  # fmt: skip
        path = home / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png() if path.suffix == ".png" else b"A private text.")
    for link, target in (("leak", "../secret.txt"), ("home", ".."), ("inside.png", "photos/b.png"),
                         ("quiet", ".git"), ("round", "round")):  # fmt: skip
        (work / link).symlink_to(target)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(work)
    return work


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("~/.ssh/id_rsa", "begins with '~'"),
        ("~root/.profile", "begins with '~'"),
        ("/etc/passwd", "is not a path within the working folder"),
        ("//server/share/x.pdf", "is not a path within the working folder"),
        (r"\\server\share\x.pdf", "is not a path within the working folder"),
        (r"C:\Users\ann\tax.pdf", "is not a path within the working folder"),
        ("c:tax.pdf", "is not a path within the working folder"),
        ("file:///etc/passwd", "is not a path within the working folder"),
        ("FILE:/etc/passwd", "is not a path within the working folder"),
        ("/proc/self/environ", "is not a path within the working folder"),
        ("../secret.txt", "has '..' in it"),
        ("photos/../../secret.txt", "has '..' in it"),
        (r"photos\..\..\secret.txt", "has '..' in it"),
        ("photos/..", "has '..' in it"),
        ("leak", "leads out of"),
        ("home/secret.txt", "leads out of"),
        ("home/work/a.png", None),
        ("home/.netrc", "leads out of"),
        (".env", "hidden"),
        (".git/config", "hidden"),
        ("./.env", "hidden"),
        ("quiet/config", "hidden"),
        ("round", "cannot be followed|no such file"),
        (b"a.png", None),
        (os.fsencode("nowhere/\x1b[2Ja"), None),
        ("a\x1b[2J.png", r"'a\\x1b\[2J.png': there is no such file"),
    ],
)
def test_a_cell_names_files_of_the_working_folder_alone(place, value, said):
    if said is None:  # bytes are the file itself; a link that leads back is none that leads out
        if isinstance(value, str):
            assert Reader().read(value, "image")
        return
    for given in (value, Path(value)) if value.startswith(("~", "/", "..", ".", "l", "h")) else (value,):
        with pytest.raises(InputError, match=said) as raised:
            Reader().read(given, "document")
        assert "private" not in str(raised.value)


def test_what_lies_below_it_is_taken_however_it_is_reached(place):
    for value in ("a.png", "./a.png", "photos/b.png", "photos//b.png", "inside.png", Path("photos", "b.png"),
                  "odd..name.png"):  # fmt: skip
        assert Reader().read(value, "image")[0].medium


def test_folders_that_are_named_are_taken_in_place_of_the_working_folder(place):
    elsewhere = place.parent / "elsewhere"
    for named in (elsewhere, str(elsewhere), "../elsewhere", "~/elsewhere", [elsewhere, "photos"]):
        reader = Reader(folders_of(named))
        for value in ("a.png", str(elsewhere / "a.png"), elsewhere / "a.png"):
            assert reader.read(value, "image")[0].medium, (named, value)
        for refused in ("~/elsewhere/a.png", "../elsewhere/a.png", str(place / "a.png"), "leak", "/etc/passwd"):
            with pytest.raises(InputError):
                reader.read(refused, "image")
    both = Reader(folders_of(["photos", "."]))
    assert [both.read(one, "image")[0].medium.name for one in ("b.png", "photos/b.png")] == ["b.png", "b.png"]


def test_a_hidden_folder_that_is_named_is_the_users_own_word(place):
    assert Reader(folders_of(".git")).read("config", "document")
    with pytest.raises(InputError, match="hidden"):
        Reader(folders_of("~")).read(".netrc", "document")


@pytest.mark.parametrize(
    ("named", "said"),
    [("nowhere", "no such folder"), ("a.png", "no such folder"), (3, "takes a folder"), ([b"x"], "takes a folder"),
     ("a\0b", "no such folder|null")],
)  # fmt: skip
def test_what_is_no_folder_is_said(place, named, said):
    with pytest.raises(InputError, match=said):
        folders_of(named)


def test_a_working_folder_that_is_gone_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    with pytest.raises(InputError, match="working folder was removed"):
        Folders().find("a.png")


# As a whole


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with Simulator(tmp_path / "simulator", delay=(0.01, 0.02), responder=lambda _: "seen", seed=1) as running:
        yield running


WAYS = ("submit", "preview", "estimate", "pilot")


def asked(workspace: Workspace, frame: pd.DataFrame, way: str, **options: Any) -> Any:
    quiet = {"progress": False} if way == "submit" else {}
    return getattr(frame.batch, way)("doc", workspace=workspace, documents="doc", **quiet, **options)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_a_strangers_table_leaves_this_machine(place, simulator, workspace, way):
    (place / "note.txt").write_bytes(b"A note.")
    frame = pd.DataFrame({"doc": ["note.txt", "~/.ssh/id_rsa"]})
    with pytest.raises(InputError, match=r"^Row 1: '~/.ssh/id_rsa' begins with .* Nothing was sent\.$"):
        asked(workspace, frame, way)
    assert [call.path for call in simulator.calls if call.method == "POST"] == []


@pytest.mark.parametrize("way", WAYS)
def test_how_many_files_go_and_of_which_folders_is_said_before_the_first_does(place, simulator, workspace, capsys, way):
    (place / "note.txt").write_bytes(b"A note.")
    (place / "photos" / "c.pdf").write_bytes(pdf())
    elsewhere = place.parent / "elsewhere"
    (elsewhere / "d.txt").write_bytes(b"Another.")
    frame = pd.DataFrame({"doc": ["note.txt", "photos/c.pdf", str(elsewhere / "d.txt"), b"Bytes.", "note.txt"]})
    asked(workspace, frame, way, files_from=[".", elsewhere])
    said = [line for line in capsys.readouterr().err.splitlines() if "this machine" in line]
    assert len(said) == 1
    assert said[0].startswith("batchnb: 4 files leave this machine with these rows")
    for part in ("3 text/plain", "1 application/pdf", "1 the working folder", "1 'photos'", "1 memory",
                 f"1 {str(elsewhere)!r}"):  # fmt: skip
        assert part in said[0]


def test_a_cell_that_is_run_again_sends_no_file_and_says_nothing(place, workspace, capsys):
    frame = pd.DataFrame({"doc": ["a.png"]})
    options = {"images": "doc", "workspace": workspace, "progress": False}
    assert frame.batch.submit("doc", **options).result(60)["doc_reply"].tolist() == ["seen"]
    capsys.readouterr()
    frame.batch.submit("doc", **options).result(60)
    assert "this machine" not in capsys.readouterr().err


def test_answers_are_joined_wherever_the_files_were_named_from(place, workspace, monkeypatch):
    elsewhere = place.parent / "elsewhere"
    frame = pd.DataFrame({"doc": ["a.png"]})
    job = frame.batch.submit("doc", images="doc", files_from=elsewhere, workspace=workspace, progress=False)
    job.result(60)
    monkeypatch.chdir(place.parent)
    assert frame.batch.join(workspace.attach(job.id))["doc_reply"].tolist() == ["seen"]
    assert job.id == workspace.attach(job.id).id


def test_a_folder_without_a_column_of_files_is_said(place, workspace):
    with pytest.raises(InputError, match=re.escape("files_from= goes with images= or documents= only")):
        pd.DataFrame({"doc": ["x"]}).batch.submit("doc", files_from=".", workspace=workspace, progress=False)


def test_the_root_of_a_disk_is_no_working_folder_to_read_from(place, monkeypatch):
    file = place / "a.png"
    monkeypatch.chdir(place.anchor)
    for value in (str(file), str(file.relative_to(place.anchor))):
        with pytest.raises(InputError, match="files_from="):
            Reader().read(value, "image")
    assert Reader(folders_of(place)).read(str(file), "image")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the folder one is in cannot be removed")
def test_without_a_working_folder_what_is_missing_is_said(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for named in ("nowhere", "~no-such-user-here/x"):
        with pytest.raises(InputError, match=r"no such folder \(looked for in a working folder that was removed"):
            folders_of(named)
    (tmp_path / "a.txt").write_text("text")
    reader = Reader()
    assert reader.read(tmp_path / "a.txt", "document", anywhere=True)
    reader.tell(lambda said: None)


@pytest.mark.parametrize("value", [r"\\server\share\x.png", "//server/share/x.png"])
def test_a_share_is_not_even_looked_at_where_rows_are_only_looked_up(place, value):
    assert Reader(lenient=True).read(value, "image")[0].medium is None
