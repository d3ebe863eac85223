"""What the ledger tells of costs: of earlier answers of a recipe, and of what a job has spent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from batchnb.budget import Allowance
from batchnb.ledger import JobRecord, Ledger
from batchnb.pricing import PriceTable, cost_of

__all__ = ["Earlier", "allowance_of", "earlier", "recipe_key", "spent_by"]

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
    costs = [cost_of(prices, one.model, one.usage, geo=one.geo, prompt_tokens=one.prompt_tokens) for one in lines]
    known = [cost for cost in costs if cost is not None]
    cost = float(sum(known, Decimal(0)) / answers) if len(known) == len(costs) else None
    return Earlier(answers, mean, max(0.0, squares / answers - mean**2) ** 0.5, cost)


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
    return Allowance.of(job.delivery, spent_by(ledger, job.number, prices), ledger.rows.in_flight(job.number))


def spent_by(ledger: Ledger, number: int, prices: PriceTable) -> list[Decimal | None]:
    """Give what a job's own answers have cost, in parts; None for a part whose price is unknown."""
    return [
        cost_of(prices, one.model, one.usage, geo=one.geo, batch=one.batch, prompt_tokens=one.prompt_tokens)
        for one in ledger.rows.spent(number)
    ]
