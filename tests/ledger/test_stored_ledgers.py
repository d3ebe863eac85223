"""Ledgers that earlier versions wrote: finished cells run on them send nothing, and give the same answers.

Run as a script, this writes such a ledger, as SQL, with the version that is installed.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bench import Bench
from independent import Server, Status, message, succeeded

from batchnb import Job, Workspace

pytest_plugins = ["bench_fixtures"]
pytestmark = pytest.mark.steady

DATA = Path(__file__).parent / "data"

FRAME = pd.DataFrame(
    {
        "review": ["good", "bad", None, "so so", "good", "눈부신 화면 👍", "{braces} & <tags>"],
        "stars": [5, 1, 3, 3, 5, 4, 2],
        "price": [1.5, 2.25, 3.0, 0.1, 1.5, 1e-9, 1e21],
        "tags": [["a", "b"], [], None, ["c"], ["a", "b"], ["d"], [1, 2.5]],
    },
    index=[f"r{number}" for number in range(7)],
)
SCHEMA = {
    "type": "object",
    "properties": {
        "tone": {"type": "string", "enum": ["warm", "cold"]},
        "kind": {"type": "string", "enum": ["x", "y"]},
    },
    "required": ["tone", "kind"],
    "additionalProperties": False,
}

TURNS = [
    {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "{review}"}
]  # fmt: skip

#: What cells ask, one kind each: the id of their job, the template, and options.
CELLS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "text": ("job_50c51e1c21a952dc", "Echo: {review}", {"into": "echo"}),
    "more columns": ("job_c403590df1622091", "{review}|{stars:02d}|{price}|{tags}", {"into": "many"}),
    "a default": ("job_65398a74988d4226", None, {"into": "plain"}),
    "labels": ("job_3227733fe5c49c33", "{review}", {"labels": ["good", "bad"], "into": "label"}),
    "explained": (
        "job_1b09ee491ba23288", None,
        {"labels": {"good": "it is", "bad": "it is not"}, "explain": True, "into": "why"},
    ),
    "several": (
        "job_1bd358d1f5987e68", None, {"labels": ["a", "b"], "multiple": True, "other": "none", "into": "some"}
    ),
    "a schema": ("job_93228d6c273530ce", "{review}", {"schema": SCHEMA}),
    "system and samples": (
        "job_5040dde06d582394", "{review}", {"system": "Be brief.", "samples": 2, "into": "two"}
    ),
    "turns": ("job_285728fd1b7f01ed", TURNS, {"into": "turns"}),
    "examples": ("job_baffea2e94cff6e6", "{review}", {"examples": [("fine", "good")], "into": "shown"}),
    "params": (
        "job_57602253c8c3a6e1", "{review}",
        {"params": {"stop_sequences": ["."]}, "max_tokens": 50, "into": "cut"},
    ),
    "rows": ("job_669ff6458c15b02e", lambda row: f"{row['review']}: {row['stars']}", {"into": "called"}),
    "a key": ("job_b01ddcfda40776b7", "{review}", {"key": "stars", "into": "keyed"}),
}  # fmt: skip


def reply(params: dict[str, Any]) -> dict[str, Any]:
    """Answer a schema with the first that it allows, and all else with the text that was asked."""
    schema = params.get("output_config", {}).get("format", {}).get("schema")
    if schema is None:
        return succeeded(params)
    said = json.dumps({name: first(part) for name, part in schema["properties"].items()})
    return {"type": "succeeded", "message": message(params, said)}


def first(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    return [first(schema["items"])] if schema.get("type") == "array" else "since it is"


def run(name: str, place: Workspace) -> Job:
    """Run a cell."""
    _, template, options = CELLS[name]
    frame = FRAME.drop(["r3", "r4"]) if "key" in options else FRAME  # whose key must be there once
    return frame.batch.submit("review", template, workspace=place, progress=False, model="claude-haiku-4-5", **options)


def written(path: Path) -> str:
    """Return a ledger as SQL, with the number of its version."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        return "\n".join(
            [*db.iterdump(), f"PRAGMA user_version = {version};", f"PRAGMA application_id = {application};"]
        )


def write(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, Server() as server, contextlib.ExitStack() as stack:
        server.result = reply
        bench = Bench(server, Path(folder) / "home", stack)
        for name in CELLS:
            job = run(name, bench.workspace)
            assert set(job.result(60).filter(regex="_status$").stack()) <= {"succeeded", "skipped"}, name
            print(f"{name}: {job.id} {dict(job.counts)}")
        bench.workspace.close()
        (path,) = (bench.home / "ledgers").glob("*.sqlite")
        (target / f"{path.stem}.sql").write_text(written(path) + "\n", encoding="utf-8")


@pytest.fixture(params=sorted(DATA.glob("ledger_*.sql")), ids=lambda path: path.stem)
def stored(request: pytest.FixtureRequest, bench: Bench) -> Bench:
    """A bench whose home holds a stored ledger; nothing can be bought there."""
    (bench.home / "ledgers").mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(bench.home / "ledgers" / "independent-7560401b.sqlite")) as db:
        db.executescript(request.param.read_text(encoding="utf-8"))
    bench.server.always["create"] = Status(400)
    return bench


def test_finished_cells_send_nothing_and_give_what_they_gave(stored: Bench):
    answered = stored.workspace
    for name in CELLS:
        job = run(name, answered)
        assert job.id == CELLS[name][0], name
        frame = job.result(30)
        assert set(frame.filter(regex="_status$").stack()) == {"succeeded", "skipped"}
        assert not stored.server.called("POST", "batches"), name
    assert len(answered.jobs()) == len(CELLS)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
