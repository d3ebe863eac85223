"""A batch whose create got no answer is bought once, whatever clocks say and however batches are listed."""

from __future__ import annotations

import random
import warnings
from datetime import UTC, datetime, timedelta

import pytest
from bench import Bench, assert_echoed, texts
from fake_clock import FakeClock
from hostility import Listed, format_date
from independent import Held, Lost, Status
from simulation import ShiftedClock

import batchnb.protocol.listing
import batchnb.protocol.watcher
from batchnb.protocol.giving_up import DOUBTS
from batchnb.protocol.listing import OLD
from batchnb.protocol.submission import Submission
from batchnb.protocol.timing import Timing
from batchnb.protocol.watcher import Watcher

pytestmark = pytest.mark.steady

pytest_plugins = ["bench_fixtures"]

HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0
SHIFTS = [27 * HOUR, 48 * HOUR, YEAR, -27 * HOUR, -48 * HOUR, -YEAR]
FAULTS = [Lost(), Status(500, accept=True)]


def of_others(count: int, name: str = "theirs") -> list[dict]:
    ask = {"model": "m", "messages": [{"role": "user", "content": name}]}
    return [{"custom_id": f"{name}-{i}", "params": ask} for i in range(count)]


def clock_of(shift: float) -> ShiftedClock:
    clock = Wall()
    clock.shift = shift
    return clock


class Wall(ShiftedClock):
    """A wall clock that is wrong; the other goes on as ever."""

    def elapsed(self) -> float:
        return super().elapsed() - self.shift


def never_listed(bench: Bench) -> None:
    """Have nothing settled by the workspace that is open: its listings fail."""
    bench.server.always["list"] = Status(500)


# A clock that is wrong


@pytest.mark.parametrize("fault", FAULTS, ids=["lost", "500"])
@pytest.mark.parametrize("shift", SHIFTS)
def test_a_wrong_clock_of_this_machine_hides_no_batch(bench: Bench, shift, fault):
    bench.server.faults["create"] += [fault, fault]
    job = bench.submit(texts(30), batch_size=10, workspace=bench.open(clock=clock_of(shift)))
    assert_echoed(job)
    assert bench.server.bought_once()
    assert len(bench.server.batches) == 3


@pytest.mark.parametrize("fault", FAULTS, ids=["lost", "500"])
@pytest.mark.parametrize("shift", SHIFTS)
def test_a_wrong_clock_of_the_server_hides_no_batch(bench: Bench, shift, fault):
    bench.server.manner.shift = timedelta(seconds=shift)
    bench.server.faults["create"] += [fault]
    assert_echoed(bench.submit(texts(10)))
    assert bench.server.bought_once()


@pytest.mark.parametrize("shift", [-YEAR, -HOUR, HOUR, DAY, YEAR])
def test_a_clock_that_is_set_before_the_listing_hides_no_batch(bench: Bench, shift):
    clock = Wall()
    held = Held(lost=True)
    bench.server.faults["create"] += [held]
    job = bench.submit(texts(10), workspace=bench.open(clock=clock))
    bench.server.wait_for(held.reached.is_set)
    clock.shift = shift
    held.let_go.set()
    assert_echoed(job)
    assert bench.server.bought_once()


@pytest.mark.parametrize("before", [0.0, YEAR, -YEAR])
@pytest.mark.parametrize("after", [0.0, YEAR, -YEAR, 27 * HOUR])
def test_another_process_with_another_clock_finds_what_the_first_has_sent(bench: Bench, before, after):
    first = bench.open(clock=clock_of(before))
    bench.server.faults["create"] += [Lost()]
    never_listed(bench)
    bench.submit(texts(10), workspace=first)
    bench.server.wait_for(lambda: bench.server.called("GET", "batches?limit"))
    first.close()
    bench.server.always.clear()
    assert_echoed(bench.submit(texts(10), workspace=bench.open(clock=clock_of(after))))
    assert bench.server.bought_once()


@pytest.mark.parametrize("shift", SHIFTS)
def test_what_was_never_made_is_sent_again_whatever_the_clock(bench: Bench, shift):
    bench.server.faults["create"] += [Lost(accept=False), Status(500)]
    assert_echoed(bench.submit(texts(20), batch_size=10, workspace=bench.open(clock=clock_of(shift))))
    assert bench.server.bought_once()


@pytest.mark.parametrize("slept", [8 * HOUR, 3 * DAY, 40 * DAY])
@pytest.mark.parametrize("accept", [True, False])
def test_a_machine_that_was_suspended_before_it_sent_finds_what_it_sent(bench: Bench, slept, accept):
    """The clock that is never set may have stood still meanwhile; the server's and the wall clock have gone on."""
    clock = Wall()
    place = bench.open(clock=clock)
    assert_echoed(bench.submit(texts(10), workspace=place))
    clock.shift, bench.server.manner.shift = slept, timedelta(seconds=slept)
    bench.server.faults["count_tokens"] += [Lost()]
    bench.server.faults["create"] += [Lost(accept=accept)]
    with warnings.catch_warnings(action="ignore"):
        job = bench.submit(texts(10, "more"), workspace=place)
    assert_echoed(job)
    assert bench.server.bought_once()


# A Date that tells nothing, or something wrong


DATES = {
    "missing": lambda _: None,
    "empty": lambda _: "",
    "malformed": lambda _: "Monday, in the morning",
    "huge": lambda _: "9" * 5000,
    "no zone": lambda moment: f"{moment:%d %b %Y %H:%M:%S}",
    "ISO": lambda moment: moment.isoformat(),
    "a day that is none": lambda _: "Mon, 31 Feb 2026 25:61:61 GMT",
    "1970": lambda _: "Thu, 01 Jan 1970 00:00:00 GMT",
    "a day ahead": lambda moment: format_date(moment + timedelta(hours=30)),
    "a year ahead": lambda moment: format_date(moment + timedelta(days=365)),
    "a year behind": lambda moment: format_date(moment - timedelta(days=365)),
    "another zone": lambda moment: moment.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +1400"),
    "random": lambda moment: format_date(moment + timedelta(days=random.Random().randint(-900, 900))),
}


@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
@pytest.mark.parametrize("older", [0, 3])
def test_a_date_that_is_missing_or_wrong_hides_no_batch(bench: Bench, date, older):
    server = bench.server
    for number in range(older):
        server.accept(of_others(2, f"older{number}"), server.now() - timedelta(days=40 * (older - number)))
    server.manner.date = date
    server.faults["create"] += [Lost(), Status(500, accept=True)]
    assert_echoed(bench.submit(texts(20), batch_size=10))
    assert server.bought_once() or older
    assert max(count for text, count in server.asked.items() if text.startswith("Echo")) == 1


TIMES = {
    "missing": None,
    "malformed": "some day",
    "a number": 1_790_000_000,
    "without a zone": "2026-01-01T00:00:00",
    "of long ago": "1999-01-01T00:00:00Z",
    "to come": "2999-01-01T00:00:00Z",
    "at the end of time": "9999-12-31T23:59:59-12:00",
}


@pytest.mark.parametrize("told", TIMES.values(), ids=TIMES)
def test_a_batch_that_says_nothing_readable_of_its_times_is_found(bench: Bench, told):
    server = bench.server
    accept = server.accept

    def accepted(requests):
        made = accept(requests)
        made.lies = dict.fromkeys(("created_at", "expires_at"), told)
        return made

    server.accept = accepted
    server.faults["create"] += [None, Lost()]
    assert_echoed(bench.submit(texts(20), batch_size=10))
    assert server.bought_once()


def test_times_in_another_zone_are_read_as_what_they_are(bench: Bench):
    server = bench.server
    accept = server.accept

    def accepted(requests):
        made = accept(requests)
        there = made.created_at + timedelta(hours=14)
        made.lies = {"created_at": f"{there:%Y-%m-%dT%H:%M:%S}+14:00"}
        return made

    server.accept = accepted
    job = bench.submit(texts(3))
    assert_echoed(job)
    assert abs(job.batches["created_at"][0].timestamp() - datetime.now(UTC).timestamp()) < 60


# Lists


def newest_last(batches: list) -> list:
    return batches[::-1]


def shuffled(batches: list) -> list:
    return random.Random(7).sample(batches, len(batches))


@pytest.mark.parametrize("order", [newest_last, shuffled])
def test_a_list_in_any_order_hides_no_batch(bench: Bench, order):
    server = bench.server
    for number in range(OLD + 100):
        server.accept(of_others(1, f"older{number}"), server.now() - timedelta(days=60, seconds=-number))
    server.manner.listed = Listed(order, page=200)
    server.faults["create"] += [None, Lost()]
    assert_echoed(bench.submit(texts(20), batch_size=10))
    assert len(server.batches) == OLD + 102


def test_one_entry_that_is_too_old_proves_nothing(bench: Bench):
    server = bench.server
    server.faults["create"] += [Lost()]
    old = server.accept(of_others(2), server.now() - timedelta(days=20))
    server.manner.listed = Listed(lambda batches: [old, *(one for one in batches if one is not old)], page=1)
    assert_echoed(bench.submit(texts(10)))
    assert len(server.batches) == 2


def test_a_long_list_in_order_is_not_read_to_its_end(bench: Bench):
    server = bench.server
    for number in range(10 * OLD):
        server.accept(of_others(1, f"older{number}"), server.now() - timedelta(days=60, seconds=-number))
    server.manner.listed = Listed(page=OLD // 2)
    server.faults["create"] += [Lost()]
    assert_echoed(bench.submit(texts(10)))
    assert server.called("GET", "batches?limit") <= 4


@pytest.mark.parametrize("known", [False, True])
def test_old_batches_of_others_are_hardly_read_and_hold_up_nothing(bench: Bench, known):
    """Also where nothing else was sent of late. Some are of the same size, and the results of some are gone."""
    server = bench.server
    if known:
        assert_echoed(bench.submit(texts(5)))
        server.batches[0].created_at -= timedelta(days=5)
    for number in range(150):
        days = 30 + number
        old = server.accept(of_others(10 + number % 2, f"older{number}"), server.now() - timedelta(days=days))
        old.lies = {"archived_at": "2026-01-01T00:00:00Z"}
    for number in range(60):
        server.accept(of_others(11, f"week{number}"), server.now() - timedelta(days=7, hours=number))
    server.manner.listed = Listed(lambda batches: sorted(batches, key=lambda one: one.created_at, reverse=True))
    reads = server.called("GET", "/results")
    server.faults["create"] += [Lost(accept=False)]
    assert_echoed(bench.submit(texts(10, "more")))
    assert server.called("GET", "/results") - reads <= 2
    assert {server.asked[text] for text in server.asked if "more" in text} == {1}


def test_a_list_too_long_to_be_read_tells_nothing(bench: Bench, monkeypatch):
    monkeypatch.setattr(batchnb.protocol.listing, "MOST", 5)
    bench.keep_to(give_up_after=0.05)
    server = bench.server
    for number in range(9):
        server.accept(of_others(1, f"newer{number}"))
    server.manner.listed = Listed(lambda batches: [one for one in batches if len(one.requests) < 10] + batches)
    server.faults["create"] += [Lost()]
    job = bench.submit(texts(10))
    frame = job.result(30)
    assert set(frame["echo_status"]) == {"pending"}
    assert "too long" in frame["echo_error"][0]
    assert len(server.batches) == 10


def test_batches_that_come_while_pages_are_read_hide_none(bench: Bench):
    server = bench.server
    for number in range(30):
        server.accept(of_others(1, f"older{number}"))
    arriving = iter(range(40))

    def arrive() -> None:
        number = next(arriving, None)
        if number is not None:
            server.accept(of_others(3, f"new{number}"))

    server.manner.listed = Listed(page=5, between=arrive)
    server.faults["create"] += [Lost()]
    assert_echoed(bench.submit(texts(10)))
    assert len([one for one in server.batches if len(one.requests) == 10]) == 1


def test_what_a_list_by_places_shifts_over_a_page_is_read_once(bench: Bench):
    """Where pages go by number and not by id, what arrives meanwhile pushes the last of a page onto the next."""
    server = bench.server
    accept = server.accept
    for number in range(12):
        accept(of_others(10, f"older{number}"))
    server.manner.listed = Listed(lambda batches: [one for one in batches for _ in "ab"], page=5)
    server.faults["create"] += [Lost()]
    assert_echoed(bench.submit(texts(10)))
    assert len(server.batches) == 13


# Time that passes


def stepped(bench: Bench, monkeypatch, grace: float = 120.0) -> tuple[Watcher, FakeClock]:
    """Make a job, and a watcher for it whose thread does not run and whose clock is told to go on."""
    clock = FakeClock(datetime.now(UTC).timestamp())
    workspace = bench.open(max_poll=60.0, clock=clock)
    submission = Submission(
        workspace.session.api, workspace.session.ledger, clock, max_requests=100, timing=Timing(grace=grace)
    )
    watcher = Watcher(submission, workspace.session.ledger, clock=clock)
    monkeypatch.setattr(watcher, "_run", lambda: None)
    workspace.session._parts["watcher"] = watcher
    bench.submit(texts(10), workspace=workspace)
    return watcher, clock


def go_on(watcher: Watcher, clock: FakeClock, until) -> float:
    """Step until something holds; return the seconds that took."""
    start = clock.time
    while not until():
        pause = watcher.step()
        assert pause is not None, "the job ended"
        clock.time += max(pause, 0.001)
        assert clock.time - start < 5000
    return clock.time - start


@pytest.mark.parametrize("shift", [-HOUR, -YEAR, DAY, YEAR])
def test_a_clock_that_jumps_neither_shortens_nor_lengthens_the_grace_period(bench: Bench, monkeypatch, shift):
    server = bench.server
    server.ends = False
    server.faults["create"] += [Status(500)]
    watcher, clock = stepped(bench, monkeypatch)
    go_on(watcher, clock, lambda: server.called("GET", "batches?limit"))
    clock.shift = shift
    assert 110 < go_on(watcher, clock, lambda: server.batches) < 300


@pytest.mark.parametrize("shift", [-YEAR, 0.0, YEAR])
def test_a_batch_that_only_a_later_listing_shows_is_found(bench: Bench, monkeypatch, shift):
    server = bench.server
    server.faults["create"] += [Lost()]
    server.manner.listed = Listed(shows=lambda _: server.called("GET", "batches?limit") >= 2)
    watcher, clock = stepped(bench, monkeypatch)
    clock.shift = shift
    while watcher.step() is not None:
        clock.time += 5.0
    assert server.bought_once()
    assert len(server.batches) == 1


@pytest.mark.parametrize("shift", [-HOUR, -YEAR, HOUR, YEAR])
def test_a_clock_that_is_set_in_mid_job_does_not_hold_up_polling(bench: Bench, monkeypatch, shift):
    server = bench.server
    server.ends = False
    watcher, clock = stepped(bench, monkeypatch)
    go_on(watcher, clock, lambda: server.called("GET", "msgbatch") >= 3)
    clock.shift = shift
    assert go_on(watcher, clock, lambda: server.called("GET", "msgbatch") >= 5) < 30


@pytest.mark.parametrize("shift", [-HOUR, -YEAR, HOUR, YEAR])
def test_nor_does_it_hold_up_sending_or_hurry_it(bench: Bench, monkeypatch, shift):
    server = bench.server
    server.always["create"] = Status(429, {"retry-after": "40"})
    watcher, clock = stepped(bench, monkeypatch)
    go_on(watcher, clock, lambda: server.called("POST", "batches") >= 1)
    clock.shift = shift
    assert 30 <= go_on(watcher, clock, lambda: server.called("POST", "batches") >= 2) < 60


@pytest.mark.parametrize("looks", [1, DOUBTS + 1])
@pytest.mark.parametrize("shift", [-HOUR, -YEAR, DAY, YEAR])
def test_a_batch_that_is_not_found_is_doubted_as_long_as_ever(bench: Bench, monkeypatch, shift, looks):
    server = bench.server
    server.always["retrieve"] = Status(404)
    watcher, clock = stepped(bench, monkeypatch)
    go_on(watcher, clock, lambda: server.called("GET", "msgbatch") >= looks)
    clock.shift = shift
    start = clock.time
    while watcher.step() is not None:
        clock.time += 1.0
    assert 550 < clock.time - start < 700
    assert server.bought_once()


@pytest.mark.parametrize("shift", [-HOUR, -YEAR, YEAR])
def test_views_are_told_on_though_the_clock_was_set(bench: Bench, monkeypatch, shift):
    bench.server.ends = False
    watcher, clock = stepped(bench, monkeypatch)
    told: list[float] = []
    watcher.subscribe(None, lambda: told.append(clock.time))
    go_on(watcher, clock, lambda: len(told) >= 3)
    clock.shift = shift
    assert go_on(watcher, clock, lambda: len(told) >= 6) < 10


def settled_at_the_second_visit(bench: Bench, *, later: float, shift: float, date_jump: float = 0.0) -> bool:
    """Visit an uncertain batch that was never made twice, as ``collect`` does; tell whether it was sent again.

    The second visit is a process of its own, `later` seconds after the first, its wall clock shifted.
    """
    server = bench.server
    server.faults["create"] += [Status(500)]
    server.ends = False
    start = datetime.now(UTC).timestamp()
    clock = FakeClock(start)
    first = bench.open(clock=clock)
    submission = Submission(
        first.session.api, first.session.ledger, clock, max_requests=100, timing=Timing(max_poll=0.01)
    )
    watcher = Watcher(submission, first.session.ledger, clock=clock)
    watcher._run = lambda: None  # type: ignore[method-assign]
    first.session._parts["watcher"] = watcher
    job = bench.submit(texts(10), workspace=first)
    for _ in range(4):
        watcher.step()
        clock.time += 0.5
    first.close()
    server.manner.shift = timedelta(seconds=later + date_jump)
    clock = FakeClock(start + later, shift)
    second = bench.open(clock=clock)
    submission = Submission(
        second.session.api, second.session.ledger, clock, max_requests=100, timing=Timing(max_poll=0.01)
    )
    watcher = Watcher(submission, second.session.ledger, clock=clock)
    watcher._run = lambda: None  # type: ignore[method-assign]
    second.session._parts["watcher"] = watcher
    second.session.watch(second.session.ledger.jobs.get(job.id).number)
    for _ in range(8):
        watcher.step()
        clock.time += 0.5
    return bool(server.batches)


@pytest.mark.parametrize("shift", [0.0, -HOUR, -YEAR, DAY, YEAR])
def test_across_processes_the_grace_period_goes_by_the_servers_time(bench: Bench, shift):
    assert settled_at_the_second_visit(bench, later=300.0, shift=shift)


@pytest.mark.parametrize("shift", [-HOUR, 0.0, DAY, YEAR])
def test_a_clock_set_ahead_between_two_processes_does_not_end_it(bench: Bench, shift):
    assert not settled_at_the_second_visit(bench, later=20.0, shift=shift)


def test_nor_does_a_date_that_jumps_where_this_machine_says_that_less_has_passed(bench: Bench):
    assert not settled_at_the_second_visit(bench, later=20.0, shift=0.0, date_jump=DAY)
