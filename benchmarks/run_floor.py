"""The floor: the same bytes through the same server, and their JSON written and read. No SDK, no ledger, no frame."""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit

import msgspec

from benchmarks.measure import ANSWER, SYSTEM, Meter, frame_of, report, served
from benchmarks.stub import MODEL

BATCH = 10_000


class _Block(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    content: list[_Block]


class _Result(msgspec.Struct):
    message: _Message


class _Line(msgspec.Struct):
    custom_id: str
    result: _Result


def main(rows: int) -> None:
    frame = frame_of(rows)
    with served() as address:
        meter = Meter()
        server = http.client.HTTPConnection(urlsplit(address).netloc)
        decode = msgspec.json.Decoder(_Line).decode
        answers = {}
        for start in range(0, rows, BATCH):
            params = {"model": MODEL, "max_tokens": 1024, "system": SYSTEM}
            asked = [
                {"custom_id": f"row-{row}", "params": params | {"messages": [{"role": "user", "content": text}]}}
                for row, text in enumerate(frame["review"].iloc[start : start + BATCH], start)
            ]
            server.request("POST", "/v1/messages/batches", msgspec.json.encode({"requests": asked}))
            batch = msgspec.json.decode(server.getresponse().read())["id"]
            server.request("GET", f"/v1/messages/batches/{batch}/results")
            for line in server.getresponse().read().splitlines():
                result = decode(line)
                answers[result.custom_id] = result.result.message.content[0].text
        used = meter.read()
        assert set(answers.values()) == {ANSWER}
        report(**used)


if __name__ == "__main__":
    main(int(sys.argv[1]))
