"""The models that the simulator knows: what ``GET /v1/models`` tells of them, and what each refuses.

Sources: anthropic 2.14.0 (names, retirement dates, the shape of ``ModelInfo``, the order in which models are listed:
newest first), platform.claude.com documentation (release dates, windows, outputs, thinking, effort, forced tools, fast
speed, inference geography). Unverified: everything about ``claude-mythos-preview`` but its dates, and whether the 5.2
models differ from 5.1. No model that the SDK still names is known to lack batches, structured outputs, images or PDFs:
a test that needs one makes it up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_LINES = ("haiku", "sonnet", "opus", "fable", "mythos")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
KINDS_OF_THINKING = ("adaptive", "between_tools", "disabled", "enabled")


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
    thinks
        Whether it thinks where a request does not say whether to.
    thinking
        The kinds of thinking that it takes: ``adaptive``, ``between_tools``, ``disabled``, ``enabled``.
    efforts
        The levels of effort that it takes; empty where it takes none.
    effort
        The level that it uses where none is given.
    forced_tool
        Whether ``tool_choice`` may be ``any`` or ``tool``.
    sampling
        Whether older versions of the API take ``temperature`` and its like; else only their defaults.
    long_output
        Whether it takes the beta for answers of 300,000 tokens in batches.
    geography
        Whether it takes ``inference_geo``.
    fast
        Whether it takes the fast speed: ``"general"``, ``"beta"`` (with a beta header), or empty.
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
    thinks: bool = False
    thinking: tuple[str, ...] = ("adaptive", "disabled")
    efforts: tuple[str, ...] = EFFORTS
    effort: str = "high"
    forced_tool: bool = True
    sampling: bool = False
    long_output: bool = False
    geography: bool = True
    fast: str = ""
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
    new = "adaptive" in model.thinking
    return {
        "batch": _support(model.batch),
        "citations": _support(True),
        "code_execution": _support(new),
        "context_management": {
            "supported": True,
            "clear_thinking_20251015": _support(True),
            "clear_tool_uses_20250919": _support(True),
            "compact_20260112": _support(new),
        },
        "effort": _support(bool(model.efforts)) | {level: _support(level in model.efforts) for level in EFFORTS},
        "image_input": _support(model.images),
        "pdf_input": _support(model.pdfs),
        "server_tools": {"supported": True, "code_execution": _support(True), "web_search": _support(True)},
        "structured_outputs": _support(model.structured_outputs),
        "thinking": {
            "supported": bool({"adaptive", "enabled"} & set(model.thinking)),
            "types": {kind: _support(kind in model.thinking) for kind in KINDS_OF_THINKING},
        },
    }


# How models think. Kinds that are not named are refused.
_ALWAYS: dict[str, Any] = {"thinks": True, "thinking": ("adaptive",)}
_UNLESS_DISABLED: dict[str, Any] = {"thinks": True, "thinking": ("adaptive", "disabled")}
_UNLESS_BETWEEN_TOOLS: dict[str, Any] = {"thinks": True, "thinking": ("adaptive", "between_tools")}
_WHEN_ASKED: dict[str, Any] = {"thinking": ("adaptive", "disabled")}
_WHEN_ASKED_OR_ENABLED: dict[str, Any] = {"thinking": ("adaptive", "disabled", "enabled")}
_WHEN_ENABLED: dict[str, Any] = {"thinking": ("disabled", "enabled")}
# What else sets them apart.
_UNFORCED: dict[str, Any] = {"forced_tool": False}
_LONG: dict[str, Any] = {"long_output": True}
_NO_XHIGH: dict[str, Any] = {"efforts": ("low", "medium", "high", "max"), "sampling": True}
_SMALL: dict[str, Any] = {
    "window": 200_000, "output": 64_000, "sampling": True, "geography": False, "prefill": True, "efforts": (),
}  # fmt: skip
_RETIRED: dict[str, Any] = {"lifecycle": "retired"}
_DEPRECATED: dict[str, Any] = {"lifecycle": "deprecated"}

# Newest first, the order in which the API lists them.
MODELS = (
    Model("claude-fable-5-2", "Claude Fable 5.2", "2026-11-09", **_ALWAYS, **_UNFORCED, fast="general"),
    Model("claude-mythos-5-2", "Claude Mythos 5.2", "2026-11-09", **_ALWAYS, **_UNFORCED, fast="general"),
    Model("claude-haiku-5-5", "Claude Haiku 5.5", "2026-10-07", **_UNLESS_DISABLED, **_LONG, effort="medium"),
    Model("claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-09-28", **_UNLESS_BETWEEN_TOOLS, **_UNFORCED, **_LONG),
    Model("claude-opus-5-5", "Claude Opus 5.5", "2026-09-22", **_ALWAYS, **_UNFORCED, **_LONG, effort="medium",
          fast="general"),
    Model("claude-fable-5-1", "Claude Fable 5.1", "2026-09-01", **_ALWAYS, **_UNFORCED),
    Model("claude-mythos-5-1", "Claude Mythos 5.1", "2026-09-01", **_ALWAYS, **_UNFORCED),
    Model("claude-opus-5", "Claude Opus 5", "2026-07-24", **_UNLESS_DISABLED, **_LONG, fast="beta"),
    Model("claude-sonnet-5", "Claude Sonnet 5", "2026-06-30", **_UNLESS_DISABLED, **_LONG),
    Model("claude-fable-5", "Claude Fable 5", "2026-06-09", **_ALWAYS),
    Model("claude-mythos-5", "Claude Mythos 5", "2026-06-09", **_ALWAYS),
    Model("claude-opus-4-8", "Claude Opus 4.8", "2026-05-28", **_WHEN_ASKED, **_LONG),
    Model("claude-opus-4-7", "Claude Opus 4.7", "2026-04-16", **_WHEN_ASKED, **_LONG),
    Model("claude-mythos-preview", "Claude Mythos Preview", "2026-04-07", **_ALWAYS, **_RETIRED,
          deprecated="2026-05-01", retires="2026-06-30"),
    Model("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-17", **_WHEN_ASKED_OR_ENABLED, **_NO_XHIGH, **_LONG),
    Model("claude-opus-4-6", "Claude Opus 4.6", "2026-02-05", **_WHEN_ASKED_OR_ENABLED, **_NO_XHIGH, **_LONG),
    Model("claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-24", aliases=("claude-opus-4-5",), **_WHEN_ENABLED,
          **_SMALL | {"efforts": ("low", "medium", "high")}, **_DEPRECATED, deprecated="2026-11-23",
          retires="2027-01-22"),
    Model("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15", aliases=("claude-haiku-4-5",),
          **_WHEN_ENABLED, **_SMALL),
    Model("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29", aliases=("claude-sonnet-4-5",),
          **_WHEN_ENABLED, **_SMALL, **_RETIRED, deprecated="2026-05-30", retires="2026-11-30"),
    Model("claude-opus-4-1-20250805", "Claude Opus 4.1", "2025-08-05", aliases=("claude-opus-4-1",), **_WHEN_ENABLED,
          **_SMALL, **_RETIRED, deprecated="2026-06-05", retires="2026-08-05"),
)  # fmt: skip


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
