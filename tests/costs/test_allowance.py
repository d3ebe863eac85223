"""The arithmetic of max_cost: whatever answers cost within their bounds, a job never spends more."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchnb.costs.allowance import ENOUGH, Allowance, amount_of, held_back
from batchnb.costs.delivery import Delivery
from batchnb.errors import InputError
from batchnb.units import exact_money

D = Decimal
EACH, PER_CHARACTER, PER_EXTRA = "0.0007", "0.0000002", "0.0000001"

lengths = st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 5_000)), min_size=1, max_size=60)


def delivery(limit: Decimal) -> Delivery:
    return Delivery(max_cost=str(limit), each=EACH, per_character=PER_CHARACTER, per_extra=PER_EXTRA)


@given(lengths, st.integers(1, 60_000), st.integers(1, 25), st.data())
@settings(max_examples=200)
def test_what_is_spent_and_under_way_is_never_more_than_the_limit(rows, limit, batch_size, data):
    limit = D(limit) / 1_000_000
    waiting, batches, spent = list(rows), [], D(0)

    def allowance() -> Allowance:
        under_way = [row for batch in batches for row in batch]
        sizes = len(under_way), sum(row[0] for row in under_way), sum(sum(row) for row in under_way)
        found = Allowance.of(delivery(limit), [spent], sizes)
        assert found is not None
        return found

    while True:
        now, taken = allowance(), []
        for row in waiting[:batch_size]:
            sizes = [*taken, row]
            if not now.fits(len(sizes), sum(size[0] for size in sizes), sum(sum(size) for size in sizes)):
                break
            taken.append(row)
        if taken:
            del waiting[: len(taken)]
            batches.append(taken)
        elif not batches:
            break
        at_most = allowance()
        assert at_most.spent + at_most.in_flight <= limit
        if batches and (not taken or data.draw(st.booleans())):
            ended = batches.pop(data.draw(st.integers(0, len(batches) - 1)))
            for characters, extra in ended:
                share = D(data.draw(st.integers(0, 100))) / 100
                spent += share * allowance().at_most(1, characters, characters + extra)
        assert spent <= limit
    if waiting:  # it stopped because the limit is near, or another request might go over it
        characters, extra = waiting[0]
        left = limit - spent
        assert left < limit * ENOUGH or left < allowance().at_most(1, characters, characters + extra)


def test_the_last_bit_is_spent_on_all_that_is_unsent():
    near = Allowance(D(100), D(97), D(1), D(0), D(0))
    assert not near.fits(2, 0, 0)
    assert replace(near, unsent=D(3)).fits(2, 0, 0)
    assert not replace(near, unsent=D(4)).fits(2, 0, 0)


def test_no_request_costs_more_than_the_dearest_however_long_what_is_kept_of_it():
    found = Allowance(D(10), D(0), D(1), D(2), D(0), most=D(3))
    assert [found.at_most(2, characters, characters) for characters in (0, 1, 500)] == [2, 4, 6]
    assert Allowance(D(10), D(0), D(0), D(0), D(0)).at_most(0, 0, 0) == 0


def test_a_job_whose_costs_are_not_known_may_spend_nothing():
    assert Allowance.of(delivery(D(5)), [D(1), None], (0, 0, 0)) is None
    assert "it is not known what the job has cost so far" in held_back(None, 12)


@pytest.mark.parametrize("given", [0.1, "0.1", D("0.1")])
def test_an_amount_is_read_as_it_is_written(given):
    assert amount_of(given) == D("0.1")


@pytest.mark.parametrize("wrong", [0, -1, True, "much", float("nan"), float("inf"), [], {}])
def test_what_is_no_amount_is_refused(wrong):
    with pytest.raises(InputError, match=r"max_cost is a number of dollars above 0.*Nothing was sent\."):
        amount_of(wrong)


def test_amounts_are_said_to_the_cent_or_as_exactly_as_it_takes():
    assert [exact_money(D(amount)) for amount in ("1234.567", "0.5", "0.0123", "0.00004", "0")] == [
        "$1,234.57", "$0.50", "$0.012", "$0.00004", "$0.00",
    ]  # fmt: skip


def test_what_is_held_back_is_said_with_the_way_out():
    done = Allowance(D(5), D("4.97"), D(0), D(0), D(0))
    assert held_back(done, 1_234) == (
        "Held back: $4.97 of at most $5.00 is spent; 1,234 requests were not sent. "
        "Run the cell again with a higher max_cost."
    )
    waits = Allowance(D(5), D(1), D(0), D(0), D(0), in_flight=D("3.9"))
    assert "the answers still to come can cost $3.90" in held_back(waits, 1)
    assert "1 request was not sent yet" in held_back(waits, 1)
