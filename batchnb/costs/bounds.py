"""What requests cost before they are sent, in dollars: as expected, and at most. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from batchnb.costs.prices import Price, PriceTable, Usage
from batchnb.costs.tokens import Fit, Size

__all__ = ["Ask", "Limits", "Priced", "price_at_most", "price_of"]


class Limits(NamedTuple):
    """What decides the price of a request, beside its length."""

    model: str
    max_tokens: int
    geo: str | None


class Ask(NamedTuple):
    """A question: how long it is, and what decides its price."""

    size: Size
    limits: Limits


class Priced(NamedTuple):
    """What requests can cost at most, in dollars: in all, as the parts that make up one request's, and any one."""

    total: Decimal
    each: Decimal
    per_character: Decimal
    per_extra: Decimal
    most: Decimal


def price_of(
    prices: PriceTable, asks: Sequence[Ask], each: Any, output: float | None, *, batch: bool = True
) -> Decimal | None:
    """Return what requests cost, in dollars; None where a price is unknown.

    Parameters
    ----------
    prices : PriceTable
        The prices.
    asks : sequence of Ask
        The requests.
    each : numpy.ndarray
        The input tokens of each.
    output : float or None
        The output tokens of each, as far as it may have so many. None: as many as each may have.
    batch : bool
        Whether they go in a batch.
    """
    total = Decimal(0)
    for limits, places in _alike(asks):
        price = prices.price(limits.model)
        if price is None:
            return None
        spoken = limits.max_tokens if output is None else min(output, limits.max_tokens)
        top = price.above.prompt_tokens if price.above is not None else math.inf
        here = each[places]
        for part, prompt in ((here[here <= top], 0), (here[here > top], None if top == math.inf else int(top) + 1)):
            if not len(part):
                continue
            usage = Usage(round(float(part.sum())), round(spoken * len(part)), requests=len(part))
            cost = price.cost(usage, batch=batch, geo=limits.geo, prompt_tokens=prompt)
            if cost is None:
                return None
            total += cost
    return total


def _alike(asks: Sequence[Ask]) -> list[tuple[Limits, list[int]]]:
    """Group requests by what decides their price."""
    groups: dict[Limits, list[int]] = {}
    for place, ask in enumerate(asks):
        groups.setdefault(ask.limits, []).append(place)
    return list(groups.items())


def price_at_most(
    prices: PriceTable, asks: Sequence[Ask], fit: Fit, cache: str | None = None, marked: str | None = None
) -> Priced | None:
    """Return what requests can cost at most, in dollars; None where a price is unknown.

    The input tokens are those at the upper end of the interval, the output tokens as many as ``max_tokens`` allows.

    Parameters
    ----------
    prices : PriceTable
        The prices.
    asks : sequence of Ask
        The requests.
    fit : Fit
        Their input tokens.
    cache : {"5m", "1h"} or None
        How long the shared part of the prompts is cached: at worst each request writes it to the cache.
    marked : {"5m", "1h"} or None
        How long what the user has marked is cached: at worst each request writes the whole of its prompt.
    """
    if marked is not None:
        found = [prices.price(limits.model) for limits, _ in _alike(asks)]
        fit = fit.times(max((float(getattr(one, f"cache_write_{marked}")) for one in found if one), default=1.0))
    total = price_of(prices, asks, fit.each * fit.margin, None)
    if total is None:
        return None
    fixed, per_character, per_extra = (
        max(0.0, *(getattr(line, name) for line in fit.lines.values())) * fit.margin
        for name in ("fixed", "per_character", "per_extra")
    )
    # No length tells the tokens of files: so each request may be the largest of those that hold some.
    whole = max([fixed, *(float(fit.each[place]) * fit.margin for place, ask in enumerate(asks) if ask.size.kind % 2)])
    each = most = a_token = Decimal(0)
    for limits, places in _alike(asks):
        price = prices.price(limits.model)
        assert price is not None  # noqa: S101  # the total is known
        prompt = float(fit.each[places].max()) * fit.margin
        token = _cost(price, limits, prompt, Usage(1_000_000)) / 1_000_000
        writing = _writing(price, limits, prompt, math.ceil(min(fixed, prompt)), cache)
        beside = writing + _cost(price, limits, prompt, Usage(output_tokens=limits.max_tokens))
        total += writing * len(places)
        each = max(each, beside + token * math.ceil(min(whole, prompt)))
        most = max(most, beside + token * math.ceil(prompt))
        a_token = max(a_token, token)
    return Priced(total, each, a_token * Decimal(repr(per_character)), a_token * Decimal(repr(per_extra)), most)


def _writing(price: Price, limits: Limits, prompt: float, shared: int, cache: str | None) -> Decimal:
    """Return what it costs one request to write so many tokens to a cache, beyond what they cost without one."""
    if cache is None:
        return Decimal(0)
    written = Usage(cache_write_1h=shared) if cache == "1h" else Usage(cache_write_5m=shared)
    return _cost(price, limits, prompt, written) - _cost(price, limits, prompt, Usage(shared))


def _cost(price: Price, limits: Limits, prompt: float, usage: Usage) -> Decimal:
    found = price.cost(usage, geo=limits.geo, prompt_tokens=math.ceil(prompt))
    assert found is not None  # noqa: S101  # a region without a price has no total either
    return found
