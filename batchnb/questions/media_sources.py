"""Where a request carries a file: the places that name it by its content, and the sources that go there. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from batchnb.questions.media import TEXT

__all__ = [
    "INLINE_LIMIT",
    "base64_size",
    "file_source",
    "inline_source",
    "named_by",
    "shas_in",
    "substituted",
    "with_sources",
]

#: Characters of base64 up to which a file that one request alone needs is sent within that request: a batch of a
#: thousand such requests still fits the 256 MB that a batch may have, and uploading a smaller one saves nothing.
INLINE_LIMIT = 256_000

_PLACEHOLDER = re.compile(rb'\{"file_id":"batchnb:([a-z]+/[a-z]+):([0-9a-f]{64})","type":"file"\}')
_FILE_ID = re.compile(r"batchnb:([a-z]+/[a-z]+):([0-9a-f]{64})")


def base64_size(size: int) -> int:
    """Tell how many characters of base64 so many bytes take."""
    return 4 * ((size + 2) // 3)


def inline_source(data: bytes, media_type: str) -> dict[str, str]:
    """Return the source of a content block that holds the file itself."""
    if media_type == TEXT:
        return {"type": "text", "media_type": TEXT, "data": data.decode()}
    return {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode()}


def file_source(file_id: str) -> dict[str, str]:
    """Return the source of a content block that names a file on the server."""
    return {"type": "file", "file_id": file_id}


def named_by(source: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the media type and the SHA-256 of the file that a source names by its content; None for any other."""
    file_id = source.get("file_id")
    found = _FILE_ID.fullmatch(file_id) if isinstance(file_id, str) else None
    return None if found is None else (found[1], found[2])


def shas_in(sent: bytes) -> list[str]:
    """Find the files that a piece of a request names by their content."""
    return [found[2].decode() for found in _PLACEHOLDER.finditer(sent)] if b'"batchnb:' in sent else []


def substituted(sent: bytes, source_of: Callable[[str, str], Mapping[str, Any] | None]) -> bytes:
    """Put the sources of files where a piece of a request names them by their content.

    In text the quotes would be escaped, so that no prompt can be taken for such a place.

    Parameters
    ----------
    sent : bytes
        JSON as :func:`batchnb.questions.envelope.content_of` writes it.
    source_of : callable
        Takes the SHA-256 and the media type of a file, and gives its source; None leaves it as it is.
    """
    if b'"batchnb:' not in sent:
        return sent

    def put(found: re.Match[bytes]) -> bytes:
        source = source_of(found[2].decode(), found[1].decode())
        return found[0] if source is None else msgspec.json.encode(source, order="sorted")

    return _PLACEHOLDER.sub(put, sent)


def with_sources(params: Any, source_of: Callable[[str, str], Mapping[str, Any] | None]) -> Any:
    """Put the sources of files into params; a block whose file `source_of` gives none for is left out."""
    if isinstance(params, Mapping):
        return {name: with_sources(value, source_of) for name, value in params.items()}
    if not isinstance(params, list):
        return params
    kept = []
    for item in params:
        named = _named_in(item)
        source = None if named is None else source_of(named[1], named[0])
        if named is None:
            kept.append(with_sources(item, source_of))
        elif source is not None:
            kept.append({**item, "source": source})
    return kept


def _named_in(block: Any) -> tuple[str, str] | None:
    """Return the media type and the SHA-256 of the file that a content block names by its content."""
    source = block.get("source") if isinstance(block, Mapping) else None
    return named_by(source) if isinstance(source, Mapping) and source.get("type") == "file" else None
