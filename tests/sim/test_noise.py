"""Answers vary by text, model, prompt and request where a text says little, and are the same every time."""

from __future__ import annotations

import json
import random
import zlib
from typing import Any

import pytest
from simulation import ended, sdk

from batchnb.demo import sample
from batchnb.sim import Simulator
from batchnb.sim.model.accuracy import ACCURACY, accuracy_of
from batchnb.sim.model.responder import respond
from batchnb.sim.model.sentiment import weigh
from batchnb.sim.state.catalogue import MODELS

pytestmark = pytest.mark.steady

SMALL, LARGE = "claude-haiku-4-5", "claude-opus-5-5"
FORM = "Classify the sentiment of this review: {}"
OTHER_FORM = "Is the customer content?\n\nReview: {}"
SENTIMENTS = ["positive", "negative", "neutral"]
#: Opinions in one word of little weight, and in none.
THIN = [
    text.format(thing)
    for thing in ("lamp", "case", "kettle", "phone", "chair", "film", "soup", "room", "desk", "cable")
    for text in ("The {} is okay.", "A {} as usual, a bit loud.", "The {} arrived on Monday.", "Cheap {}, fine color.",
                 "The {} could be lighter.", "It is better than my old {}.")
]  # fmt: skip
PLAIN = [
    text.format(thing)
    for thing in ("lamp", "case", "kettle", "phone", "chair", "film", "soup", "room", "desk", "cable")
    for text in ("I love this {}, it is perfect.", "Terrible {}, it broke and support was awful.",
                 "The best {} I ever had, excellent.", "Worst {} ever, a waste of money.")
]  # fmt: skip
BOTH = {
    "type": "object",
    "properties": {"label": {"enum": ["positive", "negative"]}},
    "required": ["label"],
    "additionalProperties": False,
}


def params(prompt: str, schema: dict[str, Any] = BOTH, model: str = SMALL, **more: Any) -> dict[str, Any]:
    form = {"format": {"type": "json_schema", "schema": schema}}
    messages = [{"role": "user", "content": prompt}]
    return {"model": model, "max_tokens": 1024, "messages": messages, "output_config": form, **more}


def answer(asked: dict[str, Any], name: str = "a", seed: int = 1, noise: float = 1.0) -> dict[str, Any]:
    rng = random.Random(zlib.crc32(f"{seed}:{name}".encode()))
    (block,) = respond(asked, rng, seed=seed, noise=noise).content
    told: dict[str, Any] = json.loads(block["text"])
    return told


def labels(texts: list[str], form: str = FORM, *, model: str = SMALL, name: str = "a", **how: Any) -> list[str]:
    more = {key: how.pop(key) for key in ("temperature", "schema") if key in how}
    return [answer(params(form.format(text), model=model, **more), f"{name}-{at}", **how)["label"]
            for at, text in enumerate(texts)]  # fmt: skip


def differing(one: list[Any], other: list[Any]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_models_prompts_and_requests_differ_on_thin_texts_and_never_on_plain_ones() -> None:
    first = labels(THIN)
    others = {
        "model": labels(THIN, model=LARGE),
        "prompt": labels(THIN, OTHER_FORM),
        "request": labels(THIN, name="b"),
        "seed": labels(THIN, seed=2),
    }
    differ = {name: differing(first, other) for name, other in others.items()}
    assert all(1 <= count <= len(THIN) // 3 for name, count in differ.items() if name != "seed"), differ
    assert differ["seed"] > 0
    expected = ["positive", "negative"] * (len(PLAIN) // 2)
    for model in (SMALL, LARGE):
        for form in (FORM, OTHER_FORM):
            for seed in range(20):
                assert labels(PLAIN, form, model=model, seed=seed) == expected


def test_the_same_request_has_the_same_answer_and_a_model_is_one_with_its_alias() -> None:
    assert labels(THIN) == labels(THIN)
    assert labels(THIN) == labels(THIN, model=f"{SMALL}-20251001")


def test_samples_split_on_thin_texts_and_agree_at_temperature_0() -> None:
    def split(texts: list[str], **how: Any) -> list[bool]:
        rounds = [labels(texts, name=name, **how) for name in "abcdef"]
        return [len(set(told)) > 1 for told in zip(*rounds, strict=True)]

    assert 0 < sum(split(THIN)) < len(THIN) / 2
    assert not any(split(PLAIN))
    assert not any(split(THIN, temperature=0))


def test_without_noise_all_models_read_what_the_words_say() -> None:
    quiet = labels(THIN, noise=0)
    assert quiet == labels(THIN, OTHER_FORM, model=LARGE, name="b", seed=2, noise=0)
    assert differing(quiet, labels(THIN)) > 0


def test_each_model_has_an_accuracy_and_larger_ones_are_nearer_to_the_words() -> None:
    assert set(ACCURACY) <= {name for model in MODELS for name in (model.id, *model.aliases)}
    assert all(0.9 <= accuracy < 1 for accuracy in ACCURACY.values())
    assert accuracy_of("a model of its own") == accuracy_of("claude-haiku-5-5")
    texts = [text for text in sample()["review"].dropna() if text.strip()]
    quiet = [labels(texts, noise=0, seed=seed) for seed in range(8)]
    off = {model: sum(differing(quiet[seed], labels(texts, model=model, seed=seed)) for seed in range(8))
           for model in (SMALL, "claude-sonnet-5-5", "claude-mythos-5-2")}  # fmt: skip
    assert off[SMALL] > off["claude-sonnet-5-5"] > off["claude-mythos-5-2"] > 0
    assert off[SMALL] < 0.2 * 8 * len(texts)


def test_the_fields_of_one_answer_are_of_one_reading() -> None:
    fields = {
        "label": {"enum": SENTIMENTS},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "would_recommend": {"type": "boolean"},
        "confidence": {"type": "number"},
    }
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    surer = []
    for seed in range(30):
        for text in (*THIN, *PLAIN):
            told = answer(params(FORM.format(text), schema), seed=seed)
            if told["label"] == "positive":
                assert told["stars"] >= 3
                assert told["would_recommend"]
            if told["label"] == "negative":
                assert told["stars"] <= 3
                assert not told["would_recommend"]
            surer.append((weigh(text).balance, told["confidence"]))
    thin, plain = ([sure for balance, sure in surer if (abs(balance) > 0.6) is is_plain] for is_plain in (False, True))
    assert sum(thin) / len(thin) + 0.15 < sum(plain) / len(plain)


TOPICS = ["billing", "shipping", "staff", "other"]


def topic_schema(*, several: bool) -> dict[str, Any]:
    one = {"type": "string", "enum": TOPICS}
    field = {"type": "array", "items": one} if several else one
    return {**BOTH, "properties": {"label": field}}


@pytest.mark.parametrize("several", [False, True])
def test_topics_are_read_differently_where_one_word_or_a_tie_decides(several: bool) -> None:
    def told(text: str) -> set[str]:
        schema = topic_schema(several=several)
        return {str(answer(params(text, schema), name, seed)["label"]) for name in "abc" for seed in range(40)}

    plain = told("The parcel was shipped on Monday, the delivery by the courier was late, shipping took a week")
    assert plain == ({"['shipping']"} if several else {"shipping"})
    assert len(told("The invoice came with the parcel")) > 1, "a tie"


def test_yes_and_no_differ_where_one_word_decides() -> None:
    schema = {**BOTH, "properties": {"label": {"enum": ["yes", "no"]}}}
    form = "Does the text mention a battery? Text: {}"
    rounds = [labels(["The battery is new."], form, schema=schema, name=name, seed=seed)
              for name in "ab" for seed in range(60)]  # fmt: skip
    count = sum(told == ["yes"] for told in rounds)
    assert len(rounds) * 0.6 < count < len(rounds)


def test_of_several_numbers_the_first_is_taken_mostly() -> None:
    schema = {**BOTH, "properties": {"label": {"type": "integer"}}}
    form = "How many lamps were ordered? Text: {}"
    told = [labels(["We ordered 3 lamps and 12 bulbs."], form, schema=schema, seed=seed)[0] for seed in range(200)]
    assert set(told) == {3, 12}
    assert told.count(3) > 160
    assert {labels(["We ordered 3 lamps."], form, schema=schema, seed=seed)[0] for seed in range(50)} == {3}


def test_a_batch_sent_again_is_answered_alike_and_another_custom_id_otherwise() -> None:
    def asked(prefix: str) -> list[Any]:
        return [{"custom_id": f"{prefix}-{at}", "params": params(FORM.format(text))} for at, text in enumerate(THIN)]

    with Simulator(delay=(0.0, 0.0), seed=4) as simulator, sdk(simulator) as client:

        def told(prefix: str) -> list[str]:
            made = client.messages.batches.create(requests=asked(prefix))
            results = client.messages.batches.results(ended(client, made.id).id)
            texts = {result.custom_id: result.result.message.content[-1].text for result in results}
            return [texts[f"{prefix}-{at}"] for at in range(len(THIN))]

        first, again, other = told("a"), told("a"), told("b")
    assert first == again
    assert 0 < differing(first, other) < len(THIN) / 3
    with Simulator(delay=(0.0, 0.0), seed=4, noise=0) as simulator, sdk(simulator) as client:
        assert told("a") == told("b")
