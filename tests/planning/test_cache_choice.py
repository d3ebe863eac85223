"""A job with a cache: a first request fills it, the rest go then, and the job says what it has brought."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import warnings
from typing import Any

import anthropic
import pandas as pd
import pytest
from bench import KEY, Bench, assert_echoed, outcomes, texts
from independent import Lost, Status
from simulation import ShiftedClock

from batchnb import InputError, Job, Workspace
from batchnb.__main__ import main
from batchnb.costs.cache import FIRST_REASON, PATIENCE
from batchnb.display.job.text import summary_text
from batchnb.planning.session import Session
from batchnb.protocol.submission import Submission
from batchnb.protocol.watcher import Watcher
from batchnb.questions.bodies import join_items
from batchnb.questions.cache_marks import marked_items
from batchnb.sim import Simulator

pytest_plugins = ["bench_fixtures"]

RULES = "Rules. " * 4000  # 28,000 bytes: above any model's least
SECONDS = 60


def cached(bench: Bench, count: int = 30, name: str = "text", **options: Any) -> Job:
    return bench.submit(texts(count, name), **{"cache": "1h", "system": RULES, "batch_size": 10, **options})


def sizes(bench: Bench) -> list[int]:
    return [len(batch.requests) for batch in bench.server.batches]


def filling(bench: Bench, **options: Any) -> Job:
    """A job whose first batch is on its way, and does not end."""
    bench.server.ends = False
    job = cached(bench, **options)
    bench.server.wait_for(lambda: bench.server.batches)
    wait_for_rest(job._session)
    return job


def wait_for_rest(session: Session) -> None:
    """Wait until only time can bring more."""
    while not session.watcher.at_rest:
        session.watcher.wake()


def go_on(bench: Bench) -> None:
    bench.server.ends = True
    bench.server.end()


# The first batch


def test_one_request_fills_the_cache_and_the_rest_go_when_it_has_ended(bench):
    job = filling(bench)
    assert sizes(bench) == [1]
    snapshot = job.snapshot()
    assert (snapshot.note, snapshot.status, snapshot.unsent) == (FIRST_REASON, "submitting", 29)
    go_on(bench)
    assert_echoed(job)
    assert sizes(bench) == [1, 10, 10, 9]
    assert job.snapshot().note is None
    assert bench.server.bought_once()
    marks = {json.dumps(request["params"]["system"][0]["cache_control"]) for batch in bench.server.batches
             for request in batch.requests}  # fmt: skip
    assert marks == {'{"ttl": "1h", "type": "ephemeral"}'}


def test_a_job_without_a_cache_is_sent_as_ever(bench):
    bench.server.ends = False
    job = cached(bench, cache=None)
    bench.server.wait_for(lambda: len(bench.server.batches) == 3)
    assert sizes(bench) == [10, 10, 10]
    assert {request["params"]["system"] for batch in bench.server.batches for request in batch.requests} == {RULES}
    go_on(bench)
    assert_echoed(job)
    assert job.caching.lifetime is None
    assert job.caching.why == "no cache, as asked"
    assert "cache" not in summary_text(job.snapshot())


def test_a_few_requests_are_a_small_batch_themselves(bench):
    assert_echoed(cached(bench, count=5))
    assert sizes(bench) == [5]


def test_a_cache_that_is_filled_is_not_filled_again(bench):
    assert_echoed(cached(bench, count=20))
    assert_echoed(cached(bench, count=20, name="other"))
    assert sizes(bench) == [1, 10, 9, 10, 10]


def test_after_a_restart_the_first_batch_is_still_waited_for(bench):
    workspace = bench.open()
    filling(bench, workspace=workspace)
    workspace.close()
    job = cached(bench, workspace=bench.open())
    wait_for_rest(job._session)
    assert sizes(bench) == [1]
    go_on(bench)
    assert_echoed(job)
    assert sizes(bench) == [1, 10, 10, 9]
    assert bench.server.bought_once()


def test_two_kernels_fill_it_once(bench):
    job = filling(bench, workspace=bench.open())
    other = cached(bench, workspace=bench.open())
    wait_for_rest(other._session)
    assert sizes(bench) == [1]
    go_on(bench)
    assert_echoed(job)
    assert_echoed(other)
    assert bench.server.bought_once()
    assert max(sizes(bench)[1:]) <= 10


def test_a_refused_first_batch_is_sent_again_alone(bench):
    bench.server.faults["create"] += [Status(429)]
    job = filling(bench)
    assert sizes(bench) == [1]
    go_on(bench)
    assert_echoed(job)
    assert bench.server.bought_once()


@pytest.mark.parametrize("status", [400, 402])
def test_where_the_server_refuses_for_good_rows_are_not_offered_one_by_one(bench, status):
    bench.server.always["create"] = Status(status)
    assert outcomes(cached(bench).result(SECONDS)) == {"errored": 30}
    assert bench.server.called("POST", "/batches") == 4


@pytest.mark.parametrize("made", [True, False])
def test_a_first_batch_whose_answer_was_lost_is_found_or_sent_again_and_waited_for(bench, made):
    bench.server.faults["create"] += [Lost(accept=made)]
    job = filling(bench)
    assert sizes(bench) == [1]
    go_on(bench)
    assert_echoed(job)
    assert sizes(bench) == [1, 10, 10, 9]
    assert bench.server.bought_once()


def test_a_first_request_that_fails_is_asked_again_and_keeps_nothing_up(bench):
    results = iter(
        [{"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": ""}}}]
    )
    usual = bench.server.result
    bench.server.result = lambda params: next(results, None) or usual(params)
    assert_echoed(cached(bench))
    assert sizes(bench) == [1, 1, 10, 10, 9]


#: A cell whose kernel is killed just before, or just after, the server makes the first batch.
KILLED = """
import os, signal, anthropic, pandas as pd, batchnb
from batchnb.api.client import Api
from batchnb.ledger.batches import Batches

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

{where} = die
workspace = batchnb.Workspace(anthropic.Anthropic(api_key="k", base_url={url!r}), home={home!r}, scope="independent")
pd.DataFrame({{"review": {texts!r}}}).batch.submit(
    "review", "Echo: {{review}}", into="echo", system={rules!r}, cache="1h", batch_size=10, workspace=workspace,
    progress=False).result(60)
"""


@pytest.mark.parametrize("where", ["Api.create_batch", "Batches.accepted"])
def test_a_kernel_killed_while_it_sends_the_first_request_leaves_one_to_fill_the_cache(bench, where):
    cell = KILLED.format(where=where, url=bench.server.url, home=str(bench.home), texts=texts(30), rules=RULES)
    done = subprocess.run([sys.executable, "-c", cell], capture_output=True, timeout=SECONDS)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert_echoed(cached(bench))
    assert sizes(bench) == [1, 10, 10, 9]
    assert bench.server.bought_once()


def test_canceling_while_the_cache_is_filled_sends_nothing_more(bench):
    job = filling(bench)
    job.cancel()
    bench.server.wait_for(lambda: bench.server.called("POST", "/cancel"))
    go_on(bench)
    assert outcomes(job.result(SECONDS)) == {"canceled": 30}
    assert sizes(bench) == [1]
    assert job.snapshot().note is None


def test_turning_the_cache_off_meanwhile_sends_the_rest_at_once(bench):
    job = filling(bench)
    assert cached(bench, cache=None).id == job.id
    bench.server.wait_for(lambda: len(bench.server.batches) == 4)
    assert "cache_control" not in json.dumps(bench.server.batches[1].requests)
    go_on(bench)
    assert_echoed(job)
    assert bench.server.bought_once()


def test_leaving_sends_the_rest_without_waiting(bench, capsys):
    filling(bench)
    bench.workspace.session._at_exit()
    assert sizes(bench) == [1, 10, 10, 9]
    assert "sending the last 29 requests" in capsys.readouterr().err
    go_on(bench)
    assert_echoed(cached(bench, workspace=bench.open()))
    assert bench.server.bought_once()


def test_collect_comes_back_for_the_rest(bench, monkeypatch, capsys):
    for name, value in {
        "BATCHNB_HOME": str(bench.home), "BATCHNB_MAX_POLL": "0.05", "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": bench.server.url,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with anthropic.Anthropic() as client:
        workspace = Workspace(client)
        filling(bench, workspace=workspace)
        workspace.close()
    assert main(["collect"]) == 1
    assert sizes(bench) == [1]
    assert FIRST_REASON in capsys.readouterr().out
    go_on(bench)
    assert main(["collect", "--wait", "30"]) == 0
    assert sizes(bench) == [1, 10, 10, 9]


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


def test_a_first_batch_that_takes_long_is_not_waited_for_any_longer(bench, clock, monkeypatch):
    workspace = bench.open()
    submission = Submission(
        workspace.session.api, workspace.session.ledger, clock, max_requests=100, timing=workspace.session.timing
    )
    watcher = Watcher(submission, workspace.session.ledger, clock=clock)
    monkeypatch.setattr(watcher, "_run", lambda: None)  # it goes on step by step
    workspace.session._parts["watcher"] = watcher
    bench.server.ends = False
    cached(bench, workspace=workspace)
    for _ in range(5):
        watcher.step()
    assert sizes(bench) == [1]
    clock.shift = PATIENCE + 1
    for _ in range(5):
        watcher.step()
    assert sizes(bench) == [1, 10, 10, 9]


def test_bodies_with_marks_are_no_larger_than_claimed(bench):
    longest = 150_000
    workspace = bench.open(max_batch_bytes=longest)
    job = bench.submit(texts(20), workspace=workspace, system=RULES, cache="1h", batch_size=20)
    assert_echoed(job)
    assert bench.server.bought_once()
    batches = workspace.session.ledger.batches
    for record in batches.of_job(job._number):
        assert record.cache == "1h"
        assert len(join_items(marked_items(batches.items(record.id), "1h"))) <= record.bytes <= longest


# Turning it on and off


def test_a_finished_cell_run_again_with_a_cache_sends_nothing(bench):
    assert_echoed(cached(bench, cache=None))
    calls = bench.server.count_calls()
    job = cached(bench, cache="1h")
    assert_echoed(job)
    assert bench.server.count_calls() == calls
    assert job.caching.lifetime == "1h"


def test_an_added_row_asks_only_that_row(bench):
    assert_echoed(cached(bench, cache="5m"))
    assert_echoed(cached(bench, count=31, cache="1h"))
    assert bench.server.bought_once()
    assert sum(sizes(bench)) == 31


def test_an_unfinished_job_goes_on_with_the_new_setting(bench):
    workspace = bench.open()
    bench.server.always["create"] = Status(529)
    cached(bench, cache=None, workspace=workspace)
    bench.server.wait_for(lambda: bench.server.called("POST", "/batches"))
    workspace.close()
    bench.server.always.clear()
    assert_echoed(cached(bench, cache="5m"))
    assert sizes(bench) == [1, 10, 10, 9]
    assert bench.server.batches[0].requests[0]["params"]["system"][0]["cache_control"]["ttl"] == "5m"


def test_a_limit_that_held_without_a_cache_is_counted_anew_with_one(bench):
    """At worst each request writes the cache, at twice the price."""
    workspace = bench.open()
    bench.server.always["create"] = Status(529)
    cached(bench, cache=None, workspace=workspace, max_cost=0.24)
    bench.server.wait_for(lambda: bench.server.called("POST", "/batches"))
    workspace.close()
    bench.server.always.clear()
    with pytest.raises(InputError, match=r"more than max_cost=0\.24.*or leave the cache out by cache=None"):
        cached(bench, cache="1h", max_cost=0.24)
    assert_echoed(cached(bench, cache=None, max_cost=0.24))


def test_rows_that_bring_all_of_their_params_or_marks_of_their_own_are_left_as_they_are(bench):
    marks = {"type": "ephemeral", "ttl": "5m"}

    def ask(row: pd.Series) -> Any:
        block = {"type": "text", "text": f"Echo: {row['review']}"}
        number = int(row["review"].split()[1])
        if number % 3 == 1:
            return {"messages": [{"role": "user", "content": [block]}]}
        return [{**block, "cache_control": marks}] if number % 3 == 2 else [block]

    frame = pd.DataFrame({"review": texts(30)})
    job = frame.batch.submit(
        "review", ask, into="echo", system=RULES, cache="1h", workspace=bench.workspace, progress=False
    )
    assert_echoed(job)
    found = [json.dumps(request["params"]) for batch in bench.server.batches for request in batch.requests]
    assert sum('"ttl": "1h"' in params for params in found) == 10
    assert sum('"ttl": "5m"' in params for params in found) == 10


# What is said


def test_below_the_minimum_an_explicit_cache_warns_with_the_number_missing_and_waits_for_nothing(bench):
    said = r"the shared part has \d+ tokens, claude-haiku-4-5 caches from 4,096: [34],\d\d\d are missing"
    with pytest.warns(UserWarning, match=f'cache="1h" will bring nothing: {said}'):
        job = cached(bench, system="Be brief.")
    assert_echoed(job)
    assert sizes(bench) == [10, 10, 10]
    assert "are missing" in summary_text(job.snapshot())


def test_a_cache_of_nothing_warns(bench):
    with pytest.warns(UserWarning, match="the prompts share nothing that can be cached"):
        job = cached(bench, system=None)
    assert_echoed(job)
    assert job.caching.lifetime is None


def test_plain_jobs_count_nothing_and_say_nothing(bench):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        job = bench.submit(texts(30), system="Be brief.")
    assert_echoed(job)
    assert bench.server.called("POST", "/count_tokens") == 1, "only the first request was checked"
    assert "at least 4,0" in job.caching.why
    assert "cache" not in summary_text(job.snapshot())


def test_where_the_tokens_cannot_be_counted_auto_leaves_the_cache_off(bench):
    bench.server.always["count_tokens"] = Status(529)
    with pytest.warns(UserWarning, match="could not be checked"):
        job = cached(bench, cache="auto")
    assert_echoed(job)
    assert job.caching.why.startswith("no cache: the tokens of the shared part are not known")


@pytest.mark.parametrize("cache", ["2h", "", True, 3600, ["5m"]])
def test_another_lifetime_is_refused_before_anything_is_sent(bench, cache):
    with pytest.raises(InputError, match=r'cache= takes "auto", "5m", "1h" or None.*Nothing was sent'):
        cached(bench, cache=cache)
    assert bench.server.count_calls() == 0


# On the simulator, whose usage tells of its cache


def ask(workspace: Workspace, name: str, **options: Any) -> Job:
    frame = pd.DataFrame({"review": texts(200, name)})
    return frame.batch.submit(
        "review", "Echo: {review}", **{"system": RULES, "workspace": workspace, "progress": False, **options}
    )


def test_a_long_document_over_200_rows_is_cached_by_itself_and_pays(simulator: Simulator, workspace: Workspace):
    job = ask(workspace, "text")
    assert job.result(SECONDS)["review_reply_status"].eq("succeeded").all()
    caching, usage = job.caching, job.usage
    assert (caching.lifetime, caching.requests, caching.written_5m) == ("1h", 200, 0)
    assert caching.shared_tokens is not None
    assert abs(caching.shared_tokens - 7_000) < 20
    assert job.batches["requests"].tolist() == [1, 50, 50, 50, 49]
    assert caching.hit_rate is not None
    assert 0.5 < caching.hit_rate < 1
    assert (caching.read, caching.written_1h) == (usage.cache_read, usage.cache_write_1h)
    assert caching.saved is not None
    assert job.cost is not None
    uncached = ask(workspace, "term", cache=None)
    uncached.result(SECONDS)
    assert uncached.caching.saved == 0
    assert uncached.cost == pytest.approx(job.cost + caching.saved, rel=1e-3)
    said = summary_text(job.snapshot()).splitlines()
    assert f"cache: {caching.hit_rate:.0%} hits · 1.1 M tokens read · would have saved ${caching.saved:.2f}" in said
    assert caching.why in said

    # What it brought is what the next job of this model is decided by.
    again = ask(workspace, "rite")
    assert "earlier jobs of this model had" in again.caching.why
    again.result(SECONDS)


def test_examples_are_shared_too(simulator: Simulator, workspace: Workspace):
    examples = [(f"some words about number {i} " * 20, "good" if i % 2 else "bad") for i in range(50)]
    job = ask(workspace, "text", system=None, labels=["good", "bad"], examples=examples)
    job.result(SECONDS)
    assert job.caching.lifetime == "1h"
    assert job.caching.requests == 200
    assert job.caching.hits > 100


def test_a_cache_that_is_never_read_is_said_to_have_lost(bench):
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 5_000,
             "cache_creation": {"ephemeral_1h_input_tokens": 5_000, "ephemeral_5m_input_tokens": 0}}  # fmt: skip
    usual = bench.server.result
    bench.server.result = lambda params: spent(usual(params), usage)
    job = cached(bench)
    assert_echoed(job)
    caching = job.caching
    assert (caching.requests, caching.hits, caching.hit_rate, caching.read) == (30, 0, 0.0, 0)
    assert caching.written_1h == 150_000
    assert caching.saved == pytest.approx(-0.075)  # as much again as they cost: $1 a million, at half price
    assert "cache: 0% hits · 0 tokens read · lost $0.0750" in summary_text(job.snapshot())


def test_of_a_model_without_a_price_it_is_not_said_what_was_saved(bench):
    usual = bench.server.result
    bench.server.result = lambda params: spent(usual(params), {"input_tokens": 10, "cache_read_input_tokens": 5_000})
    job = cached(bench, model="claude-unheard-of")
    assert_echoed(job)
    assert job.caching.saved is None
    assert job.caching.hit_rate == 1.0
    assert "cache: 100% hits · 150,000 tokens read\n" in summary_text(job.snapshot())


def spent(result: dict[str, Any], usage: dict[str, Any]) -> dict[str, Any]:
    return {**result, "message": {**result["message"], "usage": usage}}
