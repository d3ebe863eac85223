"""A job as files: tables, and raw results that need no batchnb, with the requests they answer and the recipe beside.

The latter are three files rather than one, since each line of the first must be what the API gives, and each of the
second what it takes: whoever reads such files reads these, and the two meet by their custom_ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import msgspec

from batchnb.answers.flat_files import (
    ends_of_lines,
    for_csv,
    for_parquet,
    for_spreadsheets,
    too_deep,
    unfit_for_parquet,
)
from batchnb.answers.merge import custom_id_of, result_lines
from batchnb.answers.provenance import Provenance
from batchnb.errors import BatchnbError, InputError
from batchnb.jobs.status import facts_of
from batchnb.questions.columns import row_name
from batchnb.questions.media_sources import file_source, substituted
from batchnb.system.replacing import replacing

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.costs.prices import PriceTable
    from batchnb.ledger.ledger import Ledger
    from batchnb.ledger.read_jobs import JobRecord

__all__ = ["Form", "form_of", "write_raw", "write_table"]

#: What a file of text may be compressed with, by its last ending, as pandas does.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zip": "zip"}

SEPARATORS = {".csv": ",", ".tsv": "\t"}


class Form(NamedTuple):
    """How a file is to be written, as its endings say: ``.csv``, ``.tsv``, ``.parquet`` or ``.jsonl``."""

    kind: str
    compression: str | None = None


def form_of(path: Path, *, safe: bool = False) -> Form:
    """Tell how a file is to be written.

    Parameters
    ----------
    path : Path
        The file.
    safe : bool
        Whether it is to hold nothing that a spreadsheet would run.

    Raises
    ------
    InputError
        Its ending says nothing that can be written, or nothing that a spreadsheet opens where it is to be safe.
    """
    form = _named_form(path)
    if safe and form.kind not in SEPARATORS:
        raise InputError(
            f"safe=True is for .csv and .tsv, which spreadsheets open: {form.kind} holds texts as they are, so that "
            "whoever makes a sheet of them has to see to formulas. Export .csv, or leave safe= out. "
            "Nothing was written."
        )
    return form


def _named_form(path: Path) -> Form:
    named = Path(path.name.lower())
    last = named.suffix
    if last in COMPRESSIONS and (inner := named.with_suffix("").suffix) in SEPARATORS:
        return Form(inner, COMPRESSIONS[last])
    if last in {*SEPARATORS, ".parquet", ".jsonl"}:
        return Form(last)
    if last == ".pq":
        return Form(".parquet")
    if last in {".xlsx", ".xls", ".xlsm", ".ods"}:
        raise InputError(
            f"export() writes no spreadsheets. job.export({path.with_suffix('.csv').name!r}, safe=True) writes a file "
            "that they open; or frame = job.to_frame(), then frame.to_excel(...), for which times with a zone have to "
            "become texts first: frame[column] = frame[column].astype(str). Nothing was written."
        )
    shown = "".join(path.suffixes[-2:]) or "a file without ending"
    raise InputError(
        f"export() writes .csv, .tsv (also with .gz, .bz2, .xz or .zip behind), .parquet or .jsonl, not {shown!r}. "
        "Nothing was written."
    )


def write_table(
    path: Path, form: Form, frame: pd.DataFrame, names: Collection[str], *, index: bool, safe: bool = False
) -> None:
    """Write a frame to a file of a table.

    Parameters
    ----------
    path : Path
        A file that is there is replaced when all is written.
    form : Form
        ``.csv``, ``.tsv`` or ``.parquet``.
    frame : DataFrame
        The job's.
    names : collection of str
        The job's columns in it.
    index : bool
        Whether to write the index; Parquet always has it.
    safe : bool
        Whether to put an apostrophe before what a spreadsheet would run; of text files only.

    Raises
    ------
    InputError
        A column cannot be written so, or the file may not be written to.
    BatchnbError
        The file cannot be written, or ``pyarrow`` is missing.
    """
    _check_depth(frame)
    if form.kind == ".parquet":
        _write_parquet(path, frame, names)
        return
    out = for_csv(frame, names)
    if safe:
        out = for_spreadsheets(out, index=index)
    packed: dict[str, Any] | None = None
    ends = ends_of_lines(out)
    if form.compression is not None:
        packed = {"method": form.compression}
        if form.compression == "zip":
            packed["archive_name"] = path.with_suffix("").name
    with replacing(path) as (file,):
        # Half characters, which no file of text can hold, become question marks.
        out.to_csv(
            file, index=index, sep=SEPARATORS[form.kind], compression=packed, errors="replace", lineterminator=ends
        )


def _check_depth(frame: pd.DataFrame) -> None:
    """Raise InputError where a cell holds itself: pyarrow would end the process, in C, and pandas raises something."""
    found = too_deep(frame)
    if found is not None:
        label, row = found
        raise InputError(
            f"{row_name(frame, row)} of column {label!r} holds a list or dict that holds itself, or nests too deeply "
            "to be written. Leave that column out of the frame, or make it text. Nothing was written."
        )


def _write_parquet(path: Path, frame: pd.DataFrame, names: Collection[str]) -> None:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise BatchnbError("Parquet needs pyarrow: pip install pyarrow. Nothing was written.") from error
    out = for_parquet(frame, names)
    with replacing(path) as (file,):
        try:
            out.to_parquet(file, engine="pyarrow")
        except OSError:
            raise
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            unfit = ", ".join(unfit_for_parquet(out)) or "a column"
            raise InputError(
                f"{path.name} cannot be written: Parquet holds no column like {unfit} ({error}). Give them names of "
                "their own and one kind of value each, such as frame[column].astype(str) before the job is submitted; "
                "or export .csv. What was there is as it was."
            ) from error


def write_raw(path: Path, ledger: Ledger, number: int, prices: PriceTable, provenance: Provenance) -> None:
    """Write a job's raw results to `path`, and its requests and recipe beside it.

    Parameters
    ----------
    path : Path
        ``name.jsonl``; the others are ``name.requests.jsonl`` and ``name.recipe.json``. Files that are there are
        replaced when all three are written whole: the requests, the recipe, and then the results.
    ledger, number
        Where the job is.
    prices : PriceTable
        Of which the recipe names those that priced the answers.
    provenance : Provenance
        Whether the answers come from the simulator: then every line of the results says so.

    Raises
    ------
    InputError
        One of the two beside it is there, and is not of an earlier export: nobody named it.
    """
    beside = {"requests": path.with_suffix(".requests.jsonl"), "recipe": path.with_suffix(".recipe.json")}
    _check_beside(**beside)
    # The one that was asked for comes last: where that is new, the others are. Between, what is old in one and new in
    # another still meets by its custom_ids.
    with replacing(beside["requests"], beside["recipe"], path) as (requests, recipe, results):
        _write_raw(results, requests, recipe, (path.name, beside["requests"].name), ledger, number, prices, provenance)


class _Exported(msgspec.Struct):
    """What tells that a recipe beside results is of an export."""

    batchnb: dict[str, Any]
    files: dict[str, str]


def _check_beside(requests: Path, recipe: Path) -> None:
    there = [path for path in (requests, recipe) if path.exists()]
    if not there or any(path.is_dir() for path in there):  # the latter is said when they are opened
        return
    try:
        if msgspec.json.decode(recipe.read_bytes(), type=_Exported).files["requests"] == requests.name:
            return
    except (OSError, KeyError, ValueError, msgspec.MsgspecError, RecursionError):
        pass
    raise InputError(
        f"{there[0]} is there already, and is not of an earlier export; it would be replaced. Rename it, or name "
        "another file to export to. Nothing was written."
    )


def _write_raw(
    results: BinaryIO, requests: BinaryIO, described: BinaryIO, named: tuple[str, str], ledger: Ledger, number: int,
    prices: PriceTable, provenance: Provenance,
) -> None:  # fmt: skip
    record = ledger.jobs.by_number(number)
    results.writelines(result_lines(ledger.rows.answers(number), record.recipe, provenance))
    names: dict[bytes, str] = {}
    rows = list(_rows(ledger, record, names))
    attached = ledger.files.of_job(number)
    ids = {one.sha256: one.server_id for one in attached if one.server_id is not None}
    requests.writelines(_request_lines(ledger, number, names, ids))
    recipe = _described(ledger, record, prices, provenance)
    if attached:
        recipe["attachments"] = [one._asdict() for one in attached]
    files = {"results": named[0], "requests": named[1]}
    text = msgspec.json.encode(recipe | {"files": files, "rows": rows}, enc_hook=str)
    described.write(msgspec.json.format(text, indent=2) + b"\n")


def _rows(ledger: Ledger, record: JobRecord, names: dict[bytes, str]) -> Iterator[dict[str, Any]]:
    """Yield for each row of the job's frame the custom_ids of what it asks, or why it asks nothing; note the names."""
    answers = ledger.rows.answers(record.number)
    for samples in zip(*[answers] * record.recipe.samples, strict=True):
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


def _described(ledger: Ledger, record: JobRecord, prices: PriceTable, provenance: Provenance) -> dict[str, Any]:
    facts = facts_of(ledger, record.number, prices)
    models = {line.model for line in ledger.tallies.of_job(record.number).lines} or {record.recipe.model}
    return {
        "batchnb": {"format": 1},
        "simulated": provenance.simulated,
        "answered_by": ledger.scope,
        "job": {
            "id": record.id, "name": record.name, "status": record.state, "rows": record.rows,
            "outcomes": dict(facts.outcomes), "created_at": _time(record.created_at),
            "ended_at": _time(record.ended_at), "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "recipe": msgspec.Raw(record.recipe.json.encode()),
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
