"""Images and documents, as requests to the simulator carry them."""

import base64
import struct
import zlib

PIXELS = (750, 400)

PDF = b"%PDF-1.7\n1 0 obj <</Type /Pages /Count 3>>\n" + b"<</Type /Page /Parent 1 0 R>>\n" * 3


def png(width=PIXELS[0], height=PIXELS[1]):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def inline(data, media_type, kind="image"):
    encoded = base64.b64encode(data).decode()
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": encoded}}


def by_id(file_id, kind="image"):
    return {"type": kind, "source": {"type": "file", "file_id": file_id}}
