"""When a batch is given up, so that its rows wait for a decision; and what is said of it. Seconds are in timing."""

from __future__ import annotations

from batchnb.ledger.fragments import ATTACHED
from batchnb.ledger.read_batches import BatchRecord

__all__ = ["DECIDE", "DOUBTS", "decision_on", "doubt_note", "given_up_note", "is_given_up"]

#: Times that a batch is doubted before it is given up, where other processes have doubted it, too.
DOUBTS = 3

#: What to do about rows that wait for a decision.
DECIDE = 'job.resolve("send") asks these rows again, which may buy them twice; job.resolve("drop") gives them up.'


def is_given_up(batch: BatchRecord, *, doubted_for: float, server_now: float | None, patience: float) -> bool:
    """Tell whether a batch that fails in the same way again is given up now.

    At once where it had been given up before, and was only looked at again. Other processes may have doubted it before
    this one, as where a script looks at it once an hour: only the server's clock tells how long ago, since this
    machine's may have been set.

    Parameters
    ----------
    batch : BatchRecord
        As the ledger knows it.
    doubted_for : float
        Seconds for which this process has doubted it.
    server_now : float or None
        The time by the server's clock, in seconds since the epoch, where that is known.
    patience : float
        Seconds of doubt after which it is given up: `Timing.give_up_after`.
    """
    if doubted_for >= patience or batch.given_up:
        return True
    if server_now is None or batch.doubted_since is None:
        return False
    return server_now - batch.doubted_since >= patience and batch.doubts >= DOUBTS


def doubt_note(what: str, why: str, patience: float) -> str:
    """Say of a batch that it is doubted, and for how long it will be."""
    ended = why if why.endswith((".", "!", "?")) else f"{why}."
    return f"{what}: {ended} After {patience / 60:.0f} minutes of this its rows wait for your decision."


def given_up_note(batch: BatchRecord, why: str) -> str:
    """Say of a batch that it was given up, why, and what can be decided."""
    what = f"Batch {batch.server_id} cannot be read" if batch.server_id else "These rows cannot be found again"
    return f"{what}: {why} {decision_on(batch)}"


def decision_on(batch: BatchRecord) -> str:
    """Say what can be decided of a batch that is not found.

    What one made elsewhere asked is not known here, so that it cannot be asked again.
    """
    return 'job.resolve("drop") gives its rows up.' if batch.owner == ATTACHED else DECIDE
