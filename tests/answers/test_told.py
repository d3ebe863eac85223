"""What a server tells of its answers besides their text: why it refused, what it thought, how it spelled a label."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from independent import message

if TYPE_CHECKING:
    from bench import Bench

pytest_plugins = ["bench_fixtures"]

SECONDS = 30
FRAME = pd.DataFrame({"text": ["plain", "thought", "loud", "refused", "refused early"]})


def answer(params: dict[str, Any]) -> dict[str, Any]:
    said = message(params, json.dumps({"label": "Good"}))
    match params["messages"][-1]["content"]:
        case "thought":
            said["content"].insert(0, {"type": "thinking", "thinking": "", "signature": "c2ln"})
            said["usage"] |= {"output_tokens": 105, "output_tokens_details": {"thinking_tokens": 100}}
        case "loud":
            said["content"][0]["text"] = '{"label":"GOOD"}'
        case "refused":
            said |= {"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": "cyber"}}
        case "refused early":
            said |= {"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": None}, "content": []}
    return {"type": "succeeded", "message": said}


@pytest.fixture
def job(bench: Bench):
    bench.server.result = answer
    job = FRAME.batch.submit(
        "text", labels=["Good", "bad"], into="tone", model="claude-haiku-4-5", workspace=bench.workspace,
        progress=False,
    )  # fmt: skip
    job.wait(SECONDS)
    return job


def test_details_tell_why_it_refused_what_it_thought_and_how_it_spelled(job):
    told = job.result(details=True)
    assert told["tone"].tolist()[:3] == ["Good"] * 3
    assert told["tone_spelled"].dropna().to_dict() == {2: '{"label":"GOOD"}'}
    assert told["tone_refusal"].dropna().to_dict() == {3: "cyber"}
    assert told["tone_thinking_tokens"].dropna().to_dict() == {1: 100}
    assert str(told["tone_thinking_tokens"].dtype) == "Int64"


def test_errors_name_the_category_of_a_refusal(job):
    errors = job.errors()
    assert errors["row"].tolist() == [3, 4]
    assert errors["type"].tolist() == ["refusal", "refusal"]
    assert errors["category"].tolist()[0] == "cyber"
    assert errors["category"].isna().tolist() == [False, True]
    assert errors["message"].tolist() == ["the model refused to answer (cyber)", "the model refused to answer"]


def test_what_is_refused_before_anything_is_written_costs_nothing_in_any_figure(job):
    # 10 tokens in, 5 out, at half of $1 and $5 a million.
    each, thought = (10 * 1 + 5 * 5) / 2e6, (10 * 1 + 105 * 5) / 2e6
    assert job.cost == pytest.approx(3 * each + thought)
    assert (job.usage.input_tokens, job.usage.output_tokens) == (40, 120)
    costs = job.result(details=True)["tone_cost"]
    assert costs.sum() == pytest.approx(job.cost)
    assert costs[4] == 0
