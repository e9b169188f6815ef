"""The vector-quantised step: its loss, its codes, and what it reports."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import genart_jax as ga
from genart_jax import registry
from genart_jax.train.evaluation import ratios
from tests import zoo

KEY = jax.random.key(5)


def networks(**options):
    run = ga.configure("vqvae", preset="tiny", image_shape=zoo.SHAPE, **options)
    return registry.model_module("vqvae").networks(run.model)


def started(size=8, **options):
    algorithm = zoo.tiny("vqvae", **options)
    batch = zoo.batch(algorithm.batch_spec, size)
    return algorithm, zoo.start(algorithm, KEY, batch), batch


def test_loss_is_equation_3():
    algorithm, state, batch = started(step={"beta": 0.7})
    parts = networks()
    z, _ = parts["encoder"].module.apply({"params": state.params["encoder"]}, batch["image"])
    book = np.asarray(state.mutable["quantizer"]["codebook"]["embedding"], np.float64)
    z = np.asarray(z, np.float64)
    codes = np.linalg.norm(z[..., None, :] - book, axis=-1).argmin(axis=-1)
    output, _ = parts["decoder"].module.apply({"params": state.params["decoder"]}, jnp.float32(book[codes]))
    mse = np.mean((np.asarray(batch["image"], np.float64) - np.asarray(output, np.float64)) ** 2)
    commitment = np.mean((z - book[codes]) ** 2)
    _, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    np.testing.assert_allclose(metrics["loss"], mse + 0.7 * commitment, rtol=1e-5)
    np.testing.assert_allclose(metrics["mse"], mse, rtol=1e-5)
    expected = np.exp(scipy.stats.entropy(np.bincount(codes.ravel(), minlength=16)))
    np.testing.assert_allclose(metrics["perplexity"], expected, rtol=1e-4)
    np.testing.assert_array_equal(algorithm.encode(state, batch["image"], KEY), codes)


def test_reported_perplexity_is_of_the_whole_split():
    algorithm, state, batch = started(16)
    evaluate = jax.jit(algorithm.evaluate)
    halves = [evaluate(state, jax.tree.map(lambda x, i=i: x[i : i + 8], batch), KEY) for i in (0, 8)]
    merged = ratios(jax.tree.map(lambda a, b: np.asarray(a) + np.asarray(b), *halves))
    codes = np.asarray(algorithm.encode(state, batch["image"], KEY))
    expected = np.exp(scipy.stats.entropy(np.bincount(codes.ravel(), minlength=16)))
    np.testing.assert_allclose(merged["perplexity"], expected, rtol=1e-4)
    assert set(merged) == {"mse", "commitment", "perplexity"}


def test_the_codebook_fills_up():
    """All codes but a few are dead at the start; one step makes encodings of them, and they are used."""
    algorithm, state, batch = started(32)
    step = jax.jit(algorithm.step)
    perplexities = []
    for _ in range(3):
        state, metrics = step(state, batch, KEY)
        perplexities.append(float(metrics["perplexity"]))
    assert perplexities[2] > 2 * perplexities[0]


def test_fixed_levels():
    algorithm, state, batch = started(16, levels=(8, 9), optimizer=zoo.SGD)
    assert not jax.tree.leaves(state.mutable)
    parts = zoo.tiny("vqvae", levels=(8, 9), optimizer=zoo.SGD, train={"batch": 16, "microbatch": 4})
    expected, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    got, part_metrics = jax.jit(parts.step)(state, batch, KEY)
    assert float(metrics["loss"]) == float(metrics["mse"])
    np.testing.assert_allclose(part_metrics["perplexity"], metrics["perplexity"], rtol=1e-4)
    for old, a, b in zip(*map(jax.tree.leaves, (state.params, expected.params, got.params)), strict=True):
        assert np.abs(a - old).max() > 1e-6
        np.testing.assert_allclose(b - old, a - old, rtol=2e-3, atol=1e-6)
    codes = algorithm.encode(state, batch["image"], KEY)
    assert codes.shape == (16, 4, 4)
    assert int(codes.max()) < 72
    assert algorithm.decode(state, codes).shape == batch["image"].shape


def test_wrong_options():
    for options, words in (({"levels": (2, 5)}, "at least 3"), ({"decay": 1.0}, "below 1"), ({"codes": 0}, "at least")):
        with pytest.raises(ga.UserError, match=words):
            zoo.tiny("vqvae", **options)
    with pytest.raises(ga.UserError, match="multiples of 4"):
        zoo.tiny("vqvae", image_shape=(18, 16, 3))
    with pytest.raises(ga.UserError, match="beta"):
        zoo.tiny("vqvae", step={"beta": -1.0})
    algorithm, state, batch = started(16, train={"batch": 16, "microbatch": 4})
    with pytest.raises(ga.UserError, match="codebook"):
        algorithm.step(state, batch, KEY)
