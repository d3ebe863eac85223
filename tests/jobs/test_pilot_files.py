"""A pilot of rows with images: small ones go with their row, others are uploaded once, before the calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from media_samples import png
from pace import QUICK, paced

from batchnb import Workspace
from batchnb.questions.media_sources import INLINE_LIMIT
from batchnb.sim import Fault, Simulator

SECONDS = 30
LARGE = png(1, padding=INLINE_LIMIT)


@pytest.fixture
def asked() -> list[Any]:
    return []


@pytest.fixture
def simulator(tmp_path: Path, asked: list[Any]):
    def answer(params: dict[str, Any]) -> str:
        content = params["messages"][-1]["content"]
        asked.append(content)
        return next((block["text"] for block in content if block["type"] == "text"), "-")

    with Simulator(tmp_path / "simulator", delay=(0.01, 0.02), responder=answer, seed=1) as running:
        yield running


@pytest.fixture
def workspace(workspace: Workspace) -> Workspace:
    return paced(workspace, **QUICK)


def frame(*pictures: bytes) -> pd.DataFrame:
    return pd.DataFrame({"q": [f"q{i}" for i in range(len(pictures))], "picture": pictures})


def pilot(workspace: Workspace, of: pd.DataFrame, **options: Any):
    return of.batch.pilot("q", "{q}", 4, into="said", images="picture", workspace=workspace, **options)


def uploads(simulator: Simulator) -> int:
    return sum((call.method, call.path) == ("POST", "/v1/files") for call in simulator.calls)


def sources(asked: list[Any]) -> set[str]:
    return {block["source"]["type"] for content in asked for block in content if block["type"] == "image"}


def test_small_pictures_go_with_their_rows_and_submit_reuses_the_answers(workspace, simulator, asked):
    pictures = frame(*(png(seed) for seed in range(6)))
    taken = pilot(workspace, pictures)
    assert taken.to_frame()["said_status"].tolist() == ["succeeded"] * 4
    assert sources(asked) == {"base64"}
    job = pictures.batch.submit("q", "{q}", into="said", images="picture", workspace=workspace, progress=False)
    assert job.result(SECONDS)["said"].tolist() == pictures["q"].tolist()
    assert len(asked) == 6


def test_a_large_picture_is_uploaded_once_for_all_calls_and_for_the_batch(workspace, simulator, asked):
    pictures = frame(*([LARGE] * 6))
    taken = pilot(workspace, pictures)
    assert taken.to_frame()["said_status"].tolist() == ["succeeded"] * 4
    assert sources(asked) == {"file"}
    job = pictures.batch.submit("q", "{q}", into="said", images="picture", workspace=workspace, progress=False)
    assert job.result(SECONDS)["said"].tolist() == pictures["q"].tolist()
    assert len(asked) == 6
    assert uploads(simulator) <= 2


@pytest.mark.parametrize("kind", ["rate_limited", "lost_answer"])
def test_an_upload_that_fails_for_now_is_made_again(workspace, simulator, asked, kind):
    simulator.inject(Fault(kind, on="upload"))
    taken = pilot(workspace, frame(*([LARGE] * 3)))
    assert taken.to_frame()["said_status"].tolist() == ["succeeded"] * 3
    assert len(asked) == 3
    assert uploads(simulator) == 2


def test_a_picture_that_the_server_does_not_take_fails_its_rows_and_nothing_is_asked(workspace, simulator, asked):
    simulator.inject(Fault("error", on="upload", error_type="permission_error", times=-1))
    taken = pilot(workspace, frame(*([LARGE] * 3)))
    assert taken.to_frame()["said_status"].tolist() == ["errored"] * 3
    assert asked == []


def test_a_picture_that_is_gone_from_the_server_is_uploaded_again_by_the_next_run(workspace, simulator):
    pictures = frame(*[LARGE] * 6)
    pilot(workspace, pictures.head(2))
    for info in list(workspace.session.api.list_files()):
        workspace.session.api.delete_file(info.id)
    assert "errored" in pilot(workspace, pictures).job.counts  # that is how it shows
    assert pilot(workspace, pictures).job.counts == {"succeeded": 4}
    assert uploads(simulator) == 2


def test_a_picture_that_has_expired_is_uploaded_again(workspace, simulator):
    pictures = frame(*[LARGE] * 6)
    pilot(workspace, pictures.head(2))
    with workspace.session.ledger.files._store.transaction() as db:
        db.execute("UPDATE files SET expires_at = uploaded_at")
    assert pilot(workspace, pictures).job.counts == {"succeeded": 4}
    assert uploads(simulator) == 2
