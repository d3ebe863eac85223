"""Watching and collecting under faults: 404s that pass or last, failing checks, results that are not as promised."""

from __future__ import annotations

import json

import pytest
from bench import KEY, Bench, assert_echoed, outcomes, texts
from independent import Lost, Server, Spoiled, Status, errored, message, succeeded

from batchnb.errors import ResultTimeoutError

pytest_plugins = ["bench_fixtures"]


def with_result(row: bytes, result: object) -> bytes:
    return json.dumps(json.loads(row) | {"result": result}).encode()


@pytest.mark.parametrize("endpoint", ["retrieve", "results"])
@pytest.mark.parametrize(
    "faults",
    [
        [Status(404)] * 3,
        [Status(500)] * 3,
        [Status(429, {"retry-after": "1"})],
        [Status(529)],
        [Lost()] * 2,
        [Status(401)],
    ],
    ids=["404", "500", "429", "529", "no answer", "401"],
)
def test_a_check_that_fails_is_tried_again_and_costs_nothing(bench: Bench, endpoint, faults):
    bench.server.faults[endpoint] += faults
    assert_echoed(bench.submit(texts(5)))
    assert bench.server.bought_once()


@pytest.mark.parametrize("broken", [Spoiled(cut=0.0), Spoiled(cut=0.52, unframed=True)], ids=["told", "within a line"])
def test_results_that_broke_off_say_nothing_of_the_rows_they_did_not_come_to(bench: Bench, broken):
    bench.server.faults["results"] += [broken] * 5 + [Spoiled(cut=0.0, unframed=True)]
    assert_echoed(bench.submit(texts(5)))


def test_while_checks_fail_the_job_says_so_and_goes_on_when_they_work_again(bench: Bench):
    bench.server.always["retrieve"] = Status(500)
    job = bench.submit(texts(5))
    bench.server.wait_for(lambda: bench.server.called("GET", "msgbatch") >= 10)
    assert not job.done()
    assert "tried again" in job.snapshot().note
    bench.server.always.clear()
    assert_echoed(job)
    assert job.snapshot().note is None


def test_who_waits_in_vain_is_told_why(bench: Bench):
    bench.server.always["retrieve"] = Status(500)
    job = bench.submit(texts(5))
    bench.server.wait_for(lambda: bench.server.called("GET", "msgbatch") >= 3)
    with pytest.raises(ResultTimeoutError, match=r"goes on.*Why it waits: The last check failed and is tried again"):
        job.result(timeout=0.05)


def test_a_state_that_nobody_knows_is_told_while_the_batch_is_waited_for(bench: Bench):
    bench.server.ends = False
    job = bench.submit(texts(5))
    bench.server.wait_for(lambda: len(bench.server.batches) == 1)
    bench.server.batches[0].lies["processing_status"] = "paused"
    bench.server.wait_for(lambda: "'paused'" in str(job.snapshot().note))
    bench.server.batches[0].lies.clear()
    bench.server.end()
    assert_echoed(job)
    assert job.snapshot().note is None


SPOILED = {
    "reversed": Spoiled(change=reversed),
    "duplicates": Spoiled(change=lambda rows: [row for row in rows for _ in range(3)]),
    "blank lines": Spoiled(newline=b"\n\n \n"),
    "CRLF": Spoiled(newline=b"\r\n"),
    "unknown ids": Spoiled(change=lambda rows: [b'{"custom_id":"whose","result":{"type":"canceled"}}', *rows]),
    "no JSON": Spoiled(change=lambda rows: [b"<html>", b"\xff\xfe", b"[" * 5000, b"null", *rows]),
    "cut in a line": Spoiled(cut=0.52),
    "cut at once": Spoiled(cut=0.0),
    "unframed, cut in a line": Spoiled(cut=0.52, unframed=True),
    "unframed, cut between lines": Spoiled(change=lambda rows: rows[:7], unframed=True),
    "unframed, empty": Spoiled(cut=0.0, unframed=True),
    "rows missing": Spoiled(change=lambda rows: rows[2:]),
}


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED)
def test_results_that_are_spoiled_at_first_end_with_every_row_answered(bench: Bench, spoiled):
    bench.server.faults["results"] += [spoiled]
    assert_echoed(bench.submit(texts(20)))
    assert bench.server.bought_once()


@pytest.mark.parametrize("name", ["reversed", "duplicates", "blank lines", "CRLF", "unknown ids", "no JSON"])
def test_results_that_are_always_like_that_are_read_once(bench: Bench, name):
    bench.server.always["results"] = SPOILED[name]
    assert_echoed(bench.submit(texts(20)))
    assert bench.server.called("GET", "/results") == 1


def test_each_reading_of_a_stream_that_breaks_keeps_what_came_whole(bench: Bench):
    bench.server.faults["results"] += [Spoiled(cut=part / 10) for part in range(1, 10)]
    assert_echoed(bench.submit(texts(50)))
    assert bench.server.called("GET", "/results") == 10


def test_rows_that_the_results_never_hold_are_missing_and_can_be_retried(bench: Bench):
    bench.server.always["results"] = Spoiled(change=lambda rows: rows[3:])
    job = bench.submit(texts(10))
    frame = job.result(30)
    assert outcomes(frame) == {"succeeded": 7, "missing": 3}
    assert bench.server.bought_once()
    bench.server.always.clear()
    assert job.retry() == 3
    assert_echoed(job)


@pytest.mark.parametrize("unframed", [False, True])
def test_results_that_break_off_for_good_leave_the_rest_for_a_decision(bench: Bench, unframed: bool):
    bench.keep_to(give_up_after=0.2)
    bench.server.always["results"] = Spoiled(cut=0.52, unframed=unframed)
    job = bench.submit(texts(20))
    frame = job.result(30)
    assert set(outcomes(frame)) == {"succeeded", "pending"}
    assert "broke off" in frame.loc[frame["echo_status"] == "pending", "echo_error"].iloc[0]
    assert len(bench.server.batches) == 1
    left = outcomes(frame)["pending"]
    assert job.resolve("drop") > 0
    assert outcomes(job.result(30)) == {"succeeded": 20 - left, "missing": left}


@pytest.mark.parametrize("decision", ["send", "drop"])
def test_a_batch_the_server_no_longer_knows_waits_for_a_decision(bench: Bench, decision):
    bench.keep_to(give_up_after=0.1)
    server = bench.server
    server.ends = False
    job = bench.submit(texts(10), batch_size=5)
    server.wait_for(lambda: len(server.batches) == 2)
    server.vanish(server.batches[0])
    server.ends = True
    server.end(server.batches[1])
    frame = job.result(30)
    assert outcomes(frame) == {"pending": 5, "succeeded": 5}
    assert frame["echo_error"][0].startswith("Batch msgbatch_000001 cannot be read")
    assert job.errors()["type"].tolist() == ["lost"] * 5
    assert bench.submit(texts(10), batch_size=5).result(30)["echo_status"].value_counts()["pending"] == 5
    assert len(server.batches) == 2  # nothing is bought again by itself
    assert job.resolve(decision) == 5
    frame = job.result(30)
    if decision == "send":
        assert_echoed(job)
        assert server.asked["Echo: text 0"] == 2
    else:
        assert outcomes(frame) == {"missing": 5, "succeeded": 5}
        assert server.bought_once()
    assert job.resolve(decision) == 0


def test_counts_that_disagree_with_the_rows_change_no_row(bench: Bench):
    server = bench.server
    server.ends = False
    job = bench.submit(texts(10))
    server.wait_for(lambda: server.batches)
    server.batches[0].lies = {"request_counts": {"processing": 0, "succeeded": 3, "errored": 99, "new_count": 1}}
    server.end()
    assert_echoed(job)


def test_results_are_read_from_the_base_url_and_the_key_goes_nowhere_else(bench: Bench):
    with Server() as elsewhere:
        bench.server.results_host = elsewhere.url
        assert_echoed(bench.submit(texts(5)))
        assert elsewhere.calls == []
        assert elsewhere.keys == set()
    assert bench.server.keys == {KEY, "probe"}  # "is this a simulator?" is asked with a key that is none


def test_every_kind_of_result_gives_its_row_the_right_outcome(bench: Bench):
    kinds = {
        "ok": None,
        "bad": errored("invalid_request_error", "max_tokens: too many"),
        "denied": errored("permission_error"),
        "canceled": {"type": "canceled"},
        "novel": {"type": "postponed", "until": "tomorrow"},
        "hollow": {"type": "errored", "error": None},
        "refused": {"type": "succeeded", "message": message({"model": "m"}, "no") | {"stop_reason": "refusal"}},
        "cut": {"type": "succeeded", "message": message({"model": "m"}, "half a") | {"stop_reason": "max_tokens"}},
    }
    names = {f"Echo: {name}": result for name, result in kinds.items()}

    def result(params):
        return names[params["messages"][0]["content"]] or succeeded(params)

    bench.server.result = result
    frame = bench.submit(list(kinds), retries=0).result(30).set_index("review")
    assert frame["echo_status"].to_dict() == {
        "ok": "succeeded", "bad": "errored", "denied": "errored", "canceled": "canceled", "novel": "errored",
        "hollow": "errored", "refused": "invalid", "cut": "invalid",
    }  # fmt: skip
    assert "max_tokens: too many" in frame.loc["bad", "echo_error"]
    assert "postponed" in frame.loc["novel", "echo_error"]


def test_a_paid_answer_stands_whatever_a_second_line_says(bench: Bench):
    failed = {"type": "errored", "error": {"error": {"type": "api_error"}}}
    bench.server.always["results"] = Spoiled(
        change=lambda rows: [*rows, *(with_result(row, failed) for row in rows), *(with_result(row, 7) for row in rows)]
    )
    assert_echoed(bench.submit(texts(5)))
    assert bench.server.bought_once()


def test_results_in_parts_are_there_before_the_job_has_ended(bench: Bench):
    server = bench.server
    server.ends = False
    job = bench.submit(texts(10), batch_size=5)
    server.wait_for(lambda: len(server.batches) == 2)
    server.end(server.batches[0])
    while job.counts.get("succeeded", 0) < 5:
        server.wait_for(lambda: True)
    frame = job.result(partial=True)
    assert outcomes(frame) == {"succeeded": 5, "pending": 5}
    assert frame["echo"].notna().sum() == 5
    server.end()
    assert_echoed(job)
