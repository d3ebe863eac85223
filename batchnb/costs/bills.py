"""What sums of answers cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from batchnb.costs.prices import PriceTable, Usage, cost_of

__all__ = ["UsageLine", "costs_of", "sum_of"]


class UsageLine(NamedTuple):
    """Tokens of answers that are priced alike. `prompt_tokens` is the size of the largest single prompt.

    `batch` is False for those that came one by one, at the standard price.
    """

    model: str
    geo: str | None
    prompt_tokens: int
    usage: Usage
    batch: bool = True


def costs_of(lines: Iterable[UsageLine], prices: PriceTable) -> list[Decimal | None]:
    """Return the dollars of each sum of answers, at the rate they were asked at; None where its price is unknown."""
    return [
        cost_of(prices, one.model, one.usage, geo=one.geo, batch=one.batch, prompt_tokens=one.prompt_tokens)
        for one in lines
    ]


def sum_of(costs: Sequence[Decimal | None]) -> Decimal | None:
    """Add up dollars; None where one of them is unknown."""
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if len(known) == len(costs) else None
