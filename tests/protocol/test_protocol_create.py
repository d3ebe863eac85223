"""Sending under faults: refusals, lost answers, and how a batch whose fate is unknown is found out about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from bench import Bench, assert_echoed, outcomes, texts
from independent import Held, Lost, Server, Spoiled, Status

from batchnb.errors import CredentialsError, InputError

pytest_plugins = ["bench_fixtures"]


def questions(names: list[str]) -> list[dict]:
    """Requests of somebody else."""
    params = {"model": "m", "max_tokens": 9}
    return [
        {"custom_id": name, "params": params | {"messages": [{"role": "user", "content": f"other {name}"}]}}
        for name in names
    ]


# Lost answers


@pytest.mark.parametrize(
    "fault",
    [Lost(), Status(500, accept=True), Status(504, accept=True), Status(502, accept=True), Status(408, accept=True)],
)
def test_a_batch_whose_answer_was_lost_is_found_and_not_sent_again(bench: Bench, fault):
    bench.server.faults["create"] += [fault]
    assert_echoed(bench.submit(texts(30), batch_size=10))
    assert bench.server.bought_once()
    assert len(bench.server.batches) == 3


@pytest.mark.parametrize("fault", [Lost(accept=False), Status(500), Status(504), Status(503)])
def test_a_batch_that_was_never_made_is_sent_again_once_two_listings_agree(bench: Bench, fault):
    bench.server.faults["create"] += [fault]
    assert_echoed(bench.submit(texts(10)))
    assert bench.server.bought_once()
    assert bench.server.called("GET", "batches?limit") >= 2


def test_every_answer_lost_still_buys_every_row_once(bench: Bench):
    bench.server.faults["create"] += [Lost() for _ in range(5)]
    assert_echoed(bench.submit(texts(50), batch_size=10))
    assert bench.server.bought_once()
    assert len(bench.server.batches) == 5


def test_nothing_is_sent_again_while_a_batch_that_may_be_ours_is_in_progress(bench: Bench):
    server = bench.server
    server.ends = False
    server.faults["create"] += [Lost()]
    job = bench.submit(texts(10))
    server.wait_for(lambda: server.called("GET", "batches?limit") >= 6)
    assert len(server.batches) == 1
    assert bench.batch_states(job) == ["uncertain"]
    assert job.counts == {"pending": 10}
    assert "nothing is sent twice" in job.result(partial=True)["echo_error"][0]
    server.end()
    assert_echoed(job)
    assert server.bought_once()


def test_several_lost_batches_of_one_size_are_told_apart(bench: Bench):
    server = bench.server
    server.ends = False
    server.faults["create"] += [Lost(), Lost(accept=False), Lost()]
    job = bench.submit(texts(30), batch_size=10)
    server.wait_for(lambda: server.called("GET", "batches?limit") >= 12)
    assert len(server.batches) == 2  # the third is not resent: either of these may still be it
    server.end(server.batches[1])
    server.wait_for(lambda: server.called("GET", "/results"))
    server.ends = True
    server.end()
    assert_echoed(job)
    assert server.bought_once()
    assert len(set(job.batches["id"])) == 3


def test_batches_of_others_of_the_same_size_are_not_taken_for_ours(bench: Bench):
    server = bench.server
    server.accept(questions([f"other-{i}" for i in range(10)]))
    server.accept(questions([f"{i}-{'ab' * 16}"[:60] for i in range(10)]))
    server.faults["create"] += [Lost(accept=False)]
    assert_echoed(bench.submit(texts(10)))
    assert server.bought_once()
    assert len(server.batches) == 3


def test_a_lost_batch_is_found_behind_many_pages_of_others(bench: Bench):
    server = bench.server
    server.faults["create"] += [Held()]
    fault = server.faults["create"][0]
    job = bench.submit(texts(10))
    server.wait_for(fault.reached.is_set)
    for i in range(250):
        server.accept(questions([f"other-{i}"]))
    server.faults["list"] += [Status(500)]
    fault.let_go.set()
    server.always["create"] = Status(500)
    assert_echoed(job)

    server.always.clear()
    server.faults["create"] += [Lost()]
    again = bench.submit(texts(10, "more"))
    assert_echoed(again)
    assert server.bought_once()


def test_clocks_that_disagree_by_a_day_do_not_hide_a_batch(bench: Bench, monkeypatch):
    accept = bench.server.accept
    yesterday = datetime.now(UTC) - timedelta(hours=25)
    monkeypatch.setattr(bench.server, "accept", lambda requests: accept(requests, yesterday))
    bench.server.faults["create"] += [Lost()]
    assert_echoed(bench.submit(texts(10)))
    assert bench.server.bought_once()


def test_a_listing_that_fails_is_tried_again_and_settles_nothing(bench: Bench):
    server = bench.server
    server.faults["create"] += [Lost()]
    server.faults["list"] += [Status(500), Status(529), Status(404), Lost(), Status(429, {"retry-after": "1"})]
    assert_echoed(bench.submit(texts(10)))
    assert server.bought_once()


def test_where_listing_is_refused_for_good_the_rows_wait_for_a_decision(bench: Bench):
    bench.keep_to(give_up_after=0.1)
    server = bench.server
    server.faults["create"] += [Lost()]
    server.always["list"] = Status(403)
    job = bench.submit(texts(10))
    frame = job.result(30)
    assert outcomes(frame) == {"pending": 10}
    assert 'resolve("send")' in frame["echo_error"][0]
    assert len(server.batches) == 1


@pytest.mark.parametrize(
    "spoiled",
    [
        Spoiled(cut=0.6, unframed=True),
        Spoiled(cut=0.6),
        Spoiled(change=lambda rows: [*rows, rows[0].replace(b'"custom_id": "', b'"custom_id": "unknown')]),
        Spoiled(change=lambda rows: [b"{not json", *rows]),
        Spoiled(newline=b"\r\n\r\n"),
    ],
    ids=["ends early", "breaks off", "unknown id", "bad line", "blank lines"],
)
def test_a_lost_batch_is_recognised_though_its_results_are_spoiled_at_first(bench: Bench, spoiled):
    bench.server.faults["create"] += [Lost()]
    bench.server.faults["results"] += [spoiled, spoiled]
    assert_echoed(bench.submit(texts(10)))
    assert bench.server.bought_once()


def test_a_lost_batch_whose_results_lack_rows_is_still_ours(bench: Bench):
    bench.server.faults["create"] += [Lost()]
    bench.server.always["results"] = Spoiled(change=lambda rows: rows[:-2])
    frame = bench.submit(texts(10)).result(30)
    assert outcomes(frame) == {"succeeded": 8, "missing": 2}
    assert len(bench.server.batches) == 1


def test_a_candidate_that_cannot_be_told_leaves_the_rows_for_a_decision(bench: Bench):
    bench.server.faults["create"] += [Lost()]
    bench.server.always["results"] = Spoiled(change=lambda rows: [])
    job = bench.submit(texts(10))
    frame = job.result(30)
    assert outcomes(frame) == {"pending": 10}
    assert "msgbatch_000001" in frame["echo_error"][0]
    assert len(bench.server.batches) == 1


def test_a_batch_of_a_deleted_job_is_not_taken_for_a_new_one_that_asks_the_same(bench: Bench):
    job = bench.submit(texts(10))
    assert_echoed(job)
    job.delete()
    server = bench.server
    server.ends = False
    server.faults["create"] += [Lost()]
    again = bench.submit(texts(10))
    server.wait_for(lambda: server.called("GET", "batches?limit") >= 2)  # which show both, and only the old one ended
    server.ends = True
    server.end()
    assert_echoed(again)
    assert again.batches["id"].tolist() == ["msgbatch_000002"]
    assert len(server.batches) == 2


def test_a_candidate_that_vanishes_leaves_the_rows_for_a_decision(bench: Bench):
    server = bench.server
    server.ends = False
    server.faults["create"] += [Lost()]
    job = bench.submit(texts(10))
    server.wait_for(lambda: server.called("GET", "batches?limit") >= 3)
    server.vanish(server.batches[0])
    assert outcomes(job.result(30)) == {"pending": 10}
    assert len(server.batches) == 1
    server.ends = True
    assert job.resolve("send") == 10
    assert_echoed(job)


# Refusals


@pytest.mark.parametrize("headers", [{}, {"retry-after": "1"}, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}])
@pytest.mark.parametrize("status", [429, 529, 409])
def test_refusals_that_pass_are_waited_out(bench: Bench, status, headers):
    bench.server.faults["create"] += [Status(status, headers)] * 3
    assert_echoed(bench.submit(texts(20), batch_size=10))
    assert bench.server.bought_once()
    assert bench.server.called("GET", "batches?limit") == 0  # a refusal leaves nothing to look for


def test_a_full_queue_is_said_and_sending_goes_on_as_room_comes(bench: Bench):
    server = bench.server
    server.ends = False
    server.faults["create"] += [None]
    server.always["create"] = Status(429)
    job = bench.submit(texts(20), batch_size=10)
    server.wait_for(lambda: server.called("POST", "batches") >= 4)
    assert job.status == "submitting"
    assert "goes on as room comes" in job.snapshot().note
    server.always.clear()
    server.ends = True
    server.end()
    assert_echoed(job)
    assert job.snapshot().note is None


def test_a_server_out_of_reach_is_waited_for(bench: Bench, monkeypatch):
    workspace = bench.workspace
    call, failures = workspace.session.api._call, [0]

    def unreachable(*args, **kwargs):
        if args[0] == "POST" and args[1].endswith("batches") and failures[0] < 3:
            failures[0] += 1
            return bench.open(url="http://127.0.0.1:9", home=bench.home / "other").session.api._call(*args, **kwargs)
        return call(*args, **kwargs)

    monkeypatch.setattr(workspace.session.api, "_call", unreachable)
    assert_echoed(bench.submit(texts(5)))
    assert bench.server.bought_once()
    assert failures == [3]


def test_batches_the_server_finds_too_large_are_made_smaller(bench: Bench):
    bench.server.most = 7
    assert_echoed(bench.submit(texts(40), batch_size=20))
    assert bench.server.bought_once()
    assert max(len(batch.requests) for batch in bench.server.batches) <= 7


def test_a_single_row_too_large_is_an_error_of_its_own(bench: Bench):
    bench.server.most = 0
    frame = bench.submit(texts(2), batch_size=1).result(30)
    assert outcomes(frame) == {"errored": 2}
    assert "request_too_large" in frame["echo_error"][0]


@pytest.mark.parametrize(
    ("status", "type"), [(401, "authentication_error"), (402, "billing_error"), (403, "permission_error")]
)
def test_rows_of_a_refused_create_carry_its_message_and_go_again_when_the_cell_is_run_again(bench: Bench, status, type):
    bench.server.faults["create"] += [Status(status)]
    frame = bench.submit(texts(5)).result(30)
    assert outcomes(frame) == {"errored": 5}
    assert frame["echo_error"][0] == f"{type}: independent: {status}"
    assert_echoed(bench.submit(texts(5)))
    assert bench.server.bought_once()


def test_a_create_refused_as_invalid_is_not_sent_again_by_itself_but_by_retry_all(bench: Bench):
    bench.server.faults["create"] += [Status(400)]
    job = bench.submit(texts(5))
    assert outcomes(job.result(30)) == {"errored": 5}
    again = bench.submit(texts(5))
    assert outcomes(again.result(30)) == {"errored": 5}
    assert again.retry() == 0
    assert again.retry(all=True) == 5
    assert_echoed(again)


def test_a_spend_limit_is_no_reason_to_wait(bench: Bench):
    limit = Status(429, details={"error_code": "enforced_spend_limit_reached"})
    bench.server.faults["create"] += [limit]
    frame = bench.submit(texts(5)).result(30)
    assert outcomes(frame) == {"errored": 5}
    assert "spend_limit" in frame["echo_error"][0]
    assert_echoed(bench.submit(texts(5)))


ACCOUNT = [
    Status(400, details={"error_code": "organization_on_hold"}, message="Your organization is on hold."),
    Status(400, details={"error_code": "workspace_human_review_disabled"}, message="Human Review is off."),
    Status(400, details={"error_code": "cmek_key_disabled"}, message="The key is disabled."),
    Status(400, details={"error_code": "claude_code_key_creator_not_member"}, message="Its creator is no member."),
    Status(400, message="You have reached your specified workspace API usage limits. Access returns on 2026-12-01."),
]


@pytest.mark.parametrize("held", ACCOUNT, ids=["on hold", "no review", "key", "creator", "own limit"])
def test_an_account_that_is_held_up_marks_no_row_and_the_job_goes_on_when_it_passes(bench: Bench, held):
    bench.server.always["create"] = held
    job = bench.submit(texts(5))
    bench.server.wait_for(lambda: held.message in (job.snapshot().note or ""))
    assert "account is held up" in job.snapshot().note
    assert job.counts == {"pending": 5}
    assert job.status == "submitting"
    del bench.server.always["create"]
    assert_echoed(job)
    assert bench.server.bought_once()


@pytest.mark.parametrize("held", ACCOUNT, ids=["on hold", "no review", "key", "creator", "own limit"])
def test_an_account_that_is_held_up_from_the_first_call_on_is_told_in_the_cell(bench: Bench, held):
    bench.server.always["count_tokens"] = held
    with pytest.raises(CredentialsError, match=held.message):
        bench.submit(texts(5))
    assert not bench.server.batches
    assert len(bench.workspace.jobs()) == 0


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(bench: Bench, status):
    with Server() as elsewhere:
        bench.server.faults["create"] += [Status(status, {"location": f"{elsewhere.url}/v1/messages/batches"})]
        frame = bench.submit(texts(5)).result(30)
        assert outcomes(frame) == {"errored": 5}
        for endpoint in ("retrieve", "results"):
            bench.server.faults[endpoint] += [Status(status, {"location": f"{elsewhere.url}/v1/messages/batches/x"})]
        assert_echoed(bench.submit(texts(5)))
        assert elsewhere.calls == []


# The check before sending


def test_without_count_tokens_the_job_goes_on_with_a_warning(bench: Bench):
    bench.server.counts_tokens = False
    with pytest.warns(UserWarning, match="could not be checked"):
        job = bench.submit(texts(5))
    assert_echoed(job)


@pytest.mark.parametrize(("status", "error"), [(400, InputError), (401, CredentialsError), (403, CredentialsError)])
def test_a_request_that_the_check_refuses_raises_in_the_cell_and_nothing_is_recorded(bench: Bench, status, error):
    bench.server.faults["count_tokens"] += [Status(status)]
    with pytest.raises(error, match="Nothing was sent"):
        bench.submit(texts(5))
    assert bench.server.batches == []
    assert len(bench.workspace.jobs()) == 0
    assert_echoed(bench.submit(texts(5)))
