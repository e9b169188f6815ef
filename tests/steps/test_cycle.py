"""Two unpaired sets: what the maps and critics play for, the pool of earlier pictures, and both ways in use."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.config import Cycle, Data, Optimizer, Run, Train
from genart_jax.nn.judges import PatchCritic
from genart_jax.steps import cycle
from genart_jax.types import Network, Scene
from tests import zoo
from tests.steps.test_layouts import mesh

KEY = jax.random.key(4)


class Scaled(nn.Module):
    """Each channel times a number."""

    factor: float

    @nn.compact
    def __call__(self, images, train=False):
        scale = self.param("scale", nn.initializers.constant(self.factor), (images.shape[-1],))
        return images * scale, {}


@dataclasses.dataclass(frozen=True)
class Config:
    image_shape: tuple[int, ...] | None = (8, 8, 3)
    other_shape: tuple[int, ...] | None = (8, 8, 3)


def family(batch=8, axis_name=None, part=0, **step):
    run = Run(
        Config(), Cycle(**step), Optimizer(**zoo.SGD), Data(), Train(batch=batch, microbatch=part), name="toy"
    )  # fmt: skip
    pictures, critic = lambda: (jnp.zeros((2, 8, 8, 3)),), PatchCritic(2, depth=1, normalized=False)
    roles = {
        "there": Network(Scaled(0.5), pictures),
        "back": Network(Scaled(0.8), pictures),
        "critic_other": Network(critic, pictures),
        "critic_image": Network(critic, pictures),
    }
    return cycle.Cycles(roles, run, axis_name)


def test_the_maps_play_for_zhus_equation_3():
    algorithm = family(cycle_weight=10.0, identity_weight=5.0, adversarial_weight=2.0, pool=0)
    batch = zoo.batch(algorithm.spec, 8)
    state = algorithm.init(KEY, batch)
    made, _ = algorithm._make(state.variables, Scene(batch, {}, key=KEY))
    outcome = algorithm.maps_loss(state.variables, Scene(batch, {}, made, key=KEY))
    score = lambda side, x: PatchCritic(2, depth=1, normalized=False).apply(
        {"params": state.params[f"critic_{side}"]}, x
    )[0]
    image, other = batch["image"], batch["other"]
    mean = lambda x: np.mean(np.abs(x), axis=(1, 2, 3))
    round_trips = mean(0.4 * image - image) + mean(0.4 * other - other)
    same = mean(0.5 * other - other) + mean(0.8 * image - image)
    fooled = sum(
        0.5 * np.mean((np.asarray(score(side, x)) - 1) ** 2, axis=(1, 2))
        for side, x in (("other", 0.5 * image), ("image", 0.8 * other))
    )
    np.testing.assert_allclose(outcome.value, 10 * round_trips + 5 * same + 2 * fooled, rtol=1e-5)
    told = algorithm.critics_loss(state.variables, Scene(batch, {}, made, key=KEY))
    pairs = (("other", other, 0.5 * image), ("image", image, 0.8 * other))
    expected = sum(
        0.5 * np.mean((np.asarray(score(s, real)) - 1) ** 2 + np.asarray(score(s, fake)) ** 2, axis=(1, 2))
        for s, real, fake in pairs
    )
    np.testing.assert_allclose(told.value, expected, rtol=1e-5)


def test_an_earlier_picture_is_seen_in_the_place_of_half_of_the_new_ones():
    """As the pool of the paper: filled first; then each new picture is seen, or changes places with an older one."""
    algorithm = family(pool=24)  # three slots for each of eight examples
    batch = zoo.batch(algorithm.spec, 8)
    state = algorithm.init(KEY, batch)
    pool, seen = np.zeros((24, 8, 8, 3)), 0
    for step in range(40):
        fake = np.full((8, 8, 8, 3), step + 1.0) + np.arange(8)[:, None, None, None] / 10
        scene = algorithm._draw(state.replace(step=jnp.int32(step)), batch, jax.random.fold_in(KEY, step))
        drawn = jax.tree.map(np.asarray, scene.drawn["other"])
        assert (drawn["slot"] % 8 == np.arange(8)).all()
        assert (drawn["put"] == (drawn["seen"] | (step < 3))).all()
        if step < 3:
            assert not drawn["seen"].any()
            assert (drawn["slot"] == np.arange(8) + 8 * step).all()
        else:
            np.testing.assert_allclose(drawn["old"], pool[drawn["slot"]])
            seen += drawn["seen"].sum()
        pool[drawn["slot"][drawn["put"]]] = fake[drawn["put"]]
        found = {
            "pool_other": cycle._put(state.extra["pool_other"], jnp.asarray(fake, jnp.float32), scene.drawn["other"])
        }
        extra, _ = algorithm._kept(state, {}, found, 8)
        state = state.replace(extra=extra)
        np.testing.assert_allclose(extra["pool_other"], pool, rtol=1e-6)
    assert abs(seen / (37 * 8) - 0.5) < 0.1
    assert len(np.unique(pool[:, 0, 0, 0])) == 24


def test_a_batch_that_is_larger_than_the_pool():
    algorithm = family(pool=5)
    batch = zoo.batch(algorithm.spec, 8)
    state = algorithm.init(KEY, batch).replace(step=jnp.int32(3))
    drawn = algorithm._draw(state, batch, KEY).drawn["image"]
    assert not np.asarray(drawn["put"])[5:].any()
    assert (np.asarray(drawn["slot"])[:5] == np.arange(5)).all()


@pytest.mark.parametrize("how", ["parts", "devices"])
def test_pools_are_the_same_in_parts_and_over_devices(how):
    def states(algorithm, step):
        state, out = algorithm.init(KEY, zoo.batch(algorithm.spec, 8)), []
        for i in range(5):
            state, _ = step(state, zoo.batch(algorithm.spec, 8, seed=i), KEY)
            out.append(state)
        return out

    whole = family(pool=16)
    expected = states(whole, jax.jit(whole.step))
    if how == "parts":
        other = family(pool=16, part=2)
        step = jax.jit(other.step)
    else:
        other, spec = family(pool=16, axis_name="data"), jax.sharding.PartitionSpec
        step = jax.jit(
            jax.shard_map(other.step, mesh=mesh(), in_specs=(spec(), spec("data"), spec()), out_specs=spec())
        )
    for one, two in zip(expected, states(family(pool=16), step), strict=True):
        assert zoo.relative(one.params, two.params) < 1e-5
        assert zoo.relative(one.extra, two.extra) < 1e-5
    assert all(
        np.abs(np.asarray(pool)).min() < 1 and np.asarray(pool).any((1, 2, 3)).all() for pool in one.extra.values()
    )


@functools.cache
def untrained():
    algorithm = zoo.tiny("cyclegan")
    batch = zoo.batch(algorithm.batch_spec, 4)
    return algorithm, zoo.start(algorithm, KEY, batch), batch


def test_both_ways_in_use():
    algorithm = family()
    batch = zoo.batch(algorithm.spec, 4)
    state = algorithm.init(KEY, batch)
    np.testing.assert_allclose(algorithm.transform(state, batch["image"], KEY), 0.5 * batch["image"], rtol=1e-6)
    np.testing.assert_allclose(algorithm.back(state, batch["other"], KEY), 0.8 * batch["other"], rtol=1e-6)
    half = algorithm.transform(state, batch["image"], KEY, strength=0.5)
    np.testing.assert_allclose(half, 0.75 * batch["image"], rtol=1e-6)
    shown = algorithm.show(state, batch, KEY)
    assert list(shown) == ["input", "output", "second input", "second output"]
    np.testing.assert_allclose(shown["second output"], 0.8 * batch["other"], rtol=1e-6)


def test_an_untrained_model_changes_nothing():
    """Its maps make what is added to a picture, of any size."""
    algorithm, state, _ = untrained()
    images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (1, 20, 14, 3)), jnp.float32)
    np.testing.assert_allclose(algorithm.uses["back"].function(state, images, KEY), images, atol=1e-6)
    sums = jax.eval_shape(algorithm.evaluate, state, untrained()[2], KEY)
    assert set(sums) == {"cycle_loss", "critic_accuracy"}


def test_what_does_not_fit_is_named():
    with pytest.raises(ga.UserError, match="did you mean hinge"):
        family(loss="hing")
    with pytest.raises(ga.UserError, match=r"of 3 and of 1 channels; set model\.added to False"):
        zoo.tiny("cyclegan", other_shape=(16, 16, 1))
    with pytest.raises(ga.UserError, match="of at least 8 pixels"):
        zoo.tiny("cyclegan", other_shape=(4, 16, 3))
    with pytest.raises(ga.UserError, match=r"pix2pix: image_shape \(16, 16, 3\), target_shape \(8, 8, 3\)"):
        zoo.tiny("pix2pix", target_shape=(8, 8, 3))
