"""A bench for the exactly-once protocol: workspaces on the independent server, and short jobs for them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import pandas as pd
from leaks import CORE
from pace import paced

from batchnb import Job, Workspace

if TYPE_CHECKING:
    import independent

KEY = f"test-key-{CORE}"
PATIENCE = 30.0


class Bench:
    """The independent server, and workspaces that share one home."""

    def __init__(self, server: independent.Server, home: Path, stack: contextlib.ExitStack) -> None:
        self.server = server
        self.home = home
        self._stack = stack
        self._workspace: Workspace | None = None
        self._times: dict[str, float] = {}

    def keep_to(self, **times: float) -> Bench:
        """Have workspaces that are opened from now on keep to these times; the bench's own is opened anew."""
        self._times |= times
        if self._workspace is not None:
            self._workspace.close()
            self._workspace = None
        return self

    def open(self, **options: Any) -> Workspace:
        """Open another workspace on the same ledger."""
        client = anthropic.Anthropic(api_key=options.pop("key", KEY), base_url=options.pop("url", self.server.url))
        clock = options.pop("clock", None)
        options = {"home": self.home, "max_poll": 0.02, **options}
        workspace = paced(Workspace(client, scope="independent", **options), **self._times)
        workspace.session.clock = clock or workspace.session.clock
        self._stack.callback(client.close)
        self._stack.callback(workspace.close)
        return workspace

    @property
    def workspace(self) -> Workspace:
        if self._workspace is None:
            self._workspace = self.open()
        return self._workspace

    def submit(self, texts: Sequence[str], *, workspace: Workspace | None = None, **options: Any) -> Job:
        """Ask for the echo of each text, as a cell would."""
        frame = pd.DataFrame({"review": list(texts)})
        workspace = workspace or self.workspace
        return frame.batch.submit(
            "review", "Echo: {review}", into="echo", workspace=workspace, progress=False, **options
        )

    def batch_states(self, job: Job) -> list[str]:
        return [record.state for record in job._session.ledger.batches.of_job(job._number)]


def texts(count: int, name: str = "text") -> list[str]:
    return [f"{name} {i}" for i in range(count)]


def outcomes(frame: pd.DataFrame) -> dict[str, int]:
    return frame["echo_status"].value_counts().to_dict()


def assert_echoed(job: Job) -> pd.DataFrame:
    """Wait for the end: every row must have its own answer."""
    frame = job.result(PATIENCE)
    assert frame["echo"].tolist() == frame["review"].tolist(), frame
    assert outcomes(frame) == {"succeeded": len(frame)}
    return frame
