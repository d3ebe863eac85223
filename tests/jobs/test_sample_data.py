"""The sample data has what real columns have, so that the demo and the notebooks meet it all."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections import Counter
from importlib.resources import files

import pandas as pd
import pytest

from batchnb.demo import sample


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return sample()


@pytest.fixture(scope="module")
def texts(frame: pd.DataFrame) -> list[str]:
    return [text for text in frame["review"].dropna() if text.strip()]


def test_it_has_240_rows_in_three_languages(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == ["review_id", "product", "language", "review", "stars", "sentiment"]
    assert Counter(frame["language"]) == {"en": 120, "ko": 60, "zh": 60}
    assert 4 <= frame["product"].nunique() <= 8
    assert isinstance(frame.index, pd.RangeIndex)


def test_every_review_is_written_in_its_language(frame: pd.DataFrame) -> None:
    told = frame[frame["review"].notna() & (frame["review"].str.strip() != "")]
    korean = told["review"].str.contains(r"[\uac00-\ud7a3]")
    chinese = told["review"].str.contains(r"[\u4e00-\u9fff]")
    assert korean.equals(told["language"] == "ko")
    assert chinese.equals(told["language"] == "zh")


def test_row_names_are_unique_and_in_order(frame: pd.DataFrame) -> None:
    assert list(frame["review_id"]) == [f"r{number:03d}" for number in range(1, 241)]


def test_five_reviews_are_missing_and_one_is_only_spaces_and_these_have_no_gold_label(frame: pd.DataFrame) -> None:
    missing = frame["review"].isna()
    blank = ~missing & (frame["review"].str.strip() == "")
    assert (missing.sum(), blank.sum()) == (5, 1)
    assert set(frame.loc[blank, "review"].iloc[0]) == {" "}
    assert frame["sentiment"].isna().equals(missing | blank)


def test_gold_labels_are_the_three_and_none_is_rare(frame: pd.DataFrame) -> None:
    counts = frame["sentiment"].value_counts()
    assert set(counts.index) == {"positive", "negative", "neutral"}
    assert counts.min() >= 40
    by_language = frame.groupby("language")["sentiment"].nunique()
    assert (by_language == 3).all()


def test_stars_are_whole_numbers_and_two_are_missing(frame: pd.DataFrame) -> None:
    assert frame["stars"].dtype == "Int64"
    assert set(frame["stars"].dropna()) == {1, 2, 3, 4, 5}
    assert frame["stars"].isna().sum() == 2
    assert frame.loc[frame["stars"].isna(), "review"].notna().all()


def test_stars_agree_with_gold_labels(frame: pd.DataFrame) -> None:
    rated = frame.dropna(subset=["stars", "sentiment"])
    expected = rated["stars"].map({1: "negative", 2: "negative", 3: "neutral", 4: "positive", 5: "positive"})
    assert (expected == rated["sentiment"]).all()


def test_two_texts_occur_twice_and_all_others_once(texts: list[str]) -> None:
    assert sorted(count for count in Counter(texts).values() if count > 1) == [2, 2]


def test_eight_reviews_are_long(texts: list[str]) -> None:
    long = [len(text) for text in texts if len(text) >= 800]
    assert len(long) == 8
    assert max(long) <= 3_000


@pytest.mark.parametrize(
    ("what", "at_least"),
    [
        ('"', 5),
        ("'", 20),
        ("{review}", 1),
        ("{{x}}", 1),
        ("<b>", 2),
        ("<script>alert('x')</script>", 1),
        ("\n", 5),
        ("\\", 1),
        ("مرحبا", 1),
        ("😊", 1),
        ("👍", 1),
    ],
)
def test_awkward_characters_occur(texts: list[str], what: str, at_least: int) -> None:
    assert sum(what in text for text in texts) >= at_least


def test_one_review_is_full_of_commas(texts: list[str]) -> None:
    assert max(text.count(",") for text in texts if len(text) < 400) >= 7


def test_each_call_gives_a_frame_of_its_own() -> None:
    mine = sample()
    mine["review"] = "overwritten"
    assert sample()["review"].nunique() > 200


def test_the_file_is_plain_csv_in_utf_8_with_unix_line_ends(frame: pd.DataFrame) -> None:
    raw = files("batchnb.demo").joinpath("reviews.csv").read_bytes()
    assert b"\r" not in raw
    assert not raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8"), newline="")))
    assert [row["review"] for row in rows] == list(frame["review"].fillna(""))
    rewritten = io.StringIO(newline="")
    writer = csv.DictWriter(rewritten, fieldnames=list(frame.columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    assert rewritten.getvalue().encode() == raw


def test_importing_the_module_does_not_load_pandas() -> None:
    # batchnb itself may load pandas; its own part must not be what does.
    code = (
        "import sys, types, importlib.util as u\n"
        f"spec = u.spec_from_file_location('demo', {str(files('batchnb.demo').joinpath('__init__.py'))!r})\n"
        "spec.loader.exec_module(u.module_from_spec(spec))\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
