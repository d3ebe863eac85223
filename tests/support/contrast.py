"""How well a view can be read in the page: the contrast of its texts, and of the parts of its bar, as WCAG 2 has it.

What is measured is what the browser drew, whatever theme and style sheet it came from: half-transparent colours are
laid over what is behind them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

_MEASURE = Path(__file__).with_suffix(".js").read_text()


class Measured(NamedTuple):
    """What was drawn, in which colour on which, and how far apart the two are, from 1 to 21."""

    what: str
    colour: str
    background: str
    ratio: float
    size: float  # pixels
    bold: bool

    @property
    def needed(self) -> float:
        """The ratio that a text of this size needs (WCAG 2, 1.4.3)."""
        return 3.0 if self.size >= 24 or (self.bold and self.size >= 18.66) else 4.5

    def __str__(self) -> str:
        return f"{self.what[:60]!r}: {self.colour} on {self.background} is {self.ratio:.2f}"


def measure(view: Any) -> tuple[list[Measured], list[Measured]]:
    """Measure the visible texts in a view, and the parts of its bars against the bar's own ground.

    Parameters
    ----------
    view : playwright locator
        One element.

    Returns
    -------
    tuple of lists
        The texts; and of each part of a bar what stands out most.
    """
    found = view.evaluate(_MEASURE)
    return [Measured(**one) for one in found["texts"]], [Measured(**one) for one in found["parts"]]
