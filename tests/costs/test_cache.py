"""What the rows share is marked for the prompt cache; whether that pays; when the cache is filled. Values only."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from fake_job import HOSTILE, ended, running
from hypothesis import given, settings
from hypothesis import strategies as st

from batchnb.costs.cache import (
    ASSUMED,
    FEW,
    MOST_FIRST,
    PATIENCE,
    Choice,
    Sending,
    break_even,
    choose,
    is_worth_counting,
    minimum,
    readiness,
    relative_cost,
)
from batchnb.costs.delivery import LIFETIMES
from batchnb.costs.prices import load_prices
from batchnb.display.job.html import summary_html
from batchnb.display.job.text import summary_text
from batchnb.display.snapshot import Caching
from batchnb.questions.bodies import join_items
from batchnb.questions.cache_marks import MARK_BYTES, Shared, marked, marked_items, shared_of
from batchnb.questions.envelope import Envelope, blocks_of, canonical, content_of, encode

MODEL = "claude-haiku-4-5"
HAIKU = load_prices().prices[MODEL]
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
SCHEMA = {"type": "object", "properties": {"reason": {"type": "string"}, "label": {"enum": ["b", "a"]}}}
TOOLS = [{"name": "one", "input_schema": SCHEMA}, {"name": "two", "input_schema": {"type": "object"}}]
TURNS = [{"role": "user", "content": "good"}, {"role": "assistant", "content": "positive"}]
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "long"}}


def envelope(slot: str = "content", *, turns: Any = (), blocks: Any = (), **shared: Any) -> Envelope:
    return Envelope.around({"model": MODEL, "max_tokens": 64, **shared}, slot, turns=turns, blocks=blocks)


def sent(around: Envelope, row: Any = "the row", lifetime: str = "1h") -> dict[str, Any]:
    """Return the params of a row as they are sent with a cache."""
    head, tail = marked(around.head, around.tail, lifetime)
    content = blocks_of(row) if isinstance(row, list) else content_of(row)
    return json.loads(head + content.sent + tail)


# Marks


def test_the_last_shared_block_before_the_row_is_marked():
    begun = envelope("blocks", turns=TURNS, blocks=[DOCUMENT, {"type": "text", "text": "Read it."}], system="Be brief.")
    params = sent(begun, [{"type": "text", "text": "the row"}])
    first, last, row = params["messages"][-1]["content"]
    assert (first, last, row) == (
        DOCUMENT,
        {"type": "text", "text": "Read it.", **HOUR},
        {"type": "text", "text": "the row"},
    )
    assert json.dumps(params).count("cache_control") == 1

    after_turns = sent(envelope(turns=TURNS, system="Be brief.", tools=TOOLS))
    assert after_turns["messages"][1]["content"] == [{"type": "text", "text": "positive", **HOUR}]
    assert json.dumps(after_turns).count("cache_control") == 1

    system = sent(envelope(system="Be brief.", tools=TOOLS), lifetime="5m")
    assert system["system"] == [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "5m"}}
    ]
    assert system["tools"] == TOOLS

    assert sent(envelope(tools=TOOLS))["tools"] == [TOOLS[0], {**TOOLS[1], **HOUR}]
    messages = sent(envelope("messages", system="Be brief."), {"role": "user"})
    assert messages["system"][0]["cache_control"] == HOUR["cache_control"]


def test_a_block_that_takes_no_mark_leaves_it_to_the_one_before():
    thought = {"role": "assistant", "content": [{"type": "text", "text": "hm"}, {"type": "thinking", "thinking": "x"}]}
    assert sent(envelope(turns=[TURNS[0], thought]))["messages"][1]["content"][0]["cache_control"]
    assert sent(envelope(system=[{"type": "text", "text": " "}], tools=TOOLS))["tools"][1]["cache_control"]
    late = {"name": "late", "input_schema": {"type": "object"}, "defer_loading": True}
    assert [tool.get("cache_control") for tool in sent(envelope(tools=[TOOLS[0], late]))["tools"]] == [
        HOUR["cache_control"], None
    ]  # fmt: skip


@pytest.mark.parametrize(
    "around",
    [
        envelope(),
        envelope("params", system="Be brief."),
        envelope(system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]),
        envelope(system="Be brief.", cache_control={"type": "ephemeral"}),
        envelope(system="Be brief.", tools=[{**TOOLS[0], "cache_control": {"type": "ephemeral"}}]),
    ],
    ids=["nothing shared", "whole params", "a system block marked", "marked on top", "a tool marked"],
)
def test_what_shares_nothing_or_has_marks_of_its_own_is_left_as_it_is(around):
    assert marked(around.head, around.tail, "1h") == (around.head, around.tail)
    assert isinstance(shared_of(around.head, around.tail), str)


def test_a_tools_property_of_that_name_is_no_mark():
    tool = {"name": "t", "input_schema": {"type": "object", "properties": {"cache_control": {"type": "string"}}}}
    assert sent(envelope(tools=[tool]))["tools"] == [{**tool, **HOUR}]


def test_the_order_of_a_schemas_properties_is_kept():
    params = sent(envelope(system="Be brief.", tools=TOOLS, output_config={"format": {"schema": SCHEMA}}))
    assert list(params["output_config"]["format"]["schema"]["properties"]) == ["reason", "label"]
    assert list(params["tools"][0]["input_schema"]["properties"]) == ["reason", "label"]


def test_text_that_looks_like_the_place_of_the_row_is_only_text():
    around = envelope(system="the row", turns=[{"role": "user", "content": "the row."}])
    assert sent(around, "me")["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "the row.", **HOUR}]}, {"role": "user", "content": "me"}
    ]  # fmt: skip


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, width=32) | texts
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(texts, scalars, max_size=3)
schemas = st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(texts, values, max_size=4)})
text_blocks = st.fixed_dictionaries({"type": st.just("text"), "text": texts}, optional={"citations": values})
contents = texts | st.lists(text_blocks, min_size=1, max_size=3)
tools = st.lists(st.fixed_dictionaries({"name": texts, "input_schema": schemas}, optional={"strict": st.booleans()}))
turns = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": contents}), max_size=3
)
shared = st.fixed_dictionaries(
    {"model": st.just(MODEL)}, optional={"system": contents, "tools": tools, "metadata": values, "zoo": schemas}
)


def unmarked(value: Any) -> Any:
    """Take marks away, and write a block that is only text as text, which asks the same."""
    if isinstance(value, dict):
        rest = {name: unmarked(item) for name, item in value.items() if not (name == "cache_control" and item)}
        return {name: as_text(item) if name in ("system", "content") else item for name, item in rest.items()}
    return [unmarked(item) for item in value] if isinstance(value, list) else value


def as_text(value: Any) -> Any:
    one = value[0] if isinstance(value, list) and len(value) == 1 else None
    return one["text"] if isinstance(one, dict) and set(one) == {"type", "text"} and one["type"] == "text" else value


@settings(max_examples=150, deadline=None)
@given(
    shared,
    turns,
    st.lists(text_blocks, max_size=2),
    st.sampled_from(["content", "blocks", "messages"]),
    texts,
    st.booleans(),
)
def test_params_are_equal_but_for_the_mark_and_the_digest_is_the_same(shared, turns, blocks, slot, row, hour):
    around = Envelope.around(shared, slot, turns=turns, blocks=blocks if slot == "blocks" else ())
    content = blocks_of([{"type": "text", "text": row}]) if slot == "blocks" else content_of(row)
    plain = around.head + content.sent + around.tail
    head, tail = marked(around.head, around.tail, "1h" if hour else "5m")
    whole = head + content.sent + tail
    assert unmarked(json.loads(whole)) == unmarked(json.loads(plain))
    assert unmarked(canonical(json.loads(whole))) == unmarked(canonical(json.loads(plain)))
    assert len(whole) <= len(plain) + MARK_BYTES
    count = whole.count(b'"cache_control":{') - plain.count(b'"cache_control":{')
    assert count == isinstance(shared_of(around.head, around.tail), Shared)
    if count:
        first = json.dumps(json.loads(whole), sort_keys=False)
        assert first == json.dumps(json.loads(encode(json.loads(whole)))), "names come in the order requests have"
    # What is digested is kept apart from what is sent: marks never come near it.
    assert Envelope(head, tail, around.asked_head, around.asked_tail).digest(content) == around.digest(content)


@settings(max_examples=100, deadline=None)
@given(shared, turns)
def test_marking_twice_changes_nothing_more(shared, turns):
    around = Envelope.around(shared, "content", turns=turns)
    once = marked(around.head, around.tail, "1h")
    assert marked(*once, "5m") == once


def test_rows_with_marks_of_their_own_are_left_alone_and_the_others_marked():
    around = envelope(system="Be brief.")
    own = content_of([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}])
    said = content_of('they said "cache_control":{} in a text')
    items = [(str(i), bytes(16), around.head, content.sent, around.tail) for i, content in enumerate((own, said))]
    first, second = (entry["params"] for entry in json.loads(join_items(marked_items(items, "1h")))["requests"])
    assert first == json.loads(around.head + own.sent + around.tail)
    assert second == sent(around, 'they said "cache_control":{} in a text')


# What is shared


def test_the_shared_part_is_counted_with_the_least_a_row_can_be():
    found = shared_of(*parts(envelope("blocks", blocks=[DOCUMENT], turns=TURNS, system="Be brief.", tools=TOOLS)))
    assert isinstance(found, Shared)
    assert found.counted == {
        "model": MODEL, "system": "Be brief.", "tools": TOOLS,
        "messages": [*TURNS, {"role": "user", "content": [DOCUMENT, {"type": "text", "text": "."}]}],
    }  # fmt: skip
    assert found.least == {"model": MODEL, "messages": [{"role": "user", "content": "."}]}
    assert found.text_bytes is None

    text = shared_of(*parts(envelope(system="Be brief.", turns=TURNS)))
    assert isinstance(text, Shared)
    assert text.text_bytes is not None
    assert text.text_bytes >= len("Be brief.goodpositive")


def parts(around: Envelope) -> tuple[bytes, bytes]:
    before = copy.deepcopy(around)
    assert before == around
    return around.head, around.tail


# Whether it pays


def chosen(
    asked: str = "auto", *, model: str = MODEL, tokens: int | None = 5210, requests: int = 200, size: int = 20_000,
    plain: bool = True, earlier: dict[str, float] | None = None,
) -> Choice:  # fmt: skip
    price = load_prices().price(model) or load_prices().default
    return choose(asked, model, size if plain else None, tokens, requests, price, earlier or {})


def test_break_even_is_where_reading_pays_for_writing():
    assert round(break_even("1h", HAIKU), 3) == 0.526
    assert round(break_even("5m", HAIKU), 3) == 0.217
    cheap = load_prices().prices["claude-fable-5-1"]
    assert round(break_even("1h", cheap), 3) == round(1 / 1.975, 3)


@given(st.sampled_from(sorted(LIFETIMES)), st.integers(1, 10**6), st.floats(0, 1))
def test_a_cache_costs_more_with_fewer_hits_and_never_pays_for_one_request(lifetime, requests, hit_rate):
    cost = relative_cost(lifetime, requests, hit_rate, HAIKU)
    assert (
        relative_cost(lifetime, requests, 1.0, HAIKU) - 1e-9
        <= cost
        <= relative_cost(lifetime, requests, 0.0, HAIKU) + 1e-9
    )
    assert relative_cost(lifetime, 1, hit_rate, HAIKU) > 1
    if abs(hit_rate - break_even(lifetime, HAIKU)) > 1e-3:
        many = relative_cost(lifetime, 10**6, hit_rate, HAIKU)
        assert (many < 1) == (hit_rate > break_even(lifetime, HAIKU))


def test_auto_takes_an_hour_where_many_requests_share_much_and_says_why():
    found = chosen()
    assert (found.cache, found.fills, found.shared_tokens, found.warning) == ("1h", True, 5210, None)
    assert found.why == (
        "cache: 1 hour; 200 requests with 5,210 shared tokens; it pays from a hit rate of 53%, assumed 64%"
    )


def test_auto_leaves_small_jobs_and_small_gains_alone():
    assert [chosen(requests=count).cache for count in (1, 2, 5, 10, 12, 1000)] == [None, None, None, None, "1h", "1h"]
    assert chosen(requests=1).why == (
        "no cache: 1 request with 5,210 shared tokens; a cache of 5 minutes pays from a hit rate of 22%, assumed 30%: "
        "too little to gain with so many requests"
    )


def test_auto_learns_from_earlier_jobs():
    assert chosen(earlier={"1h": 0.4}).cache is None
    assert chosen(earlier={"1h": 0.4, "5m": 0.9}).cache == "5m"
    found = chosen(earlier={"1h": 0.92})
    assert found.cache == "1h"
    assert found.why.endswith("it pays from a hit rate of 53%, earlier jobs of this model had 92%")


def test_a_shared_part_below_the_minimum_is_said_with_the_number_missing():
    assert chosen(tokens=310).why == (
        "no cache: the shared part has 310 tokens, claude-haiku-4-5 caches from 4,096: 3,786 are missing"
    )
    assert chosen(tokens=4_095).cache is None
    assert chosen(tokens=4_096).cache == "1h"
    asked = chosen("1h", tokens=310)
    assert (asked.cache, asked.fills) == ("1h", False)
    assert asked.warning is not None
    assert "3,786 are missing" in asked.warning


def test_a_short_text_is_not_counted_and_still_said_to_be_short():
    short, long = 4_095, 4_096
    assert not is_worth_counting("auto", MODEL, short)
    assert is_worth_counting("auto", MODEL, long)
    assert is_worth_counting("auto", MODEL, None), "a link to a document has more tokens than bytes"
    assert is_worth_counting("1h", MODEL, short)
    assert not is_worth_counting("auto", "claude-unheard-of", long)
    assert chosen(tokens=None, size=300).why == (
        "no cache: the shared part has at most 300 tokens, claude-haiku-4-5 caches from 4,096: "
        "at least 3,796 are missing"
    )


def test_what_is_not_known_is_said_and_only_an_explicit_wish_is_marked_all_the_same():
    unheard = chosen(model="claude-unheard-of", tokens=None)
    assert (unheard.cache, unheard.fills) == (None, False)
    assert unheard.why == (
        "no cache: the tokens of the shared part are not known, and from how many on claude-unheard-of caches is not "
        'known (cache="1h" marks it all the same)'
    )
    for tokens in (None, 100):
        wanted = chosen("1h", model="claude-unheard-of", tokens=tokens)
        assert (wanted.cache, wanted.fills, wanted.warning) == ("1h", True, None)
    assert chosen(tokens=None).why == (
        "no cache: the tokens of the shared part are not known, claude-haiku-4-5 caches from 4,096"
    )
    assert chosen("5m", tokens=None).cache == "5m"


def test_a_dated_model_has_the_minimum_of_its_undated_one():
    assert minimum("claude-haiku-4-5-20251001") == minimum("claude-haiku-4-5") == 4096
    assert minimum("claude-unheard-of") is None


def test_what_is_assumed_lies_in_the_documented_range():
    assert all(0.30 <= rate <= 0.98 for rate in ASSUMED.values())


# When the cache is filled

NOW = 1_000_000.0


def batch(state: str, ago: float, *, requests: int = 1, lifetime: str = "1h", took: float | None = None) -> Sending:
    checked = None if took is None else NOW - ago + took
    return Sending(state, requests, lifetime, NOW - ago, took, checked)


def test_a_cache_is_cold_until_a_first_batch_has_ended_and_again_when_it_has_lapsed():
    assert readiness([], NOW) == "cold"
    assert readiness([batch("submitting", 0)], NOW) == NOW + PATIENCE
    assert readiness([batch("in_progress", 100)], NOW) == NOW + PATIENCE - 100
    assert readiness([batch("ended", 100, took=60)], NOW) == "warm"
    assert readiness([batch("collected", 3_000, took=60)], NOW) == "warm"
    assert readiness([batch("collected", 3_700, took=60)], NOW) == "cold"
    assert readiness([batch("collected", 400, took=60, lifetime="5m")], NOW) == "cold"


def test_nothing_waits_for_long():
    assert readiness([batch("in_progress", PATIENCE)], NOW) == "warm"
    assert readiness([batch("uncertain", PATIENCE)], NOW) == "warm"
    assert readiness([batch("lost", 700)], NOW) == "warm"
    in_vain = [batch("collected", 600.0 * count, took=100, lifetime="5m") for count in range(1, MOST_FIRST + 1)]
    assert readiness(in_vain[1:], NOW) == "cold"
    assert readiness(in_vain, NOW) == "warm"
    assert readiness([batch("collected", 7_200, took=60, requests=FEW + 1)] * 9, NOW) == "cold"


@given(
    st.lists(
        st.builds(
            Sending, st.sampled_from(["submitting", "uncertain", "in_progress", "ended", "collected", "lost"]),
            st.integers(1, 1000), st.sampled_from(sorted(LIFETIMES)), st.floats(NOW - 86_400, NOW),
            st.none() | st.floats(0, 86_400), st.none() | st.floats(NOW - 86_400, NOW),
        ),
        max_size=6,
    )
)  # fmt: skip
def test_a_wait_ends_within_the_patience_whatever_was_sent(sendings):
    ready = readiness(sendings, NOW)
    if isinstance(ready, float):
        assert NOW < ready <= NOW + PATIENCE
        assert readiness(sendings, ready + 1e-3) in ("warm", "cold")


# What is shown


@pytest.mark.parametrize("draw", [summary_html, summary_text])
def test_views_say_what_the_cache_has_brought_and_why_there_is_one(draw):
    caching = Caching("1h", chosen().why, 5210, 200, 184, read=4_200_000, written_1h=83_360, saved=3.1)
    shown = str(draw(ended(caching=caching)))
    assert "cache: 92% hits · 4.2 M tokens read · saved $3.10" in shown
    assert chosen().why in shown
    assert "would have saved $3.10" in str(draw(ended(caching=caching, simulated=True)))
    assert "lost $3.10" in str(draw(ended(caching=Caching("1h", "why", 5210, 2, 0, saved=-3.1))))


@pytest.mark.parametrize("draw", [summary_html, summary_text])
def test_views_say_why_there_is_no_cache_only_where_much_is_shared(draw):
    assert "no cache: too short" in str(draw(running(caching=Caching(None, "no cache: too short", 310))))
    assert "no cache" not in str(draw(running(caching=Caching(None, "no cache: nothing is shared"))))
    hostile = str(draw(running(caching=Caching("1h", HOSTILE))))
    assert "\x1b" not in hostile
    if draw is summary_html:
        assert "<script>" not in hostile
