"""Params are checked by name before anything is sent."""

from __future__ import annotations

import typing

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from batchnb import InputError
from batchnb.api.sdk import message_fields
from batchnb.questions.params import check_names, shared_params, split_betas
from batchnb.questions.replies.base import TextReply
from batchnb.questions.replies.labels import LabelReply

FIELDS = message_fields(beta=False)
LABELS = LabelReply.of(["a", "b"])


def shared(reply=None, **given):
    return shared_params(
        reply or TextReply(), **{"model": "m", "max_tokens": None, "system": None, "params": {}, **given}
    )


# Names


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k", "stream", "prompt", "max_tokens_to_sample"])
def test_what_the_api_no_longer_takes_is_refused_by_name(name):
    with pytest.raises(InputError, match=f"'{name}' is refused") as raised:
        check_names({name: 1}, FIELDS, "params=")
    assert str(raised.value).endswith("Nothing was sent.")


def test_fast_speed_is_refused_since_batches_do_not_take_it():
    with pytest.raises(InputError, match='speed="fast"'):
        check_names({"speed": "fast"}, message_fields(beta=True), "params=")


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "100", None])
def test_max_tokens_is_a_whole_number_above_zero(value):
    with pytest.raises(InputError, match="max_tokens is a whole number of at least 1"):
        check_names({"max_tokens": value}, FIELDS, "params=")
    if value is not None:
        with pytest.raises(InputError, match="max_tokens is a whole number of at least 1"):
            shared(max_tokens=value)


def test_a_misspelt_name_gets_the_nearest_one():
    with pytest.raises(InputError, match=r"no parameter 'thinkin'\. Did you mean 'thinking'\?"):
        check_names({"thinkin": {}}, FIELDS, "params=")


def test_a_name_like_no_other_gets_them_all():
    with pytest.raises(InputError, match=r"It takes: .*thinking.*tool_choice"):
        check_names({"zzzzzz": 1}, FIELDS, "params=")


def test_the_names_are_those_of_the_sdk_and_all_of_them_pass():
    own = set(typing.get_type_hints(MessageCreateParamsNonStreaming))
    assert {"messages", "model", "max_tokens", "system", "thinking", "tools", "output_config"} <= FIELDS
    assert own >= FIELDS
    assert own - FIELDS <= {"betas", "workspace_id"}
    check_names(dict.fromkeys(FIELDS - {"stream", "max_tokens", "temperature", "top_p", "top_k"}, 1), FIELDS, "")


def test_beta_names_pass_only_with_a_beta():
    only_beta = message_fields(beta=True) - FIELDS
    assert only_beta
    for name in only_beta:
        with pytest.raises(InputError, match="no parameter"):
            check_names({name: 1}, FIELDS, "params=")


# Betas


def test_betas_are_taken_out_of_the_params():
    given = {"betas": ["one", "two"], "thinking": {"type": "disabled"}}
    assert split_betas(given) == ({"thinking": {"type": "disabled"}}, ("one", "two"))
    assert "betas" in given
    assert split_betas({}) == ({}, ())


@pytest.mark.parametrize("betas", ["one", [1], 5, {"one": 1}])
def test_betas_that_are_no_list_of_names_are_refused(betas):
    with pytest.raises(InputError, match="list of beta names"):
        split_betas({"betas": betas})


@pytest.mark.parametrize("params", ["thinking", ["thinking"], 5])
def test_params_that_are_no_dict_are_refused(params):
    with pytest.raises(InputError, match="params= takes a dict"):
        split_betas(params)


# Putting together


def test_defaults_come_from_the_reply():
    assert shared() == {"model": "m", "max_tokens": 1024}
    assert shared(LABELS)["max_tokens"] == 256
    assert shared(LABELS)["output_config"] == {"format": LABELS.output_format()}
    assert shared(LABELS, max_tokens=9)["max_tokens"] == 9


def test_params_are_merged_in_as_they_are():
    params = {"model": "other", "max_tokens": 7, "metadata": {"user_id": "u"}}
    assert shared(params=params) == params


def test_labels_keep_the_rest_of_a_users_output_config():
    made = shared(LABELS, params={"output_config": {"effort": "low"}})
    assert made["output_config"] == {"effort": "low", "format": LABELS.output_format()}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_tokens": 5, "params": {"max_tokens": 6}}, "max_tokens is given twice"),
        ({"system": "a", "params": {"system": "b"}}, "system is given twice"),
        (
            {"reply": LABELS, "params": {"output_config": {"format": {"type": "json_schema"}}}},
            "labels= or schema= sets",
        ),
        ({"reply": LABELS, "params": {"output_config": "low"}}, "output_config is a dict, not str"),
        ({"params": {"messages": []}}, "callable template"),
        ({"system": {"type": "text"}}, "system= takes text or a list"),
        ({"system": "half a character \ud83d"}, "cannot be written as JSON"),
        ({"params": {"metadata": object()}}, "cannot be written as JSON"),
        ({"params": {"metadata": {"key": b"bytes"}}}, "it holds bytes"),
    ],
)
def test_what_cannot_be_put_together_is_refused_before_anything_is_sent(given, said):
    with pytest.raises(InputError) as raised:
        shared(**given)
    assert said in str(raised.value)
    assert str(raised.value).endswith("Nothing was sent.")
    assert ".." not in str(raised.value)


@pytest.mark.parametrize("system", [None, "", []])
def test_an_empty_system_prompt_is_left_out(system):
    assert "system" not in shared(system=system)
