"""What goes wrong on request: each fault, as a client meets it."""

import json
import random
import time

import anthropic
import httpx2
import pytest
from simulation import ShiftedClock, call, created, ended, raw_results, requests, results, run, sdk

from batchnb.sim import KINDS, Fault, Simulator
from batchnb.sim.server.faults import ROUTES, FaultPlan, distort, row_faults

pytestmark = pytest.mark.steady

FAST = (0.01, 0.02)


def simulated(*faults, **options):
    return Simulator(**{"delay": FAST, "faults": faults, "seed": 1, **options})


def accepted(simulator):
    return len({row.batch_id for row in simulator.record()})


@pytest.mark.parametrize(
    ("kind", "status", "batches"),
    [
        ("reset", None, 0),
        ("rate_limited", 429, 0),
        ("overloaded", 529, 0),
        ("api_error", 500, 0),
        ("timeout", 504, 0),
        ("lost_answer", None, 1),
        ("api_error_after", 500, 1),
        ("timeout_after", 504, 1),
    ],
)
def test_a_create_that_fails_was_accepted_or_not_as_the_kind_says(kind, status, batches):
    with simulated(Fault(kind)) as simulator, sdk(simulator) as client:
        with pytest.raises(anthropic.APIConnectionError if status is None else anthropic.APIStatusError) as caught:
            client.messages.batches.create(requests=requests(2))
        assert getattr(caught.value, "status_code", None) == status
        assert simulator.calls[-1].status == status
        assert accepted(simulator) == batches
        client.messages.batches.create(requests=requests(2))
        assert accepted(simulator) == batches + 1


def test_the_retries_of_the_sdk_make_a_lost_create_twice():
    with simulated(Fault("lost_answer")) as simulator, sdk(simulator, max_retries=2) as client:
        client.messages.batches.create(requests=requests(1))
        assert accepted(simulator) == 2


def test_a_refusal_for_too_many_calls_says_when_to_come_back_only_if_asked_to():
    faults = Fault("rate_limited", retry_after=7), Fault("rate_limited", after=1)
    with simulated(*faults) as simulator:
        told = call(simulator, "POST", "/v1/messages/batches", {"requests": requests(1)})
        silent = call(simulator, "POST", "/v1/messages/batches", {"requests": requests(1)})
    assert (told.status, told.error[0], told.headers["retry-after"]) == (429, "rate_limit_error", "7")
    assert silent.status == 429
    assert "retry-after" not in silent.headers


def test_a_fault_may_strike_any_call_and_carry_any_error():
    with simulated(Fault("error", on="count_tokens", error_type="billing_error")) as simulator:
        answer = call(simulator, "POST", "/v1/messages/count_tokens", {})
        assert (answer.status, answer.error[0]) == (402, "billing_error")
        assert call(simulator, "GET", "/v1/messages/batches").status == 200


def test_a_spend_limit_is_told_by_the_code_of_a_429():
    fault = Fault("rate_limited", error_code="enforced_spend_limit_reached")
    with simulated(fault) as simulator, sdk(simulator) as client:
        with pytest.raises(anthropic.RateLimitError) as caught:
            client.messages.batches.create(requests=requests(1))
        assert caught.value.body["error"]["details"] == {"error_code": "enforced_spend_limit_reached"}


def test_a_fault_lets_the_first_calls_pass_and_strikes_as_often_as_it_says():
    with simulated(Fault("overloaded", on="list", after=1, times=2)) as simulator:
        statuses = [call(simulator, "GET", "/v1/messages/batches").status for _ in range(5)]
    assert statuses == [200, 529, 529, 200, 200]


def test_a_fault_without_end_strikes_until_it_is_cleared():
    with simulated(Fault("api_error", on="list", times=-1)) as simulator:
        assert {call(simulator, "GET", "/v1/messages/batches").status for _ in range(4)} == {500}
        simulator.faults.clear()
        assert call(simulator, "GET", "/v1/messages/batches").status == 200


def test_a_fault_can_be_added_while_the_simulator_runs():
    with simulated() as simulator:
        simulator.inject(Fault("overloaded", on="models"), Fault("api_error", on="list"))
        assert call(simulator, "GET", "/v1/models").status == 529
        assert call(simulator, "GET", "/v1/messages/batches").status == 500


def test_a_new_batch_is_not_found_at_first_by_count_or_by_age():
    clock = ShiftedClock()
    with simulated(Fault("not_found", times=2), clock=clock, delay=(9.0, 9.0)) as simulator:
        path = f"/v1/messages/batches/{created(simulator, requests(1))}"
        assert [call(simulator, "GET", path).status for _ in range(3)] == [404, 404, 200]
        simulator.inject(Fault("not_found", seconds=5, times=-1))
        assert call(simulator, "GET", path).error[0] == "not_found_error"
        clock.shift = 6
        assert call(simulator, "GET", path).status == 200


def test_results_are_not_found_just_after_the_end():
    clock = ShiftedClock()
    with simulated(Fault("not_found", on="results", seconds=20, times=-1), clock=clock) as simulator:
        batch_id = created(simulator, requests(1))
        assert raw_results(simulator, batch_id).status == 404
        clock.shift = 21
        assert raw_results(simulator, batch_id).status == 200


def test_results_cut_in_the_middle_of_a_line_break_the_connection():
    with simulated(Fault("cut")) as simulator, sdk(simulator) as client:
        batch = run(client, requests(10))
        with client.messages.batches.with_streaming_response.results(batch.id) as response:
            pieces = response.iter_bytes()
            received = next(pieces)
            with pytest.raises(httpx2.RemoteProtocolError):
                received += b"".join(pieces)
        assert received.count(b"\n") == 5
        assert not received.endswith(b"\n")
        assert len(results(client, batch.id)) == 10, "only once"


def test_results_that_end_early_in_silence_look_complete():
    with simulated(Fault("truncate", share=0.3)) as simulator, sdk(simulator) as client:
        batch = run(client, requests(10))
        assert len(results(client, batch.id)) == 3
        assert len(results(client, batch.id)) == 10


def test_the_truncated_body_says_nothing_of_its_length():
    with simulated(Fault("truncate")) as simulator:
        answer = raw_results(simulator, created(simulator, requests(4)))
        assert not {"content-length", "transfer-encoding"} & set(answer.headers)
        assert answer.body.endswith(b"\n")
        assert answer.headers["batchnb-simulator"] == simulator.id


def lines_under(*faults, count=10):
    with simulated(*faults) as simulator:
        return raw_results(simulator, created(simulator, requests(count))).body


def names(body):
    return [json.loads(line)["custom_id"] for line in body.splitlines() if line.strip()]


def test_rows_can_be_missing_or_come_twice():
    assert len(names(lines_under(Fault("missing", share=0.25), count=8))) == 6
    twice = names(lines_under(Fault("duplicate", share=0.25), count=8))
    assert len(twice) == 10
    assert len(set(twice)) == 8


def test_lines_can_be_blank_or_end_with_crlf():
    blank = lines_under(Fault("blank_lines"))
    assert blank.count(b"\n\n") == 9
    assert len(names(blank)) == 10
    crlf = lines_under(Fault("crlf"))
    assert crlf.count(b"\r\n") == 10


def test_rows_that_nobody_asked_for_and_lines_that_are_no_json_are_mixed_in():
    mixed = names(lines_under(Fault("unknown_ids", share=0.2)))
    assert len([name for name in mixed if name.startswith("never-asked")]) == 2
    assert len(mixed) == 12
    assert b"<html>" in lines_under(Fault("garbage"))


def test_a_result_may_be_of_a_type_that_nobody_knows():
    rows = [json.loads(line) for line in lines_under(Fault("unknown_type", share=0.1)).splitlines()]
    assert sorted({row["result"]["type"] for row in rows}) == ["paused", "succeeded"]


def test_a_batch_expires_in_part_or_whole():
    with simulated(Fault("expire", share=0.3), Fault("expire", after=1)) as simulator, sdk(simulator) as client:
        part, whole = run(client, requests(10)), run(client, requests(10))
        assert (part.request_counts.expired, part.request_counts.succeeded) == (3, 7)
        assert whole.request_counts.expired == 10


def test_a_batch_can_be_slow():
    clock = ShiftedClock()
    with simulated(Fault("slow_batch", seconds=500), clock=clock) as simulator, sdk(simulator) as client:
        batch = client.messages.batches.create(requests=requests(1))
        clock.shift = 490
        assert client.messages.batches.retrieve(batch.id).processing_status == "in_progress"
        clock.shift = 501
        assert ended(client, batch.id).request_counts.succeeded == 1


def test_rows_can_be_refused_cut_or_in_error():
    faults = (
        Fault("refusal", share=0.2),
        Fault("max_tokens", share=0.2),
        Fault("errored", share=0.2, error_type="overloaded_error"),
    )
    with simulated(*faults) as simulator, sdk(simulator) as client:
        batch = run(client, requests(50))
        rows = results(client, batch.id).values()
        errors = [row.error for row in rows if row.type == "errored"]
        stops = [row.message.stop_reason for row in rows if row.type == "succeeded"]
        assert {error.error.type for error in errors} == {"overloaded_error"}
        assert 0 < len(errors) == batch.request_counts.errored
        assert set(stops) == {"refusal", "max_tokens", "end_turn"}
        refused = [row.message for row in rows if row.type == "succeeded" and row.message.stop_reason == "refusal"]
        assert {message.stop_details.type for message in refused} == {"refusal"}
        executed = [row for row in simulator.record() if row.executed]
        assert len(executed) == 50 - len(errors), "a refusal is billed"


def test_a_batch_can_vanish_for_good():
    with simulated(Fault("vanish")) as simulator, sdk(simulator) as client:
        batch = client.messages.batches.create(requests=requests(1))
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve(batch.id)
        assert client.messages.batches.list().data == []
        with pytest.raises(anthropic.BadRequestError):
            client.messages.batches.list(after_id=batch.id)
        assert accepted(simulator) == 1


def test_counts_can_disagree_with_the_rows_and_the_results_url_lie_elsewhere():
    faults = Fault("counts", on="retrieve", times=-1), Fault("results_url", times=-1, url="http://elsewhere.invalid")
    with simulated(*faults) as simulator, sdk(simulator) as client:
        batch = run(client, requests(3))
        assert batch.request_counts.succeeded == 4
        assert batch.results_url == f"http://elsewhere.invalid/v1/messages/batches/{batch.id}/results"


def test_an_answer_can_be_slow_or_a_redirect():
    with simulated(Fault("slow", on="list", seconds=0.5), Fault("redirect", on="models")) as simulator:
        with sdk(simulator) as client, pytest.raises(anthropic.APITimeoutError):
            client.messages.batches.list(timeout=0.1)
        answer = call(simulator, "GET", "/v1/models")
        assert (answer.status, answer.headers["location"]) == (307, "http://127.0.0.1:9/v1/models")


def test_a_slow_create_is_carried_out_though_the_client_has_left():
    with simulated(Fault("slow", seconds=0.3)) as simulator, sdk(simulator) as client:
        with pytest.raises(anthropic.APITimeoutError):
            client.messages.batches.create(requests=requests(1), timeout=0.1)
        for _ in range(1000):
            if accepted(simulator):
                break
            time.sleep(0.01)
        assert accepted(simulator) == 1


def test_row_faults_outlive_the_simulator_that_was_told_of_them(tmp_path):
    with simulated(Fault("refusal"), state=tmp_path, delay=(0.2, 0.2)) as simulator:
        batch_id = created(simulator, requests(2))
    with Simulator(tmp_path) as simulator, sdk(simulator) as client:
        ended(client, batch_id)
        assert {row.message.stop_reason for row in results(client, batch_id).values()} == {"refusal"}


@pytest.mark.parametrize("bad", [{"kind": "gremlins"}, {"kind": "cut", "on": "create"}, {"kind": "reset", "on": "x"}])
def test_a_fault_that_cannot_be_is_refused_when_it_is_made(bad):
    with pytest.raises(ValueError, match=r"unknown fault|cannot strike"):
        Fault(**bad)


def test_every_kind_is_documented_and_strikes_calls_that_exist():
    for name, kind in KINDS.items():
        assert kind.does, name
        assert set(kind.routes) <= set(ROUTES), name
        assert kind.stage in {"before", "after", "batch", "object", "body"}, name


def test_a_plan_gives_a_call_every_fault_that_strikes_it():
    plan = FaultPlan([Fault("slow", on="list"), Fault("overloaded", on="list"), Fault("reset")])
    assert [fault.kind for fault in plan.take("list", lambda: None)] == ["slow", "overloaded"]
    assert plan.take("list", lambda: None) == []


def test_shares_are_rounded_up_so_that_a_fault_always_strikes():
    fates = row_faults([Fault("refusal", share=0.01)], 5, random.Random(1))
    assert list(fates.values()) == ["refusal"]
    lines = list(distort(iter([b'{"custom_id":"a"}\n']), 1, [Fault("missing", share=0.01)], random.Random(1)))
    assert lines == []
