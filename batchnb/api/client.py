"""The calls."""

from __future__ import annotations

import contextlib
import functools
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

import msgspec

from batchnb.api.addresses import SIMULATOR_HEADER, plain_url
from batchnb.api.clients import client_from, credentials_problem
from batchnb.api.failures import failure_of
from batchnb.api.logs import ours
from batchnb.api.redaction import Redactor, secrets_of
from batchnb.api.shapes import BatchInfo, FileInfo, FilePage, ModelPage, Page, TokenCount
from batchnb.capabilities import ModelInfo
from batchnb.errors import AmbiguousError, ApiError, RefusedError

if TYPE_CHECKING:
    import anthropic
    import httpx2

__all__ = ["BATCHES", "Api"]

BATCHES = "/v1/messages/batches"
FILES = "/v1/files"

#: What count_tokens takes and what decides whether a request is well formed; it refuses the other message fields.
COUNT_TOKENS_FIELDS = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"})

_T = typing.TypeVar("_T")


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
        #: Knows the credentials, and takes them out of what a server says.
        self.redactor = Redactor()

    @functools.cached_property
    def _client(self) -> anthropic.Anthropic:
        return client_from(self._given, self.redactor)

    @functools.cached_property
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
            raise problem

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
            return self._decode(response, BatchInfo)
        except AmbiguousError as error:
            message = f"The server accepted a batch but its answer could not be read: {error}"
            raise AmbiguousError(message, status=response.status_code) from None

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
            page = self._decode(self._call("GET", BATCHES, query=query), Page)
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

    def _chunks(self, response: httpx2.Response) -> Iterator[bytes]:
        import httpx2

        chunks, broken = response.iter_bytes(), ""
        while not broken:
            try:
                with ours(self.redactor):
                    chunk = next(chunks, None)
            except httpx2.HTTPError as error:
                broken = type(error).__name__
            else:
                if chunk is None:
                    return
                yield chunk
        raise AmbiguousError(f"The results broke off: {broken}")

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
            page = self._decode(self._call("GET", FILES, query=query), FilePage)
            yield from page.data
            after = page.next_page
            if after is None or after in been:
                return
            been.add(after)

    def delete_file(self, file_id: str) -> None:
        """Delete a file from the server."""
        self._call("DELETE", f"{FILES}/{quote(file_id, safe='')}")

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
        return self._decode(response, TokenCount).input_tokens

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
            page = self._decode(self._call("GET", "/v1/models", query={"limit": 1000}, timeout=timeout), ModelPage)
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
        response = self._answer(lambda: verb(path, **arguments))
        self._check_simulated(response)
        return response

    def _answer(self, call: Callable[[], httpx2.Response]) -> httpx2.Response:
        """Make a call; what it raises is ours, and what the frames of the SDK hold, keys among it, stays behind."""
        import anthropic

        failure: BaseException
        try:
            with ours(self.redactor):
                response = call()
        except anthropic.APIStatusError as error:
            self._learn(error.response)
            failure = self._unsimulated(error.response) or failure_of(error, self.base_url, self._client, self.redactor)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told as an error of a call
            failure = failure_of(error, self.base_url, self._client, self.redactor)
        except BaseException as error:  # noqa: BLE001  # an interrupt, which is passed on
            failure = error.with_traceback(None)
            failure.__context__ = None
        else:
            self._learn(response)
            return response
        raise failure from None

    def _learn(self, response: httpx2.Response) -> None:
        """Get to know what the call was made with: tokens come and go, and a client may have been changed."""
        self.redactor.learn(secrets_of(response.request))

    def _check_simulated(self, response: httpx2.Response) -> None:
        failure = self._unsimulated(response)
        if failure is not None:
            response.close()
            raise failure

    def _unsimulated(self, response: httpx2.Response) -> RefusedError | None:
        """Tell why an answer is none to take: a simulator's to a workspace of real ones, or the other way round."""
        found = response.headers.get(SIMULATOR_HEADER)
        if found == self.simulator:
            return None
        if found is not None:
            return RefusedError(
                f"{self.base_url} is a batchnb simulator, but this workspace keeps "
                + ("another simulator's answers" if self.simulator else "real answers")
                + ". Simulated and real answers are never mixed: restart the kernel with ANTHROPIC_BASE_URL set "
                "before batchnb is first used, or give the workspace that address from the start.",
                status=response.status_code,
                type="simulated",
            )
        return RefusedError(
            f"{self.base_url} no longer answers as the batchnb simulator this workspace was made for. Run "
            "batchnb.simulate() again.",
            status=response.status_code,
            type="simulated",
        )

    def _decode(self, response: httpx2.Response, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(self.redactor.json(response.content), type=kind)
        except msgspec.MsgspecError as error:
            message = f"The server's answer is not what the API documents: {self.redactor.text(str(error))}"
        raise AmbiguousError(message, status=response.status_code)


def _file_name(name: str) -> str:
    """Give a name that the Files API takes: 1 to 255 characters, none of them ``<>:"|?*`` or a control character."""
    cleaned = re.sub(r'[<>:"|?*\\/\x00-\x1f]', "_", name)
    return cleaned[-255:] or "file"
