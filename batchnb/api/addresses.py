"""Where calls go, and whether a simulator answers there."""

from __future__ import annotations

import ipaddress
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    import anthropic

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
    import anthropic
    import httpx2

    plain = plain_url(base_url)
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

    # Certificates take longer to load than such a server takes to answer, and plain HTTP needs none.
    verify = True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # A transport of its own: the environment's proxies are for other machines.
    transport = httpx2.HTTPTransport(verify=verify, trust_env=False)
    http_client = anthropic.DefaultHttpxClient(transport=transport, verify=verify, trust_env=False)
    return anthropic.Anthropic(api_key=key, base_url=url, http_client=http_client)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
