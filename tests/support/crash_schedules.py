"""What befalls a cell: everything of a schedule follows from one whole number, its seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from batchnb.sim import Fault

#: How often each point is reached in the first run of a cell, about; later runs have less to do.
POINTS = {
    "claim before": 6, "claim after": 6, "create before": 6, "create after": 6, "accepted before": 6,
    "accepted after": 6, "durable begin": 12, "durable commit": 12, "durable end": 12, "plain begin": 15,
    "plain commit": 15, "plain end": 15, "list before": 2, "list after": 2, "retrieve before": 10, "retrieve after": 10,
    "results before": 5, "results after": 5, "chunk": 5, "count_tokens before": 1, "count_tokens after": 1,
    "cancel before": 3, "cancel after": 3,
}  # fmt: skip

#: A power cut falls just before the write or sync of about this number.
POWER_RECORDS = 120

#: What befalls some schedules beside signals and the server's faults; see `_with_trials`.
TRIALS = ("clock", "fork", "chdir", "key", "aside")

HOUR, DAY, YEAR = 3_600.0, 86_400.0, 365 * 86_400.0

RETRYABLE = ("api_error", "overloaded_error", "timeout_error", "rate_limit_error")


@dataclass(frozen=True)
class At:
    """The `count`-th time a run comes by `point`: what it is sent there. Without a signal, a cancel waits for it."""

    point: str
    count: int
    signal: str = ""


@dataclass(frozen=True)
class Clock:
    """A wall clock that is `ahead` by so many seconds (or behind), and `after` some by as many as `then` says."""

    ahead: float = 0.0
    then: float | None = None
    after: float = 0.0


@dataclass(frozen=True)
class Fork:
    """A child that is forked at a point, by the thread that comes by it, or by the main one (`where`) soon after.

    `child`: what it does. ``exit`` and ``_exit`` at once; ``outlive`` its parent, as far as that is about to end; run
    the cell itself (``job``), or wait for the ``result`` of the job that it has from its parent.
    """

    at: At
    where: str
    child: str


@dataclass(frozen=True)
class Run:
    """One process.

    Parameters
    ----------
    what
        ``wait`` for the result, ``leave`` without it, ``cancel`` the job and wait, or ``finish``: have failed rows
        asked again until none is left.
    at
        What strikes it at a point of its work.
    kill_after
        Seconds after which it is killed, wherever it is.
    pause
        Seconds for which it stays stopped, if it is.
    power
        The number of the write or sync before which the power goes.
    variant
        Which of the schedule's frames it asks about.
    mutation
        How it breaks the protocol, to see that the judge notices.
    clock
        How its wall clock is wrong.
    fork
        A child that it forks.
    astray
        Where it goes to another folder.
    key
        Which workspace's key it has.
    recover
        Whether it takes back, before all else, what a ledger knew that was set aside.
    """

    what: str = "wait"
    at: At | None = None
    kill_after: float | None = None
    pause: float = 0.0
    power: int | None = None
    variant: int = 0
    mutation: str = ""
    clock: Clock = Clock()
    fork: Fork | None = None
    astray: At | None = None
    key: int = 0
    recover: bool = False


@dataclass(frozen=True)
class Step:
    """One run, or two at once on the same home.

    `clear`: nothing goes wrong on the server from here on. `aside`: the ledger is set aside before.
    """

    runs: tuple[Run, ...]
    clear: bool = False
    aside: bool = False


@dataclass(frozen=True)
class Schedule:
    """Frames, settings, the server's faults and the runs; `grace` is BATCHNB_RECONCILE_GRACE.

    `relative`: BATCHNB_HOME is a relative path. `held`: seconds for which the first create waits at most until somebody
    has listed the batches, twice.
    """

    seed: int
    frames: tuple[tuple[str | None, ...], ...]
    batch_size: int
    retries: int
    grace: float
    delay: tuple[float, float]
    queued: int | None
    faults: tuple[Fault, ...]
    steps: tuple[Step, ...]
    relative: bool = False
    held: float = 0.0

    @property
    def trials(self) -> list[str]:
        """What befalls it beside signals and faults; see ``TRIALS``."""
        runs = [run for step in self.steps for run in step.runs]
        found = {
            "clock": any(run.clock != Clock() for run in runs),
            "fork": any(run.fork for run in runs),
            "chdir": self.relative,
            "key": any(run.key for run in runs),
            "aside": any(step.aside for step in self.steps),
        }
        return [trial for trial, befalls in found.items() if befalls]

    def has(self, *kinds: str) -> bool:
        """Tell whether a fault of one of these kinds is among those that may strike."""
        return any(fault.kind in kinds for fault in self.faults)

    def __str__(self) -> str:
        faults = "".join(f"\n    {fault}" for fault in self.faults)
        steps = "".join(f"\n    {number}: {step}" for number, step in enumerate(self.steps))
        head = f"seed {self.seed}: {[len(frame) for frame in self.frames]} rows, batch_size={self.batch_size}"
        rest = f"retries={self.retries} grace={self.grace} delay={self.delay} queued={self.queued}"
        return f"{head} {rest}\n  faults:{faults}\n  steps:{steps}"


def make(seed: int, *, mutation: str = "", trials: Sequence[str] = TRIALS) -> Schedule:
    """Make the schedule of a seed; with a mutation, each of its runs breaks the protocol in that way."""
    rng = random.Random(seed)
    together = rng.random() < 0.3
    # Where the next run begins before the server is done with what a dead one has sent, only the grace period keeps
    # it from asking too early.
    grace = 1.0 if together or rng.random() < 0.1 else 0.0
    batch_size = rng.randint(2, 10)
    frames = _frames(rng)
    delay = (0.01, rng.choice([0.02, 0.1, 0.3]))
    schedule = Schedule(
        seed=seed,
        frames=frames,
        batch_size=batch_size,
        retries=rng.choice([0, 1, 1, 2]),
        grace=grace,
        delay=delay,
        queued=batch_size * rng.randint(1, 3) if rng.random() < 0.15 else None,
        faults=tuple(rng.choice(FAULTS)(rng) for _ in range(rng.choice([0, 2, 3, 4, 6, 8, 10]))),
        steps=tuple(_steps(rng, len(frames), together=together, mutation=mutation)),
    )
    return _with_trials(schedule, trials)


def _frames(rng: random.Random) -> tuple[tuple[str | None, ...], ...]:
    """A frame with duplicates and rows without text; perhaps another with a row more, or a row that changed."""
    texts: list[str | None] = [f"text {i}" for i in range(rng.randint(12, 40))]
    texts += rng.choices(texts, k=rng.randint(1, 12))
    texts += [None, "  "]
    rng.shuffle(texts)
    if rng.random() < 0.75:
        return (tuple(texts),)
    other = list(texts)
    if rng.random() < 0.5:
        other.insert(rng.randrange(len(other)), "added")
    else:
        other[rng.randrange(len(other))] = "changed"
    return tuple(texts), tuple(other)


# Faults

_Maker = Callable[[random.Random], Fault]


def _times(kind: str, on: str | None = None, *, most: int = 3, **options: Any) -> _Maker:
    """Let a fault of this kind strike up to `most` calls, after up to six unharmed ones."""
    return lambda rng: Fault(kind, on, times=rng.randint(1, most), after=rng.choice([0, 0, 1, 2, 4, 6]), **options)


def _share(kind: str, *, most: int = 3) -> _Maker:
    return lambda rng: Fault(kind, times=rng.randint(1, most), after=rng.choice([0, 0, 1, 3]),
                             share=rng.choice([0.1, 0.3, 0.5, 0.9, None]))  # fmt: skip


def _errored(rng: random.Random) -> Fault:
    share = rng.choice([0.1, 0.3, 1.0])
    return Fault("errored", times=rng.randint(1, 4), share=share, error_type=rng.choice(RETRYABLE))


def _broken(kind: str) -> _Maker:
    return lambda rng: Fault(kind, times=rng.randint(1, 5), share=rng.choice([0.0, 0.1, 0.5, 0.9]))


FAULTS: tuple[_Maker, ...] = (
    *[_times("lost_answer")] * 5,
    *[_times("api_error_after")] * 2,
    _times("timeout_after"),
    _times("api_error"),
    _times("timeout"),
    *[_times("reset")] * 2,
    _times("slow", seconds=0.2),
    _times("rate_limited"),
    _times("rate_limited", retry_after=2.0),  # seconds, of which the cell waits a hundredth
    _times("overloaded", most=8),
    _times("redirect", most=1),
    _times("error", error_type="request_too_large", most=2),
    _times("error", error_type="billing_error", most=1),
    _times("error", error_type="conflict_error", most=2),
    _times("slow_batch", seconds=0.6),
    _share("expire"),
    _errored,
    _errored,
    lambda rng: Fault("results_url", times=-1),
    lambda rng: Fault("counts", times=rng.choice([1, 3, -1])),
    _times("not_found", "retrieve"),
    lambda rng: Fault("not_found", "retrieve", times=-1, seconds=0.15),
    _times("api_error", "retrieve"),
    _times("overloaded", "retrieve", most=6),
    _times("rate_limited", "retrieve", retry_after=1.0),
    _times("lost_answer", "retrieve"),
    _times("redirect", "retrieve", most=2),
    _times("reset", "retrieve"),
    _times("slow", "retrieve", seconds=0.2),
    _times("slow", "list", seconds=0.2),
    _times("api_error", "list"),
    _times("overloaded", "list", most=6),
    _times("lost_answer", "list"),
    _times("redirect", "list", most=1),
    _times("not_found", "list", most=2),
    _times("not_found", "results", most=4),
    lambda rng: Fault("not_found", "results", times=-1, seconds=0.15),
    _times("api_error", "results"),
    _times("reset", "results"),
    _times("redirect", "results", most=2),
    _broken("cut"),
    _broken("cut"),
    _broken("truncate"),
    _broken("truncate"),
    _share("missing", most=6),
    lambda rng: Fault("missing", times=-1, share=rng.choice([0.2, 0.5, 0.9])),
    _share("duplicate", most=6),
    _share("unknown_ids", most=6),
    _share("unknown_type", most=2),
    _times("blank_lines", most=10),
    _times("crlf", most=10),
    _times("garbage", most=10),
    _times("api_error", "count_tokens"),
    _times("reset", "count_tokens"),
    _times("lost_answer", "cancel"),
    _times("api_error", "cancel"),
)


# Steps


def _steps(rng: random.Random, variants: int, *, together: bool, mutation: str) -> list[Step]:
    """Two to six runs to which something happens, then enough unharmed ones that every row must be answered."""
    count = rng.randint(2, 6)
    cleared = rng.randint(1, count)
    change = rng.randint(1, count) if variants > 1 else count + 1
    steps = []
    for number in range(count):
        variant = int(number >= change)
        runs = [_run(rng, variant, first=number == 0, mutation=mutation)]
        if together and rng.random() < 0.5:
            runs = [_run(rng, variant, first=number == 0, mutation=mutation, alone=False) for _ in range(2)]
        steps.append(Step(tuple(runs), clear=number == cleared))
    last = variants - 1
    unharmed = [Run(variant=last), Run("finish", variant=last)]
    unharmed += [Run("finish", variant=variant) for variant in range(last)]
    unharmed += [Run(variant=variant) for variant in range(variants)]
    steps += [Step((Run(**{**vars(run), "mutation": mutation}),), clear=True) for run in unharmed]
    return steps


def _run(rng: random.Random, variant: int, *, first: bool, mutation: str, alone: bool = True) -> Run:
    kinds = {"kill": 8, "time": 4, "stop": 2, "interrupt": 2, "leave": 2, "cancel": 1, "finish": 1, "plain": 1}
    if alone:
        kinds["power"] = 4
    (kind,) = rng.choices(list(kinds), list(kinds.values()))
    what = rng.choice(["wait", "wait", "wait", "leave"])
    if kind in ("leave", "cancel", "finish"):
        what = kind
        kind = rng.choice(["kill", "time", "plain"] if kind != "cancel" else ["time", "plain"])
    signals = {"kill": "SIGKILL", "stop": "SIGSTOP", "interrupt": "SIGINT"}
    at = _at(rng, signals.get(kind, ""), first=first) if kind in signals or what == "cancel" else None
    return Run(
        what,
        at=at,
        kill_after=round(rng.uniform(0.0, 1.2), 3) if kind == "time" else None,
        pause=round(rng.uniform(0.05, 0.4), 3) if kind == "stop" else 0.0,
        power=1 + int(rng.expovariate(1 / POWER_RECORDS)) if kind == "power" else None,
        variant=variant,
        mutation=mutation,
    )


def _at(rng: random.Random, signal: str, *, first: bool) -> At:
    point = rng.choice([*POINTS, *(point for point in POINTS if point.startswith(("claim", "create", "accepted")))])
    mean = POINTS[point] / (2 if first else 4)
    return At(point, 1 + int(rng.expovariate(1 / mean)), signal)


# Trials

#: How often each befalls a schedule.
_SHARE = {"clock": 0.3, "fork": 0.25, "chdir": 0.15, "key": 0.15, "aside": 0.15}

_WRONG = (HOUR, 3 * HOUR, 27 * HOUR, 2 * DAY, 40 * DAY, YEAR, 10 * YEAR)


def _with_trials(schedule: Schedule, trials: Sequence[str]) -> Schedule:
    """Let some of these befall a schedule. Each has its own chances, so that others change nothing of it."""
    for trial in trials:
        rng = random.Random(f"{trial} of {schedule.seed}")
        # Without its ledger, nobody can know what was bought in another workspace.
        if rng.random() < _SHARE[trial] and not (trial == "aside" and "key" in schedule.trials):
            schedule = _TRIED[trial](schedule, rng)
    return schedule


def _each(schedule: Schedule, change: Callable[[int, Run], Run]) -> Schedule:
    """Change runs; those of the unharmed steps at the end have numbers from 1,000 on."""
    harmed = len(schedule.steps) - _unharmed(len(schedule.frames))
    return replace(schedule, steps=tuple(
        replace(step, runs=tuple(change(number if number < harmed else 1_000 + number, run) for run in step.runs))
        for number, step in enumerate(schedule.steps)
    ))  # fmt: skip


def _with_clocks(schedule: Schedule, rng: random.Random) -> Schedule:
    """Wall clocks are wrong by hours, days or years, either way, and jump; also while nothing else goes wrong."""

    def change(_: int, run: Run) -> Run:
        ahead, then = (rng.choice([-1, 1]) * rng.choice(_WRONG) for _ in range(2))
        kind = rng.choice(["right", "wrong", "wrong", "jumps", "is set right"])
        after = round(rng.uniform(0.05, 0.6), 3)
        clocks = {"right": Clock(), "wrong": Clock(ahead), "jumps": Clock(0.0, then, after),
                  "is set right": Clock(ahead, 0.0, after)}  # fmt: skip
        return replace(run, clock=clocks[kind])

    return _each(schedule, change)


def _with_forks(schedule: Schedule, rng: random.Random) -> Schedule:
    """Runs fork, wherever they are."""

    def change(number: int, run: Run) -> Run:
        if number >= 1_000 or run.power is not None or run.what == "finish" or rng.random() < 0.3:
            return run
        where = rng.choice(["main", "main", "thread"])
        child = rng.choice(["exit", "_exit", "outlive", "job", "result"])
        return replace(run, fork=Fork(_at(rng, "", first=number == 0), where, child))

    return _each(schedule, change)


def _with_chdir(schedule: Schedule, rng: random.Random) -> Schedule:
    """The home is a relative path, and runs go elsewhere."""

    def change(number: int, run: Run) -> Run:
        return replace(run, astray=_at(rng, "", first=number == 0)) if rng.random() < 0.8 else run

    return replace(_each(schedule, change), relative=True)


def _with_another_key(schedule: Schedule, rng: random.Random) -> Schedule:
    """Some runs, but not the last ones, have the key of another workspace."""
    return _each(schedule, lambda number, run: replace(run, key=int(number < 1_000 and rng.random() < 0.4)))


def _with_ledger_aside(schedule: Schedule, rng: random.Random) -> Schedule:
    """The ledger is set aside between two steps; the next run is to ask for it, and all others recover what it knew."""
    place = rng.randrange(1, len(schedule.steps) - _unharmed(len(schedule.frames)) + 1)
    before = schedule.steps[place - 1].runs[0]
    asks = Step((Run(variant=before.variant, mutation=before.mutation),), aside=True)
    later = [
        replace(step, runs=tuple(replace(run, recover=True) for run in step.runs)) for step in schedule.steps[place:]
    ]
    return replace(schedule, steps=(*schedule.steps[:place], asks, *later))


def _unharmed(variants: int) -> int:
    return 2 * variants + 1


_TRIED: dict[str, Callable[[Schedule, random.Random], Schedule]] = {
    "clock": _with_clocks, "fork": _with_forks, "chdir": _with_chdir, "key": _with_another_key,
    "aside": _with_ledger_aside,
}  # fmt: skip
