"""After each test: nothing that was written, printed or raised holds the key that the suite's clients have.

All keys hold `leaks.CORE`, so one search finds any of them, and those that a simulator draws for itself have a shape of
their own. Searched are the files below the test's folder, as bytes; what was printed and logged, also where the test
read it itself, and what its child processes printed; the message of each of our errors, from when it is made, also of
those that nobody sees; and what `pytest.raises` catches, with causes, notes, and the locals of frames that are no
test's. A test that holds a key on purpose says why: ``@pytest.mark.holds_key("a model's words are kept")``; of that one
only what was raised is searched.

What is raised is searched when it is caught, and nothing of it is kept: no object lives longer than without the search.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from leaks import CORE, Leaks, core_pieces, frames

from batchnb.errors import BatchnbError

LEAKS = Leaks(CORE)
NEEDLES = core_pieces()
#: What a simulator draws where it takes its own key alone; it keeps that itself, in its state.
DRAWN = re.compile(rb"simulated-[0-9a-f]{32}")
#: The simulator's own store, where the key it has drawn is kept.
STORES = ("simulator.db", "simulator.db-wal")

#: What was found in the test that runs, and is no file's.
found_now: list[str] = []
_undo: list[Callable[[], None]] = []


def in_bytes(data: bytes, drawn: bool = True) -> str | None:
    """Return what of a key some bytes hold, or None."""
    # Nine of ten bytes of a young ledger are zeros. Without them the search is fast, and finds UTF-16 as well.
    low = data.translate(None, b"\0").lower()
    for needle in NEEDLES:
        if needle in low:
            return needle.decode()
    match = DRAWN.search(low) if drawn else None
    return match and match.group().decode()


def in_text(text: str | bytes | None) -> str | None:
    """Return what of a key a text holds, or None."""
    return in_bytes(text if isinstance(text, bytes) else (text or "").encode("utf-8", "replace"))


def in_files(folder: Path) -> Iterator[str]:
    """Search all files below a folder, and their names."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            if path.is_file():  # no pipe or socket, and no link to nowhere
                try:
                    data = path.read_bytes()
                except PermissionError:
                    yield f"{path}: cannot be searched"
                    continue
                if what := in_text(name) or in_bytes(data, drawn=name not in STORES):
                    yield f"the file {path}: {what}"


def in_raised(error: BaseException | None) -> Iterator[str]:
    """Search an exception of ours, or one that went through our code."""
    if error is None:
        return
    ours = isinstance(error, BatchnbError) or any(
        frame.f_globals.get("__name__", "").partition(".")[0] == "batchnb" for frame in frames(error.__traceback__)
    )
    if ours:
        yield from LEAKS.in_exception(error)


def note(where: str, text: str | bytes | None) -> None:
    """Search a text of the test that runs."""
    if text and (what := in_text(text)):
        found_now.append(f"{where}: {what}")


def _around(owner: type, name: str, make: Callable[[Any], Any]) -> None:
    before = getattr(owner, name)
    setattr(owner, name, make(before))
    _undo.append(lambda: setattr(owner, name, before))


def _made(cls: type, *args: Any, **options: Any) -> Any:
    note(f"an error {cls.__name__}", repr(args))
    return super(BatchnbError, cls).__new__(cls, *args, **options)


def _caught(before: Any) -> Any:
    def leave(self: Any, kind: Any, error: Any, trace: Any) -> Any:
        found_now.extend(f"raised: {what}" for what in in_raised(error))
        return before(self, kind, error, trace)

    return leave


def _read(before: Any) -> Any:
    def read(self: Any) -> Any:
        given = before(self)
        for text in given:
            note("printed", text)
        return given

    return read


def _spoken(before: Any) -> Any:
    def communicate(self: Any, *args: Any, **options: Any) -> Any:
        given = before(self, *args, **options)
        for text in given:
            note("printed by a process", text)
        return given

    return communicate


def pytest_configure(config: pytest.Config) -> None:
    BatchnbError.__new__ = staticmethod(_made)
    _undo.append(lambda: delattr(BatchnbError, "__new__"))
    _around(type(pytest.raises(BatchnbError)), "__exit__", _caught)
    _around(pytest.CaptureFixture, "readouterr", _read)
    _around(subprocess.Popen, "communicate", _spoken)


def pytest_unconfigure(config: pytest.Config) -> None:
    while _undo:
        _undo.pop()()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Fail a test, at its end, that left a key anywhere."""
    report = yield
    if call.when == "teardown":
        found, found_now[:] = list(found_now), []
        if item.get_closest_marker("holds_key"):
            found = [one for one in found if one.startswith("raised")]
        else:
            found += [f"{name}: {what}" for name, text in report.sections if (what := in_text(text))]
            folder = getattr(item, "funcargs", {}).get("tmp_path")
            found += in_files(folder) if folder else ()
        if found and report.passed:
            report.outcome = "failed"
            report.longrepr = "a key was left in what the test wrote, printed or raised:\n" + "\n".join(found[:20])
    return report
