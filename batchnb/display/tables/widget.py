"""A table of jobs or batches as a widget: with a way to open, cancel and delete each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from batchnb.display.button import Action
from batchnb.display.html import note_html, style
from batchnb.display.job.screen import embed, publish
from batchnb.display.job.text import table_text
from batchnb.display.tables.html import lines_html, table_html

if TYPE_CHECKING:
    from batchnb.display.job.widget import Job
    from batchnb.display.tables.lines import Table, TableLine

__all__ = ["Source", "TableView"]

#: Seconds without a change or a click after which a table leaves its place to a static one: a notebook that is saved
#: while a widget stands in it cannot be read without its kernel.
QUIET_SECONDS = 900.0


class Source(Protocol):
    """Where a table's lines come from, and what can be done with each. Views call it from threads of their own."""

    #: The most lines to show.
    limit: int
    #: Whether it finds something new only when it is asked to refresh.
    on_request: bool

    def read(self) -> Table:
        """Return the lines, as far as they are known. Touches no network."""

    def refresh(self) -> None:
        """Ask again for what is only known by asking."""

    def open(self, id: str) -> Job:
        """Return the job behind a line, and have it go on."""

    def cancel(self, id: str) -> object:
        """Cancel what is under way."""

    def delete(self, id: str) -> object:
        """Delete what has ended."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called when the lines may have changed; give the function that ends that."""


class TableView:
    """A table as a widget. Every method may be called from any thread. Needs `ipywidgets`.

    Parameters
    ----------
    source : Source
        Where its lines come from.
    table : Table
        Those to show first.

    Attributes
    ----------
    widget : ipywidgets.VBox
        What is displayed.
    """

    def __init__(self, source: Source, table: Table) -> None:
        import ipywidgets

        self._source = source
        self._table = table
        self._lock = threading.RLock()
        self._reading = threading.Lock()
        self._failure: str | None = None
        self._opened: str | None = None
        self._handle: Any = None
        self._active = time.monotonic()
        self._quiet: threading.Timer | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self.lines = ipywidgets.HTML()
        self.note = ipywidgets.HTML()
        self.chosen = ipywidgets.Dropdown(description=table.noun.capitalize())
        self.chosen.add_class("batchnb-chosen")
        self.chosen.observe(self._choose, "value")
        self.open = Action("open", self._open, self._acted)
        self.cancel = Action("cancel", lambda: source.cancel(self._id()), self._acted, asks="Really cancel?")
        self.delete = Action("delete", lambda: source.delete(self._id()), self._acted, asks="Really delete?")
        self.more = Action("more", self._more, self._acted)
        self.refresh = Action("refresh", source.refresh, self._show)
        acts = (self.open, self.cancel, self.delete, self.more, self.refresh)
        foot = ipywidgets.HBox([self.chosen, *(action.widget for action in acts)])
        foot.add_class("batchnb-actions")
        self.place = ipywidgets.VBox()
        sheet = ipywidgets.HTML(str(style()), layout=ipywidgets.Layout(display="none"))
        self.widget = ipywidgets.VBox([sheet, self.lines, foot, self.note, self.place])
        self.widget.add_class("batchnb-job")
        self.widget.add_class(f"batchnb-{table.plural}")
        self.update(table)

    # Showing

    def update(self, table: Table) -> None:
        """Show `table`. Sends only what changed.

        Parameters
        ----------
        table : Table
            Its lines.
        """
        with self._lock:
            self._table = table
            self.lines.value = str(lines_html(table))
            options = [(f"{number} · {line.name}", line.id) for number, line in enumerate(table.lines, 1)]
            if list(self.chosen.options) != options:
                ids = [line.id for line in table.lines]
                kept = self.chosen.value if self.chosen.value in ids else next(iter(ids), None)
                self.chosen.options = options
                self.chosen.value = kept
            self._draw_actions()

    def _draw_actions(self) -> None:
        line, noun = self._line(), self._table.noun
        self.chosen.layout.display = None if line else "none"
        self.note.value = str(note_html(self._failure)) if self._failure else ""
        is_open = line is not None and line.id == self._opened
        self.open.draw(
            "Close" if is_open else "Open",
            f"fold the {noun} in again" if is_open else f"show this {noun} below, and have it go on",
            shown=line is not None,
        )
        self.cancel.draw(
            "Cancel", f"cancel this {noun}; finished answers are kept", shown=line is not None,
            enabled=line is not None and line.open,
        )  # fmt: skip
        what = "job and the answers no other job has from the ledger" if noun == "job" else "batch from the server"
        self.delete.draw(
            "Delete", f"delete this {what}", shown=line is not None, enabled=line is not None and not line.open
        )
        left = self._table.total - len(self._table.lines)
        self.more.draw("Show more", f"show more of the {self._table.plural}", shown=left > 0)
        self.refresh.draw("Refresh", "ask the server again", shown=self._source.on_request)

    def _line(self) -> TableLine | None:
        return next((line for line in self._table.lines if line.id == self.chosen.value), None)

    # Acting

    def _id(self) -> str:
        return str(self.chosen.value)

    def _choose(self, _change: object) -> None:
        with self._lock:
            for action in (self.cancel, self.delete):
                action.take_back()  # it was about another one
            self._draw_actions()

    def _open(self) -> None:
        chosen = self._id()
        closes = chosen == self._opened
        # Not within the lock: opening waits for the background thread, which may be waiting to draw this table.
        children = () if closes else (embed(self._source.open(chosen)),)
        with self._lock:
            self._opened = None if closes else chosen
            self.place.children = children

    def _more(self) -> None:
        self._source.limit += len(self._table.lines)

    def _acted(self, failure: str | None) -> None:
        """Show what a click has changed, or why it has not."""
        try:
            self._source.refresh()
        except Exception as error:  # noqa: BLE001 (it belongs before the person who clicked)
            failure = failure or f"Refreshing failed: {type(error).__name__}: {error}"
        self._show(failure)

    def _show(self, failure: str | None) -> None:
        self._failure = failure
        self.tick()

    def tick(self) -> None:
        """Draw the table anew."""
        with self._reading:
            try:
                table = self._source.read()
            except Exception as error:  # noqa: BLE001 (it belongs before the person who looks at the table)
                self._failure = self._failure or f"{type(error).__name__}: {error}"
                table = self._table
            with self._lock:
                if self._opened is not None and all(line.id != self._opened for line in table.lines):
                    self._opened, self.place.children = None, ()
                self.update(table)
        self._stay()

    # Being displayed

    def publish(self) -> None:
        """Display the table here, and keep it as it is on the server or in the ledger."""
        self._handle = publish({**self.widget._repr_mimebundle_(), **self._static()})
        self._unsubscribe = self._source.subscribe(self.tick)
        self._stay()

    def freeze(self) -> None:
        """Leave a static table where the widget is: nothing will change it from here on."""
        self.tick()  # not within the lock, which another tick may be waiting for
        with self._lock:
            self._unsubscribe()
            if self._quiet is not None:
                self._quiet.cancel()
            handle, self._handle = self._handle, None
            if handle is not None:
                handle.update(self._static(), raw=True)

    def _static(self) -> dict[str, str]:
        return {"text/html": str(table_html(self._table)), "text/plain": table_text(self._table)}

    def _stay(self) -> None:
        """Count anew the time after which the table is left alone."""
        with self._lock:
            self._active = time.monotonic()
            if self._handle is not None and self._quiet is None:
                self._look_in(QUIET_SECONDS)

    def _look_in(self, seconds: float) -> None:
        self._quiet = threading.Timer(seconds, self._leave_if_quiet)
        self._quiet.daemon = True
        self._quiet.start()

    def _leave_if_quiet(self) -> None:
        with self._lock:
            left = self._active + QUIET_SECONDS - time.monotonic()
            if left > 0:
                self._look_in(left)
        if left <= 0:
            self.freeze()
