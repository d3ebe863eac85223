"""A job as files that need no batchnb: the raw results, the requests they answer, and the recipe beside them.

Three files rather than one, since each line of the first must be what the API gives, and each of the second what it
takes: whoever reads such files reads these, and the two meet by their custom_ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from batchnb.answers import custom_id_of, result_lines
from batchnb.media import file_source, substituted
from batchnb.state import facts_of

if TYPE_CHECKING:
    from batchnb.ledger import JobRecord, Ledger
    from batchnb.pricing import PriceTable

__all__ = ["write_raw"]


def write_raw(path: Path, ledger: Ledger, number: int, prices: PriceTable, *, simulated: bool) -> None:
    """Write a job's raw results to `path`, and its requests and recipe beside it.

    Parameters
    ----------
    path : Path
        ``name.jsonl``; the others are ``name.requests.jsonl`` and ``name.recipe.json``. Files that are there are
        replaced.
    ledger, number
        Where the job is.
    prices : PriceTable
        Of which the recipe names those that priced the answers.
    simulated : bool
        Whether the answers come from the simulator: then every line of the results says so.
    """
    record = ledger.jobs.by_number(number)
    beside = {"requests": path.with_suffix(".requests.jsonl"), "recipe": path.with_suffix(".recipe.json")}
    with path.open("wb") as file:
        file.writelines(result_lines(ledger.rows.answers(number), record.recipe, simulated=simulated))
    names: dict[bytes, str] = {}
    rows = list(_rows(ledger, record, names))
    attached = ledger.files.of_job(number)
    ids = {one.sha256: one.server_id for one in attached if one.server_id is not None}
    with beside["requests"].open("wb") as file:
        file.writelines(_request_lines(ledger, number, names, ids))
    recipe = _described(ledger, record, prices, simulated=simulated)
    if attached:
        recipe["attachments"] = [one._asdict() for one in attached]
    files = {"results": path.name, "requests": beside["requests"].name}
    text = msgspec.json.encode(recipe | {"files": files, "rows": rows}, enc_hook=str)
    beside["recipe"].write_bytes(msgspec.json.format(text, indent=2) + b"\n")


def _rows(ledger: Ledger, record: JobRecord, names: dict[bytes, str]) -> Iterator[dict[str, Any]]:
    """Give for each row of the job's frame the custom_ids of what it asks, or why it asks nothing; note the names."""
    answers = ledger.rows.answers(record.number)
    for samples in zip(*[answers] * int(record.recipe.get("samples", 1)), strict=True):
        row = samples[0]
        asked = [names.setdefault(one.digest, custom_id_of(one, record.recipe)) for one in samples if one.digest]
        named = {"row": row.position} if row.key is None else {"row": row.position, "key": row.key}
        yield named | ({"custom_ids": asked} if row.note is None else {"skipped": row.note})


def _request_lines(ledger: Ledger, number: int, names: Mapping[bytes, str], ids: Mapping[str, str]) -> Iterator[bytes]:
    """Write one line for each request, as a create call takes it; what a batch made elsewhere asked is not known.

    Files that were uploaded are named by their `ids` on the server; those not there any more, by their SHA-256.
    """
    for digest, params in ledger.rows.requests(number):
        if params:
            sent = substituted(params, lambda sha256, _: file_source(ids[sha256]) if sha256 in ids else None)
            yield b'{"custom_id":' + msgspec.json.encode(names[digest]) + b',"params":' + sent + b"}\n"


def _described(ledger: Ledger, record: JobRecord, prices: PriceTable, *, simulated: bool) -> dict[str, Any]:
    facts = facts_of(ledger, record.number, prices)
    models = {line.model for line in ledger.tallies.of_job(record.number).lines} or {record.recipe["shared"]["model"]}
    return {
        "batchnb": {"format": 1},
        "simulated": simulated,
        "answered_by": ledger.scope,
        "job": {
            "id": record.id, "name": record.name, "status": record.state, "rows": record.rows,
            "outcomes": dict(facts.outcomes), "created_at": _time(record.created_at),
            "ended_at": _time(record.ended_at), "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "recipe": record.recipe,
        "delivery": msgspec.to_builtins(record.delivery),
        "usage": msgspec.to_builtins(facts.usage),
        "cost_in_dollars": facts.cost,
        "dollars_per_million_tokens": {name: _price(prices, name) for name in sorted(models)},
    }  # fmt: skip


def _price(prices: PriceTable, model: str) -> dict[str, Any] | None:
    price = prices.price(model)
    return None if price is None else msgspec.to_builtins(price)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
