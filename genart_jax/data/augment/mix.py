"""Augmentations that mix examples and their labels: mixup and CutMix. Neighbours in the batch are partners."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genart_jax.config import UserError
from genart_jax.nn.random import stream

Pair = tuple[jax.Array, jax.Array]


def mix(images: jax.Array, targets: jax.Array, keys: jax.Array, mixup_alpha: float, cutmix_alpha: float) -> Pair:
    """Mixup or CutMix, whichever has an alpha above 0; where both have, each example takes one of them by chance."""
    out = images, targets
    if mixup_alpha:
        out = mixup(images, targets, keys, mixup_alpha)
    if not cutmix_alpha:
        return out
    cut = cutmix(images, targets, keys, cutmix_alpha)
    if not mixup_alpha:
        return cut
    heads = jax.vmap(lambda key: jax.random.bernoulli(stream(key, "mix")))(keys)
    choose = lambda a, b: jnp.where(heads.reshape(-1, *[1] * (a.ndim - 1)), a, b)
    return choose(out[0], cut[0]), choose(out[1], cut[1])


def mixup(images: jax.Array, targets: jax.Array, keys: jax.Array, alpha: float) -> Pair:
    """Each example becomes l times itself and (1 - l) times its partner, with l from Beta(alpha, alpha).

    Zhang et al. 2018, "mixup: beyond empirical risk minimization", section 2.

    Args:
      images: float (B, ...), B even.
      targets: (B, classes), distributions over classes.
      keys: (B,) typed keys.

    Raises:
      UserError: an odd number of examples.
    """
    share = _shares(keys, "mixup", alpha)
    blend = lambda x: (s := share.reshape(-1, *[1] * (x.ndim - 1))) * x + (1.0 - s) * partners(x)
    return blend(images), blend(targets)


def cutmix(images: jax.Array, targets: jax.Array, keys: jax.Array, alpha: float) -> Pair:
    """A box of each example's partner is pasted into it; labels mix by the area that each has in the end.

    Yun et al. 2019, "CutMix: regularization strategy to train strong classifiers", eq. 1 and 2: the box has the sides'
    shape and covers 1 - l of the picture, with l from Beta(alpha, alpha); its centre is anywhere, and what reaches over
    the edge is cut off.

    Args:
      images: float (B, height, width, channels), B even.
      targets: (B, classes), distributions over classes.
      keys: (B,) typed keys.

    Raises:
      UserError: an odd number of examples.
    """
    share = _shares(keys, "cutmix", alpha)
    sides = images.shape[1:3]
    centres = jax.vmap(lambda key: jax.random.uniform(stream(key, "cutmix centre"), (2,)))(keys)
    inside = []
    for axis, side in enumerate(sides):
        half = 0.5 * side * jnp.sqrt(1.0 - share)
        low, high = (jnp.round(centres[:, axis] * side + d)[:, None] for d in (-half, half))
        inside.append((jnp.arange(side) >= low) & (jnp.arange(side) < high))
    box = inside[0][:, :, None] & inside[1][:, None, :]
    kept = 1.0 - jnp.mean(box, axis=(1, 2))[:, None]
    return jnp.where(box[..., None], partners(images), images), kept * targets + (1.0 - kept) * partners(targets)


def partners(x: jax.Array) -> jax.Array:
    """The other of each pair of neighbours: no example leaves its device, and the layout changes nothing."""
    if len(x) % 2:
        raise UserError(f"mixup and cutmix mix pairs of examples; {len(x)} here are odd, choose an even train.batch")
    return x.reshape(len(x) // 2, 2, *x.shape[1:])[:, ::-1].reshape(x.shape)


def _shares(keys: jax.Array, name: str, alpha: float) -> jax.Array:
    return jax.vmap(lambda key: jax.random.beta(stream(key, name), alpha, alpha))(keys)
