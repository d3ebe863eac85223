"""The simulator's prompt cache: what is written, what is read, and for how long it lasts."""

import pytest
from simulation import ShiftedClock, ended, params, results, run, sdk

from batchnb.sim import Simulator
from batchnb.sim.state.prompt_cache import Cache, Split

pytestmark = pytest.mark.steady

MODEL = "claude-opus-4-8"
RULES = "Follow every rule of this long list. " * 200  # about 1,850 tokens
WHOLE = 10_000


def mark(ttl=None):
    return {"cache_control": {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}}


def text(value, **more):
    return {"type": "text", "text": value, **more}


def asked(*content, system=RULES, ttl="1h", model=MODEL, **more):
    return params([*content] or "Hello", model=model, system=[text(system, **mark(ttl))], **more)


def cache(clock=None, **more):
    return Cache(clock or ShiftedClock(), **more)


def written(split):
    return split.written_5m + split.written_1h


def test_the_first_request_writes_and_the_next_one_reads():
    held = cache()
    first = held.split(asked(), WHOLE)
    assert (first.read, first.written_5m) == (0, 0)
    assert first.written_1h > 1024
    assert held.split(asked(text("another question")), WHOLE) == Split(first.uncached, read=first.written_1h)
    assert first.uncached + first.written_1h == WHOLE


@pytest.mark.parametrize(
    ("model", "least"),
    [
        ("claude-opus-5", 512),
        ("claude-fable-5", 512),
        ("claude-mythos-5", 512),
        ("claude-opus-4-8", 1024),
        ("claude-sonnet-5", 1024),
        ("claude-sonnet-4-6", 1024),
        ("claude-sonnet-4-5", 1024),
        ("claude-opus-4-7", 2048),
        ("claude-opus-4-6", 4096),
        ("claude-opus-4-5", 4096),
        ("claude-haiku-4-5", 4096),
    ],
)
def test_what_is_shorter_than_the_model_s_minimum_is_silently_not_cached(model, least):
    held = cache()
    assert written(held.split(asked(system="x" * 4 * (least - 30), model=model), WHOLE)) == 0
    assert written(held.split(asked(system="x" * 4 * least, model=model), WHOLE)) >= least


@pytest.mark.parametrize(("ttl", "seconds"), [(None, 300), ("5m", 300), ("1h", 3600)])
def test_an_entry_lasts_from_its_last_use(ttl, seconds):
    clock = ShiftedClock()
    held = cache(clock)
    first = held.split(asked(ttl=ttl), WHOLE)
    assert bool(first.written_1h) == (ttl == "1h")
    for _ in range(3):  # each use renews it
        clock.shift += seconds - 20
        assert held.split(asked(ttl=ttl), WHOLE).read == written(first)
    clock.shift += seconds + 20
    assert held.split(asked(ttl=ttl), WHOLE) == first


def test_entries_expire_faster_where_time_is_faster():
    clock = ShiftedClock()
    held = cache(clock, speed=10)
    held.split(asked(), WHOLE)
    clock.shift = 330
    assert held.split(asked(), WHOLE).read > 0
    clock.shift = 330 + 400
    assert held.split(asked(), WHOLE).read == 0


def test_another_model_text_or_tool_is_another_prefix_and_the_marks_are_no_part_of_it():
    held = cache()
    tool = {"name": "t", "input_schema": {"type": "object"}}
    held.split(asked(), WHOLE)
    for other in (asked(model="claude-sonnet-5"), asked(system=RULES + "!"), asked(tools=[tool])):
        assert held.split(other, WHOLE).read == 0
    assert held.split(asked(ttl="5m"), WHOLE).read > 0


def test_the_longest_known_prefix_is_read_and_the_rest_written():
    held = cache()
    document = text("A document of some length. " * 100, **mark("5m"))
    rules = written(held.split(asked(), WHOLE))
    both = held.split(asked(document, text("What?")), WHOLE)
    assert both.read == rules
    assert both.written_1h == 0
    assert both.written_5m > 500
    assert held.split(asked(document, text("Why?")), WHOLE).read == rules + both.written_5m
    fresh = cache().split(asked(document), WHOLE)
    assert (fresh.written_1h, fresh.written_5m) == (rules, both.written_5m)


def test_a_mark_on_the_whole_request_caches_all_of_it_and_one_on_the_tools_no_more_than_them():
    held = cache()
    whole = params("x" * 8000, model=MODEL, **mark())
    assert written(held.split(whole, WHOLE)) > 2000
    assert held.split(whole, WHOLE).read > 2000
    tools = [{"name": "t", "description": "y" * 8000, "input_schema": {"type": "object"}, **mark()}]
    first = held.split(params("Hello", model=MODEL, tools=tools, system="One."), WHOLE)
    assert held.split(params("Bye", model=MODEL, tools=tools, system="Two."), WHOLE).read == written(first) > 2000


def usages(client, batch_id):
    return {name: result.message.usage for name, result in results(client, batch_id).items()}


def rows(count, start=0):
    return [{"custom_id": f"r{i}", "params": asked(text(f"Echo: {i}"))} for i in range(start, start + count)]


def test_once_a_small_batch_has_ended_later_ones_read_the_share_that_the_seed_gives():
    def history():
        with Simulator(delay=(0.0, 0.0), seed=5) as simulator, sdk(simulator) as client:
            return [usages(client, run(client, wanted).id) for wanted in (rows(1), rows(60), rows(60))]

    first, later, again = history()
    assert first["r0"].cache_creation_input_tokens > 1024
    share = sum(usage.cache_read_input_tokens > 0 for usage in (*later.values(), *again.values())) / 120
    assert 0.65 < share < 0.95
    assert history() == [first, later, again], "the same every time"


@pytest.mark.parametrize("hits", [0.0, 1.0])
def test_a_test_may_fix_the_share(hits):
    with Simulator(delay=(0.0, 0.0), cache_hits=hits) as simulator, sdk(simulator) as client:
        run(client, rows(1))
        got = usages(client, run(client, rows(20)).id).values()
        assert {usage.cache_read_input_tokens > 0 for usage in got} == {hits == 1.0}
        assert {usage.cache_creation.ephemeral_1h_input_tokens > 0 for usage in got} == {hits == 0.0}
    with pytest.raises(ValueError, match="cache_hits"):
        Simulator(cache_hits=80)


def test_a_batch_finds_the_cache_as_it_was_when_its_time_had_come():
    clock = ShiftedClock()
    with Simulator(delay=(60.0, 60.0), clock=clock, cache_hits=1.0) as simulator, sdk(simulator) as client:
        ids = []
        for shift in (0, 600, 600 + 5000):
            clock.shift = shift
            ids.append(client.messages.batches.create(requests=rows(1)).id)
        clock.shift = 80_000  # all of them are looked at much later
        for batch_id in ids:
            ended(client, batch_id)
        read = [usages(client, batch_id)["r0"].cache_read_input_tokens > 0 for batch_id in ids]
        assert read == [False, True, False]
