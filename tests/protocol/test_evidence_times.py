"""What the server does in time is told by its own time: expiry, how long results are kept, how old answers are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bench import KEY, Bench, assert_echoed, outcomes, texts
from hostility import format_date
from independent import Status
from simulation import ShiftedClock

import batchnb
from batchnb.api.heard import Heard, Place
from batchnb.costs.cache import PATIENCE, Sending, readiness
from batchnb.errors import BatchnbError
from batchnb.system.clock import Moment

pytestmark = pytest.mark.steady

pytest_plugins = ["bench_fixtures"]

HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0


class Wall(ShiftedClock):
    """A wall clock that is wrong; the other goes on as ever."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def elapsed(self) -> float:
        return super().elapsed() - self.shift


# What answers tell


def heard(**headers: str) -> Heard:
    return Heard().followed_by({name.replace("_", "-"): text for name, text in headers.items()}, 100.0)


def test_the_servers_time_goes_on_with_the_clock_that_is_never_set():
    told = heard(date="Mon, 30 Nov 2026 12:00:00 GMT")
    assert told.at == 1_796_040_000.0
    assert told.now(160.0) == told.at + 60
    assert told.now(90.0) == told.at
    assert Heard().now(5.0) is None


@pytest.mark.parametrize("date", ["", "x", "Mon", "Mon, 99 Nov 2026 12:00:00 GMT", "1" * 99, "Mon, 30 Nov 99999 1:1:1"])
def test_a_date_that_cannot_be_read_leaves_what_was_told_before(date):
    before = heard(date="Mon, 30 Nov 2026 12:00:00 GMT")
    after = before.followed_by({"date": date}, 150.0)
    assert (after.at, after.elapsed, after.answers) == (before.at, before.elapsed, 2)


def test_a_place_stays_until_another_is_told():
    told = heard(anthropic_organization_id="o1", anthropic_workspace_id="w1")
    assert told.place == Place("o1", "w1")
    assert told.followed_by({}, 0.0).place == Place("o1", "w1")
    assert told.followed_by({"anthropic-workspace-id": "w2"}, 0.0).place == Place(None, "w2")
    assert told.followed_by({"anthropic-organization-id": "o2"}, 0.0).place == Place("o2", None)


def test_places_differ_only_where_that_is_known():
    assert Place("o", "w").differs_from(Place("o", "v"))
    assert Place("o", "w").differs_from(Place("p", None))
    assert not Place("o", None).differs_from(Place("o", "v"))
    assert not Place().differs_from(Place("o", "w"))
    assert Place(None, "w").is_surely(Place("o", "w"))
    assert not Place("o", "w").is_surely(Place("p", "w"))
    assert not Place("o").is_surely(Place("o"))


def test_at_the_server_it_is_what_the_server_says_or_what_its_skew_gives_and_else_unknown():
    assert Moment(100.0, 50.0).at_server(7.0) == 50.0
    assert Moment(100.0).at_server(7.0) == 107.0
    assert Moment(100.0).at_server(None) is None
    assert Moment(100.0).at_server(0.0) == 100.0


# Deadlines


@pytest.mark.parametrize("shift", [YEAR, -YEAR, 23 * HOUR, 28 * DAY])
def test_a_clock_that_is_off_makes_no_live_batch_expire(bench: Bench, shift):
    bench.server.ends = False
    place = bench.open(clock=Wall(shift))
    job = bench.submit(texts(5), workspace=place)
    bench.server.wait_for(lambda: bench.server.called("GET", "msgbatch") >= 2)
    snapshot = job.snapshot()
    assert snapshot.note is None
    assert snapshot.expires_in is not None
    assert 23.9 * HOUR < snapshot.expires_in < 24.1 * HOUR
    assert place.jobs().to_frame()["note"].isna().all()
    bench.server.end()
    assert_echoed(job)


@pytest.mark.parametrize("shift", [YEAR, -YEAR, 0.0])
def test_a_batch_that_is_about_to_expire_is_told_whatever_the_clock(bench: Bench, shift):
    server = bench.server
    server.ends = False
    accept = server.accept
    server.accept = lambda requests: accept(requests, server.now() - timedelta(hours=23))
    job = bench.submit(texts(5), workspace=bench.open(clock=Wall(shift)))
    server.wait_for(lambda: server.called("GET", "msgbatch") >= 2)
    assert "come back as expired" in str(job.snapshot().note)
    server.end()
    assert_echoed(job)


@pytest.mark.parametrize(("before", "after"), [(YEAR, YEAR), (-YEAR, -YEAR), (0.0, 0.0)])
def test_a_process_that_has_heard_nothing_goes_by_the_skew_that_was_kept(bench: Bench, before, after):
    bench.server.ends = False
    first = bench.open(clock=Wall(before))
    bench.submit(texts(5), workspace=first)
    bench.server.wait_for(lambda: bench.server.called("GET", "msgbatch") >= 2)
    first.close()
    second = bench.open(clock=Wall(after))
    assert second.jobs().to_frame()["note"].isna().all()
    assert second.session.now().server is None
    second.session.clock.shift += 23 * HOUR
    assert "come back as expired" in second.jobs().to_frame()["note"][0]
    bench.server.end()


# How long a job has been going on


@pytest.mark.parametrize("shift", [-HOUR, HOUR, DAY, YEAR, -YEAR])
def test_a_clock_that_is_set_in_mid_job_makes_it_neither_older_nor_younger(bench: Bench, shift):
    bench.server.ends = False
    clock = Wall()
    job = bench.submit(texts(5), workspace=bench.open(clock=clock))
    bench.server.wait_for(lambda: bench.server.called("GET", "msgbatch") >= 2)
    clock.shift = shift
    assert 0 <= job.snapshot().elapsed < 60
    bench.server.end()
    assert_echoed(job)


# Recovering


@pytest.mark.parametrize("shift", [YEAR, -YEAR, 30 * DAY])
def test_recover_finds_what_the_server_keeps_whatever_the_clock(bench: Bench, shift):
    assert_echoed(bench.submit(texts(10)))
    place = bench.open(home=bench.home.parent / "new", clock=Wall(shift))
    assert place.recover()["recovered"].tolist() == [10]
    calls = bench.server.called("POST", "batches")
    assert_echoed(bench.submit(texts(10), workspace=place))
    assert bench.server.called("POST", "batches") == calls


@pytest.mark.parametrize("date", [lambda _: None, lambda now: format_date(now + timedelta(days=400))])
def test_recover_finds_it_too_where_the_servers_date_tells_nothing_or_lies(bench: Bench, date):
    assert_echoed(bench.submit(texts(10)))
    bench.server.manner.date = date
    place = bench.open(home=bench.home.parent / "new")
    assert place.recover()["recovered"].tolist() == [10]


def test_recover_reads_no_batch_whose_results_are_gone_by_the_servers_time(bench: Bench):
    server = bench.server
    job = bench.submit(texts(10))
    assert_echoed(job)
    server.batches[0].created_at -= timedelta(days=30)
    server.accept([{"custom_id": "theirs", "params": server.batches[0].requests[0]["params"]}])
    reads = server.called("GET", "/results")
    assert bench.open(home=bench.home.parent / "new", clock=Wall(-YEAR)).recover().empty
    assert server.called("GET", "/results") == reads + 1  # of the new one, which is somebody else's


# Pruning


@pytest.mark.parametrize(("then", "now"), [(0.0, YEAR), (-YEAR, 0.0), (-YEAR, YEAR), (YEAR, 0.0), (0.0, -YEAR)])
@pytest.mark.parametrize("listens", [False, True])
def test_a_clock_that_is_off_makes_no_fresh_answer_old(bench: Bench, then, now, listens):
    first = bench.open(clock=Wall(then))
    assert_echoed(bench.submit(texts(5), workspace=first))
    first.close()
    second = bench.open(clock=Wall(now))
    if listens:
        second.session.api.listen()
    assert batchnb.prune("90d", workspace=second).empty
    assert len(second.jobs()) == 1
    assert_echoed(bench.submit(texts(5), workspace=second))
    assert bench.server.bought_once()


def test_what_is_old_by_both_clocks_goes(bench: Bench):
    first = bench.open()
    assert_echoed(bench.submit(texts(5), workspace=first))
    first.close()
    bench.server.manner.shift = timedelta(days=100)
    assert len(batchnb.prune("90d", workspace=bench.open(clock=Wall(100 * DAY)))) == 1


def test_where_the_server_is_out_of_reach_and_all_would_go_nothing_does(bench: Bench):
    assert_echoed(bench.submit(texts(5)))
    bench.workspace.close()
    place = bench.open(clock=Wall(YEAR), url="http://127.0.0.1:9")
    with pytest.raises(BatchnbError, match=r"Nothing was removed.*dry_run=True"):
        batchnb.prune("90d", workspace=place)
    assert len(batchnb.prune("90d", workspace=place, dry_run=True)) == 1
    assert len(place.jobs()) == 1


def test_an_error_tells_the_time_too(bench: Bench):
    assert_echoed(bench.submit(texts(5)))
    place = bench.open(clock=Wall(YEAR))
    bench.server.always = dict.fromkeys(("list", "retrieve"), Status(500))
    place.session.api.listen()  # there is no such endpoint: the answer is a 404
    assert abs(place.session.now().server - bench.server.now().timestamp()) < 5
    assert batchnb.prune("90d", workspace=place).empty


# The cache


def test_a_first_batch_that_is_yet_to_be_sent_by_the_clock_is_not_waited_for():
    sent = Sending("in_progress", 1, "5m", intended_at=5_000.0, took=None, checked_at=None)
    assert readiness([sent], 5_010.0) == 5_000.0 + PATIENCE
    assert readiness([sent], 5_000.0 - HOUR) == "warm"
    assert readiness([sent], 5_000.0 + PATIENCE) == "warm"


# The clock is passed in


def test_a_workspace_hands_its_clock_to_all_it_makes(bench: Bench):
    clock = Wall(-YEAR)
    place = bench.open(clock=clock)
    job = bench.submit(texts(3), workspace=place)
    assert_echoed(job)
    assert outcomes(job.to_frame()) == {"succeeded": 3}
    record = place.session.ledger.batches.of_job(job._number)[0]
    assert record.intended_at < record.created_at - 0.9 * YEAR
    assert record.skew == pytest.approx(YEAR, abs=10)
    assert record.server_at == pytest.approx(record.created_at, abs=10)
    assert KEY not in str(record)
