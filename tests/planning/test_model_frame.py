"""The table of models: without a key from what comes with batchnb, with one from the server, and what it would cost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import anthropic
import pytest

import batchnb
from batchnb import InputError, Workspace
from batchnb.costs.prices import load_prices
from batchnb.model_table import known_models


@pytest.fixture
def keyless(tmp_path, monkeypatch) -> Iterator[Workspace]:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.closing(Workspace(home=tmp_path / "keyless")) as place:
        yield place


def test_without_a_key_the_table_is_shown_the_newest_first(keyless):
    frame = batchnb.models(workspace=keyless)
    assert frame["model"].tolist()[: len(known_models())] == list(known_models())
    assert set(frame["model"]) == {*known_models(), *load_prices().prices}
    assert set(frame["known_from"]) == {"the table"}
    haiku = frame.set_index("model").loc["claude-haiku-5-5"]
    assert (haiku["batch_input"], haiku["batch_output"]) == (0.05, 0.25)
    assert (haiku["context"], haiku["max_output"], haiku["thinks"]) == (1_000_000, 128_000, True)
    assert frame.set_index("model").loc["claude-sonnet-4-5", "successor"] == "claude-sonnet-5-5"


def test_what_rows_would_cost_goes_by_their_size_and_the_models_tokenizer(keyless):
    cost = batchnb.models(workspace=keyless, rows=3_000, like=4_000, reply=20).set_index("model")["cost"]
    # 1,000 tokens in and 20 out, and 1,300 and 26 of the new tokenizer; at half of the standard rate.
    assert cost["claude-haiku-4-5"] == pytest.approx(3_000 * (1_000 * 1 + 20 * 5) / 2e6)
    assert cost["claude-haiku-5-5"] == pytest.approx(3_000 * (1_300 * 0.10 + 26 * 0.50) / 2e6)
    like = batchnb.models(workspace=keyless, rows=1, like="x" * 4_000).set_index("model")["cost"]
    assert like["claude-haiku-4-5"] * 3_000 == pytest.approx(cost["claude-haiku-4-5"])


def test_with_a_server_what_it_tells_comes_first(workspace, simulator):
    frame = batchnb.models(workspace=workspace).set_index("model")
    told = frame[frame["known_from"] == "the simulator"]
    assert "claude-haiku-4-5" in told.index, "by its short name, as the table has it"
    assert told.loc["claude-haiku-4-5", "structured_outputs"]
    assert (frame.loc["claude-3-haiku", "known_from"], frame.loc["claude-3-haiku", "batch_input"]) == (
        "the table",
        0.125,
    )
    assert frame.index.is_unique


def test_a_server_that_does_not_tell_costs_nothing(tmp_path):
    client = anthropic.Anthropic(api_key="sk-ant-none", base_url="http://127.0.0.1:9")
    with contextlib.closing(client), contextlib.closing(Workspace(client, home=tmp_path / "home")) as place:
        assert set(batchnb.models(workspace=place)["known_from"]) == {"the table"}


@pytest.mark.parametrize("wrong", [{"rows": -1}, {"rows": 1.5}, {"like": None}, {"like": -3}, {"reply": "long"}])
def test_what_is_no_size_is_refused_by_name(keyless, wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))}= takes"):
        batchnb.models(workspace=keyless, **wrong)
