"""What reply is asked for, how it is read back, and which columns it gives. Pure."""

from __future__ import annotations

from typing import Any

from batchnb.schemas.fields import Field, Kind, pick
from batchnb.schemas.labels import LabelReply
from batchnb.schemas.replies import MisfitError, Reply, TextReply, ToolCall, ToolReply

__all__ = [
    "Field",
    "Kind",
    "LabelReply",
    "MisfitError",
    "Reply",
    "TextReply",
    "ToolCall",
    "ToolReply",
    "pick",
    "reply_from_spec",
]


def reply_from_spec(spec: dict[str, Any]) -> Reply:
    """Rebuild a reply from what its ``spec()`` described."""
    if spec["kind"] == "labels":
        return LabelReply.from_spec(spec)
    if spec["kind"] == "tools":
        return ToolReply(tuple(spec["tools"]))
    return TextReply()
