"""What is said for a model where nobody has said anything: it thinks as little as it can, and has room for it."""

from __future__ import annotations

import pytest

from batchnb.model_table import known_models
from batchnb.questions.model_defaults import as_sent, given_in, thinks_anyway
from batchnb.questions.thinking import THINKING_ROOM

LEAST = {
    "claude-haiku-5-5": "disabled", "claude-sonnet-5-5": "between_tools", "claude-opus-5-5": None,
    "claude-fable-5-2": None, "claude-mythos-5-2": None, "claude-fable-5-1": None, "claude-mythos-5-1": None,
    "claude-fable-5": None, "claude-mythos-5": None, "claude-sonnet-5": "disabled", "claude-opus-5": "disabled",
}  # fmt: skip
QUIET = [name for name in known_models() if name not in LEAST]


def params(model: str, **more) -> dict:
    return {"model": model, "max_tokens": 256, **more}


def test_every_model_that_thinks_by_itself_stands_here():
    assert {name for name, facts in known_models().items() if facts.thinks} == set(LEAST)


@pytest.mark.parametrize("model", LEAST)
def test_for_a_label_a_model_thinks_as_little_as_it_can(model):
    sent = as_sent(params(model), (), typed=True)
    if LEAST[model] is not None:
        assert sent == params(model, thinking={"type": LEAST[model]})
        assert thinks_anyway(sent) is None
    else:
        assert sent == params(model, output_config={"effort": "low"}) | {"max_tokens": 256 + THINKING_ROOM}
        assert thinks_anyway(sent) is not None


@pytest.mark.parametrize("model", LEAST)
def test_for_a_text_it_thinks_as_it_likes_and_has_room(model):
    assert as_sent(params(model), (), typed=False) == params(model) | {"max_tokens": 256 + THINKING_ROOM}


@pytest.mark.parametrize("model", QUIET)
@pytest.mark.parametrize("typed", [True, False])
def test_of_a_model_that_does_not_think_by_itself_nothing_is_said(model, typed):
    assert as_sent(params(model), (), typed=typed) == params(model)
    assert as_sent(params("claude-unheard-of"), (), typed=typed) == params("claude-unheard-of")


@pytest.mark.parametrize("model", LEAST)
@pytest.mark.parametrize("typed", [True, False])
def test_what_the_user_says_stays(model, typed):
    thinking = params(model, thinking={"type": "adaptive"})
    assert as_sent(thinking, {"thinking"}, typed=typed) == thinking
    hard = params(model, output_config={"effort": "high"})
    assert as_sent(hard, {"effort"}, typed=typed) == hard | {"max_tokens": 256 + THINKING_ROOM}
    assert as_sent(hard, {"effort", "max_tokens"}, typed=typed) == hard
    assert as_sent(params(model), {"max_tokens"}, typed=typed)["max_tokens"] == 256


def test_the_format_stays_beside_the_effort():
    asked = params("claude-opus-5-5", output_config={"format": {"type": "json_schema", "schema": {}}})
    sent = as_sent(asked, (), typed=True)
    assert sent["output_config"] == {**asked["output_config"], "effort": "low"}
    assert "effort" not in asked["output_config"], "what was asked is left as it is"


def test_the_room_ends_where_the_models_replies_do():
    assert as_sent(params("claude-haiku-5-5") | {"max_tokens": 127_000}, (), typed=False)["max_tokens"] == 128_000
    assert as_sent(params("claude-haiku-5-5") | {"max_tokens": 300_000}, (), typed=False)["max_tokens"] == 300_000


@pytest.mark.parametrize(
    ("said", "arguments", "given"),
    [
        ({}, {}, set()),
        ({"thinking": {"type": "disabled"}}, {}, {"thinking"}),
        ({"output_config": {"effort": "low"}, "max_tokens": 9}, {}, {"effort", "max_tokens"}),
        ({"output_config": {"format": {}}, "system": "x"}, {"thinking": "adaptive", "effort": None}, {"thinking"}),
        ({"output_config": "odd"}, {"effort": "high", "max_tokens": 3}, {"effort", "max_tokens"}),
    ],
)
def test_what_was_said_is_found_in_params_and_arguments(said, arguments, given):
    assert given_in(said, **arguments) == given
