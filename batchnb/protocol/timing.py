"""When to look again, how long to wait, and how many requests go in one batch. Numbers in, numbers out: no clock."""

from __future__ import annotations

import math
from collections.abc import Iterable

from batchnb.display.snapshot import Usual
from batchnb.errors import InputError
from batchnb.questions.scalars import whole

__all__ = ["backoff", "batch_sizes", "plan_batch_size", "poll_interval", "usual"]

_FIRST = 1.0  # seconds
_LONGEST_BACKOFF = 60.0
_LONGEST_RETRY_AFTER = 3600.0  # a server that asks for more is looked at again after an hour
_SPREAD = 0.25  # so that clients refused together do not come back together

# Progress only moves when a whole batch ends: about ten batches give it steps, and fifty rows are worth a batch.
_BATCHES = 10
_FEWEST = 50
_MOST = 10_000

# Fewer earlier batches than these say nothing about the next one.
_FEWEST_EARLIER = 3


def poll_interval(checks: int, max_poll: float = 60.0) -> float:
    """Return the seconds to wait before the next status check.

    Parameters
    ----------
    checks : int
        Checks made so far.
    max_poll : float
        The longest wait, in seconds.

    Returns
    -------
    float
        1 s after none, growing by half with each check up to `max_poll`.

    Raises
    ------
    InputError
        `max_poll` is not a positive number.
    """
    if not max_poll > 0:
        raise InputError(f"max_poll={max_poll!r}: the longest wait between two checks is a number of seconds above 0.")
    # The exponent is bounded only so that a float holds the power: 1.5**60 s is a thousand years.
    return float(min(max_poll, _FIRST * 1.5 ** min(max(checks, 0), 60)))


def backoff(attempt: int, *, retry_after: float | None = None, jitter: float = 0.0) -> float:
    """Return the seconds to wait before trying a failed call again.

    Parameters
    ----------
    attempt : int
        Tries that failed before this wait, counted from 0.
    retry_after : float, optional
        The least wait, in seconds, that the server asked for; at most an hour of it is honoured.
    jitter : float
        A random number from 0 to 1, from the caller: lengthens the wait by up to a quarter.

    Returns
    -------
    float
        1, 2, 4, ... up to 60 s, or `retry_after` where that is longer; then the jitter.
    """
    wait = min(_LONGEST_BACKOFF, _FIRST * 2.0 ** min(max(attempt, 0), 60))
    if retry_after is not None and not math.isnan(retry_after):
        wait = max(wait, min(retry_after, _LONGEST_RETRY_AFTER))
    return wait * (1 + _SPREAD * min(max(jitter, 0.0), 1.0))


def plan_batch_size(requests: int, *, batch_size: int | None = None, max_requests: int = 100_000) -> int:
    """Return the most requests of a job that go in one batch; see :func:`batch_sizes`.

    Where few or none are to be sent now it is not fewer, since those that fail are sent again later.
    """
    sizes = batch_sizes(requests, batch_size=batch_size, max_requests=max_requests)
    return max([min(whole(batch_size) or _FEWEST, max_requests), *sizes])


def batch_sizes(requests: int, *, batch_size: int | None = None, max_requests: int = 100_000) -> list[int]:
    """Split a number of requests into batches.

    Parameters
    ----------
    requests : int
        How many there are to send.
    batch_size : int, optional
        Put this many in each batch, and the rest in the last. Default: about 10 batches of nearly equal size, none
        under 50 requests (unless there are fewer in all), none over 10,000.
    max_requests : int
        The most a batch may hold, whatever else is asked.

    Returns
    -------
    list of int
        The batches' sizes, which sum to `requests`, the largest first.

    Raises
    ------
    InputError
        `batch_size` or `max_requests` is not a whole number above 0, or `requests` is negative.
    """
    max_requests = _checked("max_requests", max_requests)
    if requests < 0:
        raise InputError(f"requests={requests!r}: there cannot be fewer than none.")
    if requests == 0:
        return []
    if batch_size is not None:
        size = min(_checked("batch_size", batch_size), max_requests)
        whole, rest = divmod(requests, size)
        return [size] * whole + [rest] * (rest > 0)
    few = max(1, min(_BATCHES, requests // _FEWEST))
    batches = max(few, math.ceil(requests / min(_MOST, max_requests)))
    size, larger = divmod(requests, batches)
    return [size + 1] * larger + [size] * (batches - larger)


def usual(durations: Iterable[float]) -> Usual | None:
    """Tell how long batches usually take, from how long some took.

    Parameters
    ----------
    durations : iterable of float
        Seconds, in any order.

    Returns
    -------
    Usual or None
        The span from the 10th to the 90th percentile; None where fewer than three are known.
    """
    ordered = sorted(durations)
    if len(ordered) < _FEWEST_EARLIER:
        return None
    tenth = (len(ordered) - 1) // 10
    return Usual(ordered[tenth], ordered[-1 - tenth], len(ordered))


def _checked(name: str, value: int) -> int:
    number = whole(value)
    if number is None or number < 1:
        raise InputError(f"{name}={value!r}: a batch holds a whole number of requests, 1 or more.")
    return number
