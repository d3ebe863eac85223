"""Environments made from nothing, as Binder makes one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = "01-quickstart.ipynb"


@pytest.mark.slow
def test_binders_requirements_make_an_environment_that_runs_the_quick_start(tmp_path):
    python = tmp_path / "env" / "bin" / "python"
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


def test_binder_starts_with_the_quick_start_open(tmp_path):
    fake = tmp_path / "server"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    said = subprocess.run([ROOT / "binder" / "start", fake, "--port=1"], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["--port=1", f"--ServerApp.default_url=/lab/tree/notebooks/{NOTEBOOK}"]
    assert (ROOT / "notebooks" / NOTEBOOK).exists()
