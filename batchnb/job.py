"""A job: an id and a workspace, rebuildable anywhere; and, in the kernel that made it, its frame."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd

from batchnb.errors import BatchnbError, InputError, JobStateError, NotFoundError, ResultTimeoutError
from batchnb.frames import Columns, column_in_the_way, copy_of, with_columns
from batchnb.pricing import Usage
from batchnb.recipes import Recipe
from batchnb.requests import custom_id, label_of
from batchnb.results import error_of, read_result
from batchnb.schemas import reply_from_spec
from batchnb.snapshot import BatchLine, RequestCounts, Snapshot
from batchnb.waiting import async_wait, wait

if TYPE_CHECKING:
    from batchnb.ledger import BatchRecord, JobRecord, RowAnswer
    from batchnb.watcher import Watcher
    from batchnb.workspace import Workspace

__all__ = ["Job", "utc"]


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
    """

    def __init__(self, id: str, workspace: Workspace, frame: pd.DataFrame | None = None) -> None:
        self._id = id
        self._workspace = workspace
        self._frame = None if frame is None else copy_of(frame)
        self._number = workspace.ledger.jobs.get(id).number

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
        ledger = self._workspace.ledger
        unsent = ledger.jobs.count_unsent(self._number)
        return _status(self._record, unsent, ledger.batches.of_job(self._number))

    @property
    def counts(self) -> dict[str, int]:
        """Rows by outcome; outcomes that no row has are absent."""
        return self._workspace.ledger.jobs.outcomes(self._number)

    @property
    def usage(self) -> Usage:
        """Tokens of the answers so far; an answer that serves several rows counts once."""
        return sum((line.usage for line in self._workspace.ledger.jobs.usage(self._number)), Usage())

    @property
    def cost(self) -> float | None:
        """Dollars for the answers so far, at batch rates; None where the price of a model is unknown."""
        total = Decimal(0)
        for line in self._workspace.ledger.jobs.usage(self._number):
            price = self._workspace.prices.price(line.model)
            cost = None if price is None else price.cost(line.usage, geo=line.geo, prompt_tokens=line.prompt_tokens)
            if cost is None:
                return None
            total += cost
        return float(total)

    @property
    def batches(self) -> pd.DataFrame:
        """The batches that carry the job's requests: id, state, the five request counts, times (UTC), note."""
        records = self._workspace.ledger.batches.of_job(self._number)
        return pd.DataFrame([_batch_row(record) for record in records], columns=BATCH_COLUMNS)

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
        if self.done():
            return True
        watcher = self._workspace.watcher
        ended = wait(watcher.watch(self._number), timeout)
        self._raise_failure(watcher)
        return ended

    def result(self, timeout: float | None = None, *, partial: bool = False) -> pd.DataFrame:
        """Give the job's frame, in its order, plus the new columns. Blocks until the job has ended.

        Failed rows raise nothing: their status and error columns say what happened.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most. Default: no limit.
        partial : bool
            Do not wait: rows without an answer are ``pending``.

        Raises
        ------
        ResultTimeoutError
            The job had not ended in time; it goes on.
        """
        if not partial and not self.wait(timeout):
            raise ResultTimeoutError(
                f"Job {self._id} had not ended after {timeout} s. It goes on; result(partial=True) gives what there is."
            )
        return self.to_frame()

    def __await__(self) -> Generator[Any, None, pd.DataFrame]:
        """Wait without blocking the event loop, and give ``result()``."""
        return self._awaited().__await__()

    async def _awaited(self) -> pd.DataFrame:
        if not self.done():
            watcher = self._workspace.watcher
            await async_wait(watcher.watch(self._number), None)
            self._raise_failure(watcher)
        return self.to_frame()

    def _raise_failure(self, watcher: Watcher) -> None:
        failure = watcher.failure
        if failure is not None and not self.done():
            raise BatchnbError(
                f"The background work of job {self._id} stopped: {failure}. What is recorded is safe; running the cell "
                "again goes on where it stopped."
            ) from failure

    # Answers

    def to_frame(self) -> pd.DataFrame:
        """Give what there is now: the job's frame plus the new columns, or, without the frame, answers by row.

        Touches no network. A job attached later has no frame: its rows come by key, or by position.
        """
        columns = self._columns()
        rows: list[Any] = []
        for row in self._answers():
            rows.append(row.position if row.key is None else row.key)
            columns.add(row.result, _reason(row), asked=row.digest is not None)
        if self._frame is not None:
            return self._marked(with_columns(self._frame, columns.arrays()))
        key = self._record.recipe["key"]
        return self._marked(pd.DataFrame(columns.arrays(), index=pd.Index(rows, name=key or "position")))

    def merge(
        self, frame: pd.DataFrame, *, template: Callable[[Any], Any] | None = None, overwrite: bool = False
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
        overwrite : bool
            Replace columns of the same names that batchnb did not make.

        Raises
        ------
        InputError
            `frame` lacks a column the template reads, or has one of its own where the new ones go; or the template is
            needed.
        """
        spec = self._record.recipe
        # The names a function's params may have come from the SDK, which text has no need to load.
        fields = self._workspace.fields(spec["betas"]) if template else frozenset()
        recipe = Recipe.from_spec(spec, frame, template, fields=fields)
        replaced = None if overwrite else column_in_the_way(frame, recipe.into)
        if replaced is not None:
            raise InputError(
                f"The frame has a column {replaced!r}, which batchnb did not make. Rename it first; overwrite=True "
                "replaces it."
            )
        columns = self._columns()
        asked = {row.digest: row for row in self._answers() if row.digest is not None}
        for row in recipe.rows(frame):
            answer = asked.get(row.digest) if row.digest else None
            if row.digest is None:
                columns.add(None, row.note, asked=False)
            elif answer is None:
                columns.add_unknown()
            else:
                columns.add(answer.result, _reason(answer), asked=True)
        return self._marked(with_columns(frame, columns.arrays()))

    def errors(self) -> pd.DataFrame:
        """Give the rows that have no good answer: row, outcome, type, message, retryable, reply. Touches no network.

        ``row`` is the frame's index label, or the key or position where the job has no frame; ``reply`` is the text of
        a paid reply that does not fit; ``retryable`` tells whether ``retry()`` would ask the row again.
        """
        reply = reply_from_spec(self._record.recipe["reply"])
        found: list[tuple[Any, ...]] = []
        for row in self._answers():
            if row.digest is None:
                continue
            if row.result is None:
                if row.batch_state == "lost":
                    found.append((self._row_name(row), "pending", "lost", row.batch_note, False, None))
                continue
            outcome, _, message, text = read_result(row.result, reply)
            if outcome != "succeeded":
                kind = error_of(row.result, reply)
                retryable = outcome != "invalid" and kind != "invalid_request_error"
                found.append((self._row_name(row), outcome, kind, message, retryable, text))
        columns = ["row", "outcome", "type", "message", "retryable", "reply"]
        return self._marked(pd.DataFrame(found, columns=columns))

    def export(self, path: str | Path) -> Path:
        """Write the results to a file, by its ending: ``.csv``, ``.parquet`` or ``.jsonl``. Touches no network.

        ``.jsonl`` holds one line per answered request, in the API's own format. Simulated results say so in every row.

        Parameters
        ----------
        path : path
            The file; one that is there is replaced. Parquet needs ``pyarrow``.

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
            path.write_bytes(b"".join(self._result_lines()))
            return path
        frame = self.to_frame()
        if self.simulated:
            frame = with_columns(frame, {"simulated": True})
        if path.suffix == ".csv":
            frame.to_csv(path, index=self._frame is None)
        elif path.suffix == ".parquet":
            frame.to_parquet(path)
        else:
            raise InputError(
                f"export() writes .csv, .parquet or .jsonl, not {path.suffix or 'a file without ending'!r}."
            )
        return path

    def _result_lines(self) -> Iterator[bytes]:
        seen = set()
        for row in self._answers():
            if row.digest is None or row.result is None or row.digest in seen:
                continue
            seen.add(row.digest)
            identifier = custom_id(label_of(row.position if row.key is None else row.key), row.digest)
            line = {"custom_id": identifier, "result": msgspec.Raw(row.result)}
            yield msgspec.json.encode(line | ({"simulated": True} if self.simulated else {})) + b"\n"

    def _columns(self) -> Columns:
        recipe = self._record.recipe
        return Columns(reply_from_spec(recipe["reply"]), recipe["into"])

    def _answers(self) -> Iterator[RowAnswer]:
        return self._workspace.ledger.jobs.answers(self._number)

    def _row_name(self, row: RowAnswer) -> Any:
        if self._frame is not None:
            return self._frame.index[row.position]
        return row.position if row.key is None else row.key

    def _marked(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame.attrs = {**frame.attrs, "batchnb": {"job": self._id, "simulated": self.simulated}}
        return frame

    # Doing something about it

    def cancel(self) -> None:
        """Send nothing more of this job, and have its running batches canceled. Returns at once.

        What has finished is kept, and what is running may still succeed. A batch that another open job needs is spared.
        """
        self._workspace.ledger.batches.cancel(self._number)
        self._workspace.watch(self._number)
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

    # Views

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
        ledger = self._workspace.ledger
        record = self._record
        records = ledger.batches.of_job(self._number)
        unsent = ledger.jobs.count_unsent(self._number) if record.state == "open" else 0
        notes = [record.note, *(batch.note for batch in records)]
        failure = self._workspace.watcher.failure
        return Snapshot(
            job_id=self._id,
            name=record.name,
            model=record.recipe["shared"]["model"],
            status=_status(record, unsent, records),
            rows=record.rows,
            started_at=record.created_at,
            now=time.time(),
            outcomes=self.counts,
            unsent=unsent,
            reused=record.reused,
            batches=tuple(map(_batch_line, records)),
            ended_at=record.ended_at,
            cost=self.cost,
            simulated=self.simulated,
            note=str(failure) if failure else next((note for note in notes if note), None),
            errors=tuple(ledger.jobs.errors(self._number)),
        )


BATCH_COLUMNS = [
    "id", "state", "requests", "processing", "succeeded", "errored", "canceled", "expired", "created_at", "ended_at",
    "expires_at", "note",
]  # fmt: skip


def _batch_row(record: BatchRecord) -> list[Any]:
    times = [utc(moment) for moment in (record.created_at, record.ended_at, record.expires_at)]
    counts = [record.processing, record.succeeded, record.errored, record.canceled, record.expired]
    return [record.server_id, _state(record), record.requests, *counts, *times, record.note]


def utc(seconds: float | None) -> pd.Timestamp | None:
    """Give a time, in seconds since the epoch, as pandas has it."""
    # To the microsecond, as the API gives it: a float's further digits are noise.
    return None if seconds is None else pd.Timestamp(round(seconds * 1e6), unit="us", tz="UTC")


def _status(job: JobRecord, unsent: int, batches: list[BatchRecord]) -> str:
    if job.state != "open":
        return job.state
    sending = unsent or any(batch.state == "submitting" for batch in batches)
    return "submitting" if sending else "in_progress"


def _state(record: BatchRecord) -> str:
    """Give the state as the API has it: that all results have been read is the ledger's own affair."""
    return "ended" if record.state == "collected" else record.state


def _batch_line(record: BatchRecord) -> BatchLine:
    counts = RequestCounts(record.processing, record.succeeded, record.errored, record.canceled, record.expired)
    return BatchLine(record.server_id, _state(record), counts, record.created_at, record.ended_at)


def _reason(row: RowAnswer) -> str | None:
    """Say why a row has no answer: why it was skipped, or what happened to its batch."""
    return row.note or (row.batch_note if row.batch_state in ("lost", "uncertain") else None)
