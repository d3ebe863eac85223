"""Usage to dollars, from the prices in ``prices.json``.

Amounts are :class:`~decimal.Decimal`: prices are short decimal fractions and token counts integers, so a bill over a
hundred thousand rows is exact. What is not known (a model, a region) is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import msgspec

from batchnb.errors import InputError
from batchnb.model_table import undated

__all__ = [
    "LARGE_PROMPT",
    "Price",
    "PriceTable",
    "Tier",
    "Usage",
    "cost_of",
    "load_prices",
]

#: The prompt size, in tokens, at which the tiers of every price begin: answers on the same side are priced alike.
LARGE_PROMPT = 100_000

_MILLION = 1_000_000

#: More tokens than any one message can have: beyond this a count is none.
MOST_TOKENS = 1_000_000_000

_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that one or several requests used. Adds up with ``+``.

    Parameters
    ----------
    input_tokens : int
        Prompt tokens that were neither read from a cache nor written to one.
    output_tokens : int
        Tokens of the replies, thinking included.
    cache_read : int
        Prompt tokens read from a cache.
    cache_write_5m, cache_write_1h : int
        Prompt tokens written to a cache that lives 5 minutes, or an hour.
    requests : int
        How many requests used them.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    requests: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read + other.cache_read,
            self.cache_write_5m + other.cache_write_5m,
            self.cache_write_1h + other.cache_write_1h,
            self.requests + other.requests,
        )

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompts, cached or not."""
        return self.input_tokens + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @classmethod
    def from_message(cls, usage: Mapping[str, Any]) -> Usage:
        """Read the ``usage`` object of one message.

        Cache writes that the server does not split by lifetime count as 5-minute ones, the API's default. What is
        absent, or cannot be a count, is zero.

        Parameters
        ----------
        usage : mapping
            As the Messages API gives it.
        """
        split = usage.get("cache_creation")
        split = split if isinstance(split, dict) else {}
        write_1h = _count(split.get("ephemeral_1h_input_tokens"))
        write_5m = _count(split.get("ephemeral_5m_input_tokens"))
        written = _count(usage.get("cache_creation_input_tokens"))
        return cls(
            input_tokens=_count(usage.get("input_tokens")),
            output_tokens=_count(usage.get("output_tokens")),
            cache_read=_count(usage.get("cache_read_input_tokens")),
            cache_write_5m=max(write_5m, written - write_1h),
            cache_write_1h=write_1h,
            requests=1,
        )


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 < value <= MOST_TOKENS else 0


@dataclass(frozen=True, slots=True)
class Tier:
    """What a request costs whose prompt has more than `prompt_tokens` tokens; dollars per million tokens."""

    prompt_tokens: int
    input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs.

    Parameters
    ----------
    input, output : Decimal
        Dollars per million tokens at the standard rate.
    cache_read, cache_write_5m, cache_write_1h : Decimal
        Multiples of the input price.
    above : Tier, optional
        The rates of a whole request whose prompt is larger than the tier says.
    batch : Decimal
        What a batch multiplies every price with.
    geo_us : Decimal
        What ``inference_geo: "us"`` multiplies every price with.
    source, date : str
        Where the price was read, and when.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    batch: Decimal
    geo_us: Decimal = _ONE
    above: Tier | None = None
    source: str = ""
    date: str = ""

    def cost(
        self, usage: Usage, *, batch: bool = True, geo: str | None = None, prompt_tokens: int | None = None
    ) -> Decimal | None:
        """Return what `usage` costs, in dollars.

        Parameters
        ----------
        usage : Usage
            Of one request; or of several, where the price has no tiers or all requests fall in one.
        batch : bool
            Whether the requests go in a batch.
        geo : str, optional
            The request's ``inference_geo``.
        prompt_tokens : int, optional
            The size of each single prompt, which decides the tier. Default: what `usage` itself says.

        Returns
        -------
        Decimal or None
            None where it is not known: a region with no known price, or several requests that may fall in different
            tiers.
        """
        factor = self._factor(batch=batch, geo=geo)
        high = self._is_high(usage, prompt_tokens)
        if factor is None or high is None:
            return None
        rates = self.above if high and self.above is not None else self
        # Cached tokens in units of plain input tokens, so that one price covers the whole prompt.
        prompt = (
            usage.input_tokens
            + usage.cache_read * self.cache_read
            + usage.cache_write_5m * self.cache_write_5m
            + usage.cache_write_1h * self.cache_write_1h
        )
        return (prompt * rates.input + usage.output_tokens * rates.output) * factor / _MILLION

    def _is_high(self, usage: Usage, prompt_tokens: int | None) -> bool | None:
        if self.above is None:
            return False
        if prompt_tokens is not None:
            return prompt_tokens > self.above.prompt_tokens
        if usage.prompt_tokens <= self.above.prompt_tokens:
            return False
        return True if usage.requests <= 1 else None

    def _factor(self, *, batch: bool, geo: str | None) -> Decimal | None:
        # "global" is the default region; "not_available" is what usage reports for models that know no regions.
        regions = {None: _ONE, "global": _ONE, "not_available": _ONE, "us": self.geo_us}
        region = regions.get(geo)
        return None if region is None else region * (self.batch if batch else 1)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by model. Immutable: :meth:`with_price` returns a new table.

    Parameters
    ----------
    prices : mapping of str to Price
        By model id.
    default : Price
        The multipliers a price takes that names none of its own. Its input and output prices mean nothing.
    """

    prices: Mapping[str, Price]
    default: Price

    def price(self, model: str) -> Price | None:
        """Return a model's price, or None where it is not known.

        A dated id (``claude-haiku-4-5-20251001``) has the price of its undated one, unless it has its own.
        """
        return self.prices.get(model) or self.prices.get(undated(model))

    def with_price(
        self,
        model: str,
        *,
        input: float | str | Decimal,
        output: float | str | Decimal,
        cache_read: float | str | Decimal | None = None,
        cache_write_5m: float | str | Decimal | None = None,
        cache_write_1h: float | str | Decimal | None = None,
        batch: float | str | Decimal | None = None,
        geo_us: float | str | Decimal | None = None,
        source: str = "set by the user",
        date: str = "",
    ) -> PriceTable:
        """Return a table in which `model` has this price, whatever it had before.

        Parameters
        ----------
        model : str
            The model's id.
        input, output : number
            Dollars per million tokens at the standard rate, whatever the prompt's size.
        cache_read, cache_write_5m, cache_write_1h : number, optional
            Multiples of the input price.
        batch, geo_us : number, optional
            Multiples of every price. Multipliers left out stay as the model had them, or are the usual ones.
        source, date : str
            Where the price comes from, and from when.

        Raises
        ------
        InputError
            A number that is negative, not finite, or no number.
        """
        multipliers = {
            "cache_read": cache_read,
            "cache_write_5m": cache_write_5m,
            "cache_write_1h": cache_write_1h,
            "batch": batch,
            "geo_us": geo_us,
        }
        price = replace(
            self.price(model) or self.default,
            input=_amount("input", input),
            output=_amount("output", output),
            above=None,
            source=source,
            date=date,
            **{name: _amount(name, value) for name, value in multipliers.items() if value is not None},
        )
        return PriceTable(MappingProxyType({**self.prices, model: price}), self.default)


def cost_of(
    table: PriceTable,
    model: str,
    usage: Usage,
    *,
    geo: str | None = None,
    batch: bool = True,
    prompt_tokens: int | None = None,
) -> Decimal | None:
    """Return what a model's `usage` costs, in dollars; None where that is not known.

    Parameters
    ----------
    table : PriceTable
        The prices.
    model : str
        The model that answered.
    usage, geo, batch, prompt_tokens
        As :meth:`Price.cost` takes them.
    """
    price = table.price(model)
    return None if price is None else price.cost(usage, batch=batch, geo=geo, prompt_tokens=prompt_tokens)


def _amount(name: str, value: float | str | Decimal) -> Decimal:
    try:
        amount = Decimal(str(value))  # through its text: 0.1 means a tenth, not the float next to it
    except ArithmeticError:
        amount = Decimal("nan")
    if not amount.is_finite() or amount < 0:
        raise InputError(f"{name}={value!r} is not a price: give a number, zero or more.")
    return amount


class _Multiplier(msgspec.Struct, frozen=True):
    value: Decimal
    source: str
    date: str


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    input: Decimal
    output: Decimal
    source: str
    date: str
    above: Tier | None = None
    cache_read: Decimal | None = None
    geo: bool = True


class _File(msgspec.Struct, frozen=True):
    unit: str
    multipliers: dict[str, _Multiplier]
    models: dict[str, _Row]


@cache
def load_prices() -> PriceTable:
    """Return the prices that come with batchnb (read once; no network)."""
    text = resources.files("batchnb.costs").joinpath("prices.json").read_bytes()
    file = msgspec.json.decode(text, type=_File)
    values = {name: multiplier.value for name, multiplier in file.multipliers.items()}
    default = Price(
        input=Decimal(0),
        output=Decimal(0),
        cache_read=values["cache_read"],
        cache_write_5m=values["cache_write_5m"],
        cache_write_1h=values["cache_write_1h"],
        batch=values["batch"],
        geo_us=values["geo_us"],
    )
    prices = {
        model: replace(
            default,
            input=row.input,
            output=row.output,
            above=row.above,
            cache_read=default.cache_read if row.cache_read is None else row.cache_read,
            geo_us=default.geo_us if row.geo else _ONE,
            source=row.source,
            date=row.date,
        )
        for model, row in file.models.items()
    }
    return PriceTable(MappingProxyType(prices), default)
