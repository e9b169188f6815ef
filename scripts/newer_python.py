"""Prints the newest Python on this machine that is newer than the one that runs this, or nothing.

Looks for commands and in the folders of version managers. What does not run (a manager's shim for a version that is
not switched on, say) is none, nor is one that cannot make virtual environments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

VERSIONS = ("3.14", "3.13", "3.12")
WORKS = "import ensurepip, ssl, venv, sys; print('%d.%d' % sys.version_info[:2])"


def candidates(version: str) -> Iterator[str]:
    """Programs that may be this version."""
    if command := shutil.which(f"python{version}"):
        yield command
    home = Path.home()
    for pattern in (
        f"{os.environ.get('PYENV_ROOT', home / '.pyenv')}/versions/{version}.*/bin/python",
        f"{os.environ.get('ASDF_DATA_DIR', home / '.asdf')}/installs/python/{version}.*/bin/python",
        f"{home}/.local/share/mise/installs/python/{version}.*/bin/python",
        f"{home}/.local/share/uv/python/cpython-{version}.*/bin/python{version}",
    ):
        yield from sorted(map(str, Path("/").glob(pattern.lstrip("/"))))


def find(versions: tuple[str, ...] = VERSIONS, than: tuple[int, ...] = sys.version_info[:2]) -> str:
    """The first that works and is newer than `than`; "" where there is none."""
    for version in versions:
        if tuple(map(int, version.split("."))) <= than:
            break
        for program in candidates(version):
            try:
                done = subprocess.run([program, "-c", WORKS], capture_output=True, text=True, timeout=60)
            except (OSError, subprocess.TimeoutExpired):
                continue
            if done.returncode == 0 and done.stdout.strip() == version:
                return program
    return ""


if __name__ == "__main__":
    print(find())
