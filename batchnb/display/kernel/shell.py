"""The IPython that runs this code, if one does, and whether it has a page."""

from __future__ import annotations

import sys
from typing import Any

from batchnb.system.forks import is_inherited

__all__ = ["execution", "has_front_end", "ipython"]


def ipython() -> Any:
    """Return the running IPython; None outside of any."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()


def execution() -> object:
    """Return which run of which cell this is; None outside of any."""
    return getattr(ipython(), "execution_count", None)


def has_front_end() -> bool:
    """Tell whether a Jupyter kernel runs this code, and ipywidgets is installed.

    What was forked from a kernel is none: its messages would not reach the page.
    """
    kernel = getattr(ipython(), "kernel", None)
    if kernel is None or is_inherited(kernel):
        return False
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return False
    return True
