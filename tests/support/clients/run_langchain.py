"""langchain-anthropic: text, streams, both ways to structured answers, tools, counting."""

from __future__ import annotations

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from shared import ASK, KEY, MODEL, PICK, SUMMARIZE, URL, WEATHER, Review, tell, weather

chat = ChatAnthropic(model=MODEL, base_url=URL, api_key=KEY, max_tokens=4096, max_retries=0)
tell(
    text=lambda: chat.invoke(PICK).text,
    stream=lambda: "".join(chunk.text for chunk in chat.stream(SUMMARIZE)),
    by_tool=lambda: chat.with_structured_output(Review, method="function_calling").invoke(ASK),
    by_schema=lambda: chat.with_structured_output(Review, method="json_schema").invoke(ASK),
    tool_call=lambda: chat.bind_tools([weather]).invoke(WEATHER).tool_calls[0]["args"],
    tokens=lambda: chat.get_num_tokens_from_messages([HumanMessage(PICK)]),
    used=lambda: chat.invoke(PICK).usage_metadata["input_tokens"],
)
