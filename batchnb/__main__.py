"""The command line: ``python -m batchnb demo | jobs | collect | simulate``."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Sequence
from typing import TextIO

from batchnb.errors import BatchnbError, InputError
from batchnb.units import clean


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; give its exit status: 0, or 2 where what was asked for cannot be done; `collect` has others."""
    parser = argparse.ArgumentParser(
        prog="python -m batchnb", description="Half-price answers from Claude for every row of a DataFrame."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="label 240 sample reviews, or a CSV, on the simulator: no key, no cost")
    jobs = commands.add_parser("jobs", help="list the jobs of the ledger")
    collect = commands.add_parser("collect", help="settle, send and fetch what is recorded, for cron")
    simulate = commands.add_parser("simulate", help="run the simulator of the Message Batches API on 127.0.0.1")

    # The parts a command needs load only for it.
    from batchnb.demo import run as demo_run
    from batchnb.jobs import collect as collecting
    from batchnb.sim import cli as sim_cli

    demo_run.add_arguments(demo)
    demo.set_defaults(run=demo_run.run)
    jobs.set_defaults(run=_jobs)
    sim_cli.add_arguments(simulate)
    simulate.add_argument("--name", help="the name of a state under BATCHNB_HOME, instead of --state: see simulate()")
    collecting.add_arguments(collect)
    collect.set_defaults(run=collecting.run)
    simulate.set_defaults(run=_simulate)
    args = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # names and answers may hold what a pipe's encoding has not
    try:
        with contextlib.redirect_stdout(_Harmless(sys.stdout)):
            status: int = args.run(args)
    except BatchnbError as error:
        print(f"batchnb: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status


class _Harmless(io.TextIOBase):
    """What the commands print goes through here: names, columns and answers may hold what a terminal obeys."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(clean(text, len(text), lines=True))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


def _simulate(args: argparse.Namespace) -> int:
    from batchnb.jobs.defaults import state_folder
    from batchnb.sim import cli

    if args.name is not None:
        if args.state is not None:
            raise InputError("--state and --name both say where batches are kept; give one of them.")
        args.state = state_folder(args.name)
    return cli.run(args)


def _jobs(_args: argparse.Namespace) -> int:
    from batchnb import jobs

    table = jobs().to_frame()
    print("There are no jobs in this ledger." if table.empty else table.to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
