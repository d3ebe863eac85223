"""Settings that no client can be made with, or none that can call: told by the names of their variables."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batchnb.api.insides import proxy_of, variables_of_proxies
from batchnb.api.redaction import Redactor
from batchnb.errors import NOT_SENT, BatchnbError, InputError

if TYPE_CHECKING:
    import anthropic
    import httpx2

__all__ = ["address_problem", "certificates_problem", "proxy_problem", "setting_problem"]

#: What an address is like.
EXAMPLE = "It is like https://api.anthropic.com, without quotes and spaces."

#: Schemes of proxies that the SDK takes.
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


def setting_problem(error: Exception, redactor: Redactor) -> BatchnbError:
    """Find the setting that made the SDK raise an error when a client was made from the environment."""
    import httpx2

    return (
        (_unreadable_certificates(error) if isinstance(error, OSError) else None)  # as those of ssl are, too
        or _unusable_proxy(error)
        or (_unusable_address() if isinstance(error, httpx2.InvalidURL | ValueError) else None)
        or _unknown(error, redactor)
    )


def certificates_problem() -> InputError | None:
    """Tell of a folder of certificates that is not there, with which a client could be made all the same."""
    folder = os.environ.get("SSL_CERT_DIR")
    if not folder or os.environ.get("SSL_CERT_FILE") or all(map(os.path.isdir, folder.split(os.pathsep))):
        return None
    return _no_certificates("SSL_CERT_DIR", folder, "no such folder")


def _unreadable_certificates(error: OSError) -> InputError | None:
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(variable)
        if path:
            return _no_certificates(variable, path, getattr(error, "reason", "") or error.strerror or "unreadable")
    return None


def _no_certificates(variable: str, path: str, reason: str) -> InputError:
    return InputError(
        f"{variable} names {path[:200]!r}, where no certificates can be read ({reason}). Set it to a "
        f"{'file' if variable == 'SSL_CERT_FILE' else 'folder'} of certificates in PEM, or unset it. {NOT_SENT}"
    )


def _unusable_proxy(error: Exception) -> InputError | None:
    import httpx2

    for variable, value in variables_of_proxies().items():
        try:
            url = httpx2.URL(value if "://" in value else f"http://{value}")
        except (httpx2.InvalidURL, ValueError):
            return _no_proxy(variable)
        if url.scheme not in PROXY_SCHEMES:
            return _no_proxy(variable)
        if isinstance(error, ImportError) and url.scheme.startswith("socks"):
            return InputError(
                f"{variable} names a SOCKS proxy, which needs the package socksio: pip install socksio, restart the "
                f"kernel, and run the cell again; or unset {variable}. {NOT_SENT}"
            )
    return None


def _unusable_address() -> InputError | None:
    """Tell of an address of the server, or of hosts that no proxy is used for, that is none."""
    import httpx2

    try:
        httpx2.URL(os.environ.get("ANTHROPIC_BASE_URL", ""))
    except (httpx2.InvalidURL, ValueError):
        return InputError(f"ANTHROPIC_BASE_URL is not the address of a server. {EXAMPLE} {NOT_SENT}")
    variable = next((name for name in ("no_proxy", "NO_PROXY") if os.environ.get(name)), None)
    return (
        None
        if variable is None
        else InputError(
            f"{variable} holds what is no host for the SDK. It takes names, like example.com, and addresses, like "
            f"127.0.0.1 or ::1, without brackets and ports, with commas between them. {NOT_SENT}"
        )
    )


def _unknown(error: Exception, redactor: Redactor) -> InputError:
    names = sorted(name for name in os.environ if name.upper().startswith(("ANTHROPIC_", "SSL_CERT_", "NO_PROXY")))
    said = redactor.text(f"{type(error).__name__}: {error}")[:300]
    return InputError(
        f"No client can be made from the environment ({said}). Set there: "
        f"{', '.join([*names, *variables_of_proxies()]) or 'nothing'}. {NOT_SENT}"
    )


def proxy_problem(client: anthropic.Anthropic) -> InputError | None:
    """Tell of a proxy without a name: calls through it can only fail."""
    proxy = proxy_of(client)
    if proxy is None or urlsplit(proxy).hostname:
        return None
    nameless = [name for name, value in variables_of_proxies().items() if not urlsplit(value).hostname]
    return _no_proxy(", ".join(nameless) or "HTTPS_PROXY")


def _no_proxy(variable: str) -> InputError:
    schemes = ", ".join(f"{scheme}://" for scheme in PROXY_SCHEMES)
    return InputError(f"{variable} is not the address of a proxy, like http://host:port ({schemes}). {NOT_SENT}")


def address_problem(url: httpx2.URL, where: str) -> InputError | None:
    """Tell why calls to an address can only fail."""
    set_by_variable = "ANTHROPIC_BASE_URL" in os.environ
    where = where or ("ANTHROPIC_BASE_URL" if set_by_variable else "The base_url of the profile")
    is_host = url.host and not re.search(r"[%\s]", url.host) and 0 < (url.port or 80) < 65_536
    if url.scheme not in ("http", "https") or not is_host:
        return InputError(f"{where} is not the address of a server. {EXAMPLE} {NOT_SENT}")
    end = re.search(r"/v1(/messages(/batches)?)?/*$", url.path)
    if end is not None:
        return InputError(
            f"{where} ends in {end[0].rstrip('/')}, which is added to it at each call. Leave that out. {NOT_SENT}"
        )
    return None
