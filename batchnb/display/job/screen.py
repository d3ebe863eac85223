"""Where a job is shown, and keeping it moving there: the widget in a notebook, text elsewhere, a summary at the end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batchnb import units
from batchnb.display.job.html import summary_html
from batchnb.display.job.text import TextProgress, summary_text
from batchnb.display.job.widget import Job, JobView
from batchnb.display.kernel.shell import execution, has_front_end
from batchnb.errors import JobNotFoundError

if TYPE_CHECKING:
    from batchnb.display.snapshot import Snapshot

__all__ = ["Screen", "embed", "publish", "show"]

_log = logging.getLogger(__name__)

#: Displays of one job that are looked after: the outputs of cells run long ago are gone from the page.
MOST_HANDLES = 20


def show(job: Job, *, progress: bool = True) -> JobView | TextProgress | None:
    """Show a job where it was asked for, and keep the view moving until the job ends.

    In a notebook: a widget, which at the end gives its place to a static summary, so that the saved notebook can be
    read without a kernel; when the job goes on (after ``retry()``), the widget comes back. In a terminal or a script,
    or without ipywidgets: text. A job has one view, however often and wherever it is shown.

    Parameters
    ----------
    job : Job
        The job; its ``snapshot()`` must not touch the network.
    progress : bool
        False shows nothing.

    Returns
    -------
    JobView, TextProgress or None
        The view; None if `progress` is False, or where a summary of a job that has ended is all there is to show.
    """
    if not progress:
        return None
    screen = _screen_of(job)
    screen.show(job)
    return screen.view


def embed(job: Job, *places: Any) -> Any:
    """Return a job's live widget, to stand inside another: it stays there, with its buttons, when the job has ended.

    Parameters
    ----------
    job : Job
        The job.
    *places : display handle
        Where the other is displayed, if that is to become a summary at the end as well: told of what would be
        displayed there, as if the job were shown by itself.

    Returns
    -------
    ipywidgets.VBox
    """
    return _screen_of(job).embed(job, *places)


def _screen_of(job: Job) -> Screen:
    screen: Screen = job.views.setdefault(job.id, Screen())  # which no other thread comes between
    return screen


class Screen:
    """Ties a job to its view: where it is displayed, how it follows the job, and how it ends."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._job: Job | None = None
        self._handles: list[Any] = []
        self._shown_in: object = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._last: Snapshot | None = None
        self._finished = False
        self._warned = False
        self.view: JobView | TextProgress | None = None

    def show(self, job: Job) -> None:
        """Display the view here, unless this very cell has done so already, and have it follow `job`."""
        with self._lock:
            self._unsubscribe()
            self._job = job
            if has_front_end():
                try:
                    self._display(job.snapshot())
                except Exception as error:  # noqa: BLE001 (a view that fails must not cost the job)
                    self._warn(error)
            elif self._finished or not isinstance(self.view, TextProgress):
                self.view, self._finished = TextProgress(), False
            if self.view is None and not self._handles:
                self.view = TextProgress()
            self._follow(job)

    def embed(self, job: Job, *places: Any) -> Any:
        """Return the widget, and have it follow `job`."""
        with self._lock:
            self._unsubscribe()
            self._job = job
            snapshot = job.snapshot()
            view = self._widget_view(snapshot)
            for place in places:
                self._handles = [*self._handles[1 - MOST_HANDLES :], place]
                place.update(self._bundle(snapshot), raw=True)
            self._follow(job)
            return view.widget

    def _follow(self, job: Job) -> None:
        self._unsubscribe = job.subscribe(self.tick)
        # The job may have ended before it was subscribed to; and text has shown nothing yet.
        self.tick()

    def _display(self, snapshot: Snapshot) -> None:
        here = execution()
        if here is not None and here == self._shown_in:
            return
        if isinstance(self.view, TextProgress):
            self.view = None
        self._finished = snapshot.status == "ended"
        self._handles = [*self._handles[1 - MOST_HANDLES :], publish(self._bundle(snapshot))]
        self._shown_in = here

    def _bundle(self, snapshot: Snapshot) -> dict[str, Any]:
        """Return what is displayed: the widget, and a summary for pages without widgets; at the end only that."""
        if snapshot.status == "ended":
            return static(snapshot)
        return {**self._widget_view(snapshot).widget._repr_mimebundle_(), **static(snapshot)}

    def _widget_view(self, snapshot: Snapshot) -> JobView:
        assert self._job is not None  # noqa: S101  # set before anything is displayed
        if not isinstance(self.view, JobView):
            self.view = JobView(self._job, snapshot)
        else:
            self.view.update(snapshot)
        return self.view

    def tick(self) -> None:
        """Draw the job anew. Never raises: it is called by the thread that polls for every job."""
        with self._lock:
            if self._job is None:
                return
            try:
                snapshot = self._job.snapshot()
            except JobNotFoundError:
                self._deleted()
                return
            except Exception as error:  # noqa: BLE001 (the next tick may succeed)
                self._warn(error)
                return
            self._last = snapshot
            ended = snapshot.status == "ended"
            if self._finished and ended:
                return
            if self._finished:
                self._go_on(snapshot)
            self._draw(snapshot)
            if ended:
                self._publish_again(snapshot)
                self._finished = True

    def _go_on(self, snapshot: Snapshot) -> None:
        """Have the view move again: the job was retried."""
        self._finished = False
        if isinstance(self.view, TextProgress):
            self.view = TextProgress()
        self._publish_again(snapshot)

    def _draw(self, snapshot: Snapshot) -> None:
        try:
            if self.view is not None:
                self.view.update(snapshot)
        except Exception as error:  # noqa: BLE001 (said once, then text; the poller must live)
            self._warn(error)
            if isinstance(self.view, JobView):
                self.view = TextProgress()
                self._draw(snapshot)

    def _publish_again(self, snapshot: Snapshot, *, still: bool = False) -> None:
        try:
            if self._handles:
                bundle = static(snapshot) if still else self._bundle(snapshot)
            for handle in self._handles:
                handle.update(bundle, raw=True)
        except Exception as error:  # noqa: BLE001 (the job's answers matter more than its picture)
            self._warn(error)

    def freeze(self) -> None:
        """Leave a summary of how the job stands now where the widget is: nothing will move it from here on."""
        with self._lock:
            self.tick()
            self._still(self._last)

    def _deleted(self) -> None:
        if self._job is not None:
            self._job.views.pop(self._job.id, None)
        self._still(self._last and replace(self._last, status="ended", note="This job was deleted."))

    def _still(self, snapshot: Snapshot | None) -> None:
        self._unsubscribe()
        if isinstance(self.view, TextProgress):
            self.view.close()
        if snapshot is not None and not self._finished:
            self._publish_again(snapshot, still=True)
        self._finished, self._job = True, None

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            said = units.clean(f"{type(error).__name__}: {error}", 300)
            _log.warning("The view of a job failed (%s). The job goes on; what follows may be text.", said)


def static(snapshot: Snapshot) -> dict[str, str]:
    """Return a job as it is kept in a saved notebook, for pages with HTML and for those without."""
    return {"text/html": str(summary_html(snapshot)), "text/plain": summary_text(snapshot)}


def publish(bundle: dict[str, Any]) -> Any:
    """Display a mime bundle, and give the handle by which it can be replaced."""
    from IPython.display import display

    return display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
