"""From what a sample cost to what the rest will cost, with an interval. Pure: numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from batchnb.stats import student

__all__ = ["Projection", "project"]

#: In what share of samples the interval is to hold the true cost.
CONFIDENCE = 0.95


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


def project(
    sizes: Sequence[int], prompts: Sequence[float], replies: Sequence[float], rest: Sequence[int]
) -> Projection:
    """Project what the rest costs, from a sample: straight lines over size, one for prompts and one for replies.

    Instructions cost every row the same, a prompt by its length (so its line is fitted to relative errors), and a
    reply by its length or not, with a scatter of its own. The interval is of the sum under both lines, with errors
    that keep their size where they lie (HC3; MacKinnon and White, 1985) and Student's t. On texts of several languages
    and on very uneven ones it held the truth in 85 to 98 of 100 samples of 20.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of what each request of the sample asks.
    prompts, replies : sequence of float
        Dollars for the prompt of each, and for its reply.
    rest : sequence of int
        Bytes of what each request still to be sent asks.
    """
    if not rest:
        return Projection(0, 0.0, 0.0, 0.0)
    if not sizes:
        return Projection(len(rest), None)
    fits = (_sum_of(sizes, prompts, rest, 2), _sum_of(sizes, replies, rest, 1))
    expected = max(0.0, math.fsum(fit.expected for fit in fits))
    freedom = min(fit.freedom for fit in fits)
    if freedom < 1:
        return Projection(len(rest), expected)
    margin = student(freedom, CONFIDENCE) * math.sqrt(math.fsum(fit.variance for fit in fits))
    return Projection(len(rest), expected, max(0.0, expected - margin), expected + margin)


@dataclass(frozen=True, slots=True)
class _Sum:
    """A sum that is expected, its variance, and the degrees of freedom that this rests on."""

    expected: float
    variance: float
    freedom: int


def _sum_of(sizes: Sequence[int], costs: Sequence[float], rest: Sequence[int], power: int) -> _Sum:
    """Expect the sum over `rest` of what follows a line over size, with errors that grow as size to `power` half."""
    points = [(max(size, 1), cost) for size, cost in zip(sizes, costs, strict=True)]
    weights = [float(size) ** -power for size, _ in points]
    w = math.fsum(weights)
    wx = math.fsum(weight * x for weight, (x, _) in zip(weights, points, strict=True))
    wxx = math.fsum(weight * x * x for weight, (x, _) in zip(weights, points, strict=True))
    determinant = w * wxx - wx * wx
    if len(points) < 4 or determinant <= 1e-9 * w * wxx:  # too few for a line, or all of one length
        return _mean_of(costs, len(rest))
    wy = math.fsum(weight * y for weight, (_, y) in zip(weights, points, strict=True))
    wxy = math.fsum(weight * x * y for weight, (x, y) in zip(weights, points, strict=True))
    start, slope = (wxx * wy - wx * wxy) / determinant, (w * wxy - wx * wy) / determinant
    many, total = len(rest), math.fsum(rest)
    pull = (wxx * many - wx * total) / determinant, (w * total - wx * many) / determinant
    variance, scatter = 0.0, 0.0
    for weight, (x, y) in zip(weights, points, strict=True):
        error = y - start - slope * x
        leverage = weight * (wxx - 2 * wx * x + w * x * x) / determinant
        variance += (weight * error / (1 - min(leverage, 0.99)) * (pull[0] + pull[1] * x)) ** 2
        scatter += weight * error * error / (len(points) - 2)
    variance += scatter * math.fsum(float(max(size, 1)) ** power for size in rest)
    return _Sum(start * many + slope * total, variance, len(points) - 2)


def _mean_of(costs: Sequence[float], many: int) -> _Sum:
    count = len(costs)
    mean = math.fsum(costs) / count
    scatter = math.fsum((cost - mean) ** 2 for cost in costs) / (count - 1) if count > 1 else 0.0
    return _Sum(many * mean, scatter * (many + many * many / count), count - 1)
