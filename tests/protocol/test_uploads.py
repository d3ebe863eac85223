"""Images and PDFs from frame to answer: what is uploaded, how often, and what happens when something goes wrong."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from media_samples import pdf, png
from pace import QUICK, paced

import batchnb
from batchnb import InputError, Job, Workspace
from batchnb.protocol.uploads import with_ids
from batchnb.questions.media_sources import INLINE_LIMIT
from batchnb.sim import Fault, Limits, Simulator

SECONDS = 60

LARGE = png(1, padding=INLINE_LIMIT)


@pytest.fixture
def asked() -> list[Any]:
    """The content of the messages the simulator was sent, in no order."""
    return []


@pytest.fixture
def simulator(tmp_path: Path, asked: list[Any]) -> Iterator[Simulator]:
    """A simulator that notes what it is asked, and repeats the text."""

    def answer(params: dict[str, Any]) -> str:
        content = params["messages"][-1]["content"]
        asked.append(content)
        if isinstance(content, str):
            return content
        return next((block["text"] for block in content if block["type"] == "text"), "-")

    with Simulator(tmp_path / "simulator", delay=(0.01, 0.02), responder=answer, seed=1) as running:
        yield running


@pytest.fixture
def open_workspace(open_workspace: Callable[..., Workspace]) -> Callable[..., Workspace]:
    """Open workspaces whose waits are short."""
    return lambda simulator, **options: paced(open_workspace(simulator, **options), **QUICK)


def ask(workspace: Workspace, frame: pd.DataFrame, template: Any = "{q}", **options: Any) -> Job:
    column = options.pop("column", "q")
    return frame.batch.submit(column, template, into="said", workspace=workspace, progress=False, **options)


def answered(job: Job) -> pd.DataFrame:
    frame = job.result(SECONDS)
    assert frame["said_status"].value_counts().to_dict() == {"succeeded": len(frame)}, frame["said_error"].tolist()
    assert frame["said"].tolist() == frame["q"].tolist()
    return frame


def calls(simulator: Simulator, method: str, path: str) -> int:
    return sum(one.method == method and one.path.startswith(path) for one in simulator.calls)


def uploads(simulator: Simulator) -> int:
    return calls(simulator, "POST", "/v1/files")


def creates(simulator: Simulator) -> int:
    return sum(one.method == "POST" and one.path == "/v1/messages/batches" for one in simulator.calls)


def spooled(workspace: Workspace) -> list[Path]:
    return [path for path in (workspace.home / "files").rglob("*") if path.is_file()]


def questions(count: int, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"q": [f"Question {number}" for number in range(count)], **columns})


# Once


def test_one_image_of_many_rows_is_uploaded_once(simulator, workspace, asked, tmp_path):
    (tmp_path / "photo.png").write_bytes(LARGE)
    job = ask(workspace, questions(5000, photo="photo.png"), images="photo", files_from=tmp_path)
    frame = answered(job)
    assert uploads(simulator) == 1
    (source,) = {json.dumps(block["source"], sort_keys=True) for content in asked for block in content[:-1]}
    assert "file_id" in source
    assert max(record.bytes for record in workspace.session.ledger.batches.of_job(job._number)) < 1_000_000
    assert workspace.session.ledger.path.stat().st_size < 20_000_000
    assert spooled(workspace) == []
    assert (workspace.home / "files").stat().st_mode & 0o777 == 0o700
    # Another order, other paths, another index: the content is what counts.
    (tmp_path / "elsewhere.png").write_bytes(LARGE)
    moved = frame[["q", "photo"]].iloc[::-1].assign(photo=str(tmp_path / "elsewhere.png"))
    assert job.merge(moved)["said"].tolist() == moved["q"].tolist()


def test_a_pdf_asked_many_times_is_uploaded_once_and_comes_first(simulator, workspace, asked, tmp_path):
    (tmp_path / "contract.pdf").write_bytes(pdf("All rows' own"))
    frame = questions(300)
    answered(ask(workspace, frame, documents=[tmp_path / "contract.pdf"]))
    assert uploads(simulator) == 1
    assert all([block["type"] for block in content] == ["document", "text"] for content in asked)
    before = len(simulator.calls)
    answered(ask(workspace, questions(310), documents=[tmp_path / "contract.pdf"]))
    assert uploads(simulator) == 1
    assert len(asked) == 310
    assert all(call.method == "GET" or "files" not in call.path for call in simulator.calls[before:])


def test_the_next_kernel_and_the_next_job_upload_nothing(simulator, workspace, open_workspace, tmp_path):
    (tmp_path / "contract.pdf").write_bytes(pdf())
    answered(ask(workspace, questions(3), documents=str(tmp_path / "contract.pdf")))
    workspace.close()
    other = open_workspace(simulator)
    answered(ask(other, questions(5), documents=pdf()))
    assert uploads(simulator) == 1


def test_a_small_file_of_one_row_travels_with_it(simulator, workspace, asked):
    images = [png(seed) for seed in range(5)]
    job = ask(workspace, questions(5, photo=images), images="photo")
    answered(job)
    assert uploads(simulator) == 0
    sent = {base64.b64decode(content[0]["source"]["data"]) for content in asked}
    assert sent == set(images)
    assert not (workspace.home / "files").exists()


def test_rows_of_each_kind(simulator, workspace, asked):
    small, large, twice = png(1), LARGE, png(2)
    photos = [small, large, twice, twice, None, [twice, small], "https://example.com/a.png"]
    frame = ask(workspace, questions(7, photo=photos), images="photo").result(SECONDS)
    # Of those asked more than once or large, none stands in a request; the one without is skipped.
    assert frame["said_status"].tolist()[4] == "skipped"
    assert frame["said_error"].tolist()[4] == "missing value in 'photo'"
    assert uploads(simulator) == 3
    kinds = Counter(block["source"]["type"] for content in asked for block in content if block["type"] == "image")
    assert kinds == {"file": 6, "url": 1}


def test_many_small_files_of_one_row_are_uploaded_all_the_same(simulator, workspace, asked):
    photos = [png(seed, padding=INLINE_LIMIT // 2) for seed in range(8)]
    answered(ask(workspace, questions(2, photo=[photos[:1], photos[1:]]), images="photo"))
    kinds = Counter(block["source"]["type"] for content in asked for block in content if block["type"] == "image")
    assert kinds == {"base64": 1, "file": 7}
    assert uploads(simulator) == 7


def test_an_image_alone_needs_no_text(simulator, workspace, asked):
    frame = pd.DataFrame({"photo": [png(1), png(2)]})
    for into, template in (("x", None), ("y", "What is shown?")):
        job = frame.batch.submit("photo", template, images="photo", into=into, workspace=workspace, progress=False)
        assert job.result(SECONDS)[f"{into}_status"].tolist() == ["succeeded"] * 2
    assert sorted(len(content) for content in asked) == [1, 1, 2, 2]


def test_without_an_image_a_row_is_sent_if_asked_to(simulator, workspace, asked):
    ask(workspace, questions(2, photo=[png(), None]), images="photo", missing="send").result(SECONDS)
    assert sorted(len(content) for content in asked) == [1, 2]


def test_pillow_images_and_functions(simulator, workspace, asked):
    from PIL import Image

    picture = Image.new("RGB", (4, 4), "red")
    answered(ask(workspace, questions(3, photo=[picture] * 3), lambda row: row["q"], images="photo"))
    answered(ask(workspace, questions(3, photo=[picture] * 3), images="photo"))  # which asks the same
    assert len(asked) == 3
    assert uploads(simulator) == 1
    with pytest.raises(InputError, match=r"Row 0.*text or content blocks.*Nothing was sent"):
        ask(workspace, questions(1, photo=[picture]), lambda row: {"messages": []}, images="photo")


def test_plain_text_asks_the_ledger_one_thing_more_and_the_server_nothing(simulator, workspace):
    job = frame_job(workspace)
    job.result(SECONDS)
    assert not [call for call in simulator.calls if "files" in call.path]
    assert not workspace.session.ledger.files.are_named()


def frame_job(workspace: Workspace) -> Job:
    frame = questions(3)
    return frame.batch.submit("q", lambda row: [{"type": "text", "text": row["q"]}], into="said", workspace=workspace,
                              progress=False)  # fmt: skip


# When it goes wrong


def test_refusals_that_pass_and_lost_answers_are_waited_for(simulator, workspace):
    for after, fault in enumerate(("overloaded", "rate_limited", "lost_answer", "api_error")):
        simulator.faults.add(Fault(fault, on="upload", after=after))
    answered(ask(workspace, questions(3), documents=pdf()))
    assert uploads(simulator) == 5


def test_a_refused_file_fails_the_rows_that_need_it_and_no_others(simulator, workspace, asked):
    simulator.faults.add(Fault("error", on="upload", error_type="permission_error"))
    frame = questions(6, document=[pdf("a")] * 3 + [pdf("b")] * 3)
    job = ask(workspace, frame, documents="document")
    out = job.result(SECONDS)
    assert out["said_status"].tolist() == ["errored"] * 3 + ["succeeded"] * 3
    assert "The file 'this document'" in out["said_error"].iloc[0]
    answered(ask(workspace, frame, documents="document"))
    assert len(asked) == 6


def test_no_room_on_the_server_is_said_and_is_no_fault_of_the_rows(tmp_path, open_workspace):
    with Simulator(tmp_path / "full", delay=(0.01, 0.02), limits=Limits(storage_bytes=10)) as simulator:
        workspace = open_workspace(simulator)
        job = ask(workspace, questions(2), documents=pdf())
        assert job.result(SECONDS)["said_status"].tolist() == ["errored"] * 2
        errors = job.errors()
        assert set(errors["type"]) == {"storage_quota_exceeded"}
        assert errors["retryable"].all()


def test_a_file_that_expires_soon_is_uploaded_again(simulator, workspace):
    answered(ask(workspace, questions(2), documents=pdf()))
    with workspace.session.ledger.files._store.transaction() as db:
        db.execute("UPDATE files SET expires_at = uploaded_at + 24 * 3600")
    answered(ask(workspace, questions(2), documents=pdf()))  # all is answered
    assert uploads(simulator) == 1
    answered(ask(workspace, questions(3), documents=pdf()))
    assert uploads(simulator) == 2


def delete_all(workspace: Workspace) -> None:
    for info in list(workspace.session.api.list_files()):
        workspace.session.api.delete_file(info.id)


def test_a_file_deleted_behind_our_back_is_uploaded_again_by_the_cell(simulator, workspace, asked):
    answered(ask(workspace, questions(2), documents=pdf()))
    delete_all(workspace)
    job = ask(workspace, questions(4), documents=pdf())
    out = job.result(SECONDS)
    assert out["said_status"].tolist() == ["succeeded"] * 2 + ["errored"] * 2
    # The frame's bytes are not at hand for this one:
    assert job.retry(all=True) == 2
    out = job.result(SECONDS)
    assert out["said_error"].iloc[3].startswith("file_missing") or "not at hand" in out["said_error"].iloc[3]
    # But for the cell:
    answered(ask(workspace, questions(4), documents=pdf()))
    assert uploads(simulator) == 2
    assert len(asked) == 4


def test_a_file_that_changes_while_the_rows_are_read_sends_nothing(simulator, workspace, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(1))
    frame = questions(2, photo=str(path))

    def disturb(row: Any) -> str:
        path.write_bytes(png(padding=int(row["q"][-1])))
        return row["q"]

    with pytest.raises(InputError, match=r"changed.*Nothing was sent"):
        ask(workspace, frame, disturb, images="photo", files_from=tmp_path)
    assert creates(simulator) == 0


def test_another_process_that_is_uploading_is_waited_for(simulator, workspace, open_workspace, monkeypatch):
    other = open_workspace(simulator)
    monkeypatch.setattr(type(workspace.session), "watch", lambda self, number: None)
    ask(workspace, questions(2), documents=pdf())
    monkeypatch.undo()
    file = workspace.session.watcher._submission.uploads.next(1, 10)
    assert file is not None
    assert other.session.watcher._submission.uploads.take(file)
    assert not workspace.session.watcher._submission.uploads.take(file)
    other.close()  # as if it had died: its lock is free
    answered(ask(workspace, questions(2), documents=pdf()))
    assert uploads(simulator) == 1


def test_an_upload_that_fails_is_left_to_others_and_done_once_for_all_threads(
    simulator, workspace, open_workspace, monkeypatch
):
    other = open_workspace(simulator)
    monkeypatch.setattr(type(workspace.session), "watch", lambda self, number: None)
    ask(workspace, questions(2), documents=pdf())
    ours, theirs = (one.session.watcher._submission.uploads for one in (workspace, other))
    file = ours.next(1, 10)
    assert file is not None
    simulator.faults.add(Fault("overloaded", on="upload"))
    assert ours.take(file)
    with pytest.raises(batchnb.RefusedError):
        ours.upload(file)
    assert theirs.take(file)
    for _ in range(2):  # as a pilot and a job do that have both found it missing
        theirs.upload(file)
    assert uploads(simulator) == 2


def test_bytes_that_a_dead_process_left_are_swept_away(workspace):
    answered(ask(workspace, questions(1, photo=[LARGE]), images="photo"))
    spool = workspace.session.ledger.files.spool
    old, new = "0" * 64, "1" * 64
    for name in (old, new):
        spool.put(name, b"x")
    os.utime(spool.path(old), (0, 0))
    answered(ask(workspace, questions(2), documents=pdf()))
    assert [path.name for path in spooled(workspace)] == [new]


def test_a_file_forgotten_while_its_batch_is_put_together_is_waited_for():
    content = b'{"file_id":"batchnb:image/png:' + b"0" * 64 + b'","type":"file"}'
    with pytest.raises(batchnb.RefusedError) as caught:
        list(with_ids([("", b"", b"", content, b"")], {"0" * 64: None}))
    assert batchnb.protocol.submission.waiting_helps(caught.value)


CELL = """
import os, signal, sys
import pandas as pd
import batchnb
from batchnb.api.client import Api
from batchnb.api.addresses import simulator_client
from batchnb.ledger.files import Files

url, home, document = sys.argv[1:]
workspace = batchnb.Workspace(simulator_client(url), home=home, max_poll=0.05)
frame = pd.DataFrame({{"q": [f"Question {{i}}" for i in range(6)]}})

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

{extra}
job = frame.batch.submit("q", "{{q}}", documents=document, into="said", workspace=workspace, progress=False)
job.result(60)
"""


@pytest.mark.parametrize(("where", "uploaded"), [("Files.uploaded", 2), ("Api.create_batch", 1)])
def test_killed_around_the_upload_it_goes_on(
    simulator: Simulator, open_workspace: Callable[..., Workspace], tmp_path: Path, monkeypatch, where: str,
    uploaded: int,
):  # fmt: skip
    monkeypatch.setenv("BATCHNB_RECONCILE_GRACE", "0")
    document = tmp_path / "contract.pdf"
    document.write_bytes(pdf())
    command = [sys.executable, "-c", CELL.format(extra=f"{where} = die"), simulator.url, str(tmp_path / "home")]
    done = subprocess.run([*command, str(document)], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == -signal.SIGKILL, done.stderr
    document.unlink()  # what is recorded goes on without it
    workspace = open_workspace(simulator)
    (record,) = workspace.session.ledger.jobs.all()
    out = workspace.attach(record.id).result(SECONDS)
    assert out["said_status"].tolist() == ["succeeded"] * 6
    assert uploads(simulator) == uploaded
    assert creates(simulator) == 1
    assert spooled(workspace) == []


# Errors before anything is sent


@pytest.mark.parametrize(
    ("photos", "options", "said"),
    [
        (["nowhere.png"], {"images": "photo"}, r"Row 0: 'nowhere.png': there is no such file \(looked for in"),
        ([png(), pdf()], {"images": "photo"}, "Row 1: this image is of type application/pdf: give it as documents="),
        ([b"\0\0\0\x18ftypheic"], {"images": "photo"}, "Row 0: this image looks like HEIC"),
        ([3], {"images": "photo"}, "Row 0: int is neither a path, an address"),
        ([png()], {"images": "foto"}, "no column 'foto'. Did you mean 'photo'"),
        ([png()], {"documents": "contract.pdf"}, "'contract.pdf' is neither a column of the frame nor a file"),
        ([png()], {"documents": [png()]}, "documents= this document is of type image/png: give it as images="),
        ([None], {"images": "photo", "missing": "raise"}, "Row 0: missing value in 'photo'"),
    ],
)
def test_what_cannot_be_sent_is_said_with_its_row(simulator, workspace, photos, options, said):
    with pytest.raises(InputError, match=rf"{said}.*Nothing was sent"):
        ask(workspace, questions(len(photos), photo=photos), **options)
    assert creates(simulator) == uploads(simulator) == 0


# Elsewhere


def test_a_frame_without_the_files_has_na_where_they_are_missing(workspace, tmp_path):
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(png(number))
    frame = questions(3, photo=[str(path) for path in paths])
    job = ask(workspace, frame, images="photo", files_from=tmp_path)
    answered(job)
    paths[1].unlink()
    out = frame.batch.join(job)
    assert out["said"].isna().tolist() == [False, True, False]
    assert out["said_status"].isna().tolist() == [False, True, False]


def test_a_preview_names_files_and_uploads_nothing(simulator, workspace, tmp_path):
    (tmp_path / "photo.png").write_bytes(png())
    shown = questions(2, photo=str(tmp_path / "photo.png")).batch.preview(
        "q", "{q}", images="photo", documents=[pdf(), pdf("b") + b"%" * 4_100_000], files_from=tmp_path,
        workspace=workspace,
    )  # fmt: skip
    text = repr(shown)
    assert "[image photo.png (" in text
    assert "[document this document (" in text
    assert "too large to be counted, so estimated: this document (4.1 MB)" in text
    assert "data" not in shown.preview.rows[0].request_json
    assert uploads(simulator) == 0
    assert shown.preview.input_tokens


def test_a_changed_column_of_images_is_a_changed_recipe(workspace):
    frame = questions(2, photo=[png(1), png(2)], other=[png(3), png(4)])
    answered(ask(workspace, frame, images="photo"))
    with pytest.warns(batchnb.RecipeChangedWarning, match="images"):
        answered(ask(workspace, frame, images="other"))


# The list of files on the server


def test_files_are_listed_and_deleted(simulator, workspace, asked):
    answered(ask(workspace, questions(3), documents=pdf()))
    table = batchnb.files(workspace)
    frame = table.to_frame()
    assert frame[["name", "type", "known", "requests", "needed"]].values.tolist() == [
        ["this document", "application/pdf", True, 3, 0]
    ]
    assert "this document" in repr(table)
    assert "this document" in table._repr_html_()
    assert table.delete("unused") == 1
    assert len(table) == 0
    assert "no files" in repr(table)
    answered(ask(workspace, questions(4), documents=pdf()))
    assert uploads(simulator) == 2
    assert len(asked) == 4


def test_a_file_that_is_needed_is_not_deleted_unless_told_so(tmp_path, open_workspace):
    with Simulator(tmp_path / "slow", delay=(600, 600)) as simulator:
        workspace = open_workspace(simulator)
        job = ask(workspace, questions(2), documents=pdf())
        while not workspace.session.ledger.batches.of_job(job._number) or job.status == "submitting":
            job.wait(0.02)
        table = batchnb.files(workspace)
        (file_id,) = table.to_frame()["id"]
        assert table.delete("unused") == 0
        with pytest.raises(batchnb.JobStateError, match=r"needed by 2 requests.*Nothing was deleted"):
            table.delete(file_id)
        assert table.delete([file_id, "file_of_somebody_else", "../messages/batches"], force=True) == 1


def test_deleting_a_job_lets_its_waiting_bytes_go(tmp_path, open_workspace):
    with Simulator(tmp_path / "down", delay=(0.01, 0.02), faults=[Fault("overloaded", on="upload", times=-1)]) as sim:
        workspace = open_workspace(sim)
        job = ask(workspace, questions(2), documents=pdf())
        assert len(spooled(workspace)) == 1
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in spooled(workspace))
        job.cancel()
        job.wait(SECONDS)
        job.delete()
        assert spooled(workspace) == []


# Together with what else a row may ask


def test_examples_may_have_images_of_their_own(simulator, workspace, asked):
    frame = questions(3, photo=[png(1), png(2), png(3)])
    examples = [({"q": "Which?", "photo": LARGE}, "A large one"), ({"q": "And without?"}, "None")]
    answered(ask(workspace, frame, images="photo", examples=examples))
    assert uploads(simulator) == 1  # for all rows have the example's before them
    assert all([block["type"] for block in content] == ["image", "text"] for content in asked)
    before = workspace.session.ledger.jobs.all()[0].recipe.turns
    assert [block["type"] for block in before[0]["content"]] == ["image", "text"]
    assert before[2]["content"] == "And without?"


def test_a_document_stands_in_the_last_of_several_messages(simulator, workspace, asked):
    template = [
        {"role": "user", "content": "I ask about {q}."},
        {"role": "assistant", "content": "Go on."},
        {"role": "user", "content": "{q}"},
    ]
    answered(ask(workspace, questions(3), template, documents=pdf()))
    assert all([block["type"] for block in content] == ["document", "text"] for content in asked)
    assert uploads(simulator) == 1


def test_rows_with_params_of_their_own_have_images_too(simulator, workspace, asked):
    frame = questions(4, photo=[LARGE] * 4)
    answered(ask(workspace, frame, images="photo", documents=pdf(), params=lambda row: {"max_tokens": 100}))
    assert all([block["type"] for block in content] == ["document", "image", "text"] for content in asked)
    assert uploads(simulator) == 2


def test_a_large_document_for_all_rows_is_cached(workspace, asked):
    job = ask(workspace, questions(40), documents=pdf(pages=20) + b"%" * 2_000_000)
    answered(job)
    assert job._record.delivery.cache is not None, job._record.delivery.cache_why
    assert all("cache_control" in content[0] for content in asked)


def test_an_estimate_counts_files_and_uploads_none(simulator, workspace):
    documents = [pdf(str(number), pages=3) for number in range(6)]
    plain = questions(6).batch.estimate("q", "{q}", workspace=workspace)
    estimate = questions(6, contract=documents).batch.estimate("q", "{q}", documents="contract", workspace=workspace)
    assert estimate.input_tokens.expected - plain.input_tokens.expected >= 6 * 3 * 1_500
    large = [document + b"%" * INLINE_LIMIT for document in documents]
    estimate = questions(6, contract=large).batch.estimate("q", "{q}", documents="contract", workspace=workspace)
    assert estimate.input_tokens.expected - plain.input_tokens.expected >= 6 * 3 * 4_600
    assert uploads(simulator) == 0


def test_max_cost_knows_what_files_cost(simulator, workspace):
    frame = questions(6, contract=[pdf(str(number), pages=90) for number in range(6)])
    with pytest.raises(InputError, match=r"max_cost=0\.02"):
        ask(workspace, frame, documents="contract", max_cost=0.02)
    answered(ask(workspace, frame, documents="contract", max_cost=2))
    assert uploads(simulator) == 0


def test_an_export_names_files_as_the_server_does_and_says_what_they_are(workspace, tmp_path):
    (tmp_path / "contract.pdf").write_bytes(pdf())
    job = ask(workspace, questions(2), documents=tmp_path / "contract.pdf")
    answered(job)
    job.export(tmp_path / "said.jsonl")
    recipe = json.loads((tmp_path / "said.recipe.json").read_text())
    (attached,) = recipe["attachments"]
    assert (attached["name"], attached["media_type"]) == ("contract.pdf", "application/pdf")
    lines = [json.loads(line) for line in (tmp_path / "said.requests.jsonl").read_text().splitlines()]
    sources = [line["params"]["messages"][0]["content"][0]["source"] for line in lines]
    assert sources == [{"type": "file", "file_id": attached["server_id"]}] * 2
    assert attached["server_id"].startswith("file_")
