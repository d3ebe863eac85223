"""What the scripts share: where the simulator is, what is asked, and the JSON that they print. Needs pydantic alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel

URL, KEY, MODEL = sys.argv[1:4]
ASK = "Classify the sentiment of this review: I love this lamp, it is perfect"
PICK = "Is this review positive or negative? I love this lamp, it is perfect"
SUMMARIZE = "Summarize this review: The lamp is bright and it works. It came on a Monday, in a large box."
WEATHER = "How is the weather in the city of Oslo?"


class Review(BaseModel):
    """The answer that is asked for."""

    label: Literal["positive", "negative", "neutral"]
    keywords: list[str]


def weather(city: str) -> str:
    """Tells the weather in a city.

    Args:
        city: The city.
    """
    return f"It is mild in {city}"


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    return value.model_dump() if isinstance(value, BaseModel) else value


def tell(**asked: Callable[[], Any]) -> None:
    """Ask each, and print all that came of it, as JSON on the last line."""
    told = {}
    for name, ask in asked.items():
        try:
            told[name] = plain(ask())
        except Exception as error:  # noqa: BLE001  # what a client raises is what is to be told
            told[name] = f"{type(error).__name__}: {error}"[:2000]
    print("\n" + json.dumps(told, default=str))
