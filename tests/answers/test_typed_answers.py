"""Typed answers from end to end: what is asked for by ``schema=`` comes back as columns, and goes out to files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest
import sqlalchemy as sa
from typed_fixtures import DTYPES, FLAT, SCHEMAS, Mood, ReviewModel, review

from batchnb import InputError, RecipeChangedWarning, Workspace
from batchnb.api.addresses import simulator_client
from batchnb.sim import Simulator

SECONDS = 60  # a test that waits longer has failed
ROWS = 12


@pytest.fixture(scope="module")
def asked() -> list[dict[str, Any]]:
    """The params the simulator was sent, in no order."""
    return []


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory, asked: list[dict[str, Any]]) -> Iterator[Simulator]:
    """A simulator that answers a row ``<number>`` with the review of that number, and row 11 with one star too many."""

    def answer(params: dict[str, Any]) -> Any:
        asked.append(params)
        number = params["messages"][-1]["content"].removeprefix("Review: ")
        properties = params["output_config"]["format"]["schema"]["properties"]
        if "label" in properties or "labels" in properties:
            chosen = {"label": "good", "labels": ["fast", "good", "fast"], "rationale": f"It says {number}."}
            return {name: chosen[name] for name in properties}
        return review(int(number), **({"stars": 6} if number == "11" else {}))

    with Simulator(tmp_path_factory.mktemp("sim"), delay=(0.01, 0.02), responder=answer, seed=1) as running:
        yield running


@pytest.fixture
def workspace(simulator: Simulator, tmp_path: Path) -> Iterator[Workspace]:
    client = simulator_client(simulator.url)
    opened = Workspace(client, home=tmp_path / "home", max_poll=0.02)
    yield opened
    opened.close()
    client.close()


@pytest.fixture
def frame() -> pd.DataFrame:
    texts: list[str | None] = [str(number) for number in range(ROWS)]
    texts[5] = None
    return pd.DataFrame({"review": texts}, index=[f"row {number}" for number in range(ROWS)])


def submit(frame: pd.DataFrame, workspace: Workspace, **options: Any) -> Any:
    job = frame.batch.submit("review", "Review: {review}", workspace=workspace, progress=False, **options)
    assert job.wait(SECONDS)
    return job


def plain(value: Any) -> Any:
    """Return a cell as JSON has it."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def assert_typed(out: pd.DataFrame) -> None:
    assert {column: str(out[column].dtype) for column in DTYPES} == DTYPES
    assert out["mood"].cat.categories.tolist() == [mood.value for mood in Mood]
    assert out["channel"].cat.categories.tolist() == ["web", "phone"]
    good = [number for number in range(ROWS) if number not in (5, 11)]
    for number in good:
        row, wanted = out.iloc[number], review(number)
        for column in DTYPES:
            if column not in ("seen_at", "bought_on"):
                assert plain(row[column]) == wanted[column], (number, column)
        assert row["seen_at"] == pd.Timestamp(wanted["seen_at"])
        assert plain(row["bought_on"]) == (wanted["bought_on"] and pd.Timestamp(wanted["bought_on"]))
    assert out.iloc[[5, 11]][list(DTYPES)].isna().all(axis=None)
    assert out["review_status"].tolist() == ["succeeded"] * 5 + ["skipped"] + ["succeeded"] * 5 + ["invalid"]
    assert out["review_error"].iloc[11] == "stars: 6 is more than 5"


@pytest.mark.parametrize("way", SCHEMAS)
def test_a_schema_of_every_type_round_trips(way, frame, workspace, asked):
    asked.clear()
    job = submit(frame, workspace, schema=SCHEMAS[way])
    out = job.result(SECONDS)
    assert list(out) == ["review", *DTYPES, "review_status", "review_error"]
    assert_typed(out)
    assert job.errors()["reply"].tolist() == [
        json.dumps(review(11, stars=6), separators=(",", ":"), ensure_ascii=False)
    ]
    sent = asked[0]["output_config"]["format"]["schema"]
    assert list(sent["properties"]) == list(DTYPES)
    assert sent["properties"]["summary"]["description"].startswith("In one line.")
    assert sent["properties"]["address"]["description"] == "Where it was bought."
    assert asked[0]["max_tokens"] == 4096

    # Another kernel, which knows nothing but the ledger.
    attached = workspace.attach(job.id)
    assert_typed(attached.result(SECONDS).reset_index(drop=True))
    assert_typed(pd.DataFrame({"review": frame["review"].tolist()}).batch.join(attached))


def test_a_columns_type_does_not_depend_on_what_it_holds(frame, workspace):
    """A field of numbers or texts, of which these rows have texts alone, is no column of text."""
    job = submit(frame.iloc[[0, 2, 4]], workspace, schema=ReviewModel)
    for out in (job.result(SECONDS), workspace.attach(job.id).result(SECONDS)):
        assert out["reference"].tolist() == ["ref 0", "ref 2", "ref 4"]
        assert {column: str(out[column].dtype) for column in DTYPES} == DTYPES


def test_a_column_under_several_levels_lends_its_first_as_the_stem(frame, workspace):
    frame.columns = pd.MultiIndex.from_tuples([("review", "")])
    again = frame
    for _ in range(2):
        job = again.batch.submit(("review", ""), schema=ReviewModel, workspace=workspace, progress=False)
        again = job.result(SECONDS)
        assert list(again)[-2:] == [("review_status", ""), ("review_error", "")]


def test_objects_become_dotted_columns(frame, workspace):
    out = submit(frame, workspace, schema=ReviewModel, flatten=True).result(SECONDS)
    assert list(out) == ["review", *FLAT, "review_status", "review_error"]
    assert (str(out["address.city"].dtype), out["address.city"].iloc[3]) == ("string", "City 3")
    assert out["address.code"].isna().all()


def test_into_leads_the_names_and_asks_nothing_again(frame, workspace, asked):
    submit(frame, workspace, schema=ReviewModel)
    asked.clear()
    out = submit(frame, workspace, schema=ReviewModel, into="x").result(SECONDS)
    assert list(out) == ["review", *(f"x_{name}" for name in DTYPES), "x_status", "x_error"]
    flat = submit(frame, workspace, schema=ReviewModel, into="x", flatten=True).result(SECONDS)
    assert list(flat) == ["review", *(f"x_{name}" for name in FLAT), "x_status", "x_error"]
    assert asked == []


def test_a_cell_run_again_replaces_its_own_columns_and_no_others(frame, workspace):
    first = submit(frame, workspace, schema=ReviewModel).result(SECONDS)
    again = submit(first, workspace, schema=ReviewModel).result(SECONDS)
    pd.testing.assert_frame_equal(again, first)
    gold = frame.assign(stars=[1] * ROWS)
    with pytest.raises(InputError, match=r"column 'stars'.*into='review'.*Nothing was sent"):
        submit(gold, workspace, schema=ReviewModel)
    renamed = submit(gold, workspace, schema=ReviewModel, into="review").result(SECONDS)
    assert renamed["stars"].tolist() == [1] * ROWS
    assert renamed["review_stars"].iloc[0] == 1
    replaced = submit(gold, workspace, schema=ReviewModel, overwrite=True).result(SECONDS)
    assert str(replaced["stars"].dtype) == "Int64"


def test_a_cell_whose_schema_changes_back_and_forth_keeps_its_columns_apart_from_gold(frame, workspace, tmp_path):
    class Short(pydantic.BaseModel):
        summary: str

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecipeChangedWarning)
        gold = frame.assign(stars=pd.array([1] * ROWS, "Int64"))
        short = submit(gold, workspace, schema=Short).result(SECONDS)
        with pytest.raises(InputError, match="column 'stars', which batchnb did not make"):
            submit(short, workspace, schema=ReviewModel)
        first = submit(frame, workspace, schema=Short).result(SECONDS)
        full = submit(first, workspace, schema=ReviewModel).result(SECONDS)
        assert list(full) == ["review", *DTYPES, "review_status", "review_error"]
        # Whatever becomes of their types, also in a file, they are known again.
        full["stars"] = full["stars"].astype("float64")
        full.to_csv(tmp_path / "read.csv", index=False)
        for again in (full, pd.read_csv(tmp_path / "read.csv"), submit(full, workspace, schema=Short).result(SECONDS)):
            read = submit(again, workspace, schema=ReviewModel).result(SECONDS)
            assert {column: str(read[column].dtype) for column in DTYPES} == DTYPES
            assert list(read) == list(full)


def test_a_changed_schema_is_named_before_it_is_asked_and_the_fields_name_the_job(frame, workspace):
    class Short(pydantic.BaseModel):
        stars: int
        summary: str

    assert submit(frame, workspace, schema=Short, into="x").name == "review → x"
    with pytest.warns(RecipeChangedWarning, match=r"recipe has changed: schema\. job\.cancel"):
        job = submit(frame, workspace, schema=ReviewModel, into="x")
    assert job.status == "ended"
    with pytest.warns(RecipeChangedWarning, match="template"):
        other = frame.batch.submit("review", "{review}", schema=Short, into="x", workspace=workspace, progress=False)
    other.cancel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert submit(frame, workspace, schema=ReviewModel).name == "review → summary, stars, price, …"


def test_samples_agree_by_the_whole_answer(frame, workspace):
    out = submit(frame.iloc[:3], workspace, schema=ReviewModel, samples=3).result(SECONDS)
    assert out["review_agreement"].tolist() == [1.0] * 3
    assert [len(samples) for samples in out["review_samples"]] == [3] * 3
    assert out["review_samples"].iloc[1][2] == review(1)
    assert out["stars"].tolist() == [1, 2, 3]


def test_a_parquet_file_keeps_the_types_and_a_csv_file_holds_json(frame, workspace, tmp_path):
    pytest.importorskip("pyarrow")
    job = submit(frame, workspace, schema=ReviewModel)
    out = job.result(SECONDS)
    read = pd.read_parquet(job.export(tmp_path / "out.parquet"))
    assert {column: str(read[column].dtype) for column in DTYPES} == {**DTYPES, "reference": "string"}
    assert [list(tags) for tags in read["tags"].dropna()] == out["tags"].dropna().tolist()
    assert read["address"].iloc[3] == {"city": "City 3", "code": None}
    assert [json.loads(one) for one in read["reference"].dropna()] == out["reference"].dropna().tolist()
    assert (read["seen_at"].dropna() == out["seen_at"].dropna()).all()
    table = pd.read_csv(job.export(tmp_path / "out.csv"), dtype=str)
    for column in ("tags", "address", "parts", "reference"):
        assert [json.loads(one) for one in table[column].dropna()] == out[column].dropna().tolist(), column
    lines = [json.loads(line) for line in job.export(tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(lines) == ROWS - 1


def test_a_database_gets_columns_of_the_fitting_types(frame, workspace, tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'reviews.db'}")
    keyed = frame.assign(id=range(ROWS))
    job = submit(keyed, workspace, schema=ReviewModel, flatten=True)
    for _ in range(2):
        assert job.to_sql("reviews", engine, key="id") == ROWS
    types = {column["name"]: str(column["type"]) for column in sa.inspect(engine).get_columns("reviews")}
    assert {name: types[name] for name in ("stars", "price", "recommends", "seen_at", "tags", "parts", "mood")} == {
        "stars": "BIGINT", "price": "DOUBLE", "recommends": "BOOLEAN", "seen_at": "DATETIME", "tags": "JSON",
        "parts": "JSON", "mood": "TEXT",
    }  # fmt: skip
    read = pd.read_sql_table("reviews", engine, index_col="id")
    assert read["parts"].iloc[1] == [{"city": "A", "code": "1"}]
    assert read["address.city"].iloc[3] == "City 3"
    assert read["stars"].isna().tolist() == [number in (5, 11) for number in range(ROWS)]
    engine.dispose()


def test_several_labels_with_their_reason(frame, workspace, asked):
    asked.clear()
    labels = {"good": "the reader is glad", "bad": None, "fast": "it came soon"}
    options = {"labels": labels, "multiple": True, "explain": True, "other": "none of these"}
    out = submit(frame, workspace, into="topics", **options).result(SECONDS)
    assert list(out) == ["review", "topics", "topics_rationale", "topics_status", "topics_error"]
    assert out["topics"].iloc[0] == ["good", "fast"]
    assert out["topics_rationale"].iloc[3] == "It says 3."
    schema = asked[0]["output_config"]["format"]["schema"]
    assert list(schema["properties"]) == ["rationale", "labels"]
    assert schema["properties"]["labels"]["items"] == {"enum": ["good", "bad", "fast", "none of these"]}
    again = submit(out, workspace, into="topics", **options).result(SECONDS)
    pd.testing.assert_frame_equal(again, out)


def test_samples_of_explained_labels_agree_by_the_label(frame, workspace):
    out = submit(frame.iloc[:2], workspace, labels=["good", "bad"], explain=True, samples=2).result(SECONDS)
    assert out["review_label_samples"].tolist() == [["good", "good"]] * 2
    assert out["review_label_agreement"].tolist() == [1.0, 1.0]
    assert out["review_label"].cat.categories.tolist() == ["good", "bad"]
    assert out["review_label_rationale"].tolist() == ["It says 0.", "It says 1."]
