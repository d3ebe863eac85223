"""What is due for a batch, when, and doing it: checking, collecting, canceling, settling, and giving it up.

One batch at a time and without a thread: :mod:`batchnb.protocol.watcher` takes the turns. What is kept here between
two turns is only what costs little to find out again; all else is in the ledger.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from batchnb.api.shapes import state_of, times_of, unknown_state
from batchnb.errors import UNREACHED, ApiError, BatchnbError, RefusedError
from batchnb.ledger.fragments import LIVE
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.read_batches import BatchRecord
from batchnb.protocol.giving_up import doubt_note, given_up_note, is_given_up
from batchnb.protocol.reconcile import FINDING_OUT, READ_AGAIN
from batchnb.protocol.settlement import Settlement
from batchnb.protocol.submission import Submission, waiting_helps
from batchnb.system.clock import Clock

__all__ = ["TurnOutcome", "Turns", "passes", "unexpected"]

#: Why a batch is waited for that another process sends.
BY_ANOTHER = "Another process, such as a second notebook, is sending these rows; they are taken from it when it has."
#: Why a batch is waited for that nobody may be sending.
NO_TRACE = (
    "Whether the process that was sending these rows still lives cannot be told: its lock file is gone. They wait "
    "until its call must have ended, eleven minutes at most; nothing is sent twice."
)

#: Statuses of failures that pass by themselves, or with another key (from 520 on: Cloudflare's).
PASSING = frozenset({401, 402, 407, 408, 409, 425, 429, 500, 502, 503, 504, 507, *range(520, 531)})

#: Turns after which nothing more is to be had of a batch for now, by its state; see `Turns.is_patient`.
ENOUGH = {"submitting": 1, "uncertain": 3, "in_progress": 1, "canceling": 1, "ended": 5}


class TurnOutcome(NamedTuple):
    """What came of a turn.

    Parameters
    ----------
    changed : bool
        Whether what became of rows may have changed.
    again : bool
        Whether there is more to do at once.
    let_go : bool
        Whether requests may wait to be sent again.
    """

    changed: bool = False
    again: bool = False
    let_go: bool = False


@dataclass(slots=True)
class _Due:
    """When to turn to a batch again, and what is known of it from earlier times.

    Times are in seconds by a clock that is never set.
    """

    at: float = 0.0
    state: str = ""
    turns: int = 0
    checks: int = 0
    failures: int = 0
    reads: int = 0
    whole_reads: int = 0
    left: int | None = None
    doubted_since: float | None = None
    settlement: Settlement = field(default_factory=Settlement)


class Turns:
    """The turns of the batches of one ledger.

    Parameters
    ----------
    submission, ledger
        What to do, and where it is kept.
    clock : Clock
        The time.
    """

    def __init__(self, submission: Submission, ledger: Ledger, clock: Clock) -> None:
        self._submission = submission
        self._ledger = ledger
        self._timing = submission.timing
        self._clock = clock
        self._due: dict[int, _Due] = {}
        #: Whether calls are being given up, since the workspace is closed: that they fail says nothing of the server.
        self.leaving = False

    # When

    def due(self, batches: Iterable[BatchRecord]) -> Iterable[BatchRecord]:
        """Yield those of the batches whose turn it is, each just before it is taken."""
        for batch in batches:
            if batch.state in LIVE and self._due.setdefault(batch.id, _Due()).at <= self._clock.elapsed():
                yield batch

    def times(self, batches: Iterable[int]) -> list[float]:
        """Return when the turns of these batches are, in seconds by the clock that is never set."""
        return [self._due[batch].at for batch in batches if batch in self._due]

    def hurry(self, batches: Iterable[int]) -> None:
        """Have these batches turned to at once."""
        for batch in batches:
            self._due.setdefault(batch, _Due()).at = 0.0

    def is_patient(self, batch: BatchRecord) -> bool:
        """Tell whether a batch has had turns enough in its state that only time can bring more of it."""
        due = self._due.get(batch.id)
        if batch.state not in LIVE:
            return True
        return due is not None and due.state == batch.state and due.turns >= ENOUGH[batch.state]

    def is_failing(self, batch: BatchRecord) -> bool:
        """Tell whether the last turn of a batch brought no answer, or none that could be used."""
        due = self._due.get(batch.id)
        return batch.state in LIVE and due is not None and (due.failures > 0 or due.doubted_since is not None)

    # Taking one

    def take(self, batch: BatchRecord) -> TurnOutcome:
        """Do what is due for a batch."""
        due = self._due[batch.id]
        if due.state != batch.state:
            due.state, due.turns = batch.state, 0
        due.turns += 1
        try:
            turned = self._take(batch, due)
        except ApiError as error:
            if self.leaving:
                return TurnOutcome()
            refused = isinstance(error, RefusedError) and not waiting_helps(error)
            is_doubted = not passes(error) or (refused and batch.state == "uncertain")
            self._failed(batch, due, error, doubted=is_doubted)
            elsewhere = self._submission.settling.elsewhere(batch) if refused else None
            if elsewhere is not None:
                self._ledger.batches.lose(batch.id, elsewhere)
                return TurnOutcome(changed=True)
            # The server lags behind just after a create, and on results just after the end: a 404 is doubted first, and
            # so is whatever else does not pass by itself. A listing that is refused settles nothing, so that there is
            # nothing to wait for but a decision.
            return self._doubt(batch, due, str(error)) if is_doubted else TurnOutcome()
        except BatchnbError:
            raise
        except Exception as error:  # noqa: BLE001  # a defect of ours must not stop the other batches
            self._failed(batch, due, ApiError(unexpected(error)))
            return TurnOutcome()
        due.failures = 0
        return turned

    def _take(self, batch: BatchRecord, due: _Due) -> TurnOutcome:
        if batch.state == "submitting":
            return self._look_after_other(batch, due)
        if batch.state == "uncertain":
            return self._settle(batch, due)
        if batch.state == "ended":
            return self._collect(batch, due)
        return self._check(batch, due)

    def _look_after_other(self, batch: BatchRecord, due: _Due) -> TurnOutcome:
        """Wait for a batch that another process is sending, unless that process has died.

        One of our own in this state that is not being sent either: the answer to its create could not be recorded.
        """
        due.at = self._clock.elapsed() + self._timing.others_poll
        owner = self._ledger.owner
        if batch.standard:  # no batch: there is nothing on the server to be found
            given_up = self._ledger.pilots.look_after(batch, self._clock.now())
            return TurnOutcome(changed=given_up, again=given_up, let_go=given_up)
        if batch.owner != owner.name and owner.may_act(batch.owner, self._age_of(batch)):
            note = BY_ANOTHER if owner.is_alive(batch.owner) else NO_TRACE
            if batch.note != note:
                self._ledger.batches.note(batch.id, note)
            return TurnOutcome()
        if self._submission.is_sending(batch.id):
            return TurnOutcome()
        self._ledger.batches.uncertain(batch.id, now=self._clock.now(), note=f"Sending was interrupted. {FINDING_OUT}")
        due.at = 0.0
        return TurnOutcome(again=True)

    def _age_of(self, batch: BatchRecord) -> float:
        """Return how long ago a batch was claimed, in seconds by the server's clock; 0 where that does not tell."""
        now = self._submission.api.now()
        return 0.0 if now is None or batch.server_at is None else now - batch.server_at

    def _settle(self, batch: BatchRecord, due: _Due) -> TurnOutcome:
        due.at = self._clock.elapsed() + self._next_interval(due)
        settled = self._submission.settling.settle(batch, due.settlement)
        if not settled and due.settlement.unproven is not None:
            self._ledger.batches.note(batch.id, f"{due.settlement.unproven} {FINDING_OUT}")
            return self._doubt(batch, due, due.settlement.unproven)
        if not settled:
            if due.doubted_since is not None:
                self._ledger.batches.note(batch.id, FINDING_OUT)
            self._is_well(batch, due)
            return TurnOutcome()
        due.doubted_since = None
        due.at, due.checks = 0.0, 0
        return TurnOutcome(changed=True, again=True, let_go=True)

    def _check(self, batch: BatchRecord, due: _Due) -> TurnOutcome:
        api = self._submission.api
        assert batch.server_id is not None  # noqa: S101  # every state past `uncertain` has one
        due.at = self._clock.elapsed() + self._next_interval(due)
        uncanceled = None
        if batch.cancel_asked and batch.state == "in_progress":
            try:
                info = api.cancel_batch(batch.server_id)
                due.at, due.checks = self._clock.elapsed() + self._timing.poll_interval(0), 1
            except ApiError as error:  # as where it has ended in the meantime: its end does not wait for this
                info = api.retrieve_batch(batch.server_id)
                uncanceled = f"Canceling batch {batch.server_id} is tried again: {error}"
        else:
            info = api.retrieve_batch(batch.server_id)
        state = state_of(info)
        self._ledger.batches.checked(
            batch.id, state=state, counts=info.request_counts, times=times_of(info), now=self._clock.now(),
            place=api.heard.place, skew=api.skew(),
        )  # fmt: skip
        if state == "ended":
            due.at, due.checks = 0.0, 0
            return self._collect(batch, due)
        due.doubted_since = None
        note = uncanceled or unknown_state(info)
        if note is not None:
            self._ledger.batches.note(batch.id, note)
        return TurnOutcome()

    def _collect(self, batch: BatchRecord, due: _Due) -> TurnOutcome:
        """Read results; again where they broke off or end early, as long as that brings more, and a few times then."""
        reading = self._submission.collect(batch)
        if due.left is None or reading.left < due.left:
            due.reads, due.whole_reads, due.left = 0, 0, reading.left
            self._is_well(batch, due)
        due.reads += 1
        due.whole_reads += reading.broken is None  # one that broke off says nothing of what it did not come to
        if reading.left == 0 or due.whole_reads > READ_AGAIN:
            self._ledger.batches.collected(batch.id, whole=reading.left == 0)
            self._ledger.files.forget_missed(batch.id)
            del self._due[batch.id]
            return TurnOutcome(changed=True)
        due.at = self._clock.elapsed() + min(self._timing.backoff(due.reads - 1), self._timing.max_poll)
        if reading.broken is None or self.leaving:
            return TurnOutcome()
        return self._doubt(batch, due, reading.broken, "Reading the results broke off and is tried again")

    def _next_interval(self, due: _Due) -> float:
        due.checks += 1
        return self._timing.poll_interval(due.checks - 1)

    # When it fails

    def _doubt(
        self, batch: BatchRecord, due: _Due, why: str, what: str = "The last check failed and is tried again"
    ) -> TurnOutcome:
        """Give a batch up that has failed in the same way for long; until then, note that it is doubted."""
        patience, server_now = self._timing.give_up_after, self._submission.api.now()
        now = self._clock.elapsed()
        if due.doubted_since is None:
            due.doubted_since = now
        if is_given_up(batch, doubted_for=now - due.doubted_since, server_now=server_now, patience=patience):
            due.doubted_since = None
            self._ledger.batches.lose(batch.id, given_up_note(batch, why))
            return TurnOutcome(changed=True)
        note = doubt_note(what, why, patience)
        self._ledger.batches.failing(batch.id, note, self._clock.now(), doubted=True, server_now=server_now)
        return TurnOutcome()

    def _failed(self, batch: BatchRecord, due: _Due, error: ApiError, *, doubted: bool = False) -> None:
        due.failures += 1
        pause = self._timing.backoff(due.failures - 1, retry_after=error.retry_after, jitter=random.random())  # noqa: S311
        due.at = self._clock.elapsed() + min(pause, max(self._timing.max_poll, error.retry_after or 0.0))
        if doubted:
            return
        asked = "" if not error.retry_after else f" The server asks to wait {error.retry_after:.0f} s."
        note = f"The last check failed and is tried again: {error}{asked}"
        self._ledger.batches.failing(batch.id, note, self._clock.now())

    def _is_well(self, batch: BatchRecord, due: _Due) -> None:
        """Note that the server has answered, after it had not."""
        due.doubted_since = None
        if batch.failing_since is not None:
            self._ledger.batches.well(batch.id)


def passes(error: ApiError) -> bool:
    """Tell whether a failure of a call that only asks passes by itself, or with another key: then it is waited for."""
    return error.status in PASSING or error.type in UNREACHED or error.type in ("no_answer", "simulated")


def unexpected(error: Exception) -> str:
    """Tell of an error that is a defect of ours, such that it can be reported: where it was raised, and nothing more.

    Not what it says, which may hold a row's text.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "batchnb" in frame.filename] or list(frames)
    place = f" in {ours[-1].name}, line {ours[-1].lineno}" if ours else ""
    return f"An unexpected error ({type(error).__name__}{place}): please report it. What is recorded is safe."
