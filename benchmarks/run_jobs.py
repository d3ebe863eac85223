"""The table of jobs, of a ledger that has many."""

from __future__ import annotations

import os
import sys
import tempfile

from benchmarks.measure import Meter, frame_of, report, served
from benchmarks.stub import MODEL


def main(jobs: int) -> None:
    with tempfile.TemporaryDirectory() as home, served():
        os.environ["BATCHNB_HOME"] = home
        import batchnb

        frames = [frame_of(3).assign(review=lambda frame, job=job: frame["review"] + f" {job}") for job in range(jobs)]
        made = [frame.batch.submit("review", labels=None, model=MODEL, into="answer") for frame in frames]
        for job in made:
            job.result(600)
        batchnb.jobs().to_frame()  # what it imports is not part of what is measured
        meter = Meter()
        assert len(batchnb.jobs().to_frame()) == jobs
        report(**meter.read())


if __name__ == "__main__":
    main(int(sys.argv[1]))
