"""The workspace that is used where none is named: made from the environment, or for the simulator."""

from __future__ import annotations

import atexit
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchnb.api import simulator_client
from batchnb.workspace import Workspace, home_folder

if TYPE_CHECKING:
    from batchnb.sim import Simulator

__all__ = ["default_workspace", "simulate"]

#: What the default workspace is made from, by how the names of environment variables begin: when one of them changes,
#: another workspace is made. Those of proxies are written in small letters, too.
VARIABLES = ("BATCHNB_", "ANTHROPIC_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

#: Simulators that may run beside each other, each in a state folder of its own.
MOST_SIMULATORS = 20

_guard = threading.Lock()
#: By digests of the settings, since a traceback may show what this holds: a key or a token is among them.
_from_environment: dict[str, Workspace] = {}
_salt = secrets.token_bytes(16)
_simulation: _Simulation | None = None


class _Simulation:
    """The running simulator, what it was asked to be, and its workspace."""

    def __init__(self, settings: Mapping[str, Any], simulator: Simulator) -> None:
        self.settings = settings
        self.simulator = simulator
        self._client = simulator_client(simulator.url)
        self.workspace = Workspace(self._client)

    def stop(self) -> None:
        self.workspace.close()
        self._client.close()
        self.simulator.stop()


def default_workspace() -> Workspace:
    """Give the simulator's workspace after ``simulate()``, else the one of the environment. Touches no network."""
    with _guard:
        if _simulation is not None:
            return _simulation.workspace
        settings = _settings()
        if settings not in _from_environment:
            _from_environment[settings] = Workspace()
        return _from_environment[settings]


def _settings() -> str:
    """Return a digest of the environment's settings, which says nothing of them and holds in this process only."""
    found = sorted((name, value) for name, value in os.environ.items() if name.upper().startswith(VARIABLES))
    return hashlib.blake2b(repr(found).encode("utf-8", "surrogatepass"), key=_salt, digest_size=16).hexdigest()


def simulate(
    state: str | Path | None = None,
    *,
    responder: Callable[[Any], Any] | None = None,
    delay: tuple[float, float] = (1.0, 5.0),
    speed: float = 1.0,
    seed: int | None = None,
) -> Simulator:
    """Work on the built-in simulator from here on: no key, no cost, answers made up from word evidence.

    Starts a server on 127.0.0.1 in this process and makes it the default of everything that names no workspace. It
    keeps its batches on disk, so that the same notebook, run again after a restart, finds its answers. A dummy key is
    used: a real one never reaches it. Simulated answers are kept apart from real ones, and are marked wherever they are
    shown. To go on with the real API, leave this call out and restart the kernel.

    Parameters
    ----------
    state : path, optional
        The folder that keeps the simulator's batches. Default: one under ``BATCHNB_HOME``.
    responder : callable, optional
        Gives the answer to a request's params, as text or as a dict. Default: picks labels by simple word evidence.
    delay : tuple of float
        The shortest and the longest time a batch takes, in seconds.
    speed : float
        Divides the delay.
    seed : int, optional
        Decides everything random about answers and delays.

    Returns
    -------
    Simulator
        The running simulator. Called again with the same settings, the one that runs already.
    """
    global _simulation  # noqa: PLW0603  # there is one default, whoever asks
    settings: dict[str, Any] = {"state": state, "responder": responder, "delay": delay, "speed": speed, "seed": seed}
    with _guard:
        if _simulation is not None:
            if _simulation.settings == settings:
                return _simulation.simulator
            _simulation.stop()
        else:
            atexit.register(_stop_simulation)
        _simulation = _Simulation(settings, _start(**settings))
        return _simulation.simulator


def _start(state: str | Path | None, **settings: Any) -> Simulator:
    from batchnb.sim import Simulator, StateInUseError

    if state is not None:
        return Simulator(state, **settings).start()
    for number in range(1, MOST_SIMULATORS):
        try:
            return Simulator(home_folder() / "simulator" / str(number), **settings).start()
        except StateInUseError:
            continue  # another kernel simulates too; each keeps its own batches
    return Simulator(None, **settings).start()


def _stop_simulation() -> None:
    if _simulation is not None:
        _simulation.stop()
