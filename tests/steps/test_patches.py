"""Critics that score patches, or at several scales: each score is a real or a generated picture's, never both."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.steps import common, gan
from tests import zoo

KEY = jax.random.key(0)


class Generator(nn.Module):
    @nn.compact
    def __call__(self, z, condition=None, train=False):
        return jnp.tanh(nn.Dense(48)(z)).reshape(-1, 4, 4, 3), {}


class Critic(nn.Module):
    """The mean of each quarter of the picture, times a weight; of all of it as well, with `scales`."""

    shape: str = "patches"

    @nn.compact
    def __call__(self, x, condition=None, train=False):
        w = self.param("w", nn.initializers.ones, (3,))
        quarters = jnp.mean((w * x).reshape(-1, 2, 2, 2, 2, 3), axis=(2, 4, 5))
        if self.shape == "patches":
            return quarters, {}
        whole = jnp.mean(w * x, axis=(1, 2, 3))
        return (whole, {}) if self.shape == "one" else ({"fine": quarters, "coarse": whole}, {})


def build(shape, **step):
    run = ga.configure("dcgan", preset="tiny", image_shape=(4, 4, 3), conditions=(), optimizer=zoo.SGD, step=step)
    return gan.build(zoo.networks(run, generator=Generator(), critic=Critic(shape)), run)


def stepped(algorithm, batch):
    state = zoo.start(algorithm, KEY, batch)
    return jax.jit(algorithm.step, static_argnames="due")(state, batch, KEY, due=("r1",))


BATCH = zoo.batch(ga.BatchSpec((4, 4, 3)), 8)


@pytest.mark.parametrize(("shape", "loss"), [("patches", "hinge"), ("scales", "relativistic")])
def test_joint_and_separate_batches_are_the_same(shape, loss):
    """The mean of the real pictures is 0.6 higher, and the joint batch says so."""
    batch = BATCH | {"image": 0.2 * BATCH["image"] + 0.8}
    results = [stepped(build(shape, critic_batch=how, loss=loss, r1_gamma=0.5), batch) for how in ("joint", "separate")]
    (joint, metrics), (separate, expected) = results
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(metrics["real_score"], batch["image"].mean(), rtol=1e-5)
    assert metrics["real_score"] > metrics["fake_score"] + 0.3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), joint.params, separate.params)


def test_losses_are_of_patches_and_averaged():
    """Where a loss is linear, patches that tile the picture are as good as one score; where it is not, they differ."""
    alike, other = ([stepped(build(shape, loss=loss, r1_gamma=0.5), BATCH)[0].params for shape in ("patches", "one")]
                    for loss in ("wasserstein", "non_saturating"))  # fmt: skip
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *alike)
    assert np.abs(other[0]["critic"]["w"] - other[1]["critic"]["w"]).max() > 1e-5


def test_figures_are_of_examples():
    algorithm = build("scales")
    state = zoo.start(algorithm, KEY, BATCH)
    weight = jnp.array([1.0] * 5 + [0.0] * 3)
    sums = jax.jit(algorithm.evaluate)(state, BATCH | {"weight": weight}, KEY)
    assert {float(count) for _, count in sums.values()} == {5.0}
    np.testing.assert_allclose(sums["real_score"][0], jnp.sum(jnp.mean(BATCH["image"][:5], (1, 2, 3))), rtol=1e-4)


def test_the_mean_of_an_example():
    tree = {"a": jnp.arange(8.0).reshape(2, 2, 2), "b": jnp.array([0.5, 1.5])}
    np.testing.assert_allclose(common.per_example(tree), [(1.5 + 0.5) / 2, (5.5 + 1.5) / 2])
