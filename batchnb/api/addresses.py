"""Where calls go, and whether a simulator answers there."""

from __future__ import annotations

import ipaddress
import ssl
import weakref
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from batchnb.api import logs
from batchnb.api.exchange import Exchange, Exchanges
from batchnb.api.loading import load
from batchnb.api.redaction import Redactor
from batchnb.errors import AmbiguousError, BatchnbError, InputError

if TYPE_CHECKING:
    import anthropic
    import httpx2

__all__ = ["SIMULATOR_HEADER", "own_client", "plain_url", "scope_of", "simulator_client"]

SIMULATOR_HEADER = "batchnb-simulator"

#: Seconds after which what listens at an address on this machine, and does not answer, is no simulator.
PROBE_SECONDS = 10.0

#: The ports that need not be named.
PORTS = {"http": 80, "https": 443}

#: Clients that were made here.
_local_clients: weakref.WeakSet[anthropic.Anthropic] = weakref.WeakSet()


def plain_url(url: str) -> str:
    """Return an address without user info, query, trailing slash, and the port that its scheme has anyway."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    netloc = host + (f":{parts.port}" if parts.port not in (None, PORTS.get(parts.scheme)) else "")
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))


def scope_of(base_url: str, redactor: Redactor | None = None) -> tuple[str, str | None]:
    """Tell whose answers come from `base_url`: a scope for the ledger, and the simulator's id if it is one.

    Touches the network only for an address on this machine, where a simulator may listen: one request, without the
    user's key, and ten seconds at most.

    Parameters
    ----------
    base_url : str
        An address, with a scheme.
    redactor : Redactor, optional
        Knows secrets, which no simulator is named by: its id is written down.

    Returns
    -------
    tuple of str and (str or None)
        ``("simulator:<id>", "<id>")`` or ``(base_url, None)``.
    """
    import httpx2

    plain = plain_url(base_url)
    if not _is_loopback(urlsplit(plain).hostname or ""):
        return plain, None
    logs.install()
    # Without the SDK, whose clients take longer to make than such a server to answer.
    with httpx2.Client(transport=_local_transport(plain), trust_env=False, timeout=PROBE_SECONDS) as probe:
        request = probe.build_request("GET", f"{plain}/v1/models?limit=1", headers={"x-api-key": "probe"})

        def ask(exchange: Exchange) -> httpx2.Response:
            exchange.enter_context(logs.ours(redactor or Redactor()))
            return probe.send(request, stream=True)

        exchange = None
        try:
            exchange = Exchanges(_no_answer).begin(ask, seconds=PROBE_SECONDS, name="GET /v1/models")
            answer = exchange.opened()
        except BatchnbError:
            return plain, None
        finally:
            if exchange is not None:
                exchange.close()
    simulator = answer.headers.get(SIMULATOR_HEADER)
    if simulator and redactor is not None and redactor.text(simulator) != simulator:
        return plain, None
    return (f"simulator:{simulator}", simulator) if simulator else (plain, None)


def _no_answer(error: Exception) -> BatchnbError:
    return AmbiguousError(f"No answer came ({type(error).__name__}).", type="no_answer")


def simulator_client(url: str, key: str = "simulated") -> anthropic.Anthropic:
    """Make a client for the simulator: with its own or a dummy key, so that no real one can reach it."""
    load()
    import anthropic

    client = anthropic.Anthropic(api_key=key, base_url=url, http_client=_local_http(url))
    _local_clients.add(client)
    return client


def _local_http(url: str) -> httpx2.Client:
    import anthropic

    return anthropic.DefaultHttpxClient(transport=_local_transport(url), verify=_verify(url), trust_env=False)


def own_client(client: anthropic.Anthropic) -> anthropic.Anthropic:
    """Make a client like the one that the parent of this process has, with connections of its own.

    Two processes that speak on one connection get each other's answers. The one that is given is left as it is.

    Raises
    ------
    InputError
        It has an ``http_client`` that the user made: what that was made with cannot be asked.
    """
    import anthropic

    if not isinstance(client, anthropic.Anthropic):
        return client  # refused where it is used, as in the parent
    if client in _local_clients:
        return simulator_client(plain_url(str(client.base_url)), client.api_key or "")
    http: Any = type(client._client)  # noqa: SLF001
    if http.__name__ != "SyncHttpxClientWrapper":  # how the SDK names its own
        raise InputError(
            "This process was forked, and the client of Workspace(client=...) has an http_client of its own, whose "
            "connections are the parent's. Make the client and the workspace in this process."
        )
    return client.copy(http_client=http(base_url=client.base_url, timeout=client.timeout))


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
