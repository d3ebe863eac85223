"""What a call of ``df.batch`` asks for: its arguments checked, and put together to a recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from batchnb.api import transform_schema
from batchnb.errors import InputError
from batchnb.frames import check_into
from batchnb.params import NOT_SENT, check_names, shared_params, split_betas
from batchnb.recipes import Recipe, check_column, check_samples, tag_of
from batchnb.schemas import Reply, reply_of

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.workspace import Workspace

__all__ = ["check_frame", "recipe_of"]


def check_frame(frame: pd.DataFrame, column: Hashable) -> None:
    """Raise InputError unless the frame has rows, and exactly one such column."""
    if len(frame) == 0:
        raise InputError(f"The frame has no rows, so there is nothing to ask. {NOT_SENT}")
    check_column(frame, column)


def recipe_of(
    workspace: Workspace,
    frame: pd.DataFrame,
    column: Hashable,
    template: str | Callable[[Any], Any] | None,
    *,
    into: str | None = None,
    labels: Any = None,
    multiple: bool = False,
    other: str | None = None,
    explain: bool = False,
    schema: Any = None,
    flatten: bool = False,
    examples: Any = None,  # noqa: ARG001
    images: Any = None,  # noqa: ARG001
    documents: Any = None,  # noqa: ARG001
    system: Any = None,
    model: str | None = None,
    max_tokens: int | None = None,
    thinking: Any = None,  # noqa: ARG001
    effort: str | None = None,  # noqa: ARG001
    params: Any = None,
    key: Hashable | None = None,
    missing: str = "skip",
    fresh: bool | str = False,
    samples: int = 1,
    overwrite: bool = False,
) -> Recipe:
    """Check the arguments of ``df.batch.submit`` that say what is asked, and put them together.

    Touches no network.

    Raises
    ------
    InputError
        The frame or the arguments cannot be sent.
    """
    check_frame(frame, column)
    if key is not None:
        check_column(frame, key, "key")
    if missing not in ("skip", "raise", "send"):
        raise InputError(f'missing= takes "skip", "raise" or "send", not {missing!r}. {NOT_SENT}')
    if not isinstance(template, str) and template is not None and not callable(template):
        raise InputError(
            f"template takes text, a function of a row, or None, not {type(template).__name__}. {NOT_SENT}"
        )
    check_samples(samples)
    reply = reply_of(
        labels=labels, multiple=multiple, other=other, explain=explain, schema=schema, flatten=flatten,
        transform=transform_schema, prefixed=into is not None,
    )  # fmt: skip
    given, betas = split_betas(params or {})
    if model is not None and "model" in given:
        raise InputError(f"model is given twice: as model= and in params=. Keep one. {NOT_SENT}")
    fields = workspace.fields(betas)
    check_names(given, fields | {"messages"}, "params=")
    recipe = Recipe(
        column=column,
        template=template,
        shared=shared_params(reply, model=model or workspace.model, max_tokens=max_tokens, system=system, params=given),
        betas=betas,
        reply=reply,
        into=_stem(column, reply) if into is None else into,
        key=key,
        missing=missing,
        fields=fields,
        replicate=tag_of(fresh),
        samples=samples,
    )
    read = (column,) if callable(template) else recipe.compiled(frame).columns
    read = read if key is None else (*read, key)
    check_into(frame, recipe.into, read, overwrite=overwrite, samples=samples, reply=reply)
    if fresh is True:
        return dataclasses.replace(recipe, replicate=workspace.ledger.askings.fresh_tag(recipe.asking()))
    return recipe


def _stem(column: Hashable, reply: Reply) -> str:
    """Give the default stem: a schema's fields have names of their own."""
    return f"{column}_{reply.suffix}" if reply.suffix else str(column)
