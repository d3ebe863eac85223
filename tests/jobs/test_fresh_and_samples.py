"""Asking again on purpose: ``fresh=`` asks once more, ``samples=`` asks several times; nothing else is bought by it."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from typing import Any

import pandas as pd
import pytest
from bench import PATIENCE, Bench, assert_echoed, outcomes, texts
from independent import Status, errored, message, succeeded, text_of
from ledger_rows import RECIPE

from batchnb import InputError
from batchnb.answers.new_columns import Columns
from batchnb.display.snapshot import ErrorKind
from batchnb.ledger.jobs import NewJob
from batchnb.ledger.migrations import STEPS
from batchnb.questions.bodies import digest_in
from batchnb.questions.envelope import Envelope, content_of
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import TextReply
from batchnb.questions.replies.labels import LabelReply
from batchnb.questions.rows import Row, Rows

pytest_plugins = ["bench_fixtures"]


class Numbered:
    """Answers a text with its number of askings behind it: "text 1/2" is the second answer about "text 1"."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __call__(self, params: dict[str, Any]) -> dict[str, Any]:
        text = text_of(params).removeprefix("Echo: ")
        self.asked[text] += 1
        return {"type": "succeeded", "message": message(params, f"{text}/{self.asked[text]}")}


@pytest.fixture
def numbered(bench: Bench) -> Numbered:
    answers = Numbered()
    bench.server.result = answers
    return answers


def echoes(bench: Bench, rows: list[str], **options: Any) -> list[str]:
    return bench.submit(rows, **options).result(PATIENCE)["echo"].tolist()


def sent(bench: Bench) -> int:
    return sum(bench.server.asked.values())


def custom_ids(bench: Bench) -> set[str]:
    return {request["custom_id"] for batch in bench.server.batches for request in batch.requests}


# Under a tag


def test_a_tag_asks_once_more_and_running_it_again_sends_nothing(bench: Bench, numbered):
    assert echoes(bench, texts(3)) == ["text 0/1", "text 1/1", "text 2/1"]
    again = ["text 0/2", "text 1/2", "text 2/2"]
    assert echoes(bench, texts(3), fresh="second") == again
    job = bench.submit(texts(3), fresh="second")
    assert job.done()
    assert job.result()["echo"].tolist() == again
    assert echoes(bench, texts(4), fresh="second") == [*again, "text 3/1"]
    assert echoes(bench, texts(3), fresh="Dritter Versuch: 2026-11/22") == ["text 0/3", "text 1/3", "text 2/3"]
    assert sent(bench) == 3 + 3 + 1 + 3


@pytest.mark.parametrize("tag", ["", "a" * 65, "a#1", "a*2", "line\n", "tab\t", 7, None, 1.0, ["x"]])
def test_what_is_no_tag_is_refused_with_the_right_form(bench: Bench, tag):
    with pytest.raises(InputError, match='fresh="second try"'):
        bench.submit(texts(2), fresh=tag)
    assert bench.server.calls == []
    assert len(bench.workspace.jobs()) == 0


def test_an_unfinished_job_of_a_tag_goes_on_in_another_kernel(bench: Bench):
    bench.server.ends = False
    place = bench.open()
    bench.submit(texts(4), fresh="x", workspace=place)
    bench.server.wait_for(lambda: bench.server.batches)
    place.close()
    bench.server.end()
    assert_echoed(bench.submit(texts(4), fresh="x"))
    assert sent(bench) == 4


# At every run


def test_true_asks_once_more_at_every_run(bench: Bench, numbered):
    for run in (1, 2, 3):
        assert echoes(bench, texts(2), fresh=True) == [f"text 0/{run}", f"text 1/{run}"]
    assert echoes(bench, texts(2)) == ["text 0/3", "text 1/3"]
    assert sent(bench) == 6


@pytest.mark.parametrize("elsewhere", [False, True])
def test_true_goes_on_with_an_unfinished_run_whatever_rows_there_are_now(bench: Bench, elsewhere):
    bench.server.ends = False
    place = bench.open()
    first = bench.submit(texts(5), fresh=True, workspace=place)
    bench.server.wait_for(lambda: bench.server.batches)
    if elsewhere:
        place.close()
        place = bench.open()
    second = bench.submit(texts(8), fresh=True, workspace=place)
    bench.server.wait_for(lambda: len(bench.server.batches) == 2)
    assert sent(bench) == 8
    bench.server.end()
    for job in (second, bench.open().attach(first.id)):
        assert job.result(PATIENCE)["echo_status"].eq("succeeded").all()
    bench.server.ends = True
    assert_echoed(bench.submit(texts(8), fresh=True, workspace=place))
    assert sent(bench) == 16


def test_true_counts_for_each_recipe_and_a_deleted_job_frees_no_number(bench: Bench, numbered):
    def ask(template: str) -> list[str]:
        frame = pd.DataFrame({"review": ["a"]})
        job = frame.batch.submit("review", template, into="echo", fresh=True, workspace=bench.workspace, progress=False)
        return job.result(PATIENCE)["echo"].tolist()

    assert [ask("Echo: {review}"), ask("Say {review}"), ask("Say {review}")] == [["a/1"], ["Say a/1"], ["Say a/2"]]
    tags = [record.recipe.replicate for record in bench.workspace.session.ledger.jobs.all()]
    assert tags == ["#2", "#1", "#1"]
    kept = bench.submit(["a"])  # gives the answer of #1, and keeps it
    assert kept.result()["echo"].tolist() == ["a/1"]
    deleted = bench.workspace.session.ledger.jobs.all()[-1]
    assert deleted.recipe.replicate == "#1"
    bench.workspace.session.ledger.jobs.delete(deleted.number)
    assert ask("Echo: {review}") == ["a/2"]


def test_after_a_lost_ledger_the_same_questions_come_again(bench: Bench):
    def notebook(home: str) -> set[str]:
        place = bench.open(home=bench.home / home)
        for options in ({}, {"fresh": True}, {"fresh": True, "samples": 2}, {"fresh": "x"}):
            bench.submit(texts(3), workspace=place, **options).result(PATIENCE)
        return custom_ids(bench)

    first = notebook("lost")
    assert len(first) == 3 + 3 + 6 + 3
    assert notebook("new") == first


# A plain run after it


def test_a_plain_run_gives_each_row_its_newest_answer_and_sends_nothing(bench: Bench, numbered):
    rows = texts(6)
    echoes(bench, rows)
    echoes(bench, rows[:3], fresh="x")
    calls = bench.server.count_calls()
    mixed = [f"text {i}/{2 if i < 3 else 1}" for i in range(6)]
    job = bench.submit(rows)
    assert job.done()
    assert job.result()["echo"].tolist() == mixed
    assert bench.submit(rows).id == job.id
    assert bench.server.count_calls() == calls
    assert echoes(bench, [*rows, "another"]) == [*mixed, "another/1"]
    assert sent(bench) == 6 + 3 + 1


def test_a_row_added_after_it_is_asked_for_the_first_time(bench: Bench):
    assert_echoed(bench.submit(texts(2), fresh="x"))
    assert_echoed(bench.submit([*texts(2), "another"]))
    added = bench.server.batches[-1].requests
    assert len(added) == 1
    plain = bench.open(home=bench.home / "other")
    assert_echoed(bench.submit(["other", "another", "another"], workspace=plain))
    digests = {digest_in(request["custom_id"]) for request in bench.server.batches[-1].requests}
    assert digest_in(added[0]["custom_id"]) in digests


def test_the_newest_answer_is_the_one_asked_last_and_not_of_the_tag_named_last(bench: Bench, numbered):
    rows = texts(3)
    for asked, tag in ((rows[:1], "x"), (rows, "y"), (rows, "x")):
        echoes(bench, asked, fresh=tag)
    # Under x, the first row was asked first; the others, last.
    assert echoes(bench, rows) == ["text 0/2", "text 1/2", "text 2/2"]
    assert echoes(bench, rows, fresh="x")[0] == "text 0/1"
    assert sent(bench) == 1 + 3 + 2


def test_an_asking_that_failed_hides_no_answer(bench: Bench, numbered):
    echoes(bench, texts(3))
    bench.server.result = lambda params: errored("invalid_request_error")
    assert outcomes(bench.submit(texts(3), fresh="x").result(PATIENCE)) == {"errored": 3}
    assert echoes(bench, texts(3)) == ["text 0/1", "text 1/1", "text 2/1"]
    assert sent(bench) == 6


def test_a_failed_asking_shows_where_there_is_no_other(bench: Bench):
    bench.server.result = lambda params: errored("invalid_request_error")
    bench.submit(texts(3), fresh="x").result(PATIENCE)
    assert outcomes(bench.submit(texts(3)).result(PATIENCE)) == {"errored": 3}
    assert sent(bench) == 3


@pytest.mark.parametrize("cancel", [False, True])
def test_what_was_to_be_asked_afresh_but_never_sent_is_not_sent_by_a_plain_run(bench: Bench, cancel):
    assert_echoed(bench.submit(texts(3)))
    bench.server.always["create"] = Status(429)
    place = bench.open()
    fresh = bench.submit(texts(3), fresh="x", workspace=place)
    bench.server.wait_for(lambda: bench.server.called("POST", "batches") >= 2)
    if cancel:
        fresh.cancel()
        assert outcomes(fresh.result(PATIENCE)) == {"canceled": 3}
    place.close()
    bench.server.always.clear()
    assert_echoed(bench.submit(texts(3)))
    assert sent(bench) == 3
    if not cancel:
        assert_echoed(bench.submit(texts(3), fresh="x"))
        assert sent(bench) == 6


def test_a_plain_run_of_failed_rows_does_not_send_what_was_only_recorded_afresh(bench: Bench):
    bench.server.result = lambda params: errored("invalid_request_error")
    plain = bench.submit(texts(3))
    assert outcomes(plain.result(PATIENCE)) == {"errored": 3}
    bench.server.always["create"] = Status(429)
    place = bench.open()
    bench.submit(texts(3), fresh="x", workspace=place)
    bench.server.wait_for(lambda: bench.server.called("POST", "batches") >= 2)
    place.close()
    bench.server.always.clear()
    job = bench.submit(texts(3))
    assert (job.id, job.done(), sent(bench)) == (plain.id, True, 3)


def test_an_answer_on_its_way_is_the_newest(bench: Bench, numbered):
    echoes(bench, texts(2))
    bench.server.ends = False
    bench.submit(texts(1), fresh="x")
    bench.server.wait_for(lambda: len(bench.server.batches) == 2)
    job = bench.submit(texts(2))
    assert job.counts == {"pending": 1, "succeeded": 1}
    bench.server.end()
    assert job.result(PATIENCE)["echo"].tolist() == ["text 0/2", "text 1/1"]


def test_join_and_merge_find_the_answers_of_the_job_they_are_given(bench: Bench, numbered):
    rows = texts(4)
    plain = bench.submit(rows)
    plain.result(PATIENCE)
    fresh = bench.submit(rows[:2], fresh="x")
    fresh.result(PATIENCE)
    mixed = bench.submit(rows)
    other = pd.DataFrame({"review": ["text 3", "text 0", "never asked"]})
    place = bench.open()
    for job, expected in (
        (plain, ["text 3/1", "text 0/1", None]),
        (fresh, [None, "text 0/2", None]),
        (mixed, ["text 3/1", "text 0/2", None]),
    ):
        for one in (job, place.attach(job.id)):
            joined = other.batch.join(one)
            assert [None if pd.isna(value) else value for value in joined["echo"]] == expected
    assert mixed.merge(other)["echo_status"].isna().tolist() == [False, False, True]


def test_a_later_asking_is_known_as_one_even_if_the_ledger_had_it_without_its_question(bench: Bench):
    """As when the answers of a lost ledger were taken back by their digests alone."""
    first, again, content = b"first" * 3 + b".", b"again" * 3 + b".", content_of("text")
    envelope = Envelope.around({"model": "m"}, "content")
    ledger = bench.workspace.session.ledger
    for number, question in ((1, None), (2, first)):
        job = NewJob(f"job_{number}", "a job", RECIPE, ((envelope, (), {"kind": "text"}),), 10, 1_000, 0)
        ledger.jobs.create(job, [Rows.of([Row(again, content, 0, "0", None, None, question)])], 1.0)
        assert list(ledger.askings.newest([first, None])) == [first if question is None else again, None]


def test_a_function_as_template_is_asked_afresh_too(bench: Bench, numbered):
    def ask(row: pd.Series) -> Any:
        text = f"Echo: {row['review']}"
        forms = {
            "a": text,
            "b": [{"role": "user", "content": text}],
            "c": {"messages": [{"role": "user", "content": text}]},
        }
        return forms[row["review"]]

    frame = pd.DataFrame({"review": ["a", "b", "c"]})

    def submit(**options: Any) -> pd.DataFrame:
        options |= {"into": "echo", "workspace": bench.workspace, "progress": False}
        return frame.batch.submit("review", ask, **options).result(PATIENCE)

    assert submit()["echo"].tolist() == ["a/1", "b/1", "c/1"]
    assert submit(fresh=True, samples=2)["echo_samples"].tolist() == [[f"{x}/2", f"{x}/3"] for x in "abc"]
    assert submit()["echo"].tolist() == ["a/2", "b/2", "c/2"]
    assert sent(bench) == 9


def test_a_ledger_of_the_first_version_goes_on(bench: Bench):
    place = bench.open()
    before = bench.submit(texts(3), workspace=place)
    assert_echoed(before)
    path = place.session.ledger.path
    place.close()
    old = path.rename(path.with_suffix(".old"))
    with sqlite3.connect(path) as db:
        db.executescript(STEPS[0])
        db.execute("ATTACH ? AS old", (str(old),))
        tables = [name for (name,) in db.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")]
        kept = {
            "requests": "(SELECT * FROM old.requests JOIN old.contents ON request = id)",
            "answers": "(SELECT a.*, COALESCE(o.model, '') AS model, o.geo FROM old.answers AS a"
                       " LEFT JOIN old.origins AS o ON o.id = a.origin)",
        }  # fmt: skip
        for table in tables:
            columns = ", ".join(name for _, name, *_ in db.execute(f"PRAGMA main.table_info({table})"))
            source = kept.get(table, f"old.{table}")
            db.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM {source}")
        db.execute("PRAGMA main.user_version = 1")
    db.close()
    job = bench.submit(texts(3))
    assert job.id == before.id
    assert_echoed(job)
    assert sent(bench) == 3
    frame = pd.DataFrame({"review": ["text 2", "new"]})
    assert frame.batch.join(bench.workspace.attach(job.id))["echo"].isna().tolist() == [False, True]
    assert_echoed(bench.submit(texts(3), fresh=True))
    assert sent(bench) == 6


# Several samples


def labelled(*labels: str):
    """Answer the askings of each text with these labels in turn, then with the last."""
    asked: Counter[str] = Counter()

    def result(params: dict[str, Any]) -> dict[str, Any]:
        text = text_of(params)
        asked[text] += 1
        label = labels[min(asked[text], len(labels)) - 1]
        return {"type": "succeeded", "message": message(params, json.dumps({"label": label}))}

    return result


def test_samples_give_the_most_frequent_answer_all_of_them_and_their_agreement(bench: Bench):
    bench.server.result = labelled("no", "yes", "yes")
    job = bench.submit(["a", "b", "a"], labels=["yes", "no"], samples=3)
    frame = job.result(PATIENCE)
    own = ["echo", "echo_status", "echo_error", "echo_samples", "echo_agreement"]
    assert frame.columns.tolist() == ["review", *own]
    assert frame["echo"].tolist() == ["yes"] * 3
    assert frame["echo"].cat.categories.tolist() == ["yes", "no"]
    assert [sorted(samples) for samples in frame["echo_samples"]] == [["no", "yes", "yes"]] * 3
    assert frame["echo_agreement"].dtype == "Float64"
    assert frame["echo_agreement"].tolist() == [pytest.approx(2 / 3)] * 3
    assert sent(bench) == 6
    assert (job.counts, job.usage.requests, job.snapshot().rows) == ({"succeeded": 3}, 6, 3)


def test_of_equally_frequent_answers_the_first_is_given():
    columns = Columns(TextReply(), "into", samples=3)
    for values in (["b", "a", "a"], ["b", "a", "c"], [None, "z", "a"], [None, None, None]):
        columns.values += values
        columns.statuses += ["invalid" if value is None else "succeeded" for value in values]
        columns.errors += ["why" if value is None else None for value in values]
    arrays = columns.arrays()
    assert arrays["into"].tolist() == ["a", "b", "z", pd.NA]
    assert list(arrays["into_samples"]) == [["b", "a", "a"], ["b", "a", "c"], [None, "z", "a"], [None] * 3]
    assert arrays["into_agreement"].tolist() == [2 / 3, 1 / 3, 1 / 2, pd.NA]
    assert arrays["into_status"].tolist() == ["succeeded", "succeeded", "invalid", "invalid"]
    assert arrays["into_error"].tolist() == [pd.NA, pd.NA, "why", "why"]


def test_whole_numbers_agree_as_labels():
    columns = Columns(
        LabelReply((1, 2, 3)), "into", samples=2, values=[3, 3, 1, 2], statuses=["succeeded"] * 4, errors=[None] * 4
    )
    assert columns.arrays()["into"].tolist() == [3, 1]
    assert columns.arrays()["into_agreement"].tolist() == [1.0, 0.5]


def test_more_samples_ask_only_what_is_missing_and_fewer_ask_nothing(bench: Bench, numbered):
    first = ["text 0/1", "text 1/1"]
    assert echoes(bench, texts(2)) == first
    frame = bench.submit(texts(2), samples=3).result(PATIENCE)
    assert frame["echo"].tolist() == first
    assert frame["echo_samples"].str[0].tolist() == first
    assert sorted(frame["echo_samples"][1]) == ["text 1/1", "text 1/2", "text 1/3"]
    assert sent(bench) == 6
    fewer = bench.submit(texts(2), samples=2).result(PATIENCE)
    assert fewer["echo_samples"].tolist() == [samples[:2] for samples in frame["echo_samples"]]
    assert echoes(bench, texts(2)) == first
    assert sent(bench) == 6


def test_samples_asked_afresh_are_the_newest_one_by_one(bench: Bench, numbered):
    def samples(**options: Any) -> list[int]:
        frame = bench.submit(["a"], **options).result(PATIENCE)
        return [int(value.removeprefix("a/")) for value in frame["echo_samples"][0]]

    assert samples(samples=3, batch_size=1) == [1, 2, 3]
    assert samples(samples=2, batch_size=1, fresh="x") == [4, 5]
    assert samples(samples=3) == [4, 5, 3]
    assert samples(samples=3, batch_size=1, fresh="x") == [4, 5, 6]
    assert samples(samples=3) == [4, 5, 6]
    assert sent(bench) == 6


@pytest.mark.parametrize("samples", [0, -1, 101, 2.0, True, "3", None])
def test_samples_are_a_whole_number_from_1_to_100(bench: Bench, samples):
    with pytest.raises(InputError, match="samples is a whole number from 1 to 100"):
        bench.submit(texts(2), samples=samples)
    assert bench.server.calls == []


def test_rows_are_counted_once_and_pending_while_any_sample_is(bench: Bench):
    server = bench.server
    server.ends = False
    job = bench.submit(["a", None, "b", "a"], samples=2, batch_size=2)
    server.wait_for(lambda: len(server.batches) == 2)
    assert job.counts == {"pending": 3, "skipped": 1}
    server.end(server.batches[0])
    while job.counts.get("succeeded") is None:
        job.wait(0.02)
    assert job.counts == {"succeeded": 2, "pending": 1, "skipped": 1}
    partial = job.result(partial=True)
    assert partial["echo_status"].tolist() == ["succeeded", "skipped", "pending", "succeeded"]
    assert partial["echo_samples"].tolist() == [["a", "a"], [None, None], [None, None], ["a", "a"]]
    snapshot = job.snapshot()
    assert (snapshot.rows, snapshot.reused, snapshot.counts.total) == (4, 1, 4)
    server.end()
    assert outcomes(job.result(PATIENCE)) == {"succeeded": 3, "skipped": 1}
    assert bench.submit(["a", "b"], samples=3).snapshot().reused == 0
    assert bench.submit(["a", "b", "a"], samples=2).snapshot().reused == 3


def test_a_failed_row_is_listed_once_and_retried_with_all_its_failed_samples(bench: Bench):
    left = Counter({"b": 2})

    def result(params: dict[str, Any]) -> dict[str, Any]:
        text = text_of(params).removeprefix("Echo: ")
        if left[text]:
            left[text] -= 1
            return errored("permission_error")
        return succeeded(params)

    bench.server.result = result
    job = bench.submit(["a", "b"], samples=3)
    frame = job.result(PATIENCE)
    assert frame["echo_status"].tolist() == ["succeeded", "errored"]
    assert frame["echo"].tolist() == ["a", "b"]
    assert frame["echo_agreement"].tolist() == [1.0, 1.0]
    assert frame["echo_samples"].str.count(".").isna().all()  # lists, not text
    assert sorted(map(str, frame["echo_samples"][1])) == ["None", "None", "b"]
    assert job.counts == {"succeeded": 1, "errored": 1}
    assert job.snapshot().errors == (ErrorKind("permission_error", 1, "row 1"),)
    failed = job.errors()
    assert failed[["row", "outcome", "type", "retryable"]].to_numpy().tolist() == [
        [1, "errored", "permission_error", True]
    ]
    assert job.retry() == 2
    assert job.result(PATIENCE)["echo_samples"].tolist() == [["a"] * 3, ["b"] * 3]
    assert len(job.errors()) == 0


def test_rows_that_no_sample_answers_say_so(bench: Bench):
    bench.server.result = lambda params: errored("invalid_request_error")
    job = bench.submit(texts(2), samples=2)
    frame = job.result(PATIENCE)
    assert frame["echo"].isna().all()
    assert frame["echo_agreement"].isna().all()
    assert frame["echo_samples"].tolist() == [[None, None]] * 2
    assert job.errors()["row"].tolist() == [0, 1]
    assert not job.errors()["retryable"].any()
    assert job.retry() == 0
    assert job.retry(all=True) == 4


@pytest.mark.parametrize("seed", range(4))
def test_counts_errors_and_columns_agree_whatever_becomes_of_the_samples(bench: Bench, seed):
    order = random.Random(seed)
    kinds = [errored("permission_error"), {"type": "expired"}, {"type": "canceled"}, None, None, None]
    bench.server.result = lambda params: order.choice(kinds) or succeeded(params)
    job = bench.submit([*texts(30), "", *texts(3)], samples=3, retries=0, batch_size=7)
    frame = job.result(PATIENCE)
    assert job.counts == outcomes(frame)
    failed = frame.index[~frame["echo_status"].isin(["succeeded", "skipped"])]
    assert job.errors()["row"].tolist() == failed.tolist()
    assert job.errors()["outcome"].tolist() == frame["echo_status"][failed].tolist()
    assert {error.kind: error.rows for error in job.snapshot().errors} == job.errors()["type"].value_counts().to_dict()
    assert len(failed) > 5


def test_an_attached_job_gives_its_samples_by_row_or_by_key_and_to_any_frame(bench: Bench):
    frame = pd.DataFrame({"review": ["b", "a"], "id": ["x", "y"]})
    options = {"into": "echo", "samples": 2, "workspace": bench.workspace, "progress": False}
    keyed = frame.batch.submit("review", "Echo: {review}", key="id", **options)
    keyed.result(PATIENCE)
    by_key = bench.open().attach(keyed.id)
    assert by_key.result().index.tolist() == ["x", "y"]
    assert by_key.result()["echo_samples"].tolist() == [["b", "b"], ["a", "a"]]
    other = pd.DataFrame({"review": ["a", "never asked", "b"]}).batch.join(by_key)
    assert other["echo_samples"].tolist() == [["a", "a"], None, ["b", "b"]]
    assert other["echo_status"].isna().tolist() == [False, True, False]
    assert other["echo_agreement"].isna().tolist() == [False, True, False]


def test_every_sample_is_a_line_of_its_own_in_an_export(bench: Bench, tmp_path):
    job = bench.submit(["a", "b", "a"], samples=2)
    job.result(PATIENCE)
    lines = [json.loads(line) for line in job.export(tmp_path / "out.jsonl").read_text().splitlines()]
    assert {line["custom_id"] for line in lines} == custom_ids(bench)
    assert len(lines) == 4
    assert pd.read_csv(job.export(tmp_path / "out.csv"))["echo_samples"].tolist() == [
        '["a", "a"]',
        '["b", "b"]',
        '["a", "a"]',
    ]


def test_the_columns_of_samples_replace_none_of_the_users_own(bench: Bench):
    options = {"into": "echo", "workspace": bench.workspace, "progress": False}

    def submit(frame: pd.DataFrame, **more: Any) -> pd.DataFrame:
        return frame.batch.submit("review", "Echo: {review}", **{**options, **more}).result(PATIENCE)

    frame = pd.DataFrame({"review": ["a"], "echo_samples": ["mine"]})
    with pytest.raises(InputError, match=r"already has a column 'echo_samples'.*into='echo_new'"):
        submit(frame, samples=2)
    once = submit(frame)
    assert once["echo_samples"].tolist() == ["mine"]
    with pytest.raises(InputError, match="'echo_samples'"):
        submit(once, samples=2)
    with pytest.raises(InputError, match="'echo_samples'"):
        once.batch.join(bench.submit(["a"], samples=2))
    with pytest.raises(InputError, match="the template or key= reads"):
        submit(frame, samples=2, key="echo_samples")
    several = submit(frame[["review"]], samples=2)
    assert submit(several, samples=3)["echo_samples"].tolist() == [["a"] * 3]
    assert submit(frame, samples=2, overwrite=True)["echo_samples"].tolist() == [["a"] * 2]


def test_a_preview_shows_what_fresh_and_samples_would_send(bench: Bench):
    frame = pd.DataFrame({"review": ["a", "b", None, "a"]})
    options = {"into": "echo", "workspace": bench.workspace}

    def counts(**more: Any) -> tuple[int, int, int]:
        shown = frame.batch.preview("review", "Echo: {review}", **options, **more).preview
        return shown.to_send, shown.reused, shown.skipped

    assert counts() == (2, 1, 1)
    assert counts(samples=3) == (6, 1, 1)
    bench.submit(["a", "b"]).result(PATIENCE)
    assert counts() == (0, 3, 1)
    assert counts(samples=3) == (4, 1, 1)
    assert counts(fresh=True) == counts(fresh="x") == (2, 1, 1)
    bench.submit(["b"], fresh="x").result(PATIENCE)
    assert counts() == (0, 3, 1)
    assert counts(fresh="x") == (1, 2, 1)
    assert sent(bench) == 3


def test_a_recipe_without_samples_is_described_as_ever():
    """The description is part of a job's id: one that says more would make every job a new one."""
    recipe = Recipe(column="c", template=None, shared={"model": "m"}, betas=(), reply=TextReply(), into="i")
    assert "samples" not in json.loads(recipe.spec().json)
    assert json.loads(recipe.spec().json)["replicate"] == ""


def test_a_series_takes_fresh_and_samples_too(bench: Bench, numbered):
    series = pd.Series(["a"], name="review")
    job = series.batch.submit("Echo: {review}", workspace=bench.workspace, progress=False, fresh=True, samples=2)
    assert sorted(job.result(PATIENCE)["review_reply_samples"][0]) == ["a/1", "a/2"]
