"""A ledger that was lost: what the server still knows is taken back, and the same cell buys nothing twice."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from bench import Bench, assert_echoed, outcomes, texts
from independent import Batch, Held, Lost, Spoiled, Status, errored, message, succeeded, text_of

import batchnb
import batchnb.protocol.recovery
from batchnb.errors import CredentialsError, RefusedError

pytest_plugins = ["bench_fixtures"]


def lose_ledger(bench: Bench, rows: list[str], **options: Any) -> None:
    """Send rows from another home, and leave that."""
    number = sum(1 for path in bench.home.parent.glob("lost-*"))
    place = bench.open(home=bench.home.parent / f"lost-{number}")
    job = bench.submit(rows, workspace=place, **options)
    if bench.server.ends:
        job.result(30)
    else:
        wanted = len(set(rows))
        bench.server.wait_for(lambda: set(bench.server.asked) >= {f"Echo: {row}" for row in rows} or wanted == 0)
    place.close()


def of_others(bench: Bench, count: int, name: str = "other") -> Batch:
    """Have somebody else make a batch, whose custom_ids say nothing to us."""
    ask = {"model": "m", "messages": [{"role": "user", "content": name}]}
    return bench.server.accept([{"custom_id": f"{name}-{i}", "params": ask} for i in range(count)])


def recover(bench: Bench, timeout: float | None = None) -> pd.DataFrame:
    return batchnb.recover(timeout, workspace=bench.workspace)


def read(bench: Bench, batch: Batch) -> int:
    return bench.server.called("GET", f"{batch.id}/results")


def assert_sends_nothing(bench: Bench, rows: list[str]) -> batchnb.Job:
    """The cell, run in the new home, must be answered without a call."""
    calls = bench.server.count_calls()
    job = bench.submit(rows)
    assert_echoed(job)
    assert bench.server.count_calls() == calls
    return job


# Taking back


def test_after_a_recovery_the_same_cell_sends_nothing(bench: Bench):
    lose_ledger(bench, texts(30), batch_size=10)
    told = recover(bench)
    assert told[["requests", "ours", "recovered"]].values.tolist() == [[10, 10, 10]] * 3
    assert told["id"].tolist() == [batch.id for batch in reversed(bench.server.batches)]
    assert told["note"].isna().all()
    assert not told["simulated"].any()
    job = assert_sends_nothing(bench, texts(30))
    assert bench.server.bought_once()
    assert job.usage.input_tokens == 300
    assert job.cost == pytest.approx(30 * (10 * 0.5 + 5 * 2.5) / 1e6)
    assert job.batches["succeeded"].tolist() == [10, 10, 10]


def test_only_rows_that_are_new_are_sent(bench: Bench):
    lose_ledger(bench, texts(10))
    recover(bench)
    assert_echoed(bench.submit([*texts(12), "text 3"]))
    assert bench.server.bought_once()
    assert len(bench.server.batches[-1].requests) == 2


def test_rows_that_had_failed_are_asked_by_the_cell(bench: Bench):
    failing = {"Echo: text 1": errored("invalid_request_error"), "Echo: text 2": {"type": "expired"}}
    bench.server.result = lambda params: failing.get(text_of(params)) or succeeded(params)
    lose_ledger(bench, texts(10), retries=0)
    failing.clear()
    told = recover(bench)
    assert told[["ours", "recovered"]].values.tolist() == [[10, 8]]
    assert_echoed(bench.submit(texts(10)))
    assert {text for text, times in bench.server.asked.items() if times > 1} == {"Echo: text 1", "Echo: text 2"}


def test_an_answer_that_came_at_the_second_asking_is_the_one_that_counts(bench: Bench):
    failing = {"Echo: text 1": errored("overloaded_error")}
    bench.server.result = lambda params: failing.pop(text_of(params), None) or succeeded(params)
    lose_ledger(bench, texts(5), retries=1)
    assert len(bench.server.batches) == 2
    recover(bench)
    assert_sends_nothing(bench, texts(5))


def test_of_two_paid_answers_the_newest_counts(bench: Bench):
    lose_ledger(bench, texts(5))
    bench.server.result = lambda params: {"type": "succeeded", "message": message(params, "newer")}
    lose_ledger(bench, texts(5))
    assert len(bench.server.batches) == 2
    recover(bench)
    assert bench.submit(texts(5)).result(30)["echo"].tolist() == ["newer"] * 5


def test_a_recovered_reply_that_does_not_fit_is_invalid_and_not_bought_again(bench: Bench):
    frame = pd.DataFrame({"review": texts(3)})

    def ask(workspace: batchnb.Workspace) -> pd.DataFrame:
        job = frame.batch.submit("review", labels=["good", "bad"], into="echo", workspace=workspace, progress=False)
        return job.result(30)

    wrong = {"text 0": "maybe", "text 1": '{"label": "unheard of"}'}
    right = bench.server.result
    bench.server.result = lambda params: (
        {"type": "succeeded", "message": message(params, wrong[text_of(params)])}
        if text_of(params) in wrong
        else right(params)
    )
    lost = bench.open(home=bench.home.parent / "lost")
    before = ask(lost)
    assert before["echo_status"].tolist() == ["invalid", "invalid", "succeeded"]
    recover(bench)
    calls = bench.server.count_calls()
    pd.testing.assert_frame_equal(ask(bench.workspace), before)
    assert bench.server.count_calls() == calls


def test_two_jobs_share_a_recovered_answer(bench: Bench):
    lose_ledger(bench, texts(10))
    recover(bench)
    first = assert_sends_nothing(bench, texts(6))
    second = assert_sends_nothing(bench, texts(10))
    assert first.usage.input_tokens == 60
    assert second.usage.input_tokens == 100
    first.delete()
    assert_sends_nothing(bench, texts(6))
    assert bench.server.bought_once()


def test_jobs_of_recovered_answers_know_their_batches(bench: Bench):
    """Also a job that was there before them: its batch can be attached by its id, and deleted with it."""
    lose_ledger(bench, texts(10))
    bench.server.result = lambda params: errored("invalid_request_error")
    job = bench.submit(texts(10))
    assert outcomes(job.result(30)) == {"errored": 10}
    recover(bench)
    assert outcomes(job.result(30)) == {"succeeded": 10}
    first = bench.server.batches[0].id
    assert first in job.batches["id"].tolist()
    assert batchnb.attach(first, progress=False, workspace=bench.workspace).id == job.id
    job.delete(remote=True)
    assert bench.server.called("DELETE", first) == 1


# What is read, and what is not


def test_batches_of_others_are_left_alone_and_not_read_to_their_end(bench: Bench, monkeypatch):
    looked_at = []
    look = batchnb.protocol.recovery._ours_in
    monkeypatch.setattr(batchnb.protocol.recovery, "_ours_in", lambda line: looked_at.append(line) or look(line))
    theirs = of_others(bench, 5_000)
    told = recover(bench)
    assert told.empty
    assert list(told.columns) == ["id", "requests", "ours", "recovered", "note", "simulated"]
    assert len(looked_at) == batchnb.protocol.recovery.STRANGERS
    assert read(bench, theirs) == 1
    assert {method for method, _, _ in bench.server.calls} == {"GET"}


def test_a_second_recovery_reads_nothing_again(bench: Bench):
    lose_ledger(bench, texts(10))
    of_others(bench, 10)
    recover(bench)
    results = bench.server.called("GET", "/results")
    assert recover(bench).empty
    assert bench.server.called("GET", "/results") == results
    lose_ledger(bench, texts(10, "more"))
    assert len(recover(bench)) == 1
    assert bench.server.called("GET", "/results") == results + 2  # by the one that sent it, and by this


def test_beside_an_intact_ledger_nothing_changes(bench: Bench):
    job = bench.submit(texts(10))
    before = assert_echoed(job)
    results = bench.server.called("GET", "/results")
    assert recover(bench).empty
    assert bench.server.called("GET", "/results") == results
    pd.testing.assert_frame_equal(job.result(30), before)
    assert_sends_nothing(bench, texts(10))


def test_what_the_server_has_dropped_or_is_about_to_is_not_read(bench: Bench):
    of_others(bench, 3)
    old = bench.server.accept(of_others(bench, 3).requests, datetime.now(UTC) - timedelta(days=30))
    bench.server.batches.remove(old)
    bench.server.batches.insert(0, old)
    archived = of_others(bench, 3)
    archived.lies = {"archived_at": "2026-11-01T00:00:00Z"}
    recover(bench)
    assert read(bench, old) == 0
    assert read(bench, archived) == 0
    assert bench.server.called("GET", "/results") == 2


def test_a_listing_of_many_pages_is_gone_through_to_its_end(bench: Bench):
    lose_ledger(bench, texts(10))
    for i in range(2_100):
        of_others(bench, 1, f"other{i}").lies = {"archived_at": "2026-11-01T00:00:00Z"}
    bench.server.faults["list"] += [None, Status(429), None, Status(500), Lost()]
    told = recover(bench)
    assert told["id"].tolist() == ["msgbatch_000001"]
    assert_sends_nothing(bench, texts(10))


# Batches in progress


def test_batches_in_progress_are_waited_for(bench: Bench, capsys):
    bench.server.ends = False
    lose_ledger(bench, texts(20), batch_size=10)
    theirs = of_others(bench, 5)
    listings = bench.server.called("GET", "?limit=1000")

    def end_one_by_one() -> None:
        for number, batch in enumerate((*bench.server.batches[:2], theirs), 1):
            bench.server.wait_for(lambda number=number: bench.server.called("GET", "?limit=1000") > listings + number)
            bench.server.end(batch)

    ending = threading.Thread(target=end_one_by_one)
    ending.start()
    told = recover(bench)
    ending.join()
    assert sorted(told["recovered"]) == [10, 10]
    assert told["note"].isna().all()
    said = capsys.readouterr().err
    assert said.count("3 batches (25 requests) are still in progress") == 1
    assert_sends_nothing(bench, texts(20))


def test_without_patience_they_are_named_and_left(bench: Bench, capsys):
    lose_ledger(bench, texts(10))
    bench.server.ends = False
    lose_ledger(bench, texts(10, "slow"))
    told = recover(bench, timeout=0).set_index("id")
    assert told["note"].fillna("").to_dict() == {"msgbatch_000002": "still in progress", "msgbatch_000001": ""}
    assert capsys.readouterr().err == ""
    assert_sends_nothing(bench, texts(10))
    bench.server.end()
    assert recover(bench)["recovered"].tolist() == [10]
    assert_sends_nothing(bench, texts(10, "slow"))


def test_a_batch_in_progress_that_is_gone_is_waited_for_no_longer(bench: Bench):
    bench.server.ends = False
    theirs = of_others(bench, 5)
    vanish = threading.Thread(
        target=lambda: (
            bench.server.wait_for(lambda: bench.server.called("GET", "?limit") >= 2),
            bench.server.vanish(theirs),
        )
    )
    vanish.start()
    told = recover(bench, timeout=20)
    vanish.join()
    assert told.empty


def test_interrupting_keeps_what_was_taken_back(bench: Bench, monkeypatch):
    lose_ledger(bench, texts(10))
    bench.server.ends = False
    of_others(bench, 5)

    def interrupt(seconds: float) -> None:
        if threading.current_thread() is threading.main_thread():  # the server, too, sleeps now and then
            raise KeyboardInterrupt
        sleep(seconds)

    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        recover(bench)
    monkeypatch.undo()
    assert_sends_nothing(bench, texts(10))


def test_interrupting_while_results_stream_keeps_what_had_come(bench: Bench, monkeypatch):
    lose_ledger(bench, texts(20), batch_size=10)
    look, seen = batchnb.protocol.recovery._ours_in, []

    def interrupt(line: bytes) -> Any:
        seen.append(line)
        if len(seen) == 16:
            raise KeyboardInterrupt
        return look(line)

    monkeypatch.setattr(batchnb.protocol.recovery, "_ours_in", interrupt)
    with pytest.raises(KeyboardInterrupt):
        recover(bench)
    assert recover(bench)["recovered"].tolist() == [5]
    assert_sends_nothing(bench, texts(20))


# Faults


@pytest.mark.parametrize(
    "spoiled",
    [
        Spoiled(cut=0.52),
        Spoiled(cut=0.0),
        Spoiled(cut=0.52, unframed=True),
        Spoiled(cut=0.0, unframed=True),
        Spoiled(change=lambda rows: rows[:7], unframed=True),
        Spoiled(change=lambda rows: [row for row in rows for _ in range(2)]),
        Spoiled(change=lambda rows: [b"{", b"null", b"\xff", *rows]),
        Spoiled(newline=b"\r\n\n"),
        Status(404),
        Status(429, {"retry-after": "1"}),
        Status(500),
        Lost(),
    ],
    ids=["cut", "at once", "truncated", "empty", "short", "twice", "bad", "CRLF", "404", "429", "500", "none"],
)
def test_results_that_are_spoiled_at_first_are_read_again(bench: Bench, spoiled):
    lose_ledger(bench, texts(20))
    bench.server.faults["results"] += [spoiled]
    told = recover(bench)
    assert told[["ours", "recovered", "note"]].fillna("").values.tolist() == [[20, 20, ""]]
    assert_sends_nothing(bench, texts(20))


def test_a_large_batch_comes_whole_after_a_break(bench: Bench):
    lose_ledger(bench, texts(4_500), batch_size=5_000)
    bench.server.faults["results"] += [Spoiled(cut=0.6)]
    assert recover(bench)["recovered"].tolist() == [4_500]
    assert_sends_nothing(bench, texts(4_500))


@pytest.mark.parametrize(
    "spoiled", [Spoiled(cut=0.52), Spoiled(cut=0.0, unframed=True), Status(500)], ids=["cut", "empty", "500"]
)
def test_what_can_only_be_read_in_part_is_said_and_the_rest_taken_later(bench: Bench, spoiled):
    lose_ledger(bench, texts(20))
    lose_ledger(bench, texts(5, "other"))
    bench.server.faults["results"] += [None]  # of the newest
    bench.server.always["results"] = spoiled
    told = recover(bench).set_index("id")
    assert told.loc["msgbatch_000002", "recovered"] == 5
    assert "recover() again" in told.loc["msgbatch_000001", "note"]
    had = told.loc["msgbatch_000001", "recovered"]
    assert (had > 0) == (spoiled == Spoiled(cut=0.52))
    bench.server.always.clear()
    assert recover(bench)["recovered"].tolist() == [20 - had]
    assert_sends_nothing(bench, texts(20))
    assert_sends_nothing(bench, texts(5, "other"))


def test_what_a_cell_has_used_in_part_is_taken_later_all_the_same(bench: Bench):
    lose_ledger(bench, texts(20))
    bench.server.always["results"] = Spoiled(cut=0.52)
    had = recover(bench)["recovered"].tolist()[0]
    bench.server.always.clear()
    last = [f"text {i}" for i in range(20 - had, 20)]  # results come in reverse
    assert_sends_nothing(bench, last)
    assert recover(bench)["recovered"].tolist() == [20 - had]
    assert_sends_nothing(bench, texts(20))


def test_rows_that_the_results_never_hold_are_asked_by_the_cell(bench: Bench):
    lose_ledger(bench, texts(20))
    bench.server.faults["results"] += [Spoiled(change=lambda rows: rows[3:])] * 4
    assert recover(bench)["recovered"].tolist() == [17]
    assert recover(bench).empty
    assert_echoed(bench.submit(texts(20)))
    assert sorted(bench.server.asked.values()) == [1] * 17 + [2] * 3


def test_a_listing_that_is_refused_is_an_error_that_says_so(bench: Bench):
    bench.server.always["list"] = Status(403)
    with pytest.raises(RefusedError, match="403"):
        recover(bench)


def test_without_a_key_nothing_is_asked(bench: Bench):
    workspace = batchnb.Workspace(home=bench.home, scope="independent")
    with pytest.raises(CredentialsError, match="ANTHROPIC_API_KEY"):
        workspace.recover()
    workspace.close()
    assert bench.server.calls == []


# Beside work that goes on


def test_beside_an_uncertain_batch_nothing_is_bought_twice(bench: Bench):
    server = bench.server
    server.ends = False
    server.always["list"] = Status(500)
    server.faults["create"] += [Lost()]
    job = bench.submit(texts(10))
    server.wait_for(lambda: server.called("GET", "batches?limit=100"))
    server.ends = True
    server.end()
    server.always.clear()
    recover(bench, timeout=20)
    assert_echoed(job)
    assert_echoed(bench.submit(texts(12)))
    assert server.bought_once()
    assert job.batches["id"].tolist() == ["msgbatch_000001"]


def test_a_batch_that_turns_out_to_be_our_own_meanwhile_is_waited_for_no_longer(bench: Bench):
    server = bench.server
    server.ends = False
    fault = Held()
    server.faults["create"] += [fault]
    job = bench.submit(texts(10))
    server.wait_for(fault.reached.is_set)
    listings = server.called("GET", "?limit=1000")
    answer = threading.Thread(
        target=lambda: (
            server.wait_for(lambda: server.called("GET", "?limit=1000") > listings + 1),
            fault.let_go.set(),
        )
    )
    answer.start()
    assert recover(bench, timeout=20).empty
    answer.join()
    server.end()
    assert_echoed(job)
    assert server.bought_once()


def test_a_deleted_job_leaves_nothing_of_what_was_taken_back_beside_it(bench: Bench):
    server = bench.server
    server.always["list"] = Status(500)
    server.faults["create"] += [Lost()]
    place = bench.open()
    bench.submit(texts(10), workspace=place)
    server.wait_for(lambda: server.called("GET", "batches?limit=100"))
    place.close()  # nobody settles what is uncertain now
    server.always.clear()
    assert recover(bench)["recovered"].tolist() == [10]
    job = bench.submit(texts(10))
    assert_echoed(job)
    assert server.bought_once()
    job.delete()
    with bench.workspace.session.ledger._store.read() as db:
        assert db.execute("SELECT COUNT(*) FROM recovered").fetchone() == (0,)


def test_rows_that_wait_to_be_sent_are_answered_instead(bench: Bench):
    lose_ledger(bench, texts(10))
    server = bench.server
    server.always["create"] = Status(429)
    job = bench.submit(texts(10))
    server.wait_for(lambda: server.called("POST", "batches") >= 4)
    recover(bench)
    assert_echoed(job)
    assert server.bought_once()
