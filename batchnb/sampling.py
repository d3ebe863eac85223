"""Samples that stand for a frame: spread over the lengths of its prompts. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = ["spread"]


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
