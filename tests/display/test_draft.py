"""What a form was filled in with, as code: evaluating it gives the very same arguments."""

from __future__ import annotations

import ast
import enum
from types import SimpleNamespace
from typing import Any

import fake_job
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchnb import InputError
from batchnb.display.form.draft import LINE_WIDTH, Draft, labels_from, labels_text


def evaluated(code: str, **names: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Run code whose frame only notes how ``submit`` is called."""
    frame = SimpleNamespace(batch=SimpleNamespace(submit=lambda *args, **options: (args, options)))
    return eval(code, {"df": frame, **names})


any_text = st.text(st.characters(exclude_categories=()))
some_text = st.one_of(st.none(), any_text, st.lists(any_text, min_size=1).map("\n".join))
plain = st.one_of(any_text, st.integers(), st.booleans(), st.none(), st.binary(), st.floats(allow_nan=False))
labels = st.lists(st.one_of(any_text, st.integers()), max_size=5).map(tuple)
drafts = st.builds(
    Draft,
    column=st.one_of(plain, st.tuples(plain, plain)),
    template=some_text, labels=st.none() | labels, model=st.none() | any_text, system=some_text,
    into=st.none() | any_text, max_tokens=st.none() | st.integers() | any_text, series=st.booleans(),
)  # fmt: skip


@settings(deadline=None)
@given(drafts)
def test_evaluating_the_code_gives_the_very_same_arguments(draft):
    positional = () if draft.series else (draft.column,)
    positional += () if draft.template is None else (draft.template,)
    try:
        code = draft.call("df")
    except InputError:
        with pytest.raises((ValueError, SyntaxError)):  # inf is no literal
            ast.literal_eval(repr(draft.column))
        return
    assert evaluated(code) == (positional, draft.options())
    assert evaluated(code)[1].keys() <= {"labels", "into", "system", "model", "max_tokens"}


@settings(deadline=None)
@given(drafts)
def test_the_code_is_one_short_line_or_an_argument_a_line_and_shows_no_control_characters(draft):
    try:
        code = draft.call("df", lead="job = ")
    except InputError:
        return
    assert code.replace("\n", "").isprintable()
    lines = code.split("\n")
    if len(lines) == 1:
        assert len(code) <= LINE_WIDTH
    else:
        assert (lines[0], lines[-1]) == ("job = df.batch.submit(", ")")
        assert all(line.startswith("    ") for line in lines[1:-1])


def test_a_short_call_stays_on_one_line_and_a_long_one_has_an_argument_a_line():
    assert Draft("review").call("df") == 'df.batch.submit("review")'
    assert Draft("review", "Is it good? {review}", max_tokens=9).call("reviews", lead="job = ") == (
        'job = reviews.batch.submit("review", "Is it good? {review}", max_tokens=9)'
    )
    draft = Draft("review", "Classify this review.\n\n{review}", labels=("good", 'so "so"', 3), system="Be brief.")
    assert (
        draft.call("df", workspace="ws", lead="job = ")
        == """\
job = df.batch.submit(
    "review",
    (
        "Classify this review.\\n"
        "\\n"
        "{review}"
    ),
    labels=["good", 'so "so"', 3],
    system="Be brief.",
    workspace=ws,
)"""
    )


def test_a_series_is_the_column_itself():
    assert Draft("text", "Say {text}", series=True).call("s") == 's.batch.submit("Say {text}")'
    assert Draft("text", series=True).call("s") == "s.batch.submit()"


def test_many_labels_have_a_line_each():
    draft = Draft("a", labels=tuple(f"label number {number}" for number in range(9)))
    code = draft.call("df")
    assert "\n        'label number" not in code
    assert '\n        "label number 8",\n    ],\n' in code
    assert evaluated(code)[1] == draft.options()


class Color(enum.Enum):
    RED = 1


class Unshown:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("label", [pd.Timestamp("2026-01-01"), Color.RED, float("nan"), frozenset({1}), object(),
                                   Unshown(), pd.NA])  # fmt: skip
def test_a_label_that_is_no_literal_is_said_not_faked(label):
    with pytest.raises(InputError, match="cannot be written as code"):
        Draft(label).call("df")


def test_labels_are_written_as_what_they_equal_or_not_at_all():
    assert Draft(np.str_("review")).call("df") == 'df.batch.submit("review")'
    assert Draft(("a", 1)).call("df") == "df.batch.submit(('a', 1))"
    with pytest.raises(InputError, match="is no literal"):
        Draft(pd.Timestamp("2026-11-25")).call("df")


def test_hostile_text_is_a_literal():
    code = Draft(fake_job.HOSTILE, fake_job.HOSTILE).call("df")
    assert "\x1b" not in code
    assert "\u202e" not in code
    assert evaluated(code) == ((fake_job.HOSTILE, fake_job.HOSTILE), {})


def test_labels_are_read_by_line_or_by_comma():
    assert labels_from("good, bad,\n") == ("good", "bad")
    assert labels_from("good, very\nbad\n\n") == ("good, very", "bad")
    assert labels_from("") == ()
    assert labels_from("a, a") == ("a", "a")
    assert labels_from("1, 2") == ("1", "2")


def test_labels_that_were_given_stay_what_they_are():
    assert labels_from("1, 2, 3, x", (1, 2)) == (1, 2, 3, "x")
    assert labels_from("-1, 0", (1, 2)) == (-1, 0)


@settings(deadline=None)
@given(st.lists(st.one_of(any_text, st.integers()), min_size=1).map(tuple))
def test_labels_that_nobody_edited_are_the_same_labels(labels):
    assert labels_from(labels_text(labels), labels) == labels
