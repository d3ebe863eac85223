"""What reply is asked for, and how it is read back."""

from __future__ import annotations

import enum
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchnb import InputError
from batchnb.schemas import LabelReply, MisfitError, TextReply, reply_from_spec

labels = st.lists(
    st.integers(-(2**31), 2**31) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    min_size=2,
    unique=True,
)


class Mood(enum.StrEnum):
    GOOD = "good"
    BAD = "bad"


@given(labels)
def test_labels_are_read_back_as_they_were_given(given_labels):
    reply = LabelReply.of(given_labels)
    schema = reply.output_format()["schema"]
    assert schema["properties"]["label"]["enum"] == given_labels
    assert schema["additionalProperties"] is False
    for label in given_labels:
        read = reply.read(json.dumps({"label": label}))
        assert (read, type(read)) == (label, type(label))


@given(labels)
def test_a_reply_is_rebuilt_from_its_description(given_labels):
    for reply in (LabelReply.of(given_labels), TextReply()):
        assert reply_from_spec(json.loads(json.dumps(reply.spec()))) == reply


def test_text_asks_for_no_format_and_is_taken_as_it_is():
    assert TextReply().output_format() is None
    assert TextReply().read(" {not json ") == " {not json "


def test_the_longest_reply_is_longer_for_text_than_for_a_label():
    assert (TextReply().max_tokens, LabelReply.of(["a", "b"]).max_tokens) == (1024, 256)


@pytest.mark.parametrize(
    ("given_labels", "plain"),
    [
        (np.array(["good", "bad"]).tolist(), ("good", "bad")),
        (list(np.array(["good", "bad"])), ("good", "bad")),
        (list(np.array([1, 2])), (1, 2)),
        (range(1, 4), (1, 2, 3)),
        (list(Mood), ("good", "bad")),
        (("a", 1), ("a", 1)),
    ],
)
def test_labels_become_plain_text_and_plain_numbers(given_labels, plain):
    reply = LabelReply.of(given_labels)
    assert reply.labels == plain
    assert {type(label) for label in reply.labels} <= {str, int}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("positive", "not str"),
        ({"a", "b"}, "not set"),
        (pd.Series(["a", "b"]), "not Series"),
        (7, "not int"),
        (["only"], "at least two"),
        ([], "at least two"),
        (["a", "b", "a"], "'a' twice"),
        (["a", ""], "'' is neither"),
        (["a", None], "None is neither"),
        ([True, False], "True is neither"),
        ([0.5, 1.5], "0.5 is neither"),
        (["a", ["b"]], "is neither"),
    ],
)
def test_labels_that_cannot_be_chosen_from_are_refused(wrong, said):
    with pytest.raises(InputError, match="labels=") as raised:
        LabelReply.of(wrong)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "said", ["", "good", "{}", '{"label": true}', '{"label": "2"}', '{"label": null}', '[{"label":1}]']
)
def test_a_misfit_is_told_from_a_label(said):
    with pytest.raises(MisfitError):
        LabelReply.of([1, 2]).read(said)
