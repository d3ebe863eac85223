"""Making the client, and what may be wrong with it: its settings, told by the names of the variables they come from."""

from __future__ import annotations

import base64
import os
import re
from typing import TYPE_CHECKING

from batchnb.api import logs
from batchnb.api.insides import http_auth_of, secrets_of_client, variables_of_proxies
from batchnb.api.loading import load
from batchnb.api.redaction import Redactor, secrets_in_header, secrets_in_url
from batchnb.errors import NOT_SENT, BatchnbError, CredentialsError, InputError

if TYPE_CHECKING:
    import anthropic
    import httpx2

__all__ = ["client_from", "credentials_problem"]

NO_CREDENTIALS = (
    "No Anthropic API key was found. Either set the environment variable ANTHROPIC_API_KEY (keys are made at "
    "platform.claude.com), or call batchnb.simulate() first to work on the built-in simulator without a key. "
    "Nothing was sent."
)

#: Variables whose values are secrets (anthropic 2.14.0).
SECRETS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_IDENTITY_TOKEN", "ANTHROPIC_WEBHOOK_SIGNING_KEY")

#: What an address is like.
EXAMPLE = "It is like https://api.anthropic.com, without quotes and spaces."

#: Schemes of proxies that the SDK takes.
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")

#: Names of headers, and values that are sent as they are.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")


def client_from(given: anthropic.Anthropic | None, redactor: Redactor) -> anthropic.Anthropic:
    """Return the client to use: the one that was given, or one made from the environment. Touches no network.

    User info and query of its address are taken out of that, and sent all the same: the SDK logs addresses.

    Parameters
    ----------
    given : anthropic.Anthropic or None
        The user's own.
    redactor : Redactor
        Gets to know the secrets.

    Raises
    ------
    InputError
        A setting cannot be used. The message names the variable, and never holds a secret.
    CredentialsError
        The credentials that the environment or a profile names cannot be had.
    """
    load()
    import anthropic

    if given is not None and not isinstance(given, anthropic.Anthropic):
        kind = type(given).__name__
        raise InputError(f"Workspace(client=...) takes an anthropic.Anthropic client, not {kind}.")
    made = given or _made(redactor)
    if isinstance(made, BatchnbError):
        raise made  # here, where nothing of the SDK's is on the traceback
    redactor.learn(secrets_of_client(made))
    problem = _address_problem(made.base_url, "Its base_url" if given is not None else "")
    if problem is not None:
        raise problem
    client = _without_secrets_in_url(made)
    redactor.learn(secrets_of_client(client))
    logs.install()
    return client


def credentials_problem(client: anthropic.Anthropic, *, is_given: bool) -> CredentialsError | None:
    """Tell what is wrong with the credentials of a client: there are none, or such as no header can hold."""
    headers = {name.lower(): value for name, value in client.default_headers.items() if isinstance(value, str)}
    keys = {"api_key": client.api_key, "auth_token": client.auth_token}
    if not (any(keys.values()) or client.credentials or headers.keys() & {"authorization", "x-api-key"}):
        return CredentialsError(NO_CREDENTIALS)
    for name, value in keys.items():
        wrong = None if value is None else _wrong_with(value, is_key=True)
        if wrong is not None:
            variable = f"ANTHROPIC_{name.upper()}"
            where = f"The client's {name}" if is_given or os.environ.get(variable) != value else variable
            return CredentialsError(f"{where} {wrong}. Set it to the bare key, and run the cell again. {NOT_SENT}")
    for name, value in headers.items():
        wrong = _wrong_with(value) if _NAME.fullmatch(name) else "has a name that no header may have"
        if wrong is not None:
            shown = repr(name[:40]) if _NAME.fullmatch(name) else ""
            where = "of the client" if is_given else "of ANTHROPIC_CUSTOM_HEADERS"
            return CredentialsError(f"A header {where} cannot be sent: {shown} {wrong}. {NOT_SENT}")
    return None


def _wrong_with(value: str, *, is_key: bool = False) -> str | None:
    """Say, without the value, why it cannot be a header, or a key."""
    if value.endswith(("\n", "\r")):
        return "ends in a line break, as `cat` gives it"
    if value != value.strip():
        return "begins or ends with a space"
    if re.search(r"[\r\n]", value):
        return "holds a line break"
    strange = re.search(r"[^\x20-\x7e\t]", value)
    if strange is not None:
        return f"holds a character that no header may hold (the {strange.start() + 1}. of {len(value)})"
    if is_key and value[:1] in "\"'" and value:
        return "begins with a quotation mark"
    if is_key and re.search(r"\s", value):
        return "holds a space"
    return None if not value or _VALUE.fullmatch(value) else "cannot be sent in a header"


# Making one


def _made(redactor: Redactor) -> anthropic.Anthropic | BatchnbError:
    import anthropic

    redactor.learn(_secrets_of_environment())
    folder = os.environ.get("SSL_CERT_DIR")
    if folder and not os.environ.get("SSL_CERT_FILE") and not all(map(os.path.isdir, folder.split(os.pathsep))):
        return InputError(_certificates("SSL_CERT_DIR", folder, "no such folder"))
    try:
        with logs.ours(redactor):
            return anthropic.Anthropic()
    except anthropic.AnthropicError as error:  # such as a profile that is not there
        return CredentialsError(f"{redactor.text(str(error))[:1000]} {NOT_SENT}")
    except Exception as error:  # noqa: BLE001  # whatever the SDK makes of the environment
        return _setting_problem(error, redactor)


def _setting_problem(error: Exception, redactor: Redactor) -> BatchnbError:
    """Find the setting that the client could not be made with."""
    import httpx2

    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(variable)
        if path and isinstance(error, OSError):  # as those of ssl are, too
            return InputError(_certificates(variable, path, error.strerror or type(error).__name__))
    for variable, value in variables_of_proxies().items():
        try:
            url = httpx2.URL(value if "://" in value else f"http://{value}")
        except (httpx2.InvalidURL, ValueError):
            url = None
        if url is None or url.scheme not in PROXY_SCHEMES:
            schemes = ", ".join(f"{scheme}://" for scheme in PROXY_SCHEMES)
            return InputError(
                f"{variable} is not the address of a proxy, like http://host:port ({schemes}). {NOT_SENT}"
            )
        if isinstance(error, ImportError) and url.scheme.startswith("socks"):
            return InputError(
                f"{variable} names a SOCKS proxy, which needs the package socksio: pip install socksio, restart the "
                f"kernel, and run the cell again; or unset {variable}. {NOT_SENT}"
            )
    base_url = os.environ.get("ANTHROPIC_BASE_URL")
    if base_url is not None:
        try:
            httpx2.URL(base_url)
        except (httpx2.InvalidURL, ValueError):
            return InputError(f"ANTHROPIC_BASE_URL is not an address. {EXAMPLE} {NOT_SENT}")
    names = sorted(name for name in os.environ if name.upper().startswith(("ANTHROPIC_", "SSL_CERT_", "NO_PROXY")))
    said = redactor.text(f"{type(error).__name__}: {error}")[:300]
    return InputError(
        f"No client can be made from the environment ({said}). Set there: {', '.join(names) or 'nothing'}. {NOT_SENT}"
    )


def _certificates(variable: str, path: str, reason: str) -> str:
    return (
        f"{variable} names {path[:200]!r}, where no certificates can be read ({reason}). Set it to a file of "
        f"certificates in PEM, or unset it. {NOT_SENT}"
    )


def _address_problem(url: httpx2.URL, where: str) -> InputError | None:
    """Tell why calls to an address can only fail."""
    set_by_variable = "ANTHROPIC_BASE_URL" in os.environ
    where = where or ("ANTHROPIC_BASE_URL" if set_by_variable else "The base_url of the profile")
    if url.scheme not in ("http", "https") or not url.host:
        return InputError(f"{where} is not the address of a server. {EXAMPLE} {NOT_SENT}")
    end = re.search(r"/v1(/messages(/batches)?)?/*$", url.path)
    if end is not None:
        return InputError(
            f"{where} ends in {end[0].rstrip('/')}, which is added to it at each call. Leave that out. {NOT_SENT}"
        )
    return None


def _without_secrets_in_url(client: anthropic.Anthropic) -> anthropic.Anthropic:
    """Have user info and query of a client's address sent, but stand in no address.

    As a header and as a query of each call, as the HTTP stack would do with the first, and the SDK fails to with the
    second.
    """
    url = client.base_url
    if not (url.userinfo or url.query or url.fragment):
        return client
    headers = {}
    if url.userinfo and client.custom_auth is None and http_auth_of(client) is None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
    # The slash that the SDK wants at an address's end has come to the query's.
    query = dict(url.copy_with(query=url.query.removesuffix(b"/")).params)
    path = url.raw_path.partition(b"?")[0]
    plain = f"{url.scheme}://{url.netloc.decode()}"
    return client.with_options(
        base_url=plain + path.decode("ascii"), default_headers=headers or None, default_query=query or None
    )


# Secrets


def _secrets_of_environment() -> set[str]:
    found = {value for name in SECRETS if (value := os.environ.get(name))}
    for line in os.environ.get("ANTHROPIC_CUSTOM_HEADERS", "").split("\n"):
        name, _, value = line.partition(":")
        found |= set(secrets_in_header(name.strip(), value.strip()))
    for url in (os.environ.get("ANTHROPIC_BASE_URL", ""), *variables_of_proxies().values()):
        found |= set(secrets_in_url(url if "://" in url else f"http://{url}"))
    return found | {secret.strip() for secret in found}
