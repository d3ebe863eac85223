"""Searching everything that was written, printed or raised for credentials of a known shape.

`Leaks` knows secrets, and how a server may write them: as they are, in capitals, in pieces, encoded. A piece of
`PIECE` characters counts as found. Files are searched as bytes, so also what lies within a SQLite database or a spool;
exceptions with their causes and contexts, and with the locals of every frame, of ours and of others; modules of ours
with what their globals hold.
"""

from __future__ import annotations

import base64
import html
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any
from urllib.parse import quote

#: Characters of a secret that count as found.
PIECE = 10

#: What all keys of the suite's clients hold (see `sweep`). It is such that no piece of it stands anywhere by chance.
CORE = "Qv7RzKx2WmTb9LpYdJf4HsGn8CcEa3Xu"

#: A key of the known shape.
KEY = f"sk-ant-api03-{CORE}-Zq5VtBwMkRj6DyPhFoNiSl1AgUe-wXQzAA"


class Leaks:
    """Secrets, and the search for them.

    Parameters
    ----------
    secrets : str
        Those to search for, each of 10 characters or more.
    """

    def __init__(self, *secrets: str) -> None:
        self._pieces = {piece for secret in secrets for form in _forms(secret) for piece in _pieces(form)}

    def __repr__(self) -> str:
        return "<Leaks>"

    def in_text(self, text: str) -> list[str]:
        """Return the pieces of secrets that a text holds."""
        low = text.lower()
        return sorted({low[at : at + PIECE] for at in range(len(low) - PIECE + 1)} & self._pieces)

    def in_files(self, *folders: Path) -> Iterator[str]:
        """Search files, and all files within folders; their names, too."""
        for folder in folders:
            for path in [folder, *folder.rglob("*")] if folder.is_dir() else [folder]:
                text = str(path) + ("" if path.is_dir() else "\n" + path.read_bytes().decode("latin-1"))
                yield from (f"{path}: {piece}" for piece in self.in_text(text))

    def in_exception(self, error: BaseException | None) -> Iterator[str]:
        """Search an exception, what it was raised from or beside, and all that their frames hold."""
        waiting, seen = [error], set()
        while waiting:
            one = waiting.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            waiting += [one.__cause__, one.__context__]
            waiting += list(getattr(one, "exceptions", ()))
            said = [str(one), repr(one), repr(one.args), *map(str, getattr(one, "__notes__", ()))]
            said += [f"{name}={_shown(value)}" for name, value in vars(one).items()]
            said += traceback.format_exception(one)
            yield from (f"{type(one).__name__}: {piece}" for text in said for piece in self.in_text(text))
            for frame in frames(one.__traceback__):
                yield from self.in_frame(frame)

    def in_frame(self, frame: FrameType) -> Iterator[str]:
        """Search the locals of a frame, and what its objects hold; those of tests are not looked at."""
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0].startswith(("test", "conftest", "_pytest", "pluggy", "leaks")):
            return
        for key, value in list(frame.f_locals.items()):
            for piece in self.in_text(f"{key}={_shown(value)}"):
                yield f"{name}.{frame.f_code.co_name}: {key}: {piece}"

    def in_modules(self) -> Iterator[str]:
        """Search the globals of batchnb's modules: dicts with their keys and values."""
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == "batchnb":
                for key, value in list(vars(module).items()):
                    if key != "__builtins__":
                        yield from (f"{name}.{key}: {piece}" for piece in self.in_text(_shown(value)))


def assert_nothing_leaked(
    leaks: Leaks, *, paths: Iterable[Path] = (), texts: Iterable[str] = (), exceptions: Iterable[BaseException] = ()
) -> None:
    """Assert that nothing of what was written, printed or raised, and no module of ours, holds a secret."""
    found = [*leaks.in_files(*paths), *leaks.in_modules()]
    found += [f"{text[:80]!r}: {piece}" for text in texts for piece in leaks.in_text(text)]
    for error in exceptions:
        found += leaks.in_exception(error)
    assert not found, "\n".join(found[:40])


def echoes(secret: str) -> dict[str, str]:
    """Return the ways in which a server may write a secret, by their names."""
    half = len(secret) // 2
    return {
        "as it is": secret, "bearer": f"Bearer {secret}", "upper": secret.upper(), "lower": secret.lower(),
        "base64": base64.b64encode(secret.encode()).decode(),
        "base64 of a header": base64.b64encode(f"Bearer {secret}".encode()).decode(),
        "base64 of a longer header": base64.b64encode(f"xBearer {secret}".encode()).decode(),
        "quoted": "".join(f"%{byte:02X}" for byte in secret.encode()), "hex": secret.encode().hex(),
        "first half": secret[:half], "second half": secret[half:], "backwards": secret[::-1],
        "in quotes": f"'{secret}'", "in a URL": f"https://user:{secret}@example.com/?key={secret}",
        "html": html.escape(f"<b title='{secret}'>"), "entities": "".join(f"&#{ord(sign)};" for sign in secret),
    }  # fmt: skip


def core_pieces() -> list[bytes]:
    """Return the beginning and the end of `CORE` in each form in which it may be written, in small letters."""
    ends = {form[part] for form in _forms(CORE) for part in (slice(12), slice(-12, None))}
    return sorted(end.lower().encode() for end in ends)


def _forms(secret: str) -> Iterator[str]:
    yield from (secret, secret[::-1], quote(secret, safe=""), secret.encode().hex(), html.escape(secret))
    yield "".join(f"%{byte:02x}" for byte in secret.encode())
    for before in ("", "x", "xx"):
        coded = base64.b64encode((before + secret + "xxx").encode()).decode()[4 if before else 0 : -4]
        yield from (coded, coded.replace("+", "-").replace("/", "_"))


def _pieces(form: str) -> set[str]:
    low = form.lower()
    return {low[at : at + PIECE] for at in range(max(1, len(low) - PIECE + 1))}


def frames(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _shown(value: Any, depth: int = 3) -> str:
    """Return what a debugger shows of a value: its repr, those of its parts, and of its attributes."""
    try:
        text = repr(value)
    except BaseException as error:  # noqa: BLE001  # a repr that fails is shown by no debugger
        return type(error).__name__
    if depth and isinstance(value, dict):
        text += "".join(_shown(key, depth - 1) + _shown(part, depth - 1) for key, part in list(value.items()))
    elif depth and isinstance(value, list | tuple | set | frozenset):
        text += "".join(_shown(part, depth - 1) for part in list(value)[:1000])
    return text
