"""Every public name is documented: what it does, each of its parameters, and whether it touches the network."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

import batchnb
from batchnb import Job, Workspace
from batchnb.costs.prices import Usage
from batchnb.display.shown.estimate import Estimate
from batchnb.display.snapshot import Caching, Snapshot
from batchnb.jobs.accessor import FrameAccessor
from batchnb.jobs.composer import Composer
from batchnb.jobs.series import SeriesAccessor
from batchnb.jobs.server_files import FileTable
from batchnb.planning.preview import ShownPreview

PACKAGE = Path(batchnb.__file__).parent

#: Classes a user meets: those exported, and those of what the exported ones give.
CLASSES = [
    *(thing for thing in (getattr(batchnb, name) for name in batchnb.__all__) if inspect.isclass(thing)),
    FrameAccessor, SeriesAccessor, ShownPreview, Composer, Usage, Snapshot, Caching, Estimate, FileTable,
]  # fmt: skip
FUNCTIONS = [thing for thing in (getattr(batchnb, name) for name in batchnb.__all__) if inspect.isfunction(thing)]


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties a class of ours defines or inherits from one of ours."""
    for owner in cls.__mro__:
        if owner.__module__.startswith("batchnb"):
            for name, member in vars(owner).items():
                if not name.startswith("_") and isinstance(member, CALLABLE | property):
                    yield name, member


CALLABLE = type(members) | classmethod | staticmethod

METHODS = {f"{cls.__name__}.{name}": member for cls in CLASSES for name, member in members(cls)}
DOCUMENTED: dict[str, Any] = {
    **{cls.__name__: cls for cls in CLASSES},
    **{function.__name__: function for function in FUNCTIONS},
    **METHODS,
}


def sections(thing: Any) -> dict[str, str]:
    """Cut a docstring into its NumPy sections; what comes first is under an empty name."""
    text = inspect.cleandoc(unwrapped(thing).__doc__ or "")
    parts = re.split(r"^(\w[\w ]*)\n-{3,}$", text, flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def unwrapped(thing: Any) -> Any:
    if isinstance(thing, property):
        return thing.fget
    return getattr(thing, "__func__", thing)


def described(thing: Any) -> set[str]:
    """Return the parameters a docstring describes, each with at least one line of words."""
    found = re.findall(r"^(\*{0,2}\w[\w, *]*)(?: : .+)?\n {4}\S", sections(thing).get("Parameters", ""), re.MULTILINE)
    return {name.strip() for names in found for name in names.split(",")}


def taken(thing: Any) -> set[str]:
    """Return the parameters a thing takes, as its docstring should name them."""
    function = thing.__init__ if inspect.isclass(thing) else unwrapped(thing)
    marks = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parameters = inspect.signature(function).parameters.values()
    return {marks.get(one.kind, "") + one.name for one in parameters} - {"self", "cls"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_has_a_docstring(path):
    if path.name != "__main__.py" or path.parent == PACKAGE:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_public_name_says_in_a_sentence_what_it_does(name):
    first = sections(DOCUMENTED[name])[""].strip().split("\n\n")[0]
    assert first, f"{name} has no docstring"
    assert re.search(r"[.:!?)`]$", first), f"{name}: its docstring opens with no sentence: {first!r}"


#: What pandas calls, and what only raising code makes, is no call of a user's.
NOT_CALLED = {"FrameAccessor", "SeriesAccessor", "ShownPreview", "Composer"} | {
    cls.__name__ for cls in CLASSES if issubclass(cls, Exception) and cls is not batchnb.ApiError
}


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if name not in NOT_CALLED])
def test_every_parameter_is_documented(name):
    thing = DOCUMENTED[name]
    if isinstance(thing, property):
        return
    assert described(thing) == taken(thing)


@pytest.mark.parametrize(
    "name", [name for name in METHODS if name.split(".")[0] in {"Composer", "FileTable", "Job", "Workspace"}]
)
def test_every_method_says_whether_it_touches_the_network_or_blocks(name):
    text = inspect.cleandoc(unwrapped(METHODS[name]).__doc__ or "")
    if not isinstance(METHODS[name], property):
        assert re.search(r"\bnetwork\b|\b[Bb]locks?\b|Returns at once", text), name


def test_jobs_properties_are_said_not_to_touch_the_network():
    assert "properties never touch the network" in inspect.cleandoc(Job.__doc__ or "")


def test_all_is_complete():
    assert sorted(set(batchnb.__all__)) == sorted(batchnb.__all__)
    assert set(batchnb._LAZY) <= set(batchnb.__all__)
    public = {
        name
        for name, value in vars(batchnb).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", "batchnb").startswith("batchnb")
    }
    assert public - {"TYPE_CHECKING"} <= set(batchnb.__all__)
    errors = importlib.import_module("batchnb.errors")
    assert set(errors.__all__) <= set(batchnb.__all__)
    assert dir(batchnb) == sorted(batchnb.__all__)


@pytest.mark.parametrize("name", batchnb.__all__)
def test_every_exported_name_is_there(name):
    assert getattr(batchnb, name) is not None
    namespace: dict[str, Any] = {}
    exec(f"from batchnb import {name}", namespace)
    assert namespace[name] is getattr(batchnb, name)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'batchnb' has no attribute 'submit'"):
        batchnb.submit  # noqa: B018  # reading it is the test


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_names_a_module_lists_are_there(path):
    name = ".".join(("batchnb", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    if not name.endswith("__main__"):
        module = importlib.import_module(name)
        assert [one for one in getattr(module, "__all__", []) if not hasattr(module, one)] == []


def test_the_accessors_methods_are_those_that_are_documented():
    for thing, cls in ((pd.DataFrame({"a": [1]}).batch, FrameAccessor), (pd.Series([1]).batch, SeriesAccessor)):
        shown = {name for name in dir(thing) if not name.startswith("_")}
        assert shown == {name.split(".")[1] for name in METHODS if name.startswith(f"{cls.__name__}.")}
        assert {"submit", "preview", "join"} <= shown


def test_preview_takes_what_submit_takes():
    """Options that only matter once something is sent are left out."""
    only_submit = {"name", "batch_size", "retries", "progress", "cache", "max_cost", "if_over", "details"}
    assert taken(FrameAccessor.submit) - only_submit == taken(FrameAccessor.preview) - {"n"}


@pytest.mark.parametrize("name", ["submit", "preview", "estimate", "pilot", "compose"])
def test_both_accessors_show_the_same_options_with_their_types_and_defaults(name):
    shown = [inspect.signature(getattr(cls, name)).parameters for cls in (FrameAccessor, SeriesAccessor)]
    of_frames, of_series = ({key: str(one) for key, one in each.items()} for each in shown)
    assert of_frames.pop("column") == "column: 'Hashable'"
    assert of_frames == of_series
    assert of_frames["labels"].startswith("labels: 'Sequence[str | int] | Mapping[str | int, str] | None' = None")
    assert not [one for one in shown[0].values() if one.kind is one.VAR_KEYWORD]


#: What a notebook's kernel does at a tab, and at shift and tab; in a process of its own, since it stays in one.
ASK_IPYTHON = """
import json
import pandas as pd
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
import batchnb
shell = InteractiveShell.instance()
shell.user_ns["df"] = pd.DataFrame({"text": ["a"]})
line = "df.batch.submit('text', max_c"
with provisionalcompleter():
    completed = [one.text for one in shell.Completer.completions(line, len(line))]
shown = shell.object_inspect("df.batch.submit")
print(json.dumps([completed, shown["definition"], shown["docstring"]]))
"""


def test_a_tab_completes_an_option_and_shift_tab_shows_it(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", ASK_IPYTHON]
    env = {**os.environ, "IPYTHONDIR": str(tmp_path)}
    asked = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    completed, definition, described = json.loads(asked.stdout.splitlines()[-1])
    assert "max_cost=" in completed
    assert "max_cost: 'float | None' = None" in definition
    assert "Dollars that the job may cost at most" in described


def test_compose_takes_what_a_form_sets():
    form = {"column", "template", "labels", "system", "model", "into", "max_tokens", "workspace"}
    assert taken(FrameAccessor.compose) == form
    assert form <= taken(FrameAccessor.submit)


def test_a_wrong_name_is_named_as_the_method_takes_it():
    with pytest.raises(TypeError, match=r"FrameAccessor\.preview\(\) .*'lables'"):
        pd.DataFrame({"text": ["a"]}).batch.preview("text", lables=["a", "b"])


def test_workspaces_are_made_without_touching_anything(tmp_path):
    Workspace(home=tmp_path / "home")
    assert list(tmp_path.iterdir()) == []
