"""Requests in the body of a batch: their custom_ids, by which answers find their rows, and the bytes they take. Pure.

An item is ``{"custom_id":"<id>","params":<params>}``; its size is known without building it.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Sequence

from batchnb.questions.envelope import DIGEST_BYTES

__all__ = [
    "BODY_END",
    "BODY_START",
    "attached_digest",
    "custom_id",
    "digest_in",
    "digests_in",
    "item_size",
    "join_items",
    "label_of",
]

#: A custom_id is ``^[a-zA-Z0-9_-]{1,64}$`` (anthropic 2.12.0): a label of at most 31 characters, "-" and 32 hex digits.
LABEL_LENGTH = 31
_NOT_IN_CUSTOM_ID = re.compile(r"[^a-zA-Z0-9_-]")

BODY_START, BODY_END = b'{"requests":[', b"]}"

_ITEM_START, _ITEM_MIDDLE, _ITEM_END = b'{"custom_id":"', b'","params":', b"}"
_ITEM_FIXED = len(_ITEM_START) + len(_ITEM_MIDDLE) + len(_ITEM_END) + 1 + 2 * DIGEST_BYTES


# custom_ids


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


# Items


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
