"""Batches made elsewhere, attached by their id: read whole, joined by custom_id, and never sent by us."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pandas as pd
import pytest
from bench import KEY, Bench, assert_echoed, outcomes, texts
from independent import Batch, Held, Lost, Spoiled, Status, errored, message, succeeded, text_of

import batchnb
from batchnb.errors import InputError, JobNotFoundError, JobStateError, NotFoundError

pytest_plugins = ["bench_fixtures"]

DIGEST = "0123456789abcdef" * 2

#: What another client might call its rows.
NAMES = ["1", "2", "10", "a", "a-", "A", "_", "-", "nan", "None", "x" * 64, f"row-{DIGEST}", f"other-{DIGEST}", "007"]


def params(text: str) -> Any:
    return {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": text}]}


def made_elsewhere(bench: Bench, names: list[str]) -> Batch:
    """Make a batch with the official SDK, each row asking for the echo of its own name."""
    wanted: Any = [{"custom_id": name, "params": params(f"Echo: {name}")} for name in names]
    http = anthropic.DefaultHttpxClient(verify=False)  # nothing is encrypted, and reading certificates takes long
    with anthropic.Anthropic(api_key=KEY, base_url=bench.server.url, max_retries=0, http_client=http) as client:
        created = client.messages.batches.create(requests=wanted)
    found = bench.server.find(created.id)
    assert found is not None
    return found


def attach(bench: Bench, batch: Batch | str, workspace: batchnb.Workspace | None = None) -> batchnb.Job:
    name = batch if isinstance(batch, str) else batch.id
    return batchnb.attach(name, progress=False, workspace=workspace or bench.workspace)


def assert_named(job: batchnb.Job, names: list[str]) -> pd.DataFrame:
    """Every custom_id must have its own answer."""
    frame = job.result(30)
    assert frame.index.name == "custom_id"
    assert sorted(frame.index) == sorted(names)
    assert frame["reply"].tolist() == frame.index.tolist()
    assert set(frame["reply_status"]) == {"succeeded"}
    return frame


def spying(bench: Bench) -> int:
    """Count the creates of this ledger's own, which attaching must never bring."""
    return bench.server.called("POST", "batches") - bench.server.called("POST", "/cancel")


# From in progress to the end


def test_an_ended_batch_comes_as_a_frame_by_custom_id(bench: Bench):
    batch = made_elsewhere(bench, NAMES)
    job = attach(bench, batch)
    assert_named(job, NAMES)
    assert (job.id, job.status, job.counts) == (batch.id, "ended", {"succeeded": len(NAMES)})
    assert job.usage.input_tokens == 10 * len(NAMES)
    assert job.cost == pytest.approx(len(NAMES) * (10 * 0.5 + 5 * 2.5) / 1e6)
    assert spying(bench) == 1
    assert bench.server.bought_once()


def test_a_batch_in_progress_is_pending_until_its_end(bench: Bench):
    bench.server.ends = False
    batch = made_elsewhere(bench, NAMES)
    job = attach(bench, batch)
    bench.server.wait_for(lambda: bench.server.called("GET", batch.id) >= 3)
    assert (job.status, job.done(), job.counts) == ("in_progress", False, {"pending": len(NAMES)})
    assert job.to_frame().empty
    snapshot = job.snapshot()
    assert (snapshot.rows, dict(snapshot.outcomes), len(snapshot.batches)) == (len(NAMES), {"pending": len(NAMES)}, 1)
    assert job.batches["processing"].tolist() == [len(NAMES)]
    bench.server.end()
    assert_named(job, NAMES)
    assert job.counts == {"succeeded": len(NAMES)}


def test_each_kind_of_result_has_its_outcome(bench: Bench):
    kinds: dict[str, Any] = {
        "bad": errored("invalid_request_error", "max_tokens: too many"),
        "busy": errored("overloaded_error"),
        "late": {"type": "expired"},
        "stopped": {"type": "canceled"},
        "refused": {"type": "succeeded", "message": message({"model": "m"}, "no") | {"stop_reason": "refusal"}},
        "cut": {"type": "succeeded", "message": message({"model": "m"}, "half a") | {"stop_reason": "max_tokens"}},
    }
    bench.server.result = lambda asked: kinds.get(text_of(asked).removeprefix("Echo: ")) or succeeded(asked)
    job = attach(bench, made_elsewhere(bench, ["ok", *kinds]))
    frame = job.result(30)
    assert frame["reply_status"].to_dict() == {
        "ok": "succeeded", "bad": "errored", "busy": "errored", "late": "expired", "stopped": "canceled",
        "refused": "invalid", "cut": "invalid",
    }  # fmt: skip
    assert frame["reply"]["cut"] == "half a"
    failed = job.errors().set_index("row")
    assert set(failed.index) == set(kinds)
    assert "too many" in failed.loc["bad", "message"]
    assert not failed["retryable"].any()  # retry() cannot ask them: what they asked is not known
    assert job.retry() == 0
    assert job.retry(all=True) == 0
    assert spying(bench) == 1


def test_attaching_twice_gives_the_same_job_and_reads_nothing_again(bench: Bench):
    batch = made_elsewhere(bench, NAMES)
    job = attach(bench, batch)
    assert_named(job, NAMES)
    calls = bench.server.count_calls()
    again = attach(bench, batch)
    assert again.id == job.id
    assert_named(again, NAMES)
    assert bench.server.count_calls() == calls
    assert len(bench.workspace.jobs()) == 1


def test_after_a_restart_an_attached_batch_is_there_offline(bench: Bench):
    batch = made_elsewhere(bench, NAMES)
    first = bench.open()
    attach(bench, batch, first).result(30)
    first.close()
    place = bench.open(url="http://127.0.0.1:9")
    assert_named(attach(bench, batch, place), NAMES)
    listed = place.jobs().to_frame()
    assert listed["id"].tolist() == [batch.id]
    assert listed[["rows", "succeeded", "status"]].values.tolist() == [[len(NAMES), len(NAMES), "ended"]]


def test_a_batch_attached_in_progress_goes_on_after_a_restart(bench: Bench):
    bench.server.ends = False
    batch = made_elsewhere(bench, NAMES)
    first = bench.open()
    attach(bench, batch, first)
    first.close()
    bench.server.end()
    assert_named(attach(bench, batch), NAMES)


def test_two_workspaces_that_attach_one_batch_share_it(bench: Bench):
    bench.server.ends = False
    batch = made_elsewhere(bench, NAMES)
    jobs = [attach(bench, batch, bench.open()) for _ in range(2)]
    bench.server.end()
    for job in jobs:
        assert_named(job, NAMES)
    assert len(bench.workspace.jobs()) == 1


# Which batch


def test_a_batch_of_this_ledger_gives_the_job_that_sent_it(bench: Bench):
    job = bench.submit(texts(10), batch_size=5)
    assert_echoed(job)
    calls = bench.server.count_calls()
    for batch in bench.server.batches:
        assert attach(bench, batch).id == job.id
    assert bench.server.count_calls() == calls


def test_an_unknown_batch_is_not_found_and_the_error_says_where_to_look(bench: Bench):
    with pytest.raises(NotFoundError, match=r"knows no batch 'msgbatch_nope'.*batchnb\.batches\(\)"):
        attach(bench, "msgbatch_nope")
    assert len(bench.workspace.jobs()) == 0


@pytest.mark.parametrize("name", ["msgbatch_", "msgbatch_1\n", "msgbatch_a/../b", "msgbatch_ä", " msgbatch_1", "job_0"])
def test_what_cannot_be_a_batch_is_no_job_and_asks_no_server(bench: Bench, name):
    with pytest.raises(JobNotFoundError, match="no job"):
        attach(bench, name)
    assert bench.server.called("GET", "msgbatch") == 0


def test_the_id_of_a_batch_may_be_unknown_to_a_server_that_lags(bench: Bench):
    batch = made_elsewhere(bench, NAMES)
    bench.server.faults["retrieve"] += [Status(404), Status(500), Lost(), Status(429, {"retry-after": "1"})]
    assert_named(attach(bench, batch), NAMES)


def test_an_archived_batch_is_refused_with_the_reason(bench: Bench):
    batch = made_elsewhere(bench, NAMES)
    batch.lies = {"archived_at": "2026-10-01T00:00:00Z", "created_at": "2026-09-01T00:00:00Z"}
    with pytest.raises(NotFoundError, match=r"made on 2026-09-01.*29 days"):
        attach(bench, batch)
    assert len(bench.workspace.jobs()) == 0


def test_a_batch_that_may_be_one_being_sent_is_refused_until_that_is_known(bench: Bench):
    server = bench.server
    fault = Held()
    server.faults["create"] += [fault]
    job = bench.submit(texts(10))
    server.wait_for(fault.reached.is_set)
    place = bench.open()
    with pytest.raises(JobStateError, match="may be one that this ledger is sending"):
        attach(bench, server.batches[0], place)
    other = made_elsewhere(bench, NAMES)  # of another size
    assert_named(attach(bench, other, place), NAMES)
    fault.let_go.set()
    assert_echoed(job)
    assert attach(bench, server.batches[0], place).id == job.id
    assert server.bought_once()


def test_a_batch_that_may_be_one_that_was_given_up_for_now_is_refused_too(bench: Bench):
    """Taken for another's, it would count as never made once the listing works again: and be bought again."""
    bench.keep_to(give_up_after=0.0)
    server = bench.server
    server.faults["create"] += [Lost()]
    server.always["list"] = Status(403)
    assert outcomes(bench.submit(texts(10)).result(30)) == {"pending": 10}
    with pytest.raises(JobStateError, match="may be one that this ledger"):
        attach(bench, server.batches[0])
    server.always.clear()
    assert_echoed(bench.submit(texts(10)))
    assert server.bought_once()


def test_nothing_is_sent_for_an_attached_batch_beside_a_job_that_sends(bench: Bench):
    made = made_elsewhere(bench, [f"text-{i}" for i in range(10)])
    attached = attach(bench, made)
    job = bench.submit(texts(10))
    assert_echoed(job)
    assert_named(attached, [f"text-{i}" for i in range(10)])
    assert len(bench.server.batches) == 2


# On a frame


def test_joining_matches_a_column_of_custom_ids_whatever_its_order(bench: Bench):
    job = attach(bench, made_elsewhere(bench, NAMES))
    job.result(30)
    wanted = ["10", "nobody", "a", f"row-{DIGEST}", "a", "A", "1"]
    frame = pd.DataFrame({"name": wanted, "n": range(7)}, index=[3, 3, 1, 0, 9, 9, 2])
    joined = frame.batch.join(job, on="name")
    assert joined["reply"].fillna("NA").tolist() == ["10", "NA", "a", f"row-{DIGEST}", "a", "A", "1"]
    assert joined["reply_status"].isna().tolist() == [False, True, False, False, False, False, False]
    assert joined.index.tolist() == frame.index.tolist()
    assert joined["n"].tolist() == list(range(7))
    assert joined.attrs["batchnb"] == {"job": job.id, "simulated": False, "columns": {"reply": ["reply"]}}
    assert list(frame.columns) == ["name", "n"]


@pytest.mark.parametrize(
    "column",
    [[1, 2, 10], [1.0, 2.0, 10.0, None], pd.array([1, 2, 10, None], dtype="Int64"), pd.Categorical(["1", "2", "10"])],
    ids=["integers", "floats", "nullable", "categories"],
)
def test_ids_that_are_numbers_in_the_frame_match(bench: Bench, column):
    """And a missing one matches nothing, though other rows are called "nan" and "None"."""
    job = attach(bench, made_elsewhere(bench, NAMES))
    job.result(30)
    joined = pd.DataFrame({"id": column}).batch.join(job, on="id")
    assert joined["reply"].tolist()[:3] == ["1", "2", "10"]
    assert joined["reply"][3:].isna().all()
    assert joined["reply_status"][3:].isna().all()


def test_missing_ids_match_nothing(bench: Bench):
    job = attach(bench, made_elsewhere(bench, [*NAMES, "NaT", "_NA_"]))
    job.result(30)
    frame = pd.DataFrame({"id": pd.Series([None, float("nan"), pd.NA, pd.NaT, "a"], dtype=object)})
    assert frame.batch.join(job, on="id")["reply"].isna().tolist() == [True, True, True, True, False]


def test_joining_needs_to_know_the_column_and_only_here(bench: Bench):
    job = attach(bench, made_elsewhere(bench, NAMES))
    job.result(30)
    frame = pd.DataFrame({"name": NAMES, "review": "x"})
    with pytest.raises(InputError, match="on="):
        frame.batch.join(job)
    with pytest.raises(InputError, match=r"no column 'nam'\. Did you mean 'name'"):
        frame.batch.join(job, on="nam")
    own = bench.submit(["x"])
    assert_echoed(own)
    with pytest.raises(InputError, match="made elsewhere"):
        frame.batch.join(own, on="name")
    assert frame.batch.join(own)["echo"].tolist() == ["x"] * len(NAMES)


def test_joining_replaces_no_column_of_the_users_own_unless_told_to(bench: Bench):
    job = attach(bench, made_elsewhere(bench, NAMES))
    job.result(30)
    frame = pd.DataFrame({"name": NAMES, "reply": "mine"})
    with pytest.raises(InputError, match="'reply'"):
        frame.batch.join(job, on="name")
    once = frame.batch.join(job, on="name", overwrite=True)
    assert once["reply"].tolist() == NAMES
    assert once.batch.join(job, on="name")["reply"].tolist() == NAMES  # what an earlier join made is replaced


def test_joining_before_the_end_gives_nothing_yet(bench: Bench):
    bench.server.ends = False
    job = attach(bench, made_elsewhere(bench, NAMES))
    joined = pd.DataFrame({"name": NAMES}).batch.join(job, on="name")
    assert joined["reply"].isna().all()


# Doing something about it


def test_an_attached_batch_can_be_canceled(bench: Bench):
    bench.server.ends = False
    batch = made_elsewhere(bench, NAMES)
    job = attach(bench, batch)
    job.cancel()
    bench.server.wait_for(lambda: bench.server.called("POST", "/cancel"))
    bench.server.end()
    assert set(job.result(30)["reply_status"]) == {"canceled"}
    assert job.retry() == 0
    assert spying(bench) == 1


def test_a_deleted_one_can_be_attached_again(bench: Bench):
    batch = made_elsewhere(bench, NAMES)
    job = attach(bench, batch)
    job.result(30)
    job.delete()
    assert bench.server.called("DELETE", "msgbatch") == 0
    assert len(bench.workspace.jobs()) == 0
    again = attach(bench, batch)
    assert_named(again, NAMES)
    again.delete(remote=True)
    assert bench.server.called("DELETE", batch.id) == 1


def test_a_batch_that_can_no_longer_be_read_waits_for_a_decision_but_is_never_sent(bench: Bench):
    bench.keep_to(give_up_after=0.0)
    bench.server.ends = False
    batch = made_elsewhere(bench, NAMES)
    job = attach(bench, batch)
    bench.server.vanish(batch)
    assert job.wait(30)
    assert job.counts == {"pending": len(NAMES)}
    assert "cannot be read" in job.snapshot().note
    with pytest.raises(JobStateError, match="cannot be sent again"):
        job.resolve("send")
    assert job.resolve("drop") == len(NAMES)
    assert job.wait(30)
    assert job.counts == {"missing": len(NAMES)}
    assert spying(bench) == 1


# Results that are not as promised


def twice(rows: list[bytes]) -> list[bytes]:
    return [row for row in rows for _ in range(2)]


@pytest.mark.parametrize(
    "spoiled",
    [
        Spoiled(cut=0.52),
        Spoiled(cut=0.0),
        Spoiled(cut=0.52, unframed=True),
        Spoiled(cut=0.0, unframed=True),
        Spoiled(change=twice),
        Spoiled(change=lambda rows: [b"{", b"[]", b'{"custom_id": 7}', *rows]),
        Spoiled(change=lambda rows: rows[3:]),
        Spoiled(newline=b"\r\n\n"),
        Status(404),
        Status(500),
        Lost(),
    ],
    ids=["cut", "at once", "truncated", "empty", "twice", "bad lines", "rows missing", "CRLF", "404", "500", "none"],
)
def test_results_that_are_spoiled_at_first_are_read_again(bench: Bench, spoiled):
    batch = made_elsewhere(bench, NAMES)
    bench.server.faults["results"] += [spoiled]
    assert_named(attach(bench, batch), NAMES)


def test_rows_that_the_results_never_hold_are_counted_as_missing(bench: Bench):
    batch = made_elsewhere(bench, NAMES)
    bench.server.always["results"] = Spoiled(change=lambda rows: rows[3:])
    job = attach(bench, batch)
    assert len(job.result(30)) == len(NAMES) - 3
    assert job.counts == {"succeeded": len(NAMES) - 3, "missing": 3}


def test_a_paid_answer_stands_whatever_a_second_line_says(bench: Bench):
    batch = made_elsewhere(bench, NAMES)
    failed = {"type": "errored", "error": {"error": {"type": "api_error"}}}

    def contradict(rows: list[bytes]) -> list[bytes]:
        return [*rows, *(json.dumps(json.loads(row) | {"result": failed}).encode() for row in rows)]

    bench.server.always["results"] = Spoiled(change=contradict)
    assert_named(attach(bench, batch), NAMES)


def test_a_batch_of_many_rows_comes_whole_after_a_break(bench: Bench):
    names = [f"row-{i}" for i in range(4_500)]
    bench.server.most = 5_000
    batch = made_elsewhere(bench, names)
    bench.server.faults["results"] += [Spoiled(cut=0.6)]
    assert_named(attach(bench, batch), names)


# Files


def test_an_export_has_the_custom_ids_as_they_were(bench: Bench, tmp_path):
    batch = made_elsewhere(bench, NAMES)
    job = attach(bench, batch)
    job.result(30)
    lines = [json.loads(line) for line in job.export(tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert {line["custom_id"]: line["result"] for line in lines} == batch.results
    assert len(lines) == len(NAMES)
    table = pd.read_csv(job.export(tmp_path / "out.csv"), dtype=str, keep_default_na=False)
    assert table["custom_id"].tolist() == table["reply"].tolist()
    assert sorted(table["custom_id"]) == sorted(NAMES)


def test_what_the_simulator_answered_says_so(simulator, workspace, tmp_path):
    with anthropic.Anthropic(api_key="any", base_url=simulator.url) as client:
        wanted: Any = [{"custom_id": f"row_{i}", "params": params(f"Echo: {i}")} for i in range(3)]
        made = client.messages.batches.create(requests=wanted)
    job = batchnb.attach(made.id, progress=False, workspace=workspace)
    assert sorted(job.result(30).index) == ["row_0", "row_1", "row_2"]
    assert job.simulated
    assert job.to_frame().attrs["batchnb"]["simulated"]
    assert "[SIMULATED]" in repr(job)
    assert workspace.jobs().to_frame()["simulated"].tolist() == [True]
    assert pd.read_csv(job.export(tmp_path / "out.csv"))["simulated"].all()
    assert all(json.loads(line)["simulated"] for line in job.export(tmp_path / "out.jsonl").read_bytes().splitlines())


# Beside jobs of one's own


def test_a_batch_that_was_attached_can_still_answer_the_cell_that_once_sent_it(bench: Bench, tmp_path):
    """The ledger was lost; somebody looked at one of its batches first, and then recovered."""
    assert_echoed(bench.submit(texts(10), workspace=bench.open(home=tmp_path / "lost")))
    attached = attach(bench, bench.server.batches[0])
    assert len(attached.result(30)) == 10
    bench.workspace.recover()
    job = bench.submit(texts(10))
    assert_echoed(job)
    assert bench.server.bought_once()
    attached.delete()
    assert_echoed(bench.submit(texts(10)))
    assert len(bench.server.batches) == 1


def test_a_batch_that_answers_were_taken_back_from_can_be_attached(bench: Bench, tmp_path):
    assert_echoed(bench.submit(texts(10), workspace=bench.open(home=tmp_path / "lost")))
    bench.workspace.recover()
    bench.server.faults["results"] += [Spoiled(change=lambda rows: rows[:4], unframed=True)]
    attached = attach(bench, bench.server.batches[0])
    assert_echoed(bench.submit(texts(10)))
    frame = attached.result(30)
    assert sorted(frame["reply"]) == texts(10)
    assert attached.counts == {"succeeded": 10}
    assert bench.server.bought_once()
