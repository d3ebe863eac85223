"""The shape of the code: imports go one way, and some things are done in one place only."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import batchnb
from batchnb.jobs.accessor import FrameAccessor
from batchnb.jobs.series import SeriesAccessor

PACKAGE = Path(batchnb.__file__).parent

#: Files that stand beside the rooms, on the first line.
LEAVES = {"units", "stats", "errors", "model_table"}

#: The rooms, lowest first: a room imports from lower lines, and within itself. The simulator imports none of them.
LINES: list[set[str]] = [
    {*LEAVES, "system"},
    {"questions", "costs", "api"},
    {"answers"},
    {"ledger", "display"},
    {"protocol"},
    {"planning"},
    {"jobs"},
    {"batchnb", "demo", "__main__"},
]
#: Within the first and the last line: what may import what stands before it.
ORDER = ["units", "stats", "errors", "model_table", "system", "batchnb", "demo", "__main__"]

#: Only a type checker reads these, which run up: what they name is handed down to them.
HANDED_DOWN = {
    ("answers.new_columns", "ledger.read_jobs"),  # whose columns are looked for
    ("planning.options", "jobs.workspace"),  # which a user may name
}

#: Values in, values out: no clock, no files, no network, no threads. A room, or a file of one.
PURE = {
    "answers.arrays", "answers.details", "answers.flat_files", "answers.judge", "answers.layout", "answers.lines",
    "answers.new_columns", "answers.records", "answers.request_counts", "answers.sql.types", "answers.wire",
    "api.heard", "costs", "display.form.draft", "display.snapshot", "errors", "model_table", "planning.changes",
    "planning.models", "planning.outputs", "protocol.listing", "protocol.timing", "questions", "stats",
    "system.handles", "units",
}  # fmt: skip
IMPURE = {"asyncio", "filelock", "http", "logging", "multiprocessing", "os", "pathlib", "platformdirs", "random",
          "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time",
          "urllib.request"}  # fmt: skip

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
MODULES["batchnb"] = MODULES.pop("__init__")


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def nodes(module: str) -> Iterator[ast.AST]:
    """Yield the nodes of a module, without what only a type checker reads."""
    waiting: list[ast.AST] = [tree(module)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting.extend(node.orelse)
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def imports(module: str) -> set[str]:
    """Return the full names of all that a module imports."""
    found: set[str] = set()
    for node in nodes(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide where they lead"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def strings(module: str) -> Iterator[str]:
    """Yield the texts in a module's code, docstrings aside."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree(module))
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def room_of(module: str) -> str:
    """Return the room that a module belongs to; a leaf, and the package itself, is one of its own."""
    return module.partition(".")[0]


@cache
def own_imports(module: str, *, typing: bool = False) -> frozenset[str]:
    """Return the modules of batchnb that a module imports; with `typing`, those that only a type checker reads."""
    found = set()
    read = set(map(id, nodes(module)))
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and (id(node) in read) is not typing:
            found |= {module_of(f"{node.module}.{alias.name}") for alias in node.names}
        elif isinstance(node, ast.Import) and (id(node) in read) is not typing:
            found |= {module_of(alias.name) for alias in node.names}
    return frozenset(found - {None, module})


def module_of(name: str) -> str | None:
    """Return the module of batchnb that holds a full name, if one does."""
    if name.partition(".")[0] != "batchnb":
        return None
    inner = name.removeprefix("batchnb").removeprefix(".")
    while inner and inner not in MODULES:
        inner = inner.rpartition(".")[0]
    return inner or "batchnb"


ROOMS = {room_of(module) for module in MODULES}
LINE = {room: number for number, line in enumerate(LINES) for room in line}


def may_import(room: str, other: str) -> bool:
    if room == other:
        return True
    if LINE[room] != LINE[other]:
        return LINE[other] < LINE[room]
    return room in ORDER and other in ORDER and ORDER.index(other) < ORDER.index(room)


def test_every_room_has_its_line():
    assert set(LINE) | {"sim"} == ROOMS
    assert sum(map(len, LINES)) == len(LINE)


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) != "sim"])
def test_imports_run_one_way(module):
    room = room_of(module)
    others = {other for other in own_imports(module) if room_of(other) != "sim"}
    assert {other for other in others if not may_import(room, room_of(other))} == set()
    handed_down = {
        other for other in own_imports(module, typing=True)
        if room_of(other) != "sim" and not may_import(room, room_of(other))
    }  # fmt: skip
    assert {(module, other) for other in handed_down} <= HANDED_DOWN


def test_what_is_handed_down_is_still_so():
    assert all(other in own_imports(module, typing=True) for module, other in HANDED_DOWN)


def test_no_files_import_each_other_in_a_circle():
    waiting = set(MODULES)
    while ready := {module for module in waiting if not own_imports(module) & waiting}:
        waiting -= ready
    assert waiting == set()


@pytest.mark.parametrize("room", sorted(ROOMS - {"batchnb", "sim", "demo", "__main__", *LEAVES}))
def test_a_rooms_init_says_what_it_knows_and_holds_no_code(room):
    (docstring,) = tree(room).body
    assert isinstance(docstring, ast.Expr)
    assert "Imports " in ast.unparse(docstring)


def test_the_simulator_imports_nothing_else_of_batchnb():
    for module in MODULES:
        if room_of(module) == "sim":
            assert {room_of(other) for other in own_imports(module) | own_imports(module, typing=True)} <= {"sim"}


def test_the_simulator_is_loaded_only_by_what_starts_it():
    users = {module for module in MODULES if {room_of(other) for other in own_imports(module)} & {"sim"}}
    assert {module for module in users if room_of(module) != "sim"} <= {"jobs.defaults", "demo.run", "__main__"}


def test_every_pure_room_or_file_is_there():
    assert set(MODULES) >= PURE


def is_pure(module: str) -> bool:
    # These look at Python itself: at its version, and at the largest float.
    if module in ("questions.replies.checks", "questions.replies.sources"):
        return False
    return any(f"{module}.".startswith(f"{name}.") for name in PURE)


@pytest.mark.parametrize("module", [module for module in MODULES if is_pure(module)])
def test_pure_modules_know_no_clock_file_network_or_thread(module):
    for name in imports(module):
        parts = name.split(".")
        prefixes = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
        assert not prefixes & IMPURE, f"{module} imports {name}"
    for node in nodes(module):
        assert not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "print"}
        )


def users_of(*names: str) -> set[str]:
    return {module for module in MODULES for name in imports(module) if name.partition(".")[0] in names}


def rooms_using(*names: str) -> set[str]:
    return {room_of(module) for module in users_of(*names)}


def test_one_room_knows_the_sdk():
    assert rooms_using("anthropic", "httpx2", "httpx") == {"api"}


def test_one_room_knows_the_kernel():
    assert {room_of(module) for module in users_of("IPython", "ipykernel", "ipywidgets")} <= {"display"}


def test_one_room_knows_sqlalchemy_and_hands_it_no_sql():
    assert users_of("sqlalchemy") == {"answers.sql.writer", "answers.sql.types"}
    assert {module for module in MODULES if {"answers.sql.writer", "answers.sql.types"} & own_imports(module)} <= {
        "answers.sql.writer", "jobs.job_results"
    }  # fmt: skip
    for module in ("answers.sql.writer", "answers.sql.types"):
        named = {node.id for node in nodes(module) if isinstance(node, ast.Name)}
        named |= {node.attr for node in nodes(module) if isinstance(node, ast.Attribute)}
        assert not named & {"text", "literal_column", "exec_driver_sql", "DDL", "TextClause"}


def test_the_ledger_and_the_protocol_know_no_pandas():
    assert not rooms_using("pandas", "numpy") & {"ledger", "protocol"}


def test_one_room_knows_sql_beside_the_simulators_own_store():
    known = {module for module in MODULES if room_of(module) == "ledger"} | {"sim.state.store"}
    assert users_of("sqlite3") <= known
    sql = re.compile(r"\b(SELECT\s.+\sFROM|INSERT\s(OR\s\w+\s)?INTO|UPDATE\s\w+\sSET|DELETE\sFROM|PRAGMA)\s", re.DOTALL)
    for module in MODULES:
        if module not in known:
            assert not any(map(sql.search, strings(module))), module
    assert any(map(sql.search, strings("ledger.read_jobs"))), "the search above finds SQL where it is"


def test_dask_is_nowhere():
    assert users_of("dask") == set()


def test_one_module_makes_and_escapes_html():
    assert users_of("html", "markupsafe", "xml") == {"display.html"}
    markup = re.compile(r"</?(div|span|table|tr|td|style|b|pre|details|summary)\b|&(amp|lt|gt|quot|#39);")
    makers = {module for module in MODULES if room_of(module) != "sim" and any(map(markup.search, strings(module)))}
    assert makers == {"display.html"}


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) not in {"demo", "sim"}])
def test_nothing_is_pickled_or_evaluated(module):
    assert not {name.partition(".")[0] for name in imports(module)} & {"pickle", "marshal", "shelve", "dill", "joblib"}
    calls = {node.func.id for node in nodes(module) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"eval", "exec", "__import__"}


def test_importing_batchnb_loads_nothing_heavy_and_touches_no_file(tmp_path):
    script = """
import json, sys, pandas
before = set(sys.modules)
import batchnb
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    command = [sys.executable, "-c", script]
    environment = {
        "PATH": "",
        "HOME": str(tmp_path),
        "BATCHNB_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(PACKAGE.parent),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    heavy = {"anthropic", "httpx2", "httpx", "ipywidgets", "IPython", "starlette", "uvicorn", "tqdm", "nest_asyncio",
             "sqlite3", "sqlalchemy", "filelock", "asyncio"}  # fmt: skip
    assert loaded & heavy == set()
    assert not {name for name in json.loads(done.stdout) if name.startswith("batchnb.sim")}
    assert list(tmp_path.iterdir()) == []


def test_importing_batchnb_registers_the_accessors():
    import pandas as pd

    assert isinstance(pd.DataFrame({"a": [1]}).batch, FrameAccessor)
    assert isinstance(pd.Series([1]).batch, SeriesAccessor)
