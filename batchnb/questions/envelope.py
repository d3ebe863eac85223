"""From prompts to requests: params, identity, custom_id, and batches by count and by bytes. Pure.

A request's identity is a digest of the question it asks: its params in canonical form, the beta headers, and the
replicate. How it is delivered (``cache_control``, a file inline or uploaded, which batch) is no part of it. The ledger
finds earlier answers by this digest, so its value must not change from one release to the next.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from batchnb.errors import InputError
from batchnb.questions.media import TEXT, named_by
from batchnb.units import half_character

__all__ = [
    "Content",
    "Envelope",
    "attached_digest",
    "blocks_of",
    "canonical",
    "content_of",
    "custom_id",
    "digest_in",
    "digests_in",
    "encode",
    "encode_texts",
    "item_size",
    "join_items",
    "label_of",
]

DIGEST_BYTES = 16

#: A custom_id is ``^[a-zA-Z0-9_-]{1,64}$`` (anthropic 2.12.0): a label of at most 31 characters, "-" and 32 hex digits.
LABEL_LENGTH = 31
_NOT_IN_CUSTOM_ID = re.compile(r"[^a-zA-Z0-9_-]")

BODY_START, BODY_END = b'{"requests":[', b"]}"


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


def label_of(key: object) -> str:
    """Make the readable part of a custom_id from a row's key or position."""
    if type(key) is int:  # a position
        return str(key)[:LABEL_LENGTH]
    return _NOT_IN_CUSTOM_ID.sub("_", str(key))[:LABEL_LENGTH] or "_"


def custom_id(label: str, digest: bytes) -> str:
    """Join the readable part and the digest; only the digest is ever matched."""
    return f"{label}-{digest.hex()}"


def digest_in(identifier: str) -> bytes | None:
    """Read the digest out of a custom_id; None for one that batchnb did not write."""
    try:
        digest = bytes.fromhex(identifier[-2 * DIGEST_BYTES :])
    except ValueError:
        return None
    # There and back: only as it was written is it ours.
    return digest if identifier[-2 * DIGEST_BYTES - 1 :] == f"-{digest.hex()}" else None


def digests_in(identifiers: Sequence[str]) -> Sequence[bytes | None]:
    """Read the digests out of custom_ids as `digest_in` does; faster where batchnb wrote all of them."""
    ends = "".join([identifier[-2 * DIGEST_BYTES - 1 :] for identifier in identifiers])
    try:
        joined = bytes.fromhex(ends.replace("-", ""))
    except ValueError:
        joined = b""
    if len(joined) == DIGEST_BYTES * len(identifiers) and ends == f"-{joined.hex('-', DIGEST_BYTES)}":
        return [joined[start : start + DIGEST_BYTES] for start in range(0, len(joined), DIGEST_BYTES)]
    return list(map(digest_in, identifiers))


def attached_digest(batch_id: str, custom_id: str) -> bytes:
    """Name a request whose question is not known: it was asked by somebody else, in a batch of theirs."""
    return hashlib.blake2b(f"{batch_id}\n{custom_id}".encode(), digest_size=DIGEST_BYTES, person=b"attached").digest()


# Bodies. An item is {"custom_id":"<id>","params":<params>}; its size is known without building it.

_ITEM_START, _ITEM_MIDDLE, _ITEM_END = b'{"custom_id":"', b'","params":', b"}"
_ITEM_FIXED = len(_ITEM_START) + len(_ITEM_MIDDLE) + len(_ITEM_END) + 1 + 2 * DIGEST_BYTES


def item_size(label_length: int, params_length: int) -> int:
    """Tell the exact bytes one request adds to a body, its comma included."""
    return _ITEM_FIXED + label_length + params_length + 1


def join_items(items: Iterable[tuple[str, bytes, bytes, bytes, bytes]]) -> bytes:
    """Write the body of a create call from (label, digest, head, content, tail) of each request.

    The pieces go into one buffer, which is handed over without being copied.
    """
    body = io.BytesIO()
    write = body.write
    write(BODY_START)
    comma = b""
    for label, digest, head, content, tail in items:
        write(comma + _ITEM_START + custom_id(label, digest).encode() + _ITEM_MIDDLE + head)
        write(content)
        write(tail + _ITEM_END)
        comma = b","
    write(BODY_END)
    return body.getvalue()
