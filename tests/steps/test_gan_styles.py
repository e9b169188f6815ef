"""What the adversarial step adds for generators with a mapping: lazy updates, mixing, averages in images."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genart_jax as ga
from genart_jax import registry
from genart_jax.nn import random
from genart_jax.steps import common, gan
from tests import zoo
from tests.steps.test_memory import Paired, Styled

KEY = jax.random.key(6)
SMALL = zoo.SHAPES["stylegan2"]
ADAM = {"learning_rate": 1e-3, "b1": 0.5, "b2": 0.9}
STEP = {"style_mixing": 0.0, "r1_gamma": 2.0, "r1_every": 4, "path_weight": 0.5, "path_every": 2, "path_shrink": 2}


def configuration(optimizer=ADAM, shape=zoo.SHAPE, **step):
    return ga.configure(
        "stylegan2", preset="tiny", image_shape=shape, conditions=(), optimizer=optimizer, step=STEP | step
    )


def written_out(config, state, batch):
    """A step with both penalties due: four updates one after the other, by plain gradients and Optax's Adam."""
    networks = registry.model_module("stylegan2").networks(config.model)
    generator, critic = networks["generator"].module, networks["critic"].module
    real, size, mutable = batch["image"], len(batch["image"]), state.mutable["generator"]
    root = random.stream(random.stream(KEY, "step", 0), "round", 0)

    def draw(key):
        keys = lambda name: random.example_keys(random.stream(key, name), size)
        return random.normal(keys("latent"), (config.model.latent_dim,)), keys("noise")

    def pictures(params, styles, keys):
        return generator.apply({"params": params, **mutable}, styles, keys, method="synthesis")[0]

    def mapped(params, z):
        return generator.apply({"params": params, **mutable}, z, method="mapping")

    def score(params, images):
        return critic.apply({"params": params}, images)[0]

    def adam(every):
        c = every / (every + 1)
        return optax.adam(c * 1e-3, 0.5**c, 0.9**c)

    def update(tx, opt, params, loss):
        updates, opt = tx.update(jax.grad(loss)(params), opt, params)
        return optax.apply_updates(params, updates), opt

    z, keys = draw(root)
    g, d, log = state.params["generator"], state.params["critic"], jax.nn.log_sigmoid
    fake = pictures(g, mapped(g, z), keys)
    tx = adam(4)
    d, opt = update(tx, tx.init(d), d, lambda p: -jnp.mean(log(score(p, real))) - jnp.mean(log(-score(p, fake))))
    slopes = lambda p: jax.grad(lambda x: jnp.sum(score(p, x)))(real)
    d, _ = update(tx, opt, d, lambda p: 4 * 2.0 / 2 * jnp.mean(jnp.sum(slopes(p) ** 2, axis=(1, 2, 3))))
    tx = adam(2)
    g, opt = update(tx, tx.init(g), g, lambda p: -jnp.mean(log(score(d, pictures(p, mapped(p, z), keys)))))
    path = random.stream(root, "path")
    z, keys = (x[::2] for x in draw(path))
    pixels = random.normal(random.example_keys(random.stream(path, "pixels"), size), SMALL)[::2] / 8

    def lengths(p):
        slopes = jax.grad(lambda s: jnp.sum(pictures(p, s, keys) * pixels))(mapped(p, z))
        return jnp.sqrt(jnp.mean(jnp.sum(slopes**2, axis=2), axis=1))

    mean = state.extra["path_mean"]
    length = jnp.mean(lengths(g))
    g, _ = update(tx, opt, g, lambda p: 2 * 0.5 * jnp.mean((lengths(p) - mean) ** 2))
    return {"generator": g, "critic": d}, 0.99 * mean + 0.01 * length


def test_lazy_updates_of_their_own_equal_a_step_written_out():
    config = configuration(shape=SMALL)
    algorithm = ga.build(config)
    batch = zoo.batch(algorithm.batch_spec, 8)
    state = zoo.start(algorithm, KEY, batch)
    state = state.replace(extra=state.extra | {"path_mean": jnp.asarray(0.02)})
    got, metrics = jax.jit(algorithm.step, static_argnames="due")(state, batch, KEY, due=("r1", "path"))
    expected, mean = jax.jit(lambda s, b: written_out(config, s, b))(state, batch)
    np.testing.assert_allclose(got.extra["path_mean"], mean, rtol=1e-4)
    np.testing.assert_allclose(metrics["path_mean"], mean, rtol=1e-4)
    for role in expected:
        for old, a, b in zip(
            *map(jax.tree.leaves, (state.params[role], got.params[role], expected[role])), strict=True
        ):
            # Adam's first steps are as large for a gradient of nothing but rounding; most entries have more.
            close = np.isclose(a - old, b - old, rtol=1e-2, atol=2e-6)
            assert close.mean() > 0.97, role


def small(**options):
    """With networks that compile quickly."""
    run = configuration(zoo.SGD, **options)
    return gan.build(zoo.networks(run, 2, generator=Styled(), critic=Paired()), run)


def test_due_terms_decide_like_the_step_counter():
    algorithm = small()
    assert algorithm.lazy == (("r1", 4), ("path", 2))
    batch = zoo.batch(algorithm.batch_spec, 8)
    state = zoo.start(algorithm, KEY, batch)
    step = jax.jit(algorithm.step, static_argnames="due")
    for i in range(3):
        dynamic, a = step(state, batch, KEY)
        static, b = step(state, batch, KEY, due=algorithm.due(i))
        assert a.keys() == b.keys()
        for x, y in zip(jax.tree.leaves((dynamic.params, a)), jax.tree.leaves((static.params, b)), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5)
        assert (i == 1) == bool(static.extra["path_mean"] == state.extra["path_mean"])
        state = static


class Recorder(nn.Module):
    """A generator whose styles are z itself, and which calls `tell` with them."""

    tell: Any = None

    def __call__(self, z, condition=None, train=False):
        return self.synthesis(self.mapping(z, condition, train))

    def mapping(self, z, condition=None, train=False, truncation=1.0):
        return jnp.broadcast_to(z[:, None], (len(z), 5, z.shape[-1]))

    @nn.compact
    def synthesis(self, styles, keys=None):
        jax.debug.callback(self.tell, styles)
        return jnp.tanh(nn.Dense(16 * 16 * 3)(styles.reshape(len(styles), -1))).reshape(-1, 16, 16, 3), {}


class Flat(nn.Module):
    @nn.compact
    def __call__(self, images, condition=None, train=False):
        return nn.Dense(1)(images.reshape(len(images), -1))[:, 0], {}


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_style_mixing(rate):
    heard = []
    recorder = Recorder(lambda styles: heard.append(np.asarray(styles)))
    run = configuration(style_mixing=rate, path_weight=0.0, r1_gamma=0.0)
    algorithm = gan.build(zoo.networks(run, generator=recorder, critic=Flat()), run)
    batch = zoo.batch(algorithm.batch_spec, 200)
    jax.jit(algorithm.step)(zoo.start(algorithm, KEY, batch), batch, KEY)
    jax.effects_barrier()
    styles = next(s for s in heard if len(s) == 200)
    changes = (styles[:, 1:] != styles[:, :-1]).any(axis=2)
    assert changes.sum(axis=1).max() <= 1, "at most one crossing"
    np.testing.assert_allclose(changes.any(axis=1).mean(), rate, atol=0.1)
    if rate:
        np.testing.assert_allclose(changes.sum(axis=0) / changes.sum(), 0.25, atol=0.1)  # at every layer alike
        first, last = styles[:, 0], styles[changes.any(axis=1), -1]
        assert not any((first == one).all(axis=1).any() for one in last), "the other z is nobody's first"


def test_mixing_and_path_length_need_a_mapping():
    for step in ({"style_mixing": 0.5}, {"path_weight": 1.0}):
        with pytest.raises(ga.UserError, match="no mapping network"):
            zoo.tiny("dcgan", step=step)
    algorithm = zoo.tiny("dcgan")
    state = jax.eval_shape(algorithm.init, KEY, zoo.batch(algorithm.batch_spec, 2))
    with pytest.raises(ga.UserError, match="takes key, num, condition, truncation; got frames"):
        algorithm.sample(state, KEY, 2, frames=5.0)
    algorithm = zoo.tiny("stylegan2", step={"critic_batch": "joint", "path_weight": 0.0})
    batch = zoo.batch(algorithm.batch_spec, 3)
    with pytest.raises(ga.UserError, match="no groups of 2"):
        jax.eval_shape(algorithm.step, jax.eval_shape(algorithm.init, KEY, batch), batch, KEY)


def test_joint_and_separate_batches_have_the_same_groups():
    """Real and generated pictures never meet in a group, so both ways give the same scores."""
    steps = []
    for how in ("joint", "separate"):
        algorithm = small(critic_batch=how)
        batch = zoo.batch(algorithm.batch_spec, 8)
        state = zoo.start(algorithm, KEY, batch)
        steps.append(jax.jit(algorithm.step, static_argnames="due")(state, batch, KEY, due=())[1])
    for name, value in steps[0].items():
        np.testing.assert_allclose(value, steps[1][name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_half_life_of_the_moving_average():
    at = lambda step, ramp=0.05: float(common.half_life_decay(1000.0, ramp, 32, jnp.asarray(step)))
    np.testing.assert_allclose(at(10**6) ** (1000 / 32), 0.5, rtol=1e-4)  # so many steps halve a weight
    np.testing.assert_allclose(at(0, ramp=0.0) ** (1000 / 32), 0.5, rtol=1e-4)
    np.testing.assert_allclose(at(100), 0.5 ** (32 / (0.05 * 3200)), rtol=1e-4)
    assert at(0) == 0.0
    algorithm = zoo.tiny("dcgan", step={"ema_images": 64.0, "ema_ramp": 0.0})
    batch = zoo.batch(algorithm.batch_spec, 8)
    state = zoo.start(algorithm, KEY, batch)
    new, _ = jax.jit(algorithm.step, static_argnames="due")(state, batch, KEY, due=())
    decay = 0.5 ** (8 / 64)
    for name in ("params", "batch_stats"):
        old = state.ema["generator"][name]
        live = new.params["generator"] if name == "params" else new.mutable["generator"]["batch_stats"]
        expected = jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, old, live)
        for a, b in zip(*map(jax.tree.leaves, (new.ema["generator"][name], expected)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)
