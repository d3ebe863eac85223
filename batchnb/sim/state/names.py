"""The names of states: which there may be, and the one that a notebook or a script gets by itself.

Sources: learn.microsoft.com (names that Windows reserves); jupyter_server (``JPY_SESSION_NAME``, the path of a kernel's
notebook, which a restart keeps); VS Code's Jupyter extension (``__vsc_ipynb_file__``, likewise).
"""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
import unicodedata
from pathlib import Path

__all__ = ["default_name", "folder_name"]

_LONGEST, _LONGEST_BYTES = 64, 200  # a file system takes 255 bytes, some with a suffix of their own
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³")}
)


def folder_name(name: str) -> str:
    """Return the name of the folder of a named state: the same for names that differ in case alone.

    Raises
    ------
    ValueError
        For a name that some file system does not take.
    """
    if not isinstance(name, str):
        raise ValueError(f"the name of a state is a text, not {type(name).__name__}")  # noqa: TRY004 - as for other names
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    if not 0 < len(plain) <= _LONGEST or len(plain.encode("utf-8", "replace")) > _LONGEST_BYTES:
        raise ValueError(f"the name of a state has 1 to {_LONGEST} characters, not {len(plain)}")
    odd = [letter for letter in plain if not (letter.isalnum() or letter in "-_." or unicodedata.combining(letter))]
    if odd or plain[0] == "." or plain[-1] == ".":
        raise ValueError(
            f"the name of a state has letters, digits, '-', '_' and '.', with no '.' at its ends, as in 'lesson-2';"
            f" not {name!r}"
        )
    if plain.partition(".")[0] in _RESERVED:
        raise ValueError(f"Windows keeps the name {name!r} for itself; choose another, as in '{plain}-state'")
    return plain


def default_name() -> str | None:
    """Return a name for what runs: its notebook's or its script's, with a digest of where that is; None where unknown.

    The same after every restart, whatever else runs. A notebook or script that is moved has another name.
    """
    path = _notebook() or _script()
    if path is None:
        return None
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    stem = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in Path(path).stem.lower())
    return f"{stem[:40].strip('-') or 'state'}-{digest}"


def _notebook() -> str | None:
    path = getattr(sys.modules.get("__main__"), "__vsc_ipynb_file__", None)
    # A script that a kernel started has the kernel's variables too, and is no notebook.
    if path is None and (_in_ipython() or "JPY_PARENT_PID" not in os.environ):
        path = os.environ.get("JPY_SESSION_NAME")
    return path if isinstance(path, str) and path else None


def _script() -> str | None:
    """Return the path of the script that runs, unless it is a tool that runs others (a kernel, a runner of tests)."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(path, str) or _in_ipython():
        return None
    script = Path(path).resolve()
    tools = {Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "purelib", "platlib", "scripts")}
    if not script.is_file() or any(script.is_relative_to(folder) for folder in tools):
        return None
    return str(script)


def _in_ipython() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return shell is not None and shell() is not None
