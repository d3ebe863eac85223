"""What the bytes of an image or a document tell: their media type, an image's size, a PDF's pages, and the tokens.

Everything here is pure. Sources: platform.claude.com documentation (an image takes about width x height / 750 tokens
and is first scaled down to 1568 pixels and about 1,600 tokens; a page of a PDF takes 1,500 to 3,000). The newest page
counts patches of 28 x 28 pixels and gives the newest models a finer resolution: a few percent apart, or unverified.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF = "application/pdf"
#: The field of a source where its tokens are noted; no request may bring it, for sources take no fields but their own.
TOKENS = "simulated_tokens"
UNKNOWN_IMAGE_TOKENS = 1_500
PAGE_TOKENS = 2_000

_LONGEST_EDGE, _MOST_TOKENS, _PIXELS_PER_TOKEN = 1568, 1600, 750
_BYTES_PER_PAGE = 50_000  # where a PDF hides its pages in compressed streams
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_PAGE_COUNT = re.compile(rb"/Type\s*/Pages[^>]{0,400}?/Count\s+(\d+)|/Count\s+(\d+)[^>]{0,400}?/Type\s*/Pages")
#: The markers of a JPEG that begin a frame, and so tell its size.
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length


@dataclass(frozen=True)
class Media:
    """What is known of an image or a document.

    Parameters
    ----------
    kind
        Its media type by its first bytes; empty where they tell nothing.
    tokens
        About how many input tokens it takes.
    width, height
        An image's, in pixels; zero where they are not known.
    pages
        A PDF's; otherwise zero.
    """

    kind: str
    tokens: int
    width: int = 0
    height: int = 0
    pages: int = 0


@dataclass(frozen=True)
class Content:
    """What a request finds in an uploaded file.

    Parameters
    ----------
    mime_type
        The media type that its upload declared.
    size
        In bytes.
    media
        What its bytes tell.
    text
        Its text, where it was declared to be plain text; otherwise None.
    """

    mime_type: str
    size: int
    media: Media
    text: str | None


def inspect(data: bytes, size: int = 0) -> Media:
    """Return what an image or a PDF tells of itself; `data` may be the beginning alone of one that has `size` bytes."""
    kind = sniff(data)
    if kind == PDF:
        pages = max(1, pdf_pages(data) * max(size, len(data)) // len(data))
        return Media(kind, pages * PAGE_TOKENS, pages=pages)
    sides = image_size(data) if kind else None
    if sides is None:
        return Media(kind, UNKNOWN_IMAGE_TOKENS)
    return Media(kind, image_tokens(*sides), *sides)


def sniff(data: bytes) -> str:
    """Return the media type that the first bytes tell, of those that a request may hold; empty for any other."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return PDF if b"%PDF-" in data[:1024] else ""


def image_size(data: bytes) -> tuple[int, int] | None:
    """Return an image's width and height in pixels, read from its header; None where that cannot be read."""
    kind = sniff(data)
    if kind == "image/png" and data[12:16] == b"IHDR" and len(data) >= 24:
        size = _big(data, 16, 4), _big(data, 20, 4)
    elif kind == "image/gif" and len(data) >= 10:
        size = _little(data, 6, 2), _little(data, 8, 2)
    elif kind == "image/webp":
        size = _webp_size(data) or (0, 0)
    elif kind == "image/jpeg":
        size = _jpeg_size(data) or (0, 0)
    else:
        return None
    return size if all(size) else None


def image_tokens(width: int, height: int) -> int:
    """Return about how many tokens an image takes, scaled down first where it is too large."""
    longest = max(width, height)
    if longest > _LONGEST_EDGE:
        width, height = width * _LONGEST_EDGE // longest, height * _LONGEST_EDGE // longest
    return max(1, min(_MOST_TOKENS, math.ceil(width * height / _PIXELS_PER_TOKEN)))


def pdf_pages(data: bytes) -> int:
    """Return about how many pages a PDF has, at least one: those it names, else the count it claims, else by size."""
    named = len(_PAGE.findall(data))
    if named:
        return named
    claimed = max((int(first or second) for first, second in _PAGE_COUNT.findall(data)), default=0)
    return claimed or 1 + len(data) // _BYTES_PER_PAGE


def _webp_size(data: bytes) -> tuple[int, int] | None:
    form = data[12:16]
    if form == b"VP8X" and len(data) >= 30:
        return 1 + _little(data, 24, 3), 1 + _little(data, 27, 3)
    if form == b"VP8 " and len(data) >= 30:
        return _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
    if form == b"VP8L" and len(data) >= 25:
        bits = _little(data, 21, 4)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        elif marker in _JPEG_FRAMES:
            return _big(data, at + 7, 2), _big(data, at + 5, 2)
        else:
            at += 2 + max(2, _big(data, at + 2, 2))
    return None


def _big(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length], "big")


def _little(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length], "little")
