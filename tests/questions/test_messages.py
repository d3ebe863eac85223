"""Templates of several messages: read, filled in, kept and shown, and the same questions as messages of a function."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchnb import InputError, TemplateError
from batchnb.questions.messages import compile_conversation, opened
from batchnb.questions.question import read_questions
from batchnb.questions.reading import read_rows
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import TextReply
from batchnb.questions.rows import Row
from batchnb.questions.spec import RecipeSpec

SHARED = {"model": "m", "max_tokens": 9, "system": "Be brief.", "thinking": {"type": "disabled"}}


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def recipe(template, turns=(), **more) -> Recipe:
    return Recipe("review", template, SHARED, (), TextReply(), "reply", turns=turns, **more)


def of(template, frame: pd.DataFrame, **more) -> Recipe:
    turns, own = opened(template, list(frame.columns))
    return recipe(own, turns, **more)


def digests(rows: list[Row]) -> list[bytes | None]:
    return [row.digest for row in rows]


def sent(one: Recipe, frame: pd.DataFrame) -> list[dict]:
    envelopes = one.envelopes()
    return [envelopes[question.slot].params(question.content) for question in read_questions(one, frame)]


FRAME = pd.DataFrame({"review": ["good", "so {stars} so", "{{x}}"], "stars": [5, 3, 1]})


def test_messages_before_the_first_column_are_shared_and_a_single_rest_is_a_text():
    template = [user("I send reviews. {{stars}} stands as it is."), assistant("Yes."), user("Rate: {review}")]
    turns, own = opened(template, ["review", "stars"])
    assert turns == (user("I send reviews. {stars} stands as it is."), assistant("Yes."))
    assert own == "Rate: {review}"
    assert sent(of(template, FRAME), FRAME)[1] == {
        **SHARED,
        "messages": [*turns, user("Rate: so {stars} so")],
    }


def test_each_message_is_filled_in_and_what_names_no_column_stands_in_every_row():
    template = [user("{stars} stars"), assistant("I {{see}}."), user("{review}, once more: {review}")]
    assert sent(of(template, FRAME), FRAME)[1]["messages"] == [
        user("3 stars"),
        assistant("I {see}."),
        user("so {stars} so, once more: so {stars} so"),
    ]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
literal = texts.map(lambda text: text.replace("{", "(").replace("}", ")") + ".")


@settings(deadline=None)
@given(
    st.lists(literal, min_size=1, max_size=3),
    st.lists(st.tuples(st.sampled_from(["", "{stars} "]), literal), max_size=3),
    st.lists(texts.filter(str.strip), min_size=1, max_size=4),
)
def test_a_template_of_messages_asks_what_a_function_that_returns_them_asks(opening, middle, reviews):
    frame = pd.DataFrame({"review": pd.array(reviews, dtype="string"), "stars": range(len(reviews))})
    template = [user(text) for text in opening]
    template += [assistant(field + text) for field, text in middle] + [user("About {review}")]

    def function(row):
        return [{**one, "content": one["content"].replace("{stars}", str(row["stars"]))} for one in template[:-1]] + [
            user(f"About {row['review']}")
        ]

    one = of(template, frame)
    assert digests(list(read_rows(one, frame))) == digests(list(read_rows(recipe(function), frame)))
    assert sent(one, frame) == sent(recipe(function), frame)
    again = Recipe.from_spec(RecipeSpec.read(one.spec().json), frame)
    assert digests(list(read_rows(again, frame))) == digests(list(read_rows(one, frame)))
    assert again.spec().asked_digest() == one.spec().asked_digest()


def test_a_text_and_the_same_text_as_one_message_are_one_question():
    of_messages, of_text = of([user("A {review}")], FRAME), recipe("A {review}")
    assert digests(list(read_rows(of_messages, FRAME))) == digests(list(read_rows(of_text, FRAME)))


def test_rows_lack_what_any_of_their_messages_reads():
    frame = pd.DataFrame({"review": ["a", None, " "], "stars": [1, 2, None]})
    template = [user("{stars}"), assistant("ok"), user("{review}")]
    assert [question.note for question in read_questions(of(template, frame), frame)] == [
        None,
        "missing value in 'review'",
        "missing value in 'stars'",
    ]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ([], "a list without messages"),
        (["{review}"], "Message 1 of the template is not of the form"),
        ([{"role": "user"}], "is not of the form"),
        ([{**user("{review}"), "name": "x"}], "is not of the form"),
        ([{"role": "system", "content": "x"}, user("{review}")], r"Message 1 .* give what it says as system="),
        ([{"role": "human", "content": "{review}"}], 'a role is "user" or "assistant", not \'human\''),
        ([user([{"type": "text", "text": "{review}"}])], "give a function of a row"),
        ([user(" ")], "Message 1 of the template is empty"),
        ([user("{review}"), assistant("{")], "last message must be the user's"),
    ],
)
def test_what_is_no_template_of_messages_is_refused(template, said):
    with pytest.raises(InputError, match=said) as raised:
        opened(template, ["review"])
    assert str(raised.value).endswith("Nothing was sent.")


def test_messages_without_a_column_would_be_the_same_for_every_row():
    with pytest.raises(TemplateError, match="name no column"):
        opened([user("Hello"), assistant("{{review}}"), user("Go on")], ["review"])


def test_an_error_names_the_message_it_is_in():
    with pytest.raises(TemplateError, match=r"Message 3 of the template: .*Did you mean \{review\}"):
        opened([user("{review}"), assistant("ok"), user("{reviw}")], ["review"])
    frame = pd.DataFrame({"stars": [1, "x"]})
    one = of([user("{stars:.1f}"), assistant("ok"), user("{stars}")], frame)
    with pytest.raises(InputError, match=r"Row 1: .*format"):
        list(read_questions(one, frame))


def test_pieces_show_roles_and_concatenate_to_what_is_sent():
    template = compile_conversation([user("A {review}"), assistant("b"), user("C")], ["review"])
    pieces = template.pieces(["x"])
    assert [text for text, filled in pieces if filled] == ["x"]
    assert "".join(text for text, _ in pieces) == "user: A x\nassistant: b\nuser: C"
