"""``df.batch``: thin, and without state, since pandas builds a new accessor at every access."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from batchnb.errors import NOT_SENT, InputError

if TYPE_CHECKING:
    import os

    import pandas as pd

    from batchnb.display.shown.estimate import Estimate
    from batchnb.jobs.composer import Composer
    from batchnb.jobs.job import Job
    from batchnb.jobs.pilot import Pilot
    from batchnb.jobs.workspace import Workspace
    from batchnb.planning.preview import ShownPreview
    from batchnb.questions.recipe import Recipe

__all__ = ["FrameAccessor", "Template"]

Template = str | Sequence[dict[str, str]] | Callable[[Any], Any] | None

_Method = TypeVar("_Method", bound=Callable[..., Any])

#: Arguments of ``submit`` that do not concern what is asked.
_ONLY_SUBMIT = ("name", "batch_size", "retries", "max_cost", "if_over", "cache", "details", "progress")


def _takes_what(submit: Callable[..., Any], *without: str) -> Callable[[_Method], _Method]:
    """Name the arguments of `submit` in the signature of a method that ends in ``**options``: for Jupyter's help."""

    def decorate(method: _Method) -> _Method:
        own = [one for one in inspect.signature(method).parameters.values() if one.kind is not one.VAR_KEYWORD]
        names = {one.name for one in own}
        options = inspect.signature(submit).parameters.values()
        signature = inspect.signature(method).replace(
            parameters=own + [one for one in options if one.name not in names | set(without)]
        )

        @functools.wraps(method)
        def checked(*args: Any, **options: Any) -> Any:
            signature.bind(*args, **options)  # a TypeError names this method, and the name that is wrong
            return method(*args, **options)

        checked.__signature__ = signature  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return decorate


class FrameAccessor:
    """Ask Claude about every row of a DataFrame, at half price, through the Message Batches API.

    A column that is itself called ``batch`` is ``df["batch"]``, since ``df.batch`` is this; it is asked about as any
    other, ``df.batch.submit("batch", ...)``.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def submit(
        self,
        column: Hashable,
        template: Template = None,
        *,
        into: str | None = None,
        labels: Sequence[str | int] | Mapping[str | int, str] | None = None,
        multiple: bool = False,
        other: str | None = None,
        explain: bool = False,
        schema: Any = None,
        flatten: bool = False,
        examples: Any = None,
        images: Any = None,
        documents: Any = None,
        files_from: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
        system: str | list[dict[str, Any]] | None = None,
        model: str | None = None,
        max_tokens: int | None = None,
        thinking: str | int | Mapping[str, Any] | None = None,
        effort: str | None = None,
        params: Mapping[str, Any] | Callable[[Any], Mapping[str, Any] | None] | None = None,
        key: Hashable | None = None,
        name: str | None = None,
        missing: Literal["skip", "raise", "send"] = "skip",
        batch_size: int | None = None,
        retries: int = 1,
        max_cost: float | None = None,
        if_over: Literal["refuse", "stop"] = "refuse",
        cache: Literal["auto", "5m", "1h"] | None = "auto",
        fresh: bool | str = False,
        samples: int = 1,
        details: bool = False,
        overwrite: bool = False,
        progress: bool = True,
        workspace: Workspace | None = None,
    ) -> Job:
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
        into : str, optional
            The new column; ``<into>_status`` and ``<into>_error`` stand beside it. Default: ``<column>_reply``, or
            ``<column>_label`` with `labels` (``_labels`` for `multiple`). With a `schema`, its fields give the names,
            which ``<into>_`` leads where it is given; by default ``<column>_status`` and ``<column>_error`` follow.
        labels : sequence, mapping or Enum, optional
            Have each row answered by one of these, as a categorical column. A dict says of each label what it means.
        multiple : bool
            Let a row have several labels, or none: the column holds lists.
        other : str, optional
            A further label, for what fits none of the others.
        explain : bool
            Also ask for a short reason, before the label, as a column ``<into>_rationale``.
        schema : type or dict, optional
            Have each row answered in this form: a Pydantic model, a dataclass, a TypedDict or a JSON schema. Each of
            its fields becomes a column: ``string``, ``Int64``, ``Float64``, ``boolean``, ``category`` for choices,
            ``datetime64[us, UTC]`` for times and ``datetime64[us]`` for days; times of day stay text; lists and objects
            are as Python has them. Bounds, lengths, patterns and formats, which the API does not hold, are told to the
            model and checked when the reply comes: a row that breaks them is ``invalid`` and names the field. A model's
            validators are Python code, which the ledger cannot keep: they are not run.
        flatten : bool
            Give the fields of objects within the schema columns of their own, such as ``address.city``.
        examples : DataFrame or sequence, optional
            Inputs with the answers wanted, as messages before each row: (input, answer) pairs, dicts of ``"input"`` and
            ``"answer"`` (and ``"rationale"``), or a frame. An input is what `column` would hold, or a dict of all
            columns the template reads, and goes through the template as a row does; a frame has those columns, and the
            answers in the column `into` or ``"answer"``, or in one for each field of `schema`. An answer is text, a
            label, a list of labels, or the fields of `schema` as a dict, a dataclass or a Pydantic object.
        images, documents : hashable or sequence, optional
            A column that holds images (PNG, JPEG, GIF, WebP), or documents (PDF, text): paths, URLs, bytes, PIL images
            (sent as PNG), or lists of them. Or, as a list, those that all rows share, which come first. Small ones
            travel with their row; large or repeated ones are uploaded once, under their names, and kept on the server
            until ``batchnb.files()`` deletes them. How many go, of which folders, is said before the first does.
        files_from : path or sequence of path, optional
            The folders whose files cells may name, as whole paths or from there. Default: the working folder and what
            is below it; hidden files and folders are left out, and links that lead elsewhere. A frame may be a
            stranger's, and what its cells name leaves this machine.
        system : str or list of content blocks, optional
            Instructions that are the same for all rows.
        model : str, optional
            Default: the workspace's, ``claude-haiku-4-5`` unless it was changed.
        max_tokens : int, optional
            The longest reply, in tokens. Default: 1,024 for text, 256 for a label, 512 for several or
            explained ones, 4,096 for a schema.
        thinking : str, int or mapping, optional
            ``"adaptive"``, ``"disabled"``, or how many tokens the model may think at most (from 1,024). Thinking counts
            towards `max_tokens`, whose default is raised by as much; by 4,096 for ``"adaptive"``.
        effort : str, optional
            ``"low"``, ``"medium"``, ``"high"``, ``"xhigh"`` or ``"max"``.
        params : mapping or callable, optional
            Anything else the Messages API takes, merged into every request (tools, stop_sequences, ...), and ``betas``.
            A function of a row (a Series) gives what is merged into that row's params, or None: each name it gives
            replaces what all rows share under that name. Messages and ``betas`` are not its to give.
        key : hashable, optional
            A column of unique row names. They lead the custom_ids, so that results downloaded elsewhere still match;
            note that they leave this machine with the requests.
        name : str, optional
            What the job is called. Default: `column` → `into`.
        missing : {"skip", "raise", "send"}
            What to do with rows where a column that is read is missing or all are blank.
        batch_size : int, optional
            Requests in a batch. Default: about ten batches, none under 50 requests nor over 10,000, so that progress
            moves and results come in parts.
        retries : int
            How often a row is asked again by itself after an error that passes, or after its batch expired.
        max_cost : float, optional
            Dollars that the job may cost at most; answers that were bought before cost it nothing. Where the worst case
            is more, nothing is sent: input tokens at the upper end of what a sample lets expect, every reply as long as
            `max_tokens` allows. The sample takes a few seconds, by the free count_tokens endpoint.
        if_over : {"refuse", "stop"}
            With "stop", as much is sent as `max_cost` allows, batch by batch: the cost of the answers, and the worst
            case of what is under way, never add up to more. What does not fit is held back, as ``pending``, and the
            last twentieth of `max_cost` is not spent on a part of it; running the cell again with a higher `max_cost`
            goes on. The closer `max_tokens` is to what replies need, the fewer batches that takes.
        cache : {"auto", "5m", "1h"} or None
            How long the server keeps what all prompts share, to read it at a lower price. "auto" decides whether that
            pays, and ``job.caching`` says why. It is no part of what is asked: changing it asks nothing again. A first
            request fills the cache before the others go.
        fresh : bool or str
            Ask once more what was asked before. A tag, of 1 to 64 letters, digits, spaces and ``_ . : / -``, asks once
            more per tag: running the cell again sends nothing. True asks once more at every run, after going on with a
            run that was not finished. Later runs without `fresh` give each row its newest answer, and send nothing.
        samples : int
            How often each row is asked, from 1 to 100. With more than 1, `into` is the most frequent answer (of equally
            frequent ones, the first), ``<into>_samples`` the list of all, and ``<into>_agreement`` the share of the
            answers that are equal to the most frequent. Raising it later asks only what is missing.
        details : bool
            Further columns that tell where each answer is from and what it cost, as ``job.result(details=True)`` does.
        overwrite : bool
            Replace a column `into` that batchnb did not make.
        progress : bool
            Whether to show the job.
        workspace : Workspace, optional
            Where to send and keep it. Default: the one of the environment, or of ``batchnb.simulate()``.

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
        from batchnb.planning.arguments import recipe_of
        from batchnb.planning.cache_choice import check_cache
        from batchnb.planning.limit import limit_of
        from batchnb.planning.record import Wishes
        from batchnb.questions.scalars import check_texts, whole

        check_cache(cache)
        check_texts(name=name)
        workspace = workspace or _default_workspace()
        again = whole(retries)
        if again is None or again < 0:
            raise InputError(f"retries is a whole number from 0, not {retries!r}. {NOT_SENT}")
        recipe = recipe_of(
            workspace, self._frame, column, template, into=into, labels=labels, multiple=multiple, other=other,
            explain=explain, schema=schema, flatten=flatten, examples=examples, images=images, documents=documents,
            files_from=files_from, system=system, model=model, max_tokens=max_tokens, thinking=thinking, effort=effort,
            params=params, key=key, missing=missing, fresh=fresh, samples=samples, overwrite=overwrite,
            details=details,
        )  # fmt: skip
        wishes = Wishes(name, batch_size, again, cache, limit_of(max_cost, if_over))
        job = workspace.submit(self._frame, recipe, wishes)
        job.details = details
        show(job, progress=progress)
        return job

    @_takes_what(submit, *_ONLY_SUBMIT)
    def preview(self, column: Hashable, template: Template = None, n: int = 3, **options: Any) -> ShownPreview:
        """Show what `submit` would send for the first `n` rows; send nothing that costs money.

        Tokens and cost are those of `estimate`, from fewer requests. Touches the network only for the free count_tokens
        endpoint, for a dozen requests, and goes without where there is no key or no answer. Blocks meanwhile.

        Parameters
        ----------
        n : int
            Rows to show.
        column, template, into, labels, multiple, other, explain, schema, flatten, examples
            As `submit` takes them.
        images, documents, files_from, system, model, max_tokens, thinking, effort
            As `submit` takes them.
        params, key, missing, fresh, samples, overwrite, workspace
            As `submit` takes them.

        Returns
        -------
        ShownPreview
            Shows itself, as HTML or as text.

        Raises
        ------
        InputError
            As `submit` would.
        """
        from batchnb.planning.arguments import recipe_of
        from batchnb.planning.preview import first_rows, preview

        workspace = options.pop("workspace", None) or _default_workspace()
        recipe = recipe_of(workspace, self._frame, column, template, **options)
        return preview(workspace, self._frame, recipe, first_rows(self._frame, n))

    @_takes_what(submit, *(name for name in _ONLY_SUBMIT if name != "cache"))
    def estimate(
        self, column: Hashable, template: Template = None, *, n: int | None = None, seed: int = 0, **options: Any
    ) -> Estimate:
        """Estimate what `submit` would use and cost: tokens and dollars, expected and at most. Nothing is sent.

        The input tokens are counted for a sample, spread over the lengths of the requests, with the free count_tokens
        endpoint; the interval holds the true number in 99 of 100 samples. The output tokens are those of earlier
        answers of the same recipe, or else an assumption that is stated. Touches the network; blocks, for some seconds.

        Parameters
        ----------
        n : int, optional
            How many requests to count. Default: 48, and more, up to 192, until the interval is no wider than a tenth.
        seed : int
            Another one draws another sample.
        column, template, into, labels, multiple, other, explain, schema, flatten, examples
            As `submit` takes them.
        images, documents, files_from, system, model, max_tokens, thinking, effort
            As `submit` takes them.
        params, key, missing, fresh, samples, overwrite, workspace, cache
            As `submit` takes them.

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
        from batchnb.planning.arguments import recipe_of
        from batchnb.planning.cache_choice import check_cache
        from batchnb.planning.estimate import estimate

        workspace, cache = options.pop("workspace", None) or _default_workspace(), options.pop("cache", "auto")
        check_cache(cache)
        recipe = recipe_of(workspace, self._frame, column, template, **options)
        return estimate(workspace, self._frame, recipe, n=n, seed=seed, cache=cache)

    @_takes_what(submit, *_ONLY_SUBMIT)
    def pilot(
        self, column: Hashable, template: Template = None, n: int = 20, *, gold: Any = None, seed: int = 0,
        **options: Any,
    ) -> Pilot:  # fmt: skip
        """Have a sample of the rows answered now, one by one through Messages, at the full price, not half of it.

        Shows the answers, their mix and agreement, and what the rest will cost. A later `submit` with the same
        arguments gives these rows the same answers, and sends only the others. Rows that have an answer already are not
        asked again; each of the others is, and paid for, once. Touches the network, and blocks until all are answered;
        an interrupt keeps the answers that came.

        Parameters
        ----------
        n : int
            Rows to ask, spread over the lengths of what the rows ask; of equal rows, one.
        gold : hashable or mapping, optional
            A column that holds the answers wanted, which the answers are compared with; for a schema, a dict of new
            columns and the columns to compare them with.
        seed : int
            Another one takes another sample.
        column, template, into, labels, multiple, other, explain, schema, flatten, examples
            As `submit` takes them.
        images, documents, files_from, system, model, max_tokens, thinking, effort
            As `submit` takes them.
        params, key, missing, fresh, samples, overwrite, workspace
            As `submit` takes them. Of several samples, the first of each row is asked now.

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
        from batchnb.planning.arguments import recipe_of

        workspace = options.pop("workspace", None) or _default_workspace()
        recipe = recipe_of(workspace, self._frame, column, template, **options)
        return run(workspace, self._frame, recipe, n, gold=gold, seed=seed, overwrite=options.get("overwrite", False))

    def compose(
        self, column: Hashable, template: str | None = None, *, labels: Sequence[str | int] | None = None,
        system: str | None = None, model: str | None = None, into: str | None = None, max_tokens: int | None = None,
        workspace: Workspace | None = None,
    ) -> Composer:  # fmt: skip
        """Open a form that puts a job together, shows what would be sent, and writes the same as a call of `submit`.

        Returns at once. The form touches the network for the free count_tokens endpoint, a moment after typing stops;
        its buttons send a few rows, whose answers are kept, or all of them. Without a notebook there is no form.

        Parameters
        ----------
        column, template, labels, system, model, into, max_tokens
            What the form is filled in with at first, as `submit` takes it; `template` and `system` as text.
        workspace : Workspace, optional
            As `submit` takes it.

        Returns
        -------
        Composer
            ``form.code`` is the call, ``form.insert()`` puts it into the next cell, ``form.job`` is the job.

        Raises
        ------
        InputError
            There is no such column or no row, or a form cannot be filled in with this.
        """
        return self._compose(
            self._frame, column, template, labels=labels, system=system, model=model, into=into, max_tokens=max_tokens,
            workspace=workspace,
        )  # fmt: skip

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
            describes them. Default: as `submit` was told.

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

    def _compose(
        self, source: object, column: Hashable, template: str | None = None, workspace: Workspace | None = None,
        **options: Any,
    ) -> Composer:  # fmt: skip
        from batchnb.jobs.composer import compose
        from batchnb.planning.arguments import check_frame, recipe_of

        check_frame(self._frame, column)

        def recipe(workspace: Workspace, column: Hashable, template: Template, **options: Any) -> Recipe:
            return recipe_of(workspace, self._frame, column, template, **options)

        return compose(
            workspace or _default_workspace(), self._frame, column, template, recipe, source=source,
            named=workspace is not None, **options,
        )  # fmt: skip


def _default_workspace() -> Workspace:
    from batchnb.jobs.defaults import default_workspace

    return default_workspace()
