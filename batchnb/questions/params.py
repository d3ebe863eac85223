"""The params every request of a recipe shares: put together from the arguments, and checked by name. Pure.

Batches validate params only after they were accepted: a wrong name would come back as one failed row for every row of
the frame. So names are checked before anything is sent, against those the SDK's own types have (passed in).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from batchnb.errors import NOT_SENT, InputError
from batchnb.questions.envelope import content_of
from batchnb.questions.replies.base import Reply
from batchnb.questions.replies.limits import check_tools
from batchnb.questions.scalars import plain_numbers, whole
from batchnb.questions.thinking import check_budget, checked_effort, room_to_think, thinking_of

__all__ = [
    "LONGEST_OUTPUT",
    "LONG_OUTPUT",
    "check_names",
    "checked_row",
    "merged",
    "shared_params",
    "split_betas",
    "tools_of",
    "with_format",
    "with_instructions",
    "without_instructions",
]

#: The beta by which a batch's replies may be longer, and how long (platform.claude.com documentation, "Batch
#: processing"); its name is in the types of anthropic 2.14.
LONG_OUTPUT, LONGEST_OUTPUT = "output-300k-2026-03-24", 300_000

_SAMPLING = "the API takes no sampling parameters any more (since its version 2026-10-21): leave {name} out"

#: What the API no longer takes, or does not take in batches, and what to do (platform.claude.com documentation).
REFUSED = {
    "temperature": _SAMPLING,
    "top_p": _SAMPLING,
    "top_k": _SAMPLING,
    "stream": "a batch cannot stream: leave {name} out",
    "output_format": "it is now output_config={{'format': ...}}, and labels= or schema= sets it for you",
    "max_tokens_to_sample": "it is now max_tokens",
    "prompt": "messages are sent: give the text as the template",
}


def split_betas(params: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Take the beta headers out of `params`: they belong to the create call, not to the request."""
    if not isinstance(params, Mapping):
        raise InputError(
            f'params= takes a dict such as {{"thinking": ...}}, or a function of a row that gives one, not '
            f"{type(params).__name__}. {NOT_SENT}"
        )
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
        if name == "betas":
            raise InputError(
                f"{where}: betas are headers of a whole batch, not of a row. Give them to all rows, by "
                f'params={{"betas": [...]}}, and what differs by a template function that returns params. {NOT_SENT}'
            )
        if name in REFUSED and not (name == "stream" and params[name] is False):
            raise InputError(f"{where}: {name!r} is refused by the API: {REFUSED[name].format(name=name)}. {NOT_SENT}")
        if name not in allowed:
            near = difflib.get_close_matches(str(name), allowed, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" It takes: {', '.join(sorted(allowed))}."
            raise InputError(f"{where}: the Messages API has no parameter {name!r}.{hint} {NOT_SENT}")
    if params.get("speed") == "fast":
        raise InputError(f'{where}: batches do not take speed="fast". Leave it out. {NOT_SENT}')
    _check_max_tokens(params.get("max_tokens", 1), where)


def unsent(error: InputError) -> str:
    """Return what an error says as a sentence, followed by the good news, once."""
    return f"{str(error).removesuffix(NOT_SENT).rstrip(' .')}. {NOT_SENT}"


def _check_max_tokens(value: Any, where: str) -> None:
    number = whole(value)
    if number is None or number < 1:
        raise InputError(f"{where}: max_tokens is a whole number of at least 1, not {value!r}. {NOT_SENT}")


def shared_params(
    reply: Reply,
    *,
    model: str,
    max_tokens: int | None,
    system: Any,
    params: Mapping[str, Any],
    thinking: Any = None,
    effort: Any = None,
    betas: Sequence[str] = (),
) -> dict[str, Any]:
    """Put together what all requests of a recipe share.

    Parameters
    ----------
    reply : Reply
        What is asked for; gives the default of `max_tokens` and the output format.
    model : str
        Used unless `params` names one.
    max_tokens, system, thinking, effort
        As given to ``submit``; None where they were not.
    params : mapping
        Merged in as it is, without beta headers.
    betas : sequence of str
        Beta headers, which decide what may be asked.

    Raises
    ------
    InputError
        Something is given twice, or is of the wrong kind.
    """
    _refuse_twice(params, max_tokens=max_tokens, system=system, thinking=thinking)
    if "messages" in params:
        raise InputError(f"params= cannot hold messages: give them by a callable template. {NOT_SENT}")
    if system is not None and not isinstance(system, str | list):
        raise InputError(f"system= takes text or a list of content blocks, not {type(system).__name__}. {NOT_SENT}")
    if max_tokens is not None:
        _check_max_tokens(max_tokens, "max_tokens=")
    shared: dict[str, Any] = {"model": model, "max_tokens": max_tokens}
    shared |= {"system": system} if system else {}
    shared |= {} if thinking is None else {"thinking": thinking_of(thinking)}
    shared.update(params)
    shared = plain_numbers(shared)
    if effort is not None:
        shared["output_config"] = _with_effort(params.get("output_config"), effort)
    if shared["max_tokens"] is None:
        shared["max_tokens"] = reply.max_tokens + room_to_think(shared.get("thinking"), asked=thinking is not None)
    _finish(shared, reply, "params=")
    _check_whole(shared, betas)
    try:
        content_of(shared)
    except InputError as error:
        raise InputError(f"system= or params=: {unsent(error)}") from error
    return shared


def _refuse_twice(params: Mapping[str, Any], **arguments: Any) -> None:
    for name, value in arguments.items():
        if value is not None and params.get(name) is not None:
            raise InputError(f"{name} is given twice: as {name}= and in params=. Keep one. {NOT_SENT}")


def _with_effort(config: Any, effort: Any) -> dict[str, Any]:
    config = _mapping(config, "params=")
    _refuse_twice(config, effort=effort)
    return {**config, "effort": checked_effort(effort)}


def merged(
    shared: Mapping[str, Any], given: Mapping[str, Any], reply: Reply, betas: Sequence[str], where: str
) -> dict[str, Any]:
    """Put together the params of a row that gives some of its own.

    Each of those replaces the shared one of its name as a whole; the output format, and what the reply says of its
    labels, are kept.

    Parameters
    ----------
    shared, given : mapping
        Those of all rows, without messages; and the row's.
    reply : Reply
        What is asked for.
    betas : sequence of str
        Beta headers, which decide what may be asked.
    where : str
        What messages call the row's.

    Raises
    ------
    InputError
        They do not go together.
    """
    params = {**shared, **plain_numbers(given)}
    _finish(params, reply, where, only=given)
    _check_whole(params, betas)
    return params


def _finish(params: dict[str, Any], reply: Reply, where: str, only: Mapping[str, Any] | None = None) -> None:
    """Add what the reply needs, to all params or to `only` those that were given anew."""
    instructions = reply.instructions()
    if instructions is not None and (only is None or "system" in only):
        params["system"] = with_instructions(params.get("system"), instructions)
    wanted = reply.output_format()
    if wanted is not None and (only is None or "output_config" in only):
        params["output_config"] = with_format(params.get("output_config"), wanted, where)


def with_instructions(system: Any, instructions: str) -> Any:
    """Add what the reply needs said to a system prompt, as its last paragraph or its last block.

    Parameters
    ----------
    system : str, list of content blocks, or None
        The user's own.
    instructions : str
        What is added.
    """
    if isinstance(system, list):
        return [*system, {"type": "text", "text": instructions}]
    return f"{system}\n\n{instructions}" if system else instructions


def without_instructions(system: Any, instructions: str | None) -> Any:
    """Return the user's own system prompt back; None where there was none.

    Parameters
    ----------
    system : str, list of content blocks, or None
        As `with_instructions` made it.
    instructions : str or None
        What was added.
    """
    if instructions is None:
        return system
    if isinstance(system, list):
        return system[:-1] if system and system[-1] == {"type": "text", "text": instructions} else system
    return str(system or "").removesuffix(instructions).removesuffix("\n\n") or None


def tools_of(params: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the tools of params; none where there are none.

    Raises
    ------
    InputError
        They are no list of dicts, each with a name of its own or a type; or more than the API takes.
    """
    tools = params.get("tools") or ()
    if not isinstance(tools, list | tuple) or not all(isinstance(tool, Mapping) for tool in tools):
        raise InputError(
            f'params["tools"] takes a list of dicts, each of "name", "description" and "input_schema". {NOT_SENT}'
        )
    names = [tool.get("name") for tool in tools]
    twice = next((name for name in names if name is not None and names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f'params["tools"] has two tools called {twice!r}. {NOT_SENT}')
    check_tools(tools)
    return tools


def checked_row(given: Any, allowed: frozenset[str]) -> Mapping[str, Any]:
    """Return what a params function returned for a row, once it is known to be params; nothing for None.

    Raises
    ------
    InputError
        It is no dict, or names what a row cannot have.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(f"the params function returned {type(given).__name__}; it may return a dict, or None")
    if "messages" in given:
        raise InputError("the params function returned messages: the template gives those, and may be a function too")
    check_names(given, allowed, "the params function")
    return given


def with_format(config: Any, wanted: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Add the output format that was asked for to an ``output_config`` of the user's own.

    Raises
    ------
    InputError
        It has a format already, or is none.
    """
    config = _mapping(config, where)
    if config.get("format") is not None and config["format"] != wanted:
        raise InputError(f'labels= or schema= sets output_config["format"], and {where} does too. Keep one. {NOT_SENT}')
    return {**config, "format": wanted}


def _mapping(config: Any, where: str) -> Mapping[str, Any]:
    config = {} if config is None else config
    if not isinstance(config, Mapping):
        raise InputError(f"{where}: output_config is a dict, not {type(config).__name__}. {NOT_SENT}")
    return config


def _check_whole(params: Mapping[str, Any], betas: Sequence[str]) -> None:
    check_budget(params, betas)
    if LONG_OUTPUT in betas and params["max_tokens"] > LONGEST_OUTPUT:
        raise InputError(
            f"max_tokens is {params['max_tokens']:,}; with the beta {LONG_OUTPUT} a reply has at most "
            f"{LONGEST_OUTPUT:,} tokens. {NOT_SENT}"
        )
