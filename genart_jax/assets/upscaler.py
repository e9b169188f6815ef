"""Residual dense networks for super-resolution as TensorFlow.js keeps them: `model.json`, with `.bin` files beside it.

The npm packages @upscalerjs/esrgan-slim and -medium hold such networks of x2, x3, x4 and x8. Nothing is executed: the
tensors are read by name, and the form of the network follows from their shapes.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genart_jax.config import UserError
from genart_jax.runtime.values import Array

Tree = dict[str, Any]
_NAMED = {
    "F_m1": "first", "F_0": "second", "GFF_1": "fuse", "GFF_2": "last", "UPN1": "up_0", "UPN2": "up_1", "UPN3": "up_2",
    "SR": "out",
}  # fmt: skip


class Found(NamedTuple):
    """The options of `super_resolution` that build the network, and its variables."""

    options: Tree
    variables: Tree


def read(path: Path) -> Found:
    """The network of a `model.json`.

    Raises:
      UserError: it is of another kind, or its `.bin` files are not there or too short.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != "layers-model":
            raise LookupError
        tensors = _tensors(path, stored["weightsManifest"])
        blocks, layers = (max(int(m[i]) for m in map(_inner, tensors) if m) for i in (1, 2))
        growth = tensors["F_1_1/kernel"].shape[-1]
        scale = round((tensors["UPN3/kernel"].shape[-1] / 3) ** 0.5)
        options = {"scale": scale, "width": tensors["F_0/kernel"].shape[-1], "blocks": blocks, "growth": growth,
                   "layers": layers}  # fmt: skip
        return Found(options, {"params": _renamed(tensors, blocks, layers)})
    except (ValueError, LookupError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{path}: wanted a residual dense network of TensorFlow.js, such as models/x2/model.json of"
            " @upscalerjs/esrgan-slim"
        ) from None


def _inner(name: str) -> re.Match[str] | None:
    return re.fullmatch(r"F_(\d+)_(\d+)/kernel", name)


def _tensors(path: Path, manifest: list[Tree]) -> dict[str, Array]:
    """By name: float32, one after the other in the files that the manifest names."""
    out: dict[str, Array] = {}
    for group in manifest:
        try:
            content = b"".join((path.parent / Path(name).name).read_bytes() for name in group["paths"])
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}: {error.filename}; keep the files together") from None
        at = 0
        for one in group["weights"]:
            if one["dtype"] != "float32" or "quantization" in one:
                raise LookupError
            size = math.prod(one["shape"])
            if len(content) < at + 4 * size:
                raise UserError(f"{path}: the file with its weights is cut short")
            out[one["name"]] = np.frombuffer(content, "<f4", size, at).reshape(one["shape"]).astype(np.float32)
            at += 4 * size
    return out


def _renamed(tensors: dict[str, Array], blocks: int, layers: int) -> Tree:
    names = dict(_NAMED)
    for i in range(blocks):
        names[f"LFF_{i + 1}"] = f"block_{i}_fuse"
        names |= {f"F_{i + 1}_{j + 1}": f"block_{i}_{j}" for j in range(layers)}
    return {new: {part: tensors[f"{old}/{part}"] for part in ("kernel", "bias")} for old, new in names.items()}
