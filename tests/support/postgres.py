"""A PostgreSQL of the tests' own, on a unix socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

USER = "batchnb"


def find_binaries() -> Path | None:
    """Return the folder of Debian's newest initdb and postgres, or of those on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).parent if named else None


def account() -> dict[str, Any]:
    """Say for whom to start the server: it refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    known = pwd.getpwnam("postgres")
    return {"user": known.pw_uid, "group": known.pw_gid, "extra_groups": []}


@contextmanager
def serve_postgres(binaries: Path) -> Iterator[str]:
    """Run a server with an empty cluster, and give the folder of its socket."""
    # Not pytest's own temporary folder: that one is closed to other users, and its path too long for a socket's.
    with tempfile.TemporaryDirectory(prefix="batchnb-pg-") as root:
        who = account()
        if who:
            os.chown(root, who["user"], who["group"])
        options = {**who, "cwd": root, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}}
        log = Path(root) / "log"
        with log.open("wb") as output:
            subprocess.run(
                [binaries / "initdb", "-D", f"{root}/data", "-A", "trust", "-U", USER, "-E", "UTF8", "--no-sync"],
                check=True, stdout=output, stderr=subprocess.STDOUT, **options,
            )  # fmt: skip
            server = subprocess.Popen(
                [binaries / "postgres", "-D", f"{root}/data", "-k", root, "-c", "listen_addresses=", "-c", "fsync=off"],
                stdout=output, stderr=subprocess.STDOUT, **options,
            )  # fmt: skip
        try:
            _await_server(root, server, log)
            yield root
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            server.wait(30)


def _await_server(folder: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if server.poll() is not None:
            break
        try:
            connect(folder).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"PostgreSQL did not start:\n{log.read_text()}")


def connect(folder: str) -> psycopg.Connection[Any]:
    return psycopg.connect(host=folder, user=USER, dbname="postgres", autocommit=True)


def emptied(folder: str) -> str:
    """Empty the database, and give its URL: quicker than a new one, which has a thousand files."""
    with connect(folder) as server:
        found = server.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'")
        for (schema,) in found.fetchall():
            server.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        server.execute("CREATE SCHEMA public")
    return f"postgresql+psycopg://{USER}@/postgres?host={folder}"
