"""What each endpoint answers, apart from HTTP: a call in, JSON or a stream of bytes out.

Source: platform.claude.com documentation and anthropic 2.12.0 (paths, query parameters, shapes).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batchnb.sim.model.message import Answerer, events, message
from batchnb.sim.model.responder import count_tokens
from batchnb.sim.rules.validation import Accepted, Validator
from batchnb.sim.server import faults
from batchnb.sim.server.faults import Fault
from batchnb.sim.state.batches import Batches
from batchnb.sim.state.files import Files, Upload
from batchnb.sim.state.prompt_cache import Cache
from batchnb.sim.state.store import BatchRow
from batchnb.sim.wire import ApiError, decode_json, invalid

_BATCHES = "/v1/messages/batches"
_ID = r"(?P<id>[^/]+)"

_TABLE = [
    (re.compile(pattern), methods)
    for pattern, methods in (
        (_BATCHES, {"POST": "create", "GET": "list"}),
        (f"{_BATCHES}/{_ID}", {"GET": "retrieve", "DELETE": "delete"}),
        (f"{_BATCHES}/{_ID}/cancel", {"POST": "cancel"}),
        (f"{_BATCHES}/{_ID}/results", {"GET": "results"}),
        ("/v1/messages", {"POST": "messages"}),
        ("/v1/messages/count_tokens", {"POST": "count_tokens"}),
        ("/v1/models", {"GET": "models"}),
        (f"/v1/models/{_ID}", {"GET": "model"}),
        ("/v1/files", {"POST": "upload", "GET": "files"}),
        (f"/v1/files/{_ID}", {"GET": "file", "DELETE": "delete_file"}),
        (f"/v1/files/{_ID}/content", {"GET": "download"}),
    )
]


def match(method: str, path: str) -> tuple[str, str]:
    """Return the route of a call and the id in its path (empty where there is none).

    Raises
    ------
    ApiError
        404 for an unknown path, 405 for a method that it does not take.
    """
    for pattern, methods in _TABLE:
        found = pattern.fullmatch(path)
        if found is None:
            continue
        if method not in methods:
            raise ApiError("invalid_request_error", "Method Not Allowed", status=405)
        return methods[method], found.groupdict().get("id", "")
    raise ApiError("not_found_error", "Not Found")


@dataclass(frozen=True)
class Ask:
    """A call, as far as its answer depends on it. The key is not among it.

    Parameters
    ----------
    route, id
        What `match` returned.
    query
        The query parameters, each with all its values.
    body
        The body, unless it is an upload.
    upload
        The file that was received, for the route ``upload``.
    version, beta, betas
        The ``anthropic-version``, whether the beta namespace was used, and the values of the ``anthropic-beta`` header.
    origin
        Scheme and host as the client calls them.
    faults
        The faults that strike this call.
    """

    route: str
    id: str = ""
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    body: bytes = b""
    upload: Upload | None = None
    version: str = ""
    beta: bool = False
    betas: tuple[str, ...] = ()
    origin: str = ""
    faults: Sequence[Fault] = ()


@dataclass(frozen=True)
class Stream:
    """An answer sent piece by piece.

    Parameters
    ----------
    media_type
        Its ``content-type``.
    pieces
        The body.
    framed
        Whether the body says where it ends; if not, only the closing of the connection does.
    complete
        Whether the body is properly ended; if not, the connection drops.
    """

    media_type: str
    pieces: Iterator[bytes]
    framed: bool = True
    complete: bool = True


class Service:
    """Answers calls. Its methods run in worker threads, several at a time.

    Parameters
    ----------
    batches
        The batches.
    answerer
        What answers messages.
    cache
        The simulated prompt cache.
    files
        The uploaded files.
    validator
        What checks requests, and knows the models.
    """

    def __init__(
        self,
        batches: Batches,
        answerer: Answerer,
        cache: Cache,
        files: Files,
        validator: Validator,
    ) -> None:
        self._batches = batches
        self._answerer = answerer
        self._cache = cache
        self._files = files
        self._validator = validator
        self._handlers: dict[str, Callable[[Ask], dict[str, Any] | Stream]] = {
            "create": self.create,
            "retrieve": self.retrieve,
            "list": self.page,
            "cancel": self.cancel,
            "delete": self.delete,
            "results": self.results,
            "messages": self.messages,
            "count_tokens": self.count_tokens,
            "models": self.models,
            "model": self.model,
            "upload": self.upload,
            "files": self.files,
            "file": self.file,
            "delete_file": self.delete_file,
            "download": self.download,
        }

    def answer(self, ask: Ask) -> dict[str, Any] | Stream:
        """Answer a call.

        Raises
        ------
        ApiError
            Where the API refuses it.
        """
        return self._handlers[ask.route](ask)

    def receive(self, content_type: str) -> Upload:
        """Begin to receive the file of an upload."""
        return self._files.receive(content_type)

    def age(self, route: str, batch_id: str) -> float | None:
        """Return the age of a batch for `FaultPlan.take`."""
        return self._batches.age(batch_id, since_end=route == "results") if batch_id else None

    def create(self, ask: Ask) -> dict[str, Any]:
        """``POST /v1/messages/batches``."""
        return self._shown(
            self._batches.create(
                ask.body, version=ask.version, beta=ask.beta, betas=ask.betas, faults=_stage(ask, "batch")
            ),
            ask,
        )

    def retrieve(self, ask: Ask) -> dict[str, Any]:
        """``GET /v1/messages/batches/{id}``."""
        return self._shown(self._batches.retrieve(ask.id), ask)

    def page(self, ask: Ask) -> dict[str, Any]:
        """``GET /v1/messages/batches``."""
        found, more = self._batches.page(_limit(ask), _one(ask, "after_id"), _one(ask, "before_id"))
        return _page([self._shown(batch, ask) for batch in found], more)

    def cancel(self, ask: Ask) -> dict[str, Any]:
        """``POST /v1/messages/batches/{id}/cancel``."""
        return self._shown(self._batches.cancel(ask.id), ask)

    def delete(self, ask: Ask) -> dict[str, Any]:
        """``DELETE /v1/messages/batches/{id}``."""
        self._batches.delete(ask.id)
        return {"id": ask.id, "type": "message_batch_deleted"}

    def results(self, ask: Ask) -> Stream:
        """``GET /v1/messages/batches/{id}/results``."""
        total, lines = self._batches.results(ask.id)
        chosen = _stage(ask, "body")
        kinds = {fault.kind for fault in chosen}
        if chosen:
            lines = faults.distort(lines, total, chosen, random.Random(total))  # noqa: S311 - a simulation
        return Stream(
            "application/x-jsonl", _blocks(lines), framed="truncate" not in kinds, complete="cut" not in kinds
        )

    def messages(self, ask: Ask) -> dict[str, Any] | Stream:
        """``POST /v1/messages``, whole or streamed."""
        params = decode_json(ask.body)
        accepted = self._checked(params, ask, "messages")
        try:
            reply = self._answerer.reply(params, accepted.read, "", accepted.thinking)
        except ApiError:
            raise
        except Exception as problem:
            raise ApiError("api_error", f"The responder raised {type(problem).__name__}: {problem}") from problem
        accepted.check_length(reply.input_tokens)
        split = self._cache.split(accepted.read, reply.input_tokens)
        whole = message(reply, accepted.read, model=accepted.model, tier="standard", split=split)
        if params.get("stream"):
            return Stream("text/event-stream; charset=utf-8", events(whole))
        return whole

    def count_tokens(self, ask: Ask) -> dict[str, Any]:
        """``POST /v1/messages/count_tokens``."""
        return {"input_tokens": count_tokens(self._checked(decode_json(ask.body), ask, "count_tokens").read)}

    def models(self, ask: Ask) -> dict[str, Any]:
        """``GET /v1/models``: active and deprecated ones, or those in the stages asked for."""
        wanted = _all(ask, "lifecycle") or ("active", "deprecated")
        for stage in wanted:
            if stage not in ("active", "deprecated", "retired"):
                problem = "lifecycle: Input should be 'active', 'deprecated' or 'retired'"
                raise invalid(problem)
        shown = [model.info() for model in self._validator.catalogue.models if model.lifecycle in wanted]
        limit, after, before = _limit(ask), self._place(shown, ask, "after_id"), self._place(shown, ask, "before_id")
        if before is not None:
            start = max(0, before - limit)
            return _page(shown[start:before], start > 0)
        start = 0 if after is None else after + 1
        return _page(shown[start : start + limit], start + limit < len(shown))

    def model(self, ask: Ask) -> dict[str, Any]:
        """``GET /v1/models/{id}``; an alias is answered with the model that it stands for."""
        found = self._validator.catalogue.find(ask.id)
        if found is None:
            raise ApiError("not_found_error", f"model: {ask.id}")
        return found.info()

    def upload(self, ask: Ask) -> dict[str, Any]:
        """``POST /v1/files``."""
        if ask.upload is None:
            raise invalid("file: Field required")
        return self._files.describe(self._files.add(ask.upload), beta=ask.beta)

    def files(self, ask: Ask) -> dict[str, Any]:
        """``GET /v1/files``: a page, or the files whose ids are given."""
        ids, cursor = _all(ask, "ids"), _one(ask, "page")
        if ids and (cursor is not None or _one(ask, "limit") is not None):
            raise invalid("ids: may not be combined with page or limit")
        found, following = (self._files.named(ids), None) if ids else self._files.page(_limit(ask), cursor)
        return {"data": [self._files.describe(file, beta=ask.beta) for file in found], "next_page": following}

    def file(self, ask: Ask) -> dict[str, Any]:
        """``GET /v1/files/{id}``."""
        return self._files.describe(self._files.retrieve(ask.id), beta=ask.beta)

    def delete_file(self, ask: Ask) -> dict[str, Any]:
        """``DELETE /v1/files/{id}``."""
        self._files.delete(ask.id)
        return {"id": ask.id, "type": "file_deleted"}

    def download(self, ask: Ask) -> dict[str, Any]:
        """``GET /v1/files/{id}/content``: always refused."""
        self._files.download(ask.id)
        return {}

    def _checked(self, params: Any, ask: Ask, endpoint: str) -> Accepted:
        return self._validator.check(params, endpoint, version=ask.version, beta=ask.beta, betas=ask.betas)

    def _shown(self, batch: BatchRow, ask: Ask) -> dict[str, Any]:
        return faults.overlay(self._batches.describe(batch, ask.origin), _stage(ask, "object"))

    def _place(self, shown: list[dict[str, Any]], ask: Ask, name: str) -> int | None:
        cursor = _one(ask, name)
        if cursor is None:
            return None
        for place, model in enumerate(shown):
            if model["id"] == cursor:
                return place
        raise invalid(f"{name}: model {cursor} not found")


def _stage(ask: Ask, stage: str) -> list[Fault]:
    return [fault for fault in ask.faults if fault.stage == stage]


def _all(ask: Ask, name: str) -> tuple[str, ...]:
    """Return every value of a list in the query, in whichever of the usual ways it is written."""
    values = [*ask.query.get(name, ()), *ask.query.get(f"{name}[]", ())]
    return tuple(part for value in values for part in value.split(",") if part)


def _one(ask: Ask, name: str) -> str | None:
    values = ask.query.get(name, ())
    return values[-1] if values and values[-1] else None


def _limit(ask: Ask) -> int:
    text = _one(ask, "limit")
    if text is None:
        return 20
    try:
        limit = int(text)
    except ValueError:
        problem = "limit: Input should be a valid integer, unable to parse string as an integer"
        raise invalid(problem) from None
    if limit < 1:
        raise invalid("limit: Input should be greater than or equal to 1")
    if limit > 1000:
        raise invalid("limit: Input should be less than or equal to 1000")
    return limit


def _page(data: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    return {
        "data": data,
        "has_more": more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def _blocks(lines: Iterator[bytes], size: int = 1 << 16) -> Iterator[bytes]:
    """Join lines into larger pieces: each piece costs a change of threads."""
    held, length = [], 0
    for line in lines:
        held.append(line)
        length += len(line)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)
