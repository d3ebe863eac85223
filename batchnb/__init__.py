"""Half-price answers from Claude for every row of a DataFrame, from a notebook.

Importing this module registers ``df.batch`` and ``s.batch``; it opens no file and touches no network. ``anthropic`` and
``ipywidgets`` are loaded when they are first needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from batchnb.errors import (
    AmbiguousError,
    ApiError,
    BatchnbError,
    CredentialsError,
    InputError,
    JobNotFoundError,
    JobStateError,
    LedgerError,
    NotFoundError,
    RecipeChangedWarning,
    RefusedError,
    ResultTimeoutError,
    TemplateError,
)
from batchnb.jobs.series import register as _register
from batchnb.system import environment as _settings  # noqa: F401  # a relative BATCHNB_HOME leads from where this is run

if TYPE_CHECKING:
    from datetime import timedelta
    from decimal import Decimal

    import pandas as pd

    from batchnb.jobs.defaults import simulate
    from batchnb.jobs.job import Job
    from batchnb.jobs.server_files import FileTable
    from batchnb.jobs.tables import BatchTable, JobTable
    from batchnb.jobs.workspace import Workspace

__all__ = [
    "AmbiguousError",
    "ApiError",
    "BatchnbError",
    "CredentialsError",
    "InputError",
    "Job",
    "JobNotFoundError",
    "JobStateError",
    "LedgerError",
    "NotFoundError",
    "RecipeChangedWarning",
    "RefusedError",
    "ResultTimeoutError",
    "TemplateError",
    "Workspace",
    "attach",
    "batches",
    "files",
    "jobs",
    "models",
    "prices",
    "prune",
    "recover",
    "set_price",
    "simulate",
]

__version__ = "0.1.0"

_LAZY = {"Job": "batchnb.jobs.job", "Workspace": "batchnb.jobs.workspace", "simulate": "batchnb.jobs.defaults"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'batchnb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


def jobs(workspace: Workspace | None = None) -> JobTable:
    """List the jobs of the ledger, newest first: in a notebook as a live table, with ``.to_frame()`` as a plain frame.

    Touches no network.

    Parameters
    ----------
    workspace : Workspace, optional
        Default: the one of the environment, or of ``simulate()``.
    """
    from batchnb.jobs.tables import JobTable

    return JobTable(_workspace(workspace).session)


def attach(id: str, *, progress: bool = True, workspace: Workspace | None = None) -> Job:
    """Pick up a job of the ledger, such as after a kernel restart, and show it; it goes on in the background.

    Touches the network at once only for a batch that this ledger does not know yet.

    Parameters
    ----------
    id : str
        As ``jobs()`` lists it; or that of a batch (``msgbatch_...``) that somebody else's script or the Console made:
        its results come as a frame by custom_id, or are joined to a frame on a column that holds them.
    progress : bool
        Whether to show the job.
    workspace : Workspace, optional
        Default: the one of the environment, or of ``simulate()``.

    Raises
    ------
    JobNotFoundError
        The ledger has no such job.
    NotFoundError
        The server has no such batch, or keeps its results no more.
    """
    from batchnb.display.job.screen import show

    job = _workspace(workspace).attach(id)
    show(job, progress=progress)
    return job


def batches(limit: int = 100, *, workspace: Workspace | None = None) -> BatchTable:
    """List the workspace's batches on the server, newest first, whoever made them. Touches the network; blocks.

    In a notebook it shows itself as a table; ``.to_frame()`` gives a plain frame.

    Parameters
    ----------
    limit : int
        How many at most.
    workspace : Workspace, optional
        Default: the one of the environment, or of ``simulate()``.
    """
    from batchnb.jobs.tables import BatchTable

    return BatchTable(_workspace(workspace).session, limit)


def files(workspace: Workspace | None = None) -> FileTable:
    """List the files on the server: images and documents that jobs uploaded, and others'. Touches the network; blocks.

    Shows itself as a table; ``.to_frame()`` gives a plain frame, ``.delete("unused")`` deletes what this ledger
    uploaded and no request waits for, ``.delete(ids)`` those of these ids.

    Parameters
    ----------
    workspace : Workspace, optional
        Default: the one of the environment, or of ``simulate()``.
    """
    from batchnb.jobs.server_files import FileTable

    return FileTable(_workspace(workspace).session)


def prune(
    older_than: str | timedelta | float, *, dry_run: bool = False, workspace: Workspace | None = None
) -> pd.DataFrame:
    """Remove jobs that ended long ago from the ledger, with the answers that no other job has, and give back the space.

    Kept are jobs that are open, that were ended less long ago, and that have rows without an answer. To ask again what
    was removed is to buy it again: `export` first what is still needed. Nothing on the server is touched; where this
    process has not heard from it yet, it is asked for the time, so that a wrong clock makes nothing old.

    Parameters
    ----------
    older_than : str, timedelta or number
        How long ago a job must have ended: ``"90d"``, a timedelta, or days.
    dry_run : bool
        Only say what would be removed.
    workspace : Workspace, optional
        Default: the one of the environment, or of ``simulate()``.

    Returns
    -------
    DataFrame
        The jobs removed, as ``jobs().to_frame()`` lists them.

    Raises
    ------
    InputError
        That is no age.
    BatchnbError
        By this machine's clock everything would go, and the server could not be asked for the time.
    """
    from batchnb.jobs.prune import prune as pruned

    return pruned(_workspace(workspace).session, older_than, dry_run=dry_run)


def recover(timeout: float | None = None, *, forget: bool = False, workspace: Workspace | None = None) -> pd.DataFrame:
    """Take back what a lost ledger knew (Binder, a new laptop), so that the cell, run again, buys nothing twice.

    Lists the server's batches of the last 29 days and keeps the answers whose custom_ids carry a digest of ours; the
    same question, asked again here, finds them. Touches the network; blocks, also until the batches in progress have
    ended, since whose they are is only to be seen then. Interrupting it keeps what has been taken back.

    A ledger that is damaged is set aside first, under another name, and a new one begun. A ledger that was begun where
    there had been one before, or that is an older backup, sends nothing until this has come to its end.

    Parameters
    ----------
    timeout : float, optional
        Seconds to wait, at most, for batches in progress. Default: no limit.
    forget : bool
        Take nothing back, and go on without: what an earlier ledger has bought may be bought again. Touches no network.
    workspace : Workspace, optional
        Default: the one of the environment, or of ``simulate()``.

    Returns
    -------
    DataFrame
        The batches that hold, or may hold, answers of ours: id, requests, rows that carry a digest, answers taken back,
        note.
    """
    return _workspace(workspace).recover(timeout, forget=forget)


def models(
    *, rows: int = 3_000, like: str | int = 600, reply: int = 20, workspace: Workspace | None = None
) -> pd.DataFrame:
    """List the models to choose from: what they cost, what they take, and until when; the newest first.

    Works without a key, from the table that comes with batchnb; with one, the server is asked what it has (one call, of
    10 s at most), and what it tells comes first.

    Parameters
    ----------
    rows : int
        How many rows ``cost`` is for.
    like : str or int
        A typical prompt, or its length in bytes. Its tokens are taken from its length, as of English text;
        ``df.batch.estimate`` counts them.
    reply : int
        Tokens of a typical reply: 20 are a label's.
    workspace : Workspace, optional
        Default: the one of the environment, or of ``simulate()``.

    Returns
    -------
    DataFrame
        ``model``; ``cost`` (dollars for those rows, in batches; NA without a known price); ``batch_input`` and
        ``batch_output`` (dollars per million tokens in a batch); ``context`` and ``max_output`` (tokens); ``thinks``
        (whether it thinks unless it is told not to, which batchnb does for labels and schemas, where it can);
        ``structured_outputs`` (whether labels and schemas can be asked for); ``lifecycle``, ``retires`` (a date) and
        ``successor``; ``known_from`` (who tells of it). NA where nobody tells. Sources: ``model_table.json`` and
        ``prices.json`` in the package, each line with its own.

    Raises
    ------
    InputError
        `rows`, `like` or `reply` is of the wrong kind.
    """
    from batchnb.planning.model_frame import model_frame

    session = _workspace(workspace).session
    return model_frame(session.api, session.prices, provenance=session.provenance, rows=rows, like=like, reply=reply)


def prices() -> pd.DataFrame:
    """List the prices that costs are reckoned with, one model a row. A model that is not listed has no known price.

    Those that come with batchnb, each with its source and date, and those that `set_price` has set. Touches no network.

    Returns
    -------
    DataFrame
        ``model``; in dollars per million tokens at the standard rate ``input``, ``output``, ``cache_read``,
        ``cache_write_5m``, ``cache_write_1h``; in a batch ``batch_input``, ``batch_output`` (and the cache's at the
        same share); for a request whose prompt is larger than ``above_tokens`` tokens, ``above_input`` and
        ``above_output`` at the standard rate; ``us_factor``, which multiplies all of them for ``inference_geo: "us"``;
        ``source``, ``date``.
    """
    from batchnb.costs.price_list import price_frame, prices_in_use

    return price_frame(prices_in_use())


def set_price(
    model: str,
    *,
    input: float | str | Decimal,
    output: float | str | Decimal,
    cache_read: float | str | Decimal | None = None,
    cache_write_5m: float | str | Decimal | None = None,
    cache_write_1h: float | str | Decimal | None = None,
    batch: float | str | Decimal | None = None,
    geo_us: float | str | Decimal | None = None,
    source: str = "set by the user",
    date: str | None = None,
) -> None:
    """Set what a model costs, from now on and in this process: every cost shown is reckoned with it at once.

    It is kept nowhere, so that no forgotten price can falsify another notebook's costs: a notebook that needs it calls
    this in its first cell. Touches no network.

    Parameters
    ----------
    model : str
        The model's id. A dated id has the price of its undated one, unless it has its own.
    input, output : number
        Dollars per million tokens at the standard rate, whatever the prompt's size.
    cache_read, cache_write_5m, cache_write_1h : number, optional
        Multiples of the input price.
    batch, geo_us : number, optional
        Multiples of every price: in a batch, and for ``inference_geo: "us"``. Multiples left out stay as the model had
        them, or are the usual ones.
    source, date : str
        Where the price comes from, and from when. Default: today.

    Raises
    ------
    InputError
        A number that is negative, not finite, or no number.
    """
    import datetime as dt

    from batchnb.costs import price_list

    price_list.set_price(
        model, input=input, output=output, cache_read=cache_read, cache_write_5m=cache_write_5m,
        cache_write_1h=cache_write_1h, batch=batch, geo_us=geo_us, source=source,
        date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}" if date is None else date,
    )  # fmt: skip


def _workspace(workspace: Workspace | None) -> Workspace:
    from batchnb.jobs.defaults import default_workspace

    return workspace or default_workspace()


_register()
