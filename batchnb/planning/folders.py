"""Which files a cell may name: a table comes from anywhere, and what it names leaves this machine.

A path in a cell is data, as the rest of the table is: a stranger's CSV may say ``~/.ssh/id_rsa``. So such a path counts
only below the working folder, or below the folders that ``files_from=`` names, wherever symbolic links lead.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from batchnb.errors import InputError

__all__ = ["Folders", "folders_of", "quoted", "working_folder"]

#: Where a path is an address of its own, whatever this machine calls one: a share or an absolute path, a drive, a URL.
_ELSEWHERE = re.compile(r"[/\\]|[A-Za-z]:|file:", re.IGNORECASE)
_STEPS = re.compile(r"[/\\]")

#: What to do about a path that is not taken.
_ALLOW = "A cell may name files below the working folder; others only where files_from= names their folder"


class Folders:
    """The folders below which cells may name files.

    Parameters
    ----------
    named : iterable of path
        As ``files_from=`` gives them; none: the working folder alone.
    """

    def __init__(self, named: Iterable[str | os.PathLike[str]] = ()) -> None:
        self._named = tuple(Path(folder).expanduser().resolve() for folder in named)

    @functools.cached_property
    def _here(self) -> Path:
        try:
            return Path.cwd().resolve()
        except FileNotFoundError as error:
            raise InputError("The working folder was removed: files in it cannot be read. Go to another one") from error

    @functools.cached_property
    def _allowed(self) -> tuple[Path, ...]:
        if self._named:
            return self._named
        if self._here == self._here.parent:  # as in many containers
            raise InputError(
                f"The working folder is {str(self._here)!r}, below which lie all files of this machine. Name that "
                "of the files that cells may name, as in files_from='/data'"
            )
        return (self._here,)

    @property
    def named(self) -> tuple[str, ...]:
        """The folders that were named, whole."""
        return tuple(map(str, self._named))

    def find(self, value: str | os.PathLike[str]) -> Path:
        """Return where the file lies that a cell names, with every symbolic link followed.

        A relative path is looked for in each of the folders that were named, then in the working folder; what it leads
        to must lie below one of them, or, where none was named, below the working folder.

        Raises
        ------
        InputError
            A cell may not name this file. Whether there is one is not asked.
        """
        text = os.fspath(value)
        if not isinstance(text, str):
            raise InputError(f"{text[:200]!r} is a path in bytes: give it as text")
        allowed = self._allowed
        _check_written(text, allowed)
        found = None
        for folder in dict.fromkeys((*allowed, self._here)):
            path = _resolved(folder / text, text)
            within = next((one for one in allowed if path.is_relative_to(one)), None)
            if within is None:
                continue
            if any(step.startswith(".") for step in path.relative_to(within).parts):
                raise InputError(f"{quoted(text)} lies in a hidden folder, or is hidden itself. {_ALLOW}")
            if os.path.exists(path):  # noqa: PTH110  # Path.exists raises where a name is too long
                return path
            found = found or path
        if found is None:
            raise InputError(f"{quoted(text)} leads out of {_listed(allowed)}. {_ALLOW}")
        return found


def _check_written(text: str, allowed: tuple[Path, ...]) -> None:
    """Refuse a path by how it is written, before the disk is asked: another table must not tell what is on it."""
    if "\0" in text:
        raise InputError(f"{quoted(text)}: embedded null character")
    if text.startswith("~"):
        raise InputError(f"{quoted(text)} begins with '~', which stands for a home folder. {_ALLOW}")
    if ".." in _STEPS.split(text):
        raise InputError(f"{quoted(text)} has '..' in it. {_ALLOW}")
    if _ELSEWHERE.match(text) and not _is_below(text, allowed):
        hint = f", as in files_from={str(PurePath(text).parent)!r}" if PurePath(text).is_absolute() else ""
        raise InputError(f"{quoted(text)} is not a path within the working folder. {_ALLOW}{hint}")


def _is_below(text: str, allowed: tuple[Path, ...]) -> bool:
    """Tell whether an absolute path lies below a folder, as written or with links followed."""
    path = Path(text)
    return path.is_absolute() and any(
        one.is_relative_to(folder) for folder in allowed for one in (path, _resolved(path, text))
    )


def _resolved(path: Path, text: str) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # links that lead round in a circle
        raise InputError(f"{quoted(text)} cannot be followed: {error}") from error


def _listed(folders: tuple[Path, ...]) -> str:
    return " and ".join(repr(str(folder)) for folder in folders)


def quoted(value: object) -> str:
    """Return a path as messages quote it: with nothing in it that a terminal would obey, and not all of a long one."""
    return repr(str(value)[:200])


def working_folder() -> str:
    """Return the working folder, as messages say it, also where it was removed."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return "a working folder that was removed"


def folders_of(files_from: Any) -> Folders:
    """Return the folders that ``files_from=`` names: none, one, or a list.

    Raises
    ------
    InputError
        One of them is no folder.
    """
    if files_from is None:
        return Folders()
    given = [files_from] if isinstance(files_from, str | os.PathLike) else files_from
    if not isinstance(given, list | tuple) or not all(isinstance(one, str | os.PathLike) for one in given):
        raise InputError(f"files_from= takes a folder, or a list of folders, not {type(files_from).__name__}.")
    for one in given:
        try:
            there = Path(one).expanduser().is_dir()
        except (RuntimeError, ValueError):  # no such user; what is no path at all
            there = False
        if not there:
            raise InputError(f"files_from= {quoted(one)}: there is no such folder (looked for in {working_folder()}).")
    return Folders(given)
