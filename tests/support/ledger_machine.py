"""What people, processes and the server may do, in any order, and what must hold after each step."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from fake_clock import FakeClock
from hypothesis import stateful
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from machine_checks import Checks
from machine_process import SCOPE, Process
from machine_server import FAULTS, KINDS, Interrupted, Killed, Made, Server

from batchnb import Job
from batchnb.errors import ApiError, CredentialsError, JobStateError, LedgerError
from batchnb.ledger.ledger import Ledger
from batchnb.questions.bodies import digest_in

EXAMPLES = int(os.environ.get("LEDGER_MACHINE_EXAMPLES", "100"))

THOROUGH = EXAMPLES > 100

#: Seconds after which all is at rest once nothing fails any more; a batch that is gone is doubted for 600 s.
PATIENCE = 3_000.0

TEXTS = st.lists(st.sampled_from([*"abcdef", None]), min_size=1, max_size=6)

WHO = st.integers(0, 1)

WHICH = st.integers(0, 5)  # one of several, counted round

SHIFTS = st.sampled_from([0.0, -3_600.0, 3_600.0, 86_400.0 * 2, 86_400.0 * 365, -86_400.0 * 365])

SECONDS = st.sampled_from([1.0, 10.0, 60.0, 130.0, 700.0])

ENDS = st.lists(st.sampled_from(KINDS), min_size=1, max_size=4) | st.just(["succeeded"])

CALLS = st.sampled_from(sorted(FAULTS))

CREATE_FAULTS = st.none() | st.sampled_from(FAULTS["create"])

STEPS = st.integers(0, 3)

ACTIONS = st.lists(
    st.sampled_from(["kill", "kill the other", "step", "run", "submit", "cancel", "retry", "end", "wait", "resolve"]),
    min_size=1, max_size=4,
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """What a person wrote into a cell."""

    texts: tuple[str | None, ...]
    options: tuple[tuple[str, Any], ...]


class LedgerMachine(stateful.RuleBasedStateMachine):
    """Two processes on one ledger, one server, and a person at each process."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.home = Path(self.stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        # So that a few rows are recorded in several transactions, between which a process may die.
        self.stack.enter_context(mock.patch("batchnb.protocol.submission.CHUNK", 2))
        self.clock = FakeClock()
        self.server = Server(self.clock)
        self.processes: list[Process | None] = [None, None]
        self.keys = ["ours", "ours"]
        self.cells: list[Cell] = []
        self.hooks: list[tuple[str, bool, list[str], int]] = []
        ledger = Ledger(self.home, SCOPE)
        ledger.close()
        db = self.stack.enter_context(
            contextlib.closing(sqlite3.connect(ledger.path, isolation_level=None, check_same_thread=False))
        )
        self.checks = Checks(db, self.server)
        self.server.may_ask = self.checks.is_wanted
        self.server.meanwhile = self.meanwhile

    # Processes

    def process(self, who: int) -> Process:
        """Return a process, started anew if it has ended."""
        found = self.processes[who]
        if found is None or not found.alive:
            found = self.processes[who] = Process(self.home, self.server, self.clock, self.keys[who])
            found.watch_endings(self.checks.check_ending)
        return found

    @contextlib.contextmanager
    def as_process(self, who: int) -> Iterator[Process]:
        """Do something in a process, which may die of it, or be interrupted."""
        process = self.process(who)
        try:
            yield process
        except (Killed, LedgerError):
            if process.alive:
                raise
        except (Interrupted, CredentialsError):
            pass

    def job(self, process: Process, which: int, kind: str = "any") -> Job | None:
        ids = self.checks.job_ids(kind) or self.checks.job_ids()
        return Job(ids[which % len(ids)], process.workspace.session) if ids else None

    @initialize(skew=st.sampled_from([0.0, -70_000.0, 70_000.0, 40_000_000.0]), tells=st.booleans())
    def start(self, skew: float, tells: bool) -> None:
        self.server.skew, self.server.tells = skew, tells

    # What a person does

    @rule(who=WHO, texts=TEXTS, into=st.sampled_from("xy"), size=st.integers(1, 4), retries=st.integers(0, 2),
          fault=CREATE_FAULTS, steps=STEPS)  # fmt: skip
    def submit(
        self, who: int, texts: list[str | None], into: str, size: int, retries: int, fault: str | None, steps: int
    ) -> None:
        """Run a new cell; the first call to send it may fail."""
        self.fail_next("create", fault)
        options = {"into": into, "batch_size": size, "retries": retries}
        self.run_cell(who, Cell(tuple(texts), tuple(options.items())))
        self.step(who, steps)

    @precondition(lambda self: self.cells)
    @rule(who=WHO, which=WHICH, change=st.sampled_from(["nothing", "order", "less", "more"]), more=TEXTS,
          fault=CREATE_FAULTS, steps=STEPS)  # fmt: skip
    def submit_again(
        self, who: int, which: int, change: str, more: list[str | None], fault: str | None, steps: int
    ) -> None:
        """Run a cell again, perhaps after the frame was changed."""
        self.fail_next("create", fault)
        cell = self.cells[which % len(self.cells)]
        changed = {"nothing": cell.texts, "order": cell.texts[::-1], "less": cell.texts[1:] or cell.texts}
        self.run_cell(who, Cell(changed.get(change, (*cell.texts, *more)), cell.options))
        self.step(who, steps)

    def run_cell(self, who: int, cell: Cell) -> None:
        if cell not in self.cells:
            self.cells.append(cell)
        options = dict(cell.options)
        self.server.retries = max(self.server.retries, options["retries"])
        with self.as_process(who) as process, self.checks.running(process):
            job = process.submit(cell.texts, **options)
            self.checks.texts[job.id] = cell.texts

    @precondition(lambda self: self.cells)
    @rule(who=WHO, which=WHICH)
    def look(self, who: int, which: int) -> None:
        """Attach a job: its frame has the rows that were asked, each with its own answer."""
        with self.as_process(who) as process:
            job = self.job(process, which)
            if job is not None:
                process.workspace.attach(job.id)
                self.checks.check_frame(job.id, job.to_frame(), job.counts)

    @precondition(lambda self: self.checks.job_ids("open"))
    @rule(who=WHO, which=WHICH)
    def cancel(self, who: int, which: int) -> None:
        with self.as_process(who) as process:
            job = self.job(process, which, "open")
            if job is not None:
                with self.checks.canceling(job.id):
                    job.cancel()

    @precondition(lambda self: self.checks.job_ids("failed"))
    @rule(who=WHO, which=WHICH, everything=st.booleans())
    def retry(self, who: int, which: int, everything: bool) -> None:
        with self.as_process(who) as process:
            job = self.job(process, which, "failed")
            if job is not None:
                with self.checks.retrying(job.id, everything=everything):
                    job.retry(all=everything)

    @precondition(lambda self: self.checks.job_ids("lost"))
    @rule(who=WHO, which=WHICH, decision=st.sampled_from(["send", "drop"]))
    def resolve(self, who: int, which: int, decision: str) -> None:
        with self.as_process(who) as process:
            job = self.job(process, which, "lost")
            if job is not None:
                with self.checks.resolving(job.id, decision):
                    job.resolve(decision)

    @precondition(lambda self: self.checks.job_ids("ended"))
    @rule(who=WHO, which=WHICH)
    def delete(self, who: int, which: int) -> None:
        with self.as_process(who) as process:
            job = self.job(process, which, "ended")
            if job is not None:
                with self.checks.deleting(job.id), contextlib.suppress(JobStateError):
                    job.delete()

    # What processes do

    @rule(who=WHO, times=st.integers(1, 5))
    def step(self, who: int, times: int) -> None:
        """Do what is due, and what becomes due by it at once."""
        with self.as_process(who) as process:
            for _ in range(times):
                process.watcher.step()

    @rule(who=WHO, seconds=SECONDS, kinds=st.none() | ENDS)
    def run(self, who: int, seconds: float, kinds: list[str] | None) -> None:
        """Do what is due for a while, perhaps while all batches end; the other process sleeps, but is alive."""
        end = self.clock.time + seconds
        for made in self.unended() if kinds else ():
            self.server.end(made, kinds or ())
        with self.as_process(who) as process:
            while self.clock.time < end:
                process.watcher.step()
                self.clock.time += seconds / 10
        self.clock.time = max(self.clock.time, end)

    @precondition(lambda self: self.checks.is_uncertain())
    @rule(who=WHO, which=WHICH, omits=st.booleans(), ends=st.booleans(), after=st.booleans(), actions=ACTIONS)
    def race_to_settle(self, who: int, which: int, omits: bool, ends: bool, after: bool, actions: list[str]) -> None:
        """Both processes look for a batch when its time has come; things happen while the one is listing."""
        if omits:
            self.process(who).kill()  # one that has seen the batch before would know that it is missing
        for one, job in itertools.product((1 - who, who), self.checks.job_ids()):
            with self.as_process(one) as process:
                process.workspace.attach(job)
        if ends:
            self.end_all()
        self.server.faults["list"] = ["omits"] * omits
        self.wait()
        self.step(who, 1)
        self.hooks.insert(0, ("list", after, actions, which))
        self.clock.time += 61.0
        self.step(who, 2)

    @precondition(lambda self: self.checks.readable_batches())
    @rule(who=WHO, which=WHICH)
    def collect(self, who: int, which: int) -> None:
        """Read the results of a batch out of turn, perhaps once more, or while another process does."""
        with self.as_process(who) as process:
            known = self.checks.readable_batches()
            with contextlib.suppress(ApiError):
                process.submission.collect(process.ledger.batches.get(known[which % len(known)]))

    @rule(who=WHO, writes=st.integers(-2, 6))
    def end_process(self, who: int, writes: int) -> None:
        """End a process: in good order, at once, or just before one of its next writes."""
        if writes == -2:
            self.process(who).close()
        elif writes == -1:
            self.process(who).kill()
        else:
            self.process(who).die_at_write(writes)

    @rule(shift=SHIFTS)
    def set_clock(self, shift: float) -> None:
        """Set the clock of the machine, on which both processes run."""
        self.clock.shift = shift

    @precondition(lambda self: self.server.tells)
    @rule(who=WHO, key=st.sampled_from(["ours", "another"]))
    def change_key(self, who: int, key: str) -> None:
        """Start a process anew with a key of a workspace, which sees none of the other's batches."""
        self.process(who).kill()
        self.keys[who] = key

    # What the server does, and others on it

    @precondition(lambda self: self.unended())
    @rule(which=WHICH, kinds=ENDS, extra=st.sampled_from([None, "somebody-else", "of another batch"]))
    def end(self, which: int, kinds: list[str], extra: str | None) -> None:
        batches = self.unended()
        made = batches[which % len(batches)]
        own = {digest_in(name) for name in made.texts}
        others = [name for other in self.server.batches.values() for name in other.texts if digest_in(name) not in own]
        if extra == "of another batch" and others and made.ours and made.id in self.checks.forgettable():
            extra = others[which % len(others)]
        self.server.end(made, kinds, extra)

    def unended(self) -> list[Made]:
        return [made for made in self.server.batches.values() if made.status != "ended"]

    def end_all(self) -> None:
        for made in self.unended():
            self.server.end(made)

    @rule(fault=st.sampled_from([(call, fault) for call, faults in FAULTS.items() for fault in faults]),
          times=st.integers(1, 3))  # fmt: skip
    def fail(self, fault: tuple[str, str], times: int) -> None:
        for _ in range(times):
            self.fail_next(*fault)

    def fail_next(self, call: str, fault: str | None) -> None:
        if fault is not None:
            self.server.faults[call].append(fault)

    @rule(lag=st.sampled_from([0.0, 5.0, 100.0]))
    def fall_behind(self, lag: float) -> None:
        self.server.lag = lag

    @precondition(lambda self: self.checks.forgettable())
    @rule(which=WHICH)
    def forget(self, which: int) -> None:
        """A batch that the ledger knows, or a stranger's, is no longer known to the server; or is again."""
        names = self.checks.forgettable()
        made = self.server.batches[names[which % len(names)]]
        made.gone = not made.gone

    @rule(size=st.integers(1, 4), kind=st.sampled_from(["plain", "alike", "overlapping", "twin"]), ended=st.booleans())
    def others_send(self, size: int, kind: str, ended: bool) -> None:
        """Somebody else on the same workspace of the API makes a batch, perhaps of a size like ours, or of our rows."""
        texts = {f"row-{i}" if kind == "plain" else f"{i}-{len(self.server.batches):031x}{i}": "?" for i in range(size)}
        if kind == "overlapping":
            texts = dict([*self.checks.last_claim().items()][:-1] + [*texts.items()][:1])
        if kind == "twin":
            texts = self.checks.last_claim() or texts
        self.server.make(texts, ours=False)
        if ended:
            self.server.end(list(self.server.batches.values())[-1])

    # What happens in the middle of a call

    @rule(call=CALLS, after=st.booleans(), actions=ACTIONS, which=WHICH)
    def next_call(self, call: str, after: bool, actions: list[str], which: int) -> None:
        self.hooks.append((call, after, actions, which))

    def meanwhile(self, caller: object, call: str, after: bool) -> None:
        found = next((hook for hook in self.hooks if hook[:2] == (call, after)), None)
        if found is None:
            return
        self.hooks.remove(found)
        own = self.processes.index(caller)  # type: ignore[arg-type]
        kept, self.hooks = self.hooks, []  # nothing happens in the middle of what happens in the middle
        for action in found[2]:
            self.act(action, own, found[3])
        self.hooks = kept + self.hooks

    def act(self, action: str, own: int, which: int) -> None:
        other = 1 - own
        # The person at a process that is in the middle of a call goes on working, unless it was killed.
        person = own if self.processes[own].alive else other  # type: ignore[union-attr]
        acts: dict[str, Callable[[], object]] = {
            "kill": lambda: self.processes[own] and self.processes[own].kill(),
            "kill the other": lambda: self.processes[other] and self.processes[other].kill(),
            "step": lambda: self.step(other, 3),
            "run": lambda: self.run(other, 130.0, None),
            "submit": lambda: self.cells and self.run_cell(other, self.cells[which % len(self.cells)]),
            "cancel": lambda: self.cancel(person, which),
            "retry": lambda: self.retry(person, which, which % 2 == 0),
            "resolve": lambda: self.resolve(person, which, ("send", "drop")[which % 2]),
            "end": self.end_all,
            "wait": self.wait,
        }
        acts[action]()

    def wait(self) -> None:
        self.clock.time += 130.0

    # What holds after every step

    @invariant()
    def nothing_is_lost_or_bought_twice(self) -> None:
        self.checks.check()

    # What holds in the end

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            for process in self.processes:
                if process is not None:
                    process.kill()
            self.stack.close()

    def come_to_rest(self) -> None:
        """Once all faults stop, every job ends, and every row has an outcome; retried, every row has an answer."""
        for process in self.processes:
            if process is not None:
                process.kill()
        self.keys = ["ours", "ours"]
        self.hooks.clear()
        self.server.faults.clear()
        self.server.lag = 0.0
        process = self.process(0)
        for job in self.checks.job_ids():
            process.workspace.attach(job)
        self.see_through(process)
        self.checks.check_end()
        for cell in self.cells:
            self.run_cell(0, cell)
        self.see_through(process)
        self.checks.check_end()
        jobs = range(len(self.checks.job_ids()))
        for number in jobs:  # the first of those that are left
            self.resolve(0, 0, "send" if number % 2 else "drop")
        self.see_through(process)
        for _ in jobs:
            self.retry(0, 0, True)
            self.see_through(process)
        for number in jobs:
            self.look(0, number)
        self.checks.check_end(resolved=True)

    def see_through(self, process: Process) -> None:
        end = self.clock.time + PATIENCE
        for count in itertools.count():
            pause = process.watcher.step()
            if pause is None or count % 10 == 0:
                self.checks.check()
            if pause is None:
                return
            assert self.clock.time < end, "the jobs do not come to an end"
            self.clock.time += max(5.0 * pause, 0.1)
            self.end_all()
