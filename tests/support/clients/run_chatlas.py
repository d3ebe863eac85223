"""chatlas: text, streams, structured answers, tools, its own batches, models, counting."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import chatlas
from shared import ASK, KEY, MODEL, PICK, SUMMARIZE, URL, WEATHER, Review, plain, tell, weather


def chat() -> Any:
    return chatlas.ChatAnthropic(model=MODEL, api_key=KEY, max_tokens=4096, kwargs={"base_url": URL})


def with_tool() -> str:
    asked = chat()
    asked.register_tool(weather)
    return str(asked.chat(WEATHER, echo="none"))


def batch() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        found = chatlas.batch_chat_structured(chat(), [ASK, ASK], Path(folder) / "state.json", Review)
    return [plain(one) for one in found]


tell(
    text=lambda: str(chat().chat(PICK, echo="none")),
    stream=lambda: "".join(chat().stream(SUMMARIZE, echo="none")),
    by_schema=lambda: chat().chat_structured(ASK, data_model=Review),
    tool_answer=with_tool,
    batch=batch,
    models=lambda: any(info["id"].startswith(MODEL) for info in chat().list_models()),
    tokens=lambda: chat().token_count(PICK),
)
