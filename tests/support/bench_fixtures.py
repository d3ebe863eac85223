"""The fixtures `server` and `bench`: ``pytest_plugins = ["bench_fixtures"]`` brings them into a test module."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import independent
import pytest
from bench import Bench

import batchnb.protocol.polling
import batchnb.protocol.recovery
import batchnb.protocol.watcher
import batchnb.protocol.watches


@pytest.fixture
def server() -> Iterator[independent.Server]:
    with independent.Server() as running:
        yield running


@pytest.fixture
def bench(server: independent.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("BATCHNB_RECONCILE_GRACE", "0")
    monkeypatch.setattr(batchnb.protocol.polling, "OTHERS_INTERVAL", 0.02)
    monkeypatch.setattr(batchnb.protocol.watcher, "LEDGER_PAUSE", 0.02)
    monkeypatch.setattr(batchnb.protocol.watcher, "TICK", 0.05)
    # The waits that the server's refusals bring, in hundredths of what they are: nothing here asserts on a clock.
    backoff = batchnb.protocol.watches.backoff
    for module in (batchnb.protocol.watches, batchnb.protocol.polling, batchnb.protocol.recovery):
        monkeypatch.setattr(module, "backoff", lambda *args, **kwargs: backoff(*args, **kwargs) / 100)
    with contextlib.ExitStack() as stack:
        yield Bench(server, tmp_path / "home", stack)
