"""How many input tokens all requests have, from those of a few that were counted: an estimate with an interval. Pure.

A request's tokens are close to a straight line in its length: what all requests share, so much for a character, and so
much for each byte that a character takes beyond its first (languages differ in both). The line is fitted to the
requests that were counted; these count as they are, and the others as the line says. The interval follows from how far
the counted ones lie from their line, each left out of its own fit (HC3: MacKinnon and White, 1985), and from how many
are not counted: with every request counted it has no width (Cochran, "Sampling Techniques", sections 2.5 and 7.3).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from batchnb.stats import Interval, spread, student

__all__ = ["CONFIDENCE", "FIRST", "Fit", "Line", "Size", "choose", "fit", "further", "size_of"]

#: Requests counted at first; more, until the interval is no wider than WIDTH of what is expected, or MOST are counted.
FIRST, MOST, WIDTH = 48, 192, 0.1

#: In what share of samples the interval holds the true number.
CONFIDENCE = 0.99

#: Of the requests that are not text alone, no length tells the tokens.
_FILES = (b'"type":"image"', b'"type":"document"', b'"type":"container_upload"')


class Size(NamedTuple):
    """What is known of a request's length without counting its tokens.

    Parameters
    ----------
    kind : int
        Requests of one kind lie on one line; even kinds are text, odd ones hold files.
    characters : int
        Characters of the row's part, as JSON.
    extra : int
        Bytes of it in UTF-8, beyond one for each character.
    """

    kind: int
    characters: int
    extra: int


def size_of(sent: bytes, slot: int) -> Size:
    """Measure the part of a request that varies, as it is sent.

    Parameters
    ----------
    sent : bytes
        The row's part, as JSON in UTF-8.
    slot : int
        Which part of the request that is: what surrounds it is the same for all rows of a slot.
    """
    characters = len(sent) if sent.isascii() else len(sent.decode("utf-8", "replace"))
    files = not sent.startswith(b'"') and any(mark in sent for mark in _FILES)
    return Size(2 * slot + files, characters, max(0, len(sent) - characters))


def choose(sizes: Sequence[Size], counted: Collection[int], n: int, seed: int) -> list[int]:
    """Choose requests that are spread over their kinds, scripts and lengths; those that outweigh many, in any case.

    Parameters
    ----------
    sizes : sequence of Size
        Of every request.
    counted : collection of int
        The places of those that were chosen before.
    n : int
        How many.
    seed : int
        Another one gives another sample.

    Returns
    -------
    list of int
        Places in `sizes`, ascending: at most `n`.
    """
    left = [place for place in range(len(sizes)) if place not in counted]
    if n >= len(left) or n <= 0:
        return left[: max(0, n)]
    weights = [sizes[place].characters + sizes[place].extra for place in left]
    heavy = 2 * sum(weights) / n
    largest = sorted(range(len(left)), key=weights.__getitem__, reverse=True)[: n // 3]
    whole = {left[index] for index in largest if weights[index] > heavy}
    others = [place for place in left if place not in whole]
    n -= len(whole)
    drawn = spread([_sort_key(sizes[place]) for place in others], n - n // 2, seed)
    chosen = whole | {others[index] for index in drawn}
    # The other half by length: of a few long requests, which decide how far off the whole may be, there are too few in
    # a sample that has all lengths alike.
    others = sorted((place for place in others if place not in chosen), key=lambda place: _sort_key(sizes[place]))
    return sorted(chosen | set(_by_weight(others, [sum(sizes[place][1:]) for place in others], n // 2, seed)))


def _by_weight(places: Sequence[int], weights: Sequence[int], n: int, seed: int) -> Iterator[int]:
    """Choose one of each of `n` groups of neighbours that weigh about the same."""
    if not n or not len(places):
        return
    ends = np.cumsum(weights)
    cuts = np.searchsorted(ends, [group * int(ends[-1]) / n for group in range(n + 1)]).tolist()
    for group, (start, end) in enumerate(itertools.pairwise(cuts)):
        yield from (places[start + index] for index in spread(range(end - start), 1, seed + group))


def further(found: Fit) -> int:
    """Tell how many further requests to count: none, once the interval is narrow, or ``MOST`` are counted."""
    return 0 if found.width <= WIDTH else max(0, min(found.counted, MOST - found.counted))


def _sort_key(size: Size) -> int:
    """Return what a sample is spread over: the kind, then the script (by the share of extra bytes), then the length."""
    script = 0 if not size.extra else 1 if size.extra < size.characters / 4 else 2
    return (3 * size.kind + script << 48) + size.characters + size.extra


@dataclass(frozen=True, slots=True)
class Line:
    """The tokens of one kind of request: ``fixed + per_character * characters + per_extra * extra``."""

    fixed: float
    per_character: float
    per_extra: float


@dataclass(frozen=True, slots=True)
class Fit:
    """The input tokens of all requests, in all and of each.

    Parameters
    ----------
    total : Interval
        Tokens of all requests. `low` and `high` hold the true number in 99 of 100 samples.
    each : numpy.ndarray
        Tokens of each request, as expected: shape (requests,).
    lines : mapping of int to Line
        The line of each kind.
    counted : int
        How many requests were counted.
    """

    total: Interval
    each: Any
    lines: Mapping[int, Line]
    counted: int

    @property
    def width(self) -> float:
        """The width of the interval, from `low` to `high`, as a share of what is expected."""
        return (self.total.high - self.total.low) / max(1.0, self.total.expected)

    @property
    def margin(self) -> float:
        """By what the expected tokens are to be multiplied for those at most."""
        return self.total.high / max(1.0, self.total.expected)

    def times(self, factor: float) -> Fit:
        """Return the same with every number of tokens so many times as large."""
        lines = {
            kind: Line(line.fixed * factor, line.per_character * factor, line.per_extra * factor)
            for kind, line in self.lines.items()
        }
        total = Interval(*(tokens * factor for tokens in self.total))
        return Fit(total, self.each * factor, lines, self.counted)

    def tokens(self, size: Size) -> float:
        """Return the tokens that a request of this size is expected to have, such as one that is not to be sent."""
        line = self.lines.get(size.kind) or next(iter(self.lines.values()))
        return max(1.0, line.fixed + line.per_character * size.characters + line.per_extra * size.extra)


def fit(sizes: Sequence[Size], counted: Mapping[int, int]) -> Fit:
    """Estimate the tokens of all requests.

    Parameters
    ----------
    sizes : sequence of Size
        Of every request.
    counted : mapping of int to int
        The tokens of those that were counted, by their place in `sizes`. At least one.
    """
    kinds = np.array([size.kind for size in sizes])
    whole = np.array([(1.0, size.characters, size.extra) for size in sizes])
    tokens = np.full(len(sizes), np.nan)
    tokens[list(counted)] = list(counted.values())
    known = ~np.isnan(tokens)
    each = np.where(known, tokens, np.nanmean(tokens))
    lines, variance, freedom = {}, 0.0, math.inf
    for kind in np.unique(kinds).tolist():
        here = kinds == kind
        chosen, rest = here & known, here & ~known
        if not chosen.any():  # too few calls were answered: they stand for these too, as uncertain as they are
            variance += float(rest.sum() * each[rest].mean()) ** 2
            continue
        line, error, free = _line(whole[chosen], tokens[chosen], whole[rest], text=kind % 2 == 0)
        lines[kind] = Line(*line)
        each[rest] = np.maximum(1.0, whole[rest] @ np.array(line))
        variance += error
        freedom = min(freedom, free) if rest.any() else freedom
    expected = float(each.sum())
    half = student(freedom, CONFIDENCE) * math.sqrt(variance) if variance else 0.0
    least = float(tokens[known].sum()) + (~known).sum()
    return Fit(Interval(max(least, expected - half), expected, expected + half), each, lines, len(counted))


def _line(chosen: Any, tokens: Any, rest: Any, *, text: bool) -> tuple[tuple[float, float, float], float, float]:
    """Fit the line of one kind; give it, the variance of what it says of the rest, and the degrees of freedom."""
    used = [0]
    for place in (1, 2) if text else ():
        # What is the same, or nothing, in nearly all that were counted says nothing.
        if len(np.unique(chosen[:, place])) > 2 and len(tokens) > len(used) + 3:
            used.append(place)
    x, to_say = chosen[:, used], rest[:, used].sum(axis=0) if len(rest) else np.zeros(len(used))
    scale = np.maximum(1.0, np.abs(x).max(axis=0))
    x, to_say = x / scale, to_say / scale
    inverse = np.linalg.pinv(x.T @ x)
    found = inverse @ x.T @ tokens
    off = tokens - x @ found
    leverage = np.minimum(0.99, np.einsum("ij,jk,ik->i", x, inverse, x))
    alone = (off / (1 - leverage)) ** 2
    freedom = len(tokens) - len(used)
    lengths, others = chosen.sum(axis=1), rest.sum(axis=1)
    pull = (to_say @ inverse @ x.T) ** 2
    error = max(
        float(pull @ off_by) + float(ahead.sum())
        for off_by, ahead in (
            (alone, np.full(len(rest), alone.mean())),
            # As if longer requests were off by more: then the few longest, of which a sample has one or none, matter.
            (lengths * (alone / lengths).mean(), others * (alone / lengths).mean()),
        )
    )
    if freedom < 1:  # one request: nothing tells how far others lie from it
        error, freedom = float(len(rest) * tokens.max()) ** 2, 1
    line = [0.0, 0.0, 0.0]
    for place, value in zip(used, (found / scale).tolist(), strict=True):
        line[place] = value
    return (line[0], line[1], line[2]), error, freedom
