"""Where each answer is from and what it cost, as columns beside it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd

from batchnb.answers.judge import verdict_of
from batchnb.costs.prices import PriceTable, cost_of

if TYPE_CHECKING:
    from batchnb.answers.records import Origin
    from batchnb.questions.replies.base import Reply

__all__ = ["DETAILS", "Details", "cost_of_answer", "detail_names", "parts_of"]

#: What the columns tell, in their order; each is called ``<into>_<name>``.
DETAILS = (
    "model", "message_id", "batch_id", "request", "stop_reason", "refusal", "spelled", "input_tokens", "output_tokens",
    "thinking_tokens", "cache_read_tokens", "cache_write_tokens", "cost", "answered_at",
)  # fmt: skip


class _ThoughtTokens(msgspec.Struct):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    output_tokens_details: _ThoughtTokens | None = None


class _Message(msgspec.Struct):
    id: str | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None

    @property
    def thinking_tokens(self) -> int | None:
        """The tokens that were thought; None where the server does not tell."""
        details = None if self.usage is None else self.usage.output_tokens_details
        return None if details is None else details.thinking_tokens


class _Result(msgspec.Struct):
    message: _Message | None = None


_decode = msgspec.json.Decoder(_Result).decode


def detail_names(into: str) -> tuple[str, ...]:
    """Return the names of the columns of a job whose new column is `into`."""
    return tuple(f"{into}_{name}" for name in DETAILS)


def cost_of_answer(origin: Origin, prices: PriceTable) -> float | None:
    """Return what an answer cost, in dollars, at the rate it was asked at; None where that is not known."""
    cost = cost_of(prices, origin.model, origin.usage, batch=not origin.standard, geo=origin.geo)
    return None if cost is None else float(cost)


def parts_of(origin: Origin, prices: PriceTable) -> tuple[float, float] | None:
    """Return what an answer's prompt and reply would have cost in a batch, in dollars; None where it is not known."""
    usage, size = origin.usage, origin.usage.prompt_tokens
    without_reply = replace(usage, output_tokens=0)
    prompt = cost_of(prices, origin.model, without_reply, geo=origin.geo, prompt_tokens=size)
    whole = cost_of(prices, origin.model, usage, geo=origin.geo, prompt_tokens=size)
    return None if prompt is None or whole is None else (float(prompt), float(whole - prompt))


class Details:
    """The columns, put together row by row, in step with the answers they stand beside.

    Of a row asked several times (``samples=``) they tell of its first sample. Rows that share an answer show the same,
    its cost too: ``job.cost`` counts it once.

    Parameters
    ----------
    into : str
        The name of the job's new column, which leads the names of these.
    samples : int
        How many rows added are one row of the frame.
    origins : mapping
        Where the answers are from, by the digests of their requests.
    prices : PriceTable
        What they are priced by.
    reply : Reply
        What was asked for.
    known : bool
        Whether what was asked is known: a batch made elsewhere has requests without a digest.
    """

    def __init__(
        self, into: str, samples: int, origins: Mapping[bytes, Origin], prices: PriceTable, reply: Reply, *,
        known: bool = True,
    ) -> None:  # fmt: skip
        self._into = into
        self._samples = samples
        self._origins = origins
        self._prices = prices
        self._reply = reply
        self._known = known
        self._digests: list[bytes | None] = []

    def add(self, digest: bytes | None) -> None:
        """Add a row, or a sample of one, by the digest of its request; None where it asks nothing, or was not asked."""
        self._digests.append(digest)

    def extend(self, digests: Iterable[bytes | None]) -> None:
        """Add rows, or samples of them."""
        self._digests.extend(digests)

    def arrays(self) -> dict[str, Any]:
        """Return the columns by name, with their pandas types; NA where there is nothing to tell."""
        rows = self._digests[:: self._samples]
        told = {digest: self._told(digest, origin) for digest, origin in self._origins.items()}
        nothing = (None,) * len(DETAILS)
        columns = list(zip(*(nothing if digest is None else told.get(digest, nothing) for digest in rows), strict=True))
        columns = columns or [()] * len(DETAILS)
        return {
            name: _array(kind, list(values))
            for name, kind, values in zip(detail_names(self._into), DETAILS, columns, strict=True)
        }

    def _told(self, digest: bytes, origin: Origin) -> tuple[Any, ...]:
        message = _message_in(origin.result)
        tokens: tuple[int | None, ...] = (None,) * 5
        if origin.model:
            usage = origin.usage
            written = usage.cache_write_5m + usage.cache_write_1h
            tokens = (usage.input_tokens, usage.output_tokens, message.thinking_tokens, usage.cache_read, written)
        refusal = spelled = None
        if origin.result is not None:
            outcome, _, _, _, text, refusal = verdict_of(origin.result, self._reply)
            if outcome == "succeeded" and text is not None and self._reply.is_respelled(text):
                spelled = text
        ended_at = None if origin.result is None or origin.ended_at is None else round(origin.ended_at * 1e6)
        request = digest.hex() if self._known else None
        return (
            origin.model or None, message.id, origin.batch_id, request, message.stop_reason, refusal, spelled, *tokens,
            cost_of_answer(origin, self._prices), ended_at,
        )  # fmt: skip


def _message_in(result: bytes | None) -> _Message:
    if result is not None:
        try:
            return _decode(result).message or _Message()
        except msgspec.DecodeError:  # not of the form the API documents
            pass
    return _Message()


def _array(kind: str, values: list[Any]) -> Any:
    if kind.endswith("_tokens"):
        return pd.array(values, dtype="Int64")
    if kind == "cost":
        return pd.array(values, dtype="Float64")
    if kind == "answered_at":
        # To the microsecond, as the API gives it.
        return pd.to_datetime(pd.array(values, dtype="Int64"), unit="us", utc=True).as_unit("us").array
    return pd.array(values, dtype="string")
