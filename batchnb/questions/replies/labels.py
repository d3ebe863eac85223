"""One of a set of labels, or any number of them. Pure.

Labels use structured outputs (``output_config.format``), so the model can give nothing else; the reply is checked all
the same, since a refusal or a cut reply may break the schema (platform.claude.com documentation, "Structured outputs").
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import msgspec

from batchnb.errors import InputError
from batchnb.questions.replies.base import MisfitError, ToolCall, no_answer
from batchnb.questions.replies.fields import Field
from batchnb.questions.replies.spelling import chosen

__all__ = ["LabelReply"]

Label = str | int

#: Default of ``max_tokens`` where a reply is more than one label.
LONGER = 512


@dataclass(frozen=True, slots=True)
class LabelReply:
    """One of a set of labels, or several, in the order given.

    An answer is the label; with `multiple`, the list of labels; with `explain`, a dict of those and the rationale.

    Parameters
    ----------
    labels : tuple of str or int
        At least two, all different.
    multiple : bool
        Whether a row may have any number of labels, also none.
    explain : bool
        Whether the model says why before it chooses.
    other : bool
        Whether the last label is for what fits none of the others.
    meanings : tuple of str or None
        What each label means; empty where none is explained.
    """

    labels: tuple[Label, ...]
    suffix: str = "label"
    max_tokens: int = 256
    multiple: bool = False
    explain: bool = False
    other: bool = False
    meanings: tuple[str | None, ...] = ()
    prefixed: bool = True

    @classmethod
    def of(
        cls, labels: Any, *, multiple: bool = False, other: Label | None = None, explain: bool = False
    ) -> LabelReply:
        """Check `labels` and make the reply.

        Parameters
        ----------
        labels : sequence of str or int, mapping or Enum
            The labels; a mapping gives what each of them means, an Enum class its values.
        multiple, explain
            As the class takes them.
        other : str or int, optional
            One label more.

        Raises
        ------
        InputError
            Not a list of at least two different, non-empty strings or whole numbers.
        """
        given, meanings = _listed(labels)
        checked = tuple(_plain_label(label) for label in given)
        if other is not None:
            checked, meanings = (*checked, _plain_label(other, "other=")), (*meanings, None)
        if len(set(checked)) < len(checked):
            twice = next(label for label in checked if checked.count(label) > 1)
            if twice == other:
                raise InputError(f"other={other!r} is one of the labels already: leave it out of labels=.")
            raise InputError(f"labels= names {twice!r} twice.")
        if len(given) < (1 if multiple or other is not None else 2):
            raise InputError("labels= needs at least two labels to choose from.")
        return cls._with(checked, multiple, explain, other is not None, meanings)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> LabelReply:
        """Rebuild the reply from what `spec` described."""
        meanings = spec.get("meanings", ())
        return cls._with(
            tuple(spec["labels"]),
            spec.get("multiple", False),
            spec.get("explain", False),
            spec.get("other", False),
            meanings,
        )

    @classmethod
    def _with(
        cls, labels: tuple[Label, ...], multiple: bool, explain: bool, other: bool, meanings: Sequence[Any]
    ) -> LabelReply:
        return cls(
            labels,
            suffix="labels" if multiple else "label",
            max_tokens=LONGER if multiple or explain else 256,
            multiple=multiple,
            explain=explain,
            other=other,
            meanings=tuple(meanings) if any(meanings) else (),
        )

    @property
    def _name(self) -> str:
        return "labels" if self.multiple else "label"

    @property
    def voted(self) -> tuple[str, ...]:
        """The label, or labels: a rationale is put into other words each time."""
        return (self._name,) if self.explain else ()

    @property
    def fields(self) -> tuple[Field, ...]:
        """The label or labels; then the rationale, if there is one."""
        label = (
            Field("", "object", self.voted)
            if self.multiple
            else Field("", "category", self.voted, categories=self.labels)
        )
        return (label, Field("rationale", "string", ("rationale",))) if self.explain else (label,)

    def output_format(self) -> dict[str, Any] | None:
        """Ask for an object that holds the rationale, if there is one, before the label or labels."""
        one: dict[str, Any] = {"enum": list(self.labels)}
        # What is written first, the model knows when it writes the rest: a reason given after would be an excuse.
        properties: dict[str, Any] = {"rationale": {"type": "string"}} if self.explain else {}
        properties[self._name] = {"type": "array", "items": one} if self.multiple else one
        return {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            },
        }

    def instructions(self) -> str | None:
        """Say what the labels mean, and how many are to be given; nothing for plain labels."""
        said = []
        if self.meanings:
            meant = zip(self.labels, self.meanings, strict=True)
            said.append("\n".join(["What the labels mean:", *(f"- {one}: {text}" for one, text in meant if text)]))
        if self.multiple:
            none = f'only "{self.labels[-1]}" if none does' if self.other else "an empty list if none does"
            said.append(f"Give every label that fits, and {none}.")
        elif self.other:
            said.append(f'"{self.labels[-1]}" is for what fits none of the other labels.')
        if self.explain:
            said.append("First give the rationale: one or two short sentences that say what speaks for the choice.")
        return "\n\n".join(said) or None

    def read(self, text: str) -> Any:
        """Take the label, or labels, out of the reply."""
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise MisfitError(f"the reply is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise MisfitError("the reply is no object with a label")
        label = self._several(value.get("labels")) if self.multiple else self._known(value.get("label"))
        if not self.explain:
            return label
        if not isinstance(value.get("rationale"), str):
            raise MisfitError("the reply gives no rationale")
        return {"rationale": value["rationale"], self._name: label}

    def is_respelled(self, text: str) -> bool:
        """Tell whether a label in it is written otherwise than in the list of labels."""
        said = msgspec.json.decode(text)[self._name]
        return any(label not in self.labels for label in (said if self.multiple else [said]))

    def _several(self, found: Any) -> list[Label]:
        """Put the labels into their own order, each of them once: as given they may be in any."""
        if not isinstance(found, list):
            raise MisfitError("the reply is no list of labels")
        known = {self._known(label) for label in found}
        return [label for label in self.labels if label in known]

    def _known(self, label: Any) -> Label:
        if isinstance(label, bool) or label not in self.labels:
            if (spelled := chosen(label, self.labels)) is not None:
                return spelled
            raise MisfitError("the reply is none of the labels" if not self.multiple else "one is none of the labels")
        # JSON knows no difference between 1 and 1.0.
        return self.labels[self.labels.index(label)] if isinstance(label, float) else label

    def read_calls(self, text: str | None, calls: Sequence[ToolCall]) -> Any:  # noqa: ARG002  # of all replies
        """Refuse a reply that calls tools, whatever text is beside them: it goes on after their results."""
        raise no_answer(calls)

    def partial(self, text: str | None) -> None:
        """Give nothing: a part of a label is none."""

    def spec(self) -> dict[str, Any]:
        """Describe this reply; what plain labels do not have is not mentioned, so that their digests stay."""
        options = {"multiple": self.multiple, "explain": self.explain, "other": self.other}
        options_used: dict[str, Any] = {name: True for name, used in options.items() if used}
        meanings = {"meanings": list(self.meanings)} if self.meanings else {}
        return {"kind": "labels", "labels": list(self.labels)} | options_used | meanings


def _listed(labels: Any) -> tuple[list[Any], tuple[str | None, ...]]:
    """Return labels as a list, and what each of them means."""
    if isinstance(labels, Mapping):
        for label, meaning in labels.items():
            if meaning is not None and not (isinstance(meaning, str) and meaning.strip()):
                raise InputError(f"labels= says of {label!r} what it means by text, not by {meaning!r}.")
        return list(labels), tuple(meaning and " ".join(meaning.split()) for meaning in labels.values())
    if isinstance(labels, type) and issubclass(labels, enum.Enum):
        labels = [member.value for member in labels]
    if hasattr(labels, "tolist"):  # an array or a Series, as ``unique()`` gives one
        labels = labels.tolist()
    if isinstance(labels, str | bytes) or not isinstance(labels, Sequence):
        kind = type(labels).__name__
        raise InputError(f'labels= takes a list such as ["positive", "negative"], not {kind}.')
    return list(labels), (None,) * len(labels)


def _plain_label(label: Any, argument: str = "labels=") -> Label:
    """Return a label as plain text or a plain number, whatever NumPy or an Enum made of it."""
    if isinstance(label, str) and label:
        return str.__str__(label)
    if isinstance(label, Integral) and not isinstance(label, bool):
        return int(label)
    raise InputError(f"{argument} takes non-empty strings or whole numbers; {label!r} is neither.")
