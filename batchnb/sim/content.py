"""What the API refuses in ``messages`` and ``system``: roles, empty text, unknown blocks, too many cache breakpoints.

Sources: platform.claude.com documentation; the block types of anthropic 2.12.0, compared with them by a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchnb.sim.wire import ApiError

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
_SOURCES = frozenset({"base64", "url", "file", "text", "content"})


def check_messages(messages: object, *, prefill: bool) -> None:
    """Raise ApiError for messages that the API would refuse.

    Parameters
    ----------
    messages
        The decoded ``messages``.
    prefill
        Whether the model lets the assistant speak last.
    """
    if not isinstance(messages, list):
        raise _invalid("messages: Input should be a valid array")
    if not messages:
        raise _invalid("messages: at least one message is required")
    last = len(messages) - 1
    for i, message in enumerate(messages):
        _check_fields(message, f"messages.{i}")
        final_assistant = i == last and message["role"] == "assistant"
        _check_content(message["content"], f"messages.{i}", may_be_empty=final_assistant)
    if messages[-1]["role"] == "assistant" and not prefill:
        raise _invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def check_system(system: object) -> None:
    """Raise ApiError for a system prompt that the API would refuse."""
    if isinstance(system, str):
        return
    if not isinstance(system, list):
        raise _invalid("system: Input should be a valid string or array")
    for i, block in enumerate(system):
        if not isinstance(block, dict) or block.get("type") != "text":
            raise _invalid(f"system.{i}.type: Input should be 'text'")
        _check_text(block, f"system.{i}", "system")


def count_breakpoints(params: Mapping[str, Any]) -> int:
    """Return how many ``cache_control`` markers the request carries, the top-level one included."""
    return sum(1 for block in breakpoint_blocks(params) if block.get("cache_control") is not None)


def breakpoint_blocks(params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield everything in a request that may carry ``cache_control``, in the order of the prompt."""
    for part in (params.get("tools"), params.get("system")):
        yield from _blocks(part)
    messages = params.get("messages")
    for message in messages if isinstance(messages, list) else ():
        yield from _blocks(message.get("content"))
    yield params


def _blocks(part: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, list):
        yield from (block for block in part if isinstance(block, dict))


def _check_fields(message: object, where: str) -> None:
    if not isinstance(message, dict):
        raise _invalid(f"{where}: Input should be an object")
    for name in ("role", "content"):
        if name not in message:
            raise _invalid(f"{where}.{name}: Field required")
    for name in message:
        if name not in ("role", "content"):
            raise _invalid(f"{where}.{name}: Extra inputs are not permitted")
    if message["role"] not in ROLES:
        raise _invalid(f"{where}.role: Input should be 'user', 'assistant' or 'system'")


def _check_content(content: object, where: str, *, may_be_empty: bool) -> None:
    if isinstance(content, str):
        if not content and not may_be_empty:
            raise _empty(where)
        if content and content.isspace():
            raise _invalid("messages: text content blocks must contain non-whitespace text")
        return
    if not isinstance(content, list):
        raise _invalid(f"{where}.content: Input should be a valid string or array")
    if not content and not may_be_empty:
        raise _empty(where)
    for i, block in enumerate(content):
        _check_block(block, f"{where}.content.{i}")


def _check_block(block: object, where: str) -> None:
    if not isinstance(block, dict):
        raise _invalid(f"{where}: Input should be an object")
    if "type" not in block:
        raise _invalid(f"{where}: Unable to extract tag using discriminator 'type'")
    kind = block["type"]
    if kind not in BLOCK_TYPES:
        expected = ", ".join(f"'{tag}'" for tag in sorted(BLOCK_TYPES))
        raise _invalid(
            f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {expected}"
        )
    if kind == "text":
        _check_text(block, where, "messages")
    elif kind in ("image", "document"):
        source = block.get("source")
        if not isinstance(source, dict):
            raise _invalid(f"{where}.{kind}.source: Field required")
        if source.get("type") not in _SOURCES:
            raise _invalid(f"{where}.{kind}.source: Input tag '{source.get('type')}' found using 'type' is not known")
    elif kind == "tool_result" and "tool_use_id" not in block:
        raise _invalid(f"{where}.tool_result.tool_use_id: Field required")


def _check_text(block: Mapping[str, Any], where: str, root: str) -> None:
    text = block.get("text")
    if text is None:
        raise _invalid(f"{where}.text.text: Field required")
    if not isinstance(text, str):
        raise _invalid(f"{where}.text.text: Input should be a valid string")
    if not text:
        if block.get("cache_control") is not None:
            raise _invalid(f"{where}.text: cache_control cannot be set for empty text blocks")
        raise _invalid(f"{root}: text content blocks must be non-empty")
    if text.isspace():
        raise _invalid(f"{root}: text content blocks must contain non-whitespace text")


def _empty(where: str) -> ApiError:
    allowed = "except for the optional final assistant message"
    return _invalid(f"{where}: all messages must have non-empty content {allowed}")


def _invalid(message: str) -> ApiError:
    return ApiError("invalid_request_error", message)
