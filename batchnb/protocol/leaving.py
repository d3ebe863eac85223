"""What a process does before it leaves: it finishes sending, as long as that goes on, and says what is left."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from batchnb.display.kernel.foreground import FOREGROUND

if TYPE_CHECKING:
    from batchnb.api.exchange import Exchanges
    from batchnb.protocol.watcher import Watcher

__all__ = ["finish_sending", "say_what_is_left"]

#: Bytes that count as something the server has taken.
LEAST_SENT = 30_000


def finish_sending(watcher: Watcher, exchanges: Exchanges) -> None:
    """Wait until all is sent, or the server has taken nothing more for `Timing.exit_patience`. Says so."""
    count, held_up = watcher.unsent()
    patience = watcher.timing.exit_patience
    watcher.hurry()
    if count and watcher.running:
        print(f"batchnb: sending the last {count:,} requests before leaving ...", file=sys.stderr)  # noqa: T201
    done, since = (count, 0), time.monotonic()
    with FOREGROUND.waiting():
        while (count or watcher.sending) and held_up < patience and watcher.running:
            time.sleep(0.05)
            count, held_up = watcher.unsent()
            before, done = done, (count, exchanges.sent // LEAST_SENT)
            if done != before:
                since = time.monotonic()
            elif time.monotonic() - since >= patience:
                break


def say_what_is_left(watcher: Watcher) -> None:
    """Say on stderr what was not sent, and what to do; nothing where there is none."""
    count, _ = watcher.unsent()
    left = []
    if count:
        left.append(f"{count:,} requests are recorded but not sent yet")
    if watcher.sending:
        left.append("the server has not answered to the last batch, which may have been made")
    if left:
        said = "; ".join(left)
        print(f"batchnb: {said}; run the cell again to go on. Nothing is sent twice.", file=sys.stderr)  # noqa: T201
