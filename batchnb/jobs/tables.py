"""The jobs of a ledger and the batches of a server as live tables: what ``batchnb.jobs()`` and ``batches()`` give."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from batchnb.answers.request_counts import COUNTS, RequestCounts
from batchnb.display.job.text import table_text
from batchnb.display.job.words import SEGMENTS
from batchnb.display.kernel.shell import has_front_end
from batchnb.display.snapshot import BatchLine
from batchnb.display.tables.lines import ROW_WORDS, Table, TableLine, batch_line, job_line
from batchnb.errors import JobStateError
from batchnb.jobs.attach import attach
from batchnb.jobs.job import Job
from batchnb.jobs.status import job_frame, server_frame
from batchnb.planning.session import Session
from batchnb.system.handles import Handle

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.api.shapes import BatchInfo
    from batchnb.display.tables.widget import Source

__all__ = ["BatchTable", "JobTable"]

#: Lines a table shows at first.
SHOWN = 20


class _LiveTable(Handle):
    """Shows itself: as a widget in a notebook, as text elsewhere."""

    def __init__(self, session: Session, source: Source) -> None:
        self._session = session
        self._source = source

    def _instead(self) -> str:
        return "Pass the frame that to_frame() gives."

    def __repr__(self) -> str:
        return table_text(self._source.read())

    def _ipython_display_(self) -> None:
        if not has_front_end():
            print(repr(self))  # noqa: T201  # what a terminal shows of any other object
            return
        from batchnb.display.tables.widget import TableView

        view = TableView(self._source, self._source.read())
        # One table of each kind is live: what an earlier cell shows is left as it was.
        kind = type(self).__name__
        if (earlier := self._session.views.pop(kind, None)) is not None:
            earlier.freeze()
        self._session.views[kind] = view
        view.publish()


class JobTable(_LiveTable):
    """The jobs of a ledger, newest first: in a notebook a live table, in which each can be opened, canceled, deleted.

    Touches no network, unless a job is opened that has something to do there.

    Parameters
    ----------
    session : Session
        Whose jobs.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session, _Jobs(session))

    def __len__(self) -> int:
        return len(self._session.ledger.jobs.all())

    def to_frame(self) -> pd.DataFrame:
        """Return all jobs as a plain frame: id, name, created, model, rows, succeeded, status, cost, simulated, note.

        Touches no network.
        """
        session = self._session
        return job_frame(
            session.ledger, session.ledger.jobs.all(), session.prices, now=session.now(), provenance=session.provenance
        )


class BatchTable(_LiveTable):
    """The batches on the server, newest first: in a notebook a table, in which each can be opened, canceled, deleted.

    What is shown is what the server said when it was last asked: making one asks it, and Refresh does.

    Parameters
    ----------
    session : Session
        Whose batches.
    limit : int
        How many at most.
    """

    def __init__(self, session: Session, limit: int) -> None:
        self._batches = _ServerBatches(session, limit)
        super().__init__(session, self._batches)
        self._batches.refresh()  # last, so that even one that the server refuses can be shown beside a traceback

    def __len__(self) -> int:
        return len(self._batches.infos)

    def to_frame(self) -> pd.DataFrame:
        """Return them as a plain frame: id, status, requests, the five request counts, times (UTC), simulated.

        As the server said when it was last asked; touches no network.
        """
        return server_frame(self._batches.infos, self._session.provenance)


class _Jobs:
    """The jobs of a ledger, as the lines of a table."""

    on_request = False

    def __init__(self, session: Session) -> None:
        self._session = session
        self._jobs: dict[tuple[str, int], Job] = {}
        self._ended: dict[tuple[str, int, float | None], TableLine] = {}
        self._prices = session.prices  # with which those lines were drawn
        self.limit = SHOWN

    def refresh(self) -> None:
        """Do nothing: the ledger is here, and nobody has to be asked."""

    def read(self) -> Table:
        records = self._session.ledger.jobs.all()
        if self._prices is not self._session.prices:
            self._prices = self._session.prices
            self._ended.clear()
        lines = []
        for record in records[: self.limit]:
            version = (record.id, record.number, record.ended_at)
            # What has ended is not counted again at each look.
            line = self._ended.get(version)
            if line is None:
                job = self._jobs.get(version[:2]) or Job(record.id, self._session)
                self._jobs[version[:2]] = job  # which knows what it has counted
                line = job_line(job.snapshot())
                if record.state == "ended":
                    self._ended[version] = line
            lines.append(line)
        return Table(
            noun="job", counted="Rows", part_words=ROW_WORDS, lines=tuple(lines), total=len(records),
            now=time.time(), provenance=self._session.provenance, all_by="batchnb.jobs().to_frame()",
            empty="There are no jobs in this ledger yet: df.batch.submit(...) makes one.",
        )  # fmt: skip

    def open(self, id: str) -> Job:
        return attach(self._session, id)

    def cancel(self, id: str) -> None:
        Job(id, self._session).cancel()

    def delete(self, id: str) -> None:
        Job(id, self._session).delete()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        return self._session.watcher.subscribe(None, callback)


class _ServerBatches:
    """The batches of a server, as the lines of a table."""

    on_request = True

    def __init__(self, session: Session, limit: int) -> None:
        self._session = session
        self._most = limit
        self.limit = SHOWN
        self.infos: list[BatchInfo] = []
        self._asked_at = time.time()

    def refresh(self) -> None:
        """Ask the server. Blocks."""
        self.infos = self._session.list_batches(self._most)
        self._asked_at = time.time()

    def read(self) -> Table:
        return Table(
            noun="batch", counted="Requests", part_words=SEGMENTS,
            lines=tuple(map(self._line, self.infos[: self.limit])), total=len(self.infos), now=self._asked_at,
            provenance=self._session.provenance, all_by="batchnb.batches().to_frame()",
            empty="There are no batches on the server in the workspace of this key.",
        )  # fmt: skip

    def _line(self, info: BatchInfo) -> TableLine:
        counts = RequestCounts(*(info.request_counts.get(name, 0) for name in COUNTS))
        moments = (info.created_at, info.ended_at, info.expires_at)
        times = (None if moment is None else moment.timestamp() for moment in moments)
        job = self._session.ledger.batches.job_of(info.id)
        return batch_line(BatchLine(info.id, info.processing_status, counts, *times), job and job[1], self._asked_at)

    def open(self, id: str) -> Job:
        job = self._session.ledger.batches.job_of(id)
        return attach(self._session, id if job is None else job[0])

    def cancel(self, id: str) -> None:
        self._session.api.cancel_batch(id)
        batch = self._session.ledger.batches.find(id)
        if batch is not None:
            self._session.watcher.wake([batch])

    def delete(self, id: str) -> None:
        batch = self._session.ledger.batches.find(id)
        if batch is not None and batch.state != "collected":
            raise JobStateError(
                "its results are not all here yet, and would be lost. Open it, and delete it when its job has ended."
            )
        self._session.delete_batch(id)

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:  # noqa: ARG002  # asked by hand only
        return lambda: None
