"""Result lines to outcomes, whatever the server, the network and the model make of them."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchnb.answers.judge import (
    OUTCOMES,
    PAID,
    Answer,
    parse_line,
    read_lines,
    read_result,
    read_values,
    refused_result,
    verdict_of,
)
from batchnb.answers.lines import lines
from batchnb.errors import AmbiguousError
from batchnb.questions.replies.base import Reply, TextReply, ToolReply
from batchnb.questions.replies.labels import LabelReply

DIGEST = bytes.fromhex("00112233445566778899aabbccddeeff")
TEXT, LABELS = TextReply(), LabelReply.of(["good", "bad"])
USAGE = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3, "inference_geo": "us"}


def text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text, "citations": None}


def succeeded(*content: dict[str, Any], stop_reason: str | None = "end_turn", **message: Any) -> dict[str, Any]:
    made = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "usage": USAGE}
    return {"type": "succeeded", "message": {**made, "content": list(content), "stop_reason": stop_reason, **message}}


def errored(kind: str, message: str) -> dict[str, Any]:
    inner = {"type": kind, "message": message}
    return {"type": "errored", "error": {"type": "error", "error": inner, "request_id": "req_1"}}


def line(result: Any, identifier: str = f"row-{DIGEST.hex()}") -> bytes:
    """Write a line as the API does, without spaces."""
    return json.dumps({"custom_id": identifier, "result": result}, separators=(",", ":")).encode()


def written_otherwise(result: Any, identifier: str = f"row-{DIGEST.hex()}") -> list[bytes]:
    """Write the same line in other ways that JSON allows."""
    escaped = line(result, "ID").replace(b"ID", rf"\u{ord(identifier[0]):04x}{identifier[1:]}".encode())
    return [
        json.dumps({"custom_id": identifier, "result": result}).encode(),
        json.dumps({"result": result, "custom_id": identifier}, separators=(",", ":")).encode(),
        json.dumps({"custom_id": identifier, "result": result, "more": 1}, separators=(",", ":")).encode(),
        escaped,
    ]


def read(result: Any, reply: Reply = TEXT) -> tuple[str, Any, str | None, str | None]:
    """Read a result as the ledger's reader and as the frame's, which must agree; give the frame's."""
    answer = parse_line(line(result), {DIGEST: reply})
    assert answer is not None
    for other in written_otherwise(result):
        same = parse_line(other, {DIGEST: reply})
        assert same is not None
        assert json.loads(same.result) == json.loads(answer.result) == result
        assert msgspec.structs.replace(same, result=answer.result) == answer
    outcome, value, message, text = read_result(answer.result, reply)
    assert read_values([answer.result], reply) == ([outcome], [value], [message])
    assert (answer.outcome, answer.error) == (outcome, verdict_of(answer.result, reply).error)
    assert outcome in OUTCOMES
    assert (message is None) == (answer.error is None) == (outcome == "succeeded")
    return outcome, value, message, text


# Lines


@given(
    st.lists(st.sampled_from([b'{"a":1}', b'{"b":"\xed\x95\x9c"}', b"", b" ", b'"%s"' % (b"x" * 90)]), max_size=6),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_any_cutting_of_a_stream_gives_the_same_lines(written, newline, ended, cuts):
    stream = newline.join(written) + (newline if ended else b"")
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert list(itertools.chain.from_iterable(lines(chunks))) == [one for one in written if one.strip()]


def test_a_carriage_return_cut_from_its_newline_is_no_part_of_a_line():
    chunks = [b'{"a":1}\r', b'\n\r\n{"b":2}', b"\r\n"]
    assert list(itertools.chain.from_iterable(lines(chunks))) == [b'{"a":1}', b'{"b":2}']


def test_whole_lines_are_given_before_the_stream_breaks():
    def breaking():
        yield b"one\ntwo\nthr"
        raise ConnectionError

    received = []
    with pytest.raises(ConnectionError):
        received.extend(itertools.chain.from_iterable(lines(breaking())))
    assert received == [b"one", b"two"]


@given(st.integers(0, 3), st.integers(1, 30))
def test_a_stream_that_ends_within_a_line_has_broken_off_after_the_whole_ones(before, cut):
    whole = [line({"type": "expired"}, f"row-{number}") for number in range(before)]
    received = []
    with pytest.raises(AmbiguousError, match="within a line"):
        received.extend(itertools.chain.from_iterable(lines([b"\n".join([*whole, line({"type": "expired"})[:cut]])])))
    assert received == whole


def test_a_last_line_needs_no_newline():
    assert list(lines([b'{"a":1}\n', b"[" * 5000 + b"]" * 5000])) == [[b'{"a":1}'], [b"[" * 5000 + b"]" * 5000]]


# Which request a line answers


@pytest.mark.parametrize("identifier", ["row-1", f"row-{'0' * 32}", f"row{DIGEST.hex()}"])
def test_a_line_for_a_request_that_is_not_ours_is_none(identifier):
    assert parse_line(line(succeeded(text_block("Hi")), identifier), {DIGEST: TEXT}) is None


def test_a_line_is_matched_by_its_digest_whatever_leads_it():
    answer = parse_line(line(succeeded(text_block("Hi")), f"another-key-{DIGEST.hex()}"), {DIGEST: TEXT})
    assert answer is not None
    assert answer.digest == DIGEST


@given(st.permutations(range(12)), st.integers(0, 12), st.booleans())
def test_lines_that_are_read_together_say_what_each_of_them_says(order, many, labelled):
    digests = [bytes([number]) * 16 for number in range(12)]
    reply: Reply = LABELS if labelled else TEXT
    plain = {"input_tokens": 10, "output_tokens": 5, "cache_creation": {"ephemeral_5m_input_tokens": 0}}
    cached = {**plain, "cache_creation": {"ephemeral_1h_input_tokens": 7}}
    made = [
        succeeded(text_block("good"), usage=plain), succeeded(text_block("bad"), usage=plain),
        succeeded(text_block("good"), usage=plain, model="another"), succeeded(text_block("no label"), usage=plain),
        succeeded(text_block("good"), usage={**plain, "inference_geo": "us"}),
        succeeded(text_block("bad"), usage=cached),
        succeeded(text_block("good"), usage={**plain, "cache_read_input_tokens": 3}),
        succeeded(text_block("good"), usage={"input_tokens": -1}), succeeded(text_block("go"), stop_reason="refusal"),
        errored("api_error", "No."), {"type": "expired"}, succeeded(usage=plain),
    ]  # fmt: skip
    written = [line(result, f"{number}-{digests[number].hex()}") for number, result in enumerate(made)]
    written = [written[number] for number in order][:many]
    replies = dict.fromkeys(digests, reply)
    alike, others = read_lines([b"{", *written, line(made[0], "row-1")], replies)
    expected = [parse_line(one, replies) for one in written]
    assert sorted([*alike.one_by_one(), *others], key=digest_of) == sorted(expected, key=digest_of)
    assert all(answer.outcome == "succeeded" and answer.model == alike.model for answer in alike.one_by_one())


def digest_of(answer: Answer) -> bytes:
    return answer.digest


@pytest.mark.parametrize(
    "cut", [b'{"custom_id":"row-', b"<html>", b'{"result":{}}', b'["custom_id"]', b'{"custom_id":7}']
)
def test_what_is_no_result_line_is_an_error(cut):
    with pytest.raises(msgspec.DecodeError):
        parse_line(cut, {DIGEST: TEXT})


@given(st.integers(1, 300))
def test_a_line_cut_anywhere_is_an_error_and_never_another_answer(length):
    whole = line(succeeded(text_block("The answer.")))
    with pytest.raises(msgspec.DecodeError):
        parse_line(whole[: min(length, len(whole) - 1)], {DIGEST: TEXT})


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"cut in \\ud83d", "cut in \ufffd"),
        (b"cut in \xf0\x9f\x98", "cut in \ufffd"),
        (b"a\tb", "a\tb"),
        (b'as ever", "logprob": NaN, "other": "', "as ever"),
        (b'as ever", "logprob": -1e999, "other": "', "as ever"),
    ],
    ids=["half a character", "bytes that are no UTF-8", "a tab", "not a number", "beyond all bounds"],
)
def test_a_paid_reply_that_only_others_take_for_json_is_read(sent, read):
    row = line(succeeded(text_block("TEXT"))).replace(b"TEXT", sent)
    alike, others = read_lines([row], {DIGEST: TEXT})
    assert not alike.digests
    assert [(answer.outcome, answer.input_tokens) for answer in others] == [("succeeded", 10)]
    assert read_result(others[0].result, TEXT)[1] == read
    assert list(lines([row])) == [[row.strip()]], "it has not broken off"


@pytest.mark.parametrize("tokens", [b"NaN", b"1e999", b"null"])
def test_a_count_of_tokens_that_is_none_costs_no_reply(tokens):
    row = line(succeeded(text_block("Hi"))).replace(b'"input_tokens":10', b'"input_tokens":' + tokens)
    (answer,) = read_lines([row], {DIGEST: TEXT})[1]
    assert (answer.outcome, answer.input_tokens, read_result(answer.result, TEXT)[1]) == ("succeeded", 0, "Hi")


def test_a_mark_before_the_first_line_costs_no_row():
    row = line(succeeded(text_block("Hi")))
    assert [answer.outcome for answer in read_lines([b"\xef\xbb\xbf" + row], {DIGEST: TEXT})[1]] == ["succeeded"]


# Outcomes


def test_a_text_is_given_as_it_is():
    assert read(succeeded(text_block("  Tom & <b>\n"))) == ("succeeded", "  Tom & <b>\n", None, "  Tom & <b>\n")


def test_an_answer_carries_model_usage_and_place():
    answer = parse_line(line(succeeded(text_block("Hi"))), {DIGEST: TEXT})
    assert answer is not None
    assert (answer.model, answer.geo) == ("claude-haiku-4-5", "us")
    assert (answer.input_tokens, answer.output_tokens, answer.cache_read) == (10, 5, 3)
    assert json.loads(answer.result) == succeeded(text_block("Hi"))


def test_thinking_and_tools_around_the_text_are_passed_over():
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
    tool = {"type": "server_tool_use", "id": "t", "name": "search", "input": {}}
    outcome, value, _, _ = read(succeeded(thinking, text_block("One. "), tool, text_block("Two.")))
    assert (outcome, value) == ("succeeded", "One. Two.")


def test_a_reply_without_text_is_invalid_and_says_what_it_holds():
    outcome, value, message, text = read(succeeded({"type": "thinking", "thinking": "Hm.", "signature": "x"}))
    assert (outcome, value, text) == ("invalid", None, None)
    assert message is not None
    assert "thinking" in message


def call(name: str, given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": given}


def test_calls_of_tools_are_a_text_where_there_is_no_other():
    calls = [call("look_up", {"q": "é"}), call("stop", {}), call("look_up", {"q": "b"})]
    outcome, value, message, text = read(succeeded(*calls, stop_reason="tool_use"))
    assert (outcome, message, text) == ("succeeded", None, None)
    assert value == '{"look_up": [{"q": "é"}, {"q": "b"}], "stop": {}}'
    assert read(succeeded(calls[1], stop_reason="tool_use"))[1] == '{"stop": {}}'
    assert read(succeeded(text_block("Wait."), calls[1], stop_reason="tool_use"))[1] == "Wait."


def test_calls_of_tools_are_sorted_by_tool_beside_the_text():
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
    calls = [call("look_up", {"q": 1}), call("look_up", {"q": 2}), call("stop", {})]
    tools = ToolReply(("stop", "look_up", "idle"))
    outcome, value, _, text = read(succeeded(thinking, text_block("So."), *calls, stop_reason="tool_use"), tools)
    assert (outcome, text) == ("succeeded", "So.")
    assert value == {"text": "So.", "calls": {"look_up": [{"q": 1}, {"q": 2}], "stop": {}}}
    assert read(succeeded(calls[0], stop_reason="tool_use"), tools)[1] == {"text": None, "calls": {"look_up": {"q": 1}}}
    assert read(succeeded(text_block("Hi")), tools)[:2] == ("succeeded", {"text": "Hi", "calls": {}})
    assert read(succeeded(thinking), tools)[:2] == ("invalid", None)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("other", {}, "the model called 'other', which is none of the tools"),
        ("look_up", None, "with no object as its input"),
        ("look_up", {"q": [{"n": 2**64}]}, "look_up: 18446744073709551616 has more than 64 bits"),
    ],
)
def test_a_call_that_no_tool_takes_is_invalid(name, given, said):
    outcome, value, message, _ = read(succeeded(call(name, given), stop_reason="tool_use"), ToolReply(("look_up",)))
    assert (outcome, value) == ("invalid", None)
    assert said in message


def test_a_cut_reply_keeps_its_text_and_none_of_its_calls():
    cut = succeeded(text_block("So."), call("look_up", {}), stop_reason="max_tokens")
    assert read(cut, ToolReply(("look_up",)))[:2] == ("invalid", {"text": "So.", "calls": {}})


@pytest.mark.parametrize("content", [[], [text_block('{"label":"good"}')]])
def test_a_label_is_not_taken_from_a_reply_that_calls_a_tool(content):
    result = succeeded(*content, call("look_up", {}), stop_reason="tool_use")
    outcome, value, message, _ = read(result, LABELS)
    assert (outcome, value) == ("invalid", None)
    assert message == "the model called the tool 'look_up' instead of answering"
    assert verdict_of(json.dumps(result).encode(), LABELS).error == "tool_use"


def test_an_empty_reply_is_invalid():
    assert read(succeeded())[0] == "invalid"


@pytest.mark.parametrize("stop_reason", ["refusal", "max_tokens", "model_context_window_exceeded", "pause_turn"])
def test_an_unfinished_reply_is_invalid_and_keeps_its_text(stop_reason):
    outcome, value, message, text = read(succeeded(text_block("I can"), stop_reason=stop_reason))
    assert (outcome, value, text) == ("invalid", "I can", "I can")
    assert message


def test_a_cut_reply_is_no_label_even_where_its_text_happens_to_fit():
    outcome, value, _, text = read(succeeded(text_block('{"label":"good"}'), stop_reason="max_tokens"), LABELS)
    assert (outcome, value, text) == ("invalid", None, '{"label":"good"}')


def test_a_refusal_without_text_is_invalid():
    assert read(succeeded(stop_reason="refusal"))[:2] == ("invalid", None)


@pytest.mark.parametrize("stop_reason", ["end_turn", "stop_sequence", None, "a reason of the future"])
def test_any_other_stop_reason_is_an_answer(stop_reason):
    assert read(succeeded(text_block("Hi"), stop_reason=stop_reason))[:2] == ("succeeded", "Hi")


def test_a_label_is_taken_out_of_the_reply():
    assert read(succeeded(text_block('{"label": "good"}')), LABELS)[:2] == ("succeeded", "good")


@pytest.mark.parametrize("said", ["good", '{"label":"great"}', '{"label":["good"]}', '["good"]', "", "{", "null"])
def test_a_reply_that_is_none_of_the_labels_is_invalid_and_kept(said):
    outcome, value, message, text = read(succeeded(text_block(said)), LABELS)
    assert (outcome, value, text) == ("invalid", None, said)
    assert message


def test_an_error_is_read_through_both_its_envelopes():
    result = errored("invalid_request_error", "messages.0: too long")
    assert read(result)[:3] == ("errored", None, "invalid_request_error: messages.0: too long")
    assert verdict_of(json.dumps(result).encode(), TEXT).error == "invalid_request_error"


@pytest.mark.parametrize("kind", ["canceled", "expired", "missing"])
def test_a_row_that_was_not_answered_says_why(kind):
    outcome, value, message, _ = read({"type": kind})
    assert (outcome, value) == (kind, None)
    assert message


def test_a_result_of_a_type_nobody_knows_is_an_error_that_names_it():
    outcome, _, message, _ = read({"type": "paused", "note": {}})
    assert outcome == "errored"
    assert message is not None
    assert "paused" in message


@pytest.mark.parametrize(
    "result",
    [
        {"type": "succeeded"},
        succeeded(text_block("Hi"), content=None),
        succeeded({"type": "text", "text": {}}),
        None,
        [],
    ],
)
def test_a_result_of_another_form_costs_its_own_row_and_is_never_bought_again(result):
    outcome, _, message, _ = read(result)
    assert outcome in PAID
    assert outcome == "invalid"
    assert message


@pytest.mark.parametrize("error", [None, "overloaded", {"type": "error"}, {"type": "error", "error": {"type": None}}])
def test_an_error_of_another_form_is_still_an_error(error):
    assert read({"type": "errored", "error": error})[0] == "errored"


def test_null_usage_counts_nothing():
    answer = parse_line(line(succeeded(text_block("Hi"), usage=None)), {DIGEST: TEXT})
    assert answer is not None
    assert (answer.outcome, answer.input_tokens) == ("succeeded", 0)


def test_a_refusal_of_a_whole_batch_reads_like_one_of_its_rows():
    raw = refused_result("billing_error", 'Your "credit" balance is too low')
    assert read_result(raw, TEXT) == ("errored", None, 'billing_error: Your "credit" balance is too low', None)
    assert verdict_of(raw, TEXT).error == "billing_error"
    assert json.loads(raw)["error"]["error"]["type"] == "billing_error"
