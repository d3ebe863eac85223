"""The one place that calls: what is sent, how long is waited for, and how whatever comes back becomes ours."""

from __future__ import annotations

import contextlib
import math
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from batchnb.api.addresses import SIMULATOR_HEADER, plain_url
from batchnb.api.bodies import ENCODINGS, MARK, UNREADABLE, decoded, first_bytes, mended
from batchnb.api.clients import client_from, credentials_problem
from batchnb.api.exchange import Exchange, Exchanges
from batchnb.api.failures import failure_of, from_status
from batchnb.api.heard import HEADERS, Heard
from batchnb.api.logs import ours
from batchnb.api.redaction import Redactor, secrets_of
from batchnb.errors import AmbiguousError, BatchnbError, RefusedError
from batchnb.system.clock import Clock
from batchnb.system.forks import once

if TYPE_CHECKING:
    import anthropic
    import httpx2

__all__ = ["BATCHES", "MESSAGES", "Answer", "Caller"]

BATCHES = "/v1/messages/batches"
MESSAGES = "/v1/messages"

#: Seconds for which next to nothing may move before a call is given up: of any; of a create, once its body is there,
#: for the server has a hundred thousand requests to look at; and of a message, answered meanwhile.
SECONDS, CREATE_SECONDS, MESSAGE_SECONDS = 60.0, 120.0, 600.0

#: How often that time an answer may take in all, but for results: it is short, or it is none.
TIMES = 5

#: Bytes that are read of an answer, and of one that is an error: both are a few hundred kilobytes at most. Results are
#: not meant; they are read line by line.
MOST_OF_ANSWER, MOST_OF_ERROR = 64_000_000, 100_000

_T = typing.TypeVar("_T")


@dataclass(slots=True, repr=False)
class Answer:
    """The answer to a call: its body read, or to be read as `chunks`.

    A repr shows nothing of it: what it echoes of the credentials would stand in a traceback with values.
    """

    status_code: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    close: Callable[[], None]
    content: bytes = b""


class Caller:
    """The connection that the calls of :class:`batchnb.api.client.Api` are made on, itself made when first used.

    Parameters
    ----------
    client : anthropic.Anthropic, optional
        The client to use; without it one is made from the environment, as the SDK does.
    simulator : str, optional
        The simulator's id that every answer must carry. None: no answer may carry one.
    clock : Clock, optional
        The time.
    """

    def __init__(
        self, client: anthropic.Anthropic | None = None, *, simulator: str | None = None, clock: Clock | None = None
    ) -> None:
        self._given = client
        self.simulator = simulator
        self._clock = clock or Clock()
        #: What the headers of all answers have told.
        self.heard = Heard()
        #: Knows the credentials, and takes them out of what a server says.
        self.redactor = Redactor()
        #: The calls that are being made.
        self.exchanges = Exchanges(self._failure_of)

    @once
    def _client(self) -> anthropic.Anthropic:
        return client_from(self._given, self.redactor)

    @once
    def base_url(self) -> str:
        """Where calls go, without user info, query and trailing slash."""
        return plain_url(str(self._client.base_url))

    def require_credentials(self) -> None:
        """Raise CredentialsError, naming the way out, where there is no key, or none that can be sent.

        Touches no network.
        """
        problem = credentials_problem(self._client, is_given=self._given is not None)
        if problem is not None:
            if self._given is None:
                del self._client  # made anew from the environment once there is a key
                self.__dict__.pop("_reading_client", None)
            raise problem

    def close(self) -> None:
        """Give up what is being called, and close the connections of a client made here; a given one is left open."""
        self.exchanges.give_up("The workspace was closed.")
        if self._given is None and "_client" in self.__dict__:
            self._client.close()

    # The server's time, and whose key this is

    def now(self) -> float | None:
        """Return the time by the server's clock, in seconds since the epoch; None before an answer has told it."""
        return self.heard.now(self._clock.elapsed())

    def skew(self) -> float | None:
        """Return how far the server's clock is ahead of this machine's, in seconds; None where that is not known."""
        now = self.now()
        return None if now is None else now - self._clock.now()

    def _hear(self, answer: Answer) -> None:
        # Without what a server echoes of the credentials, since places are kept.
        told = {name: self.redactor.text(answer.headers.get(name, "")) for name in HEADERS}
        self.heard = self.heard.followed_by(told, self._clock.elapsed())

    # The one place that calls

    def _call(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        file: tuple[str, Path, str] | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        timeout: float | None = None,
        stream: bool = False,
    ) -> Answer:
        """Make a call, and read its answer; of one that is to be streamed, the head.

        It is given up once too little moves for as long as `_patience` says.
        """
        self.require_credentials()
        seconds = self._patience(method, path, timeout)
        has_body = content is not None or file is not None
        exchange = self.exchanges.begin(
            self._made(method, path, self._options(seconds, headers, query), content, file),
            seconds=seconds, name=f"{method} {path.partition('?')[0]}", has_body=has_body, asks=not has_body,
            most=math.inf if stream else TIMES * seconds,
        )  # fmt: skip
        response = exchange.opened()
        encoding = self.redactor.text(response.headers.get("content-encoding", ""))
        answer = Answer(
            response.status_code, response.headers, decoded(exchange.chunks(), encoding), exchange.close
        )  # fmt: skip
        is_good = 200 <= answer.status_code < 300
        try:
            self._check_simulated(answer)
            self._hear(answer)
            if not is_good:
                with contextlib.suppress(AmbiguousError):  # the status tells enough
                    answer.content = first_bytes(answer.chunks, MOST_OF_ERROR)
                # Tools that show values beside a traceback show those that stand in the line that raises, too.
                refusal = from_status(answer.status_code, answer.headers, answer.content, self.redactor)
                raise refusal
            if not stream:
                answer.content = first_bytes(answer.chunks, MOST_OF_ANSWER)
        finally:
            if not (stream and is_good):
                answer.close()
        return answer

    def _options(
        self, seconds: float, headers: Mapping[str, str] | None, query: Mapping[str, object] | None
    ) -> dict[str, Any]:
        import httpx2

        given: Any = self._client.timeout
        connect: float | None = getattr(given, "connect", given)
        options: dict[str, Any] = {
            "max_retries": 0,
            "follow_redirects": False,
            # What a cache on the way has kept tells nothing of what is there now.
            "headers": {**(headers or {}), "accept-encoding": ENCODINGS, "cache-control": "no-cache"},
            "timeout": httpx2.Timeout(seconds, connect=seconds if connect is None else min(seconds, connect)),
        }
        return options | ({"params": dict(query)} if query else {})

    def _made(
        self, method: str, path: str, options: Mapping[str, Any], content: bytes | None,
        file: tuple[str, Path, str] | None,
    ) -> Callable[[Exchange], httpx2.Response]:  # fmt: skip
        """Return what makes a call, in the thread of its exchange."""
        import anthropic
        import httpx2

        client = self._reading_client
        verb: Any = {"GET": client.get, "POST": client.post, "DELETE": client.delete}[method]
        arguments: dict[str, Any] = {"cast_to": httpx2.Response, "options": options}
        if method != "DELETE":  # there the SDK has no way to ask for it
            # A raw httpx2.Response is returned before the stream class is used; the SDK only asks that there be one.
            arguments |= {"stream": True, "stream_cls": anthropic.Stream[bytes]}

        def make(exchange: Exchange) -> httpx2.Response:
            # Nothing of it is logged but what was asked for, without secrets.
            exchange.enter_context(ours(self.redactor))
            try:
                if file is not None:
                    name, source, media_type = file
                    with exchange.file(source) as opened:
                        found = verb(path, **arguments, files=[("file", (name, opened, media_type))], body={})
                elif content is not None:
                    found = verb(path, **arguments, content=exchange.body(content))
                else:
                    found = verb(path, **arguments)
            except anthropic.APIStatusError as error:  # where the SDK has looked at it all the same
                found = error.response
            response: httpx2.Response = found
            # Tokens come and go, and a client may have been changed.
            self.redactor.learn(secrets_of(response.request))
            return response

        return make

    def _failure_of(self, error: Exception) -> BatchnbError:
        """Return ours for what a call has raised, be it anything."""
        return failure_of(error, self.base_url, self._client, self.redactor)

    @once
    def _reading_client(self) -> anthropic.Anthropic:
        """Return the client, such that it gives answers that are errors unread, as it gives others.

        Of those it reads itself, it would read gigabytes, and it takes them for text in whatever encoding they name.
        """

        def unread(request: Any, call_next: Callable[[Any], Any]) -> Any:
            asked = request.copy()
            asked.stream = True
            found = call_next(asked)
            return getattr(found, "http_response", found)

        client = self._client
        try:
            return client.with_options(middleware=[unread, *client.middleware])
        except Exception:  # noqa: BLE001  # a client of the user's own making that cannot be copied
            return client

    def _patience(self, method: str, path: str, timeout: float | None) -> float:
        """Return for how many seconds too little may move: less where the client is made so, or the call."""
        given: Any = self._client.timeout
        read: float | None = getattr(given, "read", given)
        longest = {("POST", BATCHES): CREATE_SECONDS, ("POST", MESSAGES): MESSAGE_SECONDS}.get((method, path), SECONDS)
        return min(longest, *(each for each in (timeout, read) if each is not None))

    def _check_simulated(self, answer: Answer) -> None:
        """Refuse an answer that is none to take: a simulator's to a workspace of real ones, or the other way round."""
        found = self.redactor.text(answer.headers.get(SIMULATOR_HEADER, "")) or None
        if found == self.simulator:
            return
        if found is not None:
            raise RefusedError(
                f"{self.base_url} is a batchnb simulator, but this workspace keeps "
                + ("another simulator's answers" if self.simulator else "real answers")
                + ". Simulated and real answers are never mixed: restart the kernel with ANTHROPIC_BASE_URL set "
                "before batchnb is first used, or give the workspace that address from the start.",
                status=answer.status_code,
                type="simulated",
            )
        raise RefusedError(
            f"{self.base_url} no longer answers as the batchnb simulator this workspace was made for. Run "
            "batchnb.simulate() again.",
            status=answer.status_code,
            type="simulated",
        )

    def _decode(self, answer: Answer, kind: type[_T]) -> _T:
        try:
            try:
                return msgspec.json.decode(self.redactor.names(answer.content.removeprefix(MARK)), type=kind)
            except UNREADABLE:
                return msgspec.json.decode(self.redactor.names(mended(answer.content)), type=kind)
        except UNREADABLE as error:
            message = f"The server's answer is not what the API documents: {self.redactor.text(str(error))}"
        raise AmbiguousError(message, status=answer.status_code)
