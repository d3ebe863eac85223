"""Rows are bought once whichever key is in use: what it cannot see is neither lost nor was it never made."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from bench import KEY, Bench, assert_echoed, outcomes, texts
from hostility import Listed
from independent import Lost, Server, Spoiled, Status

import batchnb
from batchnb.errors import JobStateError, NotFoundError, RefusedError

pytestmark = pytest.mark.steady

pytest_plugins = ["bench_fixtures"]

OURS, ROTATED, THEIRS, ABROAD = KEY, "test-key-rotated-0123", "test-key-of-theirs-0123", "test-key-abroad-0123"


@pytest.fixture
def server() -> Server:
    with Server() as running:
        running.workspaces = {
            OURS: "wrkspc_ours", ROTATED: "wrkspc_ours", THEIRS: "wrkspc_theirs", ABROAD: "wrkspc_abroad"
        }  # fmt: skip
        running.organizations = {OURS: "org_ours", ROTATED: "org_ours", THEIRS: "org_ours", ABROAD: "org_abroad"}
        yield running


@pytest.fixture(params=[Lost(), Status(500, accept=True)], ids=["lost", "500"])
def uncertain(request: pytest.FixtureRequest, bench: Bench) -> Bench:
    """A bench whose first process has sent thirty rows, heard of none of them, and ended."""
    bench.server.faults["create"] += [request.param] * 3
    bench.server.always["list"] = Status(500)
    bench.submit(texts(30), batch_size=10)
    bench.server.wait_for(lambda: len(bench.server.batches) == 3)
    bench.server.wait_for(lambda: bench.server.called("GET", "batches?limit"))
    bench.workspace.close()
    bench.server.always.clear()
    return bench


def run(bench: Bench, key: str, count: int = 30, **options: object) -> batchnb.Job:
    """Run the cell in a new process, with this key."""
    return bench.submit(texts(count), batch_size=10, workspace=bench.open(key=key), **options)


def asked_once(bench: Bench) -> bool:
    return max(bench.server.asked.values()) == 1


@pytest.mark.parametrize(("key", "there"), [(THEIRS, "wrkspc_theirs"), (ABROAD, "wrkspc_abroad")])
def test_a_key_of_another_workspace_buys_nothing_again_and_says_why(uncertain: Bench, key, there):
    job = run(uncertain, key)
    frame = job.result(30)
    assert outcomes(frame) == {"pending": 30}
    assert asked_once(uncertain)
    for said in (there, "wrkspc_ours", 'job.resolve("send")'):
        assert said in frame["echo_error"][0]
    assert "another workspace" in job.snapshot().note
    assert "another workspace" in uncertain.open(key=key).jobs().to_frame()["note"][0]
    assert_echoed(run(uncertain, OURS))
    assert uncertain.server.bought_once()
    assert len(uncertain.server.batches) == 3


def test_it_goes_on_by_itself_with_the_right_key_by_attach_too(uncertain: Bench):
    job = run(uncertain, THEIRS)
    assert outcomes(job.result(30)) == {"pending": 30}
    again = batchnb.attach(job.id, progress=False, workspace=uncertain.open(key=ROTATED))
    assert again.result(30)["echo"].tolist() == texts(30)
    assert uncertain.server.bought_once()


def test_a_key_rotated_within_the_workspace_goes_on(uncertain: Bench):
    assert_echoed(run(uncertain, ROTATED))
    assert uncertain.server.bought_once()


def test_without_the_right_key_it_is_for_a_person_to_decide(uncertain: Bench):
    job = run(uncertain, THEIRS)
    assert outcomes(job.result(30)) == {"pending": 30}
    assert job.resolve("send") == 30
    assert_echoed(job)
    assert set(uncertain.server.asked.values()) == {2}  # as was decided


@pytest.mark.parametrize("first_read", ["whole", "lines missing"])
def test_what_one_job_has_sent_again_has_nothing_of_another_bought_twice(uncertain: Bench, first_read: str):
    """They share a batch whose answer was lost: what is left of it in the ledger is less than the server made."""
    few = run(uncertain, THEIRS, 5)
    assert outcomes(few.result(30)) == {"pending": 5}
    assert few.resolve("send") == 5
    assert outcomes(few.result(30)) == {"succeeded": 5}
    if first_read == "lines missing":
        uncertain.server.faults["results"] += [Spoiled(change=lambda rows: rows[:2] + rows[-2:])] * 3
    assert_echoed(run(uncertain, OURS))
    asked = uncertain.server.asked
    assert sorted(asked.values()) == [1] * 25 + [2] * 5
    assert len(uncertain.server.batches) == 4


def test_new_rows_are_sent_with_another_key_and_the_others_wait(uncertain: Bench):
    frame = run(uncertain, THEIRS, 40).result(30)
    assert outcomes(frame) == {"pending": 30, "succeeded": 10}
    frame = run(uncertain, OURS, 40).result(30)
    assert outcomes(frame) == {"succeeded": 40}
    assert uncertain.server.bought_once()


def test_what_a_process_that_called_nothing_else_has_sent_is_known_too(bench: Bench):
    """A process that only goes on asks for the time and the place before it sends."""
    server = bench.server
    server.always["create"] = Status(529)
    job = bench.submit(texts(10))
    server.wait_for(lambda: server.called("POST", "batches"))
    bench.workspace.close()
    server.always = {"list": Status(500)}
    server.faults["create"] = [Lost()]
    second = bench.open()
    batchnb.attach(job.id, progress=False, workspace=second)
    server.wait_for(lambda: server.called("GET", "batches?limit"))
    path = second.session.ledger.path
    second.close()
    with closing(sqlite3.connect(path)) as db:
        told = db.execute("SELECT workspace, server_at > 0 FROM batches WHERE state = 'uncertain'").fetchall()
    assert told == [("wrkspc_ours", 1)]
    server.always = {}
    assert outcomes(run(bench, THEIRS, 10).result(30)) == {"pending": 10}
    assert_echoed(run(bench, OURS, 10))
    assert server.bought_once()


def test_an_answer_that_was_no_use_still_tells_where_it_came_from(bench: Bench):
    server = bench.server
    server.tells_place = False
    server.faults["create"] += [Status(500, {"anthropic-workspace-id": "wrkspc_ours"}, accept=True)]
    server.always["list"] = Status(500)
    bench.submit(texts(10))
    server.wait_for(lambda: server.called("GET", "batches?limit"))
    bench.workspace.close()
    server.always, server.tells_place = {}, True
    frame = run(bench, THEIRS, 10).result(30)
    assert "wrkspc_ours" in frame["echo_error"][0]
    assert_echoed(run(bench, OURS, 10))
    assert server.bought_once()


# Batches that the ledger knows


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("status", [404, 403])
def test_batches_of_another_workspace_are_neither_lost_nor_asked_again(bench: Bench, ended, status):
    server = bench.server
    server.ends = False
    bench.submit(texts(30), batch_size=10)
    server.wait_for(lambda: len(server.batches) == 3)
    server.wait_for(lambda: server.called("GET", "msgbatch") >= 3)
    bench.workspace.close()
    server.ends = True
    if ended:
        server.end()
    server.always["retrieve"] = Status(status)
    job = run(bench, THEIRS)
    frame = job.result(30)
    server.always.clear()
    assert outcomes(frame) == {"pending": 30}
    assert "wrkspc_theirs" in frame["echo_error"][0]
    assert "wrkspc_ours" in frame["echo_error"][0]
    server.end()
    assert_echoed(run(bench, ROTATED))
    assert server.bought_once()


def test_results_of_another_workspace_are_read_when_the_key_is_back(bench: Bench):
    server = bench.server
    server.always["results"] = Status(500)
    bench.submit(texts(10))
    server.wait_for(lambda: server.called("GET", "/results"))
    bench.workspace.close()
    server.always.clear()
    frame = run(bench, THEIRS, 10).result(30)
    assert outcomes(frame) == {"pending": 10}
    assert "wrkspc_theirs" in frame["echo_error"][0]
    assert_echoed(run(bench, OURS, 10))
    assert server.bought_once()


def test_canceling_with_another_key_says_why_and_cancels_nothing(bench: Bench):
    server = bench.server
    server.ends = False
    job = bench.submit(texts(10))
    server.wait_for(lambda: server.called("GET", "msgbatch"))
    bench.workspace.close()
    place = bench.open(key=THEIRS)
    again = batchnb.attach(job.id, progress=False, workspace=place)
    again.cancel()
    frame = again.result(30)
    assert "wrkspc_theirs" in frame["echo_error"].dropna().iloc[0]
    server.end()
    assert server.batches[0].status == "ended"


def test_deleting_with_another_key_deletes_nothing_and_says_so(bench: Bench):
    job = bench.submit(texts(3))
    assert_echoed(job)
    bench.workspace.close()
    place = bench.open(key=THEIRS)
    with pytest.raises(NotFoundError, match=r"wrkspc_ours.*not deleted"):
        batchnb.attach(job.id, progress=False, workspace=place).delete(remote=True)
    assert len(place.jobs()) == 1
    assert not bench.server.called("DELETE", "msgbatch_0") or bench.server.find("msgbatch_000001", "wrkspc_ours")


# Where the server does not say whose a key is


@pytest.fixture
def silent(bench: Bench) -> Bench:
    """A bench whose server does not name workspaces, and whose doubts are short."""
    bench.keep_to(give_up_after=0.2)
    bench.server.tells_place = False
    return bench


def lose_an_answer(bench: Bench, name: str = "lost") -> None:
    bench.server.faults["create"] += [Lost()]
    bench.server.always["list"] = Status(500)
    calls = bench.server.called("GET", "batches?limit")
    bench.submit(texts(10, name))
    bench.server.wait_for(lambda: bench.server.called("GET", "batches?limit") > calls)
    bench.workspace.close()
    bench._workspace = None
    bench.server.always.clear()


def test_a_list_that_does_not_show_what_is_known_is_not_ours(silent: Bench):
    assert_echoed(silent.submit(texts(5)))
    lose_an_answer(silent)
    job = silent.submit(texts(10, "lost"), workspace=silent.open(key=THEIRS))
    frame = job.result(30)
    assert outcomes(frame) == {"pending": 10}
    assert "another workspace" in frame["echo_error"][0]
    assert "msgbatch_000001" in frame["echo_error"][0]
    assert_echoed(silent.submit(texts(10, "lost"), workspace=silent.open(key=OURS)))
    assert silent.server.bought_once()


def test_one_that_the_ledger_knows_of_each_of_two_workspaces_proves_neither(silent: Bench):
    assert_echoed(silent.submit(texts(5)))
    assert_echoed(silent.submit(texts(5, "theirs"), workspace=silent.open(key=THEIRS)))
    lose_an_answer(silent)
    frame = silent.submit(texts(10, "lost"), workspace=silent.open(key=THEIRS)).result(30)
    assert outcomes(frame) == {"pending": 10}
    assert_echoed(silent.submit(texts(10, "lost"), workspace=silent.open(key=OURS)))
    assert silent.server.bought_once()


def test_what_was_never_made_is_sent_where_the_list_shows_all_that_is_known(silent: Bench):
    assert_echoed(silent.submit(texts(5)))
    silent.server.faults["create"] += [Lost(accept=False)]
    assert_echoed(silent.submit(texts(10, "more")))
    assert silent.server.bought_once()


def test_a_control_that_is_listed_late_only_delays(silent: Bench):
    silent.keep_to(give_up_after=600.0)
    server = silent.server
    assert_echoed(silent.submit(texts(5)))
    server.manner.listed = Listed(shows=lambda _: server.called("GET", "batches?limit") >= 4)
    server.faults["create"] += [Lost(accept=False)]
    job = silent.submit(texts(10, "more"))
    assert_echoed(job)
    assert server.called("GET", "batches?limit") >= 6
    assert server.bought_once()
    assert job.snapshot().note is None


# Where it does


def test_one_deleted_on_the_server_does_not_hold_up_what_was_never_made(bench: Bench):
    server = bench.server
    assert_echoed(bench.submit(texts(5)))
    server.vanish(server.batches[0])
    server.faults["create"] += [Lost(accept=False)]
    assert_echoed(bench.submit(texts(10, "more")))
    assert server.bought_once()


def test_nor_does_one_that_was_deleted_from_here_where_nothing_is_said(silent: Bench):
    server = silent.server
    job = silent.submit(texts(5))
    assert_echoed(job)
    job.delete(remote=True)
    server.vanish(server.batches[0])
    server.faults["create"] += [Lost(accept=False)]
    assert_echoed(silent.submit(texts(10, "more")))
    assert server.bought_once()


def test_a_list_that_lacks_what_is_there_proves_nothing(bench: Bench):
    bench.keep_to(give_up_after=0.2)
    server = bench.server
    assert_echoed(bench.submit(texts(5)))
    server.manner.listed = Listed(shows=lambda _: False)
    server.faults["create"] += [Lost()]
    frame = bench.submit(texts(10, "more")).result(30)
    assert outcomes(frame) == {"pending": 10}
    assert "not whole" in frame["echo_error"][0]
    server.manner.listed = Listed()
    assert_echoed(bench.submit(texts(10, "more")))
    assert server.bought_once()


def test_batches_of_other_workspaces_in_one_ledger_hold_up_nothing(bench: Bench):
    assert_echoed(bench.submit(texts(5, "theirs"), workspace=bench.open(key=THEIRS)))
    assert_echoed(bench.submit(texts(5)))
    bench.server.faults["create"] += [Lost(accept=False)]
    assert_echoed(bench.submit(texts(10, "more")))
    assert bench.server.bought_once()


# What is written down


def test_nothing_of_a_key_is_in_the_ledger_but_where_it_belongs(bench: Bench):
    bench.server.workspaces[KEY] = f"wrkspc_{KEY}"  # as a gateway might that echoes what it was called with
    assert_echoed(bench.submit(texts(5)))
    path = bench.workspace.session.ledger.path
    bench.workspace.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT organization, workspace FROM batches").fetchall() == [("org_ours", None)]
    assert KEY.encode() not in path.read_bytes()


@pytest.mark.parametrize("told", ["x" * 101, "a b", "\x1b[31m", "<b>", "ä", ""])
def test_an_id_that_is_none_is_not_kept(bench: Bench, told):
    bench.server.tells_place = False
    job = bench.submit(texts(3))
    heard = bench.workspace.session.api.heard.followed_by({"anthropic-workspace-id": told}, 0.0)
    assert heard.place.workspace is None
    assert_echoed(job)


def test_a_refusal_that_says_that_the_answer_is_simulated_is_not_taken_for_another_key(bench: Bench):
    bench.server.ends = False
    job = bench.submit(texts(3))
    bench.server.wait_for(lambda: bench.server.called("GET", "msgbatch"))
    api = bench.workspace.session.api
    place = api.heard.place
    api.simulator = "another"
    with pytest.raises(RefusedError, match="no longer answers"):
        api.retrieve_batch("msgbatch_000001")
    assert api.heard.place == place
    api.simulator = None
    bench.server.end()
    assert_echoed(job)


def test_nothing_is_to_be_decided_of_a_job_that_is_attached(bench: Bench):
    """What a batch made elsewhere asked is not known, so that it cannot be asked again."""
    made = bench.open(home=bench.home / "elsewhere")
    assert_echoed(bench.submit(texts(3), workspace=made))
    bench.server.always["results"] = Status(500)
    batchnb.attach("msgbatch_000001", progress=False, workspace=bench.workspace)
    bench.server.wait_for(lambda: bench.server.called("GET", "/results") >= 2)
    bench.workspace.close()
    bench.server.always.clear()
    job = batchnb.attach("msgbatch_000001", progress=False, workspace=bench.open(key=THEIRS))
    job.wait(30)
    assert "another workspace" in job.snapshot().note
    with pytest.raises(JobStateError, match="cannot be sent again"):
        job.resolve("send")
    again = batchnb.attach("msgbatch_000001", progress=False, workspace=bench.open(key=OURS))
    assert sorted(again.result(30)["reply"]) == texts(3)


def test_a_gateway_that_shares_calls_out_among_workspaces_proves_nothing(bench: Bench):
    """The batch is made in one workspace, and only the other's list is shown from then on."""
    server = bench.server
    assert_echoed(bench.submit(texts(5)))
    server.faults["create"] += [Lost()]
    server.always["list"] = Status(500)
    job = bench.submit(texts(10, "lost"))
    server.wait_for(lambda: len(server.batches) == 2 and server.called("GET", "batches?limit"))
    server.batches[-1].workspace = server.workspaces[OURS] = "wrkspc_theirs"
    calls = server.called("GET", "batches?limit")
    server.wait_for(lambda: server.called("GET", "batches?limit") > calls + 1)
    server.workspaces[OURS] = "wrkspc_ours"
    server.always.clear()
    frame = job.result(30)
    assert outcomes(frame) == {"pending": 10}
    assert "name different workspaces" in frame["echo_error"][0]
    assert server.bought_once()
    assert job.resolve("drop") == 10


def test_each_list_is_asked_of_an_address_that_no_cache_has_an_answer_to(bench: Bench):
    """A cache before the server that keeps every answer by its address, also that to a list from before."""
    bench.server.faults["create"] += [Lost(accept=False)]
    bench.server.always["list"] = Status(500)
    job = bench.submit(texts(5))
    bench.server.wait_for(lambda: bench.server.called("GET", "batches?limit") >= 4)
    bench.server.always.clear()
    assert_echoed(job)
    assert len({path for method, path, _ in bench.server.calls if "batches?limit" in path}) > 1
