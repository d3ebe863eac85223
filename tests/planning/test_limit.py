"""max_cost: what may cost more is refused before anything is sent, or sent only as far as it cannot."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from media_samples import png
from wordy import texts

from batchnb import InputError, Job, Workspace
from batchnb.costs.allowance import held_back
from batchnb.display.job.text import TextProgress
from batchnb.protocol.spent import allowance_of
from batchnb.sim import Fault, Simulator
from batchnb.sim.model.responder import Reply, count_tokens

MAX_TOKENS = 100
SECONDS = 60


class Replies:
    """Gives replies of as many tokens as a test likes."""

    def __init__(self) -> None:
        self.share: Callable[[int], float] = lambda number: 0.1 * (number % 10)
        self._numbers = itertools.count()

    def __call__(self, params: dict[str, Any]) -> Reply:
        tokens = max(1, round(self.share(next(self._numbers)) * params["max_tokens"]))
        return Reply([{"type": "text", "text": "yes"}], "end_turn", count_tokens(params), tokens)


@pytest.fixture
def replies() -> Replies:
    return Replies()


@pytest.fixture
def simulator(tmp_path: Path, replies: Replies) -> Iterator[Simulator]:
    with Simulator(tmp_path / "simulator", delay=(0.0, 0.01), responder=replies, seed=1) as running:
        yield running


@pytest.fixture
def workspace(simulator: Simulator, open_workspace: Callable[..., Workspace]) -> Workspace:
    return open_workspace(simulator, max_poll=0.02)


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"review": list(dict.fromkeys(texts(200, seed=2, english=0.7)))[:120]})


def submit(frame: pd.DataFrame, workspace: Workspace, **options: Any) -> Job:
    options = {"max_tokens": MAX_TOKENS, "batch_size": 10, "workspace": workspace, "progress": False, **options}
    return frame.batch.submit("review", "Is this good? {review}", into="good", **options)


def worst(frame: pd.DataFrame, workspace: Workspace) -> float:
    options = {"max_tokens": MAX_TOKENS, "workspace": workspace}
    found = frame.batch.estimate("review", "Is this good? {review}", into="good", **options).worst
    assert found is not None
    return found


def sent(simulator: Simulator) -> list[str]:
    """Return a digest of each request that was sent, as often as it was."""
    return [one.digest for one in simulator.record()]


def counted(simulator: Simulator) -> int:
    return sum(call.path.endswith("/count_tokens") for call in simulator.calls)


def test_what_may_cost_more_is_refused_and_nothing_was_sent(frame, workspace, simulator):
    with pytest.raises(InputError) as raised:
        submit(frame, workspace, max_cost=0.01)
    said = str(raised.value)
    assert said.startswith(f"120 requests can cost ${worst(frame, workspace):.2g} at most, about $")
    assert "expected: more than max_cost=0.01. The first " in said
    for way in ("raise max_cost", "lower max_tokens (now 100", 'if_over="stop"', "df.head("):
        assert way in said
    assert said.endswith("Nothing was sent.")
    assert sent(simulator) == []
    assert len(workspace.jobs()) == 0


def test_of_several_samples_whole_rows_are_said_to_fit(frame, workspace):
    limit = worst(frame.head(1), workspace) * 2.5
    with pytest.raises(InputError, match=r"Not even one row would fit\. Raise max_cost; or lower max_tokens"):
        submit(frame.head(20), workspace, max_cost=limit, samples=4)
    with pytest.raises(InputError, match=r"such as df\.head\(1\)"):
        submit(frame.head(20), workspace, max_cost=2 * limit, samples=4)


def test_as_many_rows_as_it_says_would_fit_do(frame, workspace):
    with pytest.raises(InputError) as raised:
        submit(frame, workspace, max_cost=0.01)
    rows = int(str(raised.value).partition("df.head(")[2].partition(")")[0])
    assert 0 < rows < 120
    # What fewer rows have is told by another sample: so not to the last row.
    frame = submit(frame.head(round(0.95 * rows)), workspace, max_cost=0.01).result(SECONDS)
    assert (frame["good_status"] == "succeeded").all()


def test_what_cannot_cost_more_is_sent_as_a_whole(frame, workspace, replies):
    replies.share = lambda _: 1.0
    limit = worst(frame, workspace) * 1.000_001
    job = submit(frame, workspace, max_cost=limit, batch_size=5)  # the last one is less than a twentieth
    assert (job.result(SECONDS)["good_status"] == "succeeded").all()
    assert job.cost <= limit
    assert job.snapshot().note is None


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_it_stops_before_more_is_spent_and_says_what_was_held_back(frame, workspace, simulator, replies, share):
    replies.share = lambda _: share
    limit = worst(frame, workspace) / 6
    job = submit(frame, workspace, max_cost=limit, if_over="stop")
    result = job.result(SECONDS)
    assert job.done()
    assert job.cost <= limit
    assert job.cost >= limit * 0.9
    bought = (result["good_status"] == "succeeded").sum()
    assert 0 < bought < 120
    assert len(sent(simulator)) == bought
    held = result[result["good_status"] == "pending"]
    assert len(held) == 120 - bought
    reason = f"{120 - bought} requests were not sent. Run the cell again with a higher max_cost."
    assert held["good_error"].str.endswith(reason).all()
    assert held["good_error"].str.startswith("Held back: $").all()
    shown = job.snapshot()
    assert (shown.note, shown.unsent, shown.expected) == (held["good_error"].iloc[0], len(held), None)
    assert workspace.jobs().to_frame()["note"].iloc[0] == held["good_error"].iloc[0]
    assert job.status == "ended"


def test_pictures_cost_no_more_either_the_largest_first(workspace, replies):
    replies.share = lambda _: 1.0
    pictures = [png(n, (1_000 - 30 * n, 600 - 20 * n)) for n in range(24)]
    frame = pd.DataFrame({"review": [f"picture {n}" for n in range(24)], "picture": pictures})
    options = {"images": "picture", "max_tokens": 20, "workspace": workspace}
    limit = frame.batch.estimate("review", **options).worst / 2
    job = submit(frame, max_cost=limit, if_over="stop", batch_size=4, **options)
    bought = (job.result(SECONDS)["good_status"] == "succeeded").sum()
    assert bought >= 4  # fewer than half of them: these are the dearest
    assert job.cost <= limit


def test_what_a_picture_weighs_is_not_taken_for_text(workspace):
    heavy = [png(n, (200, 200)) + bytes(150_000) if n % 4 == 0 else None for n in range(24)]
    frame = pd.DataFrame({"review": [f"row {n} " + "and words " * (n % 7) for n in range(24)], "picture": heavy})
    options = {"images": "picture", "missing": "send", "max_tokens": 20, "workspace": workspace}
    limit = 1.1 * frame.batch.estimate("review", **options).worst
    job = submit(frame, max_cost=limit, **options)
    assert (job.result(SECONDS)["good_status"] == "succeeded").all()


def test_a_log_says_at_the_end_what_was_held_back(frame, workspace):
    job = submit(frame, workspace, max_cost=worst(frame, workspace) / 6, if_over="stop")
    job.result(SECONDS)
    log = io.StringIO()
    TextProgress(log).update(job.snapshot())
    assert "Held back: $" in log.getvalue()
    assert log.getvalue().endswith("Run the cell again with a higher max_cost.\n")


def test_a_limit_refused_for_a_job_that_is_under_way_says_that_it_goes_on(frame, workspace, simulator):
    simulator.inject(Fault("rate_limited", on="create", times=-1))
    limit = worst(frame, workspace)
    job = submit(frame, workspace, max_cost=limit * 1.1)
    with pytest.raises(InputError, match=rf"goes on as it was: batchnb\.attach\('{job.id}'\)\.cancel\(\) stops it"):
        submit(frame, workspace, max_cost=limit / 2)
    assert not job.done()
    job.cancel()
    job.result(SECONDS)
    assert sent(simulator) == []


def test_running_the_cell_again_goes_on_only_with_a_higher_limit(frame, workspace, simulator):
    limit = worst(frame, workspace) / 6
    first = submit(frame, workspace, max_cost=limit, if_over="stop")
    first.result(SECONDS)
    before = sent(simulator)
    again = submit(frame, workspace, max_cost=limit, if_over="stop")
    assert again.id == first.id
    assert again.result(SECONDS)["good_status"].value_counts()["pending"] == 120 - len(before)
    assert sent(simulator) == before
    more = submit(frame, workspace, max_cost=3 * limit, if_over="stop")
    more.result(SECONDS)
    assert 2 * limit < more.cost <= 3 * limit
    assert len(sent(simulator)) > len(before)
    whole = submit(frame, workspace)
    assert (whole.result(SECONDS)["good_status"] == "succeeded").all()
    assert sorted(sent(simulator)) == sorted(set(sent(simulator)))
    assert len(sent(simulator)) == 120


def test_what_was_spent_before_counts_when_the_cell_is_run_again(frame, workspace):
    limit = worst(frame, workspace) / 3
    submit(frame, workspace, max_cost=limit, if_over="stop").result(SECONDS)
    with pytest.raises(InputError, match=r"beside \$0\.\d+ that the job has spent"):
        submit(frame, workspace, max_cost=limit)


def test_a_job_attached_later_keeps_its_limit(frame, workspace, open_workspace, simulator):
    limit = worst(frame, workspace) / 6
    job = submit(frame, workspace, max_cost=limit, if_over="stop")
    job.result(SECONDS)
    before = sent(simulator)
    workspace.close()
    later = open_workspace(simulator).attach(job.id)
    assert later.wait(SECONDS)
    assert sent(simulator) == before
    assert later.snapshot().note.startswith("Held back")


def test_answers_that_were_there_cost_the_job_nothing(frame, workspace, simulator):
    submit(frame.head(60), workspace).result(SECONDS)
    limit = worst(frame, workspace) * 1.000_001  # of the other 60
    job = submit(frame, workspace, max_cost=limit)
    assert (job.result(SECONDS)["good_status"] == "succeeded").all()
    calls = counted(simulator)
    nothing = submit(frame.head(30), workspace, max_cost=1e-9)
    assert (nothing.result(SECONDS)["good_status"] == "succeeded").all()
    assert counted(simulator) == calls


def test_what_fails_costs_nothing_and_is_asked_again_within_the_limit(frame, workspace, simulator, replies):
    replies.share = lambda _: 1.0
    simulator.inject(Fault("errored", share=0.5, error_type="overloaded_error", times=3))
    limit = worst(frame, workspace) / 4
    job = submit(frame, workspace, max_cost=limit, if_over="stop", retries=3)  # one row may meet every fault
    result = job.result(SECONDS)
    assert limit * 0.9 <= job.cost <= limit
    assert set(result["good_status"]) == {"succeeded", "pending"}


def test_two_kernels_that_run_the_cell_spend_no_more_than_one(frame, workspace, open_workspace, simulator, replies):
    replies.share = lambda _: 1.0
    other = open_workspace(simulator)
    limit = worst(frame, workspace) / 4
    jobs: list[Job] = []
    threads = [
        threading.Thread(target=lambda one=one: jobs.append(submit(frame, one, max_cost=limit, if_over="stop")))
        for one in (workspace, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    first, second = jobs
    assert first.id == second.id
    assert first.wait(SECONDS)
    assert second.wait(SECONDS)
    assert first.cost <= limit
    assert len(sent(simulator)) == len(set(sent(simulator))) < 120


def test_a_lower_max_tokens_or_a_longer_frame_changes_the_worst_case(frame, workspace):
    most = worst(frame, workspace)
    assert worst(frame.head(60), workspace) < most
    job = submit(frame, workspace, max_cost=most * 0.6, max_tokens=MAX_TOKENS // 4)
    assert (job.result(SECONDS)["good_status"] == "succeeded").all()


def test_an_unknown_price_is_refused_with_the_way_out(frame, workspace, simulator, monkeypatch):
    from batchnb.costs import price_list
    from batchnb.costs.prices import PriceTable

    monkeypatch.setattr(price_list._Set, "table", PriceTable({}, workspace.prices.default))
    with pytest.raises(InputError, match=r"batchnb\.set_price\('claude-haiku-4-5', input=.*Nothing was sent\."):
        submit(frame, workspace, max_cost=100)
    assert sent(simulator) == []


def test_what_is_asked_again_is_limited_too_where_nothing_was_to_be_sent_at_first(frame, workspace, simulator):
    submit(frame.head(5), workspace).result(SECONDS)
    calls = counted(simulator)
    job, ledger = submit(frame.head(5), workspace, max_cost=100), workspace.session.ledger
    assert job.done()
    assert counted(simulator) == calls
    allowance = allowance_of(ledger, ledger.jobs.get(job.id), workspace.prices)
    assert not allowance.fits(1, 1, 1)
    assert held_back(allowance, 1).endswith("what they can cost at most was not counted. Run the cell again.")


def test_a_count_that_fails_refuses_too(frame, workspace, simulator):
    # The first call is the check that every submit makes.
    simulator.inject(Fault("overloaded", on="count_tokens", after=1, times=-1))
    with pytest.raises(InputError, match=r"at most is not known, and max_cost limits it.*Nothing was sent\."):
        submit(frame, workspace, max_cost=100)
    assert sent(simulator) == []


def test_a_worst_case_that_too_few_counts_tell_is_refused_with_the_reason(frame, workspace, simulator):
    simulator.inject(Fault("rate_limited", on="count_tokens", after=3, times=-1))
    with pytest.raises(
        InputError, match=r"more than max_cost=0\.02\. The server did not count all.*Nothing was sent\."
    ):
        submit(frame, workspace, max_cost=0.02)


@pytest.mark.parametrize(("wrong", "said"), [({"max_cost": -1}, "max_cost"), ({"if_over": "ask"}, "if_over")])
def test_arguments_are_checked_first(frame, workspace, simulator, wrong, said):
    with pytest.raises(InputError, match=rf"{said}.*Nothing was sent\."):
        submit(frame, workspace, **wrong)
    assert counted(simulator) == 0


def test_without_a_limit_no_more_is_counted_than_ever(frame, workspace, simulator):
    submit(frame, workspace).result(SECONDS)
    assert counted(simulator) == 1
