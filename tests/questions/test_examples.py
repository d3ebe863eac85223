"""Examples are messages before every row's own: their inputs written as rows are, their answers as replies are."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from batchnb import InputError
from batchnb.api.sdk import transform_schema
from batchnb.questions.examples import example_turns
from batchnb.questions.messages import opened
from batchnb.questions.question import read_questions
from batchnb.questions.reading import read_rows
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import TextReply, ToolReply
from batchnb.questions.replies.labels import LabelReply
from batchnb.questions.replies.reply import reply_of

if TYPE_CHECKING:
    from bench import Bench

pytest_plugins = ["bench_fixtures"]

FRAME = pd.DataFrame({"review": ["good", "bad"], "stars": [5, 1], "answer": ["x", "y"]})
LABELS = LabelReply.of(["positive", "negative"])
SHARED = {"model": "m", "max_tokens": 9}


def recipe(template: Any = "About {review}", reply: Any = LABELS, **more: Any) -> Recipe:
    return Recipe("review", template, SHARED, (), reply, "label", **more)


def turns(examples: Any, one: Recipe | None = None, frame: pd.DataFrame = FRAME) -> list[tuple[str, Any]]:
    return [(turn["role"], turn["content"]) for turn in example_turns(examples, one or recipe(), frame)]


def label(text: str) -> str:
    return json.dumps({"label": text})


WANTED = [
    ("user", "About fine"), ("assistant", label("positive")), ("user", "About 7"), ("assistant", label("negative")),
]  # fmt: skip


@pytest.mark.parametrize(
    "examples",
    [
        [("fine", "positive"), ("7", "negative")],
        [["fine", "positive"], (7.0, "negative")],
        [{"input": "fine", "answer": "positive"}, {"input": {"review": 7, "stars": None}, "answer": "negative"}],
        [(pd.Series({"review": "fine"}), {"label": "positive"}), ("7", "negative")],
        pd.DataFrame({"review": ["fine", "7"], "answer": ["positive", "negative"]}),
        pd.DataFrame({"review": ["fine", 7.0], "label": pd.Categorical(["positive", "negative"]), "answer": "odd"}),
    ],
)
def test_examples_come_as_pairs_as_dicts_or_as_a_frame(examples):
    assert turns(examples) == WANTED


def test_text_is_written_as_it_is():
    assert turns([("a", "Ünd {b}\n")], recipe(reply=TextReply())) == [("user", "About a"), ("assistant", "Ünd {b}\n")]
    assert turns([("a", 5.0)], recipe(reply=TextReply()))[1] == ("assistant", "5")


def test_a_template_of_several_columns_takes_dicts_and_frames():
    one = recipe("{stars:.1f} of {answer} for {review}")
    row = {"review": "a", "stars": 2, "answer": "x", "more": 1}
    assert turns([(row, "positive")], one)[0] == ("user", "2.0 of x for a")
    frame = pd.DataFrame([{**row, "label": "positive"}])
    assert turns(frame, one) == [("user", "2.0 of x for a"), ("assistant", label("positive"))]


def test_a_column_the_template_reads_holds_no_answers():
    with pytest.raises(InputError, match=r"has no answers: they go into a column 'label' or 'answer'\."):
        turns(FRAME, recipe("{review} {answer}"))


def test_the_only_column_a_template_reads_is_what_an_input_fills():
    assert turns([(4, "positive")], recipe("{stars} stars"))[0] == ("user", "4 stars")


def test_messages_of_a_template_are_asked_before_each_answer():
    template = [{"role": "user", "content": "{stars}"}, {"role": "assistant", "content": "ok"},
                {"role": "user", "content": "{review}"}]  # fmt: skip
    before, own = opened(template, list(FRAME.columns))
    found = turns([({"review": "a", "stars": 3}, "positive")], recipe(own, turns=before))
    assert found == [("user", "3"), ("assistant", "ok"), ("user", "a"), ("assistant", label("positive"))]


@pytest.mark.parametrize(
    "given",
    [
        lambda row: f"About {row['review']}",
        lambda row: [{"type": "text", "text": row["review"]}],
        lambda row: [{"role": "user", "content": "q"}, {"role": "user", "content": row["review"]}],
    ],
)
def test_a_template_function_is_called_with_the_examples_inputs(given):
    one = recipe(given)
    made = given({"review": "a"})
    said = made if isinstance(made, list) and "role" in made[0] else [{"role": "user", "content": made}]
    expected = [*((turn["role"], turn["content"]) for turn in said), ("assistant", label("positive"))]
    for examples in ([("a", "positive")], pd.DataFrame({"review": ["a"], "label": ["positive"], "new": [1]})):
        assert turns(examples, one) == expected


def test_fields_with_columns_of_their_own_are_put_back_into_their_objects():
    class Place(BaseModel):
        city: str
        code: int | None

    class Visit(BaseModel):
        place: Place | None
        stars: int

    flat = reply_of(schema=Visit, transform=transform_schema, flatten=True, prefixed=True)
    # As a job gives them.
    columns = {
        "review": ["a", "b"],
        "label_place.city": pd.array(["Ulm", None], "string"),
        "label_place.code": pd.array([None, None], "Int64"),
        "label_stars": pd.array([1, 2], "Int64"),
    }
    said = [json.loads(content) for role, content in turns(pd.DataFrame(columns), recipe(reply=flat))[1::2]]
    assert said == [{"place": {"city": "Ulm", "code": None}, "stars": 1}, {"place": None, "stars": 2}]


def returns(value: Any) -> Recipe:
    return recipe(lambda row: value)


@pytest.mark.parametrize(
    ("examples", "one", "said"),
    [
        ({"a": "positive"}, None, r"examples= takes a list of \(input, answer\) pairs.*; not dict"),
        ("a", None, "not str"),
        (5, None, "not int"),
        ([], None, "holds no example"),
        (FRAME.iloc[:0], recipe(reply=TextReply()), "holds no example"),
        (["ab"], None, r"examples\[0\] is no pair"),
        ([("a", "positive"), ("a", "b", "c")], None, r"examples\[1\] is no pair"),
        ([{"input": "a"}], None, "has the names \\['input'\\]"),
        ([{"review": "a", "answer": "positive"}], None, "has the names"),
        ([("a", "positive"), ("b", "nice")], None, r"examples\[1\]: its answer is none that a reply could.*labels"),
        ([("a", None)], None, r"examples\[0\]: it has no answer"),
        ([("a", np.nan)], None, "it has no answer"),
        ([("a", " ")], recipe(reply=TextReply()), "its answer is blank"),
        ([("a", {"b": 1})], recipe(reply=TextReply()), "its answer is text, not dict"),
        ([("a", {"labl": "positive"})], None, "its answer has 'labl', which is none of 'label'"),
        ([(None, "positive")], None, r"examples\[0\]: missing value in 'review'"),
        ([("  ", "positive")], None, "blank: there is no text"),
        ([(b"a", "positive")], None, r"examples\[0\]: .*bytes"),
        ([({"reviw": "a"}, "positive")], None, r"examples\[0\]: its input lacks 'review'"),
        ([("a", "positive")], recipe("{review} {stars}"), "reads the columns 'review', 'stars': give the input as"),
        (FRAME[["stars", "answer"]], None, "has no column 'review'"),
        (FRAME[["review", "stars"]], None, "has no answers: they go into a column 'label' or 'answer'"),
        (pd.DataFrame({"review": ["a", None], "label": "positive"}, index=["p", "q"]), None,
         r"examples=, row 1 \(index 'q'\): missing value"),
        ([("a", "positive")], returns({"messages": [{"role": "user", "content": "x"}]}), "function returned params"),
        ([("a", "positive")], returns([{"role": "assistant", "content": "x"}]), "do not end with the user's"),
        ([("a", "positive")], returns(None), "the template function gave nothing"),
        ([("a", "positive")], returns(7), "it returned int"),
    ],
)  # fmt: skip
def test_what_is_no_example_is_refused_by_its_place(examples, one, said):
    with pytest.raises(InputError, match=said) as raised:
        turns(examples, one)
    assert str(raised.value).endswith("Nothing was sent.")
    assert "Row 0" not in str(raised.value)


def test_missing_values_are_sent_where_rows_send_them():
    assert turns([(None, "positive")], recipe(missing="send"))[0] == ("user", "About ")


# Answers in the form of every reply


class Town(BaseModel):
    name: str
    code: int | None


class Visit(BaseModel):
    rating: int
    when: date
    town: Town | None
    tags: list[str]


@dataclasses.dataclass
class Plain:
    rating: int
    when: str
    town: dict[str, Any] | None
    tags: tuple[str, ...]


SCHEMA = reply_of(schema=Visit, transform=transform_schema)
EXPLAINED = reply_of(labels=["positive", "negative"], explain=True)
SEVERAL = reply_of(labels=[1, 2, 3], multiple=True)
WRITTEN = '{"rating": 4, "when": "2026-01-02", "town": {"name": "Ü", "code": null}, "tags": ["a"]}'


@pytest.mark.parametrize(
    "answer",
    [
        Visit(rating=4, when=date(2026, 1, 2), town=Town(name="Ü", code=None), tags=["a"]),
        Plain(4, "2026-01-02", {"code": None, "name": "Ü"}, ("a",)),
        {
            "tags": np.array(["a"]),
            "town": {"code": pd.NA, "name": "Ü"},
            "when": date(2026, 1, 2),
            "rating": np.int64(4),
        },
        {"tags": ["a"], "town": Town(name="Ü", code=None), "when": pd.Timestamp("2026-01-02"), "rating": 4.0},
    ],
)
def test_a_schemas_answer_is_written_in_the_schemas_order_whatever_it_is_made_of(answer):
    assert turns([("x", answer)], recipe(reply=SCHEMA))[1] == ("assistant", WRITTEN)


def test_a_frame_of_examples_may_have_a_column_for_each_field():
    frame = pd.DataFrame(
        {"review": ["x", "y"], "rating": pd.array([4, 5], dtype="Int64"), "when": pd.to_datetime(["2026-01-02"] * 2),
         "town": [{"name": "Ü", "code": None}, None], "tags": [["a"], []], "more": 1}
    )  # fmt: skip
    for named in (frame, frame.rename(columns=lambda name: name if name == "review" else f"label_{name}")):
        found = turns(named, recipe(reply=SCHEMA))
        assert found[1] == ("assistant", WRITTEN)
        assert found[3] == ("assistant", '{"rating": 5, "when": "2026-01-02", "town": null, "tags": []}')
    with pytest.raises(InputError, match="or one for each of 'rating', 'when', 'town', 'tags'"):
        turns(frame.drop(columns="tags"), recipe(reply=SCHEMA))


def test_labels_with_a_rationale_and_several_labels_are_written_as_replies_are():
    wanted = ("assistant", '{"rationale": "since", "label": "positive"}')
    frame = pd.DataFrame({"review": ["a"], "label": ["positive"], "label_rationale": ["since"]})
    named = {"input": "a", "answer": "positive", "rationale": "since"}
    for examples in ([named], [("a", {"label": "positive", "rationale": "since"})], frame):
        assert turns(examples, recipe(reply=EXPLAINED))[1] == wanted
    answers = turns([("a", [3, np.int64(1)]), ("b", [])], recipe(reply=SEVERAL))
    assert [said for role, said in answers if role == "assistant"] == ['{"labels": [3, 1]}', '{"labels": []}']


@pytest.mark.parametrize(
    ("reply", "answer", "said"),
    [
        (SCHEMA, "text", "a dict of the schema's fields, not str"),
        (SCHEMA, {"rating": 4}, r"examples\[0\]: its answer is none that a reply could give \(when: missing"),
        (SCHEMA, {**json.loads(WRITTEN), "rating": "many"}, r"rating: "),
        (SCHEMA, {**json.loads(WRITTEN), "mood": 1}, "has 'mood', which is none of 'rating', 'when', 'town', 'tags'"),
        (EXPLAINED, "positive", "explain=True asks for a rationale too"),
        (SEVERAL, [4], "none of the labels"),
        (SEVERAL, 1, "no list of labels"),
        (ToolReply(("t",)), {"t": {}}, "its answer is text, not dict"),
    ],
)
def test_an_answer_that_no_reply_could_give_is_refused(reply, answer, said):
    with pytest.raises(InputError, match=said):
        turns([("a", answer)], recipe(reply=reply))


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), st.data())
def test_an_examples_input_is_what_a_row_of_it_says_and_its_answer_is_read_back(inputs, data):
    reply = LabelReply.of(data.draw(st.lists(texts | st.integers(-9, 9), min_size=2, unique_by=str)))
    answers = [data.draw(st.sampled_from(reply.labels)) for _ in inputs]
    one = recipe("A {review} b", reply)
    made = example_turns(list(zip(inputs, answers, strict=True)), one, FRAME)
    frame = pd.DataFrame({"review": inputs}, dtype=object)
    assert [turn["content"] for turn in made[::2]] == [
        json.loads(question.content.sent) for question in read_questions(one, frame)
    ]
    assert [reply.read(turn["content"]) for turn in made[1::2]] == answers


def test_rows_are_asked_after_the_examples_and_digested_with_them():
    made = example_turns([("a", "positive")], recipe(), FRAME)
    one = dataclasses.replace(recipe(), turns=made)
    messages = [
        *made, {"role": "user", "content": "About good"},
    ]  # fmt: skip
    function = recipe(lambda row: [*made, {"role": "user", "content": f"About {row['review']}"}])
    assert next(one.envelopes()[0].params(question.content) for question in read_questions(one, FRAME)) == {
        **SHARED, "messages": messages,
    }  # fmt: skip
    assert [row.digest for row in read_rows(one, FRAME)] == [row.digest for row in read_rows(function, FRAME)]
    assert [row.digest for row in read_rows(one, FRAME)] != [row.digest for row in read_rows(recipe(), FRAME)]
    also = dataclasses.replace(recipe(lambda row: [{"role": "user", "content": f"About {row['review']}"}]), turns=made)
    assert [row.digest for row in read_rows(also, FRAME)] == [row.digest for row in read_rows(one, FRAME)]


def test_examples_are_sent_once_kept_and_found_again(bench: Bench):
    def submit(examples):
        return bench.submit(["a", "b"], examples=examples)

    job = submit([("x", "X"), ("y", "Y")])
    assert job.result(30)["echo"].tolist() == ["a", "b"]
    sent = bench.server.batches[0].requests[0]["params"]["messages"]
    assert [one["content"] for one in sent[:-1]] == ["Echo: x", "X", "Echo: y", "Y"]
    calls = bench.server.count_calls()
    submit(pd.DataFrame({"review": ["x", "y"], "answer": ["X", "Y"]})).result(30)
    assert bench.server.count_calls() == calls
    frame = pd.DataFrame({"review": ["b"]})
    assert bench.workspace.attach(job.id).merge(frame)["echo"].tolist() == ["b"]
    with pytest.warns(UserWarning, match="the messages before the rows' own"):
        submit([("x", "X")]).result(30)
