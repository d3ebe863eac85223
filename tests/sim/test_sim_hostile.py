"""Requests that mean no good: patterns, deep JSON, schemas and texts that would keep the simulator for ever."""

from __future__ import annotations

import json
from typing import Any

import pytest
from simulation import call, params, raw_results

BATCHES = "/v1/messages/batches"


def asked(schema: Any, text: str = "hello") -> dict[str, Any]:
    return params(text, max_tokens=500, output_config={"format": {"type": "json_schema", "schema": schema}})


def closed_object(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


CATASTROPHES = [
    r"^([a-z0-9]+[._-]?)+@[a-z.]+$", r"^(a+)+$", r"(x+x+)+y", r"^((a|aa)+)+$", r"(.*)*(.*)*x", r"(?=(a+)+b)c",
    r"(a?){30}a{30}", r"(\w{1,900}){1,900}!", f"{'(' * 200}{')' * 200}", "[", r"(.{1,1000}){1,1000}",
]  # fmt: skip


@pytest.mark.parametrize("pattern", CATASTROPHES)
def test_a_pattern_takes_no_time_worth_telling_whatever_it_is(simulator, pattern):
    note = f"An address\n\n{{pattern: {pattern}}}"
    for field in ({"type": "string", "pattern": pattern}, {"type": "string", "description": note}):
        for text in ("a" * 45 + "!", "a" * 3000, "x" * 3000):
            assert call(simulator, "POST", "/v1/messages", asked(closed_object(f=field), text)).status in (200, 400)


def nested(depth: int, opening: str, closing: str, inner: str = "1") -> str:
    return opening * depth + inner + closing * depth


ASKED = '{"model": "claude-haiku-4-5", "max_tokens": 9, "messages": %s}'
TEXT = '[{"role": "user", "content": "a"}]'
RESULT = '[{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": HOLE}]}]'
TOOL = '{"name": "a", "cache_control": {"type": "ephemeral"}, "input_schema": {"type": "object", "properties": HOLE}}'
HOLES = {
    "a whole call": "HOLE",
    "messages": ASKED % "HOLE",
    "a block": ASKED % RESULT,
    "metadata": ASKED % f'{TEXT}, "metadata": HOLE',
    "a tool": ASKED % f'{TEXT}, "tools": [{TOOL}]',
    "a schema": ASKED % f'{TEXT}, "output_config": {{"format": {{"type": "json_schema", "schema": HOLE}}}}',
}


@pytest.mark.parametrize("depth", [300, 900, 990, 5_000, 200_000])
@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
def test_deep_json_is_refused_and_the_server_goes_on(simulator, hole, depth, caplog):
    shapes = [
        nested(depth, "[", "]"),
        nested(depth, '{"a":', "}"),
        nested(depth, '{"type":"array","items":', "}", '{"type":"string"}'),
        nested(depth, '{"type":"object","additionalProperties":false,"properties":{"a":', "}}", '{"type":"string"}'),
        nested(depth, '[{"type":"tool_result","tool_use_id":"a","content":', "}]", '"a"'),
    ]
    for shape in shapes:
        body = hole.replace("HOLE", shape)
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            assert call(simulator, "POST", path, body.encode()).status in (200, 400)
        row = f'{{"requests": [{{"custom_id": "a", "params": {body}}}]}}'
        answer = call(simulator, "POST", BATCHES, row.encode())
        assert answer.status in (200, 400)
        if answer.status == 200:
            result = json.loads(raw_results(simulator, answer.json["id"]).body)["result"]
            assert result["type"] == "succeeded" or result["error"]["error"]["type"] == "invalid_request_error"
    assert "Traceback" not in caplog.text


def laughs(kind: str, depth: int = 30) -> dict[str, Any]:
    """A schema whose every part holds two of the next."""

    def part(number: int) -> dict[str, Any]:
        two = [{"$ref": f"#/$defs/d{number + 1}"}] * 2
        return closed_object(a=two[0], b=two[1]) if kind == "object" else {kind: two}

    defs = {f"d{number}": part(number) for number in range(depth)}
    return {**closed_object(x={"$ref": "#/$defs/d0"}), "$defs": {**defs, f"d{depth}": {"type": "string"}}}


@pytest.mark.parametrize("kind", ["object", "allOf", "anyOf", "oneOf"])
def test_a_schema_that_doubles_with_each_level_is_refused_or_answered_at_once(simulator, kind):
    assert call(simulator, "POST", "/v1/messages", asked(laughs(kind))).status in (200, 400)
    tool = {"name": "t", "input_schema": laughs(kind)}
    forced = params(tools=[tool], tool_choice={"type": "tool", "name": "t"})
    assert call(simulator, "POST", "/v1/messages", forced).status in (200, 400)


def test_no_bound_that_a_description_notes_makes_an_answer_larger_than_a_reply_can_be(simulator):
    note = "\n\n{minItems: 999999999999, minLength: 999999999999, minimum: 1e999}"
    fields = {
        "text": {"type": "string", "description": note},
        "many": {"type": "array", "items": {"type": "integer"}, "description": note},
        "words": {"type": "array", "items": {"type": "string"}, "description": note},
        "more": {"type": "array", "items": {"type": "string", "enum": ["a"]}, "description": note},
    }
    for name, field in fields.items():
        answer = call(simulator, "POST", "/v1/messages", asked(closed_object(**{name: field})))
        assert answer.status == 200
        assert len(answer.body) < 100_000


@pytest.mark.parametrize("seed", ["\t", "1", "a ", "A ", "label\xa0", "“", "「", "```", "a@", ": "])
def test_no_text_keeps_the_simulator_for_long(simulator, seed):
    text = f"Is this review {seed * (20_000 // len(seed))} good?\nlabel"
    schema = closed_object(
        email={"type": "string"}, score={"type": "integer", "description": text}, l={"enum": ["a", "b"]}
    )
    for request in (params(text), params(text, system=text), asked(schema, text)):
        assert call(simulator, "POST", "/v1/messages", request).status == 200
