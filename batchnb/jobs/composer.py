"""What ``df.batch.compose`` gives: a form in the notebook, and what it was filled in with, as code."""

from __future__ import annotations

import itertools
import keyword
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from batchnb import units
from batchnb.answers.layout import own_column, rows_at
from batchnb.display.form.draft import Draft
from batchnb.display.form.html import made_html, static_html
from batchnb.display.form.widget import SHOWN, ComposeView, Setting
from batchnb.display.html import Html
from batchnb.display.job.screen import embed, publish
from batchnb.display.job.text import preview_text
from batchnb.display.kernel.shell import execution, has_front_end, ipython
from batchnb.errors import NOT_SENT, BatchnbError, InputError
from batchnb.jobs.submit import submit
from batchnb.planning.arguments import recipe_of
from batchnb.planning.check import heard_by
from batchnb.planning.options import Options
from batchnb.planning.preview import glance, preview
from batchnb.planning.record import Wishes
from batchnb.planning.session import Session
from batchnb.questions.columns import column_values
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import TextReply
from batchnb.questions.replies.labels import LabelReply
from batchnb.system.handles import Handle

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.display.shown.preview import Preview
    from batchnb.jobs.job import Job

__all__ = ["Composer", "compose"]

_WIDGET = "application/vnd.jupyter.widget-view+json"
_UNSENT = "Nothing was submitted from this form."
_numbers = itertools.count(1)


class Composer(Handle):
    """A form for a job, made by ``df.batch.compose``.

    In a terminal, or without ipywidgets, there is no form to see; the code is there all the same.

    Parameters
    ----------
    session : Session
        Where to send and keep the job.
    frame : pandas.DataFrame
        The rows, as they are at the time when something is sent.
    draft : Draft
        What the form is filled in with at first.
    recipe : callable
        Makes a recipe of a draft, or raises InputError.
    source : DataFrame or Series
        What the user has a name for.
    workspace : Workspace or None
        The user's own, which the code is to name; None for the default one.
    """

    def __init__(
        self, session: Session, frame: pd.DataFrame, draft: Draft, recipe: Callable[[Draft], Recipe], *,
        source: object, workspace: object = None,
    ) -> None:  # fmt: skip
        self._draft = draft
        name = None if workspace is None else _name_of(workspace) or "workspace"
        self._desk = _Desk(session, frame, recipe, _name_of(source), name, "s" if draft.series else "df")
        self._form: _Form | None = None
        if has_front_end():
            self._form = _Form(self._desk, draft)
            self._form.publish()

    def _instead(self) -> str:
        return "Pass its code, which is text, or the id of its job for batchnb.attach(...)."

    @property
    def draft(self) -> Draft:
        """What the form is filled in with now."""
        return self._draft if self._form is None else self._form.view.draft

    @property
    def code(self) -> str:
        """The call of ``submit`` that does the same; InputError where the column's label cannot be written as code."""
        return self._desk.code(self.draft)

    @property
    def job(self) -> Job | None:
        """The job; None before the form is submitted."""
        return self._desk.job

    def insert(self) -> None:
        """Put the code into a new cell below the one that calls this; in IPython's terminal, at the next prompt.

        Only a cell that runs can do that, so there is no button for it. Touches no network.

        Raises
        ------
        InputError
            There is no IPython, or the column's label cannot be written as code.
        """
        shell = ipython()
        if shell is None:
            raise InputError("insert() needs Jupyter or IPython. Elsewhere, form.code is the code, as text.")
        shell.set_next_input(self.code, replace=False)

    def __repr__(self) -> str:
        written, problem = _written(self._desk, self.draft)
        code = written or units.clean(problem, 400)
        if self.job is not None:
            return f"{code}\n# {self.job!r}"
        first = "A form for a batch job."
        if self._form is None:
            first = "The form for a batch job shows itself in a notebook, where ipywidgets is installed. Elsewhere, "
            first += "batch.preview(...), with\nthe same arguments, shows what would be sent, and submit sends it:"
        return f"{first}\n{code}"

    def _ipython_display_(self) -> None:
        if self._form is None:
            print(repr(self))  # noqa: T201  # what a terminal shows of any other object
        else:
            self._form.publish()


class _Desk:
    """Does what a form asks for, but for showing it."""

    def __init__(
        self, session: Session, frame: pd.DataFrame, recipe: Callable[[Draft], Recipe], frame_name: str | None,
        workspace_name: str | None, stand_in: str,
    ) -> None:  # fmt: skip
        self.session = session
        self.frame = frame
        self.frame_name = frame_name or stand_in
        self.is_named = frame_name is not None
        self.job: Job | None = None
        self._recipe = recipe
        self._workspace_name = workspace_name

    def code(self, draft: Draft) -> str:
        return draft.call(self.frame_name, workspace=self._workspace_name, lead="job = ")

    def glance(self, draft: Draft, positions: Sequence[int]) -> Preview:
        return glance(self.session, self.frame, self._recipe(draft), self._there(positions))

    def preview(self, draft: Draft, positions: Sequence[int]) -> Preview:
        return preview(self.session, self.frame, self._recipe(draft), self._there(positions)).preview

    def _there(self, positions: Sequence[int]) -> list[int]:
        return [position for position in positions if position < len(self.frame)]

    def try_rows(self, draft: Draft, positions: Sequence[int]) -> tuple[Job, list[str]]:
        recipe = self._recipe(draft)
        part = rows_at(self.frame, self._there(positions))
        return self._send(part, recipe, f"{recipe.column} → {recipe.into}, tried on {units.count(len(part), 'row')}")

    def submit(self, draft: Draft) -> tuple[Job, list[str]]:
        self.job, said = self._send(self.frame, self._recipe(draft), None)
        return self.job, said

    def _send(self, frame: pd.DataFrame, recipe: Recipe, name: str | None) -> tuple[Job, list[str]]:
        said: list[str] = []
        with heard_by(said.append):
            job = submit(self.session, frame, recipe, Wishes(name))
        return job, said

    def answers(self, job: Any, column: Hashable, into: str) -> list[tuple[str, str, str]]:
        frame = job.to_frame()
        replies = [own_column(frame, name).tolist() for name in (into, f"{into}_status", f"{into}_error")]
        columns = [column_values(frame, column), *replies]
        return [
            (str(label), str(asked), str(answer) if status == "succeeded" else _outcome(status, error))
            for label, asked, answer, status, error in zip(frame.index, *columns, strict=True)
        ]


def _outcome(status: str, error: object) -> str:
    return f"{status}: {error}" if isinstance(error, str) else status


class _Form:
    """A form where it is displayed, and what it leaves there."""

    def __init__(self, desk: _Desk, draft: Draft) -> None:
        session, frame = desk.session, desk.frame
        # Made here, the ledger says what it has to say in the cell; and with the watcher, the end of the kernel freezes
        # what is shown.
        session.watcher  # noqa: B018
        kinds = [(f"{draft.column}_{kind.suffix}", kind.max_tokens) for kind in (TextReply(), LabelReply(()))]
        setting = Setting(
            desk.frame_name, desk.is_named, len(frame), list(frame.columns), sorted(session.prices.prices),
            session.model, (kinds[0], kinds[1]), session.provenance,
        )  # fmt: skip
        try:
            first: Preview | str = desk.glance(draft, range(SHOWN))
        except BatchnbError as error:
            first = str(error)
        self._desk = desk
        self._places: list[_Place] = []
        self._shown_in: object = None
        self._key = f"compose {next(_numbers)}"
        session.views[self._key] = self
        self.view = ComposeView(desk, setting, draft, first, self._give_place)

    def publish(self) -> None:
        """Display the form, or what took its place, unless this very cell has done so already."""
        here = execution()
        if here is not None and here == self._shown_in:
            return
        self._shown_in = here
        place = _Place(self, publish({**self.live(), **self._static()}))
        self._places.append(place)
        if self._desk.job is not None:
            embed(self._desk.job, place)

    def live(self) -> dict[str, Any]:
        """Return the widget as a mime bundle."""
        bundle: dict[str, Any] = self.view.widget._repr_mimebundle_()
        return bundle

    def made(self, bundle: dict[str, Any]) -> dict[str, Any]:
        """Put the code above what a job shows of itself."""
        written, problem = _written(self._desk, self.view.draft)
        return {
            **bundle,
            **(self.live() if _WIDGET in bundle else {}),
            "text/html": str(made_html(written, problem, Html(bundle["text/html"]))),
            "text/plain": f"{written or problem}\n\n{bundle['text/plain']}",
        }

    def _give_place(self, job: Any) -> Any:
        """Have the job shown where the form is; give its widget."""
        self._desk.session.views.pop(self._key, None)
        return embed(job, *self._places)

    def _static(self) -> dict[str, str]:
        """Return the form as a saved notebook keeps it."""
        (written, problem), shown = _written(self._desk, self.view.draft), self.view.preview
        said = [written or problem, _UNSENT, preview_text(shown) if shown else ""]
        return {
            "text/html": str(static_html(written, problem, _UNSENT, shown)),
            "text/plain": "\n\n".join(filter(None, said)),
        }

    def freeze(self) -> None:
        """Leave code and preview where the form is: nothing answers its buttons from here on."""
        for place in self._places:
            place.replace(self._static())
        self.view.stop()


class _Place:
    """A display of a form, for the job that takes its place: the code stays above it."""

    def __init__(self, form: _Form, handle: Any) -> None:
        self._form = form
        self._handle = handle

    def update(self, bundle: dict[str, Any], *, raw: bool) -> None:
        """Display what a job shows of itself, as `display handles` do."""
        self._handle.update(self._form.made(bundle), raw=raw)

    def replace(self, bundle: dict[str, str]) -> None:
        """Display something else."""
        self._handle.update(bundle, raw=True)


def compose(
    session: Session, frame: pd.DataFrame, column: Hashable, template: Any, options: Options, *, source: object
) -> Composer:
    """Check what a form is filled in with at first, and open it. See ``df.batch.compose``.

    Raises
    ------
    InputError
        Labels that are none; a function or content blocks, which cannot be typed.
    """
    system: Any = options.system
    for name, value in (("template", template), ("system", system)):
        if value is not None and not isinstance(value, str):
            raise InputError(
                f"A form takes {name} as text, not {type(value).__name__}: give that to submit itself. {NOT_SENT}"
            )
    reply = None if options.labels is None else LabelReply.of(options.labels)
    if reply is not None and reply.meanings:
        raise InputError(
            f"A form has no room for what labels mean: give labels as a list, or the dict to submit itself. {NOT_SENT}"
        )
    draft = Draft(
        column, template or None, None if reply is None else reply.labels, options.model, system or None,
        options.into, options.max_tokens, series=source is not frame,
    )  # fmt: skip

    def recipe(draft: Draft) -> Recipe:
        return recipe_of(session, frame, draft.column, draft.template, Options(**draft.options()))

    return Composer(session, frame, draft, recipe, source=source, workspace=options.workspace)


def _written(desk: _Desk, draft: Draft) -> tuple[str | None, str]:
    """Return the code; or None, and why it cannot be written."""
    try:
        return desk.code(draft), ""
    except InputError as error:
        return None, str(error)


def _name_of(thing: object) -> str | None:
    """Find the variable by which the user calls something; None where there is none."""
    names = getattr(ipython(), "user_ns", {})
    for name, value in list(names.items()):
        is_variable = isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)
        if value is thing and is_variable and not name.startswith("_"):
            return str(name)
    return None
