"""A recipe as JSON: equal to the byte from one version to the next, since digests of it name jobs and later askings."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchnb.questions.envelope import canonical
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import TextReply
from batchnb.questions.replies.labels import LabelReply
from batchnb.questions.spec import RecipeSpec

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=3)
named = st.lists(texts, min_size=1, max_size=2)

ALWAYS = {
    "column": texts,
    "template": st.none() | texts | st.lists(objects, min_size=1, max_size=2),
    "callable": st.booleans(),
    "shared": st.builds(lambda params, model: {**params, "model": model}, objects, texts),
    "betas": st.lists(texts, max_size=2),
    "reply": objects,
    "into": texts,
    "key": st.none() | texts,
    "missing": st.sampled_from(["skip", "raise", "send"]),
}
LATER = {
    "replicate": texts,
    "samples": st.integers(2, 9),
    "turns": st.lists(objects, min_size=1, max_size=2),
    "blocks": st.lists(objects, min_size=1, max_size=2),
    "varies": st.just(value=True),
    "documents": named,
    "images": named,
    "files_from": named,
    "attached": st.just(value=True),
    "pilot": st.just(value=True),
}
unknown = st.dictionaries(texts.filter(lambda name: name not in ALWAYS | LATER), values, max_size=3)


@st.composite
def stored(draw: st.DrawFn) -> dict[str, Any]:
    """A recipe as this or a later version may have stored it, with its keys in any order."""
    said = draw(st.fixed_dictionaries(ALWAYS, optional=LATER)) | draw(unknown)
    return dict(draw(st.permutations(list(said.items()))))


def digest_of(said: dict[str, Any]) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(said, order="sorted"), digest_size=16).digest()


def asked_digest(said: dict[str, Any]) -> bytes:
    asked = ("column", "template", "callable", "reply", "turns", "blocks", "varies", "documents", "images")
    kept = {name: said[name] for name in asked if name in said}
    return digest_of(kept | {"shared": canonical(said["shared"]), "betas": sorted(set(said["betas"]))})


def history_digest(said: dict[str, Any]) -> bytes:
    no_matter = ("into", "key", "missing", "pilot", "replicate", "samples")
    return digest_of({name: value for name, value in said.items() if name not in no_matter})


@given(stored())
def test_what_was_stored_is_written_as_it_was_read_whatever_a_later_version_says_in_it(said):
    text = msgspec.json.encode(said).decode()
    spec = RecipeSpec.read(text)
    assert spec.json == text
    assert spec.asked_digest() == asked_digest(said)
    assert spec.history_digest() == history_digest(said)
    assert (spec.column, spec.shared, spec.samples) == (said["column"], said["shared"], said.get("samples", 1))


@given(st.fixed_dictionaries(ALWAYS, optional=LATER))
def test_a_recipe_that_is_made_says_always_what_it_always_did_and_the_rest_where_it_is_used(said):
    fields = {"reply_spec" if name == "reply" else name: value for name, value in said.items()}
    spec = RecipeSpec(**fields)
    expected = {name: said.get(name, "") for name in [*ALWAYS, "replicate"]}
    expected |= {name: said[name] for name in LATER if name in said}
    assert spec.json == msgspec.json.encode(expected).decode()
    assert spec.sorted_json() == msgspec.json.encode(expected, order="sorted")
    assert RecipeSpec.read(spec.json).json == spec.json


def test_the_json_of_recipes_is_literal():
    shared = {"model": "claude-haiku-4-5", "max_tokens": 64}
    plain = Recipe(column="review", template="{review}!", shared=shared, betas=("a",), reply=TextReply(), into="echo")
    start = (
        '{"column":"review","template":"{review}!","callable":false,'
        '"shared":{"model":"claude-haiku-4-5","max_tokens":64},"betas":["a"],"reply":{"kind":"text"},"into":"echo",'
        '"key":null,"missing":"skip","replicate":""'
    )
    assert plain.spec().json == start + "}"
    assert plain.spec(pilot=True).json == start + ',"pilot":true}'
    assert plain.spec().asked_digest().hex() == "0e735be436328161916984b9980f2289"
    assert plain.spec().history_digest().hex() == "0e735be436328161916984b9980f2289"
    rich = Recipe(
        column=7, template=str, shared=shared, betas=(), reply=LabelReply.of(["x", "y"]), into="label", key=1,
        missing="send", replicate="#2", samples=3, turns=({"role": "user", "content": "hi"},),
        blocks=({"type": "text", "text": "t"},), vary=dict, documents=(2,), images=("i", 3), files_from=("/a",),
    )  # fmt: skip
    assert rich.spec(pilot=True).json == (
        '{"column":"7","template":"<callable>","callable":true,'
        '"shared":{"model":"claude-haiku-4-5","max_tokens":64},"betas":[],"reply":{"kind":"labels","labels":["x","y"]},'
        '"into":"label","key":"1","missing":"send","replicate":"#2","samples":3,'
        '"turns":[{"role":"user","content":"hi"}],"blocks":[{"type":"text","text":"t"}],"varies":true,'
        '"documents":["2"],"images":["i","3"],"files_from":["/a"],"pilot":true}'
    )
    assert rich.spec().asked_digest().hex() == "b02329717ff498e90eb15c6b95d9aa1c"
    assert rich.spec(pilot=True).history_digest().hex() == "8ebe69281bc3dc1a8f6114bb6f0514b8"


def test_what_a_batch_made_elsewhere_asked_is_not_known():
    spec = RecipeSpec.of_attached()
    assert spec.attached
    assert spec.reply == TextReply()
    assert list(json.loads(spec.json)) == ["attached", *ALWAYS]
    earlier = RecipeSpec.read(spec.json[:-1] + ',"replicate":""}')  # as it was once
    assert msgspec.structs.replace(earlier) == spec
    assert earlier.history_digest() == spec.history_digest()


def test_json_that_is_no_recipe_is_refused():
    with pytest.raises(msgspec.ValidationError, match="column"):
        RecipeSpec.read("{}")
