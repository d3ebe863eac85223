"""The table of prices as a user sees and changes it; every price against the fact it is from."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

import batchnb
from batchnb import InputError
from batchnb.costs import price_list
from batchnb.demo import sample

DOCS, OLD = "platform.claude.com documentation", "2025 guides"

#: model: input, output, share of a cache read, factor of the US region, source. In dollars per million tokens.
FACTS = {
    "claude-haiku-5-5": (0.10, 0.50, 0.1, 1.1, DOCS),
    "claude-haiku-4-5": (1, 5, 0.1, 1, DOCS),
    "claude-sonnet-5-5": (2, 10, 0.05, 1.1, DOCS),
    "claude-sonnet-5": (2, 10, 0.1, 1.1, DOCS),
    "claude-sonnet-4-6": (3, 15, 0.1, 1.1, DOCS),
    "claude-sonnet-4-5": (3, 15, 0.1, 1, DOCS),
    "claude-opus-5-5": (4, 20, 0.05, 1.1, DOCS),
    "claude-opus-5": (5, 25, 0.1, 1.1, DOCS),
    "claude-opus-4-8": (5, 25, 0.1, 1.1, DOCS),
    "claude-opus-4-7": (5, 25, 0.1, 1.1, DOCS),
    "claude-opus-4-6": (5, 25, 0.1, 1.1, DOCS),
    "claude-opus-4-5": (5, 25, 0.1, 1, DOCS),
    "claude-fable-5-2": (8, 40, 0.025, 1.1, DOCS),
    "claude-mythos-5-2": (8, 40, 0.025, 1.1, DOCS),
    "claude-fable-5-1": (10, 50, 0.025, 1.1, DOCS),
    "claude-mythos-5-1": (10, 50, 0.025, 1.1, DOCS),
    "claude-fable-5": (10, 50, 0.1, 1.1, DOCS),
    "claude-mythos-5": (10, 50, 0.1, 1.1, DOCS),
    "claude-opus-4-1": (15, 75, 0.1, 1, OLD),
    "claude-sonnet-4": (3, 15, 0.1, 1, OLD),
    "claude-3-5-haiku": (0.80, 4, 0.1, 1, OLD),
    "claude-3-haiku": (0.25, 1.25, 0.1, 1, OLD),
}


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Leave no price set for other tests."""
    yield
    price_list._Set.table = None


def row_of(model: str) -> dict[str, object]:
    frame = batchnb.prices()
    return frame[frame["model"] == model].iloc[0].to_dict()


def test_the_models_listed_are_those_whose_price_is_known():
    assert set(batchnb.prices()["model"]) == set(FACTS)


@pytest.mark.parametrize("model", FACTS)
def test_every_price_is_the_one_of_its_source(model):
    prompt, reply, read, us, source = FACTS[model]
    row = row_of(model)
    assert (row["input"], row["output"], row["us_factor"], row["source"]) == (prompt, reply, us, source)
    assert row["cache_read"] == pytest.approx(prompt * read)
    assert row["cache_write_5m"] == pytest.approx(prompt * 1.25)
    assert row["cache_write_1h"] == pytest.approx(prompt * 2)
    assert (row["batch_input"], row["batch_output"]) == (prompt / 2, reply / 2)
    assert re.fullmatch(r"20\d\d(-\d\d)?", row["date"])


def test_one_price_has_a_tier():
    above = batchnb.prices().set_index("model")[["above_tokens", "above_input", "above_output"]].dropna()
    assert above.loc["claude-haiku-5-5"].tolist() == [100_000, 0.5, 2.5]
    assert len(above) == 1


def test_a_price_that_is_set_is_used_at_once_everywhere(workspace):
    frame = sample().head(6)
    job = frame.batch.submit("review", model="claude-haiku-4-5", workspace=workspace, progress=False)
    job.result(60)
    usage, before = job.usage, job.cost
    assert before == pytest.approx((usage.input_tokens * 0.5 + usage.output_tokens * 2.5) / 1e6)
    batchnb.set_price("claude-haiku-4-5", input=10, output=50, source="our contract")
    assert job.cost == pytest.approx(10 * before)
    assert job.snapshot().cost == pytest.approx(10 * before)
    assert workspace.jobs().to_frame()["cost"].iloc[0] == pytest.approx(10 * before)
    assert job.batches["cost"].sum() == pytest.approx(10 * before)
    row = row_of("claude-haiku-4-5")
    assert (row["input"], row["batch_input"], row["source"]) == (10, 5, "our contract")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", row["date"])


def test_the_list_of_jobs_is_drawn_anew_with_the_new_price(workspace):
    sample().head(3).batch.submit("review", workspace=workspace, progress=False).result(60)
    table = batchnb.jobs(workspace)
    first = repr(table)
    batchnb.set_price("claude-haiku-4-5", input=1_000, output=5_000)
    assert repr(table) != first


def test_a_price_that_is_not_known_stays_unknown_until_it_is_set(workspace):
    assert workspace.prices.price("my-model") is None
    batchnb.set_price("my-model", input="0.4", output=2)
    assert row_of("my-model")["batch_output"] == 1
    assert workspace.prices.price("my-other-model") is None


@pytest.mark.parametrize("wrong", [-1, "much", None, float("nan")])
def test_a_price_that_is_none_is_refused_and_changes_nothing(wrong):
    with pytest.raises(InputError, match="is not a price"):
        batchnb.set_price("claude-haiku-4-5", input=wrong, output=1)
    assert row_of("claude-haiku-4-5")["input"] == 1
