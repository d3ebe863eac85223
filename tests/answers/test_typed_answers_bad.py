"""Ten thousand replies, with every kind of bad one among them: each bad row is named, and each good one typed."""

from __future__ import annotations

import json
import random
from typing import Any

import anthropic
import pandas as pd
import pytest
from typed_fixtures import DTYPES, REVIEW_SCHEMA, SCHEMAS, review

from batchnb.answers.judge import read_result, verdict_of
from batchnb.answers.new_columns import Columns
from batchnb.questions.replies.reply import reply_from_spec, reply_of

REPLY = reply_of(schema=REVIEW_SCHEMA, transform=anthropic.transform_schema)


def succeeded(*content: dict[str, Any], stop_reason: str = "end_turn") -> bytes:
    message = {"model": "claude-haiku-4-5", "content": list(content), "stop_reason": stop_reason, "usage": {}}
    return json.dumps({"type": "succeeded", "message": message}).encode()


def said(text: str, stop_reason: str = "end_turn") -> bytes:
    return succeeded({"type": "text", "text": text}, stop_reason=stop_reason)


def answered(number: int, **changed: Any) -> bytes:
    return said(json.dumps(review(number, **changed)))


def without(number: int, name: str) -> bytes:
    return said(json.dumps({key: value for key, value in review(number).items() if key != name}))


THOUGHT = {"type": "thinking", "thinking": json.dumps(review(1)), "signature": "x"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": review(1)}

#: Each kind of bad reply: how it comes, the kind of failure, and what its row says.
BAD = {
    "refusal": (lambda n: said("I cannot.", "refusal"), "refusal", "the model refused to answer"),
    "cut": (lambda n: said(json.dumps(review(n)), "max_tokens"), "max_tokens", "the reply was cut at max_tokens"),
    "tool": (lambda n: succeeded(CALL, stop_reason="tool_use"), "tool_use",
             "the model called the tool 'look_up' instead of answering"),
    "text and tool": (
        lambda n: succeeded({"type": "text", "text": json.dumps(review(n))}, CALL, stop_reason="tool_use"), "tool_use",
        "the model called the tool 'look_up' instead of answering"),
    "no JSON": (lambda n: said("Here is the review: great."), "misfit", "the reply is not JSON"),
    "no object": (lambda n: said("[1, 2]"), "misfit", "[1, 2] is not an object"),
    "wrong type": (lambda n: answered(n, stars="five"), "misfit", 'stars: "five" is not a whole number'),
    "half a star": (lambda n: answered(n, stars=4.5), "misfit", "stars: 4.5 is not a whole number"),
    "true for a number": (lambda n: answered(n, share=True), "misfit", "share: true is not a number"),
    "number for a text": (lambda n: answered(n, summary=7), "misfit", "summary: 7 is not text"),
    "missing field": (lambda n: without(n, "recommends"), "misfit", "recommends: missing from the reply"),
    "extra field": (lambda n: answered(n, colour="red"), "misfit", "colour: no field of this name was asked for"),
    "too much": (lambda n: answered(n, stars=11), "misfit", "stars: 11 is more than 5"),
    "too little": (lambda n: answered(n, stars=0), "misfit", "stars: 0 is less than 1"),
    "not more": (lambda n: answered(n, price=0), "misfit", "price: 0 is not more than 0"),
    "too long": (lambda n: answered(n, summary="x" * 81), "misfit", "summary: its 81 characters are more than 80"),
    "too short": (lambda n: answered(n, summary=""), "misfit", "summary: its 0 characters are fewer than 1"),
    "pattern": (lambda n: answered(n, code="ab1"), "misfit", 'code: "ab1" does not fit the pattern ^[A-Z]{2}[0-9]{3}$'),
    "enum": (lambda n: answered(n, mood="furious"), "misfit", 'mood: "furious" is none of "glad", "calm", "cross"'),
    "date": (lambda n: answered(n, bought_on="2026-02-30"), "misfit",
             'bought_on: "2026-02-30" is not a date such as 2026-01-31'),
    "no date": (lambda n: answered(n, seen_at="last week"), "misfit", 'seen_at: "last week" is not a time such as'),
    "before all time": (lambda n: answered(n, seen_at="0001-01-01T00:00:00+14:00"), "misfit", "seen_at: "),
    "null": (lambda n: answered(n, recommends=None), "misfit", "recommends: null is not true or false"),
    "too many": (lambda n: answered(n, tags=["a"] * 4), "misfit", "tags: its 4 items are more than 3"),
    "one tag": (lambda n: answered(n, tags=["a", 7]), "misfit", "tags[1]: 7 is not text"),
    "within": (lambda n: answered(n, address={"code": "x"}), "misfit", "address.city: missing from the reply"),
    "deep": (lambda n: answered(n, parts=[{"city": "a"}, {"city": []}]), "misfit", "parts[1].city: [] is not text"),
    "64 bits": (lambda n: answered(n, helpful=2**63), "misfit", "helpful: 9223372036854775808 has more than 64 bits"),
    "infinity": (lambda n: said(json.dumps(review(n, share=float("inf")))), "misfit", "the reply is not JSON"),
    "1e999": (lambda n: said(json.dumps(review(n, share=7654321)).replace("7654321", "1e999")), "misfit", "not JSON"),
    "a long number": (lambda n: said('{"share":' + "9" * 5000 + "}"), "misfit", "the reply is not JSON"),
    "depth": (lambda n: said("[" * 100_000), "misfit", "the reply is not JSON"),
    "half a character": (lambda n: answered(n, summary="\ud800"), "misfit", "the reply is not JSON"),
    "empty": (lambda n: said(""), "misfit", "the reply is empty"),
    "thinking": (lambda n: succeeded(THOUGHT), "no_text", "the reply holds no text (it holds: thinking)"),
    "nothing": (lambda n: succeeded(), "no_text", "the reply holds no text (it holds: nothing)"),
    "unreadable": (lambda n: b'{"type": "succeeded", "message": {"content": 7}}', "unreadable", "not of the form"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_reply_says_what_is_wrong_and_is_kept(kind):
    make, error, message = BAD[kind]
    raw = make(3)
    outcome, value, told, _ = read_result(raw, REPLY)
    assert (outcome, value, verdict_of(raw, REPLY).error) == ("invalid", None, error)
    assert message in told
    assert len(told) < 300


#: One in twenty of each; the rest are good.
COMMON = (
    "refusal", "cut", "tool", "no JSON", "wrong type", "missing field", "extra field", "too much", "too long",
    "pattern", "enum", "date", "null", "empty", "thinking", "unreadable",
)  # fmt: skip


@pytest.mark.parametrize(("name", "rows"), [("model", 10_000), ("dataclass", 500), ("typeddict", 500), ("dict", 500)])
def test_every_bad_row_is_named_and_every_good_one_typed(name, rows):
    reply = reply_of(schema=SCHEMAS[name], transform=anthropic.transform_schema)
    kinds = [*COMMON * (rows // 20), *[None] * (rows - rows // 20 * len(COMMON))]
    random.Random(7).shuffle(kinds)
    columns = Columns(reply_from_spec(json.loads(json.dumps(reply.spec()))), "review")
    for number, kind in enumerate(kinds):
        columns.add(answered(number) if kind is None else BAD[kind][0](number), None, asked=True)
    frame = pd.DataFrame(columns.arrays())

    assert len(frame) == rows
    assert {column: str(dtype) for column, dtype in frame.dtypes.items()} == {
        **DTYPES, "review_status": "string", "review_error": "string"
    }  # fmt: skip
    bad = pd.Series([kind is not None for kind in kinds])
    assert (frame["review_status"] == "invalid").tolist() == bad.tolist()
    assert (frame["review_status"] == "succeeded").tolist() == (~bad).tolist()
    for number, (kind, told) in enumerate(zip(kinds, frame["review_error"], strict=True)):
        assert (told is pd.NA) if kind is None else (BAD[kind][2] in told), (number, kind, told)
    assert frame.loc[bad, list(DTYPES)].isna().all(axis=None)
    for column in ("summary", "stars", "price", "recommends", "mood", "channel", "code", "tags", "helpful", "address"):
        got = frame.loc[~bad, column].astype(object)
        wanted = [review(number)[column] for number in got.index]
        assert [None if value is pd.NA or value is None else value for value in got.tolist()] == wanted, column
    seen = frame.loc[~bad, "seen_at"]
    assert seen.tolist() == [pd.Timestamp(review(number)["seen_at"]) for number in seen.index]
    assert frame["mood"].cat.categories.tolist() == ["glad", "calm", "cross"]
