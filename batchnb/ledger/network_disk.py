"""Whether a file is on a network disk, where SQLite's write-ahead log does not work: it needs shared memory.

Source: sqlite.org/wal.html, "WAL does not work over a network filesystem".
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

__all__ = ["filesystem_of", "on_network_disk"]

MOUNTS = Path("/proc/self/mountinfo")

#: Linux' names for disks that several machines may share.
NETWORK = frozenset({"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
                     "smb3", "smbfs", "sshfs", "vboxsf", "virtiofs"})  # fmt: skip

#: Windows' GetDriveTypeW for a drive that stands for a share (DRIVE_REMOTE, fileapi.h).
DRIVE_REMOTE = 4

#: macOS' mark of a disk of this machine (MNT_LOCAL, sys/mount.h), and where it stands in ``struct statfs``.
MNT_LOCAL, STATFS_FLAGS, STATFS_BYTES = 0x1000, 64, 4096


def on_network_disk(path: Path) -> bool:
    """Tell whether `path` is on a network disk, as far as the system says; where it does not, it counts as local."""
    given, path = str(path), path.resolve()
    if any(map(is_share, (given, str(path)))):  # a drive that stands for one may resolve to it
        return True
    try:
        if sys.platform == "win32":
            return is_mapped(path, ctypes.windll.kernel32.GetDriveTypeW)
        if sys.platform == "darwin":
            return is_mounted_from_elsewhere(path, _statfs())
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, AttributeError):  # another system
        return False
    return filesystem_of(path, mounts).removeprefix("fuse.") in NETWORK


def is_share(path: str) -> bool:
    """Tell whether this is the name of a share on Windows; what marks a long name, before a drive, is none."""
    if path.startswith(("\\\\?\\", "\\\\.\\")):
        return path[4:8].upper() == "UNC\\"
    return path.startswith("\\\\")


def is_mapped(path: PurePath, drive_type: Callable[[str], int]) -> bool:
    """Tell whether the drive of a path on Windows stands for a share, by its ``GetDriveTypeW``."""
    return bool(path.drive) and drive_type(f"{path.drive}\\") == DRIVE_REMOTE


def is_mounted_from_elsewhere(path: Path, statfs: Callable[[bytes, Any], int]) -> bool:
    """Tell whether a path on macOS is on a disk of another machine, by its ``statfs``: of what is there of the path."""
    there = next((one for one in (path, *path.parents) if one.exists()), path)
    found = ctypes.create_string_buffer(STATFS_BYTES)
    if statfs(os.fsencode(there), found) != 0:
        return False
    flags = struct.unpack_from("=I", found.raw, STATFS_FLAGS)[0]
    return not flags & MNT_LOCAL


def _statfs() -> Callable[[bytes, Any], int]:
    """Return macOS' own, whose struct counts files with 64 bits: on Intel that goes by a name of its own."""
    system = ctypes.CDLL(None)
    return getattr(system, "statfs$INODE64", None) or system.statfs


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
