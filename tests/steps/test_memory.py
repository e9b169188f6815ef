"""Microbatches and rematerialisation change memory, never the result."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.api import Rematerialized
from genart_jax.steps import gan
from tests import zoo

KEY = jax.random.key(7)


class Generator(nn.Module):
    """A generator without BatchNorm."""

    @nn.compact
    def __call__(self, z, condition=None, train=False):
        return jnp.tanh(nn.Dense(16 * 16 * 3)(nn.relu(nn.Dense(8)(z)))).reshape(-1, 16, 16, 3), {}


class Critic(nn.Module):
    @nn.compact
    def __call__(self, images, condition=None, train=False):
        return nn.Dense(1)(nn.softplus(nn.Dense(8)(images.reshape(len(images), -1))))[:, 0], {}


class Styled(nn.Module):
    """A generator with a mapping network."""

    def setup(self):
        self.styles, self.pixels = nn.Dense(8), nn.Dense(16 * 16 * 3)

    def __call__(self, z, condition=None, train=False):
        return self.synthesis(self.mapping(z, condition, train))

    def mapping(self, z, condition=None, train=False, truncation=1.0):
        return jnp.broadcast_to(nn.softplus(self.styles(z))[:, None], (len(z), 3, 8))

    def synthesis(self, styles, keys=None):
        return jnp.tanh(self.pixels(styles.reshape(len(styles), -1))).reshape(-1, 16, 16, 3), {}


class Paired(nn.Module):
    """A critic that scores two neighbours together."""

    @nn.compact
    def __call__(self, images, condition=None, train=False):
        x = nn.softplus(nn.Dense(8)(images.reshape(len(images), -1)))
        spread = jnp.std(x.reshape(-1, 2, 8) + 1e-3 * jnp.arange(2)[:, None], axis=1)
        return nn.Dense(1)(jnp.concatenate([x, jnp.repeat(spread, 2, axis=0)], axis=1))[:, 0], {}


def plain_gan(**options):
    options = {
        "optimizer": zoo.SGD,
        "step": {"d_steps": 2, "g_steps": 2, "r1_gamma": 1.0, "loss": "relativistic"},
    } | options
    run = ga.configure("dcgan", preset="tiny", image_shape=zoo.SHAPE, conditions=(), **options)
    return gan.build(zoo.networks(run, generator=Generator(), critic=Critic()), run)


def styled_gan(**options):
    options = {"optimizer": zoo.SGD, "step": {"path_every": 2, "path_shrink": 2}} | options
    run = ga.configure("stylegan2", preset="tiny", image_shape=zoo.SHAPE, conditions=(), **options)
    return gan.build(zoo.networks(run, 2, generator=Styled(), critic=Paired()), run)


def algorithms(kind, **train):
    make = {
        "gan": plain_gan,
        "styles": styled_gan,
        "vae": lambda **o: zoo.tiny("conv_vae", optimizer=zoo.SGD, step={"free_bits": 0.02}, **o),
        "vae_bernoulli": lambda **o: zoo.tiny("conv_vae", optimizer=zoo.SGD, step={"likelihood": "bernoulli"}, **o),
        "classifier": lambda **o: zoo.tiny("simple_cnn", optimizer=zoo.SGD, **o),
    }[kind]
    return make(), make(train={"batch": 16, **train})


@pytest.mark.parametrize("kind", ["gan", "styles", "vae", "vae_bernoulli", "classifier"])
def test_microbatches_equal_the_whole_batch(kind):
    whole, parts = algorithms(kind, microbatch=4)
    batch = zoo.full_batch(whole, 16)
    state = zoo.start(whole, KEY, batch)
    due = whole.due(0)
    expected, expected_metrics = jax.jit(whole.step, static_argnames="due")(state, batch, KEY, due=due)
    got, metrics = jax.jit(parts.step, static_argnames="due")(state, batch, KEY, due=due)
    for old, a, b in zip(*map(jax.tree.leaves, (state.params, expected.params, got.params)), strict=True):
        np.testing.assert_allclose(b - old, a - old, rtol=2e-3, atol=1e-6)
    assert metrics.keys() == expected_metrics.keys()
    for name in metrics.keys() - zoo.OF_PARTS:
        np.testing.assert_allclose(metrics[name], expected_metrics[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_microbatches_are_refused_where_they_would_change_the_result():
    algorithm = zoo.tiny("dcgan", train={"batch": 16, "microbatch": 4})
    batch = zoo.full_batch(algorithm, 16)
    with pytest.raises(ga.UserError, match="BatchNorm"):
        algorithm.step(zoo.start(algorithm, KEY, batch), batch, KEY)
    with pytest.raises(ga.UserError, match="divisor"):
        zoo.tiny("simple_cnn", train={"batch": 16, "microbatch": 5})


def test_rematerialisation_equals_and_computes_again(family_model):
    model = family_model
    plain, again = zoo.tiny(model, optimizer=zoo.SGD), zoo.tiny(model, optimizer=zoo.SGD, train={"remat": True})
    batch = zoo.full_batch(plain, 8)
    state = zoo.start(plain, KEY, batch)
    due = tuple(name for name, _ in plain.lazy)
    programs = [jax.jit(a.step, static_argnames="due").lower(state, batch, KEY, due=due) for a in (plain, again)]
    (expected, _), (got, _) = (p.compile()(state, batch, KEY) for p in programs)
    for a, b in zip(jax.tree.leaves(expected.params), jax.tree.leaves(got.params), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)
    assert "optimization_barrier" in programs[1].as_text()


def test_what_is_said_in_python_stays_so():
    """A module that branches on a bool gets that, wherever it stands among the inputs."""

    class Branching(nn.Module):
        @nn.compact
        def __call__(self, x, train, scale):
            return nn.Dense(2)(x) * (scale if train else 1.0)

    x, module = jnp.ones((3, 4)), Branching()
    variables = module.init(KEY, x, True, 2.0)
    got = Rematerialized(module).apply(variables, x, True, 3.0)
    np.testing.assert_allclose(got, 3.0 * module.apply(variables, x, False, 3.0), rtol=1e-6)
