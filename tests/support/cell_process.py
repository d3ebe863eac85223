"""A cell in a process of its own, to be killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench import Bench

#: What a cell does, in a process of its own; `extra` runs before the job is submitted, `last` after.
CELL = """
import os, signal, sys
import anthropic, pandas as pd
import batchnb
from batchnb.api.client import Api
from batchnb.ledger.batches import Batches

url, home = sys.argv[1:]
client = anthropic.Anthropic(api_key="test-key", base_url=url)
workspace = batchnb.Workspace(client, home=home, scope="independent", max_poll=0.05)
frame = pd.DataFrame({{"review": [f"text {{i}}" for i in range(30)]}})

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

{extra}
job = frame.batch.submit("review", "Echo: {{review}}", into="echo", batch_size=10, workspace=workspace, progress=False)
{last}
"""


@contextmanager
def cell(bench: Bench, *, extra: str = "", last: str = "job.result(60)") -> Iterator[subprocess.Popen]:
    """Run the cell in a process of its own."""
    command = [sys.executable, "-c", CELL.format(extra=extra, last=last), bench.server.url, str(bench.home)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
