"""Notebooks, executed as a person would."""

from __future__ import annotations

import asyncio
import sys
import warnings
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]


def run(path: Path) -> nbformat.NotebookNode:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nbclient and the kernel's own dependencies
        from nbclient import NotebookClient

        if sys.platform == "win32":
            asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}})
        return client.execute()
