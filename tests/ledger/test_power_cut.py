"""Power cuts: what the ledger says it has recorded is there when the power comes back, and nothing is bought twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import independent
import power
import pytest
from bench import Bench, assert_echoed, texts

pytest_plugins = ["bench_fixtures"]
pytestmark = pytest.mark.slow
TESTS = Path(__file__).parents[1] / "support"


@pytest.fixture(autouse=True, scope="module")
def _reachable(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip all of this where this Python's SQLite cannot be reached; in CI it must be."""
    program = "import pathlib, sys; sys.path.insert(0, sys.argv[1]); import power; power.install(pathlib.Path('log'))"
    folder = tmp_path_factory.mktemp("reachable")
    done = subprocess.run([sys.executable, "-c", program, str(TESTS)], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1]
        expected = why.startswith("RuntimeError") and os.environ.get("CI") != "true"
        (pytest.skip if expected else pytest.fail)(f"Power cuts cannot be simulated here: {why}")


# A plain database

ROWS = 7
WRITER = """
import sqlite3, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
import power
home, log, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), eval(sys.argv[3])
power.install(log, kill_at)
db = sqlite3.connect(home / "plain.sqlite", isolation_level=None)
for setting in sys.argv[6:]:
    db.execute(f"PRAGMA {setting}")
db.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, text)")
for number in range(int(sys.argv[5])):
    db.execute("INSERT INTO rows VALUES (?, ?)", (number, str(number) * 1500))
    print(power.events(log), flush=True)
db.close()
"""


class Written(NamedTuple):
    """What a process wrote: `commits` are the numbers of records there were after each."""

    home: Path
    log: Path
    commits: list[int]
    status: int


def write(tmp_path: Path, *settings: str, kill_at: int | None = None) -> Written:
    home, log = tmp_path / "home", tmp_path / "log"
    home.mkdir()
    command = [sys.executable, "-c", WRITER, str(home), str(log), str(kill_at), str(TESTS), str(ROWS), *settings]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60)
    return Written(home, log, [int(line) for line in done.stdout.split()], done.returncode)


def rows_in(path: Path) -> list[int] | None:
    """The rows that are found; None where the file is damaged."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        try:
            if db.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                return None
            if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
                return []
            return [number for (number,) in db.execute("SELECT number FROM rows ORDER BY number")]
        except sqlite3.DatabaseError:
            return None


def after_every_cut(written: Written, tmp_path: Path) -> Iterator[tuple[list[int], list[int] | None]]:
    """Cut the power everywhere, just after a commit with both outcomes; give the rows committed, and those found."""
    for at in range(power.events(written.log) + 1):
        for seed in (None, at) if at in written.commits else (at,):
            into = tmp_path / f"cut-{at}-{seed}"
            power.rebuild(written.log, written.home, into, seed=seed, at=at)
            yield list(range(sum(commit <= at for commit in written.commits))), rows_in(into / "plain.sqlite")


WAL = ("journal_mode = WAL", "wal_autocheckpoint = 8")


@pytest.mark.parametrize(
    "settings",
    [(*WAL, "synchronous = FULL"), ("journal_mode = DELETE", "synchronous = EXTRA")],
    ids=" ".join,
)
def test_a_durable_commit_survives_every_power_cut(tmp_path, settings):
    written = write(tmp_path, *settings)
    assert len(written.commits) == ROWS
    for committed, found in after_every_cut(written, tmp_path):
        assert found in (committed, [*committed, len(committed)])


@pytest.mark.parametrize(
    "settings",
    [(*WAL, "synchronous = NORMAL"), ("journal_mode = DELETE", "synchronous = FULL")],
    ids=" ".join,
)
def test_another_commit_may_be_forgotten_but_never_leaves_the_file_damaged(tmp_path, settings):
    forgotten = 0
    for committed, found in after_every_cut(write(tmp_path, *settings), tmp_path):
        assert found is not None
        assert found == list(range(len(found)))
        forgotten += len(found) < len(committed)
    assert forgotten


def test_without_any_sync_a_file_is_found_damaged_too(tmp_path):
    written = write(tmp_path, "synchronous = OFF")
    assert None in [found for _, found in after_every_cut(written, tmp_path)]


def test_what_was_not_synced_reaches_the_disk_whole_torn_or_not_at_all(tmp_path):
    written = write(tmp_path, *WAL[:1], "synchronous = NORMAL")
    at = written.commits[1]
    records = [record for record in power.read(written.log)[:at] if record.op == "write" and len(record.data) == 4096]
    fates = set()
    for seed in range(60):
        power.rebuild(written.log, written.home, tmp_path / str(seed), seed=seed, at=at)
        wal = tmp_path / str(seed) / "plain.sqlite-wal"
        content = wal.read_bytes() if wal.exists() else b""
        for record in records[-1:]:
            found = content[record.offset : record.offset + 4096].ljust(4096, b"\0")
            fates.add("whole" if found == record.data else "torn" if any(found) else "nothing")
    assert fates == {"whole", "torn", "nothing"}


def test_nothing_is_lost_where_the_power_stays_on(tmp_path):
    """The last sync of an orderly end is all there is: the copy equals the home."""
    written = write(tmp_path, *WAL, "synchronous = FULL")
    power.rebuild(written.log, written.home, tmp_path / "into")
    assert (tmp_path / "into" / "plain.sqlite").read_bytes() == (written.home / "plain.sqlite").read_bytes()


def test_a_process_is_killed_just_before_the_record_it_was_told(tmp_path):
    written = write(tmp_path, *WAL, "synchronous = FULL", kill_at=40)
    assert written.status == -signal.SIGKILL
    assert power.events(written.log) == 40
    assert len(written.commits) < ROWS


def test_a_log_is_continued_by_the_next_process(tmp_path):
    """What the first one wrote without a sync is as unsafe as before, unless the second one syncs it."""
    write(tmp_path, *WAL[:1], "synchronous = NORMAL", kill_at=35)
    home, log = tmp_path / "home", tmp_path / "log"
    power.rebuild(log, home, tmp_path / "cut-1")
    assert rows_in(tmp_path / "cut-1" / "plain.sqlite") == []
    program = f"""
import sqlite3, sys
from pathlib import Path
sys.path.insert(0, {str(TESTS)!r})
import power
power.install(Path({str(log)!r}))
db = sqlite3.connect({str(home / "plain.sqlite")!r}, isolation_level=None)
db.execute("PRAGMA synchronous = FULL")
db.execute("INSERT INTO rows VALUES (100, '')")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    power.rebuild(log, home, tmp_path / "cut-2")
    found = rows_in(tmp_path / "cut-2" / "plain.sqlite")
    assert found[-1] == 100
    assert len(found) > 2


# The ledger

CELLS = """
import json, os, signal, sqlite3, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import anthropic, pandas as pd
import anthropic.types.messages, anthropic.types.beta
import batchnb, batchnb.jobs.defaults, batchnb.protocol.watcher, power
from batchnb.api.client import Api
from batchnb.ledger.batches import Batches

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

def before(owner, name, act):
    '''Have something done just before a method is called.'''
    method = getattr(owner, name)
    def after_that(*args, **kwargs):
        act()
        return method(*args, **kwargs)
    setattr(owner, name, after_that)

def cell(url, home, log, kill_at, extra):
    disk = {}
    exec(extra, globals(), {"disk": disk})
    power.install(Path(log), kill_at, **disk)
    client = anthropic.Anthropic(api_key="test-key", base_url=url)
    workspace = batchnb.Workspace(client, home=home, scope="independent", max_poll=0.05)
    frame = pd.DataFrame({"review": [f"text {i}" for i in range(30)]})
    job = frame.batch.submit(
        "review", "Echo: {review}", into="echo", batch_size=10, workspace=workspace, progress=False
    )
    job.result(60)

for line in sys.stdin:
    child = os.fork()
    if not child:
        signal.alarm(90)
        cell(*json.loads(line))
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Cells:
    """Runs the cell in processes of its own, forked from one that has loaded everything: loading takes seconds."""

    def __init__(self) -> None:
        ours = ("ANTHROPIC_", "BATCHNB_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment |= {"BATCHNB_RECONCILE_GRACE": "0", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", CELLS, str(TESTS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def run(self, server: independent.Server, home: Path, log: Path, kill_at: int | None, extra: str = "") -> int:
        """Run the cell to its end, or until it is killed; give its exit status. `extra` is run first."""
        print(json.dumps([server.url, str(home), str(log), kill_at, extra]), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def cells() -> Iterator[Cells]:
    with contextlib.closing(Cells()) as running:
        yield running


class Judge(independent.Server):
    """The server, which remembers how much was logged when it accepted each batch."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self.log = log
        self.moments: list[int] = []

    def accept(self, requests: list[dict[str, Any]], *args: Any) -> independent.Batch:
        self.moments.append(power.events(self.log))
        return super().accept(requests, *args)


class Recording(NamedTuple):
    """A cell that ran: what it logged, and what it bought at which moments."""

    home: Path
    log: Path
    bought: list[list[dict[str, Any]]]
    moments: list[int]

    def cuts(self) -> Iterator[tuple[int, int]]:
        """Yield every moment at which the power may be cut, with the number of batches bought until then."""
        for at in range(power.events(self.log) + 1):
            yield at, sum(moment < at for moment in self.moments)
            if at in self.moments:
                yield at, sum(moment <= at for moment in self.moments)

    def purchases(self) -> Iterator[tuple[int, int]]:
        """Yield the cuts just after a batch was accepted, before anything more was logged."""
        yield from ((moment, number) for number, moment in enumerate(self.moments, 1))


def record(cells: Cells, folder: Path, *, kill_at: int | None = None, extra: str = "") -> tuple[Recording, int]:
    home, log = folder / "home", folder / "log"
    with Judge(log) as server:
        status = cells.run(server, home, log, kill_at, extra)
        return Recording(home, log, [batch.requests for batch in server.batches], server.moments), status


@pytest.fixture(scope="module")
def recording(cells: Cells, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The cell, run to an orderly end."""
    found, status = record(cells, tmp_path_factory.mktemp("recording"))
    assert status == 0
    assert len(found.bought) == 3
    return found


def run_again(home: Path, bought: list[list[dict[str, Any]]]) -> independent.Server:
    """Run the cell again, here, with a server that has sold this much: every row must get its answer."""
    with independent.Server() as server, contextlib.ExitStack() as stack:
        for requests in bought:
            server.accept(requests)
        # A power cut may forget a lock file, whose owner is else waited for, eleven minutes long.
        assert_echoed(Bench(server, home, stack).keep_to(longest_call=0.0).submit(texts(30), batch_size=10))
        return server


def content_of(home: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(home.glob("ledgers/*")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def different_cuts(recording: Recording, folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Cut the power everywhere, with all that was not synced lost; leave out what looks the same as before."""
    seen = set()
    for at, made in recording.cuts():
        into = folder / f"cut-{at}-{made}"
        power.rebuild(recording.log, recording.home, into, at=at, keep_identity=False)
        state = (made, content_of(into))
        if state not in seen:
            seen.add(state)
            power.keep_identities(into)
            yield at, made, into


def assert_run_again_completes(home: Path, bought: list[list[dict[str, Any]]], cut: object) -> None:
    server = run_again(home, bought)
    assert server.bought_once(), (cut, server.asked)
    assert len(server.batches) == 3, cut


@pytest.mark.usefixtures("bench")
def test_wherever_the_power_is_cut_nothing_is_lost_or_bought_twice(recording, tmp_path):
    """All that was not synced is lost."""
    for at, made, home in different_cuts(recording, tmp_path):
        assert_run_again_completes(home, recording.bought[:made], (at, made))


@pytest.mark.usefixtures("bench")
def test_whatever_part_of_the_unsynced_survives_nothing_is_lost_or_bought_twice(recording, tmp_path):
    """Of what was not synced some is lost, some torn, and some is on the disk before what was written earlier."""
    cuts = list(recording.cuts())
    for seed in range(12):
        at, made = random.Random(seed).choice(cuts)
        power.rebuild(recording.log, recording.home, tmp_path / str(seed), seed=seed, at=at)
        assert_run_again_completes(tmp_path / str(seed), recording.bought[:made], (seed, at, made))


# Killed for good at chosen points: what is cut off is a process in the middle of its work, not a recording of one.
MOMENTS = {
    "before the intent is synced": ("before(Batches, 'claim', lambda: power.kill_before('sync'))", 0),
    "after the intent was synced": ("Api.create_batch = die", 0),
    "after the server accepted": ("Batches.accepted = die", 1),
    "before the id is synced": ("before(Batches, 'accepted', lambda: power.kill_before('sync'))", 1),
    "between two batches": ("before(Batches, 'accepted', lambda: setattr(Batches, 'claim', die))", 1),
    "while results are recorded": ("before(Batches, 'record', lambda: power.kill_before('write'))", 1),
    "before the end of a batch is synced": ("before(Batches, 'collected', lambda: power.kill_before('sync'))", 1),
    "when all is done": ("batchnb.Job.to_frame = die", 3),
}


@pytest.mark.usefixtures("bench")
@pytest.mark.parametrize("moment", MOMENTS)
def test_power_cut(cells, tmp_path, moment):
    extra, made = MOMENTS[moment]
    found, status = record(cells, tmp_path, extra=extra)
    assert status == -signal.SIGKILL
    assert len(found.bought) == made
    for seed in (None, 1):
        power.rebuild(found.log, found.home, tmp_path / str(seed), seed=seed)
        assert_run_again_completes(tmp_path / str(seed), found.bought, seed)


@pytest.mark.usefixtures("bench")
@pytest.mark.parametrize("seed", range(10))
def test_a_power_cut_at_any_moment(cells, recording, tmp_path, seed):
    # Not quite to the end: no two runs log exactly as much.
    kill_at = random.Random(seed).randrange(power.events(recording.log) * 3 // 4)
    found, status = record(cells, tmp_path, kill_at=kill_at)
    assert status == -signal.SIGKILL
    power.rebuild(found.log, found.home, tmp_path / "into", seed=seed or None)
    assert_run_again_completes(tmp_path / "into", found.bought, kill_at)


@pytest.mark.usefixtures("bench")
def test_the_power_fails_again_and_again(cells, tmp_path):
    home, log = tmp_path / "home", tmp_path / "log"
    with Judge(log) as server:
        for number, kill_at in enumerate((80, 30, 55)):
            assert cells.run(server, home, log, kill_at) == -signal.SIGKILL
            power.rebuild(log, home, tmp_path / str(number), seed=number or None)
            home, log = tmp_path / str(number), tmp_path / f"log-{number}"
        assert_run_again_completes(home, [batch.requests for batch in server.batches], "the last")


@pytest.mark.usefixtures("bench")
def test_on_a_disk_without_a_wal_nothing_is_lost_or_bought_twice_either(cells, tmp_path):
    found, status = record(cells, tmp_path, extra="disk['shared_memory'] = False")
    assert status == 0
    assert not any(path.name.endswith("-wal") for _, path, *_ in power.read(found.log))
    for at, made in found.purchases():
        power.rebuild(found.log, found.home, tmp_path / str(at), at=at)
        assert_run_again_completes(tmp_path / str(at), found.bought[:made], at)


# That these tests can fail

FORGETFUL = """
class Forgetful(sqlite3.Connection):
    def execute(self, statement, *values):
        if "wal_checkpoint" in statement:  # which would make up for it
            statement = "PRAGMA user_version"
        return super().execute(statement.replace("= EXTRA", "= {setting}"), *values)
import functools
sqlite3.connect = functools.partial(sqlite3.connect, factory=Forgetful)
"""
MISTAKES = {
    "intents and ids are never synced": FORGETFUL.replace("{setting}", "OFF"),
    "intents and ids are synced when there is time": FORGETFUL.replace("{setting}", "NORMAL"),
    "names of folders are not synced": (
        "batchnb.system.disk.sync_names = batchnb.ledger.store.sync_names = lambda _: None"
    ),
    "the deletion of a journal is not synced": FORGETFUL.replace("{setting}", "FULL") + "disk['shared_memory'] = False",
}


@pytest.mark.usefixtures("bench")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_ledger_that_forgets_would_buy_twice(cells, tmp_path, mistake):
    found, status = record(cells, tmp_path, extra=MISTAKES[mistake])
    assert status == 0
    for at, _ in found.purchases():
        power.rebuild(found.log, found.home, tmp_path / str(at), at=at)
    assert not all(run_again(tmp_path / str(at), found.bought[:made]).bought_once() for at, made in found.purchases())
