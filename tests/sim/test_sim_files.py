"""Files on the simulator: uploading, listing and deleting them, and reading them from requests."""

import io
import struct
from contextlib import suppress
from itertools import pairwise

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sim_samples import PDF, PIXELS, by_id, inline, png
from simulation import MODEL, ShiftedClock, call, ended, params, results, run, sdk

from batchnb.sim import Fault, Limits, Simulator, count_tokens
from batchnb.sim.rules import media
from batchnb.sim.server.multipart import Parser
from batchnb.sim.wire import ApiError

FILES = "/v1/files"


def jpeg(width=PIXELS[0], height=PIXELS[1], before=b""):
    # An EXIF segment, which may hold a thumbnail of its own, stands before the frame.
    exif = b"\xff\xe1" + struct.pack(">H", 2 + len(before)) + before
    return b"\xff\xd8" + exif + b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00\xff\xd9"


def gif(width=PIXELS[0], height=PIXELS[1]):
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x00\x00\x00;"


def webp(width=PIXELS[0], height=PIXELS[1]):
    body = b"WEBPVP8X" + struct.pack("<IB3x", 10, 0) + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


IMAGES = {"image/png": png(), "image/jpeg": jpeg(before=b"x" * 300), "image/gif": gif(), "image/webp": webp()}


def asking(*blocks, **more):
    return params([*blocks, {"type": "text", "text": "What is it?"}], **more)


pytestmark = pytest.mark.simulator(shared=True)


def test_an_uploaded_file_is_listed_and_gone_once_it_is_deleted(simulator, client):
    file = client.files.upload(file=("photos/cat.png", png(), "image/png"))
    assert file.id.startswith("file_01")
    assert (file.filename, file.mime_type, file.size_bytes) == ("cat.png", "image/png", len(png()))
    assert (file.downloadable, file.expires_at) == (False, None)
    assert client.files.retrieve_metadata(file.id) == file
    assert client.files.list().data[0] == file
    assert (simulator.state / "files" / file.id).read_bytes() == png()
    assert client.files.delete(file.id).type == "file_deleted"
    assert file.id not in [each.id for each in client.files.list()]
    assert not (simulator.state / "files" / file.id).exists()
    for lost in (client.files.retrieve_metadata, client.files.delete, client.files.download):
        with pytest.raises(anthropic.NotFoundError, match=f"File not found: {file.id}"):
            lost(file.id)


def test_the_beta_namespace_has_the_same_files(client):
    file = client.beta.files.upload(file=("a.txt", b"hello", "text/plain"))
    assert client.files.retrieve_metadata(file.id).id == file.id
    assert client.beta.files.retrieve_metadata(file.id).scope is None
    assert file.id in [each.id for each in client.beta.files.list(betas=["files-api-2025-04-14"])]
    assert client.beta.files.delete(file.id).id == file.id


def test_what_was_uploaded_cannot_be_downloaded(client):
    file = client.files.upload(file=("a.txt", b"hello", "text/plain"))
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.files.download(file.id)
    assert refused.value.body["error"]["details"] == {"error_code": "file_not_downloadable"}


def test_files_are_listed_newest_first_in_pages_or_by_their_ids():
    with Simulator() as simulator, sdk(simulator) as client:
        ids = [client.files.upload(file=(f"{i}.txt", b"x", "text/plain")).id for i in range(7)][::-1]
        assert [file.id for file in client.files.list(limit=3)] == ids
        first = client.files.list(limit=3)
        assert first.next_page.startswith("page_")
        assert [file.id for file in first.data] == ids[:3]
        client.files.delete(ids[1])
        assert [file.id for file in client.files.list(ids=[ids[4], ids[1], ids[0], "file_01x"])] == [ids[0], ids[4]]
        assert client.files.list(ids=[ids[0]] * 200).data[0].id == ids[0], "repeated ids count once"
        for bad in ({"page": "page_?"}, {"page": "x"}, {"limit": 0}, {"limit": 3, "ids": ids}):
            with pytest.raises(anthropic.BadRequestError):
                client.files.list(**bad)
        with pytest.raises(anthropic.BadRequestError, match="at most 100 items"):
            client.files.list(ids=[f"file_{i}" for i in range(101)])


def test_a_restarted_simulator_has_its_files_and_no_halves_of_them(tmp_path):
    with Simulator(tmp_path) as simulator, sdk(simulator) as client:
        file = client.files.upload(file=("a.png", png(), "image/png"))
        assert oct((tmp_path / "files").stat().st_mode & 0o777) == "0o700"
        assert oct((tmp_path / "files" / file.id).stat().st_mode & 0o777) == "0o600"
    (tmp_path / "files" / f"{'0123' * 4}.part").write_bytes(b"half")
    with Simulator(tmp_path) as simulator, sdk(simulator) as client:
        assert client.files.retrieve_metadata(file.id) == file
        assert client.messages.create(**asking(by_id(file.id))).usage.input_tokens > 400
        assert [path.name for path in (tmp_path / "files").iterdir()] == [file.id]


def test_a_file_expires_when_it_was_said_to():
    clock = ShiftedClock()
    with Simulator(clock=clock, delay=(0.0, 0.0)) as simulator, sdk(simulator) as client:
        file = client.files.upload(file=("a.png", png(), "image/png"), expires_in_seconds=3600)
        assert (file.expires_at - file.created_at).total_seconds() == 3600
        clock.shift = 3590
        assert client.files.retrieve_metadata(file.id).expires_at == file.expires_at
        clock.shift = 3610
        asked = asking(by_id(file.id))
        for use in (
            lambda: client.files.retrieve_metadata(file.id),
            lambda: client.files.download(file.id),
            lambda: client.messages.create(**asked),
        ):
            with pytest.raises(anthropic.NotFoundError) as refused:
                use()
            assert refused.value.body["error"]["details"] == {"error_code": "file_expired"}
        assert client.files.list().data == []
        assert client.files.delete(file.id).id == file.id


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"expires_in_seconds": 3599}, "expires_in_seconds: Input should be greater than or equal to 3600"),
        ({"expires_in_seconds": 7_776_001}, "expires_in_seconds: Input should be less than or equal to 7776000"),
        ({"extra_body": {"purpose": "batch"}}, "purpose: Extra inputs are not permitted"),
        ({"file": ("a?.png", b"x")}, "Invalid filename"),
        ({"file": ("a" * 256, b"x")}, "Invalid filename"),
    ],
)
def test_an_upload_is_refused_for_what_it_says(simulator, client, given, refusal):
    with pytest.raises(anthropic.BadRequestError, match=refusal):
        client.files.upload(**{"file": ("a.png", png(), "image/png"), **given})
    assert not list((simulator.state / "files").glob("*.part"))


@pytest.mark.parametrize(
    ("content_type", "body", "refusal"),
    [
        ("application/json", b"{}", "must be multipart/form-data"),
        ("multipart/form-data", b"", "must be multipart/form-data"),
        ("multipart/form-data; boundary=b", b"", "ends before its last boundary"),
        ("multipart/form-data; boundary=b", b"--b--\r\n", "file: Field required"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\nx',
            "ends before its last boundary",
        ),
    ],
)
def test_what_is_no_form_with_a_file_is_a_400(simulator, content_type, body, refusal):
    answer = call(simulator, "POST", FILES, body, {"content-type": content_type})
    assert answer.status == 400
    assert refusal in answer.error[1]


def test_a_file_without_name_or_type_gets_what_can_be_guessed(client):
    named = client.files.upload(file=("report.pdf", PDF))
    assert named.mime_type == "application/pdf"
    answer = client.files.upload(file=("", png(), "image/png"))
    assert (answer.filename, answer.mime_type) == ("unnamed.png", "image/png")


def test_files_that_are_too_large_or_too_many_are_refused():
    limits = Limits(file_bytes=1000, storage_bytes=1500)
    with Simulator(limits=limits) as simulator, sdk(simulator) as client:
        with pytest.raises(anthropic.APIStatusError) as refused:
            client.files.upload(file=("a.bin", b"x" * 1001))
        assert refused.value.status_code == 413
        client.files.upload(file=("a.bin", b"x" * 1000))
        with pytest.raises(anthropic.BadRequestError) as full:
            client.files.upload(file=("b.bin", b"x" * 501))
        assert full.value.body["error"]["details"] == {"error_code": "storage_quota_exceeded"}
        client.files.upload(file=("b.bin", b"x" * 500))
        assert len(list((simulator.state / "files").iterdir())) == 2


def test_faults_strike_uploads_and_the_other_calls_of_files():
    faults = [Fault("lost_answer", on="upload"), Fault("not_found", on="files")]
    with Simulator(faults=faults) as simulator, sdk(simulator) as client:
        with pytest.raises(anthropic.APIConnectionError):
            client.files.upload(file=("a.txt", b"x", "text/plain"))
        with pytest.raises(anthropic.NotFoundError):
            client.files.list()
        assert len(client.files.list().data) == 1, "the file was accepted"


# --- in requests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", IMAGES)
def test_an_image_counts_by_its_size_the_same_inline_and_uploaded(client, media_type):
    data = IMAGES[media_type]
    assert media.image_size(data) == PIXELS
    plain = client.messages.count_tokens(model=MODEL, messages=asking()["messages"]).input_tokens
    uploaded = client.files.upload(file=("a", data, media_type))
    for block in (inline(data, media_type), by_id(uploaded.id)):
        counted = client.messages.count_tokens(model=MODEL, messages=asking(block)["messages"]).input_tokens
        assert counted - plain == 400
        assert client.messages.create(**asking(block)).usage.input_tokens == counted
    assert count_tokens(asking(inline(data, media_type))) - count_tokens(asking()) == 400


def test_a_large_image_is_scaled_down_before_it_is_counted():
    assert media.image_tokens(1000, 1000) == 1334
    assert media.image_tokens(6000, 4000) == 1600
    assert media.image_tokens(7000, 100) == media.image_tokens(1568, 22)
    assert media.image_tokens(1, 1) == 1


def test_a_document_counts_by_its_pages_the_same_inline_and_uploaded(client):
    assert media.pdf_pages(PDF) == 3
    assert media.pdf_pages(b"%PDF-1.7 <</Type/Pages/Count 12>>") == 12
    assert media.pdf_pages(b"%PDF-1.7" + b"\x00" * 120_000) == 3
    uploaded = client.files.upload(file=("a.pdf", PDF, "application/pdf"))
    usages = [
        client.messages.create(**asking(block)).usage.input_tokens
        for block in (inline(PDF, "application/pdf", "document"), by_id(uploaded.id, "document"))
    ]
    assert usages[0] == usages[1]
    assert 4500 <= usages[0] - client.messages.create(**asking()).usage.input_tokens <= 9000


def test_an_uploaded_text_is_read_like_one_in_the_prompt(client):
    text = "The staff were wonderful, I love this place and recommend it warmly. " * 5
    file = client.files.upload(file=("review.txt", text.encode(), "text/plain"))
    layout = {
        "type": "object",
        "properties": {"label": {"type": "string", "enum": ["negative", "positive"]}},
        "required": ["label"],
        "additionalProperties": False,
    }
    plain = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}
    answers = [
        client.messages.create(**params([block], output_config={"format": {"type": "json_schema", "schema": layout}}))
        for block in (plain, by_id(file.id, "document"))
    ]
    assert [answer.content[0].text for answer in answers] == ['{"label":"positive"}'] * 2
    assert answers[0].usage == answers[1].usage


def test_a_user_s_responder_gets_the_request_as_it_was_sent():
    asked = []
    with Simulator(responder=lambda request: asked.append(request) or "ok") as simulator, sdk(simulator) as client:
        file = client.files.upload(file=("a.png", png(), "image/png"))
        sent = asking(by_id(file.id))
        assert client.messages.create(**sent).usage.input_tokens > 400
        assert asked == [sent]


def test_images_inside_tool_results_and_documents_count_too(client):
    use = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "t", "input": {}}]}

    def count(content):
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content}
        document = {"type": "document", "source": {"type": "content", "content": content}}
        messages = [{"role": "user", "content": "go"}, use, {"role": "user", "content": [result, document]}]
        return client.messages.count_tokens(model=MODEL, messages=messages).input_tokens

    words = {"type": "text", "text": "look"}
    assert count([words, inline(png(), "image/png")]) - count([words]) == 800
    with pytest.raises(anthropic.NotFoundError):
        count([by_id("file_01x")])


def image_source(**source):
    return {"type": "image", "source": source}


BAD_BLOCKS = [
    (by_id("file_01x"), "not_found_error", "File not found: file_01x"),
    (by_id("file_01x", "document"), "not_found_error", "File not found: file_01x"),
    (by_id(7), "invalid_request_error", "image.source.file.file_id: Input should be a valid string"),
    (image_source(type="file"), "invalid_request_error", "image.source.file.file_id: Field required"),
    (image_source(type="url", url="u", x=1), "invalid_request_error", "image.source.url.x: Extra inputs"),
    (
        image_source(type="text", data="x"),
        "invalid_request_error",
        "messages.0.content.0.image.source: Input tag 'text'",
    ),
    (
        inline(jpeg(), "image/png"),
        "invalid_request_error",
        "0.image.source.base64: The image was specified using the image/png media type, but the image appears",
    ),
    (
        inline(png(), "image/bmp"),
        "invalid_request_error",
        "base64.media_type: Input should be 'image/jpeg', 'image/png'",
    ),
    (inline(b"no image", "image/png"), "invalid_request_error", "Could not process image"),
    (image_source(type="base64", media_type="image/png", data="%"), "invalid_request_error", "Invalid base64 data"),
    (inline(png(8001, 10), "image/png"), "invalid_request_error", "exceed max allowed size: 8000 pixels"),
    (
        inline(png() + b"\x00" * 4_000_000, "image/png"),
        "invalid_request_error",
        "messages.0.content.0.image.source.base64: image exceeds 5 MB maximum: 5333420 bytes > 5242880 bytes",
    ),
    (inline(png(), "application/pdf", "document"), "invalid_request_error", "The PDF specified was not valid"),
    (inline(PDF, "image/png", "document"), "invalid_request_error", "media_type: Input should be 'application/pdf'"),
]


def test_bad_images_and_documents_are_refused_by_messages_and_count_tokens_and_err_in_a_batch(client):
    batch = run(client, [{"custom_id": f"r{i}", "params": asking(block)} for i, (block, _, _) in enumerate(BAD_BLOCKS)])
    rows = results(client, batch.id)
    for i, (block, kind, text) in enumerate(BAD_BLOCKS):
        error = rows[f"r{i}"].error.error
        assert (error.type, text in error.message) == (kind, True), (text, error)
        asked = asking(block)
        with pytest.raises(anthropic.APIStatusError) as refused:
            client.messages.create(**asked)
        assert refused.value.body["error"]["message"] == error.message
        assert refused.value.status_code == (404 if kind == "not_found_error" else 400)
        with pytest.raises(anthropic.APIStatusError):
            client.messages.count_tokens(model=MODEL, messages=asked["messages"])


@pytest.mark.parametrize(
    ("upload", "kind", "text"),
    [
        (("a.pdf", PDF, "application/pdf"), "image", "has the media type application/pdf"),
        (("a.png", png(), "image/png"), "document", "has the media type image/png"),
        (("a.csv", b"a,b", "text/csv"), "document", "has the media type text/csv"),
        (("a.png", b"no image", "image/png"), "image", "Could not process image"),
        (("a.pdf", b"no pdf", "application/pdf"), "document", "The PDF specified was not valid"),
    ],
)
def test_a_file_must_fit_the_block_that_names_it(client, upload, kind, text):
    file = client.files.upload(file=upload)
    with pytest.raises(anthropic.BadRequestError, match=text):
        client.messages.create(**asking(by_id(file.id, kind)))


def test_a_file_deleted_before_a_batch_ends_makes_its_row_err():
    clock = ShiftedClock()
    with Simulator(delay=(60.0, 60.0), clock=clock) as simulator, sdk(simulator) as client:
        kept, lost = (client.files.upload(file=("a.png", png(), "image/png")).id for _ in range(2))
        wanted = [{"custom_id": name, "params": asking(by_id(name))} for name in (kept, lost)]
        batch = client.messages.batches.create(requests=wanted)
        client.files.delete(lost)
        clock.shift = 61
        assert ended(client, batch.id).request_counts.errored == 1
        rows = results(client, batch.id)
        assert rows[lost].error.error.type == "not_found_error"
        assert rows[kept].message.usage.input_tokens > 400


def test_many_images_must_be_smaller_and_too_many_are_refused(client):
    large = inline(png(2001, 20), "image/png")
    assert client.messages.create(**asking(*[large] * 20)).usage.input_tokens
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(**asking(*[large] * 21))
    details = refused.value.body["error"]["details"]
    assert (details["error_code"], details["max_side_length_pixels"]) == ("image_dimensions_too_large", 2000)
    assert details["paths"] == [f"messages.0.content.{i}" for i in range(21)]
    small = inline(png(10, 10), "image/png")
    with pytest.raises(anthropic.BadRequestError, match="Too much media: 0 document pages \\+ 101 images > 100"):
        client.messages.create(**asking(*[small] * 101))
    assert client.messages.create(**asking(*[small] * 101, model="claude-opus-5-5")).usage.input_tokens


# --- the parser ------------------------------------------------------------------------------------------------------


def form(boundary, data, filename):
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="expires_in_seconds"\r\n\r\n3600\r\n'.encode()
        + f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'.encode()
        + b"Content-Type: image/png\r\n\r\n"
        + data
        + f"\r\n--{boundary}--\r\n".encode()
    )


@given(
    data=st.lists(st.sampled_from([b"\r\n", b"--", b"b", b"\r\n--", b"-", b"\r", b"\n", b"x" * 50])).map(b"".join),
    cuts=st.lists(st.integers(0, 400)),
    filename=st.sampled_from(["a.png", "사진.png", "a b;c.png", ""]),
)
def test_a_form_is_read_the_same_however_it_is_cut(data, cuts, filename):
    boundary = "bound"
    data = data.replace(b"\r\n--bound", b"")
    body, sink = form(boundary, data, filename), io.BytesIO()
    parser = Parser(f"multipart/form-data; boundary={boundary}", sink)
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    for start, end in pairwise(places):
        parser.feed(body[start:end])
    parser.close()
    assert sink.getvalue() == data
    assert (parser.fields, parser.filename, parser.media_type) == (
        {"expires_in_seconds": "3600"},
        filename,
        "image/png",
    )


@given(st.binary(max_size=200), st.booleans())
def test_whatever_comes_is_read_or_refused_in_the_api_s_terms(data, opened):
    parser = Parser("multipart/form-data; boundary=b", io.BytesIO())
    with suppress(ApiError):
        parser.feed((b"--b\r\n" if opened else b"") + data)
        parser.close()
