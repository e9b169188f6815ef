"""MNIST and its kin: four IDX files (LeCun's format), gzipped or not."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from genart_jax.config import Field, UserError
from genart_jax.data.source import Source, Split, count_lines, fingerprint
from genart_jax.runtime.paths import expanded
from genart_jax.runtime.values import Array

MAX_BYTES = 8 * 2**30
"""Larger arrays are refused: a small gzip file can claim any size, and the set is held in memory."""
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def load(directory: str | Path) -> Source:
    """Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two `t10k-` files, each with or without .gz.

    `train-images.idx3-ubyte` is found as well. Images are uint8 (N, height, width, 1); the condition is `label`, with
    class names from `labels.txt` (one a line) if the folder has it, Fashion-MNIST's if the folder's name says
    "fashion", and "0", "1", ... else.

    Raises:
      UserError: no such folder, a file is missing, is no IDX file of the expected kind, or is cut off.
    """
    directory = expanded(directory)
    if not directory.is_dir():
        raise UserError(f"idx:{directory}: there is no such folder")
    train, test = (_split(directory, prefix) for prefix in ("train", "t10k"))
    shape = train[0].shape[1:]
    if test[0].shape[1:] != shape:
        raise UserError(f"idx:{directory}: training pictures are {shape}, test pictures {test[0].shape[1:]}")
    classes = int(max(train[1].max(), test[1].max())) + 1
    names = {"label": _class_names(directory, classes)}
    splits = [Split(len(images), {"image": images, "label": labels}) for images, labels in (train, test)]
    return Source(
        name=f"idx:{directory}",
        train=splits[0],
        test=splits[1],
        pictures={"image": Field(shape)},
        class_names=names,
        fingerprint=fingerprint(*train, *test),
        report=count_lines(names, splits[0], splits[1]),
    )


def _split(directory: Path, prefix: str) -> tuple[Array, Array]:
    """Images uint8 (N, height, width, 1) and labels int32 (N,)."""
    image_file, label_file = _find(directory, f"{prefix}-images", 3), _find(directory, f"{prefix}-labels", 1)
    images, labels = _read(image_file, 3), _read(label_file, 1)
    if len(images) != len(labels):
        raise UserError(f"{image_file} has {len(images)} pictures, but {label_file.name} {len(labels)} labels")
    if images.size == 0:
        raise UserError(f"{image_file}: holds no pictures")
    return images[..., None], labels.astype(np.int32)


def _find(directory: Path, stem: str, axes: int) -> Path:
    names = [f"{stem}{joint}idx{axes}-ubyte" for joint in "-."]
    for name in [n + suffix for n in names for suffix in ("", ".gz")]:
        if (directory / name).is_file():
            return directory / name
    raise UserError(f"idx:{directory}: {names[0]} (or {names[0]}.gz) is missing")


def _read(file: Path, axes: int) -> Array:
    """The array of an IDX file of unsigned bytes with so many axes."""
    try:
        with file.open("rb") as raw:
            zipped = (
                raw.read(2) == b"\x1f\x8b"
            )  # the content decides, not the name: browsers unpack and keep the suffix
            raw.seek(0)
            return _array(file, gzip.GzipFile(fileobj=raw) if zipped else raw, axes)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{file}: cannot be read ({error}); fetch it again") from error


def _array(file: Path, stream: Any, axes: int) -> Array:
    # Two zero bytes, the type (8: unsigned byte), the number of axes, then each axis as a big-endian 32-bit number.
    magic, header = bytes((0, 0, 8, axes)), stream.read(4 + 4 * axes)
    if header[:4] != magic:
        raise UserError(
            f"{file}: not an IDX file with {axes} axes of bytes: begins {header[:4].hex()}, not {magic.hex()}"
        )
    if len(header) < 4 + 4 * axes:
        raise UserError(f"{file}: cut off inside its header; fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(header, ">u4", axes, 4))
    size = math.prod(shape)
    if size > MAX_BYTES:
        raise UserError(f"{file}: claims {shape}, more than {MAX_BYTES // 2**30} GiB; fetch it again")
    data = bytearray()
    # In pieces, and one byte beyond: neither a header nor a gzip file that claims too much takes memory.
    while piece := stream.read(min(1 << 24, size + 1 - len(data))):
        data += piece
    if len(data) != size:
        held = f"{len(data)} bytes" if len(data) < size else f"more than {size} bytes"
        raise UserError(f"{file}: holds {held}, but {shape} needs {size}: cut off? fetch it again")
    return np.frombuffer(bytes(data), np.uint8).reshape(shape)


def _class_names(directory: Path, classes: int) -> tuple[str, ...]:
    file = directory / "labels.txt"
    if file.is_file():
        names = tuple(line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip())
        if len(names) < classes:
            raise UserError(f"{file}: names {len(names)} classes, but the labels go up to {classes - 1}")
        if len(set(names)) < len(names):
            raise UserError(f"{file}: names a class twice")
        return names
    if "fashion" in directory.resolve().name.lower() and classes <= len(FASHION):
        return FASHION
    return tuple(map(str, range(classes)))
