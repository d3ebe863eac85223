"""What the environment says: where the ledgers are kept, and seconds.

The folder of the ledgers is a whole path from the start, wherever the process goes afterwards.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import Any

from batchnb.errors import InputError

__all__ = ["home_folder", "seconds", "setting", "whole_path"]

#: The longest that a setting of seconds may be: a week.
MOST_SECONDS = 604_800.0

VARIABLE = "BATCHNB_HOME"

#: Where folders lie that were named by relative paths, since this process first saw these.
_seen: dict[str, Path] = {}


def home_folder() -> Path:
    """Return the folder that holds the ledgers: ``BATCHNB_HOME``, or the platform's user data folder.

    A relative path leads from where the process was when batchnb was imported, or when the variable was set since:
    after ``%cd`` it is the same folder still. Touches nothing.

    Raises
    ------
    InputError
        The variable names no path.
    """
    named = os.environ.get(VARIABLE, "").strip()
    if not named:
        import platformdirs

        return _seen_first(platformdirs.user_data_dir("batchnb", appauthor=False))
    return _seen_first(named)


def _seen_first(named: str) -> Path:
    if named not in _seen:
        _seen[named] = whole_path(named, VARIABLE)
    return _seen[named]


def whole_path(named: str | os.PathLike[str], what: str) -> Path:
    """Return the absolute path of a folder, with ``~`` expanded, and without space around what was named by a text.

    Parameters
    ----------
    named : str or path
        The folder; it need not exist.
    what : str
        What names it, for messages.

    Raises
    ------
    InputError
        It is no path, or a relative one where there is no working folder.
    """
    text = os.fspath(named) if isinstance(named, str | os.PathLike) else None
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InputError(f"{what} is the path of a folder, not {named!r}.")
    try:
        return Path(text.strip() if isinstance(named, str) else text).expanduser().absolute()
    except RuntimeError as error:  # the home folder of nobody
        raise InputError(f"{what}={text!r} cannot be expanded: {error}.") from error
    except OSError as error:
        raise InputError(
            f"{what}={text!r} leads from the working folder, which was removed. Go to another one (os.chdir), or give "
            "an absolute path."
        ) from error


def setting(variable: str) -> str | None:
    """Return what a variable of the environment holds, or None where that is nothing.

    Read here: a traceback may show the values of what stands in a line, and the environment holds keys.
    """
    return os.environ.get(variable) or None


def seconds(name: str, given: float | None, variable: str, default: float, *, least: float = 0.0) -> float:
    """Return a number of seconds as given, else as a variable of the environment has it, else the default."""
    value: Any = given
    if given is None:
        # An empty variable is none, as for the SDK.
        name, value = variable, os.environ.get(variable, "").strip() or default
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not least <= found <= MOST_SECONDS:
        value = value if len(str(value)) <= 20 else f"{str(value)[:4]}..."  # it may be a key, which belongs elsewhere
        raise InputError(
            f"{name} is a number of seconds, not {value!r}: at least {least:g}, at most {MOST_SECONDS:.0f}."
        )
    return found


if os.environ.get(VARIABLE):  # before the process goes elsewhere
    with contextlib.suppress(InputError):  # said when it is used
        home_folder()
