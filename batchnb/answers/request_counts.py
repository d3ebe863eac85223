"""The API's five counts of a batch's requests. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["COUNTS", "RequestCounts"]


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Requests of one or several batches by state, as the API's ``request_counts`` gives them.

    The API reports zero in every finished count until a whole batch has ended; nothing here is interpolated.
    """

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
        """All requests, whatever their state."""
        return self.processing + self.succeeded + self.errored + self.canceled + self.expired

    def __add__(self, other: RequestCounts) -> RequestCounts:
        return RequestCounts(
            self.processing + other.processing,
            self.succeeded + other.succeeded,
            self.errored + other.errored,
            self.canceled + other.canceled,
            self.expired + other.expired,
        )


#: The names of the five request counts, as the API has them.
COUNTS = tuple(count.name for count in fields(RequestCounts))
