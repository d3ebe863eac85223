"""chatlas, the nearest peer: its ``batch_chat_text``, in batches of 10,000, each with a file for its state."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import ANSWER, SYSTEM, Meter, frame_of, report, served
from benchmarks.stub import MODEL

BATCH = 10_000


def main(rows: int) -> None:
    chatlas: Any = importlib.import_module("chatlas")
    frame = frame_of(rows)
    with tempfile.TemporaryDirectory() as folder, served():
        meter = Meter()
        chat = chatlas.ChatAnthropic(model=MODEL, max_tokens=1024, system_prompt=SYSTEM, cache="none")
        answers: list[str | None] = []
        for start in range(0, rows, BATCH):
            prompts = frame["review"].iloc[start : start + BATCH].tolist()
            answers += chatlas.batch_chat_text(chat, prompts, Path(folder) / f"{start}.json")
        frame["answer"] = answers
        used = meter.read()
        assert (frame["answer"] == ANSWER).all()
        report(**used)


if __name__ == "__main__":
    main(int(sys.argv[1]))
