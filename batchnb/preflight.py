"""Before anything is recorded or sent: what is asked again is said, and the first request is checked, for free."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING

from batchnb.api import Api
from batchnb.changes import asked_again
from batchnb.errors import ApiError, CredentialsError, InputError, NotFoundError, RecipeChangedWarning
from batchnb.ledger import Ledger
from batchnb.pricing import PriceTable
from batchnb.recipes import Recipe

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_first", "heard_by", "stacklevel_of_user", "warn_of_change"]

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


def _warn(message: str, category: type[Warning] = UserWarning) -> None:
    listener = _listener.get()
    if listener is None or _action(message, category) == "error":
        warnings.warn(message, category, stacklevel=stacklevel_of_user())
    else:
        listener(message)


def _action(message: str, category: type[Warning]) -> str:
    """Tell what the filters do with a warning; those for one module or line do not concern it."""
    for action, pattern, kind, module, line in warnings.filters:
        fits = pattern is None or pattern.match(message)
        if fits and issubclass(category, kind) and module is None and line == 0:
            return str(action)
    return "default"


def warn_of_change(
    ledger: Ledger, recipe: Recipe, frame: pd.DataFrame, digests: Sequence[bytes | None], unsent: set[bytes]
) -> None:
    """Warn where rows are about to be asked again because their recipe has changed. Touches no network."""
    again = asked_again(ledger, frame, recipe, digests, unsent)
    if again is not None:
        _warn(again, RecipeChangedWarning)


def stacklevel_of_user() -> int:
    """Give the stacklevel by which a warning of the caller points to the first line that is not batchnb's."""
    level, frame = 0, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    return level


def check_first(api: Api, prices: PriceTable, recipe: Recipe, frame: pd.DataFrame, position: int) -> None:
    """Have the server check what the row at `position` asks. Blocks for 10 s at most.

    Raises
    ------
    InputError
        The server refuses the request's shape or model.
    CredentialsError
        There is no key, or the server refuses it.
    """
    api.require_credentials()
    question = next(recipe.questions(frame.iloc[position : position + 1]))
    assert question.content is not None  # noqa: S101  # the row has a digest
    params = recipe.envelopes()[question.envelope].params(question.content)
    try:
        api.count_tokens(params, recipe.betas)
    except ApiError as error:
        _raise_refusal(error, str(params.get("model")), prices)
        _warn(f"The first request could not be checked before sending ({error}). It is sent all the same.")


def _raise_refusal(error: ApiError, model: str, prices: PriceTable) -> None:
    """Raise what the server said of the request or the key; any other failure of the check is no reason to stop."""
    if error.status == 401:
        raise CredentialsError(
            f"The server refuses the API key ({error}). Check ANTHROPIC_API_KEY, or call batchnb.simulate() to "
            "work without a key. Nothing was sent."
        ) from error
    if error.status == 403:
        raise CredentialsError(f"The API key may not do this ({error}). Nothing was sent.") from error
    if isinstance(error, NotFoundError) and (model in str(error) or "model" in str(error)):
        near = difflib.get_close_matches(model, prices.prices, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(f"The server knows no model {model!r} ({error}).{hint} Nothing was sent.") from error
    if error.status == 400:
        raise InputError(f"The server refuses this request: {error}. Nothing was sent.") from error
    if error.type == "simulated":
        raise error
