"""What two pictures have in common to a published network, with gradients: for projection."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genart_jax import assets, registry
from genart_jax.config import UserError, override
from genart_jax.metrics.perceptual import lpips
from genart_jax.nn.vgg import VGG
from genart_jax.steps import networks
from genart_jax.types import Network, Tree, Variables

WORDS = ("lite0", "vgg19", "none")
_LITE0 = ("block_0", "block_2", "block_4", "block_10")  # the last of the stages that halve
_VGG19 = ("relu1_2", "relu2_2", "relu3_4", "relu4_4")
_LEAST = 64  # pixels of the shorter side, so that the deepest layer has places to compare


class Perceptual(NamedTuple):
    """A distance as LPIPS has it (Zhang et al. 2018, eq. 1), every channel with the weight 1.

    Attributes:
      name: of the network; "none".
      variables: of the network, for `distance`.
      distance: (variables, pictures, pictures) float32 (n, height, width, 1 or 3) in [-1, 1] -> (n,).
    """

    name: str
    variables: Tree
    distance: Callable[[Tree, jax.Array, jax.Array], jax.Array]


def perceptual(word: str, shape: tuple[int, ...]) -> Perceptual:
    """The distance over lite0 or VGG19 for pictures of a shape; "" is lite0 where its weights are, else none.

    Raises:
      UserError: an unknown word, weights that are not here, or what is no picture.
    """
    flat = len(shape) == 3 and shape[-1] in (1, 3)
    if word == "":
        word = "lite0" if flat and assets.available("efficientnet_lite0") else "none"
    if word not in WORDS:
        raise UserError(f"--perceptual {word!r}: there are {', '.join(WORDS)}")
    if word == "none":
        return Perceptual("none", {}, lambda _, a, b: jnp.zeros(len(a)))
    if not flat:
        raise UserError(f"--perceptual {word} sees pictures, not examples of {shape}; say --perceptual none")
    asset, layers = {"lite0": ("efficientnet_lite0", _LITE0), "vgg19": ("vgg19", _VGG19)}[word]
    times = -(-_LEAST // min(shape[:2]))
    size = times * shape[0], times * shape[1]
    seen = {"features": _network(asset, layers, size)}

    def features(variables: Tree, images: jax.Array) -> list[jax.Array]:
        x = jnp.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
        x = jax.image.resize(x, (len(x), *size, 3), "linear") if times > 1 else x
        at = Variables({}, {}, {"features": variables})
        _, found = networks.run(seen, at, "features", x, capture=layers)
        return [found[name] for name in layers]

    variables = jax.tree.map(jnp.asarray, assets.load(asset))
    return Perceptual(word, variables, lambda v, a, b: lpips(features(v, a), features(v, b)))


def _network(asset: str, layers: tuple[str, ...], size: tuple[int, int]) -> Network:
    if asset == "vgg19":
        return Network(VGG(until=layers[-1]), (), f"asset:{asset}")
    classes = (("class", len(assets.class_names(asset))),)
    config = override(registry.get_config(asset).model, image_shape=(*size, 3), conditions=classes)
    whole: Network = registry.model_module(asset).networks(config)["classifier"]
    return whole._replace(frozen=f"asset:{asset}")
