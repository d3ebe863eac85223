"""Files of the user's are written beside what is there, and take its place only when they are whole."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import batchnb.system.disk
import batchnb.system.replacing
from batchnb.errors import BatchnbError, InputError
from batchnb.system.replacing import as_path, replacing

pytestmark = pytest.mark.steady


def write(path: Path, data: bytes = b"new") -> None:
    with replacing(path) as (file,):
        file.write(data)


def write_half(*paths: Path, error: type[BaseException]) -> None:
    with replacing(*paths) as files:
        files[0].write(b"half")
        raise error


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A file that is there."""
    path = tmp_path / "o.csv"
    path.write_bytes(b"good")
    return path


def assert_untouched(good: Path) -> None:
    assert good.read_bytes() == b"good"
    assert list(good.parent.iterdir()) == [good]


def test_a_file_is_replaced_when_it_is_whole_and_keeps_its_permissions(good: Path):
    good.chmod(0o640)
    with replacing(good) as (file,):
        file.write(b"new")
        assert good.read_bytes() == b"good"
    assert good.read_bytes() == b"new"
    assert stat.S_IMODE(good.stat().st_mode) == 0o640
    assert list(good.parent.iterdir()) == [good]


def test_a_new_file_has_the_permissions_that_open_would_give_it(tmp_path: Path):
    old = os.umask(0o027)
    try:
        write(tmp_path / "new.csv")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new.csv").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_what_fails_half_way_leaves_the_good_file(good: Path, error: type[BaseException]):
    with pytest.raises(error):
        write_half(good, error=error)
    assert_untouched(good)


def test_a_process_that_is_killed_half_way_leaves_the_good_file(good: Path):
    code = """
import os, signal, sys
from pathlib import Path
from batchnb.system.replacing import replacing
with replacing(Path(sys.argv[1])) as (file,):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code, good]).returncode == -signal.SIGKILL
    assert good.read_bytes() == b"good"


def test_a_full_disk_leaves_the_good_file_and_says_so(good: Path):
    code = """
import resource, signal, sys
from pathlib import Path
from batchnb.errors import BatchnbError
from batchnb.system.replacing import replacing
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with replacing(Path(sys.argv[1])) as (file,):
        file.write(b"x" * 100_000)
except BatchnbError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, good], capture_output=True, text=True, check=True)
    assert "could not be written" in done.stdout
    assert "as it was" in done.stdout
    assert_untouched(good)


def test_several_are_replaced_in_their_order_when_all_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(b"good")
    moved = []
    move = batchnb.system.replacing.move
    monkeypatch.setattr("batchnb.system.replacing.move", lambda old, new: (moved.append(new), move(old, new)))
    with replacing(*paths) as files:
        for file in files:
            file.write(b"new")
    assert moved == paths
    with pytest.raises(ValueError):  # noqa: PT011  # our own
        write_half(*paths, error=ValueError)
    assert [path.read_bytes() for path in paths] == [b"new"] * 3


def test_a_link_stays_and_what_it_leads_to_is_replaced(good: Path):
    link = good.parent / "links" / "o.csv"
    link.parent.mkdir()
    link.symlink_to("../o.csv")
    write(link)
    assert link.is_symlink()
    assert good.read_bytes() == b"new"
    assert [path.name for path in link.parent.iterdir()] == ["o.csv"]


def test_a_link_to_nothing_yet_makes_its_file_as_open_would(tmp_path: Path):
    link = tmp_path / "o.csv"
    link.symlink_to("there.csv")
    write(link)
    assert (tmp_path / "there.csv").read_bytes() == b"new"
    link.unlink()
    link.symlink_to("gone/there.csv")
    with pytest.raises(InputError, match=r"no folder .*gone"):
        write(link)


def test_links_in_a_circle_are_a_clear_error(tmp_path: Path):
    (tmp_path / "a.csv").symlink_to("b.csv")
    (tmp_path / "b.csv").symlink_to("a.csv")
    with pytest.raises(BatchnbError, match="could not be written"):
        write(tmp_path / "a.csv")


def test_a_pipe_stays_one_and_gets_all_at_once(tmp_path: Path):
    pipe, read = tmp_path / "o.csv", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write(pipe)
    reader.join(10)
    assert read == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_stays_one(tmp_path: Path):
    (tmp_path / "null.csv").symlink_to("/dev/null")
    write(tmp_path / "null.csv")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "out.csv"])
def test_what_a_shell_sends_the_output_into_goes_on_getting_it(tmp_path: Path, name: str):
    (tmp_path / "out.csv").symlink_to("/dev/stdout")
    code = "import sys; from pathlib import Path; from batchnb.system.replacing import replacing\n"
    code += "with replacing(Path(sys.argv[1])) as (file,):\n    file.write(b'new')"
    whole = f'{sys.executable} -c "$0" $1 > kept.txt; cat kept.txt; {sys.executable} -c "$0" $1 | cat'
    done = subprocess.run(["sh", "-c", whole, code, name], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == b"newnew"


def test_a_folder_and_a_missing_one_are_clear_errors(tmp_path: Path):
    with pytest.raises(InputError, match="is a folder"):
        write(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        write(tmp_path / "gone" / "o.csv")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="no folder"):
        write(tmp_path / "file" / "o.csv")


def as_nobody(code: str, *arguments: Path) -> str:
    """Run code as a user without rights."""
    lowered = "import os, sys; os.setgid(65534); os.setuid(65534)\n" if os.geteuid() == 0 else "import os, sys\n"
    given = "from pathlib import Path; from batchnb.system.replacing import replacing; from batchnb.errors import *\n"
    done = subprocess.run([sys.executable, "-c", given + lowered + code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


WRITE = """
try:
    with replacing(Path(sys.argv[1])) as (file,):
        file.write(b"new")
except InputError as error:
    print(error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others come to: those of a test are closed to them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_a_file_that_may_only_be_read_is_not_replaced_though_its_folder_would_let_it(open_folder: Path):
    path = open_folder / "o.csv"
    path.write_bytes(b"good")
    path.chmod(0o444)
    assert "may not be written to" in as_nobody(WRITE, path)
    assert_untouched(path)


@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_a_file_that_may_be_written_in_a_folder_that_renames_none_of_it_is_written_over(open_folder: Path, mode: int):
    path = open_folder / "o.csv"
    path.write_bytes(b"good, and longer")
    path.chmod(0o666)
    open_folder.chmod(mode)
    assert as_nobody(WRITE, path) == ""
    assert path.read_bytes() == b"new"
    assert list(open_folder.iterdir()) == [path]


# As on Windows: no file that is open is replaced


def test_a_file_that_is_let_go_in_time_is_replaced(good: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batchnb.system.disk, "STUBBORN", True)
    replace, tries = Path.replace, []

    def held(self: Path, target: Path) -> Path:
        tries.append(self)
        if len(tries) < 4:
            raise PermissionError(13, "The process cannot access the file", str(self), 32, str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", held)
    write(good)
    assert good.read_bytes() == b"new"
    assert len(tries) == 4


def test_a_file_that_is_not_let_go_is_told_and_stays(good: Path, monkeypatch: pytest.MonkeyPatch):
    for module in (batchnb.system.disk, batchnb.system.replacing):
        monkeypatch.setattr(module, "STUBBORN", True)
    monkeypatch.setattr(batchnb.system.disk, "PATIENCE", 0.05)

    def held(self: Path, target: Path) -> Path:
        raise PermissionError(13, "The process cannot access the file", str(self), 32, str(target))

    monkeypatch.setattr(Path, "replace", held)
    with pytest.raises(InputError, match="Close it where it is open"):
        write(good)
    assert_untouched(good)


# Paths


def test_paths_are_taken_as_people_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    class Like:
        def __fspath__(self) -> str:
            return "~/o.csv"

    for given in ("~/o.csv", Path("~/o.csv"), Like()):
        assert as_path(given) == tmp_path / "o.csv"

    class Odd:
        def __init__(self, given: object = None) -> None:
            self.given = given

        def __fspath__(self) -> object:
            if self.given is None:
                raise KeyError("no")
            return self.given

        def __repr__(self) -> str:
            raise KeyError("no")

    odd = (Odd(), Odd(5), Odd(b"o.csv"), Odd("\ud800.csv"))
    half = ("\ud800.csv", "a\udce9.csv", "\ud800/o.csv")
    for wrong in (None, 3, b"o.csv", "", "a\0.csv", "~nobody-of-this-name/o.csv", *half, *odd):
        with pytest.raises(InputError, match=r"no path of a file\. Nothing was written"):
            as_path(wrong)
