"""Tokens before anything is sent: from the free count_tokens endpoint, asked for a sample of the requests."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from batchnb.costs import tokens
from batchnb.costs.bounds import Ask, Limits
from batchnb.costs.prices import PriceTable
from batchnb.costs.tokens import Fit
from batchnb.errors import ApiError
from batchnb.planning.attachments import count_tokens
from batchnb.planning.check import raise_refusal, tell_files
from batchnb.questions.reading import read_rows
from batchnb.questions.recipe import PARAMS
from batchnb.questions.scalars import check_whole

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.api.client import Api
    from batchnb.ledger.ledger import Ledger
    from batchnb.ledger.read_jobs import JobRecord
    from batchnb.questions.recipe import Recipe
    from batchnb.questions.rows import Row

__all__ = ["Counted", "Plan", "check_sample", "count", "plan_of"]

#: Calls of count_tokens under way at once. Its rate limits are its own, and those of small accounts are low.
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What a frame asks under a recipe.

    Parameters
    ----------
    asked : dict of bytes to Ask
        The different questions, by digest, in the order of the rows.
    unsent : list of bytes
        Those that would be sent, in the order of the rows.
    again : list of bytes
        Those that rows further down ask again.
    places : dict of bytes to int
        The first row that asks each question, by its place in the frame.
    digests : list of bytes or None
        What each sample of each row asks; None: nothing.
    rows, skipped : int
        Rows of the frame, and those with nothing to send.
    marked : {"5m", "1h"} or None
        The longest lifetime of the user's own ``cache_control`` marks; None where there are none.
    """

    asked: dict[bytes, Ask]
    unsent: list[bytes]
    again: list[bytes]
    places: dict[bytes, int]
    digests: list[bytes | None]
    rows: int
    skipped: int
    marked: str | None = None

    @property
    def to_send(self) -> list[Ask]:
        """The questions that would be sent."""
        return [self.asked[digest] for digest in self.unsent]

    @property
    def reused(self) -> list[Ask]:
        """The questions that were asked before."""
        unsent = set(self.unsent)
        return [ask for digest, ask in self.asked.items() if digest not in unsent]


def plan_of(
    ledger: Ledger, frame: pd.DataFrame, recipe: Recipe, rows: Iterable[Row] | None = None, *,
    job: JobRecord | None = None,
) -> Plan:  # fmt: skip
    """Find what would be sent, without holding what the rows say. Touches no network.

    Parameters
    ----------
    ledger : Ledger
        What was asked before.
    frame : DataFrame
        The rows.
    recipe : Recipe
        What each of them asks.
    rows : iterable of Row, optional
        What they ask, where that was read already.
    job : JobRecord, optional
        Where the same was submitted before: see ``ledger.jobs.unsent``.
    """
    shared = _limits(recipe.sent)
    firsts: list[bytes | None] = []
    asks: list[Ask | None] = []
    marks = {_marked(envelope.head + envelope.tail) for envelope in recipe.envelopes()}
    for row in read_rows(recipe, frame) if rows is None else rows:
        firsts.append(row.digest)
        content = row.content
        if content is None:
            asks.append(None)
            continue
        limits = _limits(msgspec.json.decode(content.sent)) if row.slot == PARAMS else shared
        asks.append(Ask(tokens.size_of(content.sent, row.slot), limits))
        if not content.sent.startswith(b'"'):
            marks.add(_marked(content.sent))
    digests = firsts if recipe.replicate else list(ledger.askings.newest(firsts))
    asked: dict[bytes, Ask] = {}
    places: dict[bytes, int] = {}
    again = []
    for place, (digest, ask) in enumerate(zip(digests, asks, strict=True)):
        if digest is None or ask is None:
            continue
        if digest in asked:
            again.append(digest)
        else:
            asked[digest], places[digest] = ask, place // recipe.samples
    unsent = list(ledger.jobs.unsent(asked, job))
    marked = max(marks, key=("", "5m", "1h").index) or None
    return Plan(asked, unsent, again, places, digests, len(frame), firsts.count(None) // recipe.samples, marked)


def _marked(sent: bytes) -> str:
    """Return the longest lifetime of the marks in JSON; nothing where there are none. Text in it can be no mark."""
    if b'"cache_control":{' not in sent:
        return ""
    return "1h" if b'"ttl":"1h"' in sent else "5m"


def _limits(params: Mapping[str, Any]) -> Limits:
    geo = params.get("inference_geo")
    return Limits(str(params["model"]), int(params["max_tokens"]), geo if isinstance(geo, str) else None)


# Counting


@dataclass(slots=True)
class _Count:
    """What the counting has come to."""

    tokens: dict[int, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    broken: str | None = None

    def notes(self) -> tuple[str, ...]:
        said = []
        if self.broken is not None:
            fewer = "fewer requests were counted than is usual, so the interval is wider" if self.tokens else "none was"
            said.append(f"The server did not count all that it was asked to ({self.broken}): {fewer}.")
        if self.refused:
            said.append(f"The server refuses {len(self.refused)} of the sampled requests, such as: {self.refused[0]}")
        return tuple(said)


class Counted(NamedTuple):
    """The tokens of all requests, None where none was counted; and what is to be said of the counting."""

    fit: Fit | None
    notes: tuple[str, ...]


def count(
    api: Api, prices: PriceTable, frame: pd.DataFrame, recipe: Recipe, plan: Plan, *, n: int | None = None,
    seed: int = 0, rows: Sequence[Row] | None = None,
) -> Counted:  # fmt: skip
    """Count the input tokens of a sample of what would be sent. Touches the network: blocks.

    Parameters
    ----------
    api, prices, frame, recipe, plan
        Where to count, and what.
    n : int, optional
        How many requests to count. Default: enough for an interval of a tenth of what is expected, from 48 to 192.
    seed : int
        Another one draws another sample.
    rows : sequence of Row, optional
        What the frame's rows ask, where that was read already.

    Raises
    ------
    InputError
        The server refuses the first request's shape or model.
    CredentialsError
        There is no key, or the server refuses it.
    """
    asks = plan.to_send
    if not asks:
        return Counted(None, ())
    api.require_credentials()
    sizes, found = [ask.size for ask in asks], _Count()
    wanted = tokens.choose(sizes, (), tokens.FIRST if n is None else n, seed)
    while wanted:
        _count(api, prices, recipe, _params(frame, recipe, plan, wanted, rows), found)
        if not found.tokens:
            return Counted(None, found.notes())
        fitted = tokens.fit(sizes, found.tokens)
        enough = n is not None or found.broken is not None
        wanted = [] if enough else tokens.choose(sizes, found.tokens, tokens.further(fitted), seed + 1)
    return Counted(fitted, found.notes())


def _params(
    frame: pd.DataFrame, recipe: Recipe, plan: Plan, wanted: Sequence[int], rows: Sequence[Row] | None
) -> dict[int, dict[str, Any]]:
    """Return the requests at these places of what is to be sent."""
    places = {plan.unsent[place]: place for place in wanted}
    envelopes, found = recipe.envelopes(), {}
    # A later asking has a digest other than its row's own: so they are matched by the order in which they come first.
    order, seen = iter(plan.asked), set()
    for row in read_rows(recipe, frame) if rows is None else rows:
        if row.content is None or row.digest in seen:
            continue
        seen.add(row.digest)
        place = places.get(next(order))
        if place is not None:
            found[place] = envelopes[row.slot].params(row.content)
    return found


def _count(api: Api, prices: PriceTable, recipe: Recipe, requests: dict[int, dict[str, Any]], found: _Count) -> None:
    """Count requests, the first of all on its own: what the server says of it, it would say of the others."""
    waiting = list(requests.items())
    if not found.tokens and waiting:
        place, params = waiting.pop(0)
        tell_files(recipe.reader)
        try:
            found.tokens[place] = count_tokens(api, recipe.reader, params, recipe.betas, at_most=True)
        except ApiError as error:
            raise_refusal(error, str(params.get("model")), api, prices)
            found.broken = str(error)
            return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="batchnb-count") as pool:
        for start in range(0, len(waiting), AT_ONCE):
            calls = [
                (
                    place,
                    _begun(
                        pool, functools.partial(count_tokens, api, recipe.reader, params, recipe.betas, at_most=True)
                    ),
                )
                for place, params in waiting[start : start + AT_ONCE]
            ]
            for place, call in calls:
                try:
                    found.tokens[place] = call.result()
                except ApiError as error:
                    if error.status == 400:
                        found.refused.append(str(error))
                    else:  # a limit, or no answer: asking on would only make it worse
                        found.broken = str(error)
            if found.broken is not None:
                return


def _begun(pool: Executor, work: Callable[[], int]) -> Future[int]:
    """Have a pool do some work; where no thread can be started, as at the end of the process, do it here."""
    try:
        return pool.submit(work)
    except RuntimeError:
        done: Future[int] = Future()
        try:
            done.set_result(work())
        except ApiError as error:
            done.set_exception(error)
        return done


def check_sample(n: Any, seed: Any) -> tuple[int | None, int]:
    """Return what chooses a sample as whole numbers, or raise InputError."""
    return None if n is None else check_whole("n", n, 1), check_whole("seed", seed)
