"""The files that were uploaded: their bytes on disk, what the API tells of them, and what a request finds in them.

Sources: anthropic 2.14.0 (shapes, paging, the limits of ``expires_in_seconds``, the error codes ``file_expired``,
``file_not_downloadable`` and ``storage_quota_exceeded``), platform.claude.com documentation (500 MB a file, which
names are refused). Unverified: that all but deleting an expired file is a 404, and the wording of the errors.
"""

from __future__ import annotations

import mimetypes
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections import OrderedDict
from contextlib import suppress
from threading import Lock
from typing import Any

from batchnb.sim.rules import media
from batchnb.sim.rules.media import Content, Media
from batchnb.sim.server.multipart import Parser
from batchnb.sim.state.batches import Limits
from batchnb.sim.state.folder import Folder
from batchnb.sim.state.store import FileRow, Store
from batchnb.sim.wire import ApiError, Clock, invalid, new_id, rfc3339

_SHORTEST, _LONGEST = 3600, 7_776_000  # seconds until a file expires
_MOST_IDS = 100
_LONGEST_NAME = 255
_FORBIDDEN = frozenset('<>:"|?*') | {chr(code) for code in range(32)}
_UNTYPED = "application/octet-stream"
# Bytes read of a file. So much text is beyond every context window, and the pages of a larger PDF are estimated.
_MOST_TEXT, _MOST_MEDIA = 8_000_000, 32_000_000
_KEPT_TEXT, _MOST_KEPT = 32_000_000, 10_000  # characters, files


class Upload:
    """A file that is being received: its bytes go to disk as they come.

    Parameters
    ----------
    folder
        Where the bytes go, under a passing name until the file has an id.
    content_type
        The ``content-type`` of the call.
    most
        The most bytes that the file may have.

    Raises
    ------
    ApiError
        400 where the call brings no form.
    """

    def __init__(self, folder: Folder, content_type: str, most: int) -> None:
        self.form = Parser(content_type, self)
        self.size = 0
        self.most = most
        self.path, self._file = folder.new_part()

    def write(self, data: bytes) -> None:
        """Take the next bytes of the file itself.

        Raises
        ------
        ApiError
            413 where it grows too large.
        """
        self.size += len(data)
        if self.size > self.most:
            message = f"File too large: the maximum size of a file is {self.most} bytes."
            raise ApiError("request_too_large", message, headers={"connection": "close"})
        self._file.write(data)

    def finish(self) -> None:
        """Take the end of the body.

        Raises
        ------
        ApiError
            400 where it ends too early.
        """
        self.form.close()
        self._file.close()

    def discard(self) -> None:
        """Forget what was received, unless it has become a file."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class Files:
    """All files of one simulator.

    Parameters
    ----------
    store
        Where they are listed.
    folder
        The state folder, which keeps their bytes.
    clock
        The time.
    limits
        The API's limits.
    """

    def __init__(self, store: Store, folder: Folder, *, clock: Clock, limits: Limits) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._limits = limits
        self._contents = _Contents()
        folder.tidy(store.file_ids())

    def receive(self, content_type: str) -> Upload:
        """Begin to receive a file."""
        return Upload(self._folder, content_type, self._limits.file_bytes)

    def add(self, upload: Upload) -> FileRow:
        """Accept a file that was received.

        Raises
        ------
        ApiError
            400 for a missing file, a bad name, a bad time, or no room.
        """
        form = upload.form
        for name in form.fields:
            if name != "expires_in_seconds":
                raise invalid(f"{name}: Extra inputs are not permitted")
        if not form.has_file:
            raise invalid("file: Field required")
        expires_in = _expires_in(form.fields.get("expires_in_seconds"))
        mime_type = form.media_type or mimetypes.guess_type(form.filename or "")[0] or _UNTYPED
        filename = _name(form.filename or "", mime_type)
        room = self._limits.storage_bytes
        if room is not None and self._store.file_bytes() + upload.size > room:
            message = "Your organization's file storage quota is exhausted. Delete files to free up space."
            raise ApiError("invalid_request_error", message, code="storage_quota_exceeded")
        file_id, now = new_id("file"), self._clock.now()
        self._folder.keep(upload.path, file_id)
        return self._store.add_file(
            file_id,
            filename=filename,
            mime_type=mime_type,
            size=upload.size,
            created_at=now,
            expires_at=None if expires_in is None else now + expires_in,
        )

    def retrieve(self, file_id: str) -> FileRow:
        """Return a file.

        Raises
        ------
        ApiError
            404 where there is none, or it has expired.
        """
        file = self._store.file(file_id)
        if file is None:
            raise ApiError("not_found_error", f"File not found: {file_id}")
        if file.expires_at is not None and file.expires_at <= self._clock.now():
            raise ApiError("not_found_error", f"File {file_id} has expired.", code="file_expired")
        return file

    def page(self, limit: int, cursor: str | None) -> tuple[list[FileRow], str | None]:
        """Return one page of files, newest first, and the cursor of the next one (None: there is none).

        Raises
        ------
        ApiError
            400 for a cursor that was not given out.
        """
        older = None if cursor is None else _place(cursor)
        found = self._store.files(limit + 1, now=self._clock.now(), older_than=older)
        return found[:limit], _cursor(found[limit - 1].seq) if len(found) > limit else None

    def named(self, ids: tuple[str, ...]) -> list[FileRow]:
        """Return the files of these ids that exist, newest first.

        Raises
        ------
        ApiError
            400 for more than 100.
        """
        wanted = set(ids)
        if len(wanted) > _MOST_IDS:
            raise invalid(f"ids: List should have at most {_MOST_IDS} items after validation, not {len(wanted)}")
        found = []
        for file_id in wanted:
            with suppress(ApiError):
                found.append(self.retrieve(file_id))
        return sorted(found, key=lambda file: -file.seq)

    def delete(self, file_id: str) -> None:
        """Delete a file, expired or not.

        Raises
        ------
        ApiError
            404 where there is none.
        """
        if self._store.file(file_id) is None:
            raise ApiError("not_found_error", f"File not found: {file_id}")
        self._store.delete_file(file_id)
        self._contents.forget(file_id)
        self._folder.remove(file_id)

    def download(self, file_id: str) -> None:
        """Refuse to give a file's bytes: only what a tool made can be downloaded, and no tool runs here.

        Raises
        ------
        ApiError
            404 where there is no such file, else 400.
        """
        self.retrieve(file_id)
        raise ApiError("invalid_request_error", f"File {file_id} is not downloadable.", code="file_not_downloadable")

    def content(self, file_id: str) -> Content:
        """Return what a request finds in a file.

        Raises
        ------
        ApiError
            404 where there is no such file, or it has expired.
        """
        file = self.retrieve(file_id)
        known = self._contents.get(file_id)
        if known is not None:
            return known
        is_text = file.mime_type.startswith("text/plain")
        try:
            data = self._folder.read(file_id, _MOST_TEXT if is_text else _MOST_MEDIA)
        except FileNotFoundError:  # deleted by another call just now
            raise ApiError("not_found_error", f"File not found: {file_id}") from None
        text = data.decode("utf-8", "replace") if is_text else None
        found = Media("", 0) if text is not None else media.inspect(data, file.size)
        return self._contents.keep(file_id, Content(file.mime_type, file.size, found, text))

    @staticmethod
    def describe(file: FileRow, *, beta: bool) -> dict[str, Any]:
        """Return a file as the API's FileMetadata object; the beta namespace tells its scope too."""
        return {
            "id": file.id,
            "type": "file",
            "filename": file.filename,
            "mime_type": file.mime_type,
            "size_bytes": file.size,
            "created_at": rfc3339(file.created_at),
            "expires_at": None if file.expires_at is None else rfc3339(file.expires_at),
            "downloadable": False,
        } | ({"scope": None} if beta else {})


class _Contents:
    """What was read of files lately: the texts of some megabytes, so that the rows of a batch need not read each."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Content] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, file_id: str) -> Content | None:
        with self._lock:
            if file_id in self._kept:
                self._kept.move_to_end(file_id)
            return self._kept.get(file_id)

    def keep(self, file_id: str, content: Content) -> Content:
        self.forget(file_id)
        with self._lock:
            self._kept[file_id] = content
            self._size += len(content.text or "")
            while len(self._kept) > 1 and (self._size > _KEPT_TEXT or len(self._kept) > _MOST_KEPT):
                self._size -= len(self._kept.popitem(last=False)[1].text or "")
        return content

    def forget(self, file_id: str) -> None:
        with self._lock:
            content = self._kept.pop(file_id, None)
            self._size -= len(content.text or "") if content is not None else 0


def _expires_in(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        seconds = int(text)
    except ValueError:
        problem = "expires_in_seconds: Input should be a valid integer, unable to parse string as an integer"
        raise invalid(problem) from None
    if seconds < _SHORTEST:
        raise invalid(f"expires_in_seconds: Input should be greater than or equal to {_SHORTEST}")
    if seconds > _LONGEST:
        raise invalid(f"expires_in_seconds: Input should be less than or equal to {_LONGEST}")
    return seconds


def _name(given: str, mime_type: str) -> str:
    """Return the name under which a file is kept: the last component of the one given, or one made up."""
    name = given.replace("\\", "/").rpartition("/")[2]
    if not name:
        return f"unnamed{mimetypes.guess_extension(mime_type) or ''}"
    if len(name) > _LONGEST_NAME or not _FORBIDDEN.isdisjoint(name):
        raise invalid(f'Invalid filename: it must have 1-{_LONGEST_NAME} characters and none of <, >, :, ", |, ?, *')
    return name


def _cursor(seq: int) -> str:
    return f"page_{urlsafe_b64encode(str(seq).encode()).decode()}"


def _place(cursor: str) -> int:
    try:
        return int(urlsafe_b64decode(cursor.removeprefix("page_")))
    except (ValueError, Base64Error):
        raise invalid("page: Invalid page cursor") from None
