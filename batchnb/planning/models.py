"""What a model can do, and what a request needs of it. Pure.

Batches validate params only after they were accepted, so that a model that cannot do what is asked would fail every
row: it is found before anything is sent. What the models endpoint tells comes first; of the rest, the table of models
(``batchnb.model_table``) says what is documented. What neither tells is no reason to stop.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from batchnb.api.shapes import ModelInfo
from batchnb.model_table import ModelFacts, facts_of
from batchnb.questions.model_defaults import WITHOUT_THINKING, thinks_anyway
from batchnb.questions.params import LONG_OUTPUT, LONGEST_OUTPUT
from batchnb.questions.thinking import THINKING_ROOM

__all__ = ["known_of", "nearest", "needs_of", "notice", "problem", "retires", "without_room"]


def problem(
    model: ModelInfo, params: Mapping[str, Any], betas: Sequence[str] = (), needs: Iterable[str] = ()
) -> str | None:
    """Say in a sentence why a model cannot answer a request in a batch, and what to do; None where it can.

    Parameters
    ----------
    model : ModelInfo
        As the server describes it.
    params : mapping
        The request's, with or without messages.
    betas : sequence of str
        Its beta headers.
    needs : iterable of str
        Capabilities that its content needs, such as ``"image_input"``: `needs_of` finds them in content blocks.
    """
    return next(_problems(model, params, betas, needs), None)


def _problems(model: ModelInfo, params: Mapping[str, Any], betas: Sequence[str], needs: Iterable[str]) -> Iterator[str]:
    name = params.get("model", model.id)
    facts = known_of(model, name)
    if (model.lifecycle or facts.lifecycle) == "retired":
        yield (
            f"The model {name!r} was retired{_on(retires(model, facts))}, and answers no more: choose "
            f"another, {_successor(facts)}."
        )
    if model.lacks("batch"):
        yield f"The model {name!r} does not answer in batches: choose another, model=..."
    for need in sorted({*needs, *_wanted(params)}):
        if model.lacks(need):
            yield f"The model {name!r} {CANNOT.get(need, f'lacks {need}')}: choose another, model=..."
    yield from _of_thinking(model, facts, params, name)
    yield from _of_effort(model, params, name)
    yield from _of_tools(facts, params, name)
    yield from _of_length(model, facts, params, betas, name)


#: What is said of a model that lacks a capability.
CANNOT = {
    "structured_outputs": "has no structured outputs, which labels=, schema= and strict tools need",
    "image_input": "takes no images",
    "pdf_input": "takes no PDFs",
    "citations": "gives no citations",
}


def _wanted(params: Mapping[str, Any]) -> Iterator[str]:
    config = params.get("output_config")
    if isinstance(config, Mapping) and config.get("format") is not None:
        yield "structured_outputs"
    tools = params.get("tools")
    if isinstance(tools, list) and any(isinstance(tool, Mapping) and tool.get("strict") is True for tool in tools):
        yield "structured_outputs"


#: How kinds of thinking are written.
_KINDS = {
    "adaptive": '"adaptive"', "between_tools": '"between_tools"', "disabled": '"disabled"',
    "enabled": "a number of tokens",
}  # fmt: skip


def _of_thinking(model: ModelInfo, facts: ModelFacts, params: Mapping[str, Any], name: str) -> Iterator[str]:
    thinking = params.get("thinking")
    kind = thinking.get("type") if isinstance(thinking, Mapping) else None
    if kind is None:
        return
    if kind in ("adaptive", "enabled") and model.lacks("thinking"):
        yield f"The model {name!r} does not think: leave thinking= out, or choose another."
    if _takes(model, facts, str(kind)) is False:
        others = [form for other, form in _KINDS.items() if _takes(model, facts, other)]
        hint = f"it takes {' or '.join(others)}" if others else "leave it out"
        yield f"The model {name!r} does not take thinking={_KINDS.get(str(kind), repr(kind))}: {hint}."


def _takes(model: ModelInfo, facts: ModelFacts, kind: str) -> bool | None:
    """Return whether a model takes a kind of thinking: as the server tells, else as documented; None where neither."""
    told = model.tells("thinking", "types", kind)
    return told if told is not None or facts.thinking is None else kind in facts.thinking


def _of_tools(facts: ModelFacts, params: Mapping[str, Any], name: str) -> Iterator[str]:
    choice = params.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    if kind in ("any", "tool") and facts.forced_tool is False:
        yield (
            f"The model {name!r} cannot be made to use a tool (tool_choice of type {kind!r}): leave tool_choice out, "
            "or ask for the fields with schema=."
        )


def _of_length(
    model: ModelInfo, facts: ModelFacts, params: Mapping[str, Any], betas: Sequence[str], name: str
) -> Iterator[str]:
    most, limit = params.get("max_tokens"), model.max_tokens or facts.output
    if not isinstance(most, int) or not limit or most <= limit:
        return
    if LONG_OUTPUT not in betas:
        can = most <= LONGEST_OUTPUT and facts.long_output is not False
        longer = (
            f'. With params={{"betas": ["{LONG_OUTPUT}"]}}, batches take up to {LONGEST_OUTPUT:,} where a model can'
            if can
            else ""
        )
        yield f"max_tokens is {most:,}, and {name!r} answers with at most {limit:,}: lower it{longer}."
    elif facts.long_output is False:
        yield (
            f"max_tokens is {most:,}, and {name!r} answers with at most {limit:,}, also with the beta {LONG_OUTPUT}: "
            "lower it, or choose another model."
        )


def _of_effort(model: ModelInfo, params: Mapping[str, Any], name: str) -> Iterator[str]:
    config = params.get("output_config")
    effort = config.get("effort") if isinstance(config, Mapping) else None
    if effort is None:
        return
    if model.lacks("effort"):
        yield f"The model {name!r} takes no effort=: leave it out, or choose another."
    elif model.lacks("effort", str(effort)):
        yield f"The model {name!r} does not take effort={effort!r}: choose another effort."
    thinking = params.get("thinking")
    if effort in ("xhigh", "max") and isinstance(thinking, Mapping) and thinking.get("type") == "disabled":
        yield f'With thinking="disabled", effort is at most "high", not {effort!r}: lower it, or let the model think.'


def needs_of(messages: Any) -> frozenset[str]:
    """Tell which capabilities the content blocks of messages need: ``"image_input"``, ``"pdf_input"`` or none.

    Parameters
    ----------
    messages : list of dict
        As the API takes them. Documents of text need nothing; of a file kept on the server, nothing is known.
    """
    found = set()
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        for block in content if isinstance(content, list) else ():
            kind = block.get("type") if isinstance(block, Mapping) else None
            source = block.get("source") if kind in ("image", "document") else None
            if kind == "image":
                found.add("image_input")
            elif isinstance(source, Mapping) and (
                source.get("media_type") == "application/pdf" or source.get("type") == "url"
            ):
                found.add("pdf_input")
    return frozenset(found)


def notice(model: ModelInfo, name: str) -> str | None:
    """Say that a model is on its way out, and when; None of one that is not.

    Parameters
    ----------
    model : ModelInfo
        As the server describes it.
    name : str
        As the user calls it.
    """
    facts = known_of(model, name)
    lifecycle, day = model.lifecycle or facts.lifecycle, retires(model, facts)
    if lifecycle == "retired" or (lifecycle != "deprecated" and day is None):
        return None
    state = f"deprecated{_since(model.deprecated_at)}" if lifecycle == "deprecated" else "in use still"
    ends = "" if day is None else f", and to be retired{_on(day)}"
    return (
        f"The model {name!r} is {state}{ends}: once it is, requests that name it fail. Choose another, "
        f"{_successor(facts)}, for what is to run for longer; answers that are there already stay, but another model "
        "is asked every row anew."
    )


def known_of(model: ModelInfo, name: str) -> ModelFacts:
    """Return what is documented of a model, as the user calls it or by its id; nothing known where it is not."""
    return facts_of(name) or facts_of(model.id) or ModelFacts(source="", date="")


def retires(model: ModelInfo, facts: ModelFacts) -> str | None:
    """Return the day on which a model is to be retired, or was: as the server tells, else as documented."""
    return f"{model.retires_at:%Y-%m-%d}" if model.retires_at else facts.retires


def _successor(facts: ModelFacts) -> str:
    return f"model={facts.successor!r}" if facts.successor else "model=..."


def without_room(params: Mapping[str, Any]) -> str | None:
    """Say that a model will think first, and has little room for it; None where it will not, or has.

    Parameters
    ----------
    params : mapping
        As they are sent.
    """
    facts, most = thinks_anyway(params), params.get("max_tokens")
    if facts is None or not isinstance(most, int) or most >= THINKING_ROOM:
        return None
    off = next((kind for kind in WITHOUT_THINKING if kind in (facts.thinking or ())), None)
    instead = f"thinking={off!r} turns it off" if off else 'effort="low" makes it think less'
    return (
        f"The model {params.get('model')!r} thinks before it answers, which counts towards max_tokens: of {most:,} "
        "there may be none left for the reply, which is cut then, and paid for. Leave max_tokens out, or raise it; "
        f"{instead}."
    )


def _since(moment: datetime | None) -> str:
    return f" since {moment:%Y-%m-%d}" if moment else ""


def _on(day: str | None) -> str:
    return f" on {day}" if day else ""


def nearest(model: str, names: Iterable[str]) -> str:
    """Return a hint at the name that is most like a model's; empty where none is.

    Parameters
    ----------
    model : str
        A name that no model has.
    names : iterable of str
        Names of models.
    """
    near = difflib.get_close_matches(model, list(names), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
