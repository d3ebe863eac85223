"""The SDK's errors as ours: refused, ambiguous, or not found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchnb.errors import AmbiguousError, ApiError, NotFoundError, RefusedError

if TYPE_CHECKING:
    import anthropic

__all__ = ["from_connection", "from_status"]

#: Statuses after which nothing was made by a create (platform.claude.com documentation, "Errors"). 408 and every
#: other 5xx leave it open.
REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 429, 529})


def from_status(error: anthropic.APIStatusError) -> ApiError:
    """Read an answer that is an error."""
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


def from_connection(error: anthropic.APIConnectionError, base_url: str) -> ApiError:
    """Tell a call that was never sent, which is refused, from one whose answer did not come, which is ambiguous."""
    import httpx2

    cause = error.__cause__
    never_sent = httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.UnsupportedProtocol
    if isinstance(cause, never_sent):
        return RefusedError(f"{base_url} could not be reached ({type(cause).__name__}).", type="unreachable")
    return AmbiguousError(f"No answer came from {base_url} ({type(cause or error).__name__}).", type="no_answer")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]


def _seconds(header: str | None) -> float | None:
    try:
        return None if header is None else max(0.0, float(header))
    except ValueError:  # an HTTP date is allowed there too; the caller's own pace serves as well
        return None
