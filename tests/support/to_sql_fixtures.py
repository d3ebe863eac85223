"""The fixtures of the tests of ``job.to_sql``: ``pytest_plugins = ["to_sql_fixtures"]`` brings them into a module."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from postgres import emptied, find_binaries, serve_postgres

from batchnb import Job, Workspace


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The folder of a PostgreSQL server; a test that asks for it is skipped where there is none, except in CI."""
    binaries = find_binaries()
    if binaries is None:
        missing = "no PostgreSQL (on Debian: apt-get install postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with serve_postgres(binaries) as folder:
        yield folder


@pytest.fixture
def postgres_engine(postgres: str) -> Iterator[sa.Engine]:
    """An empty database on PostgreSQL."""
    opened = sa.create_engine(emptied(postgres))
    yield opened
    opened.dispose()


@pytest.fixture
def sqlite_engine(tmp_path: Path) -> Iterator[sa.Engine]:
    """An empty SQLite file."""
    opened = sa.create_engine(f"sqlite:///{tmp_path / 'labels.db'}")
    yield opened
    opened.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> sa.Engine:
    """An empty database of each kind."""
    return request.getfixturevalue(f"{request.param}_engine")


@pytest.fixture
def frame() -> pd.DataFrame:
    """Four rows, the third of which is skipped, under an index that says nothing."""
    reviews = ["good food", "bad service", None, "good and bad"]
    return pd.DataFrame({"id": [11, 12, 13, 14], "review": reviews, "stars": [5, 1, 3, 3]}, index=[7, 7, 8, 8])


@pytest.fixture
def submit(workspace: Workspace) -> Callable[..., Job]:
    """Label a frame on the simulator, and wait for the end."""

    def submit_and_wait(frame: pd.DataFrame, **options: Any) -> Job:
        options = {"labels": ["positive", "negative"], "into": "label", "workspace": workspace, **options}
        job = frame.batch.submit("review", "Sentiment: {review}", progress=False, **options)
        assert job.wait(60)
        return job

    return submit_and_wait
