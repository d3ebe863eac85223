"""What bytes tell of an image or a document, and how a request carries it."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_samples import gif, jpeg, pdf, png, webp

from batchnb import InputError
from batchnb.planning.attachments import Reader, for_check
from batchnb.questions.envelope import Envelope, canonical, content_of
from batchnb.questions.media import Medium, check_together, is_nothing, least_tokens, shown
from batchnb.questions.media_sources import base64_size, file_source, inline_source, shas_in, substituted, with_sources
from batchnb.questions.media_types import inspect
from batchnb.questions.reading import read_rows
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import TextReply

SHARED = {"model": "claude-haiku-4-5", "max_tokens": 64}

# What the bytes tell


@pytest.mark.parametrize(
    ("data", "media_type", "size"),
    [
        (png(size=(2, 3)), "image/png", (2, 3)),
        (jpeg((640, 480)), "image/jpeg", (640, 480)),
        (gif((10, 20)), "image/gif", (10, 20)),
        (webp((300, 200)), "image/webp", (300, 200)),
    ],
)
def test_an_image_is_told_by_its_bytes(data, media_type, size):
    medium = inspect(data, "photo.dat", "image")
    assert (medium.media_type, medium.width, medium.height, medium.size) == (media_type, *size, len(data))
    assert medium.sha256 == hashlib.sha256(data).hexdigest()


def test_pillow_agrees_about_sizes():
    import io

    from PIL import Image

    for kind in ("PNG", "JPEG", "GIF", "WEBP"):
        for options in ({}, {"lossless": True}) if kind == "WEBP" else ({},):
            file = io.BytesIO()
            Image.new("RGB", (31, 17), "red").save(file, kind, **options)
            medium = inspect(file.getvalue(), "a", "image")
            assert (medium.width, medium.height) == (31, 17), (kind, options)


def test_documents_are_pdfs_and_text():
    assert (inspect(pdf(pages=3), "c.pdf", "document").media_type, inspect(pdf(pages=3), "c", "document").pages) == (
        "application/pdf", 3
    )  # fmt: skip
    assert inspect("Größe: 3\n".encode(), "c.txt", "document").media_type == "text/plain"


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"", "image", "photo is empty"),
        (b"\0\0\0\x18ftypheic....", "image", "looks like HEIC.*save it as JPEG"),
        (b"\0\0\0\x18ftypavif....", "image", "looks like AVIF"),
        (b"II*\0....", "image", "looks like TIFF"),
        (b"BM....", "image", "BMP"),
        (b"PK\x03\x04....", "document", "Office document.*as PDF"),
        (b"{\\rtf1 hello}", "document", "RTF"),
        (b"<svg xmlns='...'/>", "image", "SVG"),
        (b"hello", "image", "looks like text"),
        (b"\xff\xfe\0x", "document", "neither"),
        (png(), "document", "image/png: give it as images="),
        (pdf(), "image", "application/pdf: give it as documents="),
        (png(padding=5 * 2**20), "image", r"photo \(5.24 MB\) is too large: the API takes 5.24 MB at most"),
        (png(size=(8001, 2)), "image", "8,001 x 2 pixels"),
        (pdf(pages=601), "document", "601 pages"),
    ],
)
def test_what_the_api_does_not_take_is_refused_with_what_to_do(data, kind, said):
    with pytest.raises(InputError, match=said):
        inspect(data, "photo", kind)


def test_many_images_are_bounded_together():
    small = Medium("0" * 64, "image/png", 10, "a.png", 100, 100)
    large = Medium("1" * 64, "image/png", 10, "b.png", 2001, 100)
    check_together([large] * 20)
    check_together([small] * 600)
    with pytest.raises(InputError, match=r"b\.png has 2,001"):
        check_together([small] * 20 + [large])
    with pytest.raises(InputError, match="601 images and pages"):
        check_together([Medium("2" * 64, "application/pdf", 10, "c.pdf", pages=500), *[small] * 100], 1)


NOTHING = [None, float("nan"), pd.NA, pd.NaT, "", "  ", b"", [], [None, ""], (), memoryview(b""), np.float32("nan")]


@pytest.mark.parametrize("value", [*NOTHING, np.array([None, ""], dtype=object)])
def test_nothing_is_nothing(value):
    assert is_nothing(value)


@pytest.mark.parametrize("value", ["a.png", b"x", ["a.png"], [None, "a.png"], Path(), 0])
def test_something_is_not_nothing(value):
    assert not is_nothing(value)


def test_what_a_file_is_said_to_be():
    assert shown(Medium("0" * 64, "image/png", 34_213, "photo.png")) == "photo.png (34 kB)"
    assert shown(Medium("0" * 64, "application/pdf", 12_300_000, "c.pdf")) == "c.pdf (12.3 MB)"


def test_the_tokens_of_a_file_are_estimated_low():
    assert least_tokens(inspect(png(size=(750, 100)), "a", "image")) == 100
    assert least_tokens(inspect(png(size=(7500, 1000)), "a", "image")) == 1_600
    assert least_tokens(inspect(pdf(pages=3), "a", "document")) == 4_500
    assert least_tokens(inspect(b"word " * 100, "a", "document")) == 125


# Identity: the content, however it is delivered


def digest(content: Any, slot: str = "content", **options: Any) -> bytes:
    return Envelope.around(SHARED, slot, **options).digest(content_of(content))


FILES = [(png(), "image"), (jpeg(), "image"), (pdf(), "document"), ("Text, größer.".encode(), "document")]


@pytest.mark.parametrize(("data", "kind"), FILES)
def test_a_file_asks_the_same_inline_and_by_its_content(data, kind):
    medium = inspect(data, "a", kind)
    inline = {"type": kind, "source": inline_source(data, medium.media_type)}
    text = {"type": "text", "text": "What is it?"}
    assert canonical(inline) == canonical(medium.block)
    assert digest([inline, text]) == digest([medium.block, text])
    assert digest([medium.block, text]) != digest([inspect(png(9), "a", "image").block, text])


def test_ids_and_addresses_of_the_users_own_stay_what_they_are():
    for source in ({"type": "file", "file_id": "file_011"}, {"type": "url", "url": "https://example.com/a.png"}):
        assert canonical(source) == source


def test_rows_with_columns_ask_what_a_function_with_blocks_asks(tmp_path, monkeypatch):
    """Whoever moves from a callable template to images= buys nothing twice."""
    monkeypatch.chdir(tmp_path)
    data = png()
    (tmp_path / "a.png").write_bytes(data)
    frame = pd.DataFrame({"photo": ["a.png"], "q": ["What is it?"]})
    common: dict[str, Any] = {"shared": SHARED, "betas": (), "reply": TextReply(), "into": "x"}
    by_column = Recipe("photo", "{q}", images=("photo",), reader=Reader(), **common)
    block = {"type": "image", "source": inline_source(data, "image/png")}
    by_function = Recipe("photo", lambda row: [block, {"type": "text", "text": row["q"]}], **common)
    shared = Recipe("q", "{q}", blocks=(inspect(data, "a", "image").block,), **common)
    digests = {next(read_rows(recipe, frame)).digest for recipe in (by_column, by_function, shared)}
    assert len(digests) == 1


# What is sent


def test_files_are_put_where_they_are_named():
    medium = inspect(png(), "a", "image")
    sent = content_of([medium.block, {"type": "text", "text": "Hi"}]).sent
    assert shas_in(sent) == [medium.sha256]
    named = json.loads(substituted(sent, lambda sha256, media_type: file_source("file_1")))
    assert named == [{"type": "image", "source": {"type": "file", "file_id": "file_1"}}, {"type": "text", "text": "Hi"}]
    inline = json.loads(substituted(sent, lambda sha256, media_type: inline_source(png(), media_type)))
    assert base64.b64decode(inline[0]["source"]["data"]) == png()
    assert substituted(sent, lambda sha256, media_type: None) == sent


@given(st.text(), st.binary(min_size=32, max_size=32))
@settings(max_examples=60)
def test_no_text_is_taken_for_the_name_of_a_file(text, sha256):
    name = f'{{"file_id":"batchnb:image/png:{sha256.hex()}","type":"file"}}'
    for said in (text, name, text + name + text, json.dumps(name), {"a": name}, [{"type": "text", "text": name}]):
        sent = content_of(said).sent
        assert shas_in(sent) == []
        assert substituted(sent, lambda sha256, media_type: {"type": "gone"}) == sent


@given(st.binary(max_size=200))
def test_the_size_of_base64_is_known_before_it_is_made(data):
    assert base64_size(len(data)) == len(base64.b64encode(data))


def test_a_check_holds_small_files_and_leaves_large_ones_out(tmp_path):
    large = pdf() + b"%" * 4_100_000
    reader = Reader()
    blocks = [one.block for value in (pdf(), large) for one in reader.read(value, "document")]
    params = {**SHARED, "messages": [{"role": "user", "content": [*blocks, {"type": "text", "text": "Hi"}]}]}
    checked, left_out = for_check(reader, params)
    (message,) = checked["messages"]
    assert [block["type"] for block in message["content"]] == ["document", "text"]
    assert message["content"][0]["source"] == inline_source(pdf(), "application/pdf")
    assert [medium.size for medium in left_out] == [len(large)]
    assert with_sources(checked, lambda *_: None) == checked
