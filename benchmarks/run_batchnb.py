"""batchnb: from a frame to the merged column, with the ledger on; the same cell once more; and the ledger's size."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import anthropic  # noqa: F401  # imports are not part of what is measured
import msgspec
import pandas as pd

from benchmarks.measure import ANSWER, SYSTEM, Meter, frame_of, report, served
from benchmarks.stub import MODEL, RESULT


def main(rows: int) -> None:
    frame = frame_of(rows)
    with tempfile.TemporaryDirectory() as home, served():
        import batchnb.jobs.workspace
        import batchnb.planning.arguments

        workspace = batchnb.Workspace(home=home)

        def cell(frame: pd.DataFrame) -> batchnb.Job:
            return frame.batch.submit(
                "review", labels=None, model=MODEL, system=SYSTEM, into="answer", workspace=workspace
            )

        meter = Meter()
        job = cell(frame)
        submitted = meter.read()
        answers = job.result(3_600)
        used = meter.read()
        assert (answers["answer"] == ANSWER).all()
        sent = len(batchnb.batches(1_000, workspace=workspace).to_frame())
        del job, answers
        started = time.perf_counter()
        assert (cell(frame).result(60)["answer"] == ANSWER).all()
        again = time.perf_counter() - started
        assert len(batchnb.batches(1_000, workspace=workspace).to_frame()) == sent, "the second run has sent something"
        workspace.close()
        size = sum(path.stat().st_size for path in Path(home).rglob("*") if path.is_file())
        workspace = batchnb.Workspace(home=home)
        longer = pd.concat([frame, frame.head(100) + " And 100 more."], ignore_index=True)
        started = time.perf_counter()
        job = cell(longer)
        more = time.perf_counter() - started
        assert (job.result(600)["answer"] == ANSWER).all()
        assert len(batchnb.batches(1_000, workspace=workspace).to_frame()) == sent + 2, "more than 100 rows were sent"
        workspace.close()
        texts = sum(len(msgspec.json.encode(text)) for text in frame["review"])
        report(**used, submit=submitted["cpu"], again=again, more=more, ledger=size / (texts + rows * len(RESULT)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
