"""Whether a file is on a network disk, where SQLite's write-ahead log does not work: it needs shared memory.

Source: sqlite.org/wal.html, "WAL does not work over a network filesystem".
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["filesystem_of", "on_network_disk"]

MOUNTS = Path("/proc/self/mountinfo")

#: Linux' names for disks that several machines may share.
NETWORK = frozenset({"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
                     "smb3", "smbfs", "sshfs", "vboxsf", "virtiofs"})  # fmt: skip


def on_network_disk(path: Path) -> bool:
    """Tell whether `path` is on a network disk, as far as the system says; where it does not, it counts as local."""
    if str(path).startswith("\\\\"):  # a share, as Windows names it
        return True
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # no Linux
        return False
    return filesystem_of(path.resolve(), mounts).removeprefix("fuse.") in NETWORK


def filesystem_of(path: Path, mounts: str) -> str:
    """Find the type of the file system that holds `path` in the text of ``/proc/self/mountinfo`` (proc(5))."""
    found, longest = "", -1
    for line in mounts.splitlines():
        place, _, kind = line.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), place.split(" ")[4]))
        # Of several on one point, the last hides the others.
        if path.is_relative_to(point) and len(point.parts) >= longest:
            found, longest = kind.split(" ")[0], len(point.parts)
    return found
