"""The calls."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from batchnb.api.bodies import readable
from batchnb.api.calling import BATCHES, MESSAGES, Answer, Caller
from batchnb.api.shapes import ID, BatchInfo, FileInfo, FilePage, ModelInfo, ModelPage, Page, TokenCount
from batchnb.errors import AmbiguousError, ApiError, NotFoundError
from batchnb.system.clock import Clock

if TYPE_CHECKING:
    import anthropic

__all__ = ["BATCHES", "Api"]

FILES = "/v1/files"

#: What count_tokens takes and what decides whether a request is well formed; it refuses the other message fields.
COUNT_TOKENS_FIELDS = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"})


class Api(Caller):
    """A connection to the API, made when first used.

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
        super().__init__(client, simulator=simulator, clock=clock)
        self._models: dict[str, ModelInfo | None] = {}

    def listen(self, *, timeout: float = 10.0) -> None:
        """Make one free call, if no answer has come yet, for what the headers of any answer tell. Blocks.

        Parameters
        ----------
        timeout : float
            Seconds.

        Raises
        ------
        CredentialsError
            There is no key.
        """
        if not self.heard.answers:
            with contextlib.suppress(ApiError):  # an answer that is an error tells as much
                self._call("GET", "/v1/models", query={"limit": 1}, timeout=timeout)

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
        return self._decode(response, BatchInfo)

    def retrieve_batch(self, batch_id: str) -> BatchInfo:
        """Ask the state of a batch."""
        return self._decode(self._call("GET", _path(batch_id)), BatchInfo)

    def list_batches(self, *, page_size: int = 100) -> Iterator[BatchInfo]:
        """Yield the workspace's batches, newest first, page by page.

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
        return self._decode(self._call("POST", _path(batch_id, "/cancel")), BatchInfo)

    def delete_batch(self, batch_id: str) -> None:
        """Delete an ended batch and its results from the server."""
        self._call("DELETE", _path(batch_id))

    @contextlib.contextmanager
    def results(self, batch_id: str) -> Iterator[Iterator[bytes]]:
        """Open the results of an ended batch as chunks of raw JSONL; errors while reading are AmbiguousError."""
        response = self._call("GET", _path(batch_id, "/results"), stream=True)
        try:
            yield self._chunks(response)
        finally:
            response.close()

    @staticmethod
    def _chunks(response: Answer) -> Iterator[bytes]:
        yield from response.chunks

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
        # As the SDK's own upload does it: the boundary is set by what encodes the form.
        headers = {"content-type": "multipart/form-data"}
        response = self._call("POST", FILES, file=(_file_name(name), path, media_type), headers=headers)
        return self._decode(response, FileInfo)

    def list_files(self, *, page_size: int = 1000) -> Iterator[FileInfo]:
        """Yield the workspace's files, newest first, page by page."""
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
        response = self._call("POST", MESSAGES, content=body, headers=headers)
        self._decode(response, dict[str, Any])
        return self.redactor.message(readable(response.content))

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

    def models(self, *, timeout: float = 10.0) -> tuple[ModelInfo, ...]:
        """List the models there are; none where the server does not tell.

        Parameters
        ----------
        timeout : float
            Seconds.
        """
        try:
            page = self._decode(self._call("GET", "/v1/models", query={"limit": 1000}, timeout=timeout), ModelPage)
        except ApiError:
            return ()
        return tuple(page.data)


def _path(batch_id: str, part: str = "") -> str:
    """Return the address of a batch, or of a part of it.

    Raises
    ------
    NotFoundError
        It is no id: as part of an address it would ask for something else.
    """
    if re.fullmatch(ID, batch_id) is None:
        raise NotFoundError(f"{batch_id[:80]!r} is no id of a batch.", type="not_found_error")
    return f"{BATCHES}/{batch_id}{part}"


def _file_name(name: str) -> str:
    """Return a name that the Files API takes: 1 to 255 characters, none of them ``<>:"|?*`` or a control character."""
    cleaned = re.sub(r'[<>:"|?*\\/\x00-\x1f]', "_", name)
    return cleaned[-255:] or "file"
