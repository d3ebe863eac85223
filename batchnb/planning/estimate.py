"""What ``df.batch.estimate`` gives: tokens and dollars before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from batchnb.costs.bounds import Ask, price_at_most, price_of
from batchnb.costs.delivery import Delivery
from batchnb.display.shown.estimate import Estimate
from batchnb.planning.cache_choice import with_cache
from batchnb.planning.count import Counted, Plan, check_sample, count, plan_of
from batchnb.planning.history import Earlier, earlier
from batchnb.planning.outputs import expected_output
from batchnb.planning.session import Session
from batchnb.questions.columns import bare
from batchnb.questions.reading import read_rows
from batchnb.stats import Interval

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.costs.prices import Price
    from batchnb.costs.tokens import Fit
    from batchnb.questions.recipe import Recipe
    from batchnb.questions.rows import Row

__all__ = ["estimate", "estimate_of"]


def estimate(
    session: Session, frame: pd.DataFrame, recipe: Recipe, *, n: int | None = None, seed: int = 0,
    cache: str | None = None,
) -> Estimate:  # fmt: skip
    """Estimate what a frame's rows would use and cost. See ``df.batch.estimate``."""
    n, seed = check_sample(n, seed)
    frame = bare(frame)
    # A function may take its time, or give something else when it is called again.
    rows = list(read_rows(recipe, frame)) if recipe.calls else None
    plan = plan_of(session.ledger, frame, recipe, rows)
    return estimate_of(session, frame, recipe, plan, rows, n=n, seed=seed, cache=cache)


def estimate_of(
    session: Session, frame: pd.DataFrame, recipe: Recipe, plan: Plan, rows: list[Row] | None, *,
    n: int | None = None, seed: int = 0, cache: str | None = "auto",
) -> Estimate:  # fmt: skip
    """Estimate what a plan would use and cost, as `estimate` does: of a frame whose rows were read already."""
    counted = count(session.api, session.prices, frame, recipe, plan, n=n, seed=seed, rows=rows)
    before = earlier(session.ledger, recipe.spec(), session.prices)
    output, source = expected_output(recipe, before)
    delivery = Delivery()
    if plan.unsent and counted.fit is not None:
        delivery = with_cache(
            delivery, cache, session.api, session.ledger, session.prices, recipe, frame,
            plan.places[plan.unsent[0]], len(plan.unsent),
        )  # fmt: skip
    priced = _priced(session, recipe, plan, counted.fit, output, delivery.cache)
    if priced["cost"] is not None and plan.unsent:
        session.forecasts[recipe.spec().history_digest()] = priced["cost"].expected / len(plan.unsent)
    price = session.prices.price(recipe.model)
    return Estimate(
        model=recipe.model,
        rows=plan.rows,
        requests=len(plan.unsent),
        reused=len(plan.asked) - len(plan.unsent),
        duplicates=len(plan.again),
        skipped=plan.skipped,
        counted=counted.fit.counted if counted.fit else 0,
        input_tokens=None if counted.fit is None else Interval(*map(round, counted.fit.total)),
        most_output_tokens=sum(ask.limits.max_tokens for ask in plan.to_send),
        output_source=source,
        price=None if price is None else _price_words(price),
        notes=_notes(plan, counted, delivery),
        provenance=session.provenance,
        **_outputs(plan, output, before),
        **priced,
    )


def _outputs(plan: Plan, output: float, before: Earlier | None) -> dict[str, Any]:
    """Return the output tokens to expect of all replies; from earlier ones with how far their mean may be off."""
    number = len(plan.unsent)
    if not number:
        return {"output_tokens": None}
    half = 0.0
    if before is not None and before.answers > 1:
        half = 2.58 * before.spread * math.sqrt(number + number**2 / before.answers)
    most = float(sum(ask.limits.max_tokens for ask in plan.to_send))
    ends = [round(min(most, max(number, number * output + off))) for off in (-half, 0.0, half)]
    return {"output_tokens": Interval(*ends)}


def _priced(
    session: Session, recipe: Recipe, plan: Plan, fit: Fit | None, output: float, cache: str | None
) -> dict[str, Any]:
    """Return the dollars of an estimate, by the names it has for them."""
    names = ("cost", "worst", "without_batching", "saved_duplicates", "saved_reused")
    prices, asks = session.prices, plan.to_send
    if fit is None:
        nothing = not plan.unsent and prices.price(recipe.model) is not None
        return dict.fromkeys(names) | ({"cost": Interval(0.0, 0.0, 0.0), "worst": 0.0} if nothing else {})
    expected = price_of(prices, asks, fit.each, output)
    worst = price_at_most(prices, asks, fit, cache, plan.marked)
    if expected is None or worst is None:
        return dict.fromkeys(names)
    low = price_of(prices, asks, fit.each * (fit.total.low / max(1.0, fit.total.expected)), output)
    high = price_of(prices, asks, fit.each * fit.margin, output)

    def of_others(asks: Sequence[Ask]) -> Decimal | None:
        return price_of(prices, asks, np.array([fit.tokens(ask.size) for ask in asks]), output)

    found = (
        worst.total, price_of(prices, asks, fit.each, output, batch=False),
        of_others([plan.asked[digest] for digest in plan.again]), of_others(plan.reused),
    )  # fmt: skip
    dollars = [None if amount is None else float(amount) for amount in found]
    cost = Interval(*(float(amount) for amount in (low, expected, high) if amount is not None))
    return dict(zip(names, [cost, *dollars], strict=True))


def _price_words(price: Price) -> str:
    def each(input: Decimal, output: Decimal) -> str:
        return f"{_exactly(input * price.batch)} in, {_exactly(output * price.batch)} out"

    above = price.above
    tier = "" if above is None else f" ({each(above.input, above.output)} with over {above.prompt_tokens:,} tokens in)"
    date = f", {price.date}" if price.date else ""
    return f"{each(price.input, price.output)} for a million tokens in a batch{tier}: {price.source}{date}"


def _exactly(dollars: Decimal) -> str:
    cents = dollars.quantize(Decimal("0.01"))
    return f"${cents if cents == dollars else dollars.normalize():f}"


def _notes(plan: Plan, counted: Counted, delivery: Delivery) -> tuple[str, ...]:
    if delivery.cache is None and plan.marked is None:
        return counted.notes
    why = f" ({delivery.cache_why})" if delivery.cache else ""
    said = f"What is expected leaves the prompt cache out{why}; at most, every request writes to it, and none reads it."
    return (*counted.notes, said)
