"""Processes that run a cell: forked off one that has loaded everything, so that starting many costs little."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from typing import Any

from bench import KEY, PATIENCE

#: What the first process does: it loads all that a cell needs, and then forks for each line it reads.
CODE = """
import dataclasses, gc, json, os, signal, sys, tempfile
import anthropic, pandas as pd
import batchnb, batchnb.jobs.defaults, batchnb.sim.state.names
from batchnb.sim import Simulator

signal.signal(signal.SIGCHLD, signal.SIG_IGN)

def say(event, **more):
    os.write(1, json.dumps({"name": given["name"], "event": event, "pid": os.getpid(), **more}).encode() + b"\\n")

def opened(client, home, max_poll):
    workspace = batchnb.Workspace(client, home=home, scope="independent", max_poll=max_poll)
    session = workspace.session
    session.timing = dataclasses.replace(session.timing, others_poll=0.05, ledger_pause=0.05, tick=0.05)
    return workspace

def client_of(url, key=KEY):
    # Nothing here is encrypted, and reading the system's certificates takes longer than most cells.
    http = anthropic.DefaultHttpxClient(verify=False)
    return anthropic.Anthropic(api_key=key, base_url=url, http_client=http)

CELL

with tempfile.TemporaryDirectory() as home, Simulator(home + "/simulator", delay=(0, 0)) as simulator:
    with client_of(simulator.url) as client:
        workspace = batchnb.Workspace(client, home=home + "/home", max_poll=0.01)
        pd.DataFrame({"text": ["a"]}).batch.submit("text", workspace=workspace, progress=False).result()
        workspace.close()
gc.collect()
gc.freeze()

for line in sys.stdin:
    given = json.loads(line)
    if os.fork() == 0:
        try:
            cell()
        except BaseException as error:
            say("failed", error=type(error).__name__, message=str(error))
        break
"""


class Nursery:
    """Starts processes that run `cell`: code that defines the function of that name, which reads `given` and says."""

    def __init__(self, cell: str) -> None:
        self._first = subprocess.Popen(
            [sys.executable, "-c", CODE.replace("CELL", cell).replace("=KEY", f"={KEY!r}")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"BATCHNB_RECONCILE_GRACE": "0"},
        )
        self.said: dict[tuple[str, str], dict[str, Any]] = {}
        self._heard: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._first.stdout is not None
        for line in self._first.stdout:
            self._heard.put(json.loads(line))

    def start(self, name: str, **given: Any) -> None:
        """Start a process under a name of its own. Returns at once."""
        assert self._first.stdin is not None
        self._first.stdin.write(json.dumps(given | {"name": name}).encode() + b"\n")
        self._first.stdin.flush()

    def hear(self, name: str, event: str) -> dict[str, Any]:
        """Wait until a process says that, or that it has failed."""
        while (name, event) not in self.said and (name, "failed") not in self.said:
            said = self._heard.get(timeout=2 * PATIENCE)
            self.said[said["name"], said["event"]] = said
        return self.said.get((name, event)) or self.said[name, "failed"]

    def close(self) -> None:
        for pid in {said["pid"] for said in self.said.values()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._first.kill()
        self._first.communicate()
