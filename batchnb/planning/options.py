"""What a call of ``df.batch`` or ``s.batch`` may be told: every option once, with its type, default and description."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    import os

    from batchnb.jobs.workspace import Workspace

__all__ = ["ASKED", "FORM", "SENT", "Options", "takes"]

_Method = TypeVar("_Method", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Options:
    """The options of ``submit``; the other methods take those of them that concern them.

    Parameters
    ----------
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
    """

    into: str | None = None
    labels: Sequence[str | int] | Mapping[str | int, str] | None = None
    multiple: bool = False
    other: str | None = None
    explain: bool = False
    schema: Any = None
    flatten: bool = False
    examples: Any = None
    images: Any = None
    documents: Any = None
    files_from: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None
    system: str | list[dict[str, Any]] | None = None
    model: str | None = None
    max_tokens: int | None = None
    thinking: str | int | Mapping[str, Any] | None = None
    effort: str | None = None
    params: Mapping[str, Any] | Callable[[Any], Mapping[str, Any] | None] | None = None
    key: Hashable | None = None
    name: str | None = None
    missing: Literal["skip", "raise", "send"] = "skip"
    batch_size: int | None = None
    retries: int = 1
    max_cost: float | None = None
    if_over: Literal["refuse", "stop"] = "refuse"
    cache: Literal["auto", "5m", "1h"] | None = "auto"
    fresh: bool | str = False
    samples: int = 1
    details: bool = False
    overwrite: bool = False
    progress: bool = True
    workspace: Workspace | None = None


#: Options that say how a job is sent and shown, which only ``submit`` takes.
SENT = ("name", "batch_size", "retries", "max_cost", "if_over", "cache", "details", "progress")
#: Options that say what is asked, and where.
ASKED = tuple(field.name for field in dataclasses.fields(Options) if field.name not in SENT)
#: Options that a form can be filled in with.
FORM = ("into", "labels", "system", "model", "max_tokens", "workspace")


def takes(*names: str) -> Callable[[_Method], _Method]:
    """Give a method that ends in ``**options`` the options of these names, in its signature and in its docstring.

    So ``help``, Jupyter's tooltips and completion show each with its type, default and description. A call with another
    option is a TypeError that names the method.
    """
    fields = {field.name: field for field in dataclasses.fields(Options) if field.name in names}

    def decorate(method: _Method) -> _Method:
        own = inspect.signature(method)
        parameters = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD]
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
            for name, field in fields.items()
        ]
        signature = own.replace(parameters=parameters)

        @functools.wraps(method)
        def checked(*args: Any, **options: Any) -> Any:
            try:
                signature.bind(*args, **options)
            except TypeError as error:
                raise TypeError(f"{method.__qualname__}() {error}") from None
            return method(*args, **options)

        checked.__signature__ = signature  # type: ignore[attr-defined]
        checked.__doc__ = _described(method.__doc__, fields)
        return checked  # type: ignore[return-value]

    return decorate


def _described(doc: str | None, names: Mapping[str, object]) -> str | None:
    """Put the descriptions of options where a docstring has ``**options``; None without docstrings (``python -OO``)."""
    if doc is None or Options.__doc__ is None:
        return doc
    # Python 3.13 takes the indents away by itself.
    doc, all_options = inspect.cleandoc(doc), inspect.cleandoc(Options.__doc__).partition("----------\n")[2]
    entries = re.split(r"^(?=\w)", all_options, flags=re.MULTILINE)
    wanted = [entry.rstrip() for entry in entries if set(re.split(r"\W+", entry.partition(" : ")[0])) & set(names)]
    return re.sub(r"^\*\*options\n +\S.*$", lambda _: "\n".join(wanted), doc, flags=re.MULTILINE)
