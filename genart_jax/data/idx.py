"""MNIST and its kin: four IDX files (LeCun's format), gzipped or not."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from genart_jax.config import UserError
from genart_jax.data.source import Array, Source, Split, count_lines, fingerprint

FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def load(directory: str | Path) -> Source:
    """Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two `t10k-` files, each with or without .gz.

    `train-images.idx3-ubyte` is found as well. Images are uint8 (N, height, width, 1); the condition is `label`, with
    class names from `labels.txt` (one a line) if the folder has it, Fashion-MNIST's if the folder's name says
    "fashion", and "0", "1", ... else.

    Raises:
      UserError: no such folder, a file is missing, is no IDX file of the expected kind, or is cut off.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError(f"idx:{directory}: there is no such folder")
    train, test = (_split(directory, prefix) for prefix in ("train", "t10k"))
    shape = train[0].shape[1:]
    if test[0].shape[1:] != shape:
        raise UserError(f"idx:{directory}: training pictures are {shape}, test pictures {test[0].shape[1:]}")
    classes = int(max(train[1].max(), test[1].max())) + 1
    names = {"label": _class_names(directory, classes)}
    splits = [Split(len(images), {"label": labels}, images) for images, labels in (train, test)]
    return Source(
        name=f"idx:{directory}",
        train=splits[0],
        test=splits[1],
        image_shape=shape,
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
        data = file.read_bytes()
        if data[:2] == b"\x1f\x8b":  # the content decides, not the name: browsers unpack and keep the suffix
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{file}: cannot be read ({error}); fetch it again") from error
    # Two zero bytes, the type (8: unsigned byte), the number of axes, then each axis as a big-endian 32-bit number.
    magic = bytes((0, 0, 8, axes))
    if data[:4] != magic:
        raise UserError(
            f"{file}: not an IDX file with {axes} axes of bytes: begins {data[:4].hex()}, not {magic.hex()}"
        )
    start = 4 + 4 * axes
    if len(data) < start:
        raise UserError(f"{file}: cut off inside its header; fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", axes, 4))
    if len(data) - start != math.prod(shape):
        raise UserError(
            f"{file}: holds {len(data) - start} bytes, but {shape} needs {math.prod(shape)}: cut off? fetch it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


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
