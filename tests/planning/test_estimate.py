"""What an estimate says before anything is sent, and what becomes of it after."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest
from media_samples import png
from wordy import texts

import batchnb
from batchnb import CredentialsError, InputError, Workspace, units
from batchnb.costs import price_list
from batchnb.costs.delivery import Delivery
from batchnb.costs.prices import PriceTable, Usage
from batchnb.display.job.text import summary_text
from batchnb.display.shown.estimate import Estimate
from batchnb.jobs.status import Facts, _expected
from batchnb.ledger.read_jobs import JobRecord
from batchnb.sim import Fault, Simulator

TEMPLATE = "Classify the sentiment of this review: {review}"
LABELS = ["positive", "negative"]


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"review": [*texts(300, seed=5, english=0.7), None, " "]})


def estimate(frame: pd.DataFrame, workspace: Workspace, **options: Any) -> Estimate:
    return frame.batch.estimate("review", TEMPLATE, **{"labels": LABELS, "workspace": workspace, **options})


def submit(frame: pd.DataFrame, workspace: Workspace, **options: Any) -> batchnb.Job:
    options = {"labels": LABELS, "workspace": workspace, "progress": False, **options}
    job = frame.batch.submit("review", TEMPLATE, **options)
    job.result(60)
    return job


def calls(simulator: Simulator, ending: str) -> int:
    return sum(call.path.endswith(ending) for call in simulator.calls)


def test_the_tokens_are_those_that_are_used_in_the_end(frame, workspace, simulator):
    found = estimate(frame, workspace)
    assert calls(simulator, "/count_tokens") == found.counted == 48
    assert simulator.record() == []
    assert len(workspace.jobs()) == 0
    usage = submit(frame, workspace).usage
    low, expected, high = found.input_tokens
    assert low <= usage.input_tokens <= high
    assert low <= expected <= high
    assert (high - low) / expected <= 0.1
    assert found.requests == usage.requests


def test_it_counts_rows_as_submit_will(frame, workspace):
    doubled = pd.concat([frame, frame.head(30)])
    found = estimate(doubled, workspace)
    new = frame["review"].dropna().nunique() - 1  # the blank one
    assert (found.rows, found.requests, found.reused, found.skipped) == (332, new, 0, 2)
    assert found.duplicates == 330 - new
    assert found.saved_duplicates > 0
    assert found.saved_reused == 0
    submit(frame.head(100), workspace)
    later = estimate(doubled, workspace)
    assert later.reused == frame.head(100)["review"].nunique()
    assert later.requests == new - later.reused
    assert later.saved_reused == pytest.approx(workspace.jobs().to_frame()["cost"].iloc[0], rel=0.05)


def test_the_dollars_follow_from_the_tokens(frame, workspace):
    found = estimate(frame, workspace)
    (low, expected, high), output = found.input_tokens, found.output_tokens
    assert found.cost.expected == pytest.approx((expected * 0.5 + output.expected * 2.5) / 1e6, rel=1e-4)
    assert found.cost.low == pytest.approx((low * 0.5 + output.expected * 2.5) / 1e6, rel=1e-4)
    assert found.cost.high == pytest.approx((high * 0.5 + output.expected * 2.5) / 1e6, rel=1e-4)
    assert found.most_output_tokens == 256 * found.requests
    assert found.worst == pytest.approx((high * 0.5 + found.most_output_tokens * 2.5) / 1e6, rel=1e-4)
    assert found.without_batching == pytest.approx(2 * found.cost.expected)
    assert "$0.50 in, $2.50 out" in found.price
    assert "2026-11" in found.price


def test_the_region_is_priced(frame, workspace):
    plain = estimate(frame, workspace, model="claude-sonnet-4-6")
    in_us = estimate(frame, workspace, model="claude-sonnet-4-6", params={"inference_geo": "us"})
    assert in_us.cost.expected == pytest.approx(1.1 * plain.cost.expected)
    assert in_us.worst == pytest.approx(1.1 * plain.worst)


def test_replies_are_as_long_as_earlier_ones_of_the_recipe(frame, workspace):
    first = estimate(frame, workspace)
    assert first.output_source.startswith("assumed: 11 tokens a reply, for the longest label")
    assert first.output_tokens.expected == 11 * first.requests
    usage = submit(frame.head(50), workspace, into="label").usage
    found = estimate(frame, workspace)
    assert found.output_source.startswith(f"from {usage.requests} earlier answers of this recipe")
    assert found.output_tokens.expected == pytest.approx(found.requests * usage.output_tokens / usage.requests, abs=1)
    assert found.output_tokens.low <= found.output_tokens.expected <= found.output_tokens.high
    other = estimate(frame, workspace, labels=None)
    assert other.output_source.startswith("assumed: 256 tokens a reply, a quarter of max_tokens")


def test_another_seed_draws_another_sample_and_n_says_how_many(frame, workspace, simulator):
    first, second = (estimate(frame, workspace, n=20, seed=seed) for seed in (0, 1))
    assert first.counted == second.counted == 20
    assert first.input_tokens != second.input_tokens
    assert estimate(frame, workspace, n=20, seed=0).input_tokens == first.input_tokens
    assert calls(simulator, "/count_tokens") == 60


def test_a_small_frame_is_counted_as_a_whole(frame, workspace):
    found = estimate(frame.head(7), workspace)
    assert found.counted == found.requests == 7
    assert found.input_tokens.low == found.input_tokens.expected == found.input_tokens.high
    assert "every request was counted" in repr(found)


def test_functions_of_a_row_and_samples_and_series(frame, workspace):
    part = frame.head(40)
    asked = []

    def ask(row: pd.Series) -> dict[str, Any]:
        asked.append(row["review"])
        return {"messages": [{"role": "user", "content": row["review"]}], "max_tokens": 10 if len(asked) % 2 else 20}

    found = part.batch.estimate("review", ask, workspace=workspace)
    assert len(asked) <= 41  # once for each row, and once to see what the rows share
    assert found.most_output_tokens == 20 * 30
    assert found.counted == 40
    thrice = estimate(part, workspace, samples=3)
    assert thrice.requests == 3 * part["review"].nunique()
    alone = part["review"].batch.estimate(workspace=workspace)
    assert alone.requests == part["review"].nunique()


def test_nothing_to_send_costs_nothing_and_asks_nobody(frame, workspace, simulator):
    submit(frame.head(5), workspace)
    before = calls(simulator, "/count_tokens")
    found = estimate(frame.head(5), workspace)
    assert (found.requests, found.reused, found.worst) == (0, 5, 0)
    assert calls(simulator, "/count_tokens") == before
    assert "0 requests to send" in repr(found)
    assert "Cost" not in repr(found)


def test_a_limit_of_the_endpoint_gives_a_wider_interval_and_is_said(frame, workspace, simulator):
    simulator.inject(Fault("rate_limited", on="count_tokens", after=12, times=-1))
    found = estimate(frame, workspace)
    assert 4 < found.counted < 48
    assert "fewer requests were counted" in found.notes[0]
    assert found.notes[0] in repr(found)
    assert units.clean(found.notes[0])[:40] in found._repr_html_()
    simulator.faults.clear()
    whole = estimate(frame, workspace)
    assert whole.notes == ()
    width, wider = (one.input_tokens.high - one.input_tokens.low for one in (whole, found))
    assert wider > width


def test_without_any_count_the_cost_is_said_to_be_unknown(frame, workspace, simulator):
    simulator.inject(Fault("overloaded", on="count_tokens", times=-1))
    found = estimate(frame, workspace)
    assert (found.input_tokens, found.cost, found.worst, found.counted) == (None, None, None, 0)
    assert "unknown: no request could be counted" in repr(found)


def test_what_the_server_refuses_is_an_error_as_with_submit(frame, workspace, no_key):
    with pytest.raises(InputError, match="knows no model 'claude-haiku-4-6'"):
        estimate(frame, workspace, model="claude-haiku-4-6")
    with pytest.raises(InputError, match="n is a whole number"):
        estimate(frame, workspace, n=0)
    with pytest.raises(CredentialsError):
        estimate(frame, no_key)


@pytest.fixture
def no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with_none = Workspace(home=tmp_path / "other")
    yield with_none
    with_none.close()


def test_an_unknown_price_is_said_to_be_unknown(frame, workspace, monkeypatch):
    known = {model: price for model, price in workspace.prices.prices.items() if model != "claude-opus-4-5"}
    monkeypatch.setattr(price_list._Set, "table", PriceTable(known, workspace.prices.default))
    found = estimate(frame, workspace, model="claude-opus-4-5")
    assert (found.cost, found.worst, found.price) == (None, None, None)
    assert found.input_tokens is not None
    assert "batchnb.set_price" in repr(found)


def test_it_shows_itself_escaped_and_marked_as_simulated(frame, workspace):
    found = estimate(frame, workspace)
    shown = found._repr_html_()
    assert "SIMULATED" in shown
    assert repr(found).startswith("[SIMULATED] Estimate · claude-haiku-4-5 · nothing was sent")
    assert "would be about $" in shown
    for words in ("requests to send", "earlier answer tells more", "without batches", "2026-11"):
        assert words in shown
    assert not re.search(r"<script|on\w+=", shown)


def test_it_gives_its_numbers_as_a_frame(frame, workspace):
    found = estimate(frame, workspace)
    row = found.to_frame().iloc[0]
    assert row["requests"] == found.requests
    assert row["cost_expected"] == found.cost.expected
    assert row["input_tokens_low"] == found.input_tokens.low
    assert len(found.to_frame()) == 1


def test_a_preview_says_what_an_estimate_does_from_fewer_requests(frame, workspace, simulator):
    frame = frame.sort_values("review", key=lambda texts: texts.str.len())  # the rows shown are the shortest
    options = {"labels": LABELS, "params": lambda row: {"max_tokens": 50 + len(str(row["review"])) % 300}}
    said = frame.batch.preview("review", TEMPLATE, workspace=workspace, **options)
    shown = said.preview
    assert calls(simulator, "/count_tokens") == 12
    found = estimate(frame, workspace, **options)
    assert (shown.to_send, shown.skipped) == (found.requests, found.skipped)
    assert shown.input_tokens == pytest.approx(found.input_tokens.expected, rel=0.05)
    assert shown.expected == pytest.approx(found.cost.expected, rel=0.05)
    assert shown.cost == pytest.approx(found.worst, rel=0.05)
    said = repr(said)
    assert re.search(r"would cost about \$[\d.]+ expected, at most \$[\d.]+", said)
    assert "replies: assumed: 11 tokens" in said


# The forecast of a job that has no answer yet


def running(frame: pd.DataFrame, workspace: Workspace, simulator: Simulator, **options: Any) -> batchnb.Job:
    """Submit, to a server that takes its time."""
    simulator.inject(Fault("slow_batch", seconds=36_000, times=-1))
    options = {"labels": LABELS, "workspace": workspace, "progress": False, **options}
    return frame.batch.submit("review", TEMPLATE, **options)


def test_before_its_first_answer_a_job_expects_what_earlier_answers_cost(frame, workspace, simulator):
    first = submit(frame.head(100), workspace)
    each = first.cost / first.usage.requests
    job = running(frame.iloc[100:200], workspace, simulator)
    shot = job.snapshot()
    assert shot.expected == pytest.approx(each * frame["review"].iloc[100:200].nunique(), rel=0.01)
    assert shot.expected_from == f"from {first.usage.requests} earlier answers of this recipe"
    assert "earlier answers of this recipe" in summary_text(shot)
    job.cancel()


def test_without_earlier_answers_it_expects_what_was_estimated_or_says_nothing(frame, workspace, simulator):
    quiet = running(frame.iloc[:50], workspace, simulator, labels=["yes", "no"], into="other")
    assert quiet.snapshot().expected is None
    found = estimate(frame.iloc[:100], workspace)
    job = running(frame.iloc[:100], workspace, simulator)
    shot = job.snapshot()
    assert shot.expected == pytest.approx(found.cost.expected, rel=1e-6)
    assert "expected in all, as estimated" in summary_text(shot)
    for one in (quiet, job):
        one.cancel()


def test_a_forecast_is_no_higher_than_what_the_job_may_cost():
    limited, free = (
        JobRecord(1, "job_1", "a", "open", {}, Delivery(max_cost=most), 10, 0, 5, 100, 1, 0.0, None, None)
        for most in ("1.5", None)
    )
    facts = Facts({}, Usage(requests=10), 1.0, (), 0, None, each=0.1)
    assert _expected(free, facts, 30, {}) == (4.0, None)
    assert _expected(limited, facts, 30, {}) == (1.5, None)
    assert _expected(limited, facts, 1, {}) == (1.1, None)


# The prompt cache


def test_at_most_pays_for_a_cache_that_every_request_writes(frame, workspace):
    system = "Judge reviews strictly. " * 1_000
    plain, cached = (estimate(frame, workspace, system=system, cache=cache) for cache in (None, "1h"))
    shared = 6_000 * plain.requests  # some four characters to a token
    assert cached.worst - plain.worst == pytest.approx(shared * 0.5 / 1e6, rel=0.05)
    assert cached.cost == plain.cost
    assert plain.notes == ()
    assert cached.notes[0].startswith(
        "What is expected leaves the prompt cache out (cache: 1 hour, as asked; the shared"
    )


def test_marks_of_the_users_own_are_paid_for_too(frame, workspace):
    text = "Judge reviews strictly. " * 1_000
    marked = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
    plain, cached = (estimate(frame, workspace, system=system, cache=None) for system in (text, marked))
    inputs = plain.input_tokens.expected * 0.5 / 1e6
    assert cached.worst - plain.worst == pytest.approx(0.25 * inputs, rel=0.02)


def test_images_are_counted_a_sample_at_a_time_and_not_told_by_their_length(workspace):
    frame = pd.DataFrame(
        {"name": [f"picture {n}" for n in range(60)], "picture": [png(n, (50 + n, 50)) for n in range(60)]}
    )
    options = {"images": "picture", "workspace": workspace, "into": "seen"}
    found = frame.batch.estimate("name", "What is in {name}?", **options)
    assert found.requests == 60
    assert found.counted == 48
    job = frame.batch.submit("name", "What is in {name}?", progress=False, **options)
    job.result(60)
    low, _, high = found.input_tokens
    assert low <= job.usage.input_tokens <= high
