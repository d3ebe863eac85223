"""Background work keeps to a part of the time while the foreground computes, and to none else."""

from __future__ import annotations

import asyncio
import threading

import pytest

from batchnb.display.kernel import wait
from batchnb.display.kernel.foreground import FOREGROUND, SHARE, Foreground, Pace


class Hours:
    """A clock that goes on by what is done, and by how long is rested."""

    def __init__(self) -> None:
        self.now, self.cpu, self.rests = 100.0, 7.0, list[float]()

    def spares(self, timeout: float) -> bool:
        self.now += timeout
        self.rests.append(timeout)
        return False

    def work(self, cpu: float, held_up: float = 0.0) -> None:
        self.cpu += cpu
        self.now += cpu + held_up


@pytest.fixture
def hours() -> Hours:
    return Hours()


@pytest.fixture
def pace(hours: Hours) -> Pace:
    return Pace(hours.spares, clock=lambda: hours.now, cpu=lambda: hours.cpu)


def test_what_was_computed_is_a_fifth_of_the_time_after_each_rest(hours, pace):
    began, cpu = hours.now, hours.cpu
    for computed in (0.02, 0.1, 0.003):
        hours.work(computed)
        pace.rest()
        assert (hours.cpu - cpu) / (hours.now - began) == pytest.approx(SHARE)


def test_work_that_was_held_up_rests_less_or_not_at_all(hours, pace):
    hours.work(0.1, held_up=0.3)
    pace.rest()
    hours.work(0.1, held_up=2.0)
    pace.rest()
    hours.work(0.1)
    pace.rest()
    assert hours.rests == [pytest.approx(0.1), 0.0, pytest.approx(0.4)]


def test_a_new_thread_does_not_rest_for_what_another_did(hours, pace):
    hours.work(5.0)
    hours.cpu = 0.01
    pace.rest()
    assert hours.rests == [0.0]


def test_a_rest_ends_when_the_foreground_waits():
    foreground, ended = Foreground(), threading.Event()
    foreground.run(runs=True)
    resting = threading.Thread(target=lambda: foreground.spares(3_600) and ended.set())
    resting.start()
    assert not foreground.spares(0)
    with foreground.waiting(), foreground.waiting():
        assert ended.wait(60)
    resting.join()
    assert not foreground.spares(0)


def test_between_cells_all_of_the_time_can_be_spared():
    foreground = Foreground()
    foreground.run(runs=False)
    assert foreground.spares(0)
    with foreground.waiting():
        foreground.run(runs=True)
        assert foreground.spares(0)
    assert not foreground.spares(0)


@pytest.mark.parametrize("how", ["wait", "await"])
def test_who_waits_for_a_job_has_it_go_on_at_full_speed(how):
    seen: list[bool] = []
    event = threading.Event()

    def look() -> None:
        seen.append(FOREGROUND.spares(60))
        event.set()

    assert not FOREGROUND.spares(0)
    threading.Thread(target=look).start()
    assert wait.wait(event, 60) if how == "wait" else asyncio.run(wait.async_wait(event, 60))
    assert seen == [True]
    assert not FOREGROUND.spares(0)
