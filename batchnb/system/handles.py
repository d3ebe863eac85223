"""What belongs to the process that made it: connections, threads and an open ledger stand behind it. Pure."""

from __future__ import annotations

from typing import NoReturn

from batchnb.errors import BatchnbError

__all__ = ["Handle"]


class _NotPickledError(BatchnbError, TypeError):
    """What belongs to its process was to be pickled or copied. A TypeError, as Python raises it."""


class Handle:
    """Says, where it is pickled or copied, what to pass on instead: to a pool, to joblib, or to another notebook."""

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise _NotPickledError(
            f"A {type(self).__name__} belongs to the process that made it, so it is neither pickled nor copied. "
            f"{self._instead()}"
        )

    def _instead(self) -> str:
        """Say what to pass on."""
        return "Make it anew where it is needed."
