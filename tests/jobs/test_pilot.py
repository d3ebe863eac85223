"""A pilot: a spread sample answered now, what it tells, and that its answers are never bought again."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import batchnb
from batchnb import CredentialsError, InputError, Workspace
from batchnb.display.job.words import counts_words
from batchnb.sim import Fault, Simulator

LABELS = ["positive", "negative", "neutral"]
SECONDS = 30


@pytest.fixture
def asked() -> list[str]:
    """The prompts that were answered, by whichever way they came."""
    return []


@pytest.fixture
def replies() -> list[dict[str, Any]]:
    """What every request is answered with, if anything is put in here."""
    return []


@pytest.fixture
def simulator(tmp_path: Path, asked: list[str], replies: list[dict[str, Any]]):
    def answer(params: dict[str, Any]) -> str | dict[str, Any]:
        text = params["messages"][-1]["content"]
        asked.append(text)
        if replies:
            return replies[0]
        if "output_config" in params:
            return {"label": "negative" if "bad" in text else "positive"}
        return text

    with Simulator(tmp_path / "simulator", delay=(0.01, 0.02), responder=answer, seed=1) as running:
        yield running


@pytest.fixture
def frame() -> pd.DataFrame:
    texts = [f"{'bad' if i % 3 == 0 else 'good'} {'very ' * (i * 7 % 11)}number {i}" for i in range(40)]
    return pd.DataFrame({"review": texts}, index=[f"r{i}" for i in range(40)])


@pytest.fixture
def pilot(workspace: Workspace, frame: pd.DataFrame) -> Callable[..., Any]:
    def take(n: int = 8, *, of: pd.DataFrame | None = None, **options: Any):
        options = {"labels": LABELS, "into": "label", "workspace": workspace, **options}
        return (frame if of is None else of).batch.pilot("review", "About {review}", n, **options)

    return take


@pytest.fixture
def submit(workspace: Workspace, frame: pd.DataFrame) -> Callable[..., Any]:
    def send(*, of: pd.DataFrame | None = None, **options: Any):
        options = {"labels": LABELS, "into": "label", "workspace": workspace, "progress": False, **options}
        return (frame if of is None else of).batch.submit("review", "About {review}", **options)

    return send


def calls(simulator: Simulator, path: str) -> int:
    return sum((call.method, call.path) == ("POST", path) for call in simulator.calls)


def test_a_later_submit_gives_the_sample_its_answers_and_sends_only_the_rest(pilot, submit, simulator, asked, frame):
    sample = pilot(8).to_frame()
    assert len(sample) == 8 == calls(simulator, "/v1/messages")
    assert calls(simulator, "/v1/messages/batches") == 0
    assert sample["label_status"].tolist() == ["succeeded"] * 8
    job = submit()
    whole = job.result(SECONDS)
    assert whole["label"].notna().all()
    assert whole.loc[sample.index, "label"].tolist() == sample["label"].tolist()
    assert len(asked) == len(set(asked)) == len(frame)
    assert len(simulator.record()) == len(frame) - 8
    assert job.batches["requests"].sum() == len(frame) - 8
    assert job.snapshot().reused == 8


def test_the_same_pilot_again_asks_nothing_and_tells_the_same(pilot, simulator):
    first = pilot(8)
    count = len(simulator.calls)
    again = pilot(8)
    pd.testing.assert_frame_equal(first.to_frame(), again.to_frame())
    assert len(simulator.calls) == count
    assert again.job.id == first.job.id
    assert "nothing was asked now" in repr(again)


def test_rows_that_were_answered_before_are_part_of_the_sample_and_not_asked_again(
    pilot, submit, asked, frame, workspace
):
    submit(of=frame.iloc[:20]).result(SECONDS)
    whole = pilot(40)
    assert len(whole.to_frame()) == 40
    assert len(asked) == len(set(asked)) == 40
    assert "20 asked one by one" in repr(whole)
    assert "20 were asked before" in repr(whole)
    assert "pilot" not in repr(batchnb.batches(workspace=workspace))  # which sends none


def test_equal_rows_are_asked_once_and_rows_with_nothing_to_send_are_left_out(pilot, asked, frame):
    more = pd.concat([frame, frame, pd.DataFrame({"review": [None, " "]})])
    assert len(pilot(1_000, of=more).to_frame()) == 40
    assert len(asked) == 40
    with pytest.raises(InputError, match="has anything to ask"):
        pilot(3, of=pd.DataFrame({"review": [None, " "]}))


def test_the_sample_is_spread_over_the_lengths_and_another_seed_takes_another(pilot, frame):
    lengths = pilot(8).to_frame()["review"].str.len()
    every = frame["review"].str.len()
    assert lengths.min() <= every.quantile(0.15)
    assert lengths.max() >= every.quantile(0.85)
    assert set(pilot(8, seed=1).to_frame().index) != set(lengths.index)


def test_it_says_that_it_costs_the_full_price(pilot, capsys):
    shown = pilot(3)
    assert "3 rows are asked one by one now, at the full price, not the half price" in capsys.readouterr().err
    for view in (repr(shown), shown._repr_html_()):
        assert "at the full price, not the half price of batches" in view


def test_cost_is_that_of_messages_and_batches_cost_half(pilot, submit, frame):
    before = pilot(40, labels=None, into="echo")
    usage = before.usage
    assert before.cost == pytest.approx((usage.input_tokens + 5 * usage.output_tokens) / 1e6)
    assert submit(labels=None, into="echo").cost == pytest.approx(before.cost)  # as they were paid
    other = submit(labels=None, into="other", system="Be short.")
    other.result(SECONDS)
    assert other.cost == pytest.approx((other.usage.input_tokens + 5 * other.usage.output_tokens) / 2e6)


def test_the_cost_of_the_rest_comes_true(pilot, submit, frame):
    taken = pilot(20, labels=None, into="echo")
    rest = taken.rest
    assert rest.requests == 20
    assert re.search(r"The other 20 requests, as batches: about \$0\.\d+ \(95% interval \$0", repr(taken))
    job = submit(labels=None, into="echo")
    job.result(SECONDS)
    spent = job.cost - taken.cost
    assert rest.low <= spent <= rest.high
    assert rest.expected == pytest.approx(spent, rel=0.2)
    assert taken.rest.requests == 0
    assert taken.rest.expected == 0


def test_what_a_job_will_cost_is_told_at_the_price_of_batches(pilot, submit, simulator):
    taken = pilot(20, labels=None, into="echo")
    simulator.inject(Fault("slow_batch", seconds=3600))
    job = submit(labels=None, into="echo")
    assert job.snapshot().expected == pytest.approx(1.5 * taken.cost, rel=0.01)


def test_an_unknown_price_is_said_and_never_guessed(pilot, monkeypatch, workspace):
    from batchnb.costs.prices import PriceTable
    from batchnb.planning.session import Session

    monkeypatch.setattr(Session, "prices", PriceTable({}, workspace.prices.default))
    taken = pilot(5)
    assert (taken.cost, taken.rest.expected) == (None, None)
    assert "cost unknown" in repr(taken)


def test_agreement_with_a_gold_column(pilot, frame):
    wanted = ["negative" if i % 3 == 0 else "positive" for i in range(40)]
    taken = pilot(40, of=frame.assign(truth=wanted), gold="truth")
    assert taken.agreement == 1
    assert taken.mix == {"positive": 26, "negative": 14, "neutral": 0}
    wrong = [None, "neutral", *wanted[2:]]
    taken = pilot(40, of=frame.assign(truth=wrong), gold="truth")
    assert taken.agreement == pytest.approx(38 / 39)
    assert taken.to_frame()["label_agrees"].isna().sum() == 1
    assert "38 of 39 agree with the gold answers (97%)" in repr(taken)
    assert pilot(40).agreement is None


def test_whole_numbers_agree_whatever_their_type(workspace):
    frame = pd.DataFrame({"review": ["good", "bad"], "stars": [5.0, 1.0]})
    taken = frame.batch.pilot("review", "{stars:.0f}", 2, gold="stars", into="n", workspace=workspace)
    assert taken.to_frame()["n"].tolist() == ["5", "1"]
    assert taken.agreement == 1


def test_wrong_arguments_are_refused_before_anything_is_sent(pilot, simulator, workspace):
    for options in ({"n": 0}, {"n": True}, {"n": 2.0}, {"seed": "x"}, {"gold": "nowhere"}, {"gold": {"x": "review"}}):
        with pytest.raises(InputError, match=r"Nothing was sent\."):
            pilot(**options)
    with pytest.raises(TypeError, match="batch_size"):
        pilot(batch_size=3)
    assert simulator.calls == []
    assert len(workspace.jobs()) == 0


def test_what_only_batches_take_is_not_spoiled_by_a_pilot(pilot, simulator):
    with pytest.raises(InputError, match=r"for batches only.*Nothing was sent\."):
        pilot(params={"betas": ["output-300k-2026-03-24"]}, max_tokens=200_000)
    assert simulator.calls == []


def test_a_wanted_answer_that_cannot_be_compared_is_said_before_anything_is_paid_for(pilot, frame, simulator):
    held: list[Any] = []
    held.append(held)
    for wanted in (held, b"good"):
        gold = frame.assign(truth=[*["good"] * 39, wanted])
        with pytest.raises(InputError, match=r"gold=: Row 39 .*: Column 'truth' holds .* Nothing was sent"):
            pilot(2, of=gold, gold="truth")
    assert calls(simulator, "/v1/messages") == 0


def test_whether_answers_agree_replaces_no_column_of_the_users_own(workspace, frame, simulator):
    mine = frame.assign(truth="good", label_agrees="mine")
    options = {"labels": ["good", "bad"], "into": "label", "gold": "truth", "workspace": workspace}
    with pytest.raises(
        InputError, match=r"already has a column 'label_agrees', which batchnb did not make.*overwrite="
    ):
        mine.batch.pilot("review", "About {review}", 2, **options)
    with pytest.raises(InputError, match=r"a column 'label_agrees', which .* have already"):
        mine.batch.pilot("review", "About {review}", 2, **{**options, "gold": "label_agrees", "overwrite": True})
    assert calls(simulator, "/v1/messages") == 0
    taken = mine.batch.pilot("review", "About {review}", 2, **options, overwrite=True).to_frame()
    assert str(taken["label_agrees"].dtype) == "boolean"
    again = taken.batch.pilot("review", "About {review}", 2, **options).to_frame()  # made by batchnb
    assert list(again.columns) == list(taken.columns)
    mine.batch.pilot("review", "About {review}", 2, **{**options, "gold": None})  # nothing is compared


def test_a_schema_has_gold_by_column(workspace, frame, replies):
    schema = {"type": "object", "properties": {"good": {"type": "boolean"}, "words": {"type": "integer"}}}
    replies.append({"good": True, "words": 3})
    gold = frame.assign(truth=[True, False] * 20, count=3)
    options = {"schema": schema, "workspace": workspace}
    taken = gold.batch.pilot("review", "About {review}", 40, gold={"good": "truth", "words": "count"}, **options)
    table = taken.to_frame()
    assert table["good_agrees"].tolist() == [True, False] * 20
    assert table["words_agrees"].all()
    assert taken.agreement == 0.75
    assert taken.mix == {True: 40}
    assert "good: True, words: 3" in repr(taken)
    assert "pilot: review → good, words" in repr(taken)
    with pytest.raises(InputError, match="give a dict"):
        gold.batch.pilot("review", "About {review}", 2, gold="truth", **options)


def test_without_a_key_nothing_is_recorded(frame, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CredentialsError):
        frame.batch.pilot("review", "About {review}", 3)


def test_samples_and_fresh_are_reused_too(pilot, submit, asked, frame):
    pilot(5, samples=2)
    assert len(asked) == 5  # the first sample of each
    submit(samples=2).result(SECONDS)
    assert len(asked) == 80
    pilot(5, fresh="again")
    submit(fresh="again").result(SECONDS)
    assert len(asked) == 120
    pilot(5, fresh=True)
    submit(fresh=True).result(SECONDS)
    assert len(asked) == 160


def test_a_pilot_is_a_job_that_is_listed_and_can_be_deleted(pilot, workspace, simulator):
    taken = pilot(4)
    listed = workspace.jobs().to_frame()
    assert listed["name"].tolist() == ["pilot: review → label"]
    assert listed["status"].tolist() == ["ended"]
    job = workspace.attach(taken.job.id)
    assert len(job.batches) == 0
    assert job.snapshot().batches == ()
    assert counts_words(job.snapshot()) == "4 rows asked one by one"
    assert job.done()
    assert workspace.recover()["recovered"].sum() == 0
    job.delete(remote=True)
    assert len(workspace.jobs()) == 0
    assert not any(call.method == "DELETE" for call in simulator.calls)


def test_html_is_escaped_marked_and_a_table(pilot):
    evil = pd.DataFrame({"review": ["<script>alert(1)</script> bad"]}, index=["<b>x</b>"])
    html = pilot(1, of=evil.assign(gold="<i>"), gold="gold")._repr_html_()
    assert "<script" not in html
    assert "<b>x" not in html
    assert "<i>" not in html
    assert "SIMULATED" in html
    assert re.search(r"<table.*<th scope=\"col\">Agrees</th>.*&lt;script&gt;", html, re.DOTALL)


def test_a_series_has_pilots_too(workspace, frame):
    taken = frame["review"].batch.pilot("About {review}", 3, workspace=workspace)
    assert len(taken.to_frame()) == 3
