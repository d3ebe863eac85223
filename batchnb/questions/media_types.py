"""The media type and size of a file, told by its bytes; and what to do about one that the API does not take. Pure."""

from __future__ import annotations

import hashlib
import re

from batchnb.errors import InputError
from batchnb.questions.media import (
    IMAGES,
    MOST_FILE_BYTES,
    MOST_IMAGE_BYTES,
    MOST_IN_REQUEST,
    MOST_PIXELS,
    PDF,
    TEXT,
    Medium,
    bytes_shown,
    shown,
)

__all__ = ["inspect"]

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
        raise InputError(f"{shown(medium)} is too large: the API takes {bytes_shown(most)} at most. Make it smaller")
    if max(medium.width, medium.height) > MOST_PIXELS:
        raise InputError(
            f"{medium.name} has {medium.width:,} x {medium.height:,} pixels: the API takes {MOST_PIXELS:,} at most on "
            "each side. Scale it down"
        )
    if medium.pages > MOST_IN_REQUEST:
        raise InputError(f"{medium.name} has {medium.pages:,} pages: the API takes {MOST_IN_REQUEST} at most. Split it")


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
