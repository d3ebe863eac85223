"""What was given up is looked at again; what is about to lapse is said; a server that miscounts hides nothing."""

from __future__ import annotations

import time

import pytest
from bench import Bench, assert_echoed, outcomes, texts
from independent import Lost, Spoiled, Status

import batchnb
from batchnb.errors import ResultTimeoutError
from batchnb.jobs.status import deadline
from batchnb.ledger.read_batches import BatchRecord

pytest_plugins = ["bench_fixtures"]

HOUR, DAY = 3600.0, 86_400.0
NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC


@pytest.fixture
def impatient(bench: Bench) -> Bench:
    """A bench that gives a batch up when it is not found for the first time."""
    bench.keep_to(give_up_after=0.0)
    return bench


def give_up(bench: Bench, count: int = 10, **options: object) -> batchnb.Job:
    """Have all batches of a job given up, as with the key of another workspace, which knows none of them."""
    bench.server.ends = False
    bench.server.always["retrieve"] = Status(404)
    job = bench.submit(texts(count), **options)
    assert outcomes(job.result(30)) == {"pending": count}
    bench.server.ends = True
    bench.server.end()
    return job


# One more look


def test_a_batch_given_up_under_a_wrong_key_completes_when_the_cell_is_run_again(impatient: Bench):
    job = give_up(impatient, 20, batch_size=10)
    assert set(impatient.batch_states(job)) == {"lost"}
    assert "cannot be read" in job.snapshot().note
    impatient.server.always.clear()
    assert_echoed(impatient.submit(texts(20), batch_size=10))
    assert job.snapshot().note is None
    assert impatient.server.bought_once()


def test_attaching_the_job_takes_the_look_too(impatient: Bench):
    job = give_up(impatient)
    impatient.server.always.clear()
    place = impatient.open()
    frame = batchnb.attach(job.id, progress=False, workspace=place).result(30)
    assert frame["echo"].tolist() == texts(10)
    assert impatient.server.bought_once()


def test_another_job_that_asks_the_same_takes_the_look_too(impatient: Bench):
    job = give_up(impatient)
    impatient.server.always.clear()
    assert_echoed(impatient.submit(texts(12)))
    assert outcomes(job.result(30)) == {"succeeded": 10}
    assert impatient.server.bought_once()


def test_what_is_still_not_there_is_given_up_again_at_once(impatient: Bench):
    give_up(impatient)
    impatient.keep_to(give_up_after=600.0)
    for _ in range(2):
        checks = impatient.server.called("GET", "msgbatch")
        job = impatient.submit(texts(10))
        assert outcomes(job.result(30)) == {"pending": 10}
        assert impatient.server.called("GET", "msgbatch") == checks + 1
    assert impatient.server.bought_once()


def test_a_look_that_fails_otherwise_is_repeated(impatient: Bench):
    give_up(impatient)
    impatient.keep_to(give_up_after=600.0)
    impatient.server.always.clear()
    impatient.server.faults["retrieve"] += [Status(500), Status(429), Lost()]
    assert_echoed(impatient.submit(texts(10)))
    assert impatient.server.bought_once()


def test_once_it_was_seen_again_a_batch_is_doubted_as_long_as_any_other(impatient: Bench):
    give_up(impatient)
    impatient.keep_to(give_up_after=600.0)
    impatient.server.always.clear()
    impatient.server.faults["retrieve"] += [None, Status(404), Status(404)]
    batch = impatient.server.batches[0]
    batch.status = "in_progress"
    job = impatient.submit(texts(10))
    impatient.server.wait_for(lambda: not impatient.server.faults["retrieve"])
    impatient.server.end()
    assert_echoed(job)


def test_a_decision_ends_the_look(impatient: Bench):
    """A script that attaches a job and decides must not be told that there is nothing to decide."""
    job = give_up(impatient)
    impatient.server.always["retrieve"] = Status(500)
    impatient.keep_to(give_up_after=600.0)
    place = impatient.open()
    again = batchnb.attach(job.id, progress=False, workspace=place)
    assert again.resolve("drop") == 10
    assert again.wait(30)
    assert again.counts == {"missing": 10}
    assert impatient.server.bought_once()


def test_a_decision_to_send_during_the_look_sends_once(impatient: Bench):
    job = give_up(impatient)
    impatient.keep_to(give_up_after=600.0)
    impatient.server.always["retrieve"] = Status(500)
    again = batchnb.attach(job.id, progress=False, workspace=impatient.open())
    assert again.resolve("send") == 10
    impatient.server.always.clear()
    assert again.wait(30)
    assert again.counts == {"succeeded": 10}
    assert set(impatient.server.asked.values()) == {2}  # as was decided
    assert again.resolve("send") == 0


def test_nothing_is_to_be_decided_of_a_batch_that_is_well(bench: Bench):
    bench.server.ends = False
    job = bench.submit(texts(10))
    bench.server.wait_for(lambda: bench.server.called("GET", "msgbatch"))
    assert job.resolve("send") == 0
    assert job.resolve("drop") == 0
    bench.server.end()
    assert_echoed(job)
    assert bench.server.bought_once()


def test_where_listing_was_refused_the_look_settles_it(impatient: Bench):
    server = impatient.server
    server.faults["create"] += [Lost()]
    server.always["list"] = Status(403)
    assert outcomes(impatient.submit(texts(10)).result(30)) == {"pending": 10}
    listings = server.called("GET", "batches?limit")
    assert outcomes(impatient.submit(texts(10)).result(30)) == {"pending": 10}
    assert server.called("GET", "batches?limit") == listings + 1
    server.always.clear()
    assert_echoed(impatient.submit(texts(10)))
    assert server.bought_once()


def test_a_candidate_that_vanished_stays_given_up_until_somebody_decides(bench: Bench):
    server = bench.server
    server.ends = False
    server.faults["create"] += [Lost()]
    job = bench.submit(texts(10))
    server.wait_for(lambda: server.called("GET", "batches?limit") >= 3)
    server.vanish(server.batches[0])
    assert outcomes(job.result(30)) == {"pending": 10}
    calls = server.count_calls()
    assert outcomes(bench.submit(texts(10)).result(30)) == {"pending": 10}
    assert outcomes(bench.workspace.attach(job.id).result(30)) == {"pending": 10}
    assert server.count_calls() == calls
    server.ends = True
    assert job.resolve("send") == 10
    assert_echoed(job)


def test_results_that_broke_off_for_good_are_read_on_when_the_cell_is_run_again(impatient: Bench):
    impatient.server.always["results"] = Spoiled(cut=0.52)
    frame = impatient.submit(texts(20)).result(30)
    assert 0 < outcomes(frame)["pending"] < 20
    impatient.server.always.clear()
    assert_echoed(impatient.submit(texts(20)))
    assert impatient.server.bought_once()


# What is about to lapse


def batch(state: str = "in_progress", *, created: float | None = 0.0, expires: float | None = 24 * HOUR) -> BatchRecord:
    """Make a batch, its times in seconds from NOW."""
    return BatchRecord(
        id=1, server_id="msgbatch_1", state=state, owner="me", requests=5, bytes=100, intended_at=NOW,
        failed_at=None, created_at=None if created is None else NOW + created,
        expires_at=None if expires is None else NOW + expires, ended_at=None, checked_at=None, processing=5,
        succeeded=0, errored=0, canceled=0, expired=0, cancel_asked=0, note=None, given_up=0, standard=0,
    )  # fmt: skip


EXPIRES = "Batch msgbatch_1 expires at {} UTC: rows that are not answered by then come back as expired."
LAPSES = "The server keeps the results of batch msgbatch_1 until {}, and they are not all here yet: attach the job, or"
LAPSED = "The server keeps the results of batch msgbatch_1 until {}: it is too late to read what is missing here."

DEADLINES = {
    "new": (batch(), None),
    "in two hours": (batch(expires=2 * HOUR), None),
    "in less": (batch(expires=2 * HOUR - 1), EXPIRES.format("09:59")),
    "canceling": (batch("canceling", expires=60.0), EXPIRES.format("08:01")),
    "just now": (batch(expires=0.0), None),
    "past": (batch(expires=-HOUR), None),
    "unknown expiry": (batch(expires=None), None),
    "ended": (batch("ended", expires=HOUR), None),
    "collected": (batch("collected", created=-28 * DAY, expires=HOUR), None),
    "uncertain": (batch("uncertain", created=None, expires=None), None),
    "submitting": (batch("submitting", created=-28 * DAY), None),
    "lost without an id": (batch("lost", created=None, expires=None), None),
    "26 days old": (batch("ended", created=-26 * DAY, expires=-25 * DAY), None),
    "older": (batch("ended", created=-26 * DAY - 1, expires=-25 * DAY), LAPSES.format("2027-01-18")),
    "lost": (batch("lost", created=-28 * DAY, expires=-27 * DAY), LAPSES.format("2027-01-16")),
    "not looked at": (batch(created=-28 * DAY, expires=-27 * DAY), LAPSES.format("2027-01-16")),
    "29 days": (batch("ended", created=-29 * DAY, expires=-28 * DAY), LAPSED.format("2027-01-15")),
    "lost for good": (batch("lost", created=-40 * DAY, expires=-39 * DAY), LAPSED.format("2027-01-04")),
    "unknown creation": (batch("ended", created=None, expires=HOUR), None),
}


@pytest.mark.parametrize(("record", "said"), DEADLINES.values(), ids=DEADLINES)
def test_a_deadline_is_said_when_it_is_near(record, said):
    found = deadline(record, NOW)
    assert found == said if found is None or said is None else found.startswith(said)


def test_a_deadline_is_shown_with_the_job_and_in_the_table(bench: Bench):
    server = bench.server
    server.ends = False
    accept = server.accept
    server.accept = lambda requests: _soon_expired(accept(requests))
    job = bench.submit(texts(5))
    server.wait_for(lambda: server.called("GET", "msgbatch") >= 3)
    assert "come back as expired" in job.snapshot().note
    assert "come back as expired" in bench.workspace.jobs().to_frame()["note"][0]
    server.end()
    assert_echoed(job)
    assert job.snapshot().note is None
    assert bench.workspace.jobs().to_frame()["note"].isna().all()


def _soon_expired(batch):
    moment = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + HOUR))
    batch.lies = {"expires_at": moment}
    return batch


# A server that miscounts


COUNTS = {"processing": 0, "succeeded": 11, "errored": 0, "canceled": 0, "expired": 0}


@pytest.mark.parametrize("counts", [COUNTS, {}, COUNTS | {"succeeded": 3}], ids=["more", "none", "fewer"])
def test_a_lost_batch_that_the_listing_miscounts_is_recognised_all_the_same(bench: Bench, counts):
    server = bench.server
    accept = server.accept

    def miscounted(requests):
        made = accept(requests)
        made.lies = {"request_counts": counts}
        return made

    server.accept = miscounted
    server.faults["create"] += [Lost()]
    assert_echoed(bench.submit(texts(10)))
    assert server.bought_once()


def test_batches_of_others_of_other_sizes_do_not_keep_a_batch_from_being_sent(bench: Bench):
    server = bench.server
    ask = {"model": "m", "messages": [{"role": "user", "content": "theirs"}]}
    for size in (3, 20, 2_000):
        server.accept([{"custom_id": f"theirs-{i}", "params": ask} for i in range(size)])
    server.faults["create"] += [Lost(accept=False)]
    assert_echoed(bench.submit(texts(10)))
    assert len(server.batches) == 4
    assert server.called("GET", "/results") == 4  # each of theirs once, and ours


def test_a_batch_of_another_ledger_that_asked_some_of_the_same_does_not_either(bench: Bench):
    """Such as one's own of another computer: it holds rows that are not in ours, and its size is another."""
    other = bench.open(home=bench.home.parent / "other")
    assert_echoed(bench.submit([*texts(5), *texts(7, "other")], workspace=other))
    bench.server.faults["create"] += [Lost(accept=False)]
    assert_echoed(bench.submit(texts(10)))
    assert len(bench.server.batches) == 2


def test_a_miscounted_batch_that_cannot_be_read_is_waited_for(bench: Bench):
    server = bench.server
    server.always["results"] = Status(500)
    accept = server.accept

    def miscounted(requests):
        made = accept(requests)
        made.lies = {"request_counts": COUNTS}
        return made

    server.accept = miscounted
    server.faults["create"] += [Lost()]
    job = bench.submit(texts(10))
    server.wait_for(lambda: server.called("GET", "/results") >= 4)
    with pytest.raises(ResultTimeoutError):
        job.result(0.05)
    server.always.clear()
    assert_echoed(job)
    assert server.bought_once()
