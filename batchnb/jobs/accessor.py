"""``df.batch``: thin, and without state, since pandas builds a new accessor at every access."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from batchnb.planning.options import ASKED, FORM, SENT, Options, takes

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.display.shown.estimate import Estimate
    from batchnb.jobs.composer import Composer
    from batchnb.jobs.job import Job
    from batchnb.jobs.pilot import Pilot
    from batchnb.planning.preview import ShownPreview
    from batchnb.planning.session import Session
    from batchnb.questions.recipe import Recipe

__all__ = ["FrameAccessor", "Template"]

Template = str | Sequence[dict[str, str]] | Callable[[Any], Any] | None


class FrameAccessor:
    """Ask Claude about every row of a DataFrame, at half price, through the Message Batches API.

    A column that is itself called ``batch`` is ``df["batch"]``, since ``df.batch`` is this; it is asked about as any
    other, ``df.batch.submit("batch", ...)``.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    @takes(*ASKED, *SENT)
    def submit(self, column: Hashable, template: Template = None, **options: Any) -> Job:
        """Send the rows as batches, and show how they fare. Returns at once; sending goes on in the background.

        Rows that were asked the same before are not asked, or paid for, again; so running the cell again picks up where
        it stopped. Touches the network only when something is to be sent: first the free count_tokens endpoint checks
        the first request, and the models endpoint tells, once a model, what the model can do. A changed recipe asks
        rows again: before that, a RecipeChangedWarning says what has changed and for how many rows.

        Parameters
        ----------
        column : hashable
            What the rows are about.
        template : str, list of messages, callable or None
            Text in which ``{column name}`` is filled in from any column; JSON in it needs no escaping. Or several
            messages of such texts, the last of them the user's: ``{"role": "user" | "assistant", "content": text}``. A
            function of a row (a Series) that returns text, content blocks, messages, or a dict of params. None sends
            the column's own text.
        **options
            See Options.

        Returns
        -------
        Job
            ``await job``, or ``job.result()``, gives this frame with the new columns.

        Raises
        ------
        InputError
            Something about the frame or the arguments cannot be sent. Nothing was.
        CredentialsError
            There is no key, or the server refuses it. Nothing was sent.
        """
        from batchnb.display.job.screen import show
        from batchnb.jobs.submit import submit
        from batchnb.planning.arguments import wishes_of

        call = Options(**options)
        wishes = wishes_of(call)
        session, recipe = self._recipe(column, template, call)
        job = submit(session, self._frame, recipe, wishes)
        job.details = call.details
        show(job, progress=call.progress)
        return job

    @takes(*ASKED)
    def preview(self, column: Hashable, template: Template = None, n: int = 3, **options: Any) -> ShownPreview:
        """Show what `submit` would send for the first `n` rows; send nothing that costs money.

        Tokens and cost are those of `estimate`, from fewer requests. Touches the network only for the free count_tokens
        endpoint, for a dozen requests, and goes without where there is no key or no answer. Blocks meanwhile.

        Parameters
        ----------
        column, template
            As `submit` takes them.
        n : int
            Rows to show.
        **options
            See Options.

        Returns
        -------
        ShownPreview
            Shows itself, as HTML or as text.

        Raises
        ------
        InputError
            As `submit` would.
        """
        from batchnb.planning.preview import first_rows, preview

        session, recipe = self._recipe(column, template, Options(**options))
        return preview(session, self._frame, recipe, first_rows(self._frame, n))

    @takes(*ASKED, "cache")
    def estimate(
        self, column: Hashable, template: Template = None, *, n: int | None = None, seed: int = 0, **options: Any
    ) -> Estimate:
        """Estimate what `submit` would use and cost: tokens and dollars, expected and at most. Nothing is sent.

        The input tokens are counted for a sample, spread over the lengths of the requests, with the free count_tokens
        endpoint; the interval holds the true number in 99 of 100 samples. The output tokens are those of earlier
        answers of the same recipe, or else an assumption that is stated. Touches the network; blocks, for some seconds.

        Parameters
        ----------
        column, template
            As `submit` takes them.
        n : int, optional
            How many requests to count. Default: 48, and more, up to 192, until the interval is no wider than a tenth.
        seed : int
            Another one draws another sample.
        **options
            See Options.

        Returns
        -------
        Estimate
            Shows itself, as HTML or as text.

        Raises
        ------
        InputError
            As `submit` would.
        CredentialsError
            There is no key, or the server refuses it.
        """
        from batchnb.planning.cache_choice import check_cache
        from batchnb.planning.estimate import estimate

        call = Options(**options)
        check_cache(call.cache)
        session, recipe = self._recipe(column, template, call)
        return estimate(session, self._frame, recipe, n=n, seed=seed, cache=call.cache)

    @takes(*ASKED)
    def pilot(
        self, column: Hashable, template: Template = None, n: int = 20, *, gold: Any = None, seed: int = 0,
        **options: Any,
    ) -> Pilot:  # fmt: skip
        """Have a sample of the rows answered now, one by one through Messages, at the full price, not half of it.

        Shows the answers, their mix and agreement, and what the rest will cost. A later `submit` with the same
        arguments gives these rows the same answers, and sends only the others. Rows that have an answer already are not
        asked again; each of the others is, and paid for, once. Touches the network, and blocks until all are answered;
        an interrupt keeps the answers that came. Of several `samples`, the first of each row is asked now.

        Parameters
        ----------
        column, template
            As `submit` takes them.
        n : int
            Rows to ask, spread over the lengths of what the rows ask; of equal rows, one.
        gold : hashable or mapping, optional
            A column that holds the answers wanted, which the answers are compared with; for a schema, a dict of new
            columns and the columns to compare them with.
        seed : int
            Another one takes another sample.
        **options
            See Options.

        Returns
        -------
        Pilot
            Shows itself, as HTML or as text; ``to_frame()``, ``mix``, ``agreement``, ``usage``, ``cost``, ``rest``.

        Raises
        ------
        InputError
            As `submit` would, or there is no such gold column. Nothing was sent.
        CredentialsError
            There is no key, or the server refuses it.
        """
        from batchnb.jobs.pilot import run

        call = Options(**options)
        session, recipe = self._recipe(column, template, call)
        return run(session, self._frame, recipe, n, gold=gold, seed=seed, overwrite=call.overwrite)

    @takes(*FORM)
    def compose(self, column: Hashable, template: str | None = None, **options: Any) -> Composer:
        """Open a form that puts a job together, shows what would be sent, and writes the same as a call of `submit`.

        Returns at once. The form touches the network for the free count_tokens endpoint, a moment after typing stops;
        its buttons send a few rows, whose answers are kept, or all of them. Without a notebook there is no form.

        Parameters
        ----------
        column : hashable
            What the form is filled in with at first, as are all that follow; each can be changed there.
        template : str, optional
            As `submit` takes it, as text. So is `system`, and `labels` are a sequence.
        **options
            See Options.

        Returns
        -------
        Composer
            ``form.code`` is the call, ``form.insert()`` puts it into the next cell, ``form.job`` is the job.

        Raises
        ------
        InputError
            There is no such column or no row, or a form cannot be filled in with this.
        """
        return self._compose(self._frame, column, template, Options(**options))

    def join(
        self,
        job: Job,
        *,
        template: Callable[[Any], Any] | None = None,
        params: Callable[[Any], Any] | None = None,
        on: Hashable | None = None,
        overwrite: bool = False,
        details: bool | None = None,
    ) -> pd.DataFrame:
        """Return this frame with a job's columns, matched by content: after a restart, a re-order, a filter.

        Rows the job never asked get NA. Touches no network.

        Parameters
        ----------
        job : Job
            Any job whose template reads columns this frame has.
        template : callable, optional
            The job's template, if it was a function.
        params : callable, optional
            The job's params, if they were a function.
        on : hashable, optional
            For a batch made elsewhere: the column that holds its custom_ids.
        overwrite : bool
            Replace columns of the same names that batchnb did not make.
        details : bool, optional
            Further columns that tell where each answer is from and what it cost, as ``job.to_frame(details=True)``
            describes them. Default: as `submit` was call.

        Returns
        -------
        DataFrame
            A new frame; this one is left as it is.

        Raises
        ------
        InputError
            This frame lacks a column the template reads, or has one of its own where the new ones go.
        """
        return job.merge(self._frame, template=template, params=params, on=on, overwrite=overwrite, details=details)

    def _recipe(self, column: Hashable, template: Template, options: Options) -> tuple[Session, Recipe]:
        """Return where the rows are to be asked, and what."""
        from batchnb.jobs.defaults import default_workspace
        from batchnb.planning.arguments import recipe_of

        session = (options.workspace or default_workspace()).session
        return session, recipe_of(session, self._frame, column, template, options)

    def _compose(self, source: object, column: Hashable, template: str | None, options: Options) -> Composer:
        from batchnb.jobs.composer import compose
        from batchnb.jobs.defaults import default_workspace
        from batchnb.planning.arguments import check_frame

        check_frame(self._frame, column)
        session = (options.workspace or default_workspace()).session
        return compose(session, self._frame, column, template, options, source=source)
