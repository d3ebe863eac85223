"""A job as a widget that moves: only plain ipywidgets, and HTML without scripts."""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

from batchnb.display.button import Action
from batchnb.display.html import note_html, style
from batchnb.display.job import html

if TYPE_CHECKING:
    from batchnb.display.snapshot import Snapshot

__all__ = ["Job", "JobView"]


class Job(Protocol):
    """What a view needs of a job."""

    @property
    def id(self) -> str:
        """The job's id."""

    @property
    def views(self) -> MutableMapping[str, Any]:
        """Where the views of this and other jobs are kept, by job id: so that each job has one."""

    def snapshot(self) -> Snapshot:
        """Return the job's state now, without touching the network."""

    def cancel(self) -> object:
        """Ask the server to stop. Views call this and what follows from threads of their own."""

    def retry(self) -> object:
        """Ask the failed rows again."""

    def collect(self) -> object:
        """Have the server asked now."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called from a background thread, about once a second while open and once at the end.

        Returns a function that ends the subscription; it may be called from within the callback, and twice.
        """


class JobView:
    """A job as a widget: the bar, the facts, the batches, and the buttons that do something about it.

    Every method may be called from any thread. Needs `ipywidgets`. What is shown depends on the last snapshot alone
    (and on what has just been clicked).

    Parameters
    ----------
    job : Job
        What the buttons act on.
    snapshot : Snapshot
        The state to show first.

    Attributes
    ----------
    widget : ipywidgets.VBox
        What is displayed; its class is ``batchnb-job``.
    """

    def __init__(self, job: Job, snapshot: Snapshot) -> None:
        import ipywidgets

        self._job = job
        self._lock = threading.RLock()
        self._snapshot = snapshot
        self._failure: str | None = None
        self.head = ipywidgets.HTML()
        self.facts = ipywidgets.HTML()
        self.details = ipywidgets.HTML()
        self.fold = ipywidgets.HTML(str(html.fold_html()))
        self.batches = ipywidgets.HTML()
        self.batches.add_class("batchnb-folded")
        self.collect = Action("collect", job.collect, self._acted)
        self.retry = Action("retry", job.retry, self._acted)
        self.cancel = Action("cancel", job.cancel, self._acted, asks="Really cancel?", busy="Canceling…")
        actions = ipywidgets.HBox([action.widget for action in (self.collect, self.retry, self.cancel)])
        actions.add_class("batchnb-actions")
        foot = ipywidgets.HBox([self.fold, actions])
        foot.add_class("batchnb-foot")
        sheet = ipywidgets.HTML(str(style()), layout=ipywidgets.Layout(display="none"))
        self.widget = ipywidgets.VBox([sheet, self.head, self.facts, self.details, foot, self.batches])
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
            self.head.value = str(html.head_html(snapshot))
            self.facts.value = str(html.facts_html(snapshot))
            failure = note_html(self._failure) if self._failure else ""
            self.details.value = f"{html.details_html(snapshot)}{failure}"
            self.batches.value = str(html.batches_html(snapshot))
            self.fold.layout.visibility = None if snapshot.batches else "hidden"
            self._draw_actions(snapshot)

    def _draw_actions(self, snapshot: Snapshot) -> None:
        canceling = snapshot.status == "canceling"
        self.cancel.draw(
            "Canceling…" if canceling else "Cancel",
            "cancel this job; finished answers are kept",
            shown=snapshot.status != "ended",
            enabled=not canceling,
        )
        self.retry.draw(
            f"Retry {snapshot.retryable:,} failed",
            "ask the failed rows again, and only those",
            shown=snapshot.retryable > 0 and not canceling,
        )
        self.collect.draw(
            "Collect now",
            "ask the server now, rather than in a while, and fetch what has ended",
            shown=any(batch.running or batch.state in ("uncertain", "lost") for batch in snapshot.batches),
        )

    def _acted(self, failure: str | None) -> None:
        """Show what a click has changed, or why it has not."""
        with self._lock:
            self._failure = failure
            self.update(self._snapshot if failure else self._job.snapshot())
