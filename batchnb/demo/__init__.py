"""Sample data: short product reviews in three languages, written for this project, with gold labels."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["sample"]


def sample() -> pd.DataFrame:
    """Return 240 product reviews in English, Korean and Chinese, with gold sentiment labels.

    The reviews were made up for this project (no real products, no real customers) and are under its licence. They
    hold what real columns hold: empty cells, one of spaces only, two texts that occur twice, essays, quotes, braces,
    HTML, emoji, line breaks.

    Returns
    -------
    pandas.DataFrame
        240 rows, a fresh copy at every call, with a plain range index and the columns ``review_id`` (``r001`` ...,
        unique), ``product`` (one of six kinds), ``language`` (``en``, ``ko``, ``zh``), ``review`` (text, five NA),
        ``stars`` (1 to 5, ``Int64``, two NA) and ``sentiment`` (``positive``, ``negative``, ``neutral``; NA where there
        is no review to judge).

    Notes
    -----
    Reads one file of the package. Touches no network.

    Examples
    --------
    >>> from batchnb.demo import sample
    >>> sample().shape
    (240, 6)
    """
    import pandas as pd

    with files(__name__).joinpath("reviews.csv").open("rb") as file:
        # Only an empty cell is NA: a review that reads "None" or "n/a" is a review.
        return pd.read_csv(file, encoding="utf-8", dtype={"stars": "Int64"}, keep_default_na=False, na_values=[""])
