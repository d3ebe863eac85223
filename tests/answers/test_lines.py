"""Lines that are too long: linear in time, bounded in memory, and told of their row. (Others: test_results.py.)"""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from bench import Bench, outcomes, texts
from hypothesis import given
from hypothesis import strategies as st
from independent import Spoiled

from batchnb.answers.lines import LONGEST, lines
from batchnb.answers.wire import OVERSIZED, line_of
from batchnb.errors import AmbiguousError

pytestmark = pytest.mark.steady

pytest_plugins = ["bench_fixtures"]

MB = b"x" * 1_000_000


def of_size(megabytes: int, before: bytes = b"", after: bytes = b"") -> Iterator[bytes]:
    yield before
    yield from itertools.repeat(MB, megabytes)
    yield after


def flat(*chunks: bytes, **how: int) -> list[bytes]:
    return list(itertools.chain.from_iterable(lines(chunks, **how)))


def test_a_line_of_gigabytes_takes_no_memory_and_its_row_is_told():
    tracemalloc.start()
    given = of_size(2_000, b'{"a":1}\n{"custom_id":"row-1","result":{"type":"succeeded","x":"', b'"}}\n{"b":2}\n')
    assert [line_of(found)[0] if b"custom_id" in found else found for some in lines(given) for found in some] == [
        b'{"a":1}', "row-1", b'{"b":2}',
    ]  # fmt: skip
    assert tracemalloc.get_traced_memory()[1] < 3 * LONGEST
    tracemalloc.stop()


def test_time_grows_with_the_bytes():
    """A line of 60 MB in pieces of 100 bytes: added up one by one they would be copied 600,000 times."""
    since = time.process_time()
    (found,) = flat(*itertools.repeat(MB[:100], 600_000), b"\n")
    assert len(found) == 60_000_000
    assert time.process_time() - since < 20


IDS = {
    "at its beginning": (b'{ "custom_id" : "row-1" , "result": "', b'"}'),
    "at its end": (b'{"result":"', b'", "custom_id": "row-1" }\r'),
    "nowhere": (b'{"result":"', b'"}'),
    "within": (b'{"result":{"x":"', b'","custom_id":"row-1"}}'),
    "too long": (b'{"custom_id":"' + b"r" * 65 + b'","result":"', b'"}'),
}


@pytest.mark.parametrize(("before", "after"), IDS.values(), ids=IDS)
def test_the_custom_id_is_looked_for_at_both_ends(before, after, request):
    found = flat(before, b"x" * 10_000, after, b'\n{"a":1}\n', longest=5_000)
    told = [b'{"custom_id":"row-1","result":' + OVERSIZED + b"}"] if "its" in request.node.callspec.id else []
    assert found == [*told, b'{"a":1}']


@given(st.integers(1, 60), st.integers(1, 40))
def test_however_it_is_cut_a_long_line_costs_no_other(piece, longest):
    written = [b'{"a":1}', b'{"custom_id":"r","result":"%b"}' % (b"x" * 60), b'{"b":2}']
    stream = b"\n".join(written) + b"\n"
    chunks = [stream[at : at + piece] for at in range(0, len(stream), piece)]
    found = flat(*chunks, longest=longest)
    assert {b'{"a":1}', b'{"b":2}'} <= set(found) or longest < 8


def test_a_long_last_line_is_whole_or_has_broken_off():
    begun = b'{"custom_id":"r","result":"' + b"x" * 100
    assert len(flat(begun, b'"}', longest=50)) == 1
    with pytest.raises(AmbiguousError, match="within a line"):
        flat(begun, longest=50)


def test_a_row_whose_result_is_too_large_is_invalid_with_the_reason_and_costs_no_other(bench: Bench):
    def swollen(rows: list[bytes]) -> list[bytes]:
        return [row.replace(b'"text 1"', b'"' + MB * 70 + b'"') for row in rows]

    bench.server.always["results"] = Spoiled(change=swollen)
    job = bench.submit(texts(3))
    frame = job.result(60)
    assert frame["echo_status"].tolist() == ["succeeded", "invalid", "succeeded"]
    assert frame["echo_error"][1] == "its result is larger than 64 MB, and was not kept"
    assert job.errors()["type"].tolist() == ["oversized"]
    assert bench.server.called("GET", "/results") == 1
    assert bench.submit(texts(3)).done()  # it may have been paid for, and is not asked again by itself
    assert bench.server.bought_once()


def test_results_without_end_are_left(bench: Bench):
    bench.keep_to(give_up_after=0.0)
    bench.server.always["results"] = Spoiled(change=lambda rows: rows[:1] * 50_000)
    job = bench.submit(texts(3))
    assert outcomes(job.result(60)) == {"succeeded": 1, "pending": 2}
    assert "do not end" in job.snapshot().note


def test_a_line_that_never_ends_breaks_off_however_much_moves():
    clock = itertools.count(0.0, 1.0)
    with pytest.raises(AmbiguousError, match="no lines"):
        list(lines(itertools.repeat(b" "), elapsed=lambda: next(clock)))


def test_lines_that_come_now_and_then_take_as_long_as_they_take():
    clock = itertools.count(0.0, 100.0)
    assert len(list(lines(itertools.repeat(b"{}\n", 100), elapsed=lambda: next(clock)))) == 100
