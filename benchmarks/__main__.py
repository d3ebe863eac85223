"""Runs every subject in a process of its own, in turn, and prints one table: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- measured -->\n", "<!-- /measured -->\n"

SUBJECTS = {"batchnb": "run_batchnb", "SDK's loop": "run_sdk", "floor": "run_floor"}

#: A peer, which is measured once, since it takes its time; left out where it is not installed.
PEER = "chatlas"

MILLION = 1_000_000


def run(module: str, *arguments: object) -> dict[str, float]:
    """Run a subject; what it shows while it works goes nowhere."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, check=False, text=True, stdin=subprocess.DEVNULL, env=environment()
    )
    if done.returncode:
        raise SystemExit(f"{module} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def environment() -> dict[str, str]:
    """Return the environment without what would have a subject ask another server, or compile its modules each time."""
    ours = ("ANTHROPIC_", "BATCHNB_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in runs) for name in runs[0]}


def compared(rows: int, times: int) -> list[str]:
    """Measure the subjects against each other, in turn, so that a machine that slows down does so for all of them."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in SUBJECTS}
    for _ in range(times):
        for name, module in SUBJECTS.items():
            runs[name].append(run(module, rows))
    if importlib.util.find_spec(PEER):
        runs[f"{PEER} {version(PEER)}"] = [run(f"run_{PEER}", rows)]
    found = {name: medians(figures) for name, figures in runs.items()}
    base = found["SDK's loop"]
    lines = [
        f"| {rows:,} rows | CPU, us a row | ratio | wall, us a row | ratio | peak above the frame, MiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, figures in found.items():
        cpu, wall = (1e6 * figures[part] / rows for part in ("cpu", "wall"))
        ratios = [figures[part] / base[part] for part in ("cpu", "wall")]
        lines.append(f"| {name} | {cpu:.1f} | {ratios[0]:.2f} | {wall:.1f} | {ratios[1]:.2f} | {figures['peak']:.0f} |")
    ours = found["batchnb"]
    submit = 1e6 * ours["submit"] / rows
    return [
        *lines, "",
        f"- batchnb until `submit` returns: {submit:.1f} us of CPU a row.",
        f"- The finished cell run again: {ours['again']:.2f} s, nothing sent. With 100 more: {ours['more']:.2f} s.",
        f"- The ledger's bytes for each byte of rows' prompts and results: {ours['ledger']:.2f}.",
    ]  # fmt: skip


def million(rows: int) -> list[str]:
    """Measure a million rows once, and as many as before, for the ratio: one after the other, since machines drift."""
    few, many = run("run_batchnb", rows), run("run_batchnb", MILLION)
    costs = [1e6 * figures["cpu"] / of for figures, of in ((few, rows), (many, MILLION))]
    return [
        f"- {MILLION:,} rows: {costs[1]:.1f} us of CPU a row, {costs[1] / costs[0]:.2f} times that of {rows:,}.",
        f"- Their peak above the frame: {many['peak']:.0f} MiB.",
        f"- Their finished cell run again: {many['again']:.1f} s, nothing sent. With 100 more: {many['more']:.1f} s.",
    ]


def beside(rows: int) -> list[str]:
    """Measure what a job takes from what runs beside it."""
    found = run("run_beside", rows)
    return [
        f"- A cell that computes beside {rows:,} rows loses {100 * found['python']:.0f}% of its speed in plain Python.",
        f"- In NumPy, on all cores: {100 * found['numpy']:.0f}%.",
        f"- The longest stall of an event loop that awaits them: {1e3 * found['stall']:.0f} ms.",
    ]


def imports(times: int) -> str:
    """Measure what ``import batchnb`` adds to ``import pandas``."""
    clock = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
    found: dict[str, list[float]] = {"pandas": [], "pandas, batchnb": []}
    for _ in range(3 * times + 1):  # the first fills the caches; the others cost little
        for names, taken in found.items():
            done = subprocess.run(
                [sys.executable, "-c", clock.format(names)], capture_output=True, check=True, env=environment()
            )
            taken.append(float(done.stdout))
    alone, both = (min(taken[1:]) for taken in found.values())  # the noise is larger than the difference
    return f"- `import batchnb` adds {1e3 * (both - alone):.0f} ms to `import pandas` ({1e3 * alone:.0f} ms)."


def machine() -> str:
    """Describe the machine and what runs on it."""
    cpu = platform.processor() or platform.machine()
    try:
        info = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.partition(": ")[2] for line in info if line.startswith("model name"))
        memory = f", {int(Path('/proc/meminfo').read_text().split()[1]) / 2**20:.0f} GiB"
    except (OSError, StopIteration):
        memory = ""
    packages = ", ".join(f"{name} {version(name)}" for name in ("anthropic", "pandas", "msgspec"))
    today = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    return f"{today}: {os.cpu_count()} cores ({cpu}){memory}, Python {platform.python_version()}, {packages}."


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1_000, help="jobs in the ledger whose table is timed")
    parser.add_argument("--short", action="store_true", help="a look in well under a minute: few rows, one run")
    parser.add_argument("--write", action="store_true", help=f"put the table into {README.name}")
    options = parser.parse_args()
    if options.short:
        options.rows, options.runs, options.jobs = 10_000, 1, 100
    lines = [machine(), "", *compared(options.rows, options.runs)]
    lines.append(f"- `batchnb.jobs()` with {options.jobs:,} jobs: {1e3 * run('run_jobs', options.jobs)['cpu']:.0f} ms.")
    if not options.short:
        lines += million(options.rows)
    lines += beside(options.rows)
    lines.append(f"- The first widget of a kernel: {1e3 * run('run_widget')['took']:.0f} ms.")
    lines.append(imports(options.runs))
    print("\n".join(lines))
    if options.write:
        before, _, rest = README.read_text().partition(BEGIN)
        README.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
