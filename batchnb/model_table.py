"""What each model takes, as far as it is documented: thinking, tools, lengths, the cache, and until when. Pure.

The table is data (``model_table.json``), each line of it with its source and date. A model that is not in it is not
checked; what the server tells of a model comes first, wherever it tells (``batchnb.planning.models``). Prices stand in
``batchnb/costs/prices.json``.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import msgspec

__all__ = ["ModelFacts", "facts_of", "known_models", "undated"]

_DATED = re.compile(r"(?<=.)-20\d{6}\Z")


class ModelFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is documented of a model; None where nothing is.

    Parameters
    ----------
    source, date : str
        Where the rest is from, and of when.
    thinks : bool or None
        Whether it thinks unless it is told not to. Thinking counts towards ``max_tokens``, and is paid for.
    thinking : tuple of str or None
        The kinds of thinking that it takes.
    effort : str or None
        The effort that it makes where none is asked for.
    forced_tool : bool or None
        Whether ``tool_choice`` may force a tool.
    long_output : bool or None
        Whether it takes the beta for replies of 300,000 tokens.
    window, output : int or None
        The context window, and the longest reply, in tokens.
    cache_minimum : int or None
        What is shorter, in tokens, is not cached.
    new_tokenizer : bool or None
        Whether it counts about 30% more tokens than models before 4.7 do for the same text.
    released, retires, notice : str or None
        Days (``YYYY-MM-DD``): when it came; when it is to be retired; from when on it may be, with 60 days' notice.
    lifecycle : {"active", "deprecated", "retired"}
        Whether it can be used, and is to be used by those who begin.
    successor : str or None
        What is to be asked instead.
    """

    source: str
    date: str
    thinks: bool | None = None
    thinking: tuple[str, ...] | None = None
    effort: str | None = None
    forced_tool: bool | None = None
    long_output: bool | None = None
    window: int | None = None
    output: int | None = None
    cache_minimum: int | None = None
    new_tokenizer: bool | None = None
    released: str | None = None
    retires: str | None = None
    notice: str | None = None
    lifecycle: str = "active"
    successor: str | None = None


class _File(msgspec.Struct, frozen=True):
    models: dict[str, ModelFacts]


def undated(model: str) -> str:
    """Return a model's id without the date that it may end in."""
    return _DATED.sub("", model)


@cache
def known_models() -> dict[str, ModelFacts]:
    """Return the table, newest models first (read once; touches no network)."""
    text = resources.files("batchnb").joinpath("model_table.json").read_bytes()
    return msgspec.json.decode(text, type=_File).models


def facts_of(model: object) -> ModelFacts | None:
    """Return what is documented of a model, of a dated id what is of its undated one; None where nothing is."""
    return known_models().get(undated(model)) if isinstance(model, str) else None
