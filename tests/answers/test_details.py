"""Where each answer is from and what it cost: columns on request, each row's own, and gone again without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from batchnb import InputError, Workspace
from batchnb.answers.details import DETAILS, detail_names
from batchnb.answers.records import Origin
from batchnb.costs.prices import Usage, load_prices
from batchnb.questions.replies.base import TextReply
from batchnb.sim import Fault

SECONDS = 30
NAMES = list(detail_names("echo"))


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"text": ["one", "two two", None, "one", "three three three"]})


@pytest.fixture
def submit(workspace: Workspace, frame: pd.DataFrame) -> Callable[..., Any]:
    def send(of: pd.DataFrame | None = None, **options: Any):
        options = {"into": "echo", "workspace": workspace, "progress": False, **options}
        return (frame if of is None else of).batch.submit("text", "Echo: {text}", **options)

    return send


def test_each_answer_tells_where_it_is_from(submit, workspace):
    job = submit()
    plain = job.result(SECONDS)
    assert not set(NAMES) & set(plain.columns)
    told = job.result(details=True)
    assert list(told.columns) == [*plain.columns, *NAMES]
    assert told.index.equals(plain.index)
    assert told["echo_model"].dropna().unique().tolist() == ["claude-haiku-4-5-20251001"]
    assert told["echo_batch_id"].dropna().unique().tolist() == job.batches["id"].tolist()
    assert told["echo_stop_reason"].dropna().unique().tolist() == ["end_turn"]
    assert told["echo_answered_at"].dropna().unique().tolist() == job.batches["ended_at"].tolist()
    assert told["echo_message_id"].str.startswith("msg_").sum() == 4
    first = told.iloc[0]
    assert first[NAMES].to_list() == told.iloc[3][NAMES].to_list()  # equal rows share one answer
    assert told.loc[2, NAMES].isna().all()
    dtypes = {name: str(told[f"echo_{name}"].dtype) for name in DETAILS}
    assert dtypes == {
        **dict.fromkeys(
            ("model", "message_id", "batch_id", "request", "stop_reason", "refusal", "spelled"), "string"
        ),
        **{name: "Int64" for name in DETAILS if name.endswith("_tokens")},
        "cost": "Float64", "answered_at": "datetime64[us, UTC]",
    }  # fmt: skip
    once = told.drop_duplicates("echo_request")
    assert once["echo_cost"].sum() == pytest.approx(job.cost)
    assert once["echo_input_tokens"].sum() == job.usage.input_tokens
    assert once["echo_output_tokens"].sum() == job.usage.output_tokens


def test_the_request_is_the_digest_that_custom_ids_carry(submit, simulator):
    told = submit().result(SECONDS, details=True)
    sent = {recorded.custom_id.rpartition("-")[2] for recorded in simulator.record()}
    assert set(told["echo_request"].dropna()) == sent


def test_a_pilots_answers_are_told_with_the_full_price_and_no_batch(submit, workspace, frame):
    taken = frame.batch.pilot("text", "Echo: {text}", 1, into="echo", workspace=workspace)
    told = submit().result(SECONDS, details=True)
    asked = told[told["echo_request"] == taken.job.to_frame(details=True)["echo_request"].item()].iloc[0]
    assert pd.isna(asked["echo_batch_id"])
    assert asked["echo_cost"] == pytest.approx(taken.cost)
    assert asked["echo_answered_at"].tzname() == "UTC"
    assert told["echo_batch_id"].notna().any()


def test_submit_told_to_gives_them_everywhere(submit, frame):
    job = submit(details=True)
    assert set(NAMES) < set(asyncio.run(_awaited(job)).columns)
    assert set(NAMES) < set(job.merge(frame).columns)
    assert set(NAMES) < set(frame.batch.join(job).columns)
    assert not set(NAMES) & set(job.to_frame(details=False).columns)
    assert submit().id == job.id  # no part of what is asked
    assert submit().details is False


async def _awaited(job: Any) -> pd.DataFrame:
    return await job


def test_join_matches_them_by_content(submit, frame):
    job = submit()
    told = job.result(SECONDS, details=True)
    other = pd.DataFrame({"text": ["three three three", "never asked", "one"]}, index=list("abc"))
    joined = other.batch.join(job, details=True)
    assert joined.loc["a", NAMES].to_list() == told.loc[4, NAMES].to_list()
    assert joined.loc["b", NAMES].isna().all()
    assert joined.loc["c", NAMES].to_list() == told.loc[0, NAMES].to_list()
    assert frame["text"].batch.join(job, details=True)["echo_cost"].notna().sum() == 4


def test_a_job_without_its_frame_tells_them_too(submit, workspace):
    job = submit()
    told = job.result(SECONDS, details=True)
    attached = workspace.attach(job.id).to_frame(details=True)
    assert attached["echo_request"].tolist() == told["echo_request"].tolist()


def test_of_several_samples_they_tell_of_the_first(submit, workspace):
    job = submit(samples=3)
    told = job.result(SECONDS, details=True)
    assert submit(samples=1).result(SECONDS, details=True)["echo_request"].tolist() == told["echo_request"].tolist()


def test_what_failed_costs_nothing_and_what_waits_names_its_request(submit, simulator):
    simulator.inject(Fault("errored", share=1.0))
    told = submit(retries=0).result(SECONDS, details=True)
    assert told["echo_cost"].isna().all()
    assert told["echo_input_tokens"].isna().all()
    assert told["echo_batch_id"].notna().sum() == told["echo_answered_at"].notna().sum() == 4
    simulator.inject(Fault("slow_batch", seconds=3600))
    waiting = submit(fresh="later").result(partial=True, details=True)
    assert waiting["echo_request"].notna().sum() == 4
    assert waiting["echo_answered_at"].isna().all()


def test_running_the_cell_again_replaces_them_and_without_details_takes_them_away(submit):
    told = submit(details=True).result(SECONDS)
    again = submit(told, details=True).result(SECONDS)
    pd.testing.assert_frame_equal(again, told)
    plain = submit(told).result(SECONDS)
    assert not set(NAMES) & set(plain.columns)
    assert submit(told).result(SECONDS, details=True)["echo_cost"].notna().sum() == 4


def test_a_column_of_the_users_own_is_not_replaced(submit, frame, simulator):
    own = frame.assign(echo_cost=1)
    with pytest.raises(InputError, match=r"'echo_cost'.*Nothing was sent\."):
        submit(own, details=True)
    assert simulator.calls == []
    job = submit(own)
    assert job.result(SECONDS)["echo_cost"].tolist() == [1] * 5
    with pytest.raises(InputError, match="'echo_cost'"):
        job.result(details=True)
    with pytest.raises(InputError, match="'echo_cost'"):
        job.merge(own, details=True)
    assert job.merge(own, details=True, overwrite=True)["echo_cost"].notna().sum() == 4
    assert submit(own, details=True, overwrite=True).result(SECONDS)["echo_cost"].notna().sum() == 4


def test_a_batch_made_elsewhere_tells_all_but_its_digests(workspace, simulator):
    import anthropic

    with anthropic.Anthropic(api_key="k", base_url=simulator.url) as client:
        params = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Echo: a"}]}
        batch = client.messages.batches.create(requests=[{"custom_id": "mine", "params": params}])
    job = workspace.attach(batch.id)
    told = job.result(SECONDS, details=True)
    assert told["reply_request"].isna().all()
    assert told["reply_batch_id"].tolist() == [batch.id]
    merged = job.merge(pd.DataFrame({"id": ["mine", "other"]}), on="id", details=True)
    assert merged["reply_message_id"].notna().tolist() == [True, False]


def test_an_unknown_price_is_na():
    from batchnb.answers.details import Details

    origin = Origin("b", 1.5, False, "a-model-of-tomorrow", None, Usage(1, 2, 0, 0, 0, 1), b'{"type":"succeeded"}')
    told = Details("x", 1, {b"d" * 16: origin}, load_prices(), TextReply())
    told.add(b"d" * 16)
    told.add(None)
    arrays = told.arrays()
    assert arrays["x_cost"].isna().all()
    assert arrays["x_output_tokens"].tolist()[0] == 2
    assert arrays["x_request"].tolist()[0] == ("64" * 16)
