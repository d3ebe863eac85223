"""Messages, token counts and models on the simulator, and the responders that answer."""

import http.client
import threading

import anthropic
import pytest
from anthropic.types import Model
from simulation import MODEL, call, params, requests, results, run, sdk

from batchnb.sim import Reply, Simulator

pytestmark = pytest.mark.steady


pytestmark = pytest.mark.simulator(shared=True)


WEATHER = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
}


def test_a_message_is_answered_at_once_on_the_standard_tier(client):
    message = client.messages.create(**params("Echo: good morning"))
    assert message.content[0].text == "good morning"
    assert message.id.startswith("msg_01")
    assert message.model == "claude-haiku-4-5-20251001", "an alias is resolved"
    assert message.usage.service_tier == "standard"
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


@pytest.mark.parametrize(
    "asked",
    [
        params("Echo: " + "a long text with ümläuts 한국어 and 🎉, " * 10),
        params("What is the weather in Oslo?", tools=[WEATHER], tool_choice={"type": "tool", "name": "weather"}),
        params(
            "Echo: hm", model="claude-haiku-4-5", max_tokens=4000, thinking={"type": "enabled", "budget_tokens": 1024}
        ),
        params("Echo: one END two", stop_sequences=["END"]),
    ],
    ids=["text", "tool", "thinking", "stop sequence"],
)
def test_a_streamed_message_adds_up_to_the_whole_one(client, asked):
    asked = {"max_tokens": 500, **asked}
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        kinds = {event.type for event in stream}
        streamed = stream.get_final_message()
    assert {"message_start", "content_block_start", "content_block_delta", "message_stop"} <= kinds
    for name in ("model", "stop_reason", "stop_sequence", "role"):
        assert getattr(streamed, name) == getattr(whole, name)
    assert [_essence(block) for block in streamed.content] == [_essence(block) for block in whole.content]
    assert streamed.usage.output_tokens == whole.usage.output_tokens


def _essence(block):
    return {name: getattr(block, name, None) for name in ("type", "text", "thinking", "signature", "name", "input")}


def test_a_stream_is_made_of_server_sent_events(simulator):
    answer = call(simulator, "POST", "/v1/messages", params(stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    first, second, *_ = answer.body.split(b"\n\n")
    assert first.startswith(b'event: message_start\ndata: {"type":"message_start","message":{')
    assert second == b'event: ping\ndata: {"type":"ping"}'
    assert answer.body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


def test_a_structured_output_fits_its_schema_and_a_forced_tool_gets_a_fitting_input(client):
    labels = {"type": "string", "enum": ["positive", "negative"]}
    layout = {"type": "object", "properties": {"l": labels}, "required": ["l"], "additionalProperties": False}
    answer = client.messages.create(
        **params("I love it", output_config={"format": {"type": "json_schema", "schema": layout}})
    )
    assert answer.content[0].text in ('{"l":"positive"}', '{"l": "positive"}')
    answer = client.messages.create(**params("Oslo?", tools=[WEATHER], tool_choice={"type": "any"}))
    (block,) = answer.content
    assert (block.type, block.name, answer.stop_reason) == ("tool_use", "weather", "tool_use")
    assert isinstance(block.input["city"], str)


def test_count_tokens_agrees_with_the_usage_of_the_answer(client):
    counted = client.messages.count_tokens(model=MODEL, messages=params()["messages"])
    assert counted.input_tokens == client.messages.create(**params()).usage.input_tokens


def cached(number, ttl="1h"):
    mark = {"type": "ephemeral", "ttl": ttl}
    system = [{"type": "text", "text": "Rules. " * 4000, "cache_control": mark}]
    return {"custom_id": f"r{number}", "params": params(f"Echo: {number}", model="claude-opus-5-5", system=system)}


def test_a_marked_prefix_is_written_to_the_cache_once_and_mostly_read_afterwards():
    with Simulator(delay=(0.0, 0.0), seed=1) as simulator, sdk(simulator) as client:
        batch = run(client, [cached(i) for i in range(40)])
        usages = [result.message.usage for result in results(client, batch.id).values()]
    written = [usage for usage in usages if usage.cache_creation_input_tokens]
    read = [usage for usage in usages if usage.cache_read_input_tokens]
    assert len(written) + len(read) == 40
    assert 1 <= len(written) < len(read)
    assert {usage.cache_creation.ephemeral_1h_input_tokens for usage in written} == {read[0].cache_read_input_tokens}
    assert max(usage.input_tokens for usage in usages) < 50, "what is cached is counted apart"


def test_a_prefix_that_is_too_short_is_silently_not_cached(client):
    mark = {"type": "ephemeral"}
    usage = client.messages.create(**params(system=[{"type": "text", "text": "Rules.", "cache_control": mark}])).usage
    assert (usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (0, 0)


def test_models_are_listed_newest_first_in_pages_and_retired_ones_on_request(client):
    models = list(client.models.list(limit=5))
    assert [model.created_at for model in models] == sorted((model.created_at for model in models), reverse=True)
    assert {model.lifecycle for model in models} == {"active", "deprecated"}
    retired = client.models.list(lifecycle=["retired"]).data
    assert retired
    assert {model.lifecycle for model in retired} == {"retired"}
    newest = client.models.list(limit=3)
    assert newest.has_more
    back = client.models.list(limit=2, before_id=newest.data[2].id)
    assert [model.id for model in back.data] == [model.id for model in newest.data[:2]]
    assert not back.has_more


def test_a_model_tells_what_it_can_do(client):
    model = client.models.retrieve("claude-haiku-4-5")
    assert model.id == "claude-haiku-4-5-20251001"
    assert model.capabilities.batch.supported
    assert model.capabilities.structured_outputs.supported
    assert (model.max_tokens, model.max_input_tokens) == (64_000, 200_000)
    with pytest.raises(anthropic.NotFoundError, match="model: claude-x"):
        client.models.retrieve("claude-x")


def test_every_model_that_the_sdk_names_is_known(client):
    from typing import get_args

    for name in get_args(get_args(Model)[0]):
        assert client.models.retrieve(name).display_name


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("plain", "plain"),
        ({"label": "good", "n": 1}, '{"label":"good","n":1}'),
        (Reply([{"type": "text", "text": "whole"}], "end_turn", 3, 5), "whole"),
    ],
)
def test_a_responder_may_return_a_text_a_dict_or_a_reply(given, text):
    with Simulator(delay=(0.0, 0.0), responder=lambda asked: given) as simulator, sdk(simulator) as client:
        batch = run(client, requests(2))
        answers = [result.message for result in results(client, batch.id).values()]
        assert {answer.content[0].text for answer in answers} == {text}
        assert client.messages.create(**params()).content[0].text == text


def test_a_responder_sees_the_params_and_is_asked_once_for_each_row():
    asked = []

    def responder(request):
        asked.append(request["messages"][0]["content"])
        return request["messages"][0]["content"].upper()

    with Simulator(delay=(0.0, 0.0), responder=responder) as simulator, sdk(simulator) as client:
        batch = run(client, requests(3))
        for _ in range(2):
            assert results(client, batch.id)["row-1"].message.content[0].text == "ECHO: TEXT 1"
    assert sorted(asked) == [f"Echo: text {i}" for i in range(3)]


def test_a_responder_that_raises_makes_an_error_of_the_row():
    def responder(request):
        if request["messages"][0]["content"].endswith("1"):
            raise LookupError("no such word")
        return None if request["messages"][0]["content"].endswith("2") else "fine"

    with Simulator(delay=(0.0, 0.0), responder=responder) as simulator, sdk(simulator) as client:
        batch = run(client, requests(3))
        rows = results(client, batch.id)
    assert rows["row-0"].type == "succeeded"
    assert rows["row-1"].error.error.type == "api_error"
    assert "LookupError: no such word" in rows["row-1"].error.error.message
    assert "a responder returns str, dict or Reply, not NoneType" in rows["row-2"].error.error.message


def test_a_call_that_is_still_being_answered_when_the_simulator_stops_gets_no_answer(caplog):
    asked, go_on, caught = threading.Event(), threading.Event(), []

    def slow(params):
        asked.set()
        go_on.wait(20)
        return "late"

    def ask():
        with pytest.raises(http.client.RemoteDisconnected) as closed:
            call(simulator, "POST", "/v1/messages", params())
        caught.append(closed)

    with Simulator(responder=slow) as simulator:
        client = threading.Thread(target=ask)
        client.start()
        assert asked.wait(20)
    go_on.set()
    client.join()
    assert len(caught) == 1
    assert [entry.getMessage() for entry in caplog.records if entry.levelname == "ERROR"] == []


def test_a_reply_that_cannot_be_written_as_json_is_an_error_of_the_call(caplog):
    with Simulator(responder=lambda asked: "half a pair: \ud800") as simulator:
        answer = call(simulator, "POST", "/v1/messages", params())
    assert (answer.status, answer.error[0]) == (500, "api_error")


def test_a_stop_sequence_ends_the_text_of_a_responder_that_does_not_know_it():
    with Simulator(responder=lambda asked: "one STOP two") as simulator, sdk(simulator) as client:
        message = client.messages.create(**params(stop_sequences=["two", "STOP"]))
    assert (message.content[0].text, message.stop_reason, message.stop_sequence) == ("one ", "stop_sequence", "STOP")
