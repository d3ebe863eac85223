"""What becomes of one request of a batch when the batch ends: validated, answered, canceled or expired.

Sources: platform.claude.com documentation (a canceled or expired batch keeps what had finished; errors are nested
twice). Which requests had finished when a batch was canceled is chance; here it is a fixed number per request.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from batchnb.sim.model.message import Answerer, message
from batchnb.sim.model.responder import Reply
from batchnb.sim.rules.validation import Validator
from batchnb.sim.state.prompt_cache import Cache
from batchnb.sim.state.store import BatchRow, RequestRow
from batchnb.sim.wire import DEFAULT_MESSAGES, ApiError, decode_json, envelope, invalid, new_id

_STILL_RUNNING = 0.1  # the share of requests under way when a cancel arrives, which finish all the same
_REFUSAL_TEXT = "I can't help with that."
_CANCELED = b'{"type":"canceled"}'
_EXPIRED = b'{"type":"expired"}'


class Executor:
    """Runs the requests of batches.

    Parameters
    ----------
    answerer
        What answers them.
    seed
        Decides which requests had finished when a batch was canceled or expired, and which find the prompt cache.
    cache
        The simulated prompt cache.
    validator
        What checks them.
    """

    def __init__(self, answerer: Answerer, seed: int, cache: Cache, validator: Validator) -> None:
        self._answerer = answerer
        self._seed = seed
        self._cache = cache
        self._validator = validator

    def run(self, batch: BatchRow, request: RequestRow) -> tuple[int, str, bytes]:
        """Return a request's row number, its outcome and its ``result`` object as JSON. Never raises."""
        chance = share_of(self._seed, batch.seq, request.custom_id)
        if chance >= _finished_share(batch):
            return (request.row, "canceled", _CANCELED) if batch.cancel_at else (request.row, "expired", _EXPIRED)
        if request.fate == "expired":
            return request.row, "expired", _EXPIRED
        try:
            if request.fate and request.fate.startswith("error:"):
                raise ApiError(request.fate.removeprefix("error:"))
            answer = self._answer(batch, request, chance)
            return request.row, "succeeded", msgspec.json.encode({"type": "succeeded", "message": answer})
        except ApiError as refusal:
            error = envelope(refusal, new_id("req"))
        except RecursionError:
            error = envelope(invalid("The request nests too deeply."), new_id("req"))
        except Exception as problem:  # noqa: BLE001 - a user's responder may raise anything; the row tells it
            text = f"{DEFAULT_MESSAGES['api_error']} (the responder raised {type(problem).__name__}: {problem})"
            error = envelope(ApiError("api_error", text), new_id("req"))
        return request.row, "errored", msgspec.json.encode({"type": "errored", "error": error})

    def _answer(self, batch: BatchRow, request: RequestRow, chance: float) -> dict[str, Any]:
        params = decode_json(request.params)
        accepted = self._validator.check(
            params, "batch", version=batch.version, beta=batch.beta, betas=batch.betas.split(",")
        )
        read = accepted.read
        reply = self._answerer.reply(params, read, request.custom_id, accepted.thinking)
        accepted.check_length(reply.input_tokens)
        if request.fate == "refusal":
            reply = Reply([{"type": "text", "text": _REFUSAL_TEXT}], "refusal", reply.input_tokens, 8)
        elif request.fate == "max_tokens":
            reply = _cut(reply)
        split = self._cache.split(read, reply.input_tokens, request_seed=chance, at=batch.due_at)
        return message(reply, read, model=accepted.model, tier="batch", split=split)


def share_of(seed: int, batch: int, custom_id: str) -> float:
    """Return a number in [0, 1) that belongs to a request: the same every time, for whatever chance decides.

    Parameters
    ----------
    seed
        The simulator's.
    batch
        The number of its batch, in the order of creation: its id differs from run to run.
    custom_id
        Its own.
    """
    return zlib.crc32(f"{seed}:{batch}:{custom_id}".encode()) / 2**32


def _finished_share(batch: BatchRow) -> float:
    """Return the share of requests that had finished, or was under way, when a batch was canceled or expired."""
    planned = max(batch.planned, 1e-9)
    if batch.cancel_at is not None:
        return (batch.cancel_at - batch.created_at) / planned + _STILL_RUNNING
    return (batch.due_at - batch.created_at) / planned if batch.expires else 1.0


def _cut(reply: Reply) -> Reply:
    """Return a reply that stopped at max_tokens: the first half of its last text."""
    *before, last = reply.content
    if last.get("type") == "text":
        last = {**last, "text": last["text"][: len(last["text"]) // 2]}
    return Reply([*before, last], "max_tokens", reply.input_tokens, reply.output_tokens)
