"""What the API refuses in ``messages`` and ``system``: roles, empty text, unknown blocks, too many cache breakpoints.

Sources: platform.claude.com documentation; the block types of anthropic 2.12.0, compared with them by a test.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from batchnb.sim.rules.attachments import Attachments, sources
from batchnb.sim.wire import ApiError, invalid

ROLES = ("user", "assistant", "system")

# The `type` tags of the SDK's ContentBlockParam and BetaContentBlockParam.
BLOCK_TYPES = frozenset(
    {
        "advisor_tool_result",
        "bash_code_execution_tool_result",
        "code_execution_tool_result",
        "compaction",
        "container_upload",
        "document",
        "fallback",
        "image",
        "mcp_tool_listing",
        "mcp_tool_result",
        "mcp_tool_use",
        "redacted_thinking",
        "search_result",
        "server_tool_use",
        "text",
        "text_editor_code_execution_tool_result",
        "thinking",
        "tool_addition",
        "tool_removal",
        "tool_result",
        "tool_search_tool_result",
        "tool_use",
        "web_fetch_tool_result",
        "web_search_tool_result",
    }
)
_MAX_BREAKPOINTS = 4


def check_messages(messages: object, attachments: Attachments, *, prefill: bool) -> None:
    """Raise ApiError for messages that the API would refuse.

    Parameters
    ----------
    messages
        The decoded ``messages``.
    attachments
        Collects their images and documents.
    prefill
        Whether the model lets the assistant speak last.
    """
    if not isinstance(messages, list):
        raise invalid("messages: Input should be a valid array")
    if not messages:
        raise invalid("messages: at least one message is required")
    last = len(messages) - 1
    for i, message in enumerate(messages):
        _check_fields(message, f"messages.{i}")
        final_assistant = i == last and message["role"] == "assistant"
        _check_content(message["content"], f"messages.{i}", attachments, may_be_empty=final_assistant)
    if messages[-1]["role"] == "assistant" and not prefill:
        raise invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def check_system(system: object) -> None:
    """Raise ApiError for a system prompt that the API would refuse."""
    if isinstance(system, str):
        return
    if not isinstance(system, list):
        raise invalid("system: Input should be a valid string or array")
    for i, block in enumerate(system):
        if not isinstance(block, dict) or block.get("type") != "text":
            raise invalid(f"system.{i}.type: Input should be 'text'")
        _check_text(block, f"system.{i}", "system")


def check_breakpoints(params: Mapping[str, Any]) -> None:
    """Raise ApiError for a malformed ``cache_control``, or for more of them than the API takes."""
    found = breakpoints(params)
    for mark in found:
        tagged(mark, "cache_control", ("ephemeral",))
        if mark.get("ttl") not in (None, "5m", "1h"):
            raise invalid("cache_control.ephemeral.ttl: Input should be '5m' or '1h'")
    if len(found) > _MAX_BREAKPOINTS:
        raise invalid(f"A maximum of {_MAX_BREAKPOINTS} blocks with cache_control may be provided. Found {len(found)}.")


def breakpoints(params: Mapping[str, Any]) -> list[Any]:
    """Return every ``cache_control`` of a request whose messages are well-formed, in the order of the prompt."""
    parts = [params.get("tools"), params.get("system"), *(message["content"] for message in params["messages"])]
    blocks = [block for part in parts if isinstance(part, list) for block in part if isinstance(block, dict)]
    return [block["cache_control"] for block in (*blocks, params) if block.get("cache_control") is not None]


def tagged(value: object, where: str, tags: Collection[str]) -> tuple[str, dict[str, Any]]:
    """Return an object's ``type``, which must be one of the tags, and the object.

    Raises
    ------
    ApiError
        400 where it is no object, or has no such tag.
    """
    if not isinstance(value, dict):
        raise invalid(f"{where}: Input should be an object")
    if "type" not in value:
        raise invalid(f"{where}: Unable to extract tag using discriminator 'type'")
    kind = value["type"]
    if not isinstance(kind, str) or kind not in tags:
        expected = ", ".join(f"'{tag}'" for tag in sorted(tags))
        raise invalid(
            f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {expected}"
        )
    return kind, value


def _check_fields(message: object, where: str) -> None:
    if not isinstance(message, dict):
        raise invalid(f"{where}: Input should be an object")
    for name in ("role", "content"):
        if name not in message:
            raise invalid(f"{where}.{name}: Field required")
    for name in message:
        if name not in ("role", "content"):
            raise invalid(f"{where}.{name}: Extra inputs are not permitted")
    if message["role"] not in ROLES:
        raise invalid(f"{where}.role: Input should be 'user', 'assistant' or 'system'")


def _check_content(content: object, where: str, attachments: Attachments, *, may_be_empty: bool) -> None:
    if isinstance(content, str):
        if not content and not may_be_empty:
            raise _empty(where)
        if content and content.isspace():
            raise invalid("messages: text content blocks must contain non-whitespace text")
        return
    if not isinstance(content, list):
        raise invalid(f"{where}.content: Input should be a valid string or array")
    if not content and not may_be_empty:
        raise _empty(where)
    for i, block in enumerate(content):
        _check_block(block, f"{where}.content.{i}", attachments)


def _check_block(block: object, where: str, attachments: Attachments) -> None:
    kind, fields = tagged(block, where, BLOCK_TYPES)
    if kind == "text":
        _check_text(fields, where, "messages")
    elif kind in ("image", "document"):
        if "source" not in fields:
            raise invalid(f"{where}.{kind}.source: Field required")
        tag, source = tagged(fields["source"], f"{where}.{kind}.source", sources(kind))
        attachments.check(kind, fields, where)
        if tag == "content":
            _check_nested(source["content"], f"{where}.document.source.content", attachments)
    elif kind == "tool_result":
        if "tool_use_id" not in fields:
            raise invalid(f"{where}.tool_result.tool_use_id: Field required")
        _check_nested(fields.get("content"), f"{where}.tool_result", attachments)


def _check_nested(content: object, where: str, attachments: Attachments) -> None:
    """Look at the images and documents inside another block; what else may stand there is not checked."""
    for i, block in enumerate(content if isinstance(content, list) else ()):
        if isinstance(block, dict) and block.get("type") in ("image", "document"):
            _check_block(block, f"{where}.content.{i}", attachments)


def _check_text(block: Mapping[str, Any], where: str, root: str) -> None:
    text = block.get("text")
    if text is None:
        raise invalid(f"{where}.text.text: Field required")
    if not isinstance(text, str):
        raise invalid(f"{where}.text.text: Input should be a valid string")
    if not text:
        if block.get("cache_control") is not None:
            raise invalid(f"{where}.text: cache_control cannot be set for empty text blocks")
        raise invalid(f"{root}: text content blocks must be non-empty")
    if text.isspace():
        raise invalid(f"{root}: text content blocks must contain non-whitespace text")


def _empty(where: str) -> ApiError:
    allowed = "except for the optional final assistant message"
    return invalid(f"{where}: all messages must have non-empty content {allowed}")
