"""Tables that a job is exported to: by any ending people use, of any frame, whole or not at all, and harmless."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import importlib.util
import sys
import unicodedata
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchnb import Job, Workspace
from batchnb.answers.flat_files import FORMULA, for_spreadsheets
from batchnb.errors import BatchnbError, InputError
from batchnb.jobs import export

SECONDS = 30
needs_pyarrow = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="Parquet needs pyarrow")


def parquet(*names: str) -> list[Any]:
    return [pytest.param(name, marks=needs_pyarrow) for name in names]


@pytest.fixture
def job_of(workspace: Workspace) -> Callable[..., Job]:
    """Return the finished job of a frame."""

    def ask(frame: pd.DataFrame, **options: Any) -> Job:
        options = {"column": "text", "template": "Echo: {text}", "into": "echo", **options}
        job = frame.batch.submit(workspace=workspace, progress=False, **options)
        job.result(SECONDS)
        return job

    return ask


@pytest.fixture
def job(job_of: Callable[..., Job]) -> Job:
    return job_of(pd.DataFrame({"text": ["one", "two"]}))


# Endings


@pytest.mark.parametrize("ending", [".csv", ".CSV", ".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zip", ".Csv.GZ"])
def test_a_csv_file_may_be_compressed_and_written_in_capitals(job: Job, tmp_path: Path, ending: str):
    path = job.export(tmp_path / f"o.v2{ending}")
    assert path == tmp_path / f"o.v2{ending}"
    assert pd.read_csv(path)["echo"].tolist() == ["one", "two"]
    assert list(tmp_path.glob(".*")) == []


def test_a_csv_file_is_what_pandas_would_write(job: Job, tmp_path: Path):
    frame = job.to_frame().assign(simulated=True)
    job.export(tmp_path / "o.csv")
    frame.to_csv(tmp_path / "wanted.csv", index=False)
    assert (tmp_path / "o.csv").read_bytes() == (tmp_path / "wanted.csv").read_bytes()


def test_a_file_may_be_separated_by_tabs(job: Job, tmp_path: Path):
    job.export(tmp_path / "o.tsv")
    assert pd.read_csv(tmp_path / "o.tsv", sep="\t")["echo"].tolist() == ["one", "two"]
    job.export(tmp_path / "o.tsv.gz")
    assert gzip.decompress((tmp_path / "o.tsv.gz").read_bytes()) == (tmp_path / "o.tsv").read_bytes()


@pytest.mark.parametrize("ending", parquet(".parquet", ".PARQUET", ".pq", ".snappy.parquet"))
def test_parquet_goes_by_its_endings(job: Job, tmp_path: Path, ending: str):
    assert pd.read_parquet(job.export(tmp_path / f"o{ending}"))["echo"].tolist() == ["one", "two"]


def test_parquet_without_pyarrow_says_what_to_install(job: Job, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "o.parquet").write_bytes(b"good")
    with pytest.raises(BatchnbError, match="pip install pyarrow"):
        job.export(tmp_path / "o.parquet")
    assert (tmp_path / "o.parquet").read_bytes() == b"good"


def test_raw_results_go_into_the_users_own_folder_by_its_short_name(job: Job, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert job.export("~/o.JSONL") == tmp_path / "o.JSONL"
    assert {path.name for path in tmp_path.glob("o.*")} == {"o.JSONL", "o.requests.jsonl", "o.recipe.json"}


@pytest.mark.parametrize("name", ["o.json", "o", "o.gz", "o.parquet.gz", "o.csv.zst", ".csv.", "o.csv.rar"])
def test_other_endings_are_refused_with_those_there_are(job: Job, tmp_path: Path, name: str):
    with pytest.raises(InputError, match=r"\.csv, \.tsv .*\.parquet or \.jsonl, not"):
        job.export(tmp_path / name)
    assert list(tmp_path.glob("o*")) == []


def test_a_spreadsheet_is_refused_with_the_way_to_one(job: Job, tmp_path: Path):
    with pytest.raises(InputError, match=r"'o.csv', safe=True.*to_excel.*zone"):
        job.export(tmp_path / "o.xlsx")


# Whole or not at all


class Odd:
    """A value whose text fails, or does something else, when it is written."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    def __str__(self) -> str:
        raise self._error("in the middle")


@pytest.mark.parametrize("name", ["o.csv", "o.tsv.gz", *parquet("o.parquet")])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_export_that_fails_half_way_leaves_the_good_file_of_before(
    job_of: Callable[..., Job], tmp_path: Path, name: str, error: type[BaseException]
):
    frame = pd.DataFrame({"text": ["one"] * 3000, "odd": [1] * 2999 + [Odd(error)]})
    job = job_of(frame)
    path = tmp_path / name
    path.write_bytes(b"good")
    with pytest.raises(InputError if name == "o.parquet" else error, match=r"odd|middle"):
        job.export(path)
    assert path.read_bytes() == b"good"
    assert list(tmp_path.glob(".batchnb*")) == []


def test_raw_results_that_fail_half_way_leave_all_three_files_of_before(job: Job, tmp_path: Path, monkeypatch):
    paths = [tmp_path / name for name in ("o.jsonl", "o.requests.jsonl", "o.recipe.json")]
    job.export(paths[0])
    good = [path.read_bytes() for path in paths]

    def failing(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(export, "_described", failing)
        with pytest.raises(KeyboardInterrupt):
            job.export(paths[0])
    assert [path.read_bytes() for path in paths] == good
    paths[2].unlink()
    paths[2].mkdir()
    with pytest.raises(InputError, match=r"o.recipe.json is a folder"):
        job.export(paths[0])
    assert [path.read_bytes() for path in paths[:2]] == good[:2]


# Any frame


@needs_pyarrow
@pytest.mark.parametrize(
    "attrs",
    [
        {"at": pd.Timestamp("2026-01-01", tz="Europe/Paris"), "n": np.int64(3), "deep": {"x": [dt.date(2026, 1, 1)]}},
        {("a", 1): {("b", 2): 1}, "set": {1}},
        {"plain": {"a": [1, None, "x"]}},
    ],
)
def test_attrs_of_any_kind_go_into_parquet(job_of: Callable[..., Job], tmp_path: Path, attrs: dict[Any, Any]):
    frame = pd.DataFrame({"text": ["one"]})
    frame.attrs = dict(attrs)
    job = job_of(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = job.export(tmp_path / "o.parquet")
    kept = pd.read_parquet(path).attrs
    assert set(kept) >= {str(key) for key in attrs}
    if "n" in attrs:
        assert kept["n"] == 3
        assert kept["at"] == "2026-01-01 00:00:00+01:00"
        assert kept["deep"] == {"x": ["2026-01-01"]}
    if "plain" in attrs:
        assert kept["plain"] == attrs["plain"]
    assert job.to_frame().attrs.items() >= attrs.items()


@pytest.mark.parametrize(
    "labels",
    [
        ["text", 1],
        ["text", dt.date(2026, 1, 1)],
        pd.CategoricalIndex(["text", "b"]),
        ["text", ("a", 1)],
        ["text", b"b"],
        pd.MultiIndex.from_tuples([("text", ""), ("b", 1)]),
    ],
    ids=["int", "date", "categories", "tuple", "bytes", "levels"],
)
@pytest.mark.parametrize("name", [*parquet("o.parquet"), "o.csv"])
def test_labels_that_are_no_texts_are_written_as_texts(job_of, tmp_path: Path, labels: Any, name: str):
    columns = pd.Index(labels, tupleize_cols=False) if isinstance(labels, list) else labels
    frame = pd.DataFrame([["one", 2]])
    frame.columns = columns
    job = job_of(frame, column=columns[0], template=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        job.export(tmp_path / name)
        if name == "o.csv":
            job.export(tmp_path / f"safe-{name}", safe=True)
    read = pd.read_parquet if name == "o.parquet" else pd.read_csv
    assert len(read(tmp_path / name).columns) == 6


@needs_pyarrow
@pytest.mark.parametrize(
    ("column", "what"),
    [
        (pd.Series([1, "a"], dtype=object), "'other'"),
        (pd.arrays.SparseArray([0, 1]), "'other'"),
        (np.array([1j, 2]), "'other'"),
    ],
    ids=["mixed", "sparse", "complex"],
)
def test_a_column_that_parquet_cannot_hold_is_named_with_the_way_out(job_of, tmp_path: Path, column: Any, what: str):
    job = job_of(pd.DataFrame({"text": ["one", "two"], "other": column}))
    (tmp_path / "o.parquet").write_bytes(b"good")
    with pytest.raises(InputError, match=rf"no column like {what} .*\.csv"):
        job.export(tmp_path / "o.parquet")
    assert (tmp_path / "o.parquet").read_bytes() == b"good"
    assert len(pd.read_csv(job.export(tmp_path / "o.csv"))) == 2


@needs_pyarrow
def test_an_index_that_parquet_cannot_hold_is_named(job_of, tmp_path: Path):
    job = job_of(pd.DataFrame({"text": ["one", "two"]}, index=[1, "a"]))
    with pytest.raises(InputError, match="the index"):
        job.export(tmp_path / "o.parquet")


# Spreadsheets

RISKY = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "\ufeff=1", "\uff1d1", "-2+3+cmd|' /C calc'!A0"]
HARMLESS = ["one", "1", "a=1", "", "'=1", "x\n=1", "(1)"]


@pytest.mark.parametrize("kind", ["object", "string", "category"])
def test_texts_that_a_spreadsheet_would_run_get_an_apostrophe(kind: str):
    frame = pd.DataFrame({"a": pd.Series([*RISKY, *HARMLESS, None], dtype=kind)})
    cells = for_spreadsheets(frame, index=False)["a"].tolist()
    assert cells[: len(RISKY)] == [f"'{text}" for text in RISKY]
    assert cells[len(RISKY) : -1] == HARMLESS
    assert pd.isna(cells[-1])
    assert frame["a"].tolist()[: len(RISKY)] == RISKY, "the frame itself stays as it is"


def test_characters_that_are_not_seen_before_a_formula_hide_none():
    unseen = [
        chr(one)
        for one in range(sys.maxunicode + 1)
        if unicodedata.category(chr(one)) in {"Cc", "Cf", "Zs", "Zl", "Zp"}
    ]
    fillers = list("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180e\u180f\u2800\u3164\ufe0f\uffa0\U000e0100")
    assert [one for one in unseen + fillers if not FORMULA.match(f"{one}=1")] == []
    assert [one for one in fillers if FORMULA.match(f"{one}a=1")] == []
    assert all(
        FORMULA.match(f"\u202e \u3164{sign}1") for sign in "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
    )


@pytest.mark.parametrize("name", [*parquet("o.parquet", "o.pq"), "o.jsonl"])
def test_what_is_for_no_spreadsheet_takes_no_safe(job_of, tmp_path: Path, name: str):
    job = job_of(pd.DataFrame({"text": ["=1"]}))
    with pytest.raises(InputError, match=r"safe=True is for \.csv and \.tsv.*Nothing was written"):
        job.export(tmp_path / name, safe=True)
    assert list(tmp_path.glob("o.*")) == []
    job.export(tmp_path / name)


@pytest.mark.parametrize("name", [*parquet("o.parquet"), "o.csv", "o.tsv.gz"])
@pytest.mark.parametrize("kind", ["list", "dict", "array", "deep"])
def test_a_cell_that_holds_itself_is_named_with_its_row_and_nothing_is_written(
    job_of, tmp_path: Path, name: str, kind: str
):
    held: Any = [] if kind != "dict" else {}
    if kind == "dict":
        held["a"] = held
    elif kind == "array":
        held = np.empty(1, dtype=object)
        held[0] = [held]
    elif kind == "list":
        held.append(held)
    for _ in range(5_000 if kind == "deep" else 0):
        held = [held]
    job = job_of(pd.DataFrame({"text": ["one", "two"], "other": pd.Series([[1], held], dtype=object)}))
    with pytest.raises(InputError, match=r"Row 1 of column 'other' holds .* itself.*Nothing was written"):
        job.export(tmp_path / name)
    assert list(tmp_path.glob("o.*")) == []


def test_numbers_dates_and_durations_stay_what_they_are():
    frame = pd.DataFrame({
        "int": [-1, 1], "float": [-1.5, np.nan], "objects": pd.Series([-1, -1.5], dtype=object),
        "Int64": pd.array([-1, None], dtype="Int64"), "bool": [True, False],
        "at": pd.to_datetime(["2026-01-01", None]), "took": pd.to_timedelta([-1, 1], unit="s"),
    })  # fmt: skip
    out = for_spreadsheets(frame, index=True)
    pd.testing.assert_frame_equal(out, frame, check_column_type=False)


def test_a_safe_export_is_harmless_in_headers_the_index_and_errors_too(workspace: Workspace, job_of, tmp_path: Path):
    frame = pd.DataFrame({"text": ["=1+1", "-5", "+x"], "=HYPERLINK(1)": [-1, -2, -3], "id": ["=a", "@b", "c"]})
    job = job_of(frame, column="text", template=None, into="@echo", key="id")
    attached = workspace.attach(job.id)
    for one, name in ((job, "o.csv"), (attached, "attached.csv"), (job, "o.tsv")):
        one.export(tmp_path / name, safe=True)
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file, delimiter="\t" if name.endswith("tsv") else ","))
        texts = [cell for row in rows for cell in row if cell not in {"-1", "-2", "-3"}]
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in texts), rows
    numbers = pd.read_csv(tmp_path / "o.csv")["'=HYPERLINK(1)"]
    assert numbers.tolist() == [-1, -2, -3]
    plain = pd.read_csv(job.export(tmp_path / "plain.csv"))
    assert plain["text"].tolist() == frame["text"].tolist(), "without being asked, nothing is changed"


def test_a_carriage_return_begins_no_row(workspace: Workspace, job_of, tmp_path: Path):
    frame = pd.DataFrame({"text": ["a\r=1+1", "b"], "other\r=x": ["c", "d\r"]})
    job = job_of(frame, column="text", template=None, into="echo")
    for name in ("o.csv", "safe.csv", "o.csv.gz"):
        read = pd.read_csv(job.export(tmp_path / name, safe=name == "safe.csv"))
        assert read["text"].tolist() == frame["text"].tolist()
        assert read["other\r=x"].tolist() == frame["other\r=x"].tolist()


def test_a_folder_is_no_file_to_export_to(workspace: Workspace, job_of):
    job = job_of(pd.DataFrame({"text": ["a"]}), column="text", template=None, into="echo")
    with pytest.raises(InputError, match="a file without ending"):
        job.export(".")


def test_labels_of_several_levels_are_made_harmless(tmp_path: Path):
    columns = pd.MultiIndex.from_tuples([("=a", 1), ("b", "@c")], names=["=n", None])
    frame = pd.DataFrame([[1, 2]], columns=columns, index=pd.Index(["-x"], name="+i"))
    out = for_spreadsheets(frame, index=True)
    assert out.columns.tolist() == [("'=a", 1), ("b", "'@c")]
    assert list(out.columns.names) == ["'=n", None]
    assert (out.index.tolist(), out.index.name) == (["'-x"], "'+i")


@pytest.mark.parametrize("name", ["o.requests.jsonl", "o.recipe.json"])
@pytest.mark.parametrize(
    "theirs", [b"mine", b"{}", b'{"batchnb": {"format": 1}, "files": {"requests": "other.jsonl"}}']
)
def test_a_file_of_the_users_beside_the_results_is_not_replaced(job, tmp_path, name, theirs):
    (tmp_path / name).write_bytes(theirs)
    with pytest.raises(InputError, match=rf"{name} is there already.*Nothing was written"):
        job.export(tmp_path / "o.jsonl")
    assert {path.name: path.read_bytes() for path in tmp_path.glob("o.*")} == {name: theirs}


def test_the_files_of_an_earlier_export_are_replaced(job, tmp_path):
    job.export(tmp_path / "o.jsonl")
    (tmp_path / "o.jsonl").unlink()
    assert job.export(tmp_path / "o.jsonl").stat().st_size
