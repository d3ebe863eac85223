"""What the API checks before it accepts a batch: the body's size and shape, and the custom_ids.

The params of a row are not looked at here: the API validates them later, and so does the simulator.

Sources: platform.claude.com documentation; the pattern is that of the API's own error message.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from batchnb.sim.wire import ApiError, decode_json, invalid

_PATTERN = r"^[a-zA-Z0-9_-]{1,64}$"
_custom_id = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    custom_id: str
    params: msgspec.Raw


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    requests: list[_Request]


_decoder = msgspec.json.Decoder(_Body)


def parse(body: bytes, max_requests: int) -> list[tuple[str, bytes]]:
    """Return the (custom_id, params as JSON) of a create call's body.

    Parameters
    ----------
    body
        The body as it was received.
    max_requests
        The most requests that a batch may have.

    Raises
    ------
    ApiError
        As the API refuses a whole batch: 400, or 413 for too many requests.
    """
    try:
        requests = _decoder.decode(body).requests
    except msgspec.ValidationError as problem:
        raise _explain(body, max_requests) from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise invalid(f"The request body is not valid JSON: {problem}") from problem
    _check_count(len(requests), max_requests)
    seen: set[str] = set()
    for i, request in enumerate(requests):
        name = request.custom_id
        if not _custom_id.fullmatch(name) or name in seen:
            raise _bad_custom_id(i, name)
        seen.add(name)
    return [(request.custom_id, bytes(request.params)) for request in requests]


def _check_count(count: int, most: int) -> None:
    if not count:
        raise invalid("requests: List should have at least 1 item after validation, not 0")
    if count > most:
        raise ApiError(
            "request_too_large", f"requests: a batch may hold at most {most} requests, and this one has {count}"
        )


def _bad_custom_id(i: int, name: str) -> ApiError:
    where = f"requests.{i}.custom_id"
    if not name:
        return invalid(f"{where}: String should have at least 1 character")
    if len(name) > 64:
        return invalid(f"{where}: String should have at most 64 characters")
    if not _custom_id.fullmatch(name):
        return invalid(f"{where}: String should match pattern '{_PATTERN}'")
    return invalid(f"requests: custom_id's must be unique within a batch. Duplicate custom_id found: {name}")


def _explain(body: bytes, max_requests: int) -> ApiError:
    """Return the API's words for a body of the wrong shape; taken slowly, since it is refused anyway."""
    whole = decode_json(body)
    if not isinstance(whole, dict):
        return invalid("Input should be an object")
    if "requests" not in whole:
        return invalid("requests: Field required")
    for name in whole:
        if name != "requests":
            return invalid(f"{name}: Extra inputs are not permitted")
    requests = whole["requests"]
    if not isinstance(requests, list):
        return invalid("requests: Input should be a valid array")
    if len(requests) > max_requests:
        _check_count(len(requests), max_requests)
    for i, request in enumerate(requests):
        if problem := _request_problem(request, f"requests.{i}"):
            return invalid(problem)
    return invalid("requests: Input should be a valid array")


def _request_problem(request: Any, where: str) -> str | None:
    if not isinstance(request, dict):
        return f"{where}: Input should be an object"
    for name in ("custom_id", "params"):
        if name not in request:
            return f"{where}.{name}: Field required"
    for name in request:
        if name not in ("custom_id", "params"):
            return f"{where}.{name}: Extra inputs are not permitted"
    if not isinstance(request["custom_id"], str):
        return f"{where}.custom_id: Input should be a valid string"
    return None
