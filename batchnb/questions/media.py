"""Images and documents in requests: what they are, their limits, and the blocks that carry them.

A file is written into a request by its content: ``{"type": "file", "file_id": "batchnb:<media type>:<sha256>"}``. Only
when the request leaves does that become the file's bytes, or the server's id of it; so what is asked never depends on
how it is delivered (:mod:`batchnb.questions.media_sources`). Pure.

Limits and types: platform.claude.com documentation ("Images and vision", "PDF support", "Files API"), anthropic 2.14.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from batchnb.errors import InputError
from batchnb.questions.cells import is_missing

__all__ = [
    "IMAGES",
    "MOST_FILE_BYTES",
    "MOST_IMAGE_BYTES",
    "MOST_IN_REQUEST",
    "MOST_PIXELS",
    "PDF",
    "TEXT",
    "Attachment",
    "Medium",
    "bytes_shown",
    "check_together",
    "is_nothing",
    "items_of",
    "least_tokens",
    "most_tokens",
    "shown",
    "url_block",
]

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


# For people


def shown(medium: Medium) -> str:
    """Say what a file is: ``photo.png (34 kB)``."""
    return f"{medium.name} ({bytes_shown(medium.size)})"


def bytes_shown(size: int) -> str:
    """Say how large a file is: ``34 kB``."""
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1e3:.0f} kB" if size < 999_500 else f"{size / 1e6:.3g} MB"
