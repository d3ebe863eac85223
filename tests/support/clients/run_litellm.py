"""litellm: text, streams, ``response_format`` with a model and with JSON, tools."""

from __future__ import annotations

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it looks for a newer one on the net

import litellm
from shared import ASK, KEY, MODEL, PICK, SUMMARIZE, URL, WEATHER, Review, tell

TOOL = {
    "name": "weather",
    "description": "Tells the weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def ask(text: str, **options: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return litellm.completion(
        model=f"anthropic/{MODEL}",
        api_base=URL,
        api_key=KEY,
        max_tokens=4096,
        num_retries=0,
        messages=messages,
        **options,
    )


def said(text: str, **options: Any) -> Any:
    return ask(text, **options).choices[0].message.content


def called() -> Any:
    answer = ask(WEATHER, tools=[{"type": "function", "function": TOOL}])
    return litellm.json.loads(answer.choices[0].message.tool_calls[0].function.arguments)


tell(
    text=lambda: said(PICK),
    stream=lambda: "".join(chunk.choices[0].delta.content or "" for chunk in ask(SUMMARIZE, stream=True)),
    by_schema=lambda: Review.model_validate_json(said(ASK, response_format=Review)),
    by_json=lambda: Review.model_validate_json(
        said(f"Answer in JSON with the keys label and keywords. {ASK}", response_format={"type": "json_object"})
    ),
    tool_call=called,
    used=lambda: ask(PICK).usage.prompt_tokens,
)
