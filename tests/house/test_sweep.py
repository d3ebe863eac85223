"""The search after each test finds a key wherever it is left, and so can fail."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.steady

LEAKS = {
    "a file": "(tmp_path / 'a.bin').write_bytes(b'\\0' + KEY.encode())",
    "a file's name": "(tmp_path / KEY[:60]).touch()",
    "a file in capitals": "(tmp_path / 'a').write_text(KEY.upper())",
    "a file in base64": "(tmp_path / 'a').write_bytes(base64.b64encode(b'Bearer ' + KEY.encode()))",
    "a file in UTF-16": "(tmp_path / 'a').write_text(KEY, encoding='utf-16')",
    "a file with a part": "(tmp_path / 'a').write_text(KEY[:30])",
    "a file with a key that a simulator drew": "(tmp_path / 'a').write_text('simulated-' + 'a1' * 16)",
    "output": "print(KEY)",
    "errors' output": "print(KEY, file=sys.stderr)",
    "output that the test has read": "print(KEY); capsys.readouterr()",
    "a log": "logging.getLogger('batchnb').warning('with %s', KEY)",
    "a process's output": "subprocess.run([sys.executable, '-c', f'print({KEY!r})'], capture_output=True)",
    "an error that nobody sees": "batchnb.errors.LedgerError(f'no {KEY}')",
    "an error that is caught": "inside('raise batchnb.errors.ApiError(\"no\", type=key)')",
    "a note": "inside('error = ValueError(1); error.add_note(key); raise error')",
    "a cause": "inside('raise ValueError(1) from OSError(key)')",
    "a local of a frame": "inside('kept = [key]; raise ValueError(1)')",
}  # fmt: skip

FILE = """
import base64, logging, subprocess, sys
import pytest
import batchnb.errors
from leaks import KEY

def inside(code):
    names = {"__name__": "batchnb.planted", "batchnb": batchnb}
    exec("def call(key):\\n    given, key = key, [key].pop()\\n    " + code, names)
    with pytest.raises(Exception):
        names["call"](KEY)

def test_a(tmp_path, CAPSYS):
    PLANT
"""


def judged(folder: Path, *plants: str, marker: str = "", options: tuple[str, ...] = ("-n", "0")) -> str:
    """Run tests that leave a key, with the suite's conftest, and return what is said of them."""
    here = Path(__file__).parents[1] / "support"
    (folder / "conftest.py").write_text(f"import sys\nsys.path.insert(0, {str(here)!r})\nfrom sweep import *\n")
    lines = ["[pytest]", "markers = holds_key(why): a key is there on purpose"]
    (folder / "pytest.ini").write_text("\n".join(lines))
    for number, plant in enumerate(plants):
        capsys = "capsys" if "capsys" in plant else "request"
        code = FILE.replace("PLANT", plant).replace("CAPSYS", capsys).replace("def test_a", f"{marker}\ndef test_a")
        (folder / f"test_{number}.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
    process = subprocess.Popen(
        [*command, f"--basetemp={folder / 'base'}"], stdout=subprocess.PIPE, cwd=folder, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        return process.stdout.read()


@pytest.mark.holds_key("keys are planted to be found")
@pytest.mark.parametrize("options", [("-n", "0"), ("-n", "2")], ids=["one by one", "in parallel"])
def test_a_key_is_found_wherever_it_is_left(tmp_path, options):
    said = judged(tmp_path, *LEAKS.values(), options=options)
    missed = [name for number, name in enumerate(LEAKS) if f"ERROR test_{number}.py" not in said]
    assert missed == [], said
    assert f"{len(LEAKS)} errors" in said
    assert "a key was left in" in said


@pytest.mark.holds_key("keys are planted")
def test_a_test_that_holds_a_key_on_purpose_says_so_and_what_it_raises_is_searched_still(tmp_path):
    plants = [LEAKS["a file"], LEAKS["output"], LEAKS["a cause"]]
    said = judged(tmp_path, *plants, marker="@pytest.mark.holds_key('on purpose')")
    assert "3 passed, 1 error" in said, said


def test_the_suites_clients_have_keys_that_are_searched_for(bench_keys):
    from sweep import in_text

    assert all(in_text(key) for key in bench_keys)
    assert in_text(base64.b64encode(os.urandom(4096))) is None


@pytest.fixture
def bench_keys(real, workspace) -> list[str]:
    import bench
    import crash_places
    import leaks
    import simulation

    clients = [real.session.api._client, workspace.session.api._client]
    return [bench.KEY, leaks.KEY, simulation.KEY, *crash_places.KEYS, *(client.api_key for client in clients)]
