"""What the rest will cost: exact where cost follows length, between its bounds, and silent where it cannot know."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchnb.costs.projection import project
from batchnb.stats import spread

SIZES = st.lists(st.integers(0, 10_000), min_size=1, max_size=40)
DOLLARS = st.floats(0, 10)


@given(sizes=SIZES, rest=SIZES, base=st.floats(0, 1), rate=st.floats(0, 1e-3), reply=st.floats(0, 1))
def test_cost_that_follows_length_is_projected_exactly(sizes, rest, base, rate, reply):
    sample = [*sizes, 10, 500, 2_000, 9_000]
    prompts = [base + rate * max(size, 1) for size in sample]
    found = project(sample, prompts, [reply] * len(sample), rest)
    true = sum(base + rate * size + reply for size in rest)
    assert found.requests == len(rest)
    assert found.expected == pytest.approx(true, rel=1e-3, abs=1e-3)
    assert found.low <= found.expected <= found.high
    assert found.high - found.low == pytest.approx(0, abs=1e-3 * (1 + true))


@given(st.lists(st.tuples(st.integers(0, 10_000), DOLLARS, DOLLARS), max_size=40), SIZES)
def test_the_bounds_hold_what_is_expected_and_are_never_negative(sample, rest):
    sizes, prompts, replies = zip(*sample, strict=True) if sample else ((), (), ())
    found = project(sizes, prompts, replies, rest)
    if len(sample) < 2:
        assert (found.low, found.high) == (None, None)
        assert (found.expected is None) == (not sample)
    else:
        assert 0 <= found.low <= found.expected <= found.high


@given(SIZES)
def test_nothing_left_costs_nothing(sizes):
    assert project(sizes, [1.0] * len(sizes), [0.0] * len(sizes), []).expected == 0


def test_alike_sizes_give_the_mean():
    found = project([100] * 4, [1.0, 2.0, 3.0, 2.0], [0.5] * 4, [100] * 10)
    assert found.expected == pytest.approx(25)
    assert found.high - found.expected == pytest.approx(3.182446 * (2 / 3 * (10 + 100 / 4)) ** 0.5)


def test_the_interval_mostly_holds_what_it_comes_to():
    """Texts of two languages, whose bytes make different numbers of tokens, and replies of any length."""
    chance = random.Random(1)
    sizes = [int(chance.lognormvariate(5, 1)) for _ in range(2_000)]
    prompts = [(60 + size * chance.choice((0.27, 0.33))) * 5e-7 for size in sizes]
    replies = [chance.expovariate(1 / 60) * 2.5e-6 for _ in sizes]
    held = 0
    for seed in range(200):
        chosen = spread(sizes, 20, seed)
        rest = sorted(set(range(len(sizes))) - set(chosen))
        found = project(
            *([values[place] for place in chosen] for values in (sizes, prompts, replies)),
            [sizes[place] for place in rest],
        )
        true = sum(prompts[place] + replies[place] for place in rest)
        held += found.low <= true <= found.high
    assert held >= 170
