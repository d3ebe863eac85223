"""Schemas and tools that leave more open than structured outputs take are refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from batchnb import InputError
from batchnb.api.sdk import transform_schema
from batchnb.questions.params import tools_of
from batchnb.questions.replies.limits import MOST_OPTIONAL, MOST_STRICT, MOST_UNIONS
from batchnb.questions.replies.reply import reply_from_spec
from batchnb.questions.replies.schema import SchemaReply

TEXT, EITHER = {"type": "string"}, {"type": ["string", "null"]}


def made(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def optional(count: int) -> dict[str, Any]:
    inner = made({f"i{number}": TEXT for number in range(count // 2)}, [])
    return made({"kept": TEXT, "inner": inner} | {f"f{n}": TEXT for n in range(count - count // 2)}, ["kept", "inner"])


def unions(count: int) -> dict[str, Any]:
    fields = {f"f{number}": EITHER for number in range(count)}
    return made(fields, list(fields))


def of(schema: dict[str, Any]) -> SchemaReply:
    return SchemaReply.of(schema, transform_schema)


def test_fields_that_may_be_left_out_are_counted_wherever_they_stand():
    assert of(optional(MOST_OPTIONAL))
    with pytest.raises(InputError, match=rf"schema=: 25 of its fields may be left out.*at most {MOST_OPTIONAL}"):
        of(optional(MOST_OPTIONAL + 1))


def test_fields_of_several_types_are_counted():
    assert of(unions(MOST_UNIONS))
    with pytest.raises(InputError, match=rf"17 of its fields are of one type or another.*at most {MOST_UNIONS}"):
        of(unions(MOST_UNIONS + 1))


def test_what_was_asked_before_is_read_all_the_same():
    reply = of(optional(3))
    larger = reply.spec() | {"schema": reply.schema.replace("f0", "f9")}
    assert reply_from_spec(larger).fields


def test_strict_tools_are_counted_with_what_they_leave_open():
    def tools(count: int, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"tools": [{"name": f"t{n}", "input_schema": schema, "strict": True, **more} for n in range(count)]}

    assert len(tools_of(tools(MOST_STRICT, made({}, [])))) == MOST_STRICT
    with pytest.raises(InputError, match="21 strict tools; the API takes at most 20"):
        tools_of(tools(MOST_STRICT + 1, made({}, [])))
    with pytest.raises(InputError, match="26 fields of strict tools that may be left out"):
        tools_of(tools(2, optional(13)))
    with pytest.raises(InputError, match="18 fields of strict tools that are of one type or another"):
        tools_of(tools(2, unions(9)))
    assert tools_of(tools(30, optional(13), strict=False))
