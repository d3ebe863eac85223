"""The fixtures `server` and `bench`: ``pytest_plugins = ["bench_fixtures"]`` brings them into a test module."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import independent
import pytest
from bench import Bench
from pace import QUICK


@pytest.fixture
def server() -> Iterator[independent.Server]:
    with independent.Server() as running:
        yield running


@pytest.fixture
def bench(server: independent.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("BATCHNB_RECONCILE_GRACE", "0")
    with contextlib.ExitStack() as stack:
        yield Bench(server, tmp_path / "home", stack).keep_to(**QUICK)
