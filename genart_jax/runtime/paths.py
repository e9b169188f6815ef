"""Paths as a user writes them: `~` is the home folder, and lists of files have one separator."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from genart_jax.config import UserError


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with ~ or ~USER at its start as the home folder. No shell does that behind a sign, as in --run=~/x.

    Raises:
      UserError: there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: {error}; write the whole path") from None


def split_list(text: str) -> list[str]:
    r"""The paths of FILE:FILE..., with `os.pathsep` in between; one in a name itself has a backslash before it."""
    parts = re.split(rf"(?<!\\){re.escape(os.pathsep)}", text)
    return [part.replace(f"\\{os.pathsep}", os.pathsep) for part in parts]


def join_list(paths: Sequence[str | Path]) -> str:
    """What `split_list` takes apart."""
    return os.pathsep.join(str(path).replace(os.pathsep, f"\\{os.pathsep}") for path in paths)
