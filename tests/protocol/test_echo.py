"""Every row gets its own answer: 3,000 echoes from an independent server that gives results in reverse order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pandas as pd
import pytest

if TYPE_CHECKING:
    from bench import Bench

pytest_plugins = ["bench_fixtures"]

TEMPLATE = "Echo: {review}"
WORDS = [
    "great",
    "terrible",
    "배송이 빨라요",
    "质量很差",
    "naïve",
    "¿qué?",
    "👍🏽",
    "<b>bold</b>",
    "{not a column}",
    '"quoted"',
    "a\\b",
]


def review(number: int, chance: random.Random) -> str:
    """Make a review as real ones are: several languages, markup, quotes, and line breaks within."""
    return "\n".join([f"{number}.", *(" ".join(chance.choices(WORDS, k=chance.randint(1, 30))) for _ in range(2))])


@pytest.fixture
def reviews() -> pd.DataFrame:
    """3,000 rows, of which some are duplicates, some missing and some blank."""
    chance = random.Random(3)
    texts: list[str | None] = [review(number, chance) for number in range(2_800)]
    texts += chance.sample(texts, 150) + [None] * 30 + ["", "  \n"] * 10
    chance.shuffle(texts)
    sites = chance.choices(["amazon", "yelp", "imdb"], k=3_000)
    return pd.DataFrame({"review_id": range(3_000), "site": sites, "review": texts})


def submit(bench: Bench, frame: pd.DataFrame, **options: object):
    return frame.batch.submit("review", TEMPLATE, into="echo", workspace=bench.workspace, progress=False, **options)


def assert_every_row_has_its_own(bench: Bench, frame: pd.DataFrame) -> None:
    assert len(frame) == 3_000
    asked = frame["review"].fillna("").str.strip() != ""
    assert frame.loc[asked, "echo"].tolist() == frame.loc[asked, "review"].tolist()
    assert frame.loc[~asked, "echo"].isna().all()
    assert (frame["echo_status"] == asked.map({True: "succeeded", False: "skipped"})).all()
    assert bench.server.bought_once()
    assert set(bench.server.asked) == {f"Echo: {text}" for text in frame.loc[asked, "review"]}


def test_three_thousand_rows_come_back_each_on_its_own(bench: Bench, reviews: pd.DataFrame):
    job = submit(bench, reviews)
    assert_every_row_has_its_own(bench, job.result(60))
    assert len(bench.server.batches) == 10
    assert sum(bench.server.asked.values()) == 2_800


def test_a_duplicated_index_moves_no_row(bench: Bench, reviews: pd.DataFrame):
    reviews.index = reviews.index // 7
    result = submit(bench, reviews).result(60)
    assert_every_row_has_its_own(bench, result)
    assert result.index.equals(reviews.index)


def test_an_index_of_several_levels_moves_no_row(bench: Bench, reviews: pd.DataFrame):
    frame = reviews.set_index(["site", "review_id"])
    result = submit(bench, frame).result(60)
    assert_every_row_has_its_own(bench, result)
    assert result.index.equals(frame.index)


def test_a_frame_sorted_after_submitting_gets_its_answers_by_content(bench: Bench, reviews: pd.DataFrame):
    bench.server.ends = False
    job = submit(bench, reviews)
    # In place, behind the job's back.
    reviews[:] = reviews.sort_values("review").to_numpy()
    bench.server.wait_for(lambda: len(bench.server.batches) == 10)
    bench.server.end()
    result = job.result(60)
    assert_every_row_has_its_own(bench, result)
    assert result["review_id"].tolist() == list(range(3_000))  # the frame as it was
    joined = reviews.batch.join(job)
    assert_every_row_has_its_own(bench, joined)
    assert joined["review_id"].tolist() == reviews["review_id"].tolist()


def test_filtered_shuffled_and_run_again_nothing_more_is_sent(bench: Bench, reviews: pd.DataFrame):
    submit(bench, reviews, key="review_id").result(60)
    calls = bench.server.count_calls()
    part = reviews.sample(500, random_state=1).assign(unread="a column the template does not read")
    result = submit(bench, part).result(60)
    asked = part["review"].fillna("").str.strip() != ""
    assert result.loc[asked, "echo"].tolist() == part.loc[asked, "review"].tolist()
    assert bench.server.count_calls() == calls


def test_labels_come_back_too(bench: Bench, reviews: pd.DataFrame):
    frame = reviews.head(60)
    job = frame.batch.submit(
        "review", "Classify: {review}", labels=["good", "bad"], into="label", workspace=bench.workspace, progress=False
    )
    result = job.result(60)
    answered = result["label_status"] == "succeeded"
    assert set(result.loc[answered, "label"]) == {"good"}
    assert result["label"].cat.categories.tolist() == ["good", "bad"]
