"""Decoded sets of pictures in the user's cache directory, so that the next start need not decode them again.

A set is found again by the SHA-256 of every file's bytes, the shape that its pictures were brought to, Pillow's version
and the code that reads pictures: whatever may change a pixel makes another name.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
import time
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL

from genart_jax.runtime.cache import cache_directory, private
from genart_jax.runtime.values import Array, Json

LIMIT = 4 * 2**30
"""Bytes of all sets together; the one that has not been used for longest goes first."""
_STALE = 24 * 3600  # seconds after which an unfinished file is one that nobody writes any more


class Decoded(NamedTuple):
    """`images` uint8 (files, height, width, channels), and for each file what JSON holds of it."""

    images: Array
    records: list[Json]


def may_hold(count: int, shape: Sequence[int]) -> bool:
    """Whether there is a set of so many files and this shape at all: if not, nobody need hash files beforehand."""
    try:
        return any(_folder().glob(f"{_prefix(count, shape)}-*.npz"))
    except OSError:  # another user's
        return False


def load(digests: Sequence[bytes], shape: Sequence[int]) -> Decoded | None:
    """The set whose files have these SHA-256 digests; None where there is none, or it is damaged."""
    path = _path(digests, shape)
    try:
        with np.load(path, allow_pickle=False) as arrays:  # each array's CRC-32 is checked as it is read
            images, records = arrays["images"], json.loads(arrays["records"].tobytes())
        os.utime(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    wanted = (len(digests), *shape)
    fits = images.dtype == np.uint8 and images.shape == wanted and isinstance(records, list)
    return Decoded(images, records) if fits and len(records) == len(digests) else None


def save(digests: Sequence[bytes], decoded: Decoded) -> None:
    """Keeps a set, whole or not at all, and removes old ones; one larger than `LIMIT` is not kept."""
    images, records = decoded
    if images.nbytes > LIMIT:
        return
    with contextlib.suppress(OSError):  # a cache that cannot be written, or not trusted, is none
        private(cache_directory())
        folder = private(_folder())
        _make_room(folder, images.nbytes)
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".partial")
        try:
            with os.fdopen(handle, "wb") as file:
                text = np.frombuffer(json.dumps(records).encode(), np.uint8)
                np.savez(file, allow_pickle=False, images=images, records=text)
            Path(temporary).replace(_path(digests, images.shape[1:]))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _make_room(folder: Path, wanted: int) -> None:
    """Removes the sets that were used longest ago until there is room, and what was left unfinished."""
    now, sets = time.time(), []
    for path in folder.iterdir():
        found = path.stat()
        if path.suffix == ".partial" and now - found.st_mtime > _STALE:
            path.unlink(missing_ok=True)
        elif path.suffix == ".npz":
            sets.append((found.st_mtime, found.st_size, path))
    total = wanted + sum(size for _, size, _ in sets)
    for _, size, path in sorted(sets):
        if total <= LIMIT:
            break
        path.unlink(missing_ok=True)
        total -= size


def _folder() -> Path:
    return cache_directory() / "pictures"


def _prefix(count: int, shape: Sequence[int]) -> str:
    return "x".join(map(str, (count, *shape)))


def _path(digests: Sequence[bytes], shape: Sequence[int]) -> Path:
    sha = hashlib.sha256(f"{PIL.__version__} {_code()}".encode())
    for digest in digests:
        sha.update(bytes([len(digest)]) + digest)
    return _folder() / f"{_prefix(len(digests), shape)}-{sha.hexdigest()[:32]}.npz"


@functools.cache
def _code() -> str:
    """SHA-256 of the modules that decide about pixels."""
    here = Path(__file__).parent
    sha = hashlib.sha256()
    for path in (here / "picture.py", *sorted((here / "reader").glob("*.py"))):
        sha.update(path.read_bytes())
    return sha.hexdigest()
