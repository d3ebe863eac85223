"""From what a sample cost to what the rest will cost, with an interval. Pure: numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Projection", "project"]

#: The 97.5th percentile of Student's t by degrees of freedom, from 1 to 30 (any table of the t distribution).
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Projection:
    """What requests still to be sent will cost.

    Parameters
    ----------
    requests : int
        How many there are.
    expected : float or None
        Dollars, at the price of batches; None where that cannot be told: no answers yet, or an unknown price.
    low, high : float or None
        Between these it will be in 95 of 100 cases; None where the sample is too small to say.
    """

    requests: int
    expected: float | None
    low: float | None = None
    high: float | None = None


def project(sizes: Sequence[int], costs: Sequence[float], rest: Sequence[int]) -> Projection:
    """Project what the rest costs, from a sample: cost as a straight line over size, by least squares.

    A prompt costs by its length, a reply nearly does not, and instructions cost every row the same: a line through
    both. The interval is that of the sum of new observations under it (Student's t; any textbook on linear
    regression); where all sizes are alike, of their mean.

    Parameters
    ----------
    sizes, costs : sequence of numbers
        Bytes and dollars of each request of the sample.
    rest : sequence of int
        Bytes of each request still to be sent.
    """
    n, m = len(sizes), len(rest)
    if not m:
        return Projection(0, 0.0, 0.0, 0.0)
    if not n:
        return Projection(m, None)
    mean_size, mean_cost = math.fsum(sizes) / n, math.fsum(costs) / n
    spread = math.fsum((size - mean_size) ** 2 for size in sizes)
    together = math.fsum((size - mean_size) * (cost - mean_cost) for size, cost in zip(sizes, costs, strict=True))
    # With two points any line fits, so that nothing is left to judge it by; and longer prompts are never cheaper.
    slope = max(0.0, together / spread) if n > 2 and spread else 0.0
    distance = math.fsum(rest) / m - mean_size
    expected = max(0.0, m * (mean_cost + slope * distance))
    freedom = n - 1 - (slope > 0)
    if freedom < 1:
        return Projection(m, expected)
    errors = (cost - mean_cost - slope * (size - mean_size) for size, cost in zip(sizes, costs, strict=True))
    variance = math.fsum(error**2 for error in errors) / freedom
    leverage = 1 / n + (distance**2 / spread if slope else 0.0)
    margin = _quantile(freedom) * math.sqrt(variance * (m + m * m * leverage))
    return Projection(m, expected, max(0.0, expected - margin), expected + margin)


def _quantile(freedom: int) -> float:
    if freedom <= len(_T):
        return _T[freedom - 1]
    return 1.960 + 2.4 / freedom  # within two thousandths of the table from there on
