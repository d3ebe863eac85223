"""What models can do is asked of the server before anything is sent; what it does not tell stops nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from simulation import sdk

from batchnb import InputError, Workspace
from batchnb.api.addresses import simulator_client
from batchnb.api.shapes import ModelInfo
from batchnb.costs.prices import load_prices
from batchnb.model_table import known_models
from batchnb.planning import check
from batchnb.planning.models import needs_of, notice, problem, without_room
from batchnb.questions.params import LONG_OUTPUT
from batchnb.sim import Simulator

if TYPE_CHECKING:
    from bench import Bench

pytest_plugins = ["bench_fixtures"]

SECONDS = 60
YES, NO = {"supported": True}, {"supported": False}


def model(**more) -> ModelInfo:
    known = {"id": "claude-a", "lifecycle": "active", "max_tokens": 64_000, "capabilities": {}}
    return ModelInfo(**{**known, **more})


def able(**capabilities) -> ModelInfo:
    return model(capabilities=capabilities)


FORMAT = {"format": {"type": "json_schema", "schema": {}}}
EFFORT = {"supported": True, "low": YES, "xhigh": NO}
THINKING = {"supported": True, "types": {"adaptive": NO, "enabled": YES, "disabled": YES}}


# What is wrong, in words


@pytest.mark.parametrize(
    ("info", "params", "said"),
    [
        (able(batch=NO), {}, "'claude-a' does not answer in batches"),
        (able(structured_outputs=NO), {"output_config": FORMAT}, "no structured outputs, which labels="),
        (able(structured_outputs=NO), {"tools": [{"name": "t", "strict": True}]}, "no structured outputs"),
        (able(effort=NO), {"output_config": {"effort": "low"}}, "takes no effort="),
        (able(effort=EFFORT), {"output_config": {"effort": "xhigh"}}, "does not take effort='xhigh'"),
        (able(thinking=NO), {"thinking": {"type": "adaptive"}}, "does not think"),
        (able(thinking=THINKING), {"thinking": {"type": "adaptive"}}, 'it takes "disabled" or a number of tokens'),
        (model(), {"max_tokens": 64_001}, "max_tokens is 64,001, and 'claude-a' answers with at most 64,000"),
        (model(), {"max_tokens": 300_000}, LONG_OUTPUT),
        (model(lifecycle="retired"), {}, "was retired, and answers no more"),
    ],
)
def test_what_a_model_cannot_do_is_said_with_what_to_do(info, params, said):
    found = problem(info, {"model": "claude-a", **params})
    assert said in found
    assert found.endswith(("...", ".")), found


@pytest.mark.parametrize(
    ("info", "params", "betas"),
    [
        (able(), {"output_config": {**FORMAT, "effort": "max"}, "thinking": {"type": "adaptive"}}, ()),
        (model(capabilities=None, max_tokens=None), {"max_tokens": 10**6, "output_config": FORMAT}, ()),
        (able(structured_outputs=NO), {"output_config": {"effort": "low"}}, ()),
        (able(effort=EFFORT), {"output_config": {"effort": "max"}}, ()),  # a level the server does not speak of
        (able(thinking=THINKING), {"thinking": {"type": "enabled", "budget_tokens": 2000}}, ()),
        (able(thinking=NO), {"thinking": {"type": "disabled"}}, ()),
        (able(batch="yes", effort=["odd"]), {"output_config": {"effort": "low"}}, ()),
        (model(), {"max_tokens": 64_000}, ()),
        (model(), {"max_tokens": 300_000}, (LONG_OUTPUT,)),
    ],
)
def test_what_a_model_can_do_or_nobody_tells_is_no_problem(info, params, betas):
    assert problem(info, params, betas) is None


def test_the_beta_is_named_only_where_it_would_help():
    assert LONG_OUTPUT not in problem(model(), {"max_tokens": 300_001})


def test_content_needs_what_its_blocks_need():
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": ""}}
    text = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}}
    image = {"type": "image", "source": {"type": "url", "url": "https://a"}}
    assert needs_of([{"role": "user", "content": [image, text]}]) == {"image_input"}
    assert needs_of([{"role": "user", "content": "a"}, {"role": "user", "content": [pdf]}]) == {"pdf_input"}
    assert needs_of([{"role": "user", "content": [text, "odd"]}, "odd"]) == needs_of("odd") == set()
    assert "takes no images" in problem(able(image_input=NO), {}, needs=["image_input"])
    assert problem(able(image_input=YES), {}, needs=["image_input", "pdf_input"]) is None


def test_a_model_on_its_way_out_is_named_with_its_dates():
    when = {"deprecated_at": pd.Timestamp("2026-05-30", tz="UTC"), "retires_at": pd.Timestamp("2026-11-30", tz="UTC")}
    said = notice(model(lifecycle="deprecated", **when), "claude-a")
    assert "deprecated since 2026-05-30, and to be retired on 2026-11-30" in said
    assert notice(model(), "claude-a") is None
    assert "is deprecated:" in notice(model(lifecycle="deprecated"), "claude-a")


def test_the_structure_read_is_that_of_the_sdk(tmp_path):
    from anthropic.types import ModelCapabilities
    from anthropic.types import ModelInfo as Theirs

    assert set(ModelInfo.__struct_fields__) <= set(Theirs.model_fields)
    assert {"batch", "structured_outputs", "effort", "thinking", "image_input", "pdf_input"} <= set(
        ModelCapabilities.model_fields
    )


# Where the server says nothing, the table does

KINDS = ("adaptive", "between_tools", "disabled", "enabled")
#: What each model refuses: kinds of thinking, then whether a tool may be forced, and whether replies may be longer.
REFUSES = {
    "claude-haiku-5-5": ({"between_tools", "enabled"}, False, False),
    "claude-sonnet-5-5": ({"disabled", "enabled"}, True, False),
    "claude-opus-5-5": ({"between_tools", "disabled", "enabled"}, True, False),
    "claude-fable-5-2": ({"between_tools", "disabled", "enabled"}, True, True),
    "claude-mythos-5-2": ({"between_tools", "disabled", "enabled"}, True, True),
    "claude-fable-5-1": ({"between_tools", "disabled", "enabled"}, True, True),
    "claude-mythos-5-1": ({"between_tools", "disabled", "enabled"}, True, True),
    "claude-fable-5": ({"between_tools", "disabled", "enabled"}, False, True),
    "claude-mythos-5": ({"between_tools", "disabled", "enabled"}, False, True),
    "claude-sonnet-5": ({"between_tools", "enabled"}, False, False),
    "claude-opus-5": ({"between_tools", "enabled"}, False, False),
    "claude-opus-4-8": ({"between_tools", "enabled"}, False, False),
    "claude-opus-4-7": ({"between_tools", "enabled"}, False, False),
    "claude-opus-4-6": ({"between_tools"}, False, False),
    "claude-sonnet-4-6": ({"between_tools"}, False, False),
    "claude-opus-4-5": ({"adaptive", "between_tools"}, False, True),
    "claude-haiku-4-5": ({"adaptive", "between_tools"}, False, True),
}


def test_the_table_has_every_model_that_has_a_price_today():
    older = {"claude-opus-4-1", "claude-sonnet-4", "claude-3-5-haiku", "claude-3-haiku"}
    assert set(known_models()) == set(load_prices().prices) - older
    assert set(known_models()) == {*REFUSES, "claude-sonnet-4-5"}


@pytest.mark.parametrize("name", REFUSES)
def test_what_a_model_is_documented_to_refuse_is_refused_before_it_is_sent(name):
    silent = ModelInfo(name)
    thinking, tools, long = REFUSES[name]
    for kind in KINDS:
        budget = {"budget_tokens": 2000} if kind == "enabled" else {}
        found = problem(silent, {"model": name, "thinking": {"type": kind, **budget}})
        assert (found is not None) == (kind in thinking), (kind, found)
        assert found is None or "it takes " in found
    for choice in ("any", "tool"):
        assert (problem(silent, {"model": name, "tool_choice": {"type": choice}}) is not None) == tools
    assert problem(silent, {"model": name, "tool_choice": {"type": "auto"}}) is None
    told = ModelInfo(name, max_tokens=128_000)
    assert (problem(told, {"model": name, "max_tokens": 300_000}, [LONG_OUTPUT]) is not None) == long
    assert (LONG_OUTPUT in problem(told, {"model": name, "max_tokens": 300_000})) != long


def test_what_the_server_tells_comes_before_the_table():
    told = ModelInfo("claude-opus-5-5", capabilities={"thinking": {"types": {"disabled": YES}}})
    assert problem(told, {"thinking": {"type": "disabled"}}) is None
    assert "retired on 2026-11-30" in problem(ModelInfo("claude-sonnet-4-5"), {})
    assert problem(ModelInfo("claude-sonnet-4-5", lifecycle="deprecated"), {}) is None


def test_without_thinking_there_is_no_effort_above_high():
    quiet = {"thinking": {"type": "disabled"}}
    assert 'effort is at most "high"' in problem(model(), {**quiet, "output_config": {"effort": "xhigh"}})
    assert problem(model(), {**quiet, "output_config": {"effort": "high"}}) is None
    assert problem(model(), {"output_config": {"effort": "max"}}) is None


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("claude-haiku-5-5", "thinking='disabled' turns it off"),
        ("claude-sonnet-5-5", "thinking='between_tools' turns it off"),
        ("claude-opus-5-5", 'effort="low" makes it think less'),
        ("claude-haiku-4-5", None),
    ],
)
def test_little_room_beside_thinking_is_said_with_the_way_out(name, instead):
    said = without_room({"model": name, "max_tokens": 50})
    assert (said is None) == (instead is None)
    assert instead is None or (instead in said and "of 50 there may be none left" in said)
    assert without_room({"model": name, "max_tokens": 5_000}) is None
    assert without_room({"model": name, "max_tokens": 50, "thinking": {"type": "disabled"}}) is None


def test_a_retiring_model_is_named_with_what_to_ask_instead():
    assert "retired on 2027-01-22" in notice(ModelInfo("claude-opus-4-5"), "claude-opus-4-5")
    assert "model='claude-opus-5-5'" in notice(ModelInfo("claude-opus-4-5"), "claude-opus-4-5")
    assert notice(ModelInfo("claude-haiku-4-5"), "claude-haiku-4-5") is None, "it may be retired, and is not to be yet"
    assert "model='claude-sonnet-5-5'" in problem(ModelInfo("claude-sonnet-4-5"), {})


# Before anything is sent


@pytest.fixture
def simulator(tmp_path) -> Iterator[Simulator]:
    with Simulator(tmp_path / "simulator", delay=(0.01, 0.02), seed=1) as running:
        yield running


@pytest.fixture
def workspace(simulator, tmp_path, monkeypatch) -> Iterator[Workspace]:
    monkeypatch.setattr(check, "_noticed", set())
    with simulator_client(simulator.url) as client:
        workspace = Workspace(client, home=tmp_path / "home", max_poll=0.05)
        yield workspace
        workspace.close()


FRAME = pd.DataFrame({"review": ["good", "bad", "so so"], "stars": [5, 1, 3]})


def submit(workspace: Workspace, **options):
    return FRAME.batch.submit(
        "review", options.pop("template", "About {review}"), workspace=workspace, progress=False, **options
    )


def asked_of_models(simulator: Simulator) -> list[str]:
    return [call.path for call in simulator.calls if call.path.startswith("/v1/models/")]


def refused(simulator: Simulator, workspace: Workspace, said: str, **options) -> None:
    with pytest.raises(InputError, match=said) as raised:
        submit(workspace, **options)
    assert str(raised.value).endswith("Nothing was sent.")
    assert not any(call.path.endswith("/batches") for call in simulator.calls)
    assert len(workspace.jobs()) == 0


def test_a_model_is_asked_for_once_and_its_answer_is_the_sdks(simulator, workspace):
    for system in ("a", "b"):
        submit(workspace, system=system, into=system).result(SECONDS)
    assert asked_of_models(simulator) == ["/v1/models/claude-haiku-4-5"]
    known = workspace.session.api.model("claude-haiku-4-5")
    with sdk(simulator) as client:
        theirs = client.models.retrieve("claude-haiku-4-5")
    assert (known.id, known.max_tokens, known.lifecycle) == (theirs.id, theirs.max_tokens, theirs.lifecycle)
    assert known.capabilities["thinking"]["types"]["adaptive"]["supported"] is False


def test_nothing_is_asked_where_nothing_is_to_be_sent(simulator, workspace):
    submit(workspace).result(SECONDS)
    calls = len(simulator.calls)
    submit(workspace).result(SECONDS)
    assert len(simulator.calls) == calls


def test_what_the_model_cannot_do_is_refused_before_anything_is_sent(simulator, workspace):
    refused(simulator, workspace, 'does not take thinking="adaptive"', thinking="adaptive")
    refused(simulator, workspace, "takes no effort=", effort="high")
    refused(simulator, workspace, "at most 64,000: lower it", max_tokens=100_000)
    assert len(asked_of_models(simulator)) == 1


def test_an_unknown_model_is_refused_with_the_nearest_one_of_the_servers(simulator, workspace):
    refused(simulator, workspace, r"knows no model 'claude-sonet-5-5'.*Did you mean 'claude-sonnet-5-5'\?",
            model="claude-sonet-5-5")  # fmt: skip
    # Not one that only has a price, which the server would refuse next.
    refused(simulator, workspace, r"Did you mean 'claude-haiku-", model="claude-3-haiku-20240307")


def test_a_retired_model_is_refused_as_such(simulator, workspace):
    refused(simulator, workspace, "'claude-opus-4-1' was retired on 2026-08-05", model="claude-opus-4-1")


def test_a_model_on_its_way_out_is_warned_of_once(simulator, workspace):
    for into in ("a", "b"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            submit(workspace, model="claude-opus-4-5", system=into, into=into).result(SECONDS)
        said = [str(one.message) for one in caught if "deprecated" in str(one.message)]
        assert len(said) == (into == "a")
        assert all("to be retired on 2027-01-22" in one for one in said)


def test_every_model_that_rows_name_for_themselves_is_asked_for(simulator, workspace):
    def params(row):
        return {"model": "claude-opus-5", "max_tokens": 130_000} if row["stars"] == 1 else None

    refused(simulator, workspace, r"Row 1: max_tokens is 130,000, and 'claude-opus-5'", params=params)
    refused(
        simulator, workspace, r"Row 2: The server knows no model 'claude-opus-55'.*Did you mean 'claude-opus-5-5'",
        template=lambda row: {
            "messages": [{"role": "user", "content": row["review"]}],
            "model": "claude-opus-55" if row["stars"] == 3 else "claude-opus-5",
        },
    )  # fmt: skip
    assert set(asked_of_models(simulator)) == {
        "/v1/models/claude-haiku-4-5", "/v1/models/claude-opus-5", "/v1/models/claude-opus-55",
    }  # fmt: skip


def test_a_row_of_its_own_params_is_named_where_its_model_cannot(simulator, workspace):
    refused(simulator, workspace, "Row 0: The model 'claude-haiku-4-5' takes no effort=",
            params=lambda row: {"output_config": {"effort": "low"}})  # fmt: skip
    refused(simulator, workspace, "^max_tokens is 70,000", max_tokens=70_000, params=lambda row: None)


def test_of_many_models_only_a_few_are_asked_for(simulator, workspace):
    frame = pd.DataFrame({"review": [f"r{i}" for i in range(30)]})
    names = [f"claude-opus-5?{i}" for i in range(30)]
    with pytest.raises(InputError, match="knows no model"):
        frame.batch.submit(
            "review", workspace=workspace, progress=False, params=lambda row: {"model": names[int(row["review"][1:])]}
        )
    assert len(asked_of_models(simulator)) <= 6


def test_a_server_without_the_endpoint_stops_nothing(bench: Bench):
    """The independent server answers 404, without a word about a model."""
    job = bench.submit(["a", "b"], params=lambda row: {"model": "elsewhere"}, max_tokens=10**6)
    assert job.result(SECONDS)["echo"].tolist() == ["a", "b"]
    assert sum("/models/" in path for _, path, _ in bench.server.calls) == 1
    bench.submit(["c"], params=lambda row: {"model": "elsewhere"}).result(SECONDS)
    assert sum("/models/" in path for _, path, _ in bench.server.calls) == 1
