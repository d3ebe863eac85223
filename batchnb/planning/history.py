"""What the ledger tells of costs: of earlier answers of a recipe, and of what a job has spent."""

from __future__ import annotations

from dataclasses import dataclass

from batchnb import units
from batchnb.costs.bills import costs_of, sum_of
from batchnb.costs.prices import PriceTable
from batchnb.ledger.ledger import Ledger
from batchnb.questions.spec import RecipeSpec

__all__ = ["Earlier", "earlier"]

#: Jobs of a recipe whose answers are looked at: the newest tell most, and enough.
NEWEST = 10


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
        return f"from {units.count(self.answers, 'earlier answer')} of this recipe"


def earlier(ledger: Ledger, spec: RecipeSpec, prices: PriceTable, *, without: int | None = None) -> Earlier | None:
    """Look up the earlier answers of a recipe; None where there are none. Touches no network.

    Parameters
    ----------
    ledger : Ledger
        Where to look.
    spec : RecipeSpec
        The recipe.
    prices : PriceTable
        The prices.
    without : int, optional
        The number of a job whose own answers do not count.
    """
    digest = spec.history_digest()
    found = ledger.rows.recipes(spec.column, spec.model)
    same = [number for number, recipe in found if number != without and recipe.history_digest() == digest]
    lines, squares = ledger.rows.history(same[:NEWEST]) if same else ([], 0)
    answers = sum(line.usage.requests for line in lines)
    if not answers:
        return None
    mean = sum(line.usage.output_tokens for line in lines) / answers
    cost = sum_of(costs_of(lines, prices))
    return Earlier(
        answers, mean, max(0.0, squares / answers - mean**2) ** 0.5, None if cost is None else float(cost / answers)
    )
