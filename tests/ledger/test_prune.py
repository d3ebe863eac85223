"""Jobs that ended long ago, the answers that others have, and the space on the disk."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from bench import Bench, outcomes

import batchnb
from batchnb.errors import InputError

pytest_plugins = ["bench_fixtures"]

LONG = "x" * 2_000


def texts(many: int, start: int = 0) -> list[str]:
    return [f"{number} {LONG}" for number in range(start, start + many)]


def ended(bench: Bench, *of: str, days_ago: float = 0.0) -> batchnb.Job:
    job = bench.submit(list(of))
    job.result(60)
    with sqlite3.connect(bench.workspace.session.ledger.path) as db:
        seconds = days_ago * 86_400
        db.execute("UPDATE jobs SET ended_at = ended_at - ? WHERE id = ?", (seconds, job.id))
        db.execute(
            "UPDATE batches SET created_at = created_at - ?, ended_at = ended_at - ? WHERE id IN"
            " (SELECT batch FROM job_batches JOIN jobs ON number = job WHERE jobs.id = ?)",
            (seconds, seconds, job.id),
        )
    db.close()
    return job


def size(bench: Bench) -> int:
    path = bench.workspace.session.ledger.path
    return sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*"))


@pytest.mark.parametrize("age", ["90d", timedelta(days=90), 90, 90.0])
def test_jobs_go_by_their_age_with_the_answers_no_other_job_has(bench: Bench, age: object):
    old = ended(bench, "a", "b", days_ago=100)
    new = ended(bench, "b", "c", days_ago=10)
    planned = batchnb.prune(age, dry_run=True, workspace=bench.workspace)
    assert planned["id"].tolist() == [old.id]
    assert len(bench.workspace.jobs()) == 2
    removed = batchnb.prune(age, workspace=bench.workspace)
    pd.testing.assert_frame_equal(removed, planned)
    assert bench.workspace.jobs().to_frame()["id"].tolist() == [new.id]
    assert outcomes(new.to_frame()) == {"succeeded": 2}
    before = sum(bench.server.asked.values())
    bench.submit(["a", "b", "c"]).result(60)
    assert sum(bench.server.asked.values()) == before + 1, "only what was removed is asked again"


def test_what_waits_is_kept_whatever_its_age(bench: Bench):
    job = ended(bench, "a", days_ago=100)
    with sqlite3.connect(bench.workspace.session.ledger.path) as db:
        db.execute("DELETE FROM answers")
        db.execute("UPDATE batches SET state = 'lost'")
    db.close()
    assert batchnb.prune(0, workspace=bench.workspace).empty
    assert bench.workspace.jobs().to_frame()["id"].tolist() == [job.id]


@pytest.mark.parametrize("age", ["yesterday", -1, None, True, "NaT", float("nan")])
def test_what_is_no_age_removes_nothing(bench: Bench, age: object):
    ended(bench, "a", days_ago=100)
    with pytest.raises(InputError, match="older_than"):
        batchnb.prune(age, workspace=bench.workspace)  # type: ignore[arg-type]
    assert len(bench.workspace.jobs()) == 1


def test_the_space_goes_back_to_the_disk(bench: Bench):
    ended(bench, "kept")
    small = size(bench)
    ended(bench, *texts(2_000), days_ago=100)
    large = size(bench)
    assert large > 4_000_000
    batchnb.prune("90d", workspace=bench.workspace)
    assert size(bench) < small + 300_000
    assert bench.submit(["kept"]).result(60)["echo_status"].tolist() == ["succeeded"]


def test_deleting_a_job_gives_its_space_back_too(bench: Bench):
    job = ended(bench, *texts(2_000))
    large = size(bench)
    job.delete()
    assert size(bench) < large / 4


def test_another_process_that_reads_is_not_disturbed_and_space_is_given_back_later(bench: Bench, tmp_path: Path):
    ended(bench, *texts(1_500), days_ago=100)
    ended(bench, *texts(1_500, 5_000), days_ago=50)
    reading = f"""
import sqlite3, sys
db = sqlite3.connect({str(bench.workspace.session.ledger.path)!r}, isolation_level=None)
db.execute("BEGIN")
count = db.execute("SELECT COUNT(*) FROM contents").fetchone()
print(count[0], flush=True)
sys.stdin.readline()
print(db.execute("SELECT COUNT(*) FROM contents").fetchone()[0], flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", reading], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "3000\n"
        assert len(batchnb.prune("90d", workspace=bench.workspace)) == 1
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "3000\n", "it goes on with what it began to read"
    large = size(bench)
    assert len(batchnb.prune("40d", workspace=bench.workspace)) == 1
    assert size(bench) < large / 4
