"""What a job takes from what runs beside it: from a cell that computes, and from an event loop.

A cell computes in plain Python, which holds Python's lock all the time, or in NumPy, which lets it go and uses every
core; what it loses is told by its own speed before and after. The server runs on the same machine, and takes its part.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable

import numpy as np

import batchnb
from benchmarks.measure import SYSTEM, frame_of, report, served
from benchmarks.stub import MODEL

#: Seconds of one look at how fast it goes, and how many of them tell how fast it goes alone, before and after.
LOOK, LOOKS = 0.25, 16

_MATRIX = np.random.default_rng(1).random((400, 400))


def python() -> None:
    total = 0
    for number in range(10_000):
        total += number


def numpy() -> None:
    _MATRIX @ _MATRIX


def speed(work: Callable[[], None]) -> float:
    """Return how often something is done in a second."""
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < LOOK:
        work()
        done += 1
    return done / (time.perf_counter() - started)


def lost(work: Callable[[], None], job: batchnb.Job, before: list[float]) -> float:
    """Return the part of its speed that something loses until the job has ended."""
    during = []
    while not job.done():
        during.append(speed(work))
    alone = before + [speed(work) for _ in range(len(before))]
    return 1 - statistics.mean(during) / statistics.mean(alone)


async def stall(job: batchnb.Job) -> float:
    """Return the longest time for which an event loop did not come round while the job is awaited."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            last = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - last)

    ticking = asyncio.create_task(tick())
    await job
    await asyncio.sleep(0)  # so that the last stretch counts
    ticking.cancel()
    return longest


def main(rows: int) -> None:
    frame = frame_of(rows)

    def submit(times: int) -> batchnb.Job:
        return frame.batch.submit(
            "review",
            labels=None,
            model=MODEL,
            system=SYSTEM * times,
            into="answer",
            workspace=workspace,
            progress=False,
        )

    warnings.simplefilter(
        "ignore", batchnb.RecipeChangedWarning
    )  # the system prompt differs, so that all is asked anew
    with tempfile.TemporaryDirectory() as home, served():
        workspace = batchnb.Workspace(home=home)
        found = {}
        for times, work in enumerate((python, numpy), 1):
            before = [speed(work) for _ in range(LOOKS)]
            found[work.__name__] = lost(work, submit(times), before)
        found["stall"] = asyncio.run(stall(submit(3)))
        workspace.close()
    report(**found)


if __name__ == "__main__":
    main(int(sys.argv[1]))
