"""Finds the shape of the JSON that a prompt asks for in words: a schema, an example, or a list of keys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

__all__ = ["Asked", "asked_json"]

_READ = 20_000  # characters
_BRACES = 12  # opening braces looked at before giving up: what is no JSON is mostly a template
_ASKS = re.compile(
    r"\b(?:respond|return|answer|reply|output|produce|give|provide|format|write|match|fill)\w*\b[^{}]{0,200}\bjson\b"
    r"|\bjson\b[^{}]{0,60}\b(?:format|object|keys|fields|schema|with|like|as)\b|(?:输出|返回)[^{}]{0,40}json"
    r"|json[^{}]{0,20}(?:으로|형식|格式)",
    re.IGNORECASE,
)
_KEYS = re.compile(r"\b(?:keys?|fields?)\b:? ((?:[\"'`]?[a-z_]\w*[\"'`]?(?:, and |, | and )?){1,12})", re.IGNORECASE)
_KEY = re.compile(r"[a-z_]\w*", re.IGNORECASE)
_NUMBERS = re.compile(r"score|rating|stars|confidence|count|price|amount|number", re.IGNORECASE)
_LISTS = re.compile(r"(?:keywords|tags|topics|labels|entities|phrases)$", re.IGNORECASE)
_BOOLEANS = re.compile(r"(?:is|has|would|should|needs)[_A-Z]")
_OPTIONS = re.compile(r"\s*\|\s*|\s*/\s*|\s+or\s+")
_OPTION_CHARS = 40
_DECODER = json.JSONDecoder()


class Asked(NamedTuple):
    """A JSON schema, and where in the text it is told, from and to which character."""

    schema: Mapping[str, Any]
    start: int
    end: int


def asked_json(text: str) -> Asked | None:
    """Return what a text asks to be answered in JSON by; None where it does not, or does not say how."""
    if "json" not in text and "JSON" not in text and "Json" not in text:
        return None
    return _read(text[:_READ])


# Of the rows of a batch, the system prompt is the same.
@lru_cache(maxsize=64)
def _read(text: str) -> Asked | None:
    asks = _ASKS.search(text)
    if asks is None:
        return None
    at = -1
    for _ in range(_BRACES):
        at = text.find("{", at + 1)
        if at < 0:
            break
        try:
            found, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and found:
            return Asked(found if _is_schema(found) else _object(found), at, end)
    keys = _KEYS.search(text, asks.start())
    if keys is None:
        return None
    names = [name for name in _KEY.findall(keys[1]) if name.lower() != "and"]
    return Asked(_closed({name: _named(name) for name in names}), *keys.span())


def _is_schema(found: Mapping[str, Any]) -> bool:
    return isinstance(found.get("properties"), dict) or any(key in found for key in ("$ref", "$defs", "anyOf", "allOf"))


def _object(example: Mapping[str, Any]) -> dict[str, Any]:
    return _closed({name: _like(value, name) for name, value in example.items()})


def _closed(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _like(example: Any, name: str) -> dict[str, Any]:
    """Return the schema of a value like this one, which may say what it takes ("positive|negative", "1 to 5")."""
    if isinstance(example, bool):
        return {"type": "boolean"}
    if isinstance(example, int | float):
        return {"type": "integer" if isinstance(example, int) else "number"}
    if isinstance(example, list):
        return {"type": "array", "items": _like(example[0], "") if example else {"type": "string"}}
    if isinstance(example, dict):
        return _object(example)
    said = str(example or "")
    options = _OPTIONS.split(said) if len(said) < _OPTION_CHARS * 12 else []
    if len(options) > 1 and all(0 < len(option) <= _OPTION_CHARS for option in options):
        return {"enum": options}
    return _named(name) if said.strip(" .…<>") in ("", "string") else {"type": "string", "description": said}


def _named(name: str) -> dict[str, Any]:
    """Return the schema of a field of which only the name is told."""
    if _BOOLEANS.match(name):
        return {"type": "boolean"}
    if _LISTS.search(name):
        return {"type": "array", "items": {"type": "string"}}
    return {"type": "number" if _NUMBERS.search(name) else "string"}
