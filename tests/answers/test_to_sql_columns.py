"""What a job writes into a database: columns of every kind, under names of every kind."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from tables import MARKS, columns, contents, made, tables

from batchnb import InputError

pytest_plugins = ["to_sql_fixtures"]

SECONDS = 60


# Columns


def test_a_frame_that_has_the_columns_of_an_earlier_run_gets_the_new_ones(engine, submit, frame):
    again = submit(frame).result().drop(columns="label_error")
    again["label"] = "positive"
    job = submit(again)
    assert job.to_sql("labels", engine, key="id", columns=["stars", "label", "id", "stars"][:3]) == 4
    assert list(columns(engine, "labels")) == ["id", "stars", "label", "label_status", "label_error", *MARKS]
    assert contents(engine, "labels")[1][1:4] == (1, "negative", "succeeded")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"key": "ids"}, r"no column 'ids'\. Did you mean 'id'"),
        ({"key": "id", "columns": ["star"]}, r"no column 'star'\. Did you mean 'stars'"),
        ({"key": "id", "columns": "stars"}, r"takes a list of columns, such as \['stars'\]"),
        ({"key": "id", "columns": ["stars", "stars"]}, "Two columns would both be 'stars'"),
        ({"key": "label_status"}, "no column 'label_status'"),
        ({"key": "batchnb_job"}, "called 'batchnb_job', which to_sql"),
        ({"key": "id", "columns": ["batchnb_simulated"]}, "called 'batchnb_simulated', which to_sql"),
    ],
)
def test_columns_that_cannot_be_written_are_refused(engine, submit, frame, options, said):
    frame["batchnb_job"] = frame["batchnb_simulated"] = [1, 2, 3, 4]
    with pytest.raises(InputError, match=said) as raised:
        submit(frame).to_sql("labels", engine, **options)
    assert str(raised.value).endswith("Nothing was written.")
    assert tables(engine) == []


def test_labels_that_are_numbers_are_numbers_in_the_table(engine, submit, frame):
    job = submit(frame, labels=[1, 2, 3])
    job.to_sql("stars", engine, key="id")
    assert isinstance(columns(engine, "stars")["label"], sa.Integer)
    values = [row[1] for row in contents(engine, "stars")]
    assert values[2] is None
    assert {type(value) for value in values} == {int, type(None)}


UTC_NOON = dt.datetime(2026, 7, 1, 12, 0, 0, 123456)  # noqa: DTZ001  # as a column without zones has it
TEXT = 'it\'s "quoted"; DROP TABLE labels; -- 한국어 🙂 %s %(x)s :x ?'
#: A column, the type it gets, and what is read back.
KINDS: dict[str, tuple[Any, type, list[Any]]] = {
    "text": (["", TEXT, None, "x"], sa.Text, ["", TEXT, None, "x"]),
    "string": (pd.array(["a", None, "b", "c"], dtype="string"), sa.Text, ["a", None, "b", "c"]),
    "unwritable": (pd.Series(["a\x00b", "half \ud83d", None, "x"], dtype=object), sa.Text,
                   ["a\ufffdb", "half \ufffd", None, "x"]),
    "int64": (np.array([1, 2, 3, 2**62]), sa.BigInteger, [1, 2, 3, 2**62]),
    "nullable int": (pd.array([1, None, 3, -(2**63)], dtype="Int64"), sa.BigInteger, [1, None, 3, -(2**63)]),
    "huge": (np.array([1, 2, 3, 2**64 - 1], dtype="uint64"), sa.Text, ["1", "2", "3", str(2**64 - 1)]),
    "float": ([1.5, np.nan, np.inf, 0.1], sa.Double, [1.5, None, np.inf, 0.1]),
    "nullable float": (pd.array([1.5, None, 0.1, 2], dtype="Float64"), sa.Double, [1.5, None, 0.1, 2.0]),
    "float32": (np.array([0.5, 1, 2, 3], dtype="float32"), sa.Double, [0.5, 1.0, 2.0, 3.0]),
    "bool": ([True, False, True, True], sa.Boolean, [True, False, True, True]),
    "boolean": (pd.array([True, None, False, None], dtype="boolean"), sa.Boolean, [True, None, False, None]),
    "scalars": (pd.Series([np.int64(1), np.int64(2), None, np.int64(3)], dtype=object), sa.BigInteger, [1, 2, None, 3]),
    "category": (pd.Categorical(["b", None, "a", "b"]), sa.Text, ["b", None, "a", "b"]),
    "numbers": (pd.Categorical([2, None, 1, 2]), sa.BigInteger, [2, None, 1, 2]),
    "mixed": ([1, "a", None, 2.5], sa.Text, ["1", "a", None, "2.5"]),
    "all missing": ([None] * 4, sa.Text, [None] * 4),
    "time": (pd.to_datetime([UTC_NOON, None, UTC_NOON, UTC_NOON]), sa.DateTime, [UTC_NOON, None, UTC_NOON, UTC_NOON]),
    "date": ([dt.date(2026, 7, 1)] * 3 + [None], sa.Date, [dt.date(2026, 7, 1)] * 3 + [None]),
    "bytes": ([b"a\x00", b"b", None, b""], sa.LargeBinary, [b"a\x00", b"b", None, b""]),
    "decimal": ([decimal.Decimal("1.10")] * 4, sa.Text, ["1.10"] * 4),
    "delta": (pd.to_timedelta([1, 2, 3, None], unit="s"), sa.Text,
              ["0 days 00:00:01", "0 days 00:00:02", "0 days 00:00:03", None]),
    "lists": ([["a", np.nan, float("inf")], [], None, [np.int64(1), {"x": pd.NA}]], sa.JSON,
              [["a", None, None], [], None, [1, {"x": None}]]),
    "dicts": ([{"b": 1, "a": [True]}, None, {}, {1: TEXT}], sa.JSON, [{"b": 1, "a": [True]}, None, {}, {"1": TEXT}]),
    "arrays": ([np.array([1, 2]), {"z", "y"}, (1.5,), None], sa.JSON, [[1, 2], ["y", "z"], [1.5], None]),
    "some lists": ([["a"], "b", None, 1], sa.Text, ['["a"]', "b", None, "1"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def kinds() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(values) for name, (values, _, _) in KINDS.items()})


def test_columns_of_every_kind_come_back_as_they_were(engine, submit, frame, kinds):
    job = submit(pd.concat([frame.reset_index(drop=True), kinds], axis=1))
    names = list(KINDS)
    job.to_sql("kinds", engine, key="id", columns=names)
    before = contents(engine, "kinds")
    found = columns(engine, "kinds")
    for place, name in enumerate(names, start=1):
        assert isinstance(found[name], KINDS[name][1]), name
        assert [row[place] for row in before] == KINDS[name][2], name
    job.to_sql("kinds", engine, key="id", columns=names)
    assert contents(engine, "kinds") == before
    with engine.connect() as connection:
        known = sa.Table("kinds", sa.MetaData(), autoload_with=connection)
        for name in ("lists", "dicts"):
            missing = sa.select(sa.func.count()).where(known.columns[name].is_(sa.null()))
            assert connection.execute(missing).scalar_one() == 1, "NULL, not JSON's null"


def test_times_with_a_zone_are_one_moment_whatever_the_column(engine, submit, frame):
    seoul = pd.Timestamp("2026-07-01 21:00:00.123456789", tz="Asia/Seoul")
    frame["when"] = pd.Series([seoul, None, seoul, seoul]).array
    frame["plain"] = pd.Series([UTC_NOON] * 4).array
    job = submit(frame)
    job.to_sql("times", engine, key="id", columns=["when"])
    stored = contents(engine, "times")[0][1]
    assert stored.replace(tzinfo=None) - (stored.utcoffset() or dt.timedelta(0)) == UTC_NOON

    made(engine, sa.Column("when", sa.DateTime), sa.Column("plain", sa.DateTime(timezone=True)))
    job.to_sql("t", engine, key="id", columns=["when", "plain"])
    row = contents(engine, "t")[0]
    assert row[-2] == UTC_NOON
    assert row[-1].replace(tzinfo=None) - (row[-1].utcoffset() or dt.timedelta(0)) == UTC_NOON


def test_hostile_names_are_names(engine, submit, frame):
    table, key = "x; DROP TABLE labels; --", "i\"d'; --"
    others = ["a%b", "%s", "c:d", "e(f)", "g.h", "select", "Case", "naïve 열", " "]
    frame[key] = frame["id"]
    for name in others:
        frame[name] = name
    made(engine, name="labels")
    job = submit(frame, into="la'bel\"")
    assert job.to_sql(table, engine, key=key, columns=others) == 4
    before = contents(engine, table)
    assert job.to_sql(table, engine, key=key, columns=others) == 4
    assert contents(engine, table) == before
    assert sorted(tables(engine)) == sorted(["labels", table])
    new = ["la'bel\"", "la'bel\"_status", "la'bel\"_error"]
    assert list(columns(engine, table)) == [key, *others, *new, *MARKS]
    assert list(before[0][1:10]) == others


#: Words of either database's language; SQLAlchemy quotes some of them by itself.
WORDS = """abort all always analyse and array as asc between binary by case check collate column conflict constraint
create current current_date default desc distinct do else end except excluded exclude exists false fetch filter first
following for foreign from full generated glob group groups having if ignore in index inner insert instead into is
isnull join key last lateral left like limit match materialized natural no not nothing notnull null nulls of offset on
only or order others outer over partition pragma preceding primary raise range recursive references regexp reindex
replace returning right row rowid rows select session_user set some table temp then ties to true unbounded union unique
update user using values variadic verbose view virtual when where window with within without""".split()  # noqa: SIM905  # a list would take a hundred lines


def test_words_of_sql_are_names_too(engine, submit, frame):
    words = pd.DataFrame({word: [word] * 4 for word in WORDS})
    job = submit(pd.concat([frame[["id", "review"]].reset_index(drop=True), words], axis=1))
    for table in ("table", "nothing"):
        for _ in range(2):
            job.to_sql(table, engine, key="id", columns=WORDS)
            (first, *rest) = contents(engine, table)
            assert list(first[1 : 1 + len(WORDS)]) == WORDS
            assert len(rest) == 3


def test_names_that_differ_by_case_alone_are_refused_where_that_is_no_difference(engine, submit, frame):
    frame["Stars"] = ["a", "b", "c", "d"]
    job = submit(frame)
    if engine.dialect.name == "sqlite":
        with pytest.raises(InputError, match="'stars' and 'Stars' are one name to this database"):
            job.to_sql("labels", engine, key="id", columns=["stars", "Stars"])
    else:
        job.to_sql("labels", engine, key="id", columns=["stars", "Stars"])
        assert contents(engine, "labels")[0][1:3] == (5, "a")


@pytest.mark.parametrize("table", ["", "x" * 10_000, 5])
def test_a_name_that_is_none_is_refused(engine, submit, frame, table):
    with pytest.raises(InputError, match="cannot be a name here"):
        submit(frame).to_sql(table, engine, key="id")


def test_labels_of_several_levels_are_joined_to_names(engine, workspace):
    frame = pd.DataFrame([[1, "good", 5]], columns=pd.MultiIndex.from_tuples([("id", ""), ("review", ""), ("a", "b")]))
    job = frame.batch.submit(
        ("review", ""), lambda row: row[("review", "")], into="reply", workspace=workspace, progress=False
    )
    job.result(SECONDS)
    job.to_sql("t", engine, key=("id", ""), columns=[("a", "b")])
    assert list(columns(engine, "t"))[:3] == ["id", "a_b", "reply"]
