"""What ``submit`` would send, put together for showing. Sends nothing that costs money."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from batchnb.display import Preview, PreviewRow, preview_html, preview_text
from batchnb.errors import ApiError, CredentialsError, InputError
from batchnb.params import NOT_SENT
from batchnb.pricing import Usage
from batchnb.recipes import column_values

if TYPE_CHECKING:
    import pandas as pd

    from batchnb.recipes import Question, Recipe
    from batchnb.workspace import Workspace

__all__ = ["ShownPreview", "preview"]


class ShownPreview:
    """A preview as a notebook or a terminal shows it.

    Attributes
    ----------
    preview : Preview
        What it shows.
    """

    def __init__(self, preview: Preview) -> None:
        self.preview = preview

    def __repr__(self) -> str:
        return preview_text(self.preview)

    def _repr_html_(self) -> str:
        return preview_html(self.preview)


def preview(workspace: Workspace, frame: pd.DataFrame, recipe: Recipe, n: int) -> ShownPreview:
    """Fill in the first `n` rows, and count what all of them would send. See ``df.batch.preview``."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InputError(f"n is a whole number of at least 1, not {n!r}. {NOT_SENT}")
    rows, ledger = list(recipe.rows(frame)), workspace.ledger
    firsts = [row.digest for row in rows]
    digests = firsts if recipe.replicate else list(ledger.askings.newest(firsts))
    asked = {digest: row for digest, row in zip(digests, rows, strict=True) if digest is not None}
    unsent = set(ledger.jobs.unsent(asked))
    shown = list(itertools.islice(recipe.questions(frame), n))
    envelopes = recipe.envelopes()
    requests = [envelopes[one.envelope].params(one.content) for one in shown if one.content is not None]
    sizes = {digest: len(row.content.sent) for digest, row in asked.items() if row.content is not None}
    shown_sizes = sum(len(one.content.sent) for one in shown if one.content is not None)
    tokens = _tokens(workspace, recipe, requests, shown_sizes, [sizes[digest] for digest in unsent])
    system = recipe.shared.get("system")
    return ShownPreview(
        Preview(
            rows=tuple(_row(frame, recipe, question, place) for place, question in enumerate(shown)),
            total_rows=len(frame),
            to_send=len(unsent),
            reused=_reused(digests, recipe.samples, unsent),
            skipped=digests.count(None) // recipe.samples,
            model=recipe.model,
            system=system if isinstance(system, str) or system is None else json.dumps(system, ensure_ascii=False),
            input_tokens=tokens,
            cost=_worst_cost(workspace, recipe, tokens, len(unsent)),
            simulated=workspace.simulated,
            request_json=json.dumps(requests[0], indent=2, ensure_ascii=False) if requests else "",
        )
    )


def _reused(digests: list[bytes | None], samples: int, unsent: set[bytes]) -> int:
    """Count the rows that ask nothing new: an earlier job, or an equal row before them, asks all of it."""
    count, left = 0, set(unsent)
    for start in range(0, len(digests), samples):
        row = set(digests[start : start + samples])
        count += None not in row and left.isdisjoint(row)
        left -= row
    return count


def _row(frame: pd.DataFrame, recipe: Recipe, question: Question, place: int) -> PreviewRow:
    label = str(frame.index[place])
    if question.content is None:
        return PreviewRow(place, label, None, question.note)
    if callable(recipe.template):
        sent = json.loads(question.content.sent)
        text = sent if isinstance(sent, str) else json.dumps(sent, indent=2, ensure_ascii=False)
        return PreviewRow(place, label, ((text, True),), None)
    template = recipe.compiled(frame)
    values = [column_values(frame.iloc[place : place + 1], column)[0] for column in template.columns]
    return PreviewRow(place, label, tuple(template.pieces(values)), None)


def _tokens(
    workspace: Workspace, recipe: Recipe, requests: list[dict[str, Any]], size: int, sizes: list[int]
) -> int | None:
    """Estimate the input tokens of all requests, from those of the rows shown and everybody's bytes."""
    if not requests or not sizes:
        return None if sizes else 0
    try:
        counted = sum(workspace.api.count_tokens(request, recipe.betas) for request in requests)
    except (ApiError, CredentialsError):
        return None
    return round(counted * sum(sizes) / size)


def _worst_cost(workspace: Workspace, recipe: Recipe, tokens: int | None, requests: int) -> float | None:
    price = workspace.prices.price(recipe.model)
    if price is None or tokens is None:
        return None
    most = Usage(input_tokens=tokens, output_tokens=requests * int(recipe.shared["max_tokens"]))
    cost = price.cost(most, prompt_tokens=tokens // max(1, requests))
    return None if cost is None else float(cost)
