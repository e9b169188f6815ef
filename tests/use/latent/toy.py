"""Small linear models, of which all is known: pictures 4x4x3 of latents of length 4."""

import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import genart_jax as ga
from genart_jax.steps import uses
from genart_jax.types import Algorithm, Input
from genart_jax.use.latent import Space

LENGTH, SHAPE = 4, (4, 4, 3)
SPEC = ga.BatchSpec(SHAPE, (("tint", 2),))
PLAIN = ga.BatchSpec(SHAPE)
RNG = np.random.default_rng(1)
WEIGHTS = RNG.normal(0, 0.12, (LENGTH, 48)).astype(np.float32)
MAP = RNG.normal(0, 1.0, (LENGTH, 3)).astype(np.float32)
STYLES = RNG.normal(0, 0.05, (2, 3, 48)).astype(np.float32)
TINTS = np.array([-0.2, 0.2], np.float32)


class Linear(nn.Module):
    """Pictures that are linear in the latents and in what stands beside them."""

    @nn.compact
    def __call__(self, z, beside):
        x = nn.Dense(48, name="in")(jnp.concatenate([z, beside], axis=-1))
        return nn.Dense(48, name="out", kernel_init=lambda *_: jnp.eye(48))(x).reshape(-1, *SHAPE), {"first": x}


class Styled(nn.Module):
    """Pictures that are the sum of what two layers make of their styles."""

    @nn.compact
    def __call__(self, styles):
        parts = [nn.Dense(48, use_bias=False, name=f"layer_{i}")(styles[:, i]) for i in range(2)]
        return sum(parts).reshape(-1, *SHAPE), {}


def saved(spec):
    names = {name: tuple(f"{name}{i}" for i in range(classes)) for name, classes in spec.conditions}
    data = {"class_names": names, "condition_table": []}
    return types.SimpleNamespace(run=types.SimpleNamespace(name="toy", data=None), data=data)


def draw(state, key, num):
    return jax.random.normal(key, (num, LENGTH))


def linear(spec=SPEC, encodes=False, weights=WEIGHTS):
    """A model with z; with `encodes`, one that knows the way back."""
    kernel = np.concatenate([weights, np.ones((1, 48), np.float32)])
    out = {"kernel": jnp.eye(48), "bias": jnp.zeros(48)}
    state = {"params": {"in": {"kernel": jnp.asarray(kernel), "bias": jnp.zeros(48)}, "out": out}}

    def apply(state, z, condition):
        tint = jnp.zeros(len(z)) if condition is None else jnp.asarray(TINTS)[condition["tint"]]
        return Linear().apply(state, z, tint[:, None])

    latents, condition = uses.latents(LENGTH), uses.condition(spec)
    table = {
        "decode": (lambda s, latents, condition=None: apply(s, latents, condition)[0], (latents, condition)),
        "activate": (lambda s, latents, condition=None: apply(s, latents, condition)[1]["first"], (latents, condition)),
        "draw": (draw, (uses.KEY, uses.NUM)),
    }
    if encodes:
        back = jnp.asarray(np.linalg.pinv(weights))
        encode = lambda s, images, key, condition=None: images.reshape(len(images), -1) @ back
        table["encode"] = (encode, (uses.pictures(spec), uses.KEY, condition))
    return Space(ga.Model(Algorithm(spec, 1, None, None, None, {}, uses.table(**table)), state, saved(spec)))


def styled(name=""):
    """A model with w of two layers, which also holds the condition."""
    state = {"params": {f"layer_{i}": {"kernel": jnp.asarray(STYLES[i])} for i in range(2)}}

    def mapped(state, latents, condition=None, truncation=1.0):
        tint = jnp.asarray(TINTS)[condition["tint"]] * jnp.ones(len(latents))
        w = latents @ MAP + 10 * tint[:, None] * jnp.asarray([1.0, 0.0, 0.0])
        return jnp.repeat(5.0 + truncation * w[:, None], 2, axis=1)  # around a mean of 5

    picture = lambda state, styles: Styled().apply(state, styles - 5.0)[0]
    latents, condition = uses.latents(LENGTH), uses.condition(SPEC)
    share = Input("truncation", "number", low=0.0, high=1.5)
    decode = lambda s, latents, condition=None, truncation=1.0: picture(s, mapped(s, latents, condition, truncation))
    table = uses.table(
        decode=(decode, (latents, condition, share)),
        draw=(draw, (uses.KEY, uses.NUM)),
        map=(mapped, (latents, condition, share)),
        synthesize=(picture, (uses.styles((2, 3)),)),
    )
    return Space(ga.Model(Algorithm(SPEC, 1, None, None, None, {}, table), state, saved(SPEC)), name)
