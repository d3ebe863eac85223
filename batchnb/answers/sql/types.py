"""pandas columns to SQLAlchemy types, and their values to what a driver takes. Pure.

Import it where it is needed, not before: SQLAlchemy is an extra.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
import uuid
from collections.abc import Callable
from typing import Any

import pandas as pd
from sqlalchemy import types

from batchnb.errors import InputError

__all__ = ["as_key", "plain_values", "type_of"]

#: By what ``pandas.api.types.infer_dtype`` finds; all else is text, or JSON where it is lists and dicts.
KINDS: dict[str, Callable[[], types.TypeEngine[Any]]] = {
    "boolean": types.Boolean,
    "floating": types.Double,
    "mixed-integer-float": types.Double,
    "date": types.Date,
    "time": types.Time,
    "bytes": types.LargeBinary,
}

CONTAINERS = (list, tuple, dict, set, frozenset)

#: Python's readers of the texts that a job attached later has as keys.
READERS: dict[type, Callable[[str], Any]] = {
    int: int,
    float: float,
    decimal.Decimal: decimal.Decimal,
    uuid.UUID: uuid.UUID,
    dt.datetime: dt.datetime.fromisoformat,
    dt.date: dt.date.fromisoformat,
}

_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


def type_of(values: pd.Series[Any], *, key: bool = False) -> types.TypeEngine[Any]:
    """Choose the type of a new table's column."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = pd.Series(values.cat.categories)
    kind = pd.api.types.infer_dtype(values, skipna=True)
    present = values.dropna().tolist()
    if kind == "integer":
        fits = all(-(2**63) <= value < 2**63 for value in present)
        return types.BigInteger() if fits else types.Text()
    if kind.startswith("datetime"):
        zoned = getattr(values.dtype, "tz", None) is not None or any(value.tzinfo is not None for value in present)
        return types.DateTime(timezone=zoned)
    if kind in KINDS:
        return KINDS[kind]()
    if present and not key and all(_is_container(value) for value in present):
        return types.JSON(none_as_null=True)
    return types.Text()


def plain_values(values: pd.Series[Any], kind: types.TypeEngine[Any]) -> list[Any]:
    """Return a column's values as a driver takes them for a column of that type; missing ones as None."""
    missing = values.isna().tolist()
    return [None if gone else _plain(value, kind) for value, gone in zip(values.tolist(), missing, strict=True)]


def as_key(value: Any, kind: types.TypeEngine[Any], key: str) -> Any:
    """Return a key as the table's column has it: a job attached later knows its keys as text only.

    Raises
    ------
    InputError
        The column cannot hold it as it is.
    """
    if isinstance(kind, types.String):
        return value
    try:
        if isinstance(value, str):
            reader = READERS.get(kind.python_type)
            made = value if reader is None else _plain(reader(value), kind)
            if isinstance(made, int) and str(made) != value:
                raise ValueError(value)
            return made
        if isinstance(value, float) and isinstance(kind, types.Integer) and not value.is_integer():
            raise ValueError(value)
    except (ValueError, decimal.InvalidOperation) as error:
        raise InputError(
            f"The key {str(value)[:60]!r} does not fit column {key!r} of the table, whose type is {kind}. "
            "Nothing was written."
        ) from error
    return value


def _plain(value: Any, kind: types.TypeEngine[Any]) -> Any:
    if isinstance(kind, types.JSON):
        return _json(value)
    if isinstance(kind, types.String):
        return _text(value)
    if isinstance(value, dt.datetime):
        return _moment(value, zoned=bool(getattr(kind, "timezone", False)))
    return value.item() if hasattr(value, "item") and not _is_container(value) else value


def _text(value: Any) -> str:
    """Return a value as text, with U+FFFD for the characters that databases or their encodings refuse."""
    if _is_container(value):
        value = json.dumps(_json(value), ensure_ascii=False)
    return _UNWRITABLE.sub("\ufffd", str.__str__(value) if isinstance(value, str) else str(value))


def _moment(value: dt.datetime, *, zoned: bool) -> dt.datetime:
    """Return a time in UTC; one without a zone is taken as it is, and as UTC where the column has zones."""
    if isinstance(value, pd.Timestamp):
        value = value.floor("us").to_pydatetime()
    if value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC) if zoned else value
    value = value.astimezone(dt.UTC)
    return value if zoned else value.replace(tzinfo=None)


def _json(value: Any) -> Any:
    """Return a value as JSON has it: what is missing or not finite becomes null."""
    if isinstance(value, dict):
        return {_text(name): _json(inner) for name, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_json(inner) for inner in value), key=lambda one: (type(one).__name__, str(one)))
    if _is_container(value):
        return [_json(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, bool | int | float) else _text(value)


def _is_container(value: Any) -> bool:
    return isinstance(value, CONTAINERS) or getattr(value, "ndim", 0) > 0
