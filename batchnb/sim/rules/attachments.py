"""The images and documents of a request: what the API refuses in them, and what it reads in them.

Sources: anthropic 2.14.0 (which sources a block may have, ``image_dimensions_too_large``), platform.claude.com
documentation (media types, 8000 pixels, or 2000 where there are more than 20 images, 100 images and pages or 600 where
the context window is large). The wording for inline images follows errors seen in the field; that for files, which
types fit which block beyond images, PDFs and plain text, and whether 5 MB bound a file too, are unverified.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from batchnb.sim.rules import media
from batchnb.sim.rules.media import TOKENS, Content, Media
from batchnb.sim.state.catalogue import Model
from batchnb.sim.wire import ApiError, invalid

_FIELDS = {
    "base64": {"type", "media_type", "data"},
    "url": {"type", "url"},
    "file": {"type", "file_id"},
    "text": {"type", "media_type", "data"},
    "content": {"type", "content"},
}
_SOURCES = {"image": ("base64", "url", "file"), "document": ("base64", "url", "file", "text", "content")}
_LONGEST_SIDE, _MANY_IMAGES, _LONGEST_SIDE_OF_MANY = 8000, 20, 2000
_LARGE_WINDOW, _MOST_MEDIA, _MOST_MEDIA_IN_LARGE = 1_000_000, 100, 600


def no_files(file_id: str) -> Content:
    """Find no file, where none were uploaded.

    Raises
    ------
    ApiError
        Always: 404.
    """
    raise ApiError("not_found_error", f"File not found: {file_id}")


@dataclass
class Attachments:
    """The images and documents of one request, collected as its content is checked.

    Parameters
    ----------
    content_of
        Returns what a file holds; raises the 404 where there is none.
    image_bytes
        The largest image.
    """

    content_of: Callable[[str], Content] = no_files
    image_bytes: int = 5 * 1024 * 1024
    _read: dict[int, dict[str, Any]] = field(default_factory=dict, init=False)
    _images: list[tuple[str, Media]] = field(default_factory=list, init=False)
    _pages: int = field(default=0, init=False)

    def check(self, kind: str, block: Mapping[str, Any], where: str) -> None:
        """Take an ``image`` or a ``document`` block.

        Raises
        ------
        ApiError
            As the API refuses it.
        """
        path = f"{where}.{kind}.source"
        source = block["source"]
        tag = source["type"]
        for name in source:
            if name not in _FIELDS[tag]:
                raise invalid(f"{path}.{tag}.{name}: Extra inputs are not permitted")
        for name in sorted(_FIELDS[tag] - source.keys()):
            raise invalid(f"{path}.{tag}.{name}: Field required")
        if tag == "base64":
            self._note(where, kind, source, self._inline(kind, source, f"{path}.base64"))
        elif tag == "file":
            self._check_file(where, kind, source, f"{path}.file")
        elif tag == "text":
            if source["media_type"] != "text/plain":
                raise invalid(f"{path}.text.media_type: Input should be 'text/plain'")
            if not isinstance(source["data"], str):
                raise invalid(f"{path}.text.data: Input should be a valid string")

    def check_together(self, model: Model) -> None:
        """Take the end of the request.

        Raises
        ------
        ApiError
            Where the model takes none, or there are too many of them, or images that are too large.
        """
        if self._images and not model.images:
            raise invalid(f"'{model.id}' does not support image input.")
        if self._pages and not model.pdfs:
            raise invalid(f"'{model.id}' does not support PDF input.")
        most = _MOST_MEDIA_IN_LARGE if model.window >= _LARGE_WINDOW else _MOST_MEDIA
        if self._pages + len(self._images) > most:
            raise invalid(f"Too much media: {self._pages} document pages + {len(self._images)} images > {most}")
        many = len(self._images) > _MANY_IMAGES
        longest = _LONGEST_SIDE_OF_MANY if many else _LONGEST_SIDE
        paths = [where for where, image in self._images if max(image.width, image.height) > longest]
        if paths:
            among = " for many-image requests" if many else ""
            raise ApiError(
                "invalid_request_error",
                f"{paths[0]}: At least one of the image dimensions exceed max allowed size{among}: {longest} pixels",
                code="image_dimensions_too_large",
                details={"max_side_length_pixels": longest, "paths": paths},
            )

    def read(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a request as a model reads it: each source with its tokens, plain text files with their text."""
        if not self._read:
            return params
        return {**params, "messages": self._replaced(params["messages"])}

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._replaced(each) for each in value]
        if isinstance(value, dict):
            known = self._read.get(id(value))
            return known or {name: self._replaced(each) for name, each in value.items()}
        return value

    def _note(self, where: str, kind: str, source: dict[str, Any], found: Media) -> None:
        self._read[id(source)] = {**source, TOKENS: found.tokens}
        self._pages += found.pages
        if kind == "image":
            self._images.append((where, found))

    def _inline(self, kind: str, source: Mapping[str, Any], where: str) -> Media:
        declared, data = source["media_type"], source["data"]
        allowed = media.IMAGE_TYPES if kind == "image" else (media.PDF,)
        if declared not in allowed:
            expected = ", ".join(f"'{each}'" for each in allowed[:-1])
            last = f"{expected} or '{allowed[-1]}'" if expected else f"'{allowed[-1]}'"
            raise invalid(f"{where}.media_type: Input should be {last}")
        if not isinstance(data, str):
            raise invalid(f"{where}.data: Input should be a valid string")
        if kind == "image" and len(data) > self.image_bytes:
            raise self._too_large(where, len(data))
        try:
            found = media.inspect(b64decode(data, validate=True))
        except (binascii.Error, ValueError):
            raise invalid(f"{where}.data: Invalid base64 data") from None
        if kind == "document":
            if found.kind != media.PDF:
                raise invalid(f"{where}.data: The PDF specified was not valid.")
        elif found.kind not in media.IMAGE_TYPES:
            raise invalid("Could not process image")
        elif found.kind != declared:
            raise invalid(
                f"{where}: The image was specified using the {declared} media type,"
                f" but the image appears to be a {found.kind} image"
            )
        return found

    def _check_file(self, where: str, kind: str, source: dict[str, Any], path: str) -> None:
        file_id = source["file_id"]
        if not isinstance(file_id, str):
            raise invalid(f"{path}.file_id: Input should be a valid string")
        content = self.content_of(file_id)
        declared = content.mime_type.partition(";")[0]
        allowed = media.IMAGE_TYPES if kind == "image" else (media.PDF, "text/plain")
        if declared not in allowed:
            raise invalid(
                f"{path}: the file {file_id} has the media type {declared}, which a block of type {kind} does not take"
                f" (it takes {', '.join(allowed)})"
            )
        if content.text is not None:
            self._read[id(source)] = {"type": "text", "media_type": "text/plain", "data": content.text}
            return
        if kind == "image" and content.size > self.image_bytes:
            raise self._too_large(path, content.size)
        if kind == "image" and content.media.kind not in media.IMAGE_TYPES:
            raise invalid("Could not process image")
        if kind == "document" and content.media.kind != media.PDF:
            raise invalid(f"{path}: The PDF specified was not valid.")
        self._note(where, kind, source, content.media)

    def _too_large(self, where: str, size: int) -> ApiError:
        most = self.image_bytes
        return invalid(f"{where}: image exceeds {most / 2**20:g} MB maximum: {size} bytes > {most} bytes")


def sources(kind: str) -> tuple[str, ...]:
    """Return the types of source that an ``image`` or a ``document`` block may have."""
    return _SOURCES[kind]
