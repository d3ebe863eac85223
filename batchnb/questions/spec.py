"""A recipe as the ledger keeps it: the JSON that tells all that is needed to ask the same again. Pure.

Ids of jobs are digests of it. So what is mentioned, and in which order, must not change from one release to the next:
a new key comes with a default and is not mentioned where it is not used.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import msgspec

from batchnb.questions.envelope import canonical
from batchnb.questions.replies.base import Reply
from batchnb.questions.replies.reply import reply_from_spec

__all__ = ["RecipeSpec"]

#: What is asked of a row, whichever time it is asked; besides the params, which count in their canonical form.
_ASKED = ("column", "template", "callable", "reply", "turns", "blocks", "varies", "documents", "images")

#: What does not change how long a reply is.
_NO_MATTER = ("into", "key", "missing", "pilot", "replicate", "samples")


class RecipeSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """A :class:`batchnb.questions.recipe.Recipe` without the frame and the functions; see there for the fields.

    Parameters
    ----------
    callable, varies : bool
        Whether the template, and the params, were a function of a row: those are not kept.
    reply_spec : dict
        The reply asked for, as :meth:`batchnb.questions.replies.base.Reply.spec` describes it.
    attached : bool
        Whether it stands for a batch made elsewhere, of which it is not known what that asked.
    pilot : bool
        Whether it is a pilot's.
    """

    column: str
    template: str | tuple[dict[str, Any], ...] | None
    callable: bool
    shared: dict[str, Any]
    betas: tuple[str, ...]
    reply_spec: dict[str, Any] = msgspec.field(name="reply")
    into: str
    key: str | None
    missing: str
    # The default is made each time, and so mentioned: recipes always did. Those of batches made elsewhere have none.
    replicate: str = msgspec.field(default_factory=str)
    samples: int = 1
    turns: tuple[dict[str, Any], ...] = ()
    blocks: tuple[dict[str, Any], ...] = ()
    varies: bool = False
    documents: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    files_from: tuple[str, ...] = ()
    attached: bool = False
    pilot: bool = False

    @classmethod
    def read(cls, text: str) -> RecipeSpec:
        """Read a recipe's JSON. What a later version says in it besides stays in the `json`."""
        spec = msgspec.json.decode(text, type=cls)
        spec.__dict__["json"] = text
        return spec

    @classmethod
    def of_attached(cls) -> RecipeSpec:
        """Describe what a batch made elsewhere asked, as far as it is known: nothing of it, but that it replied."""
        return cls.read(
            '{"attached":true,"column":"custom_id","template":null,"callable":false,"shared":{"model":""},"betas":[],'
            '"reply":{"kind":"text"},"into":"reply","key":"custom_id","missing":"skip"}'
        )

    @cached_property
    def json(self) -> str:
        """The recipe's JSON: that which was read, to the byte."""
        return msgspec.json.encode(self).decode()

    def sorted_json(self) -> bytes:
        """Return the JSON with its keys sorted, as ids of jobs digest it."""
        return msgspec.json.encode(self, order="sorted")

    @property
    def model(self) -> str:
        """The model asked; empty where that is not known."""
        return str(self.shared["model"])

    @cached_property
    def reply(self) -> Reply:
        """The reply asked for."""
        return reply_from_spec(self.reply_spec)

    def asked_digest(self) -> bytes:
        """Return a digest of what is asked of a row, whichever time it is asked: ``fresh=True`` counts by it."""
        said = msgspec.json.decode(self.json)
        asked = {name: said[name] for name in _ASKED if name in said}
        asked |= {"shared": canonical(self.shared), "betas": sorted(set(self.betas))}
        return _digest(asked)

    def history_digest(self) -> bytes:
        """Return a digest of all that changes how long a reply is: earlier answers tell of later ones by it."""
        said = msgspec.json.decode(self.json)
        return _digest({name: value for name, value in said.items() if name not in _NO_MATTER})


def _digest(said: dict[str, Any]) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(said, order="sorted"), digest_size=16).digest()
