"""Before anything is recorded or sent: the first request is checked with the free count_tokens endpoint."""

from __future__ import annotations

import difflib
import warnings
from typing import TYPE_CHECKING

from batchnb.api import Api
from batchnb.errors import ApiError, CredentialsError, InputError, NotFoundError
from batchnb.pricing import PriceTable
from batchnb.recipes import Recipe

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_first"]


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
        message = f"The first request could not be checked before sending ({error}). It is sent all the same."
        warnings.warn(message, stacklevel=4)  # the line that called df.batch.submit


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
