"""The simulator on the command line: ``python -m batchnb simulate`` and ``python -m batchnb.sim``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from batchnb.sim.server.simulator import Simulator
from batchnb.sim.state.folder import StateError

_STEP = 0.5  # seconds: on Windows a signal is seen only between waits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the simulator's options to a parser."""
    parser.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--state", metavar="DIR", help="where batches and the key are kept (default: in a temporary folder)"
    )
    parser.add_argument(
        "--delay",
        type=float,
        nargs=2,
        default=(1.0, 5.0),
        metavar=("LO", "HI"),
        help="a batch takes between LO and HI seconds (default: 1 5)",
    )
    parser.add_argument("--speed", type=float, default=1.0, help="divides the delay (default: 1)")
    parser.add_argument("--seed", type=int, help="decides everything random about answers and delays")
    parser.add_argument(
        "--noise", type=float, default=1.0, help="how much answers vary: 1 as a model's do, 0 not at all (default: 1)"
    )
    parser.add_argument(
        "--sdk-tests", action="store_true", help="answer unknown ids as if they existed, for the SDK's own tests"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status. Opens a port, writes to the state folder, prints."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
        stopped.set()

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # the last is Windows' Ctrl-Break
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    try:
        simulator = Simulator(
            args.state,
            port=args.port,
            delay=tuple(args.delay),
            speed=args.speed,
            seed=args.seed,
            noise=args.noise,
            sdk_tests=args.sdk_tests,
            own_key=True,
        ).start()
    except (OSError, ValueError, StateError) as problem:
        sys.stderr.write(f"the simulator cannot start: {problem}\n")
        return 1
    with simulator:
        sys.stdout.write(
            f"Simulator of the Message Batches API at {simulator.url}"
            f" - point a client at it: ANTHROPIC_BASE_URL={simulator.url} ANTHROPIC_API_KEY={simulator.key}\n"
        )
        sys.stdout.flush()
        while not stopped.wait(_STEP):
            pass
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse a command line and serve; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m batchnb.sim", description="A simulator of the Message Batches API on 127.0.0.1."
    )
    add_arguments(parser)
    return run(parser.parse_args(argv))
