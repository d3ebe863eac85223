"""How long workspaces of tests wait for what: not long."""

from __future__ import annotations

from dataclasses import replace

from batchnb import Workspace

__all__ = ["QUICK", "paced"]

#: The waits that a server's refusals bring in hundredths of what they are, and short ones for other processes.
QUICK = {
    "first_backoff": 0.01, "longest_backoff": 0.6, "longest_retry_after": 0.02, "others_poll": 0.02,
    "ledger_pause": 0.02, "tick": 0.05,
}  # fmt: skip


def paced(workspace: Workspace, **times: float) -> Workspace:
    """Have a workspace, of which nothing has been made yet, keep to these times: fields of `Timing`."""
    assert not workspace.session._parts.keys() & {"ledger", "watcher"}, "too late: what was made keeps to other times"
    workspace.session.timing = replace(workspace.session.timing, **times)
    return workspace
