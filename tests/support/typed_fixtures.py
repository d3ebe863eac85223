"""One schema with a field of every type, in the four ways that ``schema=`` takes, and answers that fit it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pydantic
from pydantic import Field


class Mood(enum.Enum):
    GLAD = "glad"
    CALM = "calm"
    CROSS = "cross"


class Address(pydantic.BaseModel):
    city: str
    code: str | None = None


class AddressDict(TypedDict):
    city: str
    code: NotRequired[str | None]


#: What the fields hold that all four ways share, in an order that no alphabet gives.
Summary = Annotated[str, Field(min_length=1, max_length=80, description="In one line.")]
Stars = Annotated[int, Field(ge=1, le=5)]
Price = Annotated[float, Field(gt=0)] | None
Code = Annotated[str, Field(pattern="^[A-Z]{2}[0-9]{3}$")]
Tags = Annotated[list[str], Field(max_length=3)]


class ReviewModel(pydantic.BaseModel):
    """A review of a product."""

    summary: Summary
    stars: Stars
    price: Price
    recommends: bool
    mood: Mood
    channel: Literal["web", "phone"]
    answered: bool | None
    seen_at: dt.datetime
    bought_on: dt.date | None
    called_at: dt.time
    code: Code
    tags: Tags
    address: Address = Field(description="Where it was bought.")
    parts: list[Address]
    helpful: int | None
    share: float
    reference: int | str


@dataclasses.dataclass
class ReviewDataclass:
    summary: Summary
    stars: Stars
    price: Price
    recommends: bool
    mood: Mood
    channel: Literal["web", "phone"]
    answered: bool | None
    seen_at: dt.datetime
    bought_on: dt.date | None
    called_at: dt.time
    code: Code
    tags: Tags
    address: Annotated[Address, Field(description="Where it was bought.")]
    parts: list[Address]
    helpful: int | None
    share: float
    reference: int | str


class ReviewDict(TypedDict):
    summary: Summary
    stars: Stars
    price: Price
    recommends: bool
    mood: Mood
    channel: Literal["web", "phone"]
    answered: bool | None
    seen_at: dt.datetime
    bought_on: dt.date | None
    called_at: dt.time
    code: Code
    tags: Tags
    address: Annotated[AddressDict, Field(description="Where it was bought.")]
    parts: list[AddressDict]
    helpful: int | None
    share: float
    reference: int | str


_ADDRESS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "code": {"type": ["string", "null"]}},
    "required": ["city"],
}

REVIEW_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "summary": {"type": "string", "minLength": 1, "maxLength": 80, "description": "In one line."},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "price": {"type": ["number", "null"], "exclusiveMinimum": 0},
        "recommends": {"type": "boolean"},
        "mood": {"enum": ["glad", "calm", "cross"]},
        "channel": {"type": "string", "enum": ["web", "phone"]},
        "answered": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        "seen_at": {"type": "string", "format": "date-time"},
        "bought_on": {"type": ["string", "null"], "format": "date"},
        "called_at": {"type": "string", "format": "time"},
        "code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{3}$"},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "address": {"$ref": "#/definitions/address", "description": "Where it was bought."},
        "parts": {"type": "array", "items": {"$ref": "#/definitions/address"}},
        "helpful": {"type": ["integer", "null"]},
        "share": {"type": "number"},
        "reference": {"type": ["integer", "string"]},
    },
    "definitions": {"address": _ADDRESS},
}
REVIEW_SCHEMA["required"] = list(REVIEW_SCHEMA["properties"])

SCHEMAS = {"model": ReviewModel, "dataclass": ReviewDataclass, "typeddict": ReviewDict, "dict": REVIEW_SCHEMA}

#: What pandas makes of each field.
DTYPES = {
    "summary": "string", "stars": "Int64", "price": "Float64", "recommends": "boolean", "mood": "category",
    "channel": "category", "answered": "boolean", "seen_at": "datetime64[us, UTC]", "bought_on": "datetime64[us]",
    "called_at": "string", "code": "string", "tags": "object", "address": "object", "parts": "object",
    "helpful": "Int64", "share": "Float64", "reference": "object",
}  # fmt: skip

FLAT = [*list(DTYPES)[:12], "address.city", "address.code", *list(DTYPES)[13:]]


def review(number: int, **changed: Any) -> dict[str, Any]:
    """Return a reply that fits, another one for each number."""
    return {
        "summary": f"Review {number}: 한국어 “quoted”, \\ and \n newline",
        "stars": number % 5 + 1,
        "price": None if number % 3 == 0 else number + 0.25,
        "recommends": number % 2 == 0,
        "mood": list(Mood)[number % 3].value,
        "channel": ("web", "phone")[number % 2],
        "answered": (True, False, None)[number % 3],
        "seen_at": f"2026-01-{number % 28 + 1:02d}T09:30:00.{number:06d}+02:00",
        "bought_on": None if number % 4 == 0 else f"20{number % 90 + 10}-12-31",
        "called_at": f"{number % 24:02d}:15:00Z",
        "code": f"AB{number % 1000:03d}",
        "tags": [f"tag {one}" for one in range(number % 4)],
        "address": {"city": f"City {number}", "code": None},
        "parts": [{"city": "A", "code": "1"}] * (number % 3),
        "helpful": None if number % 2 else 2**53 + number,
        "share": number / 7,
        "reference": number if number % 2 else f"ref {number}",
        **changed,
    }
