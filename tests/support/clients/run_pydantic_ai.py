"""pydantic-ai: text, streams, structured answers by tool, by schema and by prompt, tools."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from shared import ASK, KEY, MODEL, PICK, SUMMARIZE, URL, WEATHER, Review, tell, weather

model = AnthropicModel(MODEL, provider=AnthropicProvider(api_key=KEY, base_url=URL))


def said(text: str, output: Any = str) -> Any:
    return Agent(model, output_type=output).run_sync(text).output


async def streamed() -> str:
    async with Agent(model).run_stream(SUMMARIZE) as stream:
        return await stream.get_output()


tell(
    text=lambda: said(PICK),
    stream=lambda: asyncio.run(streamed()),
    by_default=lambda: said(ASK, Review),
    by_tool=lambda: said(ASK, ToolOutput(Review)),
    by_schema=lambda: said(ASK, NativeOutput(Review)),
    by_prompt=lambda: said(ASK, PromptedOutput(Review)),
    tool_answer=lambda: Agent(model, tools=[weather]).run_sync(WEATHER).output,
)
