"""The params every request of a recipe shares: put together from the arguments, and checked by name. Pure.

Batches validate params only after they were accepted: a wrong name would come back as one failed row for every row of
the frame. So names are checked before anything is sent, against those the SDK's own types have (passed in).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from batchnb.errors import InputError
from batchnb.requests import content_of
from batchnb.schemas import Reply

__all__ = ["NOT_SENT", "check_names", "shared_params", "split_betas", "unsent", "with_format"]

_SAMPLING = "the API takes no sampling parameters any more (since its version 2026-10-21): leave {name} out"

#: What the API no longer takes, or does not take in batches, and what to do (platform.claude.com documentation).
REFUSED = {
    "temperature": _SAMPLING,
    "top_p": _SAMPLING,
    "top_k": _SAMPLING,
    "stream": "a batch cannot stream: leave {name} out",
    "output_format": "it is now output_config={{'format': ...}}, and labels= sets it for you",
    "max_tokens_to_sample": "it is now max_tokens",
    "prompt": "messages are sent: give the text as the template",
}

#: Arguments of `submit` that have one home.
BY_ARGUMENT = {"model": "model=", "max_tokens": "max_tokens=", "system": "system="}


def split_betas(params: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Take the beta headers out of `params`: they belong to the create call, not to the request."""
    if not isinstance(params, Mapping):
        raise InputError(f'params= takes a dict such as {{"thinking": ...}}, not {type(params).__name__}. {NOT_SENT}')
    rest = dict(params)
    betas = rest.pop("betas", None) or ()
    if not isinstance(betas, list | tuple) or not all(isinstance(beta, str) for beta in betas):
        raise InputError(f'params["betas"] takes a list of beta names, not {betas!r}. {NOT_SENT}')
    return rest, tuple(betas)


def check_names(params: Mapping[str, Any], allowed: frozenset[str], where: str) -> None:
    """Refuse names the API does not take, with the nearest one it does.

    Raises
    ------
    InputError
        The message names the parameter and says what to do.
    """
    for name in params:
        if name in REFUSED and not (name == "stream" and params[name] is False):
            raise InputError(f"{where}: {name!r} is refused by the API: {REFUSED[name].format(name=name)}. {NOT_SENT}")
        if name not in allowed:
            near = difflib.get_close_matches(str(name), allowed, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" It takes: {', '.join(sorted(allowed))}."
            raise InputError(f"{where}: the Messages API has no parameter {name!r}.{hint} {NOT_SENT}")
    if params.get("speed") == "fast":
        raise InputError(f'{where}: batches do not take speed="fast". Leave it out. {NOT_SENT}')
    _check_max_tokens(params.get("max_tokens", 1), where)


NOT_SENT = "Nothing was sent."


def unsent(error: InputError) -> str:
    """Give what an error says as a sentence, followed by the good news, once."""
    return f"{str(error).removesuffix(NOT_SENT).rstrip(' .')}. {NOT_SENT}"


def _check_max_tokens(value: Any, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{where}: max_tokens is a whole number of at least 1, not {value!r}. {NOT_SENT}")


def shared_params(
    reply: Reply,
    *,
    model: str,
    max_tokens: int | None,
    system: Any,
    params: Mapping[str, Any],
) -> dict[str, Any]:
    """Put together what all requests of a recipe share.

    Parameters
    ----------
    reply : Reply
        What is asked for; gives the default of `max_tokens` and the output format.
    model : str
        Used unless `params` names one.
    max_tokens, system
        As given to ``submit``; None where they were not.
    params : mapping
        Merged in as it is, without beta headers.

    Raises
    ------
    InputError
        Something is given twice, or `system` is of the wrong kind.
    """
    for name, value in (("max_tokens", max_tokens), ("system", system)):
        if value is not None and name in params:
            raise InputError(f"{name} is given twice: as {BY_ARGUMENT[name]} and in params=. Keep one. {NOT_SENT}")
    if "messages" in params:
        raise InputError(f"params= cannot hold messages: give them by a callable template. {NOT_SENT}")
    if system is not None and not isinstance(system, str | list):
        raise InputError(f"system= takes text or a list of content blocks, not {type(system).__name__}. {NOT_SENT}")
    shared: dict[str, Any] = {"model": model, "max_tokens": max_tokens or reply.max_tokens}
    if max_tokens is not None:
        _check_max_tokens(max_tokens, "max_tokens=")
    if system:
        shared["system"] = system
    shared.update(params)
    wanted = reply.output_format()
    if wanted is not None:
        shared["output_config"] = with_format(shared.get("output_config"), wanted, "params=")
    try:
        content_of(shared)
    except InputError as error:
        raise InputError(f"system= or params=: {unsent(error)}") from error
    return shared


def with_format(config: Any, wanted: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Add the output format that was asked for to an ``output_config`` of the user's own.

    Raises
    ------
    InputError
        It has a format already, or is none.
    """
    config = {} if config is None else config
    if not isinstance(config, Mapping):
        raise InputError(f"{where}: output_config is a dict, not {type(config).__name__}. {NOT_SENT}")
    if config.get("format") is not None and config["format"] != wanted:
        raise InputError(f'labels= sets output_config["format"], and {where} does too. Keep one. {NOT_SENT}')
    return {**config, "format": wanted}
