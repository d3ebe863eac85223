"""The life of a batch on the simulator, as the official SDK sees it."""

import json
import threading

import anthropic
import pytest
from simulation import (
    KEY,
    ShiftedClock,
    call,
    created,
    ended,
    params,
    raw_results,
    requests,
    results,
    run,
    sdk,
)

from batchnb.sim import Fault, Limits, Simulator

pytestmark = pytest.mark.steady

FAST = (0.02, 0.04)
NEVER = (3600.0, 3600.0)
OUTCOMES = ("succeeded", "errored", "canceled", "expired")


def test_a_batch_comes_back_with_every_request_answered(client):
    batch = run(client, requests(7))
    assert batch.request_counts.succeeded == 7
    assert batch.request_counts.processing == 0
    answers = results(client, batch.id)
    assert {name: answer.message.content[0].text for name, answer in answers.items()} == {
        f"row-{i}": f"text {i}" for i in range(7)
    }
    assert {answer.message.usage.service_tier for answer in answers.values()} == {"batch"}


def test_finished_counts_are_zero_until_the_whole_batch_has_ended():
    clock = ShiftedClock()
    with Simulator(delay=NEVER, clock=clock) as simulator, sdk(simulator) as client:
        batch = client.messages.batches.create(requests=requests(5))
        for shift in (0, 1800, 3599):
            clock.shift = shift
            batch = client.messages.batches.retrieve(batch.id)
            assert batch.processing_status == "in_progress"
            assert batch.request_counts.processing == 5
            assert [getattr(batch.request_counts, name) for name in OUTCOMES] == [0, 0, 0, 0]
            assert batch.ended_at is None
            assert batch.results_url is None
        clock.shift = 3601
        batch = ended(client, batch.id)
        assert batch.request_counts.succeeded == 5
        assert batch.ended_at is not None


def test_the_times_of_a_batch_are_a_day_apart_and_written_with_microseconds(simulator):
    batch_id = created(simulator, requests(1))
    raw = call(simulator, "GET", f"/v1/messages/batches/{batch_id}").json
    assert raw["created_at"][19] == "."
    assert raw["created_at"].endswith("Z")
    assert len(raw["created_at"]) == len("2026-11-22T02:27:56.447771Z")
    assert raw["expires_at"][11:] == raw["created_at"][11:]
    assert batch_id.startswith("msgbatch_01")
    assert set(raw) == set(anthropic.types.messages.MessageBatch.model_fields)


def test_results_come_in_another_order_than_the_requests_and_twice_the_same(simulator):
    batch_id = created(simulator, requests(60))
    first, second = raw_results(simulator, batch_id), raw_results(simulator, batch_id)
    assert first.headers["content-type"] == "application/x-jsonl"
    order = [json.loads(line)["custom_id"] for line in first.body.splitlines()]
    assert order != [f"row-{i}" for i in range(60)]
    assert sorted(first.body.splitlines()) == sorted(second.body.splitlines())


def test_the_results_url_is_at_the_host_that_the_client_called(simulator):
    batch_id = created(simulator, requests(1))
    raw_results(simulator, batch_id)
    host = f"localhost:{simulator.url.rpartition(':')[2]}"
    raw = call(simulator, "GET", f"/v1/messages/batches/{batch_id}", headers={"host": host}).json
    assert raw["results_url"] == f"http://{host}/v1/messages/batches/{batch_id}/results"


def test_results_before_the_end_are_an_error():
    with Simulator(delay=NEVER) as simulator:
        batch_id = created(simulator, requests(1))
        answer = call(simulator, "GET", f"/v1/messages/batches/{batch_id}/results")
        assert (answer.status, answer.error[0]) == (404, "not_found_error")


async def _async_round(simulator):
    async with anthropic.AsyncAnthropic(
        base_url=simulator.url, api_key=KEY, max_retries=0, _strict_response_validation=True
    ) as client:
        batch = await client.beta.messages.batches.create(requests=requests(3), betas=["output-300k-2026-03-24"])
        while batch.processing_status != "ended":
            batch = await client.beta.messages.batches.retrieve(batch.id)
        return [row.custom_id async for row in await client.beta.messages.batches.results(batch.id)]


def test_the_async_client_and_the_beta_namespace_work_too(simulator):
    import asyncio

    assert sorted(asyncio.run(_async_round(simulator))) == ["row-0", "row-1", "row-2"]


def test_a_list_runs_from_the_newest_to_the_oldest_in_pages_both_ways(simulator, client):
    made = [created(simulator, requests(1)) for _ in range(5)]
    newest_first = made[::-1]
    assert [batch.id for batch in client.messages.batches.list(limit=2)] == newest_first
    page = client.messages.batches.list(limit=2)
    assert [page.first_id, page.last_id, page.has_more] == [newest_first[0], newest_first[1], True]
    older = client.messages.batches.list(limit=2, after_id=newest_first[2])
    assert [[batch.id for batch in older.data], older.has_more] == [newest_first[3:], False]
    newer = client.messages.batches.list(limit=2, before_id=newest_first[3])
    assert [[batch.id for batch in newer.data], newer.has_more] == [newest_first[1:3], True]
    assert client.messages.batches.list(after_id=newest_first[-1]).data == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=ten", "after_id=msgbatch_01nobody", "before_id=msgbatch_01nobody"]
)
def test_a_list_with_a_bad_limit_or_cursor_is_refused(simulator, query):
    answer = call(simulator, "GET", f"/v1/messages/batches?{query}")
    assert (answer.status, answer.error[0]) == (400, "invalid_request_error")
    assert query.partition("=")[0] in answer.error[1]


def test_a_canceled_batch_is_canceling_for_a_moment_and_then_ends_in_part():
    clock = ShiftedClock()
    with Simulator(delay=(100.0, 100.0), clock=clock, seed=1) as simulator, sdk(simulator) as client:
        batch = client.messages.batches.create(requests=requests(200))
        clock.shift = 50
        batch = client.messages.batches.cancel(batch.id)
        assert batch.processing_status == "canceling"
        assert batch.cancel_initiated_at is not None
        assert batch.request_counts.processing == 200
        assert client.messages.batches.cancel(batch.id).processing_status == "canceling"
        batch = ended(client, batch.id)
        counts = batch.request_counts
        assert counts.succeeded + counts.canceled == 200
        assert 80 < counts.succeeded < 160, "about half had run, and a few more were running"
        types = [result.type for result in results(client, batch.id).values()]
        assert types.count("canceled") == counts.canceled


def test_canceling_a_batch_that_has_ended_is_refused(client):
    batch = run(client, requests(1))
    with pytest.raises(anthropic.BadRequestError, match="already ended"):
        client.messages.batches.cancel(batch.id)


def test_a_batch_is_deleted_only_after_its_end_and_is_gone_then():
    clock = ShiftedClock()
    with Simulator(delay=NEVER, clock=clock) as simulator, sdk(simulator) as client:
        batch = client.messages.batches.create(requests=requests(1))
        with pytest.raises(anthropic.BadRequestError, match="Consider canceling the batch instead"):
            client.messages.batches.delete(batch.id)
        clock.shift = 3601
        deleted = client.messages.batches.delete(ended(client, batch.id).id)
        assert (deleted.id, deleted.type) == (batch.id, "message_batch_deleted")
        for act in (client.messages.batches.retrieve, client.messages.batches.delete, client.messages.batches.cancel):
            with pytest.raises(anthropic.NotFoundError):
                act(batch.id)
        assert client.messages.batches.list().data == []
        assert len(simulator.record()) == 1, "it was accepted all the same"


def test_a_batch_that_takes_longer_than_a_day_expires_in_part():
    clock = ShiftedClock()
    with Simulator(delay=(2 * 86_400.0, 2 * 86_400.0), clock=clock) as simulator, sdk(simulator) as client:
        batch = client.messages.batches.create(requests=requests(100))
        clock.shift = 86_401
        batch = ended(client, batch.id)
        assert batch.ended_at == batch.expires_at
        assert batch.request_counts.expired > 0
        assert batch.request_counts.succeeded + batch.request_counts.expired == 100
        assert {result.type for result in results(client, batch.id).values()} == {"succeeded", "expired"}


def test_results_are_gone_when_the_batch_is_archived():
    clock = ShiftedClock()
    with Simulator(delay=FAST, clock=clock) as simulator, sdk(simulator) as client:
        batch = run(client, requests(1))
        clock.shift = 29 * 86_400 + 1
        batch = client.messages.batches.retrieve(batch.id)
        assert batch.archived_at is not None
        assert batch.results_url is None
        answer = call(simulator, "GET", f"/v1/messages/batches/{batch.id}/results")
        assert (answer.status, answer.error[0]) == (404, "not_found_error")


def test_speed_divides_the_delay():
    clock = ShiftedClock()
    with Simulator(delay=(1000.0, 1000.0), speed=100.0, clock=clock) as simulator, sdk(simulator) as client:
        batch = client.messages.batches.create(requests=requests(1))
        clock.shift = 9
        assert client.messages.batches.retrieve(batch.id).processing_status == "in_progress"
        clock.shift = 10.1
        assert ended(client, batch.id).request_counts.succeeded == 1


def test_the_same_seed_gives_the_same_answers():
    def texts(seed):
        with Simulator(delay=(0.0, 0.0), seed=seed) as simulator, sdk(simulator) as client:
            wanted = [
                {"custom_id": f"r{i}", "params": params(f"Is this good? {i}", thinking={"type": "adaptive"}, model=m)}
                for i, m in enumerate(["claude-opus-5-5"] * 20)
            ]
            found = results(client, run(client, wanted).id)
            return {name: [block.type for block in row.message.content] for name, row in found.items()}

    assert texts(7) == texts(7)
    assert texts(7) != texts(8)


def test_the_record_tells_of_every_accepted_request_whether_it_was_executed():
    clock = ShiftedClock()
    with (
        Simulator(delay=(60.0, 60.0), clock=clock, faults=[Fault("lost_answer")]) as simulator,
        sdk(simulator) as client,
    ):
        wanted = [*requests(1), {"custom_id": "bad", "params": params(temperature=1)}]
        with pytest.raises(anthropic.APIConnectionError):
            client.messages.batches.create(requests=wanted)
        with pytest.raises(anthropic.BadRequestError):
            client.messages.batches.create(requests=[])
        (batch,) = client.messages.batches.list().data
        assert [(row.custom_id, row.executed, row.outcome) for row in simulator.record()] == [
            ("row-0", False, None),
            ("bad", False, None),
        ]
        clock.shift = 61
        ended(client, batch.id)
        created(simulator, requests(1))
        record = simulator.record()
        assert [(row.custom_id, row.executed, row.outcome) for row in record[:2]] == [
            ("row-0", True, "succeeded"),
            ("bad", False, "errored"),
        ]
        assert [(call.method, call.status) for call in simulator.calls[:2]] == [("POST", None), ("POST", 400)]


def test_the_queue_can_be_full_and_has_room_again_when_batches_end():
    clock = ShiftedClock()
    with (
        Simulator(delay=(60.0, 60.0), clock=clock, limits=Limits(queued=10)) as simulator,
        sdk(simulator) as client,
    ):
        client.messages.batches.create(requests=requests(8))
        with pytest.raises(anthropic.RateLimitError, match="limit of 10 batch requests"):
            client.messages.batches.create(requests=requests(3))
        clock.shift = 61
        client.messages.batches.create(requests=requests(3))


def test_too_many_requests_or_bytes_are_413():
    with Simulator(limits=Limits(requests=10, bytes=5000)) as simulator:
        for wanted in (requests(11), [{"custom_id": "a", "params": params("x" * 5000)}]):
            answer = call(simulator, "POST", "/v1/messages/batches", {"requests": wanted})
            assert (answer.status, answer.error[0]) == (413, "request_too_large")
        assert simulator.record() == []


def test_a_large_batch_is_read_in_pieces_and_comes_back_whole():
    with Simulator(delay=(0.0, 0.0), responder=lambda asked: "yes") as simulator:
        batch_id = created(simulator, requests(5000))
        lines = raw_results(simulator, batch_id).body.splitlines()
        assert {json.loads(line)["custom_id"] for line in lines} == {f"row-{i}" for i in range(5000)}


def test_a_slow_responder_leaves_the_batch_in_progress_and_the_server_free():
    go_on = threading.Event()
    with (
        Simulator(delay=(0.0, 0.0), responder=lambda asked: go_on.wait(20) and "late") as simulator,
        sdk(simulator) as client,
    ):
        batch = client.messages.batches.create(requests=requests(4))
        assert client.messages.batches.retrieve(batch.id).processing_status == "in_progress"
        assert client.messages.count_tokens(model="claude-opus-5-5", messages=params()["messages"]).input_tokens > 0
        go_on.set()
        assert ended(client, batch.id).request_counts.succeeded == 4


def test_a_batch_canceled_while_its_rows_are_answered_is_canceling_and_keeps_what_was_running():
    go_on = threading.Event()
    with (
        Simulator(delay=(0.0, 0.0), responder=lambda asked: go_on.wait(20) and "late") as simulator,
        sdk(simulator) as client,
    ):
        batch = client.messages.batches.create(requests=requests(2))
        assert client.messages.batches.retrieve(batch.id).processing_status == "in_progress"
        assert client.messages.batches.cancel(batch.id).processing_status == "canceling"
        go_on.set()
        batch = ended(client, batch.id)
        assert batch.request_counts.succeeded == 2
        assert batch.created_at <= batch.cancel_initiated_at <= batch.ended_at


def test_a_client_may_delete_what_it_lists(simulator, client):
    made = [run(client, requests(1)).id for _ in range(5)]
    for batch in client.messages.batches.list(limit=2):
        client.messages.batches.delete(batch.id)
        made.remove(batch.id)
    assert made == []
    assert client.messages.batches.list().data == []
