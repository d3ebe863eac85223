"""The same value gives the same prompt however it is stored: as a person would have typed it. Missing is missing."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompts import SKIPPED, digests, prompts

from batchnb import InputError
from batchnb.questions.cells import CellError, cell_text, is_missing

pa = pytest.importorskip("pyarrow", reason="Arrow columns need it")

Store = Callable[[list[Any]], "pd.Series[Any]"]


def masked(kind: type) -> Store:
    """A nullable column in which a value may be NaN beside those that are NA."""

    def store(values: list[Any]) -> pd.Series[Any]:
        numbers = np.array([math.nan if value is None else value for value in values], dtype=kind)
        return pd.Series(pd.arrays.FloatingArray(numbers, np.zeros(len(values), dtype=bool)))

    return store


def arrow(kind: Any, *, nan: bool = False) -> Store:
    """A column of Arrow's, with nulls, or with NaN as polars has it."""

    def store(values: list[Any]) -> pd.Series[Any]:
        there = [math.nan if nan and value is None else value for value in values]
        # By way of NumPy, since pyarrow 15 makes half floats of nothing else.
        narrow = [value if value is None else kind.to_pandas_dtype()(value) for value in there]
        return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(narrow, type=kind)))

    return store


def numpy(kind: str) -> Store:
    return lambda values: pd.Series([math.nan if value is None else value for value in values], dtype=kind)


def objects(make: Callable[[Any], Any], missing: Any) -> Store:
    return lambda values: pd.Series([missing if value is None else make(value) for value in values], dtype=object)


def sparse(kind: str) -> Store:
    return lambda values: pd.Series(
        pd.arrays.SparseArray(np.array([math.nan if value is None else value for value in values], dtype=kind))
    )


#: Ways to store numbers of six digits, which 32 bits still tell.
FLOATS: dict[str, Store] = {
    "float64": numpy("float64"),
    "float32": numpy("float32"),
    "Float64": lambda values: pd.Series(values, dtype="Float64"),
    "Float32": lambda values: pd.Series(values, dtype="Float32"),
    "Float64 with NaN": masked(np.float64),
    "Float32 with NaN": masked(np.float32),
    "double of Arrow": arrow(pa.float64()),
    "float of Arrow": arrow(pa.float32()),
    "double of Arrow with NaN": arrow(pa.float64(), nan=True),
    "float of Arrow with NaN": arrow(pa.float32(), nan=True),
    "categories": lambda values: numpy("float64")(values).astype("category"),
    "categories of float32": lambda values: numpy("float32")(values).astype("category"),
    "categories of Arrow": lambda values: arrow(pa.float32())(values).astype("category"),
    "sparse": sparse("float64"),
    "sparse float32": sparse("float32"),
    "longdouble": lambda values: pd.Series(
        np.array(["nan" if value is None else repr(value) for value in values], dtype=np.longdouble)
    ),
    "objects": objects(float, None),
    "NumPy's objects": objects(np.float32, np.float32("nan")),
    "zero dimensions": objects(lambda value: np.array(value, dtype="float32"), np.array(math.nan)),
    "Arrow's scalars": objects(lambda value: pa.scalar(value, pa.float32()), pa.scalar(None, pa.float32())),
}

#: What versions before this file asked of the frames of a test below:
#: a release that changes one of them buys its rows again.
DIGESTS: dict[str, list[str | None]] = {
    "float64": ["d1f28d78df8249399142b223aa8f95b1", "392352bcb0e1725a573b5455ad4e55e1", None],
    "int64": [
        "c199436db1d728713b1f203ff34227f3", "7ab9c8969e82cc3a2d0637929fc7997b",
        "fed7d35c6333c0204599fd283c29628a",
    ],
    "uint64": [
        "55f3614596761ac117fca1659ac817a8", "4ad8149e3823d8328beffdf66a6cb7dd",
        "b898a8a78404d8c5ec68b205cd85c43e",
    ],
    "bool": [
        "f1c8005ded220d1728e615878d52c15c", "416b55a253f666850624d9b8b2494da0",
        "f1c8005ded220d1728e615878d52c15c",
    ],
    "boolean": ["f1c8005ded220d1728e615878d52c15c", "416b55a253f666850624d9b8b2494da0", None],
    "objects": ["98b372ddc0bbd5014154c50febe61163", None, "b79efbfdea5ee89c3b68879e6311b682"],
    "times": ["2c474a5739a62b6d24949fedb8279e8d", "7be8545c87c8648bd8e99ac139cd403e", None],
    "zoned": ["6347e6790931b187e6b6198292bff10e", "fd19f6646d5781af602bd9e4f0ba1a8a"],
    "lists": [
        "b37f9450b5b61d9accf6ae24dd813bfd", "9fc063fda1e8c35a371d2a5b671b137a",
        "717164a1a4abe1994231861eae52beb7",
    ],
    "others": [
        "82d9cb321e58922c7551bb454da13104", "b90debe74e88c4b2c758fee73ad98189",
        "3c4b8c4c3e79307ae1afdb2fe6ebec20",
    ],
    "periods": ["e6b019c78f70ebe52e852a8c175c825d", "eeea35c24f65610e6c0efd31380898ac"],
    "spans": ["f9d563c8626190b72c16fb4598362df8", "8119195b6bfc892912aa655e471b8660"],
    "intervals": ["4e10b6d808e47ed18740e00356650b28", "92d6a503b7f6b2d1d40ffbbe7a13e48c"],
    "categories": ["e95707129f0df3776231ae3fe36ca7b3", "98b372ddc0bbd5014154c50febe61163", None],
}  # fmt: skip

typed = st.decimals(-9999, 9999, allow_nan=False, places=2).map(lambda number: number.normalize() + 0)
columns_of_numbers = st.lists(st.none() | typed, min_size=1, max_size=6)


def written(number: Decimal | None) -> str | None:
    """Return a number as a person types it: without zeros at its end."""
    if number is None:
        return SKIPPED
    text = f"{number:f}"
    return "0" if text in ("-0", "0") else text.rstrip("0").rstrip(".") if "." in text else text


def numbers(values: list[Decimal | None]) -> list[float | None]:
    return [None if value is None else float(value) for value in values]


@pytest.mark.parametrize("how", FLOATS)
@settings(max_examples=15)
@given(values=columns_of_numbers)
def test_a_number_reads_as_it_was_typed_however_it_is_stored(how: str, values: list[Decimal | None]):
    frame = pd.DataFrame({"x": FLOATS[how](numbers(values))})
    assert prompts(frame) == [written(value) for value in values]
    assert prompts(frame, template="Price {x} of {x:.1f}") == [
        value if value is None else f"Price {written(value)} of {float(value):.1f}" for value in values
    ]
    assert prompts(frame, template=lambda row: cell_text(row["x"])) == [written(value) for value in values]
    assert prompts(frame, template="<{x}>", missing="send") == [f"<{written(value) or ''}>" for value in values]


@given(st.lists(st.floats(width=16, allow_infinity=False) | st.none(), min_size=1, max_size=5))
def test_a_half_float_has_the_fewest_digits_that_tell_it(values: list[float | None]):
    texts = prompts(pd.DataFrame({"x": pd.Series(values, dtype="float16")}))
    for value, text in zip(values, texts, strict=True):
        if value is None or math.isnan(value):
            assert text is SKIPPED
        else:
            assert text is not None
            assert np.float16(text) == np.float16(value)
            assert len(text.partition("e")[0].replace("-", "").replace(".", "").strip("0")) <= 5


def test_nineteen_ninety_nine_is_one_request_whoever_stores_it():
    asked = {digests(pd.DataFrame({"x": store([19.99])}), template="{x}")[0] for store in FLOATS.values()}
    assert asked == {digests(pd.DataFrame({"x": [19.99]}), template="{x}")[0]}
    assert prompts(pd.DataFrame({"x": np.array([19.99, 2], "float16")})) == ["19.98", "2"]
    assert prompts(pd.DataFrame({"x": np.array([19.99 + 2j], "complex64")})) == ["(19.99+2j)"]
    intervals = pd.IntervalIndex.from_breaks(np.array([1.1, 2.2], "float32"))
    if intervals.dtype.subtype == np.float32:  # pandas 2 keeps the digits in 64 bits
        assert prompts(pd.DataFrame({"x": intervals})) == ["(1.1, 2.2]"]


def test_digests_of_values_that_were_read_well_are_those_of_earlier_releases():
    frames: dict[str, Any] = {
        "float64": [19.99, 2.0, math.nan],
        "int64": [19, -2, 2**62],
        "uint64": np.array([2**63, 1, 0], "uint64"),
        "bool": [True, False, True],
        "boolean": pd.array([True, False, None], dtype="boolean"),
        "objects": pd.Series(["a", None, 3.5], dtype=object),
        "times": pd.to_datetime(["2026-01-02", "2026-01-02 03:04:05", None], format="ISO8601"),
        "zoned": pd.to_datetime(["2026-01-02", "2026-01-02 03:04:05.5"], format="ISO8601").tz_localize("Asia/Seoul"),
        "lists": pd.Series([[1, "a", None], {"b": [1.0]}, ("c", 2.5)], dtype=object),
        "others": pd.Series([dt.date(2026, 1, 2), dt.time(1, 2), Decimal("1.00")], dtype=object),
        "periods": pd.PeriodIndex(["2026-01", "2026-02"], freq="M"),
        "spans": pd.to_timedelta(["1h", "2D"]),
        "intervals": pd.interval_range(0, 2),
        "categories": pd.Categorical(["b", "a", None]),
    }
    assert {name: digests(pd.DataFrame({"x": values})) for name, values in frames.items()} == DIGESTS


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
@settings(max_examples=15)
@given(values=st.lists(st.integers(0, 100), min_size=1, max_size=5))
def test_a_whole_number_reads_the_same_in_every_integer_type(kind: str, values: list[int]):
    stored: list[Any] = [
        pd.Series(values, dtype=kind),
        pd.Series(values, dtype=kind.capitalize().replace("Uint", "UInt")),
        pd.Series(values, dtype=pd.ArrowDtype(pa.type_for_alias(kind))),
        pd.Series(values, dtype=kind).astype("category"),
        pd.Series(pd.arrays.SparseArray(np.array(values, dtype=kind))),
        pd.Series([np.dtype(kind).type(value) for value in values], dtype=object),
        pd.Series([*values, None], dtype="float64").iloc[:-1],  # one missing value makes floats of them
        pd.Series(values, dtype="float32"),
    ]
    for column in stored:
        assert prompts(pd.DataFrame({"x": column})) == [str(value) for value in values], column.dtype


@settings(max_examples=20)
@given(st.lists(st.booleans() | st.none(), min_size=1, max_size=5))
def test_truth_values_read_the_same(values: list[bool | None]):
    expected = [SKIPPED if value is None else str(value) for value in values]
    stored: list[Any] = [
        pd.Series(values, dtype="boolean"),
        pd.Series(values, dtype=pd.ArrowDtype(pa.bool_())),
        pd.Series(values, dtype=object),
        pd.Series([None if value is None else np.bool_(value) for value in values], dtype=object),
        pd.Series(values, dtype="boolean").astype("category"),
    ]
    if None not in values:
        stored.append(pd.Series(values, dtype=bool))
    for column in stored:
        assert prompts(pd.DataFrame({"x": column})) == expected, column.dtype


moments = st.integers(631_152_000, 4_102_444_800).map(lambda one: pd.Timestamp(one, unit="s").to_pydatetime())


@settings(max_examples=20)
@given(st.lists(moments | st.none(), min_size=1, max_size=5))
def test_a_moment_reads_the_same_in_every_unit_and_type(values: list[dt.datetime | None]):
    expected = [SKIPPED if value is None else str(value) for value in values]
    column = pd.Series(pd.to_datetime(values))
    stored: list[Any] = [
        *(column.astype(f"datetime64[{unit}]") for unit in ("s", "ms", "us", "ns")),
        *(column.astype(pd.ArrowDtype(pa.timestamp(unit))) for unit in ("s", "ms", "us", "ns")),
        column.astype("category"),
        pd.Series(values, dtype=object),
        pd.Series([None if value is None else pd.Timestamp(value) for value in values], dtype=object),
        *(
            pd.Series([np.datetime64("NaT") if value is None else np.datetime64(value, unit) for value in values],
                      dtype=object)
            for unit in ("s", "ms", "us", "ns")
        ),
    ]  # fmt: skip
    for one in stored:
        assert prompts(pd.DataFrame({"x": one})) == expected, one.dtype
        assert prompts(pd.DataFrame({"x": one}), template="{x:%d.%m.%Y}") == [
            SKIPPED if value is None else f"{value:%d.%m.%Y}" for value in values
        ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/St_Johns"])
def test_a_moment_with_a_zone_reads_the_same(zone: str):
    column = pd.Series(pd.to_datetime(["2026-07-02 03:04:05", None])).dt.tz_localize(zone)
    expected = [str(column.iloc[0]), SKIPPED]
    kind = pd.ArrowDtype(pa.timestamp("us", zone))
    for one in (column, column.dt.as_unit("s"), column.astype(kind), column.astype(object), column.astype("category")):
        assert prompts(pd.DataFrame({"x": one})) == expected, one.dtype


@settings(max_examples=20)
@given(st.lists(st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)) | st.none(), min_size=1, max_size=5))
def test_a_day_reads_the_same(values: list[dt.date | None]):
    expected = [SKIPPED if value is None else str(value) for value in values]
    for column in (
        pd.Series(values, dtype=object),
        pd.Series(values, dtype=pd.ArrowDtype(pa.date32())),
        pd.Series([None if value is None else np.datetime64(value) for value in values], dtype=object),
    ):
        assert prompts(pd.DataFrame({"x": column})) == expected


@settings(max_examples=20)
@given(st.lists(st.integers(0, 10**6) | st.none(), min_size=1, max_size=5))
def test_a_span_of_time_reads_the_same(seconds: list[int | None]):
    column = pd.Series(pd.to_timedelta(seconds, unit="s"))
    expected = [SKIPPED if one is None else str(pd.Timedelta(seconds=one)) for one in seconds]
    for one in (
        column.astype("timedelta64[s]"),
        column.astype("timedelta64[ns]"),
        column.astype(pd.ArrowDtype(pa.duration("us"))),
        column.astype("category"),
        pd.Series([np.timedelta64("NaT") if one is None else np.timedelta64(one, "s") for one in seconds],
                  dtype=object),
    ):  # fmt: skip
        assert prompts(pd.DataFrame({"x": one})) == expected, one.dtype


@settings(max_examples=20)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=6) | st.none(), min_size=1, max_size=5))
def test_text_reads_the_same(values: list[str | None]):
    expected = [SKIPPED if value is None or not value.strip() else value for value in values]
    kinds: list[Any] = [object, "string", "string[pyarrow]", pd.ArrowDtype(pa.string()), "category"]
    kinds.append(pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())))
    for kind in kinds:
        assert prompts(pd.DataFrame({"x": pd.Series(values, dtype=kind)})) == expected, kind


def test_periods_intervals_and_categories_of_them_read_the_same():
    for index in (pd.PeriodIndex(["2026-01", "2026-02"], freq="M"), pd.interval_range(0, 2)):
        columns = [index.to_series(), index.astype(object).to_series(), pd.Series(pd.Categorical(index))]
        for column in columns:
            assert prompts(pd.DataFrame({"x": column.tolist()})) == [str(one) for one in index]
            assert prompts(pd.DataFrame({"x": column.array})) == [str(one) for one in index]


# Missing


MISSING: list[Any] = [
    None, math.nan, pd.NA, pd.NaT, Decimal("NaN"), Decimal("sNaN"), np.float32("nan"), np.float16("nan"),
    np.longdouble("nan"), np.datetime64("NaT"), np.timedelta64("NaT", "s"), complex("nan"), np.complex64("nan"),
    np.ma.masked, np.array(math.nan), np.array(None), pa.scalar(None), pa.scalar(math.nan),
]  # fmt: skip


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_what_is_missing_is_missing_everywhere(missing: Any):
    assert is_missing(missing)
    assert cell_text(missing) == ""
    assert json.loads(cell_text([missing, {"a": missing}, (missing,)])) == [None, {"a": None}, [None]]
    column = pd.Series([missing, "there"], dtype=object)
    frame = pd.DataFrame({"x": column})
    assert prompts(frame) == [SKIPPED, "there"]
    assert prompts(frame, template="{x}!") == [SKIPPED, "there!"]
    assert prompts(frame, template=lambda row: f"asked {row['x']}") == [SKIPPED, "asked there"]
    assert prompts(frame, template="{x:>1}!", missing="send") == ["!", "there!"]


def test_a_nan_of_arrow_leaves_no_hole():
    column = arrow(pa.float64(), nan=True)([0.5, None])
    assert not column.isna().any() or pd.__version__ >= "3"  # what pandas itself makes of it
    frame = pd.DataFrame({"name": ["a", "b"], "rate": column})
    assert prompts(frame, "name", "{name} has rate {rate}.") == ["a has rate 0.5.", SKIPPED]


# Lists and dicts


@dataclass
class Point:
    x: Any
    y: Any


class Said:
    def __str__(self) -> str:
        return "said"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([4.0, math.nan], [4.0, None]),
        ([1, [math.nan, {"a": math.inf, "b": -math.inf}]], [1, [None, {"a": "inf", "b": "-inf"}]]),
        ([np.float32(19.99), np.int8(3), np.bool_(True), np.str_("s")], [19.99, 3, True, "s"]),
        ([pd.NaT, pd.Timestamp("2026-01-02"), dt.date(2026, 1, 2)], [None, "2026-01-02 00:00:00", "2026-01-02"]),
        (np.array([1.5, math.nan]), [1.5, None]),
        (np.array([[19.99], [math.nan]], "float32"), [[19.99], [None]]),
        (np.array(["2026-01-02T03:04:05", "NaT"], "datetime64[ns]"), ["2026-01-02 03:04:05", None]),
        (np.array([[19.99, None], ["a", math.nan]], dtype=object), [[19.99, None], ["a", None]]),
        (np.ma.masked_array([1.5, 2.5], [False, True]), [1.5, None]),
        (pd.Series([1.5, None]), [1.5, None]),
        ([{3, 1, 2}, frozenset({math.inf})], [[1, 2, 3], ["inf"]]),
        ({"a": (1, math.nan)}, {"a": [1, None]}),
        ({1: "a", 2.5: math.nan, False: "c", None: "d"}, {"1": "a", "2.5": None, "false": "c", "null": "d"}),
        ({("a", 1): 2, dt.date(2026, 1, 2): math.nan}, {'["a",1]': 2, "2026-01-02": None}),
        ({np.int64(3): 1, pd.Timestamp("2026-01-02"): 2}, {"3": 1, "2026-01-02 00:00:00": 2}),
        ({pd.NA: 1, np.float32(19.99): 2}, {"null": 1, "19.99": 2}),
        (Point(1, math.nan), {"x": 1, "y": None}),
        ([Point(np.float32(19.99), pd.NA), Said()], [{"x": 19.99, "y": None}, "said"]),
        ([Decimal("1.50"), Decimal("NaN"), 2**70], ["1.50", None, 2**70]),
        ([np.longdouble("0.5"), 1 + 2j], [0.5, "(1+2j)"]),
    ],
)
def test_lists_and_dicts_are_json_that_every_reader_takes(value: Any, expected: Any):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = cell_text(value)
    assert json.loads(text, parse_constant=refuse) == expected
    column = pd.Series([value, None], dtype=object)
    assert prompts(pd.DataFrame({"x": column})) == [text, SKIPPED]


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([pd.NA, np.float32(0.1)]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.integers() | st.floats() | st.tuples(st.integers()), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(nested, max_size=3))
def test_any_list_is_json(value: list[Any]):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(cell_text(value), parse_constant=refuse)


@given(st.lists(st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False), max_size=4))
def test_a_list_without_anything_missing_is_written_as_ever(value: list[Any]):
    assert cell_text(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    holed = cell_text([*value, math.nan])
    assert holed == json.dumps([*value, None], ensure_ascii=False, separators=(",", ":"))


def test_bytes_are_refused_wherever_they_stand():
    for value in (b"a", np.bytes_(b"a"), np.void(b"a"), [np.void(b"a")], {b"a": 1}, [math.nan, b"a"], pa.scalar(b"a")):
        with pytest.raises(CellError, match="is not text"):
            cell_text(value, "x")
    with pytest.raises(InputError, match=r"Row 0: .*is not text"):
        prompts(pd.DataFrame({"x": pd.Series([b"a"], dtype=pd.ArrowDtype(pa.binary()))}))


def test_arrow_lists_and_structs_have_the_digits_that_were_typed():
    kinds = {
        pa.list_(pa.float32()): ([19.99, None], "[19.99,null]"),
        pa.struct([("a", pa.float32()), ("b", pa.string())]): ({"a": 19.99, "b": "c"}, '{"a":19.99,"b":"c"}'),
        pa.map_(pa.string(), pa.float32()): ([("a", 19.99)], '[["a",19.99]]'),
        pa.list_(pa.list_(pa.float32())): ([[19.99]], "[[19.99]]"),
    }
    for kind, (value, text) in kinds.items():
        frame = pd.DataFrame({"x": pd.Series([value, None], dtype=pd.ArrowDtype(kind))})
        assert prompts(frame) == [text, SKIPPED], kind


def test_a_list_inside_itself_is_an_error_of_its_column():
    round_: list[Any] = [1]
    round_.append(round_)
    with pytest.raises(CellError, match="'x'"):
        cell_text(round_, "x")


def test_what_numpy_is_told_of_printing_changes_no_prompt():
    frame = pd.DataFrame({"x": np.array([19.99123], "float32")})
    before = prompts(frame)
    with np.printoptions(precision=2, suppress=True, formatter={"float": lambda value: "no"}):
        assert prompts(frame) == before == ["19.99123"]
    with decimal.localcontext(decimal.Context(prec=3)):
        assert prompts(frame) == before
