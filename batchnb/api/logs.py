"""What the SDK and its HTTP stack log of our calls: nothing unless it is asked for, and never a secret.

A program that logs at INFO or DEBUG asks for its own lines, not for one or twenty about each status check. Those of our
calls come where somebody has set a level of those loggers themselves: ``logging.getLogger("httpx2").setLevel("INFO")``,
or the SDK's ``ANTHROPIC_LOG=info``. Calls that others make with the SDK are left alone.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from batchnb.api.redaction import Redactor

__all__ = ["install", "ours"]

#: Whose loggers, and those below them.
ROOTS = ("httpx2", "httpcore2", "anthropic")

_calling = threading.local()


class _Filter(logging.Filter):
    """Drops what was not asked for, and takes secrets out of the rest, of the calls within `ours`."""

    def filter(self, record: logging.LogRecord) -> bool:
        redactor: Redactor | None = getattr(_calling, "redactor", None)
        if redactor is None:
            return True
        if record.levelno < logging.WARNING and not _asked_for(record.name):
            return False
        record.msg, record.args = redactor.text(record.getMessage()), None
        if record.exc_info:
            # A handler may show, or send elsewhere, what the frames of a traceback hold.
            said = logging.Formatter().formatException(record.exc_info)
            record.exc_info, record.exc_text = None, redactor.text(said)
        return True


_FILTER = _Filter()


def install() -> None:
    """Have the loggers that there are keep to this. Called again, it minds those that have come since."""
    for name in [*ROOTS, *logging.Logger.manager.loggerDict]:
        if name.partition(".")[0] in ROOTS:
            logging.getLogger(name).addFilter(_FILTER)


@contextlib.contextmanager
def ours(redactor: Redactor) -> Iterator[None]:
    """Within the block, what this thread calls is our own."""
    before = getattr(_calling, "redactor", None)
    _calling.redactor = redactor
    try:
        yield
    finally:
        _calling.redactor = before


def _asked_for(name: str) -> bool:
    """Tell whether somebody has set a level of this logger, or of one above it, other than that of all."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None and logger is not logging.root:
        if logger.level:
            return True
        logger = logger.parent
    return False
