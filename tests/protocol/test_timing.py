"""Waiting and splitting, as functions of numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchnb.errors import InputError
from batchnb.protocol.timing import backoff, batch_sizes, plan_batch_size, poll_interval

pytestmark = pytest.mark.steady


def test_polling_starts_at_a_second_and_grows_by_half_up_to_a_minute():
    assert [poll_interval(checks) for checks in range(4)] == [1, 1.5, 2.25, 3.375]
    assert poll_interval(10) == pytest.approx(57.665, abs=0.001)
    assert poll_interval(11) == 60


@given(st.integers(-10, 10**9), st.floats(0.001, 1e6))
def test_polling_never_waits_longer_than_asked_and_never_gets_faster(checks, max_poll):
    wait = poll_interval(checks, max_poll)
    assert min(1, max_poll) <= wait <= max_poll
    assert poll_interval(checks + 1, max_poll) >= wait


@pytest.mark.parametrize("max_poll", [0, -1, float("nan")])
def test_a_longest_poll_that_is_not_positive_is_refused(max_poll):
    with pytest.raises(InputError, match="max_poll"):
        poll_interval(0, max_poll)


def test_backoff_doubles_from_a_second_to_a_minute():
    assert [backoff(attempt) for attempt in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_backoff_waits_at_least_as_long_as_the_server_asked():
    assert backoff(0, retry_after=30) == 30
    assert backoff(6, retry_after=30) == 60
    assert backoff(0, retry_after=30, jitter=1.0) == 37.5


@pytest.mark.parametrize(
    ("retry_after", "wait"), [(float("inf"), 3600), (1e9, 3600), (-5, 1), (0, 1), (float("nan"), 1), (None, 1)]
)
def test_backoff_honours_a_strange_retry_after_within_reason(retry_after, wait):
    assert backoff(0, retry_after=retry_after) == wait


@given(st.integers(-3, 10**9), st.none() | st.floats(), st.floats(0, 1))
def test_backoff_is_bounded_and_jitter_only_lengthens_it(attempt, retry_after, jitter):
    plain = backoff(attempt, retry_after=retry_after)
    assert 1 <= plain <= backoff(attempt, retry_after=retry_after, jitter=jitter) <= plain * 1.25 <= 4500
    if retry_after is not None and retry_after <= 3600:
        assert plain >= retry_after


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
