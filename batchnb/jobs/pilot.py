"""A pilot: a spread sample of a frame answered now, and what it says of the rest."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from batchnb import units
from batchnb.answers.details import parts_of
from batchnb.answers.layout import own_column, rows_at, with_columns
from batchnb.answers.new_columns import remembering, shown_names
from batchnb.costs.prices import Usage
from batchnb.costs.projection import Projection, project
from batchnb.display.kernel.wait import explained
from batchnb.display.shown.pilot import FULL_PRICE, PilotRow, PilotView, pilot_text
from batchnb.display.shown.pilot_bar import call_bar
from batchnb.display.shown.pilot_html import pilot_html
from batchnb.errors import NOT_SENT, InputError
from batchnb.jobs.gold import agreement, agreement_column, check_agreement_columns, gold_columns, value_columns
from batchnb.jobs.job import Job
from batchnb.ledger.jobs import NewJob
from batchnb.planning.check import check_first
from batchnb.planning.session import Session
from batchnb.planning.shipment import Shipment
from batchnb.protocol.calls import Calls
from batchnb.questions.cells import is_missing
from batchnb.questions.columns import bare, column_values
from batchnb.questions.envelope import Envelope
from batchnb.questions.params import LONG_OUTPUT
from batchnb.questions.reading import read_rows
from batchnb.questions.rows import Row
from batchnb.questions.scalars import check_whole
from batchnb.stats import spread
from batchnb.system.handles import Handle

if TYPE_CHECKING:
    from batchnb.questions.recipe import Recipe

__all__ = ["Pilot", "run"]


def run(
    session: Session, frame: pd.DataFrame, recipe: Recipe, n: Any, *, gold: Any, seed: Any, overwrite: bool = False
) -> Pilot:
    """Have a sample of the frame's rows answered one by one, and give what came. See ``df.batch.pilot``."""
    n, seed = check_whole("n", n, 1), check_whole("seed", seed)
    if LONG_OUTPUT in recipe.betas:
        # Messages would refuse each request for good, and a refused question is not asked in a batch either.
        raise InputError(f"A pilot asks through Messages, and the beta {LONG_OUTPUT!r} is for batches only. {NOT_SENT}")
    compared = gold_columns(frame, recipe, gold)
    check_agreement_columns(frame, recipe, compared, overwrite=overwrite)
    rows = _rows(session, bare(frame), recipe)
    # Further samples are left to `submit`: what a row costs and what it is answered the first one tells.
    firsts = rows[:: recipe.samples]
    positions = _chosen(firsts, n, seed)
    if not positions:
        why = next((row.note for row in firsts if row.note), "it has none")
        raise InputError(f"No row of the frame has anything to ask ({why}). {NOT_SENT}")
    job, asked, note = _ask(session, frame, recipe, [firsts[position] for position in positions], positions)
    sizes = {row.digest: len(row.content.sent) for row in rows if row.digest is not None and row.content is not None}
    return Pilot(_Sample(
        job=job, frame=rows_at(frame, positions), recipe=recipe, total=len(frame), asked=asked, note=note,
        digests=tuple(firsts[position].digest or b"" for position in positions), sizes=sizes, gold=compared,
    ), session)  # fmt: skip


def _rows(session: Session, frame: pd.DataFrame, recipe: Recipe) -> list[Row]:
    """Return what each sample of each row asks, under the digests that `submit` would take."""
    rows = list(read_rows(recipe, frame))
    if recipe.replicate:
        return rows
    newest = session.ledger.askings.newest(row.digest for row in rows)
    return [row.under(digest) for row, digest in zip(rows, newest, strict=True)]


def _chosen(rows: Sequence[Row], n: int, seed: int) -> list[int]:
    """Choose rows that ask different things, spread over the lengths of what they ask."""
    places: dict[bytes, int] = {}
    for position, row in enumerate(rows):
        if row.digest is not None:
            places.setdefault(row.digest, position)
    distinct = list(places.values())
    sizes = [len(content.sent) for place in distinct if (content := rows[place].content) is not None]
    return [distinct[place] for place in spread(sizes, n, seed)]


def _ask(
    session: Session, frame: pd.DataFrame, recipe: Recipe, rows: list[Row], positions: list[int]
) -> tuple[Job, int, str | None]:
    """Record the sample as a job of its own and have it answered; give that, how much was asked, and why not all."""
    ledger = session.ledger
    digests = [row.digest for row in rows if row.digest is not None]
    unsent, missed = set(ledger.jobs.unsent(digests)), list[bytes]()
    shipment = Shipment.of(ledger, recipe)
    if shipment:
        list(shipment.noted(rows))
        missed = shipment.plan(digests, unsent, time.time())
        unsent |= set(missed)
    if unsent:
        ledger.ask_before_sending()
        first = next(place for place, row in enumerate(rows) if row.digest in unsent)
        asked = [row for row in rows if row.digest in unsent]
        check_first(session.api, session.prices, recipe, frame, positions[first], asked)
    job = _new_job(recipe, digests, (shipment or recipe).envelopes())
    if shipment:
        shipment.spool(time.time())
        ledger.files.release(missed)
        rows = list(shipment.delivered(rows))
    record, claims = ledger.pilots.start(job, rows, time.time())
    try:
        stopped = _call(session, claims) if claims else None
    finally:
        session.go_on(record.number)
    note = stopped and f"{stopped} Run the cell again to ask the rows that have no answer."
    return Job(job.id, session, rows_at(frame, positions)), len(claims), note


def _call(session: Session, claims: Sequence[int]) -> str | None:
    """Make the calls, and say why some were not made."""
    calls = Calls(session.api, session.ledger, claims, session.timing, ended=session.watcher.wake)
    try:
        is_or_are = "is" if len(claims) == 1 else "are"
        print(f"batchnb: {units.count(len(claims), 'row')} {is_or_are} {FULL_PRICE}.", file=sys.stderr)  # noqa: T201
        said = "The pilot was stopped: the answers that came are kept. Run the cell again to ask the other rows."
        with call_bar(len(claims)) as count_one, explained(said):
            calls.run(count_one)
    finally:
        if not calls.started:  # a stream that takes no text, or an interrupt, came first
            session.ledger.pilots.leave(claims)
    return calls.stopped


def _new_job(recipe: Recipe, digests: Sequence[bytes], envelopes: Sequence[Envelope]) -> NewJob:
    # One sample of each row; and marked, since what a pilot does not ask is not to be sent as a batch.
    spec = dataclasses.replace(recipe, samples=1).spec(pilot=True)
    named = hashlib.blake2b(spec.sorted_json(), digest_size=8)
    for digest in digests:
        named.update(digest)
    return NewJob(
        id=f"pilot_{named.hexdigest()}",
        name=f"pilot: {recipe.column} → {shown_names(recipe.reply, recipe.into)}",
        recipe=spec,
        envelopes=recipe.recorded(envelopes),
        # Of a batch that resolve() or retry() may make of them; these bytes are the least limit that guides name.
        batch_size=len(digests),
        max_bytes=32_000_000,
        retries=0,
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    """What a pilot was taken of: the rows of its sample, and the bytes of what the whole frame asks."""

    job: Job
    frame: pd.DataFrame
    recipe: Recipe
    total: int
    asked: int
    note: str | None
    digests: tuple[bytes, ...]
    sizes: Mapping[bytes, int]
    gold: Mapping[str, Hashable]


class Pilot(Handle):
    """A sample of a frame with its answers, and what they say of the rest.

    Nothing here touches the network. What was answered is in the ledger: `submit` with the same arguments gives these
    rows their answers, and sends only the others.

    Attributes
    ----------
    job : Job
        The sample as a job of its own, for ``job.errors()``, ``job.resolve(...)`` and ``job.export(...)``.
    """

    def __init__(self, sample: _Sample, session: Session) -> None:
        self.job = sample.job
        self._sample = sample
        self._session = session
        self._answers = sample.job.to_frame()
        self._origins = dict(session.ledger.rows.origins(sample.job._number))  # noqa: SLF001  # its own
        self._agrees = {
            name: agreement(self._column(name), column_values(sample.frame, column), self._statuses, column)
            for name, column in sample.gold.items()
        }

    def _instead(self) -> str:
        return (
            "Pass the frame that to_frame() gives; or the id of its job, and call "
            f"batchnb.attach({self.job.id!r}) where it is needed."
        )

    @property
    def _statuses(self) -> list[str]:
        return [str(status) for status in self._column(f"{self._sample.recipe.into}_status")]

    def _column(self, name: str) -> list[Any]:
        values: list[Any] = own_column(self._answers, name).tolist()
        return values

    def to_frame(self) -> pd.DataFrame:
        """Return the rows of the sample with their answers; with gold, also ``<column>_agrees`` (boolean).

        NA where one of the two is missing. Touches no network.
        """
        agrees = {agreement_column(name): pd.array(values, dtype="boolean") for name, values in self._agrees.items()}
        return remembering(with_columns(self._answers, agrees), self._sample.recipe.into, agrees)

    @property
    def mix(self) -> dict[Any, Any]:
        """How often each label, category or truth value was given: ``{label: count}``, also of labels never given.

        With several such columns ``{column: {label: count}}``; empty where there are none.
        """
        counted = {name: _mix(own_column(self._answers, name)) for name in value_columns(self._sample.recipe)}
        mixes = {name: counts for name, counts in counted.items() if counts is not None}
        return next(iter(mixes.values())) if len(mixes) == 1 else mixes

    @property
    def agreement(self) -> float | None:
        """Share of the answers that are equal to the gold ones, from 0 to 1; None where nothing could be compared.

        A reply that was paid for and fits no label agrees with none. With several gold columns, of all of them.
        """
        equal, compared = self._compared
        return equal / compared if compared else None

    @property
    def _compared(self) -> tuple[int, int]:
        verdicts = [one for values in self._agrees.values() for one in values if one is not None]
        return sum(verdicts), len(verdicts)

    @property
    def usage(self) -> Usage:
        """Tokens of the sample's answers, also of those that were there before."""
        return self.job.usage

    @property
    def cost(self) -> float | None:
        """Dollars for the sample's answers, as they were paid; None where the price of a model is unknown."""
        return self.job.cost

    @property
    def rest(self) -> Projection:
        """What all other requests of the frame will cost as batches: dollars, with a 95% interval.

        From the sample's answers, by the length of what is asked; without what a cache may save.
        """
        sample, prices = self._sample, self._session.prices
        unsent = list(self._session.ledger.jobs.unsent(sample.sizes))
        sizes, prompts, replies = [], [], []
        for digest in sample.digests:
            origin = self._origins.get(digest)
            if origin is None or not origin.model:
                continue
            parts = parts_of(origin, prices)
            if parts is None:
                return Projection(len(unsent), None)
            sizes.append(sample.sizes[digest])
            prompts.append(parts[0])
            replies.append(parts[1])
        return project(sizes, prompts, replies, [sample.sizes[digest] for digest in unsent])

    def __repr__(self) -> str:
        return pilot_text(self._view())

    def _repr_html_(self) -> str:
        return str(pilot_html(self._view()))

    def _view(self) -> PilotView:
        sample, usage, rest = self._sample, self.usage, self.rest
        mix, snapshot = self.mix, self.job.snapshot()
        is_flat = all(isinstance(count, int) for count in mix.values())
        flat = mix if is_flat else {f"{c}: {v}": n for c, counts in mix.items() for v, n in counts.items()}
        return PilotView(
            name=self.job.name,
            model=sample.recipe.model,
            rows=tuple(self._shown()),
            total=sample.total,
            asked=sample.asked,
            mix={str(label): count for label, count in flat.items()},
            agreement=self._compared if sample.gold else None,
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.output_tokens,
            cost=self.cost,
            rest=rest.requests,
            projected=None if rest.expected is None else (rest.expected, rest.low, rest.high),
            with_gold=bool(sample.gold),
            note=sample.note or snapshot.note,
            provenance=snapshot.provenance,
        )

    def _shown(self) -> Iterator[PilotRow]:
        sample, into = self._sample, self._sample.recipe.into
        names = value_columns(sample.recipe)
        about = column_values(sample.frame, sample.recipe.column)
        errors, answers = self._column(f"{into}_error"), {name: self._column(name) for name in names}
        golds = {name: column_values(sample.frame, column) for name, column in sample.gold.items()}
        for place, (label, status) in enumerate(zip(sample.frame.index, self._statuses, strict=True)):
            values = [(name, answers[name][place]) for name in names]
            wanted = [(name, column[place]) for name, column in golds.items() if not is_missing(column[place])]
            agrees = [one for column in self._agrees.values() if (one := column[place]) is not None]
            yield PilotRow(
                label=str(label),
                prompt=str(about[place]),
                answer=_answers_text(values),
                status=status,
                note=None if is_missing(errors[place]) else str(errors[place]),
                gold=_answers_text(wanted),
                agrees=all(agrees) if agrees else None,
            )


def _answers_text(values: Sequence[tuple[str, Any]]) -> str | None:
    """Write answers for people: a single one as it is, several by name; None where there are none."""
    there = [(name, value) for name, value in values if not is_missing(value)]
    if not there:
        return None
    return str(there[0][1]) if len(values) == 1 else ", ".join(f"{name}: {value}" for name, value in there)


def _mix(answers: pd.Series[Any]) -> dict[Any, int] | None:
    """Count a column's categories or truth values; None for one of other things."""
    if isinstance(answers.dtype, pd.CategoricalDtype):
        return {label: int(count) for label, count in answers.value_counts(sort=False).items()}
    if isinstance(answers.dtype, pd.BooleanDtype):
        return {bool(value): int(count) for value, count in answers.value_counts().items()}
    lists = [value for value in answers.tolist() if isinstance(value, list)]
    if lists and all(isinstance(item, str | int) for value in lists for item in value):
        return dict(Counter(item for value in lists for item in value))
    return None
