"""Samples that stand for a frame: spread over the lengths of its prompts; and how far they may be off. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

__all__ = ["Interval", "spread", "student"]

#: With so many degrees of freedom Student's t is the normal distribution, to within a thousandth or two.
MANY = 1_000


class Interval(NamedTuple):
    """A number that is not known exactly: what it is at least, most likely, and at most."""

    low: float
    expected: float
    high: float


def spread(sizes: Sequence[int], n: int, seed: int = 0) -> list[int]:
    """Choose `n` items that are spread over their sizes: one of each of `n` equally large groups of like size.

    Cost follows length, so a sample of like lengths would say little about the rest. Which item of its group is chosen
    is random, so that a pattern in the data cannot bias the sample; the seed decides, so that the same call chooses
    the same items, on any machine.

    Parameters
    ----------
    sizes : sequence of int
        The size of each item, such as the bytes of its prompt.
    n : int
        How many to choose. As many as there are, or more: all.
    seed : int
        Another one gives another sample.

    Returns
    -------
    list of int
        Places in `sizes`, ascending, each once: ``min(n, len(sizes))`` of them.
    """
    count = len(sizes)
    if n >= count:
        return list(range(count))
    by_size = sorted(range(count), key=sizes.__getitem__)
    # The groups are [k * count / n, (k + 1) * count / n): none is empty, since n < count.
    groups = (range(group * count // n, (group + 1) * count // n) for group in range(n))
    return sorted(by_size[group[_pick(seed, number, len(group))]] for number, group in enumerate(groups))


def _pick(seed: int, number: int, count: int) -> int:
    """Pick one of `count` at random, the same on every machine and under every release of Python."""
    drawn = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) * count >> 64


def student(freedom: float, confidence: float) -> float:
    """Return by how many standard errors an interval reaches to either side, by Student's t distribution.

    Parameters
    ----------
    freedom : float
        Degrees of freedom: a whole number from 1, or infinity.
    confidence : float
        In what share of samples the interval is to hold the true number: between 0 and 1.
    """
    if freedom > MANY:
        return NormalDist().inv_cdf((1 + confidence) / 2)
    low, high = 0.0, math.pi / 2
    for _ in range(53):
        angle = (low + high) / 2
        low, high = (angle, high) if _share_within(angle, int(freedom)) < confidence else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


def _share_within(angle: float, freedom: int) -> float:
    """Return the share within ``sqrt(freedom) * tan(angle)`` of 0 (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    odd, cosine = freedom % 2, math.cos(angle)
    total, term = 0.0, cosine if odd else 1.0
    for number in range(2 + odd, freedom + 1, 2):
        total += term
        term *= cosine**2 * (number - 1) / number
    within = math.sin(angle) * total
    return (angle + within) * 2 / math.pi if odd else within
