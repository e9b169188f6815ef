"""The experiment on GANs' pictures: who sees which pictures, and the loss of K + 1 classes."""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

import genart_jax as ga
from benchmarks import gan_augmentation as experiment
from benchmarks import own_pictures, semi_gan
from genart_jax.types import Scene
from tests import zoo

KEY = jax.random.key(0)


def data(n=40):
    rng = np.random.default_rng(0)
    part = lambda n: {"image": rng.integers(0, 256, (n, 8, 8, 3), np.uint8), "kind": np.arange(n, dtype=np.int32) % 3}
    return ga.open_data({"train": part(n), "test": part(9)})


def test_few_pictures_are_so_many_of_each_class_and_others_with_another_seed():
    whole = data()
    one, other = (own_pictures.few(whole, "kind", 4, seed) for seed in (0, 1))
    assert np.bincount(one.train.arrays["kind"]).tolist() == [4, 4, 4]
    assert len(one.test) == 9
    assert (one.train.arrays["image"] != other.train.arrays["image"]).any()


def test_real_and_made_pictures_are_equally_many():
    few = own_pictures.few(data(), "kind", 4, 0)
    made = np.zeros((24, 8, 8, 3), np.uint8), np.arange(24, dtype=np.int32) % 3
    both = experiment.mixed(few, "kind", made, real=True)
    assert len(both.train) == 48
    assert int((both.train.arrays["image"].reshape(48, -1).max(1) == 0).sum()) == 24
    assert len(experiment.mixed(few, "kind", made, real=False).train) == 24
    whole = experiment.unlabelled(few, data(), "kind")
    assert int((whole.train.arrays["kind"] == -1).sum()) == 40
    assert len(whole.train) == 40 + 36


def test_the_interval_is_students():
    assert experiment.interval([0.5, 0.7]) == "60.0 +- 127.1"
    assert experiment.interval([0.5]) == "50.0"
    page = experiment.table(
        {("icons", 10, "plain"): [0.5, 0.6], ("icons", 10, "gan"): [0.4, 0.7]},
        argparse.Namespace(seeds=2, gan_steps=3, steps=4, semi_steps=5),
    )
    assert "| icons | 10 | gan | 55.0 +- 190.6 | 0.0 +- 127.1 |" in page


def test_the_class_of_generated_pictures_has_score_0():
    """D(x) = Z / (Z + 1): the loss is that of K + 1 classes, of which the last has score 0."""
    run = ga.configure(
        ga.get_config("benchmarks.semi_gan:Config"), image_shape=(8, 8, 3), conditions=(("kind", 3),), latent_dim=4,
        width=4, train={"batch": 8}, optimizer=zoo.SGD,
    )  # fmt: skip
    algorithm = ga.build(run)
    batch = zoo.batch(algorithm.batch_spec, 8)
    labels = np.array([0, 1, 2, -1, -1, -1, 1, -1])
    batch = batch | {"condition": {"kind": jnp.asarray(labels)}}
    state = zoo.start(algorithm, KEY, batch)
    step, fake = semi_gan.Semi(semi_gan.networks(run.model), run, None), jnp.flip(batch["image"], 1)
    scores = lambda images: ga.run(algorithm, state, "classifier", images, average=False)[0]
    values = jax.jit(lambda: step.classifier_loss(state.variables, Scene(batch, {}, made={"fake": fake})).value)()
    real, fake = (np.asarray(jax.jit(scores)(x), float) for x in (batch["image"], fake))
    extended = lambda s: np.concatenate([s, np.zeros((8, 1))], axis=1)
    log_p = lambda s: s - np.log(np.exp(s).sum(1, keepdims=True))
    wanted = -0.5 * np.log(1 - np.exp(log_p(extended(real))[:, -1])) - 0.5 * log_p(extended(fake))[:, -1]
    known = labels >= 0
    wanted[known] -= log_p(real)[known, labels[known]] / known.mean()
    np.testing.assert_allclose(values, wanted, rtol=1e-4)
    new, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    assert np.isfinite(metrics["generator_loss"])
    assert zoo.norm(zoo.moved(state.params["generator"], new.params["generator"])) > 0


def test_large_pictures_are_halved_and_small_ones_are_as_they_are():
    rng = np.random.default_rng(0)
    for side in (64, 8):
        part = {"image": rng.integers(0, 256, (3, side, side, 3), np.uint8), "kind": np.arange(3), "more": np.arange(3)}
        made = experiment.opened({"train": part, "test": part}, "kind")
        own = np.asarray(made.train.arrays["image"], float)
        assert set(made.train.arrays) == {"image", "kind"}
        if side == 8:
            np.testing.assert_array_equal(own, part["image"])
        else:
            wanted = sum(part["image"][:, y::2, x::2].astype(float) for y in (0, 1) for x in (0, 1)) / 4
            assert np.abs(own - wanted).max() <= 0.5
