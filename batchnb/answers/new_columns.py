"""Answers to columns, samples to one answer, and where columns go in a frame. Touches neither network nor ledger."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from batchnb.answers.arrays import array_of
from batchnb.answers.details import detail_names
from batchnb.answers.judge import OUTCOMES, read_result, read_values
from batchnb.answers.layout import own_names, without_places
from batchnb.errors import NOT_SENT, InputError
from batchnb.questions.columns import OWN_MARKS, bare, name_of
from batchnb.questions.replies.base import Reply, TextReply
from batchnb.questions.replies.fields import pick
from batchnb.questions.spec import RecipeSpec

if TYPE_CHECKING:
    from batchnb.ledger.read_jobs import JobRecord

__all__ = [
    "Columns",
    "Earlier",
    "check_into",
    "column_in_the_way",
    "detail_in_the_way",
    "marked",
    "names_of",
    "remembered",
    "remembering",
    "shown_names",
    "without_details",
]

_T = TypeVar("_T")

#: Gives the jobs that have given the same new column before; asked only where the frame itself does not tell.
Earlier = Callable[[], "Iterable[JobRecord]"]


@dataclass(slots=True)
class Columns:
    """The columns a job gives, row by row: those of the reply, two more, and another two of several samples.

    Parameters
    ----------
    reply : Reply
        What was asked for; its ``fields`` are columns.
    into : str
        The stem of the names: ``<into>_status`` and ``<into>_error``, with several samples ``<into>_samples`` and
        ``<into>_agreement``, and what `names_of` makes of the fields.
    samples : int
        How many rows added are one row of the frame.
    """

    reply: Reply
    into: str
    samples: int = 1
    values: list[Any] = field(default_factory=list)
    statuses: list[str | None] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)

    def add(self, result: bytes | None, note: str | None, *, asked: bool) -> None:
        """Add a row, or a sample of one.

        Parameters
        ----------
        result : bytes or None
            Its kept result; None where there is none.
        note : str or None
            Why there is none.
        asked : bool
            Whether the row asks anything.
        """
        if result is None:
            self.values.append(None)
            self.statuses.append("pending" if asked else "skipped")
            self.errors.append(note)
            return
        outcome, value, error, _ = read_result(result, self.reply)
        self.values.append(value)
        self.statuses.append(outcome)
        self.errors.append(error)

    def extend(
        self, results: Sequence[bytes | None], notes: Sequence[str | None], digests: Sequence[bytes | None]
    ) -> None:
        """Add rows, or samples of them: their kept results; why there are none; what they ask, None for nothing."""
        if None not in results:  # as mostly
            outcomes, values, errors = read_values(results, self.reply)
            self.values += values
            self.statuses += outcomes
            self.errors += errors
            return
        for result, note, digest in zip(results, notes, digests, strict=True):
            self.add(result, note, asked=digest is not None)

    def add_unknown(self) -> None:
        """Add a row that the job never asked."""
        self.values.append(None)
        self.statuses.append(None)
        self.errors.append(None)

    def arrays(self) -> dict[str, Any]:
        """Return the columns by name, with their pandas types.

        Of several samples, the value is the most frequent one, and the agreement the share it has among those that
        have a value; status and error are those of the first sample that is pending, or else did not succeed.
        """
        if self.samples == 1:
            return self._arrays(self.values, self.statuses, self.errors)
        sampled = _groups(self.values, self.samples)
        compared = [[pick(value, self.reply.voted) for value in values] for values in sampled]
        chosen = [_most_frequent(values) for values in compared]
        statuses = _groups(self.statuses, self.samples)
        deciding = [row * self.samples + _deciding(samples) for row, samples in enumerate(statuses)]
        arrays = self._arrays(
            [values[place] for values, (place, _) in zip(sampled, chosen, strict=True)],
            [self.statuses[place] for place in deciding],
            [self.errors[place] for place in deciding],
        )
        # A row that was never asked has no samples, rather than several without a value.
        known = [None if status[0] is None else values for values, status in zip(compared, statuses, strict=True)]
        extra = (pd.Series(known, dtype=object).array, pd.array([share for _, share in chosen], dtype="Float64"))
        return arrays | dict(zip(_of_samples(self.into), extra, strict=True))

    def _arrays(self, values: list[Any], statuses: list[str | None], errors: list[str | None]) -> dict[str, Any]:
        arrays = [
            array_of(one, [pick(value, one.path) for value in values] if one.path else values)
            for one in self.reply.fields
        ]
        said = (pd.array(statuses, dtype="string"), pd.array(errors, dtype="string"))
        return dict(zip(names_of(self.reply, self.into), (*arrays, *said), strict=True))


def _groups(items: list[_T], size: int) -> list[list[_T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _most_frequent(values: list[Any]) -> tuple[int, float | None]:
    """Tell where the most frequent value stands first, of equally frequent ones the first, and its share of all."""
    there = [value for value in values if value is not None]
    if not there:
        return 0, None
    chosen = max(there, key=there.count)
    return values.index(chosen), there.count(chosen) / len(there)


def _deciding(statuses: list[str | None]) -> int:
    """Tell which sample's status is the row's."""
    if "pending" in statuses:
        return statuses.index("pending")
    return next((place for place, status in enumerate(statuses) if status != "succeeded"), 0)


def check_into(
    frame: pd.DataFrame, into: str, read: Sequence[Hashable], *, overwrite: bool, samples: int = 1,
    reply: Reply | None = None, earlier: Earlier = tuple,
) -> None:  # fmt: skip
    """Refuse new columns that would replace one of the user's own.

    Columns are replaced only when their status column stands beside them, as it does after an earlier run of the cell;
    several, only when such a run is known to have made them; the two columns of samples, only when both are there.

    Parameters
    ----------
    frame : DataFrame
        That gets the columns.
    into : str
        The stem of their names.
    read : sequence of hashable
        The columns that the template or ``key=`` reads.
    overwrite : bool
        Whether to replace columns of the user's own.
    samples : int
        How often each row is asked.
    reply : Reply, optional
        What is asked for. Default: text.
    earlier : callable
        Gives the jobs of earlier runs.

    Raises
    ------
    InputError
        The message proposes a name that is free.
    """
    if not isinstance(into, str) or not into:
        raise InputError(f"into= takes the name of the new column, not {into!r}. {NOT_SENT}")
    reply = TextReply() if reply is None else reply
    names = names_of(reply, into, samples)
    _check_differ(reply, names)
    labels = set(map(name_of, frame.columns))
    used = next((column for column in map(name_of, read) if column in names), None)
    if used is not None:
        which = f"into={into!r}" if reply.prefixed else "The reply"
        raise InputError(
            f"{which} would replace the column {used!r}, which the template or key= reads. "
            f"{_proposal(reply, into, labels, samples)} {NOT_SENT}"
        )
    replaced = None if overwrite else column_in_the_way(frame, into, samples, reply, earlier)
    if replaced is None:
        return
    raise InputError(
        f"The frame already has a column {replaced!r}, which batchnb did not make. "
        f"{_proposal(reply, into, labels, samples)} "
        f"overwrite=True replaces it. {NOT_SENT}"
    )


def _check_differ(reply: Reply, names: tuple[str, ...]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is None:
        return
    way_out = "Give that field or tool another name"
    if not reply.prefixed:
        way_out += ", or have all of them led by a name of their own: into=..."
    elif reply.suffix == "":
        way_out += ", or leave into= out"
    raise InputError(f"Two of the new columns would both be called {twice!r}. {way_out}. {NOT_SENT}")


def column_in_the_way(
    frame: pd.DataFrame, into: str, samples: int = 1, reply: Reply | None = None, earlier: Earlier = tuple
) -> str | None:
    """Return the name of a column of the user's own that the new columns would replace, if there is one."""
    reply = TextReply() if reply is None else reply
    there, own = [name_of(label) for label in frame.columns], own_names(frame.columns)
    names = names_of(reply, into, samples)
    taken = [name for name in names if name in there]
    answers = [name for name in names[: len(reply.fields)] if name in there]
    status = f"{into}_status"
    if not answers or not _was_run(frame, own.index(status) if status in own else None):
        return taken[0] if taken else None
    twice = next((name for name in taken if there.count(name) > 1), None)
    if twice is not None:  # a run makes each once
        return twice
    if not reply.prefixed or len(reply.fields) > 1:
        made = _made_before(frame, into, earlier)
        foreign = next((name for name in answers if name not in made), None)
        if foreign is not None:
            return foreign
    of_samples = [name for name in taken if samples > 1 and name in _of_samples(into)]
    return of_samples[0] if len(of_samples) == 1 else None  # an earlier run of the cell made them


def detail_in_the_way(
    frame: pd.DataFrame, into: str, read: Sequence[Hashable] = (), *, overwrite: bool, samples: int = 1,
    reply: Reply | None = None,
) -> str | None:  # fmt: skip
    """Say which column of details (``details=True``) there is already, if one is; see `check_into`.

    One that the answers have, that is read, or that is the user's own: those of an earlier run of the cell, which has
    made all of them, may be replaced.
    """
    there, names = set(map(name_of, frame.columns)), detail_names(into)
    of_answers = names_of(TextReply() if reply is None else reply, into, samples)
    read_too = set(map(name_of, read))
    taken = next((name for name in names if name in of_answers or name in read_too), None)
    if taken is None and not overwrite and not there.issuperset(names):
        taken = next((name for name in names if name in there), None)
    if taken is None:
        return None
    return f"details=True adds a column {taken!r}, and there is one already. Rename that one, or leave details= out."


def without_details(frame: pd.DataFrame, into: str) -> pd.DataFrame:
    """Return `frame` without the columns of details of an earlier run, which tell of the answers it gave."""
    names = set(detail_names(into))
    places = [place for place, name in enumerate(own_names(frame.columns)) if name in names]
    return frame if len(places) < len(names) else without_places(frame, places)


def _was_run(frame: pd.DataFrame, place: int | None) -> bool:
    """Tell whether a column is one of outcomes, as every run leaves one."""
    if place is None:
        return False
    statuses = bare(frame).iloc[:, place].dropna().tolist()
    return all(isinstance(status, str) and status in OUTCOMES for status in statuses)


def _made_before(frame: pd.DataFrame, into: str, earlier: Earlier) -> set[str]:
    """Return the names of the answers' columns that earlier runs made.

    A field may have any name, also that of a column of gold labels, so names alone do not tell. What a run made, it
    left before its status, and the frame remembers it; of one that was read from a file, the ledger knows in which
    order it stood right there.
    """
    names = own_names(frame.columns)
    before = names[: names.index(f"{into}_status")]
    known = remembered(frame).get(into)
    if known is not None:
        return {name for name in before if name is not None}.intersection(known)
    runs = [_answer_names(job.recipe) for job in earlier()]
    return {name for run in runs if run and before[-len(run) :] == list(run) for name in run}


def _answer_names(recipe: RecipeSpec) -> tuple[str, ...]:
    return names_of(recipe.reply, recipe.into)[: len(recipe.reply.fields)]


def remembered(frame: pd.DataFrame) -> Mapping[str, Sequence[str]]:
    """Return the names of the answers' columns of each stem, as `marked` noted them."""
    marks = frame.attrs.get(OWN_MARKS)
    columns = marks.get("columns") if isinstance(marks, Mapping) else None
    return columns if isinstance(columns, Mapping) else {}


def marked(frame: pd.DataFrame, recipe: RecipeSpec, **marks: Any) -> pd.DataFrame:
    """Note in a frame's ``attrs`` which columns a job has given it, and `marks` of that job."""
    columns = remembered(frame)
    frame.attrs = {**frame.attrs, OWN_MARKS: {**marks, "columns": columns}}
    return remembering(frame, recipe.into, _answer_names(recipe))


def remembering(frame: pd.DataFrame, into: str, names: Iterable[str]) -> pd.DataFrame:
    """Note in a frame's ``attrs`` that columns of these names are of the stem `into`, and made here."""
    columns, marks = remembered(frame), frame.attrs.get(OWN_MARKS)
    named = list(dict.fromkeys((*columns.get(into, ()), *names)))
    kept = marks if isinstance(marks, Mapping) else {}
    frame.attrs = {**frame.attrs, OWN_MARKS: {**kept, "columns": {**columns, into: named}}}
    return frame


def names_of(reply: Reply, into: str, samples: int = 1) -> tuple[str, ...]:
    """Return the names of all columns of a job: those of the reply's fields, status and error, and those of samples."""
    return _names(reply, into, samples, prefixed=reply.prefixed)


def shown_names(reply: Reply, into: str) -> str:
    """Say briefly which columns a job gives: their stem, or the first of those that have names of their own."""
    if reply.prefixed:
        return into
    first = [one.name for one in reply.fields[:4]]
    return ", ".join(first if len(first) < 4 else [*first[:3], "…"])


def _names(reply: Reply, into: str, samples: int, *, prefixed: bool) -> tuple[str, ...]:
    fields = ((f"{into}_{one.name}" if prefixed else one.name) if one.name else into for one in reply.fields)
    return *fields, f"{into}_status", f"{into}_error", *(_of_samples(into) if samples > 1 else ())


def _of_samples(into: str) -> tuple[str, str]:
    return f"{into}_samples", f"{into}_agreement"


def _proposal(reply: Reply, into: str, labels: Iterable[str], samples: int) -> str:
    taken = set(labels)
    candidates = [f"{into}_{suffix}" for suffix in ("new", *map(str, range(2, len(taken) + 4)))]
    if not reply.prefixed:
        candidates.insert(0, into)  # which leads the columns' names only when it is given
    free = next(name for name in candidates if not taken.intersection(_names(reply, name, samples, prefixed=True)))
    return f"Use another name, such as into={free!r}."
