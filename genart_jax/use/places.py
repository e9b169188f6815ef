"""Where new files go, so that none is written over another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

from genart_jax.config import UserError
from genart_jax.runtime.paths import expanded


def place(base: Path, make: Callable[[str], Mapping[str, bytes]]) -> list[Path]:
    """Writes files that belong together: `base` with each suffix, or with a number behind its name for them all.

    The number is the first at which nothing else lies. Returns the paths.

    Args:
      base: their place without a suffix.
      make: the name that they share -> their contents by suffix.

    Raises:
      UserError: they cannot be written.
    """
    for i in itertools.count(1):
        name = f"{base.name}-{i}" if i > 1 else base.name
        files = {base.with_name(name + suffix): content for suffix, content in make(name).items()}
        if not any(_other(path, content) for path, content in files.items()):
            break
    return write(files)


def write(files: Mapping[Path, bytes]) -> list[Path]:
    """Writes files at places that someone named; one with this very content may be there.

    Raises:
      UserError: something else is there, or they cannot be written.
    """
    files = {expanded(path): content for path, content in files.items()}
    for path, content in files.items():
        if _other(path, content):
            raise UserError(f"{path} is there already; name another")
    for path, content in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    return list(files)


def _other(path: Path, content: bytes) -> bool:
    return path.exists() and not (path.is_file() and path.read_bytes() == content)
