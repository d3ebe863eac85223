"""A ledger that was copied, or restored from a backup, while work was open: it must not send what its other half sends.

A file is told from its copy by its number on the disk (inode), which a rename keeps and a copy does not have. Linux
gives the number of a deleted file to the next one, such as a backup of it that is put in its place; the generation of
its folder tells those apart, where the file system keeps one (ext4, xfs, btrfs). A backup written into the file itself
is told by what it has forgotten: see `batchnb.ledger.earlier`. What puts a file anew into its place, such as a program
that keeps folders alike on several computers, makes a copy of it too; only somebody who knows can tell that there is no
other one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from batchnb.ledger.batches import Batches
from batchnb.ledger.claims import ranges
from batchnb.ledger.fragments import UNSENT
from batchnb.ledger.store import Store

__all__ = ["COPIED", "hold_back_copied"]

#: Why rows of a copied ledger wait.
COPIED = (
    "This ledger is a copy, or was restored from a backup: where the other one goes on, these rows may be sent there "
    'too. batchnb.recover() takes back what has been answered; then job.resolve("send") sends the rest from here, and '
    'job.resolve("drop") gives it up. (A program that keeps folders alike on several computers makes copies too: where '
    "no other kernel uses the ledger, recover and send.)"
)


def hold_back_copied(store: Store, batches: Batches) -> int:
    """If the file is a copy, have all that its other half may send too wait for a decision; count those requests.

    What waits to be sent is put into a lost batch, what is being sent is lost, and open jobs retry nothing by
    themselves.
    """
    here = _file_id(store.path)
    with store.transaction(durable=True, counts=False) as db:
        known = db.execute("SELECT value FROM meta WHERE name = 'file'").fetchone()
        if not store.is_behind and (known is None or not _differ(known[0], here)):
            db.execute("INSERT OR IGNORE INTO meta VALUES ('file', ?)", (here,))
            return 0
        db.execute("INSERT OR REPLACE INTO meta VALUES ('file', ?)", (here,))
        for job, created_at in db.execute("SELECT number, created_at FROM jobs WHERE state = 'open'").fetchall():
            waiting = [request for (request,) in db.execute(f"SELECT DISTINCT r.id {UNSENT} ORDER BY 1", {"job": job})]
            if waiting:
                put = db.execute(
                    "INSERT INTO batches (state, owner, requests, bytes, intended_at)"
                    " VALUES ('submitting', '', ?, 0, ?)",
                    (len(waiting), created_at),
                )
                batches.hold(int(put.lastrowid or 0), list(ranges(waiting)))
        held = db.execute("SELECT id, requests FROM batches WHERE state IN ('submitting', 'uncertain')").fetchall()
        for batch, _ in held:
            batches.lose(batch, COPIED, final=True)
        # Whatever sending waited for there is not why these rows wait.
        db.execute("UPDATE jobs SET retries = 0, note = NULL WHERE state = 'open'")
        return sum(requests for _, requests in held)


#: Linux's request for the generation of an inode: a number that differs whenever the inode is used anew.
FS_IOC_GETVERSION = 0x80087601


def _file_id(path: Path) -> str:
    """Return a file's inode and, where it is to be had, the generation of its folder's.

    Not of its own: the file would have to be opened, and closing it drops SQLite's locks on it.
    """
    return f"{path.stat().st_ino} {_generation(path.parent)}"


def _generation(folder: Path) -> str:
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return ""
    import fcntl

    answer = bytearray(8)
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(opened, FS_IOC_GETVERSION, answer)
    except OSError:  # this file system keeps none
        return ""
    finally:
        os.close(opened)
    return answer[:4].hex()


def _differ(known: str, here: str) -> bool:
    """Tell whether two files differ; a generation counts only where both are known, and so does a number.

    Some disks have no numbers, which Python gives as 0; of long ones on Windows, Python 3.11 gives the last 64 bits.
    """
    (number, _, generation), (number_here, _, generation_here) = known.partition(" "), here.partition(" ")
    low, low_here = (int(one) % 2**64 for one in (number, number_here))
    if 0 in (low, low_here):
        return False
    return low != low_here or (bool(generation and generation_here) and generation != generation_here)
