"""The Message Batches API in memory, as the ledger's state machine needs it: obedient, forgetful, slow or hostile.

It knows what every request became and what was paid for, so that it can tell a question that was bought twice. Nothing
here waits: time is a number, and what happens in the middle of a call is a function that the machine hands over.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batchnb.api.exchange import Exchanges
from batchnb.api.heard import Heard, Place
from batchnb.api.redaction import Redactor
from batchnb.api.shapes import BatchInfo
from batchnb.errors import AmbiguousError, BatchnbError, CredentialsError, NotFoundError, RefusedError
from batchnb.questions.bodies import digest_in

if TYPE_CHECKING:
    from fake_clock import FakeClock

PASSING = ("api_error", "overloaded_error", "timeout_error", "rate_limit_error", "expired")
FAILED = ("canceled", "missing", "invalid_request_error", "permission_error", "unknown")
CONFLICTING = ("twice", "failed, then paid", "paid, then failed")  # lines of one request
PAID = ("succeeded", "refusal", "max_tokens", "no_text", "unreadable", *CONFLICTING)

#: What may become of a request.
KINDS = (*PAID, *PASSING, *FAILED)

#: Answers to any call: (status, type, seconds to wait). Nothing is made.
REFUSALS: dict[str, tuple[int | None, str, float | None]] = {
    "429": (429, "rate_limit_error", None),
    "429, wait": (429, "rate_limit_error", 30.0),
    "429, spent": (429, "enforced_spend_limit_reached", None),
    "529": (529, "overloaded_error", None),
    "409": (409, "conflict_error", None),
    "unreachable": (None, "unreachable", None),
    "400": (400, "invalid_request_error", None),
    "401": (401, "authentication_error", None),
    "403": (403, "permission_error", None),
    "413": (413, "request_too_large", None),
}

#: What may go wrong with each call, beside the refusals.
FAULTS = {
    "create": (*REFUSALS, "404", "500", "500, made", "interrupted", "interrupted, made", "no key"),
    "retrieve": ("429", "403", "404", "500"),
    "cancel": ("429", "400", "404", "500"),
    "list": ("429", "403", "500", "breaks off", "omits"),
    "results": ("429", "403", "404", "500", "cut", "short"),
}

#: Readings of one batch that may end early in silence: fewer than the ledger reads before it calls a row missing.
SHORT_READINGS = 3

#: Results come in pieces of so many bytes, whatever the lines.
PIECE = 97


class Killed(BaseException):
    """The process died in the middle of a call."""


class Interrupted(BaseException):
    """Something unforeseen broke a call off, such as Ctrl-C."""


@dataclass
class Asking:
    """One time a question was asked of the server.

    `fate` is ``processing``, ``paid``, ``passing`` (it may be asked again by itself) or ``failed``. It may be asked
    again all the same when it is `excused` (given up by a person: resolved, or deleted) or, having failed, `retried`.
    """

    batch: str
    fate: str = "processing"
    excused: bool = False
    retried: bool = False


@dataclass
class Made:
    """A batch on the server. `groups` are its result lines, those of one request together."""

    id: str
    texts: dict[str, str]
    created_at: float
    visible_from: float
    ours: bool
    status: str = "in_progress"
    counts: dict[str, int] = field(default_factory=dict)
    groups: list[bytes] = field(default_factory=list)
    short_readings: int = 0
    gone: bool = False
    workspace: str = "ours"

    def info(self) -> BatchInfo:
        counts = {"processing": len(self.texts)} if self.status != "ended" else self.counts
        created, expires = (datetime.fromtimestamp(self.created_at + more, UTC) for more in (0.0, 86_400.0))
        return BatchInfo(self.id, self.status, counts, created, expires)


class Server:
    """The server: its batches, its faults, and an account of every question asked.

    `skew` is how far its clock is ahead; `lag` how long a new batch stays unknown to every other call; `tells` whether
    its answers say to which workspace a key belongs.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.skew = self.lag = 0.0
        self.tells = True
        self.retries = 0  # the most that any job has
        self.batches: dict[str, Made] = {}
        self.asked: dict[bytes, list[Asking]] = defaultdict(list)
        self.twins: set[bytes] = set()  # asked by others too: their batch may be taken for ours, and ours go unread
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.violations: list[str] = []
        self.may_ask: Callable[[bytes], bool] = lambda _: True
        self.meanwhile: Callable[[object, str, bool], None] = lambda *_: None

    def make(self, texts: dict[str, str], *, ours: bool) -> Made:
        number = len(self.batches) + 1
        batch_id = f"msgbatch_{number:03}" if ours else f"msgbatch_foreign_{number:03}"
        made = Made(batch_id, texts, self.clock.time + self.skew, self.clock.time + self.lag, ours)
        self.batches[made.id] = made
        digests = {digest_in(custom_id) or b"" for custom_id in texts}
        if not ours and digests & self.asked.keys() == digests:
            self.twins |= digests
        return made

    def accept(self, body: bytes, workspace: str) -> Made:
        """Make a batch of a create call's body, and enter each question into the account."""
        requests = json.loads(body)["requests"]
        made = self.make({one["custom_id"]: one["params"]["messages"][0]["content"] for one in requests}, ours=True)
        made.workspace = workspace
        if len(made.texts) < len(requests) or not requests:
            self.violations.append(f"{made.id} is empty or repeats a custom_id")
        for custom_id, text in made.texts.items():
            if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", custom_id):
                self.violations.append(f"{made.id}: bad custom_id {custom_id!r}")
            earlier = self.asked[digest_in(custom_id) or b""]
            if digest_in(custom_id) not in self.twins:
                self._account(text, earlier)
            earlier.append(Asking(made.id))
        return made

    def _account(self, text: str, earlier: Sequence[Asking]) -> None:
        """Note whether a question may not be asked again: it is, or was, bought, or nobody wants it retried."""
        open_ = [asking for asking in earlier if not asking.excused]
        for asking in open_:
            if asking.fate in ("processing", "paid"):
                self.violations.append(f"{text!r} is asked again, but {asking.batch} has it: {asking.fate}")
            if asking.fate == "failed" and not asking.retried:
                self.violations.append(f"{text!r} is asked again though it failed for good in {asking.batch}")
        passed = sum(asking.fate == "passing" and not asking.retried for asking in open_)
        if passed > self.retries:
            self.violations.append(f"{text!r} is asked again by itself after {passed} failures")

    def end(self, made: Made, kinds: Sequence[str] = ("succeeded",), extra: str | None = None) -> None:
        """End a batch: the requests become `kinds`, in turn. `extra` is a custom_id that was never in it."""
        if made.status == "ended":
            return
        made.status = "ended"
        counts = dict.fromkeys(("succeeded", "errored", "canceled", "expired"), 0)
        for number, (custom_id, text) in enumerate(made.texts.items()):
            # A stranger's row is there to be seen: only by it is a batch known not to be ours.
            kind = "succeeded" if text == "?" else kinds[number % len(kinds)]
            made.groups.append(_lines(custom_id, kind, f"{text} by {made.id}"))
            counts[_counted(kind)] += 1
            for asking in self.asked[digest_in(custom_id) or b""]:
                if asking.batch == made.id:
                    asking.fate = "paid" if kind in PAID else "passing" if kind in PASSING else "failed"
        made.counts = counts
        if extra is not None and any(made.groups):  # by nothing else it could not be told whose the batch is
            made.groups.insert(0, _lines(extra, "succeeded", "somebody else's answer"))
        made.groups.reverse()  # results come in any order


def _counted(kind: str) -> str:
    if kind in PAID or kind == "missing":
        return "succeeded"
    return kind if kind in ("canceled", "expired") else "errored"


def _lines(custom_id: str, kind: str, reply: str) -> bytes:
    """Write the result lines of one request."""
    parts = {"missing": (), "twice": ("succeeded", "succeeded")}.get(kind, kind.split(", then "))
    known = {"paid": "succeeded", "failed": "api_error"}
    lines = [{"custom_id": custom_id, "result": _result(known.get(part, part), reply)} for part in parts]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _result(kind: str, reply: str) -> object:
    if kind in ("canceled", "expired"):
        return {"type": kind}
    if kind == "unknown":
        return {"type": "a type to come"}
    if kind == "unreadable":
        return {"type": "succeeded", "message": reply}
    if kind.endswith("_error"):
        return {"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": reply}}}
    stop = kind if kind in ("refusal", "max_tokens") else "end_turn"
    content = [] if kind == "no_text" else [{"type": "text", "text": reply}]
    usage = {"input_tokens": 3, "output_tokens": 2}
    return {
        "type": "succeeded",
        "message": {"model": "claude-haiku-4-5", "content": content, "stop_reason": stop, "usage": usage},
    }


class ModelApi:
    """What one process has in place of ``batchnb.api.Api``. `caller` is the process, which may die in any call."""

    base_url = "https://model.example"

    def __init__(self, server: Server, caller: Caller) -> None:
        self.redactor = Redactor()  # knows nothing
        self._server = server
        self._caller = caller
        self._omitted = False
        self.redactor = Redactor()
        self.exchanges = Exchanges(lambda error: BatchnbError(type(error).__name__))  # none is made

    def require_credentials(self) -> None:
        pass

    @property
    def heard(self) -> Heard:
        clock = self._server.clock
        place = Place("org", self._caller.of_workspace) if self._server.tells else Place()
        return Heard(1, clock.time + self._server.skew, clock.time, place)

    def now(self) -> float | None:
        return self.heard.at

    def skew(self) -> float | None:
        return self._server.clock.time + self._server.skew - self._server.clock.now()

    def count_tokens(self, *_: object) -> int:
        return 1

    def model(self, _: str) -> None:
        return None

    def close(self) -> None:
        pass

    def create_batch(self, body: bytes, _: Sequence[str] = ()) -> BatchInfo:
        for one in json.loads(body)["requests"]:
            if not self._server.may_ask(digest_in(one["custom_id"]) or b""):
                self._server.violations.append(f"{one['custom_id']} is sent, though no open job wants it")
        fault = self._call("create")
        if fault == "no key":
            raise CredentialsError("no key")
        if fault == "interrupted":
            raise Interrupted
        made = self._server.accept(body, self._caller.of_workspace)
        self._reached("create", True)
        if fault == "interrupted, made":
            raise Interrupted
        if fault is not None:
            raise AmbiguousError("no answer came", status=500)
        return made.info()

    def retrieve_batch(self, batch_id: str) -> BatchInfo:
        self._call("retrieve")
        info = self._find(batch_id).info()
        self._reached("retrieve", True)
        return info

    def cancel_batch(self, batch_id: str) -> BatchInfo:
        self._call("cancel")
        made = self._find(batch_id)
        if made.status == "ended":
            raise RefusedError("it has ended", status=400, type="invalid_request_error")
        made.status = "canceling"
        self._reached("cancel", True)
        return made.info()

    def list_batches(self, *, page_size: int = 100) -> Iterator[BatchInfo]:
        fault = self._call("list")
        # A listing may miss what is there, once: of two in a row, one is whole.
        self._omitted = fault == "omits" and not self._omitted
        found = sorted(self._server.batches.values(), key=lambda made: made.id.rpartition("_")[2], reverse=True)
        shown = [made.info() for made in found if self._shown(made) and not (self._omitted and made.ours)]
        yield from shown[: len(shown) // 2]
        if fault == "breaks off":
            raise AmbiguousError("no second page came")
        self._reached("list", True)
        yield from shown[len(shown) // 2 :]

    @contextlib.contextmanager
    def results(self, batch_id: str) -> Iterator[Iterator[bytes]]:
        fault = self._call("results")
        made = self._find(batch_id)
        if made.status != "ended":
            raise RefusedError("it has not ended", status=400, type="invalid_request_error")
        yield self._read(made, fault)

    def _read(self, made: Made, fault: str | None) -> Iterator[bytes]:
        whole = b"".join(made.groups)
        half = b"".join(made.groups[: len(made.groups) // 2])
        if fault == "cut":
            whole = half + whole[len(half) :][:20]
        if fault == "short" and made.short_readings < SHORT_READINGS:
            made.short_readings += 1
            whole = half
        for start in range(0, len(half), PIECE):
            yield half[start : start + PIECE]
        self._reached("results", True)
        for start in range(len(half), len(whole), PIECE):
            yield whole[start : start + PIECE]
        if fault == "cut":
            raise AmbiguousError("the results broke off")

    # What all calls share

    def _call(self, name: str) -> str | None:
        """Begin a call; give what goes wrong with it, unless it is refused or fails at once."""
        self._reached(name, False)
        fault = self._server.faults[name].pop(0) if self._server.faults[name] else None
        if fault in REFUSALS:
            status, kind, wait = REFUSALS[fault]
            raise RefusedError(f"refused: {fault}", status=status, type=kind, retry_after=wait)
        if fault == "404":
            raise NotFoundError("not found", status=404, type="not_found_error")
        if fault == "500":
            raise AmbiguousError("no usable answer", status=500)
        return fault

    def _reached(self, name: str, after: bool) -> None:
        """Let happen what happens in the meantime, just before or after the server acts; the caller may die of it."""
        self._server.meanwhile(self._caller, name, after)
        if not self._caller.alive:
            raise Killed

    def _shown(self, made: Made) -> bool:
        is_known = not made.gone and made.visible_from <= self._server.clock.time
        return is_known and made.workspace == self._caller.of_workspace

    def _find(self, batch_id: str) -> Made:
        made = self._server.batches[batch_id]
        if not self._shown(made):
            raise NotFoundError("not found", status=404, type="not_found_error")
        return made


class Caller:
    """A process, as far as its calls are concerned: `of_workspace` says whose its key is."""

    alive = True
    of_workspace = "ours"
