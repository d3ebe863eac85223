"""What the rows of a frame ask, by each of the ways in which rows are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from batchnb.questions.reading import read_digests, read_rows
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import TextReply

if TYPE_CHECKING:
    import pandas as pd

#: Stands for a row that is skipped.
SKIPPED = None


def recipe(column: Any = "x", template: Any = None, **fields: Any) -> Recipe:
    shared = {"model": "claude-haiku-4-5", "max_tokens": 64}
    return Recipe(column=column, template=template, shared=shared, betas=(), reply=TextReply(), into="reply", **fields)


def prompts(frame: pd.DataFrame, column: Any = "x", template: Any = None, **fields: Any) -> list[str | None]:
    """Return what each row asks; the quick way of reading plain text must agree with the general one."""
    one = recipe(column, template, **fields)
    rows = list(read_rows(one, frame))
    assert list(read_digests(one, frame)) == [row.digest for row in rows]
    return [SKIPPED if row.content is None else msgspec.json.decode(row.content.sent) for row in rows]


def digests(frame: pd.DataFrame, column: Any = "x", template: Any = None) -> list[str | None]:
    return [digest and digest.hex() for digest in read_digests(recipe(column, template), frame)]
