"""Reading images and documents: what a cell may hold, how often a file is read, what images= and documents= mean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from media_samples import pdf, png
from PIL import Image

from batchnb import InputError
from batchnb.planning.attachments import Given, Reader, attachments_of


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read, each time they are."""
    found: list[Path] = []
    read_bytes = Path.read_bytes

    def noted(self: Path) -> bytes:
        found.append(self)
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", noted)
    return found


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("photo.png").write_bytes(png())
    return Path("photo.png")


def sha_of(reader: Reader, value: Any, kind: str = "image") -> str:
    (attachment,) = reader.read(value, kind)
    assert attachment.medium is not None
    return attachment.medium.sha256


def test_a_file_is_told_by_its_content_however_it_is_given(photo, monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    monkeypatch.setenv("USERPROFILE", str(Path.cwd()))
    reader = Reader()
    values = [str(photo), photo, "./photo.png", png(), bytearray(png()), memoryview(png())]
    assert len({sha_of(reader, value) for value in values}) == 1
    (own,) = reader.read("~/photo.png", "image", anywhere=True)
    assert own == reader.read(photo, "image")[0]
    assert reader.bytes_of(sha_of(reader, photo)) == png()


def test_a_path_is_read_once_while_it_stays_the_same(photo, reads):
    reader = Reader()
    first = sha_of(reader, str(photo))
    assert [sha_of(reader, str(photo)) for _ in range(1000)] == [first] * 1000
    assert len(reads) == 1
    photo.write_bytes(png(1, padding=3))
    os.utime(photo, ns=(1, 1))
    assert sha_of(reader, str(photo)) != first
    assert len(reads) == 2


def test_the_same_object_in_many_rows_is_looked_at_once(monkeypatch):
    picture = Image.new("RGB", (4, 4), "red")
    saved = []
    save = Image.Image.save
    monkeypatch.setattr(Image.Image, "save", lambda *args, **kwargs: saved.append(1) or save(*args, **kwargs))
    reader = Reader()
    assert len({sha_of(reader, picture) for _ in range(100)}) == 1
    assert len(saved) == 1
    assert sha_of(reader, picture.copy()) == sha_of(reader, picture)


def test_an_image_that_png_cannot_hold_is_said(tmp_path):
    with pytest.raises(InputError, match=r"cannot write mode CMYK as PNG.*convert\(\"RGB\"\)"):
        Reader().read(Image.new("CMYK", (2, 2)), "image")


def test_addresses_and_lists_and_nothing(photo):
    reader = Reader()
    (address,) = reader.read("https://example.com/a.png", "image")
    assert address.block == {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    assert address.medium is None
    several = [photo, None, (png(1), "http://example.com/b.png")]
    assert len(reader.read(several, "image")) == len(reader.read(np.array(several, dtype=object), "image")) == 3
    assert reader.read(None, "image") == reader.read(float("nan"), "image") == reader.read([], "image") == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nowhere.png", "'nowhere.png': there is no such file"),
        ("a\0b", "embedded null"),
        ("x" * 5_000, "File name too long"),
        (".", "is a folder, not a file"),
        ("pipe", "is not a regular file"),
        (3.5, "float is neither a path"),
        ({"a": 1}, "dict is neither a path"),
    ],
)
def test_what_is_no_file_is_said(value, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe")
    with pytest.raises(InputError, match=said) as caught:
        Reader().read(value, "image")
    assert len(str(caught.value)) < 500
    (unreadable,) = Reader(lenient=True).read(value, "image")
    assert unreadable.medium is None


@pytest.mark.parametrize("kind", ["itself", "deep", "wide", "array"])
def test_a_list_that_holds_itself_or_lists_without_end_is_said_and_names_the_row(kind, photo):
    held: Any = []
    for _ in range(5_000):
        held = [held] if kind == "deep" else held
    if kind == "array":
        held = np.empty(1, dtype=object)
        held[0] = held
    elif kind != "deep":
        held += [held] * (1 if kind == "itself" else 50)
    with pytest.raises(InputError, match="a list holds itself, or lists more than 8 deep"):
        Reader().read([str(photo), held], "document")
    (unreadable,) = Reader(lenient=True).read(held, "document")
    assert unreadable.medium is None
    frame = pd.DataFrame({"text": ["a", "b"], "files": [None, held]})
    with pytest.raises(InputError, match=r"Row 1: .*a list holds itself"):
        frame.batch.preview("text", documents="files")
    with pytest.raises(InputError, match=r"documents= a list holds itself"):
        frame.batch.preview("text", documents=[held])


def test_lists_in_lists_are_read_in_their_order(photo):
    Path("b.txt").write_text("b")
    Path("c.txt").write_text("c")
    read = Reader().read([["b.txt", []], None, [["c.txt"], "b.txt"]], "document")
    assert [one.medium.name for one in read if one.medium] == ["b.txt", "c.txt", "b.txt"]


def test_a_name_that_is_no_text_does_not_stop_what_the_file_says(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(png())
    (read,) = Reader().read(path, "image", anywhere=True)
    assert read.medium is not None
    assert read.medium.name == "caf?.png"


def test_a_file_too_large_for_the_api_is_not_even_read(tmp_path, reads):
    path = tmp_path / "huge.pdf"
    with path.open("wb") as file:
        file.truncate(500_000_001)
    with pytest.raises(InputError, match="500 MB at most"):
        Reader().read(path, "document", anywhere=True)
    assert reads == []


def test_bytes_that_changed_since_are_not_sent_for_the_others(photo):
    reader = Reader()
    sha256 = sha_of(reader, photo)
    photo.write_bytes(png(2))
    with pytest.raises(InputError, match=r"photo\.png has changed.*Nothing was sent"):
        reader.bytes_of(sha256)


# images= and documents=


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"front": [png(1)], "back": [png(2)], 3: [pdf()]})


def test_columns_and_shared_files_are_told_apart(frame, photo):
    assert attachments_of(frame, None, None) == Given()
    given = attachments_of(frame, ["front", "back", str(photo)], 3)
    assert (given.images, given.documents) == (("front", "back"), (3,))
    assert [one.medium.name for one in given.shared if one.medium] == ["photo.png"]
    given = attachments_of(frame, photo, [pdf("a"), b"Some text."])
    assert [one.block["type"] for one in given.shared] == ["document", "document", "image"]
    assert (given.images, given.documents) == ((), ())


def test_a_column_goes_before_a_file_of_its_name(frame, photo, monkeypatch):
    monkeypatch.chdir(photo.parent)
    Path("front").write_bytes(png())
    assert attachments_of(frame, "front", None).shared == ()


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ("frnt", r"images=: the frame has no column 'frnt'. Did you mean 'front'\?"),
        ("front.png", "images= 'front.png' is neither a column of the frame nor a file"),
        (pdf(), "images= this image is of type application/pdf"),
        (7, "images= int is neither a path"),
        (pd.Series([png(1)], name="front"), "images= takes columns by their names: give 'front', not its values"),
    ],
)
def test_what_is_neither_is_said(frame, images, said):
    with pytest.raises(InputError, match=rf"{said}.*Nothing was sent"):
        attachments_of(frame, images, None)
