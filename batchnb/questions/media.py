"""Images and documents in requests: their type and size by their bytes, their limits, and the blocks that carry them.

A file is written into a request by its content: ``{"type": "file", "file_id": "batchnb:<media type>:<sha256>"}``. Only
when the request leaves does that become the file's bytes, or the server's id of it; so what is asked never depends on
how it is delivered. Pure.

Limits and types: platform.claude.com documentation ("Images and vision", "PDF support", "Files API"), anthropic 2.14.0.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from batchnb.errors import InputError
from batchnb.questions.cells import is_missing

__all__ = [
    "INLINE_LIMIT",
    "Attachment",
    "Medium",
    "base64_size",
    "check_together",
    "file_source",
    "inline_source",
    "inspect",
    "is_nothing",
    "items_of",
    "least_tokens",
    "most_tokens",
    "named_by",
    "shas_in",
    "shown",
    "substituted",
    "url_block",
    "with_sources",
]

#: Characters of base64 up to which a file that one request alone needs is sent within that request: a batch of a
#: thousand such requests still fits the 256 MB that a batch may have, and uploading a smaller one saves nothing.
INLINE_LIMIT = 256_000

#: The media types taken.
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
PDF, TEXT = "application/pdf", "text/plain"

#: A file of the Files API; an image ("image exceeds 5 MB maximum: 5242880 bytes", which inline bounds the base64).
MOST_FILE_BYTES, MOST_IMAGE_BYTES = 500_000_000, 5 * 2**20
#: An image's longest side in pixels, and what it is where a request holds more images than that.
MOST_PIXELS, MANY_IMAGES, MOST_PIXELS_OF_MANY = 8_000, 20, 2_000
#: How deep the lists of a cell may stand in each other.
MOST_NESTED = 8
#: Images and pages of PDFs in one request. (100 where the model's context window is 200,000 tokens: the server checks.)
MOST_IN_REQUEST = 600

_PLACEHOLDER = re.compile(rb'\{"file_id":"batchnb:([a-z]+/[a-z]+):([0-9a-f]{64})","type":"file"\}')
_FILE_ID = re.compile(r"batchnb:([a-z]+/[a-z]+):([0-9a-f]{64})")
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")

#: What is often given and never taken, by how it begins, and what to do about it.
_OTHERS = (
    (b"II*\x00", 0, "TIFF", "an image as PNG or JPEG"),
    (b"MM\x00*", 0, "TIFF", "an image as PNG or JPEG"),
    (b"BM", 0, "BMP", "it as PNG"),
    (b"ftyphei", 4, "HEIC", "it as JPEG"),
    (b"ftyphev", 4, "HEIC", "it as JPEG"),
    (b"ftypmif1", 4, "HEIC", "it as JPEG"),
    (b"ftypavif", 4, "AVIF", "it as JPEG or WebP"),
    (b"PK\x03\x04", 0, "a ZIP file or an Office document", "a document as PDF"),
    (b"\xd0\xcf\x11\xe0", 0, "an old Office document", "it as PDF"),
    (b"{\\rtf", 0, "RTF", "it as PDF"),
    (b"%!PS", 0, "PostScript", "it as PDF"),
)


@dataclass(frozen=True, slots=True)
class Medium:
    """A file as its bytes describe it.

    Parameters
    ----------
    sha256 : str
        The digest of its bytes, 64 hex digits: its identity, together with the type that the bytes tell.
    media_type : str
        Such as ``image/png``.
    size : int
        In bytes.
    name : str
        What it is called, for people and for the list of files on the server; no part of its identity.
    width, height : int
        An image's, in pixels; 0 where that is not known.
    pages : int
        A PDF's, as far as its bytes name them; else 0.
    """

    sha256: str
    media_type: str
    size: int
    name: str = ""
    width: int = 0
    height: int = 0
    pages: int = 0

    @property
    def kind(self) -> str:
        """The type of the content block that carries it: ``image`` or ``document``."""
        return "image" if self.media_type in IMAGES else "document"

    @property
    def block(self) -> dict[str, Any]:
        """The content block, with the file by its content."""
        source = {"type": "file", "file_id": f"batchnb:{self.media_type}:{self.sha256}"}
        return {"type": self.kind, "source": source}


@dataclass(frozen=True, slots=True)
class Attachment:
    """What one value of a row brings: a content block, and the file in it; no file where it is an address."""

    block: dict[str, Any]
    medium: Medium | None = None


def url_block(kind: str, url: str) -> dict[str, Any]:
    """Return the content block of an image or a PDF that the server itself fetches."""
    return {"type": kind, "source": {"type": "url", "url": url}}


def items_of(value: Any) -> Iterator[Any]:
    """Yield what a cell holds, one by one: itself, or what is in a list, a tuple, or lists of these.

    A NumPy array of objects is a list too, as Parquet files bring them.

    Raises
    ------
    InputError
        Lists stand in lists more than `MOST_NESTED` deep, as where one holds itself.
    """
    waiting = [iter((value,))]
    while waiting:
        for item in waiting[-1]:
            if not _is_list(item):
                yield item
            elif len(waiting) > MOST_NESTED:
                raise InputError(
                    f"a list holds itself, or lists more than {MOST_NESTED} deep: give one list of what is to be sent"
                )
            else:
                waiting.append(iter(item))
                break
        else:
            waiting.pop()


def _is_list(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return True
    return type(value).__name__ == "ndarray" and bool(value.dtype.hasobject and value.ndim)


def is_nothing(value: Any) -> bool:
    """Tell whether a cell holds no image or document: a missing value, empty text, a list of nothing else.

    What cannot be read as a list of them is something.
    """
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, bytes | bytearray | memoryview):
        return not len(value)
    if _is_list(value):
        try:
            return all(map(is_nothing, items_of(value)))
        except InputError:
            return False
    return is_missing(value)


# What the bytes tell


def inspect(data: bytes, name: str, kind: str) -> Medium:
    """Read the type and size of a file, and check what the API bounds.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str
        What to call it.
    kind : {"image", "document"}
        What it is given as.

    Raises
    ------
    InputError
        It is no image or document that the API takes, or too large.
    """
    if not data:
        raise InputError(f"{name} is empty")
    media_type = _media_type(data)
    if media_type is None or (kind == "image" and media_type == TEXT):
        raise InputError(_refusal(data, name, kind))
    if (media_type in IMAGES) != (kind == "image"):
        other = "documents=" if kind == "image" else "images="
        raise InputError(f"{name} is of type {media_type}: give it as {other}")
    width, height = _image_size(data, media_type)
    pages = len(_PAGE.findall(data)) if media_type == PDF else 0
    sha256 = hashlib.sha256(data).hexdigest()
    medium = Medium(sha256, media_type, len(data), name, width, height, pages)
    _check(medium)
    return medium


def _media_type(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    if b"%PDF-" in data[:1024]:
        return PDF
    if any(data[at : at + len(sign)] == sign for sign, at, _, _ in _OTHERS) or b"\0" in data:
        return None
    try:
        data.decode()
    except UnicodeDecodeError:
        return None
    return TEXT


def _refusal(data: bytes, name: str, kind: str) -> str:
    for sign, at, what, instead in _OTHERS:
        if data[at : at + len(sign)] == sign:
            return f"{name} looks like {what}, which the API does not take: save {instead}"
    if kind == "image":
        text = b"\0" not in data[:1024] and data[:1024].isascii()
        what = "SVG" if b"<svg" in data[:1024] else "text" if text else "none of these"
        return f"{name}: images are PNG, JPEG, GIF or WebP files, and this looks like {what}"
    return f"{name}: documents are PDF files or text in UTF-8, and this is neither"


def _check(medium: Medium) -> None:
    most = MOST_IMAGE_BYTES if medium.kind == "image" else MOST_FILE_BYTES
    if medium.size > most:
        raise InputError(f"{shown(medium)} is too large: the API takes {_bytes(most)} at most. Make it smaller")
    if max(medium.width, medium.height) > MOST_PIXELS:
        raise InputError(
            f"{medium.name} has {medium.width:,} x {medium.height:,} pixels: the API takes {MOST_PIXELS:,} at most on "
            "each side. Scale it down"
        )
    if medium.pages > MOST_IN_REQUEST:
        raise InputError(f"{medium.name} has {medium.pages:,} pages: the API takes {MOST_IN_REQUEST} at most. Split it")


def check_together(media: Sequence[Medium], addresses: int = 0) -> None:
    """Check what the API bounds over all images and documents of a request.

    Parameters
    ----------
    media : sequence of Medium
        Its files.
    addresses : int
        Its images and documents that are given as URLs, each of which counts as one.

    Raises
    ------
    InputError
        There are too many of them, or too large ones among many.
    """
    images = [medium for medium in media if medium.kind == "image"]
    count = len(images) + addresses + sum(medium.pages for medium in media)
    if count > MOST_IN_REQUEST:
        raise InputError(
            f"it has {count:,} images and pages of PDFs: the API takes {MOST_IN_REQUEST} at most in a request"
        )
    if len(images) > MANY_IMAGES:
        large = next((one for one in images if max(one.width, one.height) > MOST_PIXELS_OF_MANY), None)
        if large is not None:
            raise InputError(
                f"{large.name} has {large.width:,} x {large.height:,} pixels: where a row has more than {MANY_IMAGES} "
                f"images, the API takes {MOST_PIXELS_OF_MANY:,} at most on each side. Scale it down"
            )


def _image_size(data: bytes, media_type: str) -> tuple[int, int]:
    """Read an image's width and height in pixels from its header; zeros where it does not tell."""
    if media_type == "image/png" and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if media_type == "image/gif" and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if media_type == "image/webp" and len(data) >= 30:
        return _webp_size(data)
    return _jpeg_size(data) if media_type == "image/jpeg" else (0, 0)


def _webp_size(data: bytes) -> tuple[int, int]:
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk the segments of a JPEG to the one that begins the picture."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return 0, 0


def least_tokens(medium: Medium) -> int:
    """Estimate how many input tokens a file takes, rather too few than too many.

    An image takes about width x height / 750, and is first scaled down to about 1,600; a page of a PDF takes 1,500 to
    3,000 (platform.claude.com documentation). Of text, four bytes are taken for a token.
    """
    if medium.kind == "image":
        return min(1_600, medium.width * medium.height // 750)
    return medium.size // 4 if medium.media_type == TEXT else 1_500 * max(1, medium.pages)


def most_tokens(medium: Medium) -> int:
    """Estimate how many input tokens a file takes at most, for what it may cost.

    A page of a PDF is read as its text and as an image; models of the finest resolution take about 4,800 tokens for an
    image (platform.claude.com documentation). A token of text is never less than a byte.
    """
    if medium.kind == "image":
        return 4_800
    return medium.size if medium.media_type == TEXT else 4_600 * max(1, medium.pages)


# What carries a file


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


# For people


def shown(medium: Medium) -> str:
    """Say what a file is: ``photo.png (34 kB)``."""
    return f"{medium.name} ({_bytes(medium.size)})"


def _bytes(size: int) -> str:
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1e3:.0f} kB" if size < 999_500 else f"{size / 1e6:.3g} MB"
