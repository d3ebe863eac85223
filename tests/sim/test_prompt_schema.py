"""JSON that is asked for in the words of a prompt is answered in JSON of that shape."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest
from simulation import call, params

from batchnb.sim import Simulator
from batchnb.sim.model.responder import respond

pytestmark = pytest.mark.steady

GOOD = "I love this lamp, it is perfect"
SCHEMA = {
    "$defs": {"Mood": {"enum": ["positive", "negative", "neutral"], "type": "string"}},
    "properties": {
        "label": {"$ref": "#/$defs/Mood"},
        "keywords": {"items": {"type": "string"}, "type": "array"},
    },
    "required": ["label", "keywords"],
    "title": "Review",
    "type": "object",
}
ASKED = {"label": "positive", "keywords": ["love", "lamp", "perfect"]}


def said(prompt: str, noise: float = 0.0, **more: Any) -> str:
    params = {
        "model": "claude-haiku-5-5",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": prompt}],
        **more,
    }
    text: str = respond(params, random.Random(1), noise=noise).content[-1]["text"]
    return text


@pytest.mark.parametrize("system", [
    "Provide the parsed objects in json that match the following json_schema:\n\n{}\n\nReturn an instance of the JSON.",
    "Always respond with a JSON object that's compatible with this schema:\n\n{}\n\nDon't include any text before.",
])  # fmt: skip
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_schema_in_the_system_prompt_is_followed(system: str, noise: float) -> None:
    for indent in (None, 2):
        told = said(
            f"What of this review: {GOOD}", noise, system=system.replace("{}", json.dumps(SCHEMA, indent=indent))
        )
        assert json.loads(told)["label"] == "positive"
        jsonschema.validate(json.loads(told), SCHEMA)


@pytest.mark.parametrize("form", [
    "Answer in JSON by this schema: {schema}\n\nReview: {text}",
    "Review: {text}\n\nRespond with JSON that fits {schema}",
    "<review>{text}</review>\nReturn JSON like {schema}",
])  # fmt: skip
def test_a_schema_beside_the_text_is_followed_and_is_no_part_of_the_text(form: str) -> None:
    told = said(form.replace("{schema}", json.dumps(SCHEMA)).replace("{text}", GOOD))
    assert json.loads(told) == ASKED


def test_an_example_tells_the_shape() -> None:
    example = {"sentiment": "positive|negative|neutral", "stars": 3, "is_complaint": False, "tags": ["..."],
               "about": {"product": "..."}}  # fmt: skip
    got = json.loads(said(f"Return JSON like this: {json.dumps(example)}\n\nReview: {GOOD}"))
    assert list(got) == list(example)
    assert (got["sentiment"], got["is_complaint"], got["tags"]) == ("positive", False, ASKED["keywords"])
    assert got["stars"] >= 4
    assert got["about"] == {"product": "lamp"}


def test_named_keys_tell_the_shape() -> None:
    got = json.loads(said(f"Answer in JSON with the keys label, keywords and is_complaint. Review: {GOOD}"))
    assert got == {**ASKED, "is_complaint": False}


@pytest.mark.parametrize("prompt", [
    f"Classify the sentiment, positive or negative, of this review: {GOOD}",
    'Summarize this review: The export to JSON wrote {"a": 1} and stopped. I was not amused at all by that.',
    "Answer in JSON, please. The text: " + GOOD,
    "Return JSON like {a: {b: {c",
    "Return JSON like {}: " + GOOD,
])  # fmt: skip
def test_what_tells_no_shape_is_answered_in_words(prompt: str) -> None:
    assert said(prompt).startswith("[simulated] ")


def test_braces_without_end_take_no_time() -> None:
    assert said('Return JSON like {"a": ' * 5_000).startswith("[simulated] ")
    assert said("Return JSON like " + '{"a":' * 5_000).startswith("[simulated] ")
    assert said("Echo: return JSON like " + json.dumps(SCHEMA)) == "return JSON like " + json.dumps(SCHEMA)


def test_a_tool_that_takes_the_answer_is_called_where_no_other_fits() -> None:
    final = {
        "name": "final_result",
        "description": "The final response which ends this conversation",
        "input_schema": SCHEMA,
    }
    weather = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}

    def called(prompt: str) -> tuple[str, Any]:
        messages = [{"role": "user", "content": prompt}]
        params = {"model": "claude-opus-5-5", "max_tokens": 999, "messages": messages, "tools": [weather, final]}
        block = respond(params, random.Random(1)).content[-1]
        return block["name"], block["input"]

    assert called(f"What of this? {GOOD}") == ("final_result", ASKED)
    assert called("How is the weather in the city of Oslo?") == ("get_weather", {"city": "Oslo"})


def test_the_older_output_format_is_taken_with_its_beta_and_refused_without() -> None:
    form = {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}}
    body = {**params(f"What of this review: {GOOD}"), "output_format": form}
    beta = {"anthropic-beta": "structured-outputs-2025-11-13"}
    with Simulator(delay=(0.0, 0.0), seed=1) as simulator:
        taken = call(simulator, "POST", "/v1/messages", body, beta)
        assert json.loads(taken.json["content"][0]["text"]) == ASKED
        refused = call(simulator, "POST", "/v1/messages", body)
        assert (refused.status, refused.error[1]) == (400, "output_format: Extra inputs are not permitted")
        wrong = {**body, "output_format": {"type": "text"}}
        assert call(simulator, "POST", "/v1/messages", wrong, beta).status == 400
        twice = {**body, "output_config": {"format": form}}
        assert call(simulator, "POST", "/v1/messages", twice, beta).status == 400
        with_effort = {**body, "model": "claude-haiku-5-5", "output_config": {"effort": "low"}}
        assert call(simulator, "POST", "/v1/messages", with_effort, beta).status == 200
