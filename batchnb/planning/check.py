"""Before anything is recorded or sent: what is asked again is said, and the first request is checked, for free."""

from __future__ import annotations

import contextlib
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import msgspec

from batchnb.api.client import Api
from batchnb.api.failures import is_of_account
from batchnb.api.shapes import ModelInfo
from batchnb.costs.prices import PriceTable
from batchnb.display.kernel.shell import has_front_end
from batchnb.errors import NOT_SENT, ApiError, CredentialsError, InputError, NotFoundError, RecipeChangedWarning
from batchnb.ledger.ledger import Ledger
from batchnb.planning.attachments import for_check
from batchnb.planning.changes import asked_again
from batchnb.planning.models import nearest, needs_of, notice, problem, without_room
from batchnb.questions.columns import row_name
from batchnb.questions.media import IMAGES, PDF
from batchnb.questions.question import read_questions
from batchnb.questions.recipe import PARAMS, MediaReader, Recipe
from batchnb.questions.rows import Row

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "check_first",
    "check_model",
    "heard_by",
    "raise_refusal",
    "say",
    "stacklevel_of_user",
    "tell_files",
    "warn",
    "warn_of_change",
]

#: Models that rows name for themselves, of which the server is asked at most.
MOST_MODELS = 5

#: What a model must be able to do, for files of a type.
NEEDS = {**dict.fromkeys(IMAGES, "image_input"), PDF: "pdf_input"}

#: What was said of models in this process: of those on their way out, and of those without room to think.
_noticed: set[str] = set()

_listener: ContextVar[Callable[[str], object] | None] = ContextVar("listener", default=None)


@contextlib.contextmanager
def heard_by(listener: Callable[[str], object]) -> Iterator[None]:
    """Have what this thread warns of told to `listener` meanwhile; what filters make an error stays one.

    ``warnings.catch_warnings`` would do so for every thread at once, and is not safe with several (Python's
    documentation of it).
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the user's own line, or tell whoever hears this thread; see `heard_by`."""
    listener = _listener.get()
    if listener is None or _filter(message, category)[0] == "error":
        warnings.warn(message, category, stacklevel=stacklevel_of_user())
    else:
        listener(message)


def say(message: str) -> None:
    """Say what is no warning, but must be known before something is sent; see `heard_by`."""
    listener = _listener.get()
    if listener is None:
        print(f"batchnb: {message}", file=sys.stdout if has_front_end() else sys.stderr)
    else:
        listener(message)


def tell_files(reader: MediaReader | None) -> None:
    """Say how many files are about to leave this machine, and from where. To be called before the first is sent."""
    if reader is not None:
        reader.tell(say)


def _filter(message: str, category: type[Warning]) -> tuple[str, Any]:
    """Return what the filters do with a warning, and of which kind the filter is; those for one line do not count."""
    for action, pattern, kind, module, line in warnings.filters:
        fits = pattern is None or pattern.match(message)
        if fits and issubclass(category, kind) and module is None and line == 0:
            return str(action), kind
    return "default", None


def warn_of_change(
    ledger: Ledger, recipe: Recipe, frame: pd.DataFrame, digests: Sequence[bytes | None], unsent: Set[bytes]
) -> None:
    """Warn where rows are about to be asked again because their recipe has changed. Touches no network.

    Many a notebook begins with ``warnings.filterwarnings("ignore")``, and does not mean what costs money: it is said in
    a line of text there. Whoever ignores RecipeChangedWarning itself hears nothing.
    """
    again = asked_again(ledger, frame, recipe, digests, unsent)
    if again is None:
        return
    action, kind = _filter(again, RecipeChangedWarning)
    if action == "ignore" and kind is not RecipeChangedWarning:
        say(again)
    else:
        warn(again, RecipeChangedWarning)


def stacklevel_of_user() -> int:
    """Return the stacklevel by which a warning of the caller points to the first line that is not batchnb's."""
    level, frame = 0, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "batchnb":
        level, frame = level + 1, frame.f_back
    return level


def check_first(
    api: Api, prices: PriceTable, recipe: Recipe, frame: pd.DataFrame, position: int, rows: Iterable[Row] = ()
) -> None:
    """Have the server check what the row at `position` asks, and its models what the rows ask of them.

    Blocks: for one call, and another for each model that was not asked for before; 10 s each at most.

    Parameters
    ----------
    api, prices, recipe, frame
        The connection; the prices, whose models may be meant by a name that is none; what is asked, and of which rows.
    position : int
        The first row that is to be sent.
    rows : iterable of Row
        Those to be sent, where some of them may name models of their own.

    Raises
    ------
    InputError
        The server refuses the request's shape or model, or a model cannot do what is asked of it.
    CredentialsError
        There is no key, or the server refuses it.
    """
    api.require_credentials()
    question = next(read_questions(recipe, frame.iloc[position : position + 1]))
    assert question.content is not None  # noqa: S101  # the row has a digest
    tell_files(recipe.reader)
    params, _ = for_check(recipe.reader, recipe.envelopes()[question.slot].params(question.content))
    needs = {NEEDS[medium.media_type] for medium in question.files if medium.media_type in NEEDS}
    named = row_name(frame, position) if question.slot == PARAMS else ""
    try:
        if all(message.get("content") for message in params["messages"]):  # not where files too large were all it held
            api.count_tokens(params, recipe.betas)
    except ApiError as error:
        if error.status == 400:  # where it is the model that cannot, what is said here names the row, and what to do
            check_model(api, prices, params, recipe.betas, named, needs)
        raise_refusal(error, str(params.get("model")), api, prices)
        if error.status != 413:  # a batch takes larger requests than that endpoint does, whose limit is 32 MB
            warn(f"The first request could not be checked before sending ({error}). It is sent all the same.")
        if error.status is None:  # a server that does not answer would not tell of models either
            return
    check_model(api, prices, params, recipe.betas, named, needs)
    for name, its in _differing(rows):
        check_model(api, prices, its, recipe.betas, name)


def check_model(
    api: Api, prices: PriceTable, params: Mapping[str, Any], betas: Sequence[str], row: str = "",
    needs: Iterable[str] = (),
) -> None:  # fmt: skip
    """Check that a model can do what a request asks of it; warn, once, of one that is on its way out.

    Asks the server for a model it was not asked for before, and blocks for 10 s at most; a server that does not tell is
    no reason to stop.

    Parameters
    ----------
    api, prices
        The connection; and the prices, whose models may be meant by a name that is none.
    params : mapping
        The request's, with or without messages.
    betas : sequence of str
        Its beta headers.
    row : str
        How messages call the row; empty where all rows ask alike.
    needs : iterable of str
        Capabilities it needs besides those that its params and content blocks show.

    Raises
    ------
    InputError
        The model cannot. Nothing was sent.
    """
    name, where = str(params.get("model")), f"{row}: " if row else ""
    try:
        model = api.model(name)
    except NotFoundError as error:
        raise InputError(f"{where}{_unknown(error, name, api, prices)}") from error
    # A server that does not tell may keep models longer than the table does; what they take is the same.
    known = ModelInfo(name, lifecycle="active") if model is None else model
    found = problem(known, params, betas, {*needs, *needs_of(params.get("messages"))})
    if found is not None:
        raise InputError(f"{where}{found} {NOT_SENT}")
    for said in (None if model is None else notice(model, name), without_room(params)):
        if said is not None and said not in _noticed:
            warn(said)
            _noticed.add(said)


def _differing(rows: Iterable[Row]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the different params of the rows that have their own, as far as they concern a model: of a few models."""
    found, models = set(), set()
    for row in rows:
        if row.content is None or row.slot != PARAMS:
            continue
        its = msgspec.json.decode(row.content.sent, type=_Asked)
        models.add(str(its.model))
        if len(models) > MOST_MODELS:
            return
        asked = msgspec.json.encode(its)
        if asked not in found:
            found.add(asked)
            yield f"Row {row.label}", msgspec.json.decode(asked)


class _Asked(msgspec.Struct, omit_defaults=True):
    """What of a row's params decides whether a model can answer them."""

    model: Any = None
    max_tokens: Any = None
    thinking: Any = None
    output_config: Any = None


def raise_refusal(error: ApiError, model: str, api: Api, prices: PriceTable) -> None:
    """Raise what the server said of the request or the key; any other failure of the check is no reason to stop."""
    if error.status == 401:
        raise CredentialsError(
            f"The server refuses the API key ({error}). Check ANTHROPIC_API_KEY, or call batchnb.simulate() to "
            "work without a key. Nothing was sent."
        ) from error
    if error.status == 403:
        raise CredentialsError(f"The API key may not do this ({error}). Nothing was sent.") from error
    if isinstance(error, NotFoundError) and (model in str(error) or "model" in str(error)):
        raise InputError(_unknown(error, model, api, prices)) from error
    if is_of_account(error):
        raise CredentialsError(f"The server does nothing for this account or key now ({error}). {NOT_SENT}") from error
    if error.status == 400:
        raise InputError(f"The server refuses this request: {str(error).rstrip('.')}. Nothing was sent.") from error
    if error.type in ("simulated", "tls", "proxy"):  # settings, which do not mend themselves
        raise error


def _unknown(error: ApiError, name: str, api: Api, prices: PriceTable) -> str:
    """Say that there is no such model: it was retired, or never was and is like one that is."""
    with contextlib.suppress(NotFoundError):
        model = api.model(name)
        if model is not None and (found := problem(model, {"model": name})) is not None:
            return f"{found} {NOT_SENT}"
    there = [model.id for model in api.models()]
    # What has a price need not be there any more; but the shorter names of models are not listed.
    priced = {one for one in prices.prices if not there or any(full.startswith(one) for full in there)}
    hint = nearest(name, {*there, *priced} - {name})
    return f"The server knows no model {name!r} ({error}).{hint} {NOT_SENT}"
