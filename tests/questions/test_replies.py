"""What reply is asked for, how it is read back, and what its columns are called."""

from __future__ import annotations

import enum
import json
import typing
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pydantic
import pytest
from anthropic import transform_schema
from hypothesis import given
from hypothesis import strategies as st

from batchnb import InputError
from batchnb.answers.new_columns import Columns, check_into, column_in_the_way, marked, names_of
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import MisfitError, TextReply, ToolReply
from batchnb.questions.replies.labels import LabelReply
from batchnb.questions.replies.reply import reply_from_spec, reply_of

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


@given(labels, st.booleans(), st.booleans(), st.none() | st.just("no such thing"))
def test_a_reply_is_rebuilt_from_its_description(given_labels, multiple, explain, other):
    several = LabelReply.of(given_labels, multiple=multiple, explain=explain, other=other)
    meanings = LabelReply.of(dict.fromkeys(given_labels, "a meaning"), multiple=multiple)
    schema = {"type": "object", "properties": {"b": {"enum": given_labels}, "a": {"type": "string"}}}
    typed = [reply_of(schema=schema, transform=dict, flatten=multiple, prefixed=explain)]
    for reply in (LabelReply.of(given_labels), several, meanings, TextReply(), ToolReply(("a", "b")), *typed):
        assert reply_from_spec(json.loads(json.dumps(reply.spec(), sort_keys=True))) == reply
        assert reply_from_spec(reply.spec()).fields == reply.fields
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
        (Mood, ("good", "bad")),
        (enum.Enum("Size", {"S": 1, "M": 2}), (1, 2)),
        ({"good": "All is well.", "bad": None}, ("good", "bad")),
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
        ({"a": "A letter.", "b": 2}, "says of 'b' what it means by text, not by 2"),
        ({"a": "A letter.", "b": " "}, "says of 'b'"),
        ({"a": "A letter."}, "at least two"),
        (pd.Series(["a", "b", "a"]), "'a' twice"),
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


# Several labels, with meanings, an escape, and a reason


def test_plain_labels_are_described_and_asked_for_as_before_there_were_options():
    reply = LabelReply.of(["good", "bad"])
    assert reply.spec() == {"kind": "labels", "labels": ["good", "bad"]}
    assert reply.output_format() == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {"label": {"enum": ["good", "bad"]}},
            "required": ["label"],
            "additionalProperties": False,
        },
    }
    assert reply.instructions() is None
    assert names_of(reply, "mood") == ("mood", "mood_status", "mood_error")


def test_several_labels_come_in_their_own_order_and_once_each():
    reply = LabelReply.of(["a", "b", "c"], multiple=True)
    assert reply.read('{"labels": ["c", "a", "c"]}') == ["a", "c"]
    assert reply.read('{"labels": []}') == []
    for said in ('{"labels": ["d"]}', '{"labels": "a"}', '{"label": "a"}', '{"labels": [["a"]]}', '{"labels": [null]}'):
        with pytest.raises(MisfitError):
            reply.read(said)
    assert LabelReply.of([1, 2], multiple=True).read('{"labels": [2.0, 1]}') == [1, 2]
    assert (reply.suffix, reply.fields[0].kind) == ("labels", "object")


def test_the_reason_is_asked_for_before_the_label():
    reply = LabelReply.of(["a", "b"], explain=True)
    assert list(reply.output_format()["schema"]["properties"]) == ["rationale", "label"]
    assert reply.output_format()["schema"]["required"] == ["rationale", "label"]
    assert reply.read('{"rationale": "Since.", "label": "b"}') == {"rationale": "Since.", "label": "b"}
    assert names_of(reply, "x", 2) == ("x", "x_rationale", "x_status", "x_error", "x_samples", "x_agreement")
    with pytest.raises(MisfitError, match="no rationale"):
        reply.read('{"label": "b"}')


def test_the_prompt_says_what_labels_mean_and_what_the_last_is_for():
    reply = LabelReply.of({"bug": "something\n  broke", "idea": None}, other="unclear")
    assert reply.labels == ("bug", "idea", "unclear")
    assert reply.instructions() == (
        'What the labels mean:\n- bug: something broke\n\n"unclear" is for what fits none of the other labels.'
    )
    several = LabelReply.of(["bug", "idea"], other="unclear", multiple=True, explain=True).instructions()
    assert several.startswith('Give every label that fits, and only "unclear" if none does.')
    assert "rationale" in several
    assert "an empty list" in LabelReply.of(["bug", "idea"], multiple=True).instructions()


def nested(levels: int) -> dict[str, typing.Any]:
    schema: dict[str, typing.Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": ["a", "b"], "schema": {}}, "labels= and schema= are two ways to ask"),
        ({"multiple": True}, "multiple= goes with labels= only"),
        ({"other": "x"}, "other= goes with labels= only"),
        ({"explain": True, "schema": {}}, "explain= goes with labels= only"),
        ({"labels": ["a", "b"], "flatten": True}, "flatten= goes with schema= only"),
        ({"labels": ["a", "b"], "other": "a"}, "other='a' is one of the labels already"),
        ({"labels": ["a", "b"], "other": ""}, "other= takes non-empty strings"),
        ({"schema": 7}, "schema= takes a Pydantic model, a dataclass, a TypedDict or a JSON schema (a dict), not int."),
        ({"schema": pydantic.create_model("M")()}, "not M: give the class, not one of its objects"),
        ({"schema": {"a": {1, 2}, "b": object()}}, "schema= cannot be written as JSON"),
        ({"schema": list[int]}, "its top level is 'array'"),
        ({"schema": nested(400)}, "cannot be written as the API takes it: maximum recursion depth exceeded"),
        ({"schema": typing.Literal["a"]}, "its top level is 'string'"),
        ({"schema": pydantic.create_model("M", x=(typing.Callable, ...))}, "Pydantic makes no JSON schema of M"),
        ({"schema": pydantic.create_model("M", x=(dict[str, int], ...))}, "'x' is an object without fixed fields"),
        ({"schema": pydantic.create_model("M", x=(typing.Any, ...))}, "'x' takes any value"),
    ],
)
def test_arguments_that_cannot_be_asked_are_refused(options, said):
    with pytest.raises(InputError) as raised:
        reply_of(**options, transform=transform_schema)
    assert said in str(raised.value)
    assert str(raised.value).endswith(" Nothing was sent.")


def test_only_tools_of_ones_own_have_columns():
    search = {"type": "web_search_20250305", "name": "web_search"}
    own = {"name": "look_up", "input_schema": {"type": "object"}}
    assert reply_of(tools=[search, own]) == ToolReply(("look_up",))
    assert reply_of(tools=[search]) == TextReply()
    assert names_of(ToolReply(("look_up",)), "x") == ("x", "x_look_up", "x_status", "x_error")


@pytest.mark.parametrize("samples", [1, 2])
def test_what_tools_are_called_with_stands_beside_the_text(samples):
    def answered(*content, stop="tool_use"):
        message = {"model": "m", "content": list(content), "stop_reason": stop, "usage": {}}
        return json.dumps({"type": "succeeded", "message": message}).encode()

    call = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"q": "a"}}
    text = {"type": "text", "text": "So."}
    columns = Columns(ToolReply(("look_up", "stop")), "x", samples)
    for result in (answered(call), answered(text, call, call), answered(text, stop="end_turn"), None):
        for _ in range(samples):
            columns.add(result, None, asked=True)
    out = pd.DataFrame(columns.arrays())
    assert list(out)[:5] == ["x", "x_look_up", "x_stop", "x_status", "x_error"]
    assert (str(out["x"].dtype), out["x"].tolist()) == ("string", [pd.NA, "So.", "So.", pd.NA])
    assert out["x_look_up"].tolist() == [{"q": "a"}, [{"q": "a"}, {"q": "a"}], None, None]
    assert out["x_stop"].isna().all()
    assert out["x_status"].tolist() == ["succeeded"] * 3 + ["pending"]
    if samples == 2:
        assert out["x_agreement"].tolist() == [1.0, 1.0, 1.0, pd.NA]
        assert out["x_samples"].iloc[1] == [{"text": "So.", "calls": {"look_up": [{"q": "a"}, {"q": "a"}]}}] * 2


# Fields and their columns


class Parts(pydantic.BaseModel):
    size: int = 3
    note: str | None = None


class Thing(pydantic.BaseModel):
    name: str = "unnamed"
    parts: Parts | None = None
    many: list[Parts] = []
    kind: typing.Literal["x", "y"] | None = None
    level: typing.Literal[2, 1] = 2
    flag: typing.Literal[True] = True
    either: int | float = 0
    mixed: int | str = 0


def test_fields_left_out_have_the_schemas_defaults():
    reply = reply_of(schema=Thing, transform=transform_schema)
    assert reply.read("{}") == {**Thing().model_dump(), "many": []}
    kinds = {one.name: (one.kind, one.categories) for one in reply.fields}
    assert kinds == {
        "name": ("string", ()), "parts": ("object", ()), "many": ("object", ()), "kind": ("category", ("x", "y")),
        "level": ("category", (2, 1)), "flag": ("boolean", ()), "either": ("number", ()), "mixed": ("object", ()),
    }  # fmt: skip
    flat = reply_of(schema=Thing, transform=transform_schema, flatten=True)
    assert [one.name for one in flat.fields][:4] == ["name", "parts.size", "parts.note", "many"]


def test_a_default_that_does_not_fit_is_no_answer():
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 3, "default": 7}}}
    assert reply_of(schema=schema, transform=transform_schema).read("{}") == {}


FIELDS = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}}
PLAIN, LED = (reply_of(schema=FIELDS, transform=transform_schema, prefixed=prefixed) for prefixed in (False, True))
MADE = {
    "b": pd.array(["x"], "string"), "a": pd.array([1], "Int64"), "text_status": ["succeeded"], "text_error": [None]
}  # fmt: skip


def test_fields_keep_their_names_unless_the_columns_are_led():
    assert names_of(PLAIN, "text") == ("b", "a", "text_status", "text_error")
    assert names_of(LED, "x", 2) == ("x_b", "x_a", "x_status", "x_error", "x_samples", "x_agreement")


#: Gold labels of the user's own, and a run of another schema, which has no such field.
GOLD = {"text": ["t"], "a": pd.array([1], "Int64"), **{name: made for name, made in MADE.items() if name != "a"}}


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize(
    ("columns", "made", "in_the_way"),
    [
        ({"text": ["t"], **MADE}, ["b", "a"], None),
        ({"text": ["t"], **MADE, "a": [1.0]}, ["b", "a"], None),  # as read from a file, or made into another type
        ({"text": ["t"], "a": [1]}, None, "a"),
        ({"text": ["t"], "text_status": ["x"]}, None, "text_status"),
        (GOLD, ["b"], "a"),
        ({"text": ["t"], **MADE, "text_status": ["mine"]}, ["b", "a"], "b"),
        ({"text": ["t"], "b": ["x"], "text_status": ["invalid"]}, ["b"], None),
        ({"text": ["t"], **MADE}, None, "b"),
    ],
)
def test_a_column_of_the_users_own_is_told_from_those_of_an_earlier_run(columns, made, in_the_way, remembered):
    """The frame itself remembers which a run made; or, of a frame that was read from a file, the ledger does."""
    frame = pd.DataFrame(columns)
    properties = {name: {"type": "string"} for name in made or ["c"]}
    reply = reply_of(schema={"type": "object", "properties": properties}, transform=transform_schema)
    recipe = Recipe(column="c", template=None, shared={}, betas=(), reply=reply, into="text").spec()
    if remembered and made:
        frame = marked(frame, recipe, job="job_1")
        assert frame.attrs["batchnb"] == {"job": "job_1", "columns": {"text": made}}
    jobs = [SimpleNamespace(recipe=recipe)] if made else []
    assert column_in_the_way(frame, "text", reply=PLAIN, earlier=lambda: jobs) == in_the_way


def test_a_free_name_is_proposed_for_all_columns():
    frame = pd.DataFrame({"text": ["t"], "a": [1], "text_b": [2], "text_new_status": [3]})
    with pytest.raises(InputError, match=r"column 'a', which batchnb did not make.*into='text_2'.*Nothing was sent"):
        check_into(frame, "text", ["text"], overwrite=False, reply=PLAIN)
    with pytest.raises(InputError, match=r"The reply would replace the column 'a', which the template.*into='text_2'"):
        check_into(frame, "text", ["a"], overwrite=True, reply=PLAIN)


@pytest.mark.parametrize(
    ("reply", "into", "said"),
    [
        ({"schema": {"text_error": {"type": "string"}}}, "text", "led by a name of their own: into="),
        ({"schema": {"status": {"type": "string"}}, "prefixed": True}, "x", "or leave into= out"),
        ({"tools": [{"name": "error", "input_schema": {}}]}, "x", "Give that field or tool another name. Nothing"),
    ],
)
def test_two_columns_of_one_name_are_refused(reply, into, said):
    if "schema" in reply:
        reply = {**reply, "schema": {"type": "object", "properties": reply["schema"]}}
    made = reply_of(**reply, transform=transform_schema)
    with pytest.raises(InputError, match="would both be called") as raised:
        check_into(pd.DataFrame({"text": ["t"]}), into, ["text"], overwrite=True, reply=made)
    assert said in str(raised.value)
