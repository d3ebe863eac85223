"""The cell that the crash harness kills: a frame submitted and waited for, with hooks around batchnb's own classes.

It is not started by hand. ``crash.py`` starts it once, with a socket as its standard input, and has it fork a process
for every run: so pandas and the SDK are loaded once, while each run is a process of its own, which can be killed, and
which does at its end what any interpreter does.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pandas as pd

import batchnb
import batchnb.submission
import batchnb.turns
import batchnb.watcher
import batchnb.workspace
from batchnb.api import Api
from batchnb.api.client import BATCHES
from batchnb.errors import AmbiguousError, ApiError, RefusedError
from batchnb.ledger.batches import Batches
from batchnb.ledger.store import Store
from batchnb.settling import Settling

PATIENCE = 40.0
ROUNDS = 8  # times that failed rows are asked again before a run gives up


class Points:
    """The places where a run can be struck: each is counted and traced, and one may bring a signal."""

    def __init__(self, trace: Path, at: dict[str, Any] | None) -> None:
        self._file = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._at = at
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.reached = threading.Event()

    def tell(self, kind: str, **more: Any) -> None:
        """Write a line of the trace: what is written is there, even if the next instruction kills the process."""
        os.write(self._file, json.dumps({"time": time.time(), "event": kind, **more}).encode() + b"\n")

    def hit(self, point: str) -> None:
        with self._lock:
            self._counts[point] += 1
            count = self._counts[point]
        self.tell(point, count=count)
        if self._at and (self._at["point"], self._at["count"]) == (point, count):
            self.reached.set()
            if self._at["signal"]:
                os.kill(os.getpid(), getattr(signal, self._at["signal"]))


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
    def transaction(self: Store, *, durable: bool = False, rows: bool = True) -> Iterator[Any]:
        with self._lock:
            outermost = not self._depth
            name = "durable" if durable else "plain"
            if outermost:
                points.hit(f"{name} begin")
            with plain(self, durable=durable, rows=rows) as db:
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
    batchnb.turns.OTHERS_INTERVAL = batchnb.watcher.LEDGER_PAUSE = 0.02
    batchnb.watcher.TICK = 0.05
    batchnb.workspace.EXIT_PATIENCE = 1.0
    # Results reach the ledger in several transactions, as those of a large batch do.
    batchnb.submission.CHUNK = 3
    backoff = batchnb.watcher.backoff
    for module in (batchnb.watcher, batchnb.turns):
        module.backoff = lambda *args, **kwargs: backoff(*args, **kwargs) / 100


# Ways to break the protocol, to see that the judge notices


def _resend() -> None:
    """Take a lost answer for a refusal."""
    create = Api.create_batch

    def hopeful(self: Api, body: bytes, betas: Sequence[str] = ()) -> Any:
        try:
            return create(self, body, betas)
        except AmbiguousError as error:
            raise RefusedError(str(error), status=529) from error

    Api.create_batch = hopeful  # type: ignore[method-assign]


def _never_look() -> None:
    """Send again what is uncertain, without asking the server."""

    def settle(self: Settling, batch: Any, known: Any) -> bool:
        return self._ledger.batches.let_go(batch.id, state="uncertain")

    Settling.settle = settle  # type: ignore[method-assign]


def _misplace() -> None:
    """Give each row of a transaction its neighbour's answer."""
    record = Batches.record

    def shifted(self: Batches, number: int, answers: Sequence[Any], requests: Any = None, alike: Any = None) -> int:
        answers = [*answers, *(alike.one_by_one() if alike else ())]
        digests = [answer.digest for answer in answers]
        moved = zip(answers, digests[1:] + digests[:1], strict=True)
        wrong = [msgspec.structs.replace(answer, digest=digest) for answer, digest in moved]
        return record(self, number, wrong, requests)

    Batches.record = shifted  # type: ignore[method-assign]


def _leak() -> None:
    """Write the key down, for everyone to read."""
    path = Path(os.environ["BATCHNB_HOME"]) / "debug.log"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(os.environ["ANTHROPIC_API_KEY"])
    path.chmod(0o644)


def _give_up() -> None:
    """Read results once, whatever they hold."""
    batchnb.turns.READ_AGAIN = 0


MUTATIONS = {"resend": _resend, "never look": _never_look, "misplace": _misplace, "leak": _leak, "give up": _give_up}


# The cell


def cell(plan: dict[str, Any], points: Points) -> None:
    frame = pd.DataFrame({"review": plan["texts"]})
    points.tell("submit")
    job = frame.batch.submit(
        "review", "Echo: {review}", into="echo", batch_size=plan["batch_size"], retries=plan["retries"], progress=False
    )
    points.tell("submitted")
    if plan["what"] == "leave":
        return
    if plan["what"] == "cancel":
        points.reached.wait(1.0)
        points.tell("cancel")
        job.cancel()
    answered = finish(job, points) if plan["what"] == "finish" else job.result(PATIENCE)
    rows = {name: answered[column].astype(object).where(answered[column].notna(), None).tolist()
            for name, column in (("text", "review"), ("echo", "echo"), ("status", "echo_status"))}  # fmt: skip
    points.tell("frame", rows=rows)


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
    os.environ.update(plan["environment"])
    points = Points(Path(plan["trace"]), plan["at"])
    hurry()
    hook(points)
    if plan["mutation"]:
        MUTATIONS[plan["mutation"]]()
    if plan["power"]:
        # Loaded here, since only runs that end in a power cut need it.
        importlib.import_module("power").install(Path(plan["power"]["log"]), plan["power"]["kill_at"])
    try:
        cell(plan, points)
    except KeyboardInterrupt:  # a notebook's cell is left; the kernel goes on, and ends in its own time
        points.tell("interrupted")


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
    for module in ("anthropic.types.message_create_params", "batchnb.current", "batchnb.display.text", "filelock"):
        importlib.import_module(module)
    httpx2.Client(verify=False).close()
    task = serve(socket.socket(fileno=os.dup(0)))
    if task is not None:
        run(task)
        # The interpreter's own end, but for tearing down all that was loaded, which takes longer than most runs.
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stderr.flush()
        os._exit(0)
