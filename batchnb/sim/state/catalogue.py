"""The models that the simulator knows, as ``GET /v1/models`` tells them.

Sources: anthropic 2.14.0 (names, retirement dates and the shape of ``ModelInfo``), platform.claude.com documentation
(the models with a published price). Release and deprecation dates, context windows, output limits and the capabilities
of single models are plausible but unverified; nothing outside the simulator should rest on them. No model that the SDK
still names is known to lack batches, structured outputs, images or PDFs: a test that needs one makes it up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_LINES = ("haiku", "sonnet", "opus", "fable", "mythos")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True)
class Model:
    """A model, as ``GET /v1/models`` tells of it and as requests are checked.

    Parameters
    ----------
    id
        The canonical id, which responses carry.
    name
        The display name.
    released, deprecated, retires
        Dates as ``YYYY-MM-DD``; the last two are empty while they are unknown.
    lifecycle
        ``"active"``, ``"deprecated"`` or ``"retired"``. Requests that name a retired one are a 404.
    window, output
        The context window and the largest ``max_tokens``, in tokens.
    adaptive
        Whether the model takes ``thinking: adaptive``, effort and the newer context management.
    prefill
        Whether the last message may be the assistant's.
    aliases
        Shorter names that requests may use.
    batch, structured_outputs, images, pdfs
        What it supports; what it does not support is refused.
    """

    id: str
    name: str
    released: str = "2026-01-01"
    window: int = 1_000_000
    output: int = 128_000
    adaptive: bool = True
    prefill: bool = False
    deprecated: str = ""
    retires: str = ""
    lifecycle: str = "active"
    aliases: tuple[str, ...] = ()
    batch: bool = True
    structured_outputs: bool = True
    images: bool = True
    pdfs: bool = True

    @property
    def line(self) -> str | None:
        """The model line, such as ``"haiku"``; None where it belongs to none."""
        return next((line for line in _LINES if line in self.id.split("-")), None)

    def info(self) -> dict[str, Any]:
        """Return the model as a ``ModelInfo`` object of the API."""
        return {
            "type": "model",
            "id": self.id,
            "display_name": self.name,
            "created_at": _midnight(self.released),
            "deprecated_at": _midnight(self.deprecated),
            "retires_at": _midnight(self.retires),
            "lifecycle": self.lifecycle,
            "line": self.line,
            "max_input_tokens": self.window,
            "max_tokens": self.output,
            "capabilities": _capabilities(self),
        }


def _midnight(day: str) -> str | None:
    return f"{day}T00:00:00Z" if day else None


def _support(supported: bool) -> dict[str, bool]:
    return {"supported": supported}


def _capabilities(model: Model) -> dict[str, Any]:
    old = not model.adaptive
    return {
        "batch": _support(model.batch),
        "citations": _support(True),
        "code_execution": _support(model.adaptive),
        "context_management": {
            "supported": True,
            "clear_thinking_20251015": _support(True),
            "clear_tool_uses_20250919": _support(True),
            "compact_20260112": _support(model.adaptive),
        },
        "effort": {"supported": model.adaptive} | {level: _support(model.adaptive) for level in _EFFORTS},
        "image_input": _support(model.images),
        "pdf_input": _support(model.pdfs),
        "server_tools": {"supported": True, "code_execution": _support(True), "web_search": _support(True)},
        "structured_outputs": _support(model.structured_outputs),
        "thinking": {
            "supported": True,
            "types": {
                "adaptive": _support(model.adaptive),
                "between_tools": _support(model.adaptive),
                "disabled": _support(True),
                "enabled": _support(old),
            },
        },
    }


def _older(model_id: str, name: str, released: str, **rest: Any) -> Model:
    return Model(model_id, name, released, window=200_000, output=64_000, adaptive=False, prefill=True, **rest)


# Newest first, the order in which the API lists them.
MODELS = (
    Model("claude-haiku-5-5", "Claude Haiku 5.5", "2026-10-21"),
    Model("claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-10-07"),
    Model("claude-opus-5-5", "Claude Opus 5.5", "2026-09-23"),
    Model("claude-fable-5-2", "Claude Fable 5.2", "2026-09-09"),
    Model("claude-mythos-5-2", "Claude Mythos 5.2", "2026-09-09"),
    Model("claude-fable-5-1", "Claude Fable 5.1", "2026-08-05"),
    Model("claude-mythos-5-1", "Claude Mythos 5.1", "2026-08-05"),
    Model("claude-sonnet-5", "Claude Sonnet 5", "2026-07-15"),
    Model("claude-fable-5", "Claude Fable 5", "2026-07-01"),
    Model("claude-mythos-5", "Claude Mythos 5", "2026-07-01"),
    Model("claude-opus-5", "Claude Opus 5", "2026-06-17"),
    Model("claude-opus-4-8", "Claude Opus 4.8", "2026-05-13"),
    Model("claude-opus-4-7", "Claude Opus 4.7", "2026-04-15"),
    Model("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-17", output=64_000),
    Model("claude-opus-4-6", "Claude Opus 4.6", "2026-02-04"),
    _older(
        "claude-opus-4-5-20251101",
        "Claude Opus 4.5",
        "2025-11-24",
        aliases=("claude-opus-4-5",),
        lifecycle="deprecated",
        deprecated="2026-11-20",
        retires="2027-01-22",
    ),
    _older("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15", aliases=("claude-haiku-4-5",)),
    _older(
        "claude-sonnet-4-5-20250929",
        "Claude Sonnet 4.5",
        "2025-09-29",
        aliases=("claude-sonnet-4-5",),
        lifecycle="deprecated",
        deprecated="2026-05-30",
        retires="2026-11-30",
    ),
    Model(
        "claude-mythos-preview",
        "Claude Mythos Preview",
        "2026-04-07",
        lifecycle="retired",
        deprecated="2026-05-01",
        retires="2026-06-30",
    ),
    _older(
        "claude-opus-4-1-20250805",
        "Claude Opus 4.1",
        "2025-08-05",
        aliases=("claude-opus-4-1",),
        lifecycle="retired",
        deprecated="2026-06-05",
        retires="2026-08-05",
    ),
)


class Catalogue:
    """The models of one simulator.

    Parameters
    ----------
    more
        Models beside the known ones; one with the id of a known one takes its place.
    """

    def __init__(self, more: Iterable[Model] = ()) -> None:
        by_id = {model.id: model for model in (*MODELS, *more)}
        self.models = tuple(sorted(by_id.values(), key=lambda model: model.released, reverse=True))
        self._by_name = {name: model for model in by_id.values() for name in (*model.aliases, model.id)}

    def find(self, name: object) -> Model | None:
        """Return the model that a request may call by this name, retired ones included; None when there is none."""
        return self._by_name.get(name) if isinstance(name, str) else None
