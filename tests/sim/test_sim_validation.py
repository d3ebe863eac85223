"""What the simulator refuses, when, and in which words."""

import json

import anthropic
import pytest
from simulation import MODEL, call, created, params, requests, results, run, sdk

from batchnb.sim.rules.schemas import complaint, malformed
from batchnb.sim.rules.validation import Validator
from batchnb.sim.wire import ApiError

pytestmark = pytest.mark.steady

check = Validator().check
VERSION, OLD = "2026-10-21", "2023-06-01"


pytestmark = pytest.mark.simulator(shared=True)


def text(value, **more):
    return [{"role": "user", "content": [{"type": "text", "text": value, **more}]}]


def schema(**fields):
    return {"format": {"type": "json_schema", "schema": {"type": "object", **fields}}}


def without(name):
    return {key: value for key, value in params().items() if key != name}


MARK = {"cache_control": {"type": "ephemeral"}}
TOOL = {"name": "t", "input_schema": {"type": "object"}}
CLOSED = {"type": "object", "additionalProperties": False}

# What is wrong with the params, the error's type, and a piece of its message.
BAD = [
    (without("max_tokens"), "max_tokens: Field required"),
    (without("messages"), "messages: Field required"),
    (without("model"), "model: Field required"),
    (params(temperature=0.5), "temperature: Extra inputs are not permitted"),
    (params(top_p=0.5), "top_p: Extra inputs are not permitted"),
    (params(top_k=5), "top_k: Extra inputs are not permitted"),
    (params(prompt="hello"), "prompt: Extra inputs are not permitted"),
    (params(mcp_servers=[]), "mcp_servers: Extra inputs are not permitted"),
    (params(max_tokens=-1), "max_tokens: must be greater than or equal to"),
    (params(max_tokens="12"), "max_tokens: Input should be a valid integer"),
    (params(max_tokens=64_001), "64001 > 64000, which is the maximum allowed number of output tokens"),
    (params(model=""), "model: String should have at least 1 character"),
    (params(model=7), "model: Input should be a valid string"),
    (params(messages=[]), "messages: at least one message is required"),
    (params(messages="hello"), "messages: Input should be a valid array"),
    (params(messages=["hello"]), "messages.0: Input should be an object"),
    (params(messages=[{"role": "user"}]), "messages.0.content: Field required"),
    (params(messages=[{"content": "a"}]), "messages.0.role: Field required"),
    (params(messages=[{"role": "human", "content": "a"}]), "messages.0.role: Input should be 'user'"),
    (params(messages=[{"role": "user", "content": "a", "name": "b"}]), "messages.0.name: Extra inputs"),
    (params(messages=[{"role": "user", "content": ""}]), "messages.0: all messages must have non-empty content"),
    (params(messages=[{"role": "user", "content": []}]), "messages.0: all messages must have non-empty content"),
    (params(messages=[{"role": "user", "content": 5}]), "messages.0.content: Input should be a valid string or array"),
    (params(messages=[{"role": "user", "content": " \n"}]), "text content blocks must contain non-whitespace text"),
    (params(messages=text("")), "text content blocks must be non-empty"),
    (params(messages=text("", **MARK)), "cache_control cannot be set for empty text blocks"),
    (params(messages=text(" ")), "text content blocks must contain non-whitespace text"),
    (params(messages=text(5)), "messages.0.content.0.text.text: Input should be a valid string"),
    (params(messages=[{"role": "user", "content": [{"type": "txt"}]}]), "Input tag 'txt' found using 'type'"),
    (params(messages=[{"role": "user", "content": ["a"]}]), "messages.0.content.0: Input should be an object"),
    (params(messages=[{"role": "user", "content": [{"text": "a"}]}]), "Unable to extract tag"),
    (params(messages=[{"role": "user", "content": [{"type": "image"}]}]), "content.0.image.source: Field required"),
    (params(messages=[{"role": "user", "content": [{"type": "tool_result"}]}]), "tool_use_id: Field required"),
    (params(system=5), "system: Input should be a valid string or array"),
    (params(system=[{"type": "text", "text": ""}]), "system: text content blocks must be non-empty"),
    (params(system=[{"type": "image"}]), "system.0.type: Input should be 'text'"),
    (params(system=[{"type": "text", "text": "a", **MARK}] * 5), "A maximum of 4 blocks with cache_control"),
    (params(messages=text("a", **MARK) * 5), "A maximum of 4 blocks with cache_control"),
    (params(messages=text("a", cache_control="yes")), "cache_control: Input should be an object"),
    (params(cache_control={"type": "eternal"}), "cache_control: Input tag 'eternal'"),
    (params(cache_control={"type": "ephemeral", "ttl": "9h"}), "cache_control.ephemeral.ttl: Input should be"),
    (params(messages=[{"role": "user", "content": [{"type": ["text"]}]}]), "Input tag '['text']' found"),
    (
        params(messages=[{"role": "user", "content": [{"type": "image", "source": {"type": []}}]}]),
        "image.source: ",
    ),
    (params(output_config=schema(required=5, **CLOSED)), "JSON schema is invalid"),
    (params(tools=[{**TOOL, "input_schema": {"type": "object", "properties": []}}]), "JSON schema is invalid"),
    (params(output_config=schema()), "'additionalProperties' must be explicitly set to false"),
    (params(output_config={"format": {"type": "regex"}}), "output_config.format: Input tag 'regex'"),
    (params(output_config={"format": {"type": "json_schema"}}), "output_config.format.schema: Field required"),
    (params(output_config={"effort": "huge"}), "output_config.effort: Input should be"),
    (params(output_config={"style": 1}), "output_config.style: Extra inputs are not permitted"),
    (params(thinking={"type": "on"}), "thinking: Input tag 'on'"),
    (params(thinking={"type": "enabled"}), "thinking.enabled.budget_tokens: Field required"),
    (params(thinking={"type": "enabled", "budget_tokens": 100}), "greater than or equal to 1024"),
    (params(thinking={"type": "enabled", "budget_tokens": 2000}), "`max_tokens` must be greater than"),
    (params(tools=[{"name": "t"}]), "tools.0.custom.input_schema: Field required"),
    (params(tools=[{"name": "t", "input_schema": {}}]), "tools.0.custom.input_schema.type: Field required"),
    (params(tools=[TOOL, TOOL]), "tools: Tool names must be unique"),
    (params(tool_choice={"type": "any"}), "may only be specified while providing `tools`"),
    (params(tools=[TOOL], tool_choice={"type": "tool", "name": "u"}), "Tool 'u' not found in provided tools"),
    (params(tool_choice={"type": "some"}), "tool_choice: Input tag 'some'"),
    (params(stop_sequences="END"), "stop_sequences: Input should be a valid array"),
    (params(stop_sequences=[" "]), "each stop sequence must contain non-whitespace"),
    (params(service_tier="fast"), "service_tier: Input should be 'auto' or 'standard_only'"),
    (params(metadata={"row": 7}), "metadata.row: Extra inputs are not permitted"),
    (params(metadata={"user_id": 7}), "metadata.user_id: Input should be a valid string"),
    (params(speed="slow"), "speed: Input should be 'standard' or 'fast'"),
    (params(stream="yes"), "stream: Input should be a valid boolean"),
]


@pytest.mark.parametrize(("bad", "message"), BAD, ids=[message[:50] for _, message in BAD])
def test_bad_params_are_refused_at_once_by_messages_and_later_in_a_batch(simulator, bad, message):
    answer = call(simulator, "POST", "/v1/messages", bad)
    assert (answer.status, answer.error[0]) == (400, "invalid_request_error")
    assert message in answer.error[1]
    with pytest.raises(ApiError) as caught:
        check(bad, "batch", version=VERSION)
    assert caught.value.kind == "invalid_request_error"
    assert message in caught.value.message


def test_bad_rows_of_a_batch_are_errors_at_its_end_and_cost_no_good_row(simulator):
    wanted = [{"custom_id": f"bad-{i}", "params": bad} for i, (bad, _) in enumerate(BAD)]
    with sdk(simulator) as client:
        batch = run(client, [*wanted, *requests(2)])
        assert (batch.request_counts.errored, batch.request_counts.succeeded) == (len(BAD), 2)
        rows = results(client, batch.id)
    for i, (_, message) in enumerate(BAD):
        assert rows[f"bad-{i}"].error.type == "error", "the error is nested twice"
        assert message in rows[f"bad-{i}"].error.error.message


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (params(stream=True), '"stream=True" is not supported in the Message Batches API'),
        (params(speed="fast", model="claude-opus-5-5"), "speed: "),
        (params(max_tokens=0), "max_tokens: must be greater than or equal to 1"),
    ],
)
def test_some_params_are_refused_in_a_batch_only(bad, message):
    check(bad, "messages", version=VERSION)
    with pytest.raises(ApiError, match=message):
        check(bad, "batch", version=VERSION)


@pytest.mark.parametrize("bad", [[], "text", None, 5])
def test_params_that_are_no_object_are_an_error_of_the_row(simulator, bad):
    with sdk(simulator) as client:
        batch = run(client, [{"custom_id": "a", "params": bad}])
        assert results(client, batch.id)["a"].error.error.message == "Input should be an object"


def test_an_unknown_or_retired_model_is_not_found(simulator):
    for name in ("claude-x", "claude-opus-4-1"):
        answer = call(simulator, "POST", "/v1/messages", params(model=name))
        assert (answer.status, *answer.error) == (404, "not_found_error", f"model: {name}")
    with sdk(simulator) as client:
        batch = run(client, [{"custom_id": "a", "params": params(model="claude-x")}])
        assert results(client, batch.id)["a"].error.error.type == "not_found_error"


def test_older_clients_may_still_send_a_temperature(simulator):
    answer = call(simulator, "POST", "/v1/messages", params(temperature=0), {"anthropic-version": OLD})
    assert answer.status == 200
    answer = call(simulator, "POST", "/v1/messages", params(temperature=3), {"anthropic-version": OLD})
    assert "temperature: range: 0..1" in answer.error[1]
    created(simulator, [{"custom_id": "a", "params": params(temperature=0)}], {"anthropic-version": OLD})


def test_the_beta_namespace_takes_more_parameters(simulator):
    asked = params(context_management={"edits": []})
    assert call(simulator, "POST", "/v1/messages", asked).status == 400
    assert call(simulator, "POST", "/v1/messages?beta=true", asked).status == 200
    assert call(simulator, "POST", "/v1/messages", asked, {"anthropic-beta": "x-2026-01-01"}).status == 200


GOOD = [
    params(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "The answer is ("}]),
    params(messages=[{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]),
    params(system="be brief", metadata={"user_id": "u"}, stop_sequences=["END"], service_tier="auto"),
    params(system=[{"type": "text", "text": "a", **MARK}] * 4),
    params(output_config={"effort": "low", **schema(properties={}, additionalProperties=False)}, model="claude-opus-5"),
    params(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000),
    params(thinking=None, output_config=None, tools=None, system=None),
    params(tools=[TOOL, {"type": "web_search_20260318", "name": "web_search"}], tool_choice={"type": "any"}),
    params(messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "u"}}]}]),
]


@pytest.mark.parametrize("good", GOOD)
def test_good_params_pass_everywhere(good):
    check(good, "messages", version=VERSION)
    check(good, "batch", version=VERSION)


def test_the_newest_models_do_not_let_the_assistant_speak_last():
    prefilled = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    with pytest.raises(ApiError, match="does not support assistant message prefill"):
        check(params(model="claude-opus-5-5", messages=prefilled), "batch", version=VERSION)


@pytest.mark.parametrize("extra", ["max_tokens", "metadata", "stop_sequences", "stream", "service_tier", "temperature"])
def test_count_tokens_refuses_what_it_does_not_take(simulator, extra):
    asked = {**without("max_tokens"), extra: 1}
    answer = call(simulator, "POST", "/v1/messages/count_tokens", asked)
    assert (answer.status, answer.error[1]) == (400, f"{extra}: Extra inputs are not permitted")


def test_count_tokens_checks_the_shape_of_a_request(simulator):
    with sdk(simulator) as client:
        assert client.messages.count_tokens(model=MODEL, messages=params()["messages"]).input_tokens > 0
        with pytest.raises(anthropic.NotFoundError, match="model: claude-x"):
            client.messages.count_tokens(model="claude-x", messages=params()["messages"])
        with pytest.raises(anthropic.BadRequestError, match="additionalProperties"):
            client.messages.count_tokens(model=MODEL, messages=params()["messages"], output_config=schema())


@pytest.mark.parametrize(
    ("custom_id", "message"),
    [
        ("a b", "requests.1.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"),
        ("é", "requests.1.custom_id: String should match pattern"),
        ("a\n", "requests.1.custom_id: String should match pattern"),
        ("", "requests.1.custom_id: String should have at least 1 character"),
        ("a" * 65, "requests.1.custom_id: String should have at most 64 characters"),
        ("row-0", "requests: custom_id's must be unique within a batch. Duplicate custom_id found: row-0"),
        (7, "requests.1.custom_id: Input should be a valid string"),
        (None, "requests.1.custom_id: Input should be a valid string"),
    ],
)
def test_a_bad_custom_id_refuses_the_whole_batch(simulator, custom_id, message):
    before = len(simulator.record())
    wanted = [*requests(1), {"custom_id": custom_id, "params": params()}]
    answer = call(simulator, "POST", "/v1/messages/batches", {"requests": wanted})
    assert (answer.status, answer.error[0]) == (400, "invalid_request_error")
    assert answer.error[1].startswith(message)
    assert len(simulator.record()) == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "requests: Field required"),
        ({"requests": []}, "requests: List should have at least 1 item"),
        ({"requests": {}}, "requests: Input should be a valid array"),
        ({"requests": ["a"]}, "requests.0: Input should be an object"),
        ({"requests": [{"params": {}}]}, "requests.0.custom_id: Field required"),
        ({"requests": [{"custom_id": "a"}]}, "requests.0.params: Field required"),
        ({"requests": [{"custom_id": "a", "params": {}, "method": "POST"}]}, "requests.0.method: Extra inputs"),
        ({"requests": [], "name": "a"}, "name: Extra inputs are not permitted"),
        ([], "Input should be an object"),
        (b"{", "The request body is not valid JSON"),
        (b"\xff", "The request body is not valid JSON"),
        (b"", "The request body is not valid JSON"),
    ],
)
def test_a_batch_of_a_bad_shape_is_refused(simulator, body, message):
    answer = call(simulator, "POST", "/v1/messages/batches", body)
    assert (answer.status, answer.error[0]) == (400, "invalid_request_error")
    assert answer.error[1].startswith(message)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"type": "object"}, "additionalProperties"),
        ({"properties": {"a": {"type": "string"}}}, "additionalProperties"),
        ({**CLOSED, "properties": {"a": {"type": "object"}}}, "additionalProperties"),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": {"type": "object"}}}}, "additionalProperties"),
        ({"anyOf": [{"type": "null"}, {"type": "object"}]}, "additionalProperties"),
        ({"type": "integer", "minimum": 1}, "property 'minimum' is not supported"),
        ({"type": ["string", "null"], "maxLength": 5}, "property 'maxLength' is not supported"),
        ({"type": "array", "minItems": 2}, "'minItems' values other than 0 or 1"),
        ({"$ref": "https://example.com/schema.json"}, "External $ref"),
        ({"$ref": "#/$defs/nobody"}, "Unable to resolve"),
        ({"$ref": "#"}, "Recursive"),
        ({**CLOSED, "$defs": {"n": {**CLOSED, "properties": {"n": {"$ref": "#/$defs/n"}}}}}, "Recursive"),
    ],
)
def test_structured_outputs_refuse_schemas_they_cannot_keep(bad, message):
    assert message in (complaint(bad) or "")


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "text"},
        {"type": ["string", 5]},
        {"properties": []},
        {"items": [{"type": "string"}]},
        {"required": "a"},
        {"required": [1]},
        {"enum": "a"},
        {"anyOf": {"type": "string"}},
        {"minimum": "1"},
        {"maximum": True},
        {"multipleOf": 0},
        {"minItems": "a"},
        {"$ref": 5},
        {"properties": {"a": {"items": {"minLength": 1.5}}}},
    ],
)
def test_what_is_no_json_schema_is_told_apart_from_one_that_cannot_be_kept(bad):
    assert "must match JSON Schema" in (malformed(bad) or "")


@pytest.mark.parametrize(
    "good",
    [
        {**CLOSED, "properties": {"minimum": {"type": "integer", "enum": [1, 2]}}, "required": ["minimum"]},
        {**CLOSED, "$defs": {"n": CLOSED}, "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}}},
        {"type": "array", "minItems": 1, "items": {"type": "string", "format": "date"}},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"enum": ["a", 1, None]},
    ],
)
def test_structured_outputs_take_ordinary_schemas(good):
    assert malformed(good) is None
    assert complaint(good) is None


def test_half_a_surrogate_pair_is_no_json_and_refuses_the_whole_batch(simulator):
    good = json.dumps({"requests": [*requests(1), {"custom_id": "a", "params": params("?")}]})
    answer = call(simulator, "POST", "/v1/messages/batches", good.replace("?", "\\ud800").encode())
    assert (answer.status, answer.error[0]) == (400, "invalid_request_error")
    assert answer.error[1].startswith("The request body is not valid JSON")
