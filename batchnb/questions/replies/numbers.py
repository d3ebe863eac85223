"""Numbers that JSON can say and a column cannot hold. Pure."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["INT64", "beyond", "shown"]

#: The least and the greatest whole number that a column, a Parquet file or a database holds.
INT64 = (-(2**63), 2**63 - 1)

#: Characters of a value that a reason shows.
_SHOWN = 40


def beyond(value: Any) -> str | None:
    """Say which number, at any depth of a JSON value, no column can hold; None where there is none."""
    if isinstance(value, int):
        return None if INT64[0] <= value <= INT64[1] else f"{shown(value)} has more than 64 bits"
    if isinstance(value, dict):
        return next(filter(None, map(beyond, value.values())), None)
    if isinstance(value, list):
        return next(filter(None, map(beyond, value)), None)
    return None


def shown(value: Any) -> str:
    """Return a JSON value as a reason names it: as JSON, and not too long."""
    # Python refuses to write numbers of more than 4,300 digits.
    text = "a number" if isinstance(value, int) and value.bit_length() > 4000 else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
