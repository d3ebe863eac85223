"""The SDK's errors as ours: refused, ambiguous, or not found; never with a secret in them, nor with its frames."""

from __future__ import annotations

import math
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from batchnb.api.bodies import json_in
from batchnb.api.insides import proxy_of, variables_of_proxies
from batchnb.api.redaction import MOST_SAID, Redactor
from batchnb.errors import (
    NOT_SENT,
    AmbiguousError,
    ApiError,
    BatchnbError,
    CredentialsError,
    NotFoundError,
    RefusedError,
)

if TYPE_CHECKING:
    import anthropic

__all__ = ["failure_of", "from_status", "is_of_account", "said", "seconds_in"]

#: Statuses of refusals after which it is open all the same whether a create was acted on: the server waited no longer,
#: asks to be called again, or (some proxies) was called no longer. Every other 4xx, and 529, made nothing
#: (platform.claude.com documentation, "Errors"); every other 5xx leaves it open.
OPEN = frozenset({408, 425, 499})

#: Seconds that a server may ask to wait at most; more is looked at again after that.
MOST_SECONDS = 3600.0

#: Codes in an error's details that concern the account or its key, and nothing that was asked (types of anthropic
#: 2.14): most come as a 400. All pass, once somebody has seen to them.
OF_ACCOUNT = frozenset(
    {"claude_code_key_creator_not_member", "cmek_context_unavailable", "cmek_key_disabled", "cmek_key_network_blocked",
     "cmek_key_unreachable", "linked_organization_billing_unavailable", "organization_on_hold",
     "workspace_human_review_disabled"}
)  # fmt: skip

#: A limit that an organization or workspace has set itself: a 400 without a code (platform.claude.com documentation,
#: "Errors"); and what it is called here.
_OWN_LIMIT = re.compile(r"you have reached your specified .{0,60}usage limits", re.IGNORECASE)
OWN_LIMIT = "usage_limits_reached"

#: Characters of what a server calls an error that are kept.
MOST_NAMED = 100


def failure_of(error: Exception, base_url: str, client: anthropic.Anthropic, redactor: Redactor) -> BatchnbError:
    """Return our error for what a call of the SDK has raised.

    Parameters
    ----------
    error : Exception
        What it raised.
    base_url : str
        Where the call went, without secrets.
    client : anthropic.Anthropic
        That made it.
    redactor : Redactor
        Knows the secrets it was made with.
    """
    import anthropic
    import httpx2

    if isinstance(error, BatchnbError):
        return error
    if isinstance(error, anthropic.APIConnectionError):
        return _from_connection(error, base_url, client)
    if isinstance(error, anthropic.APIError | httpx2.HTTPError):  # such as an error's body that breaks off
        return AmbiguousError(f"The answer from {base_url} broke off ({type(error).__name__}).", type="no_answer")
    if isinstance(error, anthropic.AnthropicError) and next(_causes(error, httpx2.TransportError), None):
        # Those who give out tokens do not answer, which passes.
        return RefusedError(f"No credentials could be had: {said(str(error), redactor)}", type="unreachable")
    if isinstance(error, anthropic.AnthropicError):  # credentials that could not be resolved or exchanged
        return CredentialsError(f"{said(str(error), redactor)} {NOT_SENT}")
    return AmbiguousError(f"The call to {base_url} failed ({type(error).__name__}).", type="no_answer")


def said(text: str, redactor: Redactor, most: int = MOST_SAID) -> str:
    """Return what a server has said without secrets, and not longer than a person reads."""
    text = redactor.text(text[: 20 * most])
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def from_status(status: int, headers: Mapping[str, str], body: bytes, redactor: Redactor) -> ApiError:
    """Read an answer that is an error, whatever its body is."""
    told = _error_in(json_in(body))
    message = told.get("message")
    if not isinstance(message, str) or not message.strip():
        message = _first_line(body.decode("utf-8", "replace")) or f"HTTP {status}"
    if 300 <= status < 400:
        message = f"The address redirects elsewhere (HTTP {status}), where your key must not follow; set the final one"
    retry_after = seconds_in(headers.get("retry-after"), headers.get("date"))
    kind: type[ApiError] = AmbiguousError
    if status == 404:
        kind = NotFoundError
    elif (300 <= status < 500 and status not in OPEN) or status == 529:
        kind = RefusedError
    # A spend limit comes as a rate_limit_error, but does not pass by waiting: its code says what it is.
    details = told.get("details")
    code = str(details.get("error_code")) if isinstance(details, dict) else ""
    # So does a full store come as an invalid_request_error, though nothing about the request is wrong.
    telling = code.endswith("spend_limit_reached") or code == "storage_quota_exceeded" or code in OF_ACCOUNT
    found = code if telling else told.get("type")
    if status == 400 and not code and _OWN_LIMIT.match(message):
        found = OWN_LIMIT
    if status == 407:  # said by what stands before the server, to which nothing was passed on
        found, message = "proxy", f"A proxy asks for a user name and a password (407). {_credentials_of_a_proxy()}"
    named = said(found, redactor, MOST_NAMED) if isinstance(found, str) else None
    return kind(said(message, redactor), status=status, type=named, retry_after=retry_after)


def is_of_account(error: ApiError) -> bool:
    """Tell whether a refusal concerns the account or its key, and nothing that was asked: it may pass."""
    return error.type == OWN_LIMIT or error.type in OF_ACCOUNT


def _error_in(body: object) -> dict[str, Any]:
    """Find the inner error of the API's envelope; empty where the body is something else."""
    inner = body.get("error") if isinstance(body, dict) else None
    return inner if isinstance(inner, dict) else {}


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:20_000]


def seconds_in(header: str | None, date: str | None = None) -> float | None:
    """Read a ``retry-after``: seconds, or the time of day, told by the server's own clock; None of any other.

    Parameters
    ----------
    header : str or None
        That header.
    date : str or None
        When the answer was given, as its header of that name says.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
            seconds = (moment - parsedate_to_datetime(date or "")).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), MOST_SECONDS)


# Calls without an answer


def _from_connection(error: anthropic.APIConnectionError, base_url: str, client: anthropic.Anthropic) -> BatchnbError:
    """Tell a call that was never sent, which is refused, from one whose answer did not come, which is ambiguous."""
    import httpx2

    cause = error.__cause__
    never_sent = httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.UnsupportedProtocol
    name = type(cause or error).__name__
    if isinstance(cause, httpx2.LocalProtocolError) and str(cause).startswith("Illegal header"):
        return CredentialsError(f"A header of the client cannot be sent: it holds what no header may hold. {NOT_SENT}")
    if isinstance(cause, httpx2.ProxyError):
        return _refused_by_proxy(cause, base_url, client)
    if isinstance(cause, RuntimeError) and client.is_closed():
        return RefusedError(f"The client for {base_url} is closed: give the workspace an open one.", type="unreachable")
    if not isinstance(cause, never_sent) and not _is_on_the_way(error):
        return AmbiguousError(f"No answer came from {base_url} ({name}).", type="no_answer")
    trouble = next(_causes(error, ssl.SSLError), None)
    if trouble is not None and not isinstance(trouble, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return RefusedError(_insecure(trouble, base_url), type="tls")
    proxy = proxy_of(client)
    through = "" if proxy is None else f" through the proxy {proxy}{_variable_of(proxy)}"
    return RefusedError(f"{base_url} could not be reached{through} ({_why(error, name)}).", type="unreachable")


def _why(error: BaseException, name: str) -> str:
    """Say why there is no connection, as the system does."""
    system = next(_causes(error, OSError), None)
    if isinstance(system, socket.gaierror):
        return f"{name}: no such name is known, or the network is down"
    if isinstance(system, TimeoutError) or system is None:
        return name
    return f"{name}: {system.strerror}" if system.strerror else name


def _insecure(trouble: ssl.SSLError, base_url: str) -> str:
    """Say why a connection is not secure, and what to do."""
    if not isinstance(trouble, ssl.SSLCertVerificationError):
        reason = (trouble.reason or type(trouble).__name__).replace("_", " ").lower()
        return (
            f"{base_url} could not be reached: no secure connection can be made ({reason}). Either there is no TLS at "
            "that address (then it is http://...), or none of a version that both sides take."
        )
    reason = trouble.verify_message or "it is not trusted"
    named = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), None)
    if "mismatch" in reason.lower() or "not valid for" in reason.lower():
        advice = "The address, as ANTHROPIC_BASE_URL has it, must be the one that the certificate is for."
    elif "expired" in reason or "not yet valid" in reason:
        advice = "Either the server needs a new one, or the clock of this machine is wrong."
    elif named is not None:
        advice = f"{named} is set, so that only what it names is trusted: add the certificate's issuer, or unset it."
    else:
        advice = (
            "Where a proxy or firewall signs with a certificate of its own, set SSL_CERT_FILE to a PEM file that holds "
            "its issuer (REQUESTS_CA_BUNDLE is not read), and run the cell again."
        )
    return f"{base_url} could not be reached: its certificate is not accepted ({reason}). {advice}"


def _refused_by_proxy(cause: BaseException, base_url: str, client: anthropic.Anthropic) -> RefusedError:
    """Tell of a proxy that did not even open the way: what is sent waits until it does."""
    status = re.match(r"\d{3}\b", str(cause))
    proxy = proxy_of(client) or "the proxy"
    told = f"{proxy}{_variable_of(proxy)} answered {status[0]}" if status else f"{proxy}{_variable_of(proxy)} refused"
    if status and status[0] in ("401", "403", "407"):
        advice = _credentials_of_a_proxy() if status[0] != "403" else "It does not let calls to that address pass."
        return RefusedError(f"{base_url} could not be reached: {told}. {advice}", type="proxy")
    return RefusedError(f"{base_url} could not be reached: {told}.", type="unreachable")


def _credentials_of_a_proxy() -> str:
    names = ", ".join(variables_of_proxies()) or "HTTPS_PROXY"
    return f"They stand in its address ({names}): http://name:password@host:port."


def _variable_of(proxy: str) -> str:
    host = urlsplit(proxy).hostname or proxy
    names = [name for name, value in variables_of_proxies().items() if host in value]
    return f" ({', '.join(names)})" if names else ""


def _is_on_the_way(error: BaseException) -> bool:
    """Tell whether a call failed while a proxy was still asked to open the way to the server."""
    for one in _causes(error, BaseException):
        trace = one.__traceback__
        while trace is not None:
            code, holder = trace.tb_frame.f_code.co_name, trace.tb_frame.f_locals.get("self")
            if code == "_init_socks5_connection":
                return True
            if type(holder).__name__ == "TunnelHTTPConnection" and getattr(holder, "_connected", True) is False:
                return True
            trace = trace.tb_next
    return False


def _causes(error: BaseException | None, kind: Any) -> Iterator[Any]:
    """Yield what an error was raised from, the innermost last, as far as it is of a kind."""
    while error is not None:
        if isinstance(error, kind):
            yield error
        error = error.__cause__ or error.__context__
