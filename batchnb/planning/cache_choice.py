"""How a job is to be delivered, decided when it is submitted: whether what its rows share is cached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from batchnb.api.client import Api
from batchnb.costs.cache import LIFETIME_WORDS, choose, is_worth_counting
from batchnb.costs.delivery import Delivery
from batchnb.costs.prices import PriceTable
from batchnb.errors import NOT_SENT, ApiError, InputError
from batchnb.ledger.ledger import Ledger
from batchnb.planning.attachments import count_tokens
from batchnb.planning.check import warn
from batchnb.questions.cache_marks import Shared, shared_of
from batchnb.questions.question import read_questions
from batchnb.questions.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_cache", "with_cache"]

#: What `submit` takes as cache=.
CACHES = ("auto", "5m", "1h", None)


def check_cache(cache: Any) -> None:
    """Raise InputError unless it is what `submit` takes."""
    if not (cache is None or (isinstance(cache, str) and cache in CACHES)):
        raise InputError(f'cache= takes "auto", "5m", "1h" or None, not {str(cache)[:80]!r}. {NOT_SENT}')


def with_cache(
    delivery: Delivery, cache: str | None, api: Api, ledger: Ledger, prices: PriceTable, recipe: Recipe,
    frame: pd.DataFrame, position: int | None, requests: int,
) -> Delivery:  # fmt: skip
    """Decide whether what the rows share is cached. Warns where the user has asked for what will bring nothing.

    Touches the network, for the free count_tokens endpoint, only where something is to be sent and the shared part may
    be large enough; blocks for 20 s at most.

    Parameters
    ----------
    delivery : Delivery
        How the job was delivered before, if it was.
    cache : {"auto", "5m", "1h"} or None
        As ``submit`` takes it.
    position : int or None
        The first row that is to be sent; None: there is none, and what was decided before stays.
    requests : int
        Requests of the job, so that a job that goes on decides as it did when it began.
    """
    if cache is None:
        return _decided(delivery, why="no cache, as asked")
    if position is None:
        if cache in ("auto", delivery.cache):
            return delivery
        return _decided(
            delivery, cache, fills=True, why=f"cache: {LIFETIME_WORDS[cache]}, as asked, for what is sent later"
        )
    shared = _shared(recipe, frame, position)
    if isinstance(shared, str):
        if cache != "auto":
            warn(f'cache="{cache}" will bring nothing: {shared}. Put what is the same for all rows into system=.')
        return _decided(delivery, why=f"no cache: {shared}")
    tokens = _count(api, shared, recipe) if is_worth_counting(cache, recipe.model, shared.text_bytes) else None
    earlier = {} if tokens is None else ledger.warming.hit_rates(recipe.model)
    price = prices.price(recipe.model) or prices.default
    choice = choose(cache, recipe.model, shared.text_bytes, tokens, requests, price, earlier)
    if choice.warning:
        warn(choice.warning)
    return _decided(delivery, choice.cache, fills=choice.fills, why=choice.why, tokens=choice.shared_tokens)


def _decided(
    delivery: Delivery, cache: str | None = None, *, fills: bool = False, why: str, tokens: int | None = None
) -> Delivery:
    return msgspec.structs.replace(delivery, cache=cache, fills=fills, cache_why=why, shared_tokens=tokens)


def _shared(recipe: Recipe, frame: pd.DataFrame, position: int) -> Shared | str:
    question = next(read_questions(recipe, frame.iloc[position : position + 1]))
    envelope = recipe.envelopes()[question.slot]
    return shared_of(envelope.head, envelope.tail)


def _count(api: Api, shared: Shared, recipe: Recipe) -> int | None:
    """Count the shared part's tokens: those of a prompt that begins with it, less those of the same without it."""
    try:
        counted = count_tokens(api, recipe.reader, shared.counted, recipe.betas)
        return max(0, counted - api.count_tokens(shared.least, recipe.betas))
    except ApiError:
        return None  # "not known" is said; whether the requests can be sent has been checked before
