"""What files of tables cannot hold as it is goes into them as JSON, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from batchnb.answers.flat_files import for_csv, for_parquet


@pytest.fixture
def frame() -> pd.DataFrame:
    cells = {
        "lists": [[1], [], None], "mixed": [1, "1", None], "deep": [[{"a": 1}], [{"a": "1"}], None],
        "large": [[2**70], [1], None], "empty": [{}, None, {}], "users": [[1], ["a"], None],
    }  # fmt: skip
    made = {name: pd.Series(values, dtype=object) for name, values in cells.items()}
    chosen = {
        "labels": pd.Categorical(["a", "b", None], categories=["a", "b"]),
        "codes": pd.Categorical(["a", 1, None], categories=["a", 1]),
    }
    return pd.DataFrame({**made, **chosen})


def test_a_parquet_file_takes_whatever_an_answer_holds(frame: pd.DataFrame, tmp_path: Path):
    pytest.importorskip("pyarrow")
    ours = frame.drop(columns="users")
    written = for_parquet(ours, list(ours))
    assert frame["mixed"].tolist() == [1, "1", None], "the frame itself stays as it is"
    written.to_parquet(tmp_path / "x.parquet")
    read = pd.read_parquet(tmp_path / "x.parquet")
    assert [None if cell is None else list(cell) for cell in read["lists"]] == [[1], [], None]
    assert read["labels"].cat.categories.tolist() == ["a", "b"]
    for name in ("mixed", "deep", "large", "empty", "codes"):
        back = [None if cell is pd.NA or cell is None else json.loads(cell) for cell in read[name].astype(object)]
        assert back == [None if gone else cell for cell, gone in zip(ours[name], ours[name].isna(), strict=True)], name


def test_a_csv_file_holds_json_and_the_users_own_columns_as_they_are(frame: pd.DataFrame):
    written = for_csv(frame, ["lists", "mixed", "labels"])
    assert written["lists"].tolist() == ["[1]", "[]", pd.NA]
    assert written["mixed"].tolist() == ["1", '"1"', pd.NA]
    assert written["labels"].tolist()[:2] == ["a", "b"]
    assert written["users"].tolist() == [[1], ["a"], None]


def test_columns_of_several_levels_are_found_by_their_first(frame: pd.DataFrame):
    frame.columns = pd.MultiIndex.from_tuples([(name, "") for name in frame.columns])
    assert for_csv(frame, ["lists"])[("lists", "")].tolist() == ["[1]", "[]", pd.NA]
