"""How different two pictures look to a network, as LPIPS has it (Zhang et al. 2018): `make_perceptual`.

vgg19           `lpips_like_vgg19`: the asset's trunk, every channel with the weight 1, as no heads are published for it
vgg16:FILE      `lpips_vgg16`: LPIPS 0.1 itself, with torchvision's VGG16 as a file of one's own and the asset's heads
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax import assets
from genart_jax.assets import weights
from genart_jax.assets.tensorfiles import read_tensors
from genart_jax.config import UserError
from genart_jax.evaluate.measures import Measured
from genart_jax.metrics.exact import Array
from genart_jax.metrics.features import error_of_mean
from genart_jax.metrics.perceptual import lpips
from genart_jax.nn.vgg import VGG
from genart_jax.runtime import compiler
from genart_jax.runtime.paths import expanded
from genart_jax.types import to_float

_BATCH = 16
_LEAST = 16  # pixels: four poolings come before the last layer


@dataclasses.dataclass(frozen=True, eq=False)
class Perceptual:
    """A distance between two pictures.

    Attributes:
      name: with the trunk, and whether it is LPIPS or like it: part of every score's name.
      weights: SHA-256 of the trunk's weights, and of the heads'.
      depths: convolutions of the trunk's stages; the last ReLU of each is compared.
      variables: of the trunk.
      heads: the layers' weights (channels,); None: 1 for every channel.
      size: (height, width) of the pictures, which are not resized; (0, 0) before there are any.
    """

    name: str
    weights: str
    depths: tuple[int, ...]
    variables: Any
    heads: tuple[Any, ...] | None = None
    size: tuple[int, int] = (0, 0)
    resize: str = "as they are"

    def of(self, images: Array) -> Perceptual:
        """The same, for pictures of the size of these."""
        return dataclasses.replace(self, size=tuple(images.shape[1:3]))

    @functools.cached_property
    def _compiled(self) -> Callable[[Any, Any, Any], jax.Array]:
        layers = [f"relu{stage}_{depth}" for stage, depth in enumerate(self.depths, 1)]
        last = [self.variables["params"][layer.replace("relu", "conv")] for layer in layers]
        trunk = VGG([conv["kernel"].shape[-1] for conv in last], self.depths, until=layers[-1])

        def distance(variables: Any, a: Any, b: Any) -> jax.Array:
            seen = [trunk.apply(variables, _colour(to_float(x)))[1] for x in (a, b)]
            first, second = ([aux[layer] for layer in layers] for aux in seen)
            return lpips(first, second, self.heads)

        return compiler.jit(distance)

    def __call__(self, a: Array, b: Array) -> np.ndarray[Any, Any]:
        """uint8 pictures (n, height, width, 1 or 3), two of them each -> (n,), on the host.

        Raises:
          UserError: pictures of different sizes, of less than 16 pixels, or none.
        """
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape or a.ndim != 4 or a.dtype != np.uint8 or b.dtype != np.uint8 or not len(a):
            raise UserError(f"{self.name} compares uint8 pictures of one size, not {a.shape} with {b.shape}")
        if min(a.shape[1:3]) < _LEAST:
            raise UserError(f"{self.name} needs pictures of at least {_LEAST} pixels, not of {a.shape[1:3]}")
        out = []
        for start in range(0, len(a), _BATCH):
            parts = [x[start : start + _BATCH] for x in (a, b)]
            whole = [np.resize(x, (_BATCH, *x.shape[1:])) for x in parts]  # one program serves for all
            out.append(np.asarray(self._compiled(self.variables, *whole))[: len(parts[0])])
        return np.concatenate(out)


def _colour(x: jax.Array) -> jax.Array:
    return jnp.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x


def make_perceptual(word: str) -> Perceptual:
    """The distance that a word names; see this module's head.

    Raises:
      UserError: an unknown name, or weights that are not here; says how to bring them.
    """
    kind, _, file = word.partition(":")
    if word == "vgg19":
        variables = jax.tree.map(jnp.asarray, _trunk(assets.load("vgg19")))
        return Perceptual("lpips_like_vgg19", assets.sha256("vgg19"), weights.VGG19_DEPTHS, variables)
    if kind != "vgg16" or not file:
        raise UserError(f"perceptual distance {word!r} is unknown; there are vgg19 and vgg16:FILE")
    path = expanded(file)
    try:
        variables = jax.tree.map(jnp.asarray, _trunk(weights.vgg16(read_tensors(path))))
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} does not hold torchvision's VGG16: it lacks {error}") from None
    heads = assets.load("lpips")["vgg"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest() + assets.sha256("lpips")
    layers = tuple(jnp.asarray(heads[f"lin{i}"]) for i in range(len(weights.VGG16_DEPTHS)))
    return Perceptual("lpips_vgg16", digest, weights.VGG16_DEPTHS, variables, layers)


def _trunk(variables: Any) -> Any:
    """Without dense layers."""
    convolutions = {name: p for name, p in variables["params"].items() if name.startswith("conv")}
    return {"params": convolutions, "constants": variables["constants"]}


def pair_diversity(distance: Perceptual, real: Array, fake: Array) -> dict[str, Measured]:
    """The mean distance between two generated pictures, over as many disjoint pairs as there are.

    Args:
      distance: between two pictures.
      real, fake: uint8 pictures in a random order; the real ones' mean is what to hold the figure against.
    """
    ours, theirs = (distance(x[0 : len(x) // 2 * 2 : 2], x[1 : len(x) // 2 * 2 : 2]) for x in (fake, real))
    details = {"real": float(np.mean(theirs))}
    contract = {"pairs": len(ours)}
    name = f"diversity_{distance.name}"
    return {name: Measured(float(np.mean(ours)), error_of_mean(ours), "over pairs", details, contract)}
