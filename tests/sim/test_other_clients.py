"""Other people's clients work against the simulator, each in an environment of its own; skipped where there is none."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clients.install import PACKAGES, python_of
from simulation import KEY

from batchnb.sim import Simulator

pytestmark = pytest.mark.slow

#: Read before a test's own environment is made.
ENVIRONMENTS = os.environ.get("BATCHNB_CLIENTS")
SCRIPTS = Path(__file__).parents[1] / "support" / "clients"
MODELS = ["claude-haiku-4-5", "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"]
REVIEW = {"label": "positive", "keywords": ["love", "lamp", "perfect"]}
SUMMARY = "[simulated] The lamp is bright and it works."
MILD = "[simulated] It is mild in Oslo"
#: What each script tells; a set holds all that an answer may be.
EXPECTED: dict[str, dict[str, Any]] = {
    "run_langchain": {"by_tool": REVIEW, "by_schema": REVIEW, "tool_call": {"city": "Oslo"}},
    "run_litellm": {"by_schema": REVIEW, "by_json": REVIEW, "tool_call": {"city": "Oslo"}},
    "run_pydantic_ai": {
        "by_default": REVIEW,
        "by_tool": REVIEW,
        "by_schema": REVIEW,
        "by_prompt": REVIEW,
        "tool_answer": MILD,
    },
    "run_chatlas": {"by_schema": REVIEW, "tool_answer": MILD, "batch": [REVIEW, REVIEW], "models": True},
    "run_inspect": {"messages": 1.0, "batches": 1.0, "tools": 1.0, "by_schema": 1.0},
    "run_instructor": {"by_tool": REVIEW, "by_prompt": REVIEW},
}
TEXTS = {"text": "[simulated] positive", "stream": SUMMARY}
COUNTS = ("tokens", "used")


@pytest.fixture(scope="module")
def simulator() -> Any:
    # Without noise: what a client makes of an answer is asked here, not which answer it is.
    with Simulator(delay=(0.05, 0.1), seed=1, noise=0) as running:
        yield running


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("script", PACKAGES)
def test_a_client_gets_what_it_asks_for(script: str, model: str, simulator: Simulator) -> None:
    if not ENVIRONMENTS:
        pytest.skip("no environments: python tests/support/clients/install.py FOLDER, and BATCHNB_CLIENTS=FOLDER")
    python = python_of(Path(ENVIRONMENTS), script)
    if not python.exists():
        pytest.skip(f"no environment {python}: python tests/support/clients/install.py {ENVIRONMENTS}")
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "PYTEST"))}
    done = subprocess.run(
        [python, SCRIPTS / f"{script}.py", simulator.url, KEY, model],
        capture_output=True, text=True, encoding="utf-8", timeout=180, env=settings,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    counted = [told.pop(name) for name in COUNTS if name in told]
    assert all(isinstance(count, int) and 10 <= count <= 200 for count in counted), counted
    assert told == EXPECTED[script] | {name: text for name, text in TEXTS.items() if name in told}
