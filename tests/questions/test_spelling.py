"""What equals exactly one label but for case, spaces and full-width forms is that label, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchnb.api.sdk import transform_schema
from batchnb.questions.replies.base import MisfitError
from batchnb.questions.replies.labels import LabelReply
from batchnb.questions.replies.schema import SchemaReply
from batchnb.questions.replies.spelling import chosen

LABELS = ["Positive", "negative", "so so", "Ｆｕｌｌ", "ß"]


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("positive", "Positive"), ("POSITIVE", "Positive"), (" Positive\n", "Positive"), ("so  so", "so so"),
        ("Ｎｅｇａｔｉｖｅ", "negative"), ("full", "Ｆｕｌｌ"), ("SS", "ß"), ("so\u3000so", "so so"),
    ],
)  # fmt: skip
def test_a_label_in_another_spelling_is_that_label(said, label):
    reply = LabelReply.of(LABELS)
    text = json.dumps({"label": said})
    assert reply.read(text) == label
    assert reply.is_respelled(text)
    several = LabelReply.of(LABELS, multiple=True)
    text = json.dumps({"labels": ["negative", said]})
    assert set(several.read(text)) == {"negative", label}
    assert several.is_respelled(text)


@pytest.mark.parametrize(
    "said", ["positiv", "positive.", "very positive", "so-so", "", "1", 1, None, True, ["Positive"]]
)
def test_what_is_merely_like_a_label_is_none(said):
    with pytest.raises(MisfitError, match="none of the labels"):
        LabelReply.of(LABELS).read(json.dumps({"label": said}))


def test_what_may_be_two_labels_is_neither_but_each_is_itself():
    reply = LabelReply.of(["yes", "Yes", "no"])
    assert reply.read('{"label": "Yes"}') == "Yes"
    assert not reply.is_respelled('{"label": "Yes"}')
    with pytest.raises(MisfitError):
        reply.read('{"label": "YES"}')
    numbers = LabelReply.of([1, 2])
    with pytest.raises(MisfitError):
        numbers.read('{"label": "1"}')


@given(st.lists(st.text(min_size=1), min_size=2, unique=True), st.data())
def test_a_label_as_it_is_stays_itself_whatever_stands_beside_it(labels, data):
    label = data.draw(st.sampled_from(labels))
    assert LabelReply.of(labels).read(json.dumps({"label": label})) == label
    assert chosen(label.upper(), [label]) in (label, None)


def schema(**properties: Any) -> SchemaReply:
    return SchemaReply.of({"type": "object", "properties": properties, "required": list(properties)}, transform_schema)


TONE = {"type": "string", "enum": ["Warm", "Cold", None]} | {"type": ["string", "null"]}


def test_choices_of_a_schema_are_spelled_as_it_has_them_wherever_they_stand():
    inner = {"type": "object", "properties": {"tone": TONE, "note": {"type": "string"}}, "required": ["tone", "note"]}
    reply = schema(tone=TONE, all={"type": "array", "items": TONE}, inner=inner, free={"type": "string"})
    said = {"tone": "warm", "all": ["COLD", None, "Warm"], "inner": {"tone": " cold", "note": "WARM"}, "free": "warm"}
    text = json.dumps(said)
    assert reply.read(text) == {
        "tone": "Warm", "all": ["Cold", None, "Warm"], "inner": {"tone": "Cold", "note": "WARM"}, "free": "warm",
    }  # fmt: skip
    assert reply.is_respelled(text)


def test_a_choice_or_any_text_is_any_text_and_other_misfits_are_told_as_before():
    reply = schema(tone={"anyOf": [{"enum": ["Warm"]}, {"type": "string"}]})
    assert reply.read('{"tone": "warm"}') == {"tone": "warm"}
    assert not reply.is_respelled('{"tone": "warm"}')
    with pytest.raises(MisfitError, match="tone"):
        schema(tone=TONE).read('{"tone": "lukewarm"}')
    with pytest.raises(MisfitError, match="n"):
        schema(tone=TONE, n={"type": "integer"}).read('{"tone": "warm", "n": "one"}')
    assert schema(kind={"const": "Exactly"}).read('{"kind": "exactly"}') == {"kind": "Exactly"}
