"""The simulator as an object: a server in a daemon thread, its state on disk, its faults and its record."""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from batchnb.sim.model.message import Answerer, Responder
from batchnb.sim.rules.validation import Validator
from batchnb.sim.server import settings
from batchnb.sim.server.access import Access
from batchnb.sim.server.app import App, Call
from batchnb.sim.server.connections import Protocol, Server
from batchnb.sim.server.faults import Fault, FaultPlan
from batchnb.sim.server.routes import Service
from batchnb.sim.server.sdk_tests import SdkTestService
from batchnb.sim.state.batches import Batches, Limits, Recorded
from batchnb.sim.state.catalogue import Catalogue, Model
from batchnb.sim.state.execute import Executor
from batchnb.sim.state.files import Files
from batchnb.sim.state.folder import Folder
from batchnb.sim.state.prompt_cache import Cache
from batchnb.sim.state.store import Store, new_identity
from batchnb.sim.wire import Clock

_HOST = "127.0.0.1"
#: A key like no real one: what it is for can be seen, and the rest is 128 random bits.
_KEY_START = "simulated-"


class Simulator:
    """A server on 127.0.0.1 that behaves like the Message Batches API, without a model and without cost.

    Any client of the API works against it: give it `url` as its base URL and `key` as its key. It answers calls that
    are addressed to this machine and come from no web page. Making one touches nothing; `start` opens a port and writes
    to the state folder.

    Parameters
    ----------
    state : str or Path, optional
        The folder that keeps batches and files, so that a later simulator finds them: a missing or an empty one, or one
        of an earlier simulator. By default a temporary folder, removed by `stop`. Requests and results of archived
        batches are forgotten at the next start.
    port : int
        The port; 0 means a free one.
    responder : callable, optional
        Takes a request's params and returns its answer: a text, a dict (sent as JSON text) or a `Reply`. An exception
        makes the row err. It is called in worker threads, once for each row. By default `respond`.
    delay : tuple of float
        A batch takes between so many seconds.
    speed : float
        Time for batches passes faster by this factor.
    seed : int, optional
        Decides everything random about answers and delays. By default chosen once for a state folder.
    faults : iterable of Fault
        What goes wrong; more may be added by `inject`.
    sdk_tests : bool
        Answer unknown ids as if they existed and check no parameters, as the SDK's own tests need.
    limits : Limits
        The API's limits.
    clock : Clock, optional
        Another source of time, for tests.
    models : iterable of Model
        Models beside those that the API has, to try what no real one does: one without structured outputs, or about
        to retire. One with the id of a real one takes its place.
    cache_hits : float
        The share of a batch's requests that read a marked prefix from the prompt cache once it is there, from 0 to 1.
        The first request with a prefix always writes it. Entries last five minutes or an hour after their last use,
        divided by `speed`; they are lost when the simulator stops.
    noise : float
        How much the built-in answers vary: 1 as a model's do (by text, model, prompt and request, most where a text
        says little; see `batchnb.sim.model.noise`), 0 not at all: then all models and prompts read what the words say.
    own_key : bool
        Answer only calls that bring the state folder's own `key`, so that no other user of this machine can read it.
        By default any key will do that is not empty, which is enough for tests. Of no effect with `sdk_tests`.

    Raises
    ------
    ValueError
        For an argument that is not of its kind, or makes no sense. Nothing was opened or written.

    Examples
    --------
    >>> with Simulator(delay=(0.05, 0.1)) as simulator:
    ...     client = anthropic.Anthropic(base_url=simulator.url, api_key=simulator.key)  # doctest: +SKIP
    """

    def __init__(
        self,
        state: str | Path | None = None,
        *,
        port: int = 0,
        responder: Responder | None = None,
        delay: tuple[float, float] = (1.0, 5.0),
        speed: float = 1.0,
        seed: int | None = None,
        faults: Iterable[Fault] = (),
        sdk_tests: bool = False,
        limits: Limits | None = None,
        clock: Clock | None = None,
        models: Iterable[Model] = (),
        cache_hits: float = 0.8,
        noise: float = 1.0,
        own_key: bool = False,
    ) -> None:
        self.calls: list[Call] = []
        self.faults = FaultPlan(settings.all_of("faults", faults, Fault, "a list of Fault"))
        self._folder = Folder(settings.folder("state", state))
        self._port = settings.whole("port", port, "a port from 0 to 65535, 0 for a free one", least=0, most=65_535)
        settings.function("responder", responder)
        self._responder = responder
        self._delay = settings.span("delay", delay)
        self._speed = settings.number("speed", speed, "a positive factor", least=sys.float_info.min)
        self._seed = None if seed is None else settings.whole("seed", seed, "a whole number, or None for one by chance")
        self._sdk_tests = sdk_tests
        self._own_key = own_key and not sdk_tests
        self._limits = Limits() if limits is None else settings.one_of("limits", limits, Limits, "a Limits")
        if clock is not None and not callable(getattr(clock, "now", None)):
            raise ValueError(f"clock is an object with now(), which gives seconds, not {clock!r:.80}")
        self._clock = Clock() if clock is None else clock
        self._catalogue = Catalogue(settings.all_of("models", models, Model, "a list of Model"))
        self._cache_hits = settings.number("cache_hits", cache_hits, "a share from 0 to 1", most=1)
        self._noise = settings.number("noise", noise, "a number from 0, for none, to 10", most=10)
        self._running: _Running | None = None

    @property
    def url(self) -> str:
        """The base URL, such as ``"http://127.0.0.1:40123"``."""
        return f"http://{_HOST}:{self._up().port}"

    @property
    def key(self) -> str:
        """The key to give to clients. With `own_key` it is random, kept in the state folder, and so the same again."""
        return self._up().key

    @property
    def id(self) -> str:
        """The id of the state folder, which every response carries in the header ``batchnb-simulator``."""
        return self._up().identity

    @property
    def state(self) -> Path:
        """The folder that keeps the batches and files."""
        return self._up().folder

    def start(self) -> Self:
        """Open the port and the state folder; return at once when that is done already.

        Raises
        ------
        StateInUseError
            When another simulator uses the folder; the message says which.
        StateError
            When the folder holds something else, or cannot be made or written to. Nothing in it was changed.
        OSError
            When the port is taken.
        """
        if self._running is None:
            self._running = self._launch()
            atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Close the port and the state folder; a temporary one is removed.

        Does nothing when not running, nor in a process forked from the one that called `start`.
        """
        running, self._running = self._running, None
        if running is not None:
            atexit.unregister(self.stop)
            running.stop()

    def inject(self, *faults: Fault) -> None:
        """Let faults happen from now on."""
        for fault in settings.all_of("faults", faults, Fault, "a list of Fault"):
            self.faults.add(fault)

    def record(self) -> list[Recorded]:
        """Return every request that was accepted, in order: what was asked and whether it was executed.

        Reads the state folder. Batches whose time has come are settled first; deleted ones are included, those that
        were archived when the simulator started are not.
        """
        return self._up().batches.record()

    def __repr__(self) -> str:
        running = self._running
        return f"<Simulator of {running.folder} at {self.url}>" if running else "<Simulator that does not run>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _up(self) -> _Running:
        if self._running is None:
            raise RuntimeError("the simulator is not running; call start() first, or use it in a with statement")
        return self._running

    def _launch(self) -> _Running:
        with ExitStack() as resources:
            folder = self._folder.claim()
            resources.callback(folder.discard)
            resources.callback(folder.release)
            listener = resources.enter_context(_listen(self._port))
            folder.tell_holder(f"http://{_HOST}:{listener.getsockname()[1]}")
            store = Store(folder.database())
            resources.callback(store.close)
            return self._serve(folder, store, listener, resources)

    def _serve(self, folder: Folder, store: Store, listener: socket.socket, resources: ExitStack) -> _Running:
        identity = store.remember("id", new_identity())
        key = store.remember("key", _KEY_START + secrets.token_hex(16)) if self._own_key else None
        seed = self._seed if self._seed is not None else int(store.remember("seed", str(secrets.randbits(32))))
        cache = Cache(self._clock, speed=self._speed, hits=self._cache_hits)
        answerer = Answerer(self._responder, seed, self._noise)
        files = Files(store, folder, clock=self._clock, limits=self._limits)
        validator = Validator(self._catalogue, files.content, self._limits.image_bytes)
        batches = Batches(
            store,
            Executor(answerer, seed, cache, validator),
            clock=self._clock,
            delay=self._delay,
            speed=self._speed,
            limits=self._limits,
            seed=seed,
        )
        service = (SdkTestService if self._sdk_tests else Service)(batches, answerer, cache, files, validator)
        access = Access(int(listener.getsockname()[1]), key)
        app = App(
            service, access, self.faults, identity, max_bytes=self._limits.bytes, clock=self._clock, calls=self.calls
        )
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            # Longer than clients keep an idle connection, so that none is closed just as a call begins.
            timeout_keep_alive=120,
        )
        return _Running(folder.path, identity, key or f"{_KEY_START}key", batches, config, listener, resources)


class _Running:
    """What exists while a simulator runs. It takes the resources over and closes them when it is stopped."""

    def __init__(
        self,
        folder: Path,
        identity: str,
        key: str,
        batches: Batches,
        config: uvicorn.Config,
        listener: socket.socket,
        resources: ExitStack,
    ) -> None:
        self.folder, self.identity, self.key, self.batches = folder, identity, key, batches
        self.port = int(listener.getsockname()[1])
        self._process = os.getpid()
        self._server = Server(config, listener)
        self._thread = threading.Thread(target=self._run, name="batchnb-simulator", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.002)
        if not self._server.started:
            raise RuntimeError("the simulator's server did not start; its thread has told why on stderr")
        self._resources = resources.pop_all()

    def _run(self) -> None:
        # A loop of its own making: asyncio.run may have been patched (nest_asyncio) by the notebook around it.
        loop = asyncio.SelectorEventLoop()
        try:
            loop.run_until_complete(self._server.serve())
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def stop(self) -> None:
        if os.getpid() != self._process:
            return  # a fork: the server, the lock and the folder are its parent's
        self._server.tell_to_stop()
        self._thread.join(timeout=10)
        self.batches.close()
        self._resources.close()


def _listen(port: int) -> socket.socket:
    # The protocol is named because asyncio turns Nagle's algorithm off only then, and each answer takes 40 ms with it.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
