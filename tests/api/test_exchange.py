"""Calls to servers that hang, drip, or answer with what is no answer: each ends in time, with an error of ours."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import anthropic
import pytest
from stuck_server import Wire, Wires, head

import batchnb.api.addresses
from batchnb.api.addresses import scope_of
from batchnb.api.client import Api
from batchnb.api.exchange import Exchange
from batchnb.api.failures import seconds_in
from batchnb.errors import AmbiguousError, ApiError, NotFoundError, RefusedError

pytestmark = pytest.mark.steady

#: Seconds that the clients wait here for something to move; what a call may take at most is said in multiples of it.
SECONDS = 0.2

BODY = b'{"requests":[' + b" " * 3_000_000 + b"]}"


@contextmanager
def client(script: Callable[[str, str, Wire], object]) -> Iterator[Api]:
    with Wires(script) as server, anthropic.Anthropic(api_key="k", base_url=server.url, timeout=SECONDS) as made:
        yield Api(made)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(3_000_000))
    return path


def read_results(api: Api, *_: object) -> bytes:
    with api.results("msgbatch_1") as chunks:
        return b"".join(chunks)


CALLS: dict[str, Callable[[Api, Path], object]] = {
    "create": lambda api, _: api.create_batch(BODY),
    "retrieve": lambda api, _: api.retrieve_batch("msgbatch_1"),
    "list": lambda api, _: list(api.list_batches()),
    "cancel": lambda api, _: api.cancel_batch("msgbatch_1"),
    "delete": lambda api, _: api.delete_batch("msgbatch_1"),
    "results": read_results,
    "count_tokens": lambda api, _: api.count_tokens({"model": "m", "messages": []}),
    "message": lambda api, _: api.create_message(b"{}"),
    "upload": lambda api, file: api.upload_file(file, "name", "text/plain"),
    "files": lambda api, _: list(api.list_files()),
    "delete file": lambda api, _: api.delete_file("file_1"),
}

#: What a server does that never answers, and that no timeout of a single read would end.
STUCK: dict[str, Callable[[Wire], object]] = {
    "reads nothing and hangs": lambda wire: time.sleep(4 * SECONDS),
    "reads and hangs": Wire.hang,
    "drips a head without end": lambda wire: (wire.write(b"HTTP/1.1 200 OK\r\nx: "), wire.drip(b"y")),
    "drips heads of 100": lambda wire: wire.drip(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "hangs after the head": lambda wire: (wire.write(head(content_length=100)), wire.hang()),
    "hangs after the head of an error": lambda wire: (wire.write(head("500 No", content_length=100)), wire.hang()),
    "drips a body": lambda wire: (wire.write(head(content_length=10_000_000)), wire.drip(b"\n")),
    "drips an error": lambda wire: (wire.write(head("502 No", content_length=10_000_000)), wire.drip(b"\n")),
    "drips a body in chunks": lambda wire: (wire.write(head(transfer_encoding="chunked")), wire.drip(b"1\r\n \r\n")),
    "drips within a chunk's head": lambda wire: (wire.write(head(transfer_encoding="chunked")), wire.drip(b"1;x")),
    "drips in gzip": lambda wire: (
        wire.write(head(content_encoding="gzip") + gzip.compress(b"x")[:10]), wire.drip(b"\x00\x00\x00\xff\xff"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("stuck", STUCK.values(), ids=STUCK)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_that_brings_next_to_nothing_is_given_up(call, stuck, file):
    with client(lambda method, path, wire: stuck(wire)) as api:
        since = time.monotonic()
        with pytest.raises(ApiError) as raised:
            call(api, file)
        assert time.monotonic() - since < 10 * SECONDS
        assert isinstance(raised.value, AmbiguousError)


def test_a_create_that_the_server_only_sips_at_is_given_up_and_nothing_more_of_it_leaves():
    taken = []

    def sip(method: str, path: str, wire: Wire) -> None:
        wire._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_000)
        while data := wire._connection.recv(1):
            taken.append(len(data))
            time.sleep(0.02)

    with client(sip) as api, pytest.raises(AmbiguousError):
        api.create_batch(BODY * 10)
    assert sum(taken) < 1_000_000


def test_a_create_whose_connection_never_comes_about_was_never_sent():
    """Such as one whose name is looked up for ever: nothing had left, so that nothing is in doubt."""
    api = Api(anthropic.Anthropic(api_key="k", base_url="http://127.0.0.1:9", timeout=SECONDS))
    let_go = threading.Event()
    found = socket.getaddrinfo
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", lambda *args, **how: (let_go.wait(10), found(*args, **how))[1])
        with pytest.raises(RefusedError) as raised:
            api.create_batch(b"{}")
    let_go.set()
    assert raised.value.type == "unreachable"


@pytest.mark.parametrize("pause", [0.0, 2.5 * SECONDS])
def test_an_answer_that_is_slow_but_moves_is_read_to_its_end(pause):
    """Slow are the server, or whoever reads."""
    piece = b'{"a":1}\n' * 20_000

    def slowly(method: str, path: str, wire: Wire) -> None:
        wire.write(head(content_length=len(piece) * 6))
        for _ in range(6):
            wire.write(piece)
            time.sleep(0.0 if pause else SECONDS / 2)

    with client(slowly) as api, api.results("msgbatch_1") as chunks:
        found = []
        for chunk in chunks:
            found.append(chunk)
            time.sleep(pause / 6)
        assert b"".join(found) == piece * 6


def test_calls_that_hang_for_good_do_not_pile_up():
    with client(lambda method, path, wire: STUCK["drips a head without end"](wire)) as api:
        for _ in range(8):
            with pytest.raises(AmbiguousError):
                api.retrieve_batch("msgbatch_1")
        threads = threading.active_count()
        for _ in range(3):
            with pytest.raises(RefusedError, match="hang still") as raised:
                api.retrieve_batch("msgbatch_1")
            assert raised.value.type == "unreachable"
        assert threading.active_count() <= threads


def test_leaving_gives_up_what_only_asks_and_in_the_end_all_there_is():
    reached = threading.Barrier(3)

    def held(method: str, path: str, wire: Wire) -> None:
        if method == "POST":
            wire.read()  # of its body
        reached.wait(10)
        wire.hang()

    with Wires(held) as server, anthropic.Anthropic(api_key="k", base_url=server.url) as made:
        api, raised = Api(made), {}

        def ask(name: str) -> None:
            try:
                CALLS[name](api, Path())
            except ApiError as error:
                raised[name] = error

        threads = {name: threading.Thread(target=ask, args=(name,)) for name in ("create", "retrieve")}
        for thread in threads.values():
            thread.start()
        reached.wait(10)
        api.exchanges.give_up("The kernel ends.", all=False)
        threads["retrieve"].join(10)
        assert set(raised) == {"retrieve"}
        api.exchanges.give_up("The kernel ends.")
        threads["create"].join(10)
        assert isinstance(raised["create"], AmbiguousError)
        assert "The kernel ends." in str(raised["create"])
        with pytest.raises(RefusedError, match="The kernel ends"):
            api.retrieve_batch("msgbatch_1")


def test_a_call_that_was_given_up_says_why_also_where_its_thread_ends_first():
    going, gone = threading.Event(), threading.Event()

    def make(_: object) -> None:
        going.set()
        gone.wait(10)
        raise ConnectionError("cut off")

    exchange = Exchange(
        make, seconds=60, name="a call", begun=True, asks=True, most=60, told=lambda *_: None,
        failure_of=lambda error: ApiError(str(error)),
    )  # fmt: skip
    thread = threading.Thread(target=exchange._run)
    thread.start()
    assert going.wait(10)
    exchange.give_up("The kernel ends.")
    gone.set()
    thread.join(10)
    with pytest.raises(AmbiguousError, match="The kernel ends"):
        exchange.opened()


# Answers that are none


def answering(body: bytes, status: str = "200 OK", **headers: object) -> Callable[[str, str, Wire], object]:
    return lambda method, path, wire: wire.write(head(status, content_length=len(body), **headers) + body)


BATCH = b'{"id":"msgbatch_1","processing_status":"ended"}'

NONSENSE = {
    "nothing": answering(b""),
    "204": answering(b"", "204 No Content"),
    "HTML": answering(b"<html>", content_type="text/html"),
    "nested deeply": answering(b'{"id":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "nested deeply beside the id": answering(b'{"id":"msgbatch_1","x":' + b'{"a":' * 200_000 + b"}" * 200_001),
    "no UTF-8": answering(b'{"id":"\xff"}'),
    "half a character": answering(b'{"id":"\\ud800"}'),
    "id a number": answering(b'{"id":7}'),
    "id null": answering(b'{"id":null}'),
    "id empty": answering(b'{"id":""}'),
    "id of 100 kB": answering(b'{"id":"' + b"a" * 100_000 + b'"}'),
    "id with a newline": answering(b'{"id":"msgbatch_1\\n"}'),
    "id with a sign of control": answering(b'{"id":"msgbatch_\\u001b[2J"}'),
    "id with a way up": answering(b'{"id":"msgbatch_../../files"}'),
    "id with a query": answering(b'{"id":"msgbatch_1?beta=true"}'),
    "id with a fragment": answering(b'{"id":"msgbatch_1#x"}'),
    "id in other letters": answering('{"id":"msgbatch_é"}'.encode()),
    "gzip that is none": answering(BATCH, content_encoding="gzip"),
    "gzip cut short": answering(gzip.compress(BATCH)[:-9], content_encoding="gzip"),
    "an encoding nobody asked for": answering(BATCH, content_encoding="br"),
    "two encodings": answering(gzip.compress(BATCH), content_encoding="gzip, gzip"),
    "no HTTP": lambda method, path, wire: wire.write(b"SSH-2.0-OpenSSH\r\n"),
    "a status of its own": answering(BATCH, "999 What"),
    "a length that is none": lambda method, path, wire: wire.write(head(content_length="x") + BATCH),
    "a head of 1 MB": lambda method, path, wire: wire.write(head(x="y" * 1_000_000) + BATCH),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
@pytest.mark.parametrize("name", ["create", "retrieve", "cancel"])
def test_nonsense_is_an_answer_that_leaves_it_open(name, answer, file):
    with client(answer) as api, pytest.raises(AmbiguousError):
        CALLS[name](api, file)


GOOD = {
    "plain": answering(BATCH),
    "a text of HTML": answering(BATCH, content_type="text/html"),
    "a charset that is no encoding of text": answering(BATCH, content_type="application/json; charset=hex"),
    "an unknown charset": answering(BATCH, content_type="application/json; charset=\xb2"),
    "a byte order mark": answering(b"\xef\xbb\xbf" + BATCH),
    "gzip": answering(gzip.compress(BATCH), content_encoding="GZIP "),
    "gzip in two members": answering(gzip.compress(BATCH[:9]) + gzip.compress(BATCH[9:]), content_encoding="gzip"),
    "keys twice": answering(b'{"id":"msgbatch_0","id":"msgbatch_1"}'),
    "status null": answering(b'{"id":"msgbatch_1","processing_status":null,"request_counts":7}'),
    "status a list": answering(b'{"id":"msgbatch_1","processing_status":["ended"]}'),
}


@pytest.mark.parametrize("answer", GOOD.values(), ids=GOOD)
def test_an_answer_in_an_odd_form_is_one(answer):
    with client(answer) as api:
        assert api.retrieve_batch("msgbatch_1").id == "msgbatch_1"


EMPTY = gzip.compress(b"")


def read_status(api: Api) -> object:
    return api.retrieve_batch("msgbatch_1")


@pytest.mark.parametrize(
    ("call", "encoding"), [(read_status, "identity"), (read_status, "gzip"), (read_results, "gzip")],
    ids=["status, blanks", "status, gzip", "results, gzip"],
)  # fmt: skip
def test_an_answer_that_moves_for_ever_and_brings_nothing_is_given_up(call, encoding, monkeypatch):
    """Empty gzip members, of which nothing comes when they are decoded; or blanks, of which no JSON comes."""
    monkeypatch.setattr("batchnb.api.bodies.MOST_EMPTY", 100_000)

    def endless(method: str, path: str, wire: Wire) -> None:
        wire.write(head(content_encoding=encoding, connection="close"))
        while True:
            wire.write(EMPTY * 100 if encoding == "gzip" else b" " * 2_000)
            time.sleep(0.002)

    with client(endless) as api, pytest.raises(AmbiguousError):
        call(api)


DEEP = b'{"error":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


@pytest.mark.parametrize(
    "answer",
    [
        answering(DEEP, "400 Bad Request"),
        answering(b'{"error":{"message":7,"type":[1],"details":3}}', "400 Bad Request"),
        answering(b"no", "400 Bad Request", content_type="text/plain; charset=hex"),
        answering(b"no", "400 Bad Request", content_encoding="gzip"),
        answering(b"no", "400 Bad Request", content_encoding="zstd"),
        answering(b"[]", "451 Unavailable For Legal Reasons"),
        answering(b"null", "307 Temporary Redirect", location="http://127.0.0.1:1/"),
        answering(b"", "300 Multiple Choices"),
    ],
    ids=["deep", "wrong types", "charset", "gzip", "zstd", "451", "redirect", "300"],
)
def test_a_refusal_is_one_whatever_its_body(answer):
    with client(answer) as api, pytest.raises(RefusedError) as raised:
        api.create_batch(b"{}")
    assert raised.value.type is None or isinstance(raised.value.type, str)


@pytest.mark.parametrize("status", ["408 Timeout", "499 Closed", "500 No", "501 No", "599 No", "600 No"])
def test_what_says_nothing_of_the_batch_leaves_it_open(status):
    with client(answering(b"{}", status)) as api, pytest.raises(AmbiguousError):
        api.create_batch(b"{}")


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
def test_a_bomb_costs_no_memory(status):
    """A hundred kilobytes that become 100 MB: of an answer as of an error, no more is made than is read."""
    bomb = gzip.compress(bytes(100_000_000))
    with client(answering(bomb, status, content_encoding="gzip")) as api, pytest.raises(ApiError) as raised:
        api.retrieve_batch("msgbatch_1")
    assert len(str(raised.value)) < 1200


def test_a_message_of_an_error_is_cut_to_what_can_be_read():
    text = "\\u001b[2Jno\\n\\u202e" + "x" * 100_000
    answer = answering(f'{{"error":{{"message":"{text}"}}}}'.encode(), "403 No")
    with client(answer) as api, pytest.raises(RefusedError) as raised:
        api.retrieve_batch("msgbatch_1")
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 1200


@pytest.mark.parametrize("name", ["msgbatch_../../files", "..", "a/b", "x?y", "x#y", "x\n", "", "é", "x" * 1000])
def test_what_is_no_id_is_asked_of_nobody(name):
    with client(answering(BATCH)) as api:
        for call in (api.retrieve_batch, api.cancel_batch, api.delete_batch):
            with pytest.raises(NotFoundError):
                call(name)
        with pytest.raises(NotFoundError), api.results(name):
            pass


def test_a_page_that_names_a_way_on_that_is_no_id_is_not_followed():
    page = b'{"data":[],"has_more":true,"last_id":"../../x"}'
    with client(answering(page)) as api, pytest.raises(AmbiguousError):
        list(api.list_batches())


def test_tokens_are_counted_in_whole_numbers():
    for said in (b"-1", b"1e300", b'"7"', b"null", b"7.5", b"true", b"[7]", b"1" * 5000):
        with client(answering(b'{"input_tokens":' + said + b"}")) as api, pytest.raises(AmbiguousError):
            api.count_tokens({})


DATE = "Mon, 30 Nov 2026 10:00:00 GMT"

WAITS: dict[str | None, float | None] = {
    None: None, "7": 7.0, "0.5": 0.5, "-3": 0.0, "1e9": 3600.0, "inf": 3600.0, "-inf": 0.0, "nan": None, "": None,
    "soon": None, "Mon, 30 Nov 2026 10:01:00 GMT": 60.0, "Mon, 30 Nov 2026 09:00:00 GMT": 0.0,
    "Fri, 31 Dec 9999 23:59:59 GMT": 3600.0, "Mon, 99 Nov 2026 10:01:00 GMT": None, "9" * 5000: 3600.0,
}  # fmt: skip


@pytest.mark.parametrize(("said", "seconds"), WAITS.items(), ids=[str(said)[:30] for said in WAITS])
def test_a_wait_is_what_the_server_asks_for_up_to_an_hour(said, seconds):
    assert seconds_in(said, DATE) == seconds


def test_a_wait_until_a_time_of_day_says_nothing_without_the_servers_own():
    assert seconds_in(DATE) is None
    assert seconds_in(DATE, "no date") is None


def test_many_small_chunks_are_taken_together():
    row = b'{"a":1}\n'
    chunks = b"".join(chain((b"8\r\n" + row + b"\r\n" for _ in range(20_000)), [b"0\r\n\r\n"]))
    with client(lambda method, path, wire: wire.write(head(transfer_encoding="chunked") + chunks)) as api:
        assert read_results(api) == row * 20_000


@pytest.mark.parametrize("stuck", [Wire.hang, STUCK["drips a head without end"], STUCK["drips a body"]])
def test_what_listens_on_this_machine_and_does_not_answer_is_no_simulator(stuck, monkeypatch):
    monkeypatch.setattr(batchnb.api.addresses, "PROBE_SECONDS", SECONDS)
    with Wires(lambda method, path, wire: stuck(wire)) as server:
        assert scope_of(server.url) == (server.url, None)
