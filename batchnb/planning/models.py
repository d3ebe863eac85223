"""What a model can do, as the models endpoint tells it, and what a request needs of it. Pure.

Batches validate params only after they were accepted, so that a model that cannot do what is asked would fail every
row: it is found before anything is sent. What the endpoint does not tell is no reason to stop.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from batchnb.api.shapes import ModelInfo
from batchnb.questions.params import LONG_OUTPUT, LONGEST_OUTPUT

__all__ = ["nearest", "needs_of", "notice", "problem"]


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
    if model.lifecycle == "retired":
        yield f"The model {name!r} was retired{_on(model.retires_at)}, and answers no more: choose another, model=..."
    if model.lacks("batch"):
        yield f"The model {name!r} does not answer in batches: choose another, model=..."
    for need in sorted({*needs, *_wanted(params)}):
        if model.lacks(need):
            yield f"The model {name!r} {CANNOT.get(need, f'lacks {need}')}: choose another, model=..."
    yield from _of_thinking(model, params, name)
    yield from _of_effort(model, params, name)
    most = params.get("max_tokens")
    if isinstance(most, int) and model.max_tokens and most > model.max_tokens and LONG_OUTPUT not in betas:
        longer = (
            f'. With params={{"betas": ["{LONG_OUTPUT}"]}}, batches take up to {LONGEST_OUTPUT:,} where a model can'
            if most <= LONGEST_OUTPUT
            else ""
        )
        yield f"max_tokens is {most:,}, and {name!r} answers with at most {model.max_tokens:,}: lower it{longer}."


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


def _of_thinking(model: ModelInfo, params: Mapping[str, Any], name: str) -> Iterator[str]:
    thinking = params.get("thinking")
    kind = thinking.get("type") if isinstance(thinking, Mapping) else None
    if kind is None:
        return
    if kind in ("adaptive", "enabled") and model.lacks("thinking"):
        yield f"The model {name!r} does not think: leave thinking= out, or choose another."
    if not model.lacks("thinking", "types", str(kind)):
        return
    forms = {"adaptive": '"adaptive"', "disabled": '"disabled"', "enabled": "a number of tokens"}
    types = (model.capabilities or {})["thinking"]["types"]
    others = [form for other, form in forms.items() if other in types and not model.lacks("thinking", "types", other)]
    hint = f"it takes {' or '.join(others)}" if others else "leave it out"
    yield f"The model {name!r} does not take thinking={forms.get(str(kind), repr(kind))}: {hint}."


def _of_effort(model: ModelInfo, params: Mapping[str, Any], name: str) -> Iterator[str]:
    config = params.get("output_config")
    effort = config.get("effort") if isinstance(config, Mapping) else None
    if effort is None:
        return
    if model.lacks("effort"):
        yield f"The model {name!r} takes no effort=: leave it out, or choose another."
    elif model.lacks("effort", str(effort)):
        yield f"The model {name!r} does not take effort={effort!r}: choose another effort."


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
    if model.lifecycle != "deprecated" and (model.lifecycle == "retired" or model.retires_at is None):
        return None
    ends = f", and to be retired on {model.retires_at:%Y-%m-%d}" if model.retires_at else ""
    state = f"deprecated{_since(model.deprecated_at)}" if model.lifecycle == "deprecated" else "in use still"
    return (
        f"The model {name!r} is {state}{ends}: once it is, requests that name it fail. Choose another, model=..., for "
        "what is to run for longer; answers that are there already stay, but another model is asked every row anew."
    )


def _since(moment: datetime | None) -> str:
    return f" since {moment:%Y-%m-%d}" if moment else ""


def _on(moment: datetime | None) -> str:
    return f" on {moment:%Y-%m-%d}" if moment else ""


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
