"""The workspace that is used where none is named: made from the environment, or for the simulator."""

from __future__ import annotations

import atexit
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchnb.api.addresses import simulator_client
from batchnb.errors import InputError, LedgerError
from batchnb.jobs.workspace import Workspace
from batchnb.system.disk import private_home
from batchnb.system.environment import home_folder

if TYPE_CHECKING:
    from batchnb.sim import Simulator

__all__ = ["default_workspace", "simulate"]

#: What the default workspace is made from, by how the names of environment variables begin: when one of them changes,
#: another workspace is made. Those of proxies are written in small letters, too.
VARIABLES = ("BATCHNB_", "ANTHROPIC_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

#: Simulators of one name, or of none, that may run beside each other, each in a state folder of its own.
MOST_SIMULATORS = 20

_guard = threading.Lock()
#: By digests of the settings, since a traceback may show what this holds: a key or a token is among them.
_from_environment: dict[str, Workspace] = {}
_salt = secrets.token_bytes(16)
_simulation: _Simulation | None = None
#: Under which settings a simulator was asked for that did not start, and why: nothing may go to the real API instead.
_not_started: tuple[str, str] | None = None


class _Simulation:
    """The running simulator, what it was asked to be, and its workspace."""

    def __init__(self, settings: Mapping[str, Any], simulator: Simulator) -> None:
        self.settings = settings
        self.simulator = simulator
        self._process = os.getpid()
        self._client = simulator_client(simulator.url, simulator.key)
        self.workspace = Workspace(self._client)

    def stop(self) -> None:
        self.workspace.close()
        if self._process == os.getpid():  # a child has connections, and a lock on them, that are its parent's
            self._client.close()
        self.simulator.stop()


def default_workspace() -> Workspace:
    """Return the simulator's workspace after ``simulate()``, else the one of the environment. Touches no network.

    Raises
    ------
    LedgerError
        Where ``simulate()`` was called and the simulator did not start: the real API was not asked for.
    """
    with _guard:
        if _simulation is not None:
            return _simulation.workspace
        settings = _settings()
        if _not_started is not None and _not_started[0] == settings:
            raise LedgerError(
                f"{_not_started[1]} Nothing was sent. Call simulate() again; or, to go on with the real API, leave it "
                "out and restart the kernel."
            )
        if settings not in _from_environment:
            _from_environment[settings] = Workspace()
        return _from_environment[settings]


def _settings() -> str:
    """Return a digest of the environment's settings, which says nothing of them and holds in this process only."""
    settings = sorted((name, value) for name, value in os.environ.items() if name.upper().startswith(VARIABLES))
    return hashlib.blake2b(repr(settings).encode("utf-8", "surrogatepass"), key=_salt, digest_size=16).hexdigest()


def simulate(
    state: str | Path | None = None,
    *,
    name: str | None = None,
    responder: Callable[[Any], Any] | None = None,
    delay: tuple[float, float] = (1.0, 5.0),
    speed: float = 1.0,
    seed: int | None = None,
    noise: float = 1.0,
) -> Simulator:
    """Work on the built-in simulator from here on: no key, no cost, answers made up from word evidence.

    Starts a server on 127.0.0.1 in this process and makes it the default of everything that names no workspace. It
    keeps its batches on disk, so that the same notebook, run again after a restart, finds its answers. A key of the
    state's own is used: a real one never reaches it. Simulated answers are kept apart from real ones, and are marked
    wherever they are shown. To go on with the real API, leave this call out and restart the kernel.

    Each notebook, and each script, has a state of its own by itself, known by where its file is. Where that is unknown
    (a console, some tools that run notebooks) states are numbered in the order in which they are asked for; name them
    there. One state serves one process: a second kernel of the same notebook gets another state, and the first keeps
    its own; of a state that was named, it gets an error that says who has it.

    Parameters
    ----------
    state : path, optional
        The folder that keeps the simulator's batches: a missing or an empty one, or one of an earlier simulator.
        Default: one under ``BATCHNB_HOME``.
    name : str, optional
        The name of the state, instead of a folder: letters, digits, ``-``, ``_`` and ``.``, at most 64, large and small
        letters alike. A numbered state has its number for a name.
    responder : callable, optional
        Gives the answer to a request's params, as text or as a dict. Default: picks labels by simple word evidence.
    delay : tuple of float
        The shortest and the longest time a batch takes, in seconds.
    speed : float
        Divides the delay.
    seed : int, optional
        Decides everything random about answers and delays: with the same seed, a class gets the same answers.
    noise : float
        How much answers vary by model, prompt and sample, most where a text says little: 1 as a model's do, 0 not at
        all.

    Returns
    -------
    Simulator
        The running simulator; other clients reach it by its `url` and `key`. Called again with the same settings, the
        one that runs already.

    Raises
    ------
    InputError
        For an argument that makes no sense, such as a delay that is no pair of numbers, or a state and a name at once.
    LedgerError
        Where the state cannot be kept, holds something else, or is in use. Until another call succeeds, nothing is sent
        to the real API instead.
    """
    global _simulation, _not_started  # noqa: PLW0603  # there is one default, whoever asks
    settings: dict[str, Any] = {"state": state, "name": name, "responder": responder, "delay": delay, "speed": speed,
                                "seed": seed, "noise": noise}  # fmt: skip
    with _guard:
        if _simulation is not None:
            if _are_equal(_simulation.settings, settings):
                return _simulation.simulator
            _simulation.stop()
            _simulation = None
        else:
            atexit.unregister(_stop_simulation)
            atexit.register(_stop_simulation)
        try:
            _simulation = _Simulation(settings, _start(**settings))
        except BaseException as error:
            _not_started = _settings(), f"The simulator that was asked for did not start: {error}"
            raise
        _not_started = None
        return _simulation.simulator


def _are_equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001  # of values that do not compare, such as arrays
        return False


def state_folder(name: str) -> Path:
    """Return the folder of the simulator's state of this name.

    Raises
    ------
    InputError
        For a name that some file system does not take.
    """
    from batchnb.sim.state.names import folder_name

    try:
        folder = folder_name(name)  # before the home is made
    except ValueError as error:
        raise InputError(f"In simulate(), {error}.") from None
    return private_home(home_folder()) / "simulator" / folder


def _start(state: str | Path | None, name: str | None, **settings: Any) -> Simulator:
    from batchnb.sim import Simulator, StateError, StateInUseError

    if state is not None and name is not None:
        raise InputError("simulate() takes a state folder or the name of a state, not both.")
    folder = state_folder(name) if name is not None else state
    try:
        if folder is not None:
            return Simulator(folder, own_key=True, **settings).start()
        for folder in _default_folders():
            try:
                return Simulator(folder, own_key=True, **settings).start()
            except StateInUseError:
                continue  # another kernel simulates too; each keeps its own batches
        return Simulator(None, own_key=True, **settings).start()
    except (StateError, OSError) as error:
        also = "" if state is not None else ", or set BATCHNB_HOME to a folder you can write to"
        raise LedgerError(f"The simulator cannot start: {error}{also}.") from error
    except ValueError as error:
        raise InputError(f"In simulate(), {error}.") from None


def _default_folders() -> Iterator[Path]:
    """Yield the folders that a state without a name may be in, the first first."""
    from batchnb.sim.state.names import default_name

    notebook = default_name()
    for number in range(1, MOST_SIMULATORS):
        if notebook is None:
            yield state_folder(str(number))
        else:
            yield state_folder(notebook if number == 1 else f"{notebook}.{number}")


def _begin_in_child() -> None:
    """After a fork: another thread may have held the lock. The workspaces begin anew by themselves."""
    global _guard  # noqa: PLW0603  # a lock cannot be given back by anybody but its holder
    _guard = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)


def _stop_simulation() -> None:
    if _simulation is not None:
        _simulation.stop()
