"""What answers cost, computed here by hand from their `usage` and the table of prices, equal to what a job says."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import independent
import pytest
from bench import Bench, texts

pytest_plugins = ["bench_fixtures"]

D = Decimal

#: Dollars per million tokens: input, output, and the share of the input price that a cache read costs.
MODELS = {
    "claude-haiku-4-5": (D(1), D(5), D("0.1")),
    "claude-sonnet-5-5": (D(2), D(10), D("0.05")),
    "claude-fable-5-1": (D(10), D(50), D("0.025")),
    "claude-haiku-5-5": (D("0.10"), D("0.50"), D("0.1")),
}
#: Those for which the region matters, and what it multiplies all with.
US = {"claude-sonnet-5-5", "claude-fable-5-1", "claude-haiku-5-5"}


def by_hand(model: str, usage: dict[str, Any]) -> Decimal:
    """Price one answer in a batch."""
    price_in, price_out, read = MODELS[model]
    written = usage["cache_creation"]
    prompt = usage["input_tokens"] + usage["cache_read_input_tokens"] + sum(written.values())
    if model == "claude-haiku-5-5" and prompt > 100_000:
        price_in, price_out = D("0.50"), D("2.50")
    total = usage["input_tokens"] * price_in
    total += usage["cache_read_input_tokens"] * price_in * read
    total += written["ephemeral_5m_input_tokens"] * price_in * D("1.25")
    total += written["ephemeral_1h_input_tokens"] * price_in * 2
    total += usage["output_tokens"] * price_out
    if usage["inference_geo"] == "us" and model in US:
        total *= D("1.1")
    return total / 2 / 1_000_000


class Bought:
    """Makes answers whose usage differs, and keeps what they cost by their text."""

    def __init__(self) -> None:
        self.costs: dict[str, Decimal] = {}
        self._numbers = itertools.count(1)

    def result(self, params: dict[str, Any]) -> dict[str, Any]:
        text, n = independent.reply(params), next(self._numbers)
        usage = {
            "input_tokens": 137 * n,
            "output_tokens": 11 * n,
            "cache_read_input_tokens": 60_000 if n % 3 == 0 else 0,
            "cache_creation_input_tokens": 2_000 * n if n % 4 == 0 else 0,
            "cache_creation": {
                "ephemeral_5m_input_tokens": 500 * n if n % 4 == 0 else 0,
                "ephemeral_1h_input_tokens": 1_500 * n if n % 4 == 0 else 0,
            },
            "service_tier": "batch",
            "inference_geo": "us" if n % 2 else "global",
        }
        self.costs[text] = by_hand(params["model"], usage)
        return {"type": "succeeded", "message": {**independent.message(params, text), "usage": usage}}


@pytest.mark.parametrize("model", MODELS)
def test_per_job_and_per_batch_to_the_cent_and_beyond(bench: Bench, server: independent.Server, model: str) -> None:
    bought = Bought()
    server.result = bought.result
    rows = texts(40)
    job = bench.submit(rows, model=model, batch_size=7)
    job.result(60)
    assert len(bought.costs) == 40
    total = sum(bought.costs.values())
    assert job.cost == float(total)
    batches = job.batches
    assert len(batches) == 6
    for number, cost in enumerate(batches["cost"]):
        assert cost == float(sum(bought.costs[text] for text in rows[7 * number : 7 * number + 7]))
    assert batches["cost"].sum() == pytest.approx(float(total), abs=1e-12)
    assert bench.workspace.jobs().to_frame()["cost"].iloc[0] == float(total)


def test_a_row_at_a_time(bench: Bench, server: independent.Server) -> None:
    bought = Bought()
    server.result = bought.result
    job = bench.submit(texts(12), model="claude-sonnet-5-5")
    job.result(60)
    for text in texts(12):  # each again as a job of its own: its answer is there, and cost what it cost
        assert bench.submit([text], model="claude-sonnet-5-5").cost == float(bought.costs[text])


def test_answers_of_an_unknown_model_have_no_known_cost(bench: Bench) -> None:
    job = bench.submit(texts(3), model="my-model")
    job.result(60)
    assert job.cost is None
    assert job.batches["cost"].isna().all()
