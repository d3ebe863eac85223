"""What a canceled job asks goes out only if somebody wants it, whatever is decided about another job of its rows."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ledger_machine import LedgerMachine
from ledger_rows import answer, claim, create, lost
from machine_process import SCOPE

from batchnb import Job
from batchnb.costs.delivery import Delivery
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.migrations import STEPS
from batchnb.ledger.store import Store
from batchnb.questions.spec import RecipeSpec

pytestmark = pytest.mark.steady


@pytest.fixture
def state() -> Iterator[LedgerMachine]:
    """Two processes on one ledger, and a server; in the end all comes to rest, and the checks look at it."""
    machine = LedgerMachine()
    machine.start(skew=0.0, tells=True)
    yield machine
    machine.nothing_is_lost_or_bought_twice()
    machine.teardown()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "home", SCOPE)
    yield opened
    opened.close()


def job(state: LedgerMachine, number: int, who: int = 0) -> Job:
    """The job of that number, counted from 0, as a process has it."""
    return Job(state.checks.job_ids()[number], state.process(who).workspace.session)


def outcomes(state: LedgerMachine) -> list[dict[str, int]]:
    return [job(state, number).counts for number in range(len(state.checks.job_ids()))]


def asked(state: LedgerMachine) -> Counter[str]:
    return Counter(text for made in state.server.batches.values() for text in made.texts.values())


def test_a_job_that_another_ones_decision_looked_at_again_stays_canceled(state: LedgerMachine):
    """As hypothesis found it: both jobs had rows in a batch whose create was interrupted."""
    state.end_process(who=0, writes=4)
    state.submit(fault="interrupted", into="x", retries=0, size=3, steps=1, texts=["a", "a", "a"], who=0)
    state.cancel(which=0, who=0)
    state.race_to_settle(actions=["kill the other"] * 2, after=True, ends=False, omits=True, which=0, who=0)
    state.end_process(who=0, writes=0)
    state.submit(fault="interrupted", into="x", retries=0, size=2, steps=0, texts=["a", "a", "a", "a"], who=0)
    state.submit(fault=None, into="x", retries=0, size=4, steps=3, texts=["a", "a", "e", "a", "a", "a"], who=0)
    state.race_to_settle(actions=["cancel"], after=False, ends=False, omits=False, which=5, who=0)


def test_a_row_that_a_canceled_jobs_cell_asked_again_stays_wanted_until_it_is_canceled_again(state: LedgerMachine):
    """As hypothesis found it: the row failed, and another job had it sent once more."""
    state.submit(fault="529", into="x", retries=0, size=1, steps=2, texts=["d"], who=1)
    state.cancel(which=4, who=1)
    state.fail(fault=("create", "401"), times=3)
    state.submit(fault=None, into="y", retries=1, size=2, steps=2, texts=["b", "a", "d", "a", "a", "c"], who=0)
    state.submit(fault=None, into="x", retries=0, size=1, steps=3, texts=["d"], who=1)
    state.fail(fault=("create", "429, wait"), times=2)
    state.submit(fault=None, into="x", retries=0, size=3, steps=1, texts=["b", "d", "e", "f", "d", "d"], who=1)
    state.submit(fault="403", into="y", retries=2, size=3, steps=1, texts=["d", "f", "f"], who=0)
    state.race_to_settle(actions=["wait", "wait", "retry"], after=True, ends=False, omits=True, which=4, who=0)


def test_a_decision_about_a_row_that_another_job_is_to_send_is_no_error_of_max_cost(state: LedgerMachine):
    """As hypothesis found it: the job had ended, and has no max_cost."""
    state.submit(fault=None, into="y", retries=0, size=1, steps=0, texts=["a"], who=0)
    state.cancel(which=0, who=0)
    state.others_send(ended=False, kind="plain", size=1)
    state.others_send(ended=False, kind="plain", size=1)
    state.submit(fault=None, into="x", retries=0, size=1, steps=0, texts=["a"], who=0)
    state.cancel(which=0, who=0)
    state.fail(fault=("create", "429, spent"), times=3)
    state.end(extra=None, kinds=["succeeded"], which=0)
    state.retry(everything=False, which=0, who=0)
    state.end(extra=None, kinds=["succeeded"], which=0)
    state.submit(fault=None, into="x", retries=0, size=1, steps=1, texts=["f"], who=0)
    state.retry(everything=True, which=2, who=0)
    state.next_call(actions=["resolve"], after=False, call="create", which=0)
    state.submit(fault=None, into="x", retries=0, size=1, steps=1, texts=["a", "a"], who=0)


def test_rows_of_a_canceled_job_that_another_ones_look_brings_back_are_answered(ledger: Ledger):
    """As hypothesis found it: the other job asks only some of them."""
    first, second = create(ledger, "a", "b"), create(ledger, "b", id="job_2")
    batch = claim(ledger, first).id
    ledger.batches.uncertain(batch, now=1.0, note="no answer")
    ledger.decisions.cancel(first)
    ledger.batches.lose(batch, "gone")
    assert ledger.jobs.settle(first, 2.0)
    assert ledger.decisions.look_again(second)
    assert ledger.batches.let_go(batch, state="uncertain")
    assert ledger.tallies.of_job(first).outcomes == {"canceled": 1, "pending": 1}, "the other job wants b"
    assert ledger.jobs.settle(first, 3.0)
    assert ledger.rows.count_unsent(second) == 1


@pytest.mark.parametrize("canceled_too", [False, True])
def test_a_lost_batch_that_was_never_made_is_sent_for_the_job_alone_that_wants_it(ledger: Ledger, canceled_too: bool):
    first, second = create(ledger, "a"), create(ledger, "a", id="job_2")
    batch = claim(ledger, first).id
    ledger.batches.uncertain(batch, now=1.0, note="no answer")
    ledger.decisions.cancel(first)
    ledger.batches.lose(batch, "gone")
    assert ledger.jobs.settle(first, 2.0)
    assert ledger.jobs.settle(second, 2.0)
    assert ledger.decisions.look_again(second)
    assert [ledger.jobs.by_number(number).state for number in (first, second)] == ["canceling", "open"]
    if canceled_too:
        ledger.decisions.cancel(second)
    assert ledger.batches.let_go(batch, state="uncertain")
    assert [ledger.rows.count_unsent(number) for number in (first, second)] == [0, 0 if canceled_too else 1]
    assert ledger.tallies.of_job(first).outcomes == {"canceled" if canceled_too else "pending": 1}


def test_looking_again_at_a_canceled_jobs_own_batch_sends_nothing_of_it(ledger: Ledger):
    job = create(ledger, "a")
    batch = claim(ledger, job).id
    ledger.batches.uncertain(batch, now=1.0, note="no answer")
    ledger.decisions.cancel(job)
    ledger.batches.lose(batch, "gone")
    assert ledger.jobs.settle(job, 2.0)
    assert ledger.decisions.look_again(job)
    assert ledger.jobs.by_number(job).state == "canceling"
    assert ledger.batches.let_go(batch, state="uncertain")
    assert ledger.jobs.settle(job, 3.0)
    assert ledger.tallies.of_job(job).outcomes == {"canceled": 1}


@pytest.mark.parametrize("again", [False, True])
def test_attaching_a_canceled_job_sends_nothing_of_it_and_running_its_cell_does(state: LedgerMachine, again: bool):
    state.fail(("create", "429"), 3)
    state.submit(who=0, texts=["a"], into="x", size=4, retries=0, fault=None, steps=1)
    state.submit(who=0, texts=["a", "b"], into="x", size=4, retries=0, fault=None, steps=0)
    with state.checks.canceling(job(state, 1).id):
        job(state, 1).cancel()
    state.step(who=0, times=1)
    assert outcomes(state) == [{"pending": 1}, {"canceled": 1, "pending": 1}], "the first is still to send it"
    assert job(state, 1).done()
    if again:
        state.run_cell(0, state.cells[1])
    else:
        state.process(0).workspace.attach(job(state, 1).id)
    with state.checks.canceling(job(state, 0).id):
        job(state, 0).cancel()
    for _ in range(3):
        state.run(who=0, seconds=60.0, kinds=["succeeded"])
    assert outcomes(state) == ([{"succeeded": 1}, {"canceled": 1, "succeeded": 1}] if again
                               else [{"canceled": 1}, {"canceled": 2}])  # fmt: skip


def test_dropping_a_lost_batch_does_not_have_a_canceled_job_want_the_rest(ledger: Ledger):
    job = create(ledger, "a", "b")
    ledger.batches.lose(claim(ledger, job, max_requests=1).id, "gone")
    other = claim(ledger, job).id
    ledger.decisions.cancel(job)
    assert ledger.decisions.resolve(job, send=False) == 1
    assert ledger.jobs.by_number(job).state == "canceling"
    assert ledger.batches.let_go(other, state="submitting")
    assert ledger.tallies.of_job(job).outcomes == {"canceled": 1, "missing": 1}


def test_sending_a_canceled_jobs_lost_rows_again_sends_no_others_of_it(ledger: Ledger):
    first, second = create(ledger, "a"), create(ledger, "a", "b", id="job_2")
    lost(ledger, second)  # both rows
    third = create(ledger, "b", "c", id="job_3")
    ledger.decisions.cancel(second)
    assert ledger.jobs.settle(second, 2.0)
    assert ledger.decisions.resolve(third, send=True) == 1
    assert [ledger.rows.count_unsent(number) for number in (first, second, third)] == [0, 0, 2]
    assert ledger.decisions.resolve(second, send=True) == 1
    assert [ledger.rows.count_unsent(number) for number in (first, second, third)] == [1, 1, 2]
    ledger.decisions.cancel(third)
    assert ledger.rows.count_unsent(second) == 1, "it was decided to send its row a, and nothing was said of b"
    assert ledger.tallies.of_job(second).outcomes == {"canceled": 1, "pending": 1}
    assert ledger.batches.get(claim(ledger, second).id).requests == 1


def test_what_is_asked_again_of_a_canceled_job_is_tried_as_often_as_ever_and_nothing_else_is(ledger: Ledger):
    job = create(ledger, "a", "b", retries=1)
    failing = claim(ledger, job, max_requests=1)
    ledger.batches.accepted(failing.id, "msgbatch_failing", times={})
    ledger.batches.lose(claim(ledger, job).id, "gone")
    ledger.decisions.cancel(job)
    ledger.batches.record(failing.id, [answer("a", "errored", "api_error")])
    ledger.batches.collected(failing.id)
    assert ledger.decisions.resolve(job, send=True) == 1
    assert ledger.jobs.release(job, "auto") == 0, "it was canceled with that row"
    again = claim(ledger, job)
    ledger.batches.accepted(again.id, "msgbatch_again", times={})
    ledger.batches.record(again.id, [answer("b", "errored", "api_error")])
    ledger.batches.collected(again.id)
    assert ledger.jobs.release(job, "auto") == 1
    assert ledger.rows.count_unsent(job) == 1


def test_retrying_a_canceled_job_leaves_no_row_of_it_to_another_job(ledger: Ledger):
    first, second = create(ledger, "a"), create(ledger, "a", "b", id="job_2")
    ledger.decisions.cancel(second)
    assert ledger.jobs.settle(second, 2.0)
    assert ledger.tallies.of_job(second).outcomes == {"canceled": 1, "pending": 1}
    assert ledger.jobs.release(second, "retry") == 2
    ledger.decisions.cancel(first)
    assert ledger.rows.count_unsent(second) == 2
    assert ledger.jobs.settle(first, 3.0)
    assert not ledger.jobs.settle(second, 3.0)


def test_rows_that_were_given_up_unsent_are_not_sent_by_running_the_cell_again(ledger: Ledger):
    job, other = create(ledger, "a", "b", "c"), create(ledger, "c", id="job_2")
    sent = claim(ledger, job, max_requests=1)
    assert ledger.decisions.give_up_unsent(job) == 1, "the other job wants c"
    assert [ledger.rows.count_unsent(number) for number in (job, other)] == [0, 1]
    assert ledger.jobs.by_number(job).rule == "canceled"
    assert ledger.jobs.release(job, "canceled") == 0
    ledger.batches.accepted(sent.id, "msgbatch_1", times={})
    ledger.batches.record(sent.id, [answer("a", "errored", "api_error")])
    ledger.batches.collected(sent.id)
    assert ledger.jobs.release(job, "auto") == 1, "what is in a batch is wanted still"


def test_a_job_that_is_retried_while_it_is_being_canceled_wants_what_comes_back(ledger: Ledger):
    """As hypothesis found it: nothing had failed yet."""
    job = create(ledger, "a")
    batch = claim(ledger, job).id
    ledger.batches.uncertain(batch, now=1.0, note="no answer")
    ledger.decisions.cancel(job)
    assert ledger.jobs.release(job, "retry") == 0
    assert ledger.batches.let_go(batch, state="uncertain")
    assert ledger.rows.count_unsent(job) == 1
    assert ledger.jobs.by_number(job).state == "open"


def test_rows_that_a_limit_holds_back_are_not_lost_by_canceling_another_job(ledger: Ledger):
    held = create(ledger, "a", delivery=Delivery(max_cost="0.01"))
    other = create(ledger, "a", id="job_2")
    assert ledger.jobs.settle(held, 2.0, held_back="0.01")
    ledger.decisions.cancel(other)
    assert ledger.jobs.by_number(held).rule == "run"
    assert list(ledger.jobs.unsent([answer("a").digest], ledger.jobs.by_number(held))) == [answer("a").digest]
    assert ledger.jobs.release(held, "run") == 1
    assert ledger.jobs.by_number(other).rule == "canceled"


def test_jobs_canceled_before_it_was_kept_which_they_were_stay_so(tmp_path: Path, monkeypatch):
    before = next(number for number, step in enumerate(STEPS) if "CREATE TABLE wanted" in step)
    with monkeypatch.context() as patch:
        patch.setattr("batchnb.ledger.store.STEPS", STEPS[:before])
        Store(tmp_path / "ledgers" / "old.sqlite", {"scope": SCOPE}).close()
    (path,) = tmp_path.glob("ledgers/*.sqlite")
    recipe = RecipeSpec.of_attached().json
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for number, kind, outcome in ((1, "ended", "canceled"), (2, "ended", "succeeded"), (3, "canceling", None)):
            db.execute("INSERT INTO requests (id, digest, envelope) VALUES (?, ?, 1)", (number, bytes([number]) * 16))
            db.execute(
                "INSERT INTO jobs (number, id, name, state, recipe, rows, reused, batch_size, max_bytes, retries,"
                " created_at) VALUES (?, 'job_' || ?, 'a job', ?, ?, 1, 0, 1, 1, 0, 1.0)",
                (number, number, kind, recipe),
            )  # fmt: skip
            db.execute("INSERT INTO job_runs VALUES (?, 0, 1, ?, NULL)", (number, number))
            if outcome:
                db.execute("INSERT INTO answers (request, outcome, result) VALUES (?, ?, '{}')", (number, outcome))
    path.rename(path.with_name(Ledger(tmp_path / "another", SCOPE).path.name))
    opened = Ledger(tmp_path, SCOPE)
    assert [opened.jobs.by_number(number).canceled for number in (1, 2, 3)] == [1, 0, 1]
    assert opened.jobs.release(1, opened.jobs.by_number(1).rule) == 0
    opened.close()
