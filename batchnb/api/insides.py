"""What is only to be seen inside the SDK's client: the credentials of its HTTP client, and that one's proxies.

All of it is looked for and missed without harm, since no documentation promises it (anthropic 2.14.0, httpx2).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batchnb.api.redaction import is_word, secrets_in_header, secrets_in_url

if TYPE_CHECKING:
    import anthropic

__all__ = ["http_auth_of", "proxy_of", "secrets_of_client", "variables_of_proxies"]


def variables_of_proxies() -> dict[str, str]:
    """Return the environment's variables that name proxies, in whatever letters, with their values."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    return {name: value for name, value in os.environ.items() if name.lower() in names and value}


def http_auth_of(client: anthropic.Anthropic) -> Any:
    """Return what the HTTP client of a client authenticates with; None where the SDK does that alone."""
    return getattr(getattr(client, "_client", None), "auth", None)


def proxy_of(client: anthropic.Anthropic) -> str | None:
    """Tell which proxy a client's calls go through, without its user info; None where there is none, or no telling."""
    http: Any = getattr(client, "_client", None)
    try:
        url = http._transport_for_url(client.base_url)._pool._proxy_url
        return f"{url.scheme.decode()}://{url.host.decode()}" + ("" if url.port is None else f":{url.port}")
    except AttributeError:
        return None


def secrets_of_client(client: anthropic.Anthropic) -> set[str]:
    """Find what a client sends that nobody else may see, and what its proxies are told."""
    keys = (client.api_key, client.auth_token, client.webhook_key)
    found = {secret for secret in keys if secret and not is_word(secret)}
    found |= set(secrets_in_url(str(client.base_url))) | _in_headers(client.default_headers)
    found |= {str(value) for value in client.default_query.values()}
    for url in variables_of_proxies().values():
        found |= set(secrets_in_url(url))
    http: Any = getattr(client, "_client", None)
    found |= _in_headers(getattr(http, "headers", {})) | set(map(str, dict(getattr(http, "params", {})).values()))
    found |= {cookie.value for cookie in getattr(getattr(http, "cookies", None), "jar", ()) if cookie.value}
    found |= _in_headers({"authorization": getattr(http_auth_of(client), "_auth_header", None)})
    for transport in (getattr(http, "_transport", None), *getattr(http, "_mounts", {}).values()):
        pool = getattr(transport, "_pool", None)
        headers = getattr(pool, "_proxy_headers", None) or ()
        found |= _in_headers({name.decode("latin-1"): value.decode("latin-1") for name, value in headers})
        found |= {part.decode("utf-8", "replace") for part in getattr(pool, "_proxy_auth", None) or ()}
    return found


def _in_headers(headers: Mapping[str, Any]) -> set[str]:
    return {
        secret for name, value in headers.items() if isinstance(value, str) for secret in secrets_in_header(name, value)
    }
