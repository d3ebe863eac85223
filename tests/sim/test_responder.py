"""The simulator's default answers fit what was asked, stay within max_tokens, and are the same every time."""

from __future__ import annotations

import json
import random
from typing import Any

import anthropic
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchnb.demo import sample
from batchnb.sim.model.responder import Reply, count_tokens, respond
from batchnb.sim.model.sentiment import weigh

pytestmark = pytest.mark.steady

SENTIMENTS = ["positive", "negative", "neutral"]


def labels_schema(labels: list[Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"label": {"enum": labels}},
        "required": ["label"],
        "additionalProperties": False,
    }


def request(prompt: str, schema: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    params = {"model": "m", "max_tokens": 1024, "messages": [{"role": "user", "content": prompt}], **more}
    if schema is not None:
        params["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return params


def answer(params: dict[str, Any], seed: int = 0, noise: float = 0.0) -> Reply:
    """Answer without noise, which `test_noise` is about: what the words say is what is asked here."""
    return respond(params, random.Random(seed), noise=noise)


def text_of(reply: Reply) -> str:
    return next(block["text"] for block in reply.content if block["type"] == "text")


def value(prompt: str, schema: dict[str, Any], **more: Any) -> Any:
    return json.loads(text_of(answer(request(prompt, schema, **more))))


def label(prompt: str, labels: list[Any], **more: Any) -> Any:
    return value(prompt, labels_schema(labels), **more)["label"]


# --- any schema gets a value that fits it ---

names = st.sampled_from(
    ["label", "rating", "summary", "tags", "confidence", "is_angry", "language", "when", "π", "a b", "city", "price"]
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=6), st.floats(-2, 2))


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": draw(st.sampled_from(["integer", "number"]))}
    low = draw(st.integers(-20, 20))
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = low + draw(st.integers(5, 30))
    if draw(st.booleans()):
        schema["multipleOf"] = draw(st.integers(1, 3))
    if draw(st.booleans()):
        schema["description"] = draw(st.sampled_from(["a rating from 1 to 10", "confidence, 0 to 1", "how many"]))
    return schema


@st.composite
def strings(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if draw(st.booleans()):
        schema["minLength"] = draw(st.integers(0, 9))
    if draw(st.booleans()):
        schema["maxLength"] = draw(st.integers(9, 20))
    return schema


formats = st.sampled_from(["date", "date-time", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"])


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    properties = draw(st.dictionaries(names, inner, max_size=4))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array", "items": draw(inner)}
    if draw(st.booleans()):
        schema["minItems"] = draw(st.integers(0, 4))
    if draw(st.booleans()):
        schema["maxItems"] = draw(st.integers(4, 6))
    return schema


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    either = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(objects(inner), arrays(inner), either.map(lambda some: {"anyOf": some}))


leaves = st.one_of(
    numbers(),
    strings(),
    formats.map(lambda form: {"type": "string", "format": form}),
    st.lists(scalars, min_size=1, max_size=5).map(lambda options: {"enum": options}),
    scalars.map(lambda constant: {"const": constant}),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {"$ref": "#/$defs/Leaf"}]),
)
schemas = objects(leaves | nested(leaves) | nested(nested(leaves))).map(
    lambda schema: {**schema, "$defs": {"Leaf": {"type": "string", "enum": ["one", "two"]}}}
)
prompts = st.one_of(
    st.text(max_size=200),
    st.text(max_size=200).map("Classify the sentiment of this review: {}".format),
    st.sampled_from(
        ["", "It broke on 2026-03-04, write to me@shop.example.com or call 42 times", "정말 좋아요", "很差😡"]
    ),
)


@settings(max_examples=300, deadline=None)
@given(schema=schemas, prompt=prompts, noise=st.sampled_from([0.0, 1.0, 10.0]))
def test_any_schema_gets_a_fitting_value(schema: dict[str, Any], prompt: str, noise: float) -> None:
    reply = answer(request(prompt, schema, max_tokens=100_000), noise=noise)
    assert reply.stop_reason == "end_turn"
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(json.loads(text_of(reply)))


@settings(max_examples=100, deadline=None)
@given(schema=schemas, prompt=prompts, choice=st.sampled_from([{"type": "tool", "name": "record"}, {"type": "any"}]))
def test_a_forced_tool_gets_a_fitting_input(schema: dict[str, Any], prompt: str, choice: dict[str, str]) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}, {"name": "record", "input_schema": schema}]
    reply = answer(request(prompt, tools=tools, tool_choice=choice, max_tokens=100_000))
    (block,) = reply.content
    assert (reply.stop_reason, block["type"], block["name"]) == ("tool_use", "tool_use", "record")
    assert block["id"].startswith("toolu_")
    jsonschema.Draft202012Validator(schema).validate(block["input"])


WEATHER = {
    "name": "get_weather",
    "description": "Tells the weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
RECORD = {"name": "record", "input_schema": {"type": "object"}}


def tool_called(prompt: str, **more: Any) -> str | None:
    reply = answer(request(prompt, **{"tools": [RECORD, WEATHER], **more}))
    called = [block["name"] for block in reply.content if block["type"] == "tool_use"]
    assert reply.stop_reason == ("tool_use" if called else "end_turn")
    return called[0] if called else None


@pytest.mark.parametrize("kind", ["integer", "number"])
@pytest.mark.parametrize("name", ["count", "price", "rating from 1 to " + "9" * 400])
def test_a_number_of_more_digits_than_one_can_have_is_none(kind: str, name: str) -> None:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name], "additionalProperties": False}
    for text in ("1" * 400, f"It costs ${'1' * 400}.", f"{'1' * 400} USD", f"-{'9' * 320}.5"):
        assert abs(value(text, schema)[name]) < 1e15


def test_a_tool_that_is_not_forced_is_used_where_the_words_call_for_it() -> None:
    for choice in (None, {"type": "auto"}):
        assert tool_called("How will the weather be in Oslo?", tool_choice=choice) == "get_weather"
        assert tool_called("Hello", tool_choice=choice) is None
        assert tool_called("Echo: the weather in the city", tool_choice=choice) is None
    assert tool_called("How will the weather be?", tool_choice={"type": "none"}) is None
    assert tool_called("How will the weather be?", tool_choice={"type": "any"}) == "get_weather"
    assert tool_called("Hello", tool_choice={"type": "any"}) == "record"


def test_a_tool_is_not_called_again_once_its_result_is_there_nor_beside_a_schema() -> None:
    question = {"role": "user", "content": "How is the weather in the city of Oslo?"}
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}]}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "The weather in the city is mild."}
    assert tool_called("", messages=[question, call, {"role": "user", "content": [result]}]) is None
    config = {"format": {"type": "json_schema", "schema": labels_schema(["mild", "harsh"])}}
    assert tool_called("How is the weather in the city?", output_config=config) is None


def test_thinking_comes_before_a_tool_call() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    reply = answer(request("How is the weather in the city?", tools=[WEATHER], thinking=thinking))
    assert [block["type"] for block in reply.content] == ["thinking", "tool_use"]


def test_a_recursive_schema_comes_to_an_end() -> None:
    node = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                       "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
        "required": ["name", "children", "next"],
    }  # fmt: skip
    schema = {"$ref": "#/$defs/Node", "$defs": {"Node": node}}
    jsonschema.validate(value("a tree", schema, max_tokens=100_000), schema)
    endless = {"$ref": "#/$defs/Loop", "$defs": {"Loop": {"$ref": "#/$defs/Loop"}}}
    text_of(answer(request("a loop", endless)))


def test_parts_of_all_of_are_joined() -> None:
    schema = {"allOf": [labels_schema(["x"]), {"properties": {"n": {"type": "integer"}}, "required": ["n"]}]}
    assert value("3 apples", {"type": "object", **schema}) == {"label": "x", "n": 3}


@given(
    options=st.lists(st.integers(1, 9), min_size=3, max_size=6, unique=True),
    low=st.integers(-9, 9),
)
def test_items_are_unique_where_asked(options: list[int], low: int) -> None:
    for items in ({"enum": options}, {"type": "integer", "minimum": low}, {"type": "string"}):
        schema = {"type": "array", "items": items, "minItems": 3, "uniqueItems": True}
        jsonschema.validate(value("so so so", schema), schema)


def test_fields_are_filled_from_the_text() -> None:
    properties = {
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "confidence": {"type": "number"},
        "sentiment_score": {"type": "number"},
        "language": {"type": "string"},
        "summary": {"type": "string"},
        "would_recommend": {"type": "boolean"},
        "is_complaint": {"type": "boolean"},
        "contact": {"type": "string", "format": "email"},
        "refund": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    }
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    got = value("Horrible chair, it broke. I want 40 dollars back: ann@example.org", schema)
    assert got["stars"] <= 2
    assert 0.5 < got["confidence"] <= 1
    assert -1 <= got["sentiment_score"] < 0
    assert got["language"] == "en"
    assert got["summary"] == "Horrible chair, it broke."
    assert (got["would_recommend"], got["is_complaint"]) == (False, True)
    assert got["contact"] == "ann@example.org"
    assert got["refund"] == 40


def test_fields_come_in_the_order_of_the_schema_with_the_required_ones_first() -> None:
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("note", "rationale", "extra", "label")},
        "required": ["label", "rationale", "note"],
        "additionalProperties": False,
    }
    assert list(value(GOOD, schema)) == ["note", "rationale", "label", "extra"]
    whole = {**schema, "required": ["label", "rationale", "note", "extra"]}
    assert list(value(GOOD, whole)) == ["note", "rationale", "extra", "label"]


def test_a_field_that_may_be_null_is_null_where_the_text_says_nothing_of_it() -> None:
    nullable = {
        "price": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "count": {"type": ["integer", "null"]},
        "when": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Day"}]},
        "stars": {"type": ["integer", "null"]},
        "summary": {"type": ["string", "null"]},
    }
    schema = {"type": "object", "properties": nullable, "required": list(nullable), "additionalProperties": False}
    schema["$defs"] = {"Day": {"type": "string", "format": "date"}}
    empty = value("Broken on arrival", schema)
    assert [name for name in nullable if empty[name] is None] == ["price", "count", "when"]
    full = value("I paid 12 dollars on 2026-03-04", schema)
    assert (full["price"], full["count"], full["when"]) == (12, 12, "2026-03-04")


def test_fields_that_ask_for_a_part_of_the_text_get_it_and_not_a_sentence() -> None:
    asked = ["customer_name", "company", "city", "email", "phoneNumber", "product", "price", "website", "summary"]
    kinds = {name: {"type": ["number" if name == "price" else "string", "null"]} for name in asked}
    schema = {"type": "object", "properties": kinds, "required": asked, "additionalProperties": False}
    got = value("Maria Lopez from Acme Corp in Berlin writes: these lamps broke, I want 1,049.90 EUR back", schema)
    assert got["price"] == 1049.9
    assert [got[name] for name in asked[:6]] == ["Maria Lopez", "Acme Corp", "Berlin", None, None, "lamps"]
    got = value("I love it. Bought for $30 at https://x.org/a. Regards, Tom Smith, tom@x.org, +49 30 1234567", schema)
    assert [got[name] for name in (*asked[:1], *asked[3:5], "price", "website")] == [
        "Tom Smith", "tom@x.org", "+49 30 1234567", 30, "https://x.org/a",
    ]  # fmt: skip
    assert [got[name] for name in ("company", "city")] == [None, None]
    assert value("It broke.", {**schema, "properties": {"city": {"type": "string"}}, "required": ["city"]}) == {
        "city": "It broke."
    }


# --- labels ---

GOOD = "I love this lamp, it is beautiful and works perfectly"
BAD = "Terrible lamp, it broke after a day and smells awful"
DULL = "It is a lamp. It stands on the table."


@pytest.mark.parametrize("order", [SENTIMENTS, SENTIMENTS[::-1]])
def test_sentiment_labels_follow_the_words_whatever_their_order(order: list[str]) -> None:
    assert [label(text, order) for text in (GOOD, BAD, DULL)] == SENTIMENTS


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["긍정", "부정", "중립"], ["긍정", "부정", "중립"]),
        (["负面", "正面", "中性"], ["正面", "负面", "中性"]),
        (["NEG", "POS", "NEU"], ["POS", "NEG", "NEU"]),
        (["Very Negative", "Negative", "Neutral", "Positive", "Very Positive"],
         ["Very Positive", "Very Negative", "Neutral"]),
        (["unhappy", "happy", "neither"], ["happy", "unhappy", "neither"]),
        ([1, 2, 3, 4, 5], [5, 1, 3]),
        (["5 stars", "3 stars", "1 star"], ["5 stars", "1 star", "3 stars"]),
    ],
)  # fmt: skip
def test_other_names_of_sentiment_and_scales(labels: list[Any], expected: list[Any]) -> None:
    assert [label(text, labels) for text in (GOOD, BAD, DULL)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("이거 정말 좋아요 최고", "positive"),
        ("하나도 안 좋아요", "negative"),
        ("디자인이 좋지 않아요", "negative"),
        ("완전 실망이에요 별로", "negative"),
        ("어제 받았어요", "neutral"),
        ("质量很好，我很喜欢", "positive"),
        ("不太好，很失望", "negative"),
        ("昨天收到了", "neutral"),
        ("not good at all", "negative"),
        ("never had a problem, works great", "positive"),
        ("it was nice but the screen broke and support was useless", "negative"),
        ("😍😍", "positive"),
        ("👎", "negative"),
        ("soooo goooood", "positive"),
        ("", "neutral"),
    ],
)
def test_the_lexicon_reads_three_languages_negation_contrast_and_emoji(text: str, expected: str) -> None:
    assert label(f"Classify the sentiment of this review: {text}", SENTIMENTS) == expected


def test_mixed_is_chosen_where_it_is_a_label() -> None:
    assert label("Great sound, lovely screen. Terrible battery, awful service.", [*SENTIMENTS, "mixed"]) == "mixed"


FORMS = [
    "{}",
    "Classify the sentiment of this review: {}",
    "Classify the sentiment (positive, negative or neutral) of this review: {}",
    "Is this a good, great, lovely review, or a terrible one? Classify the text: {}",
    "Classify as positive, negative, or neutral.\n\nReview: {}\n\nSentiment:",
    "Labels: positive, negative, neutral. Review: {}",
    "Is this review positive or negative? {}",
    'Is the review "{}" positive or negative?',
    "{}\n\nIs the review above positive or negative?",
    "<review>{}</review>\nIs it good or bad, terrible, awful?",
    "<instructions>Say good, great or lovely</instructions>\n<text>\n{}\n</text>",
    "Review: awful thing\nLabel: negative\n\nReview: lovely thing\nLabel: positive\n\nReview: {}\nLabel:",
    "다음 리뷰의 감정을 분류하세요: {}",
    "请判断这条评论的情感（正面、负面、中性）：{}",
    "What is the sentiment of the following text?\n\n{}",
    "Summarize the sentiment, good or bad.\n```\n{}\n```",
    "Please classify the customer review into one of these categories: positive, negative, neutral.\n{}",
]


@pytest.mark.parametrize("form", FORMS)
def test_the_instruction_does_not_sway_the_label(form: str) -> None:
    assert [label(form.format(text), SENTIMENTS) for text in (GOOD, BAD, DULL)] == SENTIMENTS


def test_the_text_is_read_from_blocks_and_the_last_user_message() -> None:
    messages = [
        {"role": "user", "content": GOOD},
        {"role": "assistant", "content": "Thanks"},
        {"role": "user", "content": [{"type": "image", "source": {}}, {"type": "text", "text": BAD}]},
    ]
    assert label("", SENTIMENTS, messages=messages) == "negative"


def test_topics_are_chosen_by_shared_words_and_by_their_description() -> None:
    topics = ["billing", "shipping", "other"]
    assert label("My parcel was delivered to the wrong house", topics) == "shipping"
    assert label("Why was my card charged twice?", topics) == "billing"
    assert label("Hello there", topics) == "other"
    described = "Pick one:\n- alpha: whales, dolphins\n- beta: trains and stations\n\nText: {}"
    assert label(described.format("We saw three dolphins"), ["beta", "alpha"]) == "alpha"
    assert label(described.format("The station was closed"), ["alpha", "beta"]) == "beta"
    assert label("Nothing in common", ["first", "second"]) == "first"


def several(prompt: str, labels: list[str], *, bounds: dict[str, int] | None = None, **more: Any) -> list[str]:
    array = {"type": "array", "items": {"type": "string", "enum": labels}, **(bounds or {})}
    schema = {"type": "object", "properties": {"labels": array}, "required": ["labels"], "additionalProperties": False}
    got: list[str] = value(prompt, schema, **more)["labels"]
    return got


def test_several_labels_are_chosen_where_several_fit() -> None:
    topics = ["billing", "shipping", "staff", "other"]
    both = "The parcel was delivered late and my card was charged twice"
    assert several(both, topics) == ["billing", "shipping"]
    assert several(both, topics[::-1]) == ["shipping", "billing"], "in the order of the labels"
    assert several("My parcel has not been delivered", topics) == ["shipping"]
    assert several("Hello there", topics) == ["other"], "only where nothing else fits"
    assert several("Hello there", topics[:3]) == []
    assert several("Hello there", topics[:3], bounds={"minItems": 1}) == ["billing"]
    assert several(both, topics, bounds={"maxItems": 1}) == ["billing"]
    assert several(GOOD, SENTIMENTS) == ["positive"], "one sentiment excludes the others"
    assert several(f"{BAD}. The parcel was delivered late", ["praise", "complaint", "shipping", "billing"]) == [
        "complaint",
        "shipping",
    ]


@pytest.mark.parametrize("form", ["- {}: {}", "* {} - {}", '"{}" = {}', "**{}**: {}", "{}: {}"])
def test_descriptions_of_labels_in_the_system_prompt_tell_what_fits(form: str) -> None:
    said = {"alpha": "whales and dolphins", "beta": "trains, stations", "rest": "for what fits none of the others"}
    system = "Labels and what they mean:\n" + "\n".join(form.format(name, what) for name, what in said.items())
    labels = ["rest", "alpha", "beta"]
    assert label("We saw three dolphins from the train", labels, system=system) in ("alpha", "beta")
    assert label("We saw three dolphins", labels, system=system) == "alpha"
    assert label("It fits, none of the others did", labels, system=system) == "rest"
    assert several("Dolphins at the station", labels, system=system) == ["alpha", "beta"]
    assert several("Nothing at all", labels, system=system) == ["rest"]
    feelings = "positive: praise, love\nnegative: complaints, anything broken, terrible or awful\nneutral: the rest"
    assert [label(text, SENTIMENTS, system=feelings) for text in (GOOD, BAD, DULL)] == SENTIMENTS


def test_constants_with_descriptions_are_labels_too() -> None:
    told = {"anyOf": [{"const": "a", "description": "whales, dolphins"}, {"const": "b", "description": "trains"}]}
    schema = {"type": "object", "properties": {"kind": told}, "required": ["kind"], "additionalProperties": False}
    assert value("The train was late", schema) == {"kind": "b"}
    schema["properties"] = {"kind": {"type": "array", "items": told}}
    assert value("Dolphins beside the train", schema) == {"kind": ["a", "b"]}


def test_yes_and_no_follow_the_question() -> None:
    assert label(f"Is this review positive? {GOOD}", ["yes", "no"]) == "yes"
    assert label(f"Is this review positive? {BAD}", ["yes", "no"]) == "no"
    assert label(f"Is this text a complaint? {BAD}", ["no", "yes"]) == "yes"


def test_languages_are_told_by_script() -> None:
    labels = ["English", "Korean", "Chinese"]
    texts = ["Nice lamp", "좋아요 정말", "很好，喜欢"]
    assert [label(f"Which language is this text? {text}", labels) for text in texts] == labels


def test_evidence_is_never_negative_and_balance_stays_in_range() -> None:
    for text in (*sample()["review"].dropna(), GOOD, BAD, "", "not " * 50 + "good"):
        evidence = weigh(text)
        assert evidence.positive >= 0 <= evidence.negative
        assert -1 <= evidence.balance <= 1


def test_accuracy_on_the_sample_is_an_honest_figure() -> None:
    told = sample().dropna(subset=["sentiment"])
    got = [label(f"Classify the sentiment of this review: {review}", SENTIMENTS) for review in told["review"]]
    right = sum(one == gold for one, gold in zip(got, told["sentiment"], strict=True)) / len(told)
    # Well above the commonest label (49%), well below what would make the figure look invented.
    assert 0.58 < right < 0.9


# --- text ---


@given(st.text(max_size=300))
def test_echo_gives_back_exactly_what_follows(text: str) -> None:
    reply = answer(request(f"Echo: {text}"))
    assert reply.content == [{"type": "text", "text": text}]


def test_echo_keeps_every_sample_review() -> None:
    for review in sample()["review"].dropna():
        assert text_of(answer(request(f"Echo: {review}", max_tokens=4096))) == review


def test_plain_text_says_it_is_simulated_and_picks_an_enumerated_label() -> None:
    assert text_of(answer(request(f"Is this review positive or negative? {BAD}"))) == "[simulated] negative"
    assert text_of(answer(request(f"Classify (good, bad or so-so) this review: {GOOD}"))) == "[simulated] good"
    assert text_of(answer(request(DULL))).startswith("[simulated] It is a lamp")
    assert text_of(answer(request(""))).startswith("[simulated] ")


def test_labels_listed_in_the_system_prompt_are_used() -> None:
    system = [{"type": "text", "text": "Answer with one word: positive, negative or neutral."}]
    assert text_of(answer(request(BAD, system=system))) == "[simulated] negative"


# --- limits ---


@settings(max_examples=300, deadline=None)
@given(
    prompt=st.one_of(prompts, st.text(max_size=400).map("Echo: {}".format)),
    schema=st.none() | schemas,
    tool=st.booleans(),
    thinking=st.sampled_from([None, {"type": "adaptive"}, {"type": "enabled", "budget_tokens": 1024}]),
    max_tokens=st.integers(1, 60),
    seed=st.integers(0, 9),
)
def test_a_reply_never_exceeds_max_tokens_and_is_the_same_every_time(
    prompt: str, schema: dict[str, Any] | None, tool: bool, thinking: Any, max_tokens: int, seed: int
) -> None:
    params = request(prompt, schema, max_tokens=max_tokens, thinking=thinking)
    if tool and schema:
        params |= {"tools": [{"name": "t", "input_schema": schema}], "tool_choice": {"type": "tool", "name": "t"}}
    reply = answer(params, seed, noise=1.0)
    assert 1 <= reply.output_tokens <= max_tokens
    said = sum(count_tokens(request(block["text"])) - count_tokens(request(""))
               for block in reply.content if block["type"] == "text")  # fmt: skip
    assert said <= max_tokens
    assert reply == answer(json.loads(json.dumps(params)), seed, noise=1.0)


def test_a_cut_reply_says_so() -> None:
    reply = answer(request("Echo: " + "word " * 50, max_tokens=5))
    assert (reply.stop_reason, text_of(reply), reply.output_tokens) == ("max_tokens", ("word " * 50)[:20], 5)
    korean = answer(request("Echo: 가나다라마바사", max_tokens=3))
    assert (korean.stop_reason, text_of(korean)) == ("max_tokens", "가나다")


def test_a_tool_input_that_does_not_fit_is_cut_too() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    tools = {"tools": [{"name": "t", "input_schema": schema}], "tool_choice": {"type": "any"}}
    reply = answer(request(GOOD, max_tokens=20, **tools))
    assert (reply.stop_reason, list(reply.content[0]["input"])) == ("max_tokens", ["a"])


def test_stop_sequences_end_the_text_at_the_earliest() -> None:
    reply = answer(request("Echo: one, two; three", stop_sequences=[";", ","]))
    assert (text_of(reply), reply.stop_reason, reply.stop_sequence) == ("one", "stop_sequence", ",")
    assert answer(request("Echo: one", stop_sequences=["zzz", ""])).stop_reason == "end_turn"


def test_thinking_comes_first_so_that_clients_do_not_take_content_0() -> None:
    reply = answer(request(GOOD, labels_schema(SENTIMENTS), thinking={"type": "enabled", "budget_tokens": 1024}))
    assert [block["type"] for block in reply.content] == ["thinking", "text"]
    assert reply.content[0]["signature"]
    adaptive = request(GOOD, thinking={"type": "adaptive"})
    assert {len(answer(adaptive, seed).content) for seed in range(40)} == {1, 2}
    assert len(answer(request(GOOD, thinking={"type": "disabled"})).content) == 1


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"messages": None, "max_tokens": "many", "system": 3, "tools": 1, "thinking": 1, "stop_sequences": 5},
        {"messages": [None, {"role": "user"}, {"role": "user", "content": [None, {"type": "text"}]}]},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "nonsense"}}}},
        {"output_config": {"format": {"type": "json_schema", "schema": {"$ref": "https://example.com/x"}}}},
        {"output_config": {"format": {"type": "json_schema", "schema": {"enum": [], "type": "object",
                                                                         "properties": 1}}}},
        {"tool_choice": {"type": "tool", "name": "absent"}, "tools": [{"name": "t", "input_schema": {}}]},
    ],
)  # fmt: skip
def test_malformed_requests_get_some_answer(params: dict[str, Any]) -> None:
    assert answer(params).content
    assert count_tokens(params) >= 0


# --- counting ---


def test_tokens_grow_with_everything_that_is_sent() -> None:
    base = request("x" * 400)
    assert 100 <= count_tokens(base) <= 115
    assert 100 <= count_tokens(request("가" * 100)) <= 115
    bigger = [
        base | {"system": "Be brief, please."},
        base | {"tools": [{"name": "t", "input_schema": {"type": "object"}}]},
        request("x" * 400, labels_schema(SENTIMENTS)),
        base | {"messages": base["messages"] * 2},
        base | {"messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 400}, {"type": "image"}]}]},
    ]
    assert all(count_tokens(params) > count_tokens(base) for params in bigger)
    assert answer(base).input_tokens == count_tokens(base)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "maximum": 50, "minimum": 40},
        {"type": "number", "exclusiveMinimum": 5.5, "maximum": 6, "description": "How good."},
        {"type": "number", "multipleOf": 0.5, "description": "{not a note} at all"},
        {"type": "string", "maxLength": 12},
        {"type": "string", "minLength": 300, "description": "At length."},
        {"type": "string", "pattern": r"^[A-Z]{2}-\d{3}$", "minLength": 2},
        {"type": "string", "pattern": "[0-9]+", "default": "7"},
        {"type": "string", "pattern": "^#[0-9a-f]{6}$"},
        {"type": "array", "items": {"type": "integer"}, "maxItems": 2, "minItems": 2, "uniqueItems": True},
        {"anyOf": [{"type": "string", "pattern": "^[0-9]{5}$"}, {"type": "null"}], "default": "00000"},
    ],
)
def test_bounds_that_the_sdk_notes_in_descriptions_are_kept(schema):
    whole = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    made = value("Great value, I paid 12 dollars for 3 of them.", anthropic.transform_schema(whole))
    jsonschema.validate(made, whole)


def test_a_pattern_is_looked_for_in_the_text():
    schema = {"type": "object", "properties": {"x": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{3}$"}}}
    assert value("The order AB123 has not come.", anthropic.transform_schema(schema)) == {"x": "AB123"}
