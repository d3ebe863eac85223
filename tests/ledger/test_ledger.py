"""The ledger: its file, its transactions, and what it records of jobs, claims and answers."""

from __future__ import annotations

import base64
import hashlib
import random
import sqlite3
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anthropic
import independent
import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_rows import BYTES, ENVELOPE, RECIPE, SCOPE, answer, claim, create, digest_of, lost, rows, send

from batchnb import JobNotFoundError, LedgerError, Workspace
from batchnb.answers.judge import RETRYABLE_ERRORS, refused_result
from batchnb.ledger import claims
from batchnb.ledger.claims import Wish
from batchnb.ledger.fragments import LONGEST
from batchnb.ledger.jobs import NewJob
from batchnb.ledger.ledger import Ledger
from batchnb.ledger.migrations import STEPS
from batchnb.ledger.retries import RELEASES
from batchnb.ledger.store import Store
from batchnb.ledger.write_rows import ForgottenError, runs_of
from batchnb.questions.bodies import custom_id, digest_in, join_items
from batchnb.questions.envelope import content_of
from batchnb.questions.replies.base import TextReply
from batchnb.questions.rows import Row, in_parts


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    opened = Ledger(home, SCOPE)
    yield opened
    opened.close()


def asked(ledger: Ledger, batch: int) -> list[bytes]:
    return [digest for _, digest, *_ in ledger.batches.items(batch)]


def results_of(ledger: Ledger, job: int) -> list[bytes | None]:
    return [row.result for row in ledger.rows.answers(job)]


# The file


def test_every_file_is_0600_and_every_folder_0700(ledger, home):
    send(ledger, create(ledger, "a", "b"))
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [home, *home.rglob("*")]}
    assert {path.suffix for path in modes if path.is_file()} >= {".sqlite", ".sqlite-wal", ".sqlite-shm", ".lock"}
    wrong = {str(path): oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)}
    assert wrong == {}


def test_a_new_file_has_the_version_of_the_last_migration(ledger):
    db = sqlite3.connect(ledger.path)
    assert db.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


def test_a_migration_is_applied_once_and_keeps_what_is_there(ledger, home, monkeypatch):
    create(ledger, "a")
    step = "ALTER TABLE jobs ADD COLUMN colour TEXT;\nUPDATE jobs SET colour = 'blue';\n"
    monkeypatch.setattr("batchnb.ledger.store.STEPS", (*STEPS, step))
    for _ in range(2):
        migrated = Ledger(home, SCOPE)
        assert migrated.jobs.get("job_1").rows == 1
        with migrated._store.read() as db:
            assert db.execute("SELECT colour FROM jobs").fetchall() == [("blue",)]
            assert db.execute("PRAGMA user_version").fetchone() == (len(STEPS) + 1,)
        migrated.close()


def test_a_migration_that_fails_changes_nothing(ledger, home, monkeypatch):
    create(ledger, "a")
    monkeypatch.setattr(
        "batchnb.ledger.store.STEPS", (*STEPS, "CREATE TABLE extra (a);\nINSERT INTO nowhere VALUES (1);\n")
    )
    with pytest.raises(LedgerError, match="nowhere"):
        Ledger(home, SCOPE)
    with ledger._store.read() as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
        assert db.execute("SELECT name FROM sqlite_master WHERE name = 'extra'").fetchall() == []


def test_a_ledger_of_a_newer_version_is_refused_and_left_as_it_is(home):
    made = Ledger(home, SCOPE)
    with made._store.transaction() as db:
        db.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    made.close()
    before = made.path.read_bytes()
    with pytest.raises(LedgerError, match=r"newer batchnb.*Nothing was changed.*pip install --upgrade batchnb"):
        Ledger(home, SCOPE)
    assert made.path.read_bytes() == before


def test_a_file_that_is_no_ledger_is_refused_and_left_as_it_is(home):
    made = Ledger(home, SCOPE)
    made.close()
    made.path.write_bytes(b"These are somebody's notes.\n" * 100)
    with pytest.raises(LedgerError, match="not a ledger, or is damaged") as raised:
        Ledger(home, SCOPE)
    assert str(made.path) in str(raised.value)
    assert made.path.read_bytes() == b"These are somebody's notes.\n" * 100


def test_a_damaged_ledger_is_a_clear_error(home):
    made = Ledger(home, SCOPE)
    create(made, *(f"text {i} " * 50 for i in range(200)))
    made.close()
    whole = made.path.read_bytes()
    made.path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(LedgerError, match="damaged"):  # noqa: PT012  # where it shows is SQLite's affair
        opened = Ledger(home, SCOPE)
        try:
            list(opened.rows.answers(1))
        finally:
            opened.close()


def test_a_folder_where_the_file_should_be_is_a_clear_error(home):
    made = Ledger(home, SCOPE)
    made.close()
    made.path.unlink()
    made.path.mkdir()
    with pytest.raises(LedgerError, match="cannot be opened") as raised:
        Ledger(home, SCOPE)
    assert str(made.path) in str(raised.value)


def test_a_home_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError, match="Set BATCHNB_HOME"):
        Ledger(tmp_path / "file" / "home", SCOPE)


def test_each_scope_has_a_file_of_its_own(home):
    ledgers = [Ledger(home, scope) for scope in ("https://a.example", "https://a.example/b", "simulator:1")]
    assert len({ledger.path for ledger in ledgers}) == 3
    for ledger in ledgers:
        ledger.close()


def test_a_file_of_another_scope_is_refused(ledger):
    with pytest.raises(LedgerError, match=f"keeps answers of '{SCOPE}', not of 'simulator:1'"):
        Store(ledger.path, {"scope": "simulator:1"})


def test_a_transaction_that_fails_changes_nothing(ledger):
    with pytest.raises(RuntimeError, match="half way"), ledger._store.transaction():  # noqa: PT012
        create(ledger, "a")
        raise RuntimeError("half way")
    assert ledger.jobs.all() == []
    assert list(ledger.jobs.unsent([digest_of("a")])) == [digest_of("a")]
    create(ledger, "a")
    assert ledger.jobs.get("job_1").rows == 1


def test_a_row_that_cannot_be_read_leaves_no_half_a_job(ledger):
    def failing() -> Iterator[Row]:
        yield from rows(*(f"{i}" for i in range(6_000)))  # more than one chunk
        raise ValueError("row 6000")

    job = NewJob("job_1", "n", RECIPE, ((ENVELOPE, (), TextReply().spec()),), 10, BYTES, 1)
    with pytest.raises(ValueError, match="row 6000"):
        ledger.jobs.create(job, in_parts(failing(), 500), 1.0)
    assert ledger.jobs.find("job_1") is None
    assert list(ledger.jobs.unsent([digest_of("0")])) == [digest_of("0")]


# Jobs


def test_creating_a_job_again_gives_the_one_that_is_there(ledger):
    first = create(ledger, "a", None, "b")
    assert create(ledger, "something", "else") == first
    assert ledger.tallies.of_job(first).outcomes == {"pending": 2, "skipped": 1}
    assert len(ledger.jobs.all()) == 1


def test_a_job_that_is_not_there_is_a_clear_error(ledger):
    with pytest.raises(JobNotFoundError, match=r"no job 'job_9'.*batchnb\.jobs\(\)") as raised:
        ledger.jobs.get("job_9")
    assert str(raised.value).startswith("There is no job")


def test_duplicates_are_asked_once_and_every_row_gets_the_answer(ledger):
    job = create(ledger, "a", "b", "a", "a")
    batch = send(ledger, job)
    assert sorted(asked(ledger, batch)) == sorted([digest_of("a"), digest_of("b")])
    ledger.batches.record(batch, [answer("a", result=b'"A"'), answer("b", result=b'"B"')])
    assert results_of(ledger, job) == [b'"A"', b'"B"', b'"A"', b'"A"']
    assert ledger.jobs.by_number(job).reused == 2


def test_a_question_of_an_earlier_job_is_not_asked_again(ledger):
    first = create(ledger, "a", "b")
    batch = send(ledger, first)
    ledger.batches.record(batch, [answer("a"), answer("b")])
    second = create(ledger, "b", "c", id="job_2")
    assert ledger.jobs.by_number(second).reused == 1
    assert asked(ledger, send(ledger, second, "msgbatch_2")) == [digest_of("c")]


def test_rows_are_read_back_in_the_order_of_the_frame_across_chunks(ledger):
    texts = [str(i) for i in range(5_001)]
    job = create(ledger, *texts)
    assert [row.digest for row in ledger.rows.answers(job)] == [digest_of(text) for text in texts]
    assert [row.position for row in ledger.rows.answers(job)] == list(range(5_001))


def test_usage_counts_an_answer_for_several_rows_once(ledger):
    job = create(ledger, "a", "a", "b")
    batch = send(ledger, job)
    ledger.batches.record(batch, [answer("a"), answer("b")])
    (line,) = ledger.tallies.of_job(job).lines
    assert (line.usage.input_tokens, line.usage.output_tokens, line.usage.requests) == (6, 4, 2)


# Claims


def test_a_claim_takes_each_request_once(ledger):
    job = create(ledger, "a", "b", "c")
    taken = [claim(ledger, job, max_requests=2) for _ in range(3)]
    assert [batch and batch.requests for batch in taken] == [2, 1, None]
    assert asked(ledger, 1) + asked(ledger, 2) == [digest_of(text) for text in "abc"]
    assert ledger.rows.count_unsent(job) == 0


def test_two_processes_share_the_requests_of_one_job_without_overlap(home):
    ledgers = [Ledger(home, SCOPE) for _ in range(2)]
    texts = [str(i) for i in range(120)]
    for one in ledgers:
        create(one, *texts)
    start = threading.Barrier(4)
    taken: list[bytes] = []

    def work(own: Ledger) -> None:
        start.wait()
        while (batch := claim(own, 1, max_requests=7)) is not None:
            assert batch.owner == own.owner.name
            taken.extend(asked(own, batch.id))

    threads = [threading.Thread(target=work, args=(own,)) for own in ledgers * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in ledgers:
        one.close()
    assert len(taken) == 120
    assert set(taken) == {digest_of(text) for text in texts}


def test_a_claim_stays_within_the_bytes_of_a_body_and_takes_at_least_one(ledger):
    job = create(ledger, "x" * 500, *("y" * 100 + str(i) for i in range(20)))
    sizes, counts = [], []
    while (batch := claim(ledger, job, max_bytes=1_000)) is not None:
        body = join_items(ledger.batches.items(batch.id))
        sizes.append(len(body))
        counts.append(batch.requests)
        assert len(body) <= batch.bytes <= len(body) + 1  # the comma after the last item
    assert sum(counts) == 21
    assert all(size <= 1_000 for size in sizes)
    assert len(sizes) > 3
    other = create(ledger, "z" * 5_000, id="job_2")
    assert claim(ledger, other, max_bytes=1_000).requests == 1


def test_what_is_sent_of_a_claim_is_what_was_asked(ledger):
    batch = send(ledger, create(ledger, "a", "b"))
    for label, digest, head, content, tail in ledger.batches.items(batch):
        params = msgspec.json.decode(head + content + tail)
        assert digest == ENVELOPE.digest(content_of(params["messages"][0]["content"]))
        assert digest_in(custom_id(label, digest)) == digest


# Answers


def test_recording_answers_twice_changes_nothing(ledger):
    job = create(ledger, "a", "b")
    batch = send(ledger, job)
    answers = [answer("a", result=b'"A"'), answer("b", "errored", "api_error", b'"E"')]
    for _ in range(2):
        ledger.batches.record(batch, answers)
        assert results_of(ledger, job) == [b'"A"', b'"E"']
        assert ledger.tallies.of_job(job).outcomes == {"errored": 1, "succeeded": 1}
        assert ledger.tallies.of_job(job).lines[0].usage.requests == 2


@pytest.mark.parametrize("paid", ["succeeded", "invalid"])
@pytest.mark.parametrize("later", ["succeeded", "errored", "expired", "canceled", "missing", "invalid"])
def test_a_paid_answer_is_never_overwritten(ledger, paid, later):
    job = create(ledger, "a")
    batch = send(ledger, job)
    ledger.batches.record(batch, [answer("a", paid, result=b'"paid"')])
    ledger.batches.record(batch, [answer("a", later, "api_error", b'"later"')])
    assert results_of(ledger, job) == [b'"paid"']
    ledger.batches.collected(batch)
    assert results_of(ledger, job) == [b'"paid"']
    assert ledger.jobs.release(job, "all") == 0


def test_a_paid_answer_replaces_a_failure(ledger):
    job = create(ledger, "a")
    batch = send(ledger, job)
    ledger.batches.record(batch, [answer("a", "errored", "api_error")])
    ledger.batches.record(batch, [answer("a", result=b'"paid"')])
    assert results_of(ledger, job) == [b'"paid"']


def test_answers_that_belong_to_another_batch_are_not_taken(ledger):
    job = create(ledger, "a", "b")
    first = claim(ledger, job, max_requests=1)
    second = claim(ledger, job, max_requests=1)
    ledger.batches.accepted(first.id, "msgbatch_1", times={})
    ledger.batches.record(first.id, [answer("a"), answer("b")])
    assert ledger.tallies.of_job(job).outcomes == {"pending": 1, "succeeded": 1}
    assert ledger.batches.unanswered(second.id) == 1


def test_requests_without_a_result_are_missing_once_the_batch_is_collected(ledger):
    job = create(ledger, "a", "b")
    batch = send(ledger, job)
    ledger.batches.record(batch, [answer("a")])
    for _ in range(2):
        ledger.batches.collected(batch)
        assert ledger.tallies.of_job(job).outcomes == {"missing": 1, "succeeded": 1}


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "killed before it was closed"])
@pytest.mark.parametrize(("retries", "rule"), [(1, "auto"), (0, "retry")])
def test_what_failed_in_the_last_batch_is_asked_again_before_the_job_ends(ledger, closed, retries, rule):
    """Another thread may have read it at the very moment when the job was looked at."""
    job = create(ledger, "a", "b", retries=retries)
    batch = send(ledger, job)
    assert ledger.jobs.release(job, "auto") == 0
    ledger.batches.record(batch, [answer("a"), answer("b", "errored", "api_error")])
    if closed:
        ledger.batches.collected(batch, whole=True)
    assert ledger.jobs.settle(job, 2.0) is (retries == 0)
    assert ledger.batches.get(batch).state == "collected"
    assert ledger.jobs.release(job, rule) == 1
    assert ledger.rows.count_unsent(job) == 1


def test_who_has_rows_in_a_lost_batch_that_a_process_still_reads_waits_again(ledger):
    """As hypothesis found it: a process with another workspace's key had set it aside."""
    first, second = create(ledger, "a", "b"), create(ledger, "b", id="job_2")
    batch = lost(ledger, first)
    ledger.decisions.cancel(first)
    for job in (first, second):
        assert ledger.jobs.settle(job, 2.0)
    ledger.batches.checked(batch, state="in_progress", counts={}, times={}, now=3.0)
    assert [ledger.jobs.by_number(job).state for job in (first, second)] == ["canceling", "open"]
    assert not ledger.jobs.settle(second, 4.0)


def test_a_job_ends_when_no_row_waits(ledger):
    job = create(ledger, "a", None)
    assert ledger.jobs.settle(job, 2.0) is False
    batch = send(ledger, job)
    assert ledger.jobs.settle(job, 2.0) is False
    ledger.batches.record(batch, [answer("a")])
    assert ledger.jobs.settle(job, 3.0) is True
    assert ledger.jobs.settle(job, 4.0) is True
    assert (ledger.jobs.by_number(job).state, ledger.jobs.by_number(job).ended_at) == ("ended", 3.0)


# What may be asked again

FAILURES = [
    *(("errored", error) for error in sorted(RETRYABLE_ERRORS)),
    ("errored", "invalid_request_error"), ("errored", "billing_error"), ("errored", "unknown_result"),
    ("expired", "expired"), ("canceled", "canceled"), ("missing", "missing"),
    ("succeeded", None), ("invalid", "refusal"), ("invalid", "invalid_request_error"),
]  # fmt: skip
BY_ITSELF = {("errored", error) for error in RETRYABLE_ERRORS} | {("expired", "expired")}
UNPAID = {failure for failure in FAILURES if failure[0] not in ("succeeded", "invalid")}
RELEASED = {
    "auto": BY_ITSELF,
    "canceled": set(),
    "run": set(),
    "retry": UNPAID - {("errored", "invalid_request_error")},
    "all": UNPAID,
}


@pytest.mark.parametrize("rule", RELEASES)
@pytest.mark.parametrize(("outcome", "error"), FAILURES)
def test_each_rule_releases_what_it_should_of_a_collected_batch(ledger, rule, outcome, error):
    job = create(ledger, "a")
    batch = send(ledger, job)
    ledger.batches.record(batch, [answer("a", outcome, error)])
    assert ledger.jobs.release(job, rule) == 0, "its results are still being read"
    ledger.batches.collected(batch)
    by_itself = (outcome, error) in RELEASED["auto"]
    assert ledger.jobs.settle(job, 2.0) is not by_itself
    released = (outcome, error) in RELEASED[rule]
    assert ledger.jobs.release(job, rule) == released
    assert ledger.rows.count_unsent(job) == released
    assert ledger.jobs.by_number(job).state == ("open" if released or by_itself else "ended")


def test_what_would_be_sent_is_found_whatever_stands_beside_it(ledger):
    job = create(ledger, *"abcdefghij")
    send(ledger, create(ledger, *"abcde", id="job_sent"))
    ledger.batches.record(1, [answer("a"), answer("b", "errored", "api_error")])
    refused = create(ledger, *"fg", id="job_refused")
    ledger.batches.refuse(claim(ledger, refused).id, error_type="billing_error", message="No.")
    wrong = create(ledger, "h", id="job_wrong")
    ledger.batches.refuse(claim(ledger, wrong).id, error_type="invalid_request_error", message="No.")
    for record in (None, ledger.jobs.by_number(job)):
        unsent = {text for text in "abcdefghijkl" if list(ledger.jobs.unsent([digest_of(text)], record))}
        assert unsent >= set("fgijkl")
        assert not unsent & set("abcdeh")
        chosen = random.Random(7)
        for _ in range(200):
            texts = chosen.sample("abcdefghijkl", chosen.randint(0, 12))
            found = list(ledger.jobs.unsent([digest_of(text) for text in texts], record))
            assert found == [digest_of(text) for text in texts if text in unsent]
        assert list(ledger.jobs.unsent(map(digest_of, "abcdefghij"), record)) == list(map(digest_of, "fgij"))


def test_of_a_job_that_has_all_its_answers_nothing_is_unsent(ledger):
    job = create(ledger, *"abc")
    batch = send(ledger, job)
    ledger.batches.record(batch, [answer(text) for text in "abc"])
    ledger.batches.collected(batch)
    record = ledger.jobs.by_number(job)
    assert list(ledger.jobs.unsent(map(digest_of, "abc"), record)) == []
    ledger.jobs.release(job, "all")
    assert list(ledger.jobs.unsent(map(digest_of, "abc"), record)) == []


@pytest.mark.parametrize("mark", [0, 96])
@pytest.mark.parametrize("texts", ["abcdefgh", "abca", "ab"], ids=["distinct", "repeated", "few"])
def test_a_batch_takes_the_same_be_it_looked_at_as_a_whole_or_row_by_row(ledger, texts, mark):
    job = create(ledger, *texts)
    for most in (1, 3, len(set(texts)), 100):
        with ledger._store.read() as db:
            wish = Wish(most, BYTES, mark)
            whole = claims.select(db, job, wish)
            assert whole == claims.select(db, job, wish._replace(fits=lambda *_: True))
            assert claims.select(db, job, wish._replace(max_bytes=whole.size)) == whole
            assert claims.select(db, job, wish._replace(max_bytes=whole.size - 1)).requests == max(
                1, whole.requests - 1
            )
            assert claims.select(db, job, wish._replace(without=(1,))).requests == 0


@pytest.mark.parametrize(
    ("error", "rules"),
    [("authentication_error", {"canceled", "run", "retry", "all"}),
     ("billing_error", {"canceled", "run", "retry", "all"}),
     ("invalid_request_error", {"all"}), ("rate_limit_error", {"auto", "canceled", "run", "retry", "all"})],
)  # fmt: skip
def test_what_no_batch_ever_held_is_asked_again_by_running_the_cell_again(ledger, error, rules):
    for number, rule in enumerate(RELEASES):
        text = f"text {number}"
        job = create(ledger, text, id=f"job_{number}")
        batch = claim(ledger, job)
        ledger.batches.refuse(batch.id, error_type=error, message="No.")
        assert ledger.tallies.of_job(job).outcomes == {"errored": 1}
        assert list(ledger.jobs.unsent([digest_of(text)])) == ([digest_of(text)] if "run" in rules else [])
        assert ledger.jobs.release(job, rule) == (rule in rules)
        assert results_of(ledger, job) == [None if rule in rules else refused_result(error, "No.")]


def test_a_row_is_asked_again_by_itself_as_often_as_the_job_allows(ledger):
    job = create(ledger, "a", retries=2)
    for attempt in range(3):
        batch = send(ledger, job, f"msgbatch_{attempt}")
        ledger.batches.record(batch, [answer("a", "errored", "overloaded_error")])
        ledger.batches.collected(batch)
        assert ledger.jobs.release(job, "auto") == (attempt < 2)


# Deciding about rows whose batch could not be found


@pytest.mark.parametrize("send_again", [True, False])
def test_a_job_that_had_ended_before_another_sent_its_rows_decides_about_them_too(ledger, send_again):
    first = create(ledger, "a")
    ledger.decisions.cancel(first)
    ledger.jobs.settle(first, 2.0)
    second = create(ledger, "a", id="job_2")
    ledger.jobs.release(second, "run")
    lost(ledger, second)
    assert ledger.decisions.resolve(first, send=send_again) == 1
    assert ledger.jobs.by_number(first).state == ("open" if send_again else "canceling")  # it wants nothing more
    assert ledger.tallies.of_job(first).outcomes == ({"pending": 1} if send_again else {"missing": 1})


def test_sending_a_lost_batch_again_leaves_the_rows_of_another_job_to_its_own_decision(ledger):
    first, second = create(ledger, "a", "b"), create(ledger, "b", id="job_2")
    batch = lost(ledger, first)
    for job in (first, second):
        assert ledger.jobs.settle(job, 2.0)
    assert ledger.decisions.resolve(second, send=True) == 1
    assert [ledger.rows.count_unsent(job) for job in (first, second)] == [1, 1]
    assert asked(ledger, batch) == [digest_of("a")]
    assert ledger.batches.get(batch).state == "lost"
    assert ledger.decisions.resolve(first, send=True) == 1
    assert ledger.batches.get(batch).state == "refused"
    assert ledger.rows.count_unsent(first) == 2


def test_what_was_read_of_a_batch_before_it_was_lost_is_kept_and_can_be_retried(ledger):
    job = create(ledger, "a", "b", "c")
    batch = send(ledger, job)
    ledger.batches.record(batch, [answer("a"), answer("b", "errored", "billing_error")])
    ledger.batches.lose(batch, "gone")
    assert ledger.decisions.resolve(job, send=True) == 1, "the one without an answer"
    assert ledger.tallies.of_job(job).outcomes == {"succeeded": 1, "errored": 1, "pending": 1}
    assert ledger.rows.count_unsent(job) == 1
    assert ledger.jobs.release(job, "retry") == 1


# Deleting


def test_what_failed_can_be_asked_again_where_the_rest_of_its_lost_batch_was_deleted(ledger):
    first, second = create(ledger, "a", "b"), create(ledger, "a", id="job_2")
    batch = send(ledger, first)
    ledger.batches.record(batch, [answer("a", "errored", "api_error")])
    ledger.batches.lose(batch, "gone")
    assert ledger.jobs.settle(first, 2.0)
    assert ledger.jobs.settle(second, 2.0)
    ledger.jobs.delete(first)
    assert ledger.batches.get(batch).state == "collected"
    assert ledger.jobs.release(second, "retry") == 1


def test_deleting_a_job_keeps_the_answers_another_job_has(ledger):
    first, second = create(ledger, "a", "b"), create(ledger, "b", "c", id="job_2")
    batch = send(ledger, first)
    ledger.batches.record(batch, [answer("a", result=b'"A"'), answer("b", result=b'"B"')])
    ledger.jobs.settle(first, 2.0)
    ledger.jobs.delete(first)
    assert ledger.jobs.find("job_1") is None
    assert results_of(ledger, second) == [b'"B"', None]
    assert list(ledger.jobs.unsent([digest_of("a"), digest_of("b")])) == [digest_of("a")]
    assert ledger.batches.known_server_ids() == {"msgbatch_1"}


def test_deleting_the_last_job_leaves_nothing_of_its_texts(ledger, home):
    job = create(ledger, "a recognisable text")
    batch = send(ledger, job)
    ledger.batches.record(batch, [answer("a recognisable text", result=b'"a recognisable answer"')])
    ledger.batches.collected(batch)
    ledger.jobs.settle(job, 2.0)
    ledger.jobs.delete(job)
    with ledger._store.read() as db:
        counts = {
            table: db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
            for table in ("jobs", "job_rows", "job_batches", "requests", "answers")
        }
    assert set(counts.values()) == {0}, counts
    assert ledger.batches.known_server_ids() == {"msgbatch_1"}, "it must never be taken for a batch yet to be found"


# Secrets


def test_no_key_is_in_any_file_of_the_ledger_nor_in_what_is_shown(home, capsys):
    key = "sk-ant-recognisable-0123456789-secret"
    with independent.Server() as server, anthropic.Anthropic(api_key=key, base_url=server.url) as client:
        workspace = Workspace(client, home=home, max_poll=0.1)
        server.faults["create"] += [independent.Status(401)]
        frame = pd.DataFrame({"text": ["a recognisable text", "another"]})
        job = frame.batch.submit("text", workspace=workspace)
        refused = job.result(timeout=60)
        job.retry()
        assert job.result(timeout=60)["text_reply"].tolist() == frame["text"].tolist()
        api = workspace.session.api
        shown = "".join(map(repr, (job, job.batches, job.errors(), refused.to_csv(), workspace.jobs(), api)))
        shown += "".join(capsys.readouterr())
        files = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
        workspace.close()
    files += [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert key in server.keys, "the key was in use, and the search below means something"
    written = b"".join(files)
    assert b"a recognisable text" in written
    for secret in (key, key[-12:], base64.b64encode(key.encode()).decode(), hashlib.sha256(key.encode()).hexdigest()):
        assert secret.encode() not in written
        assert secret not in shown


# Reading what belongs together


def test_what_is_read_together_is_of_one_moment(home: Path, ledger: Ledger):
    job = create(ledger, "a", "b")
    other = Ledger(home, SCOPE)
    with ledger.consistently():
        assert ledger.batches.of_job(job) == []
        send(other, job)  # by another process, between two readings
        assert ledger.batches.of_job(job) == []
        assert ledger.rows.count_unsent(job) == 2
    assert ledger.rows.count_unsent(job) == 0
    other.close()


# Runs


@given(st.lists(st.one_of(st.none(), st.integers(1, 30)), max_size=60), st.integers(0, 20))
def test_rows_put_together_in_runs_are_the_same_rows(requests: list[int | None], start: int):
    notes = [None if request else f"note {place}" for place, request in enumerate(requests)]
    runs = list(runs_of(requests, notes, start))
    rows = [
        (position + step, request and request + step, note)
        for position, length, request, note in runs
        for step in range(length)
    ]
    assert rows == [(start + place, request, notes[place]) for place, request in enumerate(requests)]
    following = list(range(5, 5 + 2 * LONGEST))
    assert [length for _, length, *_ in runs_of(following, [None] * len(following), 0)] == [LONGEST, LONGEST]


def test_a_job_of_the_same_rows_in_another_order_gets_the_same_answers(ledger: Ledger):
    texts = [f"text {number}" for number in range(50)]
    first = create(ledger, *texts)
    batch = send(ledger, first)
    ledger.batches.record(batch, [answer(text, result=text.encode()) for text in texts])
    shuffled = [*texts[10:], None, *texts[:10], "text 3", "new"]
    second = create(ledger, *shuffled, id="job_2")
    assert results_of(ledger, second) == [None if text in (None, "new") else text.encode() for text in shuffled]
    assert ledger.tallies.of_job(second).outcomes == {"succeeded": 51, "skipped": 1, "pending": 1}
    assert ledger.tallies.of_job(second).lines[0].usage.requests == 50
    assert ledger.jobs.by_number(second).reused == 51


def test_a_row_without_its_content_is_refused_where_the_question_is_not_known(ledger: Ledger):
    first = create(ledger, "a")
    known, unknown = ({"digest": digest_of(text)} for text in "ab")
    (plain,) = rows("a")
    record = ledger.jobs.get("job_1")
    job = NewJob("job_2", "", record.recipe, ((ENVELOPE, (), TextReply().spec()),), 100, BYTES, 1)
    assert ledger.jobs.create(job, in_parts([plain._replace(content=None, **known)], 9), 1.0).reused == 1
    with pytest.raises(ForgottenError):
        ledger.jobs.create(replace(job, id="job_3"), in_parts([plain._replace(content=None, **unknown)], 9), 1.0)
    assert ledger.jobs.find("job_3") is None
    assert first
