"""A ledger that cannot be written for real: the disk full, the files read-only, locked, damaged, of another time.

Each time: a clear error that says what to do, nothing sent that could not be recorded, and nothing lost when the
trouble is over.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, assert_echoed, texts
from cell_process import cell
from independent import Held, Lost, Server, Status, message, text_of
from nursery import Nursery

from batchnb.errors import LedgerError
from batchnb.ledger.migrations import STEPS

pytest_plugins = ["bench_fixtures"]
pytestmark = pytest.mark.steady

NOBODY = 65534
SEVERAL = 3  # failed steps of the background thread


def ledger_of(home: Path) -> Path:
    (path,) = (home / "ledgers").glob("*.sqlite")
    return path


# A full disk


class SmallDisk:
    """A disk of 2 MB: a real one where this process may mount it; else files may not grow beyond that size."""

    SIZE = 2_000_000

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        options = ["-t", "tmpfs", "-o", f"size={self.SIZE},mode=0700", "tmpfs", str(folder)]
        mount = shutil.which("mount")
        self.mounted = mount is not None and subprocess.run([mount, *options], capture_output=True).returncode == 0
        if not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.SIZE, self._limits[1]))

    def fill(self) -> None:
        """Leave no byte free."""
        if self.mounted:
            with contextlib.suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(b"x" * 4096)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, self._limits[1]))

    def free(self) -> None:
        """Make room."""
        if self.mounted:
            subprocess.run(["mount", "-o", "remount,size=100m", self.folder], check=True)
            (self.folder / "filler").unlink(missing_ok=True)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)

    def close(self) -> None:
        self.free()
        if self.mounted:
            subprocess.run(["umount", "--lazy", self.folder], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    small = SmallDisk(tmp_path / "disk")
    yield small
    small.close()


@pytest.fixture
def cramped(server: Server, disk: SmallDisk, bench: Bench) -> Iterator[Bench]:
    """A bench whose home is on that disk."""
    with contextlib.ExitStack() as stack:
        yield Bench(server, disk.folder / "home", stack)


def test_a_job_for_which_the_disk_has_no_room_is_not_recorded_in_part_and_not_sent(cramped: Bench, disk: SmallDisk):
    assert_echoed(cramped.submit(texts(3)))
    long = [f"{number} " + "x" * 2000 for number in range(2000)]
    with pytest.raises(LedgerError, match=r"free space and run the cell again"):
        cramped.submit(long)
    assert len(cramped.server.batches) == 1
    assert len(cramped.workspace.jobs()) == 1
    assert_echoed(cramped.submit(texts(3)))
    disk.free()
    assert_echoed(cramped.submit(long))
    assert cramped.server.bought_once()


def test_a_disk_too_full_for_a_ledger_is_a_clear_error_and_later_no_obstacle(cramped: Bench, disk: SmallDisk):
    disk.fill()
    with pytest.raises(LedgerError, match=r"BATCHNB_HOME|free space") as raised:
        cramped.submit(texts(3))
    assert str(disk.folder) in str(raised.value)
    assert cramped.server.batches == []
    disk.free()
    assert_echoed(cramped.submit(texts(3)))


def test_answers_for_which_the_disk_has_no_room_are_read_again_when_it_has(cramped: Bench, disk: SmallDisk):
    server = cramped.server
    server.result = lambda params: {"type": "succeeded", "message": message(params, text_of(params) + "y" * 20_000)}
    job = cramped.submit(texts(300), batch_size=100)
    failed_steps(job)
    assert "free space" in job.snapshot().note
    disk.free()
    frame = job.result(30)
    assert frame["echo"].tolist() == [f"Echo: {text}" + "y" * 20_000 for text in texts(300)]
    assert server.bought_once()


def failed_steps(job: Any) -> None:
    """Wait until the background thread could not write several times in a row."""
    watcher = job._session.watcher
    before = watcher._ledger_failures
    while watcher._ledger_failures < before + SEVERAL:
        assert watcher.running
        time.sleep(0.01)


def test_a_disk_that_fills_up_during_a_create_sends_nothing_more_until_there_is_room(cramped: Bench, disk: SmallDisk):
    server = cramped.server
    fault = Held()
    server.faults["create"] += [None, fault]
    job = cramped.submit([f"{number} " + "x" * 1000 for number in range(300)], batch_size=50)
    server.wait_for(fault.reached.is_set)
    disk.fill()
    fault.let_go.set()
    failed_steps(job)
    sent = len(server.batches)  # what still found room in the files there are was recorded, and sent
    failed_steps(job)
    assert len(server.batches) == sent < 6
    disk.free()
    assert_echoed(job)
    assert server.bought_once()
    assert len(server.batches) == 6


# Files that may not be written

CELL = """
def cell():
    os.umask(given.get("umask", 0o022))
    if os.geteuid() == 0:
        os.setgid(given["nobody"])
        os.setuid(given["nobody"])
    os.environ |= given.get("environment", {})
    frame = pd.DataFrame({"review": given["texts"]})
    workspace = None
    if given.get("simulate"):
        batchnb.simulate(delay=(0.01, 0.02))
    else:
        client = client_of(given["url"], given.get("key", "test-key"))
        workspace = batchnb.Workspace(client, home=given["home"], scope="independent", max_poll=0.05)
    job = frame.batch.submit("review", "Echo: {review}", into="echo", workspace=workspace, progress=False)
    statuses = job.result(60)["echo_status"].tolist()
    home = job._session.home
    modes = [[str(path), path.stat().st_mode & 0o7777, path.is_dir()] for path in [home, *home.rglob("*")]]
    job._session.close()
    say("done", statuses=statuses, modes=modes)
"""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    running = Nursery(CELL)
    yield running
    running.close()


class OwnCell:
    """Runs the cell in processes of a user without rights."""

    def __init__(self, nursery: Nursery, server: Server, folder: Path) -> None:
        self._nursery = nursery
        self._server = server
        self.folder = folder
        self.home = folder / "home"

    def run(self, count: int, **given: Any) -> dict[str, Any]:
        """Return what it says at its end: the statuses of so many rows, or its error."""
        name = str(len(self._nursery.said))
        given = {"home": str(self.home), "url": self._server.url, "texts": texts(count), "nobody": NOBODY, **given}
        self._nursery.start(name, **given)
        said = self._nursery.hear(name, "done")
        assert said.get("statuses") == ["succeeded"] * count or said["event"] == "failed"
        return said


@pytest.fixture
def own(nursery: Nursery, server: Server) -> Iterator[OwnCell]:
    """In a folder of that user's: a test's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield OwnCell(nursery, server, folder)
    shutil.rmtree(folder)


def test_an_empty_file_is_no_new_ledger(bench: Bench):
    """SQLite takes it for a new database; every row would be bought a second time, without a word."""
    job = bench.submit(texts(5))
    assert_echoed(job)
    job._session.close()
    whole = ledger_of(bench.home).read_bytes()
    os.truncate(ledger_of(bench.home), 0)
    with pytest.raises(LedgerError, match=r"is empty.*recover"):
        bench.submit(texts(5), workspace=bench.open())
    ledger_of(bench.home).write_bytes(whole)
    assert_echoed(bench.submit(texts(5), workspace=bench.open()))
    assert bench.server.bought_once()


@pytest.mark.parametrize("part", [0.0, 0.25, 0.5, 0.75])
def test_batches_are_not_forgotten_with_a_damaged_log(bench: Bench, part):
    """SQLite leaves out, without an error, what follows the first bad page of its write-ahead log."""
    bench.server.ends = False
    with cell(bench) as process:
        bench.server.wait_for(lambda: len(bench.server.batches) == 3 and bench.server.called("GET", "msgbatch") > 3)
        process.kill()
        process.wait()
    log = Path(f"{ledger_of(bench.home)}-wal")
    size = log.stat().st_size
    with log.open("r+b") as file:
        file.seek(int(size * part))
        file.write(b"\xa5" * (size - int(size * part)))
    bench.server.ends = True
    bench.server.end()
    assert_echoed(bench.submit(texts(30), batch_size=10))
    assert bench.server.bought_once()


READ_ONLY: dict[str, Callable[[Path], list[Path]]] = {
    "the file": lambda home: [ledger_of(home)],
    "the folder of the ledgers": lambda home: [home / "ledgers"],
    "the folder of the locks": lambda home: [home / "owners"],
    "everything": lambda home: [ledger_of(home), home / "ledgers", home / "owners", home],
}


@pytest.mark.parametrize("which", READ_ONLY.values(), ids=READ_ONLY)
def test_files_that_may_not_be_written_are_a_clear_error(server: Server, own: OwnCell, which):
    assert own.run(3)["event"] == "done"
    closed = {path: stat.S_IMODE(path.stat().st_mode) for path in which(own.home)}
    for path in closed:
        path.chmod(0o500 if path.is_dir() else 0o400)
    said = own.run(4)
    assert said["error"] == "LedgerError", said
    assert str(own.home) in said["message"]
    assert "BATCHNB_HOME" in said["message"]
    assert len(server.batches) == 1
    for path, mode in reversed(closed.items()):
        path.chmod(mode)
    assert own.run(4)["event"] == "done"
    assert server.bought_once()


@pytest.mark.parametrize("simulate", [False, True])
def test_a_umask_that_shuts_out_even_the_owner_changes_nothing(own: OwnCell, simulate):
    said = own.run(5, umask=0o277, simulate=simulate, environment={"BATCHNB_HOME": str(own.home)})
    assert said["event"] == "done", said


def test_a_home_that_may_not_be_made_is_a_clear_error(server: Server, own: OwnCell):
    own.folder.chmod(0o500)
    said = own.run(3)
    own.folder.chmod(0o700)
    assert said["error"] == "LedgerError"
    assert "Set BATCHNB_HOME to a folder you can write to" in said["message"]
    assert server.batches == []


# Locked


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds the file for itself."""
    code = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""
    holder = subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
    finally:
        holder.kill()
        holder.communicate()


@pytest.fixture(params=[2.0, 0.01], ids=["soon", "late"])
def impatient(request: pytest.FixtureRequest, bench: Bench) -> Bench:
    """A bench that waits for a lock a fifth of a second: in the step that began to send, or beyond its end."""
    return bench.keep_to(lock_patience=0.2, soon=request.param)


def test_a_ledger_that_another_process_has_locked_is_a_clear_error_and_nothing_is_sent(impatient: Bench):
    assert_echoed(impatient.submit(texts(3)))
    with locked(ledger_of(impatient.home)):
        with pytest.raises(LedgerError, match="another process has locked it"):
            impatient.submit(texts(5))
        with pytest.raises(LedgerError, match="another process has locked it"):
            impatient.submit(texts(5), workspace=impatient.open())
        assert len(impatient.server.batches) == 1
    assert_echoed(impatient.submit(texts(5)))
    assert_echoed(impatient.submit(texts(5), workspace=impatient.open()))
    assert impatient.server.bought_once()


@pytest.mark.parametrize("given", [{}, {"lost": True}, {"accept": False}], ids=["made", "lost", "not made"])
def test_a_lock_that_comes_during_a_create_is_waited_out_and_what_it_hid_is_found(impatient: Bench, given):
    server, fault = impatient.server, Held(**given)
    server.faults["create"] += [fault]
    job = impatient.submit(texts(30), batch_size=10)
    server.wait_for(fault.reached.is_set)
    with locked(ledger_of(impatient.home)):
        fault.let_go.set()
        failed_steps(job)
        assert len(server.batches) == int(fault.accept)  # nothing that cannot be recorded is sent
        assert "locked" in job.snapshot().note
    assert_echoed(job)
    assert server.bought_once()
    assert len(server.batches) == 3


# Damaged, and of another time


def overwritten(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 4)
        file.write(b"\xa5" * (size // 2))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def beheaded(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\0" * 4096)


def of_a_newer_version(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    db.close()


@pytest.mark.parametrize("damage", [overwritten, truncated, beheaded, of_a_newer_version])
def test_a_damaged_ledger_is_a_clear_error_and_one_that_is_mended_has_everything(bench: Bench, damage):
    job = bench.submit(texts(500))
    assert_echoed(job)
    job._session.close()
    path = ledger_of(bench.home)
    kept = path.read_bytes()
    damage(path)
    calls = bench.server.count_calls()
    workspace = bench.open()
    with pytest.raises(LedgerError, match=r"Call batchnb\.recover\(\)|Upgrade") as raised:  # wherever it shows
        bench.submit([*texts(500), "one more"], workspace=workspace).result(30)
    assert str(path) in str(raised.value)
    assert not bench.server.called("POST", "batches") > 10, bench.server.calls[calls:]
    workspace.close()
    for extra in path.parent.iterdir():
        extra.unlink()
    path.write_bytes(kept)
    assert_echoed(bench.submit([*texts(500), "one more"], workspace=bench.open()))
    assert bench.server.bought_once()


@pytest.mark.parametrize("garbage", [b"", b"\xa5" * 50_000, b"\x37\x7f\x06\x82" + b"\0" * 50_000])
def test_garbage_beside_a_closed_ledger_harms_nothing(bench: Bench, garbage):
    job = bench.submit(texts(50))
    assert_echoed(job)
    job._session.close()
    path = ledger_of(bench.home)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).write_bytes(garbage)
    calls = bench.server.count_calls()
    workspace = bench.open()
    again = bench.submit(texts(50), workspace=workspace)
    assert again.id == job.id
    assert_echoed(again)
    assert len([call for call in bench.server.calls[calls:] if "/models" not in call[1]]) == 0


# What is left on the disk


def forms_of(key: str) -> set[bytes]:
    """A key as it might be written: as it is, in another encoding, or as a digest of it."""
    found = set()
    for text in (key, f"Bearer {key}", key.removeprefix("sk-ant-"), f":{key}", f"user:{key}"):
        raw = text.encode()
        found |= {raw, raw[::-1], base64.b64encode(raw).rstrip(b"=")[:-1], base64.b32encode(raw).rstrip(b"=")[:-1]}
        digests = [hashlib.new(name, raw).digest() for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")]
        digests += [hashlib.blake2b(raw, digest_size=size).digest() for size in (4, 8, 16, 20, 32, 64)]
        digests += [hashlib.blake2s(raw, digest_size=size).digest() for size in (8, 16, 32)]
        for digest in digests:
            found |= {digest.hex().encode(), base64.b64encode(digest).rstrip(b"=")}
            if len(digest) >= 8:
                found |= {digest, digest.hex().encode()[:16]}
    return found


@pytest.mark.parametrize("umask", [0o000, 0o022], ids=oct)
@pytest.mark.parametrize("simulate", [False, True], ids=["real", "simulated"])
def test_files_are_private_whatever_the_umask_and_hold_nothing_of_a_key(
    server: Server, own: OwnCell, umask: int, simulate: bool
):
    key = "sk-ant-api03-Recognisable0123456789-secret"
    server.faults["create"] += [Lost(), Status(429), Status(500)]
    environment = {"BATCHNB_HOME": str(own.home), "ANTHROPIC_API_KEY": key}
    said = own.run(20, umask=umask, simulate=simulate, key=key, environment=environment)
    assert said["event"] == "done", said
    wrong = {name: oct(mode) for name, mode, folder in said["modes"] if mode != (0o700 if folder else 0o600)}
    assert wrong == {}
    endings = [Path(name).suffix for name, _, folder in said["modes"] if not folder]
    assert {".sqlite", ".lock"} <= set(endings)
    assert (".db" in endings) == simulate
    written = b"".join(path.read_bytes() for path in own.home.rglob("*") if path.is_file())
    assert b"text 1" in written
    assert [form for form in forms_of(key) if form in written] == []
    assert (key in server.keys) != simulate


def test_a_password_in_the_base_url_is_written_nowhere(bench: Bench, capsys):
    host = bench.server.url.removeprefix("http://")
    workspace = bench.open(url=f"http://someone:recognisable-secret@{host}")
    bench.server.faults["create"] += [Lost(), Status(401)]
    job = bench.submit(texts(20), workspace=workspace, batch_size=10)
    shown = job.result(30).to_csv() + repr(job) + repr(job.snapshot()) + "".join(capsys.readouterr())
    workspace.close()
    written = b"".join(path.read_bytes() for path in bench.home.rglob("*") if path.is_file())
    assert "recognisable-secret" not in shown
    assert not any(form in written for form in forms_of("recognisable-secret"))
