"""Tables of a test's database: made, listed and read."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

#: What every table has beside the key and the job's own columns.
MARKS = ["batchnb_job", "batchnb_simulated"]


def contents(engine: sa.Engine, table: str, schema: str | None = None) -> list[tuple[Any, ...]]:
    """Read a whole table, in no order."""
    known = sa.Table(sa.quoted_name(table, True), sa.MetaData(), autoload_with=engine, schema=schema)
    for column in known.columns:
        column.name = sa.quoted_name(column.name, True)
    with engine.connect() as connection:
        return sorted((tuple(row) for row in connection.execute(sa.select(known))), key=str)


def columns(engine: sa.Engine, table: str) -> dict[str, Any]:
    return {column["name"]: column["type"] for column in sa.inspect(engine).get_columns(table)}


def tables(engine: sa.Engine) -> list[str]:
    return sa.inspect(engine).get_table_names()


def made(engine: sa.Engine, *extra: sa.schema.SchemaItem, key: sa.Column[Any] | None = None, name: str = "t") -> None:
    """Make a table as a user would, with all columns of a labelling job."""
    key = sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False) if key is None else key
    texts = [sa.Column(column, sa.Text) for column in ("label", "label_status", "label_error", "batchnb_job")]
    sa.Table(name, sa.MetaData(), key, *texts, sa.Column("batchnb_simulated", sa.Boolean), *extra).create(engine)
