"""How long to wait, as a function of numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchnb.errors import InputError
from batchnb.protocol.timing import Timing

pytestmark = pytest.mark.steady


def test_polling_starts_at_a_second_and_grows_by_half_up_to_a_minute():
    assert [Timing().poll_interval(checks) for checks in range(4)] == [1, 1.5, 2.25, 3.375]
    assert Timing().poll_interval(10) == pytest.approx(57.665, abs=0.001)
    assert Timing().poll_interval(11) == 60


@given(st.integers(-10, 10**9), st.floats(0.001, 1e6))
def test_polling_never_waits_longer_than_asked_and_never_gets_faster(checks, max_poll):
    wait = Timing(max_poll=max_poll).poll_interval(checks)
    assert min(1, max_poll) <= wait <= max_poll
    assert Timing(max_poll=max_poll).poll_interval(checks + 1) >= wait


@pytest.mark.parametrize("max_poll", [0, -1, float("nan")])
def test_a_longest_poll_that_is_not_positive_is_refused(max_poll):
    with pytest.raises(InputError, match="max_poll"):
        Timing(max_poll=max_poll)


def test_backoff_doubles_from_a_second_to_a_minute():
    assert [Timing().backoff(attempt) for attempt in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_backoff_waits_at_least_as_long_as_the_server_asked():
    assert Timing().backoff(0, retry_after=30) == 30
    assert Timing().backoff(6, retry_after=30) == 60
    assert Timing().backoff(0, retry_after=30, jitter=1.0) == 37.5


@pytest.mark.parametrize(
    ("retry_after", "wait"), [(float("inf"), 3600), (1e9, 3600), (-5, 1), (0, 1), (float("nan"), 1), (None, 1)]
)
def test_backoff_honours_a_strange_retry_after_within_reason(retry_after, wait):
    assert Timing().backoff(0, retry_after=retry_after) == wait


@given(st.integers(-3, 10**9), st.none() | st.floats(), st.floats(0, 1))
def test_backoff_is_bounded_and_jitter_only_lengthens_it(attempt, retry_after, jitter):
    plain = Timing().backoff(attempt, retry_after=retry_after)
    assert 1 <= plain <= Timing().backoff(attempt, retry_after=retry_after, jitter=jitter) <= plain * 1.25 <= 4500
    if retry_after is not None and retry_after <= 3600:
        assert plain >= retry_after
