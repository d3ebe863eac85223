"""Checking replies by their schema: the same verdict as the reference implementation, whatever schema and value."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from typing import Any

import jsonschema
import msgspec
import pytest
from anthropic import transform_schema
from hypothesis import given, settings
from hypothesis import strategies as st
from typed_fixtures import SCHEMAS

from batchnb import InputError
from batchnb.questions.replies.base import MisfitError
from batchnb.questions.replies.checks import check_of
from batchnb.questions.replies.formats import FORMATS
from batchnb.questions.replies.normalise import resolved, sendable
from batchnb.questions.replies.reply import reply_of
from batchnb.questions.replies.schema import SchemaReply

NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.text(st.sampled_from("abc 1é한"), max_size=4)
INTEGERS = st.integers(-6, 6)
# Sixteenths are exact in both forms; of others, the reference implementation divides as floats.
NUMBERS = INTEGERS | st.integers(-40, 40).map(lambda number: number / 16)
PLAIN = st.none() | st.booleans() | INTEGERS | NUMBERS | TEXTS


def bounded(kind: str, values: st.SearchStrategy[Any], names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=dict.fromkeys(names, values))


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def of_object(fields: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
        required = st.lists(st.sampled_from(sorted(fields)), unique=True)
        return st.fixed_dictionaries({"type": st.just("object"), "properties": st.just(fields), "required": required})

    lists = st.fixed_dictionaries(
        {"type": st.just("array"), "items": inner},
        optional={"minItems": st.integers(0, 2), "maxItems": st.integers(0, 3), "uniqueItems": st.booleans()},
    )
    return (
        st.dictionaries(NAMES, inner, min_size=1).flatmap(of_object)
        | lists
        | st.fixed_dictionaries({"type": st.just("array"), "prefixItems": st.lists(inner, min_size=1, max_size=2)})
        | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)})
        | inner.map(lambda one: {"allOf": [one]})
        | st.lists(st.sampled_from(["string", "integer", "null", "boolean"]), min_size=1, max_size=3, unique=True).map(
            lambda kinds: {"type": kinds}
        )
    )


LEAVES = (
    bounded("integer", INTEGERS, ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
    | bounded("number", NUMBERS, ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
    | bounded("integer", st.integers(1, 4), ("multipleOf",))
    | bounded("string", st.integers(0, 3), ("minLength", "maxLength"))
    | bounded("string", st.sampled_from(["^a", "b$", "[0-9]", "a|b"]), ("pattern",))
    | st.sampled_from([{"type": "boolean"}, {"type": "null"}])
    | st.lists(PLAIN, min_size=1, max_size=4).map(lambda options: {"enum": options})
    | PLAIN.map(lambda option: {"const": option})
)
ANY_SCHEMA = st.recursive(LEAVES, nested, max_leaves=8)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)


def closed(schema: Any) -> Any:
    """Close every object, as what is sent is."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: one if name in ("enum", "const") else closed(one) for name, one in schema.items()}
    return {**made, "additionalProperties": False} if made.get("type") == "object" else made


@settings(max_examples=200)
@given(ANY_SCHEMA, VALUES)
def test_a_value_fits_exactly_where_the_reference_implementation_says_so(schema, value):
    whole = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    kept = copy.deepcopy(whole)
    found = check_of(resolved(whole))({"x": value})
    assert whole == kept
    fits = jsonschema.Draft202012Validator(closed(whole)).is_valid({"x": value})
    assert (found is None) == fits, found
    if found is not None:
        assert str(found).startswith("x")


@settings(max_examples=80)
@given(ANY_SCHEMA)
def test_what_is_sent_of_any_schema_has_only_what_the_api_takes(schema):
    whole = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    resolved(whole)
    sent = transform_schema(sendable(whole))
    jsonschema.Draft202012Validator.check_schema(sent)
    waiting: list[Any] = [sent]
    while waiting:
        node = waiting.pop()
        assert node.keys() <= {
            "type", "properties", "required", "additionalProperties", "items", "minItems", "anyOf", "enum", "const",
            "description", "title", "format", "$ref", "$defs",
        }  # fmt: skip
        assert node.get("additionalProperties", False) is False
        waiting += [*node.get("properties", {}).values(), *node.get("anyOf", ()), *node.get("$defs", {}).values()]
        waiting += [node["items"]] if "items" in node else []


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("date", ["2026-01-31", "0001-01-01", "9999-12-31", "2024-02-29"],
         ["2026-02-29", "2026-1-31", "20260131", "2026-W05-6", "2026-01-31T00:00Z", "", "٢٠٢٦-01-31", "10000-01-01"]),
        ("date-time", ["2026-01-31T09:30:00Z", "2026-01-31t09:30:00z", "2026-01-31 09:30:00+02:00",
                       "2026-01-31T09:30:00.123456789Z", "2026-01-31T09:30:00"],
         ["2026-01-31", "2026-01-31T25:00:00Z", "2026-01-31T09:30:60Z", "2026-01-31T09", "9999-12-31T23:59:59-01:00"]),
        ("time", ["09:30:00Z", "09:30", "23:59:59.5+01:00"], ["24:00:00Z", "9:30", "0930", "noon"]),
        ("duration", ["P1D", "PT36H", "P1Y2M3DT4H5M6.5S", "P2W", "-P1D"], ["P", "PT", "1D", "P1DT", "P1W2D", "D1"]),
        ("email", ["reader@example.com", "한@국.kr"], ["reader", "a@b@c", "a b@c.de", "@x", "x@"]),
        ("hostname", ["example.com", "a-b.c", "localhost"], ["-a.com", "a..b", "a_b.c", "x" * 64, ""]),
        ("uri", ["https://example.com/?q=1#x", "urn:isbn:1", "mailto:a@b.c"], ["example.com", "//x", "http: //x", ""]),
        ("ipv4", ["192.0.2.1"], ["192.0.2", "192.0.2.256", "01.2.3.4", "::1"]),
        ("ipv6", ["2001:db8::1", "::"], ["2001:db8:::1", "192.0.2.1", "g::"]),
        ("uuid", ["00000000-0000-4000-8000-00000000000a"], ["00000000000040008000000000000000", "x", ""]),
    ],
)  # fmt: skip
def test_formats_are_told_from_what_only_looks_like_them(kind, good, bad):
    is_one, _ = FORMATS[kind]
    assert [text for text in good if not is_one(text)] == []
    assert [text for text in bad if is_one(text)] == []


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        ({"type": "number", "multipleOf": 0.1}, 0.3, None),
        ({"type": "number", "multipleOf": 0.01}, 19.99, None),
        ({"type": "number", "multipleOf": 0.1}, 0.35, "x: 0.35 is no multiple of 0.1"),
        ({"type": "number", "multipleOf": 0.1}, 1e300, None),
        ({"type": "integer"}, 3.0, None),
        ({"type": "integer"}, 1e300, "x: 1e+300 has more than 64 bits"),
        ({"type": "integer"}, -(2**63), None),
        ({"type": "integer"}, True, "x: true is not a whole number"),
        ({"type": "number"}, 10**400, "x: 1" + "0" * 38 + "… is beyond what a number can be"),
        ({"enum": [1, 2]}, True, "x: true is none of 1, 2"),
        ({"enum": list("abcdefg")}, "z", 'x: "z" is none of "a", "b", "c", "d", "e", …'),
        ({"type": "string", "format": "a format of the future"}, "anything", None),
        ({"anyOf": [{"type": "integer", "maximum": 3}, {"type": "null"}]}, 5, "x: 5 is more than 3"),
        ({"anyOf": [{"type": "integer", "maximum": 3}, {"type": "null"}]}, "a", 'x: "a" is not a whole number'),
        ({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, "a", 'x: "a" fits none of the alternatives'),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, 5, "x: 5 fits more than one of the alternatives"),
        ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, [1, 2, 1], "x: 1 is there twice"),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}, [1, 2], "x[1]: 2 is not text"),
        ({"type": "string", "maxLength": 3}, "é한😀", None),
    ],
)
def test_a_reason_names_the_field_and_what_is_wrong(schema, value, said):
    found = check_of(resolved({"type": "object", "properties": {"x": schema}}))({"x": value})
    assert (found and str(found)) == said


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({}, "the top level takes any value"),
        ({"type": "array", "items": {"type": "string"}}, "its top level is 'array'"),
        ({"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}}]}, "its top level is a choice"),
        ({"type": "object"}, "the top level is an object without fixed fields"),
        ({"$ref": "#/$defs/a"}, "the top level refers to '#/$defs/a', which is not in the schema"),
        ({"$ref": "#"}, "the top level contains itself"),
    ],
)
def test_a_top_level_that_is_no_object_with_fields_is_refused(schema, said):
    with pytest.raises(InputError) as raised:
        resolved(schema)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({}, "'a.b' takes any value"),
        (True, "'a.b' is True"),
        ({"type": "strin"}, "'a.b' has type 'strin'"),
        ({"type": []}, "'a.b' has type []"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "'a.b' is an object without fixed fields"),
        ({"type": "array"}, "'a.b' is a list of anything"),
        ({"type": "array", "items": {"type": "object"}}, "'a.b[]' is an object without fixed fields"),
        ({"$ref": "https://example.com/schema"}, "'a.b' refers to 'https://example.com/schema', which leads out"),
        ({"$ref": "other.json#/$defs/x"}, "leads out of the schema"),
        ({"$ref": "#/$defs/nowhere"}, "which is not in the schema"),
        ({"$ref": "#/$defs/tree"}, "'a.b.children[]' contains itself ($ref '#/$defs/tree')"),
        ({"type": "string", "not": {"const": "x"}}, "'a.b' has the keyword 'not'"),
        ({"type": "string", "pattern": "("}, "'a.b' has a pattern that is not taken: Python cannot read it"),
        ({"type": "string", "pattern": "(?=x)y"}, "linear time (look-around, including"),
        ({"type": "string", "pattern": r"(.)\1"}, "linear time (backreferences are not supported)"),
        ({"type": "string", "pattern": "(a{1000}){1000}"}, "it has 1,000,000 parts, more than 1,000"),
        ({"type": "string", "pattern": "(.{1,100}){1,100}y"}, "it has 10,001 parts"),
        ({"type": "string", "pattern": r"((\w{2}[)(]){3}\d{9,}){60}"}, "it has 1,080 parts"),
        ({"type": "string", "pattern": r"\w{900}"}, "linear time (Compiled regex exceeds size limit"),
        ({"type": "string", "pattern": "(" * 20_000 + ")" * 20_000}, "'a.b' has a pattern that is not taken"),
        ({"type": "string", "pattern": "[a&&b]"}, "it can be read in two ways"),
        ({"type": "string", "pattern": "^a*+b$"}, "it can be read in two ways: '*+'"),
        ({"type": "string", "pattern": "a{2}+b"}, "it can be read in two ways"),
        ({"type": "string", "pattern": "(?x)[a b]"}, "it can be read in two ways"),
        ({"type": "integer", "minimum": "3"}, "'a.b' has minimum: '3'"),
        ({"type": "integer", "minimum": True}, "'a.b' has minimum: 'True'"),
        ({"type": "integer", "multipleOf": 0}, "multipleOf 0, which must be more than 0"),
        ({"enum": []}, "'a.b' has enum: '[]'"),
        ({"type": "object", "properties": {"": {"type": "string"}}}, "'a.b' has a field without a name"),
        ({"enum": [["x"]]}, "'a.b' chooses among lists or objects"),
        ({"type": "object", "properties": {"c": {"type": "string"}}, "required": ["d"]}, "requires 'd'"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "'a.b' says twice, and differently, what 'type' is"),
        ({"type": ["string", "null"], "anyOf": [{"type": "string"}]}, "both a list of types and anyOf"),
    ],
)
def test_a_schema_the_api_cannot_take_is_refused_by_the_place(field, said):
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}
    inner = {"type": "object", "properties": {"b": field}}
    with pytest.raises(InputError) as raised:
        resolved({"type": "object", "properties": {"a": inner}, "$defs": {"tree": tree}})
    assert said in str(raised.value)


def test_references_that_multiply_are_refused_rather_than_written_out():
    defined: dict[str, Any] = {"d0": {"type": "string"}}
    for level in range(1, 30):
        both = {name: {"$ref": f"#/$defs/d{level - 1}"} for name in "ab"}
        defined[f"d{level}"] = {"type": "object", "properties": both}
    with pytest.raises(InputError, match="more than 5,000 parts"):
        resolved({"type": "object", "properties": {"x": {"$ref": "#/$defs/d29"}}, "$defs": defined})


def test_parts_that_all_hold_are_one_object():
    base = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    more = {"properties": {"name": {"type": "string"}}, "required": ["name"], "description": "Both."}
    schema = {
        "type": "object",
        "properties": {"x": {"allOf": [{"$ref": "#/$defs/base"}, more]}},
        "$defs": {"base": base},
    }
    check = check_of(resolved(schema))
    assert check({"x": {"id": 1, "name": "a"}}) is None
    assert str(check({"x": {"id": 1}})) == "x.name: missing from the reply"
    sent = transform_schema(sendable(schema))["properties"]["x"]
    assert (list(sent["properties"]), sent["required"], sent["description"]) == (
        ["id", "name"],
        ["id", "name"],
        "Both.",
    )


def test_a_description_beside_a_reference_is_sent_and_references_without_one_stay():
    address = {"type": "object", "properties": {"city": {"type": "string", "description": "A city."}}}
    schema = {
        "type": "object",
        "properties": {
            "home": {"$ref": "#/$defs/address", "description": "Where they live."},
            "work": {"$ref": "#/$defs/address"},
        },
        "$defs": {"address": address, "unused": {"type": "string"}},
    }
    sent = transform_schema(sendable(schema))
    assert sent["properties"]["home"]["description"] == "Where they live."
    assert sent["properties"]["home"]["properties"]["city"]["description"] == "A city."
    assert sent["properties"]["work"] == {"$ref": "#/$defs/address"}
    assert list(sent["$defs"]) == ["address"]


def test_what_is_sent_is_the_same_whichever_version_of_the_sdk_and_of_pydantic_is_installed():
    """A change here asks every row of every typed job again, and has it paid for again."""
    sent = [reply_of(schema=schema, transform=transform_schema).sent for schema in SCHEMAS.values()]
    digests = [
        hashlib.sha256(msgspec.json.encode(msgspec.json.decode(text), order="sorted")).hexdigest() for text in sent
    ]
    assert [digest[:16] for digest in digests] == [
        "56576d3b5f43145f", "73ff5b59b815b154", "17798e2b4c4455a0", "56eed37e28f92734"
    ]  # fmt: skip


#: Patterns over which Python's own engine takes longer the more ways there are to read a text, and what they refuse.
SLOW = [
    (r"^([a-z0-9]+[._-]?)+@[a-z.]+$", "a" * 45 + "!"),
    (r"^(a+)+$", "a" * 60 + "b"),
    (r"(x+x+)+y", "x" * 60),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 60),
    (r"(.*)*,(.*)*,$", "a" * 5_000),
    (r"^(\w+\s?)*\Z", "word " * 500 + "!"),
]


@pytest.mark.parametrize(("pattern", "text"), SLOW)
def test_a_pattern_takes_no_longer_than_its_text_is(pattern, text):
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
    reply = SchemaReply.of(schema, transform_schema)
    with pytest.raises(MisfitError, match="does not fit the pattern"):
        reply.read(json.dumps({"a": text}))


@pytest.mark.parametrize(
    ("pattern", "fits", "misfits"),
    [
        (r"^\d{4}-\d{2}$", "2026-11", "26-11"),
        (r"\A[^@]+@[^@]+\Z", "a@b", "a@b@c"),
        (r"^(?P<first>[A-Z])[\w .'-]*$", "Oland's ö", "9"),
        (r"^[\w.+-]+\\.x$", "a\\.x", "a.x"),
        ("é|日本", "x日本y", "e"),
        (r"\\Z", r"\Z", "Z"),
        (r"^\<b\>$", "<b>", "b"),
        ("^a{1, 3}$", "a{1, 3}", "aa"),
        (r"^x\b{start}$", "x{start}", "x"),
        (r"^[<\>{]+$", "<>{", ">}"),
        (r"^\++[*]+$", "++**", "+"),
    ],
)
def test_a_pattern_means_what_it_means_in_python(pattern, fits, misfits):
    check = check_of({"type": "string", "pattern": pattern})
    assert re.search(pattern, fits)
    assert not re.search(pattern, misfits)
    assert check(fits) is None
    assert check(misfits) is not None


def test_a_text_that_is_too_long_for_its_pattern_does_not_fit_it():
    check = check_of({"type": "string", "pattern": "[ab]*a[ab]{900}c?"})
    assert check("ab" * 5_000) is None
    assert check("ab" * 500_000) is not None
    assert check_of({"type": "string", "pattern": "^[a-z ]+$"})("word " * 100_000) is None


def test_a_stored_pattern_that_cannot_be_run_safely_refuses_no_reply():
    assert check_of({"type": "string", "pattern": "(?=x)x"})("y") is None
