"""``s.batch``: what ``df.batch`` does, for the values of a Series; and giving pandas both."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import pandas as pd

from batchnb.jobs.accessor import FrameAccessor, Template
from batchnb.planning.options import ASKED, FORM, SENT, Options, takes

if TYPE_CHECKING:
    from batchnb.display.shown.estimate import Estimate
    from batchnb.jobs.composer import Composer
    from batchnb.jobs.job import Job
    from batchnb.jobs.pilot import Pilot
    from batchnb.planning.preview import ShownPreview

__all__ = ["SeriesAccessor", "register"]


class SeriesAccessor:
    """Ask Claude about every value of a Series; the series is the column, called ``text`` where it has no name."""

    def __init__(self, series: pd.Series[Any]) -> None:
        self._series = series

    @takes(*ASKED, *SENT)
    def submit(self, template: Template = None, **options: Any) -> Job:
        """Send the values as batches, as ``df.batch.submit`` does. The result is a frame. Returns at once.

        Parameters
        ----------
        template : str, list of messages, callable or None
            As ``df.batch.submit`` takes it; ``{name}`` is the series' name, or ``{text}`` where it has none.
        **options
            See Options.
        """
        return self._batch.submit(self._column, template, **options)

    @takes(*ASKED)
    def preview(self, template: Template = None, n: int = 3, **options: Any) -> ShownPreview:
        """Show what `submit` would send for the first `n` values, as ``df.batch.preview`` does. Blocks meanwhile.

        Parameters
        ----------
        template : str, list of messages, callable or None
            As `submit` takes it.
        n : int
            Values to show.
        **options
            See Options.
        """
        return self._batch.preview(self._column, template, n, **options)

    @takes(*ASKED, "cache")
    def estimate(self, template: Template = None, *, n: int | None = None, seed: int = 0, **options: Any) -> Estimate:
        """Estimate what `submit` would use and cost, as ``df.batch.estimate`` does. Blocks, for some seconds.

        Parameters
        ----------
        template : str, list of messages, callable or None
            As `submit` takes it.
        n : int, optional
            How many requests to count. Default: 48, and more, up to 192, until the interval is no wider than a tenth.
        seed : int
            Another one draws another sample.
        **options
            See Options.
        """
        return self._batch.estimate(self._column, template, n=n, seed=seed, **options)

    @takes(*ASKED)
    def pilot(
        self, template: Template = None, n: int = 20, *, gold: Any = None, seed: int = 0, **options: Any
    ) -> Pilot:
        """Have a sample of the values answered now, at the full price, as ``df.batch.pilot`` does. Blocks meanwhile.

        Parameters
        ----------
        template : str, list of messages, callable or None
            As `submit` takes it.
        n : int
            Values to ask.
        gold : hashable or mapping, optional
            As ``df.batch.pilot`` takes it.
        seed : int
            Another one takes another sample.
        **options
            See Options.
        """
        return self._batch.pilot(self._column, template, n, gold=gold, seed=seed, **options)

    @takes(*FORM)
    def compose(self, template: str | None = None, **options: Any) -> Composer:
        """Open a form that puts the job together, as ``df.batch.compose`` does. Returns at once.

        Parameters
        ----------
        template : str, optional
            As `submit` takes it, as text. So is `system`, and `labels` are a sequence.
        **options
            See Options.
        """
        return self._batch._compose(self._series, self._column, template, Options(**options))  # noqa: SLF001  # its own kind

    def join(
        self,
        job: Job,
        *,
        template: Callable[[Any], Any] | None = None,
        params: Callable[[Any], Any] | None = None,
        details: bool | None = None,
    ) -> pd.DataFrame:
        """Return the values, as a frame, with a job's columns, matched by content. Touches no network.

        Parameters
        ----------
        job : Job
            Any job whose template reads no other column.
        template : callable, optional
            The job's template, if it was a function.
        params : callable, optional
            The job's params, if they were a function.
        details : bool, optional
            As ``df.batch.join`` takes it.
        """
        return self._batch.join(job, template=template, params=params, details=details)

    @property
    def _column(self) -> Hashable:
        return "text" if self._series.name is None else self._series.name

    @property
    def _batch(self) -> FrameAccessor:
        """The accessor of a frame that has the series as its only column."""
        series = self._series
        # A plain one without its attrs, which pandas would copy to their depth; the frame has the same.
        frame = (pd.Series(series) if type(series) is pd.Series else series).to_frame(self._column)
        frame.attrs = series.attrs
        return FrameAccessor(frame)


def register() -> None:
    """Give every DataFrame and Series its ``.batch``."""
    pd.api.extensions.register_dataframe_accessor("batch")(FrameAccessor)
    pd.api.extensions.register_series_accessor("batch")(SeriesAccessor)
