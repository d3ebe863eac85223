"""An exported job needs no batchnb: what was asked, what was answered, and which row is which."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import pandas as pd
import pytest

from batchnb import Workspace
from batchnb.questions.bodies import digest_in
from batchnb.sim import Fault

SECONDS = 30


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"text": ["one", "two", None, "one", "{three}"], "id": list("abcde")})


@pytest.fixture
def submit(workspace: Workspace, frame: pd.DataFrame) -> Callable[..., Any]:
    def send(**options: Any):
        options = {"into": "echo", "workspace": workspace, "progress": False, **options}
        return frame.batch.submit("text", options.pop("template", "Echo: {text}"), **options)

    return send


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Read an export as a stranger would: results and requests by custom_id, and the recipe."""
    results, requests = (
        {line["custom_id"]: line for line in map(json.loads, one.read_text().splitlines())}
        for one in (path, path.with_suffix(".requests.jsonl"))
    )
    return results, requests, json.loads(path.with_suffix(".recipe.json").read_text())


def test_what_was_asked_and_what_was_answered_meet_by_their_custom_ids(submit, real, server, tmp_path):
    job = submit(system="Repeat.", workspace=real)
    table = job.result(SECONDS)
    results, requests, recipe = read(job.export(tmp_path / "out.jsonl"))
    sent = {one["custom_id"]: one["params"] for batch in server.batches for one in batch.requests}
    assert {name: line["params"] for name, line in requests.items()} == sent
    assert results.keys() == sent.keys()
    assert recipe["simulated"] is False
    assert "sk-ant" not in (tmp_path / "out.recipe.json").read_text()
    assert all(set(line) == {"custom_id", "result"} for line in results.values())
    assert all(set(line) == {"custom_id", "params"} for line in requests.values())
    assert recipe["files"] == {"results": "out.jsonl", "requests": "out.requests.jsonl"}
    for place, row in enumerate(recipe["rows"]):
        assert row["row"] == place
        if place == 2:
            assert row["skipped"] == "missing value in 'text'"
        else:
            answer = results[row["custom_ids"][0]]["result"]["message"]["content"][0]["text"]
            assert answer == table["echo"][place]
    assert recipe["rows"][0]["custom_ids"] == recipe["rows"][3]["custom_ids"]


def test_simulated_answers_say_so_in_every_line(submit, tmp_path):
    job = submit()
    job.result(SECONDS)
    results, requests, recipe = read(job.export(tmp_path / "out.jsonl"))
    assert len(requests) == 3
    assert recipe["simulated"] is True
    assert [line["simulated"] for line in results.values()] == [True] * 3


def test_the_recipe_tells_all_else(submit, workspace, tmp_path):
    job = submit(labels=["a", "b"], into="label", key="id")
    job.result(SECONDS)
    _, _, recipe = read(job.export(tmp_path / "out.jsonl"))
    assert recipe["simulated"] is True
    assert recipe["answered_by"] == workspace.scope
    assert recipe["job"]["id"] == job.id
    assert recipe["job"]["outcomes"] == job.counts
    assert recipe["recipe"]["template"] == "Echo: {text}"
    assert recipe["recipe"]["reply"]["labels"] == ["a", "b"]
    assert recipe["rows"][1]["key"] == "b"
    assert recipe["usage"]["input_tokens"] == job.usage.input_tokens
    assert recipe["cost_in_dollars"] == pytest.approx(job.cost)
    (price,) = recipe["dollars_per_million_tokens"].values()
    assert (price["input"], price["output"], price["batch"]) == ("1", "5", "0.5")


def test_a_function_as_template_leaves_what_it_made(submit, tmp_path):
    job = submit(template=lambda row: [{"type": "text", "text": f"Echo: {row['id']}"}])
    job.result(SECONDS)
    _, requests, recipe = read(job.export(tmp_path / "out.jsonl"))
    texts = {line["params"]["messages"][0]["content"][0]["text"] for line in requests.values()}
    assert texts == {f"Echo: {name}" for name in "abde"}
    assert recipe["recipe"]["callable"] is True


def test_samples_are_all_there(submit, tmp_path):
    job = submit(samples=2)
    job.result(SECONDS)
    results, requests, recipe = read(job.export(tmp_path / "out.jsonl"))
    assert len(results) == len(requests) == 6
    assert [len(row.get("custom_ids", ())) for row in recipe["rows"]] == [2, 2, 0, 2, 2]


def test_what_was_asked_is_there_before_it_is_answered(submit, simulator, tmp_path):
    simulator.inject(Fault("slow_batch", seconds=3600))
    results, requests, recipe = read(submit().export(tmp_path / "out.jsonl"))
    assert (len(results), len(requests)) == (0, 3)
    assert recipe["job"]["outcomes"] == {"pending": 4, "skipped": 1}


def test_the_requests_can_be_asked_again_by_anybody(submit, simulator, tmp_path):
    job = submit()
    job.result(SECONDS)
    results, requests, _ = read(job.export(tmp_path / "out.jsonl"))
    with anthropic.Anthropic(api_key="k", base_url=simulator.url) as client:
        batch = client.messages.batches.create(requests=list(requests.values()))
    assert batch.request_counts.processing == len(results) == 3
    assert all(digest_in(name) is not None for name in requests)


def test_a_pilots_raw_answers_have_the_same_form(frame, workspace, tmp_path):
    taken = frame.batch.pilot("text", "Echo: {text}", 2, into="echo", workspace=workspace)
    results, requests, recipe = read(taken.job.export(tmp_path / "pilot.jsonl"))
    assert results.keys() == requests.keys()
    assert len(results) == 2
    assert {line["result"]["type"] for line in results.values()} == {"succeeded"}
    assert all(line["result"]["message"]["usage"]["service_tier"] == "standard" for line in results.values())
    assert recipe["recipe"]["pilot"] is True


def test_of_a_batch_made_elsewhere_there_are_its_results(workspace, simulator, tmp_path):
    with anthropic.Anthropic(api_key="k", base_url=simulator.url) as client:
        params = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Echo: a"}]}
        batch = client.messages.batches.create(requests=[{"custom_id": "mine", "params": params}])
    job = workspace.attach(batch.id)
    job.result(SECONDS)
    results, requests, recipe = read(job.export(tmp_path / "out.jsonl"))
    assert results.keys() == {"mine"}
    assert requests == {}
    assert recipe["rows"] == [{"row": 0, "key": "mine", "custom_ids": ["mine"]}]
