"""Credentials that a server, or what stands before it, writes into its answers: known, and taken out."""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from batchnb.api.bodies import UNREADABLE, mended

if TYPE_CHECKING:
    import httpx2

__all__ = ["HIDDEN", "MOST_SAID", "Redactor", "is_word", "secrets_in_header", "secrets_in_url", "secrets_of"]

#: What stands in the place of a credential.
HIDDEN = "[redacted]"

#: Characters of a secret, in a row, that are taken for it: half a key is still half a key.
RUN = 8

#: Characters that a secret has at least; what is shorter stands in too many words.
LEAST = 3

#: The same, in names and ids.
LONG_RUN = 16

#: Characters of what a server says that are kept.
MOST_SAID = 1_000

#: Headers of a request that hold no secret; nor do those that begin with ``x-stainless-``.
PLAIN_HEADERS = frozenset(
    {"accept", "accept-encoding", "anthropic-beta", "anthropic-user-profile-id", "anthropic-version",
     "anthropic-workspace-id", "cache-control", "connection", "content-encoding", "content-length", "content-type",
     "host",
     "traceparent", "transfer-encoding", "user-agent"}
)  # fmt: skip

#: Headers whose values are secrets, however short.
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"})

#: Parts of a query that are our own.
PLAIN_QUERY = frozenset({"limit", "after_id", "before_id", "page", "beta"})

#: What looks like a credential, known or not: keys and tokens, what follows the name of a scheme, user info of a URL.
SHAPES = re.compile(
    r"sk-ant-[\w-]{6,}|\beyJ[\w-]{8,}(?:\.[\w-]+)*"
    r"|(?<=bearer )(?=[\w.~+/-]*\d)[\w.~+/-]{8,}=*|(?<=basic )(?=[\w.~+/-]*[\d=])[\w.~+/-]{8,}=*"
    r"|(?<=://)[^/\s@]+(?=@)",
    re.IGNORECASE,
)

#: One of these, in small letters, stands in whatever has such a shape; to look for them costs little.
HINTS = ("sk-ant-", "eyj", "bearer ", "basic ", "@")

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

#: A piece this long lies within any `RUN`, wherever it begins, if it is looked for at every so many characters.
_STEP = RUN // 2


#: Signs that nobody sees, or that are shown as next to nothing.
_UNSEEN = re.compile("[\x00\xad\u034f\u061c\u115f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")


class Redactor:
    """Knows secrets, and takes them out of texts: whole, in part, in capitals, backwards, or encoded.

    A repr shows none of them.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._runs: set[str] = set()
        self._pieces: set[str] = set()
        self._whole: set[str] = set()
        self._words: re.Pattern[str] | None = None

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these secrets too."""
        new = {secret for secret in secrets if len(secret) >= LEAST} - self._known
        if not new:
            return
        self._known |= new
        for form in {form.translate(_LOWER) for secret in new for form in _forms(secret)}:
            self._runs |= {form[at : at + RUN] for at in range(len(form) - RUN + 1)}
            self._whole.add(form)
            self._pieces |= {form[at : at + _STEP] for at in range(len(form) - _STEP + 1)}
        words = "|".join(re.escape(one) for one in sorted(self._known, key=len, reverse=True) if len(one) < RUN)
        self._words = re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])", re.IGNORECASE) if words else None

    def text(self, text: str, least: int = RUN) -> str:
        """Return a text without secrets: without whole ones, and pieces of so many characters.

        Signs that are not seen hide none, as in UTF-16 that was read as something else.
        """
        if _UNSEEN.search(text) is not None:
            seen = _UNSEEN.sub("", text)
            if (cleaned := self._without(seen, least)) != seen:
                return cleaned
        return self._without(text, least)

    def _without(self, text: str, least: int) -> str:
        low = text.translate(_LOWER)
        # Nearly every text holds nothing, which a quarter of its pieces tell.
        if not self._pieces.isdisjoint(low[at : at + _STEP] for at in range(0, len(low), _STEP)):
            text = self._without_runs(text, low, least)
        if self._words is not None:
            text = self._words.sub(HIDDEN, text)
        return SHAPES.sub(HIDDEN, text) if any(hint in low for hint in HINTS) else text

    def _without_runs(self, text: str, low: str, least: int) -> str:
        kept: list[str] = []
        done = at = 0
        while at <= len(low) - RUN:
            if low[at : at + RUN] not in self._runs:
                at += 1
                continue
            begin = at
            while low[at : at + RUN] in self._runs and at <= len(low) - RUN:
                at += 1
            end = at = at + RUN - 1
            if end - begin >= least or low[begin:end] in self._whole:
                kept += (text[done:begin], HIDDEN)
                done = end
        return "".join(kept) + text[done:]

    def value(self, value: Any, most: int | None = None, least: int = RUN) -> Any:
        """Return what JSON holds without secrets in it, in whatever place: also in the names of an object.

        Texts are cut to so many characters.
        """
        if isinstance(value, str):
            return self.text(value, least)[:most]
        if isinstance(value, Mapping):
            return {self.text(str(name), least)[:most]: self.value(part, most, least) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(part, most, least) for part in value]
        return value

    def names(self, raw: bytes) -> bytes:
        """Return JSON that holds names and ids without secrets in it.

        A piece must be longer here: one that is in an id by chance must not spoil it.
        """
        return self.json(raw, least=LONG_RUN)

    def is_named(self, name: str) -> bool:
        """Tell whether a name, such as a custom_id, holds a secret, or a long piece of one."""
        return self.text(name, LONG_RUN) != name

    def json(self, raw: bytes, most: int | None = None, least: int = RUN) -> bytes:
        """Return JSON without secrets in it, and with no texts longer than that: the same bytes where it holds none.

        What cannot be read as JSON comes as what others would read in it; else as text without secrets.
        """
        text = raw.decode("utf-8", "replace")
        holds_none = self.text(text, least) == text and (most is None or len(raw) <= most)
        if holds_none and b"\\" not in raw:  # else a part of one may be written as its number
            return raw
        for read in (bytes, mended):
            try:
                value = msgspec.json.decode(read(raw))
            except UNREADABLE:
                continue
            cleaned = self.value(value, most, least)
            return raw if holds_none and cleaned == value else msgspec.json.encode(cleaned)
        return self.text(text, least).encode()

    def result(self, raw: bytes) -> bytes:
        """Return the result of a request as it is to be kept: a model's reply as it came, anything else cleaned."""
        return raw if _is_a(_read_result, raw) else self.json(raw, MOST_SAID)

    def message(self, raw: bytes) -> bytes:
        """Return a message as it is to be kept: as it came, unless it is none."""
        return raw if _is_a(_read_message, raw) else self.json(raw, MOST_SAID)


class _Reply(msgspec.Struct, gc=False):
    content: list[msgspec.Raw]


class _Succeeded(msgspec.Struct, gc=False, tag="succeeded"):
    message: _Reply


_read_message = msgspec.json.Decoder(_Reply).decode
_read_result = msgspec.json.Decoder(_Succeeded).decode


def _is_a(read: Callable[[bytes], object], raw: bytes) -> bool:
    try:
        read(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def secrets_of(request: httpx2.Request) -> set[str]:
    """Return the secrets that a request carries: in its headers, in its address, and in the query of that.

    Not its cookies, which the server has made and changes as it likes.
    """
    headers = [(name, value) for name, value in request.headers.multi_items() if name.lower() != "cookie"]
    found = {secret for name, value in headers for secret in secrets_in_header(name, value)}
    return found | set(secrets_in_url(str(request.url)))


def is_word(key: str) -> bool:
    """Tell whether a key is no secret but a word, as those write who need none: "none", "dummy", "anthropic".

    Taken out of all that a server says it would spoil names and ids.
    """
    return key.isalpha() and len(key) < 2 * RUN


def secrets_in_header(name: str, value: str) -> Iterator[str]:
    """Yield the secrets in a header: its value, whatever its name, unless it is known to hold none."""
    name = name.lower()
    if name in PLAIN_HEADERS or name.startswith("x-stainless-"):
        return
    parts = [part for part in re.split(r"[\s;,]+", value) if part]
    if name in SECRET_HEADERS and len(parts) > 1 and name != "cookie":
        parts = parts[1:]  # the first is the name of the scheme
    for part in parts:
        _, _, rest = part.partition("=")
        secret = rest if rest.strip("=") and name == "cookie" else part
        if (name in SECRET_HEADERS or len(secret) >= RUN) and not is_word(secret):
            yield secret
            yield from _user_info(_decoded(secret)) if value.lower().startswith("basic ") else ()


def secrets_in_url(url: str) -> Iterator[str]:
    """Yield the secrets in an address: its user info, and what its query says, unless that is known to be our own."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    user_info, at, _ = parts.netloc.rpartition("@")
    if at:
        yield from _user_info(user_info)
        yield from _user_info(unquote(user_info))
    for name, value in parse_qsl(parts.query):
        if name not in PLAIN_QUERY:
            yield value


def _user_info(text: str) -> Iterator[str]:
    user, _, password = text.partition(":")
    yield from (text, user, password)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


def _forms(secret: str) -> Iterator[str]:
    """Yield the ways to write a secret, apart from capitals."""
    yield from (secret, secret[::-1], quote(secret, safe=""))
    data = secret.encode("utf-8", "surrogatepass")
    yield data.hex()
    yield "".join(f"%{byte:02x}" for byte in data)
    yield "".join(f"&#{ord(sign)};" for sign in secret)
    yield "".join(f"&#x{ord(sign):x};" for sign in secret)
    yield "".join(f"\\u{ord(sign):04x}" for sign in secret)
    for before in range(3):  # where it stands in what is encoded decides how it looks
        coded = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        # The first characters hold a part of what stands before, and the last may one of what comes after.
        coded = coded[(0, 2, 3)[before] : -1]
        yield from (coded, coded.replace("+", "-").replace("/", "_"))
