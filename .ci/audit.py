"""Compare the versions that batchnb allows and pins with known faults; then ask the advisory service, if it answers.

``python .ci/audit.py``: exit status 1 where a version with a known fault is allowed or pinned. The list beside this
file (``faults.txt``) works offline; ``pip-audit`` knows more, and is asked where it is installed and its service
answers.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "binder" / "constraints.txt"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def faults() -> dict[str, tuple[Version, str]]:
    lines = (Path(__file__).parent / "faults.txt").read_text(encoding="utf-8").splitlines()
    parts = (line.split(maxsplit=2) for line in lines if line and not line.startswith("#"))
    return {normal(name): (Version(version), what) for name, version, what in parts}


def allowed() -> Iterator[tuple[str, str, Version]]:
    """Yield where a version is named, the package, and the version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in (*project["dependencies"], *chain(*project["optional-dependencies"].values())):
        read = Requirement(requirement)
        for bound in read.specifier:
            if bound.operator in (">=", "=="):
                yield "pyproject.toml", read.name, Version(bound.version)
    for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            yield CONSTRAINTS.name, name, Version(version)


def main() -> int:
    known, found = faults(), []
    for where, name, version in allowed():
        fixed, what = known.get(normal(name), (version, ""))
        if version < fixed:
            found.append(f"{where}: {name} {version} has a known fault ({what}); {fixed} has not")
    print("\n".join(found) or f"no version with one of {len(known)} known faults is allowed or pinned")
    told = advisories()
    print(told or "pip-audit was not asked: it is not installed, or its service does not know these packages from here")
    return 1 if found or told.startswith("Found") else 0


def advisories() -> str:
    """Return what pip-audit says of the pinned versions; nothing where it could look none of them up."""
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--timeout", "15", "-f", "json", "-r"]
    asked = subprocess.run([*command, CONSTRAINTS], capture_output=True, text=True, timeout=300, check=False)
    try:
        looked_up = [one for one in json.loads(asked.stdout)["dependencies"] if "skip_reason" not in one]
    except ValueError:  # it is not installed, or could not ask
        return ""
    if not looked_up:
        return ""
    hits = [f"  {one['name']} {one['version']}: {fault['id']}" for one in looked_up for fault in one["vulns"]]
    if hits:
        return "\n".join(["Found by pip-audit:", *hits])
    return f"pip-audit knows no fault of the {len(looked_up)} packages that it could look up"


if __name__ == "__main__":
    sys.exit(main())
