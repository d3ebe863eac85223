"""On models that think unless they are told not to, every row is answered: they are told, or have room to think."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from independent import errored, message, text_of

from batchnb.model_table import known_models

if TYPE_CHECKING:
    from bench import Bench

pytest_plugins = ["bench_fixtures"]

SECONDS = 30
CURRENT = [name for name, facts in known_models().items() if facts.lifecycle != "retired"]
FRAME = pd.DataFrame({"text": ["one", "two", "three"]})
SCHEMA = {
    "type": "object", "properties": {"tone": {"type": "string", "enum": ["warm", "cold"]}},
    "required": ["tone"], "additionalProperties": False,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "labels": {"labels": ["warm", "cold"]},
    "schema": {"schema": SCHEMA},
    "text": {"into": "echo"},
}
THOUGHT = 3_000


def answer(params: dict[str, Any]) -> dict[str, Any]:
    """Answer as the model does: think by default, refuse what it does not take, be cut at max_tokens."""
    facts = known_models()[params["model"]]
    kind = params.get("thinking", {}).get("type", "adaptive" if facts.thinks else "disabled")
    if facts.thinking is not None and "thinking" in params and kind not in facts.thinking:
        return errored("invalid_request_error", f"thinking.type: {kind} is not supported")
    low = params.get("output_config", {}).get("effort") == "low"
    thought = 0 if kind in ("disabled", "between_tools") else THOUGHT // (2 if low else 1)
    schema = params.get("output_config", {}).get("format", {}).get("schema")
    said = text_of(params) if schema is None else json.dumps(dict.fromkeys(schema["properties"], "warm"))
    whole = message(params, said)
    whole["usage"] |= {"output_tokens": thought + 5, "output_tokens_details": {"thinking_tokens": thought}}
    if thought:
        whole["content"].insert(0, {"type": "thinking", "thinking": "", "signature": "c2ln"})
    if thought + 5 > params["max_tokens"]:
        whole |= {"stop_reason": "max_tokens", "content": whole["content"][:1]}
    return {"type": "succeeded", "message": whole}


@pytest.fixture
def asked(bench: Bench):
    """Ask the frame, and give the job and the params that were sent."""
    bench.server.result = answer

    def ask(**options: Any):
        job = FRAME.batch.submit("text", workspace=bench.workspace, progress=False, **options)
        job.wait(SECONDS)
        return job, bench.server.batches[-1].requests[0]["params"]

    return ask


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", CURRENT)
def test_every_row_is_answered_on_every_current_model(asked, model, kind):
    job, sent = asked(model=model, **KINDS[kind])
    assert job.counts == {"succeeded": 3}
    facts = known_models()[model]
    assert sent.get("thinking", {}).get("type") in {None, *(facts.thinking or ())}
    if not facts.thinks:
        assert "thinking" not in sent
        assert "effort" not in sent.get("output_config", {})


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"thinking": "adaptive"}, {"thinking": {"type": "adaptive"}}),
        ({"params": {"thinking": {"type": "adaptive"}}}, {"thinking": {"type": "adaptive"}}),
        ({"effort": "high"}, {"thinking": None}),
        ({"max_tokens": 100}, {"max_tokens": 100, "thinking": {"type": "disabled"}}),
    ],
)
def test_what_the_user_says_is_sent_as_it_is(asked, options, sent):
    _, found = asked(model="claude-haiku-5-5", labels=["warm", "cold"], **options)
    assert {name: found.get(name) for name in sent} == sent
    assert found["output_config"].get("effort") == options.get("effort")


def test_a_text_with_little_room_beside_thinking_is_warned_of_once(bench, monkeypatch):
    monkeypatch.setattr("batchnb.planning.check._noticed", set())
    bench.server.result = answer
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for into in ("a", "b"):
            FRAME.batch.submit(
                "text", "Echo: {text}", into=into, max_tokens=50, model="claude-haiku-5-5", workspace=bench.workspace,
                progress=False, system=into,
            ).wait(SECONDS)  # fmt: skip
    assert ["of 50 there may be none left" in str(one.message) for one in caught] == [True]


def test_rows_with_a_model_of_their_own_are_told_by_that_model(bench, asked):
    models = dict(zip(FRAME["text"], ["claude-haiku-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"], strict=True))
    job, _ = asked(model="claude-haiku-4-5", labels=["warm", "cold"], params=lambda row: {"model": models[row["text"]]})
    assert job.counts == {"succeeded": 3}
    asked_for = [request["params"] for request in bench.server.batches[-1].requests]
    sent = {params["model"]: params.get("thinking") for params in asked_for}
    assert sent == {
        "claude-haiku-5-5": {"type": "disabled"}, "claude-sonnet-5-5": {"type": "between_tools"},
        "claude-haiku-4-5": None,
    }  # fmt: skip


#: Ids of jobs on models that think by default, from before they were told not to.
IDS = {"labels": "job_a0f4fa940948b773", "schema": "job_afba70d0afb100ce", "text": "job_b25c42f412dd7b17"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_for_the_model_is_no_part_of_the_question(asked, kind):
    """Jobs that were asked before keep their ids, and a finished cell run again sends nothing."""
    job, _ = asked(model="claude-sonnet-5-5", **KINDS[kind])
    assert job.id == IDS[kind]
