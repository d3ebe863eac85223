"""Identity and bytes: canonical form, digests, custom_ids, envelopes, bodies."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchnb import InputError
from batchnb.questions.bodies import BODY_END, BODY_START, custom_id, digest_in, item_size, join_items, label_of
from batchnb.questions.envelope import Envelope, blocks_of, canonical, content_of
from batchnb.questions.params import shared_params
from batchnb.questions.replies.base import Reply, TextReply
from batchnb.questions.replies.labels import LabelReply

MODEL = "claude-haiku-4-5"
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n not really an image").decode()
DIGEST = bytes.fromhex("00112233445566778899aabbccddeeff")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
branches = st.lists(scalars, max_size=3) | st.dictionaries(texts, scalars, max_size=3)
values = scalars | branches | st.lists(branches, max_size=2) | st.dictionaries(texts, branches, max_size=2)
params = st.dictionaries(texts.filter(lambda name: name != "messages"), values, max_size=5)


def image(data: str = PIXEL, media_type: str = "image/png", **more: Any) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}, **more}


def digest(content: Any, slot: str = "content", *, betas: tuple[str, ...] = (), replicate: str = "", **shared: Any):
    return Envelope.around({"model": MODEL, "max_tokens": 64, **shared}, slot, betas=betas, replicate=replicate).digest(
        content_of(content)
    )


# Canonical form


def test_a_cache_control_marker_is_no_part_of_the_question():
    marked = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert canonical([marked]) == [{"type": "text", "text": "Hi"}]
    assert digest([marked], cache_control={"type": "ephemeral"}) == digest([{"type": "text", "text": "Hi"}])


def test_a_tool_property_called_cache_control_is_part_of_the_question():
    def tool(kind: str) -> dict[str, Any]:
        return {"name": "t", "input_schema": {"type": "object", "properties": {"cache_control": {"type": kind}}}}

    assert canonical(tool("string")) == tool("string")
    assert digest("Hi", tools=[tool("string")]) != digest("Hi", tools=[tool("integer")])


def test_a_file_counts_by_its_bytes_and_media_type():
    assert canonical(image()["source"]) == canonical({**image()["source"], "data": PIXEL})
    assert PIXEL not in json.dumps(canonical(image()))
    assert digest([image()]) == digest([image(cache_control={"type": "ephemeral"})])
    assert digest([image()]) != digest([image(base64.b64encode(b"another").decode())])
    assert digest([image()]) != digest([image(media_type="image/jpeg")])


def test_a_url_counts_as_itself():
    def source(url: str) -> list[dict[str, Any]]:
        return [{"type": "image", "source": {"type": "url", "url": url}}]

    assert digest(source("https://example.com/a.png")) != digest(source("https://example.com/b.png"))


@pytest.mark.parametrize("data", ["not base64!", PIXEL[:-3] + "%%%"])
def test_a_file_that_is_not_base64_is_an_input_error(data):
    with pytest.raises(InputError, match="not base64"):
        content_of([image(data)])


@pytest.mark.parametrize("value", [b"raw", [image(b"raw")], {"messages": [{"content": bytearray(b"raw")}]}])
def test_bytes_are_refused_since_they_would_be_encoded_twice(value):
    with pytest.raises(InputError, match="base64 text"):
        content_of(value)


@pytest.mark.parametrize("value", ["half a character \ud83d", {"system": "\udc00"}, [object()], {"a": 1j}])
def test_what_json_cannot_hold_is_an_input_error(value):
    with pytest.raises(InputError, match="cannot be written as JSON"):
        content_of(value)
    with pytest.raises(InputError, match="cannot be written as JSON"):
        Envelope.around({"model": value}, "content")


def test_numpy_text_and_numbers_ask_the_same_as_plain_ones():
    assert digest(np.str_("Hi")) == digest("Hi")
    assert digest([{"type": "text", "text": np.str_("Hi"), "n": np.int64(3)}]) == digest(
        [{"type": "text", "text": "Hi", "n": 3}]
    )


@given(params)
@settings(max_examples=40)
def test_the_order_of_names_does_not_matter(shared):
    backwards = dict(reversed(shared.items()))
    assert Envelope.around(shared, "content") == Envelope.around(backwards, "content")
    assert content_of({"a": shared}) == content_of({"a": backwards})


@given(params, values)
@settings(max_examples=40)
def test_canonical_form_is_stable(shared, value):
    assert canonical(canonical(shared)) == canonical(shared)
    if not isinstance(value, str):
        assert content_of(value).asked == content_of(canonical(value)).sent


# Digests


@dataclass(frozen=True)
class Question:
    """A question as a user would ask it."""

    content: Any
    slot: str = "content"
    reply: Reply = field(default_factory=TextReply)
    system: Any = None
    params: dict[str, Any] = field(default_factory=dict)
    betas: tuple[str, ...] = ()
    replicate: str = ""

    def digest(self) -> str:
        shared = shared_params(self.reply, model=MODEL, max_tokens=None, system=self.system, params=self.params)
        content = {**shared, **self.content} if self.slot == "params" else self.content
        envelope = Envelope.around(shared, self.slot, betas=self.betas, replicate=self.replicate)
        return envelope.digest(content_of(content)).hex()


TOOL = {
    "name": "look_up",
    "description": "Looks a word up.",
    "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
}

# These ten may never change. The ledger finds the answers its user has paid for by these digests: a release that
# computes another digest for the same question asks, and bills, every row of every user again.
ASKED = {
    "text": (Question("Classify the sentiment of this review: Great value."), "a36a4221fd6c00ff7984f4ab4298116c"),
    "labels": (
        Question("Great value.", reply=LabelReply.of(["positive", "negative", "neutral"])),
        "9b1f67dd5bf480a9aa73d4c1566430fd",
    ),
    "system with cache_control": (
        Question(
            "Great value.",
            system=[{"type": "text", "text": "You label reviews.", "cache_control": {"type": "ephemeral"}}],
        ),
        "94c8d0473d371bb24b162e8db0658e64",
    ),
    "unicode": (
        Question('이 제품은 정말 좋아요 👍🏽 — très bien, 很好\n\t"quoted" {braces} </html>'),
        "d286e714ff799dbb68f860867dfbb2ef",
    ),
    "betas": (
        Question("Great value.", betas=("output-300k-2026-03-24", "another-2026-01-01")),
        "30a4bb385324d423b886b1a78165ce71",
    ),
    "replicate": (Question("Great value.", replicate="2"), "2bf3fdafe381945ef98f2d222f3fdc36"),
    "content blocks": (
        Question([{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]),
        "b0663d5a88294f80de876485fea1cad3",
    ),
    "messages": (
        Question(
            [
                {"role": "user", "content": "Great value."},
                {"role": "assistant", "content": "Positive?"},
                {"role": "user", "content": [{"type": "text", "text": "Yes."}]},
            ],
            slot="messages",
        ),
        "c57911fa99c4d1567df18f92e93dfdd5",
    ),
    "params with tools": (
        Question(
            {"messages": [{"role": "user", "content": "What is a ledger?"}], "max_tokens": 2000},
            slot="params",
            params={"tools": [TOOL], "tool_choice": {"type": "auto"}, "thinking": {"type": "adaptive"}},
        ),
        "c4f2f6dcb0c138066b2d27da73d30ba1",
    ),
    "base64 image": (
        Question([{"type": "text", "text": "What is this?"}, image()]),
        "bd079d9043ef0ef50f068caae8b8edc4",
    ),
}


@pytest.mark.parametrize(("question", "expected"), ASKED.values(), ids=ASKED)
def test_a_question_keeps_its_digest_for_ever(question, expected):
    assert question.digest() == expected


def test_the_same_question_has_one_digest_however_a_row_gives_it():
    text = digest("Hi", system="Be brief", thinking={"type": "disabled"})
    messages = [{"role": "user", "content": "Hi"}]
    assert digest(messages, "messages", system="Be brief", thinking={"type": "disabled"}) == text
    whole = {"model": MODEL, "max_tokens": 64, "system": "Be brief", "thinking": {"type": "disabled"}}
    assert digest({**whole, "messages": messages}, "params") == text


def test_whatever_changes_the_question_changes_the_digest():
    asked = [
        digest("Hi"),
        digest("Hi "),
        digest("Hi", model="claude-opus-4-8"),
        digest("Hi", max_tokens=65),
        digest("Hi", system="Be brief"),
        digest("Hi", betas=("a",)),
        digest("Hi", replicate="2"),
        digest([{"type": "text", "text": "Hi"}]),
    ]
    assert len(set(asked)) == len(asked)


def test_the_order_of_betas_and_their_repetition_do_not_matter():
    assert digest("Hi", betas=("a", "b")) == digest("Hi", betas=("b", "a", "b"))


# Envelopes


@given(params, texts, st.sampled_from(["content", "messages", "params"]))
def test_an_envelope_gives_the_params_as_if_built_plainly(shared, text, slot):
    message = {"role": "user", "content": text}
    whole = {**shared, "messages": [message]}
    given_by_row = {"content": text, "messages": [message], "params": whole}[slot]
    envelope = Envelope.around(shared, slot)
    assert envelope.params(content_of(given_by_row)) == whole


# custom_ids


@given(
    st.one_of(st.text(), st.integers(), st.floats(), st.binary(), st.tuples(st.text())),
    st.binary(min_size=16, max_size=16),
)
def test_a_custom_id_is_always_one_the_api_takes_and_gives_its_digest_back(key, question):
    identifier = custom_id(label_of(key), question)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", identifier)
    assert digest_in(identifier) == question


SCHEMA = {"type": "object", "properties": {"why": {"type": "string"}, "label": {"enum": ["a", "b"]}}}
SWAPPED = {"type": "object", "properties": dict(reversed(SCHEMA["properties"].items()))}


def test_the_order_of_a_schemas_properties_is_sent_and_is_part_of_the_question():
    config = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    envelope = Envelope.around({"model": MODEL, **config}, "content")
    sent = envelope.params(content_of("text"))["output_config"]["format"]["schema"]
    assert list(sent["properties"]) == ["why", "label"]
    assert digest("text", **config) != digest("text", output_config={"format": {"schema": SWAPPED}})
    tool = {"name": "t", "input_schema": SCHEMA}
    assert digest("text", tools=[tool]) != digest("text", tools=[{"name": "t", "input_schema": SWAPPED}])


TURNS = [{"role": "user", "content": "2 + 2"}, {"role": "assistant", "content": "4"}]
BLOCKS = [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "All rows' own."}}]


def test_turns_and_blocks_before_a_rows_own_part_ask_what_whole_messages_ask():
    text = {"type": "text", "text": "3 + 3"}
    shared = {"model": MODEL, "max_tokens": 64, "system": "Add."}
    whole = Envelope.around(shared, "messages")
    parts = Envelope.around(shared, "content", turns=TURNS)
    messages = content_of([*TURNS, {"role": "user", "content": "3 + 3"}])
    assert parts.params(content_of("3 + 3")) == whole.params(messages)
    assert parts.digest(content_of("3 + 3")) == whole.digest(messages)
    parts = Envelope.around(shared, "blocks", turns=TURNS, blocks=BLOCKS)
    messages = content_of([*TURNS, {"role": "user", "content": [*BLOCKS, text]}])
    assert parts.params(blocks_of([text])) == whole.params(messages)
    assert parts.digest(blocks_of([text])) == whole.digest(messages)


@pytest.mark.parametrize(
    "foreign", ["", "row-1", "row-" + "g" * 32, "a" * 64, "row-" + "A" * 32, f"row-{DIGEST.hex()}\n"]
)
def test_a_custom_id_of_somebody_else_holds_no_digest(foreign):
    assert digest_in(foreign) is None


def test_the_readable_part_keeps_what_the_api_allows_of_a_key():
    assert label_of("order #17/é") == "order__17__"
    assert label_of("") == "_"
    assert len(label_of("x" * 100)) == 31


# Bodies

items = st.lists(st.tuples(st.text(), st.binary(min_size=16, max_size=16), params, texts), min_size=1, max_size=8)


def encoded(rows: list[Any]) -> list[tuple[str, bytes, bytes, bytes, bytes]]:
    made = []
    for key, question, shared, text in rows:
        envelope = Envelope.around(shared, "content")
        made.append((label_of(key), question, envelope.head, content_of(text).sent, envelope.tail))
    return made


@given(items)
@settings(max_examples=40)
def test_a_body_is_valid_json_with_every_request_in_order(rows):
    body = json.loads(join_items(encoded(rows)))
    assert body == {
        "requests": [
            {
                "custom_id": custom_id(label_of(key), question),
                "params": {**shared, "messages": [{"role": "user", "content": text}]},
            }
            for key, question, shared, text in rows
        ]
    }


@given(items)
@settings(max_examples=40)
def test_the_size_of_a_body_is_known_exactly_before_it_is_built(rows):
    made = encoded(rows)
    sizes = [item_size(len(label), len(head) + len(content) + len(tail)) for label, _, head, content, tail in made]
    # The last item has no comma after it.
    assert len(join_items(made)) == len(BODY_START) + sum(sizes) - 1 + len(BODY_END)
