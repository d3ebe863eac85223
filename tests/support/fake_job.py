"""A job without a server: plays a list of snapshots, and is canceled. For tests of what is shown."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from batchnb.answers.provenance import Provenance
from batchnb.answers.request_counts import RequestCounts
from batchnb.display.snapshot import BatchLine, ErrorKind, Snapshot, Usual

HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script> \x1b[31mred \u202eevil'


def batch(number: int, *, ended: bool, size: int = 300, errored: int = 0, expired: int = 0) -> BatchLine:
    """One batch as the API reports it: all processing until it has ended."""
    counts = RequestCounts(processing=size)
    if ended:
        counts = RequestCounts(succeeded=size - errored - expired, errored=errored, expired=expired)
    times = {"created_at": 1_000.0 + number, "ended_at": 1_100.0 + 9 * number if ended else None}
    return BatchLine(f"msgbatch_{number:04}", "ended" if ended else "in_progress", counts, **times, expires_at=87_400.0)


def running(ended: int = 0, sent: int = 10, *, simulated: bool = False, **fields: object) -> Snapshot:
    """A job of 3,000 rows, `ended` of whose `sent` batches of 300 requests have ended."""
    batches = tuple(batch(number, ended=number < ended, errored=12 * (number == 1)) for number in range(sent))
    common = {"job_id": "job_1", "name": "review → label", "model": "claude-haiku-4-5", "rows": 3_000}
    whole = {"status": "in_progress", "started_at": 1_000.0, "now": 1_245.0, "cost": 0.21 * ended, "batches": batches}
    whole |= {"unsent": 3_000 - 300 * sent, "outcomes": {"pending": 3_000}, "checked_at": 1_221.0 if sent else None}
    whole |= {"usual": Usual(190.0, 1_130.0, 12), "expected": 2.1 if 0 < ended < 10 else None}
    whole |= {"provenance": Provenance.of("its id" if simulated else None)}
    return Snapshot(**(common | whole | fields))  # type: ignore[arg-type]


def ended(**fields: object) -> Snapshot:
    """The same job at its end, with 12 rows errored, 3 invalid and 85 skipped."""
    outcomes = {"succeeded": 2_900, "errored": 12, "invalid": 3, "skipped": 85}
    errors = (ErrorKind("overloaded_error", 12, "row 301"), ErrorKind("the reply is none of the labels", 3, "row 77"))
    whole = {"status": "ended", "ended_at": 1_842.0, "outcomes": outcomes, "errors": errors, "reused": 40}
    whole |= {"retryable": 12}
    return running(10, **(whole | fields))


def canceled(snapshot: Snapshot) -> Snapshot:
    """What becomes of `snapshot` when the job is canceled."""
    batches = []
    for line in snapshot.batches:
        counts = replace(line.counts, processing=0, canceled=line.counts.canceled + line.counts.processing)
        batches.append(replace(line, state="ended", counts=counts))
    whole = sum((line.counts for line in batches), RequestCounts())
    outcomes = {"succeeded": whole.succeeded, "errored": whole.errored, "canceled": whole.canceled + snapshot.unsent}
    return replace(
        snapshot, status="ended", batches=tuple(batches), unsent=0, ended_at=snapshot.now,
        outcomes={outcome: number for outcome, number in outcomes.items() if number},
    )  # fmt: skip


class FakeJob:
    """Shows one snapshot after another, by hand (:meth:`advance`) or from a thread (:meth:`play`)."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self.snapshots = list(snapshots)
        self.callbacks: list[Callable[[], None]] = []
        self.canceled = threading.Event()
        self.done = threading.Event()
        self.views: dict[str, Any] = {}
        self.asked: list[str] = []

    @property
    def id(self) -> str:
        return self.snapshots[0].job_id

    def retry(self) -> None:
        self.asked.append("retry")

    def collect(self) -> None:
        self.asked.append("collect")

    def snapshot(self) -> Snapshot:
        return self.snapshots[0]

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.callbacks.append(callback)

        def unsubscribe() -> None:
            if callback in self.callbacks:
                self.callbacks.remove(callback)

        return unsubscribe

    def cancel(self) -> None:
        self.canceled.set()

    def tell(self) -> None:
        for callback in list(self.callbacks):
            callback()

    def advance(self) -> None:
        """Go to the next snapshot and tell the views; at the end the views are told before anyone who waits."""
        if len(self.snapshots) > 1:
            self.snapshots.pop(0)
        self.tell()
        if self.snapshot().status == "ended":
            self.done.set()

    def play(self, interval: float = 0.25, *, hold: bool = False) -> FakeJob:
        """Advance every `interval` seconds in a thread; with `hold` the last but one stays until it is canceled."""

        def run() -> None:
            while not self.done.is_set():
                if self.canceled.wait(interval):
                    self.snapshots = [self.snapshot(), canceled(self.snapshot())]
                    self.advance()
                elif hold and len(self.snapshots) == 1:
                    last = self.snapshots[0]
                    self.snapshots = [replace(last, now=last.now + 1)]
                    self.tell()
                else:
                    self.advance()

        threading.Thread(target=run, name="fake-job", daemon=True).start()
        return self
