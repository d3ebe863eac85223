"""Results in the user's own database: written twice they are there once, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import uuid
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from bench import Bench, texts
from independent import errored, succeeded, text_of
from tables import MARKS, columns, contents, made, tables

from batchnb import InputError, Job

pytest_plugins = ["bench_fixtures", "to_sql_fixtures"]

SECONDS = 60


# Writing


def test_a_missing_table_is_made_and_holds_every_row_by_its_key(engine, submit, frame):
    job = submit(frame)
    result = job.result()
    assert job.to_sql("labels", engine, key="id") == 4
    assert sa.inspect(engine).get_pk_constraint("labels")["constrained_columns"] == ["id"]
    assert list(columns(engine, "labels")) == ["id", "label", "label_status", "label_error", *MARKS]
    expected = [
        (row.id, None if pd.isna(row.label) else row.label, row.label_status,
         None if pd.isna(row.label_error) else row.label_error, job.id, True)
        for row in result.itertuples()
    ]  # fmt: skip
    assert contents(engine, "labels") == expected
    assert expected[2][1:4] == (None, "skipped", "missing value in 'review'")
    assert [row[1] for row in expected[:2]] == ["positive", "negative"]


def test_writing_twice_changes_nothing(engine, submit, frame):
    job = submit(frame)
    job.to_sql("labels", engine, key="id", columns=["review", "stars"])
    before = contents(engine, "labels")
    assert job.to_sql("labels", engine, key="id", columns=["review", "stars"]) == 4
    assert contents(engine, "labels") == before
    assert len(before) == 4


def test_a_longer_frame_adds_its_rows_and_leaves_those_of_others(engine, submit, frame):
    submit(frame).to_sql("labels", engine, key="id")
    other = pd.DataFrame({"id": [14, 15], "review": ["bad", "good"]})
    job = submit(other)
    assert job.to_sql("labels", engine, key="id") == 2
    rows = {row[0]: row for row in contents(engine, "labels")}
    assert sorted(rows) == [11, 12, 13, 14, 15]
    assert {key for key, row in rows.items() if row[4] == job.id} == {14, 15}


def test_more_rows_than_a_statement_takes_variables_are_written(engine, submit):
    count = 12_001
    frame = pd.DataFrame({"id": range(count), "review": "good"})
    job = submit(frame)
    assert job.to_sql("labels", engine, key="id", columns=["review"]) == count
    before = contents(engine, "labels")
    assert job.to_sql("labels", engine, key="id", columns=["review"]) == count
    assert len(before) == count
    assert contents(engine, "labels") == before


def test_answers_of_a_retry_replace_the_failures(engine, bench: Bench):
    frame = pd.DataFrame({"id": range(4), "review": texts(4)})
    bench.server.result = lambda params: (
        errored("invalid_request_error") if text_of(params).endswith("text 2") else succeeded(params)
    )
    job = echo(frame, bench)
    job.result(SECONDS)
    assert job.to_sql("t", engine, key="id") == 4
    assert [row[1] for row in contents(engine, "t")] == ["text 0", "text 1", None, "text 3"]
    bench.server.result = succeeded
    assert job.retry(all=True) == 1
    job.result(SECONDS)
    assert job.to_sql("t", engine, key="id") == 4
    assert [row[1:4] for row in contents(engine, "t")] == [(f"text {i}", "succeeded", None) for i in range(4)]


def echo(frame: pd.DataFrame, bench: Bench, **options: Any) -> Job:
    return frame.batch.submit(
        "review", "Echo: {review}", into="echo", workspace=bench.workspace, progress=False, **options
    )


def test_pending_rows_are_left_out_and_never_replace_an_answer(engine, bench: Bench):
    frame = pd.DataFrame({"id": [0, 1, 2], "review": ["text 0", "text 1", None]})
    bench.server.result = lambda params: (
        errored("api_error") if text_of(params).endswith("text 1") else succeeded(params)
    )
    job = echo(frame, bench, retries=0)
    job.result(SECONDS)
    assert job.to_sql("t", engine, key="id") == 3
    before = contents(engine, "t")
    bench.server.ends = False
    job.retry()
    assert job.result(partial=True)["echo_status"].tolist() == ["succeeded", "pending", "skipped"]
    assert job.to_sql("t", engine, key="id") == 2
    assert contents(engine, "t") == before
    assert job.to_sql("fresh", engine, key="id") == 2
    assert [row[0] for row in contents(engine, "fresh")] == [0, 2]
    bench.server.ends = True  # the batch may not have been sent yet
    bench.server.end()
    job.result(SECONDS)


def test_a_job_of_which_nothing_is_answered_writes_nothing(engine, bench: Bench):
    bench.server.ends = False
    job = echo(pd.DataFrame({"id": [0], "review": ["text 0"]}), bench)
    assert job.to_sql("t", engine, key="id") == 0
    assert contents(engine, "t") == []
    bench.server.ends = True  # the batch may not have been sent yet
    bench.server.end()
    job.result(SECONDS)


# Keys


def test_the_jobs_own_key_is_the_default(engine, submit, frame):
    frame["other"] = ["d", "c", "b", "a"]
    job = submit(frame, key="id")
    assert job.to_sql("labels", engine) == 4
    assert [row[0] for row in contents(engine, "labels")] == [11, 12, 13, 14]
    assert job.to_sql("others", engine, key="other") == 4
    assert [row[0] for row in contents(engine, "others")] == ["a", "b", "c", "d"]


def test_without_a_key_the_error_tells_what_to_pass(engine, submit, frame):
    with pytest.raises(InputError, match=r'Pass key=.*key="id"'):
        submit(frame).to_sql("labels", engine)
    assert tables(engine) == []


def test_a_row_without_key_and_rows_of_one_key_are_named(engine, submit, frame):
    frame["gap"] = [1, None, 3, 4]
    frame["twice"] = ["a", "b", "c", "b"]
    job = submit(frame)
    with pytest.raises(InputError, match=r"row 1 \(index '7'\) has no key"):
        job.to_sql("labels", engine, key="gap")
    with pytest.raises(InputError, match=r"row 1 \(index '7'\) and row 3 \(index '8'\) have the same key, 'b'"):
        job.to_sql("labels", engine, key="twice")
    assert tables(engine) == []


@pytest.mark.parametrize("keys", [[11, 12, 13, 14], ["a", "B", "7", "007"]])
def test_a_job_attached_later_writes_the_same_by_its_own_key(engine, workspace, submit, frame, keys):
    frame["id"] = keys
    job = submit(frame, key="id")
    attached = Job(job.id, workspace.session)
    job.to_sql("first", engine)
    before = contents(engine, "first")
    assert attached.to_sql("first", engine) == 4
    assert contents(engine, "first") == before

    assert attached.to_sql("second", engine, key="id") == 4
    before = contents(engine, "second")
    assert sorted(row[0] for row in before) == sorted(map(str, keys))
    assert job.to_sql("second", engine) == 4
    assert contents(engine, "second") == before


def test_a_job_attached_later_has_no_other_key_nor_columns(engine, workspace, submit, frame):
    attached = Job(submit(frame, key="id").id, workspace.session)
    with pytest.raises(InputError, match="no frame, only its own key 'id'"):
        attached.to_sql("labels", engine, key="stars")
    with pytest.raises(InputError, match="no frame to take them from"):
        attached.to_sql("labels", engine, columns=["stars"])
    with pytest.raises(InputError, match="neither its frame nor a key"):
        Job(submit(frame).id, workspace.session).to_sql("labels", engine)
    assert tables(engine) == []


@pytest.mark.parametrize("key", ["012", "x", "1.5"])
def test_a_key_that_the_tables_column_cannot_hold_as_it_is_is_refused(engine, submit, frame, key):
    made(engine)
    frame["id"] = ["11", "12", key, "14"]
    with pytest.raises(InputError, match=f"The key '{key}' does not fit column 'id'"):
        submit(frame).to_sql("t", engine, key="id")
    frame["id"] = [1.0, 2.0, 2.5, 3.0]
    with pytest.raises(InputError, match=r"The key '2\.5' does not fit"):
        submit(frame).to_sql("t", engine, key="id")
    assert contents(engine, "t") == []


@pytest.mark.parametrize("attach", [False, True])
def test_keys_are_read_as_what_the_tables_column_holds(engine, workspace, submit, frame, attach):
    names = [uuid.UUID(int=i) for i in range(4)]
    made(engine, key=sa.Column("id", sa.Uuid, primary_key=True))
    kind = columns(engine, "t")["id"]
    frame["id"] = list(map(str, names))
    job = submit(frame, key="id")
    job = Job(job.id, workspace.session) if attach else job
    assert job.to_sql("t", engine) == 4
    assert job.to_sql("t", engine) == 4
    stored = [row[0] for row in contents(engine, "t")]
    assert [uuid.UUID(str(one)) for one in stored] == names, kind


def test_keys_that_are_the_same_to_the_table_are_refused(tmp_path, submit, frame):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'nocase.db'}")
    made(engine, key=sa.Column("id", sa.Text(collation="NOCASE"), primary_key=True))
    frame["id"] = ["a", "b", "c", "A"]
    with pytest.raises(InputError, match="the same to column 'id' of table 't'"):
        submit(frame).to_sql("t", engine, key="id")
    assert contents(engine, "t") == []
    engine.dispose()
