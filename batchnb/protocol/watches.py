"""A job that is watched: whether more of it may be sent, and when."""

from __future__ import annotations

import math
import random
import threading
from dataclasses import dataclass, field

from batchnb.protocol.submission import SendOutcome
from batchnb.protocol.timing import Timing

__all__ = ["Watch"]


@dataclass(slots=True)
class Watch:
    """A watched job. Times are in seconds by a clock that is never set."""

    number: int
    ended: threading.Event = field(default_factory=threading.Event)
    told_at: float = -math.inf
    send_at: float = 0.0
    refusals: int = 0
    refused_since: float = 0.0
    may_send: bool = True
    unreachable: bool = False
    filling: bool = False
    held_back: str | None = None
    tried: bool = False

    def take(self, sent: SendOutcome, now: float, timing: Timing, *, patient: bool, limit: str | None) -> bool:
        """Take in what came of trying to send; return whether there may be more to do at once.

        Parameters
        ----------
        sent : SendOutcome
            What came of it.
        now : float
            When.
        timing : Timing
            How long to wait where the server refuses.
        patient : bool
            Whether to wait for a cache to be filled.
        limit : str or None
            What the job may cost, where it has a limit.
        """
        self.tried, self.unreachable, self.filling = True, sent.unreachable, sent.filling
        self.held_back = limit if sent.reason is not None and not sent.anything else None
        if not sent.anything:
            self.may_send = False
        elif sent.wait is None:
            self.refusals = 0
            return True
        elif sent.filling:
            self.refusals = 0
            self.send_at = now + sent.wait if patient else 0.0
        else:
            if not self.refusals:
                self.refused_since = now
            pause = timing.backoff(self.refusals, retry_after=sent.wait or None, jitter=random.random())  # noqa: S311
            self.refusals += 1
            self.send_at = now + pause
        return False
