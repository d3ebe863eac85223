"""What the ledger tells of costs: of earlier answers of a recipe, and of what a job has spent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import msgspec

from batchnb.budget import Allowance
from batchnb.ledger import JobRecord, Ledger, UsageLine
from batchnb.pricing import PriceTable, cost_of

__all__ = ["Earlier", "allowance_of", "costs_of", "earlier", "recipe_key", "sum_of"]

#: Jobs of a recipe whose answers are looked at: the newest tell most, and enough.
NEWEST = 10

#: What does not change how long a reply is.
_NO_MATTER = ("into", "key", "missing", "pilot", "replicate", "samples")


@dataclass(frozen=True, slots=True)
class Earlier:
    """Answers of jobs that asked the same of other rows, or of the same rows.

    Parameters
    ----------
    answers : int
        How many.
    output : float
        Their mean output tokens.
    spread : float
        The standard deviation of these.
    cost : float or None
        The dollars of one answer on average, at batch prices; None where that is unknown.
    """

    answers: int
    output: float
    spread: float
    cost: float | None

    @property
    def words(self) -> str:
        """Where what they tell is from."""
        return f"from {self.answers:,} earlier answer{'' if self.answers == 1 else 's'} of this recipe"


def recipe_key(spec: Mapping[str, Any]) -> bytes:
    """Give a digest of what a recipe, described by its ``spec()``, asks of any row."""
    asked = {name: value for name, value in spec.items() if name not in _NO_MATTER}
    return hashlib.blake2b(msgspec.json.encode(asked, order="sorted"), digest_size=16).digest()


def earlier(
    ledger: Ledger, spec: Mapping[str, Any], prices: PriceTable, *, without: int | None = None
) -> Earlier | None:
    """Look up the earlier answers of a recipe; None where there are none. Touches no network.

    Parameters
    ----------
    ledger : Ledger
        Where to look.
    spec : mapping
        The recipe, as its ``spec()`` describes it.
    prices : PriceTable
        The prices.
    without : int, optional
        The number of a job whose own answers do not count.
    """
    key = recipe_key(spec)
    found = ledger.rows.recipes(str(spec["column"]), str(spec["shared"]["model"]))
    same = [number for number, recipe in found if number != without and recipe_key(recipe) == key]
    lines, squares = ledger.rows.history(same[:NEWEST]) if same else ([], 0)
    answers = sum(line.usage.requests for line in lines)
    if not answers:
        return None
    mean = sum(line.usage.output_tokens for line in lines) / answers
    cost = sum_of(costs_of(lines, prices))
    return Earlier(
        answers, mean, max(0.0, squares / answers - mean**2) ** 0.5, None if cost is None else float(cost / answers)
    )


def allowance_of(ledger: Ledger, job: JobRecord, prices: PriceTable) -> Allowance | None:
    """Give what a job with a ``max_cost`` may still spend; None where it is not known what it has spent.

    Parameters
    ----------
    ledger : Ledger
        What it has spent, and what is under way.
    job : JobRecord
        The job.
    prices : PriceTable
        The prices.
    """
    of_batches = ledger.tallies.of_job(job.number).of_batches
    bought = [line for batch in ledger.rows.bought(job.number) for line in of_batches.get(batch, ())]
    spent = costs_of(bought, prices)
    found = Allowance.of(job.delivery, spent, ledger.rows.in_flight(job.number))
    if found is None or found.is_worth_a_batch:
        return found
    return replace(found, unsent=found.at_most(*ledger.rows.unsent(job.number)))


def costs_of(lines: Iterable[UsageLine], prices: PriceTable) -> list[Decimal | None]:
    """Give the dollars of each sum of answers, at the rate they were asked at; None where its price is unknown."""
    return [
        cost_of(prices, one.model, one.usage, geo=one.geo, batch=one.batch, prompt_tokens=one.prompt_tokens)
        for one in lines
    ]


def sum_of(costs: Sequence[Decimal | None]) -> Decimal | None:
    """Add up dollars; None where one of them is unknown."""
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if len(known) == len(costs) else None
