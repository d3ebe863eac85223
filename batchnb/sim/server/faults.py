"""Everything that can go wrong with the API, on request: one table of kinds, and what each does to a call.

A fault is a value; nothing here touches the network or the disk. `FaultPlan.take` decides which faults strike a call,
`row_faults` settles at creation what will happen to a batch's rows, `overlay` spoils a batch object, `distort` a stream
of results. The rest (closing connections, delaying) is done by the HTTP layer, which asks for `Kind.stage`.

Sources: platform.claude.com documentation for the errors; threads about the SDK for early 404s and lost answers.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from batchnb.sim.server import settings

ROUTES = (
    "create", "retrieve", "list", "cancel", "delete", "results", "messages", "count_tokens", "models", "upload",
    "files",
)  # fmt: skip
_ANY = ROUTES


@dataclass(frozen=True)
class Kind:
    """What a kind of fault does.

    Parameters
    ----------
    stage
        When it acts: ``"before"`` (the call is handled late or not at all), ``"after"`` (it is handled, its answer is
        replaced), ``"batch"`` (fixed for a batch when it is created), ``"object"`` (fields of a batch object are
        wrong) or ``"body"`` (the results are spoiled).
    routes
        The calls that it may strike; the first is the default where it acts before or after a call.
    error
        The API's error type that it answers with, if any.
    does
        One line of documentation.
    """

    stage: str
    routes: tuple[str, ...]
    error: str = ""
    does: str = ""


KINDS: dict[str, Kind] = {
    "reset": Kind("before", _ANY, does="the connection is reset and nothing was accepted"),
    "rate_limited": Kind("before", _ANY, "rate_limit_error", "429, with retry-after where `retry_after` is given"),
    "overloaded": Kind("before", _ANY, "overloaded_error", "529"),
    "api_error": Kind("before", _ANY, "api_error", "500, and nothing was accepted"),
    "timeout": Kind("before", _ANY, "timeout_error", "504, and nothing was accepted"),
    "error": Kind("before", _ANY, does="the error of type `error_type`"),
    "not_found": Kind("before", ("retrieve", *_ANY), "not_found_error", "404, as by a lagging server; with `seconds`, "
                      "only for batches younger than that (on results: that ended less than that ago)"),
    "slow": Kind("before", _ANY, does="the call is carried out and answered `seconds` late, even if the client left"),
    "redirect": Kind("before", _ANY, does="307 to the same path at `url`"),
    "lost_answer": Kind("after", _ANY, does="the call is carried out, then the connection closes without an answer"),
    "api_error_after": Kind("after", _ANY, "api_error", "the call is carried out and answered with 500"),
    "timeout_after": Kind("after", _ANY, "timeout_error", "the call is carried out and answered with 504"),
    "slow_batch": Kind("batch", ("create",), does="the batch takes `seconds` longer"),
    "expire": Kind("batch", ("create",), does="the batch expires when it would have ended; `share` of its rows expire"),
    "refusal": Kind("batch", ("create",), does="`share` of the rows are answered with a refusal"),
    "max_tokens": Kind("batch", ("create",), does="`share` of the answers are cut at max_tokens"),
    "errored": Kind("batch", ("create",), does="`share` of the rows err with `error_type`"),
    "vanish": Kind("batch", ("create",), does="the batch is accepted and 404 for ever after, and not listed"),
    "counts": Kind("object", ("create", "retrieve", "list", "cancel"), does="request_counts claim one success more"),
    "results_url": Kind("object", ("create", "retrieve", "list", "cancel"), does="results_url is at another host"),
    "cut": Kind("body", ("results",), does="the connection drops in the middle of a line, after `share` of the rows"),
    "truncate": Kind("body", ("results",), does="an unframed body ends early, in silence, after `share` of the rows"),
    "missing": Kind("body", ("results",), does="`share` of the rows are left out"),
    "duplicate": Kind("body", ("results",), does="`share` of the rows come twice"),
    "blank_lines": Kind("body", ("results",), does="blank lines stand between the rows"),
    "crlf": Kind("body", ("results",), does="lines end with CRLF"),
    "unknown_ids": Kind("body", ("results",), does="rows for custom_ids that were never asked are mixed in"),
    "unknown_type": Kind("body", ("results",), does="`share` of the rows have a result type that nobody knows"),
    "garbage": Kind("body", ("results",), does="a line that is not JSON stands between the rows"),
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, for some calls.

    Parameters
    ----------
    kind
        A key of `KINDS`.
    on
        The call it strikes, one of `ROUTES`. By default creates, or retrieves for ``not_found``, or for faults of a
        batch's fields and results every call that shows them.
    times
        How many matching calls it strikes; -1 for all from then on.
    after
        How many matching calls pass unharmed first.
    share
        The share of rows, for kinds that strike rows, from 0 to 1; None means all of them (for ``cut`` and
        ``truncate``: half come through).
    seconds
        How long, for kinds that delay or that look at a batch's age.
    retry_after
        The ``retry-after`` header of a refusal, in seconds; None for none.
    error_type
        The API's error type, for ``error`` and ``errored``.
    error_code
        The code in an error's details, such as ``"enforced_spend_limit_reached"``, which waiting does not clear.
    url
        Another host, for ``redirect`` and ``results_url``.

    Raises
    ------
    ValueError
        For an unknown kind or route, a kind that cannot strike that route, or a number that makes no sense.
    """

    kind: str
    on: str | None = None
    times: int = 1
    after: int = 0
    share: float | None = None
    seconds: float = 0.0
    retry_after: float | None = None
    error_type: str = "api_error"
    error_code: str = ""
    url: str = "http://127.0.0.1:9"

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; the kinds are {', '.join(KINDS)}")
        if self.on is not None and self.on not in KINDS[self.kind].routes:
            raise ValueError(f"{self.kind!r} cannot strike {self.on!r}, only {', '.join(KINDS[self.kind].routes)}")
        settings.whole("times", self.times, "how many calls, -1 for all", least=-1)
        settings.whole("after", self.after, "how many calls pass first", least=0)
        settings.number("seconds", self.seconds, "a time in seconds")
        if self.share is not None:
            settings.number("share", self.share, "a share from 0 to 1, or None for all", most=1)
        if self.retry_after is not None:
            settings.number("retry_after", self.retry_after, "a time in seconds, or None")

    @property
    def stage(self) -> str:
        """When the fault acts: see `Kind`."""
        return KINDS[self.kind].stage

    @property
    def error(self) -> str:
        """The error type that the fault answers with, empty where it does not answer."""
        return self.error_type if self.kind in ("error", "errored") else KINDS[self.kind].error

    @property
    def routes(self) -> tuple[str, ...]:
        """The calls that the fault strikes."""
        if self.on is not None:
            return (self.on,)
        routes = KINDS[self.kind].routes
        return routes[:1] if self.stage in ("before", "after") else routes


class FaultPlan:
    """The faults still to come. Safe to use from several threads."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._pending: list[list[Any]] = []  # [fault, calls seen, calls struck]
        for fault in faults:
            self.add(fault)

    def __bool__(self) -> bool:
        with self._lock:
            return bool(self._pending)

    def add(self, fault: Fault) -> None:
        """Let a fault happen from now on."""
        with self._lock:
            self._pending.append([fault, 0, 0])

    def clear(self) -> None:
        """Let nothing go wrong from now on."""
        with self._lock:
            self._pending.clear()

    def take(self, route: str, age: Callable[[], float | None]) -> list[Fault]:
        """Return the faults that strike this call, and count it.

        Parameters
        ----------
        route
            One of `ROUTES`.
        age
            For a call about a batch: tells the seconds since it was created (for results: since it ended). Asked only
            when a fault depends on it.
        """
        struck = []
        with self._lock:
            for entry in self._pending:
                fault, seen, hits = entry
                if route not in fault.routes or 0 <= fault.times <= hits:
                    continue
                if fault.kind == "not_found" and fault.seconds and not _younger(age(), fault.seconds):
                    continue
                entry[1] += 1
                if seen >= fault.after:
                    entry[2] += 1
                    struck.append(fault)
        return struck


def _younger(age: float | None, seconds: float) -> bool:
    return age is not None and age <= seconds


def row_faults(faults: Iterable[Fault], total: int, rng: random.Random) -> dict[int, str]:
    """Return what will happen to a batch's rows: row number to ``expired``, ``refusal``, ``max_tokens`` or an error.

    An error is written as ``error:`` and the API's type. Each fault strikes its share, rounded up, of all rows; where
    two strike the same row, the first wins.
    """
    fate: dict[int, str] = {}
    words = {"expire": "expired", "refusal": "refusal", "max_tokens": "max_tokens"}
    for fault in faults:
        word = f"error:{fault.error_type}" if fault.kind == "errored" else words.get(fault.kind)
        if word is not None:
            for row in _share(range(total), fault.share, rng):
                fate.setdefault(row, word)
    return fate


def overlay(described: dict[str, Any], faults: Iterable[Fault]) -> dict[str, Any]:
    """Return a batch object as faults of the stage ``"object"`` leave it."""
    for fault in faults:
        if fault.kind == "counts" and described["processing_status"] == "ended":
            counts = described["request_counts"]
            described["request_counts"] = {**counts, "succeeded": counts["succeeded"] + 1}
        elif fault.kind == "results_url" and described["results_url"]:
            path = described["results_url"].partition("//")[2].partition("/")[2]
            described["results_url"] = f"{fault.url}/{path}"
    return described


def distort(lines: Iterator[bytes], total: int, faults: Iterable[Fault], rng: random.Random) -> Iterator[bytes]:
    """Yield result lines as the faults leave them; ``cut`` ends with half a line, ``truncate`` after a whole one.

    Parameters
    ----------
    lines
        The lines, each with its newline.
    total
        How many there are.
    faults
        Faults of the stage ``"body"``.
    rng
        Decides which rows are struck.
    """
    struck = {fault.kind: set(_share(range(total), fault.share, rng)) for fault in faults}
    ends = {fault.kind: int(total * (0.5 if fault.share is None else fault.share)) for fault in faults}
    for i, line in enumerate(lines):
        if "cut" in struck and i >= ends["cut"]:
            yield line[: len(line) // 2]
            return
        if "truncate" in struck and i >= ends["truncate"]:
            return
        for each in _around(i, line, struck):
            yield each[:-1] + b"\r\n" if "crlf" in struck else each


def _around(i: int, line: bytes, struck: dict[str, set[int]]) -> Iterator[bytes]:
    """Yield what comes in the place of one line."""
    if i in struck.get("missing", ()):
        return
    if "blank_lines" in struck:
        yield b"\n"
    if "garbage" in struck and i == 0:
        yield b"<html>upstream connect error</html>\n"
    if i in struck.get("unknown_ids", ()):
        yield b'{"custom_id":"never-asked-%d","result":{"type":"expired"}}\n' % i
    if i in struck.get("unknown_type", ()):
        row = msgspec.json.decode(line)
        line = msgspec.json.encode({**row, "result": {"type": "paused", "note": "a type nobody knows"}}) + b"\n"
    yield line
    if i in struck.get("duplicate", ()):
        yield line


def _share(rows: range, share: float | None, rng: random.Random) -> list[int]:
    """Return a random share of the rows, rounded up."""
    if share is None or share >= 1:
        return list(rows)
    count = -int(-len(rows) * share // 1)
    return rng.sample(rows, min(count, len(rows)))
