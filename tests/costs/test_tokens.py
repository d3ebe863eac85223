"""The interval for the tokens of all requests holds the true number, is narrow, and uses what was counted as it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wordy import rough_tokens, texts

from batchnb.costs.tokens import FIRST, MOST, Size, choose, fit, further, size_of
from batchnb.questions.envelope import content_of
from batchnb.sim.model.responder import count_tokens

SEEDS = range(20)


def simulated(text: str) -> int:
    return count_tokens({"messages": [{"role": "user", "content": text}]})


@pytest.mark.parametrize("counter", [simulated, rough_tokens])
@pytest.mark.parametrize("english", [1.0, 0.6, 0.0])
def test_in_19_of_20_samples_the_interval_holds_the_true_number_and_is_no_wider_than_a_tenth(counter, english):
    rows = texts(3_000, seed=1, english=english)
    sizes = [size_of(content_of(text).sent, 0) for text in rows]
    tokens = [counter(text) for text in rows]
    held = 0
    for seed in SEEDS:
        counted = choose(sizes, (), FIRST, seed)
        while number := further(found := fit(sizes, {place: tokens[place] for place in counted})):
            counted += choose(sizes, counted, number, seed + 1)
        held += found.total.low <= sum(tokens) <= found.total.high
        assert found.width <= 0.1
        assert found.counted == len(set(counted)) <= MOST
    assert held >= 19


def test_the_first_rows_would_not_do():
    rows = sorted(texts(3_000, seed=1), key=len)
    sizes = [size_of(content_of(text).sent, 0) for text in rows]
    tokens = [rough_tokens(text) for text in rows]
    first = sum(tokens[:10]) / 10 * len(rows)
    assert abs(first / sum(tokens) - 1) > 0.5
    found = fit(sizes, {place: tokens[place] for place in choose(sizes, (), FIRST, 0)})
    assert abs(found.total.expected / sum(tokens) - 1) < 0.05


sizes_and_tokens = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 10_000), st.integers(0, 20_000), st.integers(1, 100_000)),
    min_size=1, max_size=60,
)  # fmt: skip


@given(sizes_and_tokens)
def test_with_everything_counted_the_number_is_known(rows):
    found = fit([Size(*row[:3]) for row in rows], dict(enumerate(row[3] for row in rows)))
    total = sum(row[3] for row in rows)
    assert found.total == pytest.approx((total, total, total))
    assert found.each.tolist() == [row[3] for row in rows]


@given(sizes_and_tokens, st.data())
@settings(max_examples=200)
def test_whatever_was_counted_the_interval_is_one(rows, data):
    chosen = data.draw(st.sets(st.integers(0, len(rows) - 1), min_size=1))
    found = fit([Size(*row[:3]) for row in rows], {place: rows[place][3] for place in chosen})
    low, expected, high = found.total
    assert 0 < low <= expected * (1 + 1e-9)
    assert expected <= high
    assert high < float("inf")
    assert low >= sum(rows[place][3] for place in chosen) - 1e-6
    assert (found.each >= 1).all()
    assert all(found.each[place] == rows[place][3] for place in chosen)
    assert found.tokens(Size(*rows[0][:3])) >= 1


def test_one_request_tells_little_of_the_others():
    found = fit([Size(0, 100, 0)] * 50, {3: 40})
    assert found.total.expected == pytest.approx(2_000)
    assert found.width > 1


@given(st.integers(1, 80), st.integers(0, 100), st.integers(0, 99), st.data())
def test_a_sample_has_no_request_twice_and_none_that_was_counted(rows, n, seed, data):
    sizes = [Size(0, data.draw(st.integers(1, 10_000)), 0) for _ in range(rows)]
    counted = data.draw(st.sets(st.integers(0, rows - 1)))
    chosen = choose(sizes, counted, n, seed)
    assert chosen == sorted(set(chosen) - counted)
    assert len(chosen) <= n
    assert len(chosen) >= min(n, rows - len(counted)) / 2
    assert chosen == choose(sizes, counted, n, seed)


def test_what_outweighs_many_others_is_counted_in_any_case():
    sizes = [Size(0, 100, 0)] * 1_000 + [Size(0, 90_000, 30_000)]
    assert all(1_000 in choose(sizes, (), 48, seed) for seed in SEEDS)


def test_requests_with_files_are_not_told_by_their_length():
    sent = content_of([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]).sent
    image, text = size_of(sent, 0), size_of(content_of("a review").sent, 0)
    assert image.kind != text.kind
    sizes = [Size(image.kind, 10 * place, 0) for place in range(1, 101)] + [Size(text.kind, 400, 0)] * 100
    counted = dict.fromkeys(range(0, 100, 10), 1500) | dict.fromkeys(range(100, 200, 10), 110)
    found = fit(sizes, counted)
    assert found.total.expected == pytest.approx(100 * 1_500 + 100 * 110)
    assert found.lines[image.kind].per_character == 0


def test_a_text_that_speaks_of_images_is_text():
    assert size_of(content_of('{"type":"image"}').sent, 0).kind == 0


def test_characters_and_further_bytes_are_told_apart():
    assert size_of(content_of("abc").sent, 0) == Size(0, 5, 0)
    assert size_of(content_of("좋아요").sent, 0) == Size(0, 5, 6)
    assert size_of(content_of("é").sent, 1) == Size(2, 3, 1)
