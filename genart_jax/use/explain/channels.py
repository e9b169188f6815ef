"""What single channels do: a network's first filters, and what a generator draws without one of them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genart_jax.api import run
from genart_jax.config import UserError
from genart_jax.runtime import compiler
from genart_jax.runtime.values import Array
from genart_jax.steps import networks
from genart_jax.train.checkpoint import Model
from genart_jax.use.explain.seen import Outputs, replaced


class Ablation(NamedTuple):
    """What a generator's channels draw.

    Attributes:
      channels: those that were looked at, the most effective first.
      effects: how much a picture changes without each: the mean absolute difference of pixels.
      whole: (num, height, width, channels), what is drawn with all.
      without: (channels, num, height, width, channels), what is drawn without each.
    """

    channels: tuple[int, ...]
    effects: tuple[float, ...]
    whole: Array
    without: Array


def filters(model: Model, role: str) -> Array:
    """The kernels of a network's first convolution over pictures, (number, height, width, channels), each stretched to
    [-1, 1].

    Raises:
      UserError: the role has no convolution over pictures.
    """
    variables, channels = networks.averaged(model.state), model.algorithm.batch_spec.image_shape[-1]
    found = variables.params.get(role, dict(variables.frozen).get(role, {}))
    kernels = [leaf for leaf in jax.tree.leaves(found) if leaf.ndim == 4 and leaf.shape[2] == channels]
    if not kernels:
        raise UserError(f"{role}: no convolution over {channels} channels")
    kernel = np.moveaxis(np.asarray(kernels[0], np.float32), -1, 0)
    largest = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True)
    stretched: Array = kernel / np.maximum(largest, 1e-12)
    return stretched


def ablate(
    model: Model,
    latents: jax.Array,
    condition: dict[str, jax.Array] | None = None,
    stage: str = "",
    most: int = 8,
) -> Ablation:
    """A generator without single channels of one of its stages (Bau et al. 2019, arXiv:1811.10597, section 3.2, where
    units are set to zero).

    Args:
      model: a GAN.
      latents: (num, latent_dim).
      condition: classes by name, (num,) each.
      stage: name of the intermediate; "": the first that has places.
      most: channels whose pictures are kept.

    Raises:
      UserError: no generator, or no such stage.
    """
    algorithm, state = model
    if "generator" not in algorithm.networks:
        raise UserError(f"ablate needs a generator; there are {', '.join(algorithm.networks)}")
    shape = (len(latents), *algorithm.batch_spec.image_shape)

    def outputs(z: jax.Array) -> Outputs:
        pictures, aux = run(algorithm, state, "generator", z, *([condition] if condition else []), capture=None)
        return jnp.asarray(pictures), {name: leaf for name, leaf in aux.items() if isinstance(leaf, jax.Array)}

    stages = jax.eval_shape(outputs, latents)[1]
    maps = [name for name, leaf in stages.items() if leaf.ndim == 4]
    if (name := stage or next(iter(maps), "")) not in maps:
        raise UserError(f"the generator has no stage {name!r} with channels; there are {', '.join(maps) or 'none'}")

    @compiler.jit
    def without(z: jax.Array, channel: jax.Array) -> jax.Array:
        values = outputs(z)[1][name]
        kept = jnp.arange(values.shape[-1]) != channel
        return replaced(outputs, z, name)(values * kept)

    whole = np.asarray(without(latents, -1)).reshape(shape)
    drawn = [np.asarray(without(latents, i)).reshape(shape) for i in range(stages[name].shape[-1])]
    effects = [float(np.abs(one - whole).mean()) for one in drawn]
    best = tuple(int(i) for i in np.argsort(effects)[::-1][:most])
    return Ablation(best, tuple(effects[i] for i in best), whole, np.stack([drawn[i] for i in best]))
