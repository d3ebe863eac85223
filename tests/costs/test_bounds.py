"""What requests cost before they are sent: each in its own tier, under its own limits, with what a cache costs."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from batchnb.costs.bounds import Ask, Limits, price_at_most, price_of
from batchnb.costs.prices import PriceTable, load_prices
from batchnb.costs.tokens import Fit, Line, Size
from batchnb.stats import Interval

D = Decimal
PRICES = load_prices()
HAIKU = Limits("claude-haiku-4-5", 100, None)
TIERED = Limits("claude-haiku-5-5", 100, None)
SONNET = Limits("claude-sonnet-4-6", 1_000, "us")


def asks(*limits: Limits) -> list[Ask]:
    return [Ask(Size(0, 10, 0), one) for one in limits]


def fit_of(*each: float, margin: float = 1.0, fixed: float = 0.0) -> Fit:
    total = sum(each)
    line = Line(fixed, (total - fixed * len(each)) / len(each) / 10, 0.0)
    return Fit(Interval(total / margin, total, total * margin), np.array(each), {0: line}, len(each))


def test_each_request_is_priced_under_its_own_limits():
    # Haiku in a batch: 1,000 x $0.50 + 50 x $2.50; Sonnet in a batch, in the US: (2,000 x $1.50 + 50 x $7.50) x 1.1.
    expected = (D(1_000) * D("0.5") + 50 * D("2.5") + (2_000 * D("1.5") + 50 * D("7.5")) * D("1.1")) / 1_000_000
    assert price_of(PRICES, asks(HAIKU, SONNET), np.array([1_000.0, 2_000.0]), 50) == expected
    assert price_of(PRICES, asks(HAIKU, SONNET), np.array([1_000.0, 2_000.0]), 50, batch=False) == 2 * expected


def test_without_expected_replies_each_is_as_long_as_it_may_be():
    cost = price_of(PRICES, asks(HAIKU, SONNET), np.array([0.0, 0.0]), None)
    assert cost == (100 * D("2.5") + 1_000 * D("7.5") * D("1.1")) / 1_000_000


def test_no_reply_is_expected_to_be_longer_than_it_may_be():
    cost = price_of(PRICES, asks(HAIKU, SONNET), np.array([0.0, 0.0]), 200)
    assert cost == (100 * D("2.5") + 200 * D("7.5") * D("1.1")) / 1_000_000


def test_each_request_is_priced_in_its_own_tier():
    cost = price_of(PRICES, asks(TIERED, TIERED), np.array([100_000.0, 100_001.0]), 10)
    assert cost == (100_000 * D("0.05") + 10 * D("0.25") + 100_001 * D("0.25") + 10 * D("1.25")) / 1_000_000


def test_one_unknown_price_leaves_the_whole_unknown():
    unknown = Limits("my-model", 100, None)
    assert price_of(PRICES, asks(HAIKU, unknown), np.array([1.0, 1.0]), 1) is None
    assert price_at_most(PriceTable({}, PRICES.default), asks(HAIKU), fit_of(10), None) is None
    elsewhere = Limits("claude-haiku-4-5", 100, "eu")
    assert price_of(PRICES, asks(elsewhere), np.array([1.0]), 1) is None


def test_at_most_is_the_upper_end_of_the_interval_with_the_longest_replies():
    most = price_at_most(PRICES, asks(HAIKU, HAIKU), fit_of(1_000, 3_000, margin=1.05))
    assert float(most.total) == pytest.approx((4_200 * 0.5 + 200 * 2.5) / 1e6)
    parts = 2 * most.each + 20 * most.per_character
    assert float(parts) == pytest.approx(float(most.total))


@pytest.mark.parametrize(("cache", "times"), [(None, 1), ("5m", 1.25), ("1h", 2)])
def test_at_worst_each_request_writes_what_is_shared_to_the_cache(cache, times):
    most = price_at_most(PRICES, asks(HAIKU, HAIKU), fit_of(1_000, 1_000, fixed=900), cache)
    assert float(most.total) == pytest.approx(2 * ((900 * times + 100) * 0.5 + 100 * 2.5) / 1e6)
    assert float(2 * most.each + 20 * most.per_character) == pytest.approx(float(most.total))


@pytest.mark.parametrize(("marked", "times"), [("5m", 1.25), ("1h", 2)])
def test_at_worst_each_request_writes_all_that_the_user_has_marked(marked, times):
    most = price_at_most(PRICES, asks(HAIKU, HAIKU), fit_of(1_000, 1_000, fixed=900), None, marked)
    assert float(most.total) == pytest.approx(2 * (1_000 * times * 0.5 + 100 * 2.5) / 1e6)
    assert float(2 * most.each + 20 * most.per_character) == pytest.approx(float(most.total))


def test_of_requests_with_files_each_may_be_the_largest():
    line = Line(1_000.0, 0.0, 0.0)
    fit = Fit(Interval(2_000, 2_000, 2_000), np.array([500.0, 1_500.0]), {1: line}, 2)
    most = price_at_most(PRICES, [Ask(Size(1, 10, 0), HAIKU)] * 2, fit)
    assert most.each == most.most == (1_500 * D("0.5") + 100 * D("2.5")) / 1_000_000
    assert most.total == (2_000 * D("0.5") + 200 * D("2.5")) / 1_000_000


@pytest.mark.parametrize("places", [(HAIKU, SONNET), (SONNET, HAIKU)])
def test_where_requests_differ_a_single_one_costs_no_more_than_the_dearest(places):
    most = price_at_most(PRICES, asks(*places), fit_of(500, 500))
    alone = price_at_most(PRICES, asks(SONNET), fit_of(500))
    assert most.each == alone.each
    assert most.each * 2 + 20 * most.per_character >= most.total
