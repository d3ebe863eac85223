"""The SDK's own API tests pass against the simulator.

They are taken from the SDK's source distribution at test time and run in an environment of their own, as they are.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

from batchnb.sim import Simulator

# What the tests' conftest and the chosen modules import; the rest of the SDK's development tools are not needed.
NEEDED = ["http-snapshot[httpx]", "inline-snapshot", "pytest", "pytest-asyncio", "respx"]
MODULES = [
    "tests/api_resources/messages/test_batches.py",
    "tests/api_resources/test_messages.py",
    "tests/api_resources/test_models.py",
    "tests/api_resources/test_files.py",
    "tests/api_resources/beta/messages/test_batches.py",
    "tests/api_resources/beta/test_messages.py",
    "tests/api_resources/beta/test_models.py",
    "tests/api_resources/beta/test_files.py",
]
AT_LEAST = 680  # 689 in anthropic 2.14.0; other versions have a few more or fewer


def run(*command: object, cwd: Path, **environment: str) -> str:
    # Nothing of this test run may reach the other one: not its options, nor its paths, nor a key.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "ANTHROPIC_", "COV_")) and name not in ("PYTHONPATH", "PYTHONHOME")
    }
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**kept, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
def test_the_tests_of_the_sdk_pass_against_the_simulator(tmp_path):
    sdk = version("anthropic")
    run(
        sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "anthropic",
        "--dest", tmp_path, f"anthropic=={sdk}", cwd=tmp_path,
    )  # fmt: skip
    (archive,) = tmp_path.glob("anthropic-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    source = tmp_path / f"anthropic-{sdk}"
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(python, "-m", "pip", "install", "--quiet", "--no-compile", f"anthropic[aiohttp]=={sdk}", *NEEDED, cwd=tmp_path)

    with Simulator(sdk_tests=True) as simulator:
        report = run(
            python, "-m", "pytest", "-q", "-o", "addopts=--tb=short -p tests._alias_httpx", *MODULES,
            cwd=source, TEST_API_BASE_URL=simulator.url,
        )  # fmt: skip
        answered = len(simulator.calls)

    summary = report.splitlines()[-1]
    assert "failed" not in summary
    assert "error" not in summary
    passed = int(re.search(r"(\d+) passed", summary).group(1))
    assert passed >= AT_LEAST, summary
    assert answered >= AT_LEAST * 0.7, "the tests really called the simulator"
