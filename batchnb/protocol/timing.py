"""Every pause and every patience there is: how often something is looked at, and how long it is waited for.

Numbers only, no clock: whoever waits is given a :class:`Timing`, and tests give one that is quick. The workspace makes
it, and hands the ledger, which knows nothing of this, the two that it needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from batchnb.errors import InputError
from batchnb.ledger.connection import LOCK_PATIENCE
from batchnb.ledger.owners import LONGEST_CALL

__all__ = ["Timing"]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Pauses and patiences, in seconds but where it says otherwise.

    Parameters
    ----------
    first_poll, poll_growth, max_poll : float
        Until the first status check of a batch; by what factor each further pause is longer; and the longest.
    others_poll : float
        Until it is looked again whether another process, which is sending a batch or uploading a file, has done so.
    first_backoff, longest_backoff : float
        Until a call that failed is tried again; it doubles with each failure, up to the longest.
    longest_retry_after : float
        As long as the server may ask to be left alone; one that asks for more is asked again after this.
    longest_wait_in_recover : float
        The same for `recover`: somebody waits for that, without a word of why.
    backoff_jitter : float
        The share by which a pause may be longer, so that clients refused together do not come back together.
    grace : float
        After which a batch that no listing shows may count as never made.
    give_up_after : float
        After which a batch is given up that the server has not known, or whose results have kept breaking off, all the
        while: its rows wait for a decision.
    longest_call : float
        After which a call that makes a batch has ended one way or another: the SDK gives one ten minutes.
    pilot_patience : float
        For which the server may hold up one call of a pilot, all in all, before nothing more is asked.
    ledger_pause, ledger_patience : float
        Until it is tried again to write to a ledger that could not be written; and after which that is given up.
    lock_patience : float
        For which another process may have the ledger locked.
    tick, calm : float
        How often views are told to look again while a job is open; and between two of those, at least: a step that
        sends many batches would have views draw each of them.
    soon : float
        For which one call may hold up the next; then it goes on beside it.
    restart_pause, restart_patience : float
        Until it is tried again to start the background thread where that failed; and after which whoever waits for it
        is told to give up.
    close_patience, last_patience : float
        When a workspace is closed: for what is being sent; and until what was given up has ended.
    exit_patience : float
        For which a normal exit lets the server hold up sending, or take nothing.

    Raises
    ------
    InputError
        `max_poll` is not a positive number.
    """

    first_poll: float = 1.0
    poll_growth: float = 1.5
    max_poll: float = 60.0
    others_poll: float = 2.0
    first_backoff: float = 1.0
    longest_backoff: float = 60.0
    longest_retry_after: float = 3600.0
    longest_wait_in_recover: float = 60.0
    backoff_jitter: float = 0.25
    grace: float = 120.0
    give_up_after: float = 600.0
    longest_call: float = LONGEST_CALL
    pilot_patience: float = 120.0
    ledger_pause: float = 5.0
    ledger_patience: float = 60.0
    lock_patience: float = LOCK_PATIENCE
    tick: float = 1.0
    calm: float = 0.25
    soon: float = 2.0
    restart_pause: float = 1.0
    restart_patience: float = 60.0
    close_patience: float = 10.0
    last_patience: float = 5.0
    exit_patience: float = 30.0

    def __post_init__(self) -> None:
        if not self.max_poll > 0:
            raise InputError(
                f"max_poll={self.max_poll!r}: the longest wait between two checks is a number of seconds above 0."
            )

    def poll_interval(self, checks: int) -> float:
        """Return the seconds to wait before the next status check.

        Parameters
        ----------
        checks : int
            Checks made so far.

        Returns
        -------
        float
            1 s after none, growing by half with each check up to `max_poll`.
        """
        # The exponent is bounded only so that a float holds the power: 1.5**60 s is a thousand years.
        return float(min(self.max_poll, self.first_poll * self.poll_growth ** min(max(checks, 0), 60)))

    def backoff(self, attempt: int, *, retry_after: float | None = None, jitter: float = 0.0) -> float:
        """Return the seconds to wait before trying a failed call again.

        Parameters
        ----------
        attempt : int
            Tries that failed before this wait, counted from 0.
        retry_after : float, optional
            The least wait, in seconds, that the server asked for; at most an hour of it is honoured.
        jitter : float
            A random number from 0 to 1, from the caller: lengthens the wait by up to a quarter.

        Returns
        -------
        float
            1, 2, 4, ... up to 60 s, or `retry_after` where that is longer; then the jitter.
        """
        wait = min(self.longest_backoff, self.first_backoff * 2.0 ** min(max(attempt, 0), 60))
        if retry_after is not None and not math.isnan(retry_after):
            wait = max(wait, min(retry_after, self.longest_retry_after))
        return wait * (1 + self.backoff_jitter * min(max(jitter, 0.0), 1.0))
