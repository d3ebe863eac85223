"""Loading the SDK, which is put off until it is needed: it takes longer than pandas does."""

from __future__ import annotations

import gc
import sys

__all__ = ["load"]


def load() -> None:
    """Load the SDK, unless somebody has.

    It comes with so many objects, a hundred thousand, that Python is about to look through all there are, which takes
    a tenth of a second: rather here, where its user waits all the same, than in the middle of an event loop.
    """
    if "anthropic" not in sys.modules:
        import anthropic  # noqa: F401

        gc.collect()
