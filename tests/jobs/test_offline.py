"""Running the cell again: what of a changed frame or recipe is sent, and a notebook without network, key or server."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import independent
import pandas as pd
import pytest
from bench import KEY, Bench
from independent import Server, succeeded

from batchnb import Job, RecipeChangedWarning, Workspace

pytest_plugins = ["bench_fixtures"]

ROWS = 12


def reviews() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "review": [f"review {i}" for i in range(ROWS)],
            "name": [f"thing {i % 3}" for i in range(ROWS)],
            "stars": [i % 5 for i in range(ROWS)],
        }
    )


ASKED: dict[str, Any] = {"template": "What of {name}? {review}", "into": "said", "system": "Be brief."}


def run_cell(bench: Bench, frame: pd.DataFrame, **changed: Any) -> Job:
    options = {**ASKED, **changed}
    job = frame.batch.submit("review", options.pop("template"), workspace=bench.workspace, progress=False, **options)
    frame = job.result(30)
    assert frame[f"{options['into']}_status"].eq("succeeded").all()
    return job


# What is sent when something changes

FREE: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "nothing": lambda frame: frame,
    "a copy": lambda frame: frame.copy(),
    "a column that is not read": lambda frame: frame.assign(more=range(len(frame))),
    "a column that is not read, changed": lambda frame: frame.assign(stars=9),
    "a column that is not read, left out": lambda frame: frame.drop(columns="stars"),
    "re-ordered": lambda frame: frame.sample(frac=1, random_state=1),
    "sorted": lambda frame: frame.sort_values("stars"),
    "filtered": lambda frame: frame[frame["stars"] > 1],
    "index reset": lambda frame: frame[::2].reset_index(drop=True),
    "another index": lambda frame: frame.set_index(frame["review"].str.upper()),
    "columns in another order": lambda frame: frame[["stars", "name", "review"]],
    "rows repeated": lambda frame: pd.concat([frame, frame, frame.tail(3)]),
    "as categories": lambda frame: frame.astype({"name": "category"}),
    "as objects": lambda frame: frame.astype(object),
    "through a csv": lambda frame: pd.read_csv(io.StringIO(frame.to_csv(index=False))),
    "its own result": lambda frame: frame.assign(said="x", said_status="succeeded", said_error=None),
}


@pytest.mark.parametrize("change", FREE.values(), ids=FREE)
def test_what_leaves_the_questions_as_they_are_sends_nothing(bench: Bench, change):
    first = run_cell(bench, reviews())
    answers = first.result().set_index("review")["said"].to_dict()
    calls = list(bench.server.calls)
    frame = change(reviews())
    again = run_cell(bench, frame)
    assert bench.server.calls == calls
    assert again.done()
    result = again.result(0)
    assert result["said"].tolist() == [answers[review] for review in frame["review"]]
    assert result.index.equals(frame.index)


def test_the_same_cell_is_the_same_job_and_another_order_is_another(bench: Bench):
    first = run_cell(bench, reviews())
    assert run_cell(bench, reviews()).id == first.id
    assert run_cell(bench, reviews().assign(more=1)).id == first.id
    assert run_cell(bench, reviews()[::-1]).id != first.id
    assert len(bench.workspace.jobs()) == 2
    assert bench.server.bought_once()


ONE: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "a row added": lambda frame: pd.concat([frame, frame.head(1).assign(review="a new one")]),
    "a row added in front": lambda frame: pd.concat([frame.head(1).assign(review="a new one"), frame]),
    "a row changed": lambda frame: frame.assign(review=frame["review"].replace("review 3", "review 3!")),
    "another column that is read, changed in one row": lambda frame: frame.assign(
        name=["another", *frame["name"].iloc[1:]]
    ),
    "a new row twice": lambda frame: pd.concat([frame, *[frame.head(1).assign(review="a new one")] * 2]),
}


@pytest.mark.parametrize("change", ONE.values(), ids=ONE)
def test_one_new_question_is_one_request(bench: Bench, change):
    run_cell(bench, reviews())
    run_cell(bench, change(reviews()))
    assert bench.server.bought_once()
    assert [len(batch.requests) for batch in bench.server.batches] == [ROWS, 1]


ALL: dict[str, dict[str, Any]] = {
    "model": {"model": "claude-sonnet-5-5"},
    "template": {"template": "And what of {name}? {review}"},
    "labels": {"labels": ["good", "bad"]},
    "system": {"system": "Be long."},
    "no system": {"system": None},
    "max_tokens": {"max_tokens": 77},
    "a parameter": {"params": {"stop_sequences": ["x"]}},
    "a beta": {"params": {"betas": ["output-300k-2026-03-24"]}},
}


@pytest.mark.parametrize("changed", ALL.values(), ids=ALL)
def test_another_recipe_asks_every_row_again(bench: Bench, changed):
    run_cell(bench, reviews())
    with pytest.warns(RecipeChangedWarning, match=f"{ROWS} of {ROWS} rows were asked before"):
        run_cell(bench, reviews(), **changed)
    assert [len(batch.requests) for batch in bench.server.batches] == [ROWS, ROWS]
    run_cell(bench, reviews())
    run_cell(bench, reviews(), **changed)
    assert len(bench.server.batches) == 2


@pytest.mark.filterwarnings("ignore::batchnb.RecipeChangedWarning")
def test_other_labels_and_another_order_of_labels_ask_again(bench: Bench):
    for number, labels in enumerate((["a", "b"], ["a", "b", "c"], ["b", "a"]), 1):
        run_cell(bench, reviews(), labels=labels)
        assert sum(len(batch.requests) for batch in bench.server.batches) == number * ROWS
    run_cell(bench, reviews(), labels=["a", "b"])
    assert len(bench.server.batches) == 3


@pytest.mark.parametrize(
    "changed",
    [{"into": "other"}, {"name": "another name"}, {"batch_size": 3}, {"retries": 4}, {"missing": "raise"},
     {"key": "review"}],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
def test_what_is_no_part_of_the_question_asks_nothing_again(bench: Bench, changed):
    run_cell(bench, reviews())
    run_cell(bench, reviews(), **changed)
    assert sum(len(batch.requests) for batch in bench.server.batches) == ROWS


# Without a network

#: A notebook in a process where every attempt to reach another machine, even to look up its name, is noted and fails.
NOTEBOOK = """
import json, sys
attempts = []

def guard(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"):
        if ALLOWED not in str(args):
            attempts.append((event, str(args)))
            raise OSError("there is no network here")

ALLOWED = sys.argv[3]
sys.addaudithook(guard)

import pandas as pd, batchnb

frame = pd.DataFrame({"review": json.loads(sys.argv[1])})
out = sys.argv[2]
job = frame.batch.submit("review", "Echo: {review}", into="echo", batch_size=5)
result = job.result()
assert result["echo"].tolist() == frame["review"].tolist(), result
again = frame.batch.submit("review", "Echo: {review}", into="echo", batch_size=5)
assert again.id == job.id and again.done()
table = batchnb.jobs()
assert table.to_frame()["id"].tolist() == [job.id], table
attached = batchnb.attach(job.id)
assert attached.result()["echo"].tolist() == frame["review"].tolist()
shuffled = frame.sample(frac=1, random_state=0).reset_index(drop=True)
for joined in (shuffled.batch.join(job), attached.merge(shuffled)):
    assert joined["echo"].tolist() == shuffled["review"].tolist()
for ending in ("csv", "jsonl"):
    job.export(f"{out}/results.{ending}")
    attached.export(f"{out}/attached.{ending}")
preview = frame.batch.preview("review", "Echo: {review}", into="echo")
shown = [repr(job), repr(preview), repr(table), str(job.counts), str(job.usage), str(job.cost), job.status, job.name]
shown += [job.batches.to_string(), job.errors().to_string(), repr(job.snapshot())]
job.cancel()
assert job.wait(1) and job.counts == {"succeeded": len(frame)}

async def cell():
    return await job

import asyncio
assert asyncio.run(cell())["echo"].tolist() == frame["review"].tolist()
try:
    pd.DataFrame({"review": ["never asked"]}).batch.submit("review", "Echo: {review}", into="echo")
except batchnb.CredentialsError as error:
    refused = str(error)
print(json.dumps({"attempts": attempts, "refused": refused, "id": job.id}))
"""

TEXTS = [f"text {i}" for i in range(20)]


def answered(server: Server, home: Path, scope: str) -> str:
    """Have the ledger of that scope hold every answer; give the job's id."""
    with anthropic.Anthropic(api_key=KEY, base_url=server.url) as client:
        workspace = Workspace(client, home=home, scope=scope, max_poll=0.02)
        frame = pd.DataFrame({"review": TEXTS})
        job = frame.batch.submit(
            "review", "Echo: {review}", into="echo", batch_size=5, workspace=workspace, progress=False
        )
        assert job.result(30)["echo"].tolist() == TEXTS
        workspace.close()
    return job.id


@pytest.mark.parametrize(
    "base_url", [None, "https://api.batchnb.invalid", "http://127.0.0.1:9"], ids=["the API", "no such host", "closed"]
)
def test_with_everything_answered_the_notebook_runs_without_network_key_or_server(
    server: Server, tmp_path: Path, base_url: str | None
):
    expected = answered(server, tmp_path / "home", base_url or "https://api.anthropic.com")
    calls = server.count_calls()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    environment |= {"BATCHNB_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    if base_url:
        environment["ANTHROPIC_BASE_URL"] = base_url
    # Whether a simulator listens at an address on this machine is asked there; nothing is asked anywhere else.
    allowed = "127.0.0.1" if base_url and "127.0.0.1" in base_url else "nowhere"
    # pandas 2.2.0 and 2.2.1 say at every import that they will need pyarrow.
    warnings = ["-W", "error", "-W", "ignore::DeprecationWarning:__main__"]
    command = [sys.executable, *warnings, "-c", NOTEBOOK, json.dumps(TEXTS), str(tmp_path), allowed]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["attempts"] == []
    assert said["id"] == expected
    assert "ANTHROPIC_API_KEY" in said["refused"]
    assert server.count_calls() == calls
    assert pd.read_csv(tmp_path / "results.csv")["echo"].tolist() == TEXTS
    assert pd.read_csv(tmp_path / "attached.csv")["echo"].tolist() == TEXTS
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert {line["result"]["message"]["content"][0]["text"] for line in lines} == set(TEXTS)


def test_the_guard_sees_an_attempt(tmp_path: Path):
    """Or the test above would prove nothing."""
    code = (
        NOTEBOOK.partition("import pandas")[0]
        + """
import socket
try:
    socket.create_connection(("api.batchnb.invalid", 443))
except OSError:
    print(len(attempts))
"""
    )
    done = subprocess.run([sys.executable, "-c", code, "", "", "nowhere"], capture_output=True, text=True, timeout=60)
    assert done.stdout == "1\n", done.stderr


def test_rows_that_failed_in_a_way_that_lasts_do_not_touch_the_network_either(bench: Bench):
    """Every row has an outcome, though not every one is good: running the cell again asks nobody."""
    kinds = [
        independent.errored("invalid_request_error"), {"type": "canceled"}, independent.errored("permission_error"),
        {"type": "succeeded", "message": independent.message({"model": "m"}, "no") | {"stop_reason": "refusal"}},
    ]  # fmt: skip
    results = {f"review {i}": kind for i, kind in enumerate(kinds)}
    bench.server.result = lambda params: results.get(independent.text_of(params)) or succeeded(params)
    frame = reviews()
    expected = frame.batch.submit("review", workspace=bench.workspace, progress=False, retries=0).result(30)
    calls = bench.server.count_calls()
    again = frame.batch.submit("review", workspace=bench.workspace, progress=False, retries=0)
    pd.testing.assert_frame_equal(again.result(0), expected)
    assert bench.server.count_calls() == calls
