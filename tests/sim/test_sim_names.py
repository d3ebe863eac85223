"""The names of simulated states: each notebook and script finds its own again, in whatever order they start."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import kernel
import pytest

import batchnb
from batchnb.sim.state.names import default_name, folder_name

pytestmark = pytest.mark.steady

CELL = """
import sys, pandas as pd, batchnb
simulator = batchnb.simulate(delay=(0.0, 0.01), **{given})
texts = sys.argv[1:] or {texts}
frame = pd.DataFrame({{"review": texts}})
job = frame.batch.submit("review", "Echo: {{review}}", into="said", progress=False)
assert job.result(60)["said"].tolist() == texts
bought = sum(call.path == "/v1/messages/batches" and call.method == "POST" for call in simulator.calls)
print(simulator.state.name, bought, flush=True)
sys.stdin.readline()
"""


class Running:
    """A script or notebook that has run its cell and stays until it is told to end."""

    def __init__(self, home: Path, *command: object, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JPY_", "ANTHROPIC_"))}
        self._process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**kept, "BATCHNB_HOME": str(home), **environment},
        )

    def said(self) -> tuple[str, int]:
        """Return the name of the state, and how many batches were bought."""
        line = self._process.stdout.readline().split()
        assert line, self._process.communicate("\n", timeout=60)[1]
        return line[0], int(line[1])

    def end(self) -> str:
        _, complaints = self._process.communicate("\n", timeout=60)
        return complaints


def script(path: Path, texts: list[str], **given: str) -> Path:
    path.write_text(CELL.format(texts=texts, given=given), encoding="utf-8")
    return path


def restart(home: Path, *commands: tuple[tuple[object, ...], dict[str, str]]) -> list[tuple[str, int]]:
    """Run these beside each other, in this order; return what each said."""
    running: list[Running] = []
    said = []
    for command, environment in commands:
        running.append(Running(home, *command, **environment))
        said.append(running[-1].said())
    for each in running:
        each.end()
    return said


def test_two_scripts_restarted_in_the_other_order_keep_their_states_and_buy_nothing(tmp_path):
    (tmp_path / "sub").mkdir()
    one = ((script(tmp_path / "one.py", ["a", "b"]),), {})
    two = ((script(tmp_path / "two.py", ["c", "d"]),), {})
    first = restart(tmp_path / "home", one, two)
    assert [bought for _, bought in first] == [1, 1]
    assert [name.rpartition("-")[0] for name, _ in first] == ["one", "two"]
    one = ((tmp_path / "sub" / ".." / "one.py",), {})  # by whatever path
    again = restart(tmp_path / "home", two, one)
    assert again == [(first[1][0], 0), (first[0][0], 0)]


def test_two_notebooks_restarted_in_the_other_order_keep_their_states_and_buy_nothing(tmp_path):
    """As Jupyter starts their kernels: known by the path of the notebook alone."""
    commands = [
        (("-c", CELL.format(texts=texts, given={})), {"JPY_SESSION_NAME": f"/home/ana/lessons/{name}.ipynb"})
        for name, texts in (("reviews", ["a"]), ("letters", ["b"]))
    ]
    first = restart(tmp_path / "home", *commands)
    assert [name.rpartition("-")[0] for name, _ in first] == ["reviews", "letters"]
    assert restart(tmp_path / "home", *reversed(commands)) == [(first[1][0], 0), (first[0][0], 0)]


def test_notebooks_of_one_name_in_two_folders_have_two_states(monkeypatch):
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    names = set()
    for folder in ("x", "y"):
        monkeypatch.setenv("JPY_SESSION_NAME", f"/{folder}/reviews.ipynb")
        names.add(default_name())
    assert len(names) == 2
    assert {name.rpartition("-")[0] for name in names} == {"reviews"}


def test_a_kernel_knows_its_notebook(tmp_path):
    with kernel.running(tmp_path, JPY_SESSION_NAME="/x/reviews.ipynb") as started:
        cell = started.run("import batchnb; print(batchnb.simulate().state.name)")
    assert cell.text.startswith("reviews-"), cell.text


def test_a_second_kernel_of_one_notebook_has_a_state_of_its_own_and_the_first_keeps_its(tmp_path):
    command = (("-c", CELL.format(texts=["a"], given={})), {"JPY_SESSION_NAME": "/x/reviews.ipynb"})
    first, second = restart(tmp_path / "home", command, command)
    assert second[0] == f"{first[0]}.2"
    assert restart(tmp_path / "home", command, command) == [(first[0], 0), (second[0], 0)]


def test_a_script_that_a_notebook_starts_does_not_take_the_notebooks_name(tmp_path):
    one = script(tmp_path / "one.py", ["a"])
    inherited = {"JPY_SESSION_NAME": "/x/reviews.ipynb", "JPY_PARENT_PID": "1"}
    assert restart(tmp_path / "home", ((one,), inherited))[0][0].startswith("one-")


def test_where_nothing_is_known_states_are_numbered_as_ever_and_are_reached_by_their_number(tmp_path):
    command = ("-c", CELL.format(texts=["a"], given={}))
    assert restart(tmp_path / "home", (command, {}), (command, {})) == [("1", 1), ("2", 1)]
    assert restart(tmp_path / "home", (command, {})) == [("1", 0)]
    named = script(tmp_path / "notebook.py", ["a"], name="2")
    assert restart(tmp_path / "home", ((named,), {})) == [("2", 0)]


def test_a_named_state_is_one_whoever_asks_and_says_who_has_it(tmp_path):
    one = ((script(tmp_path / "one.py", ["a"], name="Lesson-2"),), {})
    two = ((script(tmp_path / "two.py", ["a"], name="lesson-2"),), {})
    assert restart(tmp_path / "home", one) == [("lesson-2", 1)]
    assert restart(tmp_path / "home", two) == [("lesson-2", 0)]
    first = Running(tmp_path / "home", *one[0])
    assert first.said() == ("lesson-2", 0)
    refused = Running(tmp_path / "home", *two[0]).end()
    assert f"LedgerError: The simulator cannot start: another simulator is using {tmp_path}" in refused
    assert f"(process {first._process.pid}, at http://127.0.0.1:" in refused
    first.end()


def test_what_visual_studio_code_tells_of_a_notebook_is_its_name(monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__vsc_ipynb_file__", "/home/ana/Lesson 3.ipynb", raising=False)
    monkeypatch.setenv("JPY_SESSION_NAME", "/other.ipynb")
    name = default_name()
    assert name.startswith("lesson-3-")
    assert folder_name(name) == name


def test_a_runner_of_tests_is_no_script(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert default_name() is None


@pytest.mark.parametrize(
    "path",
    [
        "/a/con.ipynb",
        "/a/.ipynb",
        "/a/수업.ipynb",
        "/a/" + "x" * 250 + ".ipynb",
        "C:\\a\\b c.ipynb",
        "nul",
        "a\0b",
        "💥",
    ],
)
def test_a_name_of_its_own_is_always_one_that_every_file_system_takes(monkeypatch, path):
    monkeypatch.setattr(sys.modules["__main__"], "__vsc_ipynb_file__", path, raising=False)
    assert folder_name(default_name()) == default_name()


@pytest.mark.parametrize(
    ("name", "folder"),
    [("lesson-2", "lesson-2"), ("Lesson-2", "lesson-2"), ("수업_2", "수업_2"), ("a.b", "a.b"), ("é", "é"), ("3", "3"),
     (unicodedata.normalize("NFD", "é"), "é"), ("x" * 64, "x" * 64), ("console", "console"), ("com10", "com10")],
)  # fmt: skip
def test_names_that_every_file_system_takes(name, folder):
    assert folder_name(name) == folder


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "a/b", "a\\b", "..", ".", ".hidden", "end.", "a:b", "a\0b", "a\nb", "x" * 65, "한" * 70, "con",
     "CON", "nul.txt", "com1", "lpt9", "aux.", "a*", "a?", "<a>", "a|b", '"a"', "~", "\udcff", "\u202eabc",
     "💥", 3, None],
)  # fmt: skip
def test_names_that_some_file_system_does_not_take_are_refused(name):
    with pytest.raises(ValueError, match=r"name"):
        folder_name(name)


def test_a_bad_name_is_told_in_the_cell_and_nothing_is_made(tmp_path):
    for name in ("../../x", "con", ""):
        with pytest.raises(batchnb.InputError, match="name"):
            batchnb.simulate(name=name)
    with pytest.raises(batchnb.InputError, match="not both"):
        batchnb.simulate(tmp_path / "state", name="x")
    assert list(tmp_path.iterdir()) == []


def test_a_bad_name_on_the_command_line_is_told_in_one_line(tmp_path):
    environment = {**os.environ, "BATCHNB_HOME": str(tmp_path / "home")}
    for arguments in (["--name", "a/b"], ["--name", "a", "--state", str(tmp_path / "b")]):
        command = [sys.executable, "-m", "batchnb", "simulate", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("batchnb: ")
        assert len(done.stderr.splitlines()) == 1
