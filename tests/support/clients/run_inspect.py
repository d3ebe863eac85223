"""inspect-ai: an evaluation by messages, by batches, with tools and with a schema."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from shared import KEY, MODEL, PICK, URL, Review, tell

os.environ.update(ANTHROPIC_BASE_URL=URL, ANTHROPIC_API_KEY=KEY, INSPECT_DISPLAY="none")

from inspect_ai import Task
from inspect_ai import eval as evaluate
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, ResponseSchema
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import tool
from inspect_ai.util import json_schema

SAMPLES = [
    Sample(input=PICK, target="positive"),
    Sample(input="Is this review positive or negative? Terrible lamp, it broke", target="negative"),
]
SCHEMA = ResponseSchema(name="review", json_schema=json_schema(Review))


@tool
def weather() -> Any:
    async def execute(city: str) -> str:
        """Tells the weather in a city.

        Args:
            city: The city.
        """
        return f"It is mild in {city}"

    return execute


def score(*, before: Any = (), **config: Any) -> float:
    task = Task(dataset=SAMPLES, solver=[*before, generate()], scorer=includes(), config=GenerateConfig(**config))
    with tempfile.TemporaryDirectory() as folder:
        (log,) = evaluate(task, model=f"anthropic/{MODEL}", log_dir=folder)
    if log.error is not None:
        raise RuntimeError(log.error.message[-1500:])
    return float(log.results.scores[0].metrics["accuracy"].value)


tell(
    messages=score,
    batches=lambda: score(batch=True),
    tools=lambda: score(before=[use_tools(weather())]),
    by_schema=lambda: score(response_schema=SCHEMA),
)
