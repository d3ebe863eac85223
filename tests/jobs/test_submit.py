"""The main job from the user's side: what is accepted, what is refused before anything is sent, what comes back."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import fake_job
import independent
import numpy as np
import pandas as pd
import pytest

import batchnb
from batchnb import (
    CredentialsError,
    InputError,
    Job,
    JobNotFoundError,
    JobStateError,
    RefusedError,
    ResultTimeoutError,
    TemplateError,
    Workspace,
)
from batchnb.api.addresses import simulator_client
from batchnb.sim import Fault, Simulator

LABELS = ["positive", "negative"]
SECONDS = 60  # a test that waits longer has failed


@pytest.fixture
def asked() -> list[dict[str, Any]]:
    """The params the simulator was sent, in no order."""
    return []


@pytest.fixture
def simulator(tmp_path: Path, asked: list[dict[str, Any]]):
    """A simulator that notes what it is asked, and repeats the text; or gives the first label."""

    def answer(params: dict[str, Any]) -> str | dict[str, Any]:
        asked.append(params)
        schema = params.get("output_config", {}).get("format", {}).get("schema")
        if schema is not None:
            return {"label": schema["properties"]["label"]["enum"][0]}
        content = params["messages"][-1]["content"]
        return content[:1000] if isinstance(content, str) else json.dumps(content, sort_keys=True)

    with Simulator(tmp_path / "simulator", delay=(0.01, 0.02), responder=answer, seed=1) as running:
        yield running


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"review": ["good", "bad", "so so"], "stars": [5, 1, 3]})


@pytest.fixture
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the user's profiles too: the SDK looks for them in the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))


Submit = Callable[..., Job]


@pytest.fixture
def submit(workspace: Workspace) -> Submit:
    def submit_to_workspace(
        frame: pd.DataFrame, column: Any = "review", template: Any = "About {review}", **options: Any
    ):
        return frame.batch.submit(column, template, **{"workspace": workspace, "progress": False, **options})

    return submit_to_workspace


def prompts(asked: list[dict[str, Any]]) -> list[Any]:
    return sorted((params["messages"][0]["content"] for params in asked), key=str)


def refused(
    simulator: Simulator, workspace: Workspace, call: Callable[[], Any], said: str, kind: Any = InputError
) -> str:
    """Check that a call is refused with a message, that it says so, and that nothing was sent or recorded."""
    with pytest.raises(kind) as raised:
        call()
    message = str(raised.value)
    assert re.search(said, message), message
    assert simulator.record() == []
    assert not any(call.path.endswith("/batches") for call in simulator.calls)
    assert len(workspace.jobs()) == 0
    return message


# The main job


def test_labels_come_back_as_a_categorical_column_beside_the_frames_own(submit, frame, asked):
    result = submit(frame, labels=LABELS, into="label").result(timeout=SECONDS)
    assert list(result.columns) == ["review", "stars", "label", "label_status", "label_error"]
    assert result["label"].cat.categories.tolist() == LABELS
    assert result["label"].tolist() == ["positive"] * 3
    assert result["label_status"].tolist() == ["succeeded"] * 3
    assert result["label_error"].isna().all()
    pd.testing.assert_frame_equal(result[["review", "stars"]], frame)
    assert asked[0]["output_config"]["format"]["schema"]["properties"]["label"]["enum"] == LABELS
    assert asked[0]["max_tokens"] == 256


def test_text_comes_back_as_a_string_column_named_after_the_column(submit, frame, asked):
    result = submit(frame).result(timeout=SECONDS)
    assert list(result.columns) == ["review", "stars", "review_reply", "review_reply_status", "review_reply_error"]
    assert result["review_reply"].dtype == "string"
    assert result["review_reply"].tolist() == ["About good", "About bad", "About so so"]
    assert {params["model"] for params in asked} == {"claude-haiku-4-5"}
    assert "output_config" not in asked[0]


def test_labels_without_into_name_the_column_after_the_column(submit, frame):
    assert "review_label" in submit(frame, labels=LABELS).result(timeout=SECONDS)


def test_whole_numbers_can_be_labels(submit, frame):
    result = submit(frame, labels=[3, 1, 2], into="grade").result(timeout=SECONDS)
    assert result["grade"].tolist() == [3, 3, 3]
    assert result["grade"].cat.categories.tolist() == [3, 1, 2]


def test_without_a_template_the_columns_own_text_is_sent(submit, frame, asked):
    submit(frame, template=None).result(timeout=SECONDS)
    assert prompts(asked) == ["bad", "good", "so so"]


def test_awaiting_a_job_gives_its_result(submit, frame):
    async def cell() -> pd.DataFrame:
        return await submit(frame)

    pd.testing.assert_frame_equal(asyncio.run(cell()), submit(frame).result(timeout=SECONDS))


def test_the_event_loop_goes_round_while_the_result_of_an_awaited_job_is_put_together(submit, frame, monkeypatch):
    job = submit(frame)
    begun, seen = threading.Event(), threading.Event()
    to_frame = job.to_frame

    def once_seen() -> pd.DataFrame:
        begun.set()
        assert seen.wait(SECONDS)
        return to_frame()

    async def cell():
        waiting = asyncio.ensure_future(job)
        while not begun.is_set():
            await asyncio.sleep(0.01)
        seen.set()
        return await waiting

    monkeypatch.setattr(job, "to_frame", once_seen)
    assert len(asyncio.run(cell())) == len(frame)


def test_the_frame_that_was_given_is_left_as_it_is(submit, frame):
    before = frame.copy()
    submit(frame).result(timeout=SECONDS)
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == {}


def test_job_tells_its_state_counts_usage_and_cost(submit, frame, workspace):
    frame.loc[3] = [None, 2]
    job = submit(frame, name="my reviews")
    job.result(timeout=SECONDS)
    assert (job.name, job.status, job.done()) == ("my reviews", "ended", True)
    assert job.counts == {"succeeded": 3, "skipped": 1}
    assert job.usage.requests == 3
    assert job.usage.output_tokens > 0
    usage, price = job.usage, workspace.prices.price("claude-haiku-4-5")
    assert price is not None
    assert job.cost == pytest.approx(float(price.input * usage.input_tokens + price.output * usage.output_tokens) / 2e6)
    assert job.batches["requests"].tolist() == [3]
    assert job.batches["succeeded"].tolist() == [3]
    assert job.batches["state"].tolist() == ["ended"]
    assert job.batches["id"].str.startswith("msgbatch_").all()


def test_an_unknown_price_is_unknown_and_not_a_guess(real, frame):
    job = frame.batch.submit("review", model="claude-of-the-future", workspace=real, progress=False)
    assert job.wait(SECONDS)
    assert job.cost is None
    assert job.usage.requests == 3


def test_batch_size_splits_a_job(submit, frame, simulator):
    job = submit(frame, batch_size=2)
    job.result(timeout=SECONDS)
    assert sorted(job.batches["requests"]) == [1, 2]


def test_by_default_a_job_is_split_so_that_progress_moves(submit, simulator):
    frame = pd.DataFrame({"review": [f"review {i}" for i in range(600)]})
    job = submit(frame)
    assert job.result(timeout=SECONDS)["review_reply_status"].eq("succeeded").all()
    assert len(job.batches) == 10
    assert set(job.batches["requests"]) == {60}


def test_duplicate_rows_are_sent_once_and_all_answered(submit, asked):
    frame = pd.DataFrame({"review": ["same"] * 50 + ["other"]})
    result = submit(frame).result(timeout=SECONDS)
    assert result["review_reply"].tolist() == ["About same"] * 50 + ["About other"]
    assert len(asked) == 2


def test_a_new_row_costs_one_request_and_a_new_column_none(submit, frame, asked):
    submit(frame).result(timeout=SECONDS)
    frame["unread"] = "x"
    submit(frame).result(timeout=SECONDS)
    assert len(asked) == 3
    frame.loc[7] = ["new", 4, "x"]
    result = submit(frame).result(timeout=SECONDS)
    assert len(asked) == 4
    assert result["review_reply"].tolist() == ["About good", "About bad", "About so so", "About new"]


@pytest.mark.filterwarnings("ignore::batchnb.RecipeChangedWarning")
def test_two_jobs_may_run_at_once(submit, frame):
    jobs = [submit(frame, template=f"{number} {{review}}") for number in range(5)]
    for number, job in enumerate(jobs):
        assert job.result(timeout=SECONDS)["review_reply"].tolist() == [f"{number} {text}" for text in frame["review"]]


# What is sent


@pytest.mark.filterwarnings("ignore::batchnb.RecipeChangedWarning")
def test_system_text_and_blocks_are_sent_as_given(submit, frame, asked):
    blocks = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    submit(frame, system=blocks).result(timeout=SECONDS)
    assert [params["system"] for params in asked] == [blocks] * 3
    asked.clear()
    submit(frame, system="Be brief.").result(timeout=SECONDS)
    assert [params["system"] for params in asked] == ["Be brief."] * 3


def test_params_are_merged_into_every_request(submit, frame, asked):
    params = {"thinking": {"type": "disabled"}, "metadata": {"user_id": "u"}, "output_config": {"effort": "low"}}
    submit(frame, params=params, model="claude-opus-4-8", max_tokens=99, labels=LABELS).result(timeout=SECONDS)
    for sent in asked:
        assert (sent["model"], sent["max_tokens"], sent["metadata"]) == ("claude-opus-4-8", 99, {"user_id": "u"})
        assert sent["output_config"]["effort"] == "low"
        assert sent["output_config"]["format"]["type"] == "json_schema"


@pytest.mark.filterwarnings("ignore::batchnb.RecipeChangedWarning")
def test_the_workspaces_model_is_the_default(open_workspace, simulator, submit, frame, asked, monkeypatch):
    submit(frame, workspace=open_workspace(simulator, model="claude-opus-4-8")).result(timeout=SECONDS)
    monkeypatch.setenv("BATCHNB_MODEL", "claude-sonnet-4-6")
    submit(frame, workspace=open_workspace(simulator)).result(timeout=SECONDS)
    assert {params["model"] for params in asked} == {"claude-opus-4-8", "claude-sonnet-4-6"}


def test_a_function_may_give_text_blocks_messages_params_or_nothing(submit, asked):
    blocks = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Bye"},
    ]
    params = {"messages": [{"role": "user", "content": "mine"}], "system": "Mine.", "max_tokens": 7}
    gives = {"text": "plain", "blocks": blocks, "messages": messages, "params": params, "none": None, "blank": " "}
    frame = pd.DataFrame({"review": list(gives)})
    job = submit(frame, template=lambda row: gives[row["review"]])
    result = job.result(timeout=SECONDS)
    assert result["review_reply_status"].tolist() == ["succeeded"] * 4 + ["skipped"] * 2
    assert result["review_reply"].tolist()[:4] == ["plain", json.dumps(blocks, sort_keys=True), "Bye", "mine"]
    sent = {json.dumps(params["messages"], sort_keys=True): params for params in asked}
    own = sent[json.dumps(params["messages"], sort_keys=True)]
    assert (own["system"], own["max_tokens"], own["model"]) == ("Mine.", 7, "claude-haiku-4-5")


def test_a_function_that_gives_params_keeps_the_labels(submit, frame, asked):
    def ask(row: pd.Series[Any]) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": row["review"]}], "output_config": {"effort": "low"}}

    result = submit(frame, template=ask, labels=LABELS, into="label", model="claude-opus-5").result(timeout=SECONDS)
    assert result["label"].tolist() == ["positive"] * 3
    assert {params["output_config"]["effort"] for params in asked} == {"low"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (7, "returned int"),
        (("a",), "returned tuple"),
        ([], "returned list"),
        (["a"], "returned list"),
        ({}, 'no "messages"'),
        ({"messages": []}, 'no "messages"'),
        ({"messages": [{"role": "user", "content": "x"}], "temperature": 0}, "'temperature' is refused"),
        ({"message": []}, "Did you mean 'messages'"),
        ([{"type": "text", "text": object()}], "cannot be written as JSON"),
        ([{"type": "text", "text": b"raw"}], "holds bytes"),
        ("half a character \ud83d", "cannot be written as JSON"),
    ],
)
def test_what_a_function_may_not_give_is_refused_with_its_row(submit, frame, simulator, workspace, given, said):
    def ask(row: pd.Series[Any]) -> Any:
        return given if row["stars"] == 1 else "fine"

    message = refused(simulator, workspace, lambda: submit(frame, template=ask), said)
    assert message.startswith("Row 1: the template function: ")
    assert message.count("Nothing was sent.") == 1


def test_an_error_of_the_users_function_is_left_alone_and_names_the_row(submit, frame, simulator):
    frame.index = ["a", "b", "c"]
    with pytest.raises(KeyError, match="no such column") as raised:
        submit(frame, template=lambda row: row["no such column"])
    assert "Row 0 (index 'a')" in "".join(raised.value.__notes__)
    assert simulator.calls == []


# Missing values


@pytest.mark.parametrize("value", [None, np.nan, pd.NA, pd.NaT])
def test_a_column_of_missing_values_sends_nothing_and_ends_at_once(submit, simulator, value):
    frame = pd.DataFrame({"review": pd.Series([value] * 4, dtype=object)})
    job = submit(frame)
    assert job.done()
    result = job.result(timeout=0)
    assert result["review_reply_status"].tolist() == ["skipped"] * 4
    assert result["review_reply"].isna().all()
    assert result["review_reply_error"].str.contains("missing value in 'review'").all()
    assert job.counts == {"skipped": 4}
    assert len(job.errors()) == 0
    assert not any(call.method == "POST" for call in simulator.calls)


def test_a_row_is_skipped_when_any_column_it_reads_is_missing(submit, frame, asked):
    frame = frame.astype({"stars": "Int64"})
    frame.loc[1, "stars"] = pd.NA
    result = submit(frame, template="{review} {stars}").result(timeout=SECONDS)
    assert result["review_reply_status"].tolist() == ["succeeded", "skipped", "succeeded"]
    assert "'stars'" in result.loc[1, "review_reply_error"]
    assert prompts(asked) == ["good 5", "so so 3"]


def test_a_row_is_skipped_when_all_it_would_say_is_blank(submit, asked):
    frame = pd.DataFrame({"review": ["", " \n", "x"], "more": ["y", "", ""]})
    result = submit(frame, template="{review}{more}").result(timeout=SECONDS)
    assert result["review_reply_status"].tolist() == ["succeeded", "skipped", "succeeded"]
    assert prompts(asked) == ["x", "y"]


def test_missing_values_are_an_error_where_that_is_asked(submit, frame, simulator, workspace):
    frame.loc[1, "review"] = None
    refused(simulator, workspace, lambda: submit(frame, missing="raise"), r"Row 1: missing value in 'review'\. Nothing")


def test_missing_values_are_sent_as_empty_text_where_that_is_asked(submit, frame, asked):
    frame.loc[1, "review"] = None
    assert submit(frame, missing="send").result(timeout=SECONDS)["review_reply_status"].eq("succeeded").all()
    assert "About " in prompts(asked)


# Keys


def test_keys_of_any_characters_lead_the_custom_ids(submit, frame, simulator):
    frame["id"] = ["주문/1", "a b#" + "x" * 100, ""]
    submit(frame, key="id").result(timeout=SECONDS)
    identifiers = sorted(record.custom_id for record in simulator.record())
    assert [identifier[:-33] for identifier in identifiers] == ["_", "___1", "a_b_" + "x" * 27]
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", identifier) for identifier in identifiers)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["a", "b", "a"], "'a' names more than one row"),
        ([1, "1", 2], "'1' names more"),
        (["a", None, "b"], "Row 1.*no key"),
    ],
)
def test_keys_that_do_not_tell_the_rows_apart_are_refused(submit, frame, simulator, workspace, keys, said):
    frame["id"] = keys
    refused(simulator, workspace, lambda: submit(frame, key="id"), said)


# Bad input


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"column": "reviw"}, "Did you mean 'review'"),
        ({"column": "zzz"}, r"It has: 'review', 'stars'"),
        ({"column": ["review"]}, "no column"),
        ({"column": 0}, "no column 0"),
        ({"key": "iid"}, "key: the frame has no column 'iid'"),
        ({"template": 7}, "template takes text, a list of messages, a function of a row, or None, not int"),
        ({"template": ["{review}"]}, "Message 1 of the template is not of the form"),
        ({"template": []}, "a list without messages"),
        ({"labels": "positive"}, "labels= takes a list"),
        ({"labels": ["one"]}, "at least two"),
        ({"missing": "drop"}, 'missing= takes "skip", "raise" or "send"'),
        ({"retries": -1}, "retries is a whole number"),
        ({"retries": "2"}, "retries is a whole number"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"into": ""}, "into= takes the name"),
        ({"into": 3}, "into= takes the name"),
        ({"params": {"temperature": 0}}, "'temperature' is refused by the API.*sampling"),
        ({"params": {"top_p": 0.5}}, "'top_p' is refused"),
        ({"params": {"stream": True}}, "cannot stream"),
        ({"params": {"max_tokens": 0}}, "at least 1"),
        ({"params": {"thinkng": {}}}, "Did you mean 'thinking'"),
        ({"params": {"messages": []}}, "callable template"),
        ({"params": {"model": "x"}, "model": "y"}, "model is given twice"),
        ({"params": [("thinking", {})]}, "params= takes a dict"),
        ({"params": {"betas": "one"}}, "list of beta names"),
        ({"system": 7}, "system= takes text or a list"),
        ({"system": "\ud800"}, "system= holds half a character"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(submit, frame, simulator, workspace, options, said):
    message = refused(simulator, workspace, lambda: submit(frame, **options), said)
    assert "Nothing was sent." in message or {"batch_size", "labels"} & set(options)


def test_an_empty_frame_is_refused(submit, frame, simulator, workspace):
    refused(simulator, workspace, lambda: submit(frame.iloc[:0]), "no rows")


def test_two_columns_of_one_name_are_refused(submit, simulator, workspace):
    frame = pd.DataFrame([["a", "b"]], columns=["review", "review"])
    refused(simulator, workspace, lambda: submit(frame), "2 columns called 'review'|any of 2 columns")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Classify this review.", "names no column.*system="),
        ("", "names no column"),
        ("{reviw}", "Did you mean {review}"),
        ("{ review }", "Write {review}"),
        ("{{ review }}", "Write {review}"),
        ("{{review}}", "Write {review}"),
        ("{{ row.review }}", "Jinja"),
        ("{% if review %}{review}{% endif %}", "Jinja"),
        ("{review!r}", "Write {review}"),
        ("{review.upper()}", "Write {review}"),
        ("{review[0]}", "Write {review}"),
        ("{row['review']}", "Write {review}"),
        ("{} {review}", "{} names no column"),
        ("{len(review)} {review}", "Python is not run"),
    ],
)
def test_habits_from_f_strings_and_jinja_are_refused_with_the_right_form(
    submit, frame, simulator, workspace, template, said
):
    refused(simulator, workspace, lambda: submit(frame, template=template), said, TemplateError)


@pytest.mark.filterwarnings("ignore::batchnb.RecipeChangedWarning")
def test_a_column_may_be_called_anything(submit, asked):
    frame = pd.DataFrame({"a b{c}": ["one"], "": ["two"], 7: ["three"]})
    submit(frame, column="a b{c}", template='{a b{c}} {"json": {{}}} {7}').result(timeout=SECONDS)
    assert prompts(asked) == ['one {"json": {}} three']
    asked.clear()
    result = submit(frame, column="a b{c}", template=None).result(timeout=SECONDS)
    assert prompts(asked) == ["one"]
    assert "a b{c}_reply" in result


def test_cells_that_hold_lists_and_dicts_are_sent_as_json(submit, asked):
    frame = pd.DataFrame({"review": [["a", "é"], {"b": [1, None]}, {"c"}, ("d", 2.0)]})
    job = submit(frame)
    assert job.result(timeout=SECONDS)["review_reply_status"].eq("succeeded").all()
    assert prompts(asked) == sorted(
        ["About " + text for text in ('["a","é"]', '{"b":[1,null]}', '["c"]', '["d",2.0]')], key=str
    )
    pd.testing.assert_frame_equal(frame.batch.join(job), job.result())


@pytest.mark.parametrize("cell", [b"bytes", "half a character \ud83d"])
def test_a_cell_that_cannot_be_sent_is_refused_with_its_row(submit, frame, simulator, workspace, cell):
    frame["review"] = frame["review"].astype(object)
    frame.index = ["x", "y", "z"]
    frame.loc["y", "review"] = cell
    message = refused(simulator, workspace, lambda: submit(frame), r"^Row 1 \(index 'y'\): ")
    assert message.endswith("Nothing was sent.")
    assert message.count("Nothing was sent.") == 1


def test_a_cell_of_40_mb_works_and_shares_its_batch_with_others(submit):
    cell = "The whole archive. " * (40_000_000 // 19)
    frame = pd.DataFrame({"review": [cell, "short"]})
    job = submit(frame, template=lambda row: row["review"] if len(row["review"]) > 10 else "tiny")
    result = job.result(timeout=SECONDS)
    assert result["review_reply_status"].tolist() in (["succeeded", "succeeded"], ["errored", "succeeded"])
    assert result.loc[1, "review_reply"] == "tiny"
    if result.loc[0, "review_reply_status"] == "errored":
        assert "too long" in result.loc[0, "review_reply_error"]
    assert result.loc[0, "review"] == cell


# The name of the new column


def test_a_column_of_the_users_own_is_not_replaced_unless_that_is_asked(submit, frame, simulator, workspace):
    frame["label"] = "gold"
    message = refused(simulator, workspace, lambda: submit(frame, into="label"), "'label', which batchnb did not make")
    proposed = re.search(r"into='(\w+)'", message)
    assert proposed is not None
    result = submit(frame, into=proposed[1]).result(timeout=SECONDS)
    assert result["label"].tolist() == ["gold"] * 3
    result = submit(frame, into="label", overwrite=True).result(timeout=SECONDS)
    assert result["label"].tolist() == ["About good", "About bad", "About so so"]


@pytest.mark.parametrize("taken", ["label_status", "label_error"])
def test_a_column_of_the_users_own_is_not_replaced_by_a_status_or_an_error(submit, frame, simulator, workspace, taken):
    frame[taken] = "mine"
    refused(simulator, workspace, lambda: submit(frame, into="label"), f"'{taken}', which batchnb did not make")


def test_a_status_column_of_the_users_own_gives_nothing_away(submit, frame, simulator, workspace):
    frame["order"], frame["order_status"] = "gold", "shipped"
    refused(simulator, workspace, lambda: submit(frame, into="order"), "'order', which batchnb did not make")


def test_a_proposed_name_is_free(submit, frame, simulator, workspace):
    frame[["label", "label_new", "label_2_error"]] = "mine"
    refused(simulator, workspace, lambda: submit(frame, into="label"), "into='label_3'")


def test_a_cell_can_be_run_again_on_its_own_result(submit, frame, asked):
    first = submit(frame, into="label").result(timeout=SECONDS)
    second = submit(first, into="label").result(timeout=SECONDS)
    pd.testing.assert_frame_equal(first, second)
    from_csv = pd.read_csv(pd.io.common.StringIO(first.to_csv(index=False)))
    assert submit(from_csv, into="label").result(timeout=SECONDS)["label"].tolist() == first["label"].tolist()
    assert len(asked) == 3


@pytest.mark.parametrize(
    "options",
    [{"into": "review"}, {"into": "stars", "template": "{review} {stars}"}, {"into": "stars", "key": "stars"}],
)
def test_a_column_that_the_template_or_the_key_reads_is_never_replaced(submit, frame, simulator, workspace, options):
    call = partial(submit, frame, **options, overwrite=True)
    refused(simulator, workspace, call, "which the template or key= reads")


# Credentials and the check of the first request


@pytest.mark.usefixtures("no_credentials")
def test_without_a_key_the_error_names_both_ways_out(frame):
    for call in (frame.batch.submit, frame["review"].to_frame().batch.submit):
        with pytest.raises(CredentialsError, match=r"ANTHROPIC_API_KEY.*batchnb\.simulate\(\).*Nothing was sent"):
            call("review")
    assert len(batchnb.jobs()) == 0


@pytest.mark.usefixtures("no_credentials")
def test_a_profile_that_is_not_there_is_an_error_of_ours(frame, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_PROFILE", "not-there")
    with pytest.raises(CredentialsError, match="not-there"):
        frame.batch.submit("review")


@pytest.mark.usefixtures("no_credentials")
def test_a_key_set_after_the_error_is_found(server, frame, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    with pytest.raises(CredentialsError):
        frame.batch.submit("review", progress=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-later")
    job = frame.batch.submit("review", progress=False)
    assert job.result(timeout=SECONDS)["review_reply"].tolist() == ["good", "bad", "so so"]
    assert "sk-ant-later" in server.keys


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, CredentialsError, r"refuses the API key.*ANTHROPIC_API_KEY.*batchnb\.simulate\(\)"),
        (403, CredentialsError, "may not do this"),
        (400, InputError, "refuses this request"),
    ],
)
def test_a_first_request_that_the_server_refuses_raises_in_the_cell(server, real, frame, status, kind, said):
    server.always["count_tokens"] = independent.Status(status)
    with pytest.raises(kind, match=said) as raised:
        frame.batch.submit("review", workspace=real, progress=False)
    assert "Nothing was sent." in str(raised.value)
    assert "not-to-be-shown" not in str(raised.value)
    assert server.batches == []
    assert len(real.jobs()) == 0


def test_an_unknown_model_raises_in_the_cell_with_the_nearest_one(submit, frame, simulator, workspace):
    message = refused(simulator, workspace, lambda: submit(frame, model="claude-haiku-4.5"), "knows no model")
    assert "Did you mean 'claude-haiku-4-5'" in message


def test_what_the_server_would_refuse_of_every_row_raises_in_the_cell(submit, frame, simulator, workspace):
    system = [{"type": "image"}]
    refused(simulator, workspace, lambda: submit(frame, system=system), "server refuses this request")


@pytest.mark.parametrize("fault", [independent.Status(500), *map(independent.Status, (429, 529)), independent.Lost()])
def test_any_other_failure_of_the_check_is_noted_and_the_job_goes_on(server, real, frame, fault):
    server.always["count_tokens"] = fault
    with pytest.warns(UserWarning, match="could not be checked before sending"):
        job = frame.batch.submit("review", workspace=real, progress=False)
    assert job.result(timeout=SECONDS)["review_reply_status"].eq("succeeded").all()


def test_a_request_too_large_for_the_check_is_no_news(server, real, frame):
    """A batch takes larger ones than the endpoint that counts tokens. (A warning would be an error here.)"""
    server.always["count_tokens"] = independent.Status(413)
    job = frame.batch.submit("review", workspace=real, progress=False)
    assert job.result(timeout=SECONDS)["review_reply_status"].eq("succeeded").all()


def test_a_server_without_the_check_is_no_obstacle(server, real, frame):
    server.counts_tokens = False
    with pytest.warns(UserWarning, match="could not be checked before sending"):
        job = frame.batch.submit("review", workspace=real, progress=False)
    assert job.result(timeout=SECONDS)["review_reply_status"].eq("succeeded").all()


@pytest.mark.parametrize("status", [500, 429])
def test_a_warning_points_to_the_users_own_line(server, real, frame, status):
    server.always["count_tokens"] = independent.Status(status)
    with pytest.warns(UserWarning, match="could not be checked") as warned:
        frame.batch.submit("review", workspace=real, progress=False).wait(SECONDS)
    assert warned[0].filename == __file__


def test_the_check_comes_only_when_something_is_to_be_sent(submit, frame, simulator):
    def checks() -> int:
        return sum(call.path.endswith("/count_tokens") for call in simulator.calls)

    submit(frame).result(timeout=SECONDS)
    assert checks() == 1
    submit(frame).result(timeout=SECONDS)
    assert checks() == 1
    frame.loc[9] = ["new", 1]
    submit(frame).result(timeout=SECONDS)
    assert checks() == 2


# Running the cell again


def test_a_finished_job_run_again_touches_no_network(submit, frame, simulator, asked):
    first = submit(frame)
    expected = first.result(timeout=SECONDS)
    simulator.stop()
    calls = len(simulator.calls)
    again = submit(frame)
    assert again.id == first.id
    assert again.done()
    pd.testing.assert_frame_equal(again.result(timeout=0), expected)
    pd.testing.assert_frame_equal(frame.batch.join(again), expected)
    assert len(again.errors()) == 0
    assert again.cost == first.cost
    assert len(simulator.calls) == calls
    assert len(asked) == 3


@pytest.mark.usefixtures("no_credentials")
def test_after_a_restart_without_key_or_network_a_finished_job_is_still_there(real, server, frame, monkeypatch):
    expected = frame.batch.submit("review", workspace=real, progress=False).result(timeout=SECONDS)
    real.close()
    server.__exit__()
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    later = Workspace(home=real.home)
    job = frame.batch.submit("review", workspace=later, progress=False)
    pd.testing.assert_frame_equal(job.result(timeout=0), expected)
    assert later.attach(job.id).counts == {"succeeded": 3}
    with pytest.raises(CredentialsError):
        pd.DataFrame({"review": ["new"]}).batch.submit("review", workspace=later, progress=False)
    later.close()


def test_an_unfinished_job_is_picked_up_by_another_workspace(open_workspace, submit, frame, tmp_path):
    with Simulator(tmp_path / "slow", delay=(0.5, 0.5)) as simulator:
        first = open_workspace(simulator)
        job = submit(frame, workspace=first)
        while not simulator.record():
            assert not job.wait(0.01)
        first.close()
        second = open_workspace(simulator)
        assert second.attach(job.id).result(timeout=SECONDS)["review_reply_status"].eq("succeeded").all()
        assert len(simulator.record()) == 3


def test_result_before_the_end_is_partial_or_times_out_and_the_job_goes_on(open_workspace, submit, frame, tmp_path):
    with Simulator(tmp_path / "slow", delay=(0.6, 0.6)) as simulator:
        job = submit(frame, workspace=open_workspace(simulator))
        with pytest.raises(ResultTimeoutError, match="partial=True"):
            job.result(timeout=0)
        partial = job.result(partial=True)
        assert partial["review_reply_status"].tolist() == ["pending"] * 3
        assert job.counts == {"pending": 3}
        assert job.status in ("submitting", "in_progress")
        assert job.wait(SECONDS)
        assert job.counts == {"succeeded": 3}


# Failures


def test_failed_rows_raise_nothing_and_say_what_happened(submit, frame, simulator):
    simulator.inject(Fault("errored", share=0.3, error_type="invalid_request_error"))
    job = submit(frame)
    result = job.result(timeout=SECONDS)
    assert sorted(result["review_reply_status"]) == ["errored", "succeeded", "succeeded"]
    failed = result[result["review_reply_status"] == "errored"]
    assert failed["review_reply"].isna().all()
    assert failed["review_reply_error"].str.startswith("invalid_request_error").all()
    errors = job.errors()
    assert errors["row"].tolist() == failed.index.tolist()
    assert errors[["outcome", "type", "retryable"]].to_numpy().tolist() == [["errored", "invalid_request_error", False]]
    assert job.retry() == 0
    assert job.retry(all=True) == 1
    assert job.result(timeout=SECONDS)["review_reply_status"].eq("succeeded").all()
    assert len(job.errors()) == 0


def test_errors_name_the_rows_by_index_or_by_key(submit, frame, simulator, workspace):
    simulator.inject(Fault("errored", error_type="invalid_request_error"))
    frame.index, frame["id"] = ["x", "y", "z"], ["k1", "k2", "k3"]
    job = submit(frame, key="id")
    job.result(timeout=SECONDS)
    assert job.errors()["row"].tolist() == ["x", "y", "z"]
    assert workspace.attach(job.id).errors()["row"].tolist() == ["k1", "k2", "k3"]


@pytest.mark.parametrize(("kind", "outcome"), [("refusal", "invalid"), ("max_tokens", "invalid")])
def test_a_paid_reply_that_is_no_answer_is_kept_and_not_bought_again(submit, frame, simulator, kind, outcome):
    simulator.inject(Fault(kind))
    job = submit(frame, labels=LABELS, into="label")
    result = job.result(timeout=SECONDS)
    assert result["label_status"].tolist() == [outcome] * 3
    assert result["label"].isna().all()
    errors = job.errors()
    assert errors["type"].tolist() == [kind] * 3
    assert not errors["retryable"].any()
    assert job.usage.requests == 3
    assert job.retry(all=True) == 0
    assert submit(frame, labels=LABELS, into="label").done()


def test_passing_errors_are_asked_again_by_themselves(submit, frame, simulator):
    simulator.inject(Fault("errored", error_type="overloaded_error"))
    assert submit(frame, retries=1).result(timeout=SECONDS)["review_reply_status"].eq("succeeded").all()


def test_without_retries_passing_errors_wait_for_retry(submit, frame, simulator):
    simulator.inject(Fault("errored", error_type="overloaded_error"))
    job = submit(frame, retries=0)
    assert job.result(timeout=SECONDS)["review_reply_status"].eq("errored").all()
    assert job.errors()["retryable"].all()
    assert job.retry() == 3
    assert job.result(timeout=SECONDS)["review_reply_status"].eq("succeeded").all()
    assert job.status == "ended"


def test_cancel_ends_a_job_and_retry_goes_on_with_it(open_workspace, submit, frame, tmp_path):
    with Simulator(tmp_path / "slow", delay=(0.8, 0.8)) as simulator:
        job = submit(frame, workspace=open_workspace(simulator))
        job.cancel()
        assert job.status in ("canceling", "ended")
        result = job.result(timeout=SECONDS)
        assert job.status == "ended"
        assert set(result["review_reply_status"]) <= {"canceled", "succeeded"}
        canceled = int((result["review_reply_status"] == "canceled").sum())
        assert canceled
        assert job.errors()["outcome"].tolist() == ["canceled"] * canceled
        assert job.retry() == canceled
        assert job.result(timeout=SECONDS)["review_reply_status"].eq("succeeded").all()


def test_canceling_an_ended_job_changes_nothing(submit, frame, simulator):
    job = submit(frame)
    job.result(timeout=SECONDS)
    calls = len(simulator.calls)
    job.cancel()
    assert job.wait(SECONDS)
    assert (job.status, job.counts) == ("ended", {"succeeded": 3})
    assert len(simulator.calls) == calls


# Deleting


def test_a_deleted_job_is_gone_and_its_rows_are_asked_anew(submit, frame, workspace, asked):
    job = submit(frame)
    job.result(timeout=SECONDS)
    job.delete()
    assert len(workspace.jobs()) == 0
    with pytest.raises(JobNotFoundError, match=job.id):
        workspace.attach(job.id)
    submit(frame).result(timeout=SECONDS)
    assert len(asked) == 6


@pytest.mark.filterwarnings("ignore::batchnb.RecipeChangedWarning")
def test_deleting_remotely_deletes_the_batches_too_once(submit, frame, workspace, simulator):
    job, other = submit(frame), submit(frame, template="{stars}")
    for one in (job, other):
        one.result(timeout=SECONDS)
    kept = other.batches["id"].tolist()
    job.delete(remote=True)
    assert workspace.batches().to_frame()["id"].tolist() == kept
    workspace.session.api.delete_batch(kept[0])
    other.delete(remote=True)
    assert len(workspace.jobs()) == 0


def test_an_open_job_cannot_be_deleted(open_workspace, submit, frame, tmp_path):
    with Simulator(tmp_path / "slow", delay=(0.4, 0.4)) as simulator:
        job = submit(frame, workspace=open_workspace(simulator))
        with pytest.raises(JobStateError, match=r"cancel\(\)"):
            job.delete()
        assert job.wait(SECONDS)
        job.delete()


def test_resolve_takes_one_of_two_decisions(submit, frame):
    job = submit(frame)
    job.result(timeout=SECONDS)
    with pytest.raises(InputError, match='"send" or "drop"'):
        job.resolve("maybe")
    assert job.resolve("send") == 0


# Listing


def test_jobs_lists_them_newest_first(submit, frame, workspace):
    first = submit(frame, name="first")
    second = submit(frame, template="{stars}", labels=LABELS, name="second", model="claude-opus-4-8")
    for job in (first, second):
        job.result(timeout=SECONDS)
    table = workspace.jobs().to_frame()
    assert table["id"].tolist() == [second.id, first.id]
    assert table["name"].tolist() == ["second", "first"]
    assert table["model"].tolist() == ["claude-opus-4-8", "claude-haiku-4-5"]
    assert table[["rows", "succeeded", "status", "simulated"]].to_numpy().tolist() == [[3, 3, "ended", True]] * 2
    assert table["cost"].tolist() == [second.cost, first.cost]


@pytest.mark.filterwarnings("ignore::batchnb.RecipeChangedWarning")
def test_batches_lists_what_the_server_has_whoever_made_it(submit, frame, workspace, simulator):
    for number in range(3):
        submit(frame, template=f"{number} {{review}}").result(timeout=SECONDS)
    with anthropic.Anthropic(api_key="k", base_url=simulator.url) as client:
        params = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
        foreign = client.messages.batches.create(requests=[{"custom_id": "theirs", "params": params}])
    table = workspace.batches().to_frame()
    assert table["id"].tolist()[0] == foreign.id
    assert table["requests"].tolist() == [1, 3, 3, 3]
    assert table["simulated"].all()
    assert workspace.batches(2).to_frame()["id"].tolist() == table["id"].tolist()[:2]


def test_attach_of_an_unknown_id_is_a_clear_error(workspace):
    with pytest.raises(JobNotFoundError, match=r"no job 'job_0'.*batchnb\.jobs\(\)"):
        batchnb.attach("job_0", workspace=workspace)


# Preview


def test_preview_shows_what_would_be_sent_and_sends_nothing_that_costs(frame, workspace, simulator):
    frame.loc[3] = [None, 2]
    shown = frame.batch.preview("review", "About <{review}>", n=4, system="Be brief.", workspace=workspace)
    preview = shown.preview
    assert [row.pieces and "".join(text for text, _ in row.pieces) for row in preview.rows] == [
        "About <good>", "About <bad>", "About <so so>", None,
    ]  # fmt: skip
    assert preview.rows[0].pieces == (("About <", False), ("good", True), (">", False))
    assert (preview.total_rows, preview.to_send, preview.reused, preview.skipped) == (4, 3, 0, 1)
    assert preview.input_tokens
    assert preview.cost
    assert json.loads(preview.rows[0].request_json)["system"] == "Be brief."
    assert "SIMULATED" in repr(shown)
    assert "&lt;" in shown._repr_html_()
    assert {call.path for call in simulator.calls if call.method == "POST"} == {"/v1/messages/count_tokens"}
    assert simulator.record() == []
    assert len(workspace.jobs()) == 0


def test_preview_tells_what_is_already_bought(frame, workspace, submit):
    submit(frame).result(timeout=SECONDS)
    frame.loc[3] = ["new", 2]
    preview = frame.batch.preview("review", "About {review}", workspace=workspace).preview
    assert (preview.to_send, preview.reused) == (1, 3)


def test_preview_says_of_each_row_whether_it_would_be_sent_and_what(frame, workspace, submit):
    submit(frame.head(1)).result(timeout=SECONDS)
    frame.loc[3] = ["bad", 2]
    frame.loc[4] = [" ", 2]
    shown = frame.batch.preview("review", "About {review}", n=9, workspace=workspace)
    rows = shown.preview.rows
    assert [row.note for row in rows] == [
        "asked before: not bought again", None, None, "equal to a row above it: asked once",
        "skipped: blank: there is no text to send",
    ]  # fmt: skip
    assert [json.loads(row.request_json)["messages"][0]["content"] for row in rows[:4]] == [
        "About good", "About bad", "About so so", "About bad",
    ]  # fmt: skip
    assert rows[4].request_json == ""
    assert repr(shown).count("Row ") == 5


def test_a_preview_of_a_hostile_frame_is_inert(workspace):
    column = f"text {fake_job.HOSTILE}"
    frame = pd.DataFrame({column: [fake_job.HOSTILE, "x" * 5_000_000]}, index=[fake_job.HOSTILE, "b"])
    shown = frame.batch.preview(column, f"About {{{column}}}", system=fake_job.HOSTILE, workspace=workspace)
    page = shown._repr_html_()
    assert "<img" not in page
    assert "<script" not in page
    assert "(5,000,000 characters)" in page
    for said in (page, repr(shown)):
        assert len(said) < 60_000
        assert "\x1b" not in said
        assert "\u202e" not in said


@pytest.mark.usefixtures("no_credentials")
def test_preview_works_without_key_and_network(frame):
    preview = frame.batch.preview("review", lambda row: [{"type": "text", "text": row["review"]}]).preview
    assert (preview.to_send, preview.input_tokens, preview.cost) == (3, None, None)
    assert '"text": "good"' in preview.rows[0].pieces[0][0]


@pytest.mark.parametrize("n", [0, -1, 2.5, True])
def test_preview_takes_a_whole_number_of_rows(frame, workspace, n):
    with pytest.raises(InputError, match="n is a whole number"):
        frame.batch.preview("review", n=n, workspace=workspace)


def test_preview_refuses_what_submit_would(frame, workspace):
    with pytest.raises(InputError, match="Did you mean 'review'"):
        frame.batch.preview("reviw", workspace=workspace)
    with pytest.raises(TemplateError, match=r"Write \{review\}"):
        frame["review"].batch.preview("{ review }", workspace=workspace)


# Export, and the marks of simulated answers


def test_everything_of_a_simulated_job_says_so(submit, frame, workspace, tmp_path, capsys):
    job = submit(frame, progress=True)
    result = job.result(timeout=SECONDS)
    assert job.simulated
    assert workspace.simulated
    assert "SIMULATED" in repr(job)
    assert "SIMULATED" in capsys.readouterr().err
    assert result.attrs["batchnb"]["job"] == job.id
    assert result.attrs["batchnb"]["simulated"]
    assert job.snapshot().simulated
    assert workspace.jobs().to_frame()["simulated"].all()
    lines = [json.loads(line) for line in job.export(tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["simulated"] for line in lines] == [True] * 3
    assert pd.read_csv(job.export(tmp_path / "out.csv"))["simulated"].tolist() == [True] * 3


def test_a_real_job_is_not_marked_and_exports_the_apis_own_lines(real, server, frame, tmp_path):
    job = frame.batch.submit("review", workspace=real, progress=False)
    result = job.result(timeout=SECONDS)
    assert not job.simulated
    assert "SIMULATED" not in repr(job)
    assert result.attrs["batchnb"]["simulated"] is False
    lines = [json.loads(line) for line in job.export(tmp_path / "out.jsonl").read_text().splitlines()]
    theirs = {custom_id: result for batch in server.batches for custom_id, result in batch.results.items()}
    assert {line["custom_id"]: line["result"] for line in lines} == theirs
    assert all(set(line) == {"custom_id", "result"} for line in lines)
    assert "simulated" not in pd.read_csv(job.export(tmp_path / "out.csv"))


def test_a_csv_holds_the_result(submit, frame, tmp_path):
    job = submit(frame, labels=LABELS, into="label")
    result = job.result(timeout=SECONDS)
    read = pd.read_csv(job.export(str(tmp_path / "out.csv")))
    assert read["label"].tolist() == result["label"].tolist()
    assert read["review"].tolist() == frame["review"].tolist()


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="parquet needs pyarrow")
def test_a_parquet_file_holds_the_result_with_its_types(submit, frame, tmp_path):
    job = submit(frame, labels=LABELS, into="label")
    result = job.result(timeout=SECONDS)
    read = pd.read_parquet(job.export(tmp_path / "out.parquet"))
    pd.testing.assert_frame_equal(read.drop(columns="simulated"), result)


def test_an_export_of_another_kind_is_refused(submit, frame, tmp_path):
    job = submit(frame)
    job.result(timeout=SECONDS)
    with pytest.raises(InputError, match=r"writes no spreadsheets\..*Nothing was written"):
        job.export(tmp_path / "out.xlsx")
    assert not (tmp_path / "out.xlsx").exists()


def test_simulated_answers_are_never_taken_for_real_ones(
    workspace, open_workspace, server, real, submit, frame, simulator
):
    submit(frame).result(timeout=SECONDS)
    assert real.home == workspace.home
    job = submit(frame, workspace=real)
    assert job.result(timeout=SECONDS)["review_reply"].tolist() == ["About good", "About bad", "About so so"]
    assert sum(server.asked.values()) == 3
    assert not job.simulated
    assert len(real.jobs()) == 1
    named = open_workspace(simulator, scope="https://api.anthropic.com")
    assert named.simulated
    assert named.scope.startswith("simulator:")


def test_a_simulator_that_takes_a_real_servers_place_is_refused(frame, tmp_path):
    with independent.Server() as server:
        client = anthropic.Anthropic(api_key="k", base_url=server.url)
        workspace = Workspace(client, home=tmp_path / "home", max_poll=0.1)
        assert not workspace.simulated
    with Simulator(tmp_path / "simulator", port=int(server.url.rpartition(":")[2])) as simulator:
        with pytest.raises(RefusedError, match="never mixed"):
            frame.batch.submit("review", workspace=workspace, progress=False)
        assert simulator.record() == []
    workspace.close()
    client.close()


def test_another_simulator_shares_no_answers(open_workspace, submit, frame, tmp_path, asked):
    submit(frame).result(timeout=SECONDS)
    with Simulator(tmp_path / "another", delay=(0.0, 0.0)) as another:
        submit(frame, workspace=open_workspace(another)).result(timeout=SECONDS)
        assert len(another.record()) == 3


# The default simulator


def test_simulate_makes_the_simulator_the_default_and_never_sees_the_key(frame, monkeypatch, tmp_path):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-real-key")
    monkeypatch.setenv("BATCHNB_MAX_POLL", "0.1")
    simulator = batchnb.simulate(tmp_path / "state", delay=(0.0, 0.01), responder=lambda params: "simulated answer")
    assert batchnb.simulate(tmp_path / "state", delay=(0.0, 0.01), responder=simulator._responder) is simulator
    job = frame.batch.submit("review", progress=False)
    assert job.result(timeout=SECONDS)["review_reply"].tolist() == ["simulated answer"] * 3
    assert job.simulated
    assert batchnb.jobs().to_frame()["id"].tolist() == [job.id]
    assert batchnb.attach(job.id, progress=False).id == job.id
    assert len(batchnb.batches()) == 1
    assert job._session.api._client.api_key != "sk-ant-real-key"


NOTEBOOK = """
import pandas as pd, batchnb
simulator = batchnb.simulate(delay=(0.0, 0.01))
frame = pd.DataFrame({"review": ["good", "bad"]})
job = frame.batch.submit("review", labels=["positive", "negative"], progress=False)
print(job.id, job.result(timeout=60)["review_label"].tolist(), len(simulator.record()))
print(sum(call.path == "/v1/messages/batches" and call.method == "POST" for call in simulator.calls))
"""


def test_the_same_notebook_finds_its_simulated_answers_after_a_restart(tmp_path):
    first, second = (run_script(NOTEBOOK, tmp_path).stdout.splitlines() for _ in range(2))
    assert first[0] == second[0]
    assert "['positive', 'negative'] 2" in first[0]
    assert [first[1], second[1]] == ["1", "0"]


def test_simulating_leaves_nothing_open(tmp_path):
    assert "ResourceWarning" not in run_script(NOTEBOOK, tmp_path).stderr


def test_a_script_that_leaves_at_once_has_sent_everything_and_leaves_nothing_open(tmp_path):
    script = """
import atexit, sys, pandas as pd, batchnb
from batchnb.api.addresses import simulator_client
client = simulator_client(sys.argv[1])
atexit.register(client.close)
workspace = batchnb.Workspace(client)
pd.DataFrame({"review": ["good", "bad"]}).batch.submit("review", workspace=workspace, progress=False)
print("left")
"""
    with Simulator(tmp_path / "state", delay=(0.0, 0.01)) as simulator:
        done = run_script(script, tmp_path, simulator.url)
        assert done.stdout == "left\n"
        assert len(simulator.record()) == 2
    assert "ResourceWarning" not in done.stderr, done.stderr


def run_script(script: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in an interpreter of its own, which tells what is left open."""
    command = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", script, *arguments]
    environment = os.environ | {"BATCHNB_HOME": str(home / "home"), "BATCHNB_MAX_POLL": "0.1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_client_of_another_kind_is_refused(frame, tmp_path):
    workspace = Workspace(anthropic.AsyncAnthropic(api_key="k"), home=tmp_path)
    with pytest.raises(InputError, match=r"takes an anthropic\.Anthropic client, not AsyncAnthropic"):
        frame.batch.submit("review", workspace=workspace, progress=False)


@pytest.mark.parametrize("max_poll", [0, -1])
def test_max_poll_is_a_number_of_seconds(max_poll, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="max_poll"):
        Workspace(home=tmp_path, max_poll=max_poll)
    monkeypatch.setenv("BATCHNB_MAX_POLL", "often")
    with pytest.raises(InputError, match="BATCHNB_MAX_POLL is a number of seconds, not 'often'"):
        Workspace(home=tmp_path)


def test_a_simulators_client_goes_round_proxies(simulator, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with simulator_client(simulator.url).with_options(max_retries=0) as client:
        assert list(client.messages.batches.list()) == []
