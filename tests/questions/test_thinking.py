"""What a call asks of each row: params by a function, thinking and effort by name, several messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st

from batchnb import InputError, Job, Workspace
from batchnb.api.addresses import simulator_client
from batchnb.api.sdk import message_fields
from batchnb.questions.params import REFUSED, shared_params
from batchnb.questions.question import read_questions
from batchnb.questions.reading import read_rows
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import TextReply
from batchnb.questions.replies.labels import LabelReply
from batchnb.sim import Simulator

SECONDS = 60
LABELS = ["positive", "negative"]


@pytest.fixture
def asked() -> list[dict[str, Any]]:
    """The params the simulator was sent, in no order."""
    return []


@pytest.fixture
def simulator(tmp_path, asked):
    """A simulator that notes what it is asked, and repeats the text; or gives the first label."""

    def answer(params: dict[str, Any]) -> str | dict[str, Any]:
        asked.append(params)
        if params.get("output_config", {}).get("format") is not None:
            return {"label": LABELS[0]}
        return str(params["messages"][-1]["content"])

    with Simulator(tmp_path / "simulator", delay=(0.01, 0.02), responder=answer, seed=1) as running:
        yield running


@pytest.fixture
def workspace(simulator, tmp_path):
    with simulator_client(simulator.url) as client:
        workspace = Workspace(client, home=tmp_path / "home", max_poll=0.05)
        yield workspace
        workspace.close()


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"review": ["good", "bad", "so so"], "stars": [5, 1, 3]}, index=["a", "b", "c"])


Submit = Callable[..., Job]


@pytest.fixture
def submit(workspace, frame) -> Submit:
    def submit_to_workspace(template: Any = "About {review}", **options: Any) -> Job:
        return frame.batch.submit("review", template, **{"workspace": workspace, "progress": False, **options})

    return submit_to_workspace


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A simulator and a workspace that no test here has anything sent by."""
    folder = tmp_path_factory.mktemp("strict")
    with Simulator(folder / "simulator", seed=1) as simulator, simulator_client(simulator.url) as client:
        workspace = Workspace(client, home=folder / "home")
        yield simulator, workspace
        workspace.close()


@pytest.fixture
def refused(strict, frame):
    """Check that a call is refused with a message, and that nothing was sent or recorded."""
    simulator, workspace = strict

    def check(said: str, template: Any = "About {review}", **options: Any) -> None:
        with pytest.raises(InputError, match=said) as raised:
            frame.batch.submit("review", template, workspace=workspace, progress=False, **options)
        assert str(raised.value).endswith("Nothing was sent."), raised.value
        assert str(raised.value).count("Nothing was sent.") == 1
        assert not any(call.path.endswith("/batches") for call in simulator.calls)
        assert len(workspace.jobs()) == 0

    return check


def by_text(asked: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {params["messages"][-1]["content"]: params for params in asked}


# Params by a function


def test_a_function_gives_each_row_params_of_its_own(submit, asked):
    def params(row):
        return None if row["stars"] == 5 else {"max_tokens": 10 + row["stars"], "system": f"Row {row.name}"}

    result = submit(params=params, into="reply", max_tokens=99, system="All").result(SECONDS)
    assert result["reply"].tolist() == ["About good", "About bad", "About so so"]
    sent = by_text(asked)
    assert [(one["max_tokens"], one["system"]) for one in map(sent.get, result["reply"])] == [
        (99, "All"), (11, "Row b"), (13, "Row c"),
    ]  # fmt: skip


def test_a_row_whose_function_gives_what_is_shared_is_the_row_without_one(submit, simulator):
    submit(system="All").result(SECONDS)
    calls = sum(call.path.endswith("/batches") for call in simulator.calls)
    job = submit(system="All", params=lambda row: {"max_tokens": 1024} if row["stars"] > 1 else {})
    assert job.result(SECONDS)["review_reply_status"].tolist() == ["succeeded"] * 3
    assert sum(call.path.endswith("/batches") for call in simulator.calls) == calls


given = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": st.integers(1, 99),
        "system": st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        "stop_sequences": st.lists(st.sampled_from("abc"), max_size=2),
        "metadata": st.just({"user_id": "u"}),
        "output_config": st.sampled_from([{}, {"effort": "low"}]),
    },
)


@settings(deadline=None)
@given_by(st.lists(st.none() | given, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_params_of_a_row_ask_what_a_template_function_that_returns_them_all_asks(rows, labels, turned):
    reply = LabelReply.of(LABELS) if labels else TextReply()
    shared = shared_params(reply, model="m", max_tokens=50, system="All.", params={})
    turns = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}) if turned else ()
    frame = pd.DataFrame({"review": [f"r{i}" for i in range(len(rows))]})
    same = {"reply": reply, "into": "x", "fields": message_fields(beta=False), "betas": (), "shared": shared}

    def whole(row):
        own = rows[row.name] or {}
        return {"messages": [{"role": "user", "content": f"About {row['review']}"}], **own}

    varied = Recipe("review", "About {review}", turns=turns, vary=lambda row: rows[row.name], **same)
    called = Recipe("review", whole, turns=turns, **same)
    assert [row.digest for row in read_rows(varied, frame)] == [row.digest for row in read_rows(called, frame)]
    envelopes = varied.envelopes()
    for question, own in zip(read_questions(varied, frame), rows, strict=True):
        params = envelopes[question.slot].params(question.content)
        assert params["messages"][:-1] == list(turns)
        assert all(params[name] == value for name, value in (own or {}).items() if name != "output_config")
        assert ("format" in params.get("output_config", {})) == labels


def test_labels_keep_their_format_whatever_a_row_gives(submit, asked):
    job = submit(labels=LABELS, params=lambda row: {"output_config": {}, "stop_sequences": [row["review"]]})
    assert job.result(SECONDS)["review_label"].tolist() == ["positive"] * 3
    assert {one["output_config"]["format"]["schema"]["properties"]["label"]["enum"][0] for one in asked} == {"positive"}


def test_a_template_function_and_a_params_function_go_together(submit, asked):
    def template(row):
        text = {"role": "user", "content": row["review"]}
        return {"messages": [text], "max_tokens": 7} if row["stars"] == 5 else [text]

    submit(template, params=lambda row: {"max_tokens": 8, "system": "s"}).result(SECONDS)
    assert {text: (one["max_tokens"], one["system"]) for text, one in by_text(asked).items()} == {
        "good": (7, "s"), "bad": (8, "s"), "so so": (8, "s"),
    }  # fmt: skip


def test_a_job_with_a_params_function_is_merged_with_it_and_not_without(submit, frame, workspace):
    def params(row):
        return {"max_tokens": 10 + row["stars"]}

    job = submit(params=params, into="reply")
    job.result(SECONDS)
    shuffled = frame.iloc[[2, 0]]
    later = workspace.attach(job.id)
    assert shuffled.batch.join(later, params=params)["reply"].tolist() == ["About so so", "About good"]
    with pytest.raises(InputError, match=r"This job's params was a function.*params="):
        later.merge(shuffled)
    text = frame["review"].batch.submit(params=lambda row: {"max_tokens": 5}, workspace=workspace, progress=False)
    text.result(SECONDS)
    assert (
        frame["review"]
        .batch.join(text, params=lambda row: {"max_tokens": 5})["review_reply_status"]
        .eq("succeeded")
        .all()
    )


def test_running_the_cell_again_sends_nothing(submit, simulator):
    for _ in range(2):
        submit(params=lambda row: {"max_tokens": 10 + row["stars"]}).result(SECONDS)
    assert sum(call.method == "POST" and call.path.endswith("/batches") for call in simulator.calls) == 1


def test_rows_that_are_skipped_are_not_asked_for_params(workspace):
    frame = pd.DataFrame({"review": ["a", None]})
    seen = []
    job = frame.batch.submit(
        "review", workspace=workspace, progress=False, params=lambda row: seen.append(row["review"])
    )
    assert job.result(SECONDS)["review_reply_status"].tolist() == ["succeeded", "skipped"]
    assert set(seen) == {"a"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *(({name: 1}, f"'{name}' is refused by the API") for name in REFUSED),
        ({"stream": True}, "'stream' is refused"),
        ({"speed": "fast"}, 'batches do not take speed="fast"'),
        ({"max_tokens": 0}, "max_tokens is a whole number of at least 1, not 0"),
        ({"max_tokens": None}, "max_tokens is a whole number"),
        ({"thinkin": {}}, "Did you mean 'thinking'"),
        ({"betas": ["x"]}, "betas are headers of a whole batch"),
        ({"output_config": "low"}, "output_config is a dict"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "fewer than max_tokens"),
        ({"metadata": {"user_id": object()}}, "cannot be written as JSON"),
    ],
)
@pytest.mark.parametrize("by", ["params", "template"])
def test_what_a_row_may_not_give_is_refused_by_name_before_anything_is_sent(refused, given, said, by):
    message = {"messages": [{"role": "user", "content": "x"}]}
    if by == "params":
        refused(rf"Row 1 \(index 'b'\): .*{said}", labels=LABELS, params=lambda row: given if row["stars"] == 1 else {})
    else:
        refused(
            rf"Row 1 \(index 'b'\): .*{said}",
            lambda row: {**message, **given} if row["stars"] == 1 else "ok",
            labels=LABELS,
        )


def test_a_params_function_gives_neither_messages_nor_anything_but_a_dict(refused):
    refused("Row 0 .*: the params function returned messages", params=lambda row: {"messages": []})
    refused("Row 0 .*: the params function returned int; it may return a dict", params=lambda row: 7)
    refused("labels= or schema= sets output_config", labels=LABELS,
            params=lambda row: {"output_config": {"format": {"type": "json_schema", "schema": {}}}})  # fmt: skip


def test_what_a_params_function_raises_says_of_which_row(submit):
    with pytest.raises(KeyError) as raised:
        submit(params=lambda row: {"max_tokens": row["star"]})
    assert "Row 0 (index 'a'): raised by the params function" in raised.value.__notes__[0]


# Thinking and effort


@pytest.mark.parametrize(
    ("thinking", "sent", "most"),
    [
        ("disabled", {"type": "disabled"}, 1024),
        (2000, {"type": "enabled", "budget_tokens": 2000}, 3024),
        ({"type": "enabled", "budget_tokens": 1024, "display": "omitted"}, None, 2048),
        ("adaptive", {"type": "adaptive"}, 1024 + 4096),
        ("between_tools", {"type": "between_tools"}, 1024),
    ],
)
def test_thinking_goes_by_name_or_number_and_leaves_the_reply_its_room(submit, asked, thinking, sent, most):
    model = {"adaptive": "claude-opus-5", "between_tools": "claude-sonnet-5-5"}.get(str(thinking))
    result = submit(thinking=thinking, model=model).result(SECONDS)
    assert {one["max_tokens"] for one in asked} == {most}
    assert all(one["thinking"] == (sent or thinking) for one in asked)
    assert result["review_reply"].tolist() == ["About good", "About bad", "About so so"]


def test_what_was_thought_is_no_part_of_the_answer(tmp_path, frame):
    with (
        Simulator(tmp_path / "thinking", delay=(0.01, 0.02), seed=1) as simulator,
        simulator_client(simulator.url) as client,
    ):
        workspace = Workspace(client, home=tmp_path / "thinking-home", max_poll=0.05)
        job = frame.batch.submit(
            "review", "Echo: {review}", labels=None, thinking=2000, into="said", workspace=workspace, progress=False
        )
        result = job.result(SECONDS)
        lines = job.export(tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
        workspace.close()
    messages = [json.loads(line)["result"]["message"]["content"] for line in lines]
    assert all([block["type"] for block in blocks] == ["thinking", "text"] for blocks in messages)
    assert sorted(result["said"]) == sorted(blocks[1]["text"] for blocks in messages)


def test_effort_goes_into_the_output_config_beside_a_format(submit, asked):
    submit(effort="xhigh", labels=LABELS, model="claude-opus-4-8", max_tokens=50).result(SECONDS)
    assert {one["output_config"]["effort"] for one in asked} == {"xhigh"}
    assert all(one["output_config"]["format"]["type"] == "json_schema" for one in asked)
    assert {one["max_tokens"] for one in asked} == {50}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"thinking": "enabled"}, "With a number of tokens, such as thinking=4096"),
        ({"thinking": True}, 'thinking= takes "adaptive", "disabled"'),
        ({"thinking": 2.5}, "not 2.5"),
        ({"thinking": 1023}, "at least 1,024 tokens, not 1023"),
        ({"thinking": 2000, "max_tokens": 2000}, r"2,000 tokens, which must be fewer than max_tokens \(2,000\)"),
        ({"thinking": {"type": "enabled"}}, "not None"),
        ({"thinking": 2000, "params": {"thinking": {"type": "disabled"}}}, "thinking is given twice"),
        ({"effort": "lots"}, "effort= takes 'low', 'medium', 'high', 'xhigh' or 'max', not 'lots'"),
        ({"effort": 3}, "not 3"),
        ({"effort": "low", "params": {"output_config": {"effort": "high"}}}, "effort is given twice"),
        ({"params": {"betas": ["output-300k-2026-03-24"]}, "max_tokens": 300_001}, "at most 300,000"),
        ({"params": 7}, "or a function of a row"),
    ],
)
def test_what_cannot_be_thought_is_refused(refused, options, said):
    refused(said, **options)


def test_interleaved_thinking_may_take_more_than_one_reply(submit, asked):
    options = {"params": {"betas": ["interleaved-thinking-2025-05-14"]}, "thinking": 2000, "max_tokens": 1500}
    assert (submit(**options).result(SECONDS)["review_reply_status"] == "errored").all()  # the simulator is strict
    assert asked == []


def test_the_names_of_efforts_and_kinds_of_thinking_are_the_sdks():
    import typing

    from anthropic.types import output_config_param, thinking_config_param

    from batchnb.questions.thinking import EFFORTS, NAMED

    effort = typing.get_type_hints(output_config_param.OutputConfigParam)["effort"]
    assert typing.get_args(typing.get_args(effort)[0]) == EFFORTS
    kinds = {
        typing.get_args(typing.get_type_hints(one)["type"])[0]
        for one in typing.get_args(thinking_config_param.ThinkingConfigParam)
    }
    assert kinds == {*NAMED, "enabled"}


# What labels mean, and tools


def test_what_labels_mean_is_said_at_the_end_of_every_system_prompt(submit, asked):
    meant = {"positive": "The writer would buy it again.", "negative": "The writer would not."}
    blocks = [{"type": "text", "text": "Be strict."}]
    own = {5: {"system": "Row a."}, 1: {"system": blocks}, 3: None}
    submit(labels=meant, system="All.", params=lambda row: own[row["stars"]]).result(SECONDS)
    sent = {text: one["system"] for text, one in by_text(asked).items()}
    said = "What the labels mean:\n- positive: The writer would buy it again.\n- negative: The writer would not."
    assert sent == {
        "About good": f"Row a.\n\n{said}",
        "About bad": [*blocks, {"type": "text", "text": said}],
        "About so so": f"All.\n\n{said}",
    }


def test_changed_meanings_are_no_change_of_the_users_system_prompt(submit):
    submit(labels={"positive": "good", "negative": None}, system="All.").result(SECONDS)
    with pytest.warns(UserWarning, match="has changed: what the labels mean") as caught:
        submit(labels={"positive": "very good", "negative": None}, system="All.").result(SECONDS)
    assert "system prompt" not in str(caught[0].message)


TOOL = {"name": "rate", "input_schema": {"type": "object", "properties": {"stars": {"type": "integer"}}}}


def test_what_a_tool_is_called_with_is_a_column_by_the_tools_name(tmp_path, frame):
    with (
        Simulator(tmp_path / "tools", delay=(0.01, 0.02), seed=1) as simulator,
        simulator_client(simulator.url) as client,
    ):
        workspace = Workspace(client, home=tmp_path / "tools-home", max_poll=0.05)
        params = {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "rate"}}
        job = frame.batch.submit("review", params=params, into="said", workspace=workspace, progress=False)
        result = job.result(SECONDS)
        assert list(result.columns[2:]) == ["said", "said_rate", "said_status", "said_error"]
        assert result["said_status"].eq("succeeded").all()
        assert result["said"].isna().all()
        assert all(set(given) == {"stars"} for given in result["said_rate"])
        later = workspace.attach(job.id).merge(frame.iloc[[1]])
        assert later["said_rate"].tolist() == result["said_rate"].tolist()[1:2]
        workspace.close()


def test_tools_beside_labels_are_columns_of_labels(submit):
    result = submit(labels=LABELS, params={"tools": [TOOL]}, into="label").result(SECONDS)
    assert list(result.columns[2:]) == ["label", "label_status", "label_error"]


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        (7, "takes a list of dicts"),
        ([TOOL, "rate"], "takes a list of dicts"),
        ([TOOL, TOOL], "two tools called 'rate'"),
        ([{**TOOL, "name": "status"}], "Two of the new columns would both be called 'review_reply_status'"),
    ],
)
def test_what_are_no_tools_is_refused(refused, tools, said):
    refused(said, params={"tools": tools})


# Several messages


def test_a_template_of_messages_is_sent_kept_shown_and_joined(submit, asked, frame, workspace):
    template = [
        {"role": "user", "content": "Are you there? {{yes}}"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "{stars} stars"},
        {"role": "assistant", "content": "Noted."},
        {"role": "user", "content": "About {review}"},
    ]
    job = submit(template, into="reply")
    assert job.result(SECONDS)["reply"].tolist() == ["About good", "About bad", "About so so"]
    assert [one["content"] for one in by_text(asked)["About bad"]["messages"]] == [
        "Are you there? {yes}", "Yes.", "1 stars", "Noted.", "About bad",
    ]  # fmt: skip
    later = workspace.attach(job.id)
    assert later.merge(frame.iloc[[1]])["reply"].tolist() == ["About bad"]
    shown = frame.batch.preview("review", template, n=2, into="reply2", workspace=workspace)
    text = repr(shown).replace("⟦", "").replace("⟧", "")
    assert "user: Are you there? {yes}" in text
    assert "assistant: Noted." in text
    assert "the same 2 messages as above" in text
    first, second = (json.loads(row.request_json)["messages"] for row in shown.preview.rows)
    assert first[:2] == second[:2]
    assert [one["content"] for one in first[2:]] == ["5 stars", "Noted.", "About good"]


def test_changed_messages_are_said_to_have_changed(submit):
    before = {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello!"}
    own = {"role": "user", "content": "About {review}"}
    submit([*before, own]).result(SECONDS)
    with pytest.warns(UserWarning, match="the messages before the rows' own"):
        submit([before[0], {"role": "assistant", "content": "Yes?"}, own]).result(SECONDS)


def test_a_preview_shows_the_examples_once_and_each_rows_own_params(frame, strict):
    _, workspace = strict
    shown = frame.batch.preview(
        "review", "About {review}", n=2, workspace=workspace, labels=LABELS, params=lambda row: {"system": row.name},
        examples=[(f"input {i}" + "x" * 300, "positive") for i in range(9)],
    )  # fmt: skip
    text = repr(shown).replace("⟦", "").replace("⟧", "")
    assert text.count("user: About input 0x") == 1
    assert text.count('assistant: {"label": "positive"}') == 3
    assert "[12 more messages]" in text
    assert "[the same 18 messages as above]\n    user: About bad" in text
    first, second = (json.loads(row.request_json) for row in shown.preview.rows)
    assert (first["system"], second["system"]) == ("a", "b")
    assert len(first["messages"]) == 19
