"""What a request asks, as bytes and as a digest: what all rows of a recipe share, and what each row puts into it. Pure.

A request's identity is a digest of the question it asks: its params in canonical form, the beta headers, and the
replicate. How it is delivered (``cache_control``, a file inline or uploaded, which batch) is no part of it. The ledger
finds earlier answers by this digest, so its value must not change from one release to the next.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from batchnb.errors import InputError
from batchnb.questions.media import TEXT
from batchnb.questions.media_sources import named_by
from batchnb.units import half_character

__all__ = [
    "DIGEST_BYTES",
    "Content",
    "Envelope",
    "blocks_of",
    "canonical",
    "content_of",
    "encode",
    "encode_texts",
]

DIGEST_BYTES = 16


def _plain(value: Any) -> Any:
    """Return what JSON has no own form for as what it stands for: NumPy's text and numbers."""
    if isinstance(value, str):
        return str.__str__(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_encode = msgspec.json.Encoder(order="sorted", enc_hook=_plain).encode


def canonical(value: Any) -> Any:
    """Reduce params to the question they ask.

    ``cache_control`` markers are dropped, and a file is replaced by its media type and the SHA-256 of its bytes,
    whether it is sent inline, as base64 or text, or is named by its content (see :mod:`batchnb.questions.media`): so
    that caching or uploading it later asks nothing again.
    """
    if isinstance(value, Mapping):
        if (file := _file_in(value)) is not None:
            return {"media_type": file[0], "sha256": file[1], "type": "file"}
        question = {
            name: canonical(item)
            for name, item in value.items()
            # A tool's input may well have a property of that name; a marker is told by its value.
            if not (name == "cache_control" and isinstance(item, Mapping) and item.get("type") == "ephemeral")
        }
        if _order_matters(value):
            question["property_order"] = list(value["properties"])
        return question
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        # The encoder would write them as base64 whatever they hold, so base64 would be encoded twice.
        raise InputError("it holds bytes; give files as base64 text: base64.b64encode(data).decode()")
    return value


def _file_in(source: Mapping[str, Any]) -> tuple[Any, str] | None:
    """Return the media type and the SHA-256 of the file in a content block's source, where that tells them."""
    kind, data = source.get("type"), source.get("data")
    if kind == "base64" and isinstance(data, str):
        return source.get("media_type"), _sha256_of_base64(data)
    if kind == "text" and isinstance(data, str) and source.get("media_type") == TEXT:
        return TEXT, hashlib.sha256(data.encode()).hexdigest()
    return named_by(source) if kind == "file" else None


def _order_matters(value: Mapping[str, Any]) -> bool:
    """Tell whether this is a JSON schema whose properties come in an order of their own.

    A reply is written in that order (platform.claude.com documentation, "Structured outputs"): a reason that is asked
    for before the label is another question than one after it.
    """
    properties = value.get("properties")
    if value.get("type") != "object" or not isinstance(properties, Mapping):
        return False
    return list(properties) != sorted(properties, key=str)


def _in_order(value: Any) -> Any:
    """Keep the order of a schema's properties where the encoder would sort them by name."""
    if isinstance(value, Mapping):
        kept = {name: _in_order(item) for name, item in value.items()}
        if _order_matters(value):
            pairs = [_encode(str(name)) + b":" + _encode(item) for name, item in kept["properties"].items()]
            kept["properties"] = msgspec.Raw(b"{" + b",".join(pairs) + b"}")
        return kept
    if isinstance(value, list | tuple):
        return [_in_order(item) for item in value]
    return value


def _sha256_of_base64(data: str) -> str:
    try:
        return hashlib.sha256(base64.b64decode(data, validate=True)).hexdigest()
    except binascii.Error as error:
        raise InputError(f"A content block of type base64 holds data that is not base64: {error}.") from error


class Content(NamedTuple):
    """What varies from row to row, as JSON: as it is sent, and as it is digested."""

    sent: bytes
    asked: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """The JSON around a row's own part: all that the rows of a recipe share, encoded once.

    Parameters
    ----------
    head, tail : bytes
        What is sent before and after the row's part. Empty where the row's part is the whole of the params.
    asked_head, asked_tail : bytes
        The same in canonical form, followed by the beta headers and the replicate: what is digested.
    """

    head: bytes
    tail: bytes
    asked_head: bytes
    asked_tail: bytes

    @classmethod
    def around(
        cls, shared: Mapping[str, Any], slot: str, *, sent: Mapping[str, Any] | None = None,
        betas: Sequence[str] = (), replicate: str = "", turns: Sequence[Mapping[str, Any]] = (),
        blocks: Sequence[Mapping[str, Any]] = (),
    ) -> Envelope:  # fmt: skip
        """Make the envelope for rows that vary in their `slot`.

        Parameters
        ----------
        shared : mapping
            Params every row has. Without ``messages``, unless `slot` is ``"params"``.
        slot : {"content", "blocks", "messages", "params"}
            What a row gives: the content of one user message; content blocks of one, without the brackets of the list;
            all messages; or the whole params.
        sent : mapping, optional
            How they are delivered, where that is not as they were asked.
        betas : sequence of str
            Beta headers; their order does not matter.
        replicate : str
            Tells repeated askings of one question apart; empty for the first.
        turns : sequence of messages
            What was said before the row's message. For the slots "content" and "blocks".
        blocks : sequence of content blocks
            What the row's message begins with. For the slot "blocks".

        Raises
        ------
        InputError
            `shared` cannot be written as JSON.
        """
        if slot == "params":
            head = tail = asked_head = asked_tail = b""
        else:
            head, tail = _split(shared if sent is None else sent, slot, turns, blocks)
            asked_head, asked_tail = _split(canonical(shared), slot, canonical(turns), canonical(blocks))
        suffix = b"\n" + _encode({"betas": sorted(set(betas)), "replicate": replicate})
        return cls(head, tail, asked_head, asked_tail + suffix)

    def digest(self, content: Content) -> bytes:
        """Return the digest (16 bytes) of a row's question."""
        return self.hasher()(content.asked)

    def hasher(self) -> Callable[[bytes], bytes]:
        """Return what makes the digest of a row's part as it is digested: for many rows, faster than `digest`."""
        start = hashlib.blake2b(self.asked_head, digest_size=DIGEST_BYTES, person=b"batchnb/1").copy
        tail = self.asked_tail

        def digest_of(asked: bytes) -> bytes:
            digest = start()
            digest.update(asked)
            digest.update(tail)
            return digest.digest()

        return digest_of

    def params(self, content: Content) -> dict[str, Any]:
        """Return the params of one row's request, as they are sent."""
        params: dict[str, Any] = msgspec.json.decode(self.head + content.sent + self.tail)
        return params


def _split(
    shared: Mapping[str, Any], slot: str, turns: Sequence[Mapping[str, Any]], blocks: Sequence[Mapping[str, Any]]
) -> tuple[bytes, bytes]:
    """Encode `shared` with sorted names, cut open where the row's part goes."""
    before = _json({name: value for name, value in shared.items() if name < "messages"})
    after = _json({name: value for name, value in shared.items() if name > "messages"})
    opening, closing = b"", b""
    if slot != "messages":
        said = b"".join(_json(turn) + b"," for turn in turns)
        opening, closing = b"[" + said + b'{"content":', b',"role":"user"}]'
    if slot == "blocks":
        opening, closing = opening + b"[" + b"".join(_json(block) + b"," for block in blocks), b"]" + closing
    head = before[:-1] + (b"," if len(before) > 2 else b"") + b'"messages":' + opening
    tail = closing + (b"," + after[1:] if len(after) > 2 else b"}")
    return head, tail


def content_of(value: Any, sent: Any = None) -> Content:
    """Encode what varies in a row: text, content blocks, messages or params; `sent` is how it is delivered.

    Raises
    ------
    InputError
        The value cannot be written as JSON; the caller says of which row.
    """
    delivered = _json(value if sent is None else sent)
    if isinstance(value, str):
        return Content(delivered, delivered)
    return Content(delivered, _json(canonical(value)))


def blocks_of(blocks: Sequence[Mapping[str, Any]]) -> Content:
    """Encode content blocks for the slot "blocks": as a list without its brackets.

    Raises
    ------
    InputError
        They cannot be written as JSON; the caller says of which row.
    """
    whole = content_of(list(blocks))
    return Content(whole.sent[1:-1], whole.asked[1:-1])


def _json(value: Any) -> bytes:
    try:
        return _encode(value if isinstance(value, str) else _in_order(value))
    except (TypeError, ValueError, RecursionError) as error:  # ValueError: integers beyond 64 bits, half a character
        raise InputError(_unwritable(error)) from error


def _unwritable(error: Exception) -> str:
    half = half_character(error.object) if isinstance(error, UnicodeEncodeError) else None
    return f"it cannot be written as JSON{f', since it holds {half}' if half else f' ({error})'}"


def encode(value: Any) -> bytes:
    """Encode a part of a request as it is sent: with sorted names, but a schema's properties in their own order.

    Raises
    ------
    InputError
        It cannot be written as JSON.
    """
    return _json(value)


def encode_texts(texts: Iterable[str]) -> list[bytes]:
    """Encode texts as `encode` does, faster.

    Raises
    ------
    InputError
        One of them holds half a character.
    """
    try:
        return list(map(_encode, texts))
    except ValueError as error:
        raise InputError(_unwritable(error)) from error
