"""Some schedules of the crash harness, and that its judge can fail. ``python tests/support/crash.py`` tries more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import crash
import pytest
from crash_schedules import DAY, TRIALS, At, Clock, Fork, Run, Schedule, Step, make

from batchnb.sim import Fault

pytestmark = pytest.mark.slow

#: All that befalls schedules is among them, twice at least.
SEEDS = (1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 33, 37)


@pytest.fixture(scope="module")
def cells() -> Iterator[crash.Cells]:
    with crash.cells() as running:
        yield running


def told(verdict: crash.Verdict) -> str:
    return "\n".join([*verdict.complaints, str(verdict.schedule), verdict.story])


@pytest.fixture(scope="module")
def verdicts(cells: crash.Cells) -> Iterator[dict[int, Future[crash.Verdict]]]:
    """The schedules of some seeds, two at a time: most of their time they wait."""
    with ThreadPoolExecutor(2) as pool:
        yield {seed: pool.submit(crash.try_out, make(seed), cells) for seed in SEEDS}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_dies_and_fails_every_row_is_answered_and_bought_once(
    verdicts: dict[int, Future[crash.Verdict]], seed: int
):
    verdict = verdicts[seed].result()
    assert not verdict.complaints, told(verdict)


def small(*runs: Run, faults: tuple[Fault, ...] = (), mutation: str = "") -> Schedule:
    """Twelve rows in three batches: these runs, then some to which nothing happens."""
    steps = [Step((Run(**{**vars(run), "mutation": mutation}),)) for run in runs]
    steps += [Step((Run(what, mutation=mutation),), clear=True) for what in ("wait", "finish", "wait")]
    frame = (*(f"text {i}" for i in range(12)), "text 0", None)
    relative = any(run.astray for run in runs)
    return Schedule(0, (frame,), 5, 1, 0.0, (0.01, 0.02), None, faults, tuple(steps), relative)


LOST = Fault("lost_answer", after=1)
SHORT = Fault("truncate", times=2, share=0.5)

SLOW = Fault("slow_batch", seconds=0.1)

#: It dies before it can look for what the server took.
UNSETTLED = Run(at=At("list before", 1, "SIGKILL"))

#: Ways to break the protocol: each with what brings it out, a fault and the runs, and what the judge then says.
BROKEN: dict[str, tuple[Fault, tuple[Run, ...], str]] = {
    "resend": (LOST, (Run(),), "was bought twice"),
    "never look": (LOST, (Run(),), "was bought twice"),
    "misplace": (SLOW, (Run(),), "has the answer"),
    "leak": (SLOW, (Run(),), "holds the key"),
    "give up": (SHORT, (Run(),), "is missing"),
    "wall clock": (LOST, (Run(clock=Clock(2 * DAY)),), "was bought twice"),
    "any key": (LOST, (UNSETTLED, Run(key=1)), "was bought twice"),
    "relative": (SLOW, (Run(astray=At("create after", 1)),), "elsewhere than at home"),
}


@pytest.mark.parametrize("mutation", BROKEN)
def test_the_judge_notices_a_broken_protocol(cells: crash.Cells, mutation: str):
    fault, runs, complaint = BROKEN[mutation]
    verdict = crash.try_out(small(*runs, faults=(fault,), mutation=mutation), cells)
    assert any(complaint in one for one in verdict.complaints), told(verdict)


@pytest.mark.parametrize("mutation", BROKEN)
def test_the_judge_has_nothing_against_the_same_where_the_protocol_is_kept(cells: crash.Cells, mutation: str):
    fault, runs, _ = BROKEN[mutation]
    verdict = crash.try_out(small(*runs, faults=(fault,)), cells)
    assert not verdict.complaints, told(verdict)
    assert verdict.figures["faults struck"] >= 1


@pytest.mark.parametrize("mutation", ["parent's lock", ""])
def test_the_judge_notices_a_child_that_has_its_parent_taken_for_dead(cells: crash.Cells, mutation: str):
    """While a kernel that has forked is sending, a second one looks at what it sends."""
    forks = Run(fork=Fork(At("create before", 1), "thread", "_exit"), mutation=mutation)
    schedule = small(forks, mutation=mutation)
    together = replace(schedule.steps[0], runs=(forks, Run(mutation=mutation)))
    schedule = replace(schedule, steps=(together, *schedule.steps[1:]), held=20.0 if mutation else 0.5)
    verdict = crash.try_out(schedule, cells)
    bought_twice = any("was bought twice" in one for one in verdict.complaints)
    assert bought_twice == bool(mutation), told(verdict)


@pytest.mark.parametrize("mutation", ["asks nothing", ""])
def test_the_judge_notices_a_new_ledger_that_buys_what_one_set_aside_has_bought(cells: crash.Cells, mutation: str):
    schedule = small(Run(), Run(), mutation=mutation)
    first, second, *later = schedule.steps
    recovering = [replace(step, runs=(replace(step.runs[0], recover=True),)) for step in later]
    verdict = crash.try_out(replace(schedule, steps=(first, replace(second, aside=True), *recovering)), cells)
    bought_twice = any("was bought twice" in one for one in verdict.complaints)
    assert bought_twice == bool(mutation), told(verdict)
    assert bool(mutation) or (not verdict.complaints and verdict.figures["times: asks"] == 1), told(verdict)


def test_the_judge_notices_a_run_that_ends_as_it_should_not(cells: crash.Cells):
    verdict = crash.try_out(small(Run(at=At("claim after", 1, "SIGABRT"))), cells)
    assert any("ended with -6" in one for one in verdict.complaints), told(verdict)


def test_a_kill_strikes_where_it_is_meant_to(cells: crash.Cells):
    verdict = crash.try_out(small(Run(at=At("create after", 2, "SIGKILL"))), cells)
    assert not verdict.complaints, told(verdict)
    assert verdict.figures["kills"] == 1
    assert verdict.figures["batches"] == 3
    assert "run 0: create after \n" in verdict.story
    assert "run 0: accepted before \n" in verdict.story


def test_all_that_befalls_schedules_befalls_some_of_those_that_are_tried_here():
    befallen = Counter(trial for seed in SEEDS for trial in make(seed).trials)
    assert set(befallen) == set(TRIALS)
    assert min(befallen.values()) >= 2


def test_a_seed_makes_the_same_schedule_every_time():
    assert [make(seed) for seed in range(50)] == [make(seed) for seed in range(50)]
