"""What every answer of the server tells beside its body: what time it is there, and where the key in use belongs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from typing import NamedTuple

__all__ = ["HEADERS", "NOWHERE", "Heard", "Place"]

#: The headers that are read.
HEADERS = ("date", "anthropic-organization-id", "anthropic-workspace-id")

#: Ids longer than this, or with other characters, are none: they are kept, and shown to people.
_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,100}")


class Place(NamedTuple):
    """The organization and the workspace that a key belongs to, as the server names them; None: it does not.

    They are not derived from a key, and all keys of one workspace have them in common, so they may be recorded.
    """

    organization: str | None = None
    workspace: str | None = None

    def differs_from(self, other: Place) -> bool:
        """Tell whether two places are known to be different ones."""
        return any(one != two for one, two in zip(self, other, strict=True) if one is not None and two is not None)

    def is_surely(self, other: Place) -> bool:
        """Tell whether two places are known to be the same workspace."""
        return self.workspace is not None and self.workspace == other.workspace and not self.differs_from(other)

    def __str__(self) -> str:
        return self.workspace or f"one of organization {self.organization}"


NOWHERE = Place()  #: where nothing is known


class Heard(NamedTuple):
    """What answers have told so far.

    Parameters
    ----------
    answers : int
        How many there were.
    at : float or None
        The time of the last one that told it, by the server's clock, in seconds since the epoch.
    elapsed : float
        When that came, by a clock that is never set, in seconds.
    place : Place
        Where the key in use belongs.
    is_several : bool
        Whether answers named different places: a gateway shares the calls out among keys of its own.
    """

    answers: int = 0
    at: float | None = None
    elapsed: float = 0.0
    place: Place = NOWHERE
    is_several: bool = False

    def followed_by(self, headers: Mapping[str, str], elapsed: float) -> Heard:
        """Return what is known after another answer; what that does not tell stays as it was told before."""
        date, organization, workspace = (headers.get(name, "") for name in HEADERS)
        at, told = _seconds(date), Place(_id(organization), _id(workspace))
        differs = told.differs_from(self.place)
        known = NOWHERE if differs else self.place  # of another key
        place = Place(told.organization or known.organization, told.workspace or known.workspace)
        is_several = self.is_several or differs
        if at is None:
            return self._replace(answers=self.answers + 1, place=place, is_several=is_several)
        return Heard(self.answers + 1, at, elapsed, place, is_several)

    def now(self, elapsed: float) -> float | None:
        """Return the time by the server's clock; None where no answer has told it.

        Rather too early than too late: a clock that is never set may stand still while a machine is suspended.
        """
        return None if self.at is None else self.at + max(0.0, elapsed - self.elapsed)


def _id(header: str) -> str | None:
    return header if _ID.fullmatch(header) else None


def _seconds(date: str) -> float | None:
    """Read an HTTP date; None where there is none, or it is none."""
    from email.utils import parsedate_to_datetime

    if not 0 < len(date) <= 100:
        return None
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
