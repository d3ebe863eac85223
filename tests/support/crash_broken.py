"""Ways to break the protocol, to see that the judge notices."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

import batchnb.protocol.reconcile
import batchnb.protocol.turns
from batchnb.api.client import Api
from batchnb.api.heard import Place
from batchnb.errors import AmbiguousError, RefusedError
from batchnb.jobs import workspace
from batchnb.ledger.batches import Batches
from batchnb.ledger.earlier import Earlier
from batchnb.ledger.owners import Owner
from batchnb.protocol.absence import Absence
from batchnb.protocol.listing import LOOK_BACK, Listing
from batchnb.protocol.reconcile import Settling

__all__ = ["MUTATIONS"]


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
    batchnb.protocol.turns.READ_AGAIN = 0


def _trust_the_wall_clock() -> None:
    """Look no further back than to the first batch that is older than the intent by the machine's own clock."""

    def read_back(infos: Iterable[Any], since: float) -> Listing:
        recent = itertools.takewhile(lambda info: info.created_at.timestamp() >= since, infos)
        return Listing(list(recent), reaches=True, has_recent=True)

    batchnb.protocol.reconcile.read_back = read_back  # type: ignore[assignment]
    batchnb.protocol.reconcile.earliest = lambda batch: batch.intended_at - LOOK_BACK
    Absence._unproven = lambda self, *_: None  # type: ignore[method-assign]  # nor look whether the list is whole


def _trust_any_key() -> None:
    """Take what a key does not show for what does not exist."""
    Place.differs_from = lambda self, other: False  # type: ignore[method-assign]
    Place.is_surely = lambda self, other: True  # type: ignore[method-assign]


def _unlock_in_children() -> None:
    """Take down in a forked child what shows that its parent lives, and a lock that is not there for a free one."""

    def unlock() -> None:
        for path in (Path(os.environ["BATCHNB_HOME"]) / "owners").glob("*.lock"):
            path.unlink(missing_ok=True)

    os.register_at_fork(after_in_child=unlock)
    Owner.show = lambda self: None  # type: ignore[method-assign]
    Owner.may_act = lambda self, name, age: self.is_alive(name) is True  # type: ignore[method-assign]


def _stay_relative() -> None:
    """Look for the home wherever the process is."""
    workspace.home_folder = lambda: Path(os.environ["BATCHNB_HOME"])


def _ask_nothing() -> None:
    """Begin a new ledger where there was one, without a word."""
    Earlier.traces = lambda self: None  # type: ignore[method-assign]
    Earlier.changes = lambda self: 0  # type: ignore[method-assign]


MUTATIONS = {
    "resend": _resend, "never look": _never_look, "misplace": _misplace, "leak": _leak, "give up": _give_up,
    "wall clock": _trust_the_wall_clock, "any key": _trust_any_key,
    "parent's lock": _unlock_in_children, "relative": _stay_relative, "asks nothing": _ask_nothing,
}  # fmt: skip
