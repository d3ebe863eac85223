"""Prices and dollars, against numbers worked out by hand."""

import json
from decimal import Decimal
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchnb.costs.prices import Price, PriceTable, Usage, load_prices
from batchnb.errors import InputError

D = Decimal
PRICES = load_prices()
MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "input", "output", "cache_read"),
    [
        ("claude-haiku-5-5", "0.10", "0.50", "0.1"),
        ("claude-haiku-4-5", "1", "5", "0.1"),
        ("claude-sonnet-5-5", "2", "10", "0.05"),
        ("claude-sonnet-5", "2", "10", "0.1"),
        ("claude-sonnet-4-6", "3", "15", "0.1"),
        ("claude-sonnet-4-5", "3", "15", "0.1"),
        ("claude-opus-5-5", "4", "20", "0.05"),
        ("claude-opus-5", "5", "25", "0.1"),
        ("claude-opus-4-8", "5", "25", "0.1"),
        ("claude-opus-4-7", "5", "25", "0.1"),
        ("claude-opus-4-6", "5", "25", "0.1"),
        ("claude-opus-4-5", "5", "25", "0.1"),
        ("claude-fable-5-2", "8", "40", "0.025"),
        ("claude-mythos-5-2", "8", "40", "0.025"),
        ("claude-fable-5-1", "10", "50", "0.025"),
        ("claude-mythos-5-1", "10", "50", "0.025"),
        ("claude-fable-5", "10", "50", "0.1"),
        ("claude-mythos-5", "10", "50", "0.1"),
        ("claude-opus-4-1", "15", "75", "0.1"),
        ("claude-sonnet-4", "3", "15", "0.1"),
        ("claude-3-5-haiku", "0.80", "4", "0.1"),
        ("claude-3-haiku", "0.25", "1.25", "0.1"),
    ],
)
def test_a_known_model_has_its_price(model, input, output, cache_read):
    price = PRICES.price(model)
    assert (price.input, price.output, price.cache_read) == (D(input), D(output), D(cache_read))
    assert (price.cache_write_5m, price.cache_write_1h, price.batch) == (D("1.25"), D(2), D("0.5"))


def test_every_price_and_multiplier_carries_its_source_and_date():
    file = json.loads(resources.files("batchnb.costs").joinpath("prices.json").read_text("utf-8"))
    for entry in [*file["models"].values(), *file["multipliers"].values()]:
        assert entry["source"]
        assert entry["date"].startswith("202")
    assert PRICES.price("claude-haiku-5-5").source == "platform.claude.com documentation"
    assert PRICES.price("claude-opus-4-1").date == "2025"


def test_a_dated_id_has_the_price_of_its_undated_one():
    assert PRICES.price("claude-haiku-4-5-20251001") == PRICES.price("claude-haiku-4-5")
    assert PRICES.price("claude-3-haiku-20240307") == PRICES.price("claude-3-haiku")


@pytest.mark.parametrize(
    "model",
    [
        "",
        "claude",
        "claude-haiku-4-5-latest",
        "claude-haiku-4-5-2025",
        "claude-haiku-4-5-20251001-x",
        "claude-sonnet-4-9",
        "claude-haiku-9-20300101",
        "my-model",
        "Claude-Haiku-4-5",
    ],
)
def test_any_other_model_is_unknown_and_never_a_guess(model):
    assert PRICES.price(model) is None


def test_a_million_tokens_each_way_cost_half_the_list_price_in_a_batch():
    usage = Usage(input_tokens=MILLION, output_tokens=MILLION, requests=1)
    price = PRICES.price("claude-haiku-4-5")
    assert price.cost(usage) == D("3.00")
    assert price.cost(usage, batch=False) == D(6)


def test_cache_reads_and_writes_have_their_own_rates():
    usage = Usage(input_tokens=1000, output_tokens=200, cache_read=50_000, cache_write_5m=4000, cache_write_1h=3000)
    # haiku-4-5: 1000 + 5000 + 5000 + 6000 = 17,000 units at $1, 200 at $5 = $0.018; half of it in a batch.
    assert PRICES.price("claude-haiku-4-5").cost(usage) == D("0.009")
    # opus-5-5: 1000 + 2500 + 5000 + 6000 = 14,500 units at $4, 200 at $20 = $0.062.
    assert PRICES.price("claude-opus-5-5").cost(usage) == D("0.031")
    # fable-5-1: 1000 + 1250 + 5000 + 6000 = 13,250 units at $10, 200 at $50 = $0.1425.
    assert PRICES.price("claude-fable-5-1").cost(usage, batch=False) == D("0.1425")


def test_the_us_region_costs_a_tenth_more_from_4_6_on():
    usage = Usage(input_tokens=MILLION)
    assert PRICES.price("claude-sonnet-4-6").cost(usage, geo="us") == D("1.65")
    assert PRICES.price("claude-sonnet-4-5").cost(usage, geo="us") == D("1.5")
    for geo in (None, "global", "not_available"):
        assert PRICES.price("claude-sonnet-4-6").cost(usage, geo=geo) == D("1.5")


def test_a_region_without_a_known_price_has_no_known_cost():
    assert PRICES.price("claude-sonnet-4-6").cost(Usage(input_tokens=5), geo="eu") is None


def test_the_tier_is_decided_by_the_whole_prompt_of_one_request():
    price = PRICES.price("claude-haiku-5-5")
    at = Usage(input_tokens=100_000, output_tokens=1000, requests=1)
    above = Usage(input_tokens=100_001, output_tokens=1000, requests=1)
    cached = Usage(input_tokens=1, cache_read=100_000, requests=1)
    assert price.cost(at, batch=False) == D("0.0105")  # $0.01 + $0.0005
    assert price.cost(above, batch=False) == D("0.0525005")  # $0.0500005 + $0.0025
    assert price.cost(cached, batch=False) == D("0.0050005")  # 10,001 units at $0.50
    assert price.cost(at, batch=False, prompt_tokens=200_000) == D("0.0525")


def test_requests_that_may_fall_in_different_tiers_have_no_known_cost_together():
    price = PRICES.price("claude-haiku-5-5")
    small = Usage(input_tokens=60_000, requests=1)
    assert price.cost(small + small) is None
    assert price.cost(small + small, prompt_tokens=60_000) == D("0.006")


usages = st.builds(Usage, *[st.integers(0, 300_000)] * 5, requests=st.just(1))


@given(st.lists(usages, max_size=30), st.sampled_from(sorted(PRICES.prices)), st.booleans(), st.booleans())
def test_what_requests_of_one_tier_cost_together_is_exactly_the_sum_of_each(requests, model, batch, large):
    price, size = PRICES.price(model), 100_001 if large else 0
    together = price.cost(sum(requests, Usage()), batch=batch, prompt_tokens=size)
    assert together == sum(price.cost(usage, batch=batch, prompt_tokens=size) for usage in requests)


def test_a_hundred_thousand_rows_add_up_to_the_cent():
    usage = Usage(input_tokens=117 * 100_000, output_tokens=13 * 100_000, requests=100_000)
    # (117 x $1 + 13 x $5) / 1,000,000 / 2 = $0.000091 a row.
    assert PRICES.price("claude-haiku-4-5").cost(usage) == D("9.1")


def test_usage_adds_up():
    first, second = Usage(1, 2, 3, 4, 5, 1), Usage(10, 20, 30, 40, 50, 1)
    assert first + second == Usage(11, 22, 33, 44, 55, 2)
    assert sum([first, second], Usage()) == first + second
    assert first.prompt_tokens == 13


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({}, Usage(requests=1)),
        ({"input_tokens": 7, "output_tokens": 3}, Usage(7, 3, requests=1)),
        (
            {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": None,
             "cache_creation_input_tokens": None, "cache_creation": None, "service_tier": "batch"},
            Usage(7, 3, requests=1),
        ),
        (
            {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 30,
             "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}},
            Usage(7, 3, 5, 10, 20, requests=1),
        ),
        ({"cache_creation_input_tokens": 30}, Usage(cache_write_5m=30, requests=1)),
        (
            {"cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_1h_input_tokens": 20}},
            Usage(cache_write_5m=10, cache_write_1h=20, requests=1),
        ),
        ({"input_tokens": 7.0, "output_tokens": "many"}, Usage(7, requests=1)),
        ({"input_tokens": -7, "output_tokens": float("nan")}, Usage(requests=1)),
    ],
)  # fmt: skip
def test_usage_is_read_from_a_message(usage, expected):
    assert Usage.from_message(usage) == expected


def test_a_price_can_be_added_or_replaced_without_changing_the_table():
    table = PRICES.with_price("my-model", input=0.1, output="0.4")
    assert PRICES.price("my-model") is None
    price = table.price("my-model")
    assert isinstance(table, PriceTable)
    assert isinstance(price, Price)
    assert price.cost(Usage(input_tokens=MILLION, output_tokens=MILLION)) == D("0.25")
    assert price.source == "set by the user"
    assert table.price("claude-haiku-4-5") == PRICES.price("claude-haiku-4-5")


def test_a_replaced_price_keeps_the_models_multipliers_unless_they_are_given():
    table = PRICES.with_price("claude-opus-5-5", input=3, output=15)
    assert table.price("claude-opus-5-5").cache_read == D("0.05")
    table = table.with_price("claude-opus-5-5", input=3, output=15, cache_read=0.2, batch=1, source="our contract")
    assert table.price("claude-opus-5-5").cost(Usage(input_tokens=MILLION)) == 3
    assert table.price("claude-opus-5-5").cost(Usage(cache_read=MILLION)) == D("0.6")
    assert table.price("claude-opus-5-5").source == "our contract"


def test_a_replaced_price_has_no_tiers():
    price = PRICES.with_price("claude-haiku-5-5", input=1, output=1).price("claude-haiku-5-5")
    assert price.cost(Usage(input_tokens=MILLION, requests=3)) == D("0.5")


def test_a_price_of_a_dated_id_comes_before_its_undated_one():
    table = PRICES.with_price("claude-haiku-4-5-20251001", input=9, output=9)
    assert table.price("claude-haiku-4-5-20251001").input == 9
    assert table.price("claude-haiku-4-5").input == 1


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "free", None])
def test_a_price_that_is_no_price_is_refused(value):
    with pytest.raises(InputError, match="input="):
        PRICES.with_price("my-model", input=value, output=1)
