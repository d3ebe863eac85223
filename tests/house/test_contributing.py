"""What CONTRIBUTING.md names is there: paths, and the functions and classes in them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.steady

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:batchnb|tests|benchmarks)/[\w./]*)`", TEXT)))
#: `Name` or `Class.method`, and the file in parentheses or brackets that follows it in the sentence.
NAMES = re.findall(r"`(\w+(?:\.\w+)?)`,?\s\(?`(batchnb/[\w/]+\.py)`", TEXT)


def names_in(path: Path) -> set[str]:
    """Return what a file defines: functions, classes, and their methods."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


def test_it_names_paths_and_functions():
    assert len(PATHS) > 30
    assert len(NAMES) > 10


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_there(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("name", "path"), NAMES)
def test_a_function_is_where_it_is_said_to_be(name, path):
    assert name in names_in(ROOT / path)


def test_every_room_stands_in_the_table():
    rooms = {path.name for path in (ROOT / "batchnb").iterdir() if (path / "__init__.py").exists()}
    assert {room for room in rooms if f"`batchnb/{room}/`" not in TEXT} == set()
