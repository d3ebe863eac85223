"""How a job's requests are delivered, which is no part of what they ask: caching, and what they may cost. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["LIFETIMES", "Delivery"]

#: How long a cache lives after it was last used, in seconds (platform.claude.com documentation, "Prompt caching").
LIFETIMES = {"5m": 300.0, "1h": 3600.0}


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a job's requests are sent, as the ledger keeps it beside the job; running the cell again may change it.

    Parameters
    ----------
    cache : {"5m", "1h"} or None
        How long the shared part of the prompts is to be cached; None: not at all.
    max_cost : str or None
        Dollars the job may cost at most, as a decimal number; None: no limit.
    fills : bool
        Whether a first small batch is to fill the cache before the other requests go.
    cache_why : str
        Why there is a cache, or none, in words.
    shared_tokens : int or None
        Tokens of the shared part, as the server counted them; None where they were not counted.
    each, per_character, per_extra, most : str
        With `max_cost`, the dollars that a request can cost at most, as decimal numbers: see ``allowance.Allowance``.
        They are without an end where nothing was to be sent, and so nothing counted.
    """

    cache: Literal["5m", "1h"] | None = None
    max_cost: str | None = None
    fills: bool = False
    cache_why: str = ""
    shared_tokens: int | None = None
    each: str = "Infinity"
    per_character: str = "0"
    per_extra: str = "0"
    most: str = "Infinity"
