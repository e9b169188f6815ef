"""InceptionV3 as the FID uses it: Szegedy et al. 2016, in the variant of TensorFlow's graph of December 2015.

It differs from the paper's in four ways, all of which its published weights count on: average pooling leaves the
padding out of the mean, the pooling of the last block takes the maximum, pictures are enlarged by TensorFlow 1's
bilinear filter, and there are 1,008 outputs. Its weights are not part of the package: `variables` takes the user's.
"""

from __future__ import annotations

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from genart_jax.config import UserError
from genart_jax.nn.conv import Conv
from genart_jax.nn.pool import avg_pool, max_pool
from genart_jax.runtime.values import Array
from genart_jax.types import Tree

SIZE = 299
CLASSES = 1008

Pair = tuple[int, int]
_TAIL = {"branch3x3_2a": (1, 3), "branch3x3_2b": (3, 1), "branch3x3dbl_3a": (1, 3), "branch3x3dbl_3b": (3, 1)}


class ConvNorm(nn.Module):
    """Convolution without bias, BatchNorm with fixed statistics, ReLU."""

    features: int
    kernel: Pair
    stride: int = 1
    padding: Pair = (0, 0)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels) -> the same with `features` channels."""
        pads = [(p, p) for p in self.padding]
        x = Conv(self.features, self.kernel, (self.stride,) * 2, padding=pads, use_bias=False, name="conv")(x)
        return nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")(x))


def _conv(x: jax.Array, name: str, features: int, kernel: Pair, stride: int = 1) -> jax.Array:
    """A unit that keeps the size, where it has no stride."""
    padding = (0, 0) if stride > 1 else (kernel[0] // 2, kernel[1] // 2)
    return ConvNorm(features, kernel, stride, padding, name=name)(x)


def _mean3(x: jax.Array) -> jax.Array:
    return avg_pool(x, (3, 3), (1, 1), [(1, 1), (1, 1)], count_include_pad=False)


class BlockA(nn.Module):
    """35x35: branches of 1x1, 5x5, two 3x3, and pooling."""

    pooled: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """-> 224 + `pooled` channels."""
        one = _conv(x, "branch1x1", 64, (1, 1))
        five = _conv(_conv(x, "branch5x5_1", 48, (1, 1)), "branch5x5_2", 64, (5, 5))
        double = _conv(_conv(x, "branch3x3dbl_1", 64, (1, 1)), "branch3x3dbl_2", 96, (3, 3))
        double = _conv(double, "branch3x3dbl_3", 96, (3, 3))
        return jnp.concatenate([one, five, double, _conv(_mean3(x), "branch_pool", self.pooled, (1, 1))], axis=-1)


class BlockB(nn.Module):
    """35x35 -> 17x17."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """-> 480 channels more."""
        three = _conv(x, "branch3x3", 384, (3, 3), 2)
        double = _conv(_conv(x, "branch3x3dbl_1", 64, (1, 1)), "branch3x3dbl_2", 96, (3, 3))
        double = _conv(double, "branch3x3dbl_3", 96, (3, 3), 2)
        return jnp.concatenate([three, double, max_pool(x, (3, 3), (2, 2))], axis=-1)


class BlockC(nn.Module):
    """17x17: branches of 1x1, 7x7 in two halves, twice that, and pooling."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """-> 768 channels."""
        w, row, column = self.width, (1, 7), (7, 1)
        one = _conv(x, "branch1x1", 192, (1, 1))
        seven = _conv(_conv(x, "branch7x7_1", w, (1, 1)), "branch7x7_2", w, row)
        seven = _conv(seven, "branch7x7_3", 192, column)
        double = _conv(x, "branch7x7dbl_1", w, (1, 1))
        for i, (features, kernel) in enumerate(((w, column), (w, row), (w, column), (192, row)), 2):
            double = _conv(double, f"branch7x7dbl_{i}", features, kernel)
        return jnp.concatenate([one, seven, double, _conv(_mean3(x), "branch_pool", 192, (1, 1))], axis=-1)


class BlockD(nn.Module):
    """17x17 -> 8x8."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """-> 512 channels more."""
        three = _conv(_conv(x, "branch3x3_1", 192, (1, 1)), "branch3x3_2", 320, (3, 3), 2)
        seven = _conv(_conv(x, "branch7x7x3_1", 192, (1, 1)), "branch7x7x3_2", 192, (1, 7))
        seven = _conv(_conv(seven, "branch7x7x3_3", 192, (7, 1)), "branch7x7x3_4", 192, (3, 3), 2)
        return jnp.concatenate([three, seven, max_pool(x, (3, 3), (2, 2))], axis=-1)


class BlockE(nn.Module):
    """8x8: branches that end in a row and a column side by side."""

    maximum: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """-> 2,048 channels."""
        three = _conv(x, "branch3x3_1", 384, (1, 1))
        double = _conv(_conv(x, "branch3x3dbl_1", 448, (1, 1)), "branch3x3dbl_2", 384, (3, 3))
        pooled = max_pool(x, (3, 3), (1, 1), [(1, 1), (1, 1)]) if self.maximum else _mean3(x)
        tails = [_conv(three if "dbl" not in name else double, name, 384, kernel) for name, kernel in _TAIL.items()]
        parts = [_conv(x, "branch1x1", 320, (1, 1)), *tails, _conv(pooled, "branch_pool", 192, (1, 1))]
        return jnp.concatenate(parts, axis=-1)


class Inception(nn.Module):
    """Pictures (batch, height, width, 3) in [-1, 1] -> (features (batch, 2048), logits without bias, intermediates)."""

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        """Any size: pictures are resized first. The intermediates are means over places."""
        x = (resize(127.5 * images + 127.5, SIZE) - 128) / 128
        x = ConvNorm(32, (3, 3), 2, name="Conv2d_1a_3x3")(x)
        x = ConvNorm(32, (3, 3), name="Conv2d_2a_3x3")(x)
        x = max_pool(ConvNorm(64, (3, 3), padding=(1, 1), name="Conv2d_2b_3x3")(x), (3, 3), (2, 2))
        x = ConvNorm(80, (1, 1), name="Conv2d_3b_1x1")(x)
        x = max_pool(ConvNorm(192, (3, 3), name="Conv2d_4a_3x3")(x), (3, 3), (2, 2))
        aux = {"192": jnp.mean(x, axis=(1, 2))}
        for name, pooled in (("5b", 32), ("5c", 64), ("5d", 64)):
            x = BlockA(pooled, name=f"Mixed_{name}")(x)
        x = BlockB(name="Mixed_6a")(x)
        for name, width in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
            x = BlockC(width, name=f"Mixed_{name}")(x)
        aux["768"] = jnp.mean(x, axis=(1, 2))
        x = BlockE(False, name="Mixed_7b")(BlockD(name="Mixed_7a")(x))
        features = jnp.mean(BlockE(True, name="Mixed_7c")(x), axis=(1, 2))
        # The Inception score is defined over the logits without their bias.
        return features, nn.Dense(CLASSES, use_bias=False, name="fc")(features), aux


def resize(images: jax.Array, size: int) -> jax.Array:
    """TensorFlow 1's bilinear filter to a square: no antialiasing, and the corner of a pixel as its place."""
    for axis in (1, 2):
        old = images.shape[axis]
        place = np.arange(size, dtype=np.float32) * np.float32(old / size)
        low = place.astype(int)
        share = (place - low).reshape((-1, *[1] * (images.ndim - axis - 1)))
        a, b = (jnp.take(images, np.minimum(i, old - 1), axis=axis) for i in (low, low + 1))
        images = a + (b - a) * share
    return images


def variables(tensors: Mapping[str, ArrayLike]) -> Tree:
    """The network's variables from a PyTorch state dict of it (names as `Mixed_5b.branch1x1.conv.weight`).

    Raises:
      UserError: a tensor is missing or has another shape.
    """
    tree = jax.eval_shape(Inception().init, jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 3)))
    leaf = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}

    def take(path: tuple[jax.tree_util.DictKey, ...], wanted: jax.ShapeDtypeStruct) -> Array:
        *place, last = [entry.key for entry in path[1:]]
        name = ".".join([*place, leaf[last]])
        if name not in tensors:
            raise UserError(f"these are not the weights of the FID's Inception network: {name} is missing")
        value = np.asarray(tensors[name], np.float32)
        value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
        if value.shape != wanted.shape:
            raise UserError(f"these are not the weights of the FID's Inception network: {name} gives {value.shape}")
        return value

    return jax.tree_util.tree_map_with_path(take, tree)
