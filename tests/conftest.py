"""What every test has: an environment of its own; and for those that ask, a simulator and a workspace on it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import independent
import pytest
from leaks import CORE
from sweep import pytest_configure, pytest_runtest_makereport, pytest_unconfigure  # noqa: F401

from batchnb import Workspace
from batchnb.api.addresses import simulator_client
from batchnb.costs import price_list
from batchnb.sim import Simulator


def pytest_sessionstart() -> None:
    """Have interrupts raise: what is started in the background of a script begins with them ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that at the end no worker waits for another's."""
    long = {item.path for item in items for name in ("ui", "slow") if item.get_closest_marker(name)}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep a test from the user's keys and ledger, and from what earlier tests left running."""
    for name in list(os.environ):
        if name.upper().startswith(("ANTHROPIC_", "BATCHNB_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("BATCHNB_HOME", str(tmp_path / "default-home"))
    before = set(threading.enumerate())
    yield
    _close_defaults()
    price_list._Set.table = None  # a price that a test has set is no other test's
    left = [thread for thread in threading.enumerate() if thread.name == "batchnb" and thread not in before]
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left), "the test left a workspace open"


def _close_defaults() -> None:
    """Close the workspaces that a test used without naming one."""
    current = sys.modules.get("batchnb.jobs.defaults")
    if current is None:
        return
    while current._from_environment:
        current._from_environment.popitem()[1].close()
    if current._simulation is not None:
        current._simulation.stop()
        current._simulation.workspace.session._client.close()
        current._simulation = None


@pytest.fixture
def asked() -> list[dict[str, Any]]:
    """The params of each request that `responder` has answered, in no order."""
    return []


@pytest.fixture
def responder() -> Callable[[dict[str, Any]], Any] | None:
    """How the simulator answers: by itself. A module that wants other answers has a fixture of this name."""
    return None


@pytest.fixture
def simulator(request: pytest.FixtureRequest, tmp_path: Path, responder: Any, asked: list[Any]) -> Iterator[Simulator]:
    """A simulator on a free port, whose batches end almost at once.

    ``@pytest.mark.simulator(delay=..., ...)`` gives it other options; with ``shared=True``, a module's tests have one.
    """
    options = _options(request)
    if options.pop("shared", False):
        yield request.getfixturevalue("shared_simulator")
        return

    def noted(params: dict[str, Any]) -> Any:
        asked.append(params)
        return responder(params)

    answers = {"responder": noted} if responder else {}
    with Simulator(tmp_path / "simulator", **answers, **options) as running:
        yield running


@pytest.fixture(scope="module")
def shared_simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    options = _options(request)
    del options["shared"]
    with Simulator(**options) as running:
        yield running


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    marker = request.node.get_closest_marker("simulator")
    return {"delay": (0.01, 0.02), "seed": 1, **(marker.kwargs if marker else {})}


@pytest.fixture
def open_workspace(tmp_path: Path) -> Iterator[Callable[..., Workspace]]:
    """Open workspaces on a simulator, in one home unless told otherwise; closed at the end."""
    opened: list[Any] = []

    def open_one(simulator: Simulator, **options: Any) -> Workspace:
        client = simulator_client(simulator.url, f"simulated-{CORE}")
        workspace = Workspace(client, **{"home": tmp_path / "home", "max_poll": 0.1, **options})
        opened.extend((client, workspace))
        return workspace

    yield open_one
    for one in reversed(opened):
        one.close()


@pytest.fixture
def workspace(simulator: Simulator, open_workspace: Callable[..., Workspace]) -> Workspace:
    """A workspace on the simulator, with a home of its own."""
    return open_workspace(simulator)


@pytest.fixture
def server() -> Iterator[independent.Server]:
    """A server that is not the simulator: what the real API is to batchnb."""
    with independent.Server() as running:
        yield running


@pytest.fixture
def real(server: independent.Server, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace on that server."""
    with anthropic.Anthropic(api_key=f"sk-ant-not-to-be-shown-{CORE}", base_url=server.url) as client:
        workspace = Workspace(client, home=tmp_path / "home", max_poll=0.1)
        yield workspace
        workspace.close()
