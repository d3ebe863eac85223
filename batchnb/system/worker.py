"""A thread in the background that is started when there is something to do, and again where it has died."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from batchnb.errors import BatchnbError

__all__ = ["Worker"]

_log = logging.getLogger(__name__)


class Worker:
    """The thread, of which there is one at most.

    Parameters
    ----------
    pause : float
        Seconds between two tries to start it.
    patience : float
        Seconds of such tries after which whoever waits for it is told to give up.
    """

    def __init__(self, *, pause: float, patience: float) -> None:
        self._pause = pause
        self._patience = patience
        self._thread: threading.Thread | None = None
        self._tried_at = 0.0
        self._failing_since: float | None = None

    @property
    def running(self) -> bool:
        """Whether the thread is at work."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def is_due(self) -> bool:
        """Whether the thread does not run, and has not just been tried to be started."""
        return not self.running and time.monotonic() - self._tried_at >= self._pause

    @property
    def is_hopeless(self) -> bool:
        """Whether it could not be started for so long that whoever waits is to be told."""
        return self._failing_since is not None and time.monotonic() - self._failing_since >= self._patience

    def start(self, run: Callable[[], object]) -> BatchnbError | None:
        """Start the thread unless it runs. Called under a lock of the caller's.

        Parameters
        ----------
        run : callable
            What it does. It calls `ends` just before its end, so that nothing is left to a thread that is leaving.

        Returns
        -------
        BatchnbError or None
            Why it could not be started: as a rule, a limit of threads or of memory.
        """
        if self.running:
            return None
        self._tried_at = time.monotonic()
        self._thread = threading.Thread(target=run, name="batchnb", daemon=True)
        try:
            self._thread.start()
        except (RuntimeError, MemoryError) as error:
            self._thread = None
            if self._failing_since is None:
                self._failing_since = self._tried_at
                _log.warning("%s", _explained(error))
            return _explained(error)
        self._failing_since = None
        return None

    def ends(self) -> None:
        """Note that the thread is about to end, or was given up: the next `start` starts another."""
        self._thread = None
        self._failing_since = None

    def join(self, seconds: float | None = None) -> None:
        """Wait for the end of the thread, unless this is it; so many seconds at most, where they are given."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)


def _explained(error: BaseException) -> BatchnbError:
    return BatchnbError(
        f"The background thread, which sends and fetches, could not be started ({str(error) or type(error).__name__}). "
        "It is tried again when a job is asked for or waited for. If this stays, end other threads or processes, or "
        "raise their limit (ulimit -u)."
    )
