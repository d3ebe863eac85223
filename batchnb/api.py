"""The Message Batches API as batchnb needs it: the only module that imports ``anthropic``.

The SDK keeps authentication, base URL, proxies, TLS and time-outs. Five things are done differently from its own batch
methods, each for a reason measured against anthropic 2.12.0:

- no retries by the SDK on create: the call has no idempotency key, so a retry can make the batch twice;
- results are read from the base URL by batch id: ``results_url`` would be followed, key and all, to any host;
- redirects are not followed, for the same reason;
- result lines are given as raw bytes: the SDK's decoder loses whole lines already received when a connection drops;
- every answer is checked for the simulator's header, so that a simulated answer cannot be taken for a real one.

Every failure leaves here as an :class:`~batchnb.errors.ApiError` or :class:`~batchnb.errors.CredentialsError`.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from batchnb.capabilities import ModelInfo
from batchnb.errors import AmbiguousError, ApiError, CredentialsError, InputError, NotFoundError, RefusedError

if TYPE_CHECKING:
    import anthropic
    import httpx2

__all__ = ["Api", "BatchInfo", "FileInfo", "message_fields", "scope_of", "simulator_client", "transform_schema"]

BATCHES = "/v1/messages/batches"
FILES = "/v1/files"
SIMULATOR_HEADER = "batchnb-simulator"

#: A count beyond this is none (documented: 100,000 requests in a batch).
MOST_COUNTED = 1_000_000_000

#: Statuses after which nothing was made by a create (platform.claude.com documentation, "Errors"). 408 and every
#: other 5xx leave it open.
REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 429, 529})

#: What count_tokens takes and what decides whether a request is well formed; it refuses the other message fields.
COUNT_TOKENS_FIELDS = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"})

NO_CREDENTIALS = (
    "No Anthropic API key was found. Either set the environment variable ANTHROPIC_API_KEY (keys are made at "
    "platform.claude.com), or call batchnb.simulate() first to work on the built-in simulator without a key. "
    "Nothing was sent."
)


class BatchInfo(msgspec.Struct, frozen=True):
    """What batchnb reads of a MessageBatch; ``results_url`` is left unread on purpose."""

    id: Annotated[str, msgspec.Meta(min_length=1)]
    processing_status: str = "in_progress"
    reported: Any = msgspec.field(default=None, name="request_counts")
    created_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    archived_at: datetime | None = None

    @property
    def request_counts(self) -> dict[str, int]:
        """The counts by state, without those that cannot be counts: they are shown, but decide about no row."""
        counts = self.reported if isinstance(self.reported, dict) else {}
        return {name: count for name, count in counts.items() if type(count) is int and 0 <= count <= MOST_COUNTED}

    @property
    def total(self) -> int:
        """How many requests the batch holds, in whatever state; 0 where the server does not say."""
        known = self.request_counts
        return sum(known.values()) if isinstance(self.reported, dict) and len(known) == len(self.reported) else 0


class FileInfo(msgspec.Struct, frozen=True):
    """What batchnb reads of a file's metadata."""

    id: Annotated[str, msgspec.Meta(min_length=1)]
    filename: str = ""
    mime_type: str = ""
    size_bytes: int = 0
    created_at: datetime | None = None
    expires_at: datetime | None = None


class _FilePage(msgspec.Struct, frozen=True):
    data: list[FileInfo]
    next_page: str | None = None


class _Page(msgspec.Struct, frozen=True):
    data: list[BatchInfo]
    has_more: bool = False
    last_id: str | None = None


class _Models(msgspec.Struct, frozen=True):
    data: list[ModelInfo]


class _TokenCount(msgspec.Struct, frozen=True):
    input_tokens: int


class Api:
    """A connection to the API, made when first used.

    Parameters
    ----------
    client : anthropic.Anthropic, optional
        The client to use; without it one is made from the environment, as the SDK does.
    simulator : str, optional
        The simulator's id that every answer must carry. None: no answer may carry one.
    """

    def __init__(self, client: anthropic.Anthropic | None = None, *, simulator: str | None = None) -> None:
        self._given = client
        self.simulator = simulator
        self._models: dict[str, ModelInfo | None] = {}

    @functools.cached_property
    def _client(self) -> anthropic.Anthropic:
        import anthropic

        client = self._given
        if client is None:
            try:
                client = anthropic.Anthropic()
            except anthropic.AnthropicError as error:  # such as a profile that is not there
                raise CredentialsError(f"{error} Nothing was sent.") from error
        if not isinstance(client, anthropic.Anthropic):
            kind = type(client).__name__
            raise InputError(f"Workspace(client=...) takes an anthropic.Anthropic client, not {kind}.")
        return client

    @functools.cached_property
    def base_url(self) -> str:
        """Where calls go, without user info, query and trailing slash."""
        return _plain_url(str(self._client.base_url))

    def require_credentials(self) -> None:
        """Raise CredentialsError, naming both ways out, where there is no key. Touches no network."""
        client = self._client
        headers = {name.lower() for name in client.default_headers}
        if not (client.api_key or client.auth_token or client.credentials or headers & {"authorization", "x-api-key"}):
            if self._given is None:
                del self._client  # made anew from the environment once there is a key
            raise CredentialsError(NO_CREDENTIALS)

    def close(self) -> None:
        """Close the connections of a client made here; a client that was given is left open."""
        if self._given is None and "_client" in self.__dict__:
            self._client.close()

    # Batches

    def create_batch(self, body: bytes, betas: Sequence[str] = ()) -> BatchInfo:
        """Make a batch from a prebuilt JSON `body`: one attempt, never repeated here.

        Raises
        ------
        RefusedError
            Nothing was made.
        AmbiguousError
            The batch may or may not have been made: ask `list_batches`.
        """
        headers = {"content-type": "application/json"}
        if betas:
            headers["anthropic-beta"] = ",".join(betas)
        response = self._call("POST", BATCHES, content=body, headers=headers)
        try:
            return msgspec.json.decode(response.content, type=BatchInfo)
        except msgspec.MsgspecError as error:
            message = f"The server accepted a batch but its answer could not be read: {error}"
            raise AmbiguousError(message, status=response.status_code) from error

    def retrieve_batch(self, batch_id: str) -> BatchInfo:
        """Ask the state of a batch."""
        return self._decode(self._call("GET", f"{BATCHES}/{batch_id}"), BatchInfo)

    def list_batches(self, *, page_size: int = 100) -> Iterator[BatchInfo]:
        """Give the workspace's batches, newest first, page by page.

        Raises
        ------
        AmbiguousError
            There are more pages, and no way to them is named. Taken for the whole, what came would prove that a batch
            is not there.
        """
        after: str | None = None
        been = set()
        while True:
            query: dict[str, object] = {"limit": page_size} | ({"after_id": after} if after else {})
            page = self._decode(self._call("GET", BATCHES, query=query), _Page)
            yield from page.data
            if not page.has_more:
                return
            after = page.last_id or (page.data[-1].id if page.data else None)
            if after is None or after in been:
                raise AmbiguousError("The server's list of batches has more pages, but names no way to them.")
            been.add(after)

    def cancel_batch(self, batch_id: str) -> BatchInfo:
        """Ask the server to cancel a batch; what is running may still succeed."""
        return self._decode(self._call("POST", f"{BATCHES}/{batch_id}/cancel"), BatchInfo)

    def delete_batch(self, batch_id: str) -> None:
        """Delete an ended batch and its results from the server."""
        self._call("DELETE", f"{BATCHES}/{batch_id}")

    @contextlib.contextmanager
    def results(self, batch_id: str) -> Iterator[Iterator[bytes]]:
        """Open the results of an ended batch as chunks of raw JSONL; errors while reading are AmbiguousError."""
        response = self._call("GET", f"{BATCHES}/{batch_id}/results", stream=True)
        try:
            yield self._chunks(response)
        finally:
            response.close()

    @staticmethod
    def _chunks(response: httpx2.Response) -> Iterator[bytes]:
        import httpx2

        try:
            yield from response.iter_bytes()
        except httpx2.HTTPError as error:
            raise AmbiguousError(f"The results broke off: {type(error).__name__}") from error

    # Files

    def upload_file(self, path: Path, name: str, media_type: str) -> FileInfo:
        """Upload a file, which does not expire: one attempt. The bytes go from the disk, a piece at a time.

        Raises
        ------
        RefusedError
            The server did not take it.
        AmbiguousError
            It may have: then it has the file once more than is needed.
        """
        with path.open("rb") as file:
            # As the SDK's own upload does it: the boundary is set by what encodes the form.
            headers = {"content-type": "multipart/form-data"}
            response = self._call("POST", FILES, file=(_file_name(name), file, media_type), headers=headers)
        return self._decode(response, FileInfo)

    def list_files(self, *, page_size: int = 1000) -> Iterator[FileInfo]:
        """Give the workspace's files, newest first, page by page."""
        after: str | None = None
        been = set()
        while True:
            query: dict[str, object] = {"limit": page_size} | ({"page": after} if after else {})
            page = self._decode(self._call("GET", FILES, query=query), _FilePage)
            yield from page.data
            after = page.next_page
            if after is None or after in been:
                return
            been.add(after)

    def delete_file(self, file_id: str) -> None:
        """Delete a file from the server."""
        self._call("DELETE", f"{FILES}/{file_id}")

    # Neighbours

    def create_message(self, body: bytes, betas: Sequence[str] = ()) -> bytes:
        """Have one request answered now, at the standard price: one attempt, never repeated here.

        Parameters
        ----------
        body : bytes
            The request's params as JSON.
        betas : sequence of str
            Beta headers.

        Returns
        -------
        bytes
            The message as it came, in the API's own JSON.

        Raises
        ------
        RefusedError
            Nothing was answered, nor paid for.
        AmbiguousError
            The request may have been answered, and paid for: Messages has no way to ask.
        """
        headers = {"content-type": "application/json"} | ({"anthropic-beta": ",".join(betas)} if betas else {})
        response = self._call("POST", "/v1/messages", content=body, headers=headers)
        self._decode(response, dict[str, Any])
        return bytes(response.content)

    def count_tokens(self, params: Mapping[str, Any], betas: Sequence[str] = (), *, timeout: float = 10.0) -> int:
        """Ask the free count_tokens endpoint, with the fields of `params` that it takes.

        The endpoint refuses most malformed requests and unknown models, so it doubles as a check of the request.
        """
        body = msgspec.json.encode({name: value for name, value in params.items() if name in COUNT_TOKENS_FIELDS})
        headers = {"content-type": "application/json"} | ({"anthropic-beta": ",".join(betas)} if betas else {})
        response = self._call("POST", "/v1/messages/count_tokens", content=body, headers=headers, timeout=timeout)
        return self._decode(response, _TokenCount).input_tokens

    def model(self, name: str, *, timeout: float = 10.0) -> ModelInfo | None:
        """Ask what a model can do; asked once, and kept.

        Parameters
        ----------
        name : str
            Its id, or a shorter name of it.
        timeout : float
            Seconds.

        Returns
        -------
        ModelInfo or None
            None where the server does not tell: it has no such endpoint, or did not answer.

        Raises
        ------
        NotFoundError
            The server has the endpoint, and knows no such model.
        RefusedError
            Of type "simulated": the answer comes from elsewhere.
        """
        if name not in self._models:
            try:
                response = self._call("GET", f"/v1/models/{quote(name, safe='')}", timeout=timeout)
                self._models[name] = self._decode(response, ModelInfo)
            except ApiError as error:
                # The API says "model: <name>"; what stands between may know no such address.
                if error.type == "simulated" or (
                    error.type == "not_found_error" and str(error).lower().startswith("model")
                ):
                    raise
                self._models[name] = None
        return self._models[name]

    def model_names(self, *, timeout: float = 10.0) -> tuple[str, ...]:
        """List the names of the models there are; none where the server does not tell.

        Parameters
        ----------
        timeout : float
            Seconds.
        """
        try:
            page = self._decode(self._call("GET", "/v1/models", query={"limit": 1000}, timeout=timeout), _Models)
        except ApiError:
            return ()
        return tuple(model.id for model in page.data)

    # The one place that calls

    def _call(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        file: tuple[str, BinaryIO, str] | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        timeout: float | None = None,
        stream: bool = False,
    ) -> httpx2.Response:
        import anthropic
        import httpx2

        self.require_credentials()
        options: dict[str, Any] = {"max_retries": 0, "follow_redirects": False, "headers": dict(headers or {})}
        if query:
            options["params"] = dict(query)
        if timeout is not None:
            options["timeout"] = timeout
        arguments: dict[str, Any] = {"cast_to": httpx2.Response, "options": options}
        if stream:
            # A raw httpx2.Response is returned before the stream class is used; the SDK only asks that there be one.
            arguments |= {"stream": True, "stream_cls": anthropic.Stream[bytes]}
        if content is not None:
            arguments["content"] = content
        if file is not None:
            arguments |= {"files": [("file", file)], "body": {}}
        verb: Any = {"GET": self._client.get, "POST": self._client.post, "DELETE": self._client.delete}[method]
        try:
            response: httpx2.Response = verb(path, **arguments)
        except anthropic.APIStatusError as error:
            self._check_simulated(error.response)
            raise _from_status(error) from error
        except anthropic.APIConnectionError as error:
            raise _from_connection(error, self.base_url) from error
        except (anthropic.APIError, httpx2.HTTPError) as error:  # such as an error's body that breaks off
            message = f"The answer from {self.base_url} could not be read ({type(error).__name__})."
            raise AmbiguousError(message, type="no_answer") from error
        except anthropic.AnthropicError as error:  # credentials that could not be resolved or exchanged
            raise CredentialsError(f"{error} Nothing was sent.") from error
        self._check_simulated(response)
        return response

    def _check_simulated(self, response: httpx2.Response) -> None:
        found = response.headers.get(SIMULATOR_HEADER)
        if found == self.simulator:
            return
        response.close()
        if found is not None:
            raise RefusedError(
                f"{self.base_url} is a batchnb simulator, but this workspace keeps "
                + ("another simulator's answers" if self.simulator else "real answers")
                + ". Simulated and real answers are never mixed: restart the kernel with ANTHROPIC_BASE_URL set "
                "before batchnb is first used, or give the workspace that address from the start.",
                status=response.status_code,
                type="simulated",
            )
        raise RefusedError(
            f"{self.base_url} no longer answers as the batchnb simulator this workspace was made for. Run "
            "batchnb.simulate() again.",
            status=response.status_code,
            type="simulated",
        )

    @staticmethod
    def _decode(response: httpx2.Response, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.MsgspecError as error:
            message = f"The server's answer is not what the API documents: {error}"
            raise AmbiguousError(message, status=response.status_code) from error


_T = typing.TypeVar("_T")


def _from_status(error: anthropic.APIStatusError) -> ApiError:
    status = error.status_code
    said = _error_in(error.body)
    message = said.get("message") or _first_line(error.response.text) or f"HTTP {status}"
    if 300 <= status < 400:
        message = f"The address redirects elsewhere (HTTP {status}), where your key must not follow; set the final one"
    retry_after = _seconds(error.response.headers.get("retry-after"))
    kind: type[ApiError] = AmbiguousError
    if status == 404:
        kind = NotFoundError
    elif status in REFUSALS or 300 <= status < 400:
        kind = RefusedError
    # A spend limit comes as a rate_limit_error, but does not pass by waiting: its code says what it is.
    details = said.get("details")
    code = str(details.get("error_code")) if isinstance(details, dict) else ""
    # So does a full store come as an invalid_request_error, though nothing about the request is wrong.
    telling = code.endswith("spend_limit_reached") or code == "storage_quota_exceeded"
    found = code if telling else said.get("type")
    return kind(str(message), status=status, type=found, retry_after=retry_after)


def _error_in(body: object) -> dict[str, Any]:
    """Find the inner error of the API's envelope; empty where the body is something else."""
    inner = body.get("error") if isinstance(body, dict) else None
    return inner if isinstance(inner, dict) else {}


def _from_connection(error: anthropic.APIConnectionError, base_url: str) -> ApiError:
    import httpx2

    cause = error.__cause__
    never_sent = httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.UnsupportedProtocol
    if isinstance(cause, never_sent):
        return RefusedError(f"{base_url} could not be reached ({type(cause).__name__}).", type="unreachable")
    return AmbiguousError(f"No answer came from {base_url} ({type(cause or error).__name__}).", type="no_answer")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]


def _file_name(name: str) -> str:
    """Give a name that the Files API takes: 1 to 255 characters, none of them ``<>:"|?*`` or a control character."""
    cleaned = re.sub(r'[<>:"|?*\\/\x00-\x1f]', "_", name)
    return cleaned[-255:] or "file"


def _seconds(header: str | None) -> float | None:
    try:
        return None if header is None else max(0.0, float(header))
    except ValueError:  # an HTTP date is allowed there too; the caller's own pace serves as well
        return None


def _plain_url(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    netloc = host + (f":{parts.port}" if parts.port else "")
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))


def scope_of(base_url: str) -> tuple[str, str | None]:
    """Tell whose answers come from `base_url`: a scope for the ledger, and the simulator's id if it is one.

    Touches the network only for an address on this machine, where a simulator may listen: one request, without the
    user's key, and ten seconds at most.

    Returns
    -------
    tuple of str and (str or None)
        ``("simulator:<id>", "<id>")`` or ``(base_url, None)``.
    """
    import anthropic
    import httpx2

    plain = _plain_url(base_url)
    if not _is_loopback(urlsplit(plain).hostname or ""):
        return plain, None
    with _local_client(plain, "probe").with_options(max_retries=0, timeout=10.0) as probe:
        try:
            options: Any = {"params": {"limit": 1}, "follow_redirects": False}
            headers = probe.get("/v1/models", cast_to=httpx2.Response, options=options).headers
        except anthropic.APIStatusError as error:
            headers = error.response.headers
        except anthropic.APIConnectionError:
            return plain, None
    simulator = headers.get(SIMULATOR_HEADER)
    return (f"simulator:{simulator}", simulator) if simulator else (plain, None)


def simulator_client(url: str) -> anthropic.Anthropic:
    """Make a client for the simulator: with a dummy key, so that no real one can reach it."""
    return _local_client(url, "simulated")


def _local_client(url: str, key: str) -> anthropic.Anthropic:
    import anthropic
    import httpx2

    # A transport of its own: the environment's proxies are for other machines.
    http_client = anthropic.DefaultHttpxClient(transport=httpx2.HTTPTransport(trust_env=False), trust_env=False)
    return anthropic.Anthropic(api_key=key, base_url=url, http_client=http_client)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def transform_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Turn a JSON schema into one that structured outputs take, by the SDK's own rule. Touches no network."""
    import anthropic

    return anthropic.transform_schema(schema)


@functools.cache
def message_fields(*, beta: bool) -> frozenset[str]:
    """Names a request's params may have, read from the SDK's own types."""
    if beta:
        from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming as Params
    else:
        from anthropic.types.message_create_params import (  # type: ignore[assignment]
            MessageCreateParamsNonStreaming as Params,
        )
    # Two headers of the SDK's method are listed among the body's fields.
    return frozenset(typing.get_type_hints(Params)) - {"betas", "workspace_id"}
