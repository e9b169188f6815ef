"""The augmentation pipeline of adaptive discriminator augmentation.

Karras et al. 2020b, "Training generative adversarial networks with limited data", arXiv:2006.06676, appendix B: 18
transformations in six groups, each applied with probability p. Geometry is gathered into one map and one resampling,
colour into one matrix. The groups "blit", "geometric" and "color" are those that the paper recommends (section 3).
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp

from genart_jax.data.augment.diffaugment import check_ops
from genart_jax.nn.random import stream
from genart_jax.nn.warp import bands, warp

OPS = ("blit", "geometric", "color", "filter", "noise", "cutout")
RECOMMENDED = OPS[:3]

_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # of the four bands in natural pictures


def ada(images: jax.Array, keys: jax.Array, p: jax.Array | float, ops: tuple[str, ...] = RECOMMENDED) -> jax.Array:
    """Applies each transformation of the groups `ops` to each example with probability `p`.

    Args:
      images: float (B, height, width, channels) in [-1, 1]; the result may leave the range. On a rectangle a quarter
        turn shows what lies beyond the short sides, the picture mirrored.
      keys: (B,) typed keys.
      p: scalar or (B,); 0 gives the pictures back to the bit.
      ops: of "blit", "geometric", "color" (3 channels), "filter", "noise" and "cutout".

    Raises:
      UserError: an unknown group, or colour without three channels.
    """
    check_ops(ops, OPS, images.shape[-1])
    p = jnp.broadcast_to(p, keys.shape)
    size = images.shape[1], images.shape[2]
    if "blit" in ops or "geometric" in ops:
        on, maps = jax.vmap(functools.partial(placement, size=size, ops=ops))(keys, p)
        images = jnp.where(on[:, None, None, None], warp(images, maps), images)
    if "color" in ops:
        on, matrix, offset = jax.vmap(coloring)(keys, p)
        # Channel by channel: sums over an axis of three are slow on CPU, and their gradient most of all.
        old = [images[..., c] for c in range(3)]
        of = lambda value: value[:, None, None]
        mixed = [sum(of(matrix[:, i, c]) * old[c] for c in range(3)) + of(offset[:, i]) for i in range(3)]
        images = jnp.stack([jnp.where(of(on), new, channel) for new, channel in zip(mixed, old, strict=True)], axis=-1)
    if "filter" in ops:
        on, gains = jax.vmap(amplification)(keys, p)
        rows, columns = (jnp.einsum("nb,bij->nij", gains, bands(side)) for side in size)
        filtered = jnp.einsum("nyh,nhwc,nxw->nyxc", rows, images, columns)
        images = jnp.where(on[:, None, None, None], filtered, images)
    for name, function in (("noise", _add_noise), ("cutout", _cut_out)):
        if name in ops:
            images = jax.vmap(function)(images, keys, p)
    return images


def _draw(key: jax.Array, name: str, gates: int) -> tuple[jax.Array, jax.Array]:
    """Uniform numbers that switch a group's transformations on (gates,), and the key of its amounts."""
    key = stream(key, name)
    return jax.random.uniform(stream(key, "on"), (gates,)), stream(key, "amount")


def placement(
    key: jax.Array, p: jax.Array, size: tuple[int, int], ops: tuple[str, ...] = RECOMMENDED
) -> tuple[jax.Array, jax.Array]:
    """Whether one example is moved at all, and its map (2, 3) from output to input positions, as `warp` takes it."""
    height, width = size
    steps = []  # (whether, inverse) in the order of the paper
    if "blit" in ops:
        gate, key_b = _draw(key, "blit", 3)
        flip, turn, right, down = jax.random.uniform(key_b, (4,))
        quarters = jnp.floor(4 * turn).astype(jnp.int32)
        cosine, sine = (jnp.array(v, jnp.float32)[quarters] for v in ((1, 0, -1, 0), (0, 1, 0, -1)))
        shift = [jnp.round((t - 0.5) * 0.25 * side) for t, side in ((right, width), (down, height))]
        steps += [
            ((gate[0] < p) & (flip < 0.5), _linear(-1.0, 0.0, 0.0, 1.0)),
            (gate[1] < p, _linear(cosine, -sine, sine, cosine)),
            (gate[2] < p, _translation(*shift)),
        ]
    if "geometric" in ops:
        gate, key_g = _draw(key, "geometric", 5)
        isotropic, anisotropic, right, down = jax.random.normal(stream(key_g, "normal"), (4,))
        before, after = jax.random.uniform(stream(key_g, "angle"), (2,), minval=-math.pi, maxval=math.pi)
        p_turn = 1.0 - jnp.sqrt(1.0 - p)  # so that one of two independent turns happens with probability p
        scale, stretch = jnp.exp2(-0.2 * isotropic), jnp.exp2(-0.2 * anisotropic)
        steps += [
            (gate[0] < p, _linear(scale, 0.0, 0.0, scale)),
            (gate[1] < p_turn, _rotation(before)),
            (gate[2] < p, _linear(stretch, 0.0, 0.0, 1.0 / stretch)),
            (gate[3] < p_turn, _rotation(after)),
            (gate[4] < p, _translation(0.125 * width * right, 0.125 * height * down)),
        ]
    on, total = jnp.zeros((), bool), jnp.eye(3)
    for whether, inverse in steps:
        on = on | whether
        # Sums of products, not a matrix product: positions must keep full precision under every policy.
        total = jnp.where(whether, jnp.sum(total[:, :, None] * inverse[None], axis=1), total)
    return on, total[:2]


def _linear(a: jax.Array | float, b: jax.Array | float, c: jax.Array | float, d: jax.Array | float) -> jax.Array:
    return jnp.array([[a, b, 0.0], [c, d, 0.0], [0.0, 0.0, 1.0]])


def _rotation(angle: jax.Array) -> jax.Array:
    return _linear(jnp.cos(angle), -jnp.sin(angle), jnp.sin(angle), jnp.cos(angle))


def _translation(x: jax.Array, y: jax.Array) -> jax.Array:
    """The inverse of a move by (x, y) pixels."""
    return jnp.array([[1.0, 0.0, -x], [0.0, 1.0, -y], [0.0, 0.0, 1.0]])


def coloring(key: jax.Array, p: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Whether one example's colours change, and its affine map of (r, g, b): matrix (3, 3) and offset (3,)."""
    gate, key = _draw(key, "color", 5)
    whether = gate < p
    brightness, contrast, saturation = jax.random.normal(stream(key, "normal"), (3,))
    flip, turn = jax.random.uniform(stream(key, "uniform"), (2,))
    angle = math.pi * (2.0 * turn - 1.0)
    eye, luma = jnp.eye(3), jnp.full((3, 3), 1 / 3)  # luma: the projection on the grey axis
    cross = jnp.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    whether = whether.at[2].set(whether[2] & (flip < 0.5))
    steps = (
        (whether[1], jnp.exp2(0.5 * contrast) * eye),
        (whether[2], eye - 2.0 * luma),
        (whether[3], luma + jnp.cos(angle) * (eye - luma) + jnp.sin(angle) * cross),
        (whether[4], luma + jnp.exp2(saturation) * (eye - luma)),
    )
    total = jnp.concatenate([eye, jnp.where(whether[0], 0.2 * brightness, 0.0) * jnp.ones((3, 1))], axis=1)
    for on, step in steps:
        total = jnp.where(on, jnp.sum(step[:, :, None] * total[None], axis=1), total)
    return jnp.any(whether), total[:, :3], total[:, 3]


def amplification(key: jax.Array, p: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whether one example is filtered, and the gains of its four bands (4,), the lowest first."""
    gate, key = _draw(key, "filter", 4)
    strength = jnp.exp2(jax.random.normal(key, (4,)))
    power, gains = jnp.array(_POWER), jnp.ones(4)
    for band in range(4):
        one = jnp.ones(4).at[band].set(strength[band])
        gains = jnp.where(gate[band] < p, gains * one / jnp.sqrt(jnp.sum(power * one**2)), gains)
    return jnp.any(gate < p), gains


def _add_noise(image: jax.Array, key: jax.Array, p: jax.Array) -> jax.Array:
    gate, key = _draw(key, "noise", 1)
    sigma = 0.1 * jnp.abs(jax.random.normal(stream(key, "sigma")))
    return jnp.where(gate[0] < p, image + sigma * jax.random.normal(stream(key, "pixels"), image.shape), image)


def _cut_out(image: jax.Array, key: jax.Array, p: jax.Array) -> jax.Array:
    """A hole of half of each side, filled with 0."""
    gate, key = _draw(key, "cutout", 1)
    inside = []
    for side, centre in zip(image.shape[:2], jax.random.uniform(key, (2,)), strict=True):
        low, high = (jnp.round((centre + shift) * side) for shift in (-0.25, 0.25))
        inside.append((jnp.arange(side) >= low) & (jnp.arange(side) < high))
    hole = inside[0][:, None, None] & inside[1][None, :, None]
    return jnp.where((gate[0] < p) & hole, 0.0, image)
