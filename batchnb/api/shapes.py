"""What batchnb reads of the API's answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

__all__ = [
    "ID",
    "RESULTS_KEPT",
    "BatchInfo",
    "FileInfo",
    "FilePage",
    "ModelInfo",
    "ModelPage",
    "Page",
    "TokenCount",
    "state_of",
    "times_of",
    "unknown_state",
]

#: The form of the server's ids: they become part of addresses. (``\\A``: a plain ``$`` allows a newline after it.)
ID = r"\A[a-zA-Z0-9_-]{1,200}\Z"

_Id = Annotated[str, msgspec.Meta(pattern=ID)]

#: A count beyond this is none (documented: 100,000 requests in a batch).
MOST_COUNTED = 1_000_000_000


#: How long the server keeps a batch's results, in seconds: 29 days (platform.claude.com documentation).
RESULTS_KEPT = 29 * 86_400.0


class ModelInfo(msgspec.Struct, frozen=True):
    """What batchnb reads of the API's ``ModelInfo`` (anthropic 2.14); None where the server says nothing of it.

    Parameters
    ----------
    id : str
        The canonical id, also of a model that was asked for by a shorter name.
    lifecycle : {"active", "deprecated", "retired"} or None
        Whether it can be used, and is to be used by those who begin.
    deprecated_at, retires_at : datetime or None
        When it was deprecated, and is to be retired.
    max_tokens, max_input_tokens : int or None
        The longest reply, and the context window, in tokens.
    capabilities : dict or None
        Names of capabilities, each with ``{"supported": bool, ...}``.
    """

    id: str
    lifecycle: str | None = None
    deprecated_at: datetime | None = None
    retires_at: datetime | None = None
    max_tokens: int | None = None
    max_input_tokens: int | None = None
    capabilities: dict[str, Any] | None = None

    def tells(self, *path: str) -> bool | None:
        """Return whether the server says that the model has something: ``tells("thinking", "types", "enabled")``.

        None where it does not say.
        """
        found: Any = self.capabilities
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        said = found.get("supported") if isinstance(found, Mapping) else None
        return said if isinstance(said, bool) else None

    def lacks(self, *path: str) -> bool:
        """Tell whether the server says that the model lacks something."""
        return self.tells(*path) is False


class BatchInfo(msgspec.Struct, frozen=True):
    """What batchnb reads of a MessageBatch; ``results_url`` is left unread on purpose."""

    id: _Id
    told_status: Any = msgspec.field(default=None, name="processing_status")
    reported: Any = msgspec.field(default=None, name="request_counts")
    created: Any = msgspec.field(default=None, name="created_at")
    expires: Any = msgspec.field(default=None, name="expires_at")
    ended: Any = msgspec.field(default=None, name="ended_at")
    archived: Any = msgspec.field(default=None, name="archived_at")

    @property
    def created_at(self) -> datetime | None:
        """When it was made; None, as with the times below, where the server does not say, or nothing readable."""
        return _moment(self.created)

    @property
    def expires_at(self) -> datetime | None:
        """When what is not answered expires."""
        return _moment(self.expires)

    @property
    def ended_at(self) -> datetime | None:
        """When it ended."""
        return _moment(self.ended)

    @property
    def archived_at(self) -> datetime | None:
        """When its results were dropped."""
        return _moment(self.archived)

    @property
    def processing_status(self) -> str:
        """How it stands; "in_progress" where the server does not say so in a word."""
        return self.told_status if isinstance(self.told_status, str) else "in_progress"

    @property
    def request_counts(self) -> dict[str, int]:
        """The counts by state, without those that cannot be counts: they are shown, but decide about no row."""
        counts = self.reported if isinstance(self.reported, dict) else {}
        return {name: count for name, count in counts.items() if type(count) is int and 0 <= count <= MOST_COUNTED}

    @property
    def total(self) -> int:
        """How many requests the batch holds, in whatever state; 0 where the server does not say."""
        known = self.request_counts
        return sum(known.values()) if isinstance(self.reported, dict) and len(known) == len(self.reported) else 0


def _moment(told: Any) -> datetime | None:
    """Read a time, in UTC whatever its zone. One that cannot be read costs nothing else of the answer."""
    try:
        moment = told if isinstance(told, datetime) else msgspec.convert(told, datetime)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (msgspec.ValidationError, OverflowError):
        return None


class FileInfo(msgspec.Struct, frozen=True):
    """What batchnb reads of a file's metadata."""

    id: _Id
    filename: Any = ""
    mime_type: Any = ""
    size_bytes: Any = 0
    created_at: datetime | None = None
    expires_at: datetime | None = None


class FilePage(msgspec.Struct, frozen=True):
    """A page of a list of files."""

    data: list[FileInfo]
    next_page: str | None = None


class Page(msgspec.Struct, frozen=True):
    """A page of a list of batches."""

    data: list[BatchInfo]
    has_more: bool = False
    last_id: _Id | None = None


class ModelPage(msgspec.Struct, frozen=True):
    """A list of models."""

    data: list[ModelInfo]


class TokenCount(msgspec.Struct, frozen=True):
    """What count_tokens answers."""

    input_tokens: Annotated[int, msgspec.Meta(ge=0, le=MOST_COUNTED)]


def state_of(info: BatchInfo) -> str:
    """Return a batch's state; one that is not documented counts as in progress."""
    return info.processing_status if info.processing_status in ("canceling", "ended") else "in_progress"


def unknown_state(info: BatchInfo) -> str | None:
    """Return what a person should know where the server says of a batch what is not documented; None elsewhere."""
    if info.processing_status in ("in_progress", "canceling", "ended"):
        return None
    return (
        f"The server says {info.processing_status[:40]!r} of batch {info.id}, which batchnb does not know: it asks on "
        "until the batch has ended. A newer batchnb may know more."
    )


def times_of(info: BatchInfo) -> dict[str, float | None]:
    """Return a batch's times in seconds since the epoch."""

    def seconds(moment: datetime | None) -> float | None:
        return None if moment is None else moment.timestamp()

    return {
        "created_at": seconds(info.created_at),
        "expires_at": seconds(info.expires_at),
        "ended_at": seconds(info.ended_at),
    }
