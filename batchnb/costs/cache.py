"""Whether caching what the rows share pays, for how long, and when the cache is filled. Pure.

The server writes a marked prefix to its cache at a higher price and reads it at a lower one. In batches, whose requests
are worked on side by side, hits are best effort: "30% to 98%" (platform.claude.com documentation, "Batch processing").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from batchnb.costs.delivery import LIFETIMES
from batchnb.costs.prices import Price
from batchnb.model_table import facts_of

__all__ = [
    "ASSUMED",
    "FEW",
    "FIRST_REASON",
    "LIFETIME_WORDS",
    "MOST_FIRST",
    "PATIENCE",
    "RECENT",
    "Choice",
    "Sending",
    "break_even",
    "choose",
    "is_worth_counting",
    "minimum",
    "readiness",
    "relative_cost",
]

#: The share of requests that are taken to read the cache, until this ledger has seen better: the middle of what is
#: documented. That is said of a cache of an hour; one of five minutes lapses in a batch that takes longer, so of that
#: the least is taken.
ASSUMED = {"1h": 0.64, "5m": 0.30}

#: "auto" leaves the cache off where less than this share of the shared part's price is expected to be saved: the rest
#: of the job waits for the first batch, and the expectation is rough.
LEAST_SAVING = 0.1

#: So few requests are sent at once: they are a small first batch themselves.
FEW = 5

#: How long the rest of a job waits at most for its first small batch, in seconds. Most batches end within minutes; one
#: that takes longer has mostly been begun by then, which is what fills the cache.
PATIENCE = 600.0

#: So many first batches of one job fill a cache within `RECENT` seconds; where its requests still find none (a status
#: check comes less often than the cache lives), nothing waits any more.
MOST_FIRST, RECENT = 3, 86_400.0

#: What is said meanwhile.
FIRST_REASON = (
    "The first request fills the cache; the rest go when it has ended, or in 10 minutes at the latest, if this kernel "
    "still runs then."
)

#: How a lifetime is said.
LIFETIME_WORDS = {"5m": "5 minutes", "1h": "1 hour"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What was decided of caching.

    Parameters
    ----------
    cache : {"5m", "1h"} or None
        How long it is to live; None: no cache.
    fills : bool
        Whether a first small batch is to fill it.
    why : str
        In words.
    shared_tokens : int or None
        Tokens of the shared part, where they were counted.
    warning : str or None
        What the user should know, who has asked for a cache that will bring nothing.
    """

    cache: Literal["5m", "1h"] | None
    fills: bool
    why: str
    shared_tokens: int | None = None
    warning: str | None = None


def minimum(model: str) -> int | None:
    """Return the fewest tokens that a model caches; None where that is not known.

    Below it, it caches nothing and says nothing of it.
    """
    facts = facts_of(model)
    return None if facts is None else facts.cache_minimum


def is_worth_counting(asked: str, model: str, text_bytes: int | None) -> bool:
    """Tell whether the tokens of the shared part decide anything: a token of text is never less than a byte of it.

    `text_bytes` are those of the shared part where it is text alone.
    """
    least = minimum(model)
    if asked != "auto":
        return True
    return least is not None and (text_bytes is None or text_bytes >= least)


def relative_cost(lifetime: str, requests: int, hit_rate: float, price: Price) -> float:
    """Return what the shared part costs with a cache, in units of what it costs without: below 1, it pays.

    The first request writes; each other one reads, or else writes anew.
    """
    read, write = float(price.cache_read), _write(lifetime, price)
    return (write + (requests - 1) * (hit_rate * read + (1 - hit_rate) * write)) / requests


def break_even(lifetime: str, price: Price) -> float:
    """Return the share of requests that must read the cache for it to pay, over many requests."""
    write = _write(lifetime, price)
    return (write - 1) / (write - float(price.cache_read))


def _write(lifetime: str, price: Price) -> float:
    return float(price.cache_write_1h if lifetime == "1h" else price.cache_write_5m)


def choose(
    asked: str,
    model: str,
    text_bytes: int | None,
    tokens: int | None,
    requests: int,
    price: Price,
    earlier: Mapping[str, float],
) -> Choice:
    """Decide whether what the rows share is cached, and say why.

    Parameters
    ----------
    asked : {"auto", "5m", "1h"}
        What the user wants.
    model : str
        The model asked.
    text_bytes : int or None
        Bytes of what the rows share, where that is text alone.
    tokens : int or None
        Its tokens; None where they were not, or could not be, counted.
    requests : int
        How many are to be sent.
    price : Price
        The model's; of one whose price is not known, the usual multipliers.
    earlier : mapping of str to float
        For each lifetime, the share of hits of earlier jobs of this model, where there are enough to tell.
    """
    least = minimum(model)
    size = _size_words(model, text_bytes, tokens, least)
    missing = None if least is None or tokens is None else max(0, least - tokens)
    if asked != "auto":
        wanted: Literal["5m", "1h"] = "1h" if asked == "1h" else "5m"
        why = f"cache: {LIFETIME_WORDS[wanted]}, as asked"
        if not missing:
            rate = f"it pays from a hit rate of {break_even(wanted, price):.0%}"
            return Choice(wanted, True, f"{why}; {size}; {rate}", tokens)
        warning = (
            f'cache="{asked}" will bring nothing: {size}. Below that the server caches nothing, and charges the usual '
            "price. The rows are sent all the same."
        )
        return Choice(wanted, False, f"{why}, but it brings nothing: {size}", tokens, warning)
    if least is None or tokens is None or missing:
        hint = ' (cache="1h" marks it all the same)' if least is None else ""
        return Choice(None, False, f"no cache: {size}{hint}", tokens)
    rates = {lifetime: earlier.get(lifetime, rate) for lifetime, rate in ASSUMED.items()}
    costs = {lifetime: relative_cost(lifetime, requests, rates[lifetime], price) for lifetime in LIFETIMES}
    best: Literal["5m", "1h"] = "1h" if costs["1h"] <= costs["5m"] else "5m"
    told = "earlier jobs of this model had" if best in earlier else "assumed"
    rate = f"pays from a hit rate of {break_even(best, price):.0%}, {told} {rates[best]:.0%}"
    counted = f"{requests:,} request{'s' if requests > 1 else ''} with {tokens:,} shared tokens"
    if costs[best] > 1 - LEAST_SAVING:
        why = f"no cache: {counted}; a cache of {LIFETIME_WORDS[best]} {rate}: too little to gain with so many requests"
        return Choice(None, False, why, tokens)
    return Choice(best, True, f"cache: {LIFETIME_WORDS[best]}; {counted}; it {rate}", tokens)


def _size_words(model: str, text_bytes: int | None, tokens: int | None, least: int | None) -> str:
    if tokens is None and text_bytes is not None and least is not None and text_bytes < least:
        size = f"the shared part has at most {text_bytes:,} tokens"
    elif tokens is None:
        size = "the tokens of the shared part are not known"
    else:
        size = f"the shared part has {tokens:,} tokens"
    if least is None:
        return f"{size}, and from how many on {model} caches is not known"
    known = text_bytes if tokens is None else tokens
    missing = 0 if known is None else least - known
    short = f": {'at least ' if tokens is None else ''}{missing:,} are missing" if missing > 0 else ""
    return f"{size}, {model} caches from {least:,}{short}"


# When the cache is filled


@dataclass(frozen=True, slots=True)
class Sending:
    """A batch that was sent with a cache, and whose requests begin with the same.

    Parameters
    ----------
    state : str
        As the ledger has it; none that was refused.
    requests : int
        How many it holds.
    lifetime : {"5m", "1h"}
        How long what it writes lives.
    intended_at : float
        When it was sent, by this machine's clock.
    took : float or None
        Seconds from being made to its end, by the server's clock.
    checked_at : float or None
        When the server last told how it stands, by this machine's clock.
    """

    state: str
    requests: int
    lifetime: str
    intended_at: float
    took: float | None
    checked_at: float | None

    @property
    def ended_at(self) -> float:
        """About when it ended, by this machine's clock: the two clocks need not agree."""
        if self.took is not None:
            return self.intended_at + self.took
        return self.intended_at if self.checked_at is None else self.checked_at


def readiness(sendings: Iterable[Sending], now: float) -> Literal["warm", "cold"] | float:
    """Tell whether the cache is filled (warm), or not (cold); or until when, at most, to wait for the first batch.

    Warm is also what is not worth waiting for: a first batch that takes too long, or was lost, or several in vain.

    Parameters
    ----------
    sendings : iterable of Sending
        Those of the last `RECENT` seconds.
    now : float
        Seconds since the epoch.
    """
    sendings = list(sendings)
    running = [one for one in sendings if one.state not in ("ended", "collected", "lost")]
    over = [one for one in sendings if one.state in ("ended", "collected")]
    if any(now - one.ended_at <= LIFETIMES[one.lifetime] for one in over):
        return "warm"
    if any(one.state == "lost" and now - one.intended_at <= LIFETIMES["1h"] for one in sendings):
        return "warm"
    if running:
        first = min(one.intended_at for one in running)
        # One that is yet to come: the clock was set back, and would have to come there again.
        return "warm" if not 0 <= now - first < PATIENCE else first + PATIENCE
    return "warm" if sum(one.requests <= FEW for one in over) >= MOST_FIRST else "cold"
