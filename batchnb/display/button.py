"""A button that does one thing: asks first where that cannot be undone, and says what failed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from batchnb import units

__all__ = ["CONFIRM_SECONDS", "Action"]

#: Seconds for which a button that asks first waits for the second click.
CONFIRM_SECONDS = 5.0


class Action:
    """A button and what it does. Every method may be called from any thread. Needs `ipywidgets`.

    Parameters
    ----------
    name : str
        Its class is ``batchnb-<name>``.
    run : callable
        What a click does, without arguments, in a thread of its own: so it may take its time.
    finished : callable
        Called in that thread with what failed, as text, or with None. Whoever owns the button draws anew.
    asks : str, optional
        The question a first click puts on the button; then only a second one, within a few seconds, does it.
    busy : str
        What the button says meanwhile.

    Attributes
    ----------
    widget : ipywidgets.Button
    """

    def __init__(
        self, name: str, run: Callable[[], object], finished: Callable[[str | None], None], *,
        asks: str | None = None, busy: str = "One moment…",
    ) -> None:  # fmt: skip
        import ipywidgets

        self._name = name
        self._run_it = run
        self._finished = finished
        self._asks = asks
        self._busy = busy
        self._lock = threading.RLock()
        self._armed: threading.Timer | None = None
        self._running = False
        self._drawn: tuple[str, str, bool, bool] = ("", "", False, False)
        self.widget = ipywidgets.Button(layout=ipywidgets.Layout(width="auto"))
        self.widget.add_class("batchnb-button")
        self.widget.add_class(f"batchnb-{name}")
        self.widget.on_click(self.click)

    def draw(self, label: str, tooltip: str, *, shown: bool, enabled: bool = True) -> None:
        """Show the button as it is to be while nobody has clicked it.

        Parameters
        ----------
        label, tooltip : str
            What it says, and what it says it does.
        shown, enabled : bool
            Whether it is there, and whether it can be clicked.
        """
        with self._lock:
            self._drawn = (label, tooltip, shown, enabled)
            if not (shown and enabled):
                self._disarm()
            self._redraw()

    def click(self, _button: object = None) -> None:
        """Do it, or ask first."""
        with self._lock:
            _, _, shown, enabled = self._drawn
            if self._running or not (shown and enabled):
                return
            if self._asks is not None and self._armed is None:
                self._armed = threading.Timer(CONFIRM_SECONDS, self.take_back)
                self._armed.daemon = True
                self._armed.start()
            else:
                self._disarm()
                self._running = True
                threading.Thread(target=self._run, name=f"batchnb-{self._name}", daemon=True).start()
            self._redraw()

    def _redraw(self) -> None:
        label, tooltip, shown, enabled = self._drawn
        button = self.widget
        button.layout.display = None if shown else "none"
        button.disabled = self._running or not enabled
        button.description = self._busy if self._running else self._asks if self._armed else label
        button.button_style = "warning" if self._armed else ""
        button.tooltip = f"Click again: {tooltip}" if self._armed else tooltip

    def take_back(self) -> None:
        """Take the question back, if it stands there: a second click is to ask it anew."""
        with self._lock:
            self._disarm()
            self._redraw()

    def _disarm(self) -> None:
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def _run(self) -> None:
        failure = None
        try:
            self._run_it()
        except Exception as error:  # noqa: BLE001 (whatever it is, it belongs before the person who clicked)
            failure = units.clean(f"{self._drawn[0]} failed: {type(error).__name__}: {error}", 400)
        # What was done is drawn first: the button is not to be its old self in between.
        self._finished(failure)
        with self._lock:
            self._running = False
            self._redraw()
