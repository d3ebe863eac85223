"""instructor: its tools mode, and its JSON mode, which writes the schema into the prompt."""

from __future__ import annotations

from typing import Any

import anthropic
import instructor
from shared import ASK, KEY, MODEL, URL, Review, tell


def said(mode: Any) -> Any:
    client = instructor.from_anthropic(anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0), mode=mode)
    messages = [{"role": "user", "content": ASK}]
    return client.messages.create(model=MODEL, max_tokens=4096, messages=messages, response_model=Review, max_retries=1)


tell(by_tool=lambda: said(instructor.Mode.ANTHROPIC_TOOLS), by_prompt=lambda: said(instructor.Mode.ANTHROPIC_JSON))
