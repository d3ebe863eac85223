"""The cell that the crash harness kills: a frame submitted and waited for, with hooks around batchnb's own classes.

It is not started by hand. ``crash.py`` starts it once, with a socket as its standard input, and has it fork a process
for every run: so pandas and the SDK are loaded once, while each run is a process of its own, which can be killed, and
which does at its end what any interpreter does.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pandas as pd
from crash_trials import child_of, keep_alive, leave, real_time, set_clock  # before batchnb: it sets the clock
from pace import QUICK, paced

import batchnb
import batchnb.protocol.submission
from batchnb.api.calling import BATCHES
from batchnb.api.client import Api
from batchnb.errors import ApiError, LedgerError
from batchnb.jobs.defaults import default_workspace
from batchnb.ledger.batches import Batches
from batchnb.ledger.store import Store

PATIENCE = 40.0
ROUNDS = 8  # times that failed rows are asked again before a run gives up


class Points:
    """The places where a run can be struck: each is counted and traced, and what is to happen there happens."""

    def __init__(self, trace: Path) -> None:
        self._file = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._actions: list[tuple[dict[str, Any], Callable[[], object]]] = []

    def at(self, place: dict[str, Any] | None, action: Callable[[], object]) -> None:
        """Have something done where a run comes by a place, by the thread that does."""
        if place is not None:
            self._actions.append((place, action))

    def tell(self, kind: str, **more: Any) -> None:
        """Write a line of the trace: what is written is there, even if the next instruction kills the process."""
        os.write(self._file, json.dumps({"time": real_time(), "event": kind, **more}).encode() + b"\n")

    def hit(self, point: str) -> None:
        with self._lock:
            self._counts[point] += 1
            count = self._counts[point]
        self.tell(point, count=count)
        for place, action in self._actions:
            if (place["point"], place["count"]) == (point, count):
                action()

    def begin_in_child(self) -> None:
        """Nothing more befalls a forked child; and another thread may have held the lock."""
        self._lock, self._actions = threading.Lock(), []


def hook(points: Points) -> None:
    """Put the points into batchnb's own classes; nothing inside the SDK is touched."""
    _hook_transactions(points)
    _hook_calls(points)
    for name in ("claim", "accepted"):
        setattr(Batches, name, _around(getattr(Batches, name), name, points))


def _around(method: Callable[..., Any], name: str, points: Points) -> Callable[..., Any]:
    def hooked(*args: Any, **kwargs: Any) -> Any:
        points.hit(f"{name} before")
        result = method(*args, **kwargs)
        points.hit(f"{name} after")
        return result

    return hooked


def _hook_transactions(points: Points) -> None:
    plain = Store.transaction

    @contextlib.contextmanager
    def transaction(self: Store, *, durable: bool = False, **options: bool) -> Iterator[Any]:
        with self._connection.held():
            outermost = not self._depth
            name = "durable" if durable else "plain"
            if outermost:
                points.hit(f"{name} begin")
            with plain(self, durable=durable, **options) as db:
                yield db
                if outermost:
                    points.hit(f"{name} commit")
            if outermost:
                points.hit(f"{name} end")

    Store.transaction = transaction  # type: ignore[method-assign]


def _hook_calls(points: Points) -> None:
    call, chunks = Api._call, Api._chunks

    def hooked_call(self: Api, method: str, path: str, **options: Any) -> Any:
        route = _route(method, path)
        points.hit(f"{route} before")
        try:
            response = call(self, method, path, **options)
        except ApiError:
            points.hit(f"{route} after")
            raise
        points.hit(f"{route} after")
        return response

    def hooked_chunks(response: Any) -> Iterator[bytes]:
        for chunk in chunks(response):
            yield chunk
            points.hit("chunk")

    Api._call = hooked_call  # type: ignore[method-assign]
    Api._chunks = staticmethod(hooked_chunks)  # type: ignore[method-assign]


def _route(method: str, path: str) -> str:
    if path == BATCHES:
        return "create" if method == "POST" else "list"
    last = path.rpartition("/")[2]
    return last if last in ("cancel", "results", "count_tokens") else "retrieve"


def hurry() -> None:
    """Shorten what batchnb waits for, so that a schedule takes seconds."""
    # A power cut may forget lock files, whose owners are then waited for.
    paced(default_workspace(), **QUICK, longest_call=2.0, give_up_after=3.0, exit_patience=1.0)
    # Results reach the ledger in several transactions, as those of a large batch do.
    batchnb.protocol.submission.CHUNK = 3


# The cell


class Cell:
    """The cell, as a plan has it.

    Parameters
    ----------
    plan : dict
        As ``crash.py`` makes it.
    points : Points
        Where things happen.
    """

    def __init__(self, plan: dict[str, Any], points: Points) -> None:
        self._plan = plan
        self._points = points
        self._job: Any = None
        self._struck = threading.Event()  # where the main thread waits for a point to be reached

    def run(self) -> None:
        plan, points = self._plan, self._points
        fork = plan["fork"]
        if fork is not None:
            points.at(fork["at"], self._fork if fork["where"] == "thread" else self._struck.set)
        if plan["what"] == "cancel":
            points.at(plan["at"], self._struck.set)
        if plan["recover"]:
            self._recover()
        points.tell("submit")
        self._job = self._submit()
        points.tell("submitted")
        if fork is not None and fork["where"] == "main":
            self._struck.wait(1.0)
            self._fork()
        if plan["what"] == "leave":
            return
        if plan["what"] == "cancel":
            self._struck.wait(1.0)
            points.tell("cancel")
            self._job.cancel()
        self._tell_frame(finish(self._job, points) if plan["what"] == "finish" else self._job.result(PATIENCE))

    def _submit(self) -> Any:
        frame = pd.DataFrame({"review": self._plan["texts"]})
        return frame.batch.submit(
            "review", "Echo: {review}", into="echo", batch_size=self._plan["batch_size"], retries=self._plan["retries"],
            progress=False,
        )  # fmt: skip

    def _recover(self) -> None:
        """Take back what the ledger that was set aside knew, as its successor asks for."""
        for _ in range(ROUNDS):
            try:
                batchnb.recover(PATIENCE)
            except ApiError as error:
                self._points.tell("not recovered", error=str(error))
                time.sleep(0.05)
            else:
                self._points.tell("recovered")
                return

    def _tell_frame(self, answered: pd.DataFrame) -> None:
        columns = {"text": "review", "echo": "echo", "status": "echo_status", "why": "echo_error"}
        rows = {
            name: answered[column].astype(object).where(answered[column].notna(), None).tolist()
            for name, column in columns.items()
        }
        self._points.tell("frame", rows=rows)

    def _fork(self) -> None:
        kind = self._plan["fork"]["child"]
        if os.fork():
            self._points.tell("fork", child=kind)
            return
        self._points.begin_in_child()
        child_of(self._points.tell, kind, self._work_of_child)

    def _work_of_child(self) -> None:
        """Run the cell again, or wait for the job that the parent waits for."""
        job = self._submit() if self._plan["fork"]["child"] == "job" or self._job is None else self._job
        self._tell_frame(job.result(PATIENCE))


def finish(job: Any, points: Points) -> pd.DataFrame:
    """Do what somebody does who wants every row answered: have failed rows asked again until none is left."""
    for _ in range(ROUNDS):
        frame = job.result(PATIENCE)
        if (frame["echo_status"] == "pending").any():
            points.tell("resolve", texts=frame.loc[frame["echo_status"] == "pending", "review"].tolist())
            job.resolve("send")
            continue
        failed = job.errors()
        again = failed.loc[failed["retryable"], "row"]
        if again.empty:
            break
        points.tell("retry", texts=frame.loc[again, "review"].tolist())
        job.retry()
    return frame


def run(plan: dict[str, Any]) -> None:
    """Run the cell as the plan says, with everything it prints in a file."""
    output = os.open(plan["output"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(file, number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    keep_alive(Path(plan["alive"]))
    os.chdir(plan["folder"])
    os.environ.update(plan["environment"])
    set_clock(**plan["clock"])
    points = Points(Path(plan["trace"]))
    if plan["at"] and plan["at"]["signal"]:
        points.at(plan["at"], lambda: os.kill(os.getpid(), getattr(signal, plan["at"]["signal"])))
    points.at(plan["astray"], lambda: os.chdir(plan["elsewhere"]))
    hook(points)
    if plan["mutation"]:
        importlib.import_module("crash_broken").MUTATIONS[plan["mutation"]]()
    hurry()  # last, since it makes the workspace
    if plan["power"]:
        # Loaded here, since only runs that end in a power cut need it.
        importlib.import_module("power").install(Path(plan["power"]["log"]), plan["power"]["kill_at"])
    try:
        Cell(plan, points).run()
    except KeyboardInterrupt:  # a notebook's cell is left; the kernel goes on, and ends in its own time
        points.tell("interrupted")
    except LedgerError as error:
        if "batchnb.recover()" not in str(error):
            raise
        points.tell("asks")  # a ledger was here before, and what it knew is not known


# The process that is forked for each run


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork a process for each socket that comes; None at the end, and in each such process its plan."""
    while True:
        byte, files, _, _ = socket.recv_fds(control, 1, 1)
        if not byte:
            return None
        if os.fork() == 0:
            control.close()
            return attend(socket.socket(fileno=files[0]))
        os.close(files[0])
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def attend(line: socket.socket) -> dict[str, Any]:
    """Fork the run itself, and tell its number, each time it is stopped, and how it ended."""
    with line, line.makefile("rb") as read:
        plan: dict[str, Any] = json.loads(read.readline())
        number = os.fork()
        if number == 0:
            return plan
        line.sendall(struct.pack("i", number))
        ended = False
        while not ended:
            _, status = os.waitpid(number, os.WUNTRACED)
            line.sendall(struct.pack("i", status))
            ended = not os.WIFSTOPPED(status)
    os._exit(0)


if __name__ == "__main__":
    # What batchnb loads when it is first needed, loaded here before the forks.
    for module in (
        "anthropic.types.message_create_params",
        "batchnb.jobs.defaults",
        "batchnb.display.job.text",
        "filelock",
    ):
        importlib.import_module(module)
    httpx2.Client(verify=False).close()
    task = serve(socket.socket(fileno=os.dup(0)))
    if task is not None:
        run(task)
        leave()
