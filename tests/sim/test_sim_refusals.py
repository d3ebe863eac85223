"""What each model refuses, as the documentation says it: every row is sent by the official client over a socket."""

import anthropic
import pytest
from simulation import params, results, run, sdk

from batchnb.sim import Model, Reply, Simulator

pytestmark = [pytest.mark.steady, pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning")]

ALWAYS = ["claude-opus-5-5", *(f"claude-{line}-{n}" for line in ("fable", "mythos") for n in ("5", "5-1", "5-2"))]
BY_DEFAULT = [*ALWAYS, "claude-haiku-5-5", "claude-sonnet-5-5", "claude-sonnet-5", "claude-opus-5"]
NEW = [*BY_DEFAULT, "claude-opus-4-8", "claude-opus-4-7"]
MIDDLE = ["claude-opus-4-6", "claude-sonnet-4-6"]
OLD = ["claude-opus-4-5", "claude-haiku-4-5"]
EVERY = [*NEW, *MIDDLE, *OLD]
UNFORCED = [
    "claude-opus-5-5",
    "claude-sonnet-5-5",
    *(m for m in ALWAYS if m[-3:] in ("5-1", "5-2") and "opus" not in m),
]
LONG = [
    "claude-opus-5-5", "claude-opus-5", "claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6", "claude-sonnet-5-5",
    "claude-sonnet-5", "claude-sonnet-4-6", "claude-haiku-5-5",
]  # fmt: skip
FAST = ["claude-opus-5-5", "claude-fable-5-2", "claude-mythos-5-2"]
TOOL = {"name": "t", "input_schema": {"type": "object"}}
BUDGET = {"type": "enabled", "budget_tokens": 1024}


def kind(name):
    return {"thinking": {"type": name}}


def effort(level, **more):
    return {"output_config": {"effort": level}, **more}


def without(models, others):
    return [model for model in models if model not in others]


# What is asked, the models that refuse it, and the API's words; all other models take it.
REFUSED = [
    (
        {"thinking": BUDGET, "max_tokens": 4000},
        NEW,
        '"thinking.type.enabled" is not supported for this model. Use "thi',
    ),
    (kind("disabled"), [*ALWAYS, "claude-sonnet-5-5"], '"thinking.type.disabled" is not supported for this model.'),
    (kind("between_tools"), without(EVERY, ["claude-sonnet-5-5"]), '"thinking.type.between_tools" is not supported'),
    (kind("adaptive"), OLD, "adaptive thinking is not supported on this model"),
    (effort("low"), ["claude-haiku-4-5"], "This model does not support the effort parameter."),
    (effort("max"), OLD, "This model does not support"),
    (effort("xhigh"), [*MIDDLE, *OLD], "This model does not support"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "any"}},
        UNFORCED,
        'tool_choice: type "tool" and "any" are not supported',
    ),
    ({"inference_geo": "us"}, OLD, "does not support the `inference_geo` parameter."),
]
LATER = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


@pytest.fixture(scope="module")
def client():
    with Simulator(delay=(0.0, 0.0)) as running, sdk(running) as strict:
        yield strict


@pytest.mark.parametrize(("asked", "models", "message"), REFUSED, ids=[row[2][:40] for row in REFUSED])
def test_a_model_refuses_what_the_table_says_and_takes_the_rest(client, asked, models, message):
    batch = run(client, [{"custom_id": model, "params": params(**{**asked, "model": model})} for model in EVERY])
    rows = results(client, batch.id)
    assert {model for model in EVERY if rows[model].type == "errored"} == set(models)
    for model in models:
        assert message in rows[model].error.error.message
        assert rows[model].error.error.type == "invalid_request_error"
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(**params(**{**asked, "model": models[0]}))
    assert message in caught.value.message


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "claude-sonnet-5", "claude-opus-5", "claude-sonnet-5-5"])
def test_effort_above_high_needs_thinking(client, model):
    off = "between_tools" if model == "claude-sonnet-5-5" else "disabled"
    with pytest.raises(anthropic.BadRequestError, match="effort 'xhigh' is not supported when thinking is disabled"):
        client.messages.create(**params(model=model, **effort("xhigh", **kind(off))))
    assert client.messages.create(**params(model=model, **effort("high", **kind(off)))).content[0].type == "text"


def test_the_older_version_takes_sampling_of_the_older_models_and_defaults_of_the_newer(client):
    older = {"extra_headers": {"anthropic-version": "2023-06-01"}}

    def refused(model, **sampling):
        try:
            client.messages.create(**params(model=model), extra_body=sampling, **older)
        except anthropic.BadRequestError as problem:
            return problem.message

    for model in EVERY:
        assert (refused(model, temperature=0.2) is not None) == (model in NEW), model
        assert refused(model, temperature=1) is None
    assert "`temperature` is deprecated for this model." in refused("claude-haiku-5-5", temperature=0)
    assert "`top_k` is deprecated" in refused("claude-haiku-5-5", top_k=5)
    assert refused("claude-haiku-5-5", top_p=0.99) is None
    assert "`top_p` is deprecated" in refused("claude-haiku-5-5", top_p=0.5)
    assert "cannot both be specified" in refused("claude-haiku-4-5", temperature=1, top_p=0.5)
    with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs are not permitted"):
        client.messages.create(**params(), extra_body={"temperature": 1})


@pytest.mark.parametrize("model", EVERY)
def test_long_answers_fast_speed_and_prefill_are_for_some_models(client, model):
    beta = {"anthropic-beta": "output-300k-2026-03-24"}
    long = {"custom_id": "a", "params": params(model=model, max_tokens=300_000)}
    batch = client.messages.batches.create(requests=[long], extra_headers=beta)
    while client.messages.batches.retrieve(batch.id).processing_status != "ended":
        pass
    assert (results(client, batch.id)["a"].type == "succeeded") == (model in LONG)
    for asked, takes in (({"speed": "fast"}, model in FAST), (LATER, model in OLD)):
        if takes:
            assert client.messages.create(**params(**{"model": model, **asked})).usage
        else:
            with pytest.raises(anthropic.BadRequestError):
                client.messages.create(**params(**{"model": model, **asked}))


def test_a_task_budget_needs_its_beta_and_twenty_thousand_tokens(client):
    def ask(total, **more):
        config = {"task_budget": {"type": "tokens", "total": total}}
        return client.beta.messages.create(**params(model="claude-opus-5-5", output_config=config), **more)

    assert ask(20_000, betas=["task-budgets-2026-03-13"]).usage
    with pytest.raises(anthropic.BadRequestError, match="greater than or equal to 20000"):
        ask(19_999, betas=["task-budgets-2026-03-13"])
    with pytest.raises(anthropic.BadRequestError, match="task_budget: Extra inputs are not permitted"):
        ask(20_000)


@pytest.mark.parametrize("model", EVERY)
def test_a_model_thinks_unless_told_not_to_where_the_documentation_says_so(client, model):
    asked = [{"custom_id": f"r{i}", "params": params("Echo: hm", model=model, max_tokens=4000)} for i in range(20)]
    rows = results(client, run(client, asked).id)
    opened = [row.message.content[0] for row in rows.values()]
    assert ({block.type for block in opened} >= {"thinking"}) == (model in BY_DEFAULT)
    for row in rows.values():
        *before, last = row.message.content
        assert last.text == "hm"
        usage = row.message.usage
        assert [block.thinking for block in before] == [""] * len(before), "a signature, and no text"
        assert all(block.signature for block in before)
        assert (usage.output_tokens_details.thinking_tokens > 0) == bool(before)
        assert usage.output_tokens > usage.output_tokens_details.thinking_tokens


def test_a_small_max_tokens_ends_as_a_thinking_block_alone(client):
    asked = [
        {"custom_id": f"r{i}", "params": params("Echo: hm", model="claude-opus-5", max_tokens=50)} for i in range(9)
    ]
    for row in results(client, run(client, asked).id).values():
        message = row.message
        assert ([block.type for block in message.content], message.stop_reason) == (["thinking"], "max_tokens")
        assert message.usage.output_tokens == message.usage.output_tokens_details.thinking_tokens == 50


def test_a_users_responder_is_thought_before_but_for_a_reply_that_is_whole():
    asked = params(model="claude-opus-5", max_tokens=4000)
    for given, kinds in (("hi", ["thinking", "text"]), ({"a": 1}, ["thinking", "text"])):
        with Simulator(responder=lambda _, given=given: given) as simulator, sdk(simulator) as client:
            assert [block.type for block in client.messages.create(**asked).content] == kinds
            without = client.messages.create(**asked, **kind("disabled"))
            assert [block.type for block in without.content] == ["text"]
    whole = Reply([{"type": "text", "text": "hi"}], "end_turn", 5, 1)
    with Simulator(responder=lambda _: whole) as simulator, sdk(simulator) as client:
        message = client.messages.create(**asked)
        assert (message.content[0].text, message.usage.output_tokens) == ("hi", 1)


def test_a_summary_of_the_thinking_is_shown_when_asked_for(client):
    shown = {"thinking": {"type": "adaptive", "display": "summarized"}, "max_tokens": 4000, "model": "claude-opus-5"}
    assert client.messages.create(**params(**shown)).content[0].thinking
    older = {"thinking": BUDGET, "max_tokens": 4000}
    assert client.messages.create(**params(**older)).content[0].thinking


def test_the_models_endpoint_tells_what_is_refused(client):
    for model in client.models.list(limit=100):
        name = model.id.removesuffix("-20251101").removesuffix("-20251001")
        types = model.capabilities.thinking.types
        assert types.enabled.supported == (name not in NEW)
        assert types.adaptive.supported == (name not in OLD)
        assert types.between_tools.supported == (name == "claude-sonnet-5-5")
        assert types.disabled.supported == (name not in [*ALWAYS, "claude-sonnet-5-5"])
        assert (model.max_input_tokens, model.max_tokens) == (
            (200_000, 64_000) if name in OLD else (1_000_000, 128_000)
        )
    days = [model.created_at for model in client.models.list(limit=100)]
    assert days == sorted(days, reverse=True)
    assert f"{client.models.retrieve('claude-haiku-5-5').created_at:%Y-%m-%d}" == "2026-10-07"


def test_too_long_a_prompt_says_so_in_numbers():
    small = Model("claude-small", "Small", window=50)
    with Simulator(models=[small], delay=(0.0, 0.0)) as simulator, sdk(simulator) as client:
        rows = results(
            client, run(client, [{"custom_id": "a", "params": params("long " * 99, model="claude-small")}]).id
        )
        error = rows["a"].error
        assert error.error.message == "prompt is too long: 131 tokens > 50 maximum"
        with pytest.raises(anthropic.BadRequestError, match="prompt is too long: 131 tokens > 50 maximum"):
            client.messages.create(**params("long " * 99, model="claude-small"))


def test_max_tokens_of_zero_only_fills_the_cache(client):
    message = client.messages.create(**params(max_tokens=0))
    assert (message.content, message.stop_reason, message.usage.output_tokens) == ([], "max_tokens", 0)
