"""The SDK's loop as Anthropic's guides write it: requests, create, poll, results, and a look-up by custom_id.

In batches of 10,000, as batchnb makes them by itself, so that neither holds more at a time than the other. It keeps
nothing: when the kernel dies, everything is bought again.
"""

from __future__ import annotations

import sys
import time

import anthropic
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from anthropic.types.messages.batch_create_params import Request

from benchmarks.measure import ANSWER, SYSTEM, Meter, frame_of, report, served
from benchmarks.stub import MODEL

BATCH = 10_000


def main(rows: int) -> None:
    frame = frame_of(rows)
    with served():
        meter = Meter()
        client = anthropic.Anthropic()
        batches = []
        for start in range(0, rows, BATCH):
            requests = [
                Request(
                    custom_id=f"row-{row}",
                    params=MessageCreateParamsNonStreaming(
                        model=MODEL,
                        max_tokens=1024,
                        system=SYSTEM,
                        messages=[{"role": "user", "content": text}],
                    ),
                )
                for row, text in enumerate(frame["review"].iloc[start : start + BATCH], start)
            ]
            batches.append(client.messages.batches.create(requests=requests))
        submitted = meter.read()
        answers = {}
        for batch in batches:
            while client.messages.batches.retrieve(batch.id).processing_status != "ended":
                time.sleep(1)
            for result in client.messages.batches.results(batch.id):
                match result.result.type:
                    case "succeeded":
                        answers[result.custom_id] = result.result.message.content[0].text
                    case _:
                        answers[result.custom_id] = None
        frame["answer"] = [answers.get(f"row-{row}") for row in range(rows)]
        used = meter.read()
        assert (frame["answer"] == ANSWER).all()
        report(**used, submit=submitted["cpu"])


if __name__ == "__main__":
    main(int(sys.argv[1]))
