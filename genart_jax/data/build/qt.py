"""Qt's binary resource files (.rcc): a tree of files, each plain or deflated."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from genart_jax.config import UserError

_COMPRESSED, _FOLDER, _ZSTD = 1, 2, 4


def unpack(data: bytes, name: str) -> dict[str, bytes]:
    """Path -> content of every file in a resource file; `name` is for the error.

    Raises:
      UserError: it is no such file, or damaged.
    """
    try:
        if data[:4] != b"qres":
            raise ValueError("it does not begin with qres")
        version, tree, bodies, names = struct.unpack_from(">IIII", data, 4)
        return dict(_walk(data, (tree, bodies, names, 22 if version >= 2 else 14), 0, "", 0))
    except (struct.error, zlib.error, ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{name} is damaged, or no resource file of Qt: {error}") from None


def _walk(
    data: bytes, places: tuple[int, int, int, int], index: int, above: str, depth: int
) -> Iterator[tuple[str, bytes]]:
    tree, bodies, names, size = places
    if depth > 32:
        raise ValueError("its folders are too deep")
    at = tree + index * size
    name_at, flags = struct.unpack_from(">IH", data, at)
    path = above
    if index:
        (length,) = struct.unpack_from(">H", data, names + name_at)
        start = names + name_at + 6
        word = data[start : start + 2 * length].decode("utf-16-be")
        path = f"{above}/{word}" if above else word
    if flags & _FOLDER:
        count, first = struct.unpack_from(">II", data, at + 6)
        for child in range(first, first + count):
            if child <= index:
                raise ValueError("a folder that leads back up")
            yield from _walk(data, places, child, path, depth + 1)
        return
    if flags & _ZSTD:
        raise ValueError("it is compressed with zstd")
    (body_at,) = struct.unpack_from(">I", data, at + 10)
    (length,) = struct.unpack_from(">I", data, bodies + body_at)
    body = data[bodies + body_at + 4 : bodies + body_at + 4 + length]
    yield path, zlib.decompress(body[4:]) if flags & _COMPRESSED else body
