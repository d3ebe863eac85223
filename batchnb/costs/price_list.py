"""The prices in use: those that come with batchnb, and those that the user has set in this process."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd

from batchnb.costs.prices import Price, PriceTable, load_prices

__all__ = ["price_frame", "prices_in_use", "set_price"]


class _Set:
    """What was set since the process began. Each table is immutable, so a reader needs no lock."""

    table: PriceTable | None = None


def prices_in_use() -> PriceTable:
    """Return the prices in use now. Touches no network."""
    return _Set.table or load_prices()


def set_price(model: str, **price: Any) -> None:
    """Set a model's price for this process.

    Parameters
    ----------
    model : str
        The model's id.
    **price
        As ``PriceTable.with_price`` takes it.
    """
    _Set.table = prices_in_use().with_price(model, **price)


COLUMNS = [
    "model", "input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "batch_input", "batch_output",
    "above_tokens", "above_input", "above_output", "us_factor", "source", "date",
]  # fmt: skip


def price_frame(table: PriceTable) -> pd.DataFrame:
    """List prices, one model a row, in dollars per million tokens; see ``batchnb.prices``."""
    frame = pd.DataFrame([_row(model, price) for model, price in table.prices.items()], columns=COLUMNS)
    return frame.astype({"above_tokens": "Int64"})


def _row(model: str, price: Price) -> list[Any]:
    cached = [price.input * share for share in (price.cache_read, price.cache_write_5m, price.cache_write_1h)]
    dollars = [price.input, price.output, *cached, price.input * price.batch, price.output * price.batch]
    above = price.above
    tier = [None, None, None] if above is None else [above.prompt_tokens, above.input, above.output]
    return [model, *map(_number, [*dollars, *tier, price.geo_us]), price.source, price.date]


def _number(value: Decimal | int | None) -> float | int | None:
    return float(value) if isinstance(value, Decimal) else value
