"""Features of real pictures that come with the package: of those that every evaluation on the art set begins with.

A file holds what `pictures.real_features` would make, and is named by the digest of all that decides about it: the
network and its weights, the size, the filter, the data, the split and the rows. Values are rounded to float16, whose
bytes lie apart, low ones and high ones, so that LZMA halves them. `python -m scripts.real_features` writes the files.
"""

from __future__ import annotations

import lzma
import zipfile
from pathlib import Path

import numpy as np

from genart_jax.runtime.values import Array

FOLDER = Path(__file__).parents[1] / "assets" / "features"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same file whenever it is written


def read(digest: str, folder: Path = FOLDER) -> Array | None:
    """The features of that digest, float32 (n, d); None where there are none that can be read."""
    try:
        with np.load(folder / f"{digest}.npz", allow_pickle=False) as arrays:
            halves = np.ascontiguousarray(arrays["bytes"].T).reshape(-1).view("<f2")
            return halves.astype(np.float32).reshape(tuple(arrays["shape"]))
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, lzma.LZMAError):
        return None  # a Python without LZMA says so by a RuntimeError


def write(digest: str, values: Array, folder: Path = FOLDER) -> Path:
    """Writes features (n, d), rounded; returns the file, which numpy can read."""
    halves = np.ascontiguousarray(values, "<f2").reshape(-1)
    arrays = {"bytes": np.ascontiguousarray(halves.view(np.uint8).reshape(-1, 2).T), "shape": np.array(values.shape)}
    path = folder / f"{digest}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
            entry.compress_type = zipfile.ZIP_LZMA
            with file.open(entry, "w") as out:
                np.lib.format.write_array(out, array, allow_pickle=False)
    return path
