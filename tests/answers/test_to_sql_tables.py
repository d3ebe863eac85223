"""The table and the database a job is written into: what is used as it is, what is refused, what stays whole."""

from __future__ import annotations

import sys
import threading
import traceback
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from tables import contents, made, tables

import batchnb
from batchnb import InputError

pytest_plugins = ["bench_fixtures", "to_sql_fixtures"]

SECONDS = 60


# Tables that are there


def test_a_table_that_is_there_is_used_as_it_is(engine, submit, frame):
    note = sa.Column("note", sa.Text, server_default="as it was")
    made(engine, note)
    with engine.begin() as connection:
        known = sa.Table("t", sa.MetaData(), autoload_with=connection)
        connection.execute(known.insert(), [{"id": 12, "note": "mine"}, {"id": 99, "note": "mine"}])
    assert submit(frame).to_sql("t", engine, key="id") == 4
    rows = {row[0]: row for row in contents(engine, "t")}
    assert {key: row[-1] for key, row in rows.items()} == {
        11: "as it was", 12: "mine", 13: "as it was", 14: "as it was", 99: "mine"
    }  # fmt: skip
    assert rows[12][1] == "negative"
    assert rows[99][1] is None


def test_a_unique_constraint_or_index_on_the_key_will_do(engine, submit, frame):
    job = submit(frame)
    number = sa.Column("number", sa.Integer, primary_key=True)
    made(engine, number, sa.UniqueConstraint("id"), key=sa.Column("id", sa.BigInteger), name="constraint")
    number = sa.Column("number", sa.Integer, primary_key=True)
    made(engine, number, sa.Index("only", "id", unique=True), key=sa.Column("id", sa.BigInteger), name="index")
    for name in ("constraint", "index"):
        job.to_sql(name, engine, key="id")
        before = contents(engine, name)
        job.to_sql(name, engine, key="id")
        assert contents(engine, name) == before
        assert len(before) == 4


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.parametrize("shape", ["none", "plain", "both", "partial", "expression"])
def test_a_table_in_which_the_key_is_not_unique_by_itself_is_refused(engine, submit, frame, shape):
    key = sa.Column("id", sa.BigInteger)
    some = sa.text("id > 5")
    extra = {
        "none": [],
        "plain": [sa.Index("one", "id")],
        "both": [sa.UniqueConstraint("id", "label")],
        "partial": [sa.Index("one", "id", unique=True, sqlite_where=some, postgresql_where=some)],
        "expression": [sa.Index("one", sa.text("abs(id)"), unique=True)],
    }  # fmt: skip
    made(engine, *extra[shape], key=key)
    job = submit(frame)
    with pytest.raises(InputError, match="no unique constraint on 'id' alone"):
        job.to_sql("t", engine, key="id")
    assert contents(engine, "t") == []


def test_a_table_without_the_columns_is_refused(engine, submit, frame):
    made(engine)
    with pytest.raises(InputError, match="Table 't' lacks the columns 'stars', 'other', 'other_status'"):
        submit(frame, into="other").to_sql("t", engine, key="id", columns=["stars"])
    assert contents(engine, "t") == []


def test_a_schema_is_looked_into(engine, submit, frame):
    schema = "main" if engine.dialect.name == "sqlite" else "Team A"
    if schema != "main":
        with engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema(schema))
    job = submit(frame)
    job.to_sql("labels", engine, key="id", schema=schema)
    before = contents(engine, "labels", schema)
    job.to_sql("labels", engine, key="id", schema=schema)
    assert contents(engine, "labels", schema) == before
    assert len(before) == 4
    assert tables(engine) == (["labels"] if schema == "main" else [])


def test_text_that_a_column_is_too_short_for_is_an_error_and_not_cut(postgres_engine, submit, frame):
    made(postgres_engine, sa.Column("review", sa.String(8)))
    with pytest.raises(sa.exc.DataError, match="too long") as raised:
        submit(frame).to_sql("t", postgres_engine, key="id", columns=["review"])
    assert "left table 't' as it was" in raised.value.__notes__[0]
    assert contents(postgres_engine, "t") == []


def test_columns_of_the_databases_own_types_are_filled(postgres_engine, submit, frame):
    made(
        postgres_engine,
        sa.Column("mood", sa.Enum("good", "bad", name="mood")),
        sa.Column("tags", postgresql.JSONB),
        sa.Column("stars", sa.Numeric(5, 2)),
    )
    frame["mood"], frame["tags"] = ["good", "bad", None, "good"], [["a"], None, [], [1]]
    job = submit(frame)
    job.to_sql("t", postgres_engine, key="id", columns=["mood", "tags", "stars"])
    before = contents(postgres_engine, "t")
    assert [row[-3:-1] for row in before] == [("good", ["a"]), ("bad", None), (None, []), ("good", [1])]
    job.to_sql("t", postgres_engine, key="id", columns=["mood", "tags", "stars"])
    assert contents(postgres_engine, "t") == before


# Simulated and real


@pytest.mark.parametrize("first", ["simulated", "real"])
def test_simulated_and_real_answers_never_share_a_table(engine, submit, frame, bench, first):
    real = frame[["id", "review"]].batch.submit(
        "review", "Echo: {review}", into="label", workspace=bench.workspace, progress=False
    )
    real.result(SECONDS)
    jobs = {"simulated": submit(frame), "real": real}
    mine = jobs.pop(first)
    ((second, other),) = jobs.items()
    assert mine.to_sql("labels", engine, key="id") == 4
    before = contents(engine, "labels")
    assert {row[-1] for row in before} == {first == "simulated"}
    with pytest.raises(InputError, match=f"holds {first} answers, and this job's are {second}"):
        other.to_sql("labels", engine, key="id")
    assert contents(engine, "labels") == before


# Connections and transactions


def test_a_url_will_do(engine, submit, frame):
    job = submit(frame)
    assert job.to_sql("labels", engine.url.render_as_string(hide_password=False), key="id") == 4
    assert job.to_sql("labels", engine.url, key="id") == 4
    assert len(contents(engine, "labels")) == 4


def test_a_connection_is_written_to_within_its_own_transaction(engine, submit, frame):
    job = submit(frame)
    with engine.connect() as connection:
        assert job.to_sql("labels", connection, key="id") == 4
        assert connection.in_transaction()
        connection.rollback()
    assert tables(engine) == [], "not even the table was committed"
    with engine.connect() as connection:
        job.to_sql("labels", connection, key="id")
        job.to_sql("labels", connection, key="id")
        connection.commit()
    assert len(contents(engine, "labels")) == 4


def test_an_error_leaves_the_callers_own_work_to_commit(engine, submit, frame):
    made(engine, sa.CheckConstraint(sa.column("id") < 14))
    mine = sa.Table("mine", sa.MetaData(), sa.Column("x", sa.Integer))
    mine.create(engine)
    job = submit(frame)
    with engine.begin() as connection:
        connection.execute(mine.insert(), {"x": 1})
        with pytest.raises(sa.exc.IntegrityError):
            job.to_sql("t", connection, key="id")
        with pytest.raises(InputError):
            job.to_sql("t", connection, key="id", columns=["stars"])
        connection.execute(mine.insert(), {"x": 2})
    assert contents(engine, "mine") == [(1,), (2,)]
    assert contents(engine, "t") == []


def test_an_error_halfway_leaves_nothing_behind(engine, submit, frame, monkeypatch):
    monkeypatch.setattr("batchnb.answers.sql.writer.CHUNK", 2)
    job = submit(frame)
    inserts = []

    def fail_at_the_second(connection, cursor, statement, *rest):
        inserts.extend([statement] * statement.startswith("INSERT"))
        if len(inserts) == 2:
            raise sa.exc.OperationalError(statement, None, ConnectionError("the disk is full"))

    sa.event.listen(engine, "before_cursor_execute", fail_at_the_second)
    with pytest.raises(sa.exc.OperationalError, match="the disk is full"):
        job.to_sql("labels", engine, key="id")
    sa.event.remove(engine, "before_cursor_execute", fail_at_the_second)
    assert len(inserts) == 2
    assert tables(engine) == []
    assert job.to_sql("labels", engine, key="id") == 4
    assert len(contents(engine, "labels")) == 4


def test_autocommit_is_refused_since_half_the_rows_could_stay(engine, submit, frame):
    job = submit(frame)
    with pytest.raises(InputError, match="AUTOCOMMIT"):
        job.to_sql("labels", engine.execution_options(isolation_level="AUTOCOMMIT"), key="id")
    assert tables(engine) == []


def test_writers_of_one_table_wait_for_each_other(postgres_engine, submit, frame):
    job = submit(frame)
    written: list[int] = []
    threads = [
        threading.Thread(target=lambda: written.append(job.to_sql("labels", postgres_engine, key="id")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written == [4] * 4
    assert len(contents(postgres_engine, "labels")) == 4


@pytest.mark.parametrize(
    ("con", "said"),
    [
        ("labels.db", "no URL of a database"),
        ("nosuch://me:SECRET@host/x", "no URL of a database"),
        ("postgresql+psycopg://me:SECRET@host:port/x", "no URL of a database"),
        ("mysql+nosuchdriver://me:SECRET@host/x", "no URL of a database"),
        ("oracle+oracledb://me:SECRET@host/x", "The driver 'oracledb' is not installed"),
        (Path("labels.db"), "not PosixPath"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_database_is_refused_without_showing_a_password(submit, frame, con, said):
    with pytest.raises(InputError, match=said) as raised:
        submit(frame).to_sql("labels", con, key="id")
    assert "SECRET" not in "".join(traceback.format_exception(raised.value))


def test_another_database_is_refused_with_the_names_of_those_that_will_do(engine, submit, frame, monkeypatch):
    monkeypatch.setattr(engine.dialect, "name", "oracle")
    with pytest.raises(InputError, match="sqlite and postgresql, not to oracle"):
        submit(frame).to_sql("labels", engine, key="id")


def test_without_sqlalchemy_the_error_says_how_to_get_it(submit, frame, monkeypatch):
    job = submit(frame)
    for name in ("batchnb.answers.sql.writer", "batchnb.answers.sql.types"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(batchnb.BatchnbError, match=r"pip install 'batchnb\[sql\]'"):
        job.to_sql("labels", "sqlite://", key="id")
