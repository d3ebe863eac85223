"""Images and documents as a frame holds them: paths, addresses, bytes and PIL images, read and told by their content.

A file is read when it is first met, and again when its bytes are needed; between the two only what it is called and
what its bytes tell are kept. So a frame of many files takes no memory for them, and one that many rows share is read
once.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, NamedTuple

import pandas as pd

from batchnb.api.client import Api
from batchnb.errors import NOT_SENT, InputError
from batchnb.planning.folders import Folders, folders_of, quoted, working_folder
from batchnb.questions.columns import check_column, places_of
from batchnb.questions.media import (
    MOST_FILE_BYTES,
    Attachment,
    Medium,
    is_nothing,
    items_of,
    least_tokens,
    most_tokens,
    url_block,
)
from batchnb.questions.media_sources import INLINE_LIMIT, inline_source, with_sources
from batchnb.questions.media_types import inspect
from batchnb.questions.params import unsent
from batchnb.questions.recipe import MediaReader

__all__ = ["Given", "Reader", "attachments_of", "count_tokens", "for_check"]

#: The argument by which each kind of content block is given.
ARGUMENTS = {"image": "images=", "document": "documents="}

#: Bytes of all files that a request may hold when the server is only asked about it; larger files are left out there.
CHECKED_BYTES = 2_000_000

_URL = re.compile(r"https?://", re.IGNORECASE)

#: Stands for a file that cannot be read where rows are only looked up: no answer is found by it.
_UNREADABLE = Attachment({"type": "unreadable"})


class Reader:
    """Reads files, and remembers where each was found.

    Parameters
    ----------
    folders : Folders, optional
        Where the files lie that cells name. Default: below the working folder.
    lenient : bool
        Rows are only looked up, and nothing is sent: take a file that cannot be read for one that nobody has asked
        about, rather than raise; and read it wherever it lies.
    """

    def __init__(self, folders: Folders | None = None, *, lenient: bool = False) -> None:
        self.folders = folders or Folders()
        self._lenient = lenient
        self._paths: dict[tuple[str, int, int, str], Medium] = {}
        self._objects: dict[tuple[int, str], tuple[Any, Medium]] = {}
        self._sources: dict[str, tuple[Any, Medium]] = {}
        self._told = False

    def read(self, value: Any, kind: str, *, anywhere: bool = False) -> list[Attachment]:
        """Return what a cell holds: one image or document, a list of them, or nothing.

        Parameters
        ----------
        value : path, bytes, PIL image, list of these, or a missing value
            A text that begins with ``http://`` or ``https://`` is an address that the server fetches.
        kind : {"image", "document"}
            What it is given as.
        anywhere : bool
            Whether it is no cell, but the user's own word, which may name any file.

        Raises
        ------
        InputError
            There is no such file, a cell may not name it, or the API does not take it. The caller says of which row.
        """
        if is_nothing(value):
            return []
        try:
            held = [item for item in items_of(value) if not is_nothing(item)]
            return [self._attachment(item, kind, anywhere=anywhere) for item in held]
        except InputError:
            if self._lenient:
                return [_UNREADABLE]
            raise

    def _attachment(self, value: Any, kind: str, *, anywhere: bool) -> Attachment:
        if isinstance(value, str) and _URL.match(value):
            return Attachment(url_block(kind, value))
        medium = self._medium(value, kind, anywhere=anywhere)
        return Attachment(medium.block, medium)

    def _medium(self, value: Any, kind: str, *, anywhere: bool) -> Medium:
        known = self._objects.get((id(value), kind))
        if known is not None:
            return known[1]
        source, place = value, None
        if isinstance(value, str | os.PathLike):
            source = path = self._path(value, anywhere=anywhere)
            status = _status(path, value)
            place = (str(path), status.st_mtime_ns, status.st_size, kind)
            if place in self._paths:
                return self._paths[place]
        medium = inspect(_bytes_of(source), _name_of(value, kind), kind)
        if place is None:  # kept alive beside it, so that no other object comes to have this one's id
            self._objects[id(value), kind] = (value, medium)
        else:
            self._paths[place] = medium
        self._sources.setdefault(medium.sha256, (source, medium))
        return medium

    def _path(self, value: str | os.PathLike[str], *, anywhere: bool) -> Path:
        if anywhere:
            return _path(value)
        try:
            return self.folders.find(value)
        except InputError:
            # A share is not even looked at: on Windows that tells its server who is asking.
            if self._lenient and not re.match(r"[/\\]{2}", os.fsdecode(value)):
                return _path(value)
            raise

    def tell(self, say: Callable[[str], object]) -> None:
        """Have said, once, how many files of which types and folders leave this machine; nothing where there are none.

        To be called when all rows have been read, before the first of the files is sent anywhere.
        """
        if self._told or not self._sources:
            return
        self._told = True
        media = [medium for _, medium in self._sources.values()]
        types = Counter(medium.media_type for medium in media)
        places = Counter(_folder_of(source) for source, _ in self._sources.values())
        size = sum(medium.size for medium in media) / 1e6
        say(
            f"{len(media):,} {'file leaves' if len(media) == 1 else 'files leave'} this machine with these rows, or to "
            f"have their tokens counted: {_listed(types)} ({max(size, 0.1):,.1f} MB), from {_listed(places)}."
        )

    def bytes_of(self, sha256: str) -> bytes:
        """Return the bytes of a file that was read before.

        Raises
        ------
        InputError
            It has changed since, or is gone.
        """
        source, medium = self._sources[sha256]
        data = _bytes_of(source)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise InputError(f"{medium.name} has changed while the rows were read. Run the cell again. {NOT_SENT}")
        return data

    def medium(self, sha256: str) -> Medium | None:
        """Return what is known of a file, if it was read before."""
        known = self._sources.get(sha256)
        return None if known is None else known[1]


class Given(NamedTuple):
    """What ``images=`` and ``documents=`` come to.

    Parameters
    ----------
    documents, images : tuple of hashable
        The columns that hold each row's own.
    shared : tuple of Attachment
        What all rows have in common.
    reader : Reader or None
        Reads them; None where there are none.
    """

    documents: tuple[Hashable, ...] = ()
    images: tuple[Hashable, ...] = ()
    shared: tuple[Attachment, ...] = ()
    reader: Reader | None = None


def attachments_of(frame: pd.DataFrame, images: Any, documents: Any, files_from: Any = None) -> Given:
    """Read what ``images=`` and ``documents=`` were given: columns of the frame, or files that all rows share.

    Raises
    ------
    InputError
        A name is neither a column nor a file, a shared file cannot be sent, or ``files_from=`` is no folder.
    """
    try:
        reader = Reader(folders_of(files_from))
    except InputError as error:
        raise InputError(f"{error} {NOT_SENT}") from error
    if is_nothing(images) and is_nothing(documents):
        if files_from is not None:
            raise InputError(f"files_from= goes with images= or documents= only. {NOT_SENT}")
        return Given()
    columns: dict[str, tuple[Hashable, ...]] = {}
    shared: list[Attachment] = []
    for kind, given in (("document", documents), ("image", images)):
        if isinstance(given, pd.Series):
            name = "the name of a column" if given.name is None else repr(given.name)
            raise InputError(f"{ARGUMENTS[kind]} takes columns by their names: give {name}, not its values. {NOT_SENT}")
        items = given if isinstance(given, list | tuple) and not _is_column(frame, given) else [given]
        items = [item for item in items if not is_nothing(item)]
        columns[kind] = tuple(item for item in items if _is_column(frame, item))
        for column in columns[kind]:
            check_column(frame, column, ARGUMENTS[kind])
        for item in items:
            if not _is_column(frame, item):
                shared += _shared(reader, frame, item, kind)
    return Given(columns["document"], columns["image"], tuple(shared), reader)


def _shared(reader: Reader, frame: pd.DataFrame, item: Any, kind: str) -> list[Attachment]:
    if isinstance(item, str) and not _URL.match(item) and not _path(item).exists():
        # Neither a column nor a file: whoever wrote a bare word meant a column.
        if not _path(item).suffix and os.sep not in item:
            check_column(frame, item, ARGUMENTS[kind])
        raise InputError(f"{ARGUMENTS[kind]} {item!r} is neither a column of the frame nor a file. {NOT_SENT}")
    try:
        return reader.read(item, kind, anywhere=True)
    except InputError as error:
        raise InputError(f"{ARGUMENTS[kind]} {unsent(error)}") from error


def _is_column(frame: pd.DataFrame, item: Any) -> bool:
    """Tell whether this is a column's label. Files are given by text too, so columns go first."""
    return isinstance(item, Hashable) and bool(places_of(frame.columns, item))


# Bytes


def _path(value: str | os.PathLike[str]) -> Path:
    return Path(value).expanduser()


def _status(path: Path, value: Any) -> os.stat_result:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a null character in it
        missing = isinstance(error, FileNotFoundError)
        reason = "there is no such file" if missing else getattr(error, "strerror", None) or str(error)
        where = "" if Path(value).is_absolute() else f" (looked for in {working_folder()})"
        raise InputError(f"{quoted(value)}: {reason}{where}") from error
    if S_ISDIR(status.st_mode):
        raise InputError(f"{quoted(value)} is a folder, not a file")
    if not S_ISREG(status.st_mode):  # reading a pipe or a device may never end
        raise InputError(f"{quoted(value)} is not a regular file")
    if status.st_size > MOST_FILE_BYTES:  # before it is read
        raise InputError(f"{path.name} has {status.st_size / 1e6:,.0f} MB: the API takes 500 MB at most. Split it")
    return status


def _bytes_of(value: Any) -> bytes:
    """Return the bytes of a path, of bytes, or of a PIL image, which becomes a PNG."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str | os.PathLike):
        try:
            return _path(value).read_bytes()
        except OSError as error:
            raise InputError(f"{quoted(value)} cannot be read: {error.strerror}") from error
    if callable(getattr(value, "save", None)) and hasattr(value, "size"):
        file = io.BytesIO()
        try:
            value.save(file, format="PNG")
        except Exception as error:  # "cannot write mode CMYK as PNG"; SyntaxError where a broken PNG is read now
            raise InputError(f'this image cannot be written as PNG ({error}): image.convert("RGB") can') from error
        return file.getvalue()
    raise InputError(
        f"{type(value).__name__} is neither a path, an address (https://...), bytes nor a PIL image, nor a list of "
        "these"
    )


def _name_of(value: Any, kind: str) -> str:
    name = value if isinstance(value, str | os.PathLike) else getattr(value, "filename", None)  # as PIL images have
    if not isinstance(name, str | os.PathLike) or not str(name):
        return f"this {kind}"
    return _path(name).name.encode(errors="replace").decode()  # bytes of a name that are no text can go nowhere


def _folder_of(source: Any) -> str:
    """Return how people call the folder a file is from."""
    if not isinstance(source, Path):
        return "memory"
    try:
        folder, here = source.absolute().parent, Path.cwd()
    except FileNotFoundError:  # the working folder was removed
        return quoted(source.parent)
    if folder == here.resolve():
        return "the working folder"
    return quoted(folder.relative_to(here) if folder.is_relative_to(here) else folder)


def _listed(counts: Counter[str], most: int = 5) -> str:
    """Return counts as words, the largest first."""
    some = [f"{count:,} {name}" for name, count in counts.most_common(most)]
    more = len(counts) - most
    return ", ".join([*some, *([f"{more:,} more"] if more > 0 else [])])


# Asking about a request without sending it


def for_check(
    reader: MediaReader | None, params: Mapping[str, Any], most: int = CHECKED_BYTES
) -> tuple[dict[str, Any], list[Medium]]:
    """Return params as the free endpoints may be asked about them, and the files that are too large for that.

    Nothing is uploaded for a question that costs nothing: small files, of `most` bytes together, stand in the request
    itself, and the blocks of others are left out.
    """
    if reader is None:
        return dict(params), []
    left, left_out = most, []

    def source(sha256: str, media_type: str) -> Mapping[str, Any] | None:
        nonlocal left
        medium = reader.medium(sha256)
        if medium is None:
            return None
        if medium.size > left:
            left_out.append(medium)
            return None
        left -= medium.size
        return inline_source(reader.bytes_of(sha256), media_type)

    return with_sources(params, source), left_out


def count_tokens(
    api: Api, reader: MediaReader | None, params: Mapping[str, Any], betas: Sequence[str] = (), *,
    at_most: bool = False,
) -> int:  # fmt: skip
    """Count the input tokens of a request, for free. Blocks for 10 s at most.

    Files that are too large to be sent for that are estimated: rather too low; or too high, for what requests may cost
    `at_most`, where many requests are counted, and so only small files are sent.

    Raises
    ------
    ApiError
        The server refuses the request, or does not answer.
    """
    counted, left_out = for_check(reader, params, INLINE_LIMIT if at_most else CHECKED_BYTES)
    estimated = sum(map(most_tokens if at_most else least_tokens, left_out))
    if not all(message.get("content") for message in counted["messages"]):  # it held nothing else
        return estimated
    return estimated + api.count_tokens(counted, betas)
