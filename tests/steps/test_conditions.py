"""Conditions that are hidden, unlabelled or no class at all: what each step makes of them."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.config import BatchSpec
from genart_jax.nn.embed import ConditionEmbed
from genart_jax.steps import classifier, common
from genart_jax.types import check_condition
from tests import zoo

KEY = jax.random.key(2)
STYLE = (("style", 5),)


def trained(rate):
    """A VAE, the table of `style` of its decoder before and after two steps, its last state, and a batch."""
    algorithm = zoo.tiny("mlp_vae", conditions=STYLE, step={"condition_dropout": rate})
    batch = zoo.batch(algorithm.batch_spec, 8)
    batch["condition"]["style"] = jnp.arange(8) % 5
    start, step = zoo.start(algorithm, KEY, batch), jax.jit(algorithm.step)
    state = start
    for _ in range(2):
        state, _ = step(state, batch, KEY)
    tables = [np.asarray(s.params["decoder"]["embed"]["style"]) for s in (start, state)]
    return algorithm, tables, state, batch


@pytest.mark.parametrize("name", ["mlp_vae", "conv_vae", "dcgan", "sngan", "stylegan2"])
def test_what_was_not_learnt_is_not_offered(name):
    algorithm = zoo.tiny(name, conditions=STYLE)
    assert algorithm.batch_spec.hidden == ()
    batch = zoo.full_batch(algorithm, 2)
    state = jax.eval_shape(algorithm.init, KEY, batch)  # no number of it is looked at
    z, image = jnp.zeros((2, *algorithm.uses["decode"].inputs[0].shape)), batch["image"][:2]
    uses = {"decode": lambda c: algorithm.decode(state, z, c), "sample": lambda c: algorithm.sample(state, KEY, 2, c)}
    if algorithm.encode is not None:
        uses["encode"] = lambda c: algorithm.encode(state, image, KEY, c)
        uses["transform"] = lambda c: algorithm.transform(state, image, KEY, c)
    for use, function in uses.items():
        if use != "sample":  # which draws what it is not given
            with pytest.raises(ga.UserError, match=r"'style' is missing; give 0 to 4, or train with step\.cond"):
                function(None)
        with pytest.raises(ga.UserError, match="style: this model has not learnt to do without it; wanted 0 to 4, or"):
            function({"style": -1})
        for number in (5, -2):
            with pytest.raises(ga.UserError, match=f"style: {number} is no class; wanted 0 to 4"):
                function({"style": jnp.array([0, number])})


def test_in_a_compiled_program_the_pictures_say_so():
    """There nothing can be refused."""
    algorithm, (before, after), state, _ = trained(0.0)
    moved = np.abs(after - before).max(axis=1)
    assert (moved[:5] > 1e-6).all()
    assert moved[5] == 0
    decode = jax.jit(lambda style: algorithm.decode(state, jnp.zeros((4, 4)), {"style": style}))
    images = decode(jnp.array([3, 4, -1, 5]))
    assert np.isfinite(images[:2]).all()
    assert np.isnan(images[2:]).all()


def test_what_was_learnt_can_be_hidden():
    algorithm, (before, after), state, batch = trained(0.5)
    assert algorithm.batch_spec.hidden == ("style",)
    assert np.abs(after - before).max(axis=1)[5] > 1e-6
    transform = functools.partial(jax.jit(algorithm.transform), state, batch["image"], KEY)
    images = transform({"style": jnp.full(8, -1)})
    assert np.isfinite(images).all()
    np.testing.assert_array_equal(transform(), images)
    assert np.abs(transform({"style": jnp.zeros(8, int)}) - images).max() > 1e-6


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_the_rate_of_a_vae_is_checked(rate):
    with pytest.raises(ga.UserError, match=r"step.condition-dropout must be 0 to below 1"):
        zoo.tiny("mlp_vae", step={"condition_dropout": rate})


def test_what_is_hidden_is_the_same_on_any_number_of_devices():
    condition = {"style": jnp.arange(64) % 5, "shape": jnp.arange(64) % 9}
    whole = common.hide(condition, KEY, 0.4, None)
    parts = jax.tree.map(lambda x: x.reshape(4, 16), condition)
    parts = jax.pmap(lambda c: common.hide(c, KEY, 0.4, "data"), "data")(parts)
    parts = jax.tree.map(np.ravel, parts)
    for name, value in condition.items():
        np.testing.assert_array_equal(parts[name], whole[name])
        kept = np.asarray(whole[name]) >= 0
        np.testing.assert_array_equal(np.asarray(whole[name])[kept], np.asarray(value)[kept])
        assert 0.4 < kept.mean() < 0.8
    assert not np.array_equal(whole["style"] < 0, whole["shape"] < 0)


def test_the_vector_of_no_class_is_nan():
    module = ConditionEmbed((("style", 3),), 2)
    given = {"style": jnp.array([-2, -1, 0, 2, 3, 7])}
    variables = module.init(KEY, given, 6)
    (vectors,) = module.apply(variables, given, 6)
    table = variables["params"]["style"]
    np.testing.assert_allclose(vectors[1:4], table[jnp.array([3, 0, 2])])
    assert np.isnan(vectors[jnp.array([0, 4, 5])]).all()
    gradient = jax.grad(lambda v: jnp.sum(module.apply(v, {"style": jnp.array([0, -1])}, 2)[0]))(variables)
    np.testing.assert_allclose(gradient["params"]["style"], [[1, 1], [0, 0], [0, 0], [1, 1]])


@pytest.mark.parametrize("value", [1.0, np.array([0.5, 1]), "noto"])
def test_only_numbers_of_classes_are_taken(value):
    with pytest.raises(ga.UserError, match=r"condition style: got .*, wanted 0 to 4"):
        check_condition({"style": value}, BatchSpec((4, 4, 3), STYLE))


def test_a_wrong_number_of_conditions():
    with pytest.raises(ga.UserError, match=r"got shape \(3,\), wanted one integer, or \(2,\)"):
        common.wanted_condition(BatchSpec((4, 4, 3), STYLE), {"style": jnp.zeros(3, int)}, 2, None)


def with_labels(algorithm, labels):
    batch = zoo.batch(algorithm.batch_spec, len(labels))
    return batch | {"condition": {"style": jnp.array(labels)}}


def first(batch, count):
    return jax.tree.map(lambda x: x[:count], batch)


LABELS = [0, 1, 2, 3, 4, 4, -1, -1]


class Linear(nn.Module):
    @nn.compact
    def __call__(self, images, condition=None, train=False, keys=None):
        return nn.Dense(5)(images.reshape(len(images), -1)), {}


def linear(axis_name=None, **options):
    run = ga.configure("simple_cnn", preset="tiny", image_shape=(4, 4, 3), conditions=STYLE, optimizer=zoo.SGD,
                       **options)  # fmt: skip
    return classifier.build(zoo.networks(run, classifier=Linear()), run, axis_name)


@pytest.mark.parametrize("options", [{}, {"step": {"label_smoothing": 0.2}}, {"train": {"batch": 8, "microbatch": 2}}])
def test_a_classifier_does_not_learn_from_the_unlabelled(options):
    algorithm, alone = linear(**options), linear(**options | {"train": {"batch": 6}})
    batch = with_labels(algorithm, LABELS)
    state = zoo.start(algorithm, KEY, batch)
    new, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    expected, figures = jax.jit(alone.step)(state, first(batch, 6), KEY)
    assert figures["loss"] > 0
    for name, value in figures.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, err_msg=name)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), new.params, expected.params)


def test_a_classifier_learns_the_same_on_any_number_of_devices():
    """Though one device has all that is unlabelled."""
    algorithm, part = linear(), linear("data")
    batch = with_labels(algorithm, LABELS)
    state = zoo.start(algorithm, KEY, batch)
    expected, _ = jax.jit(algorithm.step)(state, batch, KEY)
    parts = jax.tree.map(lambda x: x.reshape(4, 2, *x.shape[1:]), batch)
    new, metrics = jax.pmap(part.step, "data", in_axes=(None, 0, None))(state, parts, KEY)
    assert np.isfinite(metrics["loss"]).all()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-4, atol=1e-6), new.params, expected.params)


def test_a_classifier_is_not_charged_for_the_unlabelled():
    algorithm = linear()
    batch = with_labels(algorithm, LABELS)
    state, evaluate = zoo.start(algorithm, KEY, batch), jax.jit(algorithm.evaluate)
    with_all, labelled = evaluate(state, batch, KEY), evaluate(state, first(batch, 6), KEY)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), with_all, labelled)
    assert float(with_all["loss"][1]) == 6
    step = jax.jit(algorithm.step)
    new, metrics = step(state, with_labels(algorithm, [-1] * 8), KEY)
    assert float(metrics["loss"]) == float(metrics["classifier_grad_norm"]) == 0
    jax.tree.map(np.testing.assert_array_equal, new.params, state.params)
    _, metrics = step(state, with_labels(algorithm, [0, 5] * 4), KEY)
    assert np.isnan(metrics["loss"])  # under `jit`, for a number that is no class


@pytest.mark.parametrize(("rate", "weight"), [(0.0, 6), (0.5, 8)])
def test_figures_of_the_unlabelled(rate, weight):
    """They count where the model has learnt to do without the condition, and only there."""
    algorithm = zoo.tiny("mlp_vae", conditions=STYLE, step={"condition_dropout": rate})
    batch = with_labels(algorithm, LABELS)
    sums = jax.jit(algorithm.evaluate)(zoo.start(algorithm, KEY, batch), batch, KEY)
    assert {float(count) for _, count in sums.values()} == {weight}
