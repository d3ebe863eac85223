"""What reply is asked for, and how it is read back: text, or one of a set of labels. Pure.

Labels use structured outputs (``output_config.format``), so the model can give nothing else; the reply is checked all
the same, since a refusal or a cut reply may break the schema (platform.claude.com documentation, "Structured outputs").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Protocol

import msgspec

from batchnb.errors import InputError

__all__ = ["LabelReply", "MisfitError", "Reply", "TextReply", "reply_from_spec"]


class MisfitError(Exception):
    """A paid reply does not fit what was asked for; the row becomes ``invalid`` and keeps its text."""


class Reply(Protocol):
    """What a job asks each row for."""

    @property
    def suffix(self) -> str:
        """End of the default name of the new column: ``<column>_<suffix>``."""

    @property
    def max_tokens(self) -> int:
        """Default of ``max_tokens``."""

    def output_format(self) -> dict[str, Any] | None:
        """Give what goes into ``output_config.format``; None for free text."""

    def read(self, text: str) -> Any:
        """Turn the reply's text into the row's value, or raise MisfitError."""

    def spec(self) -> dict[str, Any]:
        """Describe this reply so that `reply_from_spec` can rebuild it."""


@dataclass(frozen=True, slots=True)
class TextReply:
    """Free text."""

    suffix: str = "reply"
    max_tokens: int = 1024

    def output_format(self) -> dict[str, Any] | None:
        """Ask for no format."""
        return None

    def read(self, text: str) -> str:
        """Give the text as it is."""
        return text

    def spec(self) -> dict[str, Any]:
        """Describe this reply."""
        return {"kind": "text"}


@dataclass(frozen=True, slots=True)
class LabelReply:
    """One of a set of labels, in the order given.

    Parameters
    ----------
    labels : tuple of str or int
        At least two, all different.
    """

    labels: tuple[str | int, ...]
    suffix: str = "label"
    max_tokens: int = 256

    @classmethod
    def of(cls, labels: Sequence[str | int]) -> LabelReply:
        """Check `labels` and make the reply.

        Raises
        ------
        InputError
            Not a list of at least two different, non-empty strings or whole numbers.
        """
        if isinstance(labels, str | bytes) or not isinstance(labels, Sequence):
            kind = type(labels).__name__
            raise InputError(f'labels= takes a list such as ["positive", "negative"], not {kind}.')
        checked = tuple(_plain_label(label) for label in labels)
        if len(set(checked)) < len(checked):
            twice = next(label for label in checked if checked.count(label) > 1)
            raise InputError(f"labels= names {twice!r} twice.")
        if len(checked) < 2:
            raise InputError("labels= needs at least two labels to choose from.")
        return cls(checked)

    def output_format(self) -> dict[str, Any] | None:
        """Ask for an object with the label as its only property."""
        return {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"label": {"enum": list(self.labels)}},
                "required": ["label"],
                "additionalProperties": False,
            },
        }

    def read(self, text: str) -> str | int:
        """Take the label out of the reply."""
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise MisfitError(f"the reply is not JSON: {error}") from error
        label = value.get("label") if isinstance(value, dict) else None
        if isinstance(label, bool) or label not in self.labels:
            raise MisfitError("the reply is none of the labels")
        return label  # type: ignore[no-any-return]  # membership of self.labels was just checked

    def spec(self) -> dict[str, Any]:
        """Describe this reply."""
        return {"kind": "labels", "labels": list(self.labels)}


def _plain_label(label: Any) -> str | int:
    """Give a label as plain text or a plain number, whatever NumPy or an Enum made of it."""
    if isinstance(label, str) and label:
        return str.__str__(label)
    if isinstance(label, Integral) and not isinstance(label, bool):
        return int(label)
    raise InputError(f"labels= takes non-empty strings or whole numbers; {label!r} is neither.")


def reply_from_spec(spec: dict[str, Any]) -> Reply:
    """Rebuild a reply from what its ``spec()`` described."""
    if spec["kind"] == "labels":
        return LabelReply(tuple(spec["labels"]))
    return TextReply()
