"""What a job may still spend. Pure: arithmetic on numbers from the ledger.

The rule: what the job's answers have cost, what its requests under way can cost at most, and what the next ones can
cost, are together no more than ``max_cost``. So a batch is made only as large as what is left allows. Answers cost less
than they might, and so leave room for others: that a job does not end with ever smaller batches, what is left must be
worth one while something is under way, and the last bit of it is left; unless it is enough for all that is unsent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from batchnb import units
from batchnb.costs.delivery import Delivery
from batchnb.errors import InputError

__all__ = ["Allowance", "amount_of", "held_back"]

#: The shares of max_cost that must be left for another batch: beside others under way, and alone.
WORTH_A_BATCH, ENOUGH = Decimal("0.1"), Decimal("0.05")


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the next requests of a job may cost, and what a request can cost at most.

    Parameters
    ----------
    limit, spent : Decimal
        Dollars: ``max_cost``, and what the job's answers have cost so far.
    each, per_character, per_extra : Decimal
        Dollars a request can cost at most: whatever its text, for each character of the row's part, and for each byte
        of it beyond one for each character.
    most : Decimal
        Dollars that any one request can cost at most, whatever that adds up to: what is kept of a row may hold a file,
        which has far more characters than tokens.
    in_flight : Decimal
        Dollars that the requests under way can cost at most.
    unsent : Decimal or None
        Dollars that all others can cost at most; None: more than may be spent, or not known.
    """

    limit: Decimal
    spent: Decimal
    each: Decimal
    per_character: Decimal
    per_extra: Decimal
    most: Decimal = Decimal("Infinity")
    in_flight: Decimal = Decimal(0)
    unsent: Decimal | None = None

    @classmethod
    def of(
        cls, delivery: Delivery, costs: Iterable[Decimal | None], in_flight: tuple[int, int, int]
    ) -> Allowance | None:
        """Return what a job may still spend; None where it is not known what it has spent.

        Parameters
        ----------
        delivery : Delivery
            The job's, with a ``max_cost``.
        costs : iterable of Decimal or None
            What its answers have cost.
        in_flight : (int, int, int)
            Its requests under way: how many, their characters, their bytes.
        """
        known = list(costs)
        if any(cost is None for cost in known) or delivery.max_cost is None:
            return None
        parts = (delivery.each, delivery.per_character, delivery.per_extra, delivery.most)
        spent = sum((cost for cost in known if cost is not None), Decimal(0))
        start = cls(Decimal(delivery.max_cost), spent, *map(Decimal, parts))
        return replace(start, in_flight=start.at_most(*in_flight))

    def at_most(self, requests: int, characters: int, size: int) -> Decimal:
        """Return what requests can cost at most, in dollars.

        Parameters
        ----------
        requests, characters, size : int
            How many they are; the characters, and the bytes, of their rows' parts.
        """
        if not requests:
            return Decimal(0)
        lengths = self.per_character * characters + self.per_extra * max(0, size - characters)
        return min(self.most * requests, self.each * requests + lengths)

    @property
    def room(self) -> Decimal:
        """Dollars that may still be spent."""
        return self.limit - self.spent - self.in_flight

    @property
    def is_worth_a_batch(self) -> bool:
        """Whether that is enough for another batch, if not all that is unsent."""
        return self.room >= self.limit * (WORTH_A_BATCH if self.in_flight else ENOUGH)

    def fits(self, requests: int, characters: int, size: int) -> bool:
        """Tell whether these requests may be sent beside what is under way."""
        if not self.is_worth_a_batch and (self.unsent is None or self.unsent > self.room):
            return False
        return self.at_most(requests, characters, size) <= self.room


def amount_of(max_cost: Any) -> Decimal | None:
    """Read what a job may cost.

    Raises
    ------
    InputError
        It is no amount of dollars above 0.
    """
    if max_cost is None:
        return None
    try:
        amount = Decimal("nan") if isinstance(max_cost, bool) else Decimal(str(max_cost))
    except ArithmeticError:
        amount = Decimal("nan")
    if not amount.is_finite() or amount <= 0:
        raise InputError(f"max_cost is a number of dollars above 0, not {max_cost!r}. Nothing was sent.")
    return amount


def held_back(allowance: Allowance | None, unsent: int) -> str:
    """Say why nothing more of a job is sent."""
    requests = f"{units.count(unsent, 'request')} {'was' if unsent == 1 else 'were'} not sent"
    if allowance is None:
        return (
            f"Held back: {requests}, since it is not known what the job has cost so far, and max_cost limits "
            "it. Set the model's price with batchnb.set_price, then run the cell again."
        )
    if allowance.each.is_infinite():
        return (
            f"Held back: {requests}, since max_cost was set when nothing was to be sent, and what they can cost at "
            "most was not counted. Run the cell again."
        )
    spent = f"{units.exact_money(allowance.spent)} of at most {units.exact_money(allowance.limit)} is spent"
    if allowance.in_flight:
        return (
            f"Held back: {spent}, and the answers still to come can cost {units.exact_money(allowance.in_flight)}. "
            f"{requests} yet; as many follow as max_cost then allows."
        )
    return f"Held back: {spent}; {requests}. Run the cell again with a higher max_cost."
