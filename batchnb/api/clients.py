"""Making the client, with the secrets known that it sends; and what may be wrong with its credentials."""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import re
from typing import TYPE_CHECKING

from batchnb.api import logs
from batchnb.api.insides import http_auth_of, secrets_of_client, variables_of_proxies
from batchnb.api.loading import load
from batchnb.api.redaction import Redactor, is_word, secrets_in_header, secrets_in_url
from batchnb.api.settings import address_problem, certificates_problem, proxy_problem, setting_problem
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
    problem = address_problem(made.base_url, "Its base_url" if given is not None else "")
    if problem is None and given is None:
        problem = proxy_problem(made)
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
            shown = repr(name[:40]) if _NAME.fullmatch(name) else "it"
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


@functools.cache
def _http_client() -> type[httpx2.Client]:
    """Return the class of the SDK's own HTTP client, that closes itself as that one does, and can be made in part."""
    import anthropic

    class Closing(anthropic.DefaultHttpxClient):  # type: ignore[misc, unused-ignore]
        def __del__(self) -> None:
            with contextlib.suppress(Exception):
                self.close()

    return Closing


def _made(redactor: Redactor) -> anthropic.Anthropic | BatchnbError:
    import anthropic

    redactor.learn(_secrets_of_environment())
    if (problem := certificates_problem()) is not None:
        return problem
    try:
        with logs.ours(redactor):
            return anthropic.Anthropic(http_client=_http_client()())
    except anthropic.AnthropicError as error:  # such as a profile that is not there
        return CredentialsError(f"{redactor.text(str(error))[:1000]} {NOT_SENT}")
    except Exception as error:  # noqa: BLE001  # whatever the SDK makes of the environment
        return setting_problem(error, redactor)


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
    found = {value for name in SECRETS if (value := os.environ.get(name)) and not is_word(value)}
    for line in os.environ.get("ANTHROPIC_CUSTOM_HEADERS", "").split("\n"):
        name, _, value = line.partition(":")
        found |= set(secrets_in_header(name.strip(), value.strip()))
    for url in (os.environ.get("ANTHROPIC_BASE_URL", ""), *variables_of_proxies().values()):
        found |= set(secrets_in_url(url if "://" in url else f"http://{url}"))
    return found | {secret.strip() for secret in found}
