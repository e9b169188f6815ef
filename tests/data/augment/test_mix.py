"""Mixup and CutMix against their definitions, and in the classifier's step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import genart_jax as ga
from genart_jax.data import augment
from tests import zoo
from tests.steps.test_layouts import BATCH, LAYOUTS, plain

N = 1000
# Operation by operation, each would be compiled by itself.
mixup, cutmix = jax.jit(augment.mixup), jax.jit(augment.cutmix)


def keys(n=N, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def batch(n=N, shape=(6, 10, 3), classes=4):
    rng = np.random.default_rng(0)
    targets = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, n)]
    return rng.uniform(-1, 1, (n, *shape)).astype(np.float32), targets


def partner(x):
    return x.reshape(len(x) // 2, 2, *x.shape[1:])[:, ::-1].reshape(x.shape)


@pytest.mark.parametrize("alpha", [0.4, 1.0])
def test_mixup_blends_neighbours_by_a_beta_share(alpha):
    images, targets = batch()
    out, labels = (np.asarray(v, np.float64) for v in mixup(images, targets, keys(), alpha))
    a, b = images.astype(np.float64), partner(images).astype(np.float64)
    share = ((out - b) * (a - b)).sum((1, 2, 3)) / ((a - b) ** 2).sum((1, 2, 3))
    assert scipy.stats.kstest(share, "beta", (alpha, alpha)).pvalue > 0.01
    s = share[:, None, None, None]
    np.testing.assert_allclose(out, s * a + (1 - s) * b, atol=1e-5)
    np.testing.assert_allclose(labels, share[:, None] * targets + (1 - share[:, None]) * partner(targets), atol=1e-5)


def test_cutmix_pastes_a_box_and_counts_its_area():
    images, targets = batch(4000, (20, 40, 1))
    out, labels = (np.asarray(v) for v in cutmix(images, targets, keys(4000), 1.0))
    box = (out != images)[..., 0]
    assert (out[box] == partner(images)[box]).all()
    rows, columns = box.any(2), box.any(1)
    np.testing.assert_array_equal(box, rows[:, :, None] & columns[:, None])
    kept = 1 - box.mean((1, 2))[:, None]
    np.testing.assert_allclose(labels, kept * targets + (1 - kept) * partner(targets), atol=1e-6)
    # Boxes that no edge cuts have the picture's shape, and sides whose square is uniform.
    whole = ~(rows[:, 0] | rows[:, -1] | columns[:, 0] | columns[:, -1]) & rows.any(1)
    assert np.abs(columns.sum(1) / 2 - rows.sum(1))[whole].max() <= 1
    area, centre = np.random.default_rng(1).uniform(size=(2, 100_000))
    half = np.sqrt(area) / 2
    side = np.clip(centre + half, 0, 1) - np.clip(centre - half, 0, 1)
    np.testing.assert_allclose(columns.mean(), side.mean(), atol=0.02)


def test_both_share_the_examples():
    images, targets = batch()
    out, _ = jax.jit(augment.mix, static_argnums=(3, 4))(images, targets, keys(), 1.0, 1.0)
    blended, _ = mixup(images, targets, keys(), 1.0)
    cut, _ = cutmix(images, targets, keys(), 1.0)
    is_blended, is_cut = ((np.asarray(out) == v).all((1, 2, 3)) for v in (np.asarray(blended), np.asarray(cut)))
    assert (is_blended | is_cut).all()
    assert 0.4 < is_blended.mean() < 0.6


def test_gradients_flow_and_odd_batches_are_refused():
    images, targets = batch(4)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(augment.mix(x, targets, keys(4), 1.0, 1.0)[0])))(images)
    np.testing.assert_allclose(jnp.sum(gradient), images.size, rtol=1e-4)  # the shares add up
    with pytest.raises(ga.UserError, match="3 here are odd"):
        augment.mixup(images[:3], targets[:3], keys(3), 1.0)


@pytest.mark.parametrize("layout", ["4x2", "shard_map"])
def test_every_layout_mixes_alike(layout, full):
    if layout == "4x2" and not full:
        pytest.skip("one layout is enough, but with --full")
    options = {"optimizer": zoo.SGD, "step": {"mixup": 0.4, "cutmix": 1.0}}
    algorithm, state, step = plain("simple_cnn", **options)
    data = zoo.full_batch(algorithm, BATCH)
    expected, metrics = step(state, data, jax.random.key(3))
    got, other = LAYOUTS[layout]("simple_cnn", **options)(state, data, jax.random.key(3), ())
    assert zoo.relative(expected.params, got.params) < 1e-5
    np.testing.assert_allclose(metrics["loss"], other["loss"], rtol=1e-5)
    _, unmixed_state, unmixed = plain("simple_cnn", optimizer=zoo.SGD)
    assert zoo.relative(unmixed(unmixed_state, data, jax.random.key(3))[0].params, expected.params) > 1e-4


def test_wrong_options_are_named():
    with pytest.raises(ga.UserError, match="must not be negative"):
        zoo.tiny("simple_cnn", step={"mixup": -1.0})
    with pytest.raises(ga.UserError, match="choose an even number"):
        zoo.tiny("simple_cnn", step={"cutmix": 1.0}, train={"batch": 7})
