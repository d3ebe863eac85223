"""How many requests go in one batch, as a function of numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchnb.errors import InputError
from batchnb.planning.batch_size import batch_sizes, plan_batch_size

pytestmark = pytest.mark.steady


@pytest.mark.parametrize(
    ("requests", "sizes"),
    [
        (0, []),
        (1, [1]),
        (49, [49]),
        (99, [99]),
        (100, [50, 50]),
        (101, [51, 50]),
        (500, [50] * 10),
        (3000, [300] * 10),
        (3001, [301] + [300] * 9),
        (100_000, [10_000] * 10),
        (100_001, [9091] * 11),
    ],
)
def test_a_job_is_split_into_about_ten_batches_of_nearly_equal_size(requests, sizes):
    assert batch_sizes(requests) == sizes
    assert plan_batch_size(requests) == max([50, *sizes])


@given(st.integers(1, 3_000_000))
def test_no_batch_is_under_fifty_unless_the_whole_job_is_nor_over_ten_thousand(requests):
    sizes = batch_sizes(requests)
    assert sum(sizes) == requests
    assert min(sizes) >= min(50, requests)
    assert max(sizes) <= 10_000
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) <= 10 or requests > 100_000


@given(st.integers(0, 100_000), st.none() | st.integers(1, 1000), st.integers(1, 1000))
def test_batches_hold_every_request_and_never_more_than_allowed(requests, batch_size, max_requests):
    sizes = batch_sizes(requests, batch_size=batch_size, max_requests=max_requests)
    assert sum(sizes) == requests
    assert all(0 < size <= max_requests for size in sizes)
    size = plan_batch_size(requests, batch_size=batch_size, max_requests=max_requests)
    assert max(sizes, default=1) <= size <= max_requests
    # Cutting a list into pieces of that size makes as many batches.
    assert -(-requests // size) == len(sizes)


def test_a_job_with_little_to_send_now_does_not_send_in_smaller_batches_later():
    assert plan_batch_size(0) == plan_batch_size(3) == 50
    assert plan_batch_size(0, batch_size=7) == plan_batch_size(3, batch_size=7) == 7
    assert plan_batch_size(3, batch_size=200, max_requests=100) == 100


def test_an_explicit_batch_size_wins_within_the_limit():
    assert batch_sizes(250, batch_size=100) == [100, 100, 50]
    assert batch_sizes(3, batch_size=1) == [1, 1, 1]
    assert batch_sizes(20_000, batch_size=20_000) == [20_000]
    assert batch_sizes(250_000, batch_size=10**9) == [100_000, 100_000, 50_000]


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "10"])
def test_a_batch_size_that_is_no_whole_number_above_zero_is_refused(value):
    with pytest.raises(InputError, match="batch_size"):
        batch_sizes(10, batch_size=value)
    with pytest.raises(InputError, match="max_requests"):
        plan_batch_size(10, max_requests=value)


def test_a_negative_number_of_requests_is_refused():
    with pytest.raises(InputError, match="requests=-1"):
        batch_sizes(-1)
