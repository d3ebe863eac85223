"""A ledger that was copied while work was open: both halves know the same rows, and only one may send them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from bench import Bench, assert_echoed, outcomes, texts
from independent import Held, Lost, Status, errored, succeeded, text_of

import batchnb.ledger.copied
from batchnb import Workspace

pytest_plugins = ["bench_fixtures"]
pytestmark = pytest.mark.steady


def copied(bench: Bench, name: str = "copy") -> Workspace:
    """Copy the home, as a person would: by another process."""
    target = bench.home.parent / name
    subprocess.run([sys.executable, "-c", "import shutil, sys; shutil.copytree(*sys.argv[1:])", bench.home, target])
    return bench.open(home=target)


def opened(place: Workspace, requests: int) -> Workspace:
    """Open a copied ledger, which must say how many requests wait."""
    with pytest.warns(UserWarning, match=rf"{requests} requests wait for a decision.*is a copy, or was restored"):
        assert place.session.ledger.held_back == requests
    return place


def has_sent(place: Workspace) -> bool:
    """Tell whether a copy has tried to send anything."""
    ledger = place.session.ledger
    return any(batch.owner == ledger.owner.name for batch in ledger.batches.select("WHERE 1"))


def assert_waiting(bench: Bench, place: Workspace, rows: int, answered: int = 0) -> None:
    """Run the cell on the copy: rows must wait, with the reason, and nothing be sent."""
    job = bench.submit(texts(rows), workspace=place)
    frame = job.result(30)
    assert outcomes(frame) == {"pending": rows - answered} | ({"succeeded": answered} if answered else {})
    reasons = set(frame["echo_error"].dropna())
    assert len(reasons) == 1
    assert "is a copy, or was restored from a backup" in reasons.pop()
    assert job.errors()["type"].tolist() == ["lost"] * (rows - answered)
    assert "batchnb.recover()" in job.snapshot().note
    assert "batchnb.recover()" in place.jobs().to_frame()["note"][0]
    assert not has_sent(place)


@pytest.fixture
def unsent(bench: Bench) -> Bench:
    """A bench whose job has one batch made, and two that wait to be sent."""
    bench.server.faults["create"] += [None]
    bench.server.always["create"] = Status(429)
    bench.submit(texts(30), batch_size=10)
    bench.server.wait_for(
        lambda: bench.server.called("POST", "batches") >= 4 and bench.workspace.jobs().to_frame()["succeeded"][0]
    )
    return bench


def go_on(bench: Bench) -> None:
    """Let the original finish, which must be untouched by its copies."""
    bench.server.always.clear()
    bench.server.ends = True
    bench.server.end()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_echoed(bench.submit(texts(30), batch_size=10))


# What waits, and what becomes of it


def test_rows_that_wait_to_be_sent_are_sent_by_the_original_only(unsent: Bench):
    place = opened(copied(unsent), 20)
    assert_waiting(unsent, place, 30, answered=10)
    go_on(unsent)
    assert unsent.server.bought_once()
    assert_waiting(unsent, place, 30, answered=10)
    assert unsent.server.bought_once()


def test_they_are_sent_from_the_copy_when_that_is_decided_and_once(unsent: Bench):
    place = opened(copied(unsent), 20)
    unsent.workspace.close()  # the original goes on no more
    unsent.server.always.clear()
    job = unsent.submit(texts(30), batch_size=10, workspace=place)
    assert job.resolve("send") == 20
    assert_echoed(job)
    assert job.resolve("send") == 0
    assert unsent.server.bought_once()


def test_they_are_given_up_when_that_is_decided(unsent: Bench):
    place = opened(copied(unsent), 20)
    job = unsent.submit(texts(30), workspace=place)
    assert job.resolve("drop") == 20
    assert outcomes(job.result(30)) == {"succeeded": 10, "missing": 20}
    go_on(unsent)
    assert unsent.server.bought_once()


def test_what_the_original_has_got_meanwhile_is_taken_back_into_the_copy(unsent: Bench):
    place = opened(copied(unsent), 20)
    go_on(unsent)
    assert place.recover()["recovered"].tolist() == [10, 10]
    job = unsent.submit(texts(30), workspace=place)
    assert_echoed(job)
    assert job.resolve("send") == 0
    assert unsent.server.bought_once()


def test_what_is_not_answered_yet_goes_on_waiting_after_a_recovery(unsent: Bench):
    place = opened(copied(unsent), 20)
    failing = {"Echo: text 25": errored("invalid_request_error")}
    unsent.server.result = lambda params: failing.get(text_of(params)) or succeeded(params)
    unsent.server.always.clear()
    assert outcomes(unsent.submit(texts(30)).result(30))["errored"] == 1
    place.recover()
    assert_waiting(unsent, place, 30, answered=29)


def test_a_job_that_shares_rows_that_wait_waits_for_them_too(unsent: Bench):
    place = opened(copied(unsent), 20)
    unsent.server.always.clear()
    frame = unsent.submit([*texts(30), "new"], workspace=place).result(30)
    assert outcomes(frame) == {"succeeded": 11, "pending": 20}
    go_on(unsent)
    assert unsent.server.bought_once()


def test_several_open_jobs_wait_each_for_its_own(unsent: Bench):
    unsent.submit(texts(10, "more"))
    place = opened(copied(unsent), 30)
    assert_waiting(unsent, place, 30, answered=10)
    assert outcomes(unsent.submit(texts(10, "more"), workspace=place).result(30)) == {"pending": 10}


def test_a_copy_says_so_once_and_a_copy_of_it_again(unsent: Bench):
    place = opened(copied(unsent), 20)
    place.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = unsent.open(home=place.home)
        assert again.session.ledger.held_back == 0
    assert_waiting(unsent, again, 30, answered=10)


@pytest.mark.parametrize("accept", [True, False])
def test_a_batch_that_is_being_sent_waits_in_the_copy(bench: Bench, accept):
    fault = Held(accept=accept)
    bench.server.faults["create"] += [fault]
    bench.submit(texts(30), batch_size=30)
    bench.server.wait_for(fault.reached.is_set)
    place = opened(copied(bench), 30)
    assert_waiting(bench, place, 30)
    fault.let_go.set()
    go_on(bench)
    assert bench.server.bought_once()
    assert place.recover()["recovered"].tolist() == [len(batch.requests) for batch in reversed(bench.server.batches)]
    assert_echoed(bench.submit(texts(30), workspace=place))
    assert bench.server.bought_once()


def test_a_batch_whose_answer_was_lost_waits_in_the_copy(bench: Bench):
    server = bench.server
    server.faults["create"] += [Lost()]
    server.always["list"] = Status(500)
    bench.submit(texts(30), batch_size=30)
    server.wait_for(lambda: server.called("GET", "batches?limit"))
    place = opened(copied(bench), 30)
    assert_waiting(bench, place, 30)
    go_on(bench)
    assert server.bought_once()


# What does not wait


def test_batches_in_progress_are_followed_by_both(bench: Bench):
    bench.server.ends = False
    bench.submit(texts(30), batch_size=10)
    bench.server.wait_for(lambda: bench.server.called("GET", "msgbatch") >= 3 and len(bench.server.batches) == 3)
    place = copied(bench)
    assert place.session.ledger.held_back == 0
    job = bench.submit(texts(30), workspace=place, batch_size=10)
    go_on(bench)
    assert_echoed(job)
    assert bench.server.bought_once()


def test_open_jobs_of_a_copy_ask_nothing_again_by_themselves(bench: Bench):
    bench.server.ends = False
    failing = {"Echo: text 3": errored("overloaded_error")}
    bench.server.result = lambda params: failing.get(text_of(params)) or succeeded(params)
    bench.submit(texts(30), batch_size=30)
    bench.server.wait_for(lambda: bench.server.called("GET", "msgbatch") >= 2)
    place = copied(bench)
    job = place.attach(place.jobs().to_frame()["id"][0])
    bench.server.end()
    assert job.wait(30)
    assert job.counts == {"succeeded": 29, "errored": 1}
    assert not has_sent(place)
    failing.clear()
    go_on(bench)
    assert bench.server.asked["Echo: text 3"] == 2  # by the original


def test_a_finished_ledger_is_copied_without_a_question(bench: Bench):
    go_on(bench)
    place = copied(bench)
    assert place.session.ledger.held_back == 0
    calls = bench.server.count_calls()
    assert_echoed(bench.submit(texts(30), workspace=place))
    assert bench.server.count_calls() == calls


def test_a_ledger_that_was_moved_goes_on_without_a_question(unsent: Bench):
    unsent.workspace.close()
    moved = unsent.home.parent / "moved"
    unsent.home.rename(moved)
    place = unsent.open(home=moved)
    unsent.server.always.clear()
    assert_echoed(unsent.submit(texts(30), workspace=place))
    assert unsent.server.bought_once()


def test_a_backup_put_in_the_place_of_the_ledger_is_a_copy_too(unsent: Bench):
    unsent.workspace.close()
    backup = unsent.home.parent / "backup"
    shutil.copytree(unsent.home, backup)
    place = unsent.open()
    unsent.server.always.clear()
    assert_echoed(unsent.submit(texts(30), workspace=place))
    place.close()
    if batchnb.ledger.copied._generation(unsent.home):
        shutil.rmtree(unsent.home)  # the number of its file may be given to the backup's
    else:
        unsent.home.rename(unsent.home.parent / "away")
    shutil.copytree(backup, unsent.home)
    place = opened(unsent.open(), 20)
    assert_waiting(unsent, place, 30, answered=10)
    assert unsent.server.bought_once()


def test_two_files_are_told_apart_by_what_is_known_of_both():
    assert batchnb.ledger.copied._differ("1 aa", "2 aa")
    assert batchnb.ledger.copied._differ("1 aa", "1 bb")
    assert not batchnb.ledger.copied._differ("1 aa", "1 aa")
    assert not batchnb.ledger.copied._differ("1 ", "1 bb")
    assert not batchnb.ledger.copied._differ("1 aa", "1 ")


def test_a_disk_without_numbers_and_a_newer_python_make_no_copies():
    assert not batchnb.ledger.copied._differ("0 ", "0 "), "some shares have none"
    assert not batchnb.ledger.copied._differ("0 ", "7 ")
    assert not batchnb.ledger.copied._differ("7 ", "0 ")
    assert not batchnb.ledger.copied._differ("7 ", f"{(5 << 64) + 7} "), (
        "Python 3.12 gives all 128 bits of those of ReFS"
    )


def test_a_file_that_a_program_has_put_there_anew_goes_on_when_somebody_says_so(unsent: Bench):
    """As programs do that keep folders alike: the number differs, and there is no other half."""
    unsent.workspace.close()
    (path,) = (unsent.home / "ledgers").glob("*.sqlite")
    content = path.read_bytes()
    path.rename(path.with_name("held"))  # so that its number is not given again
    path.write_bytes(content)
    place = opened(unsent.open(), 20)
    unsent.server.always.clear()
    assert_waiting(unsent, place, 30, answered=10)
    place.recover()
    job = place.attach(place.jobs().to_frame()["id"][0])
    assert job.resolve("send") == 20
    assert_echoed(unsent.submit(texts(30), batch_size=10, workspace=place))
    assert unsent.server.bought_once()


def test_where_warnings_are_errors_nothing_stays_open_and_the_rows_wait_all_the_same(unsent: Bench):
    place = copied(unsent)
    claimed = set((place.home / "owners").iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="wait for a decision"):
            place.session.ledger  # noqa: B018
    assert set((place.home / "owners").iterdir()) == claimed
    ledgers = {path.suffix for path in Path(place.home / "ledgers").iterdir()}
    assert ledgers == {".sqlite"}, "the file was not closed"
    assert_waiting(unsent, place, 30, answered=10)
