"""What the SDK itself knows: names of parameters, and what a schema may hold."""

from __future__ import annotations

import functools
import typing
from typing import Any

from batchnb.api.loading import load

__all__ = ["message_fields", "transform_schema"]


def transform_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Turn a JSON schema into one that structured outputs take, by the SDK's own rule. Touches no network."""
    load()
    import anthropic

    return anthropic.transform_schema(schema)


@functools.cache
def message_fields(*, beta: bool) -> frozenset[str]:
    """Names a request's params may have, read from the SDK's own types."""
    load()
    if beta:
        from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming as Params
    else:
        from anthropic.types.message_create_params import (  # type: ignore[assignment]
            MessageCreateParamsNonStreaming as Params,
        )
    # Two headers of the SDK's method are listed among the body's fields.
    return frozenset(typing.get_type_hints(Params)) - {"betas", "workspace_id"}
