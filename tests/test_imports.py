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

PACKAGE = Path(batchnb.__file__).parent

#: A module may import those of the layers above its own, at the top of the file or inside a function, and no others.
#: A package stands for all its modules. What only a type checker reads is free.
LAYERS: list[set[str]] = [
    {"beside", "clock", "delivery", "forks", "heard", "outputs", "request_counts", "sampling", "sim", "subscribers",
     "units"},
    {"errors", "pacing", "projection", "snapshot", "tokens"},
    {"api", "arguments", "budget", "cells", "disk", "display", "folders", "handles", "leaving", "pricing", "schemas",
     "settings", "sqlvalues", "waiting", "worker"},
    {"arrays", "bills", "caching", "columns", "costing", "details", "forms", "media", "pricelist", "reach",
     "records", "replacing", "schedule", "serverfiles", "templates", "thinking"},
    {"conversations", "databases", "layout", "linewise", "requests"},
    {"cache_marks", "flatfiles", "params", "results", "rows"},
    {"capabilities", "frames", "ledger", "plaintext"},
    {"history", "recipes", "settling", "spent", "uploads"},
    {"answers", "changes", "examples", "inputs", "shipping", "state", "submission"},
    {"asking", "exports", "foreign", "messages", "preflight", "pruning", "turns", "watches"},
    {"answered", "counting", "deliveries", "watcher"},
    {"estimates", "job", "spending"},
    {"listings", "pilots", "previews", "recording"},
    {"composer", "workspace"},
    {"current", "demo"},
    {"accessor", "collect"},
    {"series"},
    {"batchnb"},
    {"__main__"},
]  # fmt: skip

#: Values in, values out: no clock, no files, no network, no threads.
PURE = {"errors", "units", "media", "snapshot", "arrays", "budget", "caching", "cells", "costing", "delivery",
        "outputs", "pricing", "requests", "sampling", "schedule", "schemas", "params", "results", "templates",
        "tokens", "frames", "recipes", "changes", "flatfiles", "sqlvalues", "display.draft", "thinking", "columns",
        "conversations", "capabilities", "examples", "details", "projection", "plaintext", "forms",
        "heard", "linewise", "reach", "layout", "arguments", "handles",
        "rows", "records", "request_counts", "bills", "cache_marks"}  # fmt: skip
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
    """Give the nodes of a module, without what only a type checker reads."""
    waiting: list[ast.AST] = [tree(module)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting.extend(node.orelse)
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def imports(module: str) -> set[str]:
    """Give the full names of all that a module imports."""
    found: set[str] = set()
    for node in nodes(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide where they lead"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def strings(module: str) -> Iterator[str]:
    """Give the texts in a module's code, docstrings aside."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree(module))
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def part_of(module: str) -> str:
    """Give the top-level module or package that a module belongs to."""
    return module.partition(".")[0]


def own_imports(module: str) -> set[str]:
    """Give the parts of batchnb that a module imports."""
    parts = set()
    for name in imports(module):
        if name.partition(".")[0] == "batchnb":
            first = name.removeprefix("batchnb").removeprefix(".").partition(".")[0]
            parts.add(first if first in PARTS else "batchnb")
    return parts - {part_of(module)}


PARTS = {part_of(module) for module in MODULES}
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}


def test_every_module_has_its_layer():
    assert set(RANK) == PARTS
    assert sum(map(len, LAYERS)) == len(RANK)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    wrong = {part for part in own_imports(module) if RANK[part] >= RANK[part_of(module)]}
    assert wrong == set(), f"{module} imports from its own layer or one below it"


@pytest.mark.parametrize("package", ["ledger", "display", "sim", "demo"])
def test_the_modules_of_a_package_do_not_import_each_other_in_a_circle(package):
    waiting = {module for module in MODULES if module.startswith(f"{package}.")}
    needs = {
        module: {part for part in waiting for name in imports(module) if f"{name}.".startswith(f"batchnb.{part}.")}
        - {module}
        for module in waiting
    }
    # Each imports its package's other modules by their own names, never through the package.
    while ready := {module for module in waiting if not needs[module] & waiting}:
        waiting -= ready
    assert waiting == set()


def test_views_draw_from_values_alone():
    for module in MODULES:
        if part_of(module) == "display":
            assert own_imports(module) <= {
                "errors", "forks", "snapshot", "request_counts", "sampling", "pricing", "schedule", "units"
            }, module  # fmt: skip
            for name in imports(module):
                if name.startswith(("batchnb.pricing.", "batchnb.schedule.")):
                    assert name.rpartition(".")[2] in {"format_dollars", "human_duration"}, module


def test_the_simulator_imports_nothing_else_of_batchnb():
    for module in MODULES:
        if part_of(module) == "sim":
            assert own_imports(module) == set(), module


def test_the_simulator_is_loaded_only_by_what_starts_it():
    users = {part_of(module) for module in MODULES if "sim" in own_imports(module)}
    assert users <= {"current", "demo", "__main__"}


@pytest.mark.parametrize("module", sorted(PURE))
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


def test_one_package_knows_the_sdk():
    assert {part_of(module) for module in users_of("anthropic", "httpx2", "httpx")} == {"api"}


def test_two_modules_know_sqlalchemy_and_neither_hands_it_sql():
    assert users_of("sqlalchemy") == {"databases", "sqlvalues"}
    assert {part_of(module) for module in MODULES if own_imports(module) & {"databases", "sqlvalues"}} == {
        "databases", "answered"
    }  # fmt: skip
    for module in ("databases", "sqlvalues"):
        named = {node.id for node in nodes(module) if isinstance(node, ast.Name)}
        named |= {node.attr for node in nodes(module) if isinstance(node, ast.Attribute)}
        assert not named & {"text", "literal_column", "exec_driver_sql", "DDL", "TextClause"}


def test_one_package_knows_sql_beside_the_simulators_own_store():
    known = {module for module in MODULES if part_of(module) == "ledger"} | {"sim.store"}
    assert users_of("sqlite3") <= known
    sql = re.compile(r"\b(SELECT\s.+\sFROM|INSERT\s(OR\s\w+\s)?INTO|UPDATE\s\w+\sSET|DELETE\sFROM|PRAGMA)\s", re.DOTALL)
    for module in MODULES:
        if module not in known:
            assert not any(map(sql.search, strings(module))), module
    assert any(map(sql.search, strings("ledger.jobs"))), "the search above finds SQL where it is"


def test_one_module_makes_and_escapes_html():
    assert users_of("html", "markupsafe", "xml") == {"display.html"}
    markup = re.compile(r"</?(div|span|table|tr|td|style|b|pre|details|summary)\b|&(amp|lt|gt|quot|#39);")
    makers = {module for module in MODULES if part_of(module) != "sim" and any(map(markup.search, strings(module)))}
    assert makers == {"display.html"}


@pytest.mark.parametrize("module", [module for module in MODULES if part_of(module) not in {"demo", "sim"}])
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

    assert isinstance(pd.DataFrame({"a": [1]}).batch, batchnb.accessor.FrameAccessor)
    assert isinstance(pd.Series([1]).batch, batchnb.series.SeriesAccessor)
