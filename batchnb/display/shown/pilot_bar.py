"""The bar that shows how far a pilot's calls are, where somebody may be looking."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from batchnb.display.kernel.shell import has_front_end

__all__ = ["call_bar"]


@contextlib.contextmanager
def call_bar(total: int) -> Iterator[Callable[[], object]]:
    """Draw a bar of so many calls in a terminal or below a cell, and nothing in a log file; it is gone at the end.

    Yields
    ------
    callable
        To be called, from any thread, whenever a call is through.
    """
    from tqdm import tqdm

    form = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} rows"
    shown = (sys.stderr is not None and sys.stderr.isatty()) or has_front_end()
    with tqdm(
        total=total, desc="pilot", file=sys.stderr, leave=False, bar_format=form, disable=not shown, mininterval=0
    ) as bar:
        yield bar.update
