"""How a job's requests are delivered, which is no part of what they ask: caching, and what they may cost. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Delivery"]


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a job's requests are sent, as the ledger keeps it beside the job; running the cell again may change it.

    Parameters
    ----------
    cache : {"5m", "1h"} or None
        How long the shared part of the prompts is to be cached; None: not at all.
    max_cost : str or None
        Dollars the job may cost at most, as a decimal number; None: no limit.
    """

    cache: Literal["5m", "1h"] | None = None
    max_cost: str | None = None
