"""What every subject shares: the frame, the server, and what the operating system says of a process."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

#: A short prompt that all rows share, and what every row is answered.
SYSTEM = "Does this review speak well of the product? Answer with one word: positive, negative or mixed. " * 2
ANSWER = "positive"


def frame_of(rows: int) -> pd.DataFrame:
    """Make rows of 60 words, some 380 bytes, no two alike; the same ones every time."""
    made = random.Random(20_261_126)
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(made.choices(letters, k=made.randint(2, 9))) for _ in range(5_000)]
    return pd.DataFrame({"review": [" ".join([*made.choices(words, k=59), str(row)]) for row in range(rows)]})


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Have the stub serve, in a process of its own; give its address, also to the SDK."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks.stub"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        os.environ["ANTHROPIC_BASE_URL"] = address = server.stdout.readline().strip()
        os.environ["ANTHROPIC_API_KEY"] = "none"
        try:
            yield address
        finally:
            server.kill()


class Meter:
    """What this process uses from here on: CPU in all of its threads, time, and memory above what it has now."""

    def __init__(self) -> None:
        self._memory = _resident("VmRSS")
        with contextlib.suppress(OSError):  # Linux: forget the peak so far
            Path("/proc/self/clear_refs").write_text("5")
        self._cpu, self._wall = _cpu(), time.perf_counter()

    def read(self) -> dict[str, float]:
        """Return CPU and wall seconds, and the peak above the start in MiB."""
        return {
            "cpu": _cpu() - self._cpu,
            "wall": time.perf_counter() - self._wall,
            "peak": (_resident("VmHWM") - self._memory) / 1024,
        }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident(name: str) -> int:
    """Return a figure of this process's memory in KiB; elsewhere than on Linux, the peak since its start."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def report(**figures: object) -> None:
    """Print what was measured, for the process that asked."""
    print(json.dumps(figures), flush=True)
