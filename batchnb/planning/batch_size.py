"""How many requests go in one batch. Numbers in, numbers out."""

from __future__ import annotations

import math

from batchnb.errors import InputError
from batchnb.questions.scalars import whole

__all__ = ["batch_sizes", "plan_batch_size"]

# Progress only moves when a whole batch ends: about ten batches give it steps, and fifty rows are worth a batch.
_BATCHES = 10
_FEWEST = 50
_MOST = 10_000


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


def _checked(name: str, value: int) -> int:
    number = whole(value)
    if number is None or number < 1:
        raise InputError(f"{name}={value!r}: a batch holds a whole number of requests, 1 or more.")
    return number
