"""Rows of plain text, read in parts: the same rows, and the same errors, as the general way gives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchnb.errors import InputError
from batchnb.questions import plain_text
from batchnb.questions.reading import read_digests, read_parts, read_rows
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import TextReply
from batchnb.questions.rows import Row

TEXTS = st.one_of(
    st.text(max_size=5), st.sampled_from(["", " ", "\n", " ", "half \ud800", np.str_("numpy")]), st.none(),
    st.just(math.nan), st.just(pd.NA), st.integers(-3, 3), st.floats(allow_nan=False, width=32), st.just(b"bytes"),
)  # fmt: skip

FRAMES = st.lists(st.tuples(TEXTS, TEXTS), max_size=12)

RECIPES = st.fixed_dictionaries({
    "template": st.sampled_from([None, "{text}", "Of {{{text}}}: {other}", "{text} {text}", "{other:>4}", "{text}!"]),
    "missing": st.sampled_from(["skip", "send", "raise"]),
    "samples": st.integers(1, 3),
    "replicate": st.sampled_from(["", "again"]),
    "key": st.sampled_from([None, "name"]),
})  # fmt: skip


def recipe(**fields: Any) -> Recipe:
    shared = {"model": "claude-haiku-4-5", "max_tokens": 64, "system": "Be brief."}
    return Recipe(
        column="text", shared=shared, reply=TextReply(), into="reply", **{"betas": (), "template": None} | fields
    )


def frame_of(cells: list[tuple[Any, Any]]) -> pd.DataFrame:
    columns = {
        "text": pd.Series([text for text, _ in cells], dtype=object),
        "other": pd.Series([other for _, other in cells], dtype=object),
        "name": [f"row/{place}" for place in range(len(cells))],
    }
    return pd.DataFrame(columns, index=[place % 3 for place in range(len(cells))])


def outcome(read: Any) -> Any:
    try:
        return list(read())
    except InputError as error:
        return str(error)


def rows_of(one: Recipe, frame: pd.DataFrame, digests: Any, new: Any) -> list[Row]:
    rows = [Row(*fields) for part in read_parts(one, frame, digests, new) for fields in zip(*part, strict=True)]
    return [row if row.content is not None else row._replace(label="") for row in rows]  # which is not looked at


@pytest.fixture(params=[1, 4, 5_000], autouse=True)
def part(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_text, "ROWS_AT_A_TIME", request.param)


@given(FRAMES, RECIPES)
@example(
    [("a", "b"), ("half \ud800", "c")],
    {"template": None, "missing": "skip", "samples": 1, "key": None, "replicate": ""},
)
def test_they_are_the_rows_that_the_general_way_gives(cells: list[tuple[Any, Any]], fields: dict[str, Any]):
    frame, one = frame_of(cells), recipe(**fields)
    general = outcome(lambda: read_rows(one, frame))
    digests = outcome(lambda: read_digests(one, frame))
    if isinstance(general, str):
        assert digests == general
        return
    assert digests == [row.digest for row in general]
    every = {digest for digest in digests if digest is not None}
    assert rows_of(one, frame, digests, every) == [
        row._replace(content=row.content and row.content.sent) for row in general
    ]


@given(FRAMES, RECIPES, st.sets(st.integers(0, 35)))
def test_what_is_known_comes_without_its_content(cells: list[tuple[Any, Any]], fields: dict[str, Any], known: set[int]):
    frame, one = frame_of(cells), recipe(**fields)
    general = outcome(lambda: read_rows(one, frame))
    if isinstance(general, str):
        return
    digests = [row.digest for row in general]
    new = {digest for place, digest in enumerate(digests) if place not in known and digest is not None}
    rows = rows_of(one, frame, digests, new)
    assert [(row.digest, row.key, row.note) for row in rows] == [(row.digest, row.key, row.note) for row in general]
    for row, whole in zip(rows, general, strict=True):
        if row.digest in new:
            assert row == whole._replace(content=whole.content and whole.content.sent)


def test_only_what_is_new_is_rendered(monkeypatch: pytest.MonkeyPatch):
    frame = pd.DataFrame({"text": [f"text {number}" for number in range(20)]})
    one = recipe(template="Say: {text}")
    digests = list(read_digests(one, frame))
    encoded: list[Any] = []
    monkeypatch.setattr(plain_text, "encode_texts", lambda texts: [encoded.append(text) or b'""' for text in texts])
    rows = rows_of(one, frame, digests, {digests[7]})
    assert encoded == ["Say: text 7"]
    assert [row.content is not None for row in rows] == [place == 7 for place in range(20)]


def test_the_samples_of_rows_count_for_the_size_of_a_part(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plain_text, "ROWS_AT_A_TIME", 20)
    frame, one = pd.DataFrame({"text": [f"text {number}" for number in range(25)]}), recipe(template=None, samples=9)
    digests = list(read_digests(one, frame))
    sizes = [len(part.digests) for part in read_parts(one, frame, digests, set(digests))]
    assert sum(sizes) == 225
    assert max(sizes) == 18


def test_digests_are_those_of_earlier_releases():
    texts, prices = ["Great!", 'né "q"\n', None, "7"], [1.0, 2.5, 3.0, math.nan]
    frame = pd.DataFrame({"text": pd.Series(texts, dtype=object), "price": prices})
    first, second, last = (
        "b5e172a31e11eb2aa53882bded60184c", "ff0f87a1fad90bda7b9d2841cce7c034", "3b2b1a821a1fbe4da1e13e24ba1fbf93"
    )  # fmt: skip
    expected = [
        (recipe(), [first, second, None, last]),
        (
            recipe(betas=("b", "a"), replicate="again"),
            ["29abf54ee3dd643009370c0f4721c839", "9fc9bbed78ff269bfaac65e8e0612030", None,
             "7b8b50ff3bfaa1f5411eb8d96faaa3e8"],
        ),
        (
            recipe(template="Of {text}: {price:.2f} {{x}}", missing="send"),
            ["bf8c61256cd0bfe452f10e6eb64f13ad", "a86b78736731b6beb13737c44d0a4f6d",
             "842c0c063645675a11ad0981b66ec3fc", "7332ec40f2d2e884539f30ffd91b5f94"],
        ),
        (
            recipe(samples=2),
            [first, "5d7ddb48c663c2a42f52dd0366dbb4f1", second, "d4203b2b3c2011bb303f8d8827e57857", None, None,
             last, "439fb2e24128a6d0b0223d1480556ee1"],
        ),
    ]  # fmt: skip
    for one, written in expected:
        assert [digest and digest.hex() for digest in read_digests(one, frame)] == written
        assert [row.digest and row.digest.hex() for row in read_rows(one, frame)] == written
