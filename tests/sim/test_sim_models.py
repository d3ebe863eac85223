"""What the simulator's models can do, and when they go."""

import re
import sqlite3
from datetime import UTC, datetime

import anthropic
import pytest
from anthropic._data import DEPRECATED_MODELS
from sim_samples import PDF, by_id, inline, png
from simulation import ended, params, results, run, sdk

from batchnb.sim import Model, Simulator

pytestmark = pytest.mark.steady

LONG = "output-300k-2026-03-24"
LAYOUT = {"type": "object", "properties": {}, "additionalProperties": False}
PLAIN = Model(
    "claude-plain-1",
    "Claude Plain",
    "2024-03-13",
    window=200_000,
    output=4096,
    batch=False,
    structured_outputs=False,
    images=False,
    pdfs=False,
    aliases=("claude-plain",),
)


pytestmark = pytest.mark.simulator(shared=True, models=[PLAIN])


def test_models_retire_when_the_sdk_says(client):
    for name, day in DEPRECATED_MODELS.items():
        model = client.models.retrieve(name)
        assert model.lifecycle in ("deprecated", "retired")
        assert model.deprecated_at < model.retires_at
        month, date, year = re.match(r"(\w+) (\d+)\w*, (\d+)", day).groups()
        assert (f"{model.retires_at:%B}", model.retires_at.day, model.retires_at.year) == (month, int(date), int(year))


def test_there_is_a_model_of_every_stage(client):
    every = client.models.list(lifecycle=["active", "deprecated", "retired"], limit=100).data
    assert {model.lifecycle for model in every} == {"active", "deprecated", "retired"}
    assert client.models.retrieve("claude-opus-4-5").retires_at == datetime(2027, 1, 22, tzinfo=UTC)
    with pytest.raises(anthropic.NotFoundError, match="model: claude-opus-4-1"):
        client.messages.create(**params(model="claude-opus-4-1"))


def test_a_test_may_add_a_model_that_lacks_what_all_real_ones_have(client):
    model = client.models.retrieve("claude-plain")
    assert (model.id, model.line, model.max_tokens) == ("claude-plain-1", None, 4096)
    able = model.capabilities
    for lacking in (able.batch, able.structured_outputs, able.image_input, able.pdf_input):
        assert not lacking.supported
    assert client.models.list(limit=100).data[-1].id == "claude-plain-1", "it is the oldest"
    assert client.messages.create(**params("Echo: hm", model="claude-plain")).model == "claude-plain-1"


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (params(output_config={"format": {"type": "json_schema", "schema": LAYOUT}}), "structured outputs"),
        (params(tools=[{"name": "t", "strict": True, "input_schema": LAYOUT}]), "strict tools"),
        (params([inline(png(), "image/png")]), "image input"),
        (params([inline(PDF, "application/pdf", "document")]), "PDF input"),
    ],
)
def test_what_a_model_cannot_do_is_refused(client, asked, refusal):
    assert client.messages.create(**asked).usage
    with pytest.raises(anthropic.BadRequestError, match=f"'claude-plain-1' does not support {refusal}"):
        client.messages.create(**{**asked, "model": "claude-plain"})


def test_a_model_without_batches_makes_rows_err(client):
    batch = run(
        client, [{"custom_id": name, "params": params(model=name)} for name in ("claude-plain", "claude-opus-5")]
    )
    rows = results(client, batch.id)
    assert rows["claude-opus-5"].type == "succeeded"
    assert "does not support the Message Batches API" in rows["claude-plain"].error.error.message


def test_a_model_may_take_the_place_of_a_real_one():
    gone = Model("claude-haiku-4-5-20251001", "Claude Haiku 4.5", lifecycle="retired", aliases=("claude-haiku-4-5",))
    with Simulator(models=[gone]) as simulator, sdk(simulator) as client:
        with pytest.raises(anthropic.NotFoundError):
            client.messages.create(**params())
        assert client.models.retrieve("claude-haiku-4-5").lifecycle == "retired"


def test_longer_answers_are_for_batches_with_the_beta_alone(client):
    asked = {"custom_id": "a", "params": params(model="claude-opus-4-8", max_tokens=300_000)}
    too_long = {"custom_id": "b", "params": params(model="claude-opus-4-8", max_tokens=300_001)}
    headers = {"extra_headers": {"anthropic-beta": f"files-api-2025-04-14, {LONG}"}}
    outcomes = {}
    for name, more in (("without", {}), ("with", headers)):
        batch = client.messages.batches.create(requests=[asked, too_long], **more)
        ended(client, batch.id)
        outcomes[name] = results(client, batch.id)
    assert [row.type for row in outcomes["without"].values()] == ["errored", "errored"]
    assert "300000 > 128000, which is the maximum allowed" in outcomes["without"]["a"].error.error.message
    assert (outcomes["with"]["a"].type, outcomes["with"]["b"].type) == ("succeeded", "errored")
    batch = client.beta.messages.batches.create(requests=[asked], betas=[LONG])
    ended(client, batch.id)
    assert results(client, batch.id)["a"].type == "succeeded"
    with pytest.raises(anthropic.BadRequestError, match="300000 > 128000"):
        client.with_options(timeout=600).messages.create(**asked["params"], **headers)


def test_a_state_folder_of_an_older_simulator_is_taken_over(tmp_path):
    with Simulator(tmp_path, delay=(0.0, 0.0)) as simulator, sdk(simulator) as client:
        batch = run(client, [{"custom_id": "a", "params": params()}])
    state = sqlite3.connect(tmp_path / "simulator.db")
    state.execute("ALTER TABLE batch DROP COLUMN betas")
    state.execute("DROP TABLE file")
    state.close()
    with Simulator(tmp_path, delay=(0.0, 0.0)) as simulator, sdk(simulator) as client:
        assert results(client, batch.id)["a"].type == "succeeded"
        file = client.files.upload(file=("a.png", png(), "image/png"))
        asked = {"custom_id": "b", "params": params([by_id(file.id)], model="claude-opus-4-8", max_tokens=200_000)}
        batch = client.messages.batches.create(requests=[asked], extra_headers={"anthropic-beta": LONG})
        ended(client, batch.id)
        assert results(client, batch.id)["b"].type == "succeeded"
