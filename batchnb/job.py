"""A job: an id and a workspace, rebuildable anywhere; and, in the kernel that made it, its frame."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Hashable, Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from batchnb import answers, state
from batchnb.details import Details
from batchnb.display import has_front_end, show
from batchnb.errors import BatchnbError, InputError, JobStateError, NotFoundError, ResultTimeoutError
from batchnb.exports import write_raw
from batchnb.flatfiles import for_csv, for_parquet
from batchnb.frames import copy_of, marked, with_columns
from batchnb.inputs import Reader
from batchnb.pricing import PriceTable, Usage
from batchnb.recipes import Recipe
from batchnb.snapshot import Caching, Snapshot
from batchnb.waiting import async_wait, explained, wait

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy

    from batchnb.ledger import JobRecord, RowAnswer
    from batchnb.watcher import Watcher
    from batchnb.workspace import Workspace

__all__ = ["Job"]


class Job:
    """A job of a workspace.

    Nothing here blocks unless its docstring says so, and properties never touch the network: the background thread
    of the workspace does, and the ledger holds what it found.

    Parameters
    ----------
    id : str
        As ``batchnb.jobs()`` lists it.
    workspace : Workspace
        Where it is kept.
    frame : pandas.DataFrame, optional
        The frame it was made from, if this kernel made it.

    Attributes
    ----------
    details : bool
        Whether frames have the columns of ``result(details=True)`` when nothing else is said; it may be set. From
        ``submit(details=True)``, and else False.
    """

    def __init__(self, id: str, workspace: Workspace, frame: pd.DataFrame | None = None) -> None:
        self.details = False
        self._id = id
        self._workspace = workspace
        self._frame = None if frame is None else copy_of(frame)
        record = workspace.ledger.jobs.get(id)
        self._number, self._called = record.number, record.name
        self._counted: _Counted | None = None

    # State: read from the ledger

    @property
    def id(self) -> str:
        """The job's id, for ``batchnb.attach``."""
        return self._id

    @property
    def name(self) -> str:
        """The job's name."""
        return self._record.name

    @property
    def status(self) -> str:
        """``submitting``, ``in_progress``, ``canceling`` or ``ended``."""
        return state.status_of(self._record, self._workspace.ledger)

    @property
    def counts(self) -> dict[str, int]:
        """Rows by outcome; outcomes that no row has are absent."""
        return dict(self._facts().outcomes)

    @property
    def usage(self) -> Usage:
        """Tokens of the answers so far; an answer that serves several rows counts once."""
        return self._facts().usage

    @property
    def cost(self) -> float | None:
        """Dollars for the answers so far, at batch rates, a pilot's at the full price; None where one is unknown."""
        return self._facts().cost

    @property
    def caching(self) -> Caching:
        """What the prompt cache does for the job: its lifetime and why, hit rate, tokens, and dollars saved or lost."""
        return self._facts().caching

    @property
    def batches(self) -> pd.DataFrame:
        """The batches that carry the job's requests: id, state, the five request counts, cost, times (UTC), note.

        ``cost`` is in dollars, for the batch's answers to this job's rows; missing where a price is unknown.
        """
        return state.batch_frame(self._workspace.ledger, self._number, self._workspace.prices)

    @property
    def simulated(self) -> bool:
        """Whether the answers come from the simulator."""
        return self._workspace.simulated

    def done(self) -> bool:
        """Tell whether the job has ended. Touches no network."""
        return self._record.state == "ended"

    @property
    def _record(self) -> JobRecord:
        return self._workspace.ledger.jobs.get(self._id)

    def __repr__(self) -> str:
        rows = " · ".join(f"{count:,} {outcome}" for outcome, count in self.counts.items())
        simulated = " [SIMULATED]" if self.simulated else ""
        return f"<batchnb.Job {self._id} {self.name!r}: {self.status}, {rows}{simulated}>"

    # Waiting

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job has ended, or for `timeout` seconds; tell whether it has ended.

        In a notebook the widgets stay alive meanwhile. Interrupting ends the wait, not the job.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most. Default: no limit.

        Raises
        ------
        BatchnbError
            The background thread had to give up; what is recorded is safe, and running the cell again goes on.
        """
        with explained(self._goes_on()):
            if self.done():
                return True
            watcher = self._workspace.watcher
            ended = wait(watcher.watch(self._number), timeout)
        self._raise_failure(watcher)
        return ended

    def result(
        self, timeout: float | None = None, *, partial: bool = False, details: bool | None = None
    ) -> pd.DataFrame:
        """Give the job's frame, in its order, plus the new columns. Blocks until the job has ended.

        Failed rows raise nothing: their status and error columns say what happened.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most. Default: no limit.
        partial : bool
            Do not wait: rows without an answer are ``pending``.
        details : bool, optional
            Further columns, as `to_frame` describes them. Default: as `submit` was told.

        Raises
        ------
        ResultTimeoutError
            The job had not ended in time; it goes on.
        """
        if not partial and not self.wait(timeout):
            raise ResultTimeoutError(
                f"Job {self._id} had not ended after {timeout} s. It goes on; result(partial=True) gives what there is."
            )
        return self.to_frame(details=details)

    def __await__(self) -> Generator[Any, None, pd.DataFrame]:
        """Wait without blocking the event loop, and give ``result()``."""
        return self._awaited().__await__()

    async def _awaited(self) -> pd.DataFrame:
        if not self.done():
            watcher = self._workspace.watcher
            with explained(self._goes_on()):
                await async_wait(watcher.watch(self._number), None)
            self._raise_failure(watcher)
        return self.to_frame()

    def _goes_on(self) -> str:
        name = self._called  # not read now: the ledger may be what takes its time
        shown = name if len(name) <= 80 else f"{name[:80]}…"
        return (
            f"Only the wait was interrupted: job {shown!r} goes on. Wait again with job.result(); after a restart run "
            f"the cell again, or batchnb.attach({self._id!r})."
        )

    def _raise_failure(self, watcher: Watcher) -> None:
        failure = watcher.failure
        if failure is not None and not watcher.running and not self.done():
            raise BatchnbError(
                f"The background work of job {self._id} stopped: {str(failure).rstrip('.')}. What is recorded is safe; "
                "running the cell again goes on where it stopped."
            ) from failure

    # Answers

    def to_frame(self, *, details: bool | None = None) -> pd.DataFrame:
        """Give what there is now: the job's frame plus the new columns, or, without the frame, answers by row.

        Touches no network. A job attached later has no frame: its rows come by key, or by position.

        Parameters
        ----------
        details : bool, optional
            Tell where each answer is from, in columns of their own: ``<into>_model`` (that answered), ``_message_id``,
            ``_batch_id`` (NA for what `pilot` asked), ``_request`` (the digest of what was asked, in hex),
            ``_stop_reason``, ``_input_tokens``, ``_output_tokens``, ``_cache_read_tokens``, ``_cache_write_tokens``
            (Int64), ``_cost`` (Float64: dollars, at the rate it was asked at) and ``_answered_at`` (UTC: when its batch
            ended, or the pilot's answer came). NA where there is nothing to tell. Of several samples they tell of the
            first. Rows that share an answer show the same: summing counts it more than once, ``job.cost`` does not.
            Default: as `submit` was told.

        Raises
        ------
        InputError
            The frame has a column of its own where one of the details goes.
        """
        recipe, extra = self._record.recipe, self._details(wanted=details)
        if self._frame is not None:
            # What `submit` was told, it has checked.
            frame = answers.beside(self._frame, self._answers(), recipe, extra, overwrite=self.details)
            return self._marked(frame)
        return self._marked(answers.by_row(self._answers(), recipe, extra))

    def _details(self, *, wanted: bool | None) -> Details | None:
        if not (self.details if wanted is None else wanted):
            return None
        ledger, recipe = self._workspace.ledger, self._record.recipe
        origins = dict(ledger.rows.origins(self._number))
        # Nobody here knows what a batch made elsewhere asked.
        known = not recipe.get("attached")
        return Details(recipe["into"], recipe.get("samples", 1), origins, self._workspace.prices, known=known)

    def merge(
        self,
        frame: pd.DataFrame,
        *,
        template: Callable[[Any], Any] | None = None,
        params: Callable[[Any], Any] | None = None,
        on: Hashable | None = None,
        overwrite: bool = False,
        details: bool | None = None,
    ) -> pd.DataFrame:
        """Give `frame` plus this job's columns, matched by content; rows the job never asked get NA.

        The frame's rows are asked again in thought, under the job's recipe, and their answers looked up: so its index
        and order do not matter, and it may hold fewer or more rows. Touches no network.

        Parameters
        ----------
        frame : pandas.DataFrame
            Any frame with the columns the template reads.
        template : callable, optional
            The job's template, if it was a function: the ledger cannot keep one.
        params : callable, optional
            The job's params, if they were a function.
        on : hashable, optional
            For a batch made elsewhere: the column of `frame` that holds its custom_ids.
        overwrite : bool
            Replace columns of the same names that batchnb did not make.
        details : bool, optional
            Further columns, as `to_frame` describes them. Default: as `submit` was told.

        Raises
        ------
        InputError
            `frame` lacks a column the template reads, or has one of its own where the new ones go; or the template, the
            params or the column of custom_ids are needed.
        """
        spec, extra = self._record.recipe, self._details(wanted=details)
        if spec.get("attached"):
            merged = answers.merge_on(frame, on, self._answers(), spec, overwrite=overwrite, details=extra)
            return self._marked(merged)
        if on is not None:
            raise InputError("on= is for batches made elsewhere; the rows of this job are matched by their content.")
        # The names a function's params may have come from the SDK, which text has no need to load.
        fields = self._workspace.fields(spec["betas"]) if template or params else frozenset()
        reader = Reader(lenient=True)
        recipe = Recipe.from_spec(spec, frame, template, params=params, fields=fields, reader=reader)
        merged = answers.merge(
            frame, recipe, self._answers(), overwrite=overwrite, details=extra,
            earlier=lambda: self._workspace.ledger.jobs.for_column(spec["column"], spec["into"]),
        )  # fmt: skip
        return self._marked(merged)

    def errors(self) -> pd.DataFrame:
        """Give the rows that have no good answer: row, outcome, type, message, retryable, reply. Touches no network.

        ``row`` is the frame's index label, or the key or position where the job has no frame; ``reply`` is the text of
        a paid reply that does not fit; ``retryable`` tells whether ``retry()`` would ask the row again.
        """
        labels = None if self._frame is None else self._frame.index
        return self._marked(answers.failed(self._answers(), self._record.recipe, labels))

    def export(self, path: str | Path) -> Path:
        """Write the results to a file, by its ending: ``.csv``, ``.parquet`` or ``.jsonl``. Touches no network.

        ``name.jsonl`` holds one line per answered request, in the API's own format. Beside it, ``name.requests.jsonl``
        holds what was asked, as the API takes it, by the same custom_ids, and ``name.recipe.json`` the recipe, which
        row of the frame is which custom_id, tokens, cost and prices. A file that was uploaded is named by its SHA-256,
        ``batchnb:<media type>:<sha256>`` as a ``file_id``; the recipe has the id it got. Simulated results say so in
        every row. Lists and dicts of the job's columns are JSON in CSV, and in Parquet where that cannot hold them as
        they are.

        Parameters
        ----------
        path : path
            The file; one that is there is replaced, and those beside it. Parquet needs ``pyarrow``.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InputError
            Another ending.
        """
        path = Path(path)
        if path.suffix == ".jsonl":
            ledger, prices = self._workspace.ledger, self._workspace.prices
            write_raw(path, ledger, self._number, prices, simulated=self.simulated)
            return path
        frame, names = self.to_frame(), answers.names(self._record.recipe)
        if self.simulated:
            frame = with_columns(frame, {"simulated": True})
        if path.suffix == ".csv":
            for_csv(frame, names).to_csv(path, index=self._frame is None)
        elif path.suffix == ".parquet":
            for_parquet(frame, names).to_parquet(path)
        else:
            raise InputError(
                f"export() writes .csv, .parquet or .jsonl, not {path.suffix or 'a file without ending'!r}."
            )
        return path

    def to_sql(
        self,
        table: str,
        con: sqlalchemy.Engine | sqlalchemy.Connection | sqlalchemy.URL | str,
        *,
        key: Hashable | None = None,
        columns: Sequence[Hashable] = (),
        schema: str | None = None,
    ) -> int:
        """Write the results into a table, over the rows of the same key: doing it twice changes nothing.

        One transaction: all rows or none. Rows still ``pending`` are left out, so that none replaces an answer that is
        there already. Touches the network only to reach the database, and blocks meanwhile.

        The table gets the key, `columns`, the job's new columns, ``batchnb_job`` and ``batchnb_simulated``. One that is
        missing is made, with the key as its primary key. One that is there is used as it is: it must have those columns
        and a primary key or unique constraint on the key alone, and no simulated answers beside real ones. Missing
        values are NULL; lists and dicts JSON; times with a zone in UTC, to the microsecond; characters that not every
        database takes (NUL, half characters) U+FFFD.

        Parameters
        ----------
        table : str
            The table's name, taken literally.
        con : Engine, Connection, URL or str
            SQLite or PostgreSQL, through SQLAlchemy. A Connection is written to within its own transaction, which is
            yours to commit.
        key : hashable, optional
            A column of the job's frame whose values name its rows. Default: the job's own ``key=``, which is also the
            only one of a job attached later: that one has no frame, and position is not a key.
        columns : sequence of hashable
            Further columns of the job's frame.
        schema : str, optional
            The table's schema. Default: the database's.

        Returns
        -------
        int
            The number of rows written.

        Raises
        ------
        InputError
            A key is missing or names two rows, or the table does not fit. Nothing was written.
        BatchnbError
            SQLAlchemy is missing: ``pip install 'batchnb[sql]'``.
        """
        from batchnb.databases import results, write

        recipe = self._record.recipe
        answered = answers.by_row(self._answers(), recipe)
        rows = results(self._frame, answered, recipe["key"], key, columns)
        ready = (answered[f"{recipe['into']}_status"] != "pending").tolist()
        return write(rows, table, con, schema=schema, ready=ready, job=self._id, simulated=self.simulated)

    def _answers(self) -> Iterator[RowAnswer]:
        return self._workspace.ledger.rows.answers(self._number)

    def _marked(self, frame: pd.DataFrame) -> pd.DataFrame:
        return marked(frame, self._record.recipe, job=self._id, simulated=self.simulated)

    # Doing something about it

    def cancel(self) -> None:
        """Send nothing more of this job, and have its running batches canceled. Returns at once.

        What has finished is kept, and what is running may still succeed. A batch that another open job needs is spared.
        """
        self._workspace.ledger.batches.cancel(self._number)
        self._workspace.watch(self._number)
        self._workspace.watcher.wake(self._workspace.ledger.batches.of_job(self._number))

    def collect(self) -> None:
        """Have the server asked now how the job's batches stand, and what has ended fetched. Returns at once.

        The background thread does that by itself every so often; this makes it now. A batch that was given up gets one
        more look.
        """
        self._workspace.go_on(self._number)
        self._workspace.watcher.wake(self._workspace.ledger.batches.of_job(self._number))

    def retry(self, *, all: bool = False) -> int:
        """Ask the failed rows of this job again, and tell how many requests that is.

        Returns at once; sending goes on in the background.

        Canceled, expired and missing rows and passing errors are asked again; paid replies never are.

        Parameters
        ----------
        all : bool
            Also rows that were refused as invalid_request_error.
        """
        self._workspace.api.require_credentials()
        released = self._workspace.ledger.jobs.release(self._number, "all" if all else "retry")
        if released:
            self._workspace.watch(self._number)
        return released

    def resolve(self, decision: str) -> int:
        """Decide about rows whose batch could not be found, and tell how many requests that concerns.

        Returns at once; what is to be sent is sent in the background.

        Parameters
        ----------
        decision : {"send", "drop"}
            Ask them again, which may buy them twice; or give them up as ``missing``.
        """
        if decision not in ("send", "drop"):
            raise InputError(f'resolve() takes "send" or "drop", not {decision!r}.')
        concerned = self._workspace.ledger.batches.resolve(self._number, send=decision == "send")
        if concerned:
            self._workspace.watch(self._number)
        return concerned

    def delete(self, *, remote: bool = False) -> None:
        """Remove the job from the ledger, with the answers that no other job has.

        Parameters
        ----------
        remote : bool
            Also delete its batches, with their results, from the server. Touches the network and blocks.

        Raises
        ------
        JobStateError
            The job has not ended: cancel it first.
        """
        if not self.done():
            raise JobStateError(f"Job {self._id} has not ended: cancel() it and wait for its end before deleting it.")
        if remote:
            for batch in self._workspace.ledger.batches.only_of_job(self._number):
                with contextlib.suppress(NotFoundError):  # deleted there before
                    self._workspace.api.delete_batch(batch)
        self._workspace.ledger.jobs.delete(self._number)
        if (view := self.views.get(self._id)) is not None:
            view.tick()  # which finds the job gone

    # Views

    @property
    def views(self) -> MutableMapping[str, Any]:
        """The live views of the workspace's jobs, by job id."""
        return self._workspace.views

    def _ipython_display_(self) -> None:
        if has_front_end():
            show(self)
        else:
            print(repr(self))  # noqa: T201  # what a terminal shows of any other object

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called about once a second while the job is open and once when it ends.

        It runs in a background thread. Returns at once. Touches no network.

        Parameters
        ----------
        callback : callable
            Takes nothing; what it gives is not looked at.

        Returns
        -------
        callable
            Ends the subscription.
        """
        return self._workspace.watcher.subscribe(self._number, callback)

    def snapshot(self) -> Snapshot:
        """Give what a view may show of the job now. Touches no network."""
        record, ledger = self._record, self._workspace.ledger
        facts = self._facts(patient=record.state != "ended")
        watcher = self._workspace.watcher
        failing = watcher.is_failing(self._number)
        return state.snapshot_of(
            record, facts, ledger, simulated=self.simulated, failing=failing, failure=watcher.failure,
            forecasts=self._workspace.forecasts,
        )  # fmt: skip

    def _facts(self, *, patient: bool = False) -> state.Facts:
        """Count what became of the rows, unless nothing can have changed since the last time.

        A view that moves is `patient`: on a large job it counts again only so often that counting takes a tenth of the
        time at most.
        """
        ledger = self._workspace.ledger
        started, prices = time.monotonic(), self._workspace.prices
        known = self._counted
        if known is not None and known.prices is prices and patient and started < known.good_until:
            return known.facts
        revision = ledger.revision()
        if self._counted is None or self._counted.revision != revision or self._counted.prices is not prices:
            facts = state.facts_of(ledger, self._number, prices)
            took = time.monotonic() - started
            self._counted = _Counted(revision, prices, facts, started + 10 * took)
        return self._counted.facts


class _Counted(NamedTuple):
    revision: tuple[int, int]
    prices: PriceTable
    facts: state.Facts
    good_until: float
