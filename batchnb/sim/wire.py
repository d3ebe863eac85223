"""What every part of the simulator writes on the wire: errors in the API's envelope, ids and timestamps.

Sources: platform.claude.com documentation (error types and their statuses), anthropic 2.12.0 (field shapes).
"""

from __future__ import annotations

import random
import time
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import msgspec

_ids = random.Random()  # noqa: S311 - seeded by the system; ids are names, not secrets

STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

DEFAULT_MESSAGES = {
    "api_error": "Internal server error",
    "timeout_error": "Request timed out",
    "overloaded_error": "Overloaded",
    "rate_limit_error": "This request would exceed your organization's rate limit. Please try again later.",
    "not_found_error": "Not found",
    "billing_error": "Your credit balance is too low to access the Anthropic API.",
    "permission_error": "Your API key does not have permission to use the specified resource.",
    "authentication_error": "API key is invalid.",
    "invalid_request_error": "The request was invalid.",
    "conflict_error": "The resource is in conflict with another request.",
    "request_too_large": "Request exceeds the maximum size",
}


class ApiError(Exception):
    """A refusal in the API's own terms.

    Parameters
    ----------
    kind
        The API's error type, such as ``"invalid_request_error"``.
    message
        The text of the error; by default the usual one of its type.
    status
        The HTTP status, where it is not the usual one of the type.
    headers
        Response headers to add, such as ``retry-after``.
    code
        The ``error_code`` of its details, such as ``"enforced_spend_limit_reached"``.
    details
        What its details hold beside that.
    """

    def __init__(
        self,
        kind: str,
        message: str | None = None,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        code: str = "",
        details: dict[str, Any] | None = None,
    ) -> None:
        self.kind = kind
        self.message = DEFAULT_MESSAGES[kind] if message is None else message
        self.status = STATUS_OF[kind] if status is None else status
        self.headers = headers or {}
        self.code = code
        self.details = details or {}
        super().__init__(self.message)


def invalid(message: str) -> ApiError:
    """Return the 400 with which the API refuses a malformed request."""
    return ApiError("invalid_request_error", message)


def envelope(refusal: ApiError, request_id: str | None) -> dict[str, Any]:
    """Return the body of an error response, or the error of an ``errored`` row (which nests it once more)."""
    error: dict[str, Any] = {"type": refusal.kind, "message": refusal.message}
    if refusal.code:
        error["details"] = {"error_code": refusal.code, **refusal.details}
    return {"type": "error", "error": error, "request_id": request_id}


def decode_json(data: bytes) -> Any:
    """Return decoded JSON.

    Raises
    ------
    ApiError
        400 when it is not JSON, nests too deeply, or holds what JSON may hold and the API cannot read, such as half a
        surrogate pair.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise invalid(f"The request body is not valid JSON: {problem}") from problem


def new_id(prefix: str) -> str:
    """Return an id of the API's form: the prefix, ``_01`` and 22 letters and digits."""
    return f"{prefix}_01{b64encode(_ids.randbytes(16), b'xY')[:22].decode()}"


def rfc3339(seconds: float) -> str:
    """Return a time since the epoch as the API writes it: RFC 3339, UTC, microseconds, ``Z``."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Clock:
    """Wall-clock time in seconds since the epoch: the one source of time in the simulator.

    Tests replace it by an object with the same `now`.
    """

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time()
