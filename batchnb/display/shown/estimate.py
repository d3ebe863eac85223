"""What a job would use and cost, frozen for showing."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from batchnb import units
from batchnb.answers.provenance import Provenance
from batchnb.display.shown.estimate_html import facts_table
from batchnb.stats import Interval

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Estimate"]


@dataclass(frozen=True, slots=True, repr=False)
class Estimate:
    """What a job would use and cost, as ``df.batch.estimate`` gives it. Nothing was sent.

    Shows itself, as HTML or as text; ``to_frame()`` gives the numbers as a frame.

    Parameters
    ----------
    model : str
        The model that would be asked.
    rows : int
        Rows of the frame.
    requests : int
        Requests that would be sent: different questions that nobody has asked before, each once for every sample.
    reused : int
        Questions that an earlier job has asked: they are not bought again.
    duplicates : int
        Questions equal to one of a row above, which are asked once.
    skipped : int
        Rows with nothing to send.
    counted : int
        Requests whose input tokens were counted.
    input_tokens : Interval or None
        Tokens of all prompts. In 99 of 100 samples the true number lies from `low` to `high`. None: none was counted.
    output_tokens : Interval or None
        Tokens of all replies as earlier ones let expect; one number where they are assumed. None: none is to be sent.
    most_output_tokens : int
        Tokens of all replies, should every one be as long as ``max_tokens`` allows.
    output_source : str
        Where the expected output tokens are from, in words.
    cost : Interval or None
        Dollars at batch prices, without caching: `low` and `high` for the tokens' own. None: not known.
    worst : float or None
        Dollars at most: input tokens at their highest, every reply as long as ``max_tokens`` allows.
    without_batching : float or None
        Dollars that would be expected for the same requests without batches.
    saved_duplicates, saved_reused : float or None
        Dollars, at batch prices, that are not spent on duplicates, and on what was asked before.
    price : str or None
        The model's price in words, with its source and date; None where it is not known.
    notes : tuple of str
        What else is to be known, in sentences.
    provenance : Provenance
        Where the answers come from.
    """

    model: str
    rows: int
    requests: int
    reused: int
    duplicates: int
    skipped: int
    counted: int
    input_tokens: Interval | None
    output_tokens: Interval | None
    most_output_tokens: int
    output_source: str
    cost: Interval | None
    worst: float | None
    without_batching: float | None
    saved_duplicates: float | None
    saved_reused: float | None
    price: str | None
    notes: tuple[str, ...] = ()
    provenance: Provenance = Provenance.API

    @property
    def simulated(self) -> bool:
        """Whether the simulator would answer."""
        return self.provenance.simulated

    def __repr__(self) -> str:
        facts = [(name, [units.clean(line, 400) for line in lines]) for name, lines in _facts(self)]
        wide = max(len(name) for name, _ in facts)
        lines = [f"{self.provenance.lead}Estimate · {units.clean(self.model, 80)} · nothing was sent"]
        lines += [f"  {name:{wide}}  {f'{chr(10)}  {chr(32) * wide}  '.join(said)}" for name, said in facts]
        return "\n".join([*lines, *(f"  Note: {units.clean(note, 400)}" for note in self.notes)])

    def _repr_html_(self) -> str:
        title = "Estimate: nothing was sent"
        return str(facts_table(title, self.model, _facts(self), self.notes, self.provenance))

    def to_frame(self) -> pd.DataFrame:
        """Return the numbers as a frame of one row. Touches no network.

        A range gives three columns: ``cost_low``, ``cost_expected``, ``cost_high``. Tokens, and dollars.
        """
        import pandas as pd

        row: dict[str, Any] = {}
        for name in (field.name for field in fields(self) if field.name != "notes"):
            value = getattr(self, name)
            if name in ("input_tokens", "output_tokens", "cost"):
                row |= {f"{name}_{part}": None if value is None else getattr(value, part) for part in Interval._fields}
            else:
                row[name] = value
        return pd.DataFrame([row])


def _facts(estimate: Estimate) -> list[tuple[str, list[str]]]:
    """Say everything of an estimate: each fact with its name, what matters first."""
    facts = [("Rows", [_rows(estimate)])]
    if estimate.requests:
        facts += [("Input", _input(estimate)), ("Output", _output(estimate)), ("Cost", _cost(estimate))]
    saved = [
        (estimate.duplicates, estimate.saved_duplicates, "duplicates"),
        (estimate.reused, estimate.saved_reused, "earlier answers"),
    ]
    said = [f"about {units.money(dollars)} by {what}" for number, dollars, what in saved if number and dollars]
    if said:
        facts.append(("Saved", [", ".join(said)]))
    unknown = "unknown: batchnb.set_price(model, input=..., output=...) tells it, in dollars per million tokens"
    return [*facts, ("Price", [estimate.price or unknown])]


def _rows(estimate: Estimate) -> str:
    said = [f"{units.count(estimate.rows, 'row')}: {units.count(estimate.requests, 'request')} to send"]
    if estimate.duplicates:
        said.append(f"{estimate.duplicates:,} equal to another, asked once")
    if estimate.reused:
        said.append(f"{estimate.reused:,} reused, not bought again")
    if estimate.skipped:
        said.append(f"{estimate.skipped:,} skipped, nothing to send")
    return " · ".join(said)


def _input(estimate: Estimate) -> list[str]:
    tokens = estimate.input_tokens
    if tokens is None:
        return ["unknown: no request could be counted"]
    if estimate.counted >= estimate.requests:
        return [f"{tokens.expected:,.0f} tokens", "every request was counted"]
    sample = f"by {units.count(estimate.counted, 'request')} that were counted, spread over their lengths"
    return [f"about {tokens.expected:,.0f} tokens", f"{tokens.low:,.0f} to {tokens.high:,.0f}, {sample}"]


def _output(estimate: Estimate) -> list[str]:
    tokens = estimate.output_tokens
    about = "" if tokens is None else f"about {tokens.expected:,.0f} tokens, "
    return [f"{about}at most {estimate.most_output_tokens:,}", estimate.output_source]


def _cost(estimate: Estimate) -> list[str]:
    cost, worst = estimate.cost, estimate.worst
    if cost is None or worst is None:
        return ["unknown"]
    would = "would be " if estimate.provenance.is_free else ""
    low, high = units.money(cost.low), units.money(cost.high)
    between = "" if low == high else f"; {low} to {high} as far as the tokens above are known"
    lines = [
        f"{would}about {units.money(cost.expected)}, at most {units.money(worst)}",
        f"at most: with every reply as long as max_tokens allows{between}",
    ]
    if estimate.without_batching is not None:
        lines.append(f"about {units.money(estimate.without_batching)} without batches")
    return lines
