"""The variational step against a float64 bound written out here, and its options."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax import registry
from genart_jax.nn import random
from tests import zoo

KEY = jax.random.key(5)


def build(**step):
    return zoo.tiny("conv_vae", step=step)


@pytest.mark.parametrize(
    "options", [{"scale": "fixed", "fixed_scale": 0.3}, {"likelihood": "bernoulli", "binarize": "threshold"}]
)
def test_bound_equals_its_definition(options):
    """log q(z|x) - log p(x|z) - log p(z) of the drawn z has the bound's expectation: average over many draws."""
    algorithm = build(**options)
    config = ga.configure("conv_vae", preset="tiny", image_shape=zoo.SHAPE, conditions=zoo.CONDITIONS)
    networks = registry.model_module("conv_vae").networks(config.model)
    one = zoo.batch(algorithm.batch_spec, 1)
    draws = 512
    batch = jax.tree.map(lambda x: jnp.repeat(x, draws, axis=0), one)
    state = zoo.start(algorithm, KEY, batch)
    sums = jax.jit(algorithm.evaluate)(state, batch, KEY)
    got = float(sums["elbo"][0] / sums["elbo"][1])

    rng = np.random.default_rng(0)
    params = state.params
    (mean, log_variance), _ = networks["encoder"].module.apply(
        {"params": params["encoder"]}, one["image"], one["condition"]
    )
    mean, log_variance = np.asarray(mean, np.float64), np.asarray(log_variance, np.float64)
    noise = rng.normal(size=(draws, mean.shape[-1]))
    z = mean + np.exp(log_variance / 2) * noise
    log_q = (-0.5 * (noise**2 + log_variance + math.log(2 * math.pi))).sum(axis=1)
    log_prior = (-0.5 * (z**2 + math.log(2 * math.pi))).sum(axis=1)
    output, _ = networks["decoder"].module.apply(
        {"params": params["decoder"]}, jnp.asarray(z, jnp.float32), batch["condition"]
    )
    output = np.asarray(output, np.float64)
    image = np.asarray(one["image"], np.float64)
    if options.get("likelihood") == "bernoulli":
        x = 1.0 * (image > 0)
        probability = 1 / (1 + np.exp(-output))
        log_p = (x * np.log(probability) + (1 - x) * np.log(1 - probability)).sum(axis=(1, 2, 3))
    else:
        x = image + rng.uniform(-0.5, 0.5, size=(draws, *zoo.SHAPE)) / 127.5
        density = -0.5 * ((x - output) / 0.3) ** 2 - math.log(0.3) - 0.5 * math.log(2 * math.pi)
        log_p = (density - math.log(127.5)).sum(axis=(1, 2, 3))
    terms = log_p + log_prior - log_q
    assert abs(got - terms.mean()) < 5 * terms.std() / math.sqrt(draws) + 1e-3 * abs(got)


def test_optimal_scale_is_the_root_mean_squared_error():
    """The Gaussian bound is lowest at the batch's own scale: no fixed scale near it does better."""
    build = lambda **step: zoo.tiny("mlp_vae", step={"likelihood": "gaussian"} | step)
    optimal = build(beta=0.0)
    batch = zoo.batch(optimal.batch_spec, 16)
    state = zoo.start(optimal, KEY, batch)
    state_next, metrics = jax.jit(optimal.step)(state, batch, KEY)
    scale = float(jnp.sqrt(state_next.extra["squared_error"]))
    for factor in (0.8, 1.0, 1.25):
        fixed = build(beta=0.0, scale="fixed", fixed_scale=scale * factor)
        loss = float(jax.jit(fixed.step)(state.replace(extra={}), batch, KEY)[1]["loss"])
        if factor == 1.0:
            np.testing.assert_allclose(loss, metrics["loss"], rtol=1e-4)
        else:
            assert loss > float(metrics["loss"])


def test_beta_and_free_bits():
    options = {"plain": {}, "beta": {"beta": 3.0}, "free": {"free_bits": 100.0}}
    made = {name: zoo.tiny("mlp_vae", step={"likelihood": "gaussian"} | step) for name, step in options.items()}
    batch = zoo.batch(made["plain"].batch_spec, 16)
    state = zoo.start(made["plain"], KEY, batch)
    metrics = {name: jax.jit(algorithm.step)(state, batch, KEY)[1] for name, algorithm in made.items()}
    kl = float(metrics["plain"]["kl"])
    np.testing.assert_allclose(metrics["beta"]["loss"] - metrics["plain"]["loss"], 2 * kl, rtol=2e-2)
    np.testing.assert_allclose(metrics["free"]["loss"] - metrics["plain"]["loss"], 4 * 100 - kl, rtol=1e-2)
    np.testing.assert_allclose(metrics["plain"]["bits_per_dim"], metrics["free"]["bits_per_dim"], rtol=1e-5)


def test_wide_open_decoder_costs_a_level_of_noise():
    """Bits per dimension cannot fall below what a known picture costs: at a tiny scale the noise alone is paid for."""
    algorithm = build(scale="fixed", fixed_scale=1e-3)
    batch = zoo.batch(algorithm.batch_spec, 4)
    state = zoo.start(algorithm, KEY, batch)
    sums = jax.jit(algorithm.evaluate)(state, batch, KEY)
    assert float(sums["bits_per_dim"][0] / sums["bits_per_dim"][1]) > 0


def test_reconstruction_goes_through_the_latent():
    algorithm = build()
    batch = zoo.batch(algorithm.batch_spec, 4)
    state = zoo.start(algorithm, KEY, batch)
    use = lambda name, *inputs: jax.jit(algorithm.use(name).function)(state, *inputs, batch["condition"])
    z = use("encode", batch["image"], KEY)
    np.testing.assert_allclose(use("transform", batch["image"], KEY), use("decode", z), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("binarize", ["none", "threshold", "stochastic"])
def test_bernoulli_pixels(binarize):
    algorithm = zoo.tiny("mlp_vae", step={"likelihood": "bernoulli", "binarize": binarize})
    batch = zoo.batch(algorithm.batch_spec, 4)
    state, metrics = jax.jit(algorithm.step)(zoo.start(algorithm, KEY, batch), batch, KEY)
    assert np.isfinite(metrics["loss"])
    images = jax.jit(algorithm.sample, static_argnums=2)(state, KEY, 3)
    assert float(np.max(np.abs(images))) <= 1


def test_random_streams_are_named():
    key = random.stream(KEY, "a")
    assert not jnp.array_equal(jax.random.key_data(key), jax.random.key_data(random.stream(KEY, "b")))
    assert not jnp.array_equal(jax.random.key_data(key), jax.random.key_data(random.stream(KEY, "a", 1)))


@pytest.mark.parametrize(("likelihood", "outputs"), [("discrete_gaussian", 6), ("logistic_mixture", 20)])
def test_the_decoder_gives_what_a_likelihood_of_levels_takes(likelihood, outputs):
    """The bound is that of the formulas at the drawn z, in nats of levels; samples are pictures."""
    step = {"likelihood": likelihood, "mixtures": 2}
    algorithm = build(**step)
    batch = zoo.batch(algorithm.batch_spec, 4)
    state = zoo.start(algorithm, KEY, batch)
    assert state.params["decoder"]["out"]["kernel"].shape[-1] == outputs
    sums = jax.jit(algorithm.evaluate)(state, batch, KEY)
    means = {name: float(total / count) for name, (total, count) in sums.items()}
    nats = math.log(2) * math.prod(zoo.SHAPE) * means["bits_per_dim"]
    np.testing.assert_allclose(nats, -means["elbo"], rtol=1e-5)
    assert 0 < means["bits_per_dim"] < 20
    made = jax.jit(algorithm.sample, static_argnums=2)(state, KEY, 2)
    assert made.shape == (2, *zoo.SHAPE)
    assert float(jnp.abs(made).max()) <= 1.0


def test_outputs_that_do_not_fit_the_likelihood_are_refused():
    with pytest.raises(ga.UserError, match=r"model.outputs 3: discrete_gaussian takes 6 a pixel; leave it out"):
        zoo.tiny("conv_vae", outputs=3, step={"likelihood": "discrete_gaussian"})
