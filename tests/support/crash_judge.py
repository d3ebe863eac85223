"""Judges what came of a schedule by what the simulator recorded: who was asked what, when, and what was sent back."""

from __future__ import annotations

import itertools
import math
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import crash_schedules

#: Complete readings of a batch's results that must lack a row before batchnb may call it missing.
READINGS = 4

#: What a child is told that cannot use its parent's ledger.
IN_USE = "was being written at the very moment this process was forked"
BEGUN_ANEW = "does not know of all that was bought before"

#: What a create that made nothing may be answered with, where waiting does not help: rows carry the message.
REFUSALS = ("error", "redirect", "not_found")

#: Faults of a create after which it is sent again, or settled: sending is not done when a process leaves.
SENT_LATER = (*REFUSALS, "lost_answer", "api_error_after", "timeout_after", "api_error", "timeout", "reset",
              "rate_limited", "overloaded")  # fmt: skip


class Asked(NamedTuple):
    """One accepted request. `text` is what it asks; `ended_at` is None while its batch has not ended.

    `place` is the workspace whose key it was sent with.
    """

    text: str
    batch: str
    custom_id: str
    created_at: float
    ended_at: float | None
    outcome: str | None
    place: int = 0


@dataclass
class Reading:
    """The results of a batch as they were sent once: result types by custom_id; `complete`: not cut off."""

    batch: str
    rows: dict[str, str] = field(default_factory=dict)
    complete: bool = False


class Event(NamedTuple):
    """A line of a run's trace."""

    time: float
    run: int
    kind: str
    texts: tuple[str, ...]
    rows: dict[str, list[Any]] | None
    why: str = ""


class Ended(NamedTuple):
    """How a run ended: its exit code, negative for a signal; what it printed; the create calls during its step."""

    run: crash_schedules.Run
    step: int
    code: int
    output: str
    hung: bool
    creates: int


@dataclass
class Evidence:
    """All that is known of a schedule that has been carried out."""

    schedule: crash_schedules.Schedule
    asked: Sequence[Asked]
    readings: Sequence[Reading]
    events: Sequence[Event]
    runs: Sequence[Ended]
    home: Path
    elsewhere: Path
    keys: Sequence[str]


def judge(evidence: Evidence) -> list[str]:
    """Return what is wrong, in words; nothing for a schedule that came through."""
    return [*_Judge(evidence).complaints()]


class _Judge:
    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.schedule = evidence.schedule
        self.asked: dict[str, list[Asked]] = defaultdict(list)
        for one in sorted(evidence.asked, key=lambda one: one.created_at):
            self.asked[one.text].append(one)
        self.lacking: dict[tuple[str, str], int] = defaultdict(int)
        self.deformed: set[tuple[str, str]] = set()
        short: dict[str, int] = defaultdict(int)
        members: dict[str, set[str]] = defaultdict(set)
        for one in evidence.asked:
            members[one.batch].add(one.custom_id)
        for reading in evidence.readings:
            absent = members[reading.batch] - set(reading.rows)
            short[reading.batch] += bool(absent)
            for custom_id in absent if reading.complete else ():
                self.lacking[reading.batch, custom_id] += 1
            self.deformed |= {(reading.batch, name) for name, kind in reading.rows.items() if kind == "paused"}
        #: When a ledger was set aside.
        self.asides = [event.time for event in evidence.events if event.kind == "set aside"]
        #: Whether a batch may have been read so often, and never whole, that nobody could tell whose it is.
        self.unclear = any(count >= READINGS for count in short.values())

    def complaints(self) -> Iterator[str]:
        for text, asks in self.asked.items():
            yield from self._asked_once(text, asks)
        for number, ended in enumerate(self.evidence.runs):
            yield from self._ended_well(ended)
            yield from self._finished_sending(number, ended)
            yield from self._filled_batches(number, ended)
        for event in self.evidence.events:
            if event.kind == "frame":
                yield from self._frame(event)
        for event in self._events("child failed"):
            ended = self.evidence.runs[event.run]
            # A thread that forks while it writes leaves its child no ledger, which is said; and a ledger that was begun
            # after an earlier one sends nothing before recover().
            told = ended.run.fork and ended.run.fork.where == "thread" and IN_USE in event.why
            begun_anew = any(step.aside for step in self.schedule.steps) and BEGUN_ANEW in event.why
            if not (told or begun_anew):
                yield f"step {ended.step}: a forked child failed: {event.why}"
        yield from self._nothing_asked_at_last()
        yield from _files(self.evidence.home, self.evidence.keys)
        yield from (f"{path.name} was written elsewhere than at home" for path in self.evidence.elsewhere.rglob("*"))

    # Questions

    def _asked_once(self, text: str, asks: Sequence[Asked]) -> Iterator[str]:
        """A question is asked again only after an answer that nobody had to pay for, or that never arrived."""
        for first, second in itertools.pairwise(asks):
            told = self._told(text, first.created_at, second.created_at)
            unseen = any(self.evidence.runs[event.run].run.key != first.place for event in told)
            if (first.ended_at is None or first.ended_at > second.created_at) and not unseen:
                yield f"{text!r} was asked in {second.batch} while {first.batch} still held it"
            forgotten = any(first.created_at < time < second.created_at for time in self.asides)
            decided = bool(told) and (self._hidden(first) or self.unclear or unseen)
            if first.outcome == "succeeded" and not (decided or (forgotten and self._was_lacking(first))):
                yield f"{text!r} was bought twice: in {first.batch} and again in {second.batch}"
            elif first.outcome not in ("errored", "expired") and not (told or forgotten):
                yield f"{text!r} was {first.outcome} in {first.batch}, and asked again by itself in {second.batch}"
        allowed = self.schedule.retries + sum(text in event.texts for event in self._events("retry", "resolve"))
        allowed += len(self.asides) * (1 + self.schedule.retries)  # what was tried before is forgotten
        if len(asks) - 1 > allowed:
            yield f"{text!r} was asked {len(asks)} times, with {allowed} retries at most"

    def _hidden(self, one: Asked) -> bool:
        """Tell whether an outcome may never have arrived: no reading held it, or it came in a form nobody knows."""
        where = one.batch, one.custom_id
        return self.lacking[where] >= READINGS or where in self.deformed

    def _was_lacking(self, one: Asked) -> bool:
        """Tell whether a reading may have shown nothing of it, so that it could not be recovered."""
        return self.lacking[one.batch, one.custom_id] > 0 or (one.batch, one.custom_id) in self.deformed

    def _told(self, text: str, after: float, before: float) -> list[Event]:
        """Return where somebody had a question asked again in that time."""
        events = self._events("retry", "resolve")
        return [event for event in events if text in event.texts and after < event.time < before]

    def _events(self, *kinds: str) -> Iterable[Event]:
        return (event for event in self.evidence.events if event.kind in kinds)

    # Runs

    def _ended_well(self, ended: Ended) -> Iterator[str]:
        who = f"step {ended.step}"
        if ended.hung:
            yield f"{who} did not come to an end"
        elif ended.code > 0 or (ended.code < 0 and not _may_die(ended.run)):
            yield f"{who} ended with {ended.code}: {ended.output[-2000:]}"
        if any(key in ended.output for key in self.evidence.keys):
            yield f"{who} printed the key"

    def _finished_sending(self, number: int, ended: Ended) -> Iterator[str]:
        """A process that leaves of its own accord has sent all there is, where the server lets it."""
        if ended.code or self.schedule.queued or self.schedule.has(*SENT_LATER) or any(self._events("cancel")):
            return
        if self._has_other_keys(ended):
            return
        if any(event.run == number and event.kind == "submitted" for event in self.evidence.events):
            for text in set(filter(_asks, self.schedule.frames[ended.run.variant])):
                if not self.asked[str(text)]:
                    yield f"step {ended.step} left {text!r} unsent"

    def _has_other_keys(self, ended: Ended) -> bool:
        """Tell whether a run, or one before it, had another workspace's key: then there are rows it cannot see."""
        runs = (run for step in self.schedule.steps[: ended.step + 1] for run in step.runs)
        return any(run.key != ended.run.key for run in runs)

    def _filled_batches(self, number: int, ended: Ended) -> Iterator[str]:
        """What is asked again goes in batches of the size that the cell names."""
        before = self.evidence.runs[number - 1].run
        if ended.run.what != "finish" or not self._cleared(ended.step - 1) or self.schedule.has("error"):
            return
        ours = [event for event in self.evidence.events if event.run == number]
        complete = any(event.run == number - 1 and event.kind == "frame" for event in self.evidence.events)
        same = before.variant == ended.run.variant and not self._has_other_keys(ended)
        if not complete or before.what != "wait" or not same or ended.code:
            return  # rows that nobody has asked yet go with them
        told = [event for event in ours if event.kind in ("retry", "resolve")]
        needed = sum(math.ceil(len(set(event.texts)) / self.schedule.batch_size) for event in told)
        made = {one.batch for one in self.evidence.asked if ours[0].time < one.created_at < ours[-1].time}
        if len(made) > needed:
            yield f"step {ended.step} made {len(made)} batches where {needed} were enough"

    def _nothing_asked_at_last(self) -> Iterator[str]:
        """Once every row of every frame is answered, running the cells again sends nothing."""
        for ended in self.evidence.runs[-len(self.schedule.frames) :]:
            if ended.creates:
                yield f"step {ended.step}, which had nothing to ask, made {ended.creates} create calls"

    # Frames

    def _frame(self, event: Event) -> Iterator[str]:
        """Every row of a frame has its own answer, or the one outcome that the server's record explains."""
        assert event.rows is not None
        ended = self.evidence.runs[event.run]
        must_succeed = ended.run.what == "finish" and self._cleared(ended.step)
        rows = list(zip(*(event.rows[name] for name in ("text", "echo", "status", "why")), strict=True))
        if [text for text, *_ in rows] != list(self.schedule.frames[ended.run.variant]):
            yield f"step {ended.step} gave back other rows than it was given"
        for text, echo, status, why in rows:
            if "unexpected error" in str(why):
                yield f"step {ended.step}: {text!r} is {status} by a defect: {why}"
            expected = {"succeeded"} if must_succeed and _asks(text) else self._expected(text, event.time, ended)
            if status not in expected:
                yield f"step {ended.step}: {text!r} is {status}, not {' or '.join(sorted(expected)) or 'ended at all'}"
            if echo != (text if status == "succeeded" else None):
                yield f"step {ended.step}: {text!r} ({status}) has the answer {echo!r}"
            yield from self._tried_enough(ended, text, status, event.time)
            is_left = self._shared(text) and any(self._events("cancel"))  # to another job, that is still to send it
            if status == "pending" and self._has_other_keys(ended) and not why and not is_left:
                yield f"step {ended.step}: {text!r} is pending, and nothing says why"

    def _cleared(self, step: int) -> bool:
        return any(one.clear for one in self.schedule.steps[: step + 1])

    def _expected(self, text: str | None, now: float, ended: Ended) -> set[str]:
        """Return the statuses a row may have at the end of its job."""
        if text is None or not _asks(text):
            return {"skipped"}
        asks = [one for one in self.asked[text] if one.created_at <= now]
        last = asks[-1] if asks else None
        found: set[str] = {"pending"} if self.unclear or self._has_other_keys(ended) else set()
        if last is not None and last.outcome is not None:
            found.add(last.outcome)
            if self.lacking[last.batch, last.custom_id] >= READINGS:
                found.add("missing")
            if (last.batch, last.custom_id) in self.deformed:
                found.add("errored")
            if last.outcome == "succeeded" and not self._hidden(last):
                return found
        canceled = [event for event in self._events("cancel") if event.time < now]
        if canceled:
            found.add("canceled")
        if any(self.evidence.runs[event.run].step == ended.step for event in canceled) and self._shared(text):
            found.add("pending")  # the other frame's job, which is open, still wants it sent
        if self.schedule.has(*REFUSALS):
            found.add("errored")
        return found

    def _shared(self, text: str) -> bool:
        return len(self.schedule.frames) > 1 and all(text in frame for frame in self.schedule.frames)

    def _tried_enough(self, ended: Ended, text: str | None, status: str, now: float) -> Iterator[str]:
        """A row that failed in passing was asked again as often as the cell says, unless somebody interfered."""
        if text is None or status not in ("errored", "expired") or self.schedule.has(*REFUSALS):
            return
        if any(self._events("cancel")) or self._told(text, 0.0, now):
            return
        asks = [one for one in self.asked[text] if one.created_at <= now]
        # One that another workspace has was perhaps not read to its end.
        as_it_was = asks and asks[-1].outcome == status and asks[-1].place == ended.run.key
        as_it_was = as_it_was and not self._hidden(asks[-1])
        if as_it_was and len(asks) - 1 < self.schedule.retries:
            yield f"step {ended.step}: {text!r} is {status} after {len(asks)} tries of {1 + self.schedule.retries}"


def _asks(text: str | None) -> bool:
    return bool(text and text.strip())


def _may_die(run: crash_schedules.Run) -> bool:
    return bool((run.at and run.at.signal == "SIGKILL") or run.kill_after is not None or run.power is not None)


def _files(home: Path, keys: Sequence[str]) -> Iterator[str]:
    """Everything under a home is for its owner alone, and no key is in there."""
    for path in [home, *home.rglob("*")] if home.exists() else []:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode != (0o700 if path.is_dir() else 0o600):
            yield f"{path.name} has mode {mode:o}"
        if path.is_file() and any(key.encode() in path.read_bytes() for key in keys):
            yield f"{path.name} holds the key"
