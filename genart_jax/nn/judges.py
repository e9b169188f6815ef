"""Networks that judge pictures of a translation: a critic of patches that trains, and features that never do."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from genart_jax.config import UserError
from genart_jax.nn import spectral
from genart_jax.nn.conv import Conv
from genart_jax.nn.efficientnet import Layers, trunk
from genart_jax.nn.vgg import VGG
from genart_jax.types import Condition, Network, Translation

LAYERS = {
    "asset:vgg19": ("relu2_2", "relu3_4", "relu4_4"),
    "asset:efficientnet_lite0": ("block_2", "block_4"),
    "random": ("relu1_1", "relu2_1"),
}
"""Where features come from -> the activations that are compared where none are named."""

_WIDTHS, _DEPTHS = (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)
_KERNELS, _STRIDES = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1)
"""Of EfficientNet-lite0's stages."""


class PatchCritic(nn.Module):
    """Pictures (batch, height, width, channels) -> a score for each patch, (batch, height / 2^depth, width / 2^depth).

    Isola et al. 2017, "Image-to-image translation with conditional adversarial networks", appendix 6.1.2: 4x4
    convolutions that halve, with leaky ReLU, then two of stride 1; with `depth` 3 a score sees 70x70 pixels.

    Attributes:
      width: channels of the first convolution; doubled by each that halves, up to eight times as many.
      depth: how many convolutions halve.
      normalized: kernels are divided by their largest singular value; then there is no other normalisation.
    """

    width: int = 64
    depth: int = 3
    normalized: bool = True
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, images: jax.Array, condition: Condition | None = None, train: bool = False
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Classes are not looked at. Also returns each convolution's activations, conv_0, conv_1, ..."""
        aux: dict[str, jax.Array] = {}
        x = images
        for i in range(self.depth + 1):
            stride, width = (2 if i < self.depth else 1), self.width * min(8, 2**i)
            aux[f"conv_{i}"] = x = nn.leaky_relu(self._conv(x, width, stride, f"conv_{i}", self.dtype), 0.2)
        return self._conv(x, 1, 1, "out", jnp.float32)[..., 0], aux

    def _conv(self, x: jax.Array, width: int, stride: int, name: str, dtype: DTypeLike) -> jax.Array:
        if self.normalized:
            return spectral.Conv(width, (4, 4), stride, dtype=dtype, axis_name=self.axis_name, name=name)(x)
        return Conv(width, (4, 4), stride, dtype=dtype, name=name)(x)


class Lite(nn.Module):
    """EfficientNet-lite0's activations up to `last`, by name: stem, block_0, block_1, ..."""

    last: str = "block_4"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Images (batch, height, width, 3) in [-1, 1], as in evaluation."""
        layers, sizes = Layers(self.dtype, None, train=False), (_WIDTHS, _DEPTHS, _KERNELS, _STRIDES)
        aux = trunk(layers, images, *sizes, expand=6, stem=32, bias=True, last=self.last)
        return aux[self.last], aux


def features(source: str, dtype: DTypeLike = jnp.float32) -> Network:
    """A frozen network whose activations are compared: "vgg19", "lite0", or "random" (a small VGG, for tests).

    Raises:
      UserError: another name.
    """
    known = {
        "vgg19": (VGG(until="relu5_4", dtype=dtype), "asset:vgg19"),
        "lite0": (Lite(dtype=dtype), "asset:efficientnet_lite0"),
        "random": (VGG((4, 8), (1, 1), until="relu2_1", dtype=dtype), "random"),
    }
    if source not in known:
        raise UserError(f"features {source!r} is unknown; there are {', '.join(known)}")
    module, frozen = known[source]
    return Network(module, lambda: (jnp.zeros((1, 32, 32, 3)),), frozen)


def judges(
    source: str,
    critic_width: int,
    channels: int,
    dtype: DTypeLike = jnp.float32,
    axis_name: str | None = None,
    depth: int = 3,
    sees_input: int = 0,
) -> dict[str, Network]:
    """The roles `perceptual` and `critic` of a translation; its step leaves out those that its losses do not need.

    Args:
      source: of the features; see `features`.
      critic_width: channels of the critic's first convolution.
      channels: of the pictures.
      dtype: of activations.
      axis_name: of `pmap` or `shard_map`.
      depth: how often the critic halves.
      sees_input: channels of the input, where the critic sees it beside each picture; 0 where it does not.

    Raises:
      UserError: features of an unknown name.
    """
    critic = PatchCritic(critic_width, depth, dtype=dtype, axis_name=axis_name)
    pictures = lambda: (jnp.zeros((2, 32, 32, channels + sees_input)),)
    takes = Translation(takes=("input",) if sees_input else ())
    return {"critic": Network(critic, pictures, translation=takes), "perceptual": features(source, dtype)}
