"""Before a changed recipe asks rows again, submit says what differs and for how many rows."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bench import PATIENCE, Bench, texts
from independent import Status

from batchnb import InputError, Job, RecipeChangedWarning
from batchnb.planning.changes import differences
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import TextReply
from batchnb.questions.replies.labels import LabelReply
from batchnb.questions.spec import RecipeSpec

pytest_plugins = ["bench_fixtures"]


def submit(bench: Bench, rows: list[str], template: Any = "Echo: {review}", **options: Any) -> Job:
    frame = pd.DataFrame({"review": rows, "n": range(len(rows))})
    options = {"into": "echo", "workspace": bench.workspace, "progress": False, **options}
    return frame.batch.submit("review", template, **options)


def asked(bench: Bench, rows: list[str], *args: Any, **options: Any) -> Job:
    job = submit(bench, rows, *args, **options)
    job.result(PATIENCE)
    return job


def said(bench: Bench, rows: list[str], *args: Any, **options: Any) -> str:
    """Submit, and give the one warning it raises."""
    with pytest.warns(RecipeChangedWarning) as caught:
        asked(bench, rows, *args, **options)
    assert len(caught) == 1
    return str(caught[0].message)


def test_a_changed_recipe_says_what_differs_for_how_many_rows_and_what_to_do(bench: Bench):
    job = asked(bench, texts(4), max_tokens=256)
    message = said(bench, texts(4), "Repeat: {review}", model="claude-opus-4-8", max_tokens=64)
    assert re.match(
        rf"4 of 4 rows were asked before, by {job.id} \(\d{{4}}-\d\d-\d\d \d\d:\d\d UTC\), and are now asked, and paid "
        r'for, once more, since the recipe has changed: model "claude-haiku-4-5" → "claude-opus-4-8"; '
        r"max_tokens 256 → 64; the template\. job\.cancel\(\) stops it; ",
        message,
    )
    assert 'warnings.simplefilter("error", batchnb.RecipeChangedWarning)' in message


def test_messages_that_are_the_same_are_not_said_to_have_changed(bench: Bench):
    messages = [
        {"role": "user", "content": "Echo: {review}"},
        {"role": "assistant", "content": "Which of them?"},
        {"role": "user", "content": "Number {n}"},
    ]
    asked(bench, texts(2), messages, max_tokens=256)
    assert "the recipe has changed: max_tokens 256 → 64. job" in said(bench, texts(2), messages, max_tokens=64)


def test_only_rows_that_were_asked_before_and_are_sent_now_count(bench: Bench):
    asked(bench, texts(5))
    assert said(bench, texts(1), "Repeat: {review}").startswith("1 of 1 rows was asked")
    message = said(bench, ["", *texts(8)], "Repeat: {review}")  # one is blank, one was sent just now, three are new
    assert message.startswith("4 of 9 rows were asked")


def test_what_is_refused_is_not_said_to_be_asked_again(bench: Bench):
    asked(bench, texts(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecipeChangedWarning)
        with pytest.raises(InputError, match="max_cost"):
            submit(bench, texts(2), "Repeat: {review}", max_cost=1e-9)


@pytest.mark.parametrize("kind", [Warning, UserWarning, RecipeChangedWarning])
def test_a_notebook_that_ignores_all_warnings_is_told_all_the_same(bench: Bench, capsys, kind):
    asked(bench, texts(3))
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kind)
        asked(bench, texts(3), "Repeat: {review}")
    told = capsys.readouterr().err
    assert ("batchnb: 3 of 3 rows were asked before" in told) is (kind is not RecipeChangedWarning)


def test_the_line_that_submits_is_the_one_that_is_named(bench: Bench):
    frame = pd.DataFrame({"review": texts(2)})
    options: dict[str, Any] = {"workspace": bench.workspace, "progress": False}
    frame.batch.submit("review", **options)
    with pytest.warns(RecipeChangedWarning) as of_frame:
        frame.batch.submit("review", "1 {review}", **options)
    with pytest.warns(RecipeChangedWarning) as of_series:
        frame["review"].batch.submit("2 {review}", **options)
    source = Path(__file__).read_text(encoding="utf-8").splitlines()
    lines = [(one.filename, source[one.lineno - 1].strip()) for one in (*of_frame, *of_series)]
    assert lines == [
        (__file__, 'frame.batch.submit("review", "1 {review}", **options)'),
        (__file__, 'frame["review"].batch.submit("2 {review}", **options)'),
    ]


def test_as_an_error_it_comes_before_anything_is_recorded_or_sent(bench: Bench):
    job = asked(bench, texts(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecipeChangedWarning)
        with pytest.raises(RecipeChangedWarning, match="3 of 3 rows"):
            submit(bench, texts(3), "Repeat: {review}")
    assert sum(bench.server.asked.values()) == 3
    assert bench.workspace.jobs().to_frame()["id"].tolist() == [job.id]


# When there is nothing to say: warnings are errors in tests


def test_added_and_changed_rows_are_no_news(bench: Bench):
    asked(bench, texts(4))
    asked(bench, [*texts(2), "changed", "added", "added"])
    assert sum(bench.server.asked.values()) == 6


def test_what_sends_nothing_says_nothing(bench: Bench):
    asked(bench, texts(3))
    said(bench, texts(3), "Repeat: {review}")
    asked(bench, texts(3))
    asked(bench, texts(3), "Repeat: {review}")


def test_asking_again_on_purpose_is_no_news(bench: Bench):
    asked(bench, texts(3))
    asked(bench, texts(3), fresh=True)
    asked(bench, texts(3), "Repeat: {review}", fresh="x")
    asked(bench, texts(3), samples=3)
    asked(bench, texts(3), samples=2)


def test_other_columns_are_other_work(bench: Bench):
    asked(bench, texts(3))
    asked(bench, texts(3), "Repeat: {review}", into="other")
    frame = pd.DataFrame({"title": texts(3)})
    frame.batch.submit("title", "Repeat: {title}", into="echo", workspace=bench.workspace, progress=False)


def test_what_changes_no_question_is_no_news(bench: Bench):
    blocks = [{"type": "text", "text": "Be brief."}]
    asked(bench, ["a", "b"], system=blocks, params={"betas": ["one", "two"]})
    cached = [{**blocks[0], "cache_control": {"type": "ephemeral"}}]
    asked(bench, ["a", "b"], system=cached, params={"betas": ["two", "one"]}, key="review", missing="send")
    assert sum(bench.server.asked.values()) == 2


def test_a_job_that_sent_nothing_has_asked_nothing(bench: Bench):
    bench.server.always["create"] = Status(429)
    job = submit(bench, texts(3))
    job.cancel()
    job.result(PATIENCE)
    bench.server.always.clear()
    asked(bench, texts(3), "Repeat: {review}")


def test_a_recipe_that_does_not_apply_to_the_frame_says_nothing(bench: Bench):
    asked(bench, texts(3), "Echo: {n} {review}")
    frame = pd.DataFrame({"review": texts(3)})
    options = {"into": "echo", "workspace": bench.workspace, "progress": False}
    frame.batch.submit("review", "Echo: {review}", **options).result(PATIENCE)
    asked(bench, ["other"], lambda row: f"By a function: {row['review']}")
    frame = pd.DataFrame({"review": ["other"]})
    frame.batch.submit("review", "Say: {review}", **options).result(PATIENCE)  # nobody has the function any more


# Which job it is compared with


def test_the_newest_job_that_asked_these_rows_is_the_one_that_counts(bench: Bench):
    asked(bench, texts(3), "1 {review}")
    second = said(bench, texts(3), "2 {review}")
    asked(bench, ["quite others"], "3 {review}")
    message = said(bench, texts(3), "4 {review}")
    newest = bench.workspace.jobs().to_frame().set_index("id").loc[lambda jobs: jobs["rows"] == 3].index[1]
    assert newest in message
    assert newest not in second


def test_another_job_of_the_same_recipe_does_not_hide_it(bench: Bench):
    asked(bench, texts(5))
    assert said(bench, texts(2), "Repeat: {review}").startswith("2 of 2 rows")
    assert said(bench, texts(5), "Repeat: {review}").startswith("3 of 5 rows")


def test_answers_asked_afresh_or_in_samples_were_asked_too(bench: Bench):
    asked(bench, texts(3), fresh="x", samples=2)
    message = said(bench, texts(3), "Repeat: {review}", samples=3)
    assert message.startswith("3 of 3 rows were asked")
    assert "the template; samples 2 → 3" in message


def test_a_function_is_tried_under_the_params_of_before(bench: Bench):
    def ask(row: pd.Series) -> Any:
        return {
            "a": row["review"],
            "b": [{"role": "user", "content": "b"}],
            "c": {"messages": [{"role": "user", "content": "c"}]},
        }[row["review"]]

    asked(bench, ["a", "b", "c"], ask)
    message = said(bench, ["a", "b", "c"], ask, max_tokens=7)
    assert message.startswith("3 of 3 rows")
    assert "changed: max_tokens 1024 → 7." in message
    asked(bench, ["a"], lambda row: "another function")


# What differs


def recipe(**changes: Any) -> RecipeSpec:
    shared = {"model": "m", "max_tokens": 10, **changes.pop("shared", {})}
    fields = {"column": "c", "template": "{c}", "betas": (), "reply": TextReply(), "into": "i"}
    return Recipe(**{**fields, **changes}, shared=shared).spec()


def formatted(*labels: str, meanings: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    reply = LabelReply.of(meanings or labels, **options)
    return {"reply": reply, "shared": {"output_config": {"format": reply.output_format()}}}


CHANGED: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {"template": "{c}!"}, ["the template"]),
    ({}, {"template": None}, ["the template"]),
    ({}, {"template": str}, ["the template"]),
    ({}, {"shared": {"model": "n"}}, ['model "m" → "n"']),
    ({}, {"shared": {"max_tokens": 5}}, ["max_tokens 10 → 5"]),
    ({"shared": {"system": "a"}}, {"shared": {"system": "b"}}, ["the system prompt"]),
    ({}, {"shared": {"system": "b"}}, ["the system prompt"]),
    (formatted("a", "b"), formatted("b", "a"), ['labels ["a","b"] → ["b","a"]']),
    ({}, formatted("a", "b"), ["labels (not set before)"]),
    (formatted("a", "b"), {}, ["labels (no longer set)"]),
    (formatted("a" * 70, "b"), formatted("a" * 70, "c"), ["labels"]),
    (formatted("a", "b"), formatted("a", "b", multiple=True), ["multiple="]),
    (formatted("a", "b", explain=True), formatted("a", "b", "c"), ['labels ["a","b"] → ["a","b","c"]', "explain="]),
    (formatted("a", "b"), formatted("a", other="b"), ["other="]),
    (formatted("a", "b"), formatted(meanings={"a": "x", "b": None}), ["what the labels mean"]),
    ({}, {"shared": {"thinking": {"type": "adaptive"}}}, ["thinking (not set before)"]),
    ({"shared": {"stop_sequences": ["x"]}}, {"shared": {"stop_sequences": None}}, ['stop_sequences ["x"] → null']),
    ({}, {"shared": {"output_config": {"effort": "low"}}}, ["effort (not set before)"]),
    ({"betas": ("a",)}, {"betas": ("b", "a")}, ['betas ["a"] → ["a","b"]']),
    ({}, {"samples": 3}, ["samples 1 → 3"]),
    ({"samples": 3}, {"samples": 2, "shared": {"model": "n"}}, ['model "m" → "n"', "samples 3 → 2"]),
]


@pytest.mark.parametrize(("before", "after", "expected"), CHANGED)
def test_differences_are_named(before, after, expected):
    assert differences(recipe(**before), recipe(**after)) == expected


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"replicate": "x"},
        {"key": "k"},
        {"missing": "send"},
        {"shared": {"output_config": {}}},
        {"betas": ()},
    ],
)  # fmt: skip
def test_what_asks_the_same_has_no_differences(same):
    assert differences(recipe(), recipe(**same)) == []
    assert differences(recipe(**same), recipe()) == []


def test_it_is_a_warning_that_can_be_told_apart():
    assert issubclass(RecipeChangedWarning, UserWarning)
    assert not issubclass(RecipeChangedWarning, InputError)
