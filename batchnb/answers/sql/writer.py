"""A job's results to a table of a database of the user's own. The only module that knows SQLAlchemy, and no SQL.

Import it where it is needed, not before: SQLAlchemy is an extra.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pandas as pd

from batchnb.answers.provenance import Provenance
from batchnb.errors import NOT_SENT, BatchnbError, InputError
from batchnb.questions.columns import check_column, is_blank, missing_places, places_of, the_column

try:
    from sqlalchemy import URL, Column, Connection, Engine, MetaData, Table, create_engine, func, inspect, select
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
    from sqlalchemy.sql import quoted_name
    from sqlalchemy.types import JSON

    from batchnb.answers.sql.types import as_key, plain_values, type_of
except ImportError as error:  # also of a version before 2, which has not all of these
    raise BatchnbError("to_sql() needs SQLAlchemy 2: pip install 'batchnb[sql]'") from error

__all__ = ["results", "write"]

#: Rows handed to the driver at a time.
CHUNK = 5_000

DIALECTS = ("sqlite", "postgresql")
JOB, SIMULATED = "batchnb_job", "batchnb_simulated"
NOT_WRITTEN = "Nothing was written."

#: Characters of a name that a message shows.
LONGEST_SHOWN = 200


# What is written


def results(
    frame: pd.DataFrame | None,
    answered: pd.DataFrame,
    own_key: str | None,
    key: Hashable | None,
    columns: Sequence[Hashable],
) -> pd.DataFrame:
    """Put together what a table gets: the key, then `columns` of the frame, then the job's new columns.

    Parameters
    ----------
    frame : pandas.DataFrame or None
        The job's frame; None where it was attached later.
    answered : pandas.DataFrame
        The job's new columns, in the order of its frame, by key.
    own_key : str or None
        The name of the job's own key.
    key : hashable or None
        The key asked for; None for the job's own.
    columns : sequence of hashable
        Further columns of the frame.

    Raises
    ------
    InputError
        There is no such column, or no key, or the key is missing in a row or names two.
    """
    if isinstance(columns, str):
        raise InputError(f"columns= takes a list of columns, such as [{columns!r}]. {NOT_WRITTEN}")
    if frame is None:
        _check_attached(own_key, key, columns)
        taken = {str(own_key): pd.Series(answered.index)}
    else:
        label = _key_label(frame, own_key, key)
        wanted = [one for one in columns if not places_of([label], one) and _name(one) not in answered.columns]
        taken = {}
        for one in (label, *wanted):
            if _name(one) in taken:
                raise InputError(f"Two columns would both be {_name(one)!r} in the table. {NOT_WRITTEN}")
            taken[_name(one)] = _column(frame, one)
        _check_keys(taken[_name(label)], label, frame)
    clash = next((name for name in (*taken, *answered) if name in (JOB, SIMULATED) or not name), None)
    clash = next((name for name in taken if name in answered), clash)
    if clash is not None:
        raise InputError(f"The key or a column is called {clash!r}, which to_sql() needs itself. {NOT_WRITTEN}")
    # The rows go by their order, whatever their labels are.
    every = {**taken, **{str(name): values for name, values in answered.items()}}
    return pd.DataFrame({name: values.reset_index(drop=True) for name, values in every.items()})


def _check_attached(own_key: str | None, key: Hashable | None, columns: Sequence[Hashable]) -> None:
    """Refuse what needs the frame: a job attached later knows the names of its rows by its own key alone."""
    way_out = "Run the cell that submitted it again (nothing is bought twice), and use the job it gives."
    if own_key is None:
        raise InputError(f"This job has neither its frame nor a key, so its rows have no names. {way_out}")
    if key is not None and str(key) != own_key:
        raise InputError(f"key={key!r}: this job has no frame, only its own key {own_key!r}: leave key= out. {way_out}")
    if columns:
        raise InputError(f"columns={list(columns)!r}: this job has no frame to take them from. {way_out}")


def _key_label(frame: pd.DataFrame, own_key: str | None, key: Hashable | None) -> Hashable:
    if key is None and own_key is None:
        raise InputError(
            'Which row is which? Pass key=, the name of a column whose values name the rows, such as key="id". '
            f"(The index is no column: frame.reset_index() makes it one.) {NOT_WRITTEN}"
        )
    if key is not None:
        return key
    return next(label for label in frame.columns if str(label) == own_key)


def _column(frame: pd.DataFrame, label: Hashable) -> pd.Series[Any]:
    try:
        check_column(frame, label)
    except InputError as error:
        raise InputError(f"{str(error).removesuffix(NOT_SENT)}{NOT_WRITTEN}") from error
    return the_column(frame, label)


def _name(label: Hashable) -> str:
    """Return the name a table has for a column; labels of several levels are joined."""
    return "_".join(str(part) for part in label if not is_blank(part)) if isinstance(label, tuple) else str(label)


def _check_keys(values: pd.Series[Any], key: Hashable, frame: pd.DataFrame) -> None:
    missing = missing_places(values.tolist())
    if missing:
        raise InputError(f"key={key!r}: {_row(frame, missing[0])} has no key. {NOT_WRITTEN}")
    texts = pd.Series([str(value) for value in values.tolist()], dtype=object)
    twice = texts.duplicated().to_numpy()
    if twice.any():
        place = int(twice.argmax())
        first = int((texts == texts[place]).to_numpy().argmax())
        raise InputError(
            f"key={key!r}: {_row(frame, first)} and {_row(frame, place)} have the same key, {texts[place][:60]!r}; "
            f"keys must differ. {NOT_WRITTEN}"
        )


def _row(frame: pd.DataFrame, position: int) -> str:
    return f"row {position} (index {str(frame.index[position])[:60]!r})"


# Writing


def write(
    rows: pd.DataFrame,
    name: str,
    con: Engine | Connection | URL | str,
    *,
    schema: str | None,
    ready: Sequence[bool],
    job: str,
    provenance: Provenance,
) -> int:
    """Write rows into a table, over those of the same key, in one transaction. Touches the database; blocks.

    Parameters
    ----------
    rows : pandas.DataFrame
        As :func:`results` gives them.
    name : str
        The table.
    con : Engine, Connection, URL or str
        The database.
    schema : str or None
        The table's schema; None for the database's default.
    ready : sequence of bool
        Which rows to write; the others are only looked at for the types of a new table.
    job : str
        The job's id.
    provenance : Provenance
        Whether the simulator answered.

    Returns
    -------
    int
        The number of rows written.

    Raises
    ------
    InputError
        The table, or the database, does not fit. Nothing was written.
    """
    key = str(rows.columns[0])
    rows = rows.copy()
    rows[JOB], rows[SIMULATED] = pd.array([job] * len(rows), dtype="string"), provenance.simulated
    try:
        with _transaction(con) as connection:
            _check_names(connection, name, list(rows.columns))
            table = _table(connection, _quoted(name), None if schema is None else _quoted(schema), rows)
            _refuse_mixing(connection, table, provenance)
            written = _upsert(connection, table, key, rows[list(ready)])
            _refuse_merged_keys(connection, table, key, job, written)
            return written
    except SQLAlchemyError as error:
        error.add_note(f"Job {job}: to_sql() left table {name!r} as it was. Once this is settled, call it again.")
        raise


@contextmanager
def _transaction(con: Engine | Connection | URL | str) -> Iterator[Connection]:
    """Yield a connection in a transaction of ours; or, where the caller's own is given, in a savepoint of it."""
    with ExitStack() as stack:
        if isinstance(con, str | URL):
            con = _engine(con)
            stack.callback(con.dispose)
        if not isinstance(con, Engine | Connection):
            raise InputError(
                "con= takes a SQLAlchemy Engine or Connection, or a URL such as 'sqlite:///labels.db', not "
                f"{type(con).__name__}. {NOT_WRITTEN}"
            )
        if con.dialect.name not in DIALECTS:
            raise InputError(
                f"to_sql() writes to {' and '.join(DIALECTS)}, not to {con.dialect.name}. "
                f"For others: job.to_frame() and the database's own tools. {NOT_WRITTEN}"
            )
        if isinstance(con, Engine):
            con = stack.enter_context(con.begin())
        if _commits_every_statement(con):
            raise InputError(f"con= is in AUTOCOMMIT mode, so an error would leave half the rows. {NOT_WRITTEN}")
        if con.dialect.name == "sqlite":
            # Python's driver begins a transaction before an INSERT, not before a CREATE TABLE, and would take the end
            # of an outermost savepoint for a commit. This one, which only the transaction ends, prevents both.
            con.dialect.do_savepoint(con, "batchnb")
        stack.enter_context(con.begin_nested())
        yield con


def _engine(url: str | URL) -> Engine:
    try:
        return create_engine(url)
    except ModuleNotFoundError as error:
        raise InputError(
            f"The driver {error.name!r} is not installed: pip install it, or name another one in the URL, such as "
            f"postgresql+psycopg://. {NOT_WRITTEN}"
        ) from error
    except (ArgumentError, ValueError):
        # Neither the URL nor SQLAlchemy's words on it: there may be a password in them.
        raise InputError(
            "con= is no URL of a database; one looks like 'sqlite:///labels.db' or "
            f"'postgresql+psycopg://user@host/database'. {NOT_WRITTEN}"
        ) from None


def _commits_every_statement(con: Connection) -> bool:
    asked = con.get_execution_options().get("isolation_level")
    return asked == "AUTOCOMMIT" or getattr(con.connection.driver_connection, "autocommit", None) is True


def _check_names(con: Connection, table: str, columns: Sequence[str]) -> None:
    """Refuse names that the database would cut short, and then not find again, or take for one and the same."""
    longest = con.dialect.max_identifier_length
    for name in (table, *columns):
        if not isinstance(name, str) or not name or len(name.encode()) > longest:
            shown = repr(name) if len(repr(name)) <= LONGEST_SHOWN else f"{repr(name)[:LONGEST_SHOWN]}..."
            raise InputError(f"{shown} cannot be a name here: it takes 1 to {longest} bytes of text. {NOT_WRITTEN}")
    if con.dialect.name == "postgresql":
        return
    seen: dict[str, str] = {}
    for name in columns:
        same = seen.setdefault(name.lower(), name)
        if same != name:
            raise InputError(f"{same!r} and {name!r} are one name to this database: rename a column. {NOT_WRITTEN}")


def _quoted(name: str) -> quoted_name:
    """Have a name quoted always: SQLAlchemy does not know every word that some release of a database reserves."""
    return quoted_name(name, quote=True)


def _table(con: Connection, name: str, schema: str | None, rows: pd.DataFrame) -> Table:
    """Return the table that is there, after checking it, or make it."""
    key = str(rows.columns[0])
    if con.dialect.name == "postgresql":
        # One writer at a time: two cannot make the table, or fill it with simulated and real answers, at once.
        con.execute(select(func.pg_advisory_xact_lock(zlib.crc32(f"batchnb {name}".encode()) & 0x7FFF_FFFF)))
    if inspect(con).has_table(name, schema):
        return _existing_table(con, name, schema, rows)
    columns = [
        Column(
            _quoted(column), type_of(rows[column], key=column == key), primary_key=column == key, autoincrement=False
        )
        for column in rows.columns
    ]
    table = Table(name, MetaData(), *columns, schema=schema)
    table.create(con)
    return table


def _existing_table(con: Connection, name: str, schema: str | None, rows: pd.DataFrame) -> Table:
    key = str(rows.columns[0])
    table = Table(name, MetaData(), schema=schema, autoload_with=con, resolve_fks=False)
    lacking = [column for column in rows.columns if column not in table.columns]
    if lacking:
        raise InputError(
            f"Table {name!r} lacks the columns {', '.join(map(repr, lacking))}: add them, or name a table that is not "
            f"there yet, which is then made with all of them. {NOT_WRITTEN}"
        )
    if not any(columns == [key] for columns in _unique_columns(con, name, schema)):
        raise InputError(
            f"Table {name!r} has no primary key and no unique constraint on {key!r} alone, so that rows written twice "
            f"would be there twice. Add one, or name a table that is not there yet. {NOT_WRITTEN}"
        )
    for name_of_column in rows.columns:
        column = table.columns[name_of_column]
        column.name = _quoted(column.name)
        if isinstance(column.type, JSON):
            column.type.none_as_null = True  # a missing value is NULL, not JSON's null
    return table


def _unique_columns(con: Connection, name: str, schema: str | None) -> Iterator[list[str | None]]:
    """Yield the columns of each key that holds for all rows; indexes of some rows only, or of expressions, do not."""
    inspector = inspect(con)
    yield list(inspector.get_pk_constraint(name, schema)["constrained_columns"])
    for constraint in inspector.get_unique_constraints(name, schema):
        yield list(constraint["column_names"])
    for index in inspector.get_indexes(name, schema):
        partial = any(option.endswith("_where") for option in index.get("dialect_options", {}))
        if index["unique"] and not partial:
            yield list(index["column_names"])


def _refuse_mixing(con: Connection, table: Table, ours: Provenance) -> None:
    mark = table.columns[SIMULATED]
    if con.execute(select(mark).where(mark == (not ours.simulated)).limit(1)).first() is not None:
        theirs = Provenance.API if ours.simulated else Provenance.SIMULATOR
        raise InputError(
            f"Table {table.name!r} holds {theirs.word} answers, and this job's are {ours.word}: they never share a "
            f"table. Name another one. {NOT_WRITTEN}"
        )


def _upsert(con: Connection, table: Table, key: str, rows: pd.DataFrame) -> int:
    statement = _upsert_statement(con.dialect.name, table, key, [str(name) for name in rows.columns])
    kinds = {str(name): table.columns[name].type for name in rows.columns}
    values = {name: plain_values(rows[name], kind) for name, kind in kinds.items()}
    values[key] = [as_key(value, kinds[key], key) for value in values[key]]
    records = (dict(zip(values, record, strict=True)) for record in zip(*values.values(), strict=True))
    while chunk := list(itertools.islice(records, CHUNK)):
        con.execute(statement, chunk)
    return len(rows)


def _upsert_statement(dialect: str, table: Table, key: str, names: Sequence[str]) -> Any:
    """Build the statement that inserts a row, or replaces the other columns of the row of its key."""
    others = [name for name in names if name != key]
    statement: Any = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return statement.on_conflict_do_update(
        index_elements=[table.columns[key]], set_={name: statement.excluded[name] for name in others}
    )


def _refuse_merged_keys(con: Connection, table: Table, key: str, job: str, written: int) -> None:
    """Refuse keys that differ here and not in the table, where case or accents may count for nothing."""
    counted = select(func.count()).select_from(table).where(table.columns[JOB] == job)
    if con.execute(counted).scalar_one() < written:
        raise InputError(
            f"Some keys that differ in the job are the same to column {key!r} of table {table.name!r}, as 'A' and 'a' "
            f"are where case does not count. Make the column strict, or take another key. {NOT_WRITTEN}"
        )
