"""The pipeline of ADA: the law of each transformation's amounts, and what it does to pictures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import genart_jax as ga
from genart_jax.data.augment.ada import OPS, ada, amplification, coloring, placement
from tests.nn.test_warp import octaves

N = 4000
SIZE = (16, 32)


augmented = jax.jit(ada, static_argnames="ops")  # operation by operation, each would be compiled by itself


def keys(n=N, seed=0):
    return jax.random.split(jax.random.key(seed), n)


@functools.cache
def placed(p, ops):
    """Whether, and the output positions of each example's map: (N, 2, 3) float64."""
    on, maps = jax.jit(jax.vmap(functools.partial(placement, size=SIZE, ops=ops), in_axes=(0, None)))(keys(), p)
    return np.asarray(on), np.asarray(maps, np.float64)


def share(mask, wanted):
    """`mask` is true for the wanted share, to four standard errors."""
    assert abs(np.mean(mask) - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / N) + 1e-9


def test_blits():
    p = 0.6
    on, maps = placed(p, ("blit",))
    linear, shift = maps[:, :, :2], maps[:, :, 2]
    assert set(np.unique(linear)) == {-1, 0, 1}
    share(np.linalg.det(linear) < 0, p / 2)  # flips
    turned = np.where((np.linalg.det(linear) < 0)[:, None, None], np.diag([-1, 1]) @ linear, linear)
    quarters = np.round(np.arctan2(turned[:, 1, 0], turned[:, 0, 0]) / (np.pi / 2)).astype(int) % 4
    for quarter in (1, 2, 3):
        share(quarters == quarter, p / 4)
    moved = (np.linalg.inv(linear) @ shift[..., None])[..., 0]
    np.testing.assert_allclose(moved, np.round(moved), atol=1e-5)
    assert np.abs(moved[:, 0]).max() == 4 and np.abs(moved[:, 1]).max() == 2  # an eighth of 32 and 16  # noqa: PT018
    # Uniform in +- 4 before rounding: 7 whole places of 1/8, and half as much at the ends.
    counts = np.bincount(np.round(moved[(moved != 0).any(1), 0]).astype(int) + 4, minlength=9)
    inner = [counts[i] for i in (1, 2, 3, 5, 6, 7)]
    assert 0.3 < (counts[0] + counts[8]) / 2 / np.mean(inner) < 0.7
    share((linear == np.eye(2)).all((1, 2)) & (moved == 0).all(1), np.mean(~on | ((maps == np.eye(3)[:2]).all((1, 2)))))


def test_geometry():
    p = 0.5
    _, maps = placed(p, ("geometric",))
    linear = maps[:, :, :2]
    # The area: two scalings of the same law, of which the second keeps it.
    area = np.log2(np.linalg.det(linear))
    share(np.abs(area) > 1e-5, p)
    sizes = area[np.abs(area) > 1e-5] / -2
    assert scipy.stats.kstest(sizes / 0.2, "norm").pvalue > 0.01
    stretch = np.log2(np.linalg.svd(linear, compute_uv=False) / np.exp2(area / 2)[:, None])[:, 0]
    share(stretch > 1e-4, p)
    assert scipy.stats.kstest(stretch[stretch > 1e-4] / 0.2, "halfnorm").pvalue > 0.01
    # Turned by one of two rotations, both uniform: with probability p in all.
    angle = np.arctan2(linear[:, 1, 0] - linear[:, 0, 1], linear[:, 0, 0] + linear[:, 1, 1])
    share(np.abs(angle) > 1e-4, p)
    assert scipy.stats.kstest(angle[np.abs(angle) > 1e-4], "uniform", (-np.pi, 2 * np.pi)).pvalue > 0.01
    moved = -(np.linalg.inv(linear) @ maps[:, :, 2:])[..., 0]
    share(np.abs(moved).sum(1) > 1e-4, p)
    for axis, side in ((0, 32), (1, 16)):
        there = moved[np.abs(moved).sum(1) > 1e-4, axis]
        assert scipy.stats.kstest(there / (0.125 * side), "norm").pvalue > 0.01


def test_colors():
    p = 0.5
    on, matrix, offset = (np.asarray(v, np.float64) for v in jax.jit(jax.vmap(coloring, in_axes=(0, None)))(keys(), p))
    grey = np.ones(3) / np.sqrt(3)
    # Each step keeps the grey axis, and turns or scales the plane across it.
    luma = matrix @ grey @ grey
    np.testing.assert_allclose(matrix @ grey, luma[:, None] * grey, atol=1e-5)
    contrast = np.log2(np.abs(luma))
    share(luma < 0, p / 2)
    share(np.abs(contrast) > 1e-5, p)
    assert scipy.stats.kstest(contrast[np.abs(contrast) > 1e-5] / 0.5, "norm").pvalue > 0.01
    bright = offset.mean(1) / luma
    np.testing.assert_allclose(offset, offset.mean(1)[:, None] * np.ones(3), atol=1e-5)
    share(np.abs(bright) > 1e-6, p)
    assert scipy.stats.kstest(bright[np.abs(bright) > 1e-6] / 0.2, "norm").pvalue > 0.01
    a, b = np.array([1, -1, 0]) / np.sqrt(2), np.array([1, 1, -2]) / np.sqrt(6)
    plane = np.stack([np.stack([matrix @ u @ v for u in (a, b)], -1) for v in (a, b)], 1) / np.abs(luma)[:, None, None]
    saturation = 0.5 * np.log2(np.abs(np.linalg.det(plane)))
    share(np.abs(saturation) > 1e-4, p)
    assert scipy.stats.kstest(saturation[np.abs(saturation) > 1e-4], "norm").pvalue > 0.01
    hue = np.arctan2(plane[:, 1, 0], plane[:, 0, 0])
    share(np.abs(hue) > 1e-4, p)
    assert scipy.stats.kstest(hue[np.abs(hue) > 1e-4], "uniform", (-np.pi, 2 * np.pi)).pvalue > 0.01
    share(on, 1 - (1 - p) ** 4 * (1 - p / 2))


def test_amplification_keeps_the_power_of_natural_pictures():
    p = 0.4
    on, gains = (np.asarray(v, np.float64) for v in jax.jit(jax.vmap(amplification, in_axes=(0, None)))(keys(), p))
    share(on, 1 - (1 - p) ** 4)
    power = (gains**2 * np.array([10, 1, 1, 1]) / 13).sum(1)
    only = np.isclose(gains[:, [1]], gains[:, 1:]).all(1) & on.astype(bool)  # the lowest band alone was changed
    np.testing.assert_allclose(power[only], 1, rtol=1e-5)
    strength = np.log2(gains[only, 0] / gains[only, 1])
    assert scipy.stats.kstest(strength, "norm").pvalue > 0.01


def test_filters_do_what_their_gains_say():
    """A wave is scaled by the gains of the bands that it is in, along each axis."""
    n, frequency = 32, np.pi * 24 / 63
    wave = np.cos(frequency * np.arange(64))[None, None, :, None] * np.ones((n, 8, 1, 2))
    out = np.asarray(augmented(wave.astype(np.float32), keys(n), 0.5, ("filter",)))
    gains = np.asarray(jax.jit(jax.vmap(amplification, in_axes=(0, None)))(keys(n), 0.5)[1])
    for before, after, gain in zip(wave, out, gains, strict=True):
        np.testing.assert_allclose(after, before * (gain @ octaves(frequency)) * (gain @ octaves(0.0)), atol=1e-4)


def test_noise():
    images = np.zeros((N, 8, 8, 3), np.float32)
    out = np.asarray(augmented(images, keys(), 0.5, ("noise",)))
    sigma = out.std((1, 2, 3))
    share(sigma > 0, 0.5)
    assert scipy.stats.kstest(sigma[sigma > 0] / 0.1, "halfnorm").pvalue > 0.01
    loud = out[sigma > 0.05] / sigma[sigma > 0.05, None, None, None]
    assert scipy.stats.kstest(loud.ravel()[:5000], "norm").pvalue > 0.01


def test_cutout():
    hole = np.asarray(augmented(np.ones((N, 8, 16, 1), np.float32), keys(), 0.5, ("cutout",)))[..., 0] == 0
    share(hole.any((1, 2)), 0.5)
    rows, columns = hole.any(2), hole.any(1)
    np.testing.assert_array_equal(hole, rows[:, :, None] & columns[:, None])
    assert rows.sum(1).max() == 4 and columns.sum(1).max() == 8  # noqa: PT018
    centre = np.linspace(0, 1, 100_001)
    for line, side in ((rows, 8), (columns, 16)):
        at = np.arange(side)
        inside = (at >= np.round((centre[:, None] - 0.25) * side)) & (at < np.round((centre[:, None] + 0.25) * side))
        np.testing.assert_allclose(line.mean(0), 0.5 * inside.mean(0), atol=4 * 0.5 / np.sqrt(N))


@pytest.mark.parametrize("shape", [(16, 16, 3), (8, 12, 3)])
def test_probability_0_is_the_identity_to_the_bit(shape):
    images = np.random.default_rng(0).uniform(-1, 1, (8, *shape)).astype(np.float32)
    images[0] = -0.0
    out = np.asarray(augmented(images, keys(8), np.zeros(8), OPS))
    np.testing.assert_array_equal(out.view(np.uint32), images.view(np.uint32))
    mixed = np.asarray(augmented(images, keys(8), np.array([0.0, 1.0] * 4), OPS))
    np.testing.assert_array_equal(mixed[::2].view(np.uint32), images[::2].view(np.uint32))
    assert (np.abs(mixed[1::2] - images[1::2]).mean((1, 2, 3)) > 0.05).all()


def test_no_transformation_leaks_its_mean():
    """Flips and turns are drawn evenly, so that at p = 1 the mean of many is symmetric; below, the picture wins."""
    images = np.zeros((N, 8, 8, 3), np.float32)
    images[:, :4, :4, 0] = 1
    mean = np.asarray(augmented(images, keys(), 1.0, ("blit",))).mean(0)
    assert mean[..., 0].std() < 0.15
    half = np.asarray(augmented(images, keys(), 0.5, ("blit",))).mean(0)
    assert half[:4, :4, 0].mean() > 2 * half[4:, 4:, 0].mean()


@pytest.mark.parametrize("ops", [("blit", "geometric", "color"), ("filter", "noise", "cutout")])
def test_the_key_alone_decides_and_gradients_flow(ops):
    rng = np.random.default_rng(1)
    images, p = rng.uniform(-1, 1, (8, 8, 12, 3)).astype(np.float32), np.linspace(0.2, 1, 8, dtype=np.float32)
    apply = jax.jit(functools.partial(ada, ops=ops))
    whole = apply(images, keys(8), p)
    parts = [apply(images[i : i + 2], keys(8)[i : i + 2], p[i : i + 2]) for i in range(0, 8, 2)]
    np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-5)
    twice = jax.jit(jax.vmap(apply, in_axes=(None, 0, None)))(images, jnp.stack([keys(8), keys(8, 1)]), p)
    np.testing.assert_allclose(twice[0], whole, atol=1e-5)
    assert float(jnp.max(jnp.abs(twice[1] - whole))) > 0.1
    weights, direction = rng.normal(size=(2, *images.shape)).astype(np.float32)
    value = jax.jit(lambda x: jnp.sum(weights * apply(x, keys(8), p)))
    gradient = jax.jit(jax.grad(value))(images)
    finite = (value(images + 0.1 * direction) - value(images - 0.1 * direction)) / 0.2  # affine in the pictures
    np.testing.assert_allclose(jnp.sum(gradient * direction), finite, rtol=2e-3)
    assert float(jnp.mean(gradient != 0)) > 0.5


def test_wrong_operations_are_named():
    with pytest.raises(ga.UserError, match="needs 3 channels, not 1"):
        ada(jnp.zeros((2, 8, 8, 1)), keys(2), 0.5)
    with pytest.raises(ga.UserError, match="'blur' is unknown; there are blit"):
        ada(jnp.zeros((2, 8, 8, 3)), keys(2), 0.5, ("blur",))
    others = tuple(name for name in OPS if name != "color")
    assert jax.eval_shape(lambda x: ada(x, keys(2), 0.5, others), jnp.zeros((2, 8, 12, 1))).shape == (2, 8, 12, 1)
