"""A form that puts a job together: only plain ipywidgets, and HTML without scripts."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from batchnb import units
from batchnb.answers.provenance import Provenance
from batchnb.display.button import Action
from batchnb.display.form import html
from batchnb.display.form.fields import Fields, field
from batchnb.display.form.latest import Newest
from batchnb.display.html import style
from batchnb.display.job.screen import embed
from batchnb.display.shown.preview_html import preview_html
from batchnb.errors import BatchnbError

if TYPE_CHECKING:
    from batchnb.display.form.draft import Draft
    from batchnb.display.job.widget import Job
    from batchnb.display.shown.preview import Preview

__all__ = ["Backend", "ComposeView", "Setting"]

#: Rows that are previewed, and tried.
SHOWN = 5

_WAITING = "One moment: the preview is being made…"
_TRY = (
    "ask the rows shown, as a small batch of their own. The answers are kept: Submit reuses them, and they are not "
    "bought twice"
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a form is for.

    Parameters
    ----------
    frame_name : str
        What the code calls the frame.
    known : bool
        Whether that is its name, or only stands for it.
    rows : int
        How many it has.
    columns : sequence of hashable
        The labels of its columns.
    models : sequence of str
        Models to choose from; others can be typed.
    model : str
        The one that is used where none is chosen.
    defaults : tuple of (str, int)
        For text and for labels: the new column's name, and the longest reply in tokens.
    provenance : Provenance
        Where the answers come from.
    """

    frame_name: str
    known: bool
    rows: int
    columns: Sequence[Hashable]
    models: Sequence[str]
    model: str
    defaults: tuple[tuple[str, int], tuple[str, int]]
    provenance: Provenance


class Backend(Protocol):
    """What a form calls. All but `code` may take their time: they are called from threads of their own."""

    def code(self, draft: Draft) -> str:
        """Write the call; InputError where it cannot be written."""

    def glance(self, draft: Draft, positions: Sequence[int]) -> Preview:
        """Fill in those rows alone; BatchnbError where they cannot be."""

    def preview(self, draft: Draft, positions: Sequence[int]) -> Preview:
        """Fill in those rows, and count all; BatchnbError where `submit` would raise it."""

    def try_rows(self, draft: Draft, positions: Sequence[int]) -> tuple[Job, Sequence[str]]:
        """Ask those rows as a job of their own; and give what is to be said of it."""

    def answers(self, job: Job, column: Hashable, into: str) -> Sequence[tuple[str, str, str]]:
        """Return the rows of a job that has ended: label, text, answer."""

    def submit(self, draft: Draft) -> tuple[Job, Sequence[str]]:
        """Ask all rows; and give what is to be said of it."""


class ComposeView:
    """The form, its preview, its code and its two buttons.

    Every method may be called from any thread. Needs `ipywidgets`.

    Parameters
    ----------
    backend : Backend
        What it calls.
    setting : Setting
        What it is for.
    draft : Draft
        What it is filled in with at first.
    preview : Preview or str
        The first preview, or why there is none.
    give_place : callable
        Takes the job that was submitted, and gives the widget that takes the form's place.

    Attributes
    ----------
    widget : ipywidgets.VBox
        What is displayed.
    """

    def __init__(
        self, backend: Backend, setting: Setting, draft: Draft, preview: Preview | str,
        give_place: Callable[[Job], Any],
    ) -> None:  # fmt: skip
        import ipywidgets

        self._backend = backend
        self._setting = setting
        self._give_place = give_place
        self._lock = threading.RLock()
        self._newest: Newest[Preview | str] = Newest(self._previewed, self._lock)
        self._preview = preview
        self._submitted: Draft | None = None
        self._waiting = False
        self._failure: str | None = None
        self._positions = self._from(0)
        self._counted: tuple[str, bool, int] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        name = setting.frame_name if setting.known else None
        self.head = ipywidgets.HTML(str(html.head_html(name, setting.rows, provenance=setting.provenance)))
        self.fields = Fields(setting.columns, draft, setting.models, setting.model, setting.defaults, self._edited)
        self.first = field(
            "BoundedIntText", "Rows from", 0, min=0, max=setting.rows - 1,
            tooltip="The position of the first row shown, from 0",
        )  # fmt: skip
        self.first.observe(lambda _change: self.show_rows(self._from(self.first.value)), "value")
        self.random = ipywidgets.Button(
            description="Random rows", tooltip="Show rows picked at random", layout={"width": "auto"}
        )
        self.random.add_class("batchnb-button")
        self.random.on_click(lambda _button: self.show_rows(self._picked()))
        self.shown, self.status, self.notes, self.code = (ipywidgets.HTML() for _ in range(4))
        self.trial = ipywidgets.VBox(layout=ipywidgets.Layout(display="none"))
        self.trial.add_class("batchnb-trial")
        self.try_rows = Action("try", self._try, self._acted, busy="Sending…")
        self.submit = Action("submit", self._submit, self._acted, asks="Really submit?", busy="Submitting…")
        self.widget = ipywidgets.VBox(self._parts())
        for name in ("batchnb-job", "batchnb-compose"):
            self.widget.add_class(name)
        self._draw()
        self._ask(pause=0)

    def _parts(self) -> list[Any]:
        import ipywidgets

        def row(name: str, *children: Any) -> Any:
            box = ipywidgets.HBox(children)
            box.add_class(name)
            return box

        sheet = ipywidgets.HTML(str(style()), layout=ipywidgets.Layout(display="none"))
        rows = row("batchnb-pick", self.first, self.random)
        foot = row("batchnb-foot", self.status, row("batchnb-actions", self.try_rows.widget, self.submit.widget))
        return [sheet, self.head, self.fields.widget, rows, self.shown, foot, self.notes, self.trial, self.code]

    # What it is filled in with

    @property
    def draft(self) -> Draft:
        """What the form is filled in with now; or what it was when it was submitted."""
        return self._submitted or self.fields.draft()

    @property
    def positions(self) -> tuple[int, ...]:
        """The positions of the rows that are shown, and tried."""
        return self._positions

    @property
    def preview(self) -> Preview | None:
        """The last preview; None where what is filled in cannot be sent."""
        return None if isinstance(self._preview, str) else self._preview

    def show_rows(self, positions: Sequence[int]) -> None:
        """Preview these rows."""
        with self._lock:
            self._positions = tuple(positions)
            self._ask()

    def _from(self, first: int) -> tuple[int, ...]:
        rows = self._setting.rows
        return tuple(range(first, min(first + SHOWN, rows)))

    def _picked(self) -> tuple[int, ...]:
        rows = self._setting.rows
        return tuple(sorted(random.sample(range(rows), min(SHOWN, rows))))

    # Drawing

    def _edited(self) -> None:
        with self._lock:
            self._failure = None
            self._ask()

    def _ask(self, pause: float | None = None) -> None:
        self._waiting = True
        self._draw()
        looks = [
            functools.partial(self._look, look, self.draft, self._positions)
            for look in (self._backend.glance, self._backend.preview)
        ]
        self._newest.ask(looks[0], looks[1], pause)

    def _look(
        self, look: Callable[[Draft, Sequence[int]], Preview], draft: Draft, positions: Sequence[int]
    ) -> Preview | str:
        try:
            return look(draft, positions)
        except BatchnbError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, it belongs where the preview would be
            return f"{type(error).__name__}: {error}"

    def _previewed(self, preview: Preview | str) -> None:
        self._preview = preview
        self._waiting = not isinstance(preview, str) and preview.to_send is None
        self._draw()

    def _draw(self) -> None:
        preview = self._preview
        if isinstance(preview, str):
            self.shown.value = str(html.problem_html(preview))
        else:
            self.shown.value = str(preview_html(preview))
        reason = _WAITING if self._waiting else "Nothing can be sent yet: see above." if self.preview is None else ""
        self.status.value = str(html.said_html(reason))
        self.notes.value = str(html.notes_html([self._failure] if self._failure else []))
        self.code.value = self._code_html(*self._hint())
        rows = units.count(len(self._positions), "row")
        self.try_rows.draw(f"Try {rows}", reason or _TRY, shown=True, enabled=not reason)
        self.submit.draw(
            f"Submit {units.count(self._setting.rows, 'row')}",
            reason or "ask all rows, and put the job's view in this form's place", shown=True, enabled=not reason,
        )  # fmt: skip

    def _hint(self) -> tuple[str, ...]:
        name = self._setting.frame_name
        how = ("To have it in the next cell, run ", "form.insert()", " in a cell, where ")
        if self._setting.known:
            return (*how, f"form = {name}.batch.compose(…)", ".")
        return (
            *how,
            "form",
            " is what compose gave. Here ",
            name,
            " stands for your data, which has no name of its own.",
        )

    def _code_html(self, *hint: str, title: str = "The same as code") -> str:
        code, problem = self.written()
        return str(html.code_html(code, problem, hint, title=title))

    def written(self) -> tuple[str | None, str]:
        """Return the call as code; or None, and why it cannot be written."""
        try:
            return self._backend.code(self.draft), ""
        except BatchnbError as error:
            return None, str(error)

    # Doing something about it

    def _acted(self, failure: str | None) -> None:
        with self._lock:
            self._failure = failure
            self._draw()

    def _try(self) -> None:
        import ipywidgets

        with self._lock:
            draft, positions = self.draft, self._positions
        job, said = self._backend.try_rows(draft, positions)
        answers = ipywidgets.HTML()
        show = functools.partial(self._tried, job, draft, answers)
        shown = [embed(job), ipywidgets.HTML(str(html.notes_html(said))), answers]
        with self._lock:
            self._unsubscribe()
            self._unsubscribe = job.subscribe(show)
            self.trial.children = shown
            self.trial.layout.display = None
        show()  # it may have ended before

    def _tried(self, job: Job, draft: Draft, answers: Any) -> None:
        """Show the answers of a trial that has ended. Never raises: it is called by the thread that polls."""
        try:
            snapshot = job.snapshot()
            ended = snapshot.status == "ended"
            self._recount((job.id, ended, snapshot.unsent))
            if ended:
                into = self.fields.into_of(draft)
                rows = self._backend.answers(job, draft.column, into)
                shown = html.answers_html(rows, str(draft.column), into, provenance=snapshot.provenance)
                answers.value = str(shown)
        except Exception as error:  # noqa: BLE001  # the trial's own view still says what became of it
            answers.value = str(html.notes_html([f"{type(error).__name__}: {error}"]))

    def _recount(self, stand: tuple[str, bool, int]) -> None:
        """Count anew what would be sent, where a trial has come further: what a batch holds need not be."""
        with self._lock:
            if stand != self._counted:
                self._counted = stand
                self._ask(pause=0)

    def _submit(self) -> None:
        import ipywidgets

        with self._lock:
            draft = self.draft
        job, said = self._backend.submit(draft)
        self._submitted = draft
        self.stop()
        made = ipywidgets.HTML(self._code_html(title=html.MADE))
        notes = ipywidgets.HTML(str(html.notes_html(said)))
        self.widget.children = [self.widget.children[0], made, notes, self._give_place(job)]

    def stop(self) -> None:
        """Preview nothing more, and wait for what goes on."""
        self._unsubscribe()
        self._newest.stop()
