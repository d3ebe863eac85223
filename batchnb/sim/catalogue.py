"""The models that the simulator knows, as ``GET /v1/models`` tells them.

Sources: anthropic 2.12.0 (names, deprecation dates and the shape of ``ModelInfo``), platform.claude.com
documentation (the models with a published price). Release dates, context windows, output limits and the capabilities
of single models are plausible but unverified; nothing outside the simulator should rest on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_EFFORTS = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True)
class Model:
    """One row of the catalogue.

    Parameters
    ----------
    id
        The canonical id, which responses carry.
    name
        The display name.
    released, deprecated, retires
        Dates as ``YYYY-MM-DD``; the last two are empty while they are unknown.
    window, output
        The context window and the largest ``max_tokens``, in tokens.
    adaptive
        Whether the model takes ``thinking: adaptive``, effort and the newer context management.
    prefill
        Whether the last message may be the assistant's.
    aliases
        Shorter names that requests may use.
    """

    id: str
    name: str
    released: str
    window: int = 1_000_000
    output: int = 128_000
    adaptive: bool = True
    prefill: bool = False
    deprecated: str = ""
    retires: str = ""
    lifecycle: str = "active"
    aliases: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The model line, such as ``"haiku"``."""
        return self.id.split("-")[1]

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
        "batch": _support(True),
        "citations": _support(True),
        "code_execution": _support(model.adaptive),
        "context_management": {
            "supported": True,
            "clear_thinking_20251015": _support(True),
            "clear_tool_uses_20250919": _support(True),
            "compact_20260112": _support(model.adaptive),
        },
        "effort": {"supported": model.adaptive} | {level: _support(model.adaptive) for level in _EFFORTS},
        "image_input": _support(True),
        "pdf_input": _support(True),
        "server_tools": {"supported": True, "code_execution": _support(True), "web_search": _support(True)},
        "structured_outputs": _support(True),
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
    _older("claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-24", aliases=("claude-opus-4-5",)),
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

_BY_NAME = {name: model for model in MODELS for name in (model.id, *model.aliases)}


def find(name: object) -> Model | None:
    """Return the model that a request may call by this name, retired ones included; None when there is none."""
    return _BY_NAME.get(name) if isinstance(name, str) else None
