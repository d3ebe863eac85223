"""Which top-level parameters each endpoint takes: a table of its own, compared with the SDK's types by a test.

Source: anthropic 2.12.0 (the parameter types of ``messages``, ``messages.batches`` and ``count_tokens``, and their
beta counterparts). ``betas``, ``workspace_id`` and ``user_profile_id`` travel as headers; the last may also stand in
the body.
"""

from __future__ import annotations

MESSAGE = frozenset(
    {
        "cache_control",
        "container",
        "diagnostics",
        "inference_geo",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "thinking",
        "tool_choice",
        "tools",
        "user_profile_id",
    }
)

COUNT_TOKENS = frozenset(
    {
        "cache_control",
        "messages",
        "model",
        "output_config",
        "speed",
        "system",
        "thinking",
        "tool_choice",
        "tools",
        "user_profile_id",
    }
)

# Taken only by the beta namespace (an `anthropic-beta` header or `?beta=true`).
BETA_MESSAGE = frozenset(
    {
        "billing_policy",
        "compaction",
        "context_management",
        "fallback_credit_token",
        "fallbacks",
        "mcp_servers",
        "thread",
    }
)

BETA_COUNT_TOKENS = frozenset({"billing_policy", "compaction", "context_management", "mcp_servers"})

HEADER_PARAMETERS = frozenset({"betas", "workspace_id"})

# Refused since version 2026-10-21 of the API (platform.claude.com documentation); older clients, which name an older
# version in their `anthropic-version` header, may still send them.
SAMPLING = frozenset({"temperature", "top_p", "top_k"})
SAMPLING_REFUSED_SINCE = "2026-10-21"


def allowed(endpoint: str, *, version: str, beta: bool) -> frozenset[str]:
    """Return the top-level parameters that an endpoint takes.

    Parameters
    ----------
    endpoint
        ``"messages"``, ``"batch"`` or ``"count_tokens"``.
    version
        The ``anthropic-version`` of the request.
    beta
        Whether the request used the beta namespace.
    """
    counting = endpoint == "count_tokens"
    names = COUNT_TOKENS if counting else MESSAGE
    if beta:
        names |= BETA_COUNT_TOKENS if counting else BETA_MESSAGE
    if version < SAMPLING_REFUSED_SINCE and not counting:
        names |= SAMPLING
    return names
