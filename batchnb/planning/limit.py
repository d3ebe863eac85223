"""Before a job with a ``max_cost`` is recorded: what it can cost at most, and whether that is allowed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from batchnb import units
from batchnb.costs.allowance import Allowance, amount_of
from batchnb.costs.bounds import Priced, price_at_most, price_of
from batchnb.costs.delivery import Delivery
from batchnb.errors import NOT_SENT, InputError
from batchnb.planning.count import Plan, count, plan_of
from batchnb.planning.history import earlier
from batchnb.planning.outputs import expected_output
from batchnb.protocol.spent import allowance_of

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.api.client import Api
    from batchnb.costs.prices import PriceTable
    from batchnb.ledger.ledger import Ledger
    from batchnb.ledger.read_jobs import JobRecord
    from batchnb.questions.recipe import Recipe
    from batchnb.questions.rows import Row

__all__ = ["Limit", "limit_of", "limited", "unlimited"]


@dataclass(frozen=True, slots=True)
class Limit:
    """What a job may cost, as ``submit`` was told.

    Parameters
    ----------
    max_cost : Decimal
        Dollars.
    if_over : {"refuse", "stop"}
        What to do where the worst case is more.
    """

    max_cost: Decimal
    if_over: Literal["refuse", "stop"]


def limit_of(max_cost: Any, if_over: Any) -> Limit | None:
    """Read what a job may cost; None: as much as it does.

    Raises
    ------
    InputError
        It is no amount of dollars above 0, or `if_over` is neither.
    """
    if if_over not in ("refuse", "stop"):
        raise InputError(f'if_over= takes "refuse" or "stop", not {if_over!r}. {NOT_SENT}')
    amount = amount_of(max_cost)
    return None if amount is None else Limit(amount, if_over)


def unlimited(delivery: Delivery) -> Delivery:
    """Return a delivery without a limit of what the job may cost."""
    delivery = msgspec.structs.replace(delivery, max_cost=None)
    return _priced(delivery, Delivery())


def _priced(delivery: Delivery, most: Priced | Delivery) -> Delivery:
    """Return a delivery with what a request can cost at most, from where that is told."""
    parts = {name: str(getattr(most, name)) for name in ("each", "per_character", "per_extra", "most")}
    return msgspec.structs.replace(delivery, **parts)


def limited(
    api: Api, ledger: Ledger, prices: PriceTable, frame: pd.DataFrame, recipe: Recipe, limit: Limit, delivery: Delivery,
    *, rows: Sequence[Row] | None, job: JobRecord | None,
) -> Delivery:  # fmt: skip
    """Return a job's delivery with what its requests can cost at most, or refuse the job.

    Touches the network where something is unsent: count_tokens is asked for a sample. Blocks.

    Parameters
    ----------
    api, ledger, prices
        Where to count, what was asked before, and the prices.
    frame, recipe, rows
        What is asked; its rows, where they were read already.
    limit : Limit
        What the job may cost.
    delivery : Delivery
        How the job's requests are sent otherwise.
    job : JobRecord or None
        The job, if there is one already: what it has spent counts.

    Raises
    ------
    InputError
        The worst case is more than that, or not known.
    CredentialsError
        There is no key, or the server refuses it.
    """
    delivery = msgspec.structs.replace(delivery, max_cost=str(limit.max_cost))
    plan = plan_of(ledger, frame, recipe, rows, job=job)
    if job is None:
        if not plan.unsent:
            return delivery
    elif not plan.unsent or _goes_on(job.delivery, delivery, job.state):
        return _priced(delivery, job.delivery)
    fit, notes = count(api, prices, frame, recipe, plan, rows=rows)
    if fit is None:
        said = " ".join(notes)
        raise InputError(f"What the job can cost at most is not known, and max_cost limits it. {said} {NOT_SENT}")
    most = price_at_most(prices, plan.to_send, fit, delivery.cache, plan.marked)
    if most is None:
        raise InputError(
            f"max_cost cannot be kept: the price of {recipe.model!r} is unknown. Set it with batchnb.set_price("
            f"{recipe.model!r}, input=..., output=...), in dollars per million tokens. {NOT_SENT}"
        )
    delivery = _priced(delivery, most)
    start = Allowance.of(delivery, (), (0, 0, 0))
    if job is not None:
        start = allowance_of(ledger, dataclasses.replace(job, delivery=delivery), prices)
    if start is None:
        raise InputError(
            "max_cost cannot be kept: what the job has cost so far is not known, since a price is unknown. Set it with "
            f"batchnb.set_price(model, input=..., output=...), in dollars per million tokens. {NOT_SENT}"
        )
    fitting = _fitting(plan, start)
    over = start.spent + start.in_flight + most.total > start.limit
    if over and (limit.if_over == "refuse" or (not fitting and job is None)):
        output, _ = expected_output(recipe, earlier(ledger, recipe.spec(), prices))
        expected = price_of(prices, plan.to_send, np.asarray(fit.each), output)
        said = _refusal(recipe, plan, start, most, expected, fitting, notes, delivery)
        if job is not None and job.state == "open":
            said += f" What was recorded before goes on as it was: batchnb.attach({job.id!r}).cancel() stops it."
        raise InputError(said)
    return delivery


def _goes_on(old: Delivery, new: Delivery, state: str) -> bool:
    """Tell whether what was found when a job was sent still goes, and it was allowed to go on."""
    # With another cache a request may cost more at most: each may write it.
    is_same = (old.max_cost, old.cache) == (new.max_cost, new.cache)
    return state == "open" and is_same and old.each != Delivery().each


def _fitting(plan: Plan, start: Allowance) -> int:
    """Count the requests, in the order of the rows, whose worst case fits."""
    number = characters = size = 0
    for ask in plan.to_send:
        characters += ask.size.characters
        size += ask.size.characters + ask.size.extra
        if not start.fits(number + 1, characters, size):
            break
        number += 1
    return number


def _refusal(
    recipe: Recipe, plan: Plan, start: Allowance, most: Priced, expected: Decimal | None, fitting: int,
    notes: Sequence[str], delivery: Delivery,
) -> str:  # fmt: skip
    about = "" if expected is None else f", about {units.exact_money(expected)} expected"
    number = len(plan.unsent)
    unsent = f"{units.count(number, 'request')} can cost {units.exact_money(most.total)} at most"
    before = start.spent + start.in_flight
    spent = f", beside {units.exact_money(before)} that the job has spent or may have to pay already" if before else ""
    head = " ".join([f"{unsent}{about}{spent}: more than max_cost={start.limit}.", *notes])
    ways = f"lower max_tokens (now {recipe.sent['max_tokens']:,}; the worst case has every reply that long)"
    if delivery.cache:
        ways += "; or leave the cache out by cache=None (the worst case has every request write to it)"
    rows = plan.places[plan.unsent[fitting]] if fitting < len(plan.unsent) else plan.rows
    if not rows:
        return f"{head} Not even one row would fit. Raise max_cost; or {ways}. {NOT_SENT}"
    return (
        f'{head} The first {fitting:,} would fit. Either raise max_cost; or {ways}; or let if_over="stop" send as '
        f"much as fits, batch by batch; or send fewer rows, such as df.head({rows}). {NOT_SENT}"
    )
