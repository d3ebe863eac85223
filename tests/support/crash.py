"""Kills a cell again and again, on a server where things go wrong, and judges what came of it.

``python tests/support/crash.py --schedules 200 --seed 1``: that many schedules, of seeds 1, 2, ...; exit code 1 if
one fails. ``python tests/support/crash.py --replay 17``: the schedule of one seed, with all that happened.

Everything planned follows from the seed (``crash_schedules``); the moments at which processes meet do not, so a failing
seed may need several replays.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import crash_schedules
import power
from crash_judge import Asked, Ended, Event, Evidence, Reading, judge
from crash_places import KEYS, Places
from crash_schedules import Run, Schedule, Step
from crash_trials import unlocked

from batchnb.sim import Limits, Simulator

TOLD = (
    "interrupted",
    "cancel",
    "retry",
    "resolve",
    "fork",
    "asks",
    "recovered",
)  # events of a trace that the summary counts
LONGEST = 90.0  # seconds for one run before it counts as hanging
TESTS = Path(__file__).parent


class Cells:
    """Starts runs: a process that has loaded everything forks one for each."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BATCH"))
        }
        # Processes with threads are not to be forked.
        environment |= {
            "PYTHONPATH": os.pathsep.join([str(TESTS.parents[1]), str(TESTS)]),
            # NumPy would start threads, and a process with threads had better not be forked.
            "OPENBLAS_NUM_THREADS": "1",
        }
        with theirs:
            command = [sys.executable, str(TESTS / "crash_cell.py")]
            self._process = subprocess.Popen(command, stdin=theirs, env=environment, start_new_session=True)
        self._lock = threading.Lock()

    def start(self, plan: dict[str, Any]) -> Process:
        ours, theirs = socket.socketpair()
        with self._lock, theirs:
            socket.send_fds(self._control, [b"x"], [theirs.fileno()])
        ours.sendall(json.dumps(plan).encode() + b"\n")
        return Process(ours)

    def close(self) -> None:
        self._control.close()
        self._process.wait()


class Process:
    """A run that is under way."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._number = self._hear()

    def see_through(self, run: Run) -> tuple[int, bool]:
        """Wait for the end of a run, with what befalls it on the way; give its exit code and whether it hung."""
        wait = LONGEST if run.kill_after is None else run.kill_after
        hung = False
        with self._line:
            while True:
                if not select.select([self._line], [], [], wait)[0]:
                    hung = wait == LONGEST
                    self._send(signal.SIGKILL)
                    wait = LONGEST
                    continue
                status = self._hear()
                if not os.WIFSTOPPED(status):
                    return os.waitstatus_to_exitcode(status), hung
                time.sleep(run.pause)
                self._send(signal.SIGCONT)

    def _hear(self) -> int:
        heard = self._line.recv(4, socket.MSG_WAITALL)
        if len(heard) < 4:
            raise RuntimeError("the process that starts the runs has died; its output tells why")
        return int(struct.unpack("i", heard)[0])

    def _send(self, what: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._number, what)


@dataclass
class Server:
    """The simulator of a schedule, and what it sent."""

    simulator: Simulator
    places: Places
    readings: list[Reading] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)

    def listen_in(self) -> None:
        """Note what is sent as results, as the faults have left it."""
        handlers = self.simulator._running._server.config.app._service._handlers
        results = handlers["results"]

        def noted(ask: Any) -> Any:
            stream = results(ask)
            reading = Reading(ask.id)
            self.readings.append(reading)
            return replace(stream, pieces=_noted(stream.pieces, reading, whole=stream.complete))

        handlers["results"] = noted

    def hold(self, seconds: float) -> None:
        """Have the first create wait until the batches have been listed twice, or for so many seconds."""
        handlers = self.simulator._running._server.config.app._service._handlers
        create, listed = handlers["create"], handlers["list"]
        listings, first = threading.Semaphore(0), threading.Lock()

        def held(ask: Any) -> Any:
            if first.acquire(blocking=False):
                end = time.monotonic() + seconds
                for _ in range(2):
                    listings.acquire(timeout=max(0.0, end - time.monotonic()))
            return create(ask)

        def counted(ask: Any) -> Any:
            page = listed(ask)
            listings.release()
            return page

        handlers |= {"create": held, "list": counted}

    def clear(self) -> None:
        """Let nothing go wrong from here on."""
        for fault, _, hits in self.simulator.faults._pending:
            self.struck[fault.kind] += hits
        self.simulator.faults.clear()

    def creates(self) -> int:
        return sum((call.method, call.path) == ("POST", "/v1/messages/batches") for call in self.simulator.calls)

    def come_to_rest(self) -> None:
        """Wait until all that dead processes have sent is dealt with."""
        address = self.simulator.url.removeprefix("http://")
        with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as connection:
            connection.request("GET", "/v1/models", headers={"x-api-key": "rest", "anthropic-version": "2026-10-21"})
            connection.getresponse().read()  # connections are accepted in their order: those before it have been, too
        state = self.simulator._running._server.server_state
        for _ in range(5000):
            if not state.connections and not state.tasks:
                return
            time.sleep(0.002)
        raise RuntimeError("the simulator does not come to rest")

    def asked(self) -> list[Asked]:
        """Return the simulator's record, with what each request asks and when its batch ended."""
        store = self.simulator._running.batches._store
        texts = {}
        for _, _, _, _, params in store.record():
            texts[hashlib.sha256(params).hexdigest()] = json.loads(params)["messages"][0]["content"]
        record = self.simulator.record()
        ends = {batch: store.batch(batch).ended_at for batch in {one.batch_id for one in record}}
        return [
            Asked(texts[one.digest].removeprefix("Echo: "), one.batch_id, one.custom_id, one.created_at,
                  ends[one.batch_id], one.outcome, self.places.of.get(one.batch_id, 0))
            for one in record
        ]  # fmt: skip


def _noted(pieces: Iterator[bytes], reading: Reading, *, whole: bool) -> Iterator[bytes]:
    for piece in pieces:
        for line in piece.split(b"\n"):
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                reading.rows[row["custom_id"]] = row["result"]["type"]
        yield piece
    reading.complete = whole


class Rig:
    """Carries one schedule out in a folder.

    Parameters
    ----------
    schedule
        What to do.
    cells
        Starts the runs.
    folder
        For the home, the simulator's state, traces and output.
    """

    def __init__(self, schedule: Schedule, cells: Cells, folder: Path) -> None:
        self._schedule = schedule
        self._cells = cells
        self._folder = folder
        self._home = folder / "home"
        self._elsewhere = folder / "elsewhere"
        self._elsewhere.mkdir()
        self._asides: list[tuple[float, int]] = []
        self._lingering: list[Path] = []  # what children hold that may outlive a step
        self.cuts = 0
        self._ended: list[Ended] = []
        self._server: Server

    def carry_out(self) -> tuple[Evidence, Counter[str]]:
        schedule = self._schedule
        limits = Limits(queued=schedule.queued)
        with Simulator(
            self._folder / "simulator", delay=schedule.delay, seed=schedule.seed, faults=schedule.faults, limits=limits
        ) as simulator:
            self._server = Server(simulator, Places(simulator))
            self._server.listen_in()
            if schedule.held:
                self._server.hold(schedule.held)
            for number, step in enumerate(schedule.steps):
                self._take(number, step)
            self._wait_for(self._lingering)
            self._server.clear()
            evidence = Evidence(
                schedule, self._server.asked(), self._server.readings, self._events(), self._ended, self._home,
                self._elsewhere, KEYS,
            )  # fmt: skip
        return evidence, self._server.struck

    def _take(self, number: int, step: Step) -> None:
        if step.clear:
            self._server.clear()
        if step.aside:
            self._set_aside(number)
        before = self._server.creates()
        started = [(run, self._plan(run, len(self._ended) + place)) for place, run in enumerate(step.runs)]
        with ThreadPoolExecutor(len(started)) as pool:
            ends = list(pool.map(lambda one: self._cells.start(one[1]).see_through(one[0]), started))
        self._wait_for_children(started)
        if self._schedule.grace == 0.0:
            self._server.come_to_rest()
        creates = self._server.creates() - before
        for (run, plan), (code, hung) in zip(started, ends, strict=True):
            output = Path(plan["output"])
            said = output.read_text(errors="replace") if output.exists() else ""
            self._ended.append(Ended(run, number, code, said, hung, creates))
            if run.power is not None:
                self._cut_power(Path(plan["power"]["log"]))

    def _wait_for_children(self, started: Sequence[tuple[Run, dict[str, Any]]]) -> None:
        """Wait for those that runs have forked; for one that outlives its parent only after the next step."""
        before, self._lingering = self._lingering, []
        for run, plan in started:
            outlives = run.fork is not None and run.fork.child == "outlive"
            (self._lingering if outlives else before).append(Path(plan["alive"]))
        self._wait_for(before)

    @staticmethod
    def _wait_for(held: Iterable[Path]) -> None:
        for path in held:
            if not unlocked(path, LONGEST):
                raise RuntimeError(f"a child does not end: {path}")

    def _set_aside(self, number: int) -> None:
        """Move the ledger out of the way, as somebody does who wants to begin anew."""
        self._asides.append((time.time(), len(self._ended)))
        for path in list((self._home / "ledgers").glob("*.sqlite*")):
            # Beside the ledger's file, only its name tells of it after a power cut: the note of it is not synced.
            path.rename(path.with_name(f"{path.name}.aside-{number}" if self.cuts else f"aside-{number}-{path.name}"))

    def _cut_power(self, log: Path) -> None:
        """Go on with what a power cut would have left of the home."""
        self.cuts += 1
        found = self._folder / f"home-after-{self.cuts}"
        power.rebuild(log, self._home, found, seed=self._schedule.seed)
        self._home = found

    def _plan(self, run: Run, number: int) -> dict[str, Any]:
        schedule, file = self._schedule, self._folder / f"run-{number}"
        home = os.path.relpath(self._home, self._folder) if schedule.relative else str(self._home)
        return {
            "folder": str(self._folder),
            "elsewhere": str(self._elsewhere),
            "alive": f"{file}.alive",
            "clock": vars(run.clock),
            "fork": run.fork and vars(run.fork) | {"at": vars(run.fork.at)},
            "astray": run.astray and vars(run.astray),
            "recover": run.recover,
            "texts": schedule.frames[run.variant],
            "batch_size": schedule.batch_size,
            "retries": schedule.retries,
            "what": run.what,
            "at": run.at and vars(run.at),
            "mutation": run.mutation,
            "power": None if run.power is None else {"log": f"{file}.power", "kill_at": run.power},
            "trace": f"{file}.trace",
            "output": f"{file}.output",
            "environment": {
                "BATCHNB_HOME": home,
                "BATCHNB_RECONCILE_GRACE": str(schedule.grace),
                "BATCHNB_MAX_POLL": "0.03",
                "ANTHROPIC_BASE_URL": self._server.simulator.url,
                "ANTHROPIC_API_KEY": KEYS[run.key],
                "SSL_CERT_DIR": str(self._folder),  # nothing is encrypted, and reading certificates takes long
            },
        }

    def _events(self) -> list[Event]:
        events = []
        for number in range(len(self._ended)):
            for line in self.trace(number):
                texts = tuple(line.get("texts", ()))
                why = line.get("error") or line.get("child") or ""
                events.append(Event(line["time"], number, line["event"], texts, line.get("rows"), why))
        events += [Event(moment, number, "set aside", (), None) for moment, number in self._asides]
        return sorted(events, key=lambda event: event.time)

    def trace(self, number: int) -> list[dict[str, Any]]:
        path = self._folder / f"run-{number}.trace"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass
class Verdict:
    """What came of a schedule: what is wrong with it, and the figures of the summary."""

    schedule: Schedule
    complaints: list[str]
    figures: Counter[str]
    story: str


def try_out(schedule: Schedule, cells: Cells) -> Verdict:
    """Carry a schedule out and judge it."""
    with tempfile.TemporaryDirectory(prefix="batchnb-crash-") as folder:
        rig = Rig(schedule, cells, Path(folder))
        evidence, struck = rig.carry_out()
        complaints = judge(evidence)
        codes = Counter(ended.code for ended in evidence.runs)
        figures = Counter({
            "runs": len(evidence.runs),
            "kills": codes[-signal.SIGKILL],
            "power cuts": rig.cuts,
            "faults struck": struck.total(),
            "batches": len({one.batch for one in evidence.asked}),
            "requests": len(evidence.asked),
        })  # fmt: skip
        figures.update({f"trial {trial}": 1 for trial in schedule.trials})
        figures.update(f"times: {event.kind}" for event in evidence.events if event.kind in TOLD)
        figures.update({f"fault {kind}": count for kind, count in struck.items()})
        figures.update(f"kill {_cause(ended.run)}" for ended in evidence.runs if ended.code == -signal.SIGKILL)
        return Verdict(schedule, complaints, figures, _story(evidence))


def _cause(run: Run) -> str:
    return "at " + run.at.point if run.at else "by power cut" if run.power is not None else "at any time"


def _story(evidence: Evidence) -> str:
    """Tell what happened, in the order of time."""
    start = min([event.time for event in evidence.events], default=0.0)
    lines = [(event.time, f"run {event.run}: {event.kind} {' '.join(map(str, event.texts))}{event.why}")
             for event in evidence.events]  # fmt: skip
    batches: dict[str, list[Asked]] = {}
    for one in evidence.asked:
        batches.setdefault(one.batch, []).append(one)
    for batch, requests in batches.items():
        asked = ", ".join(f"{one.text} ({one.outcome})" for one in requests)
        lines.append((requests[0].created_at, f"SERVER accepts {batch}: {asked}"))
        lines.append((requests[0].ended_at or 0.0, f"SERVER has ended {batch}"))
    ends = [
        f"run {number} (step {ended.step}) ended with {ended.code}{' (hung)' * ended.hung}: {ended.output[-1500:]}"
        for number, ended in enumerate(evidence.runs)
    ]
    return "\n".join([*(f"{at - start:8.3f} {line}" for at, line in sorted(lines)), *ends])


def _report(verdict: Verdict) -> None:
    print(f"FAILED {verdict.schedule}\n{verdict.story}")
    print("\n".join(f"  ! {complaint}" for complaint in verdict.complaints))
    print(f"  again: python tests/support/crash.py --replay {verdict.schedule.seed}", flush=True)


@contextlib.contextmanager
def cells() -> Iterator[Cells]:
    """Start what starts the runs, and end it."""
    running = Cells()
    try:
        yield running
    finally:
        running.close()


def try_all(seeds: Iterable[int], jobs: int, tell: Callable[[Verdict], None], trials: Sequence[str]) -> list[Verdict]:
    """Try the schedules of these seeds, some at a time."""
    with cells() as starter, ThreadPoolExecutor(jobs) as pool:
        verdicts = []
        for verdict in pool.map(lambda number: try_out(crash_schedules.make(number, trials=trials), starter), seeds):
            tell(verdict)
            verdicts.append(verdict)
        return verdicts


def _befallen(seed: int, trials: Sequence[str], *, only: bool) -> Iterator[int]:
    every = itertools.count(seed)
    return (one for one in every if crash_schedules.make(one, trials=trials).trials) if only else every


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--schedules", type=int, default=200, help="how many to try")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first; each has the next")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--replay", type=int, metavar="SEED", help="try one, and tell all that happened")
    parser.add_argument("--trials", nargs="*", default=crash_schedules.TRIALS, help="what befalls some of them")
    parser.add_argument("--only", action="store_true", help="no schedules but those that one of these befalls")
    given = parser.parse_args()
    if given.replay is not None:
        (verdict,) = try_all([given.replay], 1, lambda _: None, given.trials)
        print(f"{verdict.schedule}\n{verdict.story}")
        print("\n".join(f"  ! {complaint}" for complaint in verdict.complaints) or "nothing is wrong")
        return bool(verdict.complaints)
    started = time.monotonic()
    seeds = itertools.islice(_befallen(given.seed, given.trials, only=given.only), given.schedules)
    verdicts = try_all(seeds, given.jobs, lambda one: _report(one) if one.complaints else None, given.trials)
    total: Counter[str] = sum((verdict.figures for verdict in verdicts), Counter())
    failed = [verdict.schedule.seed for verdict in verdicts if verdict.complaints]
    print(
        ", ".join(
            f"{count:,} {name}" for name, count in total.items() if not name.startswith(("fault ", "kill ", "trial "))
        )
    )
    for kind in ("kill ", "fault ", "trial "):
        counted = sorted((name.removeprefix(kind), n) for name, n in total.items() if name.startswith(kind))
        print(f"{kind.strip()}s: " + ", ".join(f"{n:,} {name}" for name, n in counted))
    print(f"{len(verdicts)} schedules in {time.monotonic() - started:.0f} s, failed: {failed or 'none'}")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
