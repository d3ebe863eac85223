"""Makes an environment for each of other people's clients: ``python tests/support/clients/install.py FOLDER``."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

#: Script beside this file -> what it needs. They cannot share one environment: instructor holds `anthropic` below 1.
PACKAGES = {
    "run_langchain": ["langchain-anthropic"],
    "run_litellm": ["litellm"],
    "run_pydantic_ai": ["pydantic-ai-slim[anthropic]"],
    "run_chatlas": ["chatlas[anthropic]"],
    "run_inspect": ["inspect-ai", "anthropic"],
    "run_instructor": ["instructor[anthropic]"],
}


def python_of(folder: Path, script: str) -> Path:
    """Return where the interpreter of a script's environment is, or would be."""
    return folder / script / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


if __name__ == "__main__":
    made = Path(sys.argv[1])
    for name, packages in PACKAGES.items():
        venv.create(made / name, with_pip=True)
        subprocess.run([python_of(made, name), "-m", "pip", "install", "-q", "--upgrade", *packages], check=True)
    print(f"Run: BATCHNB_CLIENTS={made.resolve()} python -m pytest -n 0 tests/sim/test_other_clients.py")
