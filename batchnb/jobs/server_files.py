"""The files on the server, and what this ledger knows of them: what ``batchnb.files()`` gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from batchnb.errors import InputError, JobStateError, NotFoundError
from batchnb.planning.session import Session
from batchnb.system.handles import Handle

if TYPE_CHECKING:
    from batchnb.api.shapes import FileInfo

__all__ = ["FileTable"]

#: Its columns; the numbers of requests are NA for a file that this ledger does not know.
COLUMNS = ["id", "name", "type", "bytes", "created", "expires", "known", "requests", "needed", "simulated"]


EMPTY = "There are no files on the server in the workspace of this key."


class FileTable(Handle):
    """The files that the server keeps for the workspace of this key, newest first, whoever uploaded them.

    What is shown is what the server said when it was last asked: making one asks it, and so does deleting.

    Parameters
    ----------
    session : Session
        Whose files.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._infos: list[FileInfo] = []
        self._ask()

    def _ask(self) -> None:
        self._infos = list(self._session.api.list_files())

    def _instead(self) -> str:
        return "Pass the frame that to_frame() gives."

    def __len__(self) -> int:
        return len(self._infos)

    def __repr__(self) -> str:
        return repr(self.to_frame()) if self._infos else EMPTY

    def _repr_html_(self) -> str | None:
        return self.to_frame()._repr_html_() if self._infos else None  # type: ignore[operator]  # pandas escapes it

    def to_frame(self) -> pd.DataFrame:
        """Return them as a plain frame: id, name, type, bytes, created, expires, known, requests, needed, simulated.

        ``known`` tells whether this ledger uploaded the file; ``requests`` how many of its requests name it, and
        ``needed`` how many of those are not answered yet. Times are UTC. Touches no network.
        """
        ours = {file.server_id: file for file in self._session.ledger.files.on_server()}
        rows = []
        for info in self._infos:
            file = ours.get(info.id)
            uses = (pd.NA, pd.NA) if file is None else (file.requests, file.needed)
            rows.append(
                [info.id, info.filename, info.mime_type, info.size_bytes, info.created_at, info.expires_at,
                 file is not None, *uses, self._session.provenance.simulated]
            )  # fmt: skip
        frame = pd.DataFrame(rows, columns=COLUMNS)
        for name in ("created", "expires"):
            frame[name] = pd.to_datetime(frame[name], utc=True)
        return frame.astype({"requests": "Int64", "needed": "Int64", "bytes": "int64", "known": bool})

    def delete(self, ids: str | Iterable[str], *, force: bool = False) -> int:
        """Delete files from the server, and forget them here. Touches the network; blocks.

        Answers are kept. A later job that needs such a file uploads it again.

        Parameters
        ----------
        ids : str or iterable of str
            Which, by their ids; or ``"unused"``: those that this ledger uploaded and no request of it waits for.
        force : bool
            Also those that requests wait for, which then fail.

        Returns
        -------
        int
            How many were deleted.

        Raises
        ------
        JobStateError
            Requests that are not answered yet need one of them. Nothing was deleted.
        InputError
            `ids` is neither.
        """
        ours = {file.server_id: file for file in self._session.ledger.files.on_server()}
        if isinstance(ids, str) and ids == "unused":
            there = {info.id for info in self._infos}
            chosen = [name for name, file in ours.items() if not file.needed and name in there]
        else:
            chosen = [ids] if isinstance(ids, str) else list(ids)
        if not all(isinstance(one, str) and one for one in chosen):
            raise InputError('delete() takes ids of files, as the table lists them, or "unused". Nothing was deleted.')
        for one in chosen:
            if not force and one in ours and ours[one].needed:
                raise JobStateError(
                    f"The file {ours[one].name!r} ({one}) is needed by {ours[one].needed:,} requests that are not "
                    "answered yet. Nothing was deleted. Wait for their job's end, or cancel it; force=True deletes the "
                    "file all the same, and they fail."
                )
        return self._delete(chosen)

    def _delete(self, ids: list[str]) -> int:
        deleted = 0
        try:
            for one in ids:
                try:
                    self._session.api.delete_file(one)
                    deleted += 1
                except NotFoundError:  # somebody else was first
                    pass
                self._session.ledger.files.forget([one])
        finally:
            self._ask()
        return deleted
