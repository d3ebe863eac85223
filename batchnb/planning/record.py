"""From a frame and a recipe to a job in the ledger: what is new of it, checked and said before anything is recorded."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from batchnb.answers.new_columns import shown_names
from batchnb.api.client import Api
from batchnb.costs.delivery import Delivery
from batchnb.costs.prices import PriceTable
from batchnb.ledger.jobs import NewJob
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.read_jobs import JobRecord
from batchnb.ledger.write_rows import ForgottenError
from batchnb.planning.batch_size import plan_batch_size
from batchnb.planning.cache_choice import with_cache
from batchnb.planning.check import check_first, warn_of_change
from batchnb.planning.limit import Limit, limited, unlimited
from batchnb.planning.shipment import Shipment
from batchnb.questions.columns import unique_keys
from batchnb.questions.reading import read_digests, read_parts, read_rows
from batchnb.questions.recipe import Recipe
from batchnb.questions.rows import FEW, ROWS_AT_A_TIME, Row, Rows, in_parts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Wishes", "record_job"]


class Wishes(NamedTuple):
    """How a job is to be sent, which is no part of what it asks; see ``df.batch.submit``."""

    name: str | None = None
    batch_size: int | None = None
    retries: int = 1
    cache: str | None = "auto"
    limit: Limit | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a frame asks under a recipe, and what of it is to be sent.

    Parameters
    ----------
    rows : list of Row or None
        The rows, where they are not read once more.
    firsts, digests : list of bytes or None
        What each sample of each row asks; None where it asks nothing. The digest of its first asking, and that of the
        asking that is chosen for it.
    shipment : Shipment or None
        How the files that they name travel.
    job_id : str
        The job's id.
    known : JobRecord or None
        The job, where the same cell ran before.
    unsent : dict of bytes
        The questions that are to be sent, in their order, `missed` among them.
    missed : list of bytes
        Those that failed since the server no longer had a file of theirs.
    """

    frame: pd.DataFrame
    recipe: Recipe
    rows: list[Row] | None
    firsts: list[bytes | None]
    digests: list[bytes | None]
    shipment: Shipment | None
    job_id: str
    known: JobRecord | None
    unsent: dict[bytes, None]
    missed: list[bytes]

    @property
    def rule(self) -> str:
        """Which failed answers may be asked again: see ``ledger.retries.RELEASES``."""
        return "run" if self.known is None else self.known.rule

    @property
    def first(self) -> int | None:
        """Where the first row stands that is to be sent."""
        return self.digests.index(next(iter(self.unsent))) // self.recipe.samples if self.unsent else None

    def again(self, *, whole: bool = False) -> Iterator[Rows]:
        """Yield the rows as they are to be recorded, under the digests that were chosen for them.

        What the ledger knows may come without its content, unless they are wanted `whole`.
        """
        if self.rows is None and self.shipment is None and not whole:
            parts = read_parts(self.recipe, self.frame, self.firsts, self.unsent)
        else:
            rows = self.rows or read_rows(self.recipe, self.frame)
            parts = in_parts(self.shipment.delivered(rows), FEW) if self.shipment else in_parts(rows, ROWS_AT_A_TIME)
        start = 0
        for part in parts:
            chosen = self.digests[start : start + len(part.digests)]
            start += len(chosen)
            yield part if chosen == part.digests else part.under(chosen)


def record_job(
    api: Api, ledger: Ledger, prices: PriceTable, frame: pd.DataFrame, recipe: Recipe, wishes: Wishes, *,
    rows: list[Row] | None, max_requests: int, max_bytes: int,
) -> JobRecord:  # fmt: skip
    """Record a job, after what is to be sent of it has been checked and said. Sends nothing that costs money.

    Touches the network only where something is to be sent; see ``Workspace.submit``.

    Parameters
    ----------
    rows : list of Row or None
        The rows, where a function of the user's gives them: it is not called once more for each. None: they are read
        from the frame, twice, so that no frame's requests are held in memory.
    max_requests, max_bytes : int
        The API's limits for one batch.

    Raises
    ------
    InputError
        A row cannot be asked, the server refuses the request's shape or model, or the job may cost more than its limit.
    CredentialsError
        There is no key, or the server refuses it.
    LedgerError
        Something is to be sent, and an earlier ledger may have bought it: `recover` comes first.
    """
    asked = _read(ledger, frame, recipe, rows)
    if asked.first is not None:
        ledger.ask_before_sending()
        _check(api, prices, asked, asked.first)
    delivery = _delivery(api, ledger, prices, asked, wishes)
    if asked.first is not None:  # last, since what is refused asks nothing again
        warn_of_change(ledger, recipe, frame, asked.digests, asked.unsent.keys())
    if asked.shipment:
        asked.shipment.spool(time.time())
    job = NewJob(
        id=asked.job_id,
        name=wishes.name or f"{recipe.column} → {shown_names(recipe.reply, recipe.into)}",
        recipe=recipe.spec(),
        envelopes=recipe.recorded((asked.shipment or recipe).envelopes()),
        batch_size=plan_batch_size(len(asked.unsent), batch_size=wishes.batch_size, max_requests=max_requests),
        max_bytes=max_bytes,
        retries=wishes.retries,
        asking=recipe.spec().asked_digest() if recipe.replicate.startswith("#") else None,
        delivery=delivery,
    )
    ledger.files.release(asked.missed)
    try:
        recorded = ledger.jobs.create(job, asked.again(), time.time())
    except ForgottenError:  # another process has deleted a job in the meantime
        recorded = ledger.jobs.create(job, asked.again(whole=True), time.time())
    ledger.jobs.release(recorded.number, asked.rule)
    return recorded


def _read(ledger: Ledger, frame: pd.DataFrame, recipe: Recipe, rows: list[Row] | None) -> _Asked:
    """Read what a frame asks, and look up what of it is to be sent."""
    shipment = Shipment.of(ledger, recipe)
    if shipment:
        firsts = [row.digest for row in shipment.noted(rows or read_rows(recipe, frame))]
    else:
        firsts = [row.digest for row in rows] if rows else list(read_digests(recipe, frame))
    digests = firsts if recipe.replicate else list(ledger.askings.newest(firsts))
    job_id = _job_id(recipe, digests, None if recipe.key is None else unique_keys(frame, recipe.key))
    known = ledger.jobs.find(job_id)
    asked = (digest for digest in digests if digest is not None)
    unsent = dict.fromkeys(ledger.jobs.unsent(asked, known))
    missed = list[bytes]()
    if shipment:
        missed = shipment.plan(digests, unsent, time.time())
        unsent |= dict.fromkeys(missed)
    return _Asked(frame, recipe, rows, firsts, digests, shipment, job_id, known, unsent, missed)


def _check(api: Api, prices: PriceTable, asked: _Asked, first: int) -> None:
    """Have the server check what is about to be sent."""
    differing = (row for row, digest in zip(asked.rows or (), asked.digests, strict=False) if digest in asked.unsent)
    check_first(api, prices, asked.recipe, asked.frame, first, differing)


def _delivery(api: Api, ledger: Ledger, prices: PriceTable, asked: _Asked, wishes: Wishes) -> Delivery:
    """Decide how the job is delivered, and whether that is allowed."""
    known = asked.known
    delivery = with_cache(
        known.delivery if known else Delivery(), wishes.cache, api, ledger, prices, asked.recipe, asked.frame,
        asked.first, requests=len(set(asked.digests) - {None}) if known else len(asked.unsent),
    )  # fmt: skip
    if wishes.limit is None:
        return unlimited(delivery)
    return limited(
        api, ledger, prices, asked.frame, asked.recipe, wishes.limit, delivery, rows=asked.rows, job=known
    )  # fmt: skip


def _job_id(recipe: Recipe, digests: Iterable[bytes | None], keys: Iterable[str] | None) -> str:
    """Name a job by what it asks, row by row, and under which keys: the same cell run again is the same job."""
    digest = hashlib.blake2b(recipe.spec().sorted_json(), digest_size=8)
    digest.update(b"".join(row or b"skipped" for row in digests))
    if keys is not None:
        digest.update(msgspec.json.encode(list(keys)))
    return f"job_{digest.hexdigest()}"
