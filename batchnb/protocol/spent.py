"""What a job has spent, and may still spend, as the ledger tells it."""

from __future__ import annotations

from dataclasses import replace

from batchnb.costs.allowance import Allowance
from batchnb.costs.bills import costs_of
from batchnb.costs.prices import PriceTable
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.read_jobs import JobRecord

__all__ = ["allowance_of"]


def allowance_of(ledger: Ledger, job: JobRecord, prices: PriceTable) -> Allowance | None:
    """Return what a job with a ``max_cost`` may still spend; None where it is not known what it has spent.

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
