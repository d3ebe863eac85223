"""What a test does with a form: wait for it, and click in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from batchnb.display.form.widget import ComposeView

SECONDS = 60  # a test that waits longer has failed
WIDGET = "application/vnd.jupyter.widget-view+json"


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class Handle:
    """What `display(..., display_id=True)` returns."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, Any]] = []

    def update(self, bundle: dict[str, Any], *, raw: bool) -> None:
        self.bundles.append(bundle)


def view(form: Any) -> ComposeView:
    return form._form.view


def settled(form: Any) -> None:
    drawn(view(form))


def drawn(form: ComposeView) -> None:
    """Wait until the preview of what is filled in is drawn, all of it."""

    def ready() -> bool:
        with form._lock:
            return not form._waiting

    until(ready)


def click(form: Any, name: str) -> None:
    """Click, and confirm where that is asked; wait until it is done."""
    action = getattr(view(form), name)
    until(lambda: not action.widget.disabled)
    action.widget.click()
    if action._asks:
        action.widget.click()
    until(lambda: not action._running)
