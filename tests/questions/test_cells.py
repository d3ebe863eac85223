"""How the value of one cell prints in a prompt."""

import datetime as dt
import json
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchnb.questions.cells import CellError, cell_text, spec_text
from batchnb.questions.template import compile_template

COLUMNS = ["review", "price"]


class Quoted(str):
    """Text that prints as something else, as a str that is also an Enum does."""

    def __str__(self) -> str:
        return f"<{super().__str__()}>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        ("  as is \n", "  as is \n"),
        (Quoted("red"), "red"),
        (np.str_("numpy"), "numpy"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (0.1, "0.1"),
        (1e15, "1000000000000000"),
        (2.0**62, "4611686018427387904"),
        (1e300, "1e+300"),
        (np.float64(2.0), "2"),
        (np.float64(2.5), "2.5"),
        (np.float32(0.1), "0.1"),
        (np.float32(7), "7"),
        (np.float16(7), "7"),
        (np.int64(5), "5"),
        (float("inf"), "inf"),
        (np.float32("-inf"), "-inf"),
        (True, "True"),
        (np.True_, "True"),
        (Decimal("1.00"), "1.00"),
        (Fraction(1, 3), "1/3"),
        (Fraction(10**400), str(10**400)),
        (pd.Timestamp("2026-01-02"), "2026-01-02 00:00:00"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (pd.Timedelta("1D"), "1 days 00:00:00"),
        (None, ""),
        (float("nan"), ""),
        (np.float32("nan"), ""),
        (Decimal("nan"), ""),
        (pd.NA, ""),
        (pd.NaT, ""),
        (np.datetime64("NaT", "ns"), ""),
        (["a", 1, None], '["a",1,null]'),
        (("a", 1), '["a",1]'),
        ({"텍스트": "좋아요", "n": [1.0]}, '{"텍스트":"좋아요","n":[1.0]}'),
        ({"c", "b", "a"}, '["a","b","c"]'),
        ([{"b", "a"}], '[["a","b"]]'),
        (np.array([1, 2]), "[1,2]"),
        (np.array([["a"], ["b"]]), '[["a"],["b"]]'),
        (np.arange(2000), json.dumps(list(range(2000)), separators=(",", ":"))),
        ([np.int64(1), pd.NA, pd.Timestamp("2026-01-02")], '[1,null,"2026-01-02 00:00:00"]'),
        ({("a", 1): 2}, '{"[\\"a\\",1]":2}'),
        ([], "[]"),
    ],
)
def test_a_value_prints_as_documented(value, text):
    assert cell_text(value) == text
    template = compile_template("{review}", COLUMNS)
    assert template.render([value]) == text
    assert list(template.render_rows([[value]])) == [text]


def test_one_nan_in_an_integer_column_changes_no_other_prompt():
    template = compile_template("{price} {price:04d} {price:>3} {price:.1f} {price:,}", COLUMNS)
    whole = list(template.render_rows([pd.Series([1, 2000, 2**53])]))
    holed = list(template.render_rows([pd.Series([1, 2000, 2**53, None])]))
    assert whole == holed[:3]
    assert holed[3] == "    "


def test_a_spec_for_floats_only_still_fits_a_whole_float():
    assert compile_template("{price:.3}", COLUMNS).render([2.0]) == format(2.0, ".3")


def test_a_missing_value_prints_as_nothing_whatever_its_spec():
    template = compile_template("<{price:.2f}>", COLUMNS)
    assert [template.render([value]) for value in (None, float("nan"), pd.NA, pd.NaT)] == ["<>"] * 4


def test_a_date_takes_a_spec_with_spaces_and_colons():
    template = compile_template("{review:%d %b %Y, %H:%M}", COLUMNS)
    assert template.render([pd.Timestamp("2026-01-02 03:04")]) == "02 Jan 2026, 03:04"


@pytest.mark.parametrize("value", [b"raw", bytearray(b"raw"), memoryview(b"raw"), [b"raw"], {"a": [b"raw"]}])
def test_bytes_are_an_error_that_says_how_to_decode_them(value):
    with pytest.raises(CellError, match=r"df\['review'\]\.str\.decode") as caught:
        compile_template("{review}", COLUMNS).render([value])
    assert caught.value.column == "review"


@pytest.mark.parametrize("value", ["three", [3], object()])
def test_a_spec_that_does_not_fit_names_the_column_and_the_values_type(value):
    with pytest.raises(CellError, match=rf"\{{price:\.2f\}}.*{type(value).__name__}.*column 'price'") as caught:
        compile_template("{price:.2f}", COLUMNS).render([value])
    assert caught.value.column == "price"


def test_a_value_without_text_is_an_error_of_its_column():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for value in (10**5000, deep):
        with pytest.raises(CellError, match="'review'"):
            cell_text(value, "review")


def test_a_cell_error_survives_pickling():
    error = CellError("message", column="review")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.column) == ("message", "review")


@given(st.text(alphabet="abc {}", max_size=6), st.integers(-(2**53), 2**53))
def test_a_whole_float_prints_as_its_integer(text, number):
    assert cell_text(float(number)) == cell_text(number) == str(number)
    assert cell_text(text) == text


class _Raises:
    def __str__(self) -> str:
        raise ZeroDivisionError("no text")


@pytest.mark.parametrize("value", [object(), (one for one in "a"), [object()], {"a": lambda: 1}])
def test_a_place_in_memory_is_no_text(value):
    with pytest.raises(CellError, match=r"'c' holds an object of type .* place in memory"):
        cell_text(value, "c")
    assert cell_text("<x at 0x7f>") == "<x at 0x7f>"


@pytest.mark.parametrize("value", [_Raises(), [_Raises()]])
def test_what_a_users_class_raises_is_an_error_of_its_column(value):
    with pytest.raises(CellError, match=r"'c' holds a value of type .* no text"):
        cell_text(value, "c")


def _held_by_itself(kind):
    if kind == "dict":
        held = {}
        held["a"] = held
    elif kind == "array":
        held = np.empty(1, dtype=object)
        held[0] = held
    else:
        held = []
        held.append(held)
    return (held,) if kind == "tuple" else held


@pytest.mark.parametrize("kind", ["list", "dict", "array", "tuple"])
def test_a_cell_that_holds_itself_is_said_to(kind):
    with pytest.raises(CellError, match=r"'c' holds a .* that holds itself, or nests too deeply"):
        cell_text(_held_by_itself(kind), "c")


def test_whatever_a_class_raises_for_a_spec_names_the_column():
    class Odd:
        def __format__(self, spec):
            raise KeyError(spec)

    with pytest.raises(CellError, match="does not fit a value of type Odd in column 'c'"):
        spec_text(Odd(), "x", "c")
