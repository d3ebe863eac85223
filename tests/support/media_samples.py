"""Small images and documents for tests, made by hand: no library and no file is needed for them."""

from __future__ import annotations

import struct
import zlib


def png(seed: int = 0, size: tuple[int, int] = (2, 2), padding: int = 0) -> bytes:
    """A PNG of one colour, `padding` bytes longer than it need be; the header alone tells of any size."""
    width, height = size
    pixels = b"\0" + struct.pack(">I", seed)[1:] * min(width, 8)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"tEXt", b"Comment\0" + b"x" * padding),
        (b"IDAT", zlib.compress(pixels * min(height, 8))),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def gif(size: tuple[int, int] = (3, 4)) -> bytes:
    return b"GIF89a" + struct.pack("<HH", *size) + b"\0\0\0;"


def jpeg(size: tuple[int, int] = (5, 6)) -> bytes:
    """A JPEG with an APP0 segment and padding before its frame."""
    app = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0\1\1\0\0\1\0\1\0\0"
    frame = b"\xff\xff\xc0" + struct.pack(">HBHHB", 11, 8, size[1], size[0], 1) + b"\1\x11\0"
    return b"\xff\xd8" + app + frame + b"\xff\xd9"


def webp(size: tuple[int, int] = (7, 8)) -> bytes:
    width, height = size
    extended = b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", len(extended)) + extended + bytes(8)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def pdf(text: str = "Hello", pages: int = 1) -> bytes:
    kids = b"".join(
        b"%d 0 obj << /Type /Page /Contents (%s) >> endobj\n" % (3 + i, text.encode()) for i in range(pages)
    )
    return b"%%PDF-1.4\n1 0 obj << /Type /Pages /Count %d >> endobj\n%s%%%%EOF\n" % (pages, kids)
