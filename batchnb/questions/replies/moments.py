"""Dates and times as JSON schemas mean them (RFC 3339), strictly: Python's own readers take more. Pure."""

from __future__ import annotations

import datetime as dt
import re

__all__ = ["read_date", "read_moment", "read_time"]

_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
_is_date = re.compile(_DATE).fullmatch
_is_time = re.compile(_CLOCK).fullmatch
_is_moment = re.compile(f"{_DATE}[Tt ]{_CLOCK}").fullmatch


def read_date(text: str) -> dt.date:
    """Read a day.

    Raises
    ------
    ValueError
        It is none.
    """
    if not _is_date(text):
        raise ValueError(text)
    return dt.date.fromisoformat(text)


def read_time(text: str) -> dt.time:
    """Read a time of day, with or without seconds and a zone.

    Raises
    ------
    ValueError
        It is none.
    """
    if not _is_time(text):
        raise ValueError(text)
    return dt.time.fromisoformat(text.upper())


def read_moment(text: str) -> dt.datetime:
    """Read a day and a time, in UTC and without saying so; one without a zone is taken for UTC.

    RFC 3339 wants a zone; models leave it out where the text they read has none.

    Raises
    ------
    ValueError
        It is none, or in UTC beyond the years 1 to 9999.
    """
    if not _is_moment(text):
        raise ValueError(text)
    read = dt.datetime.fromisoformat(text.upper())
    if read.tzinfo is None:
        return read
    try:
        return read.astimezone(dt.UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise ValueError(text) from error
