"""DINOv2's vision transformer as an extractor of features (Oquab et al. 2023, arXiv:2304.07193).

Patches of 14 pixels, a class token, learned places, and blocks of attention and a two-layer perceptron, each scaled by
a learned vector before it is added. Its weights are not part of the package: `variables` takes the user's, in the names
of the published repository or in those of Hugging Face's library, of the sizes S, B and L without registers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.config import UserError

PATCH = 14
SIZE = 224
NAMES = {384: "small", 768: "base", 1024: "large"}
"""Sizes by the width of their tokens."""

_HEAD = 64  # channels of a head, in every size
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in [0, 1]
_EPSILON = 1e-6
_NUDGE = 0.1  # of the published code, against rounding: places are read as if there were so many more


class Block(nn.Module):
    """Tokens (batch, tokens, width) -> the same."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Each of the two residual branches has a norm before it and a scale after it."""
        width = x.shape[-1]
        y = nn.LayerNorm(epsilon=_EPSILON, name="norm1")(x)
        y = nn.MultiHeadDotProductAttention(num_heads=width // _HEAD, name="attention")(y)
        x = x + y * self.param("scale1", nn.initializers.ones, (width,))
        y = nn.Dense(4 * width, name="up")(nn.LayerNorm(epsilon=_EPSILON, name="norm2")(x))
        y = nn.Dense(width, name="down")(nn.gelu(y, approximate=False))
        return x + y * self.param("scale2", nn.initializers.ones, (width,))


class DinoV2(nn.Module):
    """Pictures (batch, height, width, 3) in [-1, 1], sides multiples of 14 -> (class tokens (batch, width), {}).

    Attributes:
      width, depth: of the tokens, and how many blocks.
      grid: places on a side that were learned: 37, for pictures of 518 pixels.
      nudge: see `resized`; 0 for the places of Hugging Face's library.
    """

    width: int = 384
    depth: int = 12
    grid: int = 37
    nudge: float = _NUDGE

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The intermediates are every block's tokens, "block_0" and so on, and all tokens after the last norm."""
        x = ((images + 1) / 2 - jnp.array(_MEAN)) / jnp.array(_STD)
        side = (PATCH, PATCH)
        x = nn.Conv(self.width, side, side, padding="VALID", name="patches")(x)
        batch, rows, columns, width = x.shape
        small = nn.initializers.normal(0.02)
        first = self.param("class_token", small, (width,))
        places = self.param("places", small, (1 + self.grid**2, width))
        learned = places[1:].reshape(self.grid, self.grid, width)
        x = x.reshape(batch, -1, width) + resized(learned, (rows, columns), self.nudge).reshape(-1, width)
        x = jnp.concatenate([jnp.broadcast_to(first + places[0], (batch, 1, width)), x], axis=1)
        aux = {}
        for i in range(self.depth):
            aux[f"block_{i}"] = x = Block(name=f"block_{i}")(x)
        aux["tokens"] = x = nn.LayerNorm(epsilon=_EPSILON, name="norm")(x)
        return x[:, 0], aux


def resized(places: jax.Array, size: tuple[int, int], nudge: float = _NUDGE) -> jax.Array:
    """Learned places (rows, columns, width) for another number of patches: bicubic with a = -0.75, not antialiased.

    PyTorch's filter, of which the published network's features are made. It is given a scale of (new + nudge) / old.
    """
    for axis, new in enumerate(size):
        old = places.shape[axis]
        if new != old:
            places = jnp.moveaxis(jnp.tensordot(_cubic(old, new, nudge), places, ((1,), (axis,))), 0, axis)
    return places


def _cubic(old: int, new: int, nudge: float) -> np.ndarray[Any, Any]:
    """What each of `old` values gives to each of `new` (new, old); beyond an end is the last value."""
    a, scale = -0.75, old / (new + nudge)
    centre = (np.arange(new) + 0.5) * scale - 0.5
    base = np.floor(centre).astype(int)
    out = np.zeros((new, old))
    for offset in range(-1, 3):
        t = np.abs(centre - base - offset)
        near = ((a + 2) * t - (a + 3)) * t * t + 1
        far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
        weight = np.where(t <= 1, near, np.where(t < 2, far, 0.0))
        np.add.at(out, (np.arange(new), np.clip(base + offset, 0, old - 1)), weight)
    return out.astype(np.float32)


def variables(tensors: Mapping[str, Any]) -> tuple[DinoV2, dict[str, Any]]:
    """The network and its variables from a state dict in either naming.

    Raises:
      UserError: a tensor is missing or has another shape: says which, and what is taken.
    """
    prefix = next((p for p in ("", "dinov2.") if f"{p}embeddings.cls_token" in tensors), None)
    names = _PUBLISHED if prefix is None else _LIBRARY
    take = _Taker(tensors, prefix or "")
    if any("register" in name for name in tensors):
        raise UserError("these are weights of a DINOv2 with registers; wanted one without")
    first = take(names["class_token"]).ravel()
    width, places = len(first), take(names["places"])
    if width not in NAMES:
        raise UserError(f"these are weights of a DINOv2 of width {width}; there are {', '.join(map(str, NAMES))}")
    params: dict[str, Any] = {
        "class_token": first,
        "places": places.reshape(-1, width),
        "patches": {"kernel": take(f"{names['patches']}.weight").transpose(2, 3, 1, 0),
                    "bias": take(f"{names['patches']}.bias")},
        "norm": take.norm(names["norm"]),
    }  # fmt: skip
    depth = 0
    while f"{prefix or ''}{names['block'].format(depth)}.norm1.weight" in tensors:
        params[f"block_{depth}"] = _block(take, names["block"].format(depth), width, prefix is None)
        depth += 1
    network = DinoV2(width, depth, round(float(len(params["places"]) - 1) ** 0.5))
    _check(network, params)
    return network, {"params": params}


_PUBLISHED = {"class_token": "cls_token", "places": "pos_embed", "patches": "patch_embed.proj", "norm": "norm",
              "block": "blocks.{}"}  # fmt: skip
_LIBRARY = {"class_token": "embeddings.cls_token", "places": "embeddings.position_embeddings",
            "patches": "embeddings.patch_embeddings.projection", "norm": "layernorm",
            "block": "encoder.layer.{}"}  # fmt: skip


class _Taker:
    """Tensors by name as float32, with what is missing named."""

    def __init__(self, tensors: Mapping[str, Any], prefix: str) -> None:
        self._tensors, self._prefix = tensors, prefix

    def __call__(self, name: str) -> np.ndarray[Any, Any]:
        if self._prefix + name not in self._tensors:
            raise UserError(f"these are not the weights of DINOv2: {self._prefix + name} is missing")
        return np.asarray(self._tensors[self._prefix + name], np.float32)

    def norm(self, name: str) -> dict[str, Any]:
        return {"scale": self(f"{name}.weight"), "bias": self(f"{name}.bias")}

    def dense(self, name: str) -> dict[str, Any]:
        return {"kernel": self(f"{name}.weight").T, "bias": self(f"{name}.bias")}


def _block(take: _Taker, name: str, width: int, published: bool) -> dict[str, Any]:
    if published:
        joined = take.dense(f"{name}.attn.qkv")
        parts = [dict(zip(joined, pair, strict=True)) for pair in
                 zip(*(np.split(value, 3, axis=-1) for value in joined.values()), strict=True)]  # fmt: skip
        out, scales = take.dense(f"{name}.attn.proj"), (f"{name}.ls1.gamma", f"{name}.ls2.gamma")
    else:
        parts = [take.dense(f"{name}.attention.attention.{word}") for word in ("query", "key", "value")]
        out = take.dense(f"{name}.attention.output.dense")
        scales = (f"{name}.layer_scale1.lambda1", f"{name}.layer_scale2.lambda1")
    heads = (-1, _HEAD)
    attention = {
        word: {"kernel": part["kernel"].reshape(width, *heads), "bias": part["bias"].reshape(heads)}
        for word, part in zip(("query", "key", "value"), parts, strict=True)
    }
    attention["out"] = {"kernel": out["kernel"].reshape(*heads, width), "bias": out["bias"]}
    return {
        "norm1": take.norm(f"{name}.norm1"), "norm2": take.norm(f"{name}.norm2"), "attention": attention,
        "scale1": take(scales[0]), "scale2": take(scales[1]),
        "up": take.dense(f"{name}.mlp.fc1"), "down": take.dense(f"{name}.mlp.fc2"),
    }  # fmt: skip


def _check(network: DinoV2, params: Mapping[str, Any]) -> None:
    """Raises UserError where a tensor has another shape than the network's."""
    images = jnp.zeros((1, PATCH, PATCH, 3))
    wanted = jax.eval_shape(network.init, jax.random.key(0), images)["params"]
    for path, leaf in jax.tree_util.tree_leaves_with_path(wanted):
        here: Any = params
        for entry in path:
            here = here[entry.key]
        if here.shape != leaf.shape:
            name = ".".join(entry.key for entry in path)
            raise UserError(f"these are not the weights of DINOv2: {name} is {here.shape}, wanted {leaf.shape}")
