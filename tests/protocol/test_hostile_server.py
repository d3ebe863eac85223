"""A server, or something before it, that does what no documentation mentions: nothing is lost, nothing bought twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import anthropic
import independent
import pandas as pd
import pytest
from bench import KEY, Bench, assert_echoed, outcomes, texts
from hostility import Changed, Manner, Upload
from independent import Held, Lost, Server, Spoiled, Status

from batchnb import Workspace
from batchnb.errors import BatchnbError

pytest_plugins = ["bench_fixtures"]

PAGE = b"<html><body>A proxy says hello.</body></html>"
PATIENT = pytest.mark.filterwarnings("ignore:The first request could not be checked:UserWarning")


@contextmanager
def short_of_time(bench: Bench, seconds: float = 0.5) -> Iterator[Workspace]:
    """A workspace whose client waits that long for an answer."""
    with anthropic.Anthropic(api_key=KEY, base_url=bench.server.url, timeout=seconds) as client:
        workspace = Workspace(client, home=bench.home, scope="independent", max_poll=0.02)
        yield workspace
        workspace.close()


# A full queue


def test_a_long_job_goes_through_a_short_queue_as_its_batches_end(bench: Bench):
    """60 batches, and room for three: whenever one is refused, the oldest ends."""
    server = bench.server
    server.ends = False
    server.manner.room = 60
    most = refusals = 0

    def refused_or_sent() -> bool:
        said = "goes on as room comes" in (job.snapshot().note or "")
        return (statuses(server, 429) > refusals and said) or len(server.batches) == 60

    job = bench.submit(texts(1200), batch_size=20)
    while len(server.batches) < 60:
        server.wait_for(refused_or_sent)
        refusals = statuses(server, 429)
        most = max(most, server.waiting)
        server.end(next(batch for batch in server.batches if batch.status != "ended"))
    server.end()
    assert_echoed(job)
    assert server.bought_once()
    assert most == 60
    assert refusals >= 50
    assert job.snapshot().note is None
    assert server.called("GET", "batches?limit") == 0


def statuses(server: Server, status: int) -> int:
    """How often calls were answered with that status."""
    return sum(answered == status for _, _, answered in list(server.calls))


@PATIENT
def test_a_storm_of_overload_on_every_endpoint_is_waited_out(bench: Bench):
    server = bench.server
    for endpoint in ("count_tokens", "create", "retrieve", "results", "list"):
        server.faults[endpoint] += [Status(529), Status(429), Status(529, {"retry-after": "0"})] * 2
    server.faults["create"] += [Lost(), Lost(accept=False)]
    assert_echoed(bench.submit(texts(30), batch_size=10))
    assert server.bought_once()


# Answers to a create that say nothing, or the wrong thing

NO_ANSWERS = {
    "html": lambda answer: PAGE,
    "nothing": lambda answer: b"",
    "cut": lambda answer: b'{"id": "msgbatch_0000',
    "null": lambda answer: None,
    "a list": lambda answer: [answer],
    "no id": lambda answer: {name: value for name, value in answer.items() if name != "id"},
    "id null": lambda answer: answer | {"id": None},
    "id a number": lambda answer: answer | {"id": 7},
    "id empty": lambda answer: answer | {"id": ""},
    "an error": lambda answer: {"type": "error", "error": {"type": "api_error", "message": "oh"}},
}


@pytest.mark.parametrize("accept", [True, False], ids=["made", "not made"])
@pytest.mark.parametrize("change", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_an_answer_to_a_create_that_names_no_batch_leaves_it_open_whether_there_is_one(bench: Bench, change, accept):
    bench.server.faults["create"] += [Changed(change, accept=accept)]
    assert_echoed(bench.submit(texts(20), batch_size=10))
    assert bench.server.bought_once()
    assert bench.server.called("GET", "batches?limit")


@pytest.mark.parametrize("status", [200, 502, 503])
def test_a_page_of_html_in_place_of_an_answer_costs_nothing(bench: Bench, status):
    page = Changed(lambda answer: PAGE, status)
    for endpoint in ("create", "retrieve", "list", "results"):
        bench.server.faults[endpoint] += [page] * 2
    assert_echoed(bench.submit(texts(20), batch_size=10))
    assert bench.server.bought_once()


@pytest.mark.parametrize("status", [200, 502])
def test_a_page_of_html_in_place_of_the_check_is_said_and_the_job_goes_on(bench: Bench, status):
    bench.server.faults["count_tokens"] += [Changed(lambda answer: PAGE, status)]
    with pytest.warns(UserWarning, match="could not be checked"):
        job = bench.submit(texts(3))
    assert_echoed(job)


@pytest.mark.parametrize("accept", [True, False], ids=["made", "not made"])
def test_a_create_answered_with_the_id_of_an_earlier_batch_is_settled_by_listing(bench: Bench, accept):
    assert_echoed(bench.submit(texts(10)))
    earlier = bench.server.described(bench.server.batches[0])
    bench.server.faults["create"] += [Changed(lambda answer: earlier, accept=accept)]
    job = bench.submit(texts(10, "more"))
    assert_echoed(job)
    assert bench.server.bought_once()
    assert job.batches["id"].tolist() == ["msgbatch_000002"]


# Batches described in another way than documented

DESCRIPTIONS = {
    "counts too many": {"request_counts": {"processing": 0, "succeeded": 1_000_000}},
    "counts too few": {"request_counts": {"processing": 0, "succeeded": 3}},
    "counts negative": {"request_counts": {"processing": -5, "succeeded": -10, "errored": -1}},
    "counts empty": {"request_counts": {}},
    "counts null": {"request_counts": None},
    "counts a list": {"request_counts": [1, 2]},
    "a count null": {"request_counts": {"processing": 0, "succeeded": 10, "errored": None}},
    "counts of other kinds": {"request_counts": {"processing": False, "succeeded": "10", "errored": 0.5}},
    "counts beyond 64 bits": {"request_counts": {"processing": 0, "succeeded": 10**30}},
    "more fields": {"novel": {"deep": [1, None]}, "request_counts": {"succeeded": 10, "paused": 4}},
    "times null": {"created_at": None, "expires_at": None, "ended_at": None, "results_url": None},
    "times of the first and the last day": {"created_at": "0001-01-01T00:00:00Z", "ended_at": "9999-12-31T23:59:59Z"},
    "times without a zone": {"created_at": "2026-11-01T10:00:00", "expires_at": "2026-11-02T10:00:00"},
}


@pytest.mark.parametrize("lies", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_whatever_a_batch_is_said_to_be_its_rows_get_their_answers(bench: Bench, lies):
    bench.server.always["retrieve"] = Changed(lambda answer: answer | lies)
    job = bench.submit(texts(10))
    assert_echoed(job)
    assert bench.server.bought_once()
    assert len(job.batches) == 1
    assert job.snapshot().status == "ended"
    assert repr(job)


@pytest.mark.parametrize("lies", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_whatever_a_create_is_answered_with_beside_the_id_the_batch_is_made_once(bench: Bench, lies):
    bench.server.faults["create"] += [Changed(lambda answer: answer | lies)]
    assert_echoed(bench.submit(texts(10)))
    assert bench.server.bought_once()


@pytest.mark.parametrize("missing", ["request_counts", "processing_status", "created_at", "expires_at", "ended_at"])
def test_a_field_that_is_left_out_for_a_while_costs_nothing(bench: Bench, missing):
    def without(answer):
        if "data" in answer:
            return answer | {"data": [without(batch) for batch in answer["data"]]}
        return {name: value for name, value in answer.items() if name != missing}

    for endpoint in ("create", "retrieve", "list"):
        bench.server.faults[endpoint] += [Changed(without)] * 2
    bench.server.faults["create"] += [Lost()]
    assert_echoed(bench.submit(texts(30), batch_size=10))
    assert bench.server.bought_once()


@pytest.mark.parametrize("counts", [None, {}, {"processing": 0, "succeeded": None}, "ten"], ids=repr)
def test_a_lost_batch_is_found_though_the_list_does_not_tell_its_size(bench: Bench, counts):
    unsized = Changed(
        lambda page: page | {"data": [batch | {"request_counts": counts} for batch in page["data"]]},
    )
    bench.server.always["list"] = unsized
    bench.server.faults["create"] += [Lost(), Lost(accept=False)]
    assert_echoed(bench.submit(texts(30), batch_size=10))
    assert bench.server.bought_once()


def test_a_status_nobody_knows_counts_as_in_progress(bench: Bench):
    novel = Changed(lambda answer: answer | {"processing_status": "pondering"})
    bench.server.faults["retrieve"] += [novel] * 3
    job = bench.submit(texts(3))
    assert_echoed(job)


# Results

RESULTS = {
    "CRLF, cut everywhere": Spoiled(newline=b"\r\n", pieces=1),
    "cut everywhere": Spoiled(pieces=1),
    "a byte order mark": Spoiled(change=lambda rows: [b"\xef\xbb\xbf" + b"{}", *rows]),
    "a list of all": Spoiled(change=lambda rows: [*rows, b"[" + b",".join(rows) + b"]"]),
    "custom_id null": Spoiled(change=lambda rows: [b'{"custom_id": null, "result": {"type": "expired"}}', *rows]),
    "no result": Spoiled(change=lambda rows: [rows[0].split(b', "result"')[0] + b"}", *rows]),
    "more fields": Spoiled(change=lambda rows: [b'{"novel": [1, {}], ' + row[1:] for row in rows]),
}


@pytest.mark.parametrize("spoiled", RESULTS.values(), ids=RESULTS)
def test_lines_in_any_form_give_each_row_its_answer(bench: Bench, spoiled):
    bench.server.always["results"] = spoiled
    assert_echoed(bench.submit(texts(5)))
    assert bench.server.bought_once()
    assert bench.server.called("GET", "/results") == 1


USAGES = {
    "null": None,
    "beyond 64 bits": {"input_tokens": 10**30, "output_tokens": 10**30},
    "a float beyond 64 bits": {"input_tokens": 1e300},
    "no numbers": {"input_tokens": "many", "output_tokens": [], "cache_creation": "none", "inference_geo": 7},
    "negative": {"input_tokens": -1, "cache_creation": {"ephemeral_5m_input_tokens": -3}},
}


@pytest.mark.parametrize("usage", USAGES.values(), ids=USAGES)
def test_an_answer_with_strange_usage_is_an_answer(bench: Bench, usage):
    def result(params):
        answer = independent.succeeded(params)
        answer["message"]["usage"] = usage
        return answer

    bench.server.result = result
    job = bench.submit(texts(5))
    assert_echoed(job)
    assert bench.server.bought_once()
    assert job.usage.requests == 5


# Listing while a batch is looked for


def test_a_list_that_names_no_way_on_is_not_taken_for_the_whole(bench: Bench):
    """The lost batch stands on the second page: a first page that cannot be turned proves nothing."""
    server = bench.server
    ends = {
        "no last_id": lambda page: page | {"last_id": None},
        "an empty page": lambda page: page | {"data": [], "first_id": None, "last_id": None},
        "an empty page with a way on": lambda page: page | {"data": []},
    }
    for name, change in ends.items():
        fault = Held(lost=True)
        server.faults["create"] += [fault]
        job = bench.submit(texts(10, name))
        server.wait_for(fault.reached.is_set)
        for number in range(100):
            server.accept(strangers(f"{name[-8:]} {number}"))
        server.faults["list"] += [Changed(lambda page, change=change: change(page) if page["has_more"] else page)] * 4
        fault.let_go.set()
        assert_echoed(job)
        assert server.bought_once(), name


def strangers(name: str) -> list[dict]:
    params = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": f"somebody else's {name}"}]}
    return [{"custom_id": "theirs", "params": params}]


def test_a_list_that_gives_the_same_page_again_and_again_ends(bench: Bench):
    server = bench.server
    server.faults["create"] += [Lost()]
    server.faults["list"] += [Changed(lambda page: page | {"has_more": True, "last_id": "msgbatch_000001"})]
    server.always["list"] = None
    assert_echoed(bench.submit(texts(10)))
    assert server.bought_once()


def test_batches_lists_what_it_can_of_a_list_without_end(bench: Bench):
    server = bench.server
    for number in range(5):
        server.accept(strangers(str(number)))
    server.always["list"] = Changed(lambda page: page | {"has_more": True, "last_id": "msgbatch_000003"})
    assert len(bench.workspace.batches(limit=5)) == 5


# Redirects, on every endpoint


@PATIENT
@pytest.mark.parametrize("endpoint", ["count_tokens", "create", "retrieve", "list", "results", "cancel"])
def test_no_endpoint_is_followed_elsewhere(bench: Bench, endpoint):
    server = bench.server
    with Server() as elsewhere:
        if endpoint == "list":
            server.faults["create"] += [Lost()]
        server.ends = endpoint != "cancel"
        server.faults[endpoint] += [Status(307, {"location": f"{elsewhere.url}/v1/messages/batches"})] * 2
        job = bench.submit(texts(5))
        if endpoint == "cancel":
            server.wait_for(lambda: server.batches)
            job.cancel()
            server.wait_for(lambda: server.called("POST", "/cancel") >= 3)
            server.end()
        ended = job.result(30)
        if endpoint == "create":  # refused, with the reason; the second refusal is met by running the cell again
            assert "redirects" in ended["echo_error"][0]
            bench.submit(texts(5)).result(30)
            assert_echoed(bench.submit(texts(5)))
        elif endpoint != "cancel":
            assert_echoed(job)
        assert elsewhere.calls == []
        assert server.bought_once()


def test_a_delete_is_not_followed_elsewhere(bench: Bench):
    job = bench.submit(texts(5))
    assert_echoed(job)
    with Server() as elsewhere:
        bench.server.faults["delete"] += [Status(307, {"location": f"{elsewhere.url}/v1/messages/batches/x"})]
        with pytest.raises(BatchnbError, match="redirects"):
            job.delete(remote=True)
        assert elsewhere.calls == []
    assert_echoed(bench.submit(texts(5)))  # nothing was deleted here either


# Clocks


@pytest.mark.parametrize("hours", [-25, 25])
def test_a_server_a_day_ahead_or_behind_changes_nothing(bench: Bench, hours):
    server = bench.server
    server.manner.shift = timedelta(hours=hours)
    server.faults["create"] += [Lost(), Status(429, {"retry-after": "1"})]
    server.faults["retrieve"] += [Status(404)] * 2
    job = bench.submit(texts(20), batch_size=10)
    assert_echoed(job)
    assert server.bought_once()
    assert job.snapshot().elapsed < 3600
    assert repr(job.batches)


# How answers come


@pytest.mark.parametrize(
    "manner",
    [Manner(gzip=True), Manner(chunked=True), Manner(gzip=True, chunked=True), Manner(hangs_up=True)],
    ids=["gzip", "chunked", "gzip in chunks", "a connection for each"],
)
def test_answers_in_any_encoding_and_framing_are_read(bench: Bench, manner):
    bench.server.manner = manner
    bench.server.faults["create"] += [Lost()]
    bench.server.faults["results"] += [Status(500), Spoiled(cut=0.5)]
    assert_echoed(bench.submit(texts(50), batch_size=10))
    assert bench.server.bought_once()
    assert len(bench.server.batches) == 5


@pytest.mark.parametrize("fault", [Lost(), Lost(accept=False)], ids=["made", "not made"])
def test_a_create_on_a_connection_that_the_server_has_left_is_neither_lost_nor_bought_twice(bench: Bench, fault):
    """A kept connection is closed just as the create is written on it; every other call meets closed ones too."""
    server = bench.server
    server.manner.hangs_up = True
    assert_echoed(bench.submit(texts(5, "warm")))
    server.faults["create"] += [fault] * 2
    assert_echoed(bench.submit(texts(30), batch_size=10))
    assert server.bought_once()


@pytest.mark.parametrize("accept", [True, False], ids=["made", "not made"])
def test_a_server_that_takes_calls_and_never_answers_is_given_up_after_the_clients_time_out(bench: Bench, accept):
    server = bench.server
    with short_of_time(bench) as workspace:
        silent = [Held(accept=accept), Held(), Held(), Held()]
        for endpoint, fault in zip(("create", "retrieve", "list", "results"), silent, strict=True):
            server.faults[endpoint] += [fault]
        assert_echoed(bench.submit(texts(10), workspace=workspace))
        assert silent[0].reached.is_set()
        for fault in silent:
            fault.let_go.set()
    assert server.bought_once()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_an_upload_of_megabytes_that_is_reset_on_its_way_is_sent_again_once(bench: Bench, part):
    server = bench.server
    long = [f"{number} " + "x" * 1_000_000 for number in range(12)]
    fault = Upload(int(part * 12_000_000), breaks=True)
    fault.let_go.set()
    server.faults["create"] += [fault]
    assert_echoed(bench.submit(long))
    assert fault.reached.is_set()
    assert server.bought_once()
    assert server.called("POST", "batches") == 2
    assert server.called("GET", "batches?limit") >= 2


# Cancelling in a bad moment


@pytest.mark.parametrize("accept", [True, False], ids=["made", "not made"])
def test_a_create_whose_answer_is_lost_during_a_cancel_ends_in_the_right_counts(bench: Bench, accept):
    server = bench.server
    server.ends = False
    fault = Held(accept=accept, lost=True)
    server.faults["create"] += [None, fault]
    job = bench.submit(texts(30), batch_size=10)
    server.wait_for(fault.reached.is_set)
    job.cancel()
    fault.let_go.set()
    server.wait_for(lambda: server.called("POST", "/cancel") and server.called("GET", "batches?limit") >= 2)
    server.end()
    # What nobody could cancel, since nobody knew its id, was answered and paid for: it is kept.
    expected = {"succeeded": 10, "canceled": 20} if accept else {"canceled": 30}
    assert outcomes(job.result(30)) == expected
    assert job.status == "ended"
    assert server.bought_once()
    assert len(server.batches) == 1 + accept
    server.ends = True
    assert job.retry() == expected["canceled"]
    assert_echoed(job)
    assert max(server.asked.values()) <= 2
    assert sum(server.asked.values()) == 30 + 10  # of what was canceled, ten had been in a batch


def test_cancelling_while_batches_are_being_sent_ends_in_the_right_counts(bench: Bench):
    server = bench.server
    server.ends = False
    job = bench.submit(texts(400), batch_size=10)
    server.wait_for(lambda: len(server.batches) >= 5)
    job.cancel()
    for _ in range(3):
        job.cancel()  # an impatient user
    server.wait_for(lambda: server.called("POST", "/cancel") >= len(server.batches))
    server.end()
    assert outcomes(job.result(30)) == {"canceled": 400}
    assert len(server.batches) < 40
    assert set(job.batches["state"]) == {"ended"}


@pytest.mark.parametrize("kind", ["expired", "canceled", "api_error", "overloaded_error", "timeout_error"])
def test_without_retries_of_its_own_a_failure_that_passes_goes_again_with_retry_alone(bench: Bench, kind):
    failed = {"type": kind} if kind in ("expired", "canceled") else independent.errored(kind)
    bench.server.result = lambda params: failed
    job = bench.submit(texts(5), retries=0)
    assert outcomes(job.result(30)) == {failed["type"]: 5}
    assert bench.submit(texts(5), retries=0).done()
    assert bench.server.bought_once()
    bench.server.result = independent.succeeded
    assert job.retry() == 5
    assert_echoed(job)
    assert job.retry() == job.retry(all=True) == 0


def test_a_row_refused_as_invalid_goes_again_when_it_changes(bench: Bench):
    invalid = independent.errored("invalid_request_error", "too long")
    bench.server.result = lambda params: (
        invalid if independent.text_of(params).endswith("bad") else independent.succeeded(params)
    )
    assert outcomes(bench.submit(["good", "bad"], retries=5).result(30)) == {"succeeded": 1, "errored": 1}
    assert bench.submit(["good", "bad"], retries=5).done()
    assert_echoed(bench.submit(["good", "better"], retries=5))
    assert bench.server.bought_once()
    assert sum(bench.server.asked.values()) == 3


def test_a_batch_that_is_gone_for_good_holds_up_no_other_job(bench: Bench):
    bench.keep_to(give_up_after=0.3)
    server = bench.server
    server.ends = False
    jobs = [bench.submit(texts(10, name)) for name in ("gone", "here")]
    server.wait_for(lambda: len(server.batches) == 2)
    server.vanish(server.batches[0])
    server.end(server.batches[1])
    assert_echoed(jobs[1])
    assert outcomes(jobs[0].result(30)) == {"pending": 10}
    assert pd.isna(jobs[0].result()["echo"]).all()
