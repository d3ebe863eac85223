"""Jobs, or the server's batches, as the lines of a table, frozen for showing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from batchnb import units
from batchnb.answers.provenance import Provenance
from batchnb.display.job import words
from batchnb.display.snapshot import BatchLine, Snapshot

__all__ = ["ROW_WORDS", "Table", "TableLine", "batch_line", "job_line"]

#: The parts of a job's bar: what became of its rows, in the words of its outcomes.
OUTCOMES = {
    "succeeded": ("succeeded",),
    "errored": ("errored", "invalid", "missing"),
    "canceled": ("canceled",),
    "expired": ("expired",),
    "processing": ("pending",),
}

#: What those parts are called.
ROW_WORDS = {**words.SEGMENTS, "errored": "failed", "processing": "pending"}


@dataclass(frozen=True, slots=True)
class TableLine:
    """One job or batch.

    Parameters
    ----------
    id, name : str
        Its id, and what it is called.
    about : tuple of str
        When it was made, and by whom or for which model.
    rows : int
        Its rows or requests.
    parts : tuple of (str, int)
        What became of them: the keys of ``words.SEGMENTS`` that are not empty.
    state : str
        How it stands.
    cost : str or None
        What it cost.
    open : bool
        Whether it is under way: then it can be canceled, else deleted.
    note : str or None
        What a person should know of it now.
    """

    id: str
    name: str
    about: tuple[str, ...]
    rows: int
    parts: tuple[tuple[str, int], ...]
    state: str
    open: bool
    cost: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The lines that are shown, and what they are lines of.

    Parameters
    ----------
    noun : str
        ``job`` or ``batch``.
    counted : str
        What their numbers count: ``Rows`` or ``Requests``.
    part_words : mapping of str to str
        The word for each part of a bar.
    lines : tuple of TableLine
        Newest first.
    total : int
        How many there are, shown or not.
    now : float
        When that was so, in seconds since the epoch.
    provenance : Provenance
        Where the answers come from.
    all_by : str
        The code that lists all of them.
    empty : str
        What to say where there are none.
    """

    noun: str
    counted: str
    part_words: Mapping[str, str]
    lines: tuple[TableLine, ...]
    total: int
    now: float
    provenance: Provenance
    all_by: str
    empty: str

    @property
    def plural(self) -> str:
        """The plural of `noun`."""
        return units.plural(self.noun)

    @property
    def priced(self) -> bool:
        """Whether any line says what it cost."""
        return any(line.cost is not None for line in self.lines)


def job_line(snapshot: Snapshot) -> TableLine:
    """Say a job in one line."""
    counts = ((key, sum(snapshot.outcomes.get(name, 0) for name in names)) for key, names in OUTCOMES.items())
    made = units.date_time(snapshot.started_at)
    about = (made, units.clean(snapshot.model, 40), units.clean(snapshot.job_id, 40))
    return TableLine(
        id=snapshot.job_id,
        name=units.clean(snapshot.name, 80),
        about=about,
        rows=snapshot.rows,
        parts=tuple((key, number) for key, number in counts if number),
        state="Ended" if snapshot.status == "ended" else words.status_words(snapshot),
        open=snapshot.status != "ended",
        cost="unknown" if snapshot.cost is None else units.money(snapshot.cost),
        note=snapshot.note,
    )


def batch_line(batch: BatchLine, whose: str | None, now: float) -> TableLine:
    """Say a batch of the server in one line; `whose` is the name of the job it belongs to, if that is known."""
    about = [] if batch.created_at is None else [units.date_time(batch.created_at)]
    about.append("made elsewhere" if whose is None else units.clean(whose, 40))
    if batch.created_at is not None and batch.ended_at is not None:
        about.append(f"took {units.duration(batch.ended_at - batch.created_at)}")
    elif batch.running and batch.expires_at is not None:
        about.append(f"expires in {units.minutes(batch.expires_at - now)}")
    return TableLine(
        id=batch.id or "",
        name=units.clean(batch.id, 80),
        about=tuple(about),
        rows=batch.counts.total,
        parts=tuple(words.batch_segments(batch)),
        state=units.clean(batch.state, 40).replace("_", " ").capitalize(),
        open=batch.state != "ended",
    )
