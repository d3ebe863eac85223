"""A process of the ledger's state machine: its own connection, owner's lock and watcher, and the ways it can end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from machine_server import Caller, ModelApi, Server

from batchnb import Job, Workspace
from batchnb.ledger.jobs import NewJob
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.read_jobs import JobRecord
from batchnb.protocol.submission import Submission
from batchnb.protocol.timing import Timing
from batchnb.protocol.watcher import Watcher
from batchnb.questions.rows import Rows
from batchnb.system.beside import Beside, Key

if TYPE_CHECKING:
    from fake_clock import FakeClock

SCOPE = "https://model.example"


class AtOnce(Beside):
    """Has everything done in the thread that says so: what comes in the middle of what is up to the machine."""

    def do(self, key: Key, group: int, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        then(work())


class Stepped(Watcher):
    """A watcher without its threads: its steps are called by the machine."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._beside = AtOnce(self._wake.set, soon=self.timing.soon)

    def _start(self) -> None:
        self._stopping, self.failure = False, None

    def stop(self) -> None:
        pass


class Process(Caller):
    """One process: a workspace on the shared ledger, whose API is the model of the server.

    Parameters
    ----------
    home : Path
        The folder of the ledger.
    server : Server
        The server.
    clock : FakeClock
        The time.
    workspace : str
        Whose its key is.
    """

    def __init__(self, home: Path, server: Server, clock: FakeClock, workspace: str) -> None:
        self.alive = True
        self.of_workspace = workspace
        self.ledger = Ledger(home, SCOPE)
        self.api: Any = ModelApi(server, self)
        self.submission = Submission(self.api, self.ledger, clock, max_requests=100, timing=Timing())
        self.watcher = Stepped(self.submission, self.ledger, clock=clock)
        self.workspace = Workspace(home=home, model="claude-haiku-4-5")
        self.workspace.session.clock = clock
        self.workspace.session.__dict__["_found_scope"] = (SCOPE, None)
        self.workspace.session._parts.update(api=self.api, ledger=self.ledger, watcher=self.watcher)
        self.created: str | None = None  # the job that its last cell recorded, or found
        self._create = self.ledger.jobs.create
        self.ledger.jobs.create = self._create_and_tell  # type: ignore[method-assign]
        self._fuse: int | None = None
        self._transaction = self.ledger._store.transaction
        self.ledger._store.transaction = self._burning  # type: ignore[method-assign]

    def submit(self, texts: Sequence[str | None], **options: Any) -> Job:
        """Run the cell that asks about these texts."""
        frame = pd.DataFrame({"text": pd.array(list(texts), dtype="object")})
        return frame.batch.submit("text", workspace=self.workspace, progress=False, **options)

    def _create_and_tell(self, job: NewJob, rows: Iterable[Rows], now: float) -> JobRecord:
        record = self._create(job, rows, now)
        self.created = job.id
        return record

    def watch_endings(self, check: Callable[[int], None]) -> None:
        """Have `check` called with each job that has just been found to have ended."""
        settle = self.ledger.jobs.settle

        def settle_and_check(number: int, now: float, **more: Any) -> bool:
            ended = settle(number, now, **more)
            if ended:
                check(number)
            return ended

        self.ledger.jobs.settle = settle_and_check  # type: ignore[method-assign]

    # The ways it can end

    def kill(self) -> None:
        """Die as a killed process does: nothing more is recorded, and the operating system lets its lock go."""
        if self.alive:
            self.alive = False
            self.ledger._store.close()
            self.ledger.owner.release(claims=True)

    def close(self) -> None:
        """End as a process does that closes its workspace."""
        self.alive = False
        self.workspace.close()

    def die_at_write(self, count: int) -> None:
        """Die just before the transaction of that number from now on, counted from 0."""
        self._fuse = count

    def calm(self) -> None:
        """Die of nothing any more."""
        self._fuse = None

    @contextlib.contextmanager
    def _burning(self, **options: bool) -> Iterator[Any]:
        if self._fuse is not None and not self.ledger._store._depth:
            self._fuse -= 1
            if self._fuse < 0:
                self.kill()
        with self._transaction(**options) as db:
            yield db
