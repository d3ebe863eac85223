"""What a job gives: frames, files, and rows of a database."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from batchnb.answers import merge
from batchnb.answers.details import Details
from batchnb.answers.layout import with_columns
from batchnb.answers.new_columns import marked
from batchnb.answers.provenance import Provenance
from batchnb.errors import InputError
from batchnb.jobs.export import form_of, write_raw, write_table
from batchnb.planning.attachments import Reader
from batchnb.planning.folders import Folders
from batchnb.planning.session import Session
from batchnb.questions.recipe import Recipe
from batchnb.questions.scalars import check_texts
from batchnb.system.replacing import as_path

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas as pd
    import sqlalchemy

    from batchnb.answers.records import RowAnswer
    from batchnb.ledger.read_jobs import JobRecord

__all__ = ["Answered"]


class Answered:
    """The answers of a job, as :class:`batchnb.Job` gives them."""

    # Set by the job.
    details: bool
    _id: str
    _number: int
    _session: Session
    _frame: pd.DataFrame | None

    @property
    def simulated(self) -> bool:
        """Whether the answers come from the simulator."""
        return self._provenance.simulated

    @property
    def _provenance(self) -> Provenance:
        return self._session.provenance

    @property
    def _record(self) -> JobRecord:
        return self._session.ledger.jobs.get(self._id)

    def to_frame(self, *, details: bool | None = None) -> pd.DataFrame:
        """Return what there is now: the job's frame plus the new columns, or, without the frame, answers by row.

        Touches no network. A job attached later has no frame: its rows come by key, or by position.

        Parameters
        ----------
        details : bool, optional
            Tell where each answer is from, in columns of their own: ``<into>_model`` (that answered), ``_message_id``,
            ``_batch_id`` (NA for what `pilot` asked), ``_request`` (the digest of what was asked, in hex),
            ``_stop_reason``, ``_refusal`` (why the model refused, in the API's word), ``_spelled`` (the reply as it
            was, where a label or choice in it was written otherwise than asked, such as "positive" for "Positive"),
            ``_input_tokens``, ``_output_tokens``, ``_thinking_tokens`` (those of the output that were thought),
            ``_cache_read_tokens``, ``_cache_write_tokens`` (Int64), ``_cost`` (Float64: dollars, at the rate it was
            asked at) and ``_answered_at`` (UTC: when its batch ended, or the pilot's answer came). NA where there is
            nothing to tell; refused before anything was written, an answer is not billed, and has no tokens. Of
            several samples they tell of the
            first. Rows that share an answer show the same: summing counts it more than once, ``job.cost`` does not.
            Default: as `submit` was told.

        Raises
        ------
        InputError
            The frame has a column of its own where one of the details goes.
        """
        recipe, extra = self._record.recipe, self._details(wanted=details)
        if self._frame is not None:
            # What `submit` was told, it has checked.
            parts = self._session.ledger.rows.results(self._number, digests=extra is not None)
            frame = merge.beside(self._frame, parts, recipe, extra, overwrite=self.details)
            return self._marked(frame)
        return self._marked(merge.by_row(self._answers(), recipe, extra))

    def _details(self, *, wanted: bool | None) -> Details | None:
        if not (self.details if wanted is None else wanted):
            return None
        ledger, recipe = self._session.ledger, self._record.recipe
        origins = dict(ledger.rows.origins(self._number))
        # Nobody here knows what a batch made elsewhere asked.
        return Details(
            recipe.into, recipe.samples, origins, self._session.prices, recipe.reply, known=not recipe.attached
        )

    def merge(
        self,
        frame: pd.DataFrame,
        *,
        template: Callable[[Any], Any] | None = None,
        params: Callable[[Any], Any] | None = None,
        on: Hashable | None = None,
        overwrite: bool = False,
        details: bool | None = None,
    ) -> pd.DataFrame:
        """Return `frame` plus this job's columns, matched by content; rows the job never asked get NA.

        The frame's rows are asked again in thought, under the job's recipe, and their answers looked up: so its index
        and order do not matter, and it may hold fewer or more rows. Touches no network.

        Parameters
        ----------
        frame : pandas.DataFrame
            Any frame with the columns the template reads.
        template : callable, optional
            The job's template, if it was a function: the ledger cannot keep one.
        params : callable, optional
            The job's params, if they were a function.
        on : hashable, optional
            For a batch made elsewhere: the column of `frame` that holds its custom_ids.
        overwrite : bool
            Replace columns of the same names that batchnb did not make.
        details : bool, optional
            Further columns, as `to_frame` describes them. Default: as `submit` was told.

        Raises
        ------
        InputError
            `frame` lacks a column the template reads, or has one of its own where the new ones go; or the template, the
            params or the column of custom_ids are needed.
        """
        spec, extra = self._record.recipe, self._details(wanted=details)
        if spec.attached:
            merged = merge.merge_on(frame, on, self._answers(), spec, overwrite=overwrite, details=extra)
            return self._marked(merged)
        if on is not None:
            raise InputError("on= is for batches made elsewhere; the rows of this job are matched by their content.")
        # The names a function's params may have come from the SDK, which text has no need to load.
        fields = self._session.fields(spec.betas) if template or params else frozenset()
        reader = Reader(Folders(spec.files_from), lenient=True)
        recipe = Recipe.from_spec(spec, frame, template, params=params, fields=fields, reader=reader)
        merged = merge.merge(
            frame, recipe, self._answers(), overwrite=overwrite, details=extra,
            earlier=lambda: self._session.ledger.jobs.for_column(spec.column, spec.into),
        )  # fmt: skip
        return self._marked(merged)

    def errors(self) -> pd.DataFrame:
        """Return the rows that have no good answer: row, outcome, type, message, retryable, reply, category.

        ``row`` is the frame's index label, or the key or position where the job has no frame; ``reply`` is the text of
        a paid reply that does not fit; ``retryable`` tells whether ``retry()`` would ask the row again; ``category``
        says why the model refused, where the API says so: cyber, bio, frontier_llm, reasoning_extraction or
        general_harms (anthropic 2.14). Touches no network.
        """
        labels = None if self._frame is None else self._frame.index
        return self._marked(merge.failed(self._answers(), self._record.recipe, labels))

    def export(self, path: str | os.PathLike[str], *, safe: bool = False) -> Path:
        """Write the results to a file, by its ending: ``.csv``, ``.tsv``, ``.parquet`` or ``.jsonl``.

        Touches no network. ``.csv`` and ``.tsv`` may be compressed: ``.csv.gz``, ``.bz2``, ``.xz`` or ``.zip``. Lists
        and dicts of the job's columns are JSON there, and in Parquet where that cannot hold them as they are. Simulated
        results say so in every row.

        ``name.jsonl`` holds one line per answered request, in the API's own format. Beside it, ``name.requests.jsonl``
        holds what was asked, as the API takes it, by the same custom_ids, and ``name.recipe.json`` the recipe, which
        row of the frame is which custom_id, tokens, cost and prices. A file that was uploaded is named by its SHA-256,
        ``batchnb:<media type>:<sha256>`` as a ``file_id``; the recipe has the id it got.

        A file that is there is replaced when the new one is whole, and keeps its permissions: whatever goes wrong
        before, it stays as it was. Of the three of ``name.jsonl``, which are all written first, it is replaced last.

        Parameters
        ----------
        path : path
            The file; ``~`` is your own folder. A link stays: what it leads to is written. Parquet needs ``pyarrow``.
        safe : bool
            For ``.csv`` and ``.tsv`` that will be opened in a spreadsheet, which may run a text that begins with ``=``,
            ``+``, ``-``, ``@``, a tab or a line break as a formula: put an apostrophe before such texts, also in the
            names of columns and in the index, and where spaces or characters that are not seen stand before the sign.
            Numbers stay numbers. Other files take no ``safe=True``: they hold texts as they are.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InputError
            Another ending, or ``safe=True`` with one that is for no spreadsheet; what is no path; a folder, or one that
            is missing; a file that may not be written to; a column that Parquet cannot hold, a cell that holds itself.
        BatchnbError
            The file could not be written, as where the disk is full; or ``pyarrow`` is missing.
        """
        path = as_path(path)
        form = form_of(path, safe=safe)
        if form.kind == ".jsonl":
            ledger, prices = self._session.ledger, self._session.prices
            write_raw(path, ledger, self._number, prices, self._provenance)
            return path
        frame, names = self.to_frame(), merge.names(self._record.recipe)
        if self._provenance.marks:
            frame = with_columns(frame, self._provenance.marks)
        write_table(path, form, frame, names, index=self._frame is None, safe=safe)
        return path

    def to_sql(
        self,
        table: str,
        con: sqlalchemy.Engine | sqlalchemy.Connection | sqlalchemy.URL | str,
        *,
        key: Hashable | None = None,
        columns: Sequence[Hashable] = (),
        schema: str | None = None,
    ) -> int:
        """Write the results into a table, over the rows of the same key: doing it twice changes nothing.

        One transaction: all rows or none. Rows still ``pending`` are left out, so that none replaces an answer that is
        there already. Touches the network only to reach the database, and blocks meanwhile.

        The table gets the key, `columns`, the job's new columns, ``batchnb_job`` and ``batchnb_simulated``. One that is
        missing is made, with the key as its primary key. One that is there is used as it is: it must have those columns
        and a primary key or unique constraint on the key alone, and no simulated answers beside real ones. Missing
        values are NULL; lists and dicts JSON; times with a zone in UTC, to the microsecond; characters that not every
        database takes (NUL, half characters) U+FFFD.

        Parameters
        ----------
        table : str
            The table's name, taken literally.
        con : Engine, Connection, URL or str
            SQLite or PostgreSQL, through SQLAlchemy. A Connection is written to within its own transaction, which is
            yours to commit.
        key : hashable, optional
            A column of the job's frame whose values name its rows. Default: the job's own ``key=``, which is also the
            only one of a job attached later: that one has no frame, and position is not a key.
        columns : sequence of hashable
            Further columns of the job's frame.
        schema : str, optional
            The table's schema. Default: the database's.

        Returns
        -------
        int
            The number of rows written.

        Raises
        ------
        InputError
            A key is missing or names two rows, or the table does not fit. Nothing was written.
        BatchnbError
            SQLAlchemy is missing: ``pip install 'batchnb[sql]'``.
        """
        from batchnb.answers.sql.writer import NOT_WRITTEN, results, write

        check_texts(note=NOT_WRITTEN, table=table, schema=schema, key=key, columns=list(columns))
        recipe = self._record.recipe
        answered = merge.by_row(self._answers(), recipe)
        rows = results(self._frame, answered, recipe.key, key, columns)
        ready = (answered[f"{recipe.into}_status"] != "pending").tolist()
        return write(rows, table, con, schema=schema, ready=ready, job=self._id, provenance=self._provenance)

    def _answers(self) -> Iterator[RowAnswer]:
        return self._session.ledger.rows.answers(self._number)

    def _marked(self, frame: pd.DataFrame) -> pd.DataFrame:
        return marked(frame, self._record.recipe, job=self._id, simulated=self.simulated)
