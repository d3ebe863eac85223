"""Environments made from nothing, as Binder makes one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
NOTEBOOK = "01-quickstart.ipynb"


@pytest.mark.slow
def test_binders_requirements_make_an_environment_that_runs_the_quick_start(tmp_path):
    python = tmp_path / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-compile", "-r", "binder/requirements.txt"], cwd=ROOT, check=True
    )
    out = tmp_path / "out.ipynb"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    subprocess.run(
        [python, "-m", "nbconvert", "--to", "notebook", "--execute", ROOT / "notebooks" / NOTEBOOK, "--output", out],
        env=environment | {"BATCHNB_HOME": str(tmp_path / "home")},
        check=True,
    )
    notebook = json.loads(out.read_text(encoding="utf-8"))
    shown = json.dumps([cell.get("outputs") for cell in notebook["cells"]])
    assert "image/png" in shown
    assert "succeeded" in shown
    assert "SIMULATED" in shown


def test_binders_versions_are_pinned_and_allowed():
    lines = (ROOT / "binder" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["notebook"]):
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[requirement.name]), text


@pytest.mark.parametrize(("file", "version"), [("pyproject.toml", "tqdm>=4.66.2"), ("binder/constraints.txt", "")])
def test_a_version_with_a_known_fault_is_neither_allowed_nor_pinned(tmp_path, file, version):
    for name in (".ci/audit.py", ".ci/faults.txt", "pyproject.toml", "binder/constraints.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    audit = [sys.executable, tmp_path / ".ci" / "audit.py"]
    assert subprocess.run(audit, capture_output=True).returncode == 0
    text = (tmp_path / file).read_text(encoding="utf-8")
    text = text.replace("tqdm>=4.66.3", version) if version else re.sub("(?m)^tornado==.*$", "tornado==6.4.2", text)
    (tmp_path / file).write_text(text, encoding="utf-8")
    said = subprocess.run(audit, capture_output=True, text=True)
    assert said.returncode == 1
    assert f"{Path(file).name}: t" in said.stdout
    assert "has a known fault" in said.stdout


def test_binder_starts_with_the_quick_start_open(tmp_path):
    fake = tmp_path / "server"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    said = subprocess.run([ROOT / "binder" / "start", fake, "--port=1"], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["--port=1", f"--ServerApp.default_url=/lab/tree/notebooks/{NOTEBOOK}"]
    assert (ROOT / "notebooks" / NOTEBOOK).exists()
