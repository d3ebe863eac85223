"""What a changed recipe asks again: in what it differs from an earlier one, and for how many rows. Pure.

Whoever changes a word of a template buys every answer again, which is what the words are for; but it is said first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pandas as pd

from batchnb.answers.arrays import utc
from batchnb.errors import InputError
from batchnb.questions.columns import bare, has_narrow_floats
from batchnb.questions.envelope import canonical
from batchnb.questions.params import without_instructions
from batchnb.questions.reading import read_digests
from batchnb.questions.recipe import Recipe
from batchnb.questions.spec import RecipeSpec

if TYPE_CHECKING:
    from batchnb.ledger.ledger import Ledger

__all__ = ["asked_again", "differences"]

#: How many earlier recipes are compared with a new one, at most: each costs about as much as reading the rows again.
OTHER_RECIPES = 3

#: Characters of a change's values that are shown; of longer ones, only the name is.
LIMIT = 120

#: What may be asked of labels besides: named as ``submit`` calls it.
_LABEL_OPTIONS = ("multiple", "other", "explain")

_ABSENT = object()


def asked_again(
    ledger: Ledger, frame: pd.DataFrame, recipe: Recipe, digests: Sequence[bytes | None], unsent: Set[bytes]
) -> str | None:
    """Say how many rows are to be sent that another recipe, for the same new column, has asked before, and why.

    A further sample asks nothing again: of each row, the first counts.

    Parameters
    ----------
    ledger : Ledger
        Holds the jobs there are; those that gave the same column are looked at, newest first.
    frame, recipe
        The rows, and what is asked of them.
    digests : sequence of bytes or None
        What each sample of each row asks.
    unsent : set of bytes
        Those of them that are to be sent.

    Returns
    -------
    str or None
        None where no row was asked before, or where rows are asked again on purpose (``fresh=``).
    """
    spec = recipe.spec()
    earlier = [] if recipe.replicate else ledger.jobs.for_column(spec.column, spec.into)
    if not earlier:  # as mostly: then there is no need to look at each row
        return None
    waiting = [row for row, digest in enumerate(digests[:: recipe.samples]) if digest in unsent]
    if not waiting:
        return None
    others: list[RecipeSpec] = []
    part = bare(frame).iloc[waiting]
    narrow = _with_all_digits(part)
    for job in earlier:
        changes = differences(job.recipe, spec)
        if not (changes or narrow) or not all(differences(job.recipe, other) for other in others):
            continue
        count = _asked_under(job.recipe, part, recipe, ledger) if changes else 0
        if narrow and not count:
            count, changes = _asked_under(job.recipe, narrow.frame, recipe, ledger), [*changes, narrow.change]
        if count:
            were, are = ("was", "is") if count == 1 else ("were", "are")
            return (
                f"{count:,} of {len(frame):,} rows {were} asked before, by {job.id} "
                f"({utc(job.created_at):%Y-%m-%d %H:%M} UTC), and {are} now asked, and paid for, once more, since the "
                f"recipe has changed: {'; '.join(changes)}. job.cancel() stops it; warnings.simplefilter("
                '"error", batchnb.RecipeChangedWarning) stops such a cell before anything is sent.'
            )
        others.append(job.recipe)
        if len(others) == OTHER_RECIPES:
            break
    return None


class _Narrow(NamedTuple):
    """Rows as earlier versions read them, with all digits of their narrow floats; and what has changed since."""

    frame: pd.DataFrame
    change: str


def _with_all_digits(frame: pd.DataFrame) -> _Narrow | None:
    """Return the rows with all digits of floats of 16 and 32 bits, as text had them once; None where there are none."""
    places = [place for place in range(frame.shape[1]) if has_narrow_floats(frame.iloc[:, place])]
    if not places:
        return None
    old = frame.copy(deep=False)
    for place in places:
        cells: Any = pd.Series(frame.iloc[:, place].tolist(), index=frame.index, dtype=object)
        old.isetitem(place, cells)
    named = ", ".join(repr(str(frame.columns[place])) for place in places[:3])
    return _Narrow(old, (
        f"numbers of 16 or 32 bits ({named}) are written as 19.99, no longer as 19.989999771118164 "
        "(as a column of float64 they are asked as before)"
    ))  # fmt: skip


def _asked_under(spec: RecipeSpec, frame: pd.DataFrame, recipe: Recipe, ledger: Ledger) -> int:
    """Count the rows of `frame` that were asked under an earlier recipe; none where it does not apply to them."""
    template = recipe.template if spec.callable and callable(recipe.template) else None
    try:
        old = Recipe.from_spec(spec, frame, template, params=recipe.vary, fields=recipe.fields, reader=recipe.reader)
        old = dataclasses.replace(old, samples=1)
        return ledger.askings.count_asked(digest for digest in read_digests(old, frame) if digest is not None)
    except InputError:
        return 0


def differences(old: RecipeSpec, new: RecipeSpec) -> list[str]:
    """List in what two recipes ask differently; nothing where they ask the same.

    What changes no question is left out: keys, what becomes of missing values, caching, the order of beta headers.

    Parameters
    ----------
    old, new : RecipeSpec
        Two recipes. Of two functions as templates it cannot be told whether they
        differ.

    Returns
    -------
    list of str
        Such as ``"max_tokens 256 → 64"`` or ``"the template"``; long values are not shown.
    """
    before, after = _params(old), _params(new)
    first = ("model", "max_tokens")
    rest = sorted((before.keys() | after.keys()) - {*first, "system"})
    found = [
        *(_change(name, before.get(name, _ABSENT), after.get(name, _ABSENT)) for name in first),
        None if _template(old) == _template(new) else "the template",
        None if _turns(old) == _turns(new) else "the messages before the rows' own, such as examples",
        None if old.varies == new.varies else "params= by a function",
        *(_change(name, _of_reply(old, name), _of_reply(new, name)) for name in ("labels", "schema")),
        *(f"{name}=" if _of_reply(old, name) != _of_reply(new, name) else None for name in _LABEL_OPTIONS),
        None if _of_reply(old, "meanings") == _of_reply(new, "meanings") else "what the labels mean",
        None if before.get("system") == after.get("system") else "the system prompt",
        *(_change(name, before.get(name, _ABSENT), after.get(name, _ABSENT)) for name in rest),
        _change("betas", sorted(set(old.betas)), sorted(set(new.betas))),
        _change("documents", old.documents or _ABSENT, new.documents or _ABSENT),
        _change("images", old.images or _ABSENT, new.images or _ABSENT),
        None if old.blocks == new.blocks else "the documents or images of all rows",
        _change("samples", old.samples, new.samples),
    ]
    return [change for change in found if change is not None]


def _template(spec: RecipeSpec) -> tuple[Any, ...]:
    return spec.callable, spec.template, spec.column


def _turns(spec: RecipeSpec) -> list[Any]:
    turns: list[Any] = canonical(spec.turns)
    return turns


def _params(spec: RecipeSpec) -> dict[str, Any]:
    """Return the params all requests share, without what labels or a schema stand for: format and instructions.

    Those within ``output_config``, such as the effort, have names of their own.
    """
    params: dict[str, Any] = canonical(spec.shared)
    system = without_instructions(params.pop("system", None), spec.reply.instructions())
    params |= {} if system is None else {"system": system}
    config = {name: value for name, value in (params.pop("output_config", None) or {}).items() if name != "format"}
    return {**params, **config}


def _of_reply(spec: RecipeSpec, name: str) -> Any:
    """Return the labels, the schema as it is sent, or what else is asked of a reply of labels."""
    return spec.reply_spec.get("sent" if name == "schema" else name, _ABSENT)


def _change(name: str, old: Any, new: Any) -> str | None:
    """Say how a value changed; None where it did not."""
    before, after = _shown(old), _shown(new)
    if before == after:
        return None
    if old is _ABSENT or new is _ABSENT:
        return f"{name} (not set before)" if old is _ABSENT else f"{name} (no longer set)"
    values = f"{before} → {after}"
    return f"{name} {values}" if len(values) <= LIMIT else name


def _shown(value: Any) -> str:
    return "" if value is _ABSENT else msgspec.json.encode(value, order="sorted").decode()
