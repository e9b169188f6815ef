"""Several heads at once, and classes that weigh more where they are rare."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genart_jax as ga
from genart_jax.config import heads_of
from genart_jax.models import simple_cnn
from genart_jax.steps import classifier
from tests import zoo

KEY = jax.random.key(0)
BOTH = (("style", 5), ("shape", 3))
STYLES, SHAPES = [0, 1, 2, 3, 4, 4, -1, 0], [2, -1, 0, 1, 1, 2, 0, 0]


class Linear(nn.Module):
    scores: int

    @nn.compact
    def __call__(self, images, condition=None, train=False, keys=None):
        return nn.Dense(self.scores)(images.reshape(len(images), -1)), {}


def linear(conditions=BOTH, **options):
    run = ga.configure(
        "simple_cnn", preset="tiny", image_shape=(4, 4, 3), conditions=conditions, optimizer=zoo.SGD, **options
    )
    module = Linear(sum(classes for _, classes in conditions))
    return classifier.build(zoo.networks(run, classifier=module), run, None)


def labelled(algorithm, **labels):
    batch = zoo.batch(algorithm.batch_spec, len(STYLES))
    return batch | {"condition": {name: jnp.array(values) for name, values in labels.items()}}


def log_softmax(x):
    return x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True))


def scores_of(state, batch):
    layer = jax.device_get(state.params["classifier"]["Dense_0"])
    return np.asarray(batch["image"], float).reshape(8, -1) @ layer["kernel"] + layer["bias"]


def test_predictions_of_a_picture_and_its_mirror_image():
    """The mean of both probabilities, of each head by itself; evaluation judges by them too."""
    algorithm = linear(step={"mirror": True})
    batch = labelled(algorithm, style=STYLES, shape=SHAPES)
    state = zoo.start(algorithm, KEY, batch)
    seen = np.asarray(algorithm.predict(state, batch["image"]))
    mirrored = {"image": batch["image"][:, :, ::-1]}
    both = scores_of(state, batch), scores_of(state, mirrored)
    for name, part in heads_of(BOTH).items():
        p = np.mean([np.exp(log_softmax(scores[:, part])) for scores in both], axis=0)
        np.testing.assert_allclose(np.exp(seen[:, part]), p, rtol=1e-5)
        sums = algorithm.evaluate(state, batch, KEY)
        known = np.array(batch["condition"][name]) >= 0
        right = (p.argmax(-1) == np.array(batch["condition"][name]))[known]
        assert float(sums[f"accuracy_{name}"][0]) == right.sum()
    np.testing.assert_allclose(algorithm.predict(state, mirrored["image"]), seen, rtol=1e-5)


def test_the_losses_of_several_heads_are_added_each_over_what_is_labelled():
    algorithm = linear()
    batch = labelled(algorithm, style=STYLES, shape=SHAPES)
    state = zoo.start(algorithm, KEY, batch)
    _, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    scores, loss = scores_of(state, batch), 0.0
    for name, labels in (("style", STYLES), ("shape", SHAPES)):
        log_p = log_softmax(scores[:, heads_of(BOTH)[name]])
        known = [i for i, label in enumerate(labels) if label >= 0]
        loss -= np.mean([log_p[i, labels[i]] for i in known])
        right = np.mean([log_p[i].argmax() == labels[i] for i in known])
        np.testing.assert_allclose(metrics[f"accuracy_{name}"], right, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)


def test_figures_of_several_heads_and_of_all_together():
    algorithm = linear()
    batch = labelled(algorithm, style=STYLES, shape=SHAPES)
    state = zoo.start(algorithm, KEY, batch)
    sums = jax.jit(algorithm.evaluate)(state, batch, KEY)
    figures = {name: float(np.mean(np.asarray(a) / np.asarray(b))) for name, (a, b) in sums.items() if np.ndim(a) == 0}
    scores = scores_of(state, batch)
    right = {
        name: np.array([scores[i, heads_of(BOTH)[name]].argmax() == label for i, label in enumerate(labels)])
        for name, labels in (("style", STYLES), ("shape", SHAPES))
    }
    both = (np.array(STYLES) >= 0) & (np.array(SHAPES) >= 0)
    np.testing.assert_allclose(figures["joint_accuracy"], (right["style"] & right["shape"])[both].mean(), rtol=1e-5)
    np.testing.assert_allclose(figures["accuracy_style"], right["style"][np.array(STYLES) >= 0].mean(), rtol=1e-5)
    answers = np.concatenate([right["style"][np.array(STYLES) >= 0], right["shape"][np.array(SHAPES) >= 0]])
    np.testing.assert_allclose(figures["accuracy"], answers.mean(), rtol=1e-5)


def test_each_head_has_probabilities_of_its_own():
    algorithm = linear()
    batch = labelled(algorithm, style=STYLES, shape=SHAPES)
    state = zoo.start(algorithm, KEY, batch)
    log_p = np.asarray(algorithm.predict(state, batch["image"]))
    for part in heads_of(BOTH).values():
        np.testing.assert_allclose(np.exp(log_p[:, part]).sum(axis=1), 1, rtol=1e-5)


def test_a_class_is_among_the_five_likeliest():
    algorithm = linear((("letter", 12),))
    labels = np.arange(8)
    batch = labelled(algorithm, letter=labels)
    state = zoo.start(algorithm, KEY, batch)
    right, number = jax.jit(algorithm.evaluate)(state, batch, KEY)["top_5_accuracy"]
    order = np.argsort(-scores_of(state, batch), axis=1)[:, :5]
    assert number == 8
    assert right == sum(label in row for label, row in zip(labels, order, strict=True))


@pytest.mark.parametrize("microbatch", [0, 4])
def test_with_balance_all_classes_weigh_the_same(microbatch):
    """At first by the shares of the batch itself, then by those of all that was seen."""
    algorithm = linear((("style", 5),), step={"balance": 1.0}, train={"batch": 8, "microbatch": microbatch})
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    batch = labelled(algorithm, style=labels)
    state = zoo.start(algorithm, KEY, batch)
    log_p = log_softmax(scores_of(state, batch))[np.arange(8), labels]
    new, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    np.testing.assert_allclose(metrics["loss"], -np.mean([log_p[labels == c].mean() for c in range(3)]), rtol=1e-5)
    np.testing.assert_allclose(new.extra["seen"], [5 / 8, 2 / 8, 1 / 8, 0, 0], rtol=1e-6)
    other = labelled(algorithm, style=np.full(8, 2))
    _, metrics = jax.jit(algorithm.step)(new, other, KEY)
    share = np.array([5, 2, 9]) / 16
    loss = -log_softmax(scores_of(new, other))[:, 2].mean() / share[2] / 3
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-4)


def test_with_a_margin_the_true_class_is_made_worse_in_training_alone():
    run = ga.configure(
        "simple_cnn", preset="tiny", image_shape=(8, 8, 3), conditions=(("who", 4),), embedding=6, dropout=0.0,
        step={"margin": "cosface", "margin_size": 0.25, "margin_scale": 8.0}, optimizer=zoo.SGD,
    )  # fmt: skip
    algorithm = ga.build(run)
    labels = np.array([0, 1, 2, 3, 0, 1, 2, 3])
    batch = labelled(algorithm, who=labels)
    state = zoo.start(algorithm, KEY, batch)
    see = jax.jit(lambda x: ga.run(algorithm, state, "classifier", x, capture=("embedding",)))
    cosines, found = jax.device_get(see(batch["image"]))
    np.testing.assert_allclose(np.linalg.norm(found["embedding"], axis=1), 1, rtol=1e-5)
    assert np.abs(cosines).max() <= 1.0001
    worse = cosines - 0.25 * np.eye(4)[labels]
    _, metrics = jax.jit(algorithm.step)(state, batch, KEY)
    np.testing.assert_allclose(metrics["loss"], -log_softmax(8 * worse)[np.arange(8), labels].mean(), rtol=1e-4)
    np.testing.assert_allclose(algorithm.predict(state, batch["image"]), log_softmax(8.0 * cosines), atol=1e-4)


@pytest.mark.parametrize("classes", [(4, 4, 4), (2, 3, 4)])
def test_heads_of_a_line_look_from_left_to_right_at_first(classes):
    config = simple_cnn.Config(conditions=tuple((f"sign_{i}", n) for i, n in enumerate(classes)), attend=5, hidden=0)
    heads, x = simple_cnn.Heads(config), np.array(jax.random.normal(KEY, (2, 4, 6, 8)))
    params = heads.init(KEY, x)["params"]
    params = jax.tree.map(lambda p: jax.random.normal(KEY, p.shape), params) | {"line": 1000 * params["line"]}
    params["score"] = jax.tree.map(jnp.zeros_like, params["score"])
    logits = heads.apply({"params": params}, x)
    assert logits.shape == (2, sum(classes))
    x[:, :, 2:4] += 1.0  # what the second of three sees
    changed = np.abs(heads.apply({"params": params}, x) - logits).min(0) > 1e-3
    assert changed.tolist() == [i == 1 for i, n in enumerate(classes) for _ in range(n)]


def test_heads_of_a_line_have_no_dense_layer_before_them():
    with pytest.raises(ga.UserError, match="attend takes neither hidden nor embedding"):
        ga.build(ga.configure("simple_cnn", preset="tiny", image_shape=(8, 8, 3), conditions=(("who", 4),), attend=3))
