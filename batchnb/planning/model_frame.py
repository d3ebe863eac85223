"""The table of models that an analyst chooses from: what each takes, until when, and what rows would cost."""

from __future__ import annotations

from typing import Any

import pandas as pd

from batchnb.answers.provenance import Provenance
from batchnb.api.client import Api
from batchnb.api.shapes import ModelInfo
from batchnb.costs.prices import PriceTable, Usage, cost_of
from batchnb.errors import CredentialsError, InputError
from batchnb.model_table import ModelFacts, known_models, undated
from batchnb.planning.models import known_of, retires
from batchnb.questions.scalars import whole

__all__ = ["model_frame"]

COLUMNS = [
    "model", "cost", "batch_input", "batch_output", "context", "max_output", "thinks", "structured_outputs",
    "lifecycle", "retires", "successor", "known_from",
]  # fmt: skip

#: Bytes of a token, of English text, before tokenizers of 4.7; and how many more tokens those make (platform.claude.com
#: documentation).
BYTES, MORE = 4.0, 1.3


def model_frame(
    api: Api, prices: PriceTable, *, provenance: Provenance, rows: int, like: str | int, reply: int
) -> pd.DataFrame:
    """List models, the newest first; see ``batchnb.models``. Asks the server, where there is a key.

    Parameters
    ----------
    api, prices
        The connection, and the prices in use.
    provenance : Provenance
        Who is asked.
    rows, like, reply
        As ``batchnb.models`` takes them.

    Raises
    ------
    InputError
        One of these is of the wrong kind.
    """
    size = len(like.encode(errors="replace")) if isinstance(like, str) else whole(like)
    for name, given, number, wanted in (
        ("rows", rows, whole(rows), "a whole number"),
        ("like", like, size, "a text, or its length in bytes"),
        ("reply", reply, whole(reply), "a number of tokens"),
    ):
        if number is None or number < 0:
            raise InputError(f"{name}= takes {wanted}, not {given!r}.")
    source = "the simulator" if provenance.simulated else api.base_url
    by_name = {undated(model.id): model for model in _listed(api)}
    names = [*by_name, *(name for name in {**known_models(), **prices.prices} if name not in by_name)]
    order = {name: place for place, name in enumerate(known_models())}
    lines = []
    for name in sorted(names, key=lambda name: order.get(name, len(order))):
        model = by_name.get(name, ModelInfo(name))
        facts = known_of(model, name)
        cost = _cost(prices, name, facts, rows, size or 0, reply)
        lines.append([name, cost, *_told(prices, name, model, facts), source if name in by_name else "the table"])
    frame = pd.DataFrame(lines, columns=COLUMNS)
    kinds = {"context": "Int64", "max_output": "Int64", "thinks": "boolean", "structured_outputs": "boolean"}
    return frame.astype({**kinds, "cost": "Float64", "batch_input": "Float64", "batch_output": "Float64"})


def _listed(api: Api) -> tuple[ModelInfo, ...]:
    """Return what the server tells; nothing where there is no key to ask with."""
    try:
        api.require_credentials()
    except CredentialsError:
        return ()
    return api.models()


def _cost(prices: PriceTable, name: str, facts: ModelFacts, rows: int, size: int, reply: int) -> float | None:
    more = MORE if facts.new_tokenizer else 1.0
    each = Usage(round(size / BYTES * more), round(reply * more))
    cost = cost_of(prices, name, each)
    return None if cost is None else float(cost) * rows


def _told(prices: PriceTable, name: str, model: ModelInfo, facts: ModelFacts) -> list[Any]:
    """Return what is known of a model: by the server, else by the table."""
    price = prices.price(name)
    dollars = [None, None] if price is None else [float(price.input * price.batch), float(price.output * price.batch)]
    return [
        *dollars, model.max_input_tokens or facts.window, model.max_tokens or facts.output, facts.thinks,
        model.tells("structured_outputs"), model.lifecycle or facts.lifecycle, retires(model, facts), facts.successor,
    ]  # fmt: skip
