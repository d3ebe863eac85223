"""Live views of a job: the widget in a notebook, and the choice between it and text."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from batchnb.display import html, words
from batchnb.display.text import TextProgress, summary_text

if TYPE_CHECKING:
    from batchnb.snapshot import Snapshot

__all__ = ["Job", "JobView", "show"]

_log = logging.getLogger(__name__)

#: Seconds that "Really cancel?" stands before the button is "Cancel" again.
CONFIRM_SECONDS = 5.0


class Job(Protocol):
    """What a view needs of a job."""

    def snapshot(self) -> Snapshot:
        """Return the job's state now, without touching the network."""

    def cancel(self) -> None:
        """Ask the server to stop. Views call it from a thread of their own, so it may take its time."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called from a background thread, about once a second while open and once at the end.

        Returns a function that ends the subscription; it may be called from within the callback, and twice.
        """


class JobView:
    """A job as a widget that moves: the bar, the facts and a Cancel button.

    Every method may be called from any thread. Needs `ipywidgets`.

    Parameters
    ----------
    snapshot : Snapshot
        The state to show first.
    cancel : callable
        Called without arguments, in a thread of its own, when a person has clicked Cancel and confirmed it.

    Attributes
    ----------
    widget : ipywidgets.VBox
        What is displayed. Its class is ``batchnb-job``, its button's ``batchnb-cancel``.
    """

    def __init__(self, snapshot: Snapshot, cancel: Callable[[], None]) -> None:
        import ipywidgets

        self._lock = threading.RLock()
        self._cancel = cancel
        self._armed = False
        self._asked = False
        self._snapshot = snapshot
        self.head = ipywidgets.HTML()
        self.facts = ipywidgets.HTML()
        self.details = ipywidgets.HTML()
        self.button = ipywidgets.Button(layout=ipywidgets.Layout(width="auto"))
        self.button.add_class("batchnb-cancel")
        self.button.on_click(self._clicked)
        foot = ipywidgets.HBox([self.facts, self.button])
        foot.add_class("batchnb-foot")
        style = ipywidgets.HTML(html.style_html(), layout=ipywidgets.Layout(display="none"))
        self.widget = ipywidgets.VBox([style, self.head, foot, self.details])
        self.widget.add_class("batchnb-job")
        self.update(snapshot)

    def update(self, snapshot: Snapshot) -> None:
        """Show `snapshot`. Sends only what changed.

        Parameters
        ----------
        snapshot : Snapshot
            The job's frozen state.
        """
        with self._lock:
            self._snapshot = snapshot
            # ipywidgets sends a trait only when its value differs.
            self.head.value = html.head_html(snapshot)
            self.facts.value = html.facts_html(snapshot)
            self.details.value = html.details_html(snapshot)
            self._draw_button()

    def _draw_button(self) -> None:
        status = self._snapshot.status
        if status == "ended":
            self._armed = self._asked = False
        canceling = self._asked or status == "canceling"
        asking = self._armed and not canceling
        button = self.button
        button.layout.display = "none" if status == "ended" else None
        button.disabled = canceling or status == "ended"
        button.description = "Canceling…" if canceling else "Really cancel?" if asking else "Cancel"
        button.button_style = "warning" if asking else ""
        button.tooltip = "Click again to cancel; finished answers are kept" if asking else "Cancel this job"

    def _clicked(self, _button: object) -> None:
        with self._lock:
            if self._asked or self._snapshot.status in ("canceling", "ended"):
                return
            self._armed = not self._armed
            self._asked = not self._armed
            if self._asked:
                threading.Thread(target=self._run_cancel, name="batchnb-cancel", daemon=True).start()
            else:
                timer = threading.Timer(CONFIRM_SECONDS, self._disarm)
                timer.daemon = True
                timer.start()
            self._draw_button()

    def _disarm(self) -> None:
        with self._lock:
            self._armed = False
            self._draw_button()

    def _run_cancel(self) -> None:
        try:
            self._cancel()
        except Exception as error:  # noqa: BLE001 (whatever it is, it belongs before the person who clicked)
            with self._lock:
                self._asked = False
                self._draw_button()
                note = f"Cancel failed: {type(error).__name__}: {error}"
                self.details.value = html.details_html(self._snapshot) + html.note_html(note)


def show(job: Job, *, progress: bool = True) -> JobView | TextProgress | None:
    """Show a job where it was asked for, and keep the view moving until the job ends.

    In a notebook: a widget, which at the end gives its place to a static summary, so that the saved notebook can be
    read without a kernel. In a terminal or a script, or without ipywidgets: text.

    Parameters
    ----------
    job : Job
        The job; its :meth:`Job.snapshot` must not touch the network.
    progress : bool
        False shows nothing.

    Returns
    -------
    JobView, TextProgress or None
        The view, or None if `progress` is False.
    """
    if not progress:
        return None
    screen = _Screen(job)
    screen.start()
    return screen.view


class _Screen:
    """Ties a job to its view: where it is shown, how it follows the job, and how it ends."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._lock = threading.RLock()
        self._handle: Any = None
        self._unsubscribe: Callable[[], None] | None = None
        self._finished = False
        self._warned = False
        self.view: JobView | TextProgress = TextProgress()

    def start(self) -> None:
        if _has_front_end():
            try:
                self._publish(self._job.snapshot())
            except Exception as error:  # noqa: BLE001 (a view that fails must not cost the job)
                self._warn(error)
        self._unsubscribe = self._job.subscribe(self.tick)
        # The job may have ended before it was subscribed to; and text has shown nothing yet.
        self.tick()

    def tick(self) -> None:
        """Draw the job anew. Never raises: it is called by the thread that polls for every job."""
        with self._lock:
            if self._finished:
                return
            try:
                snapshot = self._job.snapshot()
            except Exception as error:  # noqa: BLE001 (the next tick may succeed)
                self._warn(error)
                return
            self._draw(snapshot)
            if snapshot.status == "ended":
                self._finish(snapshot)

    def _publish(self, snapshot: Snapshot) -> None:
        from IPython.display import display

        view = JobView(snapshot, self._job.cancel)
        bundle = view.widget._repr_mimebundle_() | _static(snapshot)
        self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        self.view = view

    def _draw(self, snapshot: Snapshot) -> None:
        try:
            self.view.update(snapshot)
        except Exception as error:  # noqa: BLE001 (said once, then text; the poller must live)
            self._warn(error)
            if isinstance(self.view, JobView):
                self.view = TextProgress()
                self._draw(snapshot)

    def _finish(self, snapshot: Snapshot) -> None:
        self._finished = True
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._handle is not None:
            try:
                self._handle.update(_static(snapshot), raw=True)
            except Exception as error:  # noqa: BLE001 (the job's answers matter more than its picture)
                self._warn(error)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            said = words.clean(f"{type(error).__name__}: {error}", 300)
            _log.warning("The view of a job failed (%s). The job goes on; what follows may be text.", said)


def _static(snapshot: Snapshot) -> dict[str, str]:
    return {"text/html": html.summary_html(snapshot), "text/plain": summary_text(snapshot)}


def _has_front_end() -> bool:
    """Whether a Jupyter kernel runs this code, and ipywidgets is installed."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    if getattr(get_ipython(), "kernel", None) is None:
        return False
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return False
    return True
