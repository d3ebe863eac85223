"""Where calls go, and whether a simulator answers there."""

from __future__ import annotations

import ipaddress
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from batchnb.api.loading import load

if TYPE_CHECKING:
    import anthropic
    import httpx2

__all__ = ["SIMULATOR_HEADER", "plain_url", "scope_of", "simulator_client"]

SIMULATOR_HEADER = "batchnb-simulator"


def plain_url(url: str) -> str:
    """Give an address without user info, query and trailing slash."""
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
    import httpx2

    plain = plain_url(base_url)
    if not _is_loopback(urlsplit(plain).hostname or ""):
        return plain, None
    # Without the SDK, whose clients take longer to make than such a server to answer.
    with httpx2.Client(transport=_local_transport(plain), trust_env=False, timeout=10.0) as probe:
        try:
            answer = probe.get(f"{plain}/v1/models", params={"limit": 1}, headers={"x-api-key": "probe"})
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return plain, None
    simulator = answer.headers.get(SIMULATOR_HEADER)
    return (f"simulator:{simulator}", simulator) if simulator else (plain, None)


def simulator_client(url: str, key: str = "simulated") -> anthropic.Anthropic:
    """Make a client for the simulator: with its own or a dummy key, so that no real one can reach it."""
    load()
    import anthropic

    http_client = anthropic.DefaultHttpxClient(transport=_local_transport(url), verify=_verify(url), trust_env=False)
    return anthropic.Anthropic(api_key=key, base_url=url, http_client=http_client)


def _local_transport(url: str) -> httpx2.HTTPTransport:
    """Make a transport of its own: the environment's proxies are for other machines."""
    import httpx2

    return httpx2.HTTPTransport(verify=_verify(url), trust_env=False)


def _verify(url: str) -> bool | ssl.SSLContext:
    """Certificates take longer to load than a server on this machine takes to answer, and plain HTTP needs none."""
    return True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
