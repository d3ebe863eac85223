"""A sample stands for its frame: spread over the sizes, each item once, and the same for the same seed."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchnb.stats import spread, student

SIZES = st.lists(st.integers(0, 10_000), max_size=80)


@given(sizes=SIZES, n=st.integers(0, 100), seed=st.integers())
def test_as_many_as_asked_for_each_once_and_in_order(sizes, n, seed):
    chosen = spread(sizes, n, seed)
    assert len(chosen) == min(n, len(sizes))
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(range(len(sizes)))


@given(sizes=SIZES, n=st.integers(1, 100), seed=st.integers())
def test_every_group_of_like_size_gives_one(sizes, n, seed):
    chosen = sorted(sizes[place] for place in spread(sizes, n, seed))
    ranked = sorted(sizes)
    if n < len(sizes):
        for group, size in enumerate(chosen):
            first, last = group * len(sizes) // n, (group + 1) * len(sizes) // n - 1
            assert ranked[first] <= size <= ranked[last]


@given(sizes=SIZES, n=st.integers(0, 100), seed=st.integers())
def test_the_same_seed_chooses_the_same(sizes, n, seed):
    assert spread(sizes, n, seed) == spread(list(sizes), n, seed)


def test_every_item_has_its_chance():
    drawn = Counter(place for seed in range(2_000) for place in spread([7] * 20, 5, seed))
    assert set(drawn) == set(range(20))
    assert all(350 <= count <= 650 for count in drawn.values())  # 500 are expected, with a deviation of 20


def test_the_choice_is_the_same_on_every_machine_and_in_every_release():
    assert spread([(7 * place) % 101 for place in range(100)], 6, 3) == [18, 51, 58, 68, 72, 93]


@pytest.mark.parametrize(
    ("freedom", "confidence", "table"),
    [(1, 0.95, 12.706), (2, 0.95, 4.303), (3, 0.95, 3.182), (30, 0.95, 2.042), (math.inf, 0.95, 1.960),
     (1, 0.99, 63.657), (4, 0.99, 4.604), (9, 0.99, 3.250), (120, 0.99, 2.617), (1_001, 0.99, 2.576)],
)  # fmt: skip
def test_students_t_is_as_any_table_has_it(freedom, confidence, table):
    assert student(freedom, confidence) == pytest.approx(table, abs=6e-4)
